//! Which places of the fabric are one network, by what joins them whatever anybody sends: a port in a VRF or VLAN, a VLAN's gateway in a VRF, a VNI that several
//! tunnels' ends take packets of. Two networks in one domain is the plainest way to break isolation; and everything else asks here which network a VRF or VNI is.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fmt;
use std::sync::Arc;

use leafwall_render::frr::{Exchange, FamilyKind, VniStatement};
use leafwall_render::links::{Isolation, LinkKind};
use leafwall_topology::{IfName, Name, RouteTarget, VlanId, Vni};
use rayon::prelude::*;
use rustc_hash::FxHashMap;

use crate::finding::Finding;
use crate::forest::Forest;
use crate::ground::{Ground, Owner};
use crate::read::{Device, Devices};

/// Where a packet can be.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Place {
    /// On a port's cable.
    Port(Name, IfName),
    /// In a device's VRF; `None` is the default one, the underlay.
    Vrf(Name, Option<IfName>),
    /// In a VLAN of its bridge.
    Vlan(Name, VlanId),
    /// In a tunnel, with a VNI.
    Vni(Vni),
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Port(device, port) => write!(f, "{device}: port {port}"),
            Self::Vrf(device, Some(vrf)) => write!(f, "{device}: VRF {vrf}"),
            Self::Vrf(device, None) => write!(f, "{device}: default VRF"),
            Self::Vlan(device, vlan) => write!(f, "{device}: VLAN {vlan}"),
            Self::Vni(vni) => write!(f, "tunnels with VNI {vni}"),
        }
    }
}

/// A set of joined places.
pub type Domain = usize;

/// A place by its device's number and its own there.
type At = (usize, usize);

/// What one device joins by itself. It follows from the device and from whose its ports are.
#[derive(Debug, Default)]
pub struct Local {
    places: Vec<Place>,
    index: FxHashMap<Place, usize>,
    joined: Vec<Vec<usize>>,
    /// Which of its parts each place is in; a part is what is joined here already.
    part: Vec<usize>,
    parts: usize,
    /// VLANs that are in tunnels.
    tunnelled: Vec<(usize, Vni)>,
    /// VRFs in which a VNI's packets come out.
    routed: Vec<(usize, Vni)>,
    /// Ports of networks: which, and of which machine, where it is not the outside's.
    owned: Vec<(usize, Name, Option<Name>)>,
    /// Ports of machines that are nobody's: whose, and whether it is isolated.
    idle: Vec<(usize, Name, bool)>,
    /// Its VRFs.
    vrfs: Vec<(usize, IfName)>,
    /// VRFs and VLANs that take routes with a target, and that mark theirs with it.
    imports: Vec<(RouteTarget, usize)>,
    exports: Vec<(RouteTarget, usize)>,
    /// Places from one of which packets get to the other without being one network: by a leak, by a gateway that is down.
    meeting: Vec<(usize, usize)>,
}

impl Local {
    /// Everything that a device and its cabling join.
    pub fn new(device: &Device, ground: &Ground<'_>) -> Self {
        let mut local = Self::default();
        local.links(device, ground);
        for (vni, vlan) in &device.vnis {
            let vlan = local.place(Place::Vlan(device.name.clone(), *vlan));
            local.tunnelled.push((vlan, *vni));
        }
        for (vrf, _) in device.vrfs() {
            let place = local.place(Place::Vrf(device.name.clone(), Some(vrf.clone())));
            local.vrfs.push((place, vrf.clone()));
        }
        local.targets(device);
        local.meetings(device);
        local.number();
        local
    }

    fn place(&mut self, place: Place) -> usize {
        let next = self.places.len();
        let at = *self.index.entry(place.clone()).or_insert(next);
        if at == next {
            self.places.push(place);
            self.joined.push(Vec::new());
        }
        at
    }

    fn join(&mut self, a: usize, b: usize) {
        for (near, far) in [(a, b), (b, a)] {
            if let Some(all) = self.joined.get_mut(near) {
                all.push(far);
            }
        }
    }

