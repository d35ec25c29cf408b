//! The routing tables that honest devices come to: every VRF's routes, round by round until nothing changes.

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;
use std::sync::Arc;

use leafwall_render::frr::{AddressFamily, Direction, Exchange, FamilyKind, Origin, RouterBgp};
use leafwall_topology::{Asn, Family, IfName, MacAddr, Name, Prefix, Vni};
use rayon::prelude::*;
use rustc_hash::FxHashMap;

use crate::fabric::{Consulted, Fabric, Importer, Layer, far_port, own_networks, unicast};
use crate::filters::Attributes;
use crate::ground::Owner;
use crate::read::Device;
use crate::routes::RouteSet;
use crate::sessions;
use crate::spread::{Spread, spread};

/// Where a route sends packets.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Via {
    /// To whoever has the address on this link.
    Link(IfName),
    /// To the neighbour behind this port.
    Port(IfName),
    /// Through a tunnel.
    Tunnel {
        /// Out by this SVI.
        svi: IfName,
        /// With this VNI.
        vni: Vni,
        /// To this tunnel's end.
        to: Ipv4Addr,
    },
    /// Nowhere: an aggregate without the part.
    Discard,
}

/// How a route came about; the smaller is preferred.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// The subnet of a link.
    Connected,
    /// A `network` statement or an aggregate.
    Own,
    /// From a neighbour or another VRF.
    Learned,
    /// From EVPN.
    Evpn,
}

/// A route.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Route {
    /// How it came about.
    pub kind: Kind,
    /// Its AS path and what else it carries.
    pub attributes: Attributes,
    /// Where to.
    pub via: Via,
}

impl Route {
    /// Connected ones first, then what the device makes itself, then the shorter path.
    fn rank(&self) -> (u8, usize) {
        let rank = match self.kind {
            Kind::Connected => 0,
            Kind::Own => 1,
            Kind::Learned | Kind::Evpn => 2,
        };
        (rank, self.attributes.path.len())
    }
}

/// All routes of a VRF, by prefix; of several with the same best rank all are used.
pub type Table = BTreeMap<Prefix, BTreeSet<Route>>;

/// The tables of a fabric by device and VRF.
pub type Tables = BTreeMap<(Name, IfName), Table>;

/// Leaks feed announcements, and those feed leaks elsewhere; a chain longer than this is none of ours.
const ROUNDS: usize = 12;

/// What a fabric comes to.
#[derive(Debug, Default)]
pub struct Converged<'a> {
    /// The tables.
    pub tables: Tables,
    /// Where announcements got to.
    spreads: Spreads<'a>,
}

/// A VRF of a device.
pub type Vrf<'a> = (&'a Name, &'a IfName);

/// The tables that VRFs come to among themselves: none of them takes routes from others, by a leak or by a target.
pub fn converge<'a>(fabric: &Fabric<'a>, vrfs: &[Vrf<'a>]) -> Converged<'a> {
    converge_again(fabric, vrfs, &Converged::default())
}

/// The same, with where announcements got to in a fabric that has the same sessions between its devices.
pub fn converge_again<'a>(fabric: &Fabric<'a>, vrfs: &[Vrf<'a>], known: &Converged<'a>) -> Converged<'a> {
    let fixed = fixed(fabric, vrfs);
    let mut tables = best(fixed.clone());
    let mut spreads = known.spreads.clone();
    for _ in 0..ROUNDS {
        let mut next = fixed.clone();
        for ((device, vrf), table) in &mut next {
            if let Some(device) = fabric.devices.get(device) {
                leaks(fabric, device, vrf, &tables, table);
            }
        }
        spreads = announced(fabric, &tables, &spreads, &mut next);
        let next = best(aggregated(fabric, next));
        if next == tables {
            break;
        }
        tables = next;
    }
    Converged { tables, spreads }
}

impl<'a> Converged<'a> {
    /// The devices that announcements' ways depend on.
    pub(crate) fn consulted(&self) -> impl Iterator<Item = &Consulted<'a>> {
        self.spreads.values().map(|spread| &spread.consulted)
    }
}

fn best(mut tables: Tables) -> Tables {
    for table in tables.values_mut() {
        for routes in table.values_mut() {
            let Some(rank) = routes.iter().map(Route::rank).min() else { continue };
            // a `network` statement announces what the kernel has: the connected route stays in use beside it
            routes.retain(|route| route.rank() == rank || route.kind == Kind::Own);
        }
    }
    tables
}

