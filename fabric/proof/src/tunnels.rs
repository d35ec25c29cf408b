//! Which tunnels end where: asked about every firewall machine's port, and the same for all of them.

use std::collections::BTreeMap;
use std::net::IpAddr;

use leafwall_policy::sets::{Field, PacketSet};
use leafwall_topology::{Name, Vni};

use crate::domains::{Domains, Place};
use crate::ground::Ground;
use crate::read::Devices;
use crate::switches::udp;

/// The tunnels' ends of switches.
#[derive(Debug)]
pub struct Tunnels {
    /// Packets to some of them.
    pub ends: PacketSet,
    /// VXLAN to a switch that has no such VNI: dropped there.
    pub unheard: PacketSet,
    by_network: BTreeMap<Name, Vec<(IpAddr, Vni)>>,
}

impl Tunnels {
    /// As devices have them.
    pub fn new(devices: &Devices, ground: &Ground<'_>, domains: &Domains) -> Self {
        let (mut ends, mut unheard) = (Vec::new(), Vec::new());
        let mut by_network: BTreeMap<Name, Vec<(IpAddr, Vni)>> = BTreeMap::new();
        // only what firewall machines send is held against it
        let wanted = !ground.model.firewalls.is_empty();
        for (name, device) in devices.iter().filter(|(name, _)| wanted && ground.model.switches.contains_key(*name)) {
            let Some(vtep) = device.vtep.map(IpAddr::from) else { continue };
            let to = PacketSet::addresses(Field::Destination, vtep, vtep);
            let heard = PacketSet::union(device.vnis.keys().map(|vni| PacketSet::vni(*vni)));
            unheard.push(to.and(&udp(4789)).minus(&heard));
            ends.push(to);
            for (vni, vlan) in &device.vnis {
                if let Some(network) = domains.network_of(&Place::Vlan(name.clone(), *vlan)) {
                    by_network.entry(network.clone()).or_default().push((vtep, *vni));
                }
            }
        }
        Self { ends: PacketSet::union(ends), unheard: PacketSet::union(unheard), by_network }
    }

    /// The ends and VNIs that lead into a network.
    pub fn into(&self, network: &Name) -> &[(IpAddr, Vni)] {
        self.by_network.get(network).map_or(&[], Vec::as_slice)
    }
}