    fn links(&mut self, device: &Device, ground: &Ground<'_>) {
        let name = &device.name;
        let vrf = |link: &IfName| Place::Vrf(name.clone(), device.vrf_of(link).cloned());
        for link in device.links.links.iter().filter(|link| device.is_up(&link.name)) {
            match &link.kind {
                LinkKind::Vlan { id, .. } if device.svis.get(id) == Some(&link.name) => {
                    let (vlan, vrf) = (self.place(Place::Vlan(name.clone(), *id)), self.place(vrf(&link.name)));
                    self.join(vlan, vrf);
                }
                // a firewall machine's port is in the underlay, behind a guard that is looked at by itself; and so are the switches' own cables
                LinkKind::Physical {} | LinkKind::Vlan { .. } => match ground.owner(name, &link.name) {
                    Some(Owner::Switch(_) | Owner::Firewall(..)) if device.vrf_of(&link.name).is_none() && link.bridge_port.is_none() => {}
                    Some(owner) => {
                        let port = self.place(Place::Port(name.clone(), link.name.clone()));
                        let access = device.access(&link.name);
                        let behind = match access {
                            Some((vlan, _)) => Some(self.place(Place::Vlan(name.clone(), vlan))),
                            None => device.takes_untagged(&link.name).then(|| self.place(vrf(&link.name))),
                        };
                        if let Some(behind) = behind {
                            self.join(port, behind);
                        }
                        match owner {
                            Owner::Machine { network, server } => self.owned.push((port, network.clone(), Some(server.clone()))),
                            Owner::Outside(network) => self.owned.push((port, network.clone(), None)),
                            Owner::Idle(machine) => {
                                self.idle.push((port, machine.clone(), matches!(access, Some((_, Isolation::Isolated)))));
                            }
                            Owner::Firewall(..) | Owner::Switch(_) => {}
                        }
                    }
                    None => {}
                },
                _ => {}
            }
        }
    }

    fn targets(&mut self, device: &Device) {
        let name = &device.name;
        for router in &device.frr.routers {
            let here = self.place(Place::Vrf(name.clone(), router.vrf.clone()));
            let families = router.families.iter().filter(|family| family.kind == FamilyKind::L2vpnEvpn);
            for exchange in families.flat_map(|family| &family.exchanges) {
                match exchange {
                    Exchange::ImportTarget(target) => self.imports.push((*target, here)),
                    Exchange::ExportTarget(target) => self.exports.push((*target, here)),
                    Exchange::Vni(segment) => {
                        let Some(vlan) = device.vnis.get(&segment.vni) else { continue };
                        let here = self.place(Place::Vlan(name.clone(), *vlan));
                        for statement in &segment.statements {
                            match statement {
                                VniStatement::ImportTarget(target) => self.imports.push((*target, here)),
                                VniStatement::ExportTarget(target) => self.exports.push((*target, here)),
                                VniStatement::Rd(_) | VniStatement::Foreign(_) => {}
                            }
                        }
                    }
                    _ => {}
                }
            }
        }
    }

    /// A packet gets from one domain into another by a leak, or out of a tunnel into a VRF.
    fn meetings(&mut self, device: &Device) {
        let name = &device.name;
        let vrf = |vrf: Option<&IfName>| Place::Vrf(name.clone(), vrf.cloned());
        let mut meeting = Vec::new();
        for router in &device.frr.routers {
            for exchange in router.families.iter().flat_map(|family| &family.exchanges) {
                if let Exchange::ImportVrf(source) = exchange {
                    meeting.push((vrf(router.vrf.as_ref()), vrf(Some(source))));
                }
            }
        }
        meeting.extend(device.svis.iter().map(|(vlan, svi)| (Place::Vlan(name.clone(), *vlan), vrf(device.vrf_of(svi)))));
        let known = |(one, other): (Place, Place)| Some((*self.index.get(&one)?, *self.index.get(&other)?));
        self.meeting = meeting.into_iter().filter_map(known).collect();
        let routed = device.vnis.keys().filter_map(|vni| Some((*self.index.get(&vrf(Some(device.vrf_of_vni(*vni)?)))?, *vni)));
        self.routed = routed.collect();
    }

