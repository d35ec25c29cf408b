//! What the proof takes as given: the cabling, who owns what is plugged in, and who has which address.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::{Arc, OnceLock};

use leafwall_intent::model::{
    Address, Allocation, ExternalPeer, Firewall, FirewallPolicy, Mode, Model, Network, NetworkType, Peering, Phase, ServerRole,
};
use leafwall_plan::Table;
use leafwall_plan::allocation::AddressHolder;
use leafwall_policy::sets::{Field, Header, PacketSet};
use leafwall_policy::zone::FirewallRules;
use leafwall_render::inventory::{Endpoints, OutsideRouter};
use leafwall_topology::{Family, IfName, Name, PortRef, Prefix};
use rayon::prelude::*;
use rustc_hash::FxHashMap;

use crate::Input;
use crate::intended;
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

/// What is plugged into what, by switch: nothing that tenants' intents change.
#[derive(Debug, Default)]
pub struct Cabling {
    /// Each switch's ports, sorted.
    at: BTreeMap<Name, Vec<(IfName, Far)>>,
    /// All machines, sorted.
    machines: Vec<Name>,
    /// Where each stands there.
    number: FxHashMap<Name, usize>,
    /// The ports of switches that lead to each.
    ports: Vec<Vec<(Name, IfName)>>,
}

/// The other end of a port's cable.
#[derive(Debug)]
enum Far {
    /// A machine, by its number.
    Machine(usize),
    /// Another switch, or the outside.
    Other(Owner),
}

impl Cabling {
    /// Of the cables and the sessions with the outside.
    pub fn new(model: &Model) -> Self {
        let mut ends: BTreeMap<&Name, BTreeMap<IfName, Result<&Name, Owner>>> = BTreeMap::new();
        for cable in model.graph.cables() {
            for (near, far) in [(&cable.a, &cable.b), (&cable.b, &cable.a)] {
                if model.switches.contains_key(&near.device) {
                    let switch = model.switches.get_key_value(&far.device);
                    let far = switch.map_or(Ok(&far.device), |(name, _)| Err(Owner::Switch(name.clone())));
                    ends.entry(&near.device).or_default().insert(near.port.clone(), far);
                }
            }
        }
        for network in model.networks.values() {
            for peer in &network.peers {
                let interface = match peer.vlan {
                    Some(vlan) => format!("{}.{vlan}", peer.interface).parse().unwrap_or_else(|_| peer.interface.clone()),
                    None => peer.interface.clone(),
                };
                ends.entry(&peer.exit).or_default().insert(interface, Err(Owner::Outside(network.name.clone())));
            }
        }
        let machines: BTreeSet<&Name> = ends.values().flat_map(BTreeMap::values).filter_map(|far| far.as_ref().ok().copied()).collect();
        let machines: Vec<Name> = machines.into_iter().cloned().collect();
        let number: FxHashMap<Name, usize> = machines.iter().enumerate().map(|(number, name)| (name.clone(), number)).collect();
        let mut cabling = Self { at: BTreeMap::new(), ports: vec![Vec::new(); machines.len()], machines, number };
        for (device, far_ends) in ends {
            let mut here = Vec::with_capacity(far_ends.len());
            for (port, far) in far_ends {
                let far = match far {
                    Err(other) => Far::Other(other),
                    Ok(machine) => {
                        let Some(number) = cabling.number.get(machine).copied() else { continue };
                        if let Some(ports) = cabling.ports.get_mut(number) {
                            ports.push((device.clone(), port.clone()));
                        }
                        Far::Machine(number)
                    }
                };
                here.push((port, far));
            }
            cabling.at.insert(device.clone(), here);
        }
        cabling
    }

    /// The ports of switches that lead to a machine.
    pub(crate) fn ports(&self, machine: &Name) -> &[(Name, IfName)] {
        self.number.get(machine).and_then(|number| self.ports.get(*number)).map_or(&[], Vec::as_slice)
    }

    /// All machines, sorted.
    pub(crate) fn machines(&self) -> &[Name] {
        &self.machines
    }
}

