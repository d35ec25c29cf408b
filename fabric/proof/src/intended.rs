//! What a firewall's intents allow, as sets: the same meaning as `leafwall_policy::semantics` gives a single packet, against which it is tested.
//!
//! It is computed from the checked Model alone, not from a plan: that the plan's zones are right is part of what is proved.

use std::collections::BTreeSet;
use std::net::IpAddr;

use leafwall_intent::model::{Firewall, Network, NetworkType};
use leafwall_policy::order::{Binding, Direction, binding, rank, rules};
use leafwall_policy::protocols::{TCP, UDP};
use leafwall_policy::rule::{Action, Peer, PortMatch, Protocol, Rule};
use leafwall_policy::sets::{Field, PacketSet};
use leafwall_policy::zone::{Access, Failsafe, FirewallRules, Snat, Sources, Zone, ZoneKind};
use leafwall_topology::{Family, IfName, Name, Prefix, VRF_SOURCE_V6};

use crate::ground::Ground;

/// DNS (RFC 1035 §4.2).
const DNS: u64 = 53;

/// What may start a flow from one network into another.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Allowed {
    /// By the firewall's policies.
    pub packets: PacketSet,
    /// The most that a cluster's own rules may add: what no policy decides, inside all outer bounds.
    pub bound: PacketSet,
    /// Sources that are translated.
    pub translated: PacketSet,
    /// To which addresses.
    pub to: Vec<IpAddr>,
}

/// What a firewall lets through from one zone into another, new flows.
pub fn allowed(firewall: &FirewallRules, input: &Zone, output: &Zone) -> Allowed {
    let path = [Direction::Ingress, Direction::Egress].into_iter().any(|direction| binding(direction, input, output) != Binding::None);
    let external = input.kind == ZoneKind::External || output.kind == ZoneKind::External;
    if !path || (firewall.access == Access::Forbidden && external) {
        return Allowed::default();
    }
    let translated = if input.kind == ZoneKind::Own { PacketSet::prefixes(Field::Source, &output.snat.sources) } else { PacketSet::none() };
    let mut to: Vec<IpAddr> = output.snat.v4.iter().copied().map(IpAddr::V4).collect();
    to.extend(output.snat.v6.iter().copied().map(IpAddr::V6));
    let served = Family::BOTH.into_iter().filter(|family| to.iter().any(|address| Family::of(*address) == *family));
    let served = PacketSet::union(served.map(PacketSet::family));
    let mut left = sources(firewall, input).and(&bounds(firewall, input, output)).minus(&translated.minus(&served));
    let mut packets = PacketSet::none();
    let mut ordered: Vec<_> = rules(&firewall.policies).collect();
    ordered.sort_by(|(a_id, a), (b_id, b)| rank(a_id, a).cmp(&rank(b_id, b)));
    for (id, rule) in ordered {
        let matching = left.and(&matching(id.direction, rule, input, output));
        left = left.minus(&matching);
        if rule.action == Action::Allow {
            packets = packets.or(&matching);
        }
    }
    Allowed { bound: packets.or(&left), packets, translated, to }
}

/// What may ask the proxy for DNS names on the machine, which is there where somebody is to be asked: the own networks.
pub fn names(firewall: &FirewallRules, from: &Zone) -> PacketSet {
    if firewall.resolvers.is_empty() || from.kind != ZoneKind::Own {
        return PacketSet::none();
    }
    let over = |protocol| PacketSet::protocol(protocol).and(&PacketSet::numbers(Field::DestinationPort, DNS, DNS));
    over(TCP).or(&over(UDP))
}

/// F23.
fn sources(firewall: &FirewallRules, input: &Zone) -> PacketSet {
    match &input.sources {
        Sources::AllBut(prefixes) => PacketSet::prefixes(Field::Source, prefixes).complement(),
        Sources::Only(prefixes) => {
            let types = |protocol: u8, types: &[(u64, u64)]| {
                let of = types.iter().map(|(first, last)| PacketSet::numbers(Field::DestinationPort, *first, *last));
                PacketSet::protocol(protocol).and(&PacketSet::union(of))
            };
            let errors = PacketSet::prefix(Field::Source, firewall.failsafe.vteps).and(&types(1, &[(3, 3), (11, 12)]));
            let vrfs = Prefix::containing(VRF_SOURCE_V6.addr().into(), VRF_SOURCE_V6.prefix_len());
            let errors_v6 = vrfs.map_or_else(PacketSet::none, |prefix| PacketSet::prefix(Field::Source, prefix).and(&types(58, &[(1, 4)])));
            PacketSet::prefixes(Field::Source, prefixes).or(&errors).or(&errors_v6)
        }
    }
}

