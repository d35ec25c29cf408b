//! External networks and their peers.

use std::collections::HashMap;
use std::net::IpAddr;

use leafwall_topology::{Family, HostAddress, IF_NAME_MAX, IfName, Name, VlanId, names};

use super::cabling::reserved;
use super::index::{Index, value};
use super::networks::{fabric_overlap, inside_special, not_a_host, special};
use crate::codes;
use crate::diagnostic::{Diagnostic, Diagnostics};
use crate::model::NetworkType;
use crate::raw::{ExternalPeerIntent, NetworkIntent, Object};
use crate::source::{Place, Spanned};

/// One interface of an exit: a port, or a VLAN on it.
type Interface<'a> = (&'a Name, &'a IfName, Option<VlanId>);

pub(super) fn check(index: &Index<'_>, out: &mut Diagnostics) {
    let mut interfaces: HashMap<Interface<'_>, (&Name, Place)> = HashMap::new();
    for network in index.intents.networks.iter().filter(|network| network.spec.is(NetworkType::External)) {
        exits(network, out);
        let mut locals: HashMap<(Interface<'_>, Family), Spanned<HostAddress>> = HashMap::new();
        let mut routers: HashMap<(Interface<'_>, IpAddr), Place> = HashMap::new();
        for peer in &network.spec.peers {
            addresses(index, network, &peer.value, out);
            filters(network, &peer.value, out);
            asn(index, &peer.value, out);
            let (Some(exit), Some(port)) = (&peer.value.exit, &peer.value.interface) else { continue };
            reserved(port, out);
            if let Some(vlan) = peer.value.vlan.filter(|vlan| names::subinterface(&port.value, vlan.value).is_none()) {
                let message = format!("`{}.{}` has more than {IF_NAME_MAX} characters", port.value, vlan.value);
                out.push(Diagnostic::error(codes::LONG_SUBINTERFACE, port.place, message).with(vlan.place, "the tag"));
            }
            let interface = (&exit.value, &port.value, value(peer.value.vlan.as_ref()));
            let (owner, first) = *interfaces.entry(interface).or_insert((&network.name.value, port.place));
            if *owner != network.name.value {
                let message = format!("{} is in network `{owner}` already", describe(interface));
                out.push(
                    Diagnostic::error(codes::PEER_PORT_TAKEN, port.place, message)
                        .with(first, format!("in `{owner}`"))
                        .hint("tell them apart by `vlan`"),
                );
            }
            if let Some(local) = peer.value.local_address {
                let first = *locals.entry((interface, Family::of(local.value.address()))).or_insert(local);
                if first != local {
                    let message =
                        format!("{} has two addresses of one family, `{}` and `{}`", describe(interface), first.value, local.value);
                    out.push(Diagnostic::error(codes::PEER_PORT_TAKEN, local.place, message).with(first.place, "first here"));
                }
            }
            if let Some(router) = peer.value.peer_address {
                if let Some(first) = routers.get(&(interface, router.value)) {
                    let message = format!("there are two peers `{}` at {}", router.value, describe(interface));
                    out.push(Diagnostic::error(codes::DUPLICATE_ADDRESS, router.place, message).with(*first, "first here"));
                } else {
                    routers.insert((interface, router.value), router.place);
                }
            }
        }
    }
}

fn describe((exit, port, vlan): Interface<'_>) -> String {
    match vlan {
        Some(vlan) => format!("VLAN {vlan} at `{exit}:{port}`"),
        None => format!("port `{exit}:{port}`"),
    }
}

fn exits(network: &Object<NetworkIntent>, out: &mut Diagnostics) {
    if !network.sound {
        return;
    }
    if network.spec.exits.is_empty() {
        let message = format!("external network `{}` leaves the fabric nowhere", network.name.value);
        out.push(Diagnostic::error(codes::NO_EXIT, network.name.place, message).hint("name its `exits`"));
    }
    for exit in &network.spec.exits {
        let used = network.spec.peers.iter().any(|peer| peer.value.exit.as_ref().is_some_and(|at| at.value == exit.value));
        if !used {
            let message = format!("`{}` has no peer at `{}`", network.name.value, exit.value);
            out.push(Diagnostic::warning(codes::EXIT_WITHOUT_PEER, exit.place, message));
        }
    }
}

fn addresses(index: &Index<'_>, network: &Object<NetworkIntent>, peer: &ExternalPeerIntent, out: &mut Diagnostics) {
    let Some(local) = peer.local_address else { return };
    let Some(link) = local.value.prefix() else { return };
    let whose = format!("a link of network `{}`", network.name.value);
    special(&whose, Spanned::new(link, local.place), out);
    fabric_overlap(index, &whose, Spanned::new(link, local.place), out);
    if let Some(reason) = not_a_host(link, local.value.address()) {
        out.push(Diagnostic::error(codes::NOT_A_HOST_ADDRESS, local.place, format!("`{}` is {reason}", local.value)));
    }
    for prefix in network.spec.prefixes.iter().filter(|prefix| prefix.value.overlaps(link)) {
        let message = format!("the link `{link}` overlaps `{}` of network `{}`", prefix.value, network.name.value);
        out.push(Diagnostic::error(codes::OVERLAP_IN_NETWORK, local.place, message).with(prefix.place, "a prefix"));
    }
    let Some(router) = peer.peer_address else { return };
    let reason = if !link.contains_address(router.value) {
        format!("is not in `{link}`")
    } else if router.value == local.value.address() {
        "is our own address on that link".to_owned()
    } else if let Some(reason) = not_a_host(link, router.value) {
        format!("is {reason}")
    } else {
        return;
    };
    let message = format!("peer `{}` {reason}", router.value);
    out.push(Diagnostic::error(codes::PEER_NOT_ON_LINK, router.place, message).with(local.place, "our end of the link"));
}

fn filters(network: &Object<NetworkIntent>, peer: &ExternalPeerIntent, out: &mut Diagnostics) {
    for prefix in &peer.import {
        if let Some(own) = network.spec.prefixes.iter().find(|own| own.value.contains(prefix.value)) {
            let message = format!("`{}` is of network `{}` itself", prefix.value, network.name.value);
            out.push(Diagnostic::error(codes::IMPORT_OF_OWN, prefix.place, message).with(own.place, "a prefix of the network"));
        }
    }
    for prefix in peer.import.iter().chain(&peer.export) {
        inside_special(*prefix, out);
        let Some(local) = peer.local_address else { continue };
        let family = Family::of(local.value.address());
        if prefix.value.family() != family {
            let message =
                format!("`{}` is {}, the session with this peer carries {}", prefix.value, word(prefix.value.family()), word(family));
            let diagnostic = Diagnostic::error(codes::WRONG_FAMILY, prefix.place, message).with(local.place, "the session's addresses");
            out.push(diagnostic.hint("a second peer with addresses of the other family carries it"));
        }
    }
    for prefix in peer.export.iter().filter(|prefix| prefix.value.is_default()) {
        let message = format!("`{}` would offer the outside a way through the fabric to everywhere", prefix.value);
        out.push(Diagnostic::error(codes::DEFAULT_ROUTE, prefix.place, message));
    }
}

const fn word(family: Family) -> &'static str {
    match family {
        Family::V4 => "IPv4",
        Family::V6 => "IPv6",
    }
}

fn asn(index: &Index<'_>, peer: &ExternalPeerIntent, out: &mut Diagnostics) {
    let range = index.fabric.and_then(|fabric| fabric.underlay.as_ref()).and_then(|underlay| underlay.value.asns);
    if let (Some(asn), Some(range)) = (peer.asn, range)
        && range.value.contains(asn.value)
    {
        let message = format!("the peer's ASN {} lies in the fabric's range {}", asn.value, range.value);
        out.push(Diagnostic::error(codes::PEER_ASN_IN_RANGE, asn.place, message).with(range.place, "the fabric's range"));
    }
}
