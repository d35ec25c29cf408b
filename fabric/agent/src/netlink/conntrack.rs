//! Known flows, over ctnetlink: listed, and the ones cut that a change of rules revoked (F13).
//!
//! Everything happens on a thread of its own, which enters the network namespace and ends: the calls block, for as long as a list takes.

use std::io;
use std::net::IpAddr;

use leafwall_policy::flows::{Flow, revoked};
use leafwall_policy::nft::Table;
use netlink_packet_netfilter::conntrack::{ConntrackAttribute, ConntrackMessage, IPTuple, ProtoTuple, Tuple};
use netlink_packet_netfilter::{NetfilterHeader, NetfilterMessage, NetfilterMessageInner, NetfilterProtoFamily};
use rtnetlink::packet_core::{NLM_F_ACK, NLM_F_DUMP, NLM_F_REQUEST, NetlinkHeader, NetlinkMessage, NetlinkPayload, Nla};
use rtnetlink::sys::{Socket, SocketAddr, protocols::NETLINK_NETFILTER};
use thiserror::Error;

use super::nfnetlink::ATTRIBUTE_MASK;
use super::{ENOENT, enter_namespace};

/// Attributes that name an entry beside its flow (`linux/netfilter/nfnetlink_conntrack.h`): its number, which no later entry of the same flow has, and its zone.
const CTA_ID: u16 = 12;
const CTA_ZONE: u16 = 18;
/// Attributes of an ICMP flow (`CTA_PROTO_ICMP_TYPE`, `CTA_PROTO_ICMPV6_TYPE`).
const ICMP_TYPES: [u16; 2] = [4, 8];
/// Bytes that the kernel may have waiting for us: a list of entries comes in pieces that we take one by one.
const BUFFER: usize = 1 << 20;

