//! What differs between two Models, and which devices that concerns.

use std::collections::BTreeSet;
use std::sync::Arc;

use leafwall_intent::model::{Model, ServerRole};
use leafwall_topology::{Name, differing};

use crate::holdings::peers;
use crate::index::{Edit, Index, Use};

/// The names of objects that differ, by kind.
#[derive(Debug, Default)]
pub(crate) struct Changes {
    /// Something that every device reads: the Fabric, a switch, the cabling.
    pub everything: bool,
    servers: Vec<Name>,
    networks: Vec<Name>,
    allocations: Vec<Name>,
    addresses: Vec<Name>,
    peerings: Vec<Name>,
    firewalls: Vec<Name>,
    policies: Vec<Name>,
}

/// What a change concerns.
#[derive(Debug, Default)]
pub(crate) struct Touched {
    /// Devices to plan anew.
    pub devices: BTreeSet<Name>,
    /// Networks whose VNIs, segments or addresses may change.
    pub networks: BTreeSet<Name>,
    /// Networks that may have other leaves and exits than before.
    pub members: BTreeSet<Name>,
}

impl Changes {
    /// What differs.
    pub fn between(old: &Model, new: &Model) -> Self {
        let same = |a: &Arc<leafwall_topology::Graph>, b| Arc::ptr_eq(a, b) || a == b;
        let everything = (!Arc::ptr_eq(&old.fabric, &new.fabric) && old.fabric != new.fabric)
            || !same(&old.graph, &new.graph)
            || !differing(&old.switches, &new.switches).is_empty();
        Self {
            everything,
            servers: differing(&old.servers, &new.servers),
            networks: differing(&old.networks, &new.networks),
            allocations: differing(&old.allocations, &new.allocations),
            addresses: differing(&old.addresses, &new.addresses),
            peerings: differing(&old.peerings, &new.peerings),
            firewalls: differing(&old.firewalls, &new.firewalls),
            policies: differing(&old.policies, &new.policies),
        }
    }

    /// Whether nothing differs that a plan depends on. (Tenants have no part in it.)
    pub fn is_empty(&self) -> bool {
        let lists = [&self.servers, &self.networks, &self.allocations, &self.addresses, &self.peerings, &self.firewalls, &self.policies];
        !self.everything && lists.iter().all(|list| list.is_empty())
    }

    /// Brings an index of `old` to `new`. With the two the other way round it is brought back.
    pub fn apply(&self, index: &mut Index, old: &Model, new: &Model) {
        for (edit, model) in [(Edit::Remove, old), (Edit::Add, new)] {
            self.servers.iter().filter_map(|name| model.servers.get(name)).for_each(|object| index.server(edit, object));
            self.networks.iter().filter_map(|name| model.networks.get(name)).for_each(|object| index.network(edit, object));
            self.allocations.iter().filter_map(|name| model.allocations.get(name)).for_each(|object| index.allocation(edit, object));
            self.addresses.iter().filter_map(|name| model.addresses.get(name)).for_each(|object| index.address(edit, object));
            self.peerings.iter().filter_map(|name| model.peerings.get(name)).for_each(|object| index.peering(edit, object));
            self.firewalls.iter().filter_map(|name| model.firewalls.get(name)).for_each(|object| index.firewall(edit, object));
            self.policies.iter().filter_map(|name| model.policies.get(name)).for_each(|object| index.policy(edit, object));
        }
    }

