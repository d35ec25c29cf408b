//! Tree → text, in the form in which `nft` lists it.
//!
//! Everything goes into one growing string; `fmt::Write` into a `String` cannot fail.

use std::fmt::{self, Display, Write as _};

use super::data::{CtState, DataType, Key, Value};
use super::expression::{Expression, IpField, RawBase, Transport};
use super::statement::{Operand, Operator, Rule, Statement, TcpFlags, TimeUnit, Verdict};
use super::tree::{BaseChain, Chain, ChainKind, Command, Elements, Hook, Policy, Script, Set, Table, TableFamily, TableId, priority};

impl Display for Script {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for command in &self.commands {
            match command {
                Command::Declare(id) => writeln!(f, "table {id}")?,
                Command::Delete(id) => writeln!(f, "delete table {id}")?,
                Command::Define(table) => Display::fmt(table, f)?,
                Command::Change(id, change) => super::print_change::print_change(f, id, change)?,
            }
        }
        Ok(())
    }
}

impl Script {
    /// The text, in one allocation that grows.
    pub fn to_text(&self) -> String {
        let mut text = String::with_capacity(4096);
        // writing to a String never fails
        let _ = write!(text, "{self}");
        text
    }
}

impl Display for TableId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.family.keyword(), self.name)
    }
}

impl TableFamily {
    pub(super) const ALL: [Self; 4] = [Self::Ip, Self::Ip6, Self::Inet, Self::Netdev];

    /// As it is written.
    pub const fn keyword(self) -> &'static str {
        match self {
            Self::Ip => "ip",
            Self::Ip6 => "ip6",
            Self::Inet => "inet",
            Self::Netdev => "netdev",
        }
    }
}

impl Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "table {} {{", self.id)?;
        for counter in &self.counters {
            writeln!(f, "\tcounter {} {{\n\t}}", counter.name)?;
        }
        for set in &self.sets {
            Display::fmt(set, f)?;
        }
        for chain in &self.chains {
            Display::fmt(chain, f)?;
        }
        f.write_str("}\n")
    }
}

impl Display for Set {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (keyword, data) = match self.elements {
            Elements::Values(_) => ("set", ""),
            Elements::Verdicts(_) => ("map", " : verdict"),
            Elements::Counters(_) => ("map", " : counter"),
        };
        write!(f, "\t{keyword} {} {{\n\t\ttype ", self.name)?;
        for (index, kind) in self.key.iter().enumerate() {
            let dot = if index == 0 { "" } else { " . " };
            write!(f, "{dot}{}", kind.name().unwrap_or("integer"))?;
        }
        writeln!(f, "{data}")?;
        if let Some(size) = self.size {
            writeln!(f, "\t\tsize {size}")?;
        }
        let flags = [(self.flags.interval, "interval"), (self.flags.timeout, "timeout"), (self.flags.dynamic, "dynamic")];
        let mut separator = "\t\tflags ";
        for (_, flag) in flags.iter().filter(|(on, _)| *on) {
            write!(f, "{separator}{flag}")?;
            separator = ",";
        }
        if separator == "," {
            f.write_char('\n')?;
        }
        if let Some(seconds) = self.timeout {
            writeln!(f, "\t\ttimeout {seconds}s")?;
        }
        if !self.elements.is_empty() {
            f.write_str("\t\telements = ")?;
            own_elements(f, self, ",\n\t\t\t     ")?;
            f.write_char('\n')?;
        }
        f.write_str("\t}\n")
    }
}

/// A set's elements, as its key types write them.
pub(super) fn own_elements(f: &mut fmt::Formatter<'_>, set: &Set, comma: &str) -> fmt::Result {
    elements(f, &set.elements, comma, |f, index, value| match set.key.get(index) {
        Some(kind) => typed(f, *kind, value),
        None => Ok(()),
    })
}

impl Display for Chain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "\tchain {} {{", self.name)?;
        if let Some(base) = &self.base {
            writeln!(f, "\t\t{base}")?;
        }
        for rule in &self.rules {
            writeln!(f, "\t\t{rule}")?;
        }
        f.write_str("\t}\n")
    }
}