/// Values by their keys, in the order in which they come.
fn grouped<'a, V>(pairs: impl Iterator<Item = (&'a Name, V)>) -> FxHashMap<&'a Name, Vec<V>> {
    let mut groups: FxHashMap<&Name, Vec<V>> = FxHashMap::default();
    for (key, value) in pairs {
        groups.entry(key).or_default().push(value);
    }
    groups
}

/// Everything that is given.
pub struct Ground<'a> {
    /// The checked intents.
    pub model: &'a Model,
    /// Allocated numbers and addresses.
    pub table: &'a Table,
    /// Who reachability is asked of.
    pub endpoints: &'a Endpoints,
    /// Routers outside.
    pub outside: &'a [OutsideRouter],
    cabling: Arc<Cabling>,
    /// Whose each machine of the cabling is, in its order.
    owners: Vec<Owner>,
    /// Networks with routers outside.
    external: Vec<&'a Network>,
    /// The sessions with the outside, by the exit that has them.
    peers: BTreeMap<&'a Name, Vec<&'a ExternalPeer>>,
    machines: FxHashMap<&'a Name, &'a Firewall>,
    allocations: FxHashMap<&'a Name, &'a Allocation>,
    /// Firewalls and peerings by the networks that they join.
    firewalls: FxHashMap<&'a Name, Vec<&'a Firewall>>,
    peerings: FxHashMap<&'a Name, Vec<&'a Peering>>,
    /// Policies by their firewalls.
    policies: FxHashMap<&'a Name, Vec<&'a FirewallPolicy>>,
    /// Addresses by their tenants, and the firewalls that translate to each.
    addresses: FxHashMap<&'a Name, Vec<&'a Address>>,
    egress: FxHashMap<&'a Name, Vec<&'a Name>>,
    /// What each firewall's intents say, once somebody asked.
    rules: FxHashMap<&'a Name, OnceLock<Option<FirewallRules>>>,
}

impl<'a> Ground<'a> {
    /// From what is given.
    pub fn new(input: &Input<'a>) -> Self {
        Self::on(input, &Arc::new(Cabling::new(input.model)))
    }

    /// The same, with a cabling that is the Model's.
    pub(crate) fn on(input: &Input<'a>, cabling: &Arc<Cabling>) -> Self {
        let model: &'a Model = input.model;
        let machines = model.firewalls.values().flat_map(|firewall| firewall.servers.iter().map(move |server| (server, &**firewall)));
        let mut ground = Self {
            model,
            table: input.table,
            endpoints: input.endpoints,
            outside: input.outside,
            cabling: Arc::clone(cabling),
            owners: Vec::new(),
            external: model.networks.values().map(|network| &**network).filter(|network| !network.peers.is_empty()).collect(),
            peers: BTreeMap::new(),
            machines: machines.collect(),
            allocations: model.allocations.values().map(|allocation| (&allocation.server, &**allocation)).collect(),
            firewalls: grouped(
                model.firewalls.values().flat_map(|firewall| firewall.networks.iter().map(move |network| (network, &**firewall))),
            ),
            peerings: grouped(
                model.peerings.values().flat_map(|peering| peering.sides.iter().map(move |side| (&side.network, &**peering))),
            ),
            policies: grouped(model.policies.values().map(|policy| (&policy.firewall, &**policy))),
            addresses: grouped(model.addresses.values().map(|address| (&address.tenant, &**address))),
            egress: grouped(
                model.firewalls.values().flat_map(|firewall| firewall.egress.values().flatten().map(|name| (name, &firewall.name))),
            ),
            rules: model.firewalls.keys().map(|name| (name, OnceLock::new())).collect(),
        };
        for network in &ground.external {
            for peer in &network.peers {
                ground.peers.entry(&peer.exit).or_default().push(peer);
            }
        }
        ground.owners = cabling.machines.par_iter().map(|machine| ground.owner_of(machine)).collect();
        ground
    }

