//! What the kernel tells by itself: that links, addresses, routes, rules, settings or our packet filters changed.
//!
//! A message wakes a comparison and is no more than that: what is there is always asked for (H18). So a message that says too little costs a comparison, and one
//! that was lost costs a comparison of everything. Messages about what no comparison looks at (neighbours that come and go, routes of daemons, tables of others)
//! are left out here, or a busy switch would be compared without end.

use std::io;

use leafwall_topology::names::NFT_TABLE;
use rtnetlink::sys::{AsyncSocket, AsyncSocketExt, TokioSocket, protocols::NETLINK_NETFILTER, protocols::NETLINK_ROUTE};

use super::nfnetlink::{HEADER, NETFILTER_HEADER, NEW_GENERATION, NFTABLES, attributes, number};
use super::{Kind, NetlinkError, observe::ADMINISTRATIVE};
use crate::report::{Backend, Parts};

/// Groups of rtnetlink (`linux/rtnetlink.h`): links, neighbours (for the addresses that a bridge takes for its own), addresses, routes and rules of both
/// families, settings of links, VLANs of bridges, VNIs.
const GROUPS: [(&str, u32); 12] = [
    ("links", 1),
    ("neighbours", 3),
    ("IPv4 addresses", 5),
    ("IPv4 routes", 7),
    ("IPv4 rules", 8),
    ("IPv6 addresses", 9),
    ("IPv6 routes", 11),
    ("IPv6 rules", 19),
    ("IPv4 settings", 24),
    ("IPv6 settings", 25),
    ("VLANs", 33),
    ("VNIs", 35),
];
/// `NFNLGRP_NFTABLES` (`linux/netfilter/nfnetlink.h`).
const NFTABLES_GROUP: u32 = 7;
/// Each kind of object names its table in this attribute (`NFTA_TABLE_NAME`, `NFTA_RULE_TABLE`, …).
const TABLE_ATTRIBUTE: u16 = 1;
/// As much as the kernel gives without privileges beyond it: a thousand links that change at once take some hundred kilobytes.
const BUFFER: usize = 1 << 20;
/// The kernel had to drop messages.
const ENOBUFS: i32 = 105;

/// What the kernel of one network namespace tells.
pub struct Events {
    routing: TokioSocket,
    /// Where the kernel has no nftables, it tells nothing of them.
    filters: Option<TokioSocket>,
}

impl std::fmt::Debug for Events {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Events").field("filters", &self.filters.is_some()).finish_non_exhaustive()
    }
}

impl Events {
    /// Listens in the network namespace of the calling thread. Must be called within a tokio runtime.
    ///
    /// # Errors
    /// Where there is no such socket. A group that this kernel does not have is left to the slow comparison.
    pub fn open() -> Result<Self, NetlinkError> {
        let routing = socket(NETLINK_ROUTE).map_err(NetlinkError::Open)?;
        for (what, group) in GROUPS {
            if let Err(error) = routing.socket_ref().add_membership(group) {
                tracing::warn!(what, %error, "the kernel does not tell when these change");
            }
        }
        let filters = socket(NETLINK_NETFILTER).and_then(|filters| filters.socket_ref().add_membership(NFTABLES_GROUP).map(|()| filters));
        let filters = filters.inspect_err(|error| tracing::warn!(%error, "the kernel does not tell when packet filters change")).ok();
        Ok(Self { routing, filters })
    }

    /// Waits for something that may have changed what a comparison looks at, and says which parts that is. May be dropped at any time.
    ///
    /// # Errors
    /// Where a socket fails for another reason than too many messages.
    pub async fn next(&mut self) -> Result<Parts, NetlinkError> {
        loop {
            let (datagram, of) = tokio::select! {
                datagram = self.routing.recv_from_full() => (datagram, routing as fn(u16, &[u8]) -> Option<Backend>),
                datagram = from(self.filters.as_ref()) => (datagram, filters as fn(u16, &[u8]) -> Option<Backend>),
            };
            let parts = match datagram {
                Ok((bytes, _)) => messages(&bytes, of),
                Err(error) if error.raw_os_error() == Some(ENOBUFS) => {
                    tracing::info!("the kernel told more than we could hear: everything is compared");
                    Backend::ALL.into()
                }
                Err(error) => return Err(NetlinkError::Listen(error)),
            };
            if !parts.is_empty() {
                return Ok(parts);
            }
        }
    }
}

fn socket(protocol: isize) -> io::Result<TokioSocket> {
    let mut socket = TokioSocket::new(protocol)?;
    socket.socket_mut().bind_auto()?;
    socket.socket_ref().set_rx_buf_sz(u32::try_from(BUFFER).unwrap_or(u32::MAX))?;
    Ok(socket)
}

async fn from(socket: Option<&TokioSocket>) -> io::Result<(Vec<u8>, rtnetlink::sys::SocketAddr)> {
    match socket {
        Some(socket) => socket.recv_from_full().await,
        None => std::future::pending().await,
    }
}

/// The parts that the messages of a datagram are about.
fn messages(mut bytes: &[u8], of: fn(u16, &[u8]) -> Option<Backend>) -> Parts {
    let mut parts = Parts::new();
    while let (Some(length), Some(kind)) =
        (bytes.get(..4).and_then(|length| length.try_into().ok()).map(u32::from_ne_bytes), number(bytes, 4))
    {
        let Some(message) = usize::try_from(length).ok().filter(|length| *length >= HEADER).and_then(|length| bytes.get(..length)) else {
            break;
        };
        parts.extend(of(kind, &message[HEADER..]));
        bytes = bytes.get(message.len().next_multiple_of(4)..).unwrap_or_default();
    }
    parts
}

