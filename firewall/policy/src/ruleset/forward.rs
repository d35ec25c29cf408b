//! The `forward` chain and everything that it leads to.

use std::net::IpAddr;

use leafwall_topology::{Family, Prefix, VRF_SOURCE_V6};

use super::build::{
    ACCEPT, DROP, address_field, base_chain, chain, counter, equal, family, goto, in_prefix, jump, limited_log, not_equal, numbers, rule,
};
use super::input::{ICMP_ERRORS, ICMPV6_ERRORS};
use super::matches::{Alternative, alternative, matches};
use super::names::{self, FqdnSets};
use super::{Parts, nat};
use crate::interval::AddressSet;
use crate::nft::{
    CtState, Elements, Expression, Hook, Identifier, IpField, Operand, Policy, Rule as NftRule, Set, SetFlags, Statement, Value, Verdict,
    priority,
};
use crate::order::{Binding, Direction, RuleId, binding, peers_in_force, rank, rules};
use crate::rule::{Action, Peer, Rule};
use crate::zone::{Access, FirewallRules, Sources, Zone, ZoneKind};

/// The chains in which packets end that are dropped for a reason of their own.
struct Drops {
    denied: Identifier,
    spoofed: Identifier,
    invalid: Identifier,
    outside: Identifier,
    no_egress: Identifier,
}

/// What one side of a rule accepts, in each family.
pub(crate) struct Sides {
    from: [Vec<Alternative>; 2],
    to: [Vec<Alternative>; 2],
}

const fn place(family: Family) -> usize {
    match family {
        Family::V4 => 0,
        Family::V6 => 1,
    }
}

impl Sides {
    /// Sides of one family; the other has none.
    pub(crate) fn of_family(family: Family, from: Vec<Alternative>, to: Vec<Alternative>) -> Self {
        let mut sides = Self { from: [Vec::new(), Vec::new()], to: [Vec::new(), Vec::new()] };
        sides.from[place(family)] = from;
        sides.to[place(family)] = to;
        sides
    }

    pub(super) fn from(&self, family: Family) -> &[Alternative] {
        &self.from[place(family)]
    }

    pub(super) fn to(&self, family: Family) -> &[Alternative] {
        &self.to[place(family)]
    }
}

pub(super) fn fqdns(rules: &FirewallRules) -> FqdnSets {
    let peers = crate::order::rules(&rules.policies).flat_map(|(_, rule)| rule.from.iter().chain(&rule.to));
    FqdnSets::of_peers(peers, "")
}

pub(super) fn build(firewall: &FirewallRules, parts: &mut Parts) {
    let drops = Drops {
        denied: names::fixed("drop.denied"),
        spoofed: names::fixed("drop.spoofed"),
        invalid: names::fixed("drop.invalid"),
        outside: names::fixed("drop.outside-allowed"),
        no_egress: names::fixed("drop.no-egress-address"),
    };
    parts.drop_chain(&drops.denied, "leafwall deny ");
    parts.drop_chain(&drops.spoofed, "leafwall spoofed ");
    parts.drop_chain(&drops.invalid, "leafwall invalid ");
    parts.drop_chain(&drops.outside, "leafwall outside-allowed ");
    parts.drop_chain(&drops.no_egress, "leafwall no-egress-address ");
    parts.chains.push(chain(names::fixed(names::CLUSTER), Vec::new()));
    let fqdns = fqdns(firewall);
    declare_fqdn_sets(&fqdns, &mut parts.sets);

    let mut ordered: Vec<(RuleId, &Rule)> = rules(&firewall.policies).collect();
    ordered.sort_by(|(a_id, a), (b_id, b)| rank(a_id, a).cmp(&rank(b_id, b)));
    for (id, rule) in &ordered {
        rule_chain(id, rule, firewall.log_accepted, parts);
    }
    let mut pairs = Vec::new();
    for input in &firewall.zones {
        for output in &firewall.zones {
            if let Some(name) = pair_chain(firewall, &ordered, (input, output), &fqdns, &drops, parts) {
                let key = vec![Value::Interface(input.input.clone()), Value::Interface(output.output.clone())];
                pairs.push((key, Verdict::Goto(name)));
            }
        }
    }
    entry_chains(firewall, pairs, &drops, parts);
}