    /// What the changed objects concern in a Model with its index: to be asked of the old one and the new one, and joined.
    pub fn touched(&self, model: &Model, index: &Index) -> Touched {
        let mut touched = Touched::default();
        for server in &self.servers {
            touched.server(model, server);
            for usage in index.uses.of(server) {
                match usage {
                    Use::Allocation(name) => touched.allocation(model, name),
                    Use::Firewall(name, _) => touched.firewall(model, index, name),
                }
            }
            if let Some(server) = model.servers.get(server).filter(|server| server.role == ServerRole::Firewall)
                && let Some(leafwall_intent::model::ServerManagement::Inband(network)) = &server.management
            {
                touched.networks.insert(network.clone());
            }
        }
        self.allocations.iter().for_each(|name| touched.allocation(model, name));
        self.networks.iter().for_each(|name| touched.network(model, index, name));
        self.firewalls.iter().for_each(|name| touched.firewall(model, index, name));
        for peering in self.peerings.iter().filter_map(|name| model.peerings.get(name)) {
            peering.sides.iter().for_each(|side| touched.network(model, index, &side.network));
        }
        for address in self.addresses.iter().filter_map(|name| model.addresses.get(name)) {
            touched.networks.insert(address.network.clone());
            touched.tenant(model, index, &address.tenant);
            if let Some(server) = &address.server {
                touched.server(model, server);
            }
        }
        for policy in self.policies.iter().filter_map(|name| model.policies.get(name)) {
            let servers = model.firewalls.get(&policy.firewall).into_iter().flat_map(|firewall| &firewall.servers);
            touched.devices.extend(servers.cloned());
        }
        touched
    }
}

impl Touched {
    /// Adds what another one has.
    pub fn join(&mut self, other: Self) {
        self.devices.extend(other.devices);
        self.networks.extend(other.networks);
        self.members.extend(other.members);
    }

    /// A server and its leaves.
    fn server(&mut self, model: &Model, name: &Name) {
        self.devices.insert(name.clone());
        let nics = model.servers.get(name).into_iter().flat_map(|server| &server.nics);
        self.devices.extend(nics.map(|nic| nic.port.device.clone()));
    }

    /// A server's leaf decides by what it holds which networks it has: all of it is planned anew.
    fn allocation(&mut self, model: &Model, name: &Name) {
        let Some(allocation) = model.allocations.get(name) else { return };
        self.server(model, &allocation.server);
        self.networks.insert(allocation.network.clone());
        self.members.insert(allocation.network.clone());
    }

    /// A firewall's machines and their leaves.
    fn machines(&mut self, model: &Model, name: &Name) {
        let servers = model.firewalls.get(name).into_iter().flat_map(|firewall| &firewall.servers);
        servers.for_each(|server| self.server(model, server));
    }

    /// Leaves of all firewalls that join a network, when its leaves and exits change.
    pub fn firewall_leaves(&mut self, model: &Model, index: &Index, network: &Name) {
        index.firewalls_of_network.of(network).for_each(|name| self.machines(model, name));
    }

    /// Everything of a tenant that announces or accepts Addresses.
    fn tenant(&mut self, model: &Model, index: &Index, tenant: &Name) {
        for allocation in index.routed_of_tenant.of(tenant).filter_map(|name| model.allocations.get(name)) {
            self.server(model, &allocation.server);
        }
        index.firewalls_of_tenant.of(tenant).for_each(|name| self.machines(model, name));
    }

    /// A firewall and its tenant, whose servers may not announce what it translates to.
    fn firewall(&mut self, model: &Model, index: &Index, name: &Name) {
        let Some(firewall) = model.firewalls.get(name) else { return };
        self.machines(model, name);
        self.tenant(model, index, &firewall.tenant);
        // a network gets its list of leaves and exits with the first firewall that joins it
        self.members.extend(firewall.networks.iter().cloned());
    }

    /// Everyone in a network, at its exits, or joined to it.
    fn network(&mut self, model: &Model, index: &Index, name: &Name) {
        self.networks.insert(name.clone());
        self.members.insert(name.clone());
        self.devices.extend(model.networks.get(name).into_iter().flat_map(|network| network.exits.iter().cloned()));
        let peered = peers(model, index, name).map(|(other, _)| other);
        for network in std::iter::once(name).chain(peered) {
            for allocation in index.allocations_of_network.of(network).filter_map(|name| model.allocations.get(name)) {
                self.server(model, &allocation.server);
            }
        }
        self.firewall_leaves(model, index, name);
    }
}
