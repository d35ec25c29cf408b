//! Which places of the fabric are one network, by what joins them whatever anybody sends: a port in a VRF or VLAN, a VLAN's gateway in a VRF, a VNI that several
//! tunnels' ends take packets of. Two networks in one domain is the plainest way to break isolation; and everything else asks here which network a VRF or VNI is.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fmt;

use leafwall_render::frr::{Exchange, FamilyKind, VniStatement};
use leafwall_render::links::{Isolation, LinkKind};
use leafwall_topology::{IfName, Name, RouteTarget, VlanId, Vni};
use rustc_hash::FxHashMap;

use crate::finding::Finding;
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

/// The domains of a fabric.
pub struct Domains {
    places: Vec<Place>,
    index: FxHashMap<Place, usize>,
    joined: Vec<Vec<usize>>,
    domain: Vec<Domain>,
    networks: BTreeMap<Domain, BTreeMap<Name, usize>>,
    /// Domains without any network's port, by their VNIs: nobody is in them, but routes lead there.
    empty: BTreeMap<Domain, Name>,
    /// VRFs and VLANs that take routes with a target, and those that mark theirs with it.
    targets: BTreeMap<RouteTarget, (BTreeSet<usize>, BTreeSet<usize>)>,
}

impl Domains {
    /// Joins everything that artefacts and cabling join.
    pub fn new(devices: &Devices, ground: &Ground<'_>) -> Self {
        let mut domains = Self {
            places: Vec::new(),
            index: FxHashMap::default(),
            joined: Vec::new(),
            domain: Vec::new(),
            networks: BTreeMap::new(),
            empty: BTreeMap::new(),
            targets: BTreeMap::new(),
        };
        for device in devices.values() {
            domains.add_device(device, ground);
        }
        domains.number(ground);
        domains.name_empty(ground);
        domains
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

    fn join(&mut self, a: Place, b: Place) {
        let (a, b) = (self.place(a), self.place(b));
        if let Some(far) = self.joined.get_mut(a) {
            far.push(b);
        }
        if let Some(far) = self.joined.get_mut(b) {
            far.push(a);
        }
    }

    fn add_device(&mut self, device: &Device, ground: &Ground<'_>) {
        let name = &device.name;
        let vrf = |link: &IfName| Place::Vrf(name.clone(), device.vrf_of(link).cloned());
        for link in device.links.links.iter().filter(|link| device.is_up(&link.name)) {
            match &link.kind {
                LinkKind::Vlan { id, .. } if device.svis.get(id) == Some(&link.name) => {
                    self.join(Place::Vlan(name.clone(), *id), vrf(&link.name));
                }
                // a firewall machine's port is in the underlay, behind a guard that is looked at by itself; and so are the switches' own cables
                LinkKind::Physical {} | LinkKind::Vlan { .. } => match ground.owner(name, &link.name) {
                    Some(Owner::Switch(_) | Owner::Firewall(..)) if device.vrf_of(&link.name).is_none() && link.bridge_port.is_none() => {}
                    Some(_) => {
                        let port = Place::Port(name.clone(), link.name.clone());
                        match device.access(&link.name) {
                            Some((vlan, _)) => self.join(port, Place::Vlan(name.clone(), vlan)),
                            None if device.takes_untagged(&link.name) => self.join(port, vrf(&link.name)),
                            None => _ = self.place(port),
                        }
                    }
                    None => {}
                },
                _ => {}
            }
        }
        for (vni, vlan) in &device.vnis {
            self.join(Place::Vlan(name.clone(), *vlan), Place::Vni(*vni));
        }
        for router in &device.frr.routers {
            let here = self.place(Place::Vrf(name.clone(), router.vrf.clone()));
            for exchange in
                router.families.iter().filter(|family| family.kind == FamilyKind::L2vpnEvpn).flat_map(|family| &family.exchanges)
            {
                match exchange {
                    Exchange::ImportTarget(target) => _ = self.targets.entry(*target).or_default().0.insert(here),
                    Exchange::ExportTarget(target) => _ = self.targets.entry(*target).or_default().1.insert(here),
                    Exchange::Vni(segment) => {
                        let Some(vlan) = device.vnis.get(&segment.vni) else { continue };
                        let here = self.place(Place::Vlan(name.clone(), *vlan));
                        for statement in &segment.statements {
                            match statement {
                                VniStatement::ImportTarget(target) => _ = self.targets.entry(*target).or_default().0.insert(here),
                                VniStatement::ExportTarget(target) => _ = self.targets.entry(*target).or_default().1.insert(here),
                                VniStatement::Rd(_) | VniStatement::Foreign(_) => {}
                            }
                        }
                    }
                    _ => {}
                }
            }
        }
    }

    fn number(&mut self, ground: &Ground<'_>) {
        const UNSEEN: usize = usize::MAX;
        self.domain = vec![UNSEEN; self.places.len()];
        for first in 0..self.places.len() {
            if self.domain[first] != UNSEEN {
                continue;
            }
            let mut open = vec![first];
            self.domain[first] = first;
            while let Some(at) = open.pop() {
                if let Some(Place::Port(device, port)) = self.places.get(at)
                    && let Some(Owner::Machine { network, .. } | Owner::Outside(network)) = ground.owner(device, port)
                {
                    self.networks.entry(first).or_default().entry(network.clone()).or_insert(at);
                }
                for next in self.joined[at].clone() {
                    if self.domain[next] == UNSEEN {
                        self.domain[next] = first;
                        open.push(next);
                    }
                }
            }
        }
    }

    /// Gives domains in which nobody is the network that has their VNI.
    fn name_empty(&mut self, ground: &Ground<'_>) {
        let segments = ground.table.vnis().all_segments().flat_map(|(network, all)| all.iter().map(move |segment| (network, segment.vni)));
        for (network, vni) in ground.table.vnis().networks().chain(segments) {
            if let Some(domain) = self.of(&Place::Vni(vni)).filter(|domain| !self.networks.contains_key(domain)) {
                self.empty.entry(domain).or_insert_with(|| network.clone());
            }
        }
    }

    /// The domain of a place.
    pub fn of(&self, place: &Place) -> Option<Domain> {
        self.index.get(place).and_then(|at| self.domain.get(*at)).copied()
    }

    /// The network that a domain is.
    pub fn network(&self, domain: Domain) -> Option<&Name> {
        self.networks.get(&domain).and_then(|networks| networks.keys().next()).or_else(|| self.empty.get(&domain))
    }

    /// The network that a place is in.
    pub fn network_of(&self, place: &Place) -> Option<&Name> {
        self.network(self.of(place)?)
    }

    /// The domains in which routes with a target are taken.
    pub fn importers(&self, target: RouteTarget) -> BTreeSet<Domain> {
        self.targets.get(&target).map(|(importers, _)| importers.iter().map(|at| self.domain[*at]).collect()).unwrap_or_default()
    }

    /// Pairs of domains of which one takes routes that the other marks.
    pub fn by_targets(&self) -> impl Iterator<Item = (Domain, Domain)> + '_ {
        let domains = |places: &BTreeSet<usize>| places.iter().filter_map(|at| self.domain.get(*at).copied()).collect::<BTreeSet<_>>();
        let all = self.targets.values().map(move |(importers, exporters)| &domains(importers) | &domains(exporters));
        all.flat_map(|all| {
            let first = all.first().copied();
            all.into_iter().filter_map(move |other| Some((first?, other))).filter(|(one, other)| one != other)
        })
    }