/// What does not depend on other VRFs: links, own networks, neighbours on ports.
fn fixed(fabric: &Fabric<'_>, vrfs: &[Vrf<'_>]) -> Tables {
    let mut tables = Tables::new();
    for (name, vrf) in vrfs {
        let Some(device) = fabric.devices.get(*name) else { continue };
        let table = tables.entry(((*name).clone(), (*vrf).clone())).or_default();
        let here = device.links.links.iter().filter(|link| device.vrf_of(&link.name) == Some(vrf) && device.is_up(&link.name));
        for link in here {
            for address in &link.addresses {
                if let Some(subnet) = Prefix::containing(address.address(), address.length()).filter(|prefix| !prefix.is_host()) {
                    add(table, subnet, Kind::Connected, Attributes::plain(), Via::Link(link.name.clone()));
                }
            }
        }
        let Some(router) = device.router(Some(vrf)) else { continue };
        for family in &router.families {
            for origin in &family.origins {
                if let Origin::Network(prefix) = origin
                    && (table.contains_key(prefix) || has_address(device, vrf, *prefix))
                {
                    let via = table.get(prefix).and_then(|routes| routes.first());
                    let via = via.map_or_else(|| Via::Link((*vrf).clone()), |route| route.via.clone());
                    add(table, *prefix, Kind::Own, Attributes::plain(), via);
                }
            }
        }
        neighbours(fabric, device, router, table);
    }
    tables
}

fn has_address(device: &Device, vrf: &IfName, prefix: Prefix) -> bool {
    device.link(vrf).is_some_and(|link| link.addresses.iter().any(|address| Prefix::host(address.address()) == prefix))
}

fn add(table: &mut Table, prefix: Prefix, kind: Kind, attributes: Attributes, via: Via) {
    table.entry(prefix).or_default().insert(Route { kind, attributes, via });
}

/// What honest neighbours on a VRF's ports announce, as far as the filters take it.
fn neighbours(fabric: &Fabric<'_>, device: &Device, router: &RouterBgp, table: &mut Table) {
    let Some(filters) = fabric.filters(&device.name) else { return };
    for session in sessions::sessions(router) {
        for family in Family::BOTH {
            let Some(statements) = session.active(router, unicast(family)) else { continue };
            let (announced, asn, via) = if let Some(port) = session.interface() {
                let Some((routes, asn)) = machine_routes(fabric, device, &port, family) else { continue };
                if device.vrf_of(&port) != router.vrf.as_ref() || !device.is_up(&port) {
                    continue;
                }
                (routes, asn, Via::Port(port))
            } else {
                let Some((routes, asn, link)) = outside_routes(fabric, device, router, &session.peer.to_string()) else { continue };
                (routes, asn, Via::Port(link))
            };
            if !session.admits(router.asn, asn) {
                continue;
            }
            let attributes = Attributes { path: vec![asn], ..Attributes::plain() };
            for prefix in announced.into_iter().filter(|prefix| prefix.family() == family) {
                for (_, attributes) in filters.neighbor(&statements, Direction::In, Some(family), &RouteSet::exactly(prefix), &attributes) {
                    add(table, prefix, Kind::Learned, attributes, via.clone());
                }
            }
        }
    }
}

/// What the machine behind a port announces there.
fn machine_routes(fabric: &Fabric<'_>, device: &Device, port: &IfName, family: Family) -> Option<(Vec<Prefix>, Asn)> {
    let Owner::Machine { server, .. } = fabric.ground.owner(&device.name, port)? else { return None };
    let machine = fabric.machines.get(server)?;
    let frr = machine.frr.as_ref()?;
    let router = frr.routers.iter().find(|router| router.vrf.is_none())?;
    let near = &far_port(fabric.ground, &device.name, port)?.port;
    let session = sessions::sessions(router).find(|session| session.interface().as_ref() == Some(near))?;
    let statements = session.active(router, unicast(family))?;
    let filters = crate::filters::Filters::new(frr);
    let told = |prefix: &Prefix| {
        !filters.neighbor(&statements, Direction::Out, Some(family), &RouteSet::exactly(*prefix), &Attributes::plain()).is_empty()
    };
    Some((own_networks(frr, &machine.links, unicast(family)).into_iter().filter(told).collect(), router.asn))
}

