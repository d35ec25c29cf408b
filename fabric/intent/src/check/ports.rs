//! Each port has one use.

use std::collections::HashMap;
use std::fmt;

use leafwall_topology::{IfName, Name, PortRef};

use super::index::Index;
use crate::codes;
use crate::diagnostic::{Diagnostic, Diagnostics};
use crate::source::Place;

struct Use<'a> {
    device: &'a Name,
    port: &'a IfName,
    place: Place,
    what: What<'a>,
}

/// What a port is used for.
#[derive(Clone, Copy)]
enum What<'a> {
    /// A cable whose other end is this.
    Cable(&'a PortRef),
    Server(&'a Name),
    /// A peer of this network.
    Peer(&'a Name),
}

impl fmt::Display for What<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Cable(far) => write!(f, "a cable to `{far}`"),
            Self::Server(name) => write!(f, "server `{name}`"),
            Self::Peer(network) => write!(f, "a peer of `{network}`"),
        }
    }
}

pub(super) fn check(index: &Index<'_>, out: &mut Diagnostics) {
    let cables = cables(index);
    let mut seen: HashMap<(&Name, &IfName), Use<'_>> = HashMap::with_capacity(cables.len());
    for next in cables {
        match seen.get(&(next.device, next.port)) {
            Some(first) => out.push(taken(&next, first)),
            None => {
                seen.insert((next.device, next.port), next);
            }
        }
    }
    // several peers may share a port with each other, not with a cable
    for network in &index.intents.networks {
        for peer in &network.spec.peers {
            let (Some(exit), Some(interface)) = (&peer.value.exit, &peer.value.interface) else { continue };
            let next = Use { device: &exit.value, port: &interface.value, place: interface.place, what: What::Peer(&network.name.value) };
            if let Some(first) = seen.get(&(next.device, next.port)) {
                out.push(taken(&next, first));
            }
        }
    }
}

fn cables<'a>(index: &Index<'a>) -> Vec<Use<'a>> {
    let mut uses = Vec::new();
    for link in index.intents.cablings.iter().flat_map(|cabling| cabling.spec.cables()) {
        for (near, far) in [(&link.a, &link.b), (&link.b, &link.a)] {
            uses.push(Use { device: &near.value.device, port: &near.value.port, place: near.place, what: What::Cable(&far.value) });
        }
    }
    for server in &index.intents.servers {
        for port in server.spec.nics.iter().filter_map(|nic| nic.value.port.as_ref()) {
            let what = What::Server(&server.name.value);
            uses.push(Use { device: &port.value.device, port: &port.value.port, place: port.place, what });
        }
    }
    uses.sort_by_key(|used| used.place);
    uses
}

fn taken(next: &Use<'_>, first: &Use<'_>) -> Diagnostic {
    let message = format!("port `{}:{}` is used by {} and by {}", next.device, next.port, first.what, next.what);
    Diagnostic::error(codes::PORT_TAKEN, next.place, message).with(first.place, format!("{} here", first.what))
}
