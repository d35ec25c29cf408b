//! What a packet is, and whether a set or map has it.

use std::collections::BTreeMap;
use std::net::IpAddr;

use leafwall_topology::{Family, IfName};

use super::Flow;
use crate::nft::{CtState, Elements, Expression, Identifier, IpField, Operand, Table, Transport, Value, Verdict};
use crate::protocols::{ICMP, ICMPV6, SCTP, TCP, UDP};

/// Whether something is so.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Answer {
    Yes,
    No,
    /// It depends on what is not known of the packet.
    Unknown,
}

impl Answer {
    pub(super) const fn of(holds: bool) -> Self {
        if holds { Self::Yes } else { Self::No }
    }

    pub(super) const fn not(self) -> Self {
        match self {
            Self::Yes => Self::No,
            Self::No => Self::Yes,
            Self::Unknown => Self::Unknown,
        }
    }

    pub(super) fn any(answers: impl IntoIterator<Item = Self>) -> Self {
        let mut found = Self::No;
        for answer in answers {
            match answer {
                Self::Yes => return Self::Yes,
                Self::Unknown => found = Self::Unknown,
                Self::No => {}
            }
        }
        found
    }
}

/// A packet with what the kernel knows of it.
pub(super) struct Packet<'p> {
    pub flow: Flow,
    pub input: &'p IfName,
    /// `None` where only the way in is asked about.
    pub output: Option<&'p IfName>,
    pub state: CtState,
}

/// What an expression finds in a packet.
pub(super) enum Fact {
    Is(Value),
    Unknown,
}

impl Packet<'_> {
    /// What the expressions find. `None` where the packet has nothing of the kind: then a comparison never holds, whatever its operator.
    pub(super) fn facts(&self, left: &[Expression]) -> Option<Vec<Fact>> {
        left.iter().map(|expression| self.fact(*expression)).collect()
    }

    fn fact(&self, expression: Expression) -> Option<Fact> {
        let flow = &self.flow;
        let family = Family::of(flow.source);
        let number = |number: u64| Some(Fact::Is(Value::Number(number)));
        let address = |field: IpField| match field {
            IpField::Source => Fact::Is(Value::Address(flow.source)),
            IpField::Destination => Fact::Is(Value::Address(flow.destination)),
        };
        let has = |transport: Transport| match transport {
            Transport::Tcp => flow.protocol == TCP,
            Transport::Udp => flow.protocol == UDP,
            Transport::Sctp => flow.protocol == SCTP,
            Transport::Any => true,
        };
        match expression {
            Expression::InputInterface => Some(Fact::Is(Value::Interface(self.input.clone()))),
            Expression::OutputInterface => Some(self.output.map_or(Fact::Unknown, |output| Fact::Is(Value::Interface(output.clone())))),
            Expression::NfProto => number(if family == Family::V4 { 2 } else { 10 }),
            Expression::L4Proto => number(flow.protocol.into()),
            Expression::Ip(field) => (family == Family::V4).then(|| address(field)),
            Expression::Ip6(field) => (family == Family::V6).then(|| address(field)),
            Expression::SourcePort(transport) if has(transport) => number(flow.source_port.into()),
            Expression::DestinationPort(transport) if has(transport) => number(flow.destination_port.into()),
            Expression::IcmpType if family == Family::V4 && flow.protocol == ICMP => number(flow.destination_port.into()),
            Expression::Icmpv6Type if family == Family::V6 && flow.protocol == ICMPV6 => number(flow.destination_port.into()),
            Expression::SourcePort(_) | Expression::DestinationPort(_) | Expression::IcmpType | Expression::Icmpv6Type => None,
            Expression::CtState => number(self.state.bit()),
            Expression::HopLimit => (family == Family::V6).then_some(Fact::Unknown),
            Expression::Ttl => (family == Family::V4).then_some(Fact::Unknown),
            Expression::EtherSource | Expression::Raw { .. } => Some(Fact::Unknown),
        }
    }
}

/// Whether these are the stated values, one for each expression.
pub(super) fn holds(left: &[Expression], facts: &[Fact], stated: &[Value]) -> Answer {
    let mut found = Answer::Yes;
    for ((expression, fact), stated) in left.iter().zip(facts).zip(stated) {
        match fact {
            Fact::Unknown => found = Answer::Unknown,
            Fact::Is(Value::Number(state)) if *expression == Expression::CtState => {
                if !matches!(stated, Value::Number(bits) if bits & state != 0) {
                    return Answer::No;
                }
            }
            Fact::Is(value) if is_within(value, stated) => {}
            Fact::Is(_) => return Answer::No,
        }
    }
    found
}