/// What the router outside announces, and the link that it is on.
fn outside_routes(fabric: &Fabric<'_>, device: &Device, router: &RouterBgp, peer: &str) -> Option<(Vec<Prefix>, Asn, IfName)> {
    for outside in fabric.ground.outside {
        for session in outside.sessions.iter().filter(|session| session.local.address().to_string() == peer) {
            let link = device.links.links.iter().find(|link| {
                device.vrf_of(&link.name) == router.vrf.as_ref()
                    && device.is_up(&link.name)
                    && link.addresses.iter().any(|address| address.address() == session.remote)
            });
            if let Some(link) = link {
                return Some((outside.announces.clone(), session.local_asn, link.name.clone()));
            }
        }
    }
    None
}

fn families(router: &RouterBgp, kind: FamilyKind) -> impl Iterator<Item = &AddressFamily> {
    router.families.iter().filter(move |family| family.kind == kind)
}

/// `import vrf`
fn leaks(fabric: &Fabric<'_>, device: &Device, vrf: &IfName, tables: &Tables, into: &mut Table) {
    let (Some(router), Some(filters)) = (device.router(Some(vrf)), fabric.filters(&device.name)) else { return };
    for family in Family::BOTH {
        let exchanges = || families(router, unicast(family)).flat_map(|family| &family.exchanges);
        let map = exchanges().find_map(|exchange| if let Exchange::ImportVrfRouteMap(map) = exchange { Some(map) } else { None });
        for source in exchanges().filter_map(|exchange| if let Exchange::ImportVrf(vrf) = exchange { Some(vrf) } else { None }) {
            let Some(table) = tables.get(&(device.name.clone(), source.clone())) else { continue };
            for (prefix, routes) in table.iter().filter(|(prefix, _)| prefix.family() == family) {
                // what was leaked itself, or what only the kernel knows, is not leaked on
                for route in routes.iter().filter(|route| route.kind != Kind::Connected && route.attributes.source_vrf.is_none()) {
                    let attributes = Attributes { source_vrf: Some(source.clone()), ..route.attributes.clone() };
                    let taken = match map {
                        Some(map) => filters.apply(map, &RouteSet::exactly(*prefix), &attributes),
                        None => vec![(RouteSet::exactly(*prefix), attributes)],
                    };
                    for (_, attributes) in taken {
                        add(into, *prefix, Kind::Learned, attributes, route.via.clone());
                    }
                }
            }
        }
    }
}

/// Aggregates exist while a part of them does.
fn aggregated(fabric: &Fabric<'_>, mut tables: Tables) -> Tables {
    for ((device, vrf), table) in &mut tables {
        let router = fabric.devices.get(device).and_then(|device| device.router(Some(vrf)));
        for prefix in router.into_iter().flat_map(aggregates) {
            let learned = |(part, routes): (&Prefix, &BTreeSet<Route>)| {
                *part != prefix && prefix.contains(*part) && routes.iter().any(|route| route.kind != Kind::Connected)
            };
            if table.iter().any(learned) {
                add(table, prefix, Kind::Own, Attributes::plain(), Via::Discard);
            }
        }
    }
    tables
}

/// The prefixes that an instance makes one route of.
pub fn aggregates(router: &RouterBgp) -> impl Iterator<Item = Prefix> + '_ {
    let origins = router.families.iter().flat_map(|family| &family.origins);
    origins.filter_map(|origin| if let Origin::AggregateSummaryOnly(prefix) = origin { Some(*prefix) } else { None })
}

/// Routes of a VRF that are told to others: all but what only the kernel knows, what came by EVPN, what may not go out, and parts of aggregates.
pub fn told<'t>(router: &'t RouterBgp, table: &'t Table, evpn_too: bool) -> impl Iterator<Item = (&'t Prefix, &'t Route)> {
    let whole: Vec<Prefix> = aggregates(router).filter(|prefix| table.contains_key(prefix)).collect();
    table
        .iter()
        .filter(move |(prefix, _)| !whole.iter().any(|aggregate| aggregate != *prefix && aggregate.contains(**prefix)))
        .flat_map(|(prefix, routes)| routes.iter().map(move |route| (prefix, route)))
        .filter(move |(_, route)| route.kind != Kind::Connected && !route.attributes.no_export && (evpn_too || route.kind != Kind::Evpn))
}

/// Where routes got to, by what was announced.
type Spreads<'a> = FxHashMap<Said<'a>, Arc<Spread<'a>>>;

