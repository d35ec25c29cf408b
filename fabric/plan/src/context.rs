//! What planning one device looks things up in.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use leafwall_intent::model::{Address, Allocation, Firewall, Model, Network, Switch};
use leafwall_topology::{Asn, MacAddr, Name, Role, RouteDistinguisher, VlanId, Vni, embed_loopback};

use crate::allocation::{AddressHolder, Table};
use crate::device::{Common, Router};
use crate::index::Index;

/// A reference that leads nowhere. The checks of intents refuse such Models and the table has an entry for whatever is wanted, so this is a table that
/// belongs to another Model.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("there is no {what} `{name}`")]
pub struct PlanError {
    /// What was looked for.
    pub what: &'static str,
    /// By which name.
    pub name: String,
}

/// What is added to a VLAN id for a route distinguisher. bgpd numbers instances and L2VNIs itself, from 2 and the lowest free one; a device has fewer than VLANs.
const RD_BASE: u16 = 10_000;

/// Who may send VXLAN packets to firewalls, and get some of theirs, per network: leaves with its servers, and its exits.
pub(crate) type Announcers = BTreeMap<Name, Arc<[Ipv4Addr]>>;

/// Everything a device's plan is made from.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Context<'a> {
    pub model: &'a Model,
    pub table: &'a Table,
    pub index: &'a Index,
    pub common: &'a Arc<Common>,
    pub announcers: &'a Announcers,
}

fn missing<T>(found: Option<T>, what: &'static str, name: &dyn std::fmt::Display) -> Result<T, PlanError> {
    found.ok_or_else(|| PlanError { what, name: name.to_string() })
}

impl<'a> Context<'a> {
    pub fn network(&self, name: &Name) -> Result<&'a Network, PlanError> {
        missing(self.model.networks.get(name).map(|n| &**n), "network", name)
    }

    pub fn allocation(&self, name: &Name) -> Result<&'a Allocation, PlanError> {
        missing(self.model.allocations.get(name).map(|a| &**a), "allocation", name)
    }

    pub fn firewall(&self, name: &Name) -> Result<&'a Firewall, PlanError> {
        missing(self.model.firewalls.get(name).map(|f| &**f), "firewall", name)
    }

    pub fn switch(&self, name: &Name) -> Result<&'a Switch, PlanError> {
        missing(self.model.switches.get(name).map(|s| &**s), "switch", name)
    }

    pub fn vni(&self, network: &Name) -> Result<Vni, PlanError> {
        missing(self.table.vni(network), "VNI of network", network)
    }

    pub fn vlan(&self, device: &Name, vni: Vni) -> Result<VlanId, PlanError> {
        missing(self.table.vlan(device, vni), "VLAN on its device for VNI", &format_args!("{vni} on {device}"))
    }

    pub fn loopback(&self, device: &Name) -> Result<Ipv4Addr, PlanError> {
        missing(self.table.loopback(device), "loopback of", device)
    }

    /// The ASN of any device; the spines have one together.
    pub fn asn(&self, device: &Name) -> Result<Asn, PlanError> {
        let spine = self.model.switches.get(device).is_some_and(|switch| switch.role == Role::Spine);
        missing(if spine { self.table.spines_asn() } else { self.table.asn(device) }, "ASN of", device)
    }

    /// The VLAN id, above those that bgpd takes by itself: it does not show one that equals its own choice, and the device would never compare equal.
    pub fn rd(&self, device: &Name, vni: Vni) -> Result<RouteDistinguisher, PlanError> {
        Ok(RouteDistinguisher { loopback: self.loopback(device)?, number: RD_BASE + self.vlan(device, vni)?.get() })
    }

    pub fn router(&self, device: &Name) -> Result<Router, PlanError> {
        let loopback = self.loopback(device)?;
        Ok(Router { loopback, asn: self.asn(device)?, router_mac: MacAddr::router(loopback), source_v6: embed_loopback(loopback) })
    }

    /// The addresses that an Address object stands for: one, as a rule.
    pub fn elastic(&self, address: &Address) -> &'a [IpAddr] {
        self.table.addresses(&address.network, &AddressHolder::Elastic(address.name.clone()))
    }

    /// A tenant's Addresses.
    pub fn addresses_of(&self, tenant: &Name) -> impl Iterator<Item = &'a Address> {
        let model = self.model;
        self.index.addresses_of_tenant.of(tenant).filter_map(move |name| model.addresses.get(name)).map(|address| &**address)
    }
}
