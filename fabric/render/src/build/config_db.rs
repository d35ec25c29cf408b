//! CONFIG_DB from a SONiC switch's plan.

use std::net::IpAddr;

use leafwall_plan::device::{SonicPlan, SonicPort, SubnetPlan, SwitchPlan, VrfPlan};
use leafwall_topology::names::sonic::{self, MANAGEMENT_PORT, TUNNEL, UNDERLAY_LOOPBACK, VLAN_MARK};
use leafwall_topology::{HostAddress, IfName, Name, VlanId, Vni};

use super::switch::segments;
use crate::config_db::{
    AdminStatus, Enabled, Feature, InterfaceKey, InterfaceRow, ManagementInterface, ManagementPort, ManagementVrf, Member, Metadata,
    NeighborSuppression, Nothing, Ntp, Nvo, OnOff, Pair, Plain, PortRow, RoutingMode, Sag, State, SyslogServer, Tables, Tagging, Tunnel,
    TunnelMap, VlanRow, VrfRow,
};

/// The only row of the table of the switch itself.
const LOCALHOST: &str = "localhost";
/// The VRF of the management port.
const MANAGEMENT_VRF: &str = "mgmt";

/// The tables of a switch; `None` for one that does not run SONiC.
pub fn config_db(name: &Name, plan: &SwitchPlan) -> Option<Tables> {
    let sonic = plan.sonic.as_ref()?;
    let mut tables = Tables::default();
    tables.metadata.insert(
        LOCALHOST.to_owned(),
        Metadata {
            hostname: Plain(name.clone()),
            hwsku: sonic.sku.clone(),
            platform: sonic.platform.clone(),
            mac: plan.router.router_mac,
            bgp_asn: Plain(plan.router.asn),
            docker_routing_config_mode: RoutingMode::SplitUnified,
            frr_mgmt_framework_config: Plain(false),
        },
    );
    for feature in features(plan) {
        tables.features.insert(feature.to_owned(), Feature { state: State::Enabled });
    }
    tables.ports.extend(sonic.ports.iter().map(|port| (port.name.clone(), row_of_port(port))));
    underlay(plan, &mut tables);
    for network in &plan.vrfs {
        vrf(plan, network, &mut tables);
    }
    for port in &plan.access_ports {
        member(&mut tables, port.vlan, &port.port);
    }
    if let Some(provisioning) = &plan.provisioning {
        provisioning.ports.iter().for_each(|port| member(&mut tables, provisioning.subnet.vlan, port));
        relay(&mut tables, provisioning.subnet.vlan, &provisioning.dhcp_servers);
    }
    services(plan, sonic, &mut tables);
    Some(tables)
}

/// Services that have to run: routing, who is at the other end of a cable, and DHCP's relay where there is something to relay.
fn features(plan: &SwitchPlan) -> impl Iterator<Item = &'static str> {
    let relays = plan.provisioning.as_ref().is_some_and(|provisioning| !provisioning.dhcp_servers.is_empty());
    ["bgp", "lldp"].into_iter().chain(relays.then_some("dhcp_relay"))
}

fn row_of_port(port: &SonicPort) -> PortRow {
    PortRow {
        alias: port.alias.clone(),
        index: Plain(port.index),
        lanes: port.lanes.iter().map(ToString::to_string).collect::<Vec<_>>().join(","),
        speed: Plain(port.speed),
        mtu: Plain(port.mtu),
        admin_status: if port.up { AdminStatus::Up } else { AdminStatus::Down },
        fec: port.fec.clone(),
        autoneg: port.autoneg.map(|on| if on { OnOff::On } else { OnOff::Off }),
        description: port.peer.clone(),
    }
}

/// A row of its own for the interface, and one for each of its addresses.
fn interface(name: &IfName, row: InterfaceRow, addresses: impl IntoIterator<Item = HostAddress>) -> Vec<(InterfaceKey, InterfaceRow)> {
    let own = (InterfaceKey::of(name.clone()), row);
    let addresses = addresses.into_iter().map(|address| (InterfaceKey::address(name.clone(), address), InterfaceRow::default()));
    std::iter::once(own).chain(addresses).collect()
}

/// What speaks BGP unnumbered: IPv6 with a link-local address and no other.
fn unnumbered(vrf_name: Option<IfName>) -> InterfaceRow {
    InterfaceRow { vrf_name, ipv6_use_link_local_only: Some(Enabled::Enable), ..InterfaceRow::default() }
}

fn in_vrf(vni: Vni) -> InterfaceRow {
    InterfaceRow { vrf_name: Some(sonic::vrf(vni)), ..InterfaceRow::default() }
}

