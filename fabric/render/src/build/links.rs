//! links.json from a device's plan.

pub(super) mod ports;
mod server;
mod sysctls;

use std::collections::BTreeMap;
use std::net::IpAddr;

use leafwall_plan::device::{Device, DevicePlan, FirewallPlan, Router, SwitchPlan};
use leafwall_topology::names::{bridge, svi, vrf, vxlan};
use leafwall_topology::{Family, HostAddress, IfName, MacAddr, Mtu, Prefix, VlanId, Vni};
use thiserror::Error;

use super::switch::segments;
use crate::links::{
    BridgePort, Forwarding, LINKS_VERSION, Link, LinkKind, LinkLocal, LinkState, Links, LocalTable, Route, RouteTargetKind, VniMap,
};

/// The metric of a VRF's last route: the highest that FRR's own routes stay below, as the kernel's documentation of VRF has it.
const LAST_RESORT: u32 = 4_278_198_272;

/// A plan that no links can be made of.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum LinksError {
    /// The name of a tagged subinterface is longer than the kernel takes.
    #[error("`{port}.{vlan}` is too long for an interface")]
    SubinterfaceName {
        /// The port.
        port: IfName,
        /// The tag.
        vlan: VlanId,
    },
}

/// The kernel links of a device.
pub fn links(plan: &DevicePlan) -> Result<Links, LinksError> {
    match &plan.device {
        Device::Switch(switch) => switch_links(switch),
        Device::Firewall(machine) => Ok(firewall_links(machine)),
        Device::Routed(machine) => Ok(server::routed(machine)),
        Device::Bridged(machine) => Ok(server::bridged(machine)),
    }
}

/// A link of which nothing is said but that it is up.
fn link(name: IfName, kind: LinkKind) -> Link {
    Link {
        name,
        kind,
        mtu: None,
        mac: None,
        master: None,
        addresses: Vec::new(),
        state: LinkState::Up,
        link_local: LinkLocal::Eui64,
        bridge_port: None,
    }
}

/// `lo` with these addresses, each alone.
fn loopback(addresses: impl IntoIterator<Item = IpAddr>) -> Option<Link> {
    let mut link = link("lo".parse().ok()?, LinkKind::Loopback {});
    link.addresses = addresses.into_iter().map(HostAddress::alone).collect();
    link.addresses.sort_unstable();
    link.addresses.dedup();
    Some(link)
}

/// One network on a VTEP: its VRF with source addresses for what the device itself says in it (packet-too-big, traceroute), and more of its own.
struct Tenant {
    vni: Vni,
    vlan: VlanId,
    addresses: Vec<IpAddr>,
}

impl Tenant {
    fn vrf(&self, router: &Router) -> Link {
        let mut device = link(vrf(self.vni), LinkKind::Vrf { table: self.vni.get() });
        device.mtu = Some(Mtu::MACHINE);
        let sources = [IpAddr::V4(router.loopback), IpAddr::V6(router.source_v6)];
        device.addresses = sources.into_iter().chain(self.addresses.iter().copied()).map(HostAddress::alone).collect();
        device.addresses.sort_unstable();
        device.addresses.dedup();
        device
    }

    /// The SVI of the L3VNI. All of a device's carry its one router MAC (H2).
    fn svi(&self, router: &Router) -> Link {
        let mut device = link(svi(self.vlan), LinkKind::Vlan { lower: bridge(), id: self.vlan });
        device.mtu = Some(Mtu::MACHINE);
        device.mac = Some(router.router_mac);
        device.master = Some(vrf(self.vni));
        device.link_local = LinkLocal::None;
        device
    }

    /// The last routes of a VRF: a lookup that finds nothing must not go on in the main table.
    fn routes(&self) -> impl Iterator<Item = Route> {
        let table = self.vni.get();
        Family::BOTH.into_iter().map(move |family| Route {
            table,
            prefix: Prefix::any(family),
            target: RouteTargetKind::Unreachable {},
            metric: LAST_RESORT,
        })
    }
}

/// A bridged segment on a leaf.
struct Segment {
    tenant: Vni,
    vni: Vni,
    vlan: VlanId,
    gateways: Vec<HostAddress>,
}

impl Segment {
    /// The anycast gateway: the same addresses, IP and MAC, on every leaf.
    fn svi(&self, anycast: MacAddr) -> Link {
        let mut device = link(svi(self.vlan), LinkKind::Vlan { lower: bridge(), id: self.vlan });
        device.mtu = Some(Mtu::MACHINE);
        device.mac = Some(anycast);
        device.master = Some(vrf(self.tenant));
        device.addresses.clone_from(&self.gateways);
        device.addresses.sort_unstable();
        device
    }
}

