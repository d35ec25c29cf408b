//! Named sets and maps, elements, and values as their types write them.

use std::net::IpAddr;

use leafwall_topology::{IfName, Prefix};

use super::data::{CtState, DataType, Key, Value};
use super::lexer::{Sign, TokenKind};
use super::parse::{ParseError, Parser, number};
use super::statement::Verdict;
use super::tree::{Elements, Set, SetFlags};

/// Whether the braces hold plain values or values with verdicts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ElementKind {
    Value,
    Verdict,
    Counter,
}

impl Parser<'_, '_> {
    pub(super) fn set(&mut self) -> Result<Set, ParseError> {
        let is_map = self.take_word("map");
        if !is_map {
            self.advance();
        }
        let name = self.identifier()?;
        self.sign(Sign::Open, "`{`")?;
        self.separators();
        self.keyword("type", "`type`")?;
        let key = self.key_types()?;
        let mut kind = ElementKind::Value;
        if is_map {
            self.keyword(":", "`:`")?;
            kind = match self.word("`verdict` or `counter`")? {
                "verdict" => ElementKind::Verdict,
                "counter" => ElementKind::Counter,
                _ => return Err(self.error_before("`verdict` or `counter`")),
            };
        }
        let empty = match kind {
            ElementKind::Value => Elements::Values(Vec::new()),
            ElementKind::Verdict => Elements::Verdicts(Vec::new()),
            ElementKind::Counter => Elements::Counters(Vec::new()),
        };
        let mut set = Set { name, key, flags: SetFlags::default(), size: None, timeout: None, elements: empty };
        loop {
            self.separators();
            if self.take_sign(Sign::Close) {
                return Ok(set);
            }
            match self.word("`flags`, `timeout`, `elements` or `}`")? {
                "flags" => set.flags = self.set_flags()?,
                "timeout" => set.timeout = Some(self.duration()?),
                "size" => set.size = Some(self.number("a number of elements")?),
                // how often the kernel tidies up: nothing that we ask for
                "gc-interval" => {
                    self.duration()?;
                }
                "elements" => {
                    self.sign(Sign::Assign, "`=`")?;
                    set.elements = self.elements(&set.key.clone(), kind)?;
                }
                _ => return Err(self.error_before("`flags`, `timeout`, `elements` or `}`")),
            }
            self.end_of_statement()?;
        }
    }

    fn key_types(&mut self) -> Result<Vec<DataType>, ParseError> {
        let named = DataType::NAMED.map(|kind| (kind, kind.name().unwrap_or_default()));
        let mut key = vec![self.one_of(&named, "a type of data")?];
        while self.take_word(".") {
            key.push(self.one_of(&named, "a type of data")?);
        }
        Ok(key)
    }

    fn set_flags(&mut self) -> Result<SetFlags, ParseError> {
        let mut flags = SetFlags::default();
        loop {
            match self.word("a flag of sets")? {
                "interval" => flags.interval = true,
                "timeout" => flags.timeout = true,
                "dynamic" => flags.dynamic = true,
                _ => return Err(self.error_before("`interval`, `timeout` or `dynamic`")),
            }
            if !self.take_sign(Sign::Comma) {
                return Ok(flags);
            }
        }
    }

    /// `1d2h3m4s500ms`, in whole seconds.
    fn duration(&mut self) -> Result<u64, ParseError> {
        const EXPECTED: &str = "a duration such as `1h30m`";
        let word = self.word(EXPECTED)?;
        let parsed = duration(word);
        parsed.ok_or_else(|| self.error_before(EXPECTED))
    }

    /// `{ a, b }` or `{ a : accept, b : jump c }`, over several lines where it was wrapped.
    pub(super) fn elements(&mut self, key: &[DataType], kind: ElementKind) -> Result<Elements, ParseError> {
        self.sign(Sign::Open, "`{`")?;
        let (mut keys, mut entries, mut counters) = (Vec::new(), Vec::new(), Vec::new());
        loop {
            self.newlines();
            if self.take_sign(Sign::Close) {
                break;
            }
            let value = self.key(key)?;
            self.element_options()?;
            match kind {
                ElementKind::Value => keys.push(value),
                ElementKind::Verdict => {
                    self.keyword(":", "`:`")?;
                    entries.push((value, self.verdict()?));
                }
                ElementKind::Counter => {
                    self.keyword(":", "`:`")?;
                    counters.push((value, self.identifier()?));
                }
            }
            self.newlines();
            if !self.take_sign(Sign::Comma) {
                self.sign(Sign::Close, "`,` or `}`")?;
                break;
            }
        }
        Ok(match kind {
            ElementKind::Value => Elements::values(keys),
            ElementKind::Verdict => Elements::verdicts(entries),
            ElementKind::Counter => Elements::counters(counters),
        })
    }

    /// What the kernel tells of an element's life: state, not configuration.
    fn element_options(&mut self) -> Result<(), ParseError> {
        while self.take_word("timeout") || self.take_word("expires") {
            self.duration()?;
        }
        Ok(())
    }

