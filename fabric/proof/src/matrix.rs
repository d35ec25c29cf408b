//! Who reaches whom: for every ordered pair of endpoints what arrives, what intents say should, and the difference.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::{Arc, OnceLock};

use leafwall_policy::sets::{Field, Header, PacketSet};
use leafwall_render::frr::Direction;
use leafwall_render::inventory::{Endpoints, LabEndpoint};
use leafwall_topology::{Family, IfName, Name, Prefix};
use rayon::prelude::*;

use crate::fabric::{Fabric, far_port, unicast};
use crate::failures::Standing;
use crate::filters::Attributes;
use crate::finding::Finding;
use crate::ground::{Ground, Owner};
use crate::islands::Island;
use crate::reach::Party;
use crate::routes::RouteSet;
use crate::sessions;
use crate::tables::{self, Tables};
use crate::walk::{End, Outcome, Return, Telling, Walker};

/// One ordered pair of endpoints.
#[derive(Debug, Clone, Default)]
pub struct Cell {
    /// What arrives.
    pub arrives: PacketSet,
    /// Of that, what is answered and the answer gets back.
    pub answered: PacketSet,
    /// What intents say works.
    pub intended: PacketSet,
    /// Of that, what is promised: all of it while nothing has failed, and after a failure what has another way by the cabling.
    pub promised: PacketSet,
    /// Which intent: a network, a peering, firewalls.
    pub why: Vec<String>,
}

/// What goes from one endpoint to others.
#[derive(Debug, Clone, Default)]
pub struct Row {
    /// Whose the endpoint is.
    pub party: Party,
    /// To the endpoints on other nodes that it has anything to do with; to all others everything is closed.
    pub cells: BTreeMap<Name, Cell>,
    /// What of it is open, as certificates have it, once somebody asked.
    printed: OnceLock<String>,
}

impl Row {
    /// A row of somebody's endpoint.
    pub(crate) const fn new(party: Party, cells: BTreeMap<Name, Cell>) -> Self {
        Self { party, cells, printed: OnceLock::new() }
    }

    /// What of it is open, as certificates have it.
    pub(crate) fn printed<E>(&self, print: impl FnOnce() -> Result<String, E>) -> Result<&str, E> {
        if let Some(text) = self.printed.get() {
            return Ok(text);
        }
        let text = print()?;
        Ok(self.printed.get_or_init(|| text))
    }
}

/// A row for every endpoint. One proof and the next share those that did not change.
#[derive(Debug, Clone, Default)]
pub struct Matrix(pub(crate) BTreeMap<Name, Arc<Row>>);

impl Matrix {
    /// All rows by the endpoint that sends, sorted.
    pub fn rows(&self) -> impl Iterator<Item = (&Name, &Arc<Row>)> {
        self.0.iter()
    }

    /// The row of an endpoint.
    pub fn row(&self, from: &Name) -> Option<&Arc<Row>> {
        self.0.get(from)
    }

    /// All cells, sorted by who sends and to whom.
    pub fn cells(&self) -> impl Iterator<Item = (&Name, &Name, &Cell)> {
        self.0.iter().flat_map(|(from, row)| row.cells.iter().map(move |(to, cell)| (from, to, cell)))
    }

    /// What is open from one endpoint to another that it has anything to do with.
    pub fn cell(&self, from: &Name, to: &Name) -> Option<&Cell> {
        self.0.get(from)?.cells.get(to)
    }
}

/// Where an endpoint is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Site {
    /// In a network, on a machine.
    Machine(Name),
    /// Outside, behind an external network.
    Outside(Name),
    /// It is a firewall machine.
    Firewall,
    /// Nowhere: nobody's machine.
    Nowhere,
}

