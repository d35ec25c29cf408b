//! Firewalls: machines, networks, translation.

use std::collections::HashMap;

use leafwall_policy::zone::Access;
use leafwall_topology::{Family, Name, Platform};

use super::capacity::default_family;
use super::index::{Index, same, value};
use super::networks::word;
use crate::codes;
use crate::diagnostic::{Diagnostic, Diagnostics};
use crate::model::{NetworkType, ServerRole};
use crate::raw::{AddressIntent, EgressIntent, FirewallIntent, NetworkIntent, Object, ServerIntent};
use crate::source::{Place, Spanned};

pub(super) fn check(index: &Index<'_>, out: &mut Diagnostics) {
    let mut taken: HashMap<&Name, (&Name, Place)> = HashMap::new();
    for firewall in &index.intents.firewalls {
        for name in &firewall.spec.servers {
            match taken.get(&name.value) {
                Some((by, place)) if **by != firewall.name.value => {
                    let message = format!("server `{}` runs firewall `{by}` already", name.value);
                    out.push(Diagnostic::error(codes::SERVER_TAKEN, name.place, message).with(*place, "first here"));
                }
                Some(_) => {} // twice in one list
                None => {
                    taken.insert(&name.value, (&firewall.name.value, name.place));
                }
            }
            if let Some(server) = index.servers.get(&name.value) {
                machine(index, name, server, out);
            }
        }
        networks(index, firewall, out);
        for egress in &firewall.spec.egress {
            check_egress(index, &firewall.spec, &egress.value, out);
        }
        missing_egress(index, firewall, out);
        for limit in &firewall.spec.rate_limits {
            joined(index, &firewall.spec, limit.value.network.as_ref(), "its rate is limited", out);
            if let Some(rate) = limit.value.rate.filter(|rate| rate.value == 0) {
                let message = "a limit of 0 Mbit/s lets nothing through";
                out.push(Diagnostic::error(codes::OUT_OF_RANGE, rate.place, message).hint("`access` and policies say what is let through"));
            }
        }
        access(&firewall.spec, out);
    }
    for server in &index.intents.servers {
        management(index, server, out);
    }
}

fn machine(index: &Index<'_>, name: &Spanned<Name>, server: &Object<ServerIntent>, out: &mut Diagnostics) {
    if server.spec.role() != ServerRole::Firewall {
        if server.sound {
            let message = format!("`{}` is a tenant's machine, not a firewall machine", name.value);
            let diagnostic = Diagnostic::error(codes::NOT_A_FIREWALL_MACHINE, name.place, message);
            out.push(diagnostic.with(server.name.place, "the server").hint("`role: firewall` makes it one"));
        }
        return;
    }
    for port in server.spec.nics.iter().filter_map(|nic| nic.value.port.as_ref()) {
        let Some(leaf) = index.switches.get(&port.value.device) else { continue };
        if value(leaf.spec.platform.as_ref()) == Some(Platform::Sonic) {
            let message = format!("`{}` runs {}, which cannot guard the port of a firewall machine", leaf.name.value, Platform::Sonic);
            out.push(Diagnostic::error(codes::UNGUARDED_FIREWALL_PORT, port.place, message).with(name.place, "the firewall"));
        }
    }
}

fn networks(index: &Index<'_>, firewall: &Object<FirewallIntent>, out: &mut Diagnostics) {
    let Some(tenant) = &firewall.spec.tenant else { return };
    let mut own = false;
    let mut all_known = true;
    for name in &firewall.spec.networks {
        let Some(network) = index.networks.get(&name.value) else {
            all_known = false;
            continue;
        };
        let Some(kind) = value(network.spec.kind.as_ref()) else {
            all_known = false;
            continue;
        };
        match &network.spec.tenant {
            Some(owner) if owner.value == tenant.value => own |= kind != NetworkType::External,
            Some(owner) if kind != NetworkType::Shared => {
                let message = format!("{} network `{}` belongs to `{}`, not to `{}`", word(kind), name.value, owner.value, tenant.value);
                out.push(Diagnostic::error(codes::FIREWALL_FOREIGN_NETWORK, name.place, message).with(owner.place, "its owner"));
            }
            Some(_) => {}
            None => all_known &= kind == NetworkType::External, // else it has a finding of its own
        }
    }
    if !own && all_known && firewall.sound && !firewall.spec.networks.is_empty() {
        let message = format!("firewall `{}` joins no network of `{}` itself", firewall.name.value, tenant.value);
        out.push(Diagnostic::error(codes::NO_OWN_NETWORK, firewall.spec.networks[0].place, message));
    }
}

/// Reports a known network that the firewall does not join.
fn joined(index: &Index<'_>, firewall: &FirewallIntent, name: Option<&Spanned<Name>>, what: &str, out: &mut Diagnostics) -> bool {
    let Some(name) = name else { return false };
    let joined = firewall.joins(&name.value);
    if !joined && index.networks.contains_key(&name.value) {
        let diagnostic =
            Diagnostic::error(codes::NOT_JOINED, name.place, format!("the firewall does not join `{}`, yet {what}", name.value));
        out.push(match firewall.networks.first() {
            Some(first) => diagnostic.with(first.place, "the networks that it joins"),
            None => diagnostic,
        });
    }
    joined
}

