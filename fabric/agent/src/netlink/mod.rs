//! The kernel over rtnetlink. The only module that names the netlink crates.
//!
//! Messages are built and read with the typed messages of `netlink-packet-route`, but travel as bytes: the VNI filter and the VLAN database have no typed
//! messages, and one foreign link whose attributes can't be read must not take the others along.

mod attributes;
pub mod conntrack;
pub mod events;
mod execute;
pub mod generation;
mod macs;
mod nfnetlink;
mod observe;
pub mod rules;
mod vlans;
mod vnis;

use std::fs::File;
use std::io;
use std::os::fd::AsFd;
use std::path::Path;
use std::time::Instant;

use futures_util::StreamExt;
use leafwall_topology::IfName;
use rtnetlink::packet_core::{
    DecodeError, Emitable, NLM_F_ACK, NLM_F_CREATE, NLM_F_DUMP, NLM_F_DUMP_INTR, NLM_F_EXCL, NLM_F_REQUEST, NetlinkDeserializable,
    NetlinkHeader, NetlinkMessage, NetlinkPayload, NetlinkSerializable,
};
use rtnetlink::proto::{ConnectionHandle, new_connection};
use rtnetlink::sys::{SocketAddr, protocols::NETLINK_ROUTE};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
use thiserror::Error;
use tokio::task::JoinHandle;

/// Moves this thread into the network namespace of that name (`ip netns`), for the rest of its life.
///
/// # Errors
/// Where there is none, or it may not.
pub fn enter_namespace(name: &str) -> io::Result<()> {
    let place = File::open(Path::new(NAMESPACES).join(name))?;
    Ok(move_into_link_name_space(place.as_fd(), Some(LinkNameSpaceType::Network))?)
}

/// Where iproute2 keeps network namespaces.
const NAMESPACES: &str = "/run/netns";
/// How often a dump is asked for again when the kernel says that things changed meanwhile.
const DUMP_ATTEMPTS: u8 = 10;

/// A connection to the kernel of the network namespace that it was opened in.
#[derive(Debug)]
pub struct Netlink {
    handle: ConnectionHandle<Raw>,
    task: JoinHandle<()>,
}

/// What went wrong between the kernel and us.
#[derive(Debug, Error)]
pub enum NetlinkError {
    /// No socket.
    #[error("can't open a netlink socket")]
    Open(#[source] io::Error),
    /// A socket that should tell what changes.
    #[error("can't hear from the kernel what changes")]
    Listen(#[source] io::Error),
    /// The connection is gone.
    #[error("the netlink connection closed")]
    Closed,
    /// The kernel refused.
    #[error("the kernel refuses to {what}")]
    Refused {
        /// What was asked.
        what: String,
        /// Its answer.
        #[source]
        source: io::Error,
    },
    /// A message from the kernel that can't be read.
    #[error("can't read the kernel's answer to {what}")]
    Decode {
        /// What was asked.
        what: &'static str,
        /// Why.
        #[source]
        source: DecodeError,
    },
    /// A dump that changed each time.
    #[error("the kernel's {what} did not stand still for a dump")]
    Unsteady {
        /// What was dumped.
        what: &'static str,
    },
    /// A step on a link that is not there.
    #[error("no link `{name}`")]
    NoLink {
        /// Its name.
        name: String,
    },
}

impl NetlinkError {
    /// Whether the kernel says that the thing is not there (any more): fine where it was to be removed.
    pub fn is_gone(&self) -> bool {
        match self {
            Self::NoLink { .. } => true,
            Self::Refused { source, .. } => matches!(source.raw_os_error(), Some(ENOENT | ESRCH | ENODEV | EADDRNOTAVAIL)),
            _ => false,
        }
    }

    /// Whether the kernel says that the thing is there already.
    fn is_there(&self) -> bool {
        matches!(self, Self::Refused { source, .. } if source.raw_os_error() == Some(EEXIST))
    }
}

// errno(3), as on every Linux architecture that runs FRR
const ENOENT: i32 = 2;
const ESRCH: i32 = 3;
const EEXIST: i32 = 17;
const ENODEV: i32 = 19;
const EADDRNOTAVAIL: i32 = 99;

/// A message type of rtnetlink (`linux/rtnetlink.h`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u16)]
enum Kind {
    NewLink = 16,
    DelLink = 17,
    GetLink = 18,
    SetLink = 19,
    NewAddress = 20,
    DelAddress = 21,
    GetAddress = 22,
    NewRoute = 24,
    DelRoute = 25,
    GetRoute = 26,
    NewNeighbour = 28,
    GetNeighbour = 30,
    NewRule = 32,
    DelRule = 33,
    GetRule = 34,
    GetVlan = 114,
    NewTunnel = 120,
    DelTunnel = 121,
    GetTunnel = 122,
}

/// What a change may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Change {
    /// Make something that must not be there yet.
    Create,
    /// Change or remove something.
    Existing,
}

/// A message as bytes.
#[derive(Debug, Clone)]
struct Raw {
    kind: u16,
    payload: Vec<u8>,
}

impl Raw {
    fn new(kind: Kind, message: &impl Emitable) -> Self {
        let mut payload = vec![0; message.buffer_len()];
        message.emit(&mut payload);
        Self { kind: kind as u16, payload }
    }
}

impl NetlinkSerializable for Raw {
    fn message_type(&self) -> u16 {
        self.kind
    }