impl Site {
    fn of(ground: &Ground<'_>, endpoint: &LabEndpoint) -> Self {
        if ground.firewall(&endpoint.node).is_some() {
            return Self::Firewall;
        }
        let active = !ground.ports_of(&endpoint.node).is_empty();
        if let Some(allocation) = ground.allocation(&endpoint.node).filter(|_| active) {
            return Self::Machine(allocation.network.clone());
        }
        outside_network(ground, &endpoint.node).map_or(Self::Nowhere, Self::Outside)
    }
}

/// The external network that a router outside is in.
fn outside_network(ground: &Ground<'_>, node: &Name) -> Option<Name> {
    let outside = ground.outside.iter().find(|outside| outside.name == *node)?;
    ground.outside_networks(outside).next().map(|network| network.name.clone())
}

impl Party {
    /// Whose an endpoint is.
    pub(crate) fn of(ground: &Ground<'_>, endpoint: &LabEndpoint) -> Self {
        match Site::of(ground, endpoint) {
            Site::Machine(network) | Site::Outside(network) => Self::network(ground, &network),
            Site::Firewall => ground.firewall(&endpoint.node).map_or_else(Self::nobody, Self::firewall),
            Site::Nowhere => Self::nobody(),
        }
    }
}

/// Walks everything from everywhere.
pub struct Matcher<'w, 'a> {
    pub(crate) fabric: &'w Fabric<'a>,
    tables: &'w Tables,
    walker: Walker<'w, 'a>,
    standing: Standing<'a>,
    endpoints: Vec<(&'a Name, &'a LabEndpoint)>,
    /// What honest endpoints have routes for.
    heard: BTreeMap<Name, PacketSet>,
}

impl<'w, 'a> Matcher<'w, 'a> {
    /// Over the tables of what is looked at, of which this is left standing.
    pub fn new(fabric: &'w Fabric<'a>, island: &Island<'a>, tables: &'w Tables, standing: Standing<'a>) -> Self {
        let walker = Walker::new(fabric, tables, &island.machines);
        let endpoints = island.endpoints.iter().map(|(name, endpoint)| (*name, &***endpoint)).collect();
        let mut matcher = Self { fabric, tables, walker, standing, endpoints, heard: BTreeMap::new() };
        let heard: Vec<(Name, PacketSet)> =
            matcher.endpoints.par_iter().map(|(name, _)| ((*name).clone(), matcher.hearing(name))).collect();
        matcher.heard = heard.into_iter().collect();
        matcher
    }

