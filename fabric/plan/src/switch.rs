//! Spines, leaves and exits.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use leafwall_intent::model::{Allocation, Network, NetworkType, Switch};
use leafwall_topology::{Asn, Family, HostAddress, IfName, Mtu, Name, Prefix, Vni};

use crate::context::{Context, PlanError};
use crate::device::{
    AccessPort, Advertise, ExternalPeerPlan, FabricPort, Leak, LeakScope, Lengths, PrefixMatch, ProvisioningPlan, RoutedPort,
    SubnetGateway, SubnetPlan, SwitchPlan, VrfPlan,
};
use crate::exchange::behind_default;
use crate::firewall_port;
use crate::holdings::{PortUse, direct_networks, has_provisioning, peers, port_use, switch_networks};
use crate::index::ServerPort;
use crate::matches::Matches;
use crate::sonic;

/// How many routes of a family a routed server may announce: pods and services are summarised per host, so hundreds are an accident.
const MAXIMUM_PREFIXES_SERVER: u32 = 1000;
/// How many routes an external peer may announce. Only prefixes that are listed pass the filter, so this bounds lists nobody has read.
const MAXIMUM_PREFIXES_EXTERNAL: u32 = 1000;
/// How many MAC addresses a machine's port may have (H41): its own, those of a few virtual machines, and room for a change of them.
const MAXIMUM_MACS: u32 = 64;
/// The name that the provisioning VRF goes by in descriptions. It has a space of its own: no Network is called so by any check, and none needs to be.
const PROVISIONING: &str = "provisioning";

/// What a pass over a switch's server ports finds.
#[derive(Default)]
struct Ports {
    routed: BTreeMap<Name, Vec<RoutedPort>>,
    segments: BTreeMap<Name, BTreeSet<Vni>>,
    access: Vec<AccessPort>,
    firewalls: Vec<crate::device::FirewallPort>,
    unallocated: Vec<IfName>,
    asns: BTreeSet<Asn>,
}

/// The plan of a switch.
pub(crate) fn plan(ctx: &Context<'_>, switch: &Switch) -> Result<SwitchPlan, PlanError> {
    let mut ports = server_ports(ctx, switch)?;
    let direct = direct_networks(ctx.model, ctx.index, &switch.name);
    let mut vrfs = Vec::new();
    for name in switch_networks(ctx.model, ctx.index, &switch.name) {
        let network = ctx.network(&name)?;
        vrfs.push(vrf(ctx, switch, network, direct.contains(&name), &mut ports)?);
    }
    let unallocated = std::mem::take(&mut ports.unallocated);
    let (provisioning, mut shut_ports) = match provisioning(ctx, switch)? {
        Some((vrf, mut plan)) => {
            vrfs.push(vrf);
            plan.ports = unallocated;
            (Some(plan), Vec::new())
        }
        None => (None, unallocated),
    };
    shut_ports.extend(idle_ports(ctx, switch));
    shut_ports.sort();
    vrfs.sort_by_key(|vrf| vrf.vni);
    let mut plan = SwitchPlan {
        role: switch.role,
        platform: switch.platform,
        version: switch.version.clone().unwrap_or_else(|| switch.platform.profile().newest_tested.to_owned()),
        router: ctx.router(&switch.name)?,
        common: Arc::clone(ctx.common),
        anycast_mac: ctx.model.fabric.anycast_mac,
        maintenance: switch.maintenance,
        fabric_ports: fabric_ports(ctx, switch)?,
        firewall_ports: ports.firewalls,
        vrfs,
        access_ports: ports.access,
        provisioning,
        shut_ports,
        own_asns: ports.asns.into_iter().collect(),
        sonic: None,
    };
    plan.sonic = sonic::plan(switch, &plan)?;
    Ok(plan)
}

fn port_mtu(switch: &Switch, port: &IfName, usual: Mtu) -> Mtu {
    switch.ports.get(port).and_then(|settings| settings.mtu).unwrap_or(usual)
}