/// `forward` itself: by input zone to its source check; what passes that goes on in `forward.flows`.
fn entry_chains(firewall: &FirewallRules, pairs: Vec<(Vec<Value>, Verdict)>, drops: &Drops, parts: &mut Parts) {
    let flows = names::fixed("forward.flows");
    let sources: Vec<_> = firewall
        .zones
        .iter()
        .map(|zone| (vec![Value::Interface(zone.input.clone())], Verdict::Goto(source_chain(zone, firewall, &flows, drops, parts))))
        .collect();
    let mut forward = Vec::new();
    if !sources.is_empty() {
        forward.push(rule([Statement::VerdictMap {
            left: vec![Expression::InputInterface],
            map: Operand::Anonymous(Elements::verdicts(sources)),
        }]));
    }
    forward.push(rule([goto(&drops.denied)]));
    parts.chains.push(base_chain(names::fixed("forward"), Hook::Forward, priority::FILTER, Policy::Drop, forward));

    let state = |state: CtState, verdict| (vec![Value::Number(state.bit())], verdict);
    let known = Elements::verdicts(vec![
        state(CtState::Established, Verdict::Accept),
        // ICMP errors about a known flow, among them packet-too-big (F17)
        state(CtState::Related, Verdict::Accept),
        state(CtState::Invalid, Verdict::Goto(drops.invalid.clone())),
    ]);
    let mut rules = vec![rule([Statement::VerdictMap { left: vec![Expression::CtState], map: Operand::Anonymous(known) }])];
    if !pairs.is_empty() {
        let left = vec![Expression::InputInterface, Expression::OutputInterface];
        rules.push(rule([Statement::VerdictMap { left, map: Operand::Anonymous(Elements::verdicts(pairs)) }]));
    }
    rules.push(rule([goto(&drops.denied)]));
    parts.chains.push(chain(flows, rules));
}

/// What may come from a zone at all (F23). It stands before conntrack's word, so that no forged packet joins a known flow.
fn source_chain(zone: &Zone, firewall: &FirewallRules, flows: &Identifier, drops: &Drops, parts: &mut Parts) -> Identifier {
    let name = names::zone("source", &zone.network);
    let (prefixes, inside, outside) = match &zone.sources {
        Sources::Only(prefixes) => (prefixes, flows, &drops.spoofed),
        Sources::AllBut(prefixes) => (prefixes, &drops.spoofed, flows),
    };
    let set = AddressSet::of(prefixes);
    let mut rules = Vec::new();
    for family in Family::BOTH {
        if let Some(operand) = parts.addresses(names::zone_set("source", &zone.network, family), &set, family) {
            rules.push(rule([equal(address_field(family, IpField::Source), operand), goto(inside)]));
        }
    }
    if matches!(zone.sources, Sources::Only(_)) {
        rules.extend(errors_of_switches(firewall, flows));
    }
    rules.push(rule([goto(outside)]));
    parts.chains.push(chain(name.clone(), rules));
    name
}

/// Switches answer from their own addresses in a VRF (loopback, or the v6 address that holds it): their packet-too-big must pass (F17). Conntrack still
/// has to know the flow.
fn errors_of_switches(firewall: &FirewallRules, flows: &Identifier) -> Vec<NftRule> {
    let v4 = in_prefix(IpField::Source, firewall.failsafe.vteps);
    let v6 =
        Prefix::containing(IpAddr::V6(VRF_SOURCE_V6.addr()), VRF_SOURCE_V6.prefix_len()).map(|prefix| in_prefix(IpField::Source, prefix));
    let mut rules = vec![rule([v4, numbers(Expression::IcmpType, &ICMP_ERRORS), goto(flows)])];
    rules.extend(v6.map(|v6| rule([v6, numbers(Expression::Icmpv6Type, &ICMPV6_ERRORS), goto(flows)])));
    rules
}

/// A pair's chain, if any flow may pass there.
fn pair_chain(
    firewall: &FirewallRules,
    ordered: &[(RuleId, &Rule)],
    (input, output): (&Zone, &Zone),
    fqdns: &FqdnSets,
    drops: &Drops,
    parts: &mut Parts,
) -> Option<Identifier> {
    if !passable(firewall.access, input, output) {
        return None;
    }
    let mut found = bounds(firewall, (input, output), drops, parts);
    found.extend(nat::guard(input, output, &drops.no_egress, parts));
    for (id, rule) in ordered {
        let binding = binding(id.direction, input, output);
        if binding == Binding::None {
            continue;
        }
        let far_is_from = id.direction == Direction::Ingress;
        let sides = Sides {
            from: side((id, "from"), peers_in_force(binding, far_is_from, &rule.from).as_deref(), input, fqdns, parts),
            to: side((id, "to"), peers_in_force(binding, !far_is_from, &rule.to).as_deref(), output, fqdns, parts),
        };
        let target = names::rule(id);
        found.extend(matches(rule, &sides).into_iter().map(|mut statements| {
            statements.push(goto(&target));
            NftRule { statements }
        }));
    }
    found.push(rule([jump(&names::fixed(names::CLUSTER))]));
    found.push(rule([goto(&drops.denied)]));
    let name = names::pair(&input.network, &output.network);
    parts.chains.push(chain(name.clone(), found));
    Some(name)
}