    fn buffer_len(&self) -> usize {
        self.payload.len()
    }

    fn serialize(&self, buffer: &mut [u8]) {
        buffer[..self.payload.len()].copy_from_slice(&self.payload);
    }
}

impl NetlinkDeserializable for Raw {
    type Error = DecodeError;

    fn deserialize(header: &NetlinkHeader, payload: &[u8]) -> Result<Self, DecodeError> {
        Ok(Self { kind: header.message_type, payload: payload.to_vec() })
    }
}

impl Netlink {
    /// Opens a connection. Must be called within a tokio runtime.
    pub fn open() -> Result<Self, NetlinkError> {
        let (connection, handle, _) = new_connection::<Raw>(NETLINK_ROUTE).map_err(NetlinkError::Open)?;
        Ok(Self { handle, task: tokio::spawn(connection) })
    }

    async fn change(&self, what: &impl ToString, change: Change, raw: Raw) -> Result<(), NetlinkError> {
        let flags = match change {
            Change::Create => NLM_F_CREATE | NLM_F_EXCL,
            Change::Existing => 0,
        };
        self.ask(flags | NLM_F_REQUEST | NLM_F_ACK, raw)
            .await?
            .result
            .map_err(|source| NetlinkError::Refused { what: what.to_string(), source })
    }

    /// Everything of a kind. Asked for again if it changed meanwhile.
    async fn dump(&self, what: &'static str, raw: Raw) -> Result<Vec<Raw>, NetlinkError> {
        for attempt in 0..DUMP_ATTEMPTS {
            let started = Instant::now();
            let answer = self.ask(NLM_F_REQUEST | NLM_F_DUMP, raw.clone()).await?;
            answer.result.map_err(|source| NetlinkError::Refused { what: format!("list its {what}"), source })?;
            tracing::debug!(what, attempt, messages = answer.messages.len(), elapsed = ?started.elapsed(), "dump");
            if answer.steady {
                return Ok(answer.messages);
            }
        }
        Err(NetlinkError::Unsteady { what })
    }

    async fn ask(&self, flags: u16, raw: Raw) -> Result<Answer, NetlinkError> {
        let mut message = NetlinkMessage::new(NetlinkHeader::default(), NetlinkPayload::InnerMessage(raw));
        message.header.flags = flags;
        let mut stream = self.handle.request(message, SocketAddr::new(0, 0)).map_err(|_| NetlinkError::Closed)?;
        let mut answer = Answer { messages: Vec::new(), result: Ok(()), steady: true };
        while let Some(message) = stream.next().await {
            answer.steady &= message.header.flags & NLM_F_DUMP_INTR == 0;
            match message.payload {
                NetlinkPayload::InnerMessage(raw) => answer.messages.push(raw),
                NetlinkPayload::Error(error) if error.code.is_some() => answer.result = Err(error.to_io()),
                NetlinkPayload::Overrun(_) => answer.steady = false,
                _ => {}
            }
        }
        // Acknowledgements and the end of a dump only end the stream. So does a connection that breaks, which the next request and the read-back find out.
        Ok(answer)
    }

    /// The number of a link.
    async fn index(&self, name: &str) -> Result<u32, NetlinkError> {
        let request = attributes::by_name(name);
        let answer = self.ask(NLM_F_REQUEST, Raw::new(Kind::GetLink, &request)).await?;
        match (answer.result, answer.messages.first()) {
            (Ok(()), Some(raw)) => attributes::index(&raw.payload),
            (Err(source), _) if source.raw_os_error() != Some(ENODEV) => {
                Err(NetlinkError::Refused { what: format!("show {name}"), source })
            }
            _ => Err(NetlinkError::NoLink { name: name.to_owned() }),
        }
    }

    async fn index_of(&self, name: &IfName) -> Result<u32, NetlinkError> {
        self.index(name.as_str()).await
    }
}

struct Answer {
    messages: Vec<Raw>,
    result: io::Result<()>,
    steady: bool,
}

impl Drop for Netlink {
    fn drop(&mut self) {
        self.task.abort();
    }
}
