//! What a switch's nftables are made from.

use std::collections::BTreeSet;

use leafwall_plan::device::{Leak, SwitchPlan, VrfPlan};
use leafwall_policy::guards::{
    ExternalPeerGuard, FirewallPortGuard, MacLimitGuard, PeeringGuard, ProvisioningGuard, SwitchGuards, VniGuard,
};
use leafwall_topology::names::{svi, vrf};
use leafwall_topology::{IfName, Prefix};

use super::links::ports::PROVISIONING_MACS;

/// The guards of a switch's firewall ports (H38) and of its own services (H40).
pub fn guards(plan: &SwitchPlan) -> SwitchGuards {
    let firewall_ports = plan.firewall_ports.iter().map(|port| FirewallPortGuard {
        port: port.port.clone(),
        loopback: port.loopback,
        vnis: port.vnis.iter().map(|network| VniGuard { vni: network.vni, vteps: network.vteps.clone() }).collect(),
    });
    // The kernel names the VRF as input of most packets, and the device in it of neighbour discovery: so all are listed.
    let mut tenant_inputs = Vec::new();
    let mut external_peers = Vec::new();
    let peers = || plan.vrfs.iter().flat_map(|network| &network.external_peers);
    let untagged: BTreeSet<&IfName> = peers().filter(|peer| peer.vlan.is_none()).map(|peer| &peer.interface).collect();
    let tagged: BTreeSet<&IfName> = peers().filter(|peer| peer.vlan.is_some()).map(|peer| &peer.interface).collect();
    let trunks = tagged.difference(&untagged).map(|port| (*port).clone()).collect();
    for network in &plan.vrfs {
        let input = vrf(network.vni);
        tenant_inputs.extend([input.clone(), svi(network.vlan)]);
        tenant_inputs.extend(network.routed_ports.iter().map(|port| port.port.clone()));
        tenant_inputs.extend(network.subnets.iter().map(|subnet| svi(subnet.vlan)));
        for peer in &network.external_peers {
            tenant_inputs.push(super::external::device(peer).unwrap_or_else(|| peer.interface.clone()));
            external_peers.push(ExternalPeerGuard { input: input.clone(), peer: peer.peer_address });
        }
    }
    let mut dhcp_inputs = Vec::new();
    if let Some(provisioning) = &plan.provisioning {
        tenant_inputs.push(svi(provisioning.subnet.vlan));
        dhcp_inputs.extend([vrf(provisioning.vrf_vni), svi(provisioning.subnet.vlan)]);
    }
    for list in [&mut tenant_inputs, &mut dhcp_inputs] {
        list.sort_unstable();
        list.dedup();
    }
    external_peers.sort_unstable();
    external_peers.dedup();
    let mut peerings: Vec<PeeringGuard> = plan.vrfs.iter().flat_map(|side| side.leaks.iter().map(|leak| peering(side, leak))).collect();
    peerings.sort_unstable();
    let mac_limit = |port: &IfName, maximum| MacLimitGuard { port: port.clone(), maximum };
    let mut mac_limits: Vec<_> = plan.access_ports.iter().map(|access| mac_limit(&access.port, access.maximum_macs)).collect();
    mac_limits.extend(plan.provisioning.iter().flat_map(|network| &network.ports).map(|port| mac_limit(port, PROVISIONING_MACS)));
    let provisioning = plan.provisioning.as_ref().map(|network| ProvisioningGuard {
        input: vrf(network.vrf_vni),
        subnets: network
            .subnet
            .gateways
            .iter()
            .filter_map(|gateway| Prefix::containing(gateway.gateway.address(), gateway.gateway.length()))
            .collect(),
    });
    SwitchGuards {
        firewall_ports: firewall_ports.collect(),
        tenant_inputs,
        external_peers,
        mac_limits,
        peerings,
        provisioning,
        dhcp_inputs,
        trunks,
    }
}

/// What may cross from one side of a peering to the other.
fn peering(side: &VrfPlan, leak: &Leak) -> PeeringGuard {
    PeeringGuard {
        input: vrf(side.vni),
        sources: leak.senders.clone(),
        destinations: leak.prefixes.iter().map(|taken| taken.prefix).collect(),
    }
}
