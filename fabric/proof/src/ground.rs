//! What the proof takes as given: the cabling, who owns what is plugged in, and who has which address.

use std::collections::BTreeMap;
use std::net::IpAddr;

use leafwall_intent::model::{Allocation, ExternalPeer, Firewall, Mode, Model, Network, NetworkType, Phase, ServerRole};
use leafwall_plan::Table;
use leafwall_plan::allocation::AddressHolder;
use leafwall_policy::sets::{Field, Header, PacketSet};
use leafwall_render::inventory::{LabInventory, OutsideRouter};
use leafwall_topology::{Family, IfName, Name, Prefix};

use crate::routes::RouteSet;

/// Who is at the other end of a port's cable.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Owner {
    /// A machine of a tenant, in a network.
    Machine {
        /// The server.
        server: Name,
        /// Its network.
        network: Name,
    },
    /// A machine that is nobody's yet, or no longer.
    Idle(Name),
    /// A firewall machine in service: the machine, and the Firewall that it serves.
    Firewall(Name, Name),
    /// A router outside, in an external network.
    Outside(Name),
    /// Another switch.
    Switch(Name),
}

/// Everything that is given.
pub struct Ground<'a> {
    /// The checked intents.
    pub model: &'a Model,
    /// Allocated numbers and addresses.
    pub table: &'a Table,
    /// Endpoints.
    pub inventory: &'a LabInventory,
    owners: BTreeMap<Name, BTreeMap<IfName, Owner>>,
    /// The sessions with the outside, by the exit that has them.
    peers: BTreeMap<Name, Vec<&'a ExternalPeer>>,
    /// The other way round: the ports that lead to a tenant's machine in service, or to a firewall machine.
    ports: BTreeMap<Name, Vec<(Name, IfName)>>,
    machines: BTreeMap<Name, &'a Firewall>,
    allocations: BTreeMap<Name, &'a Allocation>,
}

impl<'a> Ground<'a> {
    /// From the checked Model, its table, and the endpoints.
    pub fn new(model: &'a Model, table: &'a Table, inventory: &'a LabInventory) -> Self {
        let machines = model.firewalls.values().flat_map(|firewall| firewall.servers.iter().map(|server| (server.clone(), &**firewall)));
        let allocations = model.allocations.values().map(|allocation| (allocation.server.clone(), &**allocation));
        let mut ground = Self {
            model,
            table,
            inventory,
            owners: BTreeMap::new(),
            peers: BTreeMap::new(),
            ports: BTreeMap::new(),
            machines: machines.collect(),
            allocations: allocations.collect(),
        };
        let mut owners: BTreeMap<Name, BTreeMap<IfName, Owner>> = BTreeMap::new();
        for cable in model.graph.cables() {
            for (near, far) in [(&cable.a, &cable.b), (&cable.b, &cable.a)] {
                if model.switches.contains_key(&near.device) {
                    owners.entry(near.device.clone()).or_default().insert(near.port.clone(), ground.owner_of(&far.device));
                }
            }
        }
        for network in model.networks.values() {
            for peer in &network.peers {
                let interface = match peer.vlan {
                    Some(vlan) => format!("{}.{vlan}", peer.interface).parse().unwrap_or_else(|_| peer.interface.clone()),
                    None => peer.interface.clone(),
                };
                owners.entry(peer.exit.clone()).or_default().insert(interface, Owner::Outside(network.name.clone()));
                ground.peers.entry(peer.exit.clone()).or_default().push(peer);
            }
        }
        ground.owners = owners;
        let mut ports: BTreeMap<Name, Vec<(Name, IfName)>> = BTreeMap::new();
        for (device, port, owner) in ground.owners() {
            if let Owner::Machine { server: machine, .. } | Owner::Firewall(machine, _) = owner {
                ports.entry(machine.clone()).or_default().push((device.clone(), port.clone()));
            }
        }
        ground.ports = ports;
        ground
    }

    fn owner_of(&self, device: &Name) -> Owner {
        if self.model.switches.contains_key(device) {
            return Owner::Switch(device.clone());
        }
        if let Some(firewall) = self.machines.get(device) {
            return Owner::Firewall(device.clone(), firewall.name.clone());
        }
        let firewall = self.model.servers.get(device).is_some_and(|server| server.role == ServerRole::Firewall);
        match self.allocations.get(device) {
            Some(allocation) if allocation.phase == Phase::Active && !firewall => {
                Owner::Machine { server: device.clone(), network: allocation.network.clone() }
            }
            _ => Owner::Idle(device.clone()),
        }
    }

