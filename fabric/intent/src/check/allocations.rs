//! Servers in use.

use std::collections::HashMap;
use std::net::IpAddr;

use leafwall_topology::{Family, Name, Prefix};

use super::index::{Index, same};
use super::networks::not_a_host;
use crate::codes;
use crate::diagnostic::{Diagnostic, Diagnostics};
use crate::model::{Mode, NetworkType, ServerRole};
use crate::raw::{AllocationIntent, NetworkIntent, Object};
use crate::source::{Place, Spanned};

/// A bridged server has one port, or two in active-backup.
const BRIDGED_PORTS: usize = 2;

pub(super) fn check(index: &Index<'_>, out: &mut Diagnostics) {
    let mut taken: HashMap<&Name, (&Name, Place)> = HashMap::new();
    for allocation in &index.intents.allocations {
        server(index, allocation, out);
        if let Some(server) = &allocation.spec.server {
            if let Some((by, place)) = taken.get(&server.value) {
                let message = format!("server `{}` is taken by allocation `{by}` already", server.value);
                out.push(Diagnostic::error(codes::SERVER_TAKEN, server.place, message).with(*place, "first here"));
            } else {
                taken.insert(&server.value, (&allocation.name.value, server.place));
            }
        }
        provisioning(index, allocation, out);
        let Some(network) = index.network(allocation.spec.network.as_ref()) else { continue };
        ownership(allocation, network, out);
        attachment(index, allocation, network, out);
        addresses(allocation, network, out);
    }
}

fn server(index: &Index<'_>, allocation: &Object<AllocationIntent>, out: &mut Diagnostics) {
    let Some(name) = &allocation.spec.server else { return };
    let Some(server) = index.servers.get(&name.value) else { return };
    if server.spec.role() == ServerRole::Firewall {
        let message = format!("`{}` is a firewall machine", name.value);
        let diagnostic = Diagnostic::error(codes::FIREWALL_MACHINE_ALLOCATED, name.place, message);
        let place = server.spec.role.as_ref().map_or(server.name.place, |role| role.place);
        out.push(diagnostic.with(place, "its role").hint("list it in `servers` of a Firewall"));
    } else if allocation.spec.mode() == Mode::Bridged && server.spec.nics.len() > BRIDGED_PORTS {
        let message = format!("`{}` has {} ports: a bridged server has {BRIDGED_PORTS} at most", name.value, server.spec.nics.len());
        let place = server.spec.nics.last().map_or(server.name.place, |nic| nic.place);
        out.push(Diagnostic::error(codes::TOO_MANY_BRIDGED_PORTS, name.place, message).with(place, "its last port"));
    }
}

fn provisioning(index: &Index<'_>, allocation: &Object<AllocationIntent>, out: &mut Diagnostics) {
    let Some(phase) = allocation.spec.phase.filter(|_| !allocation.spec.is_active()) else { return };
    let Some(fabric) = index.intents.fabrics.first() else { return };
    if fabric.sound && fabric.spec.provisioning.is_none() {
        let message = format!("fabric `{}` has no provisioning network", fabric.name.value);
        out.push(Diagnostic::warning(codes::NO_PROVISIONING, phase.place, message).with(fabric.name.place, "the fabric"));
    }
}

fn ownership(allocation: &Object<AllocationIntent>, network: &Object<NetworkIntent>, out: &mut Diagnostics) {
    let Some(name) = &allocation.spec.network else { return };
    if network.spec.is(NetworkType::External) {
        let message = format!("`{}` is external: a server cannot be in it", name.value);
        out.push(Diagnostic::error(codes::SERVER_OUTSIDE, name.place, message).hint("a Firewall joins it with the server's network"));
    } else if let (Some(tenant), Some(owner)) = (&allocation.spec.tenant, &network.spec.tenant)
        && tenant.value != owner.value
    {
        let message = format!("network `{}` belongs to `{}`, not to `{}`", name.value, owner.value, tenant.value);
        out.push(Diagnostic::error(codes::FOREIGN_NETWORK, name.place, message).with(owner.place, "its owner"));
    }
}

