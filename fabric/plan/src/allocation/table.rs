//! The table itself.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use leafwall_topology::{Asn, Name, VlanId, Vni};

use super::addresses::{AddressHolder, AddressPool};
use super::numbers::{Pool, Revision};
use super::vnis::{Segment, VniPool};

/// Who can have an ASN.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum AsnHolder {
    /// All spines together.
    Spines,
    /// A leaf, an exit, a firewall machine or a routed server.
    Device(Name),
}

/// All numbers and addresses of a fabric. Parts are behind [`Arc`], so that a table shares with the one before it what did not change.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Table {
    /// How many changes this table has seen.
    pub revision: Revision,
    pub(super) loopbacks: Arc<Pool<Name, Ipv4Addr>>,
    pub(super) asns: Arc<Pool<AsnHolder, Asn>>,
    pub(super) vnis: Arc<VniPool>,
    pub(super) vlans: BTreeMap<Name, Arc<Pool<Vni, VlanId>>>,
    pub(super) addresses: BTreeMap<Name, Arc<AddressPool>>,
}

impl Table {
    /// The loopback of a switch or firewall machine.
    pub fn loopback(&self, device: &Name) -> Option<Ipv4Addr> {
        self.loopbacks.get(device)
    }

    /// The ASN of a leaf, an exit, a firewall machine or a routed server.
    pub fn asn(&self, device: &Name) -> Option<Asn> {
        self.asns.get(&AsnHolder::Device(device.clone()))
    }

    /// The ASN of all spines.
    pub fn spines_asn(&self) -> Option<Asn> {
        self.asns.get(&AsnHolder::Spines)
    }

    /// A network's L3VNI.
    pub fn vni(&self, network: &Name) -> Option<Vni> {
        self.vnis.network(network)
    }

    /// A network's bridged segments.
    pub fn segments(&self, network: &Name) -> &[Segment] {
        self.vnis.segments(network)
    }

    /// The provisioning network's L3VNI and L2VNI.
    pub fn provisioning(&self) -> Option<(Vni, Vni)> {
        self.vnis.provisioning()
    }

    /// The VLAN that a VNI has on a device.
    pub fn vlan(&self, device: &Name, vni: Vni) -> Option<VlanId> {
        self.vlans.get(device)?.get(&vni)
    }

    /// What someone has in a network, sorted.
    pub fn addresses(&self, network: &Name, holder: &AddressHolder) -> &[IpAddr] {
        self.addresses.get(network).map_or(&[], |pool| pool.get(holder))
    }

    /// The segment of a network that a bridged Allocation's addresses lie in.
    pub fn segment_of(&self, network: &Name, allocation: &Name) -> Option<&Segment> {
        let address = self.addresses(network, &AddressHolder::Bridged(allocation.clone())).first()?;
        self.segments(network).iter().find(|segment| segment.subnets.iter().any(|p| p.contains_address(*address)))
    }

    /// All loopbacks, sorted by device.
    pub fn loopbacks(&self) -> impl Iterator<Item = (&Name, Ipv4Addr)> {
        self.loopbacks.iter()
    }

    /// All ASNs, the spines' first, then by device.
    pub fn asns(&self) -> impl Iterator<Item = (&AsnHolder, Asn)> {
        self.asns.iter()
    }

    /// All VNIs.
    pub fn vnis(&self) -> &VniPool {
        &self.vnis
    }

    /// VLANs by device.
    pub fn vlans(&self) -> impl Iterator<Item = (&Name, &Pool<Vni, VlanId>)> {
        self.vlans.iter().map(|(device, pool)| (device, &**pool))
    }

    /// The addresses of one network.
    pub fn address_pools_of(&self, network: &Name) -> Option<&AddressPool> {
        self.addresses.get(network).map(|pool| &**pool)
    }

    /// Addresses by network.
    pub fn address_pools(&self) -> impl Iterator<Item = (&Name, &AddressPool)> {
        self.addresses.iter().map(|(network, pool)| (network, &**pool))
    }
}