    fn owner_of(&self, machine: &Name) -> Owner {
        if let Some(firewall) = self.machines.get(machine) {
            return Owner::Firewall(machine.clone(), firewall.name.clone());
        }
        let is_firewall = || self.model.servers.get(machine).is_some_and(|server| server.role == ServerRole::Firewall);
        match self.allocations.get(machine) {
            Some(allocation) if allocation.phase == Phase::Active && !is_firewall() => {
                Owner::Machine { server: machine.clone(), network: allocation.network.clone() }
            }
            _ => Owner::Idle(machine.clone()),
        }
    }

    fn owned<'g>(&'g self, far: &'g Far) -> Option<&'g Owner> {
        match far {
            Far::Machine(number) => self.owners.get(*number),
            Far::Other(owner) => Some(owner),
        }
    }

    /// The cabling.
    pub(crate) fn cabling(&self) -> &Arc<Cabling> {
        &self.cabling
    }

    /// Whose each machine is, in the order of the cabling's.
    pub(crate) fn machine_owners(&self) -> &[Owner] {
        &self.owners
    }

    /// Who is behind a port; `None` where nothing is plugged in.
    pub fn owner(&self, device: &Name, port: &IfName) -> Option<&Owner> {
        let ports = self.cabling.at.get(device)?;
        let at = ports.binary_search_by(|(other, _)| other.cmp(port)).ok()?;
        self.owned(&ports.get(at)?.1)
    }

    /// All ports with something behind.
    pub fn owners(&self) -> impl Iterator<Item = (&Name, &IfName, &Owner)> {
        let all = self.cabling.at.iter().flat_map(|(device, ports)| ports.iter().map(move |(port, far)| (device, port, far)));
        all.filter_map(|(device, port, far)| Some((device, port, self.owned(far)?)))
    }

    /// The ports of one switch with something behind.
    pub fn owners_at(&self, device: &Name) -> impl Iterator<Item = (&IfName, &Owner)> {
        self.cabling.at.get(device).into_iter().flatten().filter_map(|(port, far)| Some((port, self.owned(far)?)))
    }

    /// The machines of firewalls, each with its Firewall; sorted.
    pub(crate) fn firewall_machines(&self) -> Vec<(Name, Name)> {
        let mut all: Vec<_> = self.machines.iter().map(|(machine, firewall)| ((*machine).clone(), firewall.name.clone())).collect();
        all.sort();
        all
    }

    /// Whether a port has a cable.
    pub(crate) fn is_cabled(&self, device: &Name, port: &IfName) -> bool {
        self.model.graph.far_end(&PortRef { device: device.clone(), port: port.clone() }).is_some()
    }

