//! Which networks a device holds, and so which VNIs.

use std::collections::BTreeSet;

use leafwall_intent::model::{Mode, Model, Phase};
use leafwall_topology::{Name, Vni};

use crate::allocation::Table;
use crate::index::{Index, Use};

/// What is behind a server port of a switch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PortUse<'a> {
    /// A routed server of this active Allocation.
    Routed(&'a Name),
    /// A bridged server of this active Allocation.
    Bridged(&'a Name),
    /// A machine of this Firewall, at this position.
    Firewall(&'a Name, usize),
    /// Nobody's yet.
    Unallocated,
}

/// What a server is used for just now.
pub fn port_use<'a>(model: &Model, index: &'a Index, server: &Name) -> PortUse<'a> {
    match index.uses.of(server).next() {
        Some(Use::Firewall(firewall, position)) => PortUse::Firewall(firewall, *position),
        Some(Use::Allocation(name)) => match model.allocations.get(name) {
            Some(allocation) if allocation.phase == Phase::Active => match allocation.mode {
                Mode::Routed => PortUse::Routed(name),
                Mode::Bridged => PortUse::Bridged(name),
            },
            _ => PortUse::Unallocated,
        },
        None => PortUse::Unallocated,
    }
}

/// The networks with a server of an active Allocation behind one of the switch's ports.
pub fn direct_networks(model: &Model, index: &Index, switch: &Name) -> BTreeSet<Name> {
    let network = |port: &crate::index::ServerPort| match port_use(model, index, &port.server) {
        PortUse::Routed(name) | PortUse::Bridged(name) => model.allocations.get(name).map(|a| a.network.clone()),
        PortUse::Firewall(..) | PortUse::Unallocated => None,
    };
    index.server_ports.of(switch).filter_map(network).collect()
}

/// The networks that meet this one by a Peering, with the Peering.
pub fn peers<'a>(model: &'a Model, index: &'a Index, network: &'a Name) -> impl Iterator<Item = (&'a Name, &'a Name)> {
    index.peerings_of_network.of(network).filter_map(move |name| {
        let [a, b] = &model.peerings.get(name)?.sides;
        Some((if a.network == *network { &b.network } else { &a.network }, name))
    })
}

/// All networks of a switch: those behind its ports, those that meet them by a Peering, and the external ones that leave here.
pub fn switch_networks(model: &Model, index: &Index, switch: &Name) -> BTreeSet<Name> {
    let mut networks = direct_networks(model, index, switch);
    let peered: Vec<Name> = networks.iter().flat_map(|n| peers(model, index, n).map(|(other, _)| other.clone())).collect();
    networks.extend(peered);
    networks.extend(index.networks_of_exit.of(switch).cloned());
    networks
}

/// Whether a switch has ports in the provisioning network.
pub fn has_provisioning(model: &Model, index: &Index, switch: &Name) -> bool {
    let waits = |port: &crate::index::ServerPort| port_use(model, index, &port.server) == PortUse::Unallocated;
    model.fabric.provisioning.is_some() && index.server_ports.of(switch).any(waits)
}

/// All VNIs that need a VLAN on a device: networks and segments on switches, networks on firewall machines.
pub fn vnis(model: &Model, index: &Index, table: &Table, device: &Name) -> BTreeSet<Vni> {
    let mut vnis: BTreeSet<Vni> = BTreeSet::new();
    if model.switches.contains_key(device) {
        vnis.extend(switch_networks(model, index, device).iter().filter_map(|network| table.vni(network)));
        for port in index.server_ports.of(device) {
            if let PortUse::Bridged(name) = port_use(model, index, &port.server)
                && let Some(allocation) = model.allocations.get(name)
            {
                vnis.extend(table.segment_of(&allocation.network, name).map(|segment| segment.vni));
            }
        }
        if has_provisioning(model, index, device)
            && let Some((vrf, segment)) = table.provisioning()
        {
            vnis.extend([vrf, segment]);
        }
    } else if let PortUse::Firewall(name, _) = port_use(model, index, device)
        && let Some(firewall) = model.firewalls.get(name)
    {
        vnis.extend(firewall.networks.iter().filter_map(|network| table.vni(network)));
    }
    vnis
}