    /// All checks that need nothing but the domains.
    pub fn check(&self, devices: &Devices, ground: &Ground<'_>) -> Vec<Finding> {
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
        self.check_ports(devices, ground, &mut findings);
        self.check_targets(ground, &mut findings);
        findings
    }

    /// Machines that are nobody's, by the domain that they are in.
    fn idle<'g>(&self, ground: &'g Ground<'_>) -> FxHashMap<Domain, BTreeSet<&'g Name>> {
        let mut found: FxHashMap<Domain, BTreeSet<&Name>> = FxHashMap::default();
        for (name, port, owner) in ground.owners() {
            if let Owner::Idle(machine) = owner
                && let Some(domain) = self.of(&Place::Port(name.clone(), port.clone()))
            {
                found.entry(domain).or_default().insert(machine);
            }
        }
        found
    }

    /// Machines are never in the underlay, and those that are nobody's only among themselves: one alone, or each isolated.
    fn check_ports(&self, devices: &Devices, ground: &Ground<'_>, findings: &mut Vec<Finding>) {
        let idle = self.idle(ground);
        for (name, port, owner) in ground.owners() {
            let place = Place::Port(name.clone(), port.clone());
            let (Some(at), Some(device)) = (self.index.get(&place), devices.get(name)) else { continue };
            let path = || {
                self.joined[*at].iter().map(|next| self.places[*next].to_string()).fold(vec![place.to_string()], |mut all, hop| {
                    all.push(hop);
                    all
                })
            };
            let isolated = matches!(device.access(port), Some((_, Isolation::Isolated)));
            let is_underlay = |at: &usize| matches!(self.places[*at], Place::Vrf(_, None));
            // of its own, or by the gateway of its VLAN
            let in_underlay = self.joined[*at].iter().any(|next| {
                is_underlay(next) || matches!(self.places[*next], Place::Vlan(..)) && self.joined[*next].iter().any(is_underlay)
            });
            let network = if let Owner::Machine { network, .. } | Owner::Outside(network) = owner { Some(network) } else { None };
            if in_underlay {
                let to: Vec<_> =
                    devices.values().filter(|other| other.name != *name).filter_map(|other| other.vtep).map(Into::into).collect();
                let message = format!("{name} {port} is in the underlay, and behind it is no switch");
                findings.push(Finding::isolation("underlay", message, ground.packet(network, &to), path()));
            } else if network.is_none() {
                let mixed = self.network(self.domain[*at]);
                if let Some(other) = mixed {
                    let message = format!("{name} {port} is in network `{other}`, and the machine behind it in none");
                    findings.push(Finding::isolation("one-network", message, ground.packet(None, &ground.somebody(other)), path()));
                } else if matches!(owner, Owner::Idle(_)) && !isolated && idle.get(&self.domain[*at]).is_some_and(|all| all.len() > 1) {
                    let message = format!("{name} {port}: a machine that is nobody's can talk to the others");
                    findings.push(Finding::isolation("provisioning", message, ground.packet(None, &[[255; 4].into()]), path()));
                }
            }
        }
    }

