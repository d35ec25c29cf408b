//! A Model and the table before become the table after.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::net::Ipv4Addr;
use std::sync::Arc;

use leafwall_intent::model::{Mode, Model, Network, NetworkType, ServerRole};
use leafwall_topology::{Asn, Family, Name, Prefix, Role, VlanId, Vni};

use super::addresses::{self, AddressHolder, AddressWant, Resting, Source, Space};
use super::numbers::Pool;
use super::problem::{ProblemKind, Problems, Run, TablePath};
use super::table::{AsnHolder, Table};
use super::vnis::{self, VniWant};
use crate::holdings;
use crate::index::{Index, Use};

/// Which parts of a table a run looks at.
#[derive(Debug)]
pub(crate) enum Scope {
    /// All of it.
    All,
    /// Only what belongs to these.
    Touched {
        /// Devices whose ASN or loopback may come or go: switches, servers.
        devices: BTreeSet<Name>,
        /// Networks whose VNIs, segments and addresses may change.
        networks: BTreeSet<Name>,
        /// Devices that may hold other VNIs than before.
        holders: BTreeSet<Name>,
    },
}

/// The table that follows `previous` for this Model. Nothing is renumbered that is still wanted.
///
/// # Errors
/// All [`Problems`]: entries that contradict the intents, and ranges that are exhausted.
pub fn allocate(model: &Model, previous: &Table) -> Result<Table, Problems> {
    allocate_in(model, &Index::new(model), previous, &Scope::All)
}

/// As [`allocate`], looking only at what a change touches.
pub(crate) fn allocate_in(model: &Model, index: &Index, previous: &Table, scope: &Scope) -> Result<Table, Problems> {
    let mut table = previous.clone();
    let mut run = Run::new(previous.revision.next());
    sync_loopbacks(&mut run, model, &mut table, scope);
    sync_asns(&mut run, model, index, &mut table, scope);
    sync_vnis(&mut run, model, &mut table, scope);
    sync_addresses(&mut run, model, index, &mut table, scope);
    if run.problems.is_empty() {
        sync_vlans(&mut run, model, index, &mut table, scope);
    }
    if !run.problems.is_empty() {
        run.problems.sort();
        return Err(Problems(run.problems));
    }
    if run.changed {
        table.revision = run.now;
    }
    Ok(table)
}

/// What a key of a pool wants. (No intent fixes a loopback, an ASN or a VLAN.)
#[derive(Clone, Copy)]
enum Want {
    Value,
    Nothing,
}

/// How a pool's values look.
struct Kind<'a, K, V> {
    what: &'static str,
    range: String,
    inside: &'a dyn Fn(V) -> bool,
    /// Who else, outside of the table, has a value.
    reserved: &'a dyn Fn(V) -> Option<String>,
    path: &'a dyn Fn(&K) -> TablePath,
}

/// Brings a pool in line with `wants`, which is sorted by key and names each key once.
fn sync<K: Ord + Clone, V: Ord + Copy + fmt::Display>(
    run: &mut Run,
    pool: &mut Arc<Pool<K, V>>,
    kind: &Kind<'_, K, V>,
    wants: Vec<(K, Want)>,
    candidates: impl Iterator<Item = V>,
) {
    let mut release = Vec::new();
    let mut missing = Vec::new();
    for (key, want) in wants {
        match (pool.get(&key), want) {
            (Some(_), Want::Nothing) => release.push(key),
            (None, Want::Value) => missing.push(key),
            (Some(held), Want::Value) => {
                if let Some(by) = (kind.reserved)(held) {
                    run.problem((kind.path)(&key), ProblemKind::Taken { value: held.to_string(), by });
                } else if !(kind.inside)(held) {
                    run.problem((kind.path)(&key), ProblemKind::Outside { value: held.to_string(), range: kind.range.clone() });
                }
            }
            (None, Want::Nothing) => {}
        }
    }
    if release.is_empty() && missing.is_empty() {
        return;
    }
    run.changed = true;
    let pool = Arc::make_mut(pool);
    for key in release {
        pool.release(&key, run.now);
    }
    missing.retain(|key| {
        let fits = |value: &V| (kind.reserved)(*value).is_none() && (kind.inside)(*value);
        let Some(value) = pool.former(key, run.now).filter(fits) else { return true };
        // it rests: nobody has it
        pool.claim(key.clone(), value).is_err()
    });
    let free: Vec<V> = pool.numbers().free(run.now, candidates.filter(|v| (kind.reserved)(*v).is_none())).take(missing.len()).collect();
    let mut free = free.into_iter();
    for key in missing {
        if let Some(value) = free.next() {
            // free a moment ago
            let _ = pool.claim(key, value);
        } else {
            let resting = pool.numbers().resting_at(run.now);
            let kind_of = ProblemKind::Exhausted { what: kind.what.to_owned(), range: kind.range.clone(), resting };
            run.problem((kind.path)(&key), kind_of);
        }
    }
}