/// What goes wrong with known flows.
#[derive(Debug, Error)]
pub enum ConntrackError {
    /// The namespace.
    #[error("can't enter the network namespace `{name}`")]
    Namespace {
        /// Which.
        name: String,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The socket, or the kernel's word against it.
    #[error("the kernel does not {what} known flows")]
    Kernel {
        /// What was asked.
        what: &'static str,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The thread.
    #[error("no thread for known flows")]
    Thread(#[source] io::Error),
    /// It ended without a word.
    #[error("what cuts known flows has ended")]
    Ended,
}

/// How many flows there were, and how many of them were cut.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Cut {
    /// Known flows.
    pub known: usize,
    /// Those that were cut.
    pub cut: usize,
}

/// Cuts the flows that passed with the table from before and do not with the one that is there now, in the namespace of that name or this process's own.
pub async fn cut(namespace: Option<&str>, before: Table, after: Table) -> Result<Cut, ConntrackError> {
    let namespace = namespace.map(str::to_owned);
    let (tell, told) = tokio::sync::oneshot::channel();
    let work = move || {
        // whoever asked may be gone
        let _ = tell.send(cut_here(namespace, &before, &after));
    };
    std::thread::Builder::new().name("conntrack".to_owned()).spawn(work).map_err(ConntrackError::Thread)?;
    told.await.map_err(|_| ConntrackError::Ended)?
}

fn cut_here(namespace: Option<String>, before: &Table, after: &Table) -> Result<Cut, ConntrackError> {
    if let Some(name) = namespace {
        enter_namespace(&name).map_err(|source| ConntrackError::Namespace { name, source })?;
    }
    let mut connection = Connection::open().map_err(|source| ConntrackError::Kernel { what: "tell of", source })?;
    let entries = connection.entries().map_err(|source| ConntrackError::Kernel { what: "list", source })?;
    let mut done = Cut { known: entries.len(), cut: 0 };
    for entry in revoked(before, after, &entries, |entry| entry.flow) {
        done.cut += usize::from(connection.delete(entry).map_err(|source| ConntrackError::Kernel { what: "cut", source })?);
    }
    Ok(done)
}

/// An entry of connection tracking.
struct Entry {
    flow: Flow,
    family: NetfilterProtoFamily,
    /// What names it.
    name: Vec<ConntrackAttribute>,
}

struct Connection {
    socket: Socket,
}

impl Connection {
    fn open() -> io::Result<Self> {
        let mut socket = Socket::new(NETLINK_NETFILTER)?;
        socket.bind_auto()?;
        socket.connect(&SocketAddr::new(0, 0))?;
        socket.set_rx_buf_sz(BUFFER)?;
        Ok(Self { socket })
    }

    fn entries(&mut self) -> io::Result<Vec<Entry>> {
        // both families at once
        self.send(NLM_F_DUMP, NetfilterProtoFamily::Unspec, ConntrackMessage::Get(Vec::new()))?;
        let mut entries = Vec::new();
        self.receive(|message| entries.extend(entry(message)))?;
        Ok(entries)
    }

    /// Whether it was there.
    fn delete(&mut self, entry: &Entry) -> io::Result<bool> {
        self.send(NLM_F_ACK, entry.family, ConntrackMessage::Delete(entry.name.clone()))?;
        match self.receive(|_| ()) {
            Ok(()) => Ok(true),
            // it went by itself
            Err(error) if error.raw_os_error() == Some(ENOENT) => Ok(false),
            Err(error) => Err(error),
        }
    }

    fn send(&self, flags: u16, family: NetfilterProtoFamily, message: ConntrackMessage) -> io::Result<()> {
        let mut header = NetlinkHeader::default();
        header.flags = NLM_F_REQUEST | flags;
        let message = NetfilterMessage::new(NetfilterHeader::new(family, 0, 0), message);
        let mut packet = NetlinkMessage::new(header, NetlinkPayload::from(message));
        packet.finalize();
        let mut bytes = vec![0; packet.buffer_len()];
        packet.serialize(&mut bytes);
        self.socket.send(&bytes, 0).map(drop)
    }

    /// Takes messages until the answer is over.
    fn receive(&self, mut take: impl FnMut(NetfilterMessage)) -> io::Result<()> {
        loop {
            let (bytes, _) = self.socket.recv_from_full()?;
            let mut rest = bytes.as_slice();
            // the length of a message stands in its first four bytes, and they are padded to four
            while let Some(length) = rest.first_chunk::<4>().map(|bytes| u32::from_ne_bytes(*bytes)) {
                let length = usize::try_from(length).unwrap_or(usize::MAX);
                let Some(message) = rest.get(..length).filter(|message| !message.is_empty()) else {
                    return Err(io::ErrorKind::InvalidData.into());
                };
                match NetlinkMessage::<NetfilterMessage>::deserialize(message).map(|message| message.payload) {
                    Ok(NetlinkPayload::InnerMessage(message)) => take(message),
                    Ok(NetlinkPayload::Error(error)) => return if error.code.is_some() { Err(error.to_io()) } else { Ok(()) },
                    Ok(NetlinkPayload::Done(_)) => return Ok(()),
                    Ok(_) => {}
                    // one that can't be read must not keep the others
                    Err(error) => tracing::debug!(%error, "a known flow can't be read"),
                }
                rest = rest.get(length.next_multiple_of(4)..).unwrap_or_default();
            }
        }
    }
}

/// What a message says of an entry; `None` where it says too little, as of a protocol that is not known.
fn entry(message: NetfilterMessage) -> Option<Entry> {
    let NetfilterMessageInner::Conntrack(ConntrackMessage::New(attributes)) = message.inner else { return None };
    let (mut first, mut answer, mut name) = (None, None, Vec::new());
    for attribute in attributes {
        match &attribute {
            ConntrackAttribute::CtaTupleOrig(tuple) => {
                first = Some(ends(tuple)?);
                name.push(attribute);
            }
            ConntrackAttribute::CtaTupleReply(tuple) => answer = Some(ends(tuple)?),
            ConntrackAttribute::Other(other) if [CTA_ID, CTA_ZONE].contains(&(other.kind() & ATTRIBUTE_MASK)) => name.push(attribute),
            _ => {}
        }
    }
    let (first, answer) = (first?, answer?);
    // where it goes is where answers come from, also if its destination was translated; where it comes from is what it came with
    let destination_port = first.icmp_type.map_or(answer.source_port, u16::from);
    let flow = Flow {
        source: first.source,
        destination: answer.source,
        protocol: first.protocol,
        source_port: first.source_port,
        destination_port,
    };
    Some(Entry { flow, family: message.header.family, name })
}

/// One direction of an entry.
struct Ends {
    source: IpAddr,
    protocol: u8,
    source_port: u16,
    icmp_type: Option<u8>,
}

fn ends(tuple: &[Tuple]) -> Option<Ends> {
    let (mut source, mut protocol, mut source_port, mut icmp_type) = (None, None, 0, None);
    for part in tuple {
        match part {
            Tuple::Ip(addresses) => {
                source = addresses.iter().find_map(|address| match address {
                    IPTuple::SourceAddress(address) => Some(*address),
                    _ => None,
                });
            }
            Tuple::Proto(parts) => {
                for part in parts {
                    match part {
                        ProtoTuple::Protocol(number) => protocol = Some(u8::from(*number)),
                        ProtoTuple::SourcePort(port) => source_port = *port,
                        ProtoTuple::Other(other) if ICMP_TYPES.contains(&(other.kind() & ATTRIBUTE_MASK)) => {
                            let mut value = vec![0; other.value_len()];
                            other.emit_value(&mut value);
                            icmp_type = value.first().copied();
                        }
                        _ => {}
                    }
                }
            }
            _ => {}
        }
    }
    Some(Ends { source: source?, protocol: protocol?, source_port, icmp_type })
}
