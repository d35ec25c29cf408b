//! One rule for one pair of zones → the nftables rules that match what it matches.

use leafwall_topology::Family;

use super::build::{address_field, destination_port, equal, family, number, one_or_set};
use super::forward::Sides;
use crate::interval::AddressSet;
use crate::nft::{Expression, IpField, Operand, Statement, Transport, Value};
use crate::rule::{PortMatch, Protocol, Rule};

/// One way in which one side of a rule can match.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Alternative {
    /// Every address of the family.
    Anything,
    /// These.
    Addresses(Operand),
}

/// The transport part: `None` for everything.
#[derive(Debug, Clone, PartialEq, Eq)]
enum TransportMatch {
    Everything,
    /// All of a protocol.
    Whole(u64),
    Ports(Transport, Operand),
}

const TCP: u64 = 6;
const UDP: u64 = 17;
const SCTP: u64 = 132;
const ICMP: u64 = 1;
const ICMPV6: u64 = 58;

/// The matches that stand for a rule, in any order: each is complete by itself.
pub(crate) fn matches(rule: &Rule, sides: &Sides) -> Vec<Vec<Statement>> {
    let transports = transports(&rule.ports);
    let mut found = Vec::new();
    let unbound = |family| sides.from(family) == [Alternative::Anything] && sides.to(family) == [Alternative::Anything];
    if Family::BOTH.into_iter().all(unbound) {
        found.extend(transports.iter().map(|transport| with_family(transport, own_family(transport))));
        return found;
    }
    for family in Family::BOTH {
        for from in sides.from(family) {
            for to in sides.to(family) {
                for transport in &transports {
                    if !possible(transport, family) {
                        continue;
                    }
                    let mut statements = Vec::new();
                    for (field, alternative) in [(IpField::Source, from), (IpField::Destination, to)] {
                        if let Alternative::Addresses(operand) = alternative {
                            statements.push(equal(address_field(family, field), operand.clone()));
                        }
                    }
                    // an address says the family; where there is none, it must be said
                    let said = !statements.is_empty();
                    statements.extend(with_family(transport, (!said).then_some(family)));
                    found.push(statements);
                }
            }
        }
    }
    found
}

/// The only family that a protocol belongs to.
const fn own_family(transport: &TransportMatch) -> Option<Family> {
    match transport {
        TransportMatch::Whole(ICMP) => Some(Family::V4),
        TransportMatch::Whole(ICMPV6) => Some(Family::V6),
        _ => None,
    }
}

/// ICMP is IPv4's, ICMPv6 is IPv6's: the other combination would match packets that no host understands.
const fn possible(transport: &TransportMatch, family: Family) -> bool {
    !matches!((transport, family), (TransportMatch::Whole(ICMP), Family::V6) | (TransportMatch::Whole(ICMPV6), Family::V4))
}

fn with_family(transport: &TransportMatch, wanted: Option<Family>) -> Vec<Statement> {
    let mut statements = Vec::new();
    match transport {
        // the family behind the protocol: in front, `nft` lists it as implied and the text would no longer mean what the kernel does
        TransportMatch::Whole(protocol @ (ICMP | ICMPV6)) => {
            statements.push(number(Expression::L4Proto, *protocol));
            statements.extend(wanted.map(family));
        }
        TransportMatch::Everything => statements.extend(wanted.map(family)),
        TransportMatch::Whole(protocol) => {
            statements.extend(wanted.map(family));
            statements.push(number(Expression::L4Proto, *protocol));
        }
        TransportMatch::Ports(transport, ports) => {
            statements.extend(wanted.map(family));
            statements.push(equal(destination_port(*transport), ports.clone()));
        }
    }
    statements
}

/// Ports and protocols, each protocol once. No ports mean everything (F5).
fn transports(ports: &[PortMatch]) -> Vec<TransportMatch> {
    if ports.is_empty() || ports.iter().any(|port| port.protocol == Protocol::Any) {
        return vec![TransportMatch::Everything];
    }
    let mut found = Vec::new();
    for (protocol, whole, transport) in
        [(Protocol::Tcp, TCP, Transport::Tcp), (Protocol::Udp, UDP, Transport::Udp), (Protocol::Sctp, SCTP, Transport::Sctp)]
    {
        let own = || ports.iter().filter(|port| port.protocol == protocol);
        if own().any(|port| port.ports.is_none()) {
            found.push(TransportMatch::Whole(whole));
        } else if let Some(operand) = one_or_set(port_values(own())) {
            found.push(TransportMatch::Ports(transport, operand));
        }
    }
    for (protocol, whole) in [(Protocol::Icmp, ICMP), (Protocol::Icmpv6, ICMPV6)] {
        if ports.iter().any(|port| port.protocol == protocol) {
            found.push(TransportMatch::Whole(whole));
        }
    }
    found
}

/// Ranges joined where they overlap or touch: `nft` refuses overlaps in a set.
fn port_values<'p>(ports: impl Iterator<Item = &'p PortMatch>) -> Vec<Value> {
    let mut ranges: Vec<(u64, u64)> = ports.filter_map(|port| port.ports.map(|range| (range.low().into(), range.high().into()))).collect();
    ranges.sort_unstable();
    ranges.dedup_by(|next, kept| {
        let joins = next.0 <= kept.1 + 1;
        if joins {
            kept.1 = kept.1.max(next.1);
        }
        joins
    });
    ranges.into_iter().filter_map(|(low, high)| Value::numbers(low, high)).collect()
}

/// What a set of addresses amounts to in one family.
pub(super) fn alternative(set: &AddressSet, family: Family, operand: impl FnOnce() -> Option<Operand>) -> Option<Alternative> {
    if set.is_all(family) { Some(Alternative::Anything) } else { operand().map(Alternative::Addresses) }
}