    fn number(&mut self) {
        let mut forest = Forest::new(self.places.len());
        for (place, far) in self.joined.iter().enumerate() {
            for far in far {
                forest.join(place, *far);
            }
        }
        let mut numbers: FxHashMap<usize, usize> = FxHashMap::default();
        for place in 0..self.places.len() {
            let next = numbers.len();
            self.part.push(*numbers.entry(forest.root(place)).or_insert(next));
        }
        self.parts = numbers.len();
    }

    fn part_of(&self, place: usize) -> usize {
        self.part.get(place).copied().unwrap_or_default()
    }
}

/// Who takes routes with a target, and who marks theirs with it.
#[derive(Debug, Default)]
struct Takers {
    importers: Vec<At>,
    exporters: Vec<At>,
}

/// The domains of a fabric.
pub struct Domains {
    /// The devices, sorted, each with the number of its first part and what it joins itself.
    devices: Vec<(Name, usize, Arc<Local>)>,
    number: FxHashMap<Name, usize>,
    /// VNIs are parts too, behind those of devices.
    vnis: FxHashMap<Vni, usize>,
    /// The domain of each part.
    domain: Vec<Domain>,
    /// The networks of each domain, each with a port of it.
    networks: FxHashMap<Domain, Vec<(Name, At)>>,
    /// Domains without any network's port, by their VNIs: nobody is in them, but routes lead there.
    empty: FxHashMap<Domain, Name>,
    targets: FxHashMap<RouteTarget, Takers>,
}

impl Domains {
    /// Joins everything that artefacts and cabling join.
    pub fn new(devices: &Devices, ground: &Ground<'_>) -> Self {
        let locals: Vec<_> = devices.par_iter().map(|(name, device)| (name.clone(), Arc::new(Local::new(device, ground)))).collect();
        Self::of_locals(locals, ground)
    }

    /// Of what devices join themselves, sorted by device.
    pub(crate) fn of_locals(locals: impl IntoIterator<Item = (Name, Arc<Local>)>, ground: &Ground<'_>) -> Self {
        let (mut parts, mut devices) = (0, Vec::new());
        for (name, local) in locals {
            let first = parts;
            parts += local.parts;
            devices.push((name, first, local));
        }
        let mut vnis: FxHashMap<Vni, usize> = FxHashMap::default();
        let mut joints = Vec::new();
        for (_, first, local) in &devices {
            for (place, vni) in &local.tunnelled {
                let next = parts;
                let part = *vnis.entry(*vni).or_insert(next);
                parts += usize::from(part == next);
                joints.push((first + local.part_of(*place), part));
            }
        }
        let mut forest = Forest::new(parts);
        for (a, b) in joints {
            forest.join(a, b);
        }
        let mut domains = Self {
            number: devices.iter().enumerate().map(|(number, (name, ..))| (name.clone(), number)).collect(),
            devices,
            vnis,
            domain: (0..parts).map(|part| forest.root(part)).collect(),
            networks: FxHashMap::default(),
            empty: FxHashMap::default(),
            targets: FxHashMap::default(),
        };
        domains.name();
        domains.name_empty(ground);
        domains
    }

    fn name(&mut self) {
        for (number, (_, first, local)) in self.devices.iter().enumerate() {
            let domain = |place: usize| self.domain.get(first + local.part_of(place)).copied().unwrap_or_default();
            for (place, network, _) in &local.owned {
                let known = self.networks.entry(domain(*place)).or_default();
                if !known.iter().any(|(name, _)| name == network) {
                    known.push((network.clone(), (number, *place)));
                }
            }
            for (target, place) in &local.imports {
                self.targets.entry(*target).or_default().importers.push((number, *place));
            }
            for (target, place) in &local.exports {
                self.targets.entry(*target).or_default().exporters.push((number, *place));
            }
        }
        self.networks.values_mut().for_each(|networks| networks.sort());
    }