    /// Whatever a switch or machine has a cable to.
    pub(crate) fn cabled<'g>(&'g self, device: &Name) -> impl Iterator<Item = &'g Name> + 'g {
        let at_switch = self.cabling.at.get(device).into_iter().flatten().filter_map(|(_, far)| match far {
            Far::Machine(number) => self.cabling.machines.get(*number),
            Far::Other(Owner::Switch(switch)) => Some(switch),
            Far::Other(_) => None,
        });
        at_switch.chain(self.cabling.ports(device).iter().map(|(switch, _)| switch))
    }

    /// The cables from one device to another, of which one is a switch: the port at either end.
    pub(crate) fn between(&self, from: &Name, to: &Name) -> impl Iterator<Item = (IfName, IfName)> {
        // from the side that has fewer ports
        let ports = |device: &Name| self.cabling.at.get(device).map_or_else(|| self.cabling.ports(device).len(), Vec::len);
        let turned = ports(to) < ports(from);
        let (one, other) = if turned { (to, from) } else { (from, to) };
        let far = |port: &IfName| {
            let far = self.model.graph.far_end(&PortRef { device: one.clone(), port: port.clone() })?;
            (far.device == *other).then(|| far.port.clone())
        };
        let found: Vec<(IfName, IfName)> = if let Some(at_switch) = self.cabling.at.get(one) {
            let leading = at_switch.iter().filter(|(_, end)| self.is_at(end, other));
            leading.filter_map(|(port, _)| Some((port.clone(), far(port)?))).collect()
        } else {
            let ports = self.cabling.ports(one).iter().filter(|(switch, _)| switch == other);
            let near = |switch: &Name, port: &IfName| {
                self.model.graph.far_end(&PortRef { device: switch.clone(), port: port.clone() }).map(|near| near.port.clone())
            };
            ports.filter_map(|(switch, port)| Some((near(switch, port)?, port.clone()))).collect()
        };
        found.into_iter().map(move |(near, far)| if turned { (far, near) } else { (near, far) })
    }

    fn is_at(&self, far: &Far, device: &Name) -> bool {
        match far {
            Far::Machine(number) => self.cabling.machines.get(*number) == Some(device),
            Far::Other(owner) => matches!(owner, Owner::Switch(switch) if switch == device),
        }
    }

    /// An exit's sessions with the outside.
    pub fn peers_at(&self, exit: &Name) -> &[&'a ExternalPeer] {
        self.peers.get(exit).map_or(&[], Vec::as_slice)
    }

    /// The ports of switches that lead to a tenant's machine in service, or to a firewall machine.
    pub fn ports_of(&self, machine: &Name) -> &[(Name, IfName)] {
        let Some(number) = self.cabling.number.get(machine) else { return &[] };
        match self.owners.get(*number) {
            Some(Owner::Machine { .. } | Owner::Firewall(..)) => self.cabling.ports.get(*number).map_or(&[], Vec::as_slice),
            _ => &[],
        }
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
        let reached = move |network: &&'a Network| network.peers.iter().any(|peer| remotes.contains(&peer.local_address.address()));
        self.external.iter().copied().filter(reached)
    }

    /// Networks with routers outside.
    pub(crate) fn external(&self) -> &[&'a Network] {
        &self.external
    }

    /// The addresses that an Address has.
    pub fn elastic(&self, address: &Address) -> &'a [IpAddr] {
        self.table.addresses(&address.network, &AddressHolder::Elastic(address.name.clone()))
    }

    /// The firewalls that translate to an Address.
    pub fn translating(&self, address: &Name) -> &[&'a Name] {
        self.egress.get(address).map_or(&[], Vec::as_slice)
    }

    /// The firewalls that join a network.
    pub fn firewalls_in(&self, network: &Name) -> &[&'a Firewall] {
        self.firewalls.get(network).map_or(&[], Vec::as_slice)
    }

    /// The peerings that a network has.
    pub fn peerings_of(&self, network: &Name) -> &[&'a Peering] {
        self.peerings.get(network).map_or(&[], Vec::as_slice)
    }

    /// The policies of a firewall.
    pub fn policies_of(&self, firewall: &Name) -> &[&'a FirewallPolicy] {
        self.policies.get(firewall).map_or(&[], Vec::as_slice)
    }

    /// A tenant's Addresses.
    pub fn addresses_of(&self, tenant: &Name) -> &[&'a Address] {
        self.addresses.get(tenant).map_or(&[], Vec::as_slice)
    }

    /// A firewall as its intents describe it, for its first machine.
    pub fn rules_of(&self, firewall: &Name) -> Option<&FirewallRules> {
        let work = || {
            let firewall = self.model.firewalls.get(firewall)?;
            intended::firewall_rules(self, firewall, firewall.servers.first()?)
        };
        self.rules.get(firewall)?.get_or_init(work).as_ref()
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
        for address in self.addresses_of(&allocation.tenant) {
            let mine = address.server.as_ref().is_none_or(|bound| bound == server);
            if mine && self.translating(&address.name).is_empty() {
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
            let addresses = self.addresses_of(&firewall.tenant).iter().filter(|address| address.network == network.name);
            let others = |users: &[&Name]| !users.is_empty() && users.iter().all(|user| **user != firewall.name);
            for address in addresses.filter(|address| !others(self.translating(&address.name))) {
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
        for address in network.tenant.iter().flat_map(|tenant| self.addresses_of(tenant)) {
            set =
                set.or(&PacketSet::union(self.elastic(address).iter().map(|host| PacketSet::addresses(Field::Destination, *host, *host))));
        }
        set
    }

    /// An address of each family that lives in a network, for witnesses.
    pub fn somebody(&self, network: &Name) -> Vec<IpAddr> {
        let mut found: Vec<IpAddr> = Vec::new();
        for endpoint in self.endpoints.values() {
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
