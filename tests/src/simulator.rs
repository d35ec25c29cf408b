//! A ruleset and one packet: rule by rule, as nftables does it, slow and simple. Nothing of the proof's sets is in here, so that the two can be held against each other.

use std::net::IpAddr;

use leafwall_policy::nft::{
    Chain, ChainKind, CtState, Elements, Expression, Hook, IpField, LimitMode, Operand, Operator, Policy, RawBase, Rule, Script, Statement,
    Table, TableFamily, Transport, Value, Verdict,
};
use leafwall_policy::sets::Header;
use leafwall_topology::IfName;

/// Chains that call each other deeper than this are no ruleset that loads.
const DEPTH: usize = 16;

/// Where a packet is, beside its header.
#[derive(Debug, Clone)]
pub struct At {
    /// Where it came in.
    pub input: Option<IfName>,
    /// Where it goes out.
    pub output: Option<IfName>,
    /// What conntrack says of it.
    pub state: CtState,
}

/// What becomes of a packet in a chain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    Accepted,
    Dropped,
    /// To the end of the chain, or a `return`.
    Through,
}

/// Whether a packet passes all filters of a hook. What headers do not hold (hop limits, flags, rates, MAC addresses) is as the rule wants it.
pub fn passes(script: &Script, hook: Hook, at: &At, packet: &Header) -> bool {
    base_chains(script, TableFamily::Inet, hook).all(|(table, chain)| let_through(table, chain, at, packet))
}

/// Whether it passes the ingress chains of a device; `None` where that has none.
pub fn passes_ingress(script: &Script, device: &IfName, at: &At, packet: &Header) -> Option<bool> {
    let here = |chain: &&(&Table, &Chain)| chain.1.base.as_ref().is_some_and(|base| base.device.as_ref() == Some(device));
    let chains: Vec<_> = base_chains(script, TableFamily::Netdev, Hook::Ingress).collect();
    let mut chains = chains.iter().filter(here).peekable();
    chains.peek()?;
    Some(chains.all(|(table, chain)| let_through(table, chain, at, packet)))
}

fn base_chains(script: &Script, family: TableFamily, hook: Hook) -> impl Iterator<Item = (&Table, &Chain)> {
    let tables = script.tables().filter(move |table| table.id.family == family);
    let all = tables.flat_map(|table| table.chains.iter().map(move |chain| (table, chain)));
    all.filter(move |(_, chain)| chain.base.as_ref().is_some_and(|base| base.hook == hook && base.kind == ChainKind::Filter))
}

fn let_through(table: &Table, chain: &Chain, at: &At, packet: &Header) -> bool {
    match run(table, chain, at, packet, 0) {
        Fate::Accepted => true,
        Fate::Dropped => false,
        Fate::Through => chain.base.as_ref().is_none_or(|base| base.policy != Policy::Drop),
    }
}

fn run(table: &Table, chain: &Chain, at: &At, packet: &Header, depth: usize) -> Fate {
    for rule in &chain.rules {
        match step(table, rule, at, packet, depth) {
            Step::Next => {}
            Step::Decided(fate) => return fate,
        }
    }
    Fate::Through
}

enum Step {
    /// On with the next rule.
    Next,
    /// This chain ends here.
    Decided(Fate),
}

fn step(table: &Table, rule: &Rule, at: &At, packet: &Header, depth: usize) -> Step {
    for statement in &rule.statements {
        let verdict = match statement {
            Statement::Verdict(verdict) => Some(verdict),
            Statement::VerdictMap { left, map } => verdict_of(table, left, map, at, packet),
            Statement::Snat(_) => return Step::Decided(Fate::Accepted),
            other if holds(table, other, at, packet) => None,
            _ => return Step::Next,
        };
        let (to, returns) = match verdict {
            None => continue,
            Some(Verdict::Accept) => return Step::Decided(Fate::Accepted),
            Some(Verdict::Drop) => return Step::Decided(Fate::Dropped),
            Some(Verdict::Return) => return Step::Decided(Fate::Through),
            Some(Verdict::Jump(to)) => (to, true),
            Some(Verdict::Goto(to)) => (to, false),
        };
        let target = table.chains.iter().find(|chain| chain.name == *to);
        return match target {
            Some(target) if depth < DEPTH => match run(table, target, at, packet, depth + 1) {
                Fate::Through if returns => Step::Next,
                fate => Step::Decided(fate),
            },
            _ => Step::Decided(Fate::Dropped),
        };
    }
    Step::Next
}

fn elements<'a>(table: &'a Table, operand: &'a Operand) -> Option<&'a Elements> {
    match operand {
        Operand::Anonymous(elements) => Some(elements),
        Operand::Named(name) => table.sets.iter().find(|set| set.name == *name).map(|set| &set.elements),
        Operand::Value(_) => None,
    }
}

