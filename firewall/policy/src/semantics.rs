//! What a firewall does with a packet: the meaning of [`FirewallRules`], stated once, as a function.
//!
//! Everything else is tested against it: the nftables text in a kernel with real packets, the proof's packet sets, `leafwall firewall explain`. It shares
//! no code with the ruleset's builder but the types, and is written to be read, not to be fast: it asks every rule.
//!
//! Two sources of rules meet here. What is signed comes first: sources, `access`, `allowedNetworks`, translation, then the operator's rules. Where none of those
//! rules matches, the cluster's own do ([`decide_with_cluster`]), in the same way; they can open only what came so far. Where none matches either, the packet
//! is dropped.
//!
//! Assumptions: packets are whole (conntrack puts fragments together), and `state` is what conntrack says before the packet passes.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::net::IpAddr;

use leafwall_topology::{Family, Name, Prefix, VRF_SOURCE_V6};

use crate::cluster::ClusterRules;
use crate::order::{Binding, Direction, RuleId, binding, cluster_rank, rank, rules};
use crate::protocols::{ICMP, ICMPV6, SCTP, TCP, UDP};
use crate::rule::{Action, Fqdn, Peer, PortMatch, Protocol, Rule};
use crate::zone::{Access, FirewallRules, Sources, Zone, ZoneKind};

/// A packet that a firewall is about to forward.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Packet {
    /// The network that it comes from.
    pub input: Name,
    /// The network that routing sends it into.
    pub output: Name,
    /// Its source.
    pub source: IpAddr,
    /// Its destination, of the same family.
    pub destination: IpAddr,
    /// What it carries.
    pub transport: Transport,
    /// What conntrack says of it.
    pub state: FlowState,
}

/// What a packet carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Transport {
    /// TCP
    Tcp {
        /// Its source port.
        source: u16,
        /// Its destination port.
        destination: u16,
    },
    /// UDP
    Udp {
        /// Its source port.
        source: u16,
        /// Its destination port.
        destination: u16,
    },
    /// SCTP
    Sctp {
        /// Its source port.
        source: u16,
        /// Its destination port.
        destination: u16,
    },
    /// ICMP, with its type; counts as such in an IPv4 packet only.
    Icmp(u8),
    /// ICMPv6, with its type; counts as such in an IPv6 packet only.
    Icmpv6(u8),
    /// Another IP protocol, by its number.
    Other(u8),
}

impl Transport {
    /// Its number, source port and destination port, as headers have them: without ports 0 and, for ICMP and ICMPv6, the type.
    pub fn numbers(self) -> (u8, u16, u16) {
        match self {
            Self::Tcp { source, destination } => (TCP, source, destination),
            Self::Udp { source, destination } => (UDP, source, destination),
            Self::Sctp { source, destination } => (SCTP, source, destination),
            Self::Icmp(kind) => (ICMP, 0, kind.into()),
            Self::Icmpv6(kind) => (ICMPV6, 0, kind.into()),
            Self::Other(number) => (number, 0, 0),
        }
    }
}

/// What conntrack says of a packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum FlowState {
    /// The first of a flow.
    New,
    /// It belongs to a flow that was let through.
    Established,
    /// An ICMP error about such a flow.
    Related,
    /// Nothing that makes sense.
    Invalid,
}

/// What became of a packet, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decision {
    /// Whether it passes.
    pub verdict: Action,
    /// What decided.
    pub reason: Reason,
    /// The addresses of which the source becomes one, if it is translated. Packets of known flows keep what the first one got.
    pub snat: BTreeSet<IpAddr>,
}

/// What decided.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Reason {
    /// The firewall does not join the network that it comes from or goes to.
    UnknownNetwork,
    /// The source does not belong to the network that it comes from (F23).
    Spoofed,
    /// Conntrack calls it invalid.
    InvalidState,
    /// It belongs to a flow that was let through.
    KnownFlow,
    /// No rules are about this pair of networks: both are foreign, or they are the same one.
    NoPath,
    /// `access: forbidden` and one of the networks is external.
    Forbidden,
    /// Outside `allowedNetworks`, or `access: restricted` without any.
    OutsideAllowed,
    /// The source has to be translated and the firewall has no address for it.
    NoEgressAddress,
    /// A rule of the signed ruleset.
    Rule(RuleId),
    /// A rule that comes from the cluster.
    ClusterRule(RuleId),
    /// No rule matched.
    Default,
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::UnknownNetwork => f.write_str("the firewall does not join that network"),
            Self::Spoofed => f.write_str("the source does not belong to the network that it comes from"),
            Self::InvalidState => f.write_str("conntrack calls it invalid"),
            Self::KnownFlow => f.write_str("it belongs to a known flow"),
            Self::NoPath => f.write_str("there is no path between these networks"),
            Self::Forbidden => f.write_str("`access: forbidden` closes external networks"),
            Self::OutsideAllowed => f.write_str("outside of `allowedNetworks`"),
            Self::NoEgressAddress => f.write_str("no egress address for a source that must be translated"),
            Self::Rule(id) => write!(f, "rule {id}"),
            Self::ClusterRule(id) => write!(f, "the cluster's rule {id}"),
            Self::Default => f.write_str("no rule matches"),
        }
    }
}