/// The keys to look at: those touched, or all that are held or wanted.
fn keys<'a>(scope: &'a Scope, held: impl Iterator<Item = &'a Name>, wanted: impl Iterator<Item = &'a Name>) -> BTreeSet<&'a Name> {
    match scope {
        Scope::All => held.chain(wanted).collect(),
        Scope::Touched { devices, .. } => devices.iter().collect(),
    }
}

fn is_firewall_machine(model: &Model, name: &Name) -> bool {
    model.servers.get(name).is_some_and(|server| server.role == ServerRole::Firewall)
}

fn sync_loopbacks(run: &mut Run, model: &Model, table: &mut Table, scope: &Scope) {
    let range = model.fabric.loopbacks;
    let held = Arc::clone(&table.loopbacks);
    let wanted = model.switches.keys().chain(model.servers.keys().filter(|name| is_firewall_machine(model, name)));
    let mut wants: Vec<(Name, Want)> = Vec::new();
    for name in keys(scope, held.iter().map(|(name, _)| name), wanted) {
        let wanted = model.switches.contains_key(name) || is_firewall_machine(model, name);
        wants.push((name.clone(), if wanted { Want::Value } else { Want::Nothing }));
    }
    let kind = Kind {
        what: "loopback",
        range: range.to_string(),
        inside: &|address: Ipv4Addr| range.contains_address(address.into()),
        reserved: &|_| None,
        path: &|name: &Name| TablePath::new(&[&"loopbacks", name]),
    };
    sync(run, &mut table.loopbacks, &kind, wants, hosts(range));
}

/// The addresses of an IPv4 prefix without its first and last one; all of a /31 or /32.
fn hosts(prefix: Prefix) -> impl Iterator<Item = Ipv4Addr> {
    let (first, last) = match (prefix.network(), prefix.last()) {
        (std::net::IpAddr::V4(first), std::net::IpAddr::V4(last)) => (u32::from(first), u32::from(last)),
        _ => (1, 0), // the checks refuse IPv6 here: nothing to allocate from
    };
    let edge = u32::from(first < last && last - first > 1);
    (first.saturating_add(edge)..=last.saturating_sub(edge)).map(Ipv4Addr::from)
}

/// Whether a device has an ASN of its own.
fn has_asn(model: &Model, index: &Index, name: &Name) -> bool {
    let routed = |usage: &Use| match usage {
        Use::Allocation(allocation) => model.allocations.get(allocation).is_some_and(|a| a.mode == Mode::Routed),
        Use::Firewall(..) => false,
    };
    model.switches.get(name).is_some_and(|switch| switch.role != Role::Spine)
        || is_firewall_machine(model, name)
        || index.uses.of(name).any(routed)
}