    /// All endpoints of the fabric.
    pub fn endpoints(&self) -> &'a Endpoints {
        self.fabric.ground.endpoints
    }

    /// Who walks.
    pub fn walker(&self) -> &Walker<'w, 'a> {
        &self.walker
    }

    /// What is left standing.
    pub fn standing(&self) -> &Standing<'a> {
        &self.standing
    }

    /// Packets that an honest endpoint has a route for.
    pub fn heard(&self, endpoint: &Name) -> Option<&PacketSet> {
        self.heard.get(endpoint)
    }

    pub(crate) fn site(&self, endpoint: &LabEndpoint) -> Site {
        Site::of(self.fabric.ground, endpoint)
    }

    /// Everything that an endpoint sends to these packets' destinations, wherever it enters.
    pub fn send(&self, from: &Name, packets: &PacketSet, back: Option<&Return>, telling: Telling) -> Vec<Outcome> {
        let Some(endpoint) = self.endpoints().get(from) else { return Vec::new() };
        match self.site(endpoint) {
            Site::Machine(_) => {
                let ports = self.fabric.ports_of(&endpoint.node);
                ports.flat_map(|(device, port)| self.walker.enter(device, port, packets, back.cloned(), telling)).collect()
            }
            Site::Outside(network) => self.send_outside(&network, packets, back, telling),
            Site::Firewall | Site::Nowhere => Vec::new(),
        }
    }

    /// The outside sends where the exits told it to.
    fn send_outside(&self, network: &Name, packets: &PacketSet, back: Option<&Return>, telling: Telling) -> Vec<Outcome> {
        let mut outcomes = Vec::new();
        for (name, port, owner) in self.fabric.ground.owners() {
            if !matches!(owner, Owner::Outside(there) if there == network) {
                continue;
            }
            let Some(device) = self.fabric.devices.get(name).filter(|device| device.is_up(port)) else { continue };
            let Some(vrf) = device.vrf_of(port) else { continue };
            let told = packets.and(&self.told_outside(name, vrf));
            if !told.is_empty() {
                outcomes.extend(self.walker.enter(device, port, &told, back.cloned(), telling));
            }
        }
        outcomes
    }

    /// Packets to what an honest endpoint has a route for: what its leaves tell it, or everything where it has a gateway.
    fn hearing(&self, from: &Name) -> PacketSet {
        let Some(endpoint) = self.endpoints().get(from) else { return PacketSet::none() };
        let Some(machine) = self.fabric.machines.get(&endpoint.node) else { return PacketSet::all() };
        let Some(frr) = &machine.frr else { return PacketSet::all() };
        let filters = crate::filters::Filters::new(frr);
        let Some(router) = frr.routers.iter().find(|router| router.vrf.is_none()) else { return PacketSet::none() };
        let mut heard = PacketSet::none();
        for (device, port) in self.fabric.ports_of(&endpoint.node) {
            let (Some(vrf), Some(far)) = (device.vrf_of(port), far_port(self.fabric.ground, &device.name, port)) else { continue };
            let Some(session) = sessions::sessions(router).find(|session| session.interface().as_ref() == Some(&far.port)) else {
                continue;
            };
            for family in Family::BOTH {
                let Some(statements) = session.active(router, unicast(family)) else { continue };
                for (prefix, attributes) in self.told(&device.name, vrf, family, |session| session.interface().as_ref() == Some(port)) {
                    if !filters.neighbor(&statements, Direction::In, Some(family), &RouteSet::exactly(prefix), &attributes).is_empty() {
                        heard = heard.or(&PacketSet::prefix(Field::Destination, prefix));
                    }
                }
            }
        }
        heard
    }

    /// The routes of a VRF that some of its neighbours are told.
    fn told(&self, name: &Name, vrf: &IfName, family: Family, about: impl Fn(&sessions::Session<'_>) -> bool) -> Vec<(Prefix, Attributes)> {
        let Some(device) = self.fabric.devices.get(name) else { return Vec::new() };
        let (Some(router), Some(filters)) = (device.router(Some(vrf)), self.fabric.filters(name)) else { return Vec::new() };
        let Some(table) = self.tables.get(&(name.clone(), vrf.clone())) else { return Vec::new() };
        let mut told = Vec::new();
        for session in sessions::sessions(router).filter(|session| about(session)) {
            let Some(statements) = session.active(router, unicast(family)) else { continue };
            for (prefix, route) in tables::told(router, table, true).filter(|(prefix, _)| prefix.family() == family) {
                let through = filters.neighbor(&statements, Direction::Out, Some(family), &RouteSet::exactly(*prefix), &route.attributes);
                told.extend(through.into_iter().map(|(_, attributes)| (*prefix, attributes)));
            }
        }
        told
    }

    fn told_outside(&self, name: &Name, vrf: &IfName) -> PacketSet {
        let told = Family::BOTH.into_iter().flat_map(|family| self.told(name, vrf, family, |_| true));
        PacketSet::union(told.map(|(prefix, _)| PacketSet::prefix(Field::Destination, prefix)))
    }

    /// The rows of all that is looked at.
    pub fn matrix(&self) -> Matrix {
        self.rows([self.endpoints.as_slice()], |_, _| true)
    }

    /// The cells that have one of these endpoints at an end, of what is together on islands.
    pub fn matrix_of(&self, islands: &[Island<'a>], of: &BTreeSet<&Name>) -> Matrix {
        let together: Vec<Vec<_>> =
            islands.iter().map(|island| island.endpoints.iter().map(|(name, endpoint)| (*name, &***endpoint)).collect()).collect();
        self.rows(together.iter().map(Vec::as_slice), |from, to| of.contains(from) || of.contains(to))
    }

    fn rows<'s>(
        &self,
        together: impl IntoIterator<Item = &'s [(&'a Name, &'a LabEndpoint)]>,
        wanted: impl Fn(&Name, &Name) -> bool + Sync,
    ) -> Matrix
    where
        'a: 's,
    {
        let all: Vec<_> = together.into_iter().flat_map(|all| all.iter().map(move |(from, endpoint)| (*from, *endpoint, all))).collect();
        let row = |(from, endpoint, all): &(&'a Name, &'a LabEndpoint, &[_])| {
            let row = Row::new(Party::of(self.fabric.ground, endpoint), self.row(from, endpoint, all, &wanted));
            ((*from).clone(), Arc::new(row))
        };
        Matrix(all.par_iter().map(row).collect::<Vec<_>>().into_iter().collect())
    }

    fn row(
        &self,
        from: &'a Name,
        endpoint: &'a LabEndpoint,
        all: &[(&'a Name, &'a LabEndpoint)],
        wanted: impl Fn(&Name, &Name) -> bool,
    ) -> BTreeMap<Name, Cell> {
        let others: Vec<_> = all.iter().copied().filter(|(name, other)| other.node != endpoint.node && wanted(from, name)).collect();
        if others.is_empty() {
            return BTreeMap::new();
        }
        let mut cells: BTreeMap<&Name, Cell> = others.iter().map(|(name, _)| (*name, Cell::default())).collect();
        let heard = self.heard.get(from).cloned().unwrap_or_default();
        for source in addresses(endpoint) {
            let senders = PacketSet::addresses(Field::Source, source, source);
            let all = others.iter().flat_map(|(_, other)| addresses(other));
            let to = PacketSet::union(all.map(|address| PacketSet::addresses(Field::Destination, address, address)));
            let packets = senders.and(&to).and(&PacketSet::numbers(Field::Vni, 0, 0));
            let outcomes = self.send(from, &packets, None, Telling::EndsOnly);
            let lost = PacketSet::union(outcomes.iter().filter(|outcome| outcome.end.is_none()).map(|outcome| outcome.packets.clone()));
            let lost = lost.forget(Field::Source).forget(Field::SourcePort);
            for (name, other) in &others {
                let Some(cell) = cells.get_mut(name) else { continue };
                for destination in addresses(other).filter(|destination| Family::of(*destination) == Family::of(source)) {
                    let here = PacketSet::addresses(Field::Destination, destination, destination);
                    let pair = senders.and(&here).and(&PacketSet::numbers(Field::Vni, 0, 0));
                    for outcome in outcomes.iter().filter(|outcome| self.is_at(outcome, other)) {
                        // what is translated on the way is asked of as it was sent: only its source and port changed
                        let sent = outcome.packets.and(&here).forget(Field::Source).forget(Field::SourcePort).and(&pair);
                        if sent.is_empty() {
                            continue;
                        }
                        cell.arrives = cell.arrives.or(&sent);
                        if self.is_answered(from, name, source, destination, outcome) {
                            cell.answered = cell.answered.or(&sent.minus(&lost).and(&heard));
                        }
                    }
                    for meant in self.meant(endpoint, source, other, destination) {
                        let here = meant.packets.and(&pair);
                        cell.intended = cell.intended.or(&here);
                        if self.standing.promises(&meant.way) {
                            cell.promised = cell.promised.or(&here);
                        }
                        cell.why.push(meant.why);
                    }
                }
            }
        }
        cells
            .into_iter()
            .map(|(to, mut cell)| {
                cell.why.sort();
                cell.why.dedup();
                (to.clone(), cell)
            })
            .collect()
    }

    fn is_at(&self, outcome: &Outcome, endpoint: &LabEndpoint) -> bool {
        match &outcome.end {
            Some(End::Machine(name) | End::Device(name)) => *name == endpoint.node,
            Some(End::Outside(network)) => outside_network(self.fabric.ground, &endpoint.node).as_ref() == Some(network),
            None => false,
        }
    }

    /// Whether an answer to some packet of what arrived gets back, on every way it can take.
    fn is_answered(&self, from: &Name, by: &Name, source: IpAddr, destination: IpAddr, outcome: &Outcome) -> bool {
        let here = PacketSet::addresses(Field::Destination, destination, destination);
        let Some(packet) = outcome.packets.and(&here).witness() else { return false };
        let mut back: Return = Vec::new();
        let mut original = source;
        for crossing in &outcome.through {
            let translation = crossing.translated.as_ref().and_then(|to| to.first()).map(|to| (*to, original));
            if let Some((to, _)) = translation {
                original = to;
            }
            back.push((crossing.machine.clone(), translation));
        }
        let answer = Header {
            source: destination,
            destination: original,
            protocol: packet.protocol,
            source_port: packet.destination_port,
            destination_port: match (packet.protocol, packet.destination_port) {
                (1, _) => 0,
                (58, _) => 129,
                _ => packet.source_port,
            },
            vni: 0,
        };
        if let Some(End::Device(name)) = &outcome.end {
            // a firewall's own answer comes from the VRF that was asked in, over the same routes
            return self.fabric.ground.firewall(name).is_some();
        }
        let Some(endpoint) = self.endpoints().get(from) else { return false };
        if self.heard.get(by).is_none_or(|heard| !heard.contains(&answer)) {
            return false;
        }
        let outcomes = self.send(by, &PacketSet::packet(&answer), Some(&back), Telling::EndsOnly);
        !outcomes.is_empty() && outcomes.iter().all(|outcome| self.is_at(outcome, endpoint))
    }
}

