//! Which packets a statement matches.

use leafwall_policy::nft::{
    Elements, Expression, IpField, LimitMode, Operand, Operator, RawBase, Statement, Table, Transport, Value, Verdict,
};
use leafwall_policy::sets::{Field, PacketSet};
use leafwall_topology::Family;

use super::{Certainty, Context};

/// What a statement matches.
pub(super) struct Matched {
    /// Which packets.
    pub packets: PacketSet,
    /// Whether it looks at something that sets do not hold, so that it may not match after all.
    pub uncertain: bool,
}

const VXLAN_VNI: Expression = Expression::Raw { base: RawBase::Transport, offset: 96, length: 24 };

fn protocol(transport: Transport) -> PacketSet {
    match transport {
        Transport::Tcp => PacketSet::protocol(6),
        Transport::Udp => PacketSet::protocol(17),
        Transport::Sctp => PacketSet::protocol(132),
        Transport::Any => PacketSet::all(),
    }
}

/// The packets that have what the expression looks at; a comparison of others never holds, whatever its operator.
fn domain(expression: Expression) -> PacketSet {
    match expression {
        Expression::Ip(_) | Expression::Ttl => PacketSet::family(Family::V4),
        Expression::Ip6(_) | Expression::HopLimit => PacketSet::family(Family::V6),
        Expression::SourcePort(transport) | Expression::DestinationPort(transport) => protocol(transport),
        Expression::IcmpType => PacketSet::family(Family::V4).and(&PacketSet::protocol(1)),
        Expression::Icmpv6Type => PacketSet::family(Family::V6).and(&PacketSet::protocol(58)),
        _ => PacketSet::all(),
    }
}

/// Whether sets hold what the expression looks at.
fn is_uncertain(expression: Expression) -> bool {
    match expression {
        Expression::EtherSource | Expression::HopLimit | Expression::Ttl => true,
        Expression::Raw { .. } => expression != VXLAN_VNI,
        _ => false,
    }
}

/// The packets for which the expression has this value; uncertain ones have any.
fn value(context: &Context, expression: Expression, value: &Value) -> PacketSet {
    let bounds = match value {
        Value::Number(number) => Some((*number, *number)),
        Value::Numbers(first, last) => Some((*first, *last)),
        _ => None,
    };
    let numbers = |field: Field| bounds.map_or_else(PacketSet::none, |(first, last)| PacketSet::numbers(field, first, last));
    let on = |holds: bool| if holds { PacketSet::all() } else { PacketSet::none() };
    let found = match expression {
        Expression::InputInterface => on(matches!(value, Value::Interface(name) if context.input.as_ref() == Some(name))),
        Expression::OutputInterface => on(matches!(value, Value::Interface(name) if context.output.as_ref() == Some(name))),
        Expression::CtState => on(bounds.is_some_and(|(bits, _)| bits & context.state.bit() != 0)),
        Expression::NfProto => match bounds {
            Some((2, _)) => PacketSet::family(Family::V4),
            Some((10, _)) => PacketSet::family(Family::V6),
            _ => PacketSet::none(),
        },
        Expression::Ip(field) | Expression::Ip6(field) => {
            let field = if field == IpField::Source { Field::Source } else { Field::Destination };
            match value {
                Value::Address(address) => PacketSet::addresses(field, *address, *address),
                Value::Prefix(prefix) => PacketSet::prefix(field, *prefix),
                Value::Addresses(first, last) => PacketSet::addresses(field, *first, *last),
                _ => PacketSet::none(),
            }
        }
        Expression::L4Proto => numbers(Field::Protocol),
        Expression::SourcePort(_) => numbers(Field::SourcePort),
        Expression::DestinationPort(_) | Expression::IcmpType | Expression::Icmpv6Type => numbers(Field::DestinationPort),
        _ if expression == VXLAN_VNI => numbers(Field::Vni),
        _ => PacketSet::all(),
    };
    found.and(&domain(expression))
}

fn key(context: &Context, left: &[Expression], values: &[Value]) -> PacketSet {
    left.iter().zip(values).fold(PacketSet::all(), |set, (expression, stated)| set.and(&value(context, *expression, stated)))
}

/// The elements of an operand: those of a named set stand in the table.
fn elements<'a>(table: &'a Table, operand: &'a Operand) -> Option<&'a Elements> {
    match operand {
        Operand::Anonymous(elements) => Some(elements),
        Operand::Named(name) => table.sets.iter().find(|set| set.name == *name).map(|set| &set.elements),
        Operand::Value(_) => None,
    }
}

/// What a statement that is no verdict matches.
pub(super) fn statement(table: &Table, context: &Context, statement: &Statement) -> Matched {
    let everything = |uncertain| Matched { packets: PacketSet::all(), uncertain };
    match statement {
        Statement::Match { left, operator, right } => {
            let equal = match right {
                Operand::Value(stated) => key(context, left, std::slice::from_ref(stated)),
                _ => match elements(table, right) {
                    Some(Elements::Values(keys)) => PacketSet::union(keys.iter().map(|values| key(context, left, values))),
                    Some(Elements::Verdicts(_) | Elements::Counters(_)) | None => PacketSet::none(),
                },
            };
            let uncertain = left.iter().any(|expression| is_uncertain(*expression));
            let packets = match operator {
                Operator::Equal => equal,
                Operator::NotEqual => {
                    let all = left.iter().fold(PacketSet::all(), |set, expression| set.and(&domain(*expression)));
                    if uncertain { all } else { all.minus(&equal) }
                }
            };
            Matched { packets, uncertain }
        }
        // goes on only where a counter stands for the packet
        Statement::CounterMap { left, map } => {
            let packets = match table.sets.iter().find(|set| set.name == *map).map(|set| &set.elements) {
                Some(Elements::Counters(entries)) => PacketSet::union(entries.iter().map(|(values, _)| key(context, left, values))),
                Some(Elements::Values(_) | Elements::Verdicts(_)) | None => PacketSet::none(),
            };
            Matched { packets, uncertain: left.iter().any(|expression| is_uncertain(*expression)) }
        }
        Statement::TcpFlags(_) => Matched { packets: PacketSet::protocol(6), uncertain: true },
        // within its rate nothing is over it
        Statement::Limit(limit) if limit.mode == LimitMode::Over && context.certainty == Certainty::Must => {
            Matched { packets: PacketSet::none(), uncertain: false }
        }
        Statement::Limit(_) | Statement::Update { .. } => everything(true),
        _ => everything(false),
    }
}

/// The packets of each entry of a verdict map; entries do not overlap.
pub(super) fn verdicts<'a>(table: &'a Table, context: &Context, left: &[Expression], map: &'a Operand) -> Vec<(PacketSet, &'a Verdict)> {
    match elements(table, map) {
        Some(Elements::Verdicts(entries)) => {
            let known = entries.iter().map(|(values, verdict)| (key(context, left, values), verdict));
            known.filter(|(packets, _)| !packets.is_empty()).collect()
        }
        Some(Elements::Values(_) | Elements::Counters(_)) | None => Vec::new(),
    }
}
