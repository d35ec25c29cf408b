//! Machines: outputs for their owners, who run them.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use leafwall_intent::model::{Allocation, Server};
use leafwall_topology::{Asn, HostAddress, Mtu, Name};

use crate::allocation::AddressHolder;
use crate::context::{Context, PlanError};
use crate::device::{BridgedServerPlan, BridgedServerPort, FabricPort, RoutedServerPlan};

/// Ports of a server or firewall machine to its leaves, sorted.
pub(crate) fn uplinks(ctx: &Context<'_>, server: &Server, mtu: Mtu) -> Result<Vec<FabricPort>, PlanError> {
    let mut uplinks = Vec::new();
    for nic in &server.nics {
        uplinks.push(FabricPort {
            port: nic.name.clone(),
            mtu: ctx.switch(&nic.port.device)?.ports.get(&nic.port.port).and_then(|settings| settings.mtu).unwrap_or(mtu),
            peer: nic.port.device.clone(),
            peer_port: nic.port.port.clone(),
            peer_asn: ctx.asn(&nic.port.device)?,
        });
    }
    uplinks.sort_by(|a, b| a.port.cmp(&b.port));
    Ok(uplinks)
}

/// A router id for a server without IPv4: in 100.64.0.0/10 with the last bits of its ASN. It must only differ from its neighbours' (RFC 6286).
fn router_id(asn: Asn) -> Ipv4Addr {
    Ipv4Addr::from(0x6440_0000 | (asn.get() & 0x003f_ffff))
}

/// The plan of a routed server.
pub(crate) fn routed(ctx: &Context<'_>, server: &Server, allocation: &Allocation) -> Result<RoutedServerPlan, PlanError> {
    let network = ctx.network(&allocation.network)?;
    let addresses = ctx.table.addresses(&allocation.network, &AddressHolder::Routed(allocation.name.clone())).to_vec();
    let asn = ctx.asn(&server.name)?;
    let first = addresses.iter().find_map(|address| match address {
        IpAddr::V4(v4) => Some(*v4),
        IpAddr::V6(_) => None,
    });
    let bound = ctx.index.addresses_of_server.of(&server.name).filter_map(|name| ctx.model.addresses.get(name));
    let mut elastic: Vec<IpAddr> = bound.flat_map(|address| ctx.elastic(address)).copied().collect();
    elastic.sort();
    Ok(RoutedServerPlan {
        asn,
        addresses,
        router_id: first.unwrap_or_else(|| router_id(asn)),
        network: network.name.clone(),
        uplinks: uplinks(ctx, server, Mtu::MACHINE)?,
        elastic,
        may_announce: network.announce.clone(),
        common: Arc::clone(ctx.common),
    })
}

/// The plan of a bridged server.
pub(crate) fn bridged(ctx: &Context<'_>, server: &Server, allocation: &Allocation) -> Result<BridgedServerPlan, PlanError> {
    let network = ctx.network(&allocation.network)?;
    let held = ctx.table.addresses(&allocation.network, &AddressHolder::Bridged(allocation.name.clone()));
    let mut addresses = Vec::new();
    let mut gateways = Vec::new();
    for subnet in &network.subnets {
        let inside: Vec<&IpAddr> = held.iter().filter(|address| subnet.prefix.contains_address(**address)).collect();
        addresses.extend(inside.iter().filter_map(|address| HostAddress::new(**address, subnet.prefix.length())));
        if !inside.is_empty() {
            gateways.push(subnet.gateway);
        }
    }
    addresses.sort();
    gateways.sort();
    let mut ports: Vec<BridgedServerPort> = Vec::new();
    for nic in &server.nics {
        let (leaf, leaf_port) = (nic.port.device.clone(), nic.port.port.clone());
        ports.push(BridgedServerPort { name: nic.name.clone(), mac: nic.mac, leaf, leaf_port });
    }
    ports.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(BridgedServerPlan { network: network.name.clone(), mtu: bridged_mtu(ctx, &ports), ports, addresses, gateways })
}

/// The smallest MTU of a bridged server's ports: the bond has one for all of them.
fn bridged_mtu(ctx: &Context<'_>, ports: &[BridgedServerPort]) -> Mtu {
    let of = |name: &Name, port| ctx.model.switches.get(name).and_then(|s| s.ports.get(port)).and_then(|settings| settings.mtu);
    ports.iter().filter_map(|port| of(&port.leaf, &port.leaf_port)).min().unwrap_or(Mtu::MACHINE).min(Mtu::MACHINE)
}
