//! Everything that was read, with the sessions between devices.

use std::collections::BTreeMap;
use std::net::IpAddr;

use leafwall_render::frr::{FamilyKind, FamilyNeighborStatement, FrrConfig};
use leafwall_render::links::Links;
use leafwall_render::{Artefacts, FRR_CONF, LINKS_JSON};
use leafwall_topology::{Asn, Family, IfName, Name, PortRef, Prefix};

use crate::domains::Domains;
use crate::filters::Filters;
use crate::ground::{Ground, Owner};
use crate::read::Device;
use crate::sessions;

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

/// A fabric that was read back.
pub struct Fabric<'a> {
    /// What is given.
    pub ground: &'a Ground<'a>,
    /// Switches and firewall machines.
    pub devices: &'a BTreeMap<Name, Device>,
    /// Which places are one network.
    pub domains: &'a Domains,
    /// Their filters.
    pub filters: BTreeMap<&'a Name, Filters<'a>>,
    /// Tenants' machines.
    pub machines: BTreeMap<Name, Machine>,
    /// EVPN sessions.
    pub evpn: BTreeMap<&'a Name, Vec<Edge<'a>>>,
    /// IPv4 sessions of the underlay.
    pub underlay: BTreeMap<&'a Name, Vec<Edge<'a>>>,
}

impl<'a> Fabric<'a> {
    /// Joins what was read.
    pub fn new(
        ground: &'a Ground<'a>,
        devices: &'a BTreeMap<Name, Device>,
        domains: &'a Domains,
        artefacts: &BTreeMap<Name, Artefacts>,
    ) -> Self {
        let machines = artefacts.iter().filter(|(name, _)| !devices.contains_key(*name)).filter_map(|(name, files)| {
            let links = Links::parse(files.files.get(LINKS_JSON)?).ok()?;
            let frr = files.files.get(FRR_CONF).and_then(|text| FrrConfig::parse(text).ok());
            Some((name.clone(), Machine { frr, links }))
        });
        let mut fabric = Self {
            ground,
            devices,
            domains,
            filters: devices.iter().map(|(name, device)| (name, Filters::new(&device.frr))).collect(),
            machines: machines.collect(),
            evpn: BTreeMap::new(),
            underlay: BTreeMap::new(),
        };
        fabric.evpn = edges(ground, devices, FamilyKind::L2vpnEvpn);
        fabric.underlay = edges(ground, devices, FamilyKind::Ipv4Unicast);
        fabric
    }

    /// A device's ASN in the default VRF.
    pub fn asn(&self, device: &Name) -> Option<Asn> {
        self.devices.get(device)?.router(None).map(|router| router.asn)
    }

    /// The device whose tunnels end at an address.
    pub fn by_vtep(&self, address: std::net::Ipv4Addr) -> Option<&'a Device> {
        self.devices.values().find(|device| device.vtep == Some(address))
    }

    /// The ports of a machine's Allocation that are in service: switch and port.
    pub fn ports_of(&self, server: &'a Name) -> impl Iterator<Item = (&'a Device, &'a IfName)> + '_ {
        self.ground.owners().filter_map(move |(device, port, owner)| match owner {
            Owner::Machine { server: here, .. } if here == server => {
                self.devices.get(device).filter(|device| device.is_up(port)).map(|device| (device, port))
            }
            _ => None,
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

fn edges<'a>(ground: &Ground<'_>, devices: &'a BTreeMap<Name, Device>, kind: FamilyKind) -> BTreeMap<&'a Name, Vec<Edge<'a>>> {
    let mut edges: BTreeMap<&Name, Vec<Edge<'_>>> = BTreeMap::new();
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
                edges.entry(name).or_default().push(Edge { to, out, into });
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
