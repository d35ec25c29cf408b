//! Elastic addresses, and that no address of a network has two owners.

use std::collections::HashMap;
use std::net::IpAddr;

use leafwall_topology::Name;

use super::index::Index;
use crate::codes;
use crate::diagnostic::{Diagnostic, Diagnostics};
use crate::model::{Mode, NetworkType};
use crate::raw::{AddressIntent, NetworkIntent, Object};
use crate::source::{Place, Spanned};

pub(super) fn check(index: &Index<'_>, out: &mut Diagnostics) {
    for address in &index.intents.addresses {
        if let Some(network) = index.network(address.spec.network.as_ref()) {
            ownership(address, network, out);
            inside(address, network, out);
        }
        holder(index, address, out);
    }
    duplicates(index, out);
    uses(index, out);
}

fn ownership(address: &Object<AddressIntent>, network: &Object<NetworkIntent>, out: &mut Diagnostics) {
    let (Some(tenant), Some(owner), Some(name)) = (&address.spec.tenant, &network.spec.tenant, &address.spec.network) else { return };
    if tenant.value != owner.value && !network.spec.is(NetworkType::Shared) {
        let message = format!("network `{}` belongs to `{}`, not to `{}`", name.value, owner.value, tenant.value);
        out.push(Diagnostic::error(codes::ADDRESS_FOREIGN_NETWORK, name.place, message).with(owner.place, "its owner"));
    }
}

fn inside(address: &Object<AddressIntent>, network: &Object<NetworkIntent>, out: &mut Diagnostics) {
    if !network.sound {
        return;
    }
    let prefixes = &network.spec.prefixes;
    match (address.spec.address, &address.spec.network) {
        (Some(ip), _) if !prefixes.iter().any(|prefix| prefix.value.contains_address(ip.value)) => {
            let message = format!("`{}` is in no prefix of network `{}`", ip.value, network.name.value);
            let place = prefixes.first().map_or(network.name.place, |prefix| prefix.place);
            out.push(Diagnostic::error(codes::ADDRESS_OUTSIDE, ip.place, message).with(place, "the network"));
        }
        (None, Some(name)) if address.sound && prefixes.is_empty() => {
            let message = format!("network `{}` has no prefix to take an address from", name.value);
            out.push(Diagnostic::error(codes::NO_PREFIX_FOR_ADDRESS, name.place, message).with(network.name.place, "the network"));
        }
        _ => {}
    }
}

fn holder(index: &Index<'_>, address: &Object<AddressIntent>, out: &mut Diagnostics) {
    let Some(server) = &address.spec.server else { return };
    if !index.servers.contains_key(&server.value) {
        return; // found as a reference to nothing
    }
    let Some(allocation) = index.allocation_of.get(&server.value) else {
        let message = format!("server `{}` is not allocated to anyone", server.value);
        out.push(Diagnostic::error(codes::FOREIGN_SERVER, server.place, message).with(address.name.place, "the address"));
        return;
    };
    if !allocation.spec.is_of(address.spec.tenant.as_ref()) {
        if let (Some(tenant), Some(other)) = (&address.spec.tenant, &allocation.spec.tenant) {
            let message = format!("server `{}` is allocated to `{}`, not to `{}`", server.value, other.value, tenant.value);
            out.push(Diagnostic::error(codes::FOREIGN_SERVER, server.place, message).with(other.place, "its allocation"));
        }
    } else if allocation.spec.mode() == Mode::Bridged {
        let place = allocation.spec.mode.as_ref().map_or(allocation.name.place, |mode| mode.place);
        let message = format!("server `{}` is bridged: it has no session to announce the address on", server.value);
        out.push(Diagnostic::error(codes::ADDRESS_ON_BRIDGED, server.place, message).with(place, "its allocation"));
    }
}

/// Fixed addresses of servers and elastic ones, each once in its network.
fn duplicates(index: &Index<'_>, out: &mut Diagnostics) {
    let mut all: Vec<(&Name, Spanned<IpAddr>)> = Vec::new();
    for allocation in &index.intents.allocations {
        let Some(network) = &allocation.spec.network else { continue };
        all.extend(allocation.spec.addresses.iter().map(|address| (&network.value, *address)));
    }
    for address in &index.intents.addresses {
        if let (Some(network), Some(ip)) = (&address.spec.network, address.spec.address) {
            all.push((&network.value, ip));
        }
    }
    all.sort_by_key(|(_, address)| address.place);
    let mut seen: HashMap<(&Name, IpAddr), Place> = HashMap::new();
    for (network, address) in all {
        if let Some(first) = seen.get(&(network, address.value)) {
            let message = format!("`{}` is used twice in network `{network}`", address.value);
            out.push(Diagnostic::error(codes::DUPLICATE_ADDRESS, address.place, message).with(*first, "first here"));
        } else {
            seen.insert((network, address.value), address.place);
        }
    }
}

/// Each elastic address has one holder: a server, or one firewall.
fn uses(index: &Index<'_>, out: &mut Diagnostics) {
    let mut holders: HashMap<&Name, (String, Place)> = HashMap::new();
    for address in &index.intents.addresses {
        if let Some(server) = &address.spec.server {
            holders.entry(&address.name.value).or_insert_with(|| (format!("server `{}`", server.value), server.place));
        }
    }
    for firewall in &index.intents.firewalls {
        let holder = format!("firewall `{}`", firewall.name.value);
        for name in firewall.spec.egress.iter().flat_map(|egress| &egress.value.addresses) {
            match holders.get(&name.value) {
                // twice in one firewall is an entry that stands twice, or an address of another network
                Some((first, place)) if *first != holder => {
                    let message = format!("address `{}` is held by {first} already", name.value);
                    out.push(Diagnostic::error(codes::ADDRESS_TAKEN, name.place, message).with(*place, "its holder"));
                }
                Some(_) => {}
                None => {
                    holders.insert(&name.value, (holder.clone(), name.place));
                }
            }
        }
    }
}
