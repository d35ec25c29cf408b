//! Lists in which nothing stands twice.

use std::collections::HashMap;
use std::fmt::Display;
use std::hash::Hash;

use super::index::Index;
use crate::codes;
use crate::diagnostic::{Diagnostic, Diagnostics};
use crate::source::{Place, Spanned};

pub(super) fn check(index: &Index<'_>, out: &mut Diagnostics) {
    if let Some(fabric) = index.fabric {
        once("resolver", fabric.dns.iter(), out);
        once("time server", fabric.ntp.iter(), out);
        once("log server", fabric.syslog.iter(), out);
        if let Some(provisioning) = &fabric.provisioning {
            once("DHCP server", provisioning.value.dhcp_servers.iter(), out);
        }
    }
    for network in &index.intents.networks {
        once("exit", network.spec.exits.iter(), out);
        once("destination", network.spec.destinations.iter(), out);
        for peer in &network.spec.peers {
            once("prefix", peer.value.import.iter(), out);
            once("prefix", peer.value.export.iter(), out);
        }
    }
    for allocation in &index.intents.allocations {
        once("address", allocation.spec.addresses.iter(), out);
    }
    for peering in &index.intents.peerings {
        for side in &peering.spec.between {
            once("prefix", side.value.prefixes.iter(), out);
        }
    }
    for firewall in &index.intents.firewalls {
        let spec = &firewall.spec;
        once("server", spec.servers.iter(), out);
        once("network", spec.networks.iter(), out);
        once("egress network", spec.egress.iter().filter_map(|egress| egress.value.network.as_ref()), out);
        for egress in &spec.egress {
            once("address", egress.value.addresses.iter(), out);
        }
        once("rate limit", spec.rate_limits.iter().filter_map(|limit| limit.value.network.as_ref()), out);
        once("resolver", spec.dns.iter(), out);
    }
}

fn once<'a, T: Display + Eq + Hash + 'a>(what: &str, list: impl Iterator<Item = &'a Spanned<T>>, out: &mut Diagnostics) {
    let mut seen: HashMap<&T, Place> = HashMap::new();
    for entry in list {
        if let Some(first) = seen.get(&entry.value) {
            let message = format!("{what} `{}` stands twice in this list", entry.value);
            out.push(Diagnostic::error(codes::DUPLICATE_ENTRY, entry.place, message).with(*first, "first here"));
        } else {
            seen.insert(&entry.value, entry.place);
        }
    }
}
