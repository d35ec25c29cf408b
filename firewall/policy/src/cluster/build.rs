//! Rules → layers → maps, chains and counters.

use std::collections::BTreeMap;

use leafwall_topology::Family;

use super::classes::{Class, classes};
use super::layers::{Fate, Indexed, Kind, Layer, Layers};
use super::names;
use super::region::{Interval, Region, Shape, TransportRange, TransportShape};
use super::{ClusterRules, Part, REGIONS_MAX};
use crate::interval::AddressSet;
use crate::nft::{
    Chain, Counter, Elements, Expression, Identifier, IpField, Key, Operand, Rule as NftRule, Set, SetFlags, Statement, Transport, Value,
    Verdict,
};
use crate::order::{Binding, Direction, RuleId, binding, cluster_rank, peers_in_force, rules};
use crate::rule::{Action, Peer, Protocol, Rule};
use crate::ruleset::CLUSTER;
use crate::ruleset::build::{
    ACCEPT, DROP, address_field, chain, counter, family as of_family, goto, limited_log, one_or_set, rule as nft_rule,
};
use crate::ruleset::forward::{Sides, declare_fqdn_sets};
use crate::ruleset::matches::{Alternative, matches};
use crate::ruleset::names::{FqdnSets, fixed};
use crate::zone::{FirewallRules, Zone};

/// A rule with what it is called.
struct Named<'r> {
    id: RuleId,
    rule: &'r Rule,
    /// Its counter, and its chain if it has one.
    name: Identifier,
    fate: Fate,
}

pub(super) fn fqdns(cluster: &ClusterRules) -> FqdnSets {
    let peers = rules(&cluster.policies).flat_map(|(_, rule)| rule.from.iter().chain(&rule.to));
    FqdnSets::of_peers(peers, names::PREFIX)
}

/// The chain `cluster` with these rules.
pub(super) fn entry(rules: Vec<NftRule>) -> Chain {
    chain(fixed(CLUSTER), rules)
}

pub(super) fn part(firewall: &FirewallRules, cluster: &ClusterRules) -> Part {
    let fate = |rule: &Rule| match rule.action {
        _ if rule.log || (firewall.log_accepted && rule.action == Action::Allow) => Fate::Chain,
        Action::Allow => Fate::Allow,
        Action::Deny => Fate::Deny,
    };
    let mut ordered: Vec<Named<'_>> =
        rules(&cluster.policies).map(|(id, rule)| Named { name: names::rule(&id), id, rule, fate: fate(rule) }).collect();
    ordered.sort_by(|a, b| cluster_rank(&a.id, a.rule).cmp(&cluster_rank(&b.id, b.rule)));
    let fqdns = fqdns(cluster);
    let mut part = Part::default();
    declare_fqdn_sets(&fqdns, &mut part.sets);
    part.counters = ordered.iter().map(|named| Counter { name: named.name.clone() }).collect();
    part.chains.extend(ordered.iter().filter(|named| named.fate == Fate::Chain || is_listed(named.rule)).map(rule_chain));
    let mut pairs = Vec::new();
    for (class, zones) in classes(firewall, cluster) {
        let Some(&(input, output)) = zones.first() else { continue };
        let mut found = Vec::new();
        for family in Family::BOTH {
            let layers = layers(&ordered, (input, output), family, &fqdns, &mut part);
            found.extend(lookups(&class, family, layers, &ordered, &mut part.sets));
        }
        if found.is_empty() {
            continue;
        }
        let name = names::class(&class);
        pairs.extend(zones.into_iter().map(|(input, output)| {
            let key = vec![Value::Interface(input.input.clone()), Value::Interface(output.output.clone())];
            (key, Verdict::Goto(name.clone()))
        }));
        part.chains.push(chain(name, found));
    }
    let left = vec![Expression::InputInterface, Expression::OutputInterface];
    let to_classes = Statement::VerdictMap { left, map: Operand::Anonymous(Elements::verdicts(pairs.clone())) };
    part.chains.push(entry(if pairs.is_empty() { Vec::new() } else { vec![nft_rule([to_classes])] }));
    part.counters.sort();
    part.sets.sort_by(|a, b| a.name.cmp(&b.name));
    part.chains.sort_by(|a, b| a.name.cmp(&b.name));
    part.chains.dedup_by(|a, b| a.name == b.name);
    part
}

/// Rules with DNS names fit no map: what they match changes with every answer.
fn is_listed(rule: &Rule) -> bool {
    rule.from.iter().chain(&rule.to).any(|peer| matches!(peer, Peer::Fqdn(_)))
}

/// Counted first, so that no limit makes the counter small (F11); then logged; then the verdict.
fn rule_chain(named: &Named<'_>) -> Chain {
    let (word, verdict) = match named.rule.action {
        Action::Allow => ("allow", ACCEPT),
        Action::Deny => ("deny", DROP),
    };
    let mut rules = vec![nft_rule([counter(&named.name)])];
    if named.fate == Fate::Chain {
        rules.push(limited_log(&format!("leafwall {word} {} ", named.id)));
    }
    rules.push(nft_rule([verdict]));
    chain(named.name.clone(), rules)
}