/// The answers that FQDN rules have in their sets at the moment.
pub type Answers = BTreeMap<Fqdn, BTreeSet<IpAddr>>;

/// What the firewall does with the packet, with nothing from a cluster.
pub fn decide(firewall: &FirewallRules, answers: &Answers, packet: &Packet) -> Decision {
    decide_with_cluster(firewall, &ClusterRules::default(), answers, packet)
}

/// What the firewall does with the packet. The cluster's rules are asked only for what came so far and no signed rule decided.
pub fn decide_with_cluster(firewall: &FirewallRules, cluster: &ClusterRules, answers: &Answers, packet: &Packet) -> Decision {
    let drop = |reason| Decision { verdict: Action::Deny, reason, snat: BTreeSet::new() };
    let zone = |network: &Name| firewall.zones.iter().find(|zone| zone.network == *network);
    let (Some(input), Some(output)) = (zone(&packet.input), zone(&packet.output)) else { return drop(Reason::UnknownNetwork) };
    if !belongs(firewall, input, packet) {
        return drop(Reason::Spoofed);
    }
    match packet.state {
        FlowState::Invalid => return drop(Reason::InvalidState),
        FlowState::Established | FlowState::Related => {
            return Decision { verdict: Action::Allow, reason: Reason::KnownFlow, snat: BTreeSet::new() };
        }
        FlowState::New => {}
    }
    if [Direction::Ingress, Direction::Egress].into_iter().all(|direction| binding(direction, input, output) == Binding::None) {
        return drop(Reason::NoPath);
    }
    if firewall.access == Access::Forbidden && (input.kind == ZoneKind::External || output.kind == ZoneKind::External) {
        return drop(Reason::Forbidden);
    }
    if !allowed(firewall, input, output, packet) {
        return drop(Reason::OutsideAllowed);
    }
    let snat = match translation(input, output, packet) {
        Translation::Unserved => return drop(Reason::NoEgressAddress),
        Translation::None => BTreeSet::new(),
        Translation::To(addresses) => addresses,
    };
    let matches = |(id, rule): &(RuleId, &Rule)| mismatch(id, rule, input, output, answers, packet).is_none();
    let signed = rules(&firewall.policies).filter(matches).min_by(|(a_id, a), (b_id, b)| rank(a_id, a).cmp(&rank(b_id, b)));
    let own = || rules(&cluster.policies).filter(matches).min_by(|(a_id, a), (b_id, b)| cluster_rank(a_id, a).cmp(&cluster_rank(b_id, b)));
    let decided = signed.map(|(id, rule)| (rule.action, Reason::Rule(id)));
    match decided.or_else(|| own().map(|(id, rule)| (rule.action, Reason::ClusterRule(id)))) {
        None => drop(Reason::Default),
        Some((Action::Deny, reason)) => drop(reason),
        Some((Action::Allow, reason)) => Decision { verdict: Action::Allow, reason, snat },
    }
}

/// Why a rule does not match a new flow's packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Mismatch {
    /// Its direction is not about this pair of networks.
    Direction,
    /// Its `from` holds no such source.
    From,
    /// Its `to` holds no such destination.
    To,
    /// Its `ports` hold no such protocol or port.
    Ports,
    /// Its side has DNS names, and none of them was resolved to this address.
    Unresolved,
}

impl fmt::Display for Mismatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Direction => "it is about the other direction",
            Self::From => "`from` does not hold the source",
            Self::To => "`to` does not hold the destination",
            Self::Unresolved => "its DNS names were not resolved to this address",
            Self::Ports => "`ports` do not hold the protocol or port",
        })
    }
}

/// Every rule in the order in which it is looked at, and why it does not match; `None` for one that does. The first of those decides, if the packet gets so far.
pub fn explain(firewall: &FirewallRules, answers: &Answers, packet: &Packet) -> Vec<Told> {
    let mut ordered: Vec<_> = rules(&firewall.policies).collect();
    ordered.sort_by(|(a_id, a), (b_id, b)| rank(a_id, a).cmp(&rank(b_id, b)));
    told(ordered, firewall, answers, packet)
}

/// As [`explain`], of the cluster's rules: they are looked at behind the signed ones.
pub fn explain_cluster(firewall: &FirewallRules, cluster: &ClusterRules, answers: &Answers, packet: &Packet) -> Vec<Told> {
    let mut ordered: Vec<_> = rules(&cluster.policies).collect();
    ordered.sort_by(|(a_id, a), (b_id, b)| cluster_rank(a_id, a).cmp(&cluster_rank(b_id, b)));
    told(ordered, firewall, answers, packet)
}

/// A rule, what it does, and why it does not match; `None` if it does.
pub type Told = (RuleId, Action, Option<Mismatch>);

fn told(ordered: Vec<(RuleId, &Rule)>, firewall: &FirewallRules, answers: &Answers, packet: &Packet) -> Vec<Told> {
    let zone = |network: &Name| firewall.zones.iter().find(|zone| zone.network == *network);
    let (Some(input), Some(output)) = (zone(&packet.input), zone(&packet.output)) else { return Vec::new() };
    let told = |(id, rule): (RuleId, &Rule)| {
        let why = mismatch(&id, rule, input, output, answers, packet);
        (id, rule.action, why)
    };
    ordered.into_iter().map(told).collect()
}

