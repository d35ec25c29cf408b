//! A switch's ports.

use std::collections::BTreeMap;

use leafwall_plan::device::{ExternalPeerPlan, FabricPort, SwitchPlan, VrfPlan};
use leafwall_topology::names::{bridge, subinterface, vrf};
use leafwall_topology::{IfName, Mtu, VlanId};

use super::{LinksError, link};
use crate::links::{BridgePort, Isolation, Link, LinkKind, LinkLocal, LinkState};

/// How many MAC addresses a port in the provisioning network may show: a machine that is being installed has one, and its management controller another.
pub const PROVISIONING_MACS: u32 = 4;

fn port(name: &IfName, mtu: Mtu) -> Link {
    let mut port = link(name.clone(), LinkKind::Physical {});
    port.mtu = Some(mtu);
    port
}

/// A port towards another device of the fabric.
pub fn fabric(plan: &FabricPort) -> Link {
    port(&plan.port, plan.mtu)
}

/// How many MAC addresses the bridge learns on all its ports together (H41).
pub fn maximum_macs(plan: &SwitchPlan) -> u32 {
    let access = plan.access_ports.iter().map(|port| port.maximum_macs);
    let provisioning = plan.provisioning.iter().flat_map(|provisioning| &provisioning.ports).map(|_| PROVISIONING_MACS);
    access.chain(provisioning).fold(0, u32::saturating_add)
}

fn access(name: &IfName, mtu: Mtu, vlan: VlanId, isolation: Isolation) -> Link {
    let mut port = port(name, mtu);
    port.master = Some(bridge());
    port.link_local = LinkLocal::None;
    port.bridge_port = Some(BridgePort::Access { vlan, isolation });
    port
}

/// All ports of a switch, each with what it belongs to.
pub fn of_switch(plan: &SwitchPlan) -> Result<Vec<Link>, LinksError> {
    let mut ports: Vec<_> = plan.fabric_ports.iter().map(fabric).collect();
    ports.extend(plan.firewall_ports.iter().map(|firewall| port(&firewall.port, firewall.mtu)));
    for network in &plan.vrfs {
        for machine in &network.routed_ports {
            let mut port = port(&machine.port, machine.mtu);
            port.master = Some(vrf(network.vni));
            ports.push(port);
        }
    }
    ports.extend(plan.access_ports.iter().map(|machine| access(&machine.port, machine.mtu, machine.vlan, Isolation::Open)));
    if let Some(provisioning) = &plan.provisioning {
        let vlan = provisioning.subnet.vlan;
        ports.extend(provisioning.ports.iter().map(|name| access(name, Mtu::MACHINE, vlan, Isolation::Isolated)));
    }
    for name in &plan.shut_ports {
        let mut port = link(name.clone(), LinkKind::Physical {});
        port.state = LinkState::Down;
        ports.push(port);
    }
    ports.extend(external(&plan.vrfs)?);
    Ok(ports)
}

/// Ports to the outside, with their tagged subinterfaces. Sessions of both families may share one.
fn external(vrfs: &[VrfPlan]) -> Result<Vec<Link>, LinksError> {
    type Sessions<'a> = Vec<(&'a VrfPlan, &'a ExternalPeerPlan)>;
    let mut interfaces: BTreeMap<(&IfName, Option<VlanId>), Sessions<'_>> = BTreeMap::new();
    for network in vrfs {
        for peer in &network.external_peers {
            interfaces.entry((&peer.interface, peer.vlan)).or_default().push((network, peer));
        }
    }
    let mut ports: Vec<Link> = Vec::new();
    for ((name, vlan), peers) in interfaces {
        let mtu = peers.iter().map(|(_, peer)| peer.mtu).max();
        let mut addresses: Vec<_> = peers.iter().map(|(_, peer)| peer.local_address).collect();
        addresses.sort_unstable();
        addresses.dedup();
        let mut end = match vlan {
            None => link(name.clone(), LinkKind::Physical {}),
            Some(id) => {
                // the port itself carries tags, and is as big as the biggest of them
                match ports.iter_mut().find(|port| port.name == *name) {
                    Some(lower) => lower.mtu = lower.mtu.max(mtu),
                    None => ports.push(Link { mtu, ..link(name.clone(), LinkKind::Physical {}) }),
                }
                let tagged = subinterface(name, id).ok_or_else(|| LinksError::SubinterfaceName { port: name.clone(), vlan: id })?;
                link(tagged, LinkKind::Vlan { lower: name.clone(), id })
            }
        };
        end.mtu = mtu;
        end.master = peers.first().map(|(network, _)| vrf(network.vni));
        end.addresses = addresses;
        ports.push(end);
    }
    Ok(ports)
}
