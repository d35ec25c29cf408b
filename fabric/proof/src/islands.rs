//! Which endpoints have anything to do with each other: those whose places are joined on devices, or whose networks meet in intents. Between two others there is
//! no way that a packet could be walked along, and none is intended, so nobody needs to look at each pair: there are as many as endpoints squared.

use std::collections::BTreeSet;
use std::sync::Arc;

use leafwall_render::inventory::LabEndpoint;
use leafwall_topology::{IfName, Name};
use rustc_hash::FxHashMap;

use crate::domains::{Domain, Domains};
use crate::forest::Forest;
use crate::ground::{Ground, Owner};
use crate::read::Devices;

/// Whatever is on one island.
#[derive(Debug, Clone, Default)]
pub struct Island<'a> {
    /// Its endpoints, sorted.
    pub endpoints: Vec<(&'a Name, &'a Arc<LabEndpoint>)>,
    /// The VRFs of its domains, sorted.
    pub vrfs: Vec<(&'a Name, &'a IfName)>,
    /// Tenants' machines in service, sorted.
    pub machines: Vec<&'a Name>,
}

impl<'a> Island<'a> {
    /// A whole fabric, as if everybody had to do with everybody.
    pub fn whole(devices: &'a Devices, ground: &'a Ground<'a>) -> Self {
        Self {
            endpoints: ground.endpoints.iter().collect(),
            vrfs: devices.iter().flat_map(|(name, device)| device.vrfs().map(move |(vrf, _)| (name, vrf))).collect(),
            machines: machines(ground).collect(),
        }
    }

    /// The devices that its VRFs are on, and those that its nodes and networks are plugged into.
    pub(crate) fn devices(&self, ground: &'a Ground<'a>) -> BTreeSet<&'a Name> {
        let mut devices: BTreeSet<&Name> = self.vrfs.iter().map(|(device, _)| *device).collect();
        let nodes = self.endpoints.iter().map(|(_, endpoint)| &endpoint.node).chain(self.machines.iter().copied());
        for node in nodes {
            devices.extend(ground.cabling().ports(node).iter().map(|(device, _)| device));
        }
        devices
    }
}

fn machines<'a>(ground: &'a Ground<'a>) -> impl Iterator<Item = &'a Name> {
    ground.machine_owners().iter().filter_map(|owner| if let Owner::Machine { server, .. } = owner { Some(server) } else { None })
}

/// The islands of a fabric.
#[derive(Debug)]
pub struct Islands<'a> {
    /// Domains by their numbers, and behind them networks and nodes.
    forest: Forest,
    networks: FxHashMap<&'a Name, usize>,
    nodes: FxHashMap<&'a Name, usize>,
}

impl<'a> Islands<'a> {
    /// From what devices join, and what intents join.
    pub fn new(devices: &'a Devices, ground: &'a Ground<'a>, domains: &'a Domains) -> Self {
        let mut islands = Self { forest: Forest::new(domains.count()), networks: FxHashMap::default(), nodes: FxHashMap::default() };
        islands.by_devices(devices, ground, domains);
        islands.by_intents(ground);
        islands
    }

    /// The island that a node's endpoints are on; nodes on different ones have nothing to do with each other.
    pub fn of(&self, node: &Name) -> Option<usize> {
        self.nodes.get(node).map(|at| self.forest.root(*at))
    }

    /// The island that a network is on.
    pub fn of_network(&self, network: &Name) -> Option<usize> {
        self.networks.get(network).map(|at| self.forest.root(*at))
    }

    /// The island that a domain is on.
    pub fn of_domain(&self, domain: Domain) -> usize {
        self.forest.root(domain)
    }

    /// All islands with an endpoint, in the order of their first ones.
    pub fn all(&self, devices: &'a Devices, ground: &'a Ground<'a>, domains: &'a Domains) -> Vec<Island<'a>> {
        let mut islands: Vec<Island<'a>> = Vec::new();
        let mut number: FxHashMap<usize, usize> = FxHashMap::default();
        for (name, endpoint) in ground.endpoints {
            let Some(root) = self.of(&endpoint.node) else { continue };
            let next = islands.len();
            let number = *number.entry(root).or_insert(next);
            if number == next {
                islands.push(Island::default());
            }
            islands[number].endpoints.push((name, endpoint));
        }
        for name in devices.keys() {
            for (vrf, domain) in domains.vrfs(name) {
                if let Some(number) = number.get(&self.of_domain(domain)) {
                    islands[*number].vrfs.push((name, vrf));
                }
            }
        }
        for server in machines(ground) {
            if let Some(number) = self.of(server).and_then(|root| number.get(&root)) {
                islands[*number].machines.push(server);
            }
        }
        islands
    }

    fn node(&mut self, name: &'a Name) -> usize {
        *self.nodes.entry(name).or_insert_with(|| self.forest.add())
    }

    fn network(&mut self, name: &'a Name) -> usize {
        *self.networks.entry(name).or_insert_with(|| self.forest.add())
    }

    fn by_devices(&mut self, devices: &'a Devices, ground: &'a Ground<'a>, domains: &'a Domains) {
        for (one, other) in domains.meeting() {
            self.forest.join(one, other);
        }
        for (network, server, domain) in domains.ports() {
            let network = self.network(network);
            self.forest.join(network, domain);
            if let Some(server) = server {
                let server = self.node(server);
                self.forest.join(server, domain);
            }
        }
        // a device's own addresses are in all of its VRFs
        for name in devices.keys().filter(|name| ground.firewall(name).is_some()) {
            for (_, domain) in domains.vrfs(name) {
                let node = self.node(name);
                self.forest.join(node, domain);
            }
        }
    }

    /// What intents let meet, whether or not devices do.
    fn by_intents(&mut self, ground: &'a Ground<'a>) {
        let model = ground.model;
        for peering in model.peerings.values() {
            let [one, other] = &peering.sides;
            let (one, other) = (self.network(&one.network), self.network(&other.network));
            self.forest.join(one, other);
        }
        for firewall in model.firewalls.values() {
            for (machine, network) in
                firewall.servers.iter().flat_map(|machine| firewall.networks.iter().map(move |network| (machine, network)))
            {
                let (machine, network) = (self.node(machine), self.network(network));
                self.forest.join(machine, network);
            }
        }
        for endpoint in ground.endpoints.values() {
            if let Some(allocation) = ground.allocation(&endpoint.node) {
                let (node, network) = (self.node(&endpoint.node), self.network(&allocation.network));
                self.forest.join(node, network);
            }
        }
        for outside in ground.outside {
            for network in ground.outside_networks(outside) {
                let (node, network) = (self.node(&outside.name), self.network(&network.name));
                self.forest.join(node, network);
            }
        }
    }
}