/// The layers of one family for one pair of zones.
fn layers(ordered: &[Named<'_>], (input, output): (&Zone, &Zone), family: Family, fqdns: &FqdnSets, part: &mut Part) -> Layers {
    let mut layers = Layers::default();
    for (number, named) in ordered.iter().enumerate() {
        let binding = binding(named.id.direction, input, output);
        if binding == Binding::None {
            continue;
        }
        let far_is_from = named.id.direction == Direction::Ingress;
        let from = side(peers_in_force(binding, far_is_from, &named.rule.from).as_deref(), input, family);
        let to = side(peers_in_force(binding, !far_is_from, &named.rule.to).as_deref(), output, family);
        let ranges = transport_ranges(named.rule, family);
        let fits = from.addresses.len().saturating_mul(to.addresses.len()).saturating_mul(ranges.len()) <= REGIONS_MAX;
        if is_listed(named.rule) || !fits {
            if !is_listed(named.rule) && named.fate != Fate::Chain {
                part.chains.push(rule_chain(named));
            }
            layers.list(listed(named, [&from, &to], family, fqdns));
            continue;
        }
        for source in &from.addresses {
            for destination in &to.addresses {
                for transport in &ranges {
                    let region = Region { source: *source, destination: *destination, transport: *transport };
                    layers.place(Kind { shape: Shape::of(&region, family), fate: named.fate }, region, number);
                }
            }
        }
    }
    layers
}

/// What one side of a rule accepts in one family.
struct Side<'p> {
    addresses: Vec<Interval>,
    peers: Vec<&'p Peer>,
}

/// `peers` are those in force, `None` means everyone; `zone` is the zone on that side.
fn side<'p>(peers: Option<&[&'p Peer]>, zone: &Zone, family: Family) -> Side<'p> {
    let Some(peers) = peers else { return Side { addresses: vec![(0, family.last_number())], peers: Vec::new() } };
    let blocks = peers.iter().flat_map(|peer| match peer {
        Peer::Cidr { cidr, except } => vec![(cidr, except.as_slice())],
        Peer::Network(network) if *network == zone.network => zone.prefixes.iter().map(|prefix| (prefix, [].as_slice())).collect(),
        Peer::Fqdn(_) | Peer::Network(_) => Vec::new(),
    });
    Side { addresses: AddressSet::of_blocks(blocks).into_intervals(family), peers: peers.to_vec() }
}

fn transport_ranges(rule: &Rule, family: Family) -> Vec<TransportRange> {
    let whole = |protocol: Protocol| -> Option<u8> {
        match (protocol, family) {
            (Protocol::Tcp, _) => Some(6),
            (Protocol::Udp, _) => Some(17),
            (Protocol::Sctp, _) => Some(132),
            (Protocol::Icmp, Family::V4) => Some(1),
            (Protocol::Icmpv6, Family::V6) => Some(58),
            _ => None,
        }
    };
    if rule.ports.is_empty() || rule.ports.iter().any(|port| port.protocol == Protocol::Any) {
        return vec![TransportRange::Any];
    }
    let mut stated: Vec<TransportRange> = rule
        .ports
        .iter()
        .filter_map(|port| {
            let protocol = whole(port.protocol)?;
            Some(port.ports.map_or(TransportRange::Whole(protocol), |range| TransportRange::Ports(protocol, range.low(), range.high())))
        })
        .collect();
    stated.sort_unstable_by_key(|range| range.interval());
    let mut found: Vec<TransportRange> = Vec::with_capacity(stated.len());
    let wholes: Vec<TransportRange> = stated.iter().copied().filter(|range| matches!(range, TransportRange::Whole(_))).collect();
    for range in stated {
        match (range, found.last_mut()) {
            (TransportRange::Ports(protocol, ..), _) if wholes.contains(&TransportRange::Whole(protocol)) => {}
            // those that overlap or touch are one
            (TransportRange::Ports(protocol, low, high), Some(TransportRange::Ports(before, _, end)))
                if protocol == *before && u32::from(low) <= u32::from(*end) + 1 =>
            {
                *end = high.max(*end);
            }
            (range, last) if last.as_deref() == Some(&range) => {}
            (range, _) => found.push(range),
        }
    }
    found
}