/// All addresses of an endpoint.
pub fn addresses(endpoint: &LabEndpoint) -> impl Iterator<Item = IpAddr> + '_ {
    endpoint.v4.iter().copied().map(IpAddr::V4).chain(endpoint.v6.iter().copied().map(IpAddr::V6))
}

/// What differs from the intents.
pub fn check(matcher: &Matcher<'_, '_>, matrix: &Matrix) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (from, to, cell) in matrix.cells() {
        if let Some(packet) = cell.arrives.minus(&cell.intended).minus(&errors()).witness() {
            let message = format!("`{from}` reaches `{to}`, which no intent allows");
            findings.push(Finding::isolation("reach", message, Some(packet), way(matcher, from, &packet)));
        }
        if let Some(packet) = cell.promised.minus(&cell.answered).witness() {
            let message =
                format!("`{from}` does not reach `{to}` (or the answer does not come back), which it should by {}", cell.why.join(", "));
            findings.push(Finding::reachability("reach", message, Some(packet), way(matcher, from, &packet)));
        }
    }
    findings
}

/// ICMP that firewalls and switches always take for themselves: errors, answers to pings.
fn errors() -> PacketSet {
    let v4 = PacketSet::protocol(1).and(&PacketSet::family(Family::V4)).and(&PacketSet::numbers(Field::DestinationPort, 8, 8).complement());
    let v6 =
        PacketSet::protocol(58).and(&PacketSet::family(Family::V6)).and(&PacketSet::numbers(Field::DestinationPort, 128, 128).complement());
    v4.or(&v6)
}

/// A packet's way.
pub fn way(matcher: &Matcher<'_, '_>, from: &Name, packet: &Header) -> Vec<String> {
    let outcomes = matcher.send(from, &PacketSet::packet(packet), None, Telling::Way);
    // the way that fails says most
    let shown = outcomes.iter().find(|outcome| outcome.end.is_none()).or(outcomes.first());
    shown.map_or_else(|| vec![format!("{from}: no port in service, or nobody told it the way")], |outcome| outcome.path.clone())
}