    fn key(&mut self, kinds: &[DataType]) -> Result<Key, ParseError> {
        let mut key = Vec::with_capacity(kinds.len());
        for (index, kind) in kinds.iter().enumerate() {
            if index > 0 {
                self.keyword(".", "`.` and the next part of the key")?;
            }
            key.push(match kind {
                // a comma here parts elements
                DataType::CtState => Value::Number(self.one_of(&CtState::ALL, expectation(DataType::CtState))?.bit()),
                kind => self.value(*kind)?,
            });
        }
        Ok(key)
    }

    pub(super) fn interface(&mut self) -> Result<IfName, ParseError> {
        let (TokenKind::Quoted(text) | TokenKind::Word(text)) = self.kind() else { return Err(self.error("an interface's name")) };
        let name = text.parse().map_err(|_| self.error("an interface's name"))?;
        self.advance();
        Ok(name)
    }

    /// A value of this type, in canonical form.
    pub(super) fn value(&mut self, kind: DataType) -> Result<Value, ParseError> {
        match kind {
            DataType::Interface => return self.interface().map(Value::Interface),
            DataType::CtState => return self.states(),
            _ => {}
        }
        let expected = expectation(kind);
        let TokenKind::Word(word) = self.kind() else { return Err(self.error(expected)) };
        let value = match kind {
            DataType::Ipv4 | DataType::Ipv6 => addresses(word),
            DataType::Ether => mac(word).map(Value::Mac),
            _ => numbers(kind, word),
        };
        let value = value.filter(|value| value.fits(kind)).ok_or_else(|| self.error(expected))?;
        self.advance();
        Ok(value)
    }

    /// `established,related`
    fn states(&mut self) -> Result<Value, ParseError> {
        let mut bits = 0;
        loop {
            bits |= self.one_of(&CtState::ALL, expectation(DataType::CtState))?.bit();
            if !self.take_sign(Sign::Comma) {
                return Ok(Value::Number(bits));
            }
        }
    }

    pub(super) fn verdict(&mut self) -> Result<Verdict, ParseError> {
        Ok(match self.word("a verdict")? {
            "accept" => Verdict::Accept,
            "drop" => Verdict::Drop,
            "return" => Verdict::Return,
            "jump" => Verdict::Jump(self.identifier()?),
            "goto" => Verdict::Goto(self.identifier()?),
            _ => return Err(self.error_before("a verdict: `accept`, `drop`, `return`, `jump` or `goto`")),
        })
    }
}

const fn expectation(kind: DataType) -> &'static str {
    match kind {
        DataType::Ipv4 => "an IPv4 address, prefix or range",
        DataType::Ipv6 => "an IPv6 address, prefix or range",
        DataType::Ether => "a MAC address",
        DataType::Service => "a port or a range of ports",
        DataType::Protocol => "a protocol's name or number",
        DataType::Interface => "an interface's name",
        DataType::IcmpType | DataType::Icmpv6Type => "an ICMP type",
        DataType::NfProto => "`ipv4` or `ipv6`",
        DataType::CtState => "a state of conntrack",
        DataType::Integer(_) => "a number",
    }
}

fn mac(word: &str) -> Option<[u8; 6]> {
    let mut bytes = [0; 6];
    let mut parts = word.split(':');
    for byte in &mut bytes {
        let part = parts.next().filter(|part| part.len() == 2 && part.bytes().all(|b| b.is_ascii_hexdigit()))?;
        *byte = u8::from_str_radix(part, 16).ok()?;
    }
    parts.next().is_none().then_some(bytes)
}

fn addresses(word: &str) -> Option<Value> {
    if let Some((first, last)) = word.split_once('-') {
        Value::addresses(first.parse().ok()?, last.parse().ok()?)
    } else if word.contains('/') {
        word.parse::<Prefix>().ok().map(Value::prefix)
    } else {
        word.parse::<IpAddr>().ok().map(Value::Address)
    }
}

fn numbers(kind: DataType, word: &str) -> Option<Value> {
    if let Some((symbol, _)) = kind.symbols().iter().find(|(_, name)| *name == word) {
        return Some(Value::Number(*symbol));
    }
    match kind {
        // only the words: a family's number differs between systems
        DataType::NfProto => None,
        DataType::Protocol if word == "icmpv6" => Some(Value::Number(58)),
        _ => match word.split_once('-') {
            Some((first, last)) => Value::numbers(number(first)?, number(last)?),
            None => number(word).map(Value::Number),
        },
    }
}

fn duration(word: &str) -> Option<u64> {
    const UNITS: [(&str, u64); 6] = [("w", 604_800_000), ("d", 86_400_000), ("h", 3_600_000), ("ms", 1), ("m", 60_000), ("s", 1000)];
    let (mut rest, mut milliseconds) = (word, 0_u64);
    while !rest.is_empty() {
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        let (count, unit) = rest.split_at_checked(digits)?;
        let (name, scale) = UNITS.iter().find(|(name, _)| unit.starts_with(name))?;
        milliseconds = milliseconds.checked_add(count.parse::<u64>().ok()?.checked_mul(*scale)?)?;
        rest = unit.get(name.len()..)?;
    }
    Some(milliseconds / 1000)
}
