//! Everything that was read, with the sessions between devices.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr};
use std::sync::{Arc, OnceLock};

use leafwall_render::frr::{FamilyKind, FamilyNeighborStatement, FrrConfig};
use leafwall_render::links::Links;
use leafwall_topology::{Asn, Family, IfName, Name, PortRef, Prefix, RouteTarget};
use rustc_hash::FxHashMap;

use crate::filters::{Attributes, Filters};
use crate::ground::{Ground, Owner};
use crate::memo::Memo;
use crate::read::{Device, Devices, Import, Machines};
use crate::routes::RouteSet;
use crate::spread::{shortens, spread};

/// A session from one trusted device to another, one way, in the default VRF.
pub struct Edge<'a> {
    /// The other device.
    pub to: &'a Name,
    /// What is said on this side.
    pub out: Vec<&'a FamilyNeighborStatement>,
    /// What is said on the other side.
    pub into: Vec<&'a FamilyNeighborStatement>,
}

/// Which sessions between trusted devices.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Layer {
    /// EVPN.
    Evpn,
    /// IPv4 in the underlay.
    Underlay,
}

impl Layer {
    const fn kind(self) -> FamilyKind {
        match self {
            Self::Evpn => FamilyKind::L2vpnEvpn,
            Self::Underlay => FamilyKind::Ipv4Unicast,
        }
    }
}

/// The sessions from one device to another in a layer.
type Sessions<'a> = Memo<(Layer, &'a Name, &'a Name), Arc<[Edge<'a>]>>;

/// Neighbours of a device that routes may get to with a shorter AS path.
#[derive(Debug, Clone)]
pub struct Shortening<'a> {
    /// They.
    pub by_some: Arc<[&'a Name]>,
    /// All of which it was asked.
    pub looked_at: Arc<[&'a Name]>,
}

/// A VRF that takes type-5 routes.
pub struct Importer<'a> {
    /// Where.
    pub device: &'a Name,
    /// What it takes, and what with.
    pub import: &'a Import,
}

/// A fabric that was read back. What only some ask for is worked out once somebody does.
pub struct Fabric<'a> {
    /// What is given.
    pub ground: &'a Ground<'a>,
    /// Switches and firewall machines.
    pub devices: &'a Devices,
    /// Tenants' machines.
    pub machines: &'a Machines,
    filters: FxHashMap<&'a Name, OnceLock<Filters<'a>>>,
    sessions: Sessions<'a>,
    /// Devices that make AS paths shorter.
    shorteners: BTreeSet<&'a Name>,
    shortening: Memo<&'a Name, Shortening<'a>>,
    importers: FxHashMap<RouteTarget, Vec<Importer<'a>>>,
    vteps: BTreeMap<Ipv4Addr, &'a Device>,
    /// Tunnels' ends that are announced in the underlay, and by whom.
    announced: BTreeMap<Ipv4Addr, &'a Name>,
    /// Whether a device has a way to one, and the devices that this depends on.
    reached: Memo<(Ipv4Addr, &'a Name), (bool, Consulted<'a>)>,
}

/// Devices that something depends on: were none of them another one, it would be the same.
pub type Consulted<'a> = Arc<BTreeSet<&'a Name>>;

impl<'a> Fabric<'a> {
    /// Joins what was read.
    pub fn new(ground: &'a Ground<'a>, devices: &'a Devices, machines: &'a Machines) -> Self {
        let mut importers: FxHashMap<RouteTarget, Vec<Importer<'a>>> = FxHashMap::default();
        for (device, import) in devices.iter().flat_map(|(name, device)| device.importing().iter().map(move |import| (name, import))) {
            importers.entry(import.target).or_default().push(Importer { device, import });
        }
        Self {
            ground,
            devices,
            machines,
            filters: devices.keys().map(|name| (name, OnceLock::new())).collect(),
            sessions: Sessions::default(),
            shorteners: devices.iter().filter(|(_, device)| device.shortens()).map(|(name, _)| name).collect(),
            shortening: Memo::default(),
            importers,
            // of two with the same address the first one by name
            vteps: devices.values().rev().filter_map(|device| Some((device.vtep?, &**device))).collect(),
            announced: devices
                .iter()
                .filter(|(_, device)| device.announces_vtep())
                .filter_map(|(name, device)| Some((device.vtep?, name)))
                .collect(),
            reached: Memo::default(),
        }
    }

