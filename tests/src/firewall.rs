//! Random firewalls over a small world, in which rules overlap, cut and shadow each other, and packets that probe their edges.

#![allow(clippy::panic)] // what a test wrote is legal or the test is wrong

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use leafwall_policy::rule::{Action, Fqdn, Peer, Policy, PortMatch, PortRange, Priority, Protocol, Rule};
use leafwall_policy::semantics::{FlowState, Packet, Transport};
use leafwall_policy::zone::{Access, Failsafe, FirewallRules, Snat, Sources, Zone, ZoneKind};
use leafwall_topology::{Family, IfName, Name, Prefix};

use crate::random::Random;

/// Parses what a test wrote.
///
/// # Panics
/// Where it is not legal.
pub fn parsed<T: std::str::FromStr<Err: std::fmt::Debug>>(text: &str) -> T {
    text.parse().unwrap_or_else(|error| panic!("`{text}`: {error:?}"))
}

fn prefixes(texts: &[&str]) -> Vec<Prefix> {
    texts.iter().map(|text| parsed(text)).collect()
}

/// The networks of the small world: name, kind, prefixes. Routing there sends a destination into the network with the longest prefix around it.
const WORLD: [(&str, ZoneKind, &[&str]); 5] = [
    ("app", ZoneKind::Own, &["10.0.0.0/22", "10.0.4.0/24", "fd00:a::/64"]),
    ("db", ZoneKind::Own, &["10.0.8.0/24", "fd00:b::/64"]),
    ("storage", ZoneKind::Shared, &["10.50.0.0/24", "fd00:50::/64"]),
    ("internet", ZoneKind::External, &["203.0.113.0/24", "0.0.0.0/0", "::/0"]),
    ("mpls", ZoneKind::External, &["172.16.0.0/16", "fd00:4::/48"]),
];

/// Blocks that rules name: inside, around and across the networks.
const BLOCKS: [&str; 22] = [
    "0.0.0.0/0",
    "0.0.0.0/1",
    "10.0.0.0/8",
    "10.0.0.0/22",
    "10.0.1.0/24",
    "10.0.1.128/25",
    "10.0.1.77/32",
    "10.0.8.0/24",
    "10.50.0.0/25",
    "172.16.0.0/12",
    "172.16.5.0/24",
    "203.0.113.0/24",
    "198.51.100.0/24",
    "198.51.100.7/32",
    "::/0",
    "2000::/3",
    "2001:db8::/32",
    "2001:db8:1::7/128",
    "fd00::/16",
    "fd00:a::/64",
    "fd00:a::100/120",
    "fd00:50::/64",
];

const PORTS: [u16; 11] = [1, 22, 53, 55, 80, 443, 1024, 8000, 8080, 60000, 65535];

/// A zone of the small world behind these interfaces.
///
/// # Panics
/// Where the index is not one of the world's.
pub fn zone(index: usize, input: &IfName, output: &IfName) -> Zone {
    let (network, kind, own) = WORLD[index];
    let others: Vec<Prefix> = WORLD
        .iter()
        .filter(|(name, other, _)| *name != network && *other != ZoneKind::External)
        .flat_map(|(_, _, texts)| prefixes(texts))
        .collect();
    Zone {
        network: parsed(network),
        kind,
        input: input.clone(),
        output: output.clone(),
        prefixes: prefixes(own),
        sources: if kind == ZoneKind::External { Sources::AllBut(others) } else { Sources::Only(prefixes(own)) },
        snat: Snat::default(),
        clamp_mss_to: None,
        rate_mbit: None,
    }
}

/// How many networks the small world has.
pub const ZONES: usize = WORLD.len();

/// The interfaces of a zone of the small world.
pub fn interfaces(index: usize) -> (IfName, IfName) {
    (parsed(&format!("vrf{index}")), parsed(&format!("vlan{index}")))
}

/// A failsafe as a plan would give it.
pub fn failsafe() -> Failsafe {
    Failsafe {
        uplinks: vec![parsed("lan0"), parsed("lan1")],
        loopback: Ipv4Addr::new(10, 255, 0, 9),
        vteps: parsed("10.255.0.0/24"),
        management: None,
        inband: None,
    }
}

/// A firewall that joins all networks of the small world and has no rules.
pub fn quiet() -> FirewallRules {
    FirewallRules {
        firewall: parsed("fw"),
        tenant: parsed("acme"),
        zones: (0..ZONES)
            .map(|index| {
                let (input, output) = interfaces(index);
                zone(index, &input, &output)
            })
            .collect(),
        access: Access::Baseline,
        allowed_ingress: None,
        allowed_egress: None,
        log_accepted: false,
        policies: Vec::new(),
        resolvers: Vec::new(),
        failsafe: failsafe(),
    }
}