fn attachment(index: &Index<'_>, allocation: &Object<AllocationIntent>, network: &Object<NetworkIntent>, out: &mut Diagnostics) {
    let Some(name) = &allocation.spec.network else { return };
    if network.spec.is(NetworkType::External) || !network.sound || !index.networks.contains_key(&name.value) {
        return;
    }
    let place = allocation.spec.mode.as_ref().map_or(name.place, |mode| mode.place);
    match allocation.spec.mode() {
        Mode::Routed if network.spec.prefixes.is_empty() && !network.spec.subnets.is_empty() => {
            let message = format!("network `{}` has no prefixes for routed servers", name.value);
            let diagnostic = Diagnostic::error(codes::ROUTED_WITHOUT_PREFIXES, place, message);
            out.push(diagnostic.with(network.name.place, "the network").hint("`mode: bridged` attaches the server to a subnet"));
        }
        Mode::Bridged if network.spec.subnets.is_empty() && !network.spec.prefixes.is_empty() => {
            let message = format!("network `{}` has no subnets for bridged servers", name.value);
            out.push(Diagnostic::error(codes::BRIDGED_WITHOUT_SUBNETS, place, message).with(network.name.place, "the network"));
        }
        _ => {}
    }
}

fn addresses(allocation: &Object<AllocationIntent>, network: &Object<NetworkIntent>, out: &mut Diagnostics) {
    let mut families: HashMap<Family, Spanned<IpAddr>> = HashMap::new();
    for address in &allocation.spec.addresses {
        let first = *families.entry(Family::of(address.value)).or_insert(*address);
        // the same one twice is found as an entry that stands twice
        if first != *address {
            let message = format!("`{}` and `{}` are of one family: a server has one address of each", first.value, address.value);
            out.push(Diagnostic::error(codes::ADDRESS_FAMILY_TWICE, address.place, message).with(first.place, "first here"));
        }
        match allocation.spec.mode() {
            Mode::Routed => routed(*address, network, out),
            Mode::Bridged => bridged(*address, network, out),
        }
    }
}

fn outside(address: Spanned<IpAddr>, network: &Object<NetworkIntent>, what: &str, out: &mut Diagnostics) {
    let message = format!("`{}` is in no {what} of network `{}`", address.value, network.name.value);
    out.push(Diagnostic::error(codes::ALLOCATION_OUTSIDE, address.place, message).with(network.name.place, "the network"));
}

fn routed(address: Spanned<IpAddr>, network: &Object<NetworkIntent>, out: &mut Diagnostics) {
    let inside = network.spec.prefixes.iter().any(|prefix| prefix.value.contains_address(address.value));
    if !inside && network.sound && !network.spec.prefixes.is_empty() {
        outside(address, network, "prefix", out);
    }
}

fn bridged(address: Spanned<IpAddr>, network: &Object<NetworkIntent>, out: &mut Diagnostics) {
    let around =
        network.spec.subnets.iter().find(|subnet| subnet.value.prefix.is_some_and(|prefix| prefix.value.contains_address(address.value)));
    let Some(subnet) = around else {
        if network.sound && !network.spec.subnets.is_empty() {
            outside(address, network, "subnet", out);
        }
        return;
    };
    let Some(prefix) = subnet.value.prefix else { return };
    let gateway = gateway_of(prefix.value, subnet.value.gateway.as_ref());
    if gateway == Some(address.value) {
        let (place, label) =
            subnet.value.gateway.map_or((prefix.place, "its first host is the gateway"), |gateway| (gateway.place, "the gateway"));
        let message = format!("`{}` is the gateway of `{}`", address.value, prefix.value);
        out.push(Diagnostic::error(codes::ADDRESS_IS_GATEWAY, address.place, message).with(place, label));
    } else if let Some(reason) = not_a_host(prefix.value, address.value) {
        let message = format!("`{}` is {reason}", address.value);
        out.push(Diagnostic::error(codes::NOT_A_HOST_ADDRESS, address.place, message).with(prefix.place, "the subnet"));
    }
}

/// The gateway as given, or the first host.
pub(super) fn gateway_of(prefix: Prefix, gateway: Option<&Spanned<IpAddr>>) -> Option<IpAddr> {
    gateway.map_or_else(|| super::fabric::first_host(prefix), |gateway| Some(gateway.value))
}

impl AllocationIntent {
    /// Whether it is of this tenant.
    pub(super) fn is_of(&self, tenant: Option<&Spanned<Name>>) -> bool {
        same(self.tenant.as_ref(), tenant)
    }
}