fn fabric_ports(ctx: &Context<'_>, switch: &Switch) -> Result<Vec<FabricPort>, PlanError> {
    let mut ports = Vec::new();
    for (port, far) in ctx.index.fabric_ports.of(&switch.name) {
        ports.push(FabricPort {
            port: port.clone(),
            mtu: port_mtu(switch, port, ctx.model.fabric.mtu),
            peer: far.device.clone(),
            peer_port: far.port.clone(),
            peer_asn: ctx.asn(&far.device)?,
        });
    }
    Ok(ports)
}

fn server_ports(ctx: &Context<'_>, switch: &Switch) -> Result<Ports, PlanError> {
    let mut ports = Ports::default();
    for server_port in ctx.index.server_ports.of(&switch.name) {
        let ServerPort { port, server, .. } = server_port;
        match port_use(ctx.model, ctx.index, server) {
            PortUse::Routed(name) => {
                let allocation = ctx.allocation(name)?;
                let asn = ctx.asn(server)?;
                ports.asns.insert(asn);
                let accept = routed_accept(ctx, allocation)?;
                ports.routed.entry(allocation.network.clone()).or_default().push(RoutedPort {
                    port: port.clone(),
                    mtu: port_mtu(switch, port, Mtu::MACHINE),
                    server: server.clone(),
                    asn,
                    accept,
                    maximum_prefix: MAXIMUM_PREFIXES_SERVER,
                });
            }
            PortUse::Bridged(name) => {
                let allocation = ctx.allocation(name)?;
                let segment = ctx.table.segment_of(&allocation.network, name);
                let vni = segment.map(|s| s.vni).ok_or_else(|| PlanError { what: "segment of allocation", name: name.to_string() })?;
                ports.segments.entry(allocation.network.clone()).or_default().insert(vni);
                ports.access.push(AccessPort {
                    port: port.clone(),
                    mtu: port_mtu(switch, port, Mtu::MACHINE),
                    server: server.clone(),
                    vlan: ctx.vlan(&switch.name, vni)?,
                    maximum_macs: MAXIMUM_MACS,
                });
            }
            PortUse::Firewall(name, position) => {
                let firewall = ctx.firewall(name)?;
                ports.asns.insert(ctx.asn(server)?);
                let mtu = port_mtu(switch, port, ctx.model.fabric.mtu);
                ports.firewalls.push(firewall_port::plan(ctx, firewall, position, server_port, mtu)?);
            }
            PortUse::Unallocated => ports.unallocated.push(port.clone()),
        }
    }
    Ok(ports)
}

/// What a routed server may announce (H20, H22): host routes in its network's prefixes, the network's `announce` prefixes, and its tenant's Addresses
/// but those that a firewall translates to and those that are bound to another server.
fn routed_accept(ctx: &Context<'_>, allocation: &Allocation) -> Result<Vec<PrefixMatch>, PlanError> {
    let network = ctx.network(&allocation.network)?;
    let mut accept = Matches::default();
    accept.extend(&network.prefixes, Lengths::Hosts);
    accept.extend(&network.announce, Lengths::UpToHosts);
    for address in ctx.addresses_of(&allocation.tenant) {
        let bound_elsewhere = address.server.as_ref().is_some_and(|server| *server != allocation.server);
        if !bound_elsewhere && !ctx.index.egress.has(&address.name) {
            ctx.elastic(address).iter().for_each(|host| accept.add(Prefix::host(*host), Lengths::Exact));
        }
    }
    Ok(accept.into_vec())
}