/// A random firewall of the small world.
pub fn random(random: &mut Random) -> FirewallRules {
    let mut firewall = quiet();
    while random.once_in(3) && firewall.zones.len() > 1 {
        let gone = random.below(firewall.zones.len());
        firewall.zones.remove(gone);
    }
    firewall.access =
        *random.pick(&[Access::Baseline, Access::Baseline, Access::Baseline, Access::Baseline, Access::Restricted, Access::Forbidden]);
    let blocks = prefixes(&BLOCKS);
    for allowed in [&mut firewall.allowed_ingress, &mut firewall.allowed_egress] {
        *allowed = random.once_in(4).then(|| random.some(&blocks, 5));
    }
    firewall.log_accepted = random.once_in(4);
    let own = prefixes(&["10.0.0.0/22", "10.0.4.0/24", "10.0.8.0/24", "fd00:a::/64", "fd00:b::/64"]);
    for zone in &mut firewall.zones {
        if zone.kind == ZoneKind::Own {
            continue;
        }
        zone.snat = Snat {
            sources: random.some(&own, 4),
            v4: (0..random.below(4)).map(|n| Ipv4Addr::new(203, 0, 113, 10 + u8::try_from(n * 3).unwrap_or(0))).collect(),
            v6: (0..random.below(3))
                .map(|n| Ipv6Addr::new(0x2001, 0xdb8, 0xffff, 0, 0, 0, 0, 1 + u16::try_from(n * 3).unwrap_or(0)))
                .collect(),
        };
        zone.clamp_mss_to = random.once_in(2).then_some(leafwall_topology::Mtu::ETHERNET);
        zone.rate_mbit = random.once_in(4).then(|| 1000 + u32::try_from(random.below(100_000)).unwrap_or(0));
    }
    firewall.policies = (0..random.below(5)).map(|index| policy(random, index, &blocks)).collect();
    firewall
}

/// A random policy of the small world, called by its number.
pub fn random_policy(random: &mut Random, number: usize) -> Policy {
    policy(random, number, &prefixes(&BLOCKS))
}

fn policy(random: &mut Random, index: usize, blocks: &[Prefix]) -> Policy {
    let list = |random: &mut Random| (0..random.below(5)).map(|_| rule(random, blocks)).collect();
    Policy { name: parsed(&format!("p{index}")), ingress: list(random), egress: list(random) }
}

fn rule(random: &mut Random, blocks: &[Prefix]) -> Rule {
    Rule {
        action: if random.once_in(3) { Action::Deny } else { Action::Allow },
        priority: Priority(*random.pick(&[10, 1000, 1000, 1000, 2000])),
        from: peers(random, blocks),
        to: peers(random, blocks),
        ports: if random.once_in(3) { Vec::new() } else { (0..=random.below(4)).map(|_| port(random)).collect() },
        log: random.once_in(4),
        expires: None,
    }
}

fn peers(random: &mut Random, blocks: &[Prefix]) -> Vec<Peer> {
    if random.once_in(3) {
        return Vec::new();
    }
    (0..=random.below(3)).map(|_| peer(random, blocks)).collect()
}

fn peer(random: &mut Random, blocks: &[Prefix]) -> Peer {
    match random.below(8) {
        0 => Peer::Fqdn(Fqdn::try_from("*.example.com".to_owned()).unwrap_or_else(|error| panic!("{error}"))),
        1 | 2 => Peer::Network(network(random.below(ZONES))),
        _ => {
            let cidr = *random.pick(blocks);
            let inside: Vec<Prefix> = blocks.iter().copied().filter(|block| cidr.contains(*block)).collect();
            let except = if random.once_in(2) { random.some(&inside, 3) } else { Vec::new() };
            Peer::Cidr { cidr, except }
        }
    }
}

/// The name of a network of the small world.
///
/// # Panics
/// Where the index is not one of the world's.
pub fn network(index: usize) -> Name {
    parsed(WORLD[index].0)
}

fn port(random: &mut Random) -> PortMatch {
    let protocol = *random.pick(&[
        Protocol::Tcp,
        Protocol::Tcp,
        Protocol::Udp,
        Protocol::Udp,
        Protocol::Sctp,
        Protocol::Icmp,
        Protocol::Icmpv6,
        Protocol::Any,
    ]);
    let has_ports = matches!(protocol, Protocol::Tcp | Protocol::Udp | Protocol::Sctp);
    let (a, b) = (*random.pick(&PORTS), *random.pick(&PORTS));
    let range = if random.once_in(2) { PortRange::new(a, a) } else { PortRange::new(a.min(b), a.max(b)) };
    PortMatch { protocol, ports: if has_ports && !random.once_in(4) { range.ok() } else { None } }
}

