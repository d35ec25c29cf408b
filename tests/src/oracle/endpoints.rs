//! Who is asked about, and what the Model says of their addresses.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use leafwall_intent::Model;
use leafwall_intent::model::{Address, Allocation, Firewall, Mode, Network, Phase};
use leafwall_topology::{Family, Name, Prefix};

/// Someone who sends and is sent to.
#[derive(Debug, Clone)]
pub struct Endpoint<'a> {
    /// Its name in scenarios.
    pub name: Name,
    /// The machine that it is on.
    pub node: Name,
    /// Where that is.
    pub place: Place<'a>,
    /// The elastic address that it is, if it is one.
    pub elastic: Option<&'a Address>,
    /// Where its address of each family lies: a host if it is known, else the prefixes that it is taken from.
    pub addresses: BTreeMap<Family, Vec<Prefix>>,
}

/// Where an endpoint is.
#[derive(Debug, Clone, Copy)]
pub enum Place<'a> {
    /// In a network.
    Server(&'a Network),
    /// In no tenant's network: its machine is being installed.
    Nowhere,
    /// A machine of this firewall; whether it is the active one.
    Machine(&'a Firewall, bool),
    /// Beyond the exits of this network.
    Outside(&'a Network),
}

pub(super) fn all(model: &Model) -> Vec<Endpoint<'_>> {
    let mut found = BTreeMap::new();
    for allocation in model.allocations.values() {
        let network = &model.networks[&allocation.network];
        let addresses = match allocation.mode {
            Mode::Routed => routed(allocation, network),
            Mode::Bridged => bridged(allocation, network),
        };
        let name = allocation.server.clone();
        let place = place(model, allocation);
        found.insert(name.clone(), Endpoint { node: name.clone(), name, place, elastic: None, addresses });
    }
    for firewall in model.firewalls.values() {
        for (position, name) in firewall.servers.iter().enumerate() {
            let addresses = [(Family::V4, vec![model.fabric.loopbacks])].into();
            let place = Place::Machine(firewall, position == 0);
            found.insert(name.clone(), Endpoint { node: name.clone(), name: name.clone(), place, elastic: None, addresses });
        }
    }
    for address in model.addresses.values() {
        let Some(server) = &address.server else { continue };
        let Some(allocation) = model.allocations.values().find(|allocation| allocation.server == *server) else { continue };
        let addresses = match address.address {
            Some(fixed) => host(fixed),
            None => of_prefixes(&model.networks[&address.network].prefixes).into_iter().take(1).collect(),
        };
        let place = place(model, allocation);
        let name = address.name.clone();
        found.entry(name.clone()).or_insert(Endpoint { name, node: server.clone(), place, elastic: Some(address), addresses });
    }
    let outside: Vec<_> = model.networks.values().filter(|network| !network.peers.is_empty()).collect();
    for (index, network) in (0u32..).zip(&outside) {
        let name: Name = if outside.len() == 1 { "outside".to_owned() } else { format!("outside-{}", network.name) }.parse().unwrap();
        let addresses = beyond(network, index);
        found.insert(name.clone(), Endpoint { node: name.clone(), name, place: Place::Outside(network), elastic: None, addresses });
    }
    found.into_values().collect()
}

fn place<'a>(model: &'a Model, allocation: &Allocation) -> Place<'a> {
    match allocation.phase {
        Phase::Active => Place::Server(&model.networks[&allocation.network]),
        Phase::Provisioning => Place::Nowhere,
    }
}

fn host(address: IpAddr) -> BTreeMap<Family, Vec<Prefix>> {
    [(Family::of(address), vec![Prefix::host(address)])].into()
}

fn of_prefixes(prefixes: &[Prefix]) -> BTreeMap<Family, Vec<Prefix>> {
    let mut families: BTreeMap<Family, Vec<Prefix>> = BTreeMap::new();
    for prefix in prefixes {
        families.entry(prefix.family()).or_default().push(*prefix);
    }
    families
}

fn routed(allocation: &Allocation, network: &Network) -> BTreeMap<Family, Vec<Prefix>> {
    let mut addresses = of_prefixes(&network.prefixes);
    allocation.addresses.iter().for_each(|fixed| addresses.extend(host(*fixed)));
    addresses
}

/// A network's first IPv4 and first IPv6 subnet share a segment, and so on: a bridged server has an address of each subnet of one segment.
fn bridged(allocation: &Allocation, network: &Network) -> BTreeMap<Family, Vec<Prefix>> {
    let subnets: Vec<Prefix> = network.subnets.iter().map(|subnet| subnet.prefix).collect();
    let families = of_prefixes(&subnets);
    let segment = |index: usize| -> Vec<Prefix> { families.values().filter_map(|subnets| subnets.get(index)).copied().collect() };
    let holds =
        |index: &usize| allocation.addresses.iter().any(|fixed| segment(*index).iter().any(|prefix| prefix.contains_address(*fixed)));
    let mut addresses = of_prefixes(&segment((0..subnets.len()).find(holds).unwrap_or(0)));
    allocation.addresses.iter().for_each(|fixed| addresses.extend(host(*fixed)));
    addresses
}

/// The addresses that the lab gives the router beyond a network's exits: in each family that it tells something of, one in the first prefix that is not
/// the default route, else one of the ranges for benchmarks (RFC 2544, RFC 5180).
fn beyond(network: &Network, index: u32) -> BTreeMap<Family, Vec<Prefix>> {
    let told: BTreeSet<Prefix> = network.peers.iter().flat_map(|peer| peer.import.iter().copied()).collect();
    let mut addresses = BTreeMap::new();
    for prefix in told.iter().rev() {
        let somewhere = match prefix.family() {
            Family::V4 => IpAddr::V4(Ipv4Addr::from(0xc612_0001 + (index << 8))),
            Family::V6 => IpAddr::V6(Ipv6Addr::from(0x2001_0002_0000_0000_0000_0000_0000_0001 + (u128::from(index) << 16))),
        };
        if prefix.is_default() {
            addresses.entry(prefix.family()).or_insert_with(|| vec![Prefix::host(somewhere)]);
        } else {
            // in reverse order the first one is the last to be written
            addresses.extend(host(prefix.nth(1).unwrap_or_else(|| prefix.network())));
        }
    }
    addresses
}