/// A rule that fits no map, as nftables rules that lead to its chain.
fn listed(named: &Named<'_>, sides: [&Side<'_>; 2], family: Family, fqdns: &FqdnSets) -> Vec<NftRule> {
    let alternatives = |side: &Side<'_>| {
        if side.addresses == [(0, family.last_number())] {
            return vec![Alternative::Anything];
        }
        let values = side.addresses.iter().filter_map(|interval| address_value(*interval, family)).collect();
        let mut found: Vec<Alternative> = one_or_set(values).map(Alternative::Addresses).into_iter().collect();
        found.extend(side.peers.iter().filter_map(|peer| match peer {
            Peer::Fqdn(fqdn) => Some(Alternative::Addresses(Operand::Named(fqdns.name(fqdn, family)))),
            Peer::Cidr { .. } | Peer::Network(_) => None,
        }));
        found
    };
    let [from, to] = sides.map(alternatives);
    matches(named.rule, &Sides::of_family(family, from, to))
        .into_iter()
        .map(|mut statements| {
            statements.push(goto(&named.name));
            NftRule { statements }
        })
        .collect()
}

fn address_value((first, last): Interval, family: Family) -> Option<Value> {
    Value::addresses(family.address(first), family.address(last))
}

/// The rules of a class's chain that look its layers up.
fn lookups(class: &Class, family: Family, layers: Layers, ordered: &[Named<'_>], sets: &mut Vec<Set>) -> Vec<NftRule> {
    let mut numbers: BTreeMap<Kind, usize> = BTreeMap::new();
    let mut found = Vec::new();
    for layer in layers.list {
        match layer {
            Layer::List(rules) => found.extend(rules),
            Layer::Map(kind, held) if kind.shape.is_everything() => {
                found.extend(held.regions.first().and_then(|(_, rule)| ordered.get(*rule)).map(|named| everything(named, family)));
            }
            Layer::Map(kind, held) => {
                let number = numbers.entry(kind).or_default();
                let name = names::map(class, family, kind, *number);
                *number += 1;
                let left = key_expressions(kind.shape, family);
                found.push(lookup(kind.fate, left.clone(), &name));
                sets.push(map(name, kind, &left, &held, ordered, family));
            }
        }
    }
    found
}

fn everything(named: &Named<'_>, family: Family) -> NftRule {
    match named.fate {
        Fate::Allow => nft_rule([of_family(family), counter(&named.name), ACCEPT]),
        Fate::Deny => nft_rule([of_family(family), counter(&named.name), DROP]),
        Fate::Chain => nft_rule([of_family(family), goto(&named.name)]),
    }
}

fn lookup(fate: Fate, left: Vec<Expression>, map: &Identifier) -> NftRule {
    let counted = |verdict: Statement, left| nft_rule([Statement::CounterMap { left, map: map.clone() }, verdict]);
    match fate {
        Fate::Allow => counted(ACCEPT, left),
        Fate::Deny => counted(DROP, left),
        Fate::Chain => nft_rule([Statement::VerdictMap { left, map: Operand::Named(map.clone()) }]),
    }
}

/// Whether the key holds the family: it is said where no address says it, and beside a lone address, for intervals of one field alone are kept in a tree that
/// is slower to search and to change than concatenations.
fn names_family(shape: Shape) -> bool {
    !(shape.source || shape.destination) || (shape.source != shape.destination && shape.transport == TransportShape::Nothing)
}

fn key_expressions(shape: Shape, family: Family) -> Vec<Expression> {
    let mut left = Vec::with_capacity(4);
    left.extend(names_family(shape).then_some(Expression::NfProto));
    left.extend(shape.source.then(|| address_field(family, IpField::Source)));
    left.extend(shape.destination.then(|| address_field(family, IpField::Destination)));
    left.extend((shape.transport != TransportShape::Nothing).then_some(Expression::L4Proto));
    left.extend((shape.transport == TransportShape::Ports).then_some(Expression::DestinationPort(Transport::Any)));
    left
}

fn key(shape: Shape, region: &Region, family: Family) -> Key {
    let mut key = Vec::with_capacity(4);
    if names_family(shape) {
        key.push(Value::Number(match family {
            Family::V4 => 2,
            Family::V6 => 10,
        }));
    }
    if shape.source {
        key.extend(address_value(region.source, family));
    }
    if shape.destination {
        key.extend(address_value(region.destination, family));
    }
    match region.transport {
        TransportRange::Any => {}
        TransportRange::Whole(protocol) => key.push(Value::Number(protocol.into())),
        TransportRange::Ports(protocol, low, high) => {
            key.push(Value::Number(protocol.into()));
            key.extend(Value::numbers(low.into(), high.into()));
        }
    }
    key
}

fn map(name: Identifier, kind: Kind, left: &[Expression], held: &Indexed, ordered: &[Named<'_>], family: Family) -> Set {
    let entries =
        held.regions.iter().filter_map(|(region, rule)| Some((key(kind.shape, region, family), ordered.get(*rule)?.name.clone())));
    let elements = match kind.fate {
        Fate::Chain => Elements::verdicts(entries.map(|(key, name)| (key, Verdict::Goto(name))).collect()),
        Fate::Allow | Fate::Deny => Elements::counters(entries.collect()),
    };
    let key = left.iter().map(|expression| expression.data_type()).collect();
    Set { name, key, flags: SetFlags { interval: !kind.shape.exact, ..SetFlags::default() }, size: None, timeout: None, elements }
}
