//! A proof that goes on from the one before: what was derived from the same input is taken over, so that a change costs what it changes.
//!
//! There is no rule about what a change touches. What is kept stands beside everything that it was derived from, and is taken over where all of that is the same again: the same
//! shared object, which never changes, or an equal value. Three things are kept: the devices and machines as they were read ([`Texts`]), what was found of each island (its rows of the
//! matrix), and that nothing is wrong with a device. Only what nothing is wrong with is kept; what joins devices is worked out anew every time.

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;
use std::sync::{Arc, OnceLock};

use leafwall_intent::Model;
use leafwall_plan::Table;
use leafwall_render::Artefacts;
use leafwall_render::inventory::{LabEndpoint, OutsideRouter};
use leafwall_topology::{Name, RouteTarget, Vni};
use rayon::prelude::*;
use rustc_hash::{FxHashMap, FxHashSet};

use crate::domains::{Domains, Local, Place};
use crate::fabric::Fabric;
use crate::failures::{Standing, Whole};
use crate::finding::Finding;
use crate::ground::{Cabling, Ground, Owner};
use crate::hazards::{self, Hazard};
use crate::islands::{Island, Islands};
use crate::matrix::{self, Matcher, Matrix, Row};
use crate::reach::{Party, Rules};
use crate::read::{Device, Devices, Differing, ReadError, Texts};
use crate::tables;
use crate::tunnels::Tunnels;
use crate::{Input, announcements, firewalls, switches, understood};

/// What the last proof found out. Nothing of it has to be there.
#[derive(Debug, Default)]
pub struct Known {
    texts: Texts,
    last: Option<Last>,
}

/// What a proof comes to, failures aside.
#[derive(Debug, Default)]
pub(crate) struct Found {
    pub findings: Vec<Finding>,
    pub hazards: Vec<Hazard>,
    pub matrix: Matrix,
    pub rules: BTreeMap<Name, Arc<Rules>>,
}

/// The last proof.
#[derive(Debug)]
struct Last {
    held: Held,
    cabling: Arc<Cabling>,
    owners: Vec<Owner>,
    site: Site,
    kept: Kept,
}

/// What the last proof was derived from: as long as it is held, no other object can be where one of those is.
#[derive(Debug)]
struct Held {
    model: Arc<Model>,
    _table: Arc<Table>,
    locals: BTreeMap<Name, Arc<Local>>,
}

/// What was found out in it.
#[derive(Debug, Default)]
struct Kept {
    parts: Parts,
    /// Islands by their first endpoints.
    islands: FxHashMap<Name, KnownIsland>,
    /// Devices with which nothing is wrong.
    devices: FxHashMap<Name, DeviceKey>,
    abroad: Option<Arc<Abroad>>,
    /// Endpoints on no island.
    alone: Vec<Name>,
    matrix: Matrix,
    rules: BTreeMap<Name, Arc<Rules>>,
}

/// Where an object is in memory: as long as it is held, there is no other.
fn mark<T>(object: &T) -> usize {
    std::ptr::from_ref(object).addr()
}

/// What everything depends on. It changes when somebody builds something, not when tenants do.
#[derive(Debug, PartialEq, Eq)]
struct Site {
    /// The fabric, its cables, switches and networks with routers outside.
    objects: Vec<usize>,
    outside: Vec<OutsideRouter>,
    loopbacks: Vec<(Name, Ipv4Addr)>,
    devices: Vec<Name>,
    firewalls: Vec<(Name, Name)>,
    tunnel_ends: (BTreeMap<Ipv4Addr, Name>, BTreeMap<Ipv4Addr, Name>),
    shorteners: Vec<Name>,
}

impl Site {
    fn new(model: &Model, ground: &Ground<'_>, fabric: &Fabric<'_>) -> Self {
        let mut objects = vec![mark(&*model.fabric), mark(&*model.graph)];
        objects.extend(model.switches.values().map(|switch| mark(&**switch)));
        objects.extend(ground.external().iter().map(|network| mark(*network)));
        Self {
            objects,
            outside: ground.outside.to_vec(),
            loopbacks: ground.table.loopbacks().map(|(name, address)| (name.clone(), address)).collect(),
            devices: fabric.devices.keys().cloned().collect(),
            firewalls: ground.firewall_machines(),
            tunnel_ends: fabric.tunnel_ends(),
            shorteners: fabric.shorteners().iter().map(|name| (*name).clone()).collect(),
        }
    }
}