fn sync_asns(run: &mut Run, model: &Model, index: &Index, table: &mut Table, scope: &Scope) {
    let range = model.fabric.asns;
    let held = Arc::clone(&table.asns);
    let devices = held.iter().filter_map(|(holder, _)| match holder {
        AsnHolder::Device(name) => Some(name),
        AsnHolder::Spines => None,
    });
    let mut wants: Vec<(AsnHolder, Want)> = Vec::new();
    // the spines' ASN is kept while there is none of them, too: it is the first of the range (Fabric) and nobody else's
    wants.push((AsnHolder::Spines, Want::Value));
    let mut names = keys(scope, devices, model.switches.keys().chain(model.servers.keys()));
    // a router outside may have got an ASN that one of ours holds, wherever that one is
    names.extend(index.external_asns.keys().filter_map(|asn| match held.numbers().holder(*asn) {
        Some(AsnHolder::Device(name)) => Some(name),
        Some(AsnHolder::Spines) | None => None,
    }));
    for name in names {
        let want = if has_asn(model, index, name) { Want::Value } else { Want::Nothing };
        wants.push((AsnHolder::Device(name.clone()), want));
    }
    let kind = Kind {
        what: "ASN",
        range: range.to_string(),
        inside: &|asn: Asn| range.contains(asn),
        reserved: &|asn: Asn| index.external_asns.of(&asn).next().map(|network| format!("an external peer of network {network}")),
        path: &|holder: &AsnHolder| match holder {
            AsnHolder::Spines => TablePath::new(&[&"asns", &"spines"]),
            AsnHolder::Device(name) => TablePath::new(&[&"asns", &"devices", name]),
        },
    };
    let candidates = (range.low().get()..=range.high().get()).filter_map(|n| Asn::try_from(u64::from(n)).ok());
    sync(run, &mut table.asns, &kind, wants, candidates);
}

fn sync_vnis(run: &mut Run, model: &Model, table: &mut Table, scope: &Scope) {
    let held = Arc::clone(&table.vnis);
    let names: BTreeSet<&Name> = match scope {
        Scope::All => held.networks().map(|(name, _)| name).chain(model.networks.keys()).collect(),
        Scope::Touched { networks, .. } => networks.iter().collect(),
    };
    let mut wants: BTreeMap<Name, Option<VniWant<'_>>> = BTreeMap::new();
    for name in names {
        let network = model.networks.get(name);
        let want = network.map(|n| VniWant { fixed: n.vni, subnets: n.subnets.iter().map(|s| &s.prefix).collect() });
        wants.insert(name.clone(), want);
    }
    vnis::sync(run, &mut table.vnis, model.fabric.vnis, &wants, model.fabric.provisioning.is_some());
}

fn sync_addresses(run: &mut Run, model: &Model, index: &Index, table: &mut Table, scope: &Scope) {
    let vnis = Arc::clone(&table.vnis);
    let names: BTreeSet<Name> = match scope {
        Scope::All => table.addresses.keys().chain(model.networks.keys()).cloned().collect(),
        Scope::Touched { networks, .. } => networks.clone(),
    };
    for name in names {
        let Some(network) = model.networks.get(&name) else {
            // the space itself is gone, and whatever rested in it: another network of that name is another space
            run.changed |= table.addresses.remove(&name).is_some();
            continue;
        };
        let wants = address_wants(model, index, network);
        if wants.is_empty() && !table.addresses.contains_key(&name) {
            continue;
        }
        let gateways = network.subnets.iter().map(|s| s.gateway);
        let peers = network.peers.iter().flat_map(|p| [p.local_address.address(), p.peer_address]);
        let space = Space {
            network: &name,
            prefixes: &network.prefixes,
            segments: vnis.segments(&name).iter().map(|s| s.subnets.as_slice()).collect(),
            reserved: gateways.chain(peers).collect(),
            resting: match network.kind {
                NetworkType::Private => Resting::FormerHolder,
                NetworkType::Shared | NetworkType::External => Resting::Nobody,
            },
        };
        let pool = table.addresses.entry(name.clone()).or_default();
        addresses::sync(run, pool, &space, &wants);
    }
}