    /// Who is behind a port; `None` where nothing is plugged in.
    pub fn owner(&self, device: &Name, port: &IfName) -> Option<&Owner> {
        self.owners.get(device)?.get(port)
    }

    /// All ports with something behind.
    pub fn owners(&self) -> impl Iterator<Item = (&Name, &IfName, &Owner)> {
        self.owners.iter().flat_map(|(device, ports)| ports.iter().map(move |(port, owner)| (device, port, owner)))
    }

    /// The ports of one switch with something behind.
    pub fn owners_at(&self, device: &Name) -> impl Iterator<Item = (&IfName, &Owner)> {
        self.owners.get(device).into_iter().flatten()
    }

    /// An exit's sessions with the outside.
    pub fn peers_at(&self, exit: &Name) -> &[&'a ExternalPeer] {
        self.peers.get(exit).map_or(&[], Vec::as_slice)
    }

    /// The ports of switches that lead to a tenant's machine in service, or to a firewall machine.
    pub fn ports_of(&self, machine: &Name) -> &[(Name, IfName)] {
        self.ports.get(machine).map_or(&[], Vec::as_slice)
    }

    /// The Firewall that a machine serves.
    pub fn firewall(&self, machine: &Name) -> Option<&'a Firewall> {
        self.machines.get(machine).copied()
    }

    /// A server's Allocation.
    pub fn allocation(&self, server: &Name) -> Option<&'a Allocation> {
        self.allocations.get(server).copied()
    }

    /// A network.
    pub fn network(&self, name: &Name) -> Option<&'a Network> {
        self.model.networks.get(name).map(|network| &**network)
    }

    /// The external networks that a router outside is in.
    pub fn outside_networks(&self, outside: &OutsideRouter) -> impl Iterator<Item = &'a Network> {
        let remotes: Vec<IpAddr> = outside.sessions.iter().map(|session| session.remote).collect();
        self.model
            .networks
            .values()
            .map(|network| &**network)
            .filter(move |network| network.peers.iter().any(|peer| remotes.contains(&peer.local_address.address())))
    }

    /// The addresses that an Address has.
    pub fn elastic(&self, address: &leafwall_intent::model::Address) -> &'a [IpAddr] {
        self.table.addresses(&address.network, &AddressHolder::Elastic(address.name.clone()))
    }

    /// Whether some firewall translates to an Address, and whether one other than `except` does.
    fn is_egress(&self, address: &Name, except: Option<&Name>) -> bool {
        let mut users = self.model.firewalls.values().filter(|firewall| firewall.egress.values().flatten().any(|name| name == address));
        match except {
            None => users.next().is_some(),
            Some(except) => {
                let users: Vec<_> = users.collect();
                !users.is_empty() && users.iter().all(|user| user.name != *except)
            }
        }
    }

    /// What a routed server may announce: host routes of its network's prefixes, what the network lets servers announce, and its tenant's Addresses that no
    /// firewall translates to and that are not another server's.
    pub fn server_routes(&self, server: &Name) -> RouteSet {
        let Some(allocation) = self.allocations.get(server).filter(|allocation| allocation.mode == Mode::Routed) else {
            return RouteSet::none();
        };
        let Some(network) = self.network(&allocation.network) else { return RouteSet::none() };
        let mut sets: Vec<RouteSet> = network.prefixes.iter().map(|prefix| RouteSet::hosts(*prefix)).collect();
        sets.extend(network.announce.iter().map(|prefix| RouteSet::inside(*prefix)));
        for address in self.model.addresses.values().filter(|address| address.tenant == allocation.tenant) {
            let mine = address.server.as_ref().is_none_or(|bound| bound == server);
            if mine && !self.is_egress(&address.name, None) {
                sets.extend(self.elastic(address).iter().map(|host| RouteSet::exactly(Prefix::host(*host))));
            }
        }
        RouteSet::union(sets)
    }

    /// What a firewall machine may announce in a network (H21, H35 to H39): in its tenant's own networks the destinations and prefixes of the others that it joins; in
    /// shared and external ones its tenant's Addresses and the prefixes that are not translated there.
    pub fn firewall_routes(&self, machine: &Name, firewall: &Firewall, network: &Network) -> RouteSet {
        let own = |network: &Network| network.kind != NetworkType::External && network.tenant.as_ref() == Some(&firewall.tenant);
        let prefixes = |network: &Network| -> Vec<RouteSet> {
            network
                .prefixes
                .iter()
                .chain(network.subnets.iter().map(|subnet| &subnet.prefix))
                .map(|prefix| RouteSet::inside(*prefix))
                .collect()
        };
        let mut sets = Vec::new();
        let others = firewall.networks.iter().filter(|name| **name != network.name).filter_map(|name| self.network(name));
        for other in others {
            if own(network) && (network.kind == NetworkType::Private || other.kind == NetworkType::External) {
                let destination =
                    |prefix: &Prefix| if prefix.is_default() { RouteSet::exactly(*prefix) } else { RouteSet::inside(*prefix) };
                sets.extend(other.destinations.iter().map(destination));
            }
            if network.kind == NetworkType::Private {
                sets.extend(prefixes(other));
            } else if own(other) {
                let routed = prefixes(other).into_iter().map(|set| {
                    let translated = Family::BOTH.into_iter().filter(|family| network.nat.covers(*family));
                    translated.fold(set, |set, family| set.minus(&RouteSet::family(family)))
                });
                sets.extend(routed);
            }
        }
        if network.kind != NetworkType::Private {
            let addresses = self.model.addresses.values().filter(|a| a.tenant == firewall.tenant && a.network == network.name);
            for address in addresses.filter(|address| !self.is_egress(&address.name, Some(&firewall.name))) {
                sets.extend(self.elastic(address).iter().map(|host| RouteSet::exactly(Prefix::host(*host))));
            }
        }
        let inband = self.table.addresses(&network.name, &AddressHolder::Inband(machine.clone()));
        sets.extend(inband.iter().map(|host| RouteSet::exactly(Prefix::host(*host))));
        RouteSet::union(sets)
    }

    /// Packets to whatever may be in a network, or behind it.
    pub fn addresses(&self, network: &Name) -> PacketSet {
        let Some(network) = self.network(network) else { return PacketSet::none() };
        let subnets = network.subnets.iter().map(|subnet| &subnet.prefix);
        let all = network.prefixes.iter().chain(subnets).chain(&network.destinations).chain(&network.announce);
        let mut set = PacketSet::prefixes(Field::Destination, all);
        for address in self.model.addresses.values().filter(|address| Some(&address.tenant) == network.tenant.as_ref()) {
            set =
                set.or(&PacketSet::union(self.elastic(address).iter().map(|host| PacketSet::addresses(Field::Destination, *host, *host))));
        }
        set
    }

    /// An address of each family that lives in a network, for witnesses.
    pub fn somebody(&self, network: &Name) -> Vec<IpAddr> {
        let mut found: Vec<IpAddr> = Vec::new();
        for endpoint in self.inventory.endpoints.values() {
            if self.allocations.get(&endpoint.node).is_some_and(|allocation| allocation.network == *network) {
                found.extend(endpoint.v4.iter().copied().map(IpAddr::V4));
                found.extend(endpoint.v6.iter().copied().map(IpAddr::V6));
            }
        }
        if let Some(network) = self.network(network) {
            found.extend(network.prefixes.iter().chain(&network.destinations).filter_map(|prefix| prefix.nth(1)));
        }
        found
    }

    /// A packet from someone in one network to an address, or to someone in another network.
    pub fn packet(&self, from: Option<&Name>, to: &[IpAddr]) -> Option<Header> {
        let sources = from.map(|name| self.somebody(name)).unwrap_or_default();
        let pair =
            to.iter().find_map(|to| sources.iter().find(|source| Family::of(**source) == Family::of(*to)).map(|source| (*source, *to)));
        match (pair, to.first()) {
            (Some((source, destination)), _) => PacketSet::addresses(Field::Source, source, source)
                .and(&PacketSet::addresses(Field::Destination, destination, destination))
                .witness(),
            (None, Some(to)) => PacketSet::addresses(Field::Destination, *to, *to).witness(),
            (None, None) => None,
        }
    }
}