/// A number for each part of the intents that islands depend on: the same one as in the last proof where it consists of the same objects.
#[derive(Debug, Default)]
struct Parts {
    numbers: FxHashMap<Vec<usize>, usize>,
    next: usize,
}

/// What an island was derived from beside the devices.
#[derive(Debug, PartialEq, Eq)]
struct IslandKey {
    part: Option<usize>,
    endpoints: Vec<usize>,
    vrfs: Vec<usize>,
    machines: Vec<Name>,
}

/// An island that was looked at.
#[derive(Debug)]
struct KnownIsland {
    key: IslandKey,
    /// Whether nothing is wrong with it.
    is_sound: bool,
    /// Held, as their marks are in the key.
    _endpoints: Vec<Arc<LabEndpoint>>,
    names: Vec<Name>,
    /// The devices that it depends on, sorted.
    devices: Vec<Name>,
    rules: Vec<Name>,
}

/// What of an island was worked out.
struct Worked {
    rows: Matrix,
    rules: Vec<(Name, Arc<Rules>)>,
    devices: Vec<Name>,
    findings: Vec<Finding>,
}

/// What it follows from that nothing is wrong with a device, beside the device itself and what it joins.
#[derive(Debug, PartialEq, Eq)]
struct DeviceKey {
    /// The networks that its parts are in.
    networks: Vec<Option<Name>>,
    /// The parts of the intents of the islands that it has to do with.
    parts: Vec<usize>,
    /// Where tunnels end and routes are taken, if it is or has a firewall machine's.
    abroad: Option<Arc<Abroad>>,
}

/// A device, where its tunnels end, and the networks of their VNIs.
type Tunnel = (Name, Option<Ipv4Addr>, Vec<(Vni, Option<Name>)>);

/// What firewall machines' announcements and tunnels are held against.
#[derive(Debug, PartialEq, Eq)]
struct Abroad {
    tunnels: Vec<Tunnel>,
    taken: BTreeMap<RouteTarget, BTreeSet<Option<Name>>>,
}

impl Abroad {
    fn new(devices: &Devices, domains: &Domains) -> Self {
        let tunnels = devices.iter().map(|(name, device)| {
            let networks = device.vnis.iter().map(|(vni, vlan)| (*vni, domains.network_of(&Place::Vlan(name.clone(), *vlan)).cloned()));
            (name.clone(), device.vtep, networks.collect())
        });
        let taken =
            domains.taken().into_iter().map(|(target, networks)| (target, networks.into_iter().map(Option::<&Name>::cloned).collect()));
        Self { tunnels: tunnels.collect(), taken: taken.collect() }
    }
}

/// Proves a fabric in which nothing has failed, and what was read of it for whoever looks further.
///
/// # Errors
/// Artefacts that cannot be read.
pub(crate) fn prove(input: &Input<'_>, known: &mut Known) -> Result<Found, Vec<ReadError>> {
    let trusted = trusted(input.model);
    let Known { texts, last } = known;
    let before = last.take();
    let differing = texts.read(input.artefacts, &trusted)?;
    let (found, now) = from(input, texts, &differing, before);
    *last = Some(now);
    Ok(found)
}

/// Switches and firewall machines.
pub(crate) fn trusted(model: &Model) -> BTreeSet<&Name> {
    model.switches.keys().chain(model.firewalls.values().flat_map(|firewall| &firewall.servers)).collect()
}