/// Whether any flow from one zone into the other could be permitted.
pub(crate) fn passable(access: Access, input: &Zone, output: &Zone) -> bool {
    let bound = [Direction::Ingress, Direction::Egress].into_iter().any(|direction| binding(direction, input, output) != Binding::None);
    let outside = [input, output].into_iter().any(|zone| zone.kind == ZoneKind::External);
    bound && !(outside && access == Access::Forbidden)
}

/// `allowedNetworks`: they stand before every rule and before `cluster`, so that no path leads around them (F6).
fn bounds(firewall: &FirewallRules, (input, output): (&Zone, &Zone), drops: &Drops, parts: &mut Parts) -> Vec<NftRule> {
    let (allowed, field, what) = match (input.kind, output.kind) {
        (ZoneKind::Own, ZoneKind::Own) => return Vec::new(),
        (ZoneKind::Own, _) => (&firewall.allowed_egress, IpField::Destination, "allowed-egress"),
        _ => (&firewall.allowed_ingress, IpField::Source, "allowed-ingress"),
    };
    let allowed = match (allowed, firewall.access) {
        (Some(allowed), _) => allowed.as_slice(),
        (None, Access::Restricted) => &[],
        (None, Access::Baseline | Access::Forbidden) => return Vec::new(),
    };
    let set = AddressSet::of(allowed);
    let mut rules = Vec::new();
    for each in Family::BOTH {
        if set.is_all(each) {
            continue;
        }
        let name = Identifier::composed(&format!("{what}{}.all", names::digit(each)));
        rules.push(match parts.addresses(name, &set, each) {
            Some(operand) => rule([not_equal(address_field(each, field), operand), goto(&drops.outside)]),
            None => rule([family(each), goto(&drops.outside)]),
        });
    }
    rules
}

/// What happens to a flow that the rule decides: counted first, so that no limit makes the counter small (F11); then logged; then the verdict.
fn rule_chain(id: &RuleId, stated: &Rule, log_accepted: bool, parts: &mut Parts) {
    let name = names::rule(id);
    parts.count(&name);
    let (word, verdict) = match stated.action {
        Action::Allow => ("allow", ACCEPT),
        Action::Deny => ("deny", DROP),
    };
    let mut rules = vec![rule([counter(&name)])];
    if stated.log || (log_accepted && stated.action == Action::Allow) {
        rules.push(limited_log(&format!("leafwall {word} {id} ")));
    }
    rules.push(rule([verdict]));
    parts.chains.push(chain(name, rules));
}

pub(crate) fn declare_fqdn_sets(fqdns: &FqdnSets, sets: &mut Vec<Set>) {
    sets.extend(fqdns.all().map(|(_, family, name)| Set {
        name,
        key: vec![address_field(family, IpField::Source).data_type()],
        flags: SetFlags { timeout: true, ..SetFlags::default() },
        size: None,
        timeout: None,
        elements: Elements::Values(Vec::new()),
    }));
}

/// One side of a rule between two zones: `peers` are those in force, `None` means everyone; `zone` is the zone on that side.
fn side((id, name): (&RuleId, &str), peers: Option<&[&Peer]>, zone: &Zone, fqdns: &FqdnSets, parts: &mut Parts) -> [Vec<Alternative>; 2] {
    let Some(peers) = peers else { return [vec![Alternative::Anything], vec![Alternative::Anything]] };
    let blocks = AddressSet::of_blocks(peers.iter().filter_map(|peer| match peer {
        Peer::Cidr { cidr, except } => Some((cidr, except.as_slice())),
        Peer::Fqdn(_) | Peer::Network(_) => None,
    }));
    let names_zone = peers.iter().any(|peer| matches!(peer, Peer::Network(network) if *network == zone.network));
    let prefixes = if names_zone { AddressSet::of(&zone.prefixes) } else { AddressSet::default() };
    Family::BOTH.map(|family| {
        let mut found = Vec::new();
        found.extend(alternative(&blocks, family, || parts.addresses(names::rule_set(id, name, family), &blocks, family)));
        found.extend(alternative(&prefixes, family, || parts.addresses(names::zone_set("zone", &zone.network, family), &prefixes, family)));
        found.extend(peers.iter().filter_map(|peer| match peer {
            Peer::Fqdn(fqdn) => Some(Alternative::Addresses(Operand::Named(fqdns.name(fqdn, family)))),
            Peer::Cidr { .. } | Peer::Network(_) => None,
        }));
        if found.contains(&Alternative::Anything) {
            found = vec![Alternative::Anything];
        }
        found
    })
}