impl ChainKind {
    pub(super) const ALL: [(Self, &'static str); 2] = [(Self::Filter, "filter"), (Self::Nat, "nat")];
}

impl Hook {
    pub(super) const ALL: [(Self, &'static str); 6] = [
        (Self::Ingress, "ingress"),
        (Self::Prerouting, "prerouting"),
        (Self::Input, "input"),
        (Self::Forward, "forward"),
        (Self::Output, "output"),
        (Self::Postrouting, "postrouting"),
    ];
}

impl Policy {
    pub(super) const ALL: [(Self, &'static str); 2] = [(Self::Accept, "accept"), (Self::Drop, "drop")];
}

impl TimeUnit {
    pub(super) const ALL: [(Self, &'static str); 5] =
        [(Self::Second, "second"), (Self::Minute, "minute"), (Self::Hour, "hour"), (Self::Day, "day"), (Self::Week, "week")];
}

/// The word of a value in one of the tables above; each holds all values, so that the fallback is never printed.
pub(super) fn word<T: PartialEq + Copy>(table: &[(T, &'static str)], value: T) -> &'static str {
    table.iter().find(|(candidate, _)| *candidate == value).map_or("?", |(_, word)| word)
}

/// The names of priorities; `dstnat` and `security` are read but not needed by us.
pub(super) const PRIORITIES: [(i32, &str); 6] = [
    (priority::RAW, "raw"),
    (priority::MANGLE, "mangle"),
    (-100, "dstnat"),
    (priority::FILTER, "filter"),
    (50, "security"),
    (priority::SRCNAT, "srcnat"),
];

impl Display for BaseChain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "type {} hook {} ", word(&ChainKind::ALL, self.kind), word(&Hook::ALL, self.hook))?;
        if let Some(device) = &self.device {
            write!(f, "device \"{device}\" ")?;
        }
        // names of priorities are limited to some families and hooks; numbers are not
        let named = match (self.hook, self.priority) {
            (Hook::Ingress, 0) => Some("filter"),
            (Hook::Ingress, _) => None,
            (Hook::Postrouting, _) | (_, priority::RAW | priority::MANGLE | priority::FILTER) => {
                PRIORITIES.iter().find(|(number, name)| *number == self.priority && *name != "dstnat").map(|(_, name)| *name)
            }
            _ => None,
        };
        match named {
            Some(name) => write!(f, "priority {name}; ")?,
            None => write!(f, "priority {}; ", self.priority)?,
        }
        write!(f, "policy {};", word(&Policy::ALL, self.policy))
    }
}

impl Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, statement) in self.statements.iter().enumerate() {
            if index > 0 {
                f.write_char(' ')?;
            }
            Display::fmt(statement, f)?;
        }
        Ok(())
    }
}

impl Display for Statement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Match { left, operator, right } => {
                concatenation(f, left)?;
                f.write_str(match operator {
                    Operator::Equal => " ",
                    Operator::NotEqual => " != ",
                })?;
                operand(f, left, right)
            }
            Self::VerdictMap { left, map } => {
                concatenation(f, left)?;
                f.write_str(" vmap ")?;
                operand(f, left, map)
            }
            Self::CounterMap { left, map } => {
                f.write_str("counter name ")?;
                concatenation(f, left)?;
                write!(f, " map @{map}")
            }
            Self::TcpFlags(flags) => Display::fmt(flags, f),
            Self::Counter(None) => f.write_str("counter"),
            Self::Counter(Some(name)) => write!(f, "counter name \"{name}\""),
            Self::Limit(limit) => Display::fmt(limit, f),
            Self::Log(None) => f.write_str("log"),
            Self::Log(Some(prefix)) => write!(f, "log prefix \"{}\"", prefix.as_str()),
            Self::Update { set, key } => {
                write!(f, "update @{set} {{ ")?;
                concatenation(f, key)?;
                f.write_str(" }")
            }
            Self::NoTrack => f.write_str("notrack"),
            Self::MaxSegment(size) => write!(f, "tcp option maxseg size set {size}"),
            Self::Snat(target) => Display::fmt(target, f),
            Self::Verdict(verdict) => Display::fmt(verdict, f),
        }
    }
}

impl Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Accept => f.write_str("accept"),
            Self::Drop => f.write_str("drop"),
            Self::Return => f.write_str("return"),
            Self::Jump(chain) => write!(f, "jump {chain}"),
            Self::Goto(chain) => write!(f, "goto {chain}"),
        }
    }
}

impl Display for TcpFlags {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bits = |f: &mut fmt::Formatter<'_>, bits: u8| -> fmt::Result {
            let mut separator = "";
            for (_, name) in Self::ALL.iter().filter(|(bit, _)| bits & bit != 0) {
                write!(f, "{separator}{name}")?;
                separator = " | ";
            }
            Ok(())
        };
        f.write_str("tcp flags & (")?;
        bits(f, self.mask)?;
        f.write_str(match self.operator {
            Operator::Equal => ") == ",
            Operator::NotEqual => ") != ",
        })?;
        if self.value.count_ones() > 1 {
            f.write_char('(')?;
            bits(f, self.value)?;
            f.write_char(')')
        } else {
            bits(f, self.value)
        }
    }
}