fn bounds(firewall: &FirewallRules, input: &Zone, output: &Zone) -> PacketSet {
    let (bound, field) = match (input.kind, output.kind) {
        (ZoneKind::Own, ZoneKind::Own) => return PacketSet::all(),
        (ZoneKind::Own, _) => (&firewall.allowed_egress, Field::Destination),
        _ => (&firewall.allowed_ingress, Field::Source),
    };
    match bound {
        Some(prefixes) => PacketSet::prefixes(field, prefixes),
        None if firewall.access == Access::Restricted => PacketSet::none(),
        None => PacketSet::all(),
    }
}

fn matching(direction: Direction, rule: &Rule, input: &Zone, output: &Zone) -> PacketSet {
    let binding = binding(direction, input, output);
    if binding == Binding::None {
        return PacketSet::none();
    }
    let from = side(&rule.from, binding, direction == Direction::Ingress, input, Field::Source);
    let to = side(&rule.to, binding, direction == Direction::Egress, output, Field::Destination);
    from.and(&to).and(&ports(&rule.ports))
}

fn side(peers: &[Peer], binding: Binding, far: bool, zone: &Zone, field: Field) -> PacketSet {
    let must_be_named = far && binding == Binding::NamedNetworks;
    if peers.is_empty() {
        return if must_be_named { PacketSet::none() } else { PacketSet::all() };
    }
    PacketSet::union(peers.iter().map(|peer| match peer {
        Peer::Network(network) if *network == zone.network => PacketSet::prefixes(field, &zone.prefixes),
        Peer::Cidr { cidr, except } if !must_be_named => PacketSet::prefix(field, *cidr).minus(&PacketSet::prefixes(field, except)),
        // what a name resolves to is the agent's to fill in, within the bounds
        Peer::Network(_) | Peer::Cidr { .. } | Peer::Fqdn(_) => PacketSet::none(),
    }))
}

fn ports(ports: &[PortMatch]) -> PacketSet {
    if ports.is_empty() {
        return PacketSet::all();
    }
    PacketSet::union(ports.iter().map(|stated| {
        let protocol = match stated.protocol {
            Protocol::Any => return PacketSet::all(),
            Protocol::Tcp => PacketSet::protocol(6),
            Protocol::Udp => PacketSet::protocol(17),
            Protocol::Sctp => PacketSet::protocol(132),
            Protocol::Icmp => return PacketSet::protocol(1).and(&PacketSet::family(Family::V4)),
            Protocol::Icmpv6 => return PacketSet::protocol(58).and(&PacketSet::family(Family::V6)),
        };
        match stated.ports {
            None => protocol,
            Some(range) => protocol.and(&PacketSet::numbers(Field::DestinationPort, range.low().into(), range.high().into())),
        }
    }))
}

/// A firewall as its intents describe it, for one of its machines.
pub fn firewall_rules(ground: &Ground<'_>, firewall: &Firewall, machine: &Name) -> Option<FirewallRules> {
    let networks: Vec<&Network> = firewall.networks.iter().filter_map(|name| ground.network(name)).collect();
    let zones = networks.iter().map(|network| zone(ground, firewall, network, &networks)).collect::<Option<Vec<_>>>()?;
    Some(FirewallRules {
        firewall: firewall.name.clone(),
        tenant: firewall.tenant.clone(),
        zones,
        access: firewall.access,
        allowed_ingress: firewall.allowed_ingress.clone(),
        allowed_egress: firewall.allowed_egress.clone(),
        log_accepted: firewall.log_accepted,
        policies: ground.policies_of(&firewall.name).iter().map(|policy| policy.policy.clone()).collect(),
        resolvers: ground.model.resolvers(firewall).to_vec(),
        failsafe: Failsafe {
            uplinks: Vec::new(),
            loopback: ground.table.loopback(machine)?,
            vteps: ground.model.fabric.loopbacks,
            management: None,
            inband: None,
        },
    })
}