    /// The same fabric with fewer devices, or ports without a carrier.
    pub fn with<'b>(&'b self, devices: &'b Devices) -> Fabric<'b>
    where
        'a: 'b,
    {
        Fabric::new(self.ground, devices, self.machines)
    }

    /// A device's lists and route-maps.
    pub fn filters(&self, device: &Name) -> Option<&Filters<'a>> {
        let (name, device) = self.devices.get_key_value(device)?;
        Some(self.filters.get(name)?.get_or_init(|| Filters::of(device)))
    }

    /// A device's ASN in the default VRF.
    pub fn asn(&self, device: &Name) -> Option<Asn> {
        self.devices.get(device)?.router(None).map(|router| router.asn)
    }

    /// Who takes type-5 routes with a target.
    pub fn importers(&self, target: RouteTarget) -> &[Importer<'a>] {
        self.importers.get(&target).map_or(&[], Vec::as_slice)
    }

    /// The device whose tunnels end at an address.
    pub fn by_vtep(&self, address: Ipv4Addr) -> Option<&'a Device> {
        self.vteps.get(&address).copied()
    }

    /// Whose each tunnel's end is, and by whom the underlay hears of it.
    pub(crate) fn tunnel_ends(&self) -> (BTreeMap<Ipv4Addr, Name>, BTreeMap<Ipv4Addr, Name>) {
        let vteps = self.vteps.iter().map(|(address, device)| (*address, device.name.clone())).collect();
        (vteps, self.announced.iter().map(|(address, name)| (*address, (*name).clone())).collect())
    }

    /// Devices that make AS paths shorter.
    pub(crate) fn shorteners(&self) -> &BTreeSet<&'a Name> {
        &self.shorteners
    }

    /// The ports of a machine's Allocation that are in service: switch and port.
    pub fn ports_of(&self, server: &'a Name) -> impl Iterator<Item = (&'a Device, &'a IfName)> + '_ {
        self.ground.ports_of(server).iter().filter_map(|(device, port)| {
            let device: &Device = self.devices.get(device).filter(|device| device.is_up(port))?;
            matches!(self.ground.owner(&device.name, port), Some(Owner::Machine { .. })).then_some((device, port))
        })
    }

    /// The sessions from one device to another.
    pub fn sessions(&self, layer: Layer, from: &'a Name, to: &'a Name) -> Arc<[Edge<'a>]> {
        self.sessions.get((layer, from, to), |_| {
            let mut edges: Vec<_> =
                self.ground.between(from, to).filter_map(|(near, far)| self.edge(layer, from, &near, to, &far)).collect();
            // as they stand in the configuration
            edges.sort_by_key(|(at, _)| *at);
            edges.into_iter().map(|(_, edge)| edge).collect()
        })
    }

    /// The session over one cable, if it is up.
    fn edge(&self, layer: Layer, from: &Name, near: &IfName, to: &'a Name, far: &IfName) -> Option<(usize, Edge<'a>)> {
        let (device, other): (&'a Device, &'a Device) = (self.devices.get(from)?, self.devices.get(to)?);
        let in_underlay = |device: &Device, port: &IfName| device.is_up(port) && device.vrf_of(port).is_none();
        if !in_underlay(device, near) || !in_underlay(other, far) {
            return None;
        }
        let ((router, session), (far_router, answer)) = (device.session(near)?, other.session(far)?);
        if !answer.admits(far_router.asn, router.asn) || !session.admits(router.asn, far_router.asn) {
            return None;
        }
        let (out, into) = (session.active(router, layer.kind())?, answer.active(far_router, layer.kind())?);
        Some((device.session_place(near)?, Edge { to, out, into }))
    }

    /// Neighbours of a device that routes may get to with a shorter AS path than before.
    pub fn shortening(&self, from: &'a Name) -> Shortening<'a> {
        self.shortening.get(from, |from| self.find_shortening(from))
    }

    fn find_shortening(&self, from: &'a Name) -> Shortening<'a> {
        let near: Vec<&'a Name> = if self.shorteners.contains(from) {
            self.neighbours(from).into_iter().collect()
        } else {
            self.shorteners.iter().copied().filter(|other| self.ground.between(from, other).next().is_some()).collect()
        };
        let shortens = |to: &'a Name| {
            let (Some(here), Some(there)) = (self.filters(from), self.filters(to)) else { return false };
            [Layer::Evpn, Layer::Underlay]
                .into_iter()
                .any(|layer| self.sessions(layer, from, to).iter().any(|edge| shortens(here, there, edge)))
        };
        Shortening { by_some: near.iter().copied().filter(|to| shortens(to)).collect(), looked_at: near.into() }
    }

    /// All trusted devices that a device has a cable to.
    pub fn neighbours(&self, device: &Name) -> BTreeSet<&'a Name> {
        self.ground.cabled(device).filter_map(|name| self.devices.get_key_value(name)).map(|(name, _)| name).collect()
    }

    /// Whether the underlay has a way from a device to a tunnel's end.
    pub fn tunnel_works(&self, from: &'a Name, to: Ipv4Addr) -> (bool, Consulted<'a>) {
        let Some(owner) = self.announced.get(&to).copied() else { return (false, Consulted::default()) };
        if from == owner {
            return (true, Consulted::default());
        }
        self.reached.get((to, from), |_| {
            let route = RouteSet::exactly(Prefix::host(to.into()));
            let wanted = BTreeSet::from([from]);
            let spread = spread(self, Layer::Underlay, owner, Some(Family::V4), &route, &Attributes::plain(), &wanted);
            (spread.arrivals.contains_key(from), spread.consulted)
        })
    }
}

