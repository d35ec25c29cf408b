//! Whether ranges, prefixes and switches have room for all that is wanted of them.
//!
//! This counts what must be there at least, so that whoever allocates later finds room; ids that rest after their release may still make a range short.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use leafwall_topology::{Family, Name, Platform, Prefix, Role};

use super::index::{Index, value};
use super::peerings::sides;
use crate::codes;
use crate::diagnostic::{Diagnostic, Diagnostics};
use crate::model::{Mode, NetworkType, ServerRole};
use crate::raw::{NetworkIntent, Object};
use crate::source::{Place, Spanned};

pub(super) fn check(index: &Index<'_>, out: &mut Diagnostics) {
    loopbacks_and_asns(index, out);
    vnis(index, out);
    addresses(index, out);
    switches(index, out);
}

/// Firewall machines have a loopback and an ASN whether a Firewall uses them or not.
fn firewall_machines(index: &Index<'_>) -> u64 {
    let machines = index.intents.servers.iter().filter(|server| server.spec.role() == ServerRole::Firewall);
    machines.count() as u64
}

fn exhausted(what: &str, place: Place, needed: u64, has: u64, out: &mut Diagnostics) {
    if needed > has {
        let message = format!("{needed} {what} are needed, the range has {has}");
        out.push(
            Diagnostic::error(codes::RANGE_EXHAUSTED, place, message).hint("a range may grow at either end; leave room for ids that rest"),
        );
    }
}

fn loopbacks_and_asns(index: &Index<'_>, out: &mut Diagnostics) {
    let Some(underlay) = index.fabric.and_then(|fabric| fabric.underlay.as_ref()) else { return };
    let machines = firewall_machines(index);
    if let Some(loopbacks) = underlay.value.loopbacks.filter(|loopbacks| loopbacks.value.family() == Family::V4) {
        let has = u64::try_from(hosts(loopbacks.value)).unwrap_or(u64::MAX);
        exhausted("loopbacks", loopbacks.place, index.intents.switches.len() as u64 + machines, has, out);
    }
    if let Some(asns) = underlay.value.asns {
        let own =
            index.intents.switches.iter().filter(|switch| value(switch.spec.role.as_ref()).is_some_and(|role| role != Role::Spine)).count();
        let routed = index.intents.allocations.iter().filter(|allocation| allocation.spec.mode() == Mode::Routed).count();
        // one for all spines, whether there are any or not
        exhausted("ASNs", asns.place, 1 + machines + (own + routed) as u64, asns.value.size(), out);
    }
}

/// How many bridged segments a network has: a subnet of each family shares one.
fn segments(network: &NetworkIntent) -> usize {
    let of = |family: Family| {
        network.subnets.iter().filter(|subnet| subnet.value.prefix.is_some_and(|prefix| prefix.value.family() == family)).count()
    };
    of(Family::V4).max(of(Family::V6))
}

fn vnis(index: &Index<'_>, out: &mut Diagnostics) {
    let Some(fabric) = index.fabric else { return };
    let Some(vnis) = fabric.overlay.as_ref().and_then(|overlay| overlay.value.vnis) else { return };
    let mut needed = if fabric.provisioning.is_some() { 2 } else { 0 };
    let mut fixed_inside = BTreeSet::new();
    for network in &index.intents.networks {
        needed += segments(&network.spec) as u64;
        match network.spec.vni {
            Some(fixed) if vnis.value.contains(fixed.value) => {
                fixed_inside.insert(fixed.value);
            }
            Some(_) => {}
            None => needed += 1,
        }
    }
    exhausted("VNIs", vnis.place, needed, vnis.value.size() - fixed_inside.len() as u64, out);
}

/// How many addresses of a prefix hosts can have.
fn hosts(prefix: Prefix) -> u128 {
    let bits = prefix.family().host_length() - prefix.length();
    let all = 1u128.checked_shl(u32::from(bits)).unwrap_or(u128::MAX);
    match (bits, prefix.family()) {
        (0 | 1, _) => all,
        (_, Family::V4) => all - 2,
        (_, Family::V6) => all - 1,
    }
}

/// Who takes addresses from a network.
#[derive(Default)]
struct Takers {
    routed: u128,
    bridged: u128,
    elastic: BTreeMap<Family, u128>,
}

fn addresses(index: &Index<'_>, out: &mut Diagnostics) {
    let mut takers: HashMap<&Name, Takers> = HashMap::new();
    for allocation in &index.intents.allocations {
        let Some(network) = &allocation.spec.network else { continue };
        let takers = takers.entry(&network.value).or_default();
        match allocation.spec.mode() {
            Mode::Routed => takers.routed += 1,
            Mode::Bridged => takers.bridged += 1,
        }
    }
    for address in &index.intents.addresses {
        let Some(network) = index.network(address.spec.network.as_ref()) else { continue };
        let family = address.spec.address.map_or_else(|| default_family(&network.spec), |ip| Family::of(ip.value));
        *takers.entry(&network.name.value).or_default().elastic.entry(family).or_default() += 1;
    }
    for network in index.intents.networks.iter().filter(|network| network.sound) {
        let Some(takers) = takers.get(&network.name.value) else { continue };
        for family in Family::BOTH {
            let elastic = takers.elastic.get(&family).copied().unwrap_or_default();
            let prefixes: Vec<Spanned<Prefix>> =
                network.spec.prefixes.iter().copied().filter(|prefix| prefix.value.family() == family).collect();
            room(network, &prefixes, takers.routed + elastic, 0, out);
            let subnets = network.spec.subnets.iter().filter_map(|subnet| subnet.value.prefix);
            let subnets: Vec<Spanned<Prefix>> = subnets.filter(|prefix| prefix.value.family() == family).collect();
            room(network, &subnets, takers.bridged, 1, out);
        }
    }
}

