//! Everything that was read, with the sessions between devices.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;

use leafwall_render::frr::{FamilyKind, FamilyNeighborStatement, FrrConfig};
use leafwall_render::links::Links;
use leafwall_render::{Artefacts, FRR_CONF, LINKS_JSON};
use leafwall_topology::{Asn, Family, IfName, Name, PortRef, Prefix, RouteTarget, Vni};

use rayon::prelude::*;

use crate::domains::Domains;
use crate::filters::Filters;
use crate::ground::{Ground, Owner};
use crate::read::{Device, Devices};
use crate::sessions;
use crate::spread::shortens;

/// A machine of a tenant as its own artefacts have it: what an honest owner runs.
pub struct Machine {
    /// Its routing, if it speaks BGP.
    pub frr: Option<FrrConfig>,
    /// Its links.
    pub links: Links,
}

/// A session from one trusted device to another, one way, in the default VRF.
pub struct Edge<'a> {
    /// The other device.
    pub to: &'a Name,
    /// What is said on this side.
    pub out: Vec<&'a FamilyNeighborStatement>,
    /// What is said on the other side.
    pub into: Vec<&'a FamilyNeighborStatement>,
}

/// Sessions by the device that speaks and the one that listens.
pub type Edges<'a> = BTreeMap<&'a Name, BTreeMap<&'a Name, Vec<Edge<'a>>>>;

/// A VRF that takes type-5 routes.
pub struct Importer<'a> {
    /// Where.
    pub device: &'a Name,
    /// Which.
    pub vrf: &'a IfName,
    /// Its L3VNI.
    pub vni: Vni,
    /// The SVI of that.
    pub svi: &'a IfName,
}

/// A fabric that was read back.
pub struct Fabric<'a> {
    /// What is given.
    pub ground: &'a Ground<'a>,
    /// Switches and firewall machines.
    pub devices: &'a Devices,
    /// Which places are one network.
    pub domains: &'a Domains,
    /// Their filters.
    pub filters: BTreeMap<&'a Name, Filters<'a>>,
    /// Tenants' machines.
    pub machines: Arc<BTreeMap<Name, Machine>>,
    /// EVPN sessions.
    pub evpn: Edges<'a>,
    /// IPv4 sessions of the underlay.
    pub underlay: Edges<'a>,
    /// Neighbours that routes may get to with a shorter AS path than before.
    pub shortening: BTreeMap<&'a Name, BTreeSet<&'a Name>>,
    importers: BTreeMap<RouteTarget, Vec<Importer<'a>>>,
    vteps: BTreeMap<std::net::Ipv4Addr, &'a Device>,
}

impl<'a> Fabric<'a> {
    /// Joins what was read.
    pub fn new(ground: &'a Ground<'a>, devices: &'a Devices, domains: &'a Domains, artefacts: &BTreeMap<Name, Artefacts>) -> Self {
        let others: Vec<_> = artefacts.iter().filter(|(name, _)| !devices.contains_key(*name)).collect();
        let machines = others.into_par_iter().filter_map(|(name, files)| {
            let links = Links::parse(files.files.get(LINKS_JSON)?).ok()?;
            let frr = files.files.get(FRR_CONF).and_then(|text| FrrConfig::parse(text).ok());
            Some((name.clone(), Machine { frr, links }))
        });
        Self::of(ground, devices, domains, Arc::new(machines.collect::<Vec<_>>().into_iter().collect()))
    }

    /// The same fabric with fewer devices, or ports without a carrier.
    pub fn with<'b>(&'b self, devices: &'b Devices) -> Fabric<'b>
    where
        'a: 'b,
    {
        Fabric::of(self.ground, devices, self.domains, Arc::clone(&self.machines))
    }

    fn of(ground: &'a Ground<'a>, devices: &'a Devices, domains: &'a Domains, machines: Arc<BTreeMap<Name, Machine>>) -> Self {
        let mut fabric = Self {
            ground,
            devices,
            domains,
            filters: devices.iter().map(|(name, device)| (name, Filters::of(device))).collect(),
            machines,
            evpn: BTreeMap::new(),
            underlay: BTreeMap::new(),
            shortening: BTreeMap::new(),
            importers: importers(devices),
            // of two with the same address the first one by name
            vteps: devices.values().rev().filter_map(|device| Some((device.vtep?, &**device))).collect(),
        };
        fabric.evpn = edges(ground, devices, FamilyKind::L2vpnEvpn);
        fabric.underlay = edges(ground, devices, FamilyKind::Ipv4Unicast);
        for (from, neighbours) in fabric.evpn.iter().chain(&fabric.underlay) {
            for (to, sessions) in neighbours {
                let (Some(near), Some(far)) = (fabric.filters.get(from), fabric.filters.get(to)) else { continue };
                if sessions.iter().any(|edge| shortens(near, far, edge)) {
                    fabric.shortening.entry(from).or_default().insert(to);
                }
            }
        }
        fabric
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
    pub fn by_vtep(&self, address: std::net::Ipv4Addr) -> Option<&'a Device> {
        self.vteps.get(&address).copied()
    }

    /// The ports of a machine's Allocation that are in service: switch and port.
    pub fn ports_of(&self, server: &'a Name) -> impl Iterator<Item = (&'a Device, &'a IfName)> + '_ {
        self.ground.ports_of(server).iter().filter_map(|(device, port)| {
            let device: &Device = self.devices.get(device).filter(|device| device.is_up(port))?;
            matches!(self.ground.owner(&device.name, port), Some(Owner::Machine { .. })).then_some((device, port))
        })
    }
}

fn importers(devices: &Devices) -> BTreeMap<RouteTarget, Vec<Importer<'_>>> {
    let mut importers: BTreeMap<RouteTarget, Vec<Importer<'_>>> = BTreeMap::new();
    for (name, device) in devices {
        for (vrf, _) in device.vrfs() {
            let Some((vni, svi)) = device.l3vni(vrf) else { continue };
            for target in device.imports(vrf) {
                importers.entry(target).or_default().push(Importer { device: name, vrf, vni, svi });
            }
        }
    }
    importers
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

fn edges<'a>(ground: &Ground<'_>, devices: &'a Devices, kind: FamilyKind) -> Edges<'a> {
    let mut edges = Edges::new();
    for (name, device) in devices {
        let Some(router) = device.router(None) else { continue };
        for session in sessions::sessions(router) {
            let Some(port) = session.interface().filter(|port| device.is_up(port) && device.vrf_of(port).is_none()) else { continue };
            let Some(far) = ground.model.graph.far_end(&PortRef { device: name.clone(), port }) else { continue };
            let Some((to, other)) = devices.get_key_value(&far.device) else { continue };
            let Some(far_router) = other.router(None).filter(|_| other.is_up(&far.port) && other.vrf_of(&far.port).is_none()) else {
                continue;
            };
            let answers = sessions::sessions(far_router).find(|session| session.interface().as_ref() == Some(&far.port));
            let Some(answer) = answers.filter(|answer| answer.admits(far_router.asn, router.asn)) else { continue };
            if !session.admits(router.asn, far_router.asn) {
                continue;
            }
            if let (Some(out), Some(into)) = (session.active(router, kind), answer.active(far_router, kind)) {
                edges.entry(name).or_default().entry(to).or_default().push(Edge { to, out, into });
            }
        }
    }
    edges
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