fn from(input: &Input<'_>, texts: &Texts, differing: &Differing, before: Option<Last>) -> (Found, Last) {
    let devices = &texts.devices;
    let same_cabling = before.as_ref().filter(|last| cabled(&last.held.model) == cabled(input.model));
    let cabling = same_cabling.map_or_else(|| Arc::new(Cabling::new(input.model)), |last| Arc::clone(&last.cabling));
    let ground = Ground::on(input, &cabling);
    let mut changed: FxHashSet<Name> = differing.devices.clone();
    let locals = locals(devices, &ground, before.as_ref(), &mut changed);
    let domains = Domains::of_locals(locals.iter().map(|(name, local)| (name.clone(), Arc::clone(local))), &ground);
    let islands = Islands::new(devices, &ground, &domains);
    let fabric = Fabric::new(&ground, devices, &texts.machines);
    let site = Site::new(input.model, &ground, &fabric);
    // what was held before is held until nothing is compared with it any more
    let (_held, before) = match before {
        Some(last) if last.site == site => (Some(last.held), last.kept),
        other => (other.map(|last| last.held), Kept::default()),
    };
    let mut found = Found { findings: domains.check(&ground), ..Found::default() };
    let tunnels = OnceLock::new();
    let proving = Proving {
        fabric: &fabric,
        domains: &domains,
        islands: &islands,
        tunnels: &tunnels,
        artefacts: input.artefacts,
        changed: &changed,
        machines: &differing.machines,
    };
    let kept = proving.prove(before, &mut found);
    let held = Held { model: Arc::clone(input.model), _table: Arc::clone(input.table), locals };
    let last = Last { held, cabling: Arc::clone(ground.cabling()), owners: ground.machine_owners().to_vec(), site, kept };
    (found, last)
}

/// What a cabling is made of.
fn cabled(model: &Model) -> Vec<usize> {
    let external = model.networks.values().filter(|network| !network.peers.is_empty()).map(|network| mark(&**network));
    [mark(&*model.graph)].into_iter().chain(model.switches.values().map(|switch| mark(&**switch))).chain(external).collect()
}

/// What devices join themselves: as before, where the device is as before, and whose its ports are. Others are among the changed ones from now on.
fn locals(devices: &Devices, ground: &Ground<'_>, before: Option<&Last>, changed: &mut FxHashSet<Name>) -> BTreeMap<Name, Arc<Local>> {
    let cabling = ground.cabling();
    let before = before.filter(|last| Arc::ptr_eq(&last.cabling, cabling));
    if let Some(last) = before {
        for (machine, (was, is)) in cabling.machines().iter().zip(last.owners.iter().zip(ground.machine_owners())) {
            if was != is {
                changed.extend(cabling.ports(machine).iter().map(|(device, _)| device.clone()));
            }
        }
    } else {
        changed.extend(devices.keys().cloned());
    }
    let known = |name: &Name| before.filter(|_| !changed.contains(name)).and_then(|last| last.held.locals.get(name));
    let local = |(name, device): (&Name, &Arc<Device>)| match known(name) {
        Some(local) => (name.clone(), Arc::clone(local)),
        None => (name.clone(), Arc::new(Local::new(device, ground))),
    };
    devices.par_iter().map(local).collect::<Vec<_>>().into_iter().collect()
}

/// A fabric that is proved.
struct Proving<'p, 'a> {
    fabric: &'p Fabric<'a>,
    domains: &'a Domains,
    islands: &'p Islands<'a>,
    tunnels: &'p OnceLock<Tunnels>,
    artefacts: &'p BTreeMap<Name, Arc<Artefacts>>,
    /// Devices that are not as before, or whose ports are somebody else's.
    changed: &'p FxHashSet<Name>,
    /// Machines that are not as before.
    machines: &'p FxHashSet<Name>,
}

