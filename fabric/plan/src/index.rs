//! The Model turned around: who is attached where, who joins what. Each object adds its own entries and takes the same ones away again, without
//! looking at any other object, so that an index after any changes is the one that a fresh build gives.

use std::collections::{BTreeMap, BTreeSet};

use leafwall_intent::model::{
    Address, Allocation, Firewall, FirewallPolicy, Mode, Model, Network, Peering, Server, ServerManagement, ServerRole, Switch,
};
use leafwall_topology::{Asn, IfName, Name, PortRef, Role};

/// Keys with any number of values each.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Multi<K, V>(BTreeMap<K, BTreeSet<V>>);

impl<K, V> Default for Multi<K, V> {
    fn default() -> Self {
        Self(BTreeMap::new())
    }
}

impl<K: Ord + Clone, V: Ord> Multi<K, V> {
    /// The values of a key, sorted.
    pub fn of<Q: Ord + ?Sized>(&self, key: &Q) -> impl DoubleEndedIterator<Item = &V> + Clone
    where
        K: std::borrow::Borrow<Q>,
    {
        self.0.get(key).into_iter().flatten()
    }

    /// Whether a key has any value.
    pub fn has<Q: Ord + ?Sized>(&self, key: &Q) -> bool
    where
        K: std::borrow::Borrow<Q>,
    {
        self.0.contains_key(key)
    }

    /// All keys, sorted.
    pub fn keys(&self) -> impl Iterator<Item = &K> {
        self.0.keys()
    }

    fn put(&mut self, edit: Edit, key: &K, value: V) {
        match edit {
            Edit::Add => {
                self.0.entry(key.clone()).or_default().insert(value);
            }
            Edit::Remove => {
                if let Some(values) = self.0.get_mut(key) {
                    values.remove(&value);
                    if values.is_empty() {
                        self.0.remove(key);
                    }
                }
            }
        }
    }
}

/// Whether an object comes or goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Edit {
    /// It comes.
    Add,
    /// It goes.
    Remove,
}

/// What a server is used for.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Use {
    /// An Allocation, by name.
    Allocation(Name),
    /// A Firewall by name, and the machine's position in it.
    Firewall(Name, usize),
}

/// A server's port as its leaf sees it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct ServerPort {
    /// The leaf's port.
    pub port: IfName,
    /// The server.
    pub server: Name,
    /// The server's port.
    pub nic: IfName,
}

/// The Model turned around.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Index {
    /// Switch → its ports with other switches behind, with the far end.
    pub fabric_ports: Multi<Name, (IfName, PortRef)>,
    /// Switch → its ports with servers behind.
    pub server_ports: Multi<Name, ServerPort>,
    /// Server → what it is used for.
    pub uses: Multi<Name, Use>,
    /// Network → its Allocations.
    pub allocations_of_network: Multi<Name, Name>,
    /// Tenant → its routed Allocations.
    pub routed_of_tenant: Multi<Name, Name>,
    /// Tenant → its Addresses.
    pub addresses_of_tenant: Multi<Name, Name>,
    /// Network → Addresses out of it.
    pub addresses_of_network: Multi<Name, Name>,
    /// Server → Addresses bound to it.
    pub addresses_of_server: Multi<Name, Name>,
    /// Address → Firewalls that translate to it.
    pub egress: Multi<Name, Name>,
    /// Tenant → its Firewalls.
    pub firewalls_of_tenant: Multi<Name, Name>,
    /// Network → Firewalls that join it.
    pub firewalls_of_network: Multi<Name, Name>,
    /// Firewall → its policies.
    pub policies_of_firewall: Multi<Name, Name>,
    /// Network → Peerings that have it on one side.
    pub peerings_of_network: Multi<Name, Name>,
    /// Exit → external networks that leave there.
    pub networks_of_exit: Multi<Name, Name>,
    /// Network → firewall machines that are managed through it.
    pub inband: Multi<Name, Name>,
    /// ASN outside → networks that have such a peer.
    pub external_asns: Multi<Asn, Name>,
    /// The spines.
    pub spines: BTreeSet<Name>,
}

