//! Short words for the statements that our rulesets are made of.

use std::net::IpAddr;

use leafwall_topology::{Family, IfName, Prefix};

use crate::nft::{
    BaseChain, Chain, ChainKind, CtState, Elements, Expression, Hook, Identifier, IpField, Limit, LimitMode, LogPrefix, Operand, Operator,
    Policy, Rate, Rule, Statement, TimeUnit, Transport, Value, Verdict,
};

/// Log lines per second and reason; what is above is counted, not logged (F11).
const LOG_RATE: u64 = 10;
/// How many may come at once.
const LOG_BURST: u32 = 20;

pub(crate) fn rule(statements: impl IntoIterator<Item = Statement>) -> Rule {
    Rule { statements: statements.into_iter().collect() }
}

pub(crate) fn equal(left: Expression, right: Operand) -> Statement {
    Statement::Match { left: vec![left], operator: Operator::Equal, right }
}

pub(crate) fn not_equal(left: Expression, right: Operand) -> Statement {
    Statement::Match { left: vec![left], operator: Operator::NotEqual, right }
}

/// One value as it is, several in braces. `None` for no values, which nothing equals.
pub(crate) fn one_or_set(mut values: Vec<Value>) -> Option<Operand> {
    match values.len() {
        0 => None,
        1 => values.pop().map(Operand::Value),
        _ => Some(Operand::Anonymous(Elements::values(values.into_iter().map(|value| vec![value]).collect()))),
    }
}

pub(crate) fn number(left: Expression, number: u64) -> Statement {
    equal(left, Operand::Value(Value::Number(number)))
}

/// The expression is one of these numbers; `numbers` is not empty.
pub(crate) fn numbers(left: Expression, numbers: &[u64]) -> Statement {
    let values = numbers.iter().map(|number| Value::Number(*number)).collect();
    equal(left, one_or_set(values).unwrap_or(Operand::Value(Value::Number(0))))
}

/// Comes in by one of these; `None` if there are none.
pub(crate) fn interfaces(left: Expression, names: &[IfName]) -> Option<Statement> {
    let mut names: Vec<Value> = names.iter().cloned().map(Value::Interface).collect();
    names.sort_unstable();
    names.dedup();
    one_or_set(names).map(|right| equal(left, right))
}

pub(crate) const fn address_field(family: Family, field: IpField) -> Expression {
    match family {
        Family::V4 => Expression::Ip(field),
        Family::V6 => Expression::Ip6(field),
    }
}

pub(crate) fn address(field: IpField, address: IpAddr) -> Statement {
    equal(address_field(Family::of(address), field), Operand::Value(Value::Address(address)))
}

pub(crate) fn in_prefix(field: IpField, prefix: Prefix) -> Statement {
    equal(address_field(prefix.family(), field), Operand::Value(Value::prefix(prefix)))
}

/// Link-local IPv6: what a neighbour on the same link says; no router passes it on (RFC 4291 §2.5.6).
pub(crate) fn from_link_local() -> Statement {
    let link_local = Prefix::containing(IpAddr::from([0xfe80, 0, 0, 0, 0, 0, 0, 0]), 10);
    equal(Expression::Ip6(IpField::Source), Operand::Value(link_local.map_or(Value::Number(0), Value::prefix)))
}

pub(crate) fn family(family: Family) -> Statement {
    number(
        Expression::NfProto,
        match family {
            Family::V4 => 2,
            Family::V6 => 10,
        },
    )
}

pub(crate) fn states(states: &[CtState]) -> Statement {
    number(Expression::CtState, states.iter().fold(0, |bits, state| bits | state.bit()))
}

pub(crate) const fn destination_port(transport: Transport) -> Expression {
    Expression::DestinationPort(transport)
}

pub(crate) fn counter(name: &Identifier) -> Statement {
    Statement::Counter(Some(name.clone()))
}

pub(crate) fn goto(chain: &Identifier) -> Statement {
    Statement::Verdict(Verdict::Goto(chain.clone()))
}

pub(crate) fn jump(chain: &Identifier) -> Statement {
    Statement::Verdict(Verdict::Jump(chain.clone()))
}

pub(crate) const ACCEPT: Statement = Statement::Verdict(Verdict::Accept);
pub(crate) const DROP: Statement = Statement::Verdict(Verdict::Drop);

/// A log line, at most so often. The limit stands before the log, else it would limit nothing (F11).
pub(crate) fn limited_log(prefix: &str) -> Rule {
    let limit = Limit { mode: LimitMode::Within, rate: Rate::Packets(LOG_RATE), per: TimeUnit::Second, burst: LOG_BURST };
    rule([Statement::Limit(limit), Statement::Log(Some(LogPrefix::composed(prefix)))])
}

pub(crate) fn per_second(packets: u64) -> Statement {
    let burst = u32::try_from(packets).unwrap_or(u32::MAX);
    Statement::Limit(Limit { mode: LimitMode::Within, rate: Rate::Packets(packets), per: TimeUnit::Second, burst })
}

pub(crate) fn chain(name: Identifier, rules: Vec<Rule>) -> Chain {
    Chain { name, base: None, rules }
}

pub(crate) fn base_chain(name: Identifier, hook: Hook, priority: i32, policy: Policy, rules: Vec<Rule>) -> Chain {
    let kind = if hook == Hook::Postrouting { ChainKind::Nat } else { ChainKind::Filter };
    Chain { name, base: Some(BaseChain { kind, hook, device: None, priority, policy }), rules }
}