/// What a message of rtnetlink is about.
fn routing(kind: u16, payload: &[u8]) -> Option<Backend> {
    /// `AF_BRIDGE`
    const BRIDGE: u8 = 7;
    /// `NUD_PERMANENT`: of the bridge itself
    const PERMANENT: u16 = 0x80;
    const NEW_NETCONF: u16 = 80;
    const DEL_NETCONF: u16 = 81;
    const NEW_VLAN: u16 = 112;
    const DEL_VLAN: u16 = 113;
    const DEL_NEIGHBOUR: u16 = Kind::NewNeighbour as u16 + 1;
    let is = |one: Kind, other: Kind| kind == one as u16 || kind == other as u16;
    match kind {
        NEW_NETCONF | DEL_NETCONF => Some(Backend::Sysctl),
        NEW_VLAN | DEL_VLAN => Some(Backend::Links),
        // struct rtmsg: the sixth byte is the protocol
        _ if is(Kind::NewRoute, Kind::DelRoute) => {
            payload.get(5).filter(|protocol| ADMINISTRATIVE.contains(protocol)).map(|_| Backend::Links)
        }
        // struct ndmsg: family first, state in bytes 8 and 9
        _ if kind == Kind::NewNeighbour as u16 || kind == DEL_NEIGHBOUR => {
            (payload.first() == Some(&BRIDGE) && number(payload, 8) == Some(PERMANENT)).then_some(Backend::Links)
        }
        _ if is(Kind::NewLink, Kind::DelLink)
            || is(Kind::NewAddress, Kind::DelAddress)
            || is(Kind::NewRule, Kind::DelRule)
            || is(Kind::NewTunnel, Kind::DelTunnel) =>
        {
            Some(Backend::Links)
        }
        _ => None,
    }
}

/// What a message of nftables is about: our tables, or nothing (F12).
fn filters(kind: u16, payload: &[u8]) -> Option<Backend> {
    // a generation names no table, and what changed was told before it
    if kind >> 8 != NFTABLES || kind & 0xff == NEW_GENERATION {
        return None;
    }
    let (_, table) = attributes(payload.get(NETFILTER_HEADER..)?).find(|(kind, _)| *kind == TABLE_ATTRIBUTE)?;
    (table.strip_suffix(&[0]) == Some(NFT_TABLE.as_bytes())).then_some(Backend::Nftables)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(kind: u16, payload: &[u8]) -> Vec<u8> {
        let length = u32::try_from(HEADER + payload.len()).unwrap();
        let mut bytes = [length.to_ne_bytes().as_slice(), &kind.to_ne_bytes(), &[0; 10], payload].concat();
        bytes.resize(bytes.len().next_multiple_of(4), 0);
        bytes
    }

    fn route(protocol: u8) -> Vec<u8> {
        message(24, &[2, 32, 0, 0, 254, protocol, 0, 1, 0, 0, 0, 0])
    }

    fn neighbour(family: u8, state: u8) -> Vec<u8> {
        message(28, &[family, 0, 0, 0, 7, 0, 0, 0, state, 0, 2, 0])
    }

    #[test]
    fn links_and_administrative_routes_wake_and_what_daemons_do_does_not() {
        let about = |bytes: &[u8]| messages(bytes, routing).into_iter().collect::<Vec<_>>();
        for kind in [16, 17, 20, 21, 32, 33, 112, 113, 120, 121] {
            assert_eq!(about(&message(kind, &[0; 16])), [Backend::Links], "{kind}");
        }
        assert_eq!(about(&message(80, &[0; 16])), [Backend::Sysctl]);
        for (protocol, wakes) in [(2, false), (3, true), (4, true), (108, true), (11, false), (186, false)] {
            assert_eq!(about(&route(protocol)).is_empty(), !wakes, "protocol {protocol}");
        }
        for (family, state, wakes) in [(7, 0x80, true), (7, 0x40, false), (2, 0x80, false)] {
            assert_eq!(about(&neighbour(family, state)).is_empty(), !wakes, "family {family}, state {state:#x}");
        }
        // several in one datagram: none hides behind another
        assert_eq!(about(&[route(186), message(80, &[0; 3]), route(4)].concat()), [Backend::Links, Backend::Sysctl]);
        for cut in 0..route(4).len() {
            assert_eq!(about(&route(4)[..cut]), [], "{cut} bytes of a message");
        }
    }

    #[test]
    fn only_our_tables_wake() {
        let rule = |table: &str| {
            let name = [table.as_bytes(), &[0]].concat();
            let length = u16::try_from(4 + name.len()).unwrap();
            let mut payload = [&[1, 0, 0, 0], [8_u16.to_ne_bytes(), 2_u16.to_ne_bytes()].concat().as_slice(), b"abcd"].concat();
            payload.extend([length.to_ne_bytes(), TABLE_ATTRIBUTE.to_ne_bytes()].concat());
            payload.extend(name);
            message(NFTABLES << 8 | 6, &payload)
        };
        assert_eq!(messages(&rule(NFT_TABLE), filters), Parts::from([Backend::Nftables]));
        assert_eq!(messages(&rule("theirs"), filters), Parts::new());
        assert_eq!(messages(&rule(&format!("{NFT_TABLE}2")), filters), Parts::new());
        let generation = message(NFTABLES << 8 | NEW_GENERATION, &[0, 0, 0, 0, 8, 0, 1, 0, 0, 0, 0, 9]);
        assert_eq!(messages(&generation, filters), Parts::new());
    }
}