fn vrf(ctx: &Context<'_>, switch: &Switch, network: &Network, direct: bool, ports: &mut Ports) -> Result<VrfPlan, PlanError> {
    let vni = ctx.vni(&network.name)?;
    let mut subnets = Vec::new();
    for segment_vni in ports.segments.remove(&network.name).unwrap_or_default() {
        let segment = ctx.table.segments(&network.name).iter().find(|segment| segment.vni == segment_vni);
        let members = segment.map_or(&[][..], |segment| &segment.subnets);
        let gateways = network.subnets.iter().filter(|subnet| members.contains(&subnet.prefix));
        let mut gateways: Vec<SubnetGateway> = gateways.filter_map(|subnet| gateway(subnet.prefix, subnet.gateway)).collect();
        gateways.sort();
        let (vlan, rd) = (ctx.vlan(&switch.name, segment_vni)?, ctx.rd(&switch.name, segment_vni)?);
        subnets.push(SubnetPlan { gateways, vni: segment_vni, vlan, rd });
    }
    let external_peers = external_peers(ctx, switch, network);
    ports.asns.extend(external_peers.iter().map(|peer| peer.asn));
    let mut aggregates: Vec<Prefix> = external_peers.iter().flat_map(|peer| &peer.export).map(|m| m.prefix).collect();
    aggregates.retain(|prefix| !prefix.is_default() && !prefix.is_host());
    aggregates.sort();
    aggregates.dedup();
    Ok(VrfPlan {
        network: network.name.clone(),
        vni,
        vlan: ctx.vlan(&switch.name, vni)?,
        rd: ctx.rd(&switch.name, vni)?,
        routed_ports: ports.routed.remove(&network.name).unwrap_or_default(),
        subnets,
        advertise: advertise(network, &external_peers, &aggregates),
        external_peers,
        leaks: if direct { leaks(ctx, network)? } else { Vec::new() },
        aggregates,
    })
}

fn gateway(prefix: Prefix, gateway: std::net::IpAddr) -> Option<SubnetGateway> {
    HostAddress::new(gateway, prefix.length()).map(|gateway| SubnetGateway { prefix, gateway })
}

/// Routes of the networks that meet this one by a Peering. Only where servers of this network are: nobody else uses its VRF here.
fn leaks(ctx: &Context<'_>, network: &Network) -> Result<Vec<Leak>, PlanError> {
    let mut by_source: BTreeMap<Vni, (Matches, BTreeSet<Prefix>)> = BTreeMap::new();
    for (other, peering) in peers(ctx.model, ctx.index, &network.name) {
        let peering = ctx.model.peerings.get(peering);
        let sides = || peering.into_iter().flat_map(|p| &p.sides);
        let prefixes = |of: Name| sides().filter(move |side| side.network == of).flat_map(|side| &side.prefixes);
        let (matches, senders) = by_source.entry(ctx.vni(other)?).or_default();
        senders.extend(prefixes(network.name.clone()).copied());
        // host routes, too: those of routed servers are all there is of a prefix
        matches.extend(prefixes(other.clone()), Lengths::UpToHosts);
    }
    let leak = |(from, (matches, senders)): (Vni, (Matches, BTreeSet<Prefix>))| Leak {
        from,
        prefixes: matches.into_vec(),
        scope: LeakScope::Local,
        senders: senders.into_iter().collect(),
    };
    Ok(by_source.into_iter().map(leak).collect())
}

fn external_peers(ctx: &Context<'_>, switch: &Switch, network: &Network) -> Vec<ExternalPeerPlan> {
    let list = |prefixes: &[Prefix], family: Family| {
        let mut matches = Matches::default();
        matches.extend(prefixes.iter().filter(|p| p.family() == family), Lengths::Exact);
        matches.into_vec()
    };
    let mut peers: Vec<ExternalPeerPlan> = Vec::new();
    for peer in network.peers.iter().filter(|peer| peer.exit == switch.name) {
        let family = Family::of(peer.peer_address);
        let export = if peer.export.is_empty() { &network.prefixes } else { &peer.export };
        peers.push(ExternalPeerPlan {
            interface: peer.interface.clone(),
            vlan: peer.vlan,
            local_address: peer.local_address,
            peer_address: peer.peer_address,
            asn: peer.asn,
            mtu: peer.mtu,
            password_ref: peer.password_ref.clone(),
            import: list(&peer.import, family),
            export: list(export, family),
            maximum_prefix: MAXIMUM_PREFIXES_EXTERNAL,
        });
    }
    debug_assert!(peers.is_empty() || ctx.index.networks_of_exit.has(&switch.name));
    peers.sort_by(|a, b| (&a.interface, a.vlan, a.peer_address).cmp(&(&b.interface, b.vlan, b.peer_address)));
    peers
}