    /// Gives domains in which nobody is the network that has their VNI.
    fn name_empty(&mut self, ground: &Ground<'_>) {
        let segments = ground.table.vnis().all_segments().flat_map(|(network, all)| all.iter().map(move |segment| (network, segment.vni)));
        for (network, vni) in ground.table.vnis().networks().chain(segments) {
            if let Some(domain) = self.of_vni(vni).filter(|domain| !self.networks.contains_key(domain)) {
                self.empty.entry(domain).or_insert_with(|| network.clone());
            }
        }
    }

    fn of_vni(&self, vni: Vni) -> Option<Domain> {
        self.domain.get(*self.vnis.get(&vni)?).copied()
    }

    /// The domain of a place of a device.
    fn at(&self, (device, place): At) -> Domain {
        let part = self.devices.get(device).map_or(0, |(_, first, local)| first + local.part_of(place));
        self.domain.get(part).copied().unwrap_or_default()
    }

    fn place(&self, (device, place): At) -> Option<&Place> {
        self.devices.get(device)?.2.places.get(place)
    }

    fn find(&self, device: &Name, place: &Place) -> Option<At> {
        let number = *self.number.get(device)?;
        Some((number, *self.devices.get(number)?.2.index.get(place)?))
    }

    /// The domain of a place.
    pub fn of(&self, place: &Place) -> Option<Domain> {
        match place {
            Place::Vni(vni) => self.of_vni(*vni),
            Place::Port(device, _) | Place::Vrf(device, _) | Place::Vlan(device, _) => Some(self.at(self.find(device, place)?)),
        }
    }

    /// The network that a domain is.
    pub fn network(&self, domain: Domain) -> Option<&Name> {
        self.networks.get(&domain).and_then(|networks| networks.first()).map(|(name, _)| name).or_else(|| self.empty.get(&domain))
    }

    /// The network that a place is in.
    pub fn network_of(&self, place: &Place) -> Option<&Name> {
        self.network(self.of(place)?)
    }

    /// The domains in which routes with a target are taken.
    pub fn importers(&self, target: RouteTarget) -> BTreeSet<Domain> {
        self.targets.get(&target).into_iter().flat_map(|takers| &takers.importers).map(|at| self.at(*at)).collect()
    }

    /// How many numbers domains have: each is smaller.
    pub(crate) const fn count(&self) -> usize {
        self.domain.len()
    }

    /// The networks that routes with each target are taken in.
    pub(crate) fn taken(&self) -> BTreeMap<RouteTarget, BTreeSet<Option<&Name>>> {
        let networks = |takers: &Takers| takers.importers.iter().map(|at| self.network(self.at(*at))).collect();
        self.targets.iter().map(|(target, takers)| (*target, networks(takers))).collect()
    }