impl Index {
    /// The index of a Model.
    pub fn new(model: &Model) -> Self {
        let mut index = Self::default();
        for cable in model.graph.cables() {
            for (near, far) in [(&cable.a, &cable.b), (&cable.b, &cable.a)] {
                if model.switches.contains_key(&near.device) && model.switches.contains_key(&far.device) {
                    index.fabric_ports.put(Edit::Add, &near.device, (near.port.clone(), far.clone()));
                }
            }
        }
        let add = Edit::Add;
        model.switches.values().for_each(|object| index.switch(add, object));
        model.servers.values().for_each(|object| index.server(add, object));
        model.networks.values().for_each(|object| index.network(add, object));
        model.allocations.values().for_each(|object| index.allocation(add, object));
        model.addresses.values().for_each(|object| index.address(add, object));
        model.peerings.values().for_each(|object| index.peering(add, object));
        model.firewalls.values().for_each(|object| index.firewall(add, object));
        model.policies.values().for_each(|object| index.policy(add, object));
        index
    }

    /// A switch comes or goes.
    pub fn switch(&mut self, edit: Edit, switch: &Switch) {
        match (edit, switch.role) {
            (Edit::Add, Role::Spine) => {
                self.spines.insert(switch.name.clone());
            }
            (Edit::Remove, Role::Spine) => {
                self.spines.remove(&switch.name);
            }
            _ => {}
        }
    }

    /// A server comes or goes.
    pub fn server(&mut self, edit: Edit, server: &Server) {
        for nic in &server.nics {
            let port = ServerPort { port: nic.port.port.clone(), server: server.name.clone(), nic: nic.name.clone() };
            self.server_ports.put(edit, &nic.port.device, port);
        }
        if server.role == ServerRole::Firewall
            && let Some(ServerManagement::Inband(network)) = &server.management
        {
            self.inband.put(edit, network, server.name.clone());
        }
    }

    /// A network comes or goes.
    pub fn network(&mut self, edit: Edit, network: &Network) {
        for exit in &network.exits {
            self.networks_of_exit.put(edit, exit, network.name.clone());
        }
        for peer in &network.peers {
            self.external_asns.put(edit, &peer.asn, network.name.clone());
        }
    }

    /// An Allocation comes or goes.
    pub fn allocation(&mut self, edit: Edit, allocation: &Allocation) {
        self.uses.put(edit, &allocation.server, Use::Allocation(allocation.name.clone()));
        self.allocations_of_network.put(edit, &allocation.network, allocation.name.clone());
        if allocation.mode == Mode::Routed {
            self.routed_of_tenant.put(edit, &allocation.tenant, allocation.name.clone());
        }
    }

    /// An Address comes or goes.
    pub fn address(&mut self, edit: Edit, address: &Address) {
        self.addresses_of_tenant.put(edit, &address.tenant, address.name.clone());
        self.addresses_of_network.put(edit, &address.network, address.name.clone());
        if let Some(server) = &address.server {
            self.addresses_of_server.put(edit, server, address.name.clone());
        }
    }

    /// A Peering comes or goes.
    pub fn peering(&mut self, edit: Edit, peering: &Peering) {
        for side in &peering.sides {
            self.peerings_of_network.put(edit, &side.network, peering.name.clone());
        }
    }

    /// A Firewall comes or goes.
    pub fn firewall(&mut self, edit: Edit, firewall: &Firewall) {
        for (position, server) in firewall.servers.iter().enumerate() {
            self.uses.put(edit, server, Use::Firewall(firewall.name.clone(), position));
        }
        for network in &firewall.networks {
            self.firewalls_of_network.put(edit, network, firewall.name.clone());
        }
        self.firewalls_of_tenant.put(edit, &firewall.tenant, firewall.name.clone());
        for address in firewall.egress.values().flatten() {
            self.egress.put(edit, address, firewall.name.clone());
        }
    }

    /// A policy comes or goes.
    pub fn policy(&mut self, edit: Edit, policy: &FirewallPolicy) {
        self.policies_of_firewall.put(edit, &policy.firewall, policy.policy.name.clone());
    }
}