fn kind(network: &Network, tenant: &Name) -> ZoneKind {
    match (network.kind, network.tenant.as_ref() == Some(tenant)) {
        (NetworkType::External, _) => ZoneKind::External,
        (_, true) => ZoneKind::Own,
        (_, false) => ZoneKind::Shared,
    }
}

fn prefixes(network: &Network) -> impl Iterator<Item = Prefix> {
    network.prefixes.iter().copied().chain(network.subnets.iter().map(|subnet| subnet.prefix))
}

/// The tenant's Addresses, by whether some firewall translates to them.
fn elastic(ground: &Ground<'_>, tenant: &Name, egress: bool) -> Vec<(Name, Prefix)> {
    let addresses = ground.addresses_of(tenant).iter().filter(|address| ground.translating(&address.name).is_empty() != egress);
    addresses.flat_map(|address| ground.elastic(address).iter().map(|host| (address.network.clone(), Prefix::host(*host)))).collect()
}

/// Where honest packets of a network come from.
fn inhabitants(ground: &Ground<'_>, tenant: &Name, network: &Network) -> BTreeSet<Prefix> {
    let mut all: BTreeSet<Prefix> = prefixes(network).collect();
    if kind(network, tenant) == ZoneKind::Own {
        all.extend(&network.announce);
        all.extend(elastic(ground, tenant, false).into_iter().map(|(_, host)| host));
    }
    all
}

fn egress(ground: &Ground<'_>, firewall: &Firewall, network: &Name) -> Vec<IpAddr> {
    let names = firewall.egress.get(network).into_iter().flatten();
    names.filter_map(|name| ground.model.addresses.get(name)).flat_map(|address| ground.elastic(address).iter().copied()).collect()
}

fn zone(ground: &Ground<'_>, firewall: &Firewall, network: &Network, all: &[&Network]) -> Option<Zone> {
    let tenant = &firewall.tenant;
    let nowhere: IfName = "none".parse().ok()?;
    let extent = |network: &Network| -> BTreeSet<Prefix> {
        inhabitants(ground, tenant, network).into_iter().chain(network.destinations.iter().copied()).collect()
    };
    let everywhere = network.destinations.iter().any(|prefix| prefix.is_default());
    let zone_kind = kind(network, tenant);
    let sources = match zone_kind {
        ZoneKind::Own => Sources::Only(extent(network).into_iter().filter(|prefix| !prefix.is_default()).collect()),
        ZoneKind::Shared if !everywhere => Sources::Only(extent(network).into_iter().collect()),
        _ => {
            let others = all.iter().filter(|other| other.name != network.name);
            let mut elsewhere: BTreeSet<Prefix> = others.flat_map(|other| extent(other)).filter(|prefix| !prefix.is_default()).collect();
            elsewhere.extend(all.iter().flat_map(|other| egress(ground, firewall, &other.name)).map(Prefix::host));
            Sources::AllBut(elsewhere.into_iter().collect())
        }
    };
    let mut snat = Snat::default();
    let own = all.iter().filter(|other| other.name != network.name && kind(other, tenant) == ZoneKind::Own);
    let mut translated: BTreeSet<Prefix> = own.flat_map(|own| prefixes(own).chain(own.announce.iter().copied())).collect();
    translated.retain(|prefix| network.nat.covers(prefix.family()));
    // elastic addresses of other networks find no way back: translated, or where nothing is, dropped
    translated.extend(elastic(ground, tenant, false).into_iter().filter(|(from, _)| *from != network.name).map(|(_, host)| host));
    snat.sources = translated.into_iter().collect();
    for address in egress(ground, firewall, &network.name).into_iter().filter(|address| network.nat.covers(Family::of(*address))) {
        match address {
            IpAddr::V4(v4) => snat.v4.push(v4),
            IpAddr::V6(v6) => snat.v6.push(v6),
        }
    }
    snat.v4.sort();
    snat.v6.sort();
    Some(Zone {
        network: network.name.clone(),
        kind: zone_kind,
        input: nowhere.clone(),
        output: nowhere,
        prefixes: extent(network).into_iter().collect(),
        sources,
        snat,
        clamp_mss_to: None,
        rate_mbit: None,
    })
}