/// The family of an elastic address that is to be allocated: IPv4 where there is any.
pub(super) fn default_family(network: &NetworkIntent) -> Family {
    let v4 = network.prefixes.is_empty() || network.prefixes.iter().any(|prefix| prefix.value.family() == Family::V4);
    if v4 { Family::V4 } else { Family::V6 }
}

fn room(network: &Object<NetworkIntent>, prefixes: &[Spanned<Prefix>], needed: u128, gateways: u128, out: &mut Diagnostics) {
    let Some(first) = prefixes.first() else { return };
    let has = prefixes.iter().map(|prefix| hosts(prefix.value).saturating_sub(gateways)).fold(0u128, u128::saturating_add);
    if needed > has {
        let what = if gateways == 0 { "prefixes" } else { "subnets" };
        let message = format!("{needed} addresses are needed, the {what} of network `{}` have {has}", network.name.value);
        out.push(Diagnostic::error(codes::PREFIX_FULL, first.place, message));
    }
}

/// What a switch holds.
#[derive(Default)]
struct Holdings<'a> {
    networks: BTreeSet<&'a Name>,
    bridged: BTreeMap<&'a Name, usize>,
}

fn switches(index: &Index<'_>, out: &mut Diagnostics) {
    let holdings = holdings(index);
    let range = index.fabric.and_then(|fabric| fabric.overlay.as_ref()).and_then(|overlay| overlay.value.vlans);
    let provisioning = usize::from(index.fabric.is_some_and(|fabric| fabric.provisioning.is_some()));
    for switch in &index.intents.switches {
        let Some(held) = holdings.get(&switch.name.value) else { continue };
        let platform = value(switch.spec.platform.as_ref()).unwrap_or(Platform::Frr);
        let budgets = platform.profile().budgets;
        let at_leaf = if value(switch.spec.role.as_ref()) == Some(Role::Leaf) { provisioning } else { 0 };
        let vrfs = held.networks.len() + at_leaf;
        let segments =
            held.bridged.iter().map(|(name, servers)| index.networks.get(name).map_or(0, |network| segments(&network.spec)).min(*servers));
        // each VRF has the VLAN of its L3VNI, each segment one of its own
        let vlans = vrfs + segments.sum::<usize>() + at_leaf;
        if vrfs > budgets.vrfs as usize {
            let message = format!("`{}` needs {vrfs} VRFs, {platform} has {}", switch.name.value, budgets.vrfs);
            out.push(Diagnostic::error(codes::VRF_BUDGET, switch.name.place, message));
        }
        if vlans > budgets.vlans as usize {
            let message = format!("`{}` needs {vlans} VLANs, {platform} has {}", switch.name.value, budgets.vlans);
            out.push(Diagnostic::error(codes::VLAN_BUDGET, switch.name.place, message));
        } else if let Some(range) = range.filter(|range| vlans as u64 > range.value.size()) {
            let message = format!("`{}` needs {vlans} VLANs, the range {} has {}", switch.name.value, range.value, range.value.size());
            out.push(Diagnostic::error(codes::VLAN_BUDGET, range.place, message).with(switch.name.place, "the switch"));
        }
    }
}

fn holdings<'a>(index: &Index<'a>) -> HashMap<&'a Name, Holdings<'a>> {
    let mut peers: HashMap<&Name, Vec<&Name>> = HashMap::new();
    for (one, other) in index.intents.peerings.iter().filter_map(|peering| sides(&peering.spec)) {
        peers.entry(&one.value).or_default().push(&other.value);
        peers.entry(&other.value).or_default().push(&one.value);
    }
    let mut all: HashMap<&Name, Holdings<'_>> = HashMap::new();
    for allocation in index.intents.allocations.iter().filter(|allocation| allocation.spec.is_active()) {
        let (Some(network), Some(server)) = (&allocation.spec.network, &allocation.spec.server) else { continue };
        let Some(server) = index.servers.get(&server.value) else { continue };
        let leaves: BTreeSet<&Name> = server.spec.nics.iter().filter_map(|nic| Some(&nic.value.port.as_ref()?.value.device)).collect();
        for leaf in leaves {
            let held = all.entry(leaf).or_default();
            held.networks.insert(&network.value);
            held.networks.extend(peers.get(&network.value).into_iter().flatten());
            if allocation.spec.mode() == Mode::Bridged {
                *held.bridged.entry(&network.value).or_default() += 1;
            }
        }
    }
    for network in index.intents.networks.iter().filter(|network| network.spec.is(NetworkType::External)) {
        for exit in &network.spec.exits {
            all.entry(&exit.value).or_default().networks.insert(&network.name.value);
        }
    }
    all
}