fn check_egress(index: &Index<'_>, firewall: &FirewallIntent, egress: &EgressIntent, out: &mut Diagnostics) {
    joined(index, firewall, egress.network.as_ref(), "it has egress addresses there", out);
    let network = index.network(egress.network.as_ref());
    for name in &egress.addresses {
        let Some(address) = index.addresses.get(&name.value) else { continue };
        if let (Some(owner), Some(tenant)) = (&address.spec.tenant, &firewall.tenant)
            && owner.value != tenant.value
        {
            let message = format!("address `{}` belongs to `{}`, not to `{}`", name.value, owner.value, tenant.value);
            out.push(Diagnostic::error(codes::FOREIGN_ADDRESS, name.place, message).with(owner.place, "its owner"));
        }
        if let (Some(of), Some(into)) = (&address.spec.network, &egress.network)
            && of.value != into.value
        {
            let message = format!("address `{}` is of network `{}`, not of `{}`", name.value, of.value, into.value);
            out.push(Diagnostic::error(codes::ADDRESS_OF_OTHER_NETWORK, name.place, message).with(of.place, "its network"));
            continue;
        }
        let Some(network) = network.filter(|network| network.sound && address.sound) else { continue };
        let nat = value(network.spec.nat.as_ref()).unwrap_or_default();
        let family = family_of(address, &network.spec);
        if !nat.covers(family) {
            let message = format!("address `{}` is never used: network `{}` does not translate its family", name.value, network.name.value);
            let place = network.spec.nat.map_or(network.name.place, |nat| nat.place);
            out.push(Diagnostic::warning(codes::EGRESS_WITHOUT_NAT, name.place, message).with(place, "the network"));
        }
    }
}

fn family_of(address: &Object<AddressIntent>, network: &NetworkIntent) -> Family {
    address.spec.address.map_or_else(|| default_family(network), |ip| Family::of(ip.value))
}

fn missing_egress(index: &Index<'_>, firewall: &Object<FirewallIntent>, out: &mut Diagnostics) {
    if !firewall.sound {
        return;
    }
    let is_own = |network: &NetworkIntent| same(network.tenant.as_ref(), firewall.spec.tenant.as_ref());
    let known = firewall.spec.networks.iter().filter_map(|name| Some((name, *index.networks.get(&name.value)?)));
    for (name, network) in known.clone().filter(|(_, network)| !is_own(&network.spec)) {
        let nat = value(network.spec.nat.as_ref()).unwrap_or_default();
        for family in Family::BOTH.into_iter().filter(|family| nat.covers(*family)) {
            let needs =
                known.clone().any(|(_, own)| is_own(&own.spec) && own.spec.own_prefixes().any(|prefix| prefix.value.family() == family));
            let mut held =
                firewall.spec.egress.iter().filter(|egress| egress.value.network.as_ref().is_some_and(|at| at.value == name.value));
            let mut addresses = held.clone().flat_map(|egress| &egress.value.addresses);
            // an address that is not there has its own finding
            let has = addresses
                .any(|address| index.addresses.get(&address.value).is_none_or(|address| family_of(address, &network.spec) == family));
            if needs && !has {
                let version = if family == Family::V4 { "IPv4" } else { "IPv6" };
                let message = format!("`{}` translates {version}, and firewall `{}` has no address there", name.value, firewall.name.value);
                let place = held.next().map_or(name.place, |egress| egress.place);
                out.push(
                    Diagnostic::warning(codes::NAT_WITHOUT_EGRESS, place, message).hint("list an Address of that network in `egress`"),
                );
            }
        }
    }
}

fn access(firewall: &FirewallIntent, out: &mut Diagnostics) {
    let Some(access) = firewall.access.filter(|access| access.value == Access::Restricted) else { return };
    let bounded =
        firewall.allowed_networks.as_ref().is_some_and(|allowed| allowed.value.ingress.is_some() || allowed.value.egress.is_some());
    if !bounded {
        let message = "access is restricted to allowed networks, and there are none";
        out.push(Diagnostic::warning(codes::NOTHING_ALLOWED, access.place, message));
    }
}

fn management(index: &Index<'_>, server: &Object<ServerIntent>, out: &mut Diagnostics) {
    let Some(management) = &server.spec.management else { return };
    if server.spec.role() == ServerRole::Machine && server.sound {
        let message = format!("`{}` is a tenant's machine: only firewall machines are managed", server.name.value);
        out.push(Diagnostic::error(codes::MANAGEMENT_OF_MACHINE, management.place, message));
        return;
    }
    if let (Some(inband), Some(firewall)) = (&management.value.inband, index.firewall_of.get(&server.name.value)) {
        joined(index, &firewall.spec, Some(inband), "its machine is managed through it", out);
    }
}