/// What a device announces of its own in a VRF or as a whole: the `network` statements that its addresses back.
pub fn own_networks(frr: &FrrConfig, links: &Links, kind: FamilyKind) -> Vec<Prefix> {
    let backed = |prefix: &Prefix| {
        links.links.iter().flat_map(|link| &link.addresses).any(|address| {
            Prefix::containing(address.address(), address.length()) == Some(*prefix) || Prefix::host(address.address()) == *prefix
        })
    };
    let families = frr.routers.iter().filter(|router| router.vrf.is_none()).flat_map(|router| &router.families);
    families
        .filter(|family| family.kind == kind)
        .flat_map(|family| &family.origins)
        .filter_map(|origin| if let leafwall_render::frr::Origin::Network(prefix) = origin { Some(*prefix) } else { None })
        .filter(backed)
        .collect()
}

/// The kind of address family that carries unicast routes of a family.
pub const fn unicast(family: Family) -> FamilyKind {
    match family {
        Family::V4 => FamilyKind::Ipv4Unicast,
        Family::V6 => FamilyKind::Ipv6Unicast,
    }
}

/// The ends of a machine's cable at its own side: the interface that a switch's port leads to.
pub fn far_port<'a>(ground: &'a Ground<'_>, device: &Name, port: &IfName) -> Option<&'a PortRef> {
    ground.model.graph.far_end(&PortRef { device: device.clone(), port: port.clone() })
}

/// The addresses of a machine's own interfaces.
pub fn addresses(links: &Links) -> impl Iterator<Item = IpAddr> + '_ {
    links.links.iter().flat_map(|link| link.addresses.iter().map(|address| address.address()))
}