/// What all VTEPs have in common.
struct Vtep<'a> {
    router: &'a Router,
    tenants: Vec<Tenant>,
    segments: Vec<Segment>,
    anycast: Option<MacAddr>,
    maximum_macs: u32,
}

impl Vtep<'_> {
    fn maps(&self) -> Vec<VniMap> {
        let tenants = self.tenants.iter().map(|tenant| VniMap { vni: tenant.vni, vlan: tenant.vlan });
        let segments = self.segments.iter().map(|segment| VniMap { vni: segment.vni, vlan: segment.vlan });
        let mut maps: Vec<_> = tenants.chain(segments).collect();
        maps.sort_unstable();
        maps
    }

    fn bridge(&self, maps: &[VniMap]) -> Link {
        let mut vlans: Vec<_> = maps.iter().map(|map| map.vlan).collect();
        vlans.sort_unstable();
        let mut device = link(bridge(), LinkKind::Bridge { maximum_macs: self.maximum_macs, vlans });
        device.mtu = Some(Mtu::FABRIC);
        device.mac = Some(self.router.router_mac);
        device.link_local = LinkLocal::None;
        device
    }

    fn vxlan(&self, vnis: Vec<VniMap>) -> Link {
        let mut device = link(vxlan(), LinkKind::Vxlan { local: self.router.loopback, vnis });
        device.mtu = Some(Mtu::MACHINE);
        device.master = Some(bridge());
        device.link_local = LinkLocal::None;
        device.bridge_port = Some(BridgePort::Tunnel {});
        device
    }

    /// All links in order of creation: masters, ports, the VXLAN device, gateways, and the L3VNIs' SVIs last (H1).
    fn links(&self, ports: Vec<Link>) -> Vec<Link> {
        let mut links: Vec<_> = loopback([self.router.loopback.into()]).into_iter().collect();
        links.extend(self.tenants.iter().map(|tenant| tenant.vrf(self.router)));
        let maps = self.maps();
        // a spine is no VTEP
        if !maps.is_empty() {
            links.push(self.bridge(&maps));
        }
        links.extend(ports);
        if !maps.is_empty() {
            links.push(self.vxlan(maps));
        }
        if let Some(anycast) = self.anycast {
            links.extend(self.segments.iter().map(|segment| segment.svi(anycast)));
        }
        links.extend(self.tenants.iter().map(|tenant| tenant.svi(self.router)));
        links
    }

    fn routes(&self) -> Vec<Route> {
        let mut routes: Vec<_> = self.tenants.iter().flat_map(Tenant::routes).collect();
        routes.sort();
        routes
    }
}

fn switch_links(plan: &SwitchPlan) -> Result<Links, LinksError> {
    let mut owners = BTreeMap::new();
    for network in &plan.vrfs {
        owners.extend(network.subnets.iter().map(|subnet| (subnet.vni, network.vni)));
    }
    if let Some(provisioning) = &plan.provisioning {
        owners.insert(provisioning.subnet.vni, provisioning.vrf_vni);
    }
    let segments = segments(plan).filter_map(|subnet| {
        let gateways = subnet.gateways.iter().map(|gateway| gateway.gateway).collect();
        owners.get(&subnet.vni).map(|&tenant| Segment { tenant, vni: subnet.vni, vlan: subnet.vlan, gateways })
    });
    let vtep = Vtep {
        router: &plan.router,
        tenants: plan.vrfs.iter().map(|vrf| Tenant { vni: vrf.vni, vlan: vrf.vlan, addresses: Vec::new() }).collect(),
        segments: segments.collect(),
        anycast: Some(plan.anycast_mac),
        maximum_macs: ports::maximum_macs(plan),
    };
    let mut sysctls = sysctls::router();
    for segment in &vtep.segments {
        sysctls::gateway(&mut sysctls, &svi(segment.vlan));
    }
    Ok(Links {
        version: LINKS_VERSION,
        forwarding: Forwarding::Immediate,
        local_table: LocalTable::AfterVrfs,
        sysctls,
        links: vtep.links(ports::of_switch(plan)?),
        routes: vtep.routes(),
    })
}

fn firewall_links(plan: &FirewallPlan) -> Links {
    let tenant = |vrf: &leafwall_plan::device::FirewallVrfPlan| Tenant { vni: vrf.vni, vlan: vrf.vlan, addresses: vrf.addresses.clone() };
    let vtep = Vtep {
        router: &plan.router,
        tenants: plan.vrfs.iter().map(tenant).collect(),
        segments: Vec::new(),
        anycast: None,
        maximum_macs: 0,
    };
    Links {
        version: LINKS_VERSION,
        forwarding: Forwarding::AfterRuleset,
        local_table: LocalTable::AfterVrfs,
        sysctls: sysctls::router(),
        links: vtep.links(plan.uplinks.iter().map(ports::fabric).collect()),
        routes: vtep.routes(),
    }
}
