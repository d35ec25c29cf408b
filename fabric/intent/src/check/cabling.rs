//! Cables between switches, and servers' ports.

use std::collections::{BTreeSet, HashMap, HashSet};

use leafwall_topology::{IfName, Name, PortRef, Role, names};

use super::index::Index;
use super::references::did_you_mean;
use crate::codes;
use crate::diagnostic::{Diagnostic, Diagnostics};
use crate::raw::{LinkIntent, Object, ServerIntent};
use crate::source::Spanned;

/// A redundant pair has two leaves.
const PAIR: usize = 2;

pub(super) fn check(index: &Index<'_>, out: &mut Diagnostics) {
    let mut cabled: HashSet<&Name> = HashSet::new();
    for link in index.intents.cablings.iter().flat_map(|cabling| cabling.spec.cables()) {
        cabled.extend([&link.a.value.device, &link.b.value.device]);
        check_link(index, link, out);
    }
    if index.intents.cablings.iter().all(|cabling| cabling.sound) {
        for switch in index.intents.switches.iter().filter(|switch| !cabled.contains(&switch.name.value)) {
            let message = format!("no link names `{}`", switch.name.value);
            out.push(Diagnostic::warning(codes::NO_UPLINK, switch.name.place, message));
        }
    }
    for server in &index.intents.servers {
        check_server(index, server, out);
    }
}

fn check_link(index: &Index<'_>, link: &LinkIntent, out: &mut Diagnostics) {
    let mut known = true;
    for end in [&link.a, &link.b] {
        reserved_port(end, out);
        let device = &end.value.device;
        if index.servers.contains_key(device) && !index.switches.contains_key(device) {
            known = false;
            let message = format!("`{device}` is a server: its cables are its `nics`");
            out.push(Diagnostic::error(codes::SERVER_IN_CABLING, end.place, message));
        } else if !index.switches.contains_key(device) {
            known = false;
            unknown_device(index, end, out);
        }
    }
    let (a, b) = (&link.a.value.device, &link.b.value.device);
    if a == b {
        let message = format!("both ends of this cable are at `{a}`");
        out.push(Diagnostic::error(codes::SELF_CABLE, link.a.place, message).with(link.b.place, "the other end"));
    } else if known
        && let (Some(one), Some(other)) = (index.role(a), index.role(b))
        && (one == Role::Spine) == (other == Role::Spine)
    {
        let message = format!("a cable between {one} `{a}` and {other} `{b}`");
        let diagnostic = Diagnostic::error(codes::WRONG_TIER, link.a.place, message).with(link.b.place, "the other end");
        out.push(diagnostic.hint("leaves and exits are cabled to spines"));
    }
}

fn unknown_device(index: &Index<'_>, end: &Spanned<PortRef>, out: &mut Diagnostics) {
    let device = &end.value.device;
    let diagnostic = Diagnostic::error(codes::UNKNOWN_DEVICE, end.place, format!("there is no switch called `{device}`"));
    out.push(did_you_mean(diagnostic, device, &index.switches, out.len()));
}

fn check_server(index: &Index<'_>, server: &Object<ServerIntent>, out: &mut Diagnostics) {
    let mut nics: HashMap<&IfName, _> = HashMap::new();
    let mut leaves: BTreeSet<&Name> = BTreeSet::new();
    let mut last = None;
    for nic in &server.spec.nics {
        if let Some(name) = &nic.value.name {
            reserved(name, out);
            if let Some(first) = nics.get(&name.value) {
                let message = format!("`{}` has two interfaces `{}`", server.name.value, name.value);
                out.push(Diagnostic::error(codes::DUPLICATE_NIC, name.place, message).with(*first, "first here"));
            } else {
                nics.insert(&name.value, name.place);
            }
        }
        let Some(port) = &nic.value.port else { continue };
        reserved_port(port, out);
        let device = &port.value.device;
        match index.role(device) {
            Some(Role::Leaf) => {
                leaves.insert(device);
                last = Some(port);
            }
            Some(role) => {
                let message = format!("`{device}` is of role `{role}`: servers are plugged into leaves");
                out.push(Diagnostic::error(codes::SERVER_NOT_AT_LEAF, port.place, message));
            }
            None if index.servers.contains_key(device) => {
                let message = format!("`{device}` is a server: servers are plugged into leaves");
                out.push(Diagnostic::error(codes::SERVER_NOT_AT_LEAF, port.place, message));
            }
            None if index.switches.contains_key(device) => {} // its role could not be read
            None => unknown_device(index, port, out),
        }
    }
    let Some(last) = last else { return };
    if leaves.len() > PAIR {
        let message = format!("`{}` is cabled to {} leaves, {PAIR} at most", server.name.value, leaves.len());
        out.push(Diagnostic::error(codes::TOO_MANY_LEAVES, last.place, message));
    } else if leaves.len() == 1 && server.spec.nics.len() > 1 && server.sound && index.intents.switches.len() > leaves.len() {
        let known = server
            .spec
            .nics
            .iter()
            .filter_map(|nic| nic.value.port.as_ref())
            .all(|port| index.role(&port.value.device) == Some(Role::Leaf));
        if known {
            let message = format!("all ports of `{}` are at `{}`", server.name.value, last.value.device);
            out.push(Diagnostic::warning(codes::SAME_LEAF, last.place, message));
        }
    }
}

fn reserved_port(port: &Spanned<PortRef>, out: &mut Diagnostics) {
    reserved(&Spanned::new(port.value.port.clone(), port.place), out);
}

/// A port whose name could be taken for that of a link of ours (H25), or for the loopback.
pub(super) fn reserved(name: &Spanned<IfName>, out: &mut Diagnostics) {
    if names::recognise(name.value.as_str()).is_some() || name.value.as_str() == "lo" {
        let message = format!("no port can be called `{}`: the name is reserved", name.value);
        out.push(Diagnostic::error(codes::RESERVED_INTERFACE, name.place, message));
    }
}