    /// Routes of one domain are taken in no other.
    fn check_targets(&self, ground: &Ground<'_>, findings: &mut Vec<Finding>) {
        for (target, (importers, exporters)) in &self.targets {
            for exporter in exporters {
                let Some(importer) = importers.iter().find(|importer| self.domain[**importer] != self.domain[*exporter]) else { continue };
                let (from, to) = (self.network(self.domain[*exporter]), self.network(self.domain[*importer]));
                let told = |network: Option<&Name>| network.map_or("no network".to_owned(), |name| format!("network `{name}`"));
                let message = format!("routes of {} with target {target} are taken in {}", told(from), told(to));
                let packet = ground.packet(to, &from.map(|name| ground.somebody(name)).unwrap_or_default());
                let path = vec![self.places[*importer].to_string(), format!("route with target {target} from {}", self.places[*exporter])];
                findings.push(Finding::isolation("foreign-routes", message, packet, path));
                break;
            }
        }
    }

    /// A shortest way between two places of a domain.
    fn path(&self, from: usize, to: usize) -> Vec<String> {
        let mut before = BTreeMap::from([(from, from)]);
        let mut open = VecDeque::from([from]);
        while let Some(at) = open.pop_front() {
            if at == to {
                break;
            }
            for next in &self.joined[at] {
                if !before.contains_key(next) {
                    before.insert(*next, at);
                    open.push_back(*next);
                }
            }
        }
        let mut path = vec![self.places[to].to_string()];
        let mut at = to;
        while let Some(previous) = before.get(&at)
            && *previous != at
        {
            path.push(self.places[*previous].to_string());
            at = *previous;
        }
        path.reverse();
        path
    }
}