fn verdict_of<'a>(table: &'a Table, left: &[Expression], map: &'a Operand, at: &At, packet: &Header) -> Option<&'a Verdict> {
    match elements(table, map)? {
        Elements::Verdicts(entries) => entries.iter().find(|(key, _)| all_equal(left, key, at, packet)).map(|(_, verdict)| verdict),
        Elements::Values(_) | Elements::Counters(_) => None,
    }
}

fn all_equal(left: &[Expression], key: &[Value], at: &At, packet: &Header) -> bool {
    left.iter().zip(key).all(|(expression, value)| has(*expression, packet) && equals(*expression, value, at, packet))
}

/// Whether a statement that is no verdict lets the packet on in its rule.
fn holds(table: &Table, statement: &Statement, at: &At, packet: &Header) -> bool {
    match statement {
        Statement::Match { left, operator, right } => {
            if !left.iter().all(|expression| has(*expression, packet)) {
                return false;
            }
            if left.iter().any(|expression| is_unseen(*expression)) {
                return true;
            }
            let equal = match right {
                Operand::Value(value) => all_equal(left, std::slice::from_ref(value), at, packet),
                _ => match elements(table, right) {
                    Some(Elements::Values(keys)) => keys.iter().any(|key| all_equal(left, key, at, packet)),
                    _ => false,
                },
            };
            equal == (*operator == Operator::Equal)
        }
        Statement::CounterMap { left, map } => table.sets.iter().find(|set| set.name == *map).is_some_and(|set| match &set.elements {
            Elements::Counters(entries) => entries.iter().any(|(key, _)| all_equal(left, key, at, packet)),
            Elements::Values(_) | Elements::Verdicts(_) => false,
        }),
        Statement::TcpFlags(_) => packet.protocol == 6,
        Statement::Limit(limit) => limit.mode == LimitMode::Within,
        _ => true,
    }
}

/// Whether a packet has what an expression looks at.
fn has(expression: Expression, packet: &Header) -> bool {
    let v4 = packet.source.is_ipv4();
    match expression {
        Expression::Ip(_) | Expression::Ttl => v4,
        Expression::Ip6(_) | Expression::HopLimit => !v4,
        Expression::IcmpType => v4 && packet.protocol == 1,
        Expression::Icmpv6Type => !v4 && packet.protocol == 58,
        Expression::SourcePort(transport) | Expression::DestinationPort(transport) => match transport {
            Transport::Tcp => packet.protocol == 6,
            Transport::Udp => packet.protocol == 17,
            Transport::Sctp => packet.protocol == 132,
            Transport::Any => true,
        },
        _ => true,
    }
}

/// The VNI of a VXLAN packet, as a raw expression.
const VNI: Expression = Expression::Raw { base: RawBase::Transport, offset: 96, length: 24 };

/// Whether headers do not hold what an expression looks at.
fn is_unseen(expression: Expression) -> bool {
    match expression {
        Expression::EtherSource | Expression::HopLimit | Expression::Ttl => true,
        Expression::Raw { .. } => expression != VNI,
        _ => false,
    }
}

fn equals(expression: Expression, value: &Value, at: &At, packet: &Header) -> bool {
    let number = |seen: u64| match value {
        Value::Number(number) => seen == *number,
        Value::Numbers(first, last) => (*first..=*last).contains(&seen),
        _ => false,
    };
    let address = |seen: IpAddr| match value {
        Value::Address(address) => seen == *address,
        Value::Prefix(prefix) => prefix.contains_address(seen),
        Value::Addresses(first, last) => first.is_ipv4() == seen.is_ipv4() && *first <= seen && seen <= *last,
        _ => false,
    };
    match expression {
        Expression::InputInterface => matches!(value, Value::Interface(name) if at.input.as_ref() == Some(name)),
        Expression::OutputInterface => matches!(value, Value::Interface(name) if at.output.as_ref() == Some(name)),
        Expression::CtState => matches!(value, Value::Number(bits) if bits & at.state.bit() != 0),
        Expression::NfProto => number(if packet.source.is_ipv4() { 2 } else { 10 }),
        Expression::Ip(IpField::Source) | Expression::Ip6(IpField::Source) => address(packet.source),
        Expression::Ip(IpField::Destination) | Expression::Ip6(IpField::Destination) => address(packet.destination),
        Expression::L4Proto => number(packet.protocol.into()),
        Expression::SourcePort(_) => number(packet.source_port.into()),
        Expression::DestinationPort(_) | Expression::IcmpType | Expression::Icmpv6Type => number(packet.destination_port.into()),
        Expression::Raw { .. } if expression == VNI => number(packet.vni.into()),
        Expression::EtherSource | Expression::HopLimit | Expression::Ttl | Expression::Raw { .. } => true,
    }
}