/// By whom, with which attributes, which prefixes.
type Said<'a> = (&'a Name, Attributes, Vec<Prefix>);

/// Type-5 routes, from every VRF to every other that takes their target. `known` is what the round before found out, of which most is said again.
fn announced<'a>(fabric: &Fabric<'a>, tables: &Tables, known: &Spreads<'a>, next: &mut Tables) -> Spreads<'a> {
    let all: Vec<_> = tables.iter().collect();
    let said: Vec<Vec<_>> = all.par_iter().map(|((device, vrf), table)| said(fabric, device, vrf, table, known)).collect();
    let spreads: Spreads<'a> = said.into_iter().flatten().collect();
    for ((_, _, prefixes), spread) in &spreads {
        for (at, arrived) in &spread.arrivals {
            take(fabric, at, arrived, prefixes, next);
        }
    }
    spreads
}

/// What one VRF announces, and where that gets to.
fn said<'a>(fabric: &Fabric<'a>, device: &Name, vrf: &IfName, table: &Table, known: &Spreads<'a>) -> Vec<(Said<'a>, Arc<Spread<'a>>)> {
    let Some((name, device)) = fabric.devices.get_key_value(device) else { return Vec::new() };
    let (Some(router), Some(filters), Some(vtep)) = (device.router(Some(vrf)), fabric.filters(name), device.vtep) else {
        return Vec::new();
    };
    if device.l3vni(vrf).is_none() {
        return Vec::new();
    }
    let targets: Vec<_> = device.exports(vrf).into_iter().collect();
    let evpn = || families(router, FamilyKind::L2vpnEvpn).flat_map(|family| &family.exchanges);
    let rd = evpn().find_map(|exchange| if let Exchange::Rd(rd) = exchange { Some(*rd) } else { None });
    let mut groups: BTreeMap<Attributes, Vec<Prefix>> = BTreeMap::new();
    for (prefix, route) in told(router, table, false) {
        let advertised = evpn().find_map(|exchange| match exchange {
            Exchange::Advertise(family, map) if *family == prefix.family() => Some(map.as_ref()),
            _ => None,
        });
        let taken = match advertised {
            None => continue,
            Some(None) => vec![(RouteSet::exactly(*prefix), route.attributes.clone())],
            Some(Some(map)) => filters.apply(map, &RouteSet::exactly(*prefix), &route.attributes),
        };
        for (_, attributes) in taken {
            let attributes = Attributes {
                targets: targets.clone(),
                rd,
                router_mac: Some(MacAddr::router(vtep)),
                next_hop: Some(vtep),
                source_vrf: None,
                ..attributes
            };
            groups.entry(attributes).or_default().push(*prefix);
        }
    }
    let mut found = Vec::new();
    for (attributes, prefixes) in groups {
        let mut wanted: BTreeSet<&Name> =
            attributes.targets.iter().flat_map(|target| fabric.importers(*target)).map(|to| to.device).collect();
        wanted.remove(name);
        if wanted.is_empty() {
            continue;
        }
        let key = (name, attributes, prefixes);
        let spread = known.get(&key).cloned().unwrap_or_else(|| {
            let routes = RouteSet::union(key.2.iter().map(|prefix| RouteSet::exactly(*prefix)));
            Arc::new(spread(fabric, Layer::Evpn, name, None, &routes, &key.1, &wanted))
        });
        found.push((key, spread));
    }
    found
}

/// Puts type-5 routes into the VRFs of a device that take them.
fn take(fabric: &Fabric<'_>, at: &Name, arrived: &[(RouteSet, Attributes)], prefixes: &[Prefix], next: &mut Tables) {
    for (set, attributes) in arrived {
        let Some(to) = attributes.next_hop else { continue };
        let importers: BTreeMap<&IfName, &Importer<'_>> = attributes
            .targets
            .iter()
            .flat_map(|target| fabric.importers(*target))
            .filter(|importer| importer.device == at)
            .map(|importer| (&importer.import.vrf, importer))
            .collect();
        for (vrf, Importer { import, .. }) in importers {
            let Some(table) = next.get_mut(&(at.clone(), vrf.clone())) else { continue };
            for prefix in prefixes.iter().filter(|prefix| set.contains(**prefix)) {
                let via = Via::Tunnel { svi: import.svi.clone(), vni: import.vni, to };
                add(table, *prefix, Kind::Evpn, attributes.clone(), via);
            }
        }
    }
}