/// The loopback, ports to other devices, and the VTEP where there are networks.
fn underlay(plan: &SwitchPlan, tables: &mut Tables) {
    if let Ok(loopback) = UNDERLAY_LOOPBACK.parse() {
        let address = HostAddress::alone(plan.router.loopback.into());
        tables.loopbacks.extend(interface(&loopback, InterfaceRow::default(), [address]));
    }
    let ports = plan.fabric_ports.iter().map(|port| &port.port).chain(plan.firewall_ports.iter().map(|port| &port.port));
    for port in ports {
        tables.interfaces.extend(interface(port, unnumbered(None), []));
    }
    if plan.vrfs.is_empty() {
        return;
    }
    tables.tunnels.insert(TUNNEL.to_owned(), Tunnel { src_ip: plan.router.loopback });
    tables.nvos.insert(TUNNEL.to_owned(), Nvo { source_vtep: TUNNEL.to_owned() });
    if segments(plan).next().is_some() {
        tables.sag.insert("GLOBAL".to_owned(), Sag { gateway_mac: plan.anycast_mac });
    }
}

/// A VLAN of ours that stands for a VNI.
fn vlan(tables: &mut Tables, vlan: VlanId, vni: Vni) -> IfName {
    let name = sonic::vlan(vlan);
    let row =
        VlanRow { vlanid: Plain(vlan), description: Some(VLAN_MARK.to_owned()), dhcp_servers: Vec::new(), dhcpv6_servers: Vec::new() };
    tables.vlans.insert(name.clone(), row);
    tables.maps.insert(Pair(TUNNEL.to_owned(), sonic::map(vni, vlan)), TunnelMap { vlan: name.clone(), vni: Plain(vni) });
    name
}

/// A network: its VRF with source addresses for what the switch itself says in it, the L3VNI with its SVI, its segments and ports.
fn vrf(plan: &SwitchPlan, network: &VrfPlan, tables: &mut Tables) {
    tables.vrfs.insert(sonic::vrf(network.vni), VrfRow { vni: Some(Plain(network.vni)) });
    let sources = [IpAddr::V4(plan.router.loopback), IpAddr::V6(plan.router.source_v6)].map(HostAddress::alone);
    tables.loopbacks.extend(interface(&sonic::loopback(network.vlan), in_vrf(network.vni), sources));
    let svi = vlan(tables, network.vlan, network.vni);
    tables.svis.extend(interface(&svi, in_vrf(network.vni), []));
    for subnet in &network.subnets {
        segment(tables, network.vni, subnet);
    }
    for port in &network.routed_ports {
        tables.interfaces.extend(interface(&port.port, unnumbered(Some(sonic::vrf(network.vni))), []));
    }
    for peer in &network.external_peers {
        if peer.vlan.is_none() {
            tables.interfaces.extend(interface(&peer.interface, in_vrf(network.vni), [peer.local_address]));
        } else if let Some(name) = super::external::device(peer) {
            let row = InterfaceRow { admin_status: Some(AdminStatus::Up), ..in_vrf(network.vni) };
            tables.subinterfaces.extend(interface(&name, row, [peer.local_address]));
        }
    }
}

/// A bridged segment with its anycast gateway.
fn segment(tables: &mut Tables, vrf: Vni, subnet: &SubnetPlan) {
    let svi = vlan(tables, subnet.vlan, subnet.vni);
    tables.suppressions.insert(svi.clone(), NeighborSuppression { suppress: OnOff::On });
    let row = InterfaceRow { static_anycast_gateway: Some(Plain(true)), ..in_vrf(vrf) };
    tables.svis.extend(interface(&svi, row, subnet.gateways.iter().map(|gateway| gateway.gateway)));
}

fn member(tables: &mut Tables, vlan: VlanId, port: &IfName) {
    tables.members.insert(Pair(sonic::vlan(vlan), port.clone()), Member { tagging_mode: Tagging::Untagged });
}

fn relay(tables: &mut Tables, vlan: VlanId, servers: &[IpAddr]) {
    let Some(row) = tables.vlans.get_mut(&sonic::vlan(vlan)) else { return };
    for server in servers {
        match server {
            IpAddr::V4(server) => row.dhcp_servers.push(*server),
            IpAddr::V6(server) => row.dhcpv6_servers.push(*server),
        }
    }
}

/// Management and the services that go out there.
fn services(plan: &SwitchPlan, sonic: &SonicPlan, tables: &mut Tables) {
    let mut vrf = None;
    if let Some((management, gateway)) = sonic.management.and_then(|management| Some((management, management.gateway?)))
        && let Ok(port) = MANAGEMENT_PORT.parse::<IfName>()
    {
        vrf = Some(MANAGEMENT_VRF.to_owned());
        let row = ManagementPort { admin_status: AdminStatus::Up, alias: MANAGEMENT_PORT.to_owned() };
        tables.management_ports.insert(port.clone(), row);
        tables.management.insert(Pair(port, management.address), ManagementInterface { gwaddr: gateway });
        tables.management_vrf.insert("vrf_global".to_owned(), ManagementVrf { enabled: Plain(true) });
    }
    if !plan.common.ntp.is_empty() {
        let row = Ntp { vrf: vrf.clone().unwrap_or_else(|| "default".to_owned()) };
        tables.ntp.insert("global".to_owned(), row);
    }
    tables.ntp_servers.extend(plan.common.ntp.iter().map(|server| (*server, Nothing {})));
    tables.resolvers.extend(plan.common.dns.iter().map(|server| (*server, Nothing {})));
    tables.syslog.extend(plan.common.syslog.iter().map(|server| (*server, SyslogServer { vrf: vrf.clone() })));
}