impl Display for Expression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::InputInterface => f.write_str("iifname"),
            Self::OutputInterface => f.write_str("oifname"),
            Self::NfProto => f.write_str("meta nfproto"),
            Self::L4Proto => f.write_str("meta l4proto"),
            Self::Ip(field) => write!(f, "ip {}", word(&IpField::ALL, field)),
            Self::Ip6(field) => write!(f, "ip6 {}", word(&IpField::ALL, field)),
            Self::EtherSource => f.write_str("ether saddr"),
            Self::HopLimit => f.write_str("ip6 hoplimit"),
            Self::Ttl => f.write_str("ip ttl"),
            Self::SourcePort(transport) => write!(f, "{} sport", word(&Transport::ALL, transport)),
            Self::DestinationPort(transport) => write!(f, "{} dport", word(&Transport::ALL, transport)),
            Self::IcmpType => f.write_str("icmp type"),
            Self::Icmpv6Type => f.write_str("icmpv6 type"),
            Self::CtState => f.write_str("ct state"),
            Self::Raw { base, offset, length } => write!(f, "@{},{offset},{length}", word(&RawBase::ALL, base)),
        }
    }
}

fn concatenation(f: &mut fmt::Formatter<'_>, left: &[Expression]) -> fmt::Result {
    for (index, expression) in left.iter().enumerate() {
        if index > 0 {
            f.write_str(" . ")?;
        }
        Display::fmt(expression, f)?;
    }
    Ok(())
}

fn operand(f: &mut fmt::Formatter<'_>, left: &[Expression], right: &Operand) -> fmt::Result {
    let at = |f: &mut fmt::Formatter<'_>, index: usize, value: &Value| match left.get(index) {
        Some(expression) => typed(f, expression.data_type(), value),
        None => Ok(()),
    };
    match right {
        Operand::Value(value) => at(f, 0, value),
        Operand::Anonymous(anonymous) => elements(f, anonymous, ", ", at),
        Operand::Named(name) => write!(f, "@{name}"),
    }
}

fn elements(
    f: &mut fmt::Formatter<'_>,
    elements: &Elements,
    comma: &str,
    typed: impl Fn(&mut fmt::Formatter<'_>, usize, &Value) -> fmt::Result,
) -> fmt::Result {
    let key = |f: &mut fmt::Formatter<'_>, place: usize, key: &Key| -> fmt::Result {
        if place > 0 {
            f.write_str(comma)?;
        }
        for (index, value) in key.iter().enumerate() {
            if index > 0 {
                f.write_str(" . ")?;
            }
            typed(f, index, value)?;
        }
        Ok(())
    };
    f.write_str("{ ")?;
    match elements {
        Elements::Values(keys) => keys.iter().enumerate().try_for_each(|(place, value)| key(f, place, value))?,
        Elements::Verdicts(entries) => {
            for (place, (value, verdict)) in entries.iter().enumerate() {
                key(f, place, value)?;
                write!(f, " : {verdict}")?;
            }
        }
        Elements::Counters(entries) => {
            for (place, (value, counter)) in entries.iter().enumerate() {
                key(f, place, value)?;
                write!(f, " : \"{counter}\"")?;
            }
        }
    }
    f.write_str(" }")
}

/// A value as its type writes it.
fn typed(f: &mut fmt::Formatter<'_>, kind: DataType, value: &Value) -> fmt::Result {
    match value {
        Value::Address(address) => write!(f, "{address}"),
        Value::Prefix(prefix) => write!(f, "{prefix}"),
        Value::Addresses(first, last) => write!(f, "{first}-{last}"),
        Value::Numbers(first, last) => write!(f, "{first}-{last}"),
        Value::Mac([a, b, c, d, e, g]) => write!(f, "{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{g:02x}"),
        Value::Interface(name) => write!(f, "\"{name}\""),
        Value::Number(bits) if kind == DataType::CtState => {
            let mut comma = "";
            for (_, name) in CtState::ALL.iter().filter(|(state, _)| bits & state.bit() != 0) {
                write!(f, "{comma}{name}")?;
                comma = ",";
            }
            Ok(())
        }
        Value::Number(number) => match kind.symbols().iter().find(|(candidate, _)| candidate == number) {
            Some((_, name)) => f.write_str(name),
            None => write!(f, "{number}"),
        },
    }
}
