//! The prober: one process per node, `leafwall lab probe`, that sends probes to all targets at once and notes what arrives.
//!
//! Every probe carries a nonce that survives address translation: in the payload (ICMP, UDP) or as the first sequence number (TCP). Raw sockets
//! see what reaches the node, answered or not, so that a packet that comes in but cannot be answered still counts as an arrival.

mod capture;
mod packet;
mod sender;
mod serve;
mod stream;

use std::net::IpAddr;

use leafwall_topology::IfName;
use serde::{Deserialize, Serialize};

pub(crate) use serve::run;

/// What a prober is told, one line of JSON each.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Order {
    /// Listen on these ports. Answered with [`Report::Ready`].
    Listen {
        /// TCP ports.
        tcp: Vec<u16>,
        /// UDP ports.
        udp: Vec<u16>,
        /// The node's addresses by VRF (`None` is no VRF).
        at: Vec<(Option<IfName>, Vec<IpAddr>)>,
    },
    /// Send these probes, several times while no answer comes. Answered with [`Report::Round`] when all are answered or the time is over.
    Round(Vec<Probe>),
    /// Tell what arrived since the last time. Answered with [`Report::Arrivals`].
    Collect,
    /// Begin to send these without pause. Not answered.
    Stream {
        /// Each is repeated, its nonce counted up.
        probes: Vec<Probe>,
        /// From one probe of a stream to its next.
        interval_ms: u32,
    },
    /// End the streams. Answered with [`Report::Streams`].
    Stop,
}

/// What a prober tells, one line of JSON each.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Report {
    /// It listens.
    Ready,
    /// How each probe of the round ended, in its order.
    Round(Vec<Outcome>),
    /// What arrived.
    Arrivals(Vec<Arrival>),
    /// How the streams went, in their order.
    Streams(Vec<StreamReport>),
    /// An order could not be carried out.
    Failed(String),
}

/// One thing to try.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(crate) struct Probe {
    /// What it is known by where it arrives.
    pub nonce: u32,
    /// The source address.
    pub from: IpAddr,
    /// The VRF of the source.
    pub vrf: Option<IfName>,
    /// The destination.
    pub to: IpAddr,
    /// What is sent.
    pub kind: ProbeKind,
}

/// What a probe sends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum ProbeKind {
    /// An ICMP or ICMPv6 echo request.
    Ping,
    /// The first segment of a connection to this port.
    Tcp(u16),
    /// A datagram to this port.
    Udp(u16),
}

impl std::fmt::Display for ProbeKind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Ping => f.write_str("ping"),
            Self::Tcp(port) => write!(f, "tcp/{port}"),
            Self::Udp(port) => write!(f, "udp/{port}"),
        }
    }
}

/// How a probe ended at its sender.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Outcome {
    /// The service answered; for TCP a whole connection carried data both ways.
    Answered,
    /// The destination said that nothing listens there.
    Closed,
    /// TCP only: the destination opened a connection, but it carried no data.
    HalfOpen,
    /// Nothing came back.
    Silent,
    /// The sender's own kernel has no way there.
    NoRoute,
    /// The sender could not even try: the test is wrong, not the network.
    Broken(String),
}

/// A probe that reached a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(crate) struct Arrival {
    /// Its nonce.
    pub nonce: u32,
    /// The source address that it had on arrival.
    pub source: IpAddr,
}

/// How a stream of probes went.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct StreamReport {
    /// How many were sent.
    pub sent: u32,
    /// How many were answered.
    pub answered: u32,
    /// The longest time without an answered probe, by the node's own clock, in ms.
    pub longest_gap_ms: u32,
    /// When the first that was answered was sent, by [`monotonic_ms`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub first_answered_ms: Option<u64>,
}

/// The machine's monotonic clock in ms: the same for all processes on it.
pub(crate) fn monotonic_ms() -> u64 {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
    let milliseconds = now.tv_sec.saturating_mul(1000).saturating_add(now.tv_nsec / 1_000_000);
    u64::try_from(milliseconds).unwrap_or_default()
}