impl<'a> Proving<'_, 'a> {
    /// Proves what is not known, and puts it beside what is.
    fn prove(&self, before: Kept, found: &mut Found) -> Kept {
        let (by_island, parts) = self.parts(before.parts);
        let part = |root: Option<usize>| root.and_then(|root| by_island.get(&root)).copied();
        (found.matrix, found.rules) = (before.matrix, before.rules);
        let islands = self.every_island(before.islands, part, found);
        before.alone.iter().for_each(|name| drop(found.matrix.0.remove(name)));
        let alone = self.alone();
        found.matrix.0.extend(alone.iter().cloned());
        let abroad = self.abroad(before.abroad);
        let devices = self.every_device(&before.devices, part, abroad.as_ref(), found);
        Kept {
            parts,
            islands,
            devices,
            abroad,
            alone: alone.into_iter().map(|(name, _)| name).collect(),
            matrix: found.matrix.clone(),
            rules: found.rules.clone(),
        }
    }

    /// The number of the part of the intents that each island depends on: all objects, and tables of numbers, that anybody asks for who looks at the island.
    fn parts(&self, before: Parts) -> (FxHashMap<usize, usize>, Parts) {
        let (ground, islands) = (self.fabric.ground, self.islands);
        let model = ground.model;
        let mut objects: FxHashMap<usize, Vec<usize>> = FxHashMap::default();
        let mut put = |root: Option<usize>, object: usize| {
            if let Some(root) = root {
                objects.entry(root).or_default().push(object);
            }
        };
        let network = |name: &Name| islands.of_network(name);
        let mut of_tenant: FxHashMap<&Name, BTreeSet<usize>> = FxHashMap::default();
        let mut holds = |tenant: Option<&'a Name>, root: Option<usize>| {
            if let (Some(tenant), Some(root)) = (tenant, root) {
                of_tenant.entry(tenant).or_default().insert(root);
            }
        };
        for (name, object) in &model.networks {
            put(network(name), mark(&**object));
            holds(object.tenant.as_ref(), network(name));
        }
        for (name, pool) in ground.table.address_pools() {
            put(network(name), mark(pool));
        }
        for object in model.allocations.values() {
            let (node, network) = (islands.of(&object.server), network(&object.network));
            put(node, mark(&**object));
            put(network.filter(|network| Some(*network) != node), mark(&**object));
            holds(Some(&object.tenant), node);
        }
        for object in model.peerings.values() {
            object.sides.iter().for_each(|side| put(network(&side.network), mark(&**object)));
        }
        let walls = |name: &Name| {
            let firewall = model.firewalls.get(name);
            let networks = firewall.into_iter().flat_map(|firewall| &firewall.networks).map(network);
            networks
                .chain(firewall.into_iter().flat_map(|firewall| &firewall.servers).map(|node| islands.of(node)))
                .collect::<BTreeSet<_>>()
        };
        for (name, object) in &model.firewalls {
            for root in walls(name) {
                put(root, mark(&**object));
                holds(Some(&object.tenant), root);
            }
        }
        for object in model.policies.values() {
            for root in walls(&object.firewall) {
                put(root, mark(&**object));
            }
        }
        for object in model.addresses.values() {
            let pool = ground.table.address_pools_of(&object.network).map(mark);
            let users = ground.translating(&object.name);
            let mut roots: BTreeSet<Option<usize>> = users.iter().flat_map(|user| walls(user)).collect();
            roots.extend([network(&object.network), object.server.as_ref().and_then(|server| islands.of(server))]);
            roots.extend(of_tenant.get(&object.tenant).into_iter().flatten().map(|root| Some(*root)));
            for root in roots {
                put(root, mark(&**object));
                let users = users.iter().filter_map(|user| model.firewalls.get(*user)).map(|user| mark(&**user));
                for object in pool.into_iter().chain(users) {
                    put(root, object);
                }
            }
        }
        let Parts { numbers: known, mut next } = before;
        let mut parts = Parts::default();
        let by_island = objects.into_iter().map(|(root, objects)| {
            let number = known.get(&objects).copied().unwrap_or_else(|| {
                next += 1;
                next
            });
            parts.numbers.insert(objects, number);
            (root, number)
        });
        let by_island = by_island.collect();
        parts.next = next;
        (by_island, parts)
    }

    /// Takes over the islands that are as before, and works out the others.
    fn every_island(
        &self,
        mut before: FxHashMap<Name, KnownIsland>,
        part: impl Fn(Option<usize>) -> Option<usize>,
        found: &mut Found,
    ) -> FxHashMap<Name, KnownIsland> {
        let (mut known, mut open) = (FxHashMap::default(), Vec::new());
        for island in self.islands.all(self.fabric.devices, self.fabric.ground, self.domains) {
            let Some((first, endpoint)) = island.endpoints.first().copied() else { continue };
            let key = IslandKey::new(&island, part(self.islands.of(&endpoint.node)));
            match before.remove_entry(first) {
                Some((first, same)) if same.key == key && self.is_as_before(&same) => drop(known.insert(first, same)),
                other => {
                    before.extend(other);
                    open.push((first, key, island));
                }
            }
        }
        for gone in before.into_values() {
            gone.names.iter().for_each(|name| drop(found.matrix.0.remove(name)));
            gone.rules.iter().for_each(|name| drop(found.rules.remove(name)));
        }
        let worked: Vec<_> = open.par_iter().with_max_len(1).map(|(_, _, island)| self.work(island)).collect();
        for ((first, key, island), worked) in open.into_iter().zip(worked) {
            let island = KnownIsland {
                key,
                is_sound: worked.findings.is_empty(),
                _endpoints: island.endpoints.iter().map(|(_, endpoint)| Arc::clone(endpoint)).collect(),
                names: island.endpoints.iter().map(|(name, _)| (*name).clone()).collect(),
                devices: worked.devices,
                rules: worked.rules.iter().map(|(name, _)| name.clone()).collect(),
            };
            known.insert(first.clone(), island);
            found.matrix.0.extend(worked.rows.0);
            found.rules.extend(worked.rules);
            found.findings.extend(worked.findings);
        }
        known
    }

    fn is_as_before(&self, known: &KnownIsland) -> bool {
        let devices = if self.changed.len() < known.devices.len() {
            self.changed.iter().all(|name| known.devices.binary_search(name).is_err())
        } else {
            known.devices.iter().all(|name| !self.changed.contains(name))
        };
        known.is_sound && devices && known.key.machines.iter().all(|name| !self.machines.contains(name))
    }

    fn work(&self, island: &Island<'a>) -> Worked {
        let (fabric, ground) = (self.fabric, self.fabric.ground);
        let converged = tables::converge(fabric, &island.vrfs);
        let matcher = Matcher::new(fabric, island, &converged.tables, Standing::new(ground, None));
        let rows = matcher.matrix();
        let findings = matrix::check(&matcher, &rows);
        let mut devices = island.devices(ground);
        let tunnels = matcher.walker().consulted();
        tunnels.iter().chain(converged.consulted()).for_each(|consulted| devices.extend(consulted.iter()));
        let firewalls: BTreeSet<&Name> =
            island.endpoints.iter().filter_map(|(_, endpoint)| ground.firewall(&endpoint.node)).map(|firewall| &firewall.name).collect();
        let rules =
            firewalls.into_iter().filter_map(|name| Some((name.clone(), Arc::new(Rules::of(ground, ground.model.firewalls.get(name)?)?))));
        Worked { rows, rules: rules.collect(), devices: devices.into_iter().cloned().collect(), findings }
    }

    /// Endpoints that nobody has anything to do with.
    fn alone(&self) -> Vec<(Name, Arc<Row>)> {
        let ground = self.fabric.ground;
        let endpoints = ground.endpoints.iter().filter(|(_, endpoint)| self.islands.of(&endpoint.node).is_none());
        let row = |endpoint| Row::new(Party::of(ground, endpoint), BTreeMap::new());
        endpoints.map(|(name, endpoint)| (name.clone(), Arc::new(row(endpoint)))).collect()
    }

    /// What is asked of firewall machines; nothing where there are none.
    fn abroad(&self, before: Option<Arc<Abroad>>) -> Option<Arc<Abroad>> {
        if self.fabric.ground.model.firewalls.is_empty() {
            return None;
        }
        let now = Abroad::new(self.fabric.devices, self.domains);
        Some(before.filter(|before| **before == now).unwrap_or_else(|| Arc::new(now)))
    }

    /// Looks at each device by itself that is not as before, with which something was wrong, or that stands in another fabric now.
    fn every_device(
        &self,
        before: &FxHashMap<Name, DeviceKey>,
        part: impl Fn(Option<usize>) -> Option<usize> + Sync,
        abroad: Option<&Arc<Abroad>>,
        found: &mut Found,
    ) -> FxHashMap<Name, DeviceKey> {
        let all: Vec<_> = self.fabric.devices.iter().collect();
        let looked: Vec<_> = all
            .into_par_iter()
            .map(|(name, device)| {
                let key = self.device_key(name, &part, abroad);
                let is_as_before = !self.changed.contains(name) && before.get(name) == Some(&key);
                (name, key, if is_as_before { (Vec::new(), Vec::new()) } else { self.judge(device) })
            })
            .collect();
        let mut sound = FxHashMap::default();
        for (name, key, (findings, hazards)) in looked {
            if findings.is_empty() && hazards.is_empty() {
                sound.insert(name.clone(), key);
            }
            found.findings.extend(findings);
            found.hazards.extend(hazards);
        }
        sound
    }

    fn device_key(&self, name: &Name, part: impl Fn(Option<usize>) -> Option<usize>, abroad: Option<&Arc<Abroad>>) -> DeviceKey {
        let ground = self.fabric.ground;
        let domains = self.domains.parts(name);
        let mut parts: BTreeSet<Option<usize>> = domains.iter().map(|domain| part(Some(self.islands.of_domain(*domain)))).collect();
        let mut has_firewall = ground.firewall(name).is_some();
        parts.insert(part(self.islands.of(name)));
        for (_, owner) in ground.owners_at(name) {
            match owner {
                Owner::Machine { server: machine, .. } => _ = parts.insert(part(self.islands.of(machine))),
                Owner::Firewall(machine, _) => {
                    has_firewall = true;
                    parts.insert(part(self.islands.of(machine)));
                }
                Owner::Outside(network) => _ = parts.insert(part(self.islands.of_network(network))),
                Owner::Idle(_) | Owner::Switch(_) => {}
            }
        }
        DeviceKey {
            networks: domains.iter().map(|domain| self.domains.network(*domain).cloned()).collect(),
            parts: parts.into_iter().flatten().collect(),
            abroad: abroad.filter(|_| has_firewall).cloned(),
        }
    }

    /// All checks of one device by itself.
    fn judge(&self, device: &Device) -> (Vec<Finding>, Vec<Hazard>) {
        let Fabric { ground, devices, .. } = *self.fabric;
        let domains = self.domains;
        let mut findings = understood::check(device);
        findings.extend(domains.check_ports(device, devices, ground));
        if ground.model.switches.contains_key(&device.name) {
            findings.extend(announcements::check(device, ground, domains));
            findings.extend(switches::check(device, devices, ground, domains, self.tunnels));
        } else {
            findings.extend(firewalls::check(device, ground, domains));
        }
        let artefacts = self.artefacts.get(&device.name);
        (findings, artefacts.map(|artefacts| hazards::check(device, ground, artefacts)).unwrap_or_default())
    }
}