/// Whether one value is the other or lies inside of it.
fn is_within(value: &Value, stated: &Value) -> bool {
    let same = |a: IpAddr, b: IpAddr| Family::of(a) == Family::of(b);
    match (value, stated) {
        (Value::Address(address), Value::Prefix(prefix)) => prefix.contains_address(*address),
        (Value::Address(address), Value::Addresses(first, last)) => same(*address, *first) && (first..=last).contains(&address),
        (Value::Number(number), Value::Numbers(first, last)) => (first..=last).contains(&number),
        (value, stated) => value == stated,
    }
}

/// The sets of a table.
#[derive(Debug)]
pub(super) struct Lookup<'t> {
    sets: BTreeMap<&'t str, Vec<Index<'t>>>,
}

/// A set's elements, by what the most telling part of their keys is where that is one value; others one by one.
#[derive(Debug)]
struct Index<'t> {
    elements: &'t Elements,
    part: usize,
    exact: BTreeMap<&'t Value, Vec<usize>>,
    others: Vec<usize>,
}

impl<'t> Lookup<'t> {
    pub(super) fn new(table: &'t Table, before: Option<&'t Table>) -> Self {
        let mut sets: BTreeMap<&str, Vec<Index<'t>>> = BTreeMap::new();
        let answers = before.into_iter().flat_map(|table| &table.sets).filter(|set| set.flags.timeout);
        for set in &table.sets {
            sets.insert(set.name.as_str(), vec![Index::new(&set.elements)]);
        }
        for set in answers {
            if let Some(there) = sets.get_mut(set.name.as_str()) {
                there.push(Index::new(&set.elements));
            }
        }
        Self { sets }
    }

    /// Whether a set or map has an element for the packet.
    pub(super) fn has(&self, packet: &Packet<'_>, left: &[Expression], set: &Identifier) -> Answer {
        let Some(facts) = packet.facts(left) else { return Answer::No };
        let indices = self.sets.get(set.as_str()).map(Vec::as_slice).unwrap_or_default();
        Answer::any(indices.iter().map(|index| index.find(left, &facts).0))
    }

    /// What a verdict map says about the packet.
    pub(super) fn verdict(&self, packet: &Packet<'_>, left: &[Expression], map: &'t Operand) -> (Answer, Option<&'t Verdict>) {
        let Some(facts) = packet.facts(left) else { return (Answer::No, None) };
        let (answer, elements, at) = match map {
            Operand::Value(_) => return (Answer::No, None),
            Operand::Anonymous(elements) => {
                let (answer, at) = find(left, &facts, elements, 0..elements.len());
                (answer, elements, at)
            }
            Operand::Named(name) => {
                let Some(index) = self.sets.get(name.as_str()).and_then(|indices| indices.first()) else { return (Answer::No, None) };
                let (answer, at) = index.find(left, &facts);
                (answer, index.elements, at)
            }
        };
        let verdict = match (elements, at) {
            (Elements::Verdicts(entries), Some(at)) => entries.get(at).map(|(_, verdict)| verdict),
            _ => None,
        };
        (answer, verdict)
    }
}

/// The first of these elements that the packet has; one that it surely has before one that it may have.
fn find(left: &[Expression], facts: &[Fact], elements: &Elements, among: impl IntoIterator<Item = usize>) -> (Answer, Option<usize>) {
    let mut found = (Answer::No, None);
    for at in among {
        let Some(key) = elements.key(at) else { continue };
        match holds(left, facts, key) {
            Answer::Yes => return (Answer::Yes, Some(at)),
            Answer::Unknown if found.1.is_none() => found = (Answer::Unknown, Some(at)),
            Answer::Unknown | Answer::No => {}
        }
    }
    found
}

const fn is_exact(value: &Value) -> bool {
    matches!(value, Value::Address(_) | Value::Number(_) | Value::Interface(_) | Value::Mac(_))
}

impl<'t> Index<'t> {
    fn new(elements: &'t Elements) -> Self {
        let width = elements.key(0).map_or(0, Vec::len);
        let by = |part: usize| {
            let (mut exact, mut others) = (BTreeMap::<&'t Value, Vec<usize>>::new(), Vec::new());
            for at in 0..elements.len() {
                match elements.key(at).and_then(|key| key.get(part)).filter(|value| is_exact(value)) {
                    Some(value) => exact.entry(value).or_default().push(at),
                    None => others.push(at),
                }
            }
            Self { elements, part, exact, others }
        };
        let mut best = by(0);
        for part in 1..width {
            let other = by(part);
            if other.exact.len() > best.exact.len() {
                best = other;
            }
        }
        best
    }

    fn find(&self, left: &[Expression], facts: &[Fact]) -> (Answer, Option<usize>) {
        let is_state = left.get(self.part) == Some(&Expression::CtState);
        match facts.get(self.part) {
            Some(Fact::Is(value)) if !is_state => {
                let exact = self.exact.get(value).map(Vec::as_slice).unwrap_or_default();
                find(left, facts, self.elements, exact.iter().chain(&self.others).copied())
            }
            _ => find(left, facts, self.elements, 0..self.elements.len()),
        }
    }
}