fn address_wants(model: &Model, index: &Index, network: &Network) -> BTreeMap<AddressHolder, AddressWant> {
    let families: Vec<Family> = Family::BOTH.into_iter().filter(|family| network.prefixes.iter().any(|p| p.family() == *family)).collect();
    let mut wants = BTreeMap::new();
    for allocation in index.allocations_of_network.of(&network.name).filter_map(|name| model.allocations.get(name)) {
        let fixed = allocation.addresses.clone();
        match allocation.mode {
            Mode::Routed => {
                // a network without prefixes has nothing for routed servers; the problem then names the family that is looked for
                let families = if families.is_empty() && fixed.is_empty() { vec![Family::V4] } else { families.clone() };
                wants.insert(AddressHolder::Routed(allocation.name.clone()), AddressWant { fixed, from: Source::Prefixes(families) });
            }
            Mode::Bridged => {
                wants.insert(AddressHolder::Bridged(allocation.name.clone()), AddressWant { fixed, from: Source::Segment });
            }
        }
    }
    for address in index.addresses_of_network.of(&network.name).filter_map(|name| model.addresses.get(name)) {
        // IPv4 where there is any: IPv6 is routed and needs no elastic address
        let family = families.first().copied().unwrap_or(Family::V4);
        let (fixed, families) = address.address.map_or((Vec::new(), vec![family]), |fixed| (vec![fixed], Vec::new()));
        wants.insert(AddressHolder::Elastic(address.name.clone()), AddressWant { fixed, from: Source::Prefixes(families) });
    }
    for machine in index.inband.of(&network.name) {
        let families = if families.is_empty() { vec![Family::V4] } else { families.clone() };
        wants.insert(AddressHolder::Inband(machine.clone()), AddressWant { fixed: Vec::new(), from: Source::Prefixes(families) });
    }
    wants
}

fn sync_vlans(run: &mut Run, model: &Model, index: &Index, table: &mut Table, scope: &Scope) {
    let range = model.fabric.vlans;
    let devices: BTreeSet<Name> = match scope {
        Scope::All => {
            let machines = model.servers.keys().filter(|name| is_firewall_machine(model, name));
            table.vlans.keys().chain(model.switches.keys()).chain(machines).cloned().collect()
        }
        Scope::Touched { holders, .. } => holders.clone(),
    };
    for device in devices {
        if !model.switches.contains_key(&device) && !is_firewall_machine(model, &device) {
            run.changed |= table.vlans.remove(&device).is_some();
            continue;
        }
        let wanted: BTreeSet<Vni> = holdings::vnis(model, index, table, &device);
        if wanted.is_empty() && !table.vlans.contains_key(&device) {
            continue;
        }
        let pool = table.vlans.entry(device.clone()).or_default();
        let held: Vec<Vni> = pool.iter().map(|(vni, _)| *vni).collect();
        let mut wants: Vec<(Vni, Want)> = Vec::with_capacity(held.len().max(wanted.len()));
        for vni in held.into_iter().chain(wanted.iter().copied()).collect::<BTreeSet<_>>() {
            wants.push((vni, if wanted.contains(&vni) { Want::Value } else { Want::Nothing }));
        }
        // tags on links to the outside are subinterfaces of their ports, not VLANs of the bridge: no clash (H24 is about the bridge's)
        let kind = Kind {
            what: "VLAN",
            range: range.to_string(),
            inside: &|vlan: VlanId| range.contains(vlan),
            reserved: &|_| None,
            path: &|vni: &Vni| TablePath::new(&[&"vlans", &device, vni]),
        };
        let candidates = (range.low().get()..=range.high().get()).filter_map(|n| VlanId::try_from(u64::from(n)).ok());
        sync(run, pool, &kind, wants, candidates);
    }
}