impl IslandKey {
    fn new(island: &Island<'_>, part: Option<usize>) -> Self {
        Self {
            part,
            endpoints: island.endpoints.iter().map(|(_, endpoint)| mark(&***endpoint)).collect(),
            vrfs: island.vrfs.iter().map(|(_, vrf)| mark(*vrf)).collect(),
            machines: island.machines.iter().map(|name| (*name).clone()).collect(),
        }
    }
}

/// Reads a fabric and hands it over as a whole, with its islands.
///
/// # Errors
/// Artefacts that cannot be read.
pub(crate) fn whole<T>(
    input: &Input<'_>,
    known: &mut Known,
    with: impl for<'w, 'a> FnOnce(&Whole<'w, 'a>, &[Island<'a>]) -> T,
) -> Result<T, Vec<ReadError>> {
    // what is read here anew would not be told to a proof that goes on from the last one
    known.last = None;
    known.texts.read(input.artefacts, &trusted(input.model))?;
    let devices = &known.texts.devices;
    let ground = Ground::new(input);
    let domains = Domains::new(devices, &ground);
    let islands = Islands::new(devices, &ground, &domains).all(devices, &ground, &domains);
    let fabric = Fabric::new(&ground, devices, &known.texts.machines);
    let everything = Island::whole(devices, &ground);
    let converged = tables::converge(&fabric, &everything.vrfs);
    let matcher = Matcher::new(&fabric, &everything, &converged.tables, Standing::new(&ground, None));
    Ok(with(&Whole { fabric: &fabric, converged: &converged, matcher: &matcher }, &islands))
}