/// An exit passes on what it learned from outside, and a default route only where the network's destinations have it; and the network's own prefixes as one
/// route each where there is no default that leads to them.
fn advertise(network: &Network, peers: &[ExternalPeerPlan], aggregates: &[Prefix]) -> Advertise {
    if network.kind != NetworkType::External {
        return Advertise::Own;
    }
    let mut only = Matches::default();
    for prefix in peers.iter().flat_map(|peer| &peer.import).map(|m| m.prefix) {
        if !prefix.is_default() || network.destinations.contains(&prefix) {
            only.add(prefix, Lengths::Exact);
        }
    }
    let own = aggregates.iter().filter(|prefix| network.prefixes.contains(prefix) && !behind_default(network, **prefix));
    only.extend(own, Lengths::Exact);
    Advertise::Only(only.into_vec())
}

fn provisioning(ctx: &Context<'_>, switch: &Switch) -> Result<Option<(VrfPlan, ProvisioningPlan)>, PlanError> {
    let Some(settings) = ctx.model.fabric.provisioning.as_ref().filter(|_| has_provisioning(ctx.model, ctx.index, &switch.name)) else {
        return Ok(None);
    };
    let none = || PlanError { what: "VNI of network", name: PROVISIONING.to_owned() };
    let (vrf_vni, segment_vni) = ctx.table.provisioning().ok_or_else(none)?;
    let subnet = SubnetPlan {
        gateways: gateway(settings.prefix, settings.gateway).into_iter().collect(),
        vni: segment_vni,
        vlan: ctx.vlan(&switch.name, segment_vni)?,
        rd: ctx.rd(&switch.name, segment_vni)?,
    };
    let vrf = VrfPlan {
        network: PROVISIONING.parse().map_err(|_| none())?,
        vni: vrf_vni,
        vlan: ctx.vlan(&switch.name, vrf_vni)?,
        rd: ctx.rd(&switch.name, vrf_vni)?,
        routed_ports: Vec::new(),
        subnets: vec![subnet.clone()],
        external_peers: Vec::new(),
        leaks: Vec::new(),
        aggregates: Vec::new(),
        advertise: Advertise::Own,
    };
    let plan = ProvisioningPlan { subnet, vrf_vni, dhcp_servers: settings.dhcp_servers.clone(), ports: Vec::new() };
    Ok(Some((vrf, plan)))
}

/// Ports that the Switch lists but that nothing is plugged into.
fn idle_ports(ctx: &Context<'_>, switch: &Switch) -> Vec<IfName> {
    let cabled: BTreeSet<&IfName> = ctx.index.fabric_ports.of(&switch.name).map(|(port, _)| port).collect();
    let used: BTreeSet<&IfName> = ctx.index.server_ports.of(&switch.name).map(|port| &port.port).collect();
    let outside: BTreeSet<&IfName> = ctx
        .index
        .networks_of_exit
        .of(&switch.name)
        .filter_map(|name| ctx.model.networks.get(name))
        .flat_map(|network| network.peers.iter().filter(|peer| peer.exit == switch.name).map(|peer| &peer.interface))
        .collect();
    let idle = switch.ports.keys().filter(|port| !cabled.contains(port) && !used.contains(port) && !outside.contains(port));
    idle.cloned().collect()
}