fn within(prefixes: &[Prefix], address: IpAddr) -> bool {
    prefixes.iter().any(|prefix| prefix.contains_address(address))
}

/// F23. ICMP errors may also come from the switches' own addresses (F17).
fn belongs(firewall: &FirewallRules, input: &Zone, packet: &Packet) -> bool {
    match &input.sources {
        Sources::AllBut(prefixes) => !within(prefixes, packet.source),
        Sources::Only(prefixes) => {
            within(prefixes, packet.source)
                || match (packet.transport, packet.source) {
                    (Transport::Icmp(3 | 11 | 12), IpAddr::V4(_)) => firewall.failsafe.vteps.contains_address(packet.source),
                    (Transport::Icmpv6(1..=4), IpAddr::V6(source)) => VRF_SOURCE_V6.contains(&source),
                    _ => false,
                }
        }
    }
}

/// Ingress is bound by its sources, egress by its destinations; traffic between own networks is not bound.
fn allowed(firewall: &FirewallRules, input: &Zone, output: &Zone, packet: &Packet) -> bool {
    let (bound, address) = match (input.kind, output.kind) {
        (ZoneKind::Own, ZoneKind::Own) => return true,
        (ZoneKind::Own, _) => (&firewall.allowed_egress, packet.destination),
        _ => (&firewall.allowed_ingress, packet.source),
    };
    match bound {
        Some(prefixes) => within(prefixes, address),
        None => firewall.access != Access::Restricted,
    }
}

enum Translation {
    None,
    To(BTreeSet<IpAddr>),
    Unserved,
}

fn translation(input: &Zone, output: &Zone, packet: &Packet) -> Translation {
    if input.kind != ZoneKind::Own || !within(&output.snat.sources, packet.source) {
        return Translation::None;
    }
    let addresses: BTreeSet<IpAddr> = match Family::of(packet.source) {
        Family::V4 => output.snat.v4.iter().copied().map(IpAddr::V4).collect(),
        Family::V6 => output.snat.v6.iter().copied().map(IpAddr::V6).collect(),
    };
    if addresses.is_empty() { Translation::Unserved } else { Translation::To(addresses) }
}

fn mismatch(id: &RuleId, rule: &Rule, input: &Zone, output: &Zone, answers: &Answers, packet: &Packet) -> Option<Mismatch> {
    let binding = binding(id.direction, input, output);
    let (from_is_far, to_is_far) = (id.direction == Direction::Ingress, id.direction == Direction::Egress);
    if binding == Binding::None {
        Some(Mismatch::Direction)
    } else if !side(&rule.from, binding, from_is_far, input, packet.source, answers) {
        Some(if has_names(&rule.from) { Mismatch::Unresolved } else { Mismatch::From })
    } else if !side(&rule.to, binding, to_is_far, output, packet.destination, answers) {
        Some(if has_names(&rule.to) { Mismatch::Unresolved } else { Mismatch::To })
    } else if !ports(&rule.ports, packet) {
        Some(Mismatch::Ports)
    } else {
        None
    }
}

fn has_names(peers: &[Peer]) -> bool {
    peers.iter().any(|peer| matches!(peer, Peer::Fqdn(_)))
}

/// An empty list means everyone (F5), except on the far side between two own networks, where the network must be named.
fn side(peers: &[Peer], binding: Binding, far: bool, zone: &Zone, address: IpAddr, answers: &Answers) -> bool {
    let must_be_named = far && binding == Binding::NamedNetworks;
    if peers.is_empty() {
        return !must_be_named;
    }
    peers.iter().any(|peer| match peer {
        Peer::Network(network) => *network == zone.network && within(&zone.prefixes, address),
        _ if must_be_named => false,
        Peer::Cidr { cidr, except } => cidr.contains_address(address) && !within(except, address),
        Peer::Fqdn(fqdn) => answers.get(fqdn).is_some_and(|addresses| addresses.contains(&address)),
    })
}

fn ports(ports: &[PortMatch], packet: &Packet) -> bool {
    let (protocol, port) = match (packet.transport, Family::of(packet.source)) {
        (Transport::Tcp { destination, .. }, _) => (Some(Protocol::Tcp), destination),
        (Transport::Udp { destination, .. }, _) => (Some(Protocol::Udp), destination),
        (Transport::Sctp { destination, .. }, _) => (Some(Protocol::Sctp), destination),
        (Transport::Icmp(_), Family::V4) => (Some(Protocol::Icmp), 0),
        (Transport::Icmpv6(_), Family::V6) => (Some(Protocol::Icmpv6), 0),
        _ => (None, 0),
    };
    ports.is_empty()
        || ports.iter().any(|stated| {
            stated.protocol == Protocol::Any
                || (Some(stated.protocol) == protocol && stated.ports.is_none_or(|range| (range.low()..=range.high()).contains(&port)))
        })
}

#[cfg(test)]
mod tests;