/// A packet at the edge of some block: its first or last address, or one beside it. Into which network it goes is what routing says; mostly one that rules
/// are about.
pub fn packet(random: &mut Random, firewall: &FirewallRules) -> Packet {
    let mut found = any_packet(random, firewall);
    for _ in 0..6 {
        let kind = |name: &Name| firewall.zones.iter().find(|zone| zone.network == *name).map(|zone| zone.kind == ZoneKind::Own);
        if found.input != found.output && matches!((kind(&found.input), kind(&found.output)), (Some(a), Some(b)) if a || b) {
            break;
        }
        found = any_packet(random, firewall);
    }
    found
}

fn any_packet(random: &mut Random, firewall: &FirewallRules) -> Packet {
    let v6 = random.once_in(2);
    let zone = random.pick(&firewall.zones).clone();
    // mostly a source that belongs there, sometimes any
    let own = WORLD.iter().find(|(name, ..)| *name == zone.network.as_str()).map_or(&BLOCKS[..], |(_, _, own)| own);
    let from = if random.once_in(6) { &BLOCKS } else { own };
    let source = address(random, v6, from);
    let blocks = if random.once_in(2) { WORLD[random.below(ZONES)].2 } else { &BLOCKS };
    let destination = address(random, v6, blocks);
    let (transport, state) = transport(random, v6);
    Packet { input: zone.network, output: network(route(destination)), source, destination, transport, state }
}

fn transport(random: &mut Random, v6: bool) -> (Transport, FlowState) {
    let source = 1024 + u16::try_from(random.below(60000)).unwrap_or(0);
    let edge = *random.pick(&PORTS);
    let destination = match random.below(3) {
        0 => edge,
        1 => edge.saturating_add(1),
        _ => edge.saturating_sub(1).max(1),
    };
    let transport = match random.below(9) {
        0..=2 => Transport::Tcp { source, destination },
        3..=5 => Transport::Udp { source, destination },
        6 => Transport::Sctp { source, destination },
        7 if v6 => Transport::Icmpv6(128),
        7 => Transport::Icmp(8),
        _ => Transport::Other(*random.pick(&[47, 89, 253])),
    };
    (transport, FlowState::New)
}

/// Which network of the small world a destination is routed into.
///
/// # Panics
/// Never: the internet holds everything.
pub fn route(destination: IpAddr) -> usize {
    let longest =
        |texts: &[&str]| prefixes(texts).into_iter().filter(|prefix| prefix.contains_address(destination)).map(Prefix::length).max();
    (0..ZONES).max_by_key(|index| longest(WORLD[*index].2)).unwrap_or(0)
}

/// The routes of the small world: prefix and the zone that it lies in.
pub fn routes() -> Vec<(Prefix, usize)> {
    WORLD.iter().enumerate().flat_map(|(index, (_, _, texts))| prefixes(texts).into_iter().map(move |prefix| (prefix, index))).collect()
}

fn address(random: &mut Random, v6: bool, texts: &[&str]) -> IpAddr {
    let family: Vec<Prefix> = prefixes(texts).into_iter().filter(|prefix| prefix.network().is_ipv6() == v6).collect();
    for _ in 0..20 {
        let prefix = *random.pick(&family);
        let (first, last) = (Family::number(prefix.network()), Family::number(prefix.last()));
        let inside = first.wrapping_add(u128::from(random.next()) % (last - first).saturating_add(1).max(1));
        let middle = first + (last - first) / 2;
        let found = *random.pick(&[first, last, first.wrapping_sub(1), last.wrapping_add(1), inside, inside, inside, middle, middle]);
        if let Some(address) = ordinary(found, v6) {
            return address;
        }
    }
    if v6 { IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1)) } else { IpAddr::V4(Ipv4Addr::new(198, 51, 100, 1)) }
}

/// The address, if a router forwards it at all.
fn ordinary(number: u128, v6: bool) -> Option<IpAddr> {
    if v6 {
        let address = Ipv6Addr::from(number);
        let global = (0x2000..0x4000).contains(&address.segments()[0]) || (address.segments()[0] & 0xfe00) == 0xfc00;
        global.then_some(IpAddr::V6(address))
    } else {
        let address = Ipv4Addr::from(u32::try_from(number).ok()?);
        let first = address.octets()[0];
        (!matches!(first, 0 | 127 | 224..=255) && !address.is_link_local()).then_some(IpAddr::V4(address))
    }
}