    /// Pairs of domains of which packets get from one into the other: by a route that is taken by its target, by a leak, or out of a tunnel into a VRF.
    pub(crate) fn meeting(&self) -> impl Iterator<Item = (Domain, Domain)> + '_ {
        let by_targets = self.targets.values().flat_map(move |takers| {
            let mut all = takers.importers.iter().chain(&takers.exporters).map(|at| self.at(*at));
            let first = all.next();
            all.filter_map(move |other| Some((first?, other)))
        });
        let within = self.devices.iter().enumerate().flat_map(move |(number, (.., local))| {
            let meeting = local.meeting.iter().map(move |(one, other)| (self.at((number, *one)), self.at((number, *other))));
            let routed = local.routed.iter().filter_map(move |(vrf, vni)| Some((self.at((number, *vrf)), self.of_vni(*vni)?)));
            meeting.chain(routed)
        });
        by_targets.chain(within).filter(|(one, other)| one != other)
    }

    /// A device's places that are in a VRF's or VLAN's part, part by part: the domain of each.
    pub(crate) fn parts(&self, device: &Name) -> &[Domain] {
        let found = self.number.get(device).and_then(|number| self.devices.get(*number));
        found.and_then(|(_, first, local)| self.domain.get(*first..first + local.parts)).unwrap_or_default()
    }

    /// Ports of networks that are up: which network, whose machine if it is not the outside's, and in which domain.
    pub(crate) fn ports(&self) -> impl Iterator<Item = (&Name, Option<&Name>, Domain)> {
        self.devices.iter().enumerate().flat_map(move |(number, (.., local))| {
            local.owned.iter().map(move |(place, network, server)| (network, server.as_ref(), self.at((number, *place))))
        })
    }

    /// A device's VRFs with their domains.
    pub(crate) fn vrfs(&self, device: &Name) -> impl Iterator<Item = (&IfName, Domain)> {
        let found = self.number.get(device).and_then(|number| Some((*number, self.devices.get(*number)?)));
        found.into_iter().flat_map(move |(number, (.., local))| local.vrfs.iter().map(move |(place, vrf)| (vrf, self.at((number, *place)))))
    }

    /// All checks that need nothing but the domains, and no single device.
    pub fn check(&self, ground: &Ground<'_>) -> Vec<Finding> {
        let mut findings = Vec::new();
        for networks in self.networks.values() {
            let mut several = networks.iter();
            let Some((first, at)) = several.next() else { continue };
            for (other, end) in several {
                let packet = ground.packet(Some(first), &ground.somebody(other));
                let message = format!("networks `{first}` and `{other}` are one");
                findings.push(Finding::isolation("one-network", message, packet, self.path(*at, *end)));
            }
        }
        self.check_targets(ground, &mut findings);
        self.check_idle(ground, &mut findings);
        findings
    }

    /// Machines that are nobody's are not together with others of their kind, or each is isolated.
    fn check_idle(&self, ground: &Ground<'_>, findings: &mut Vec<Finding>) {
        let mut together: BTreeMap<Domain, Vec<(At, &Name, bool)>> = BTreeMap::new();
        for (number, (.., local)) in self.devices.iter().enumerate() {
            for (place, machine, isolated) in &local.idle {
                let at = (number, *place);
                together.entry(self.at(at)).or_default().push((at, machine, *isolated));
            }
        }
        let several = |all: &&Vec<(At, &Name, bool)>| all.windows(2).any(|pair| pair[0].1 != pair[1].1);
        for (at, _, _) in together.values().filter(several).flatten().filter(|(.., isolated)| !isolated) {
            let Some(Place::Port(device, port)) = self.place(*at) else { continue };
            let message = format!("{device} {port}: a machine that is nobody's can talk to the others");
            let behind = self.beside(*at).into_iter().filter_map(|next| self.place(next));
            let path = self.place(*at).into_iter().chain(behind).map(ToString::to_string).collect();
            findings.push(Finding::isolation("provisioning", message, ground.packet(None, &[[255; 4].into()]), path));
        }
    }

    /// Machines are never in the underlay, and those that are nobody's in no network.
    pub fn check_ports(&self, device: &Device, devices: &Devices, ground: &Ground<'_>) -> Vec<Finding> {
        let mut findings = Vec::new();
        let name = &device.name;
        for (port, owner) in ground.owners_at(name) {
            let place = Place::Port(name.clone(), port.clone());
            let Some(at) = self.find(name, &place) else { continue };
            let behind: Vec<&Place> = self.beside(at).into_iter().filter_map(|next| self.place(next)).collect();
            let path = || std::iter::once(&place).chain(behind.iter().copied()).map(ToString::to_string).collect();
            // of its own, or by the gateway of its VLAN
            let is_underlay = |place: &Place| matches!(place, Place::Vrf(_, None));
            let gateway = |next: &At| {
                matches!(self.place(*next), Some(Place::Vlan(..)))
                    && self.beside(*next).into_iter().filter_map(|far| self.place(far)).any(is_underlay)
            };
            let in_underlay = behind.iter().copied().any(is_underlay) || self.beside(at).iter().any(gateway);
            let network = if let Owner::Machine { network, .. } | Owner::Outside(network) = owner { Some(network) } else { None };
            if in_underlay {
                let to: Vec<_> =
                    devices.values().filter(|other| other.name != *name).filter_map(|other| other.vtep).map(Into::into).collect();
                let message = format!("{name} {port} is in the underlay, and behind it is no switch");
                findings.push(Finding::isolation("underlay", message, ground.packet(network, &to), path()));
            } else if network.is_none() {
                let mixed = self.network(self.at(at));
                if let Some(other) = mixed {
                    let message = format!("{name} {port} is in network `{other}`, and the machine behind it in none");
                    findings.push(Finding::isolation("one-network", message, ground.packet(None, &ground.somebody(other)), path()));
                }
            }
        }
        findings
    }

    /// Routes of one domain are taken in no other.
    fn check_targets(&self, ground: &Ground<'_>, findings: &mut Vec<Finding>) {
        for (target, Takers { importers, exporters }) in &self.targets {
            for exporter in exporters {
                let here = self.at(*exporter);
                let Some(importer) = importers.iter().find(|importer| self.at(**importer) != here) else { continue };
                let (from, to) = (self.network(here), self.network(self.at(*importer)));
                let told = |network: Option<&Name>| network.map_or("no network".to_owned(), |name| format!("network `{name}`"));
                let message = format!("routes of {} with target {target} are taken in {}", told(from), told(to));
                let packet = ground.packet(to, &from.map(|name| ground.somebody(name)).unwrap_or_default());
                let name = |at: &At| self.place(*at).map(ToString::to_string).unwrap_or_default();
                let path = vec![name(importer), format!("route with target {target} from {}", name(exporter))];
                findings.push(Finding::isolation("foreign-routes", message, packet, path));
                break;
            }
        }
    }

    /// The places of the same device that a place is joined with.
    fn beside(&self, (device, place): At) -> Vec<At> {
        let joined = self.devices.get(device).and_then(|(.., local)| local.joined.get(place));
        joined.into_iter().flatten().map(|next| (device, *next)).collect()
    }

    /// A shortest way between two places of a domain.
    fn path(&self, from: At, to: At) -> Vec<String> {
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
        enum Stop {
            At(At),
            Tunnels(Vni),
        }
        let mut ends: BTreeMap<Vni, Vec<At>> = BTreeMap::new();
        for (number, (.., local)) in self.devices.iter().enumerate() {
            local.tunnelled.iter().for_each(|(place, vni)| ends.entry(*vni).or_default().push((number, *place)));
        }
        let next = |stop: Stop| -> Vec<Stop> {
            match stop {
                Stop::Tunnels(vni) => ends.get(&vni).into_iter().flatten().map(|at| Stop::At(*at)).collect(),
                Stop::At((device, place)) => {
                    let tunnelled = self.devices.get(device).into_iter().flat_map(|(.., local)| &local.tunnelled);
                    let tunnels = tunnelled.filter(|(vlan, _)| *vlan == place).map(|(_, vni)| Stop::Tunnels(*vni));
                    self.beside((device, place)).into_iter().map(Stop::At).chain(tunnels).collect()
                }
            }
        };
        let told = |stop: Stop| match stop {
            Stop::At(at) => self.place(at).map(ToString::to_string).unwrap_or_default(),
            Stop::Tunnels(vni) => Place::Vni(vni).to_string(),
        };
        let (from, to) = (Stop::At(from), Stop::At(to));
        let mut before = BTreeMap::from([(from, from)]);
        let mut open = VecDeque::from([from]);
        while let Some(at) = open.pop_front() {
            if at == to {
                break;
            }
            for next in next(at) {
                before.entry(next).or_insert_with(|| {
                    open.push_back(next);
                    at
                });
            }
        }
        let mut path = vec![told(to)];
        let mut at = to;
        while let Some(previous) = before.get(&at).copied().filter(|previous| *previous != at) {
            path.push(told(previous));
            at = previous;
        }
        path.reverse();
        path
    }
}
