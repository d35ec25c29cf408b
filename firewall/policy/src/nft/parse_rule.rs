//! Rules and their statements.

use std::net::{Ipv4Addr, Ipv6Addr};

use super::data::DataType;
use super::expression::{Expression, IpField, RawBase, Transport};
use super::lexer::{Sign, TokenKind};
use super::parse::{ParseError, Parser};
use super::parse_set::ElementKind;
use super::statement::{Limit, LimitMode, LogPrefix, Operand, Operator, Rate, Rule, SnatTarget, Statement, TcpFlags, TimeUnit};

/// What `nft` takes where a limit of packets names no burst, and leaves out when it lists it (1.0.6).
const DEFAULT_BURST: u32 = 5;

/// How the expressions begin that a map of counters may look at; no counter of ours is called like one.
const EXPRESSIONS: [&str; 12] = ["meta", "iifname", "oifname", "ip", "ip6", "ether", "tcp", "udp", "sctp", "th", "icmp", "icmpv6"];

impl Parser<'_, '_> {
    pub(super) fn rule(&mut self) -> Result<Rule, ParseError> {
        let mut statements = Vec::new();
        while !self.at_end_of_statement() {
            statements.push(self.statement()?);
        }
        Ok(Rule { statements })
    }

    fn statement(&mut self) -> Result<Statement, ParseError> {
        let TokenKind::Word(word) = self.kind() else {
            return if self.kind() == TokenKind::Sign(Sign::At) { self.comparison() } else { Err(self.error("a statement")) };
        };
        match (word, self.peek_after(1)) {
            ("accept" | "drop" | "return" | "jump" | "goto", _) => self.verdict().map(Statement::Verdict),
            ("counter", _) => self.counter_reference(),
            ("limit", _) => self.limit().map(Statement::Limit),
            ("log", _) => self.log(),
            ("update", _) => self.update(),
            ("notrack", _) => {
                self.advance();
                Ok(Statement::NoTrack)
            }
            ("snat", _) => self.snat().map(Statement::Snat),
            ("tcp", TokenKind::Word("flags")) => self.tcp_flags().map(Statement::TcpFlags),
            ("tcp", TokenKind::Word("option")) => self.max_segment(),
            _ => self.comparison(),
        }
    }

    fn comparison(&mut self) -> Result<Statement, ParseError> {
        let left = self.concatenation()?;
        let kinds: Vec<DataType> = left.iter().map(|expression| expression.data_type()).collect();
        if self.take_word("vmap") {
            let map = match self.set_reference()? {
                Some(named) => named,
                None => Operand::Anonymous(self.elements(&kinds, ElementKind::Verdict)?),
            };
            return Ok(Statement::VerdictMap { left, map });
        }
        let operator = self.operator();
        let right = match (self.set_reference()?, self.kind(), kinds.as_slice()) {
            (Some(named), _, _) => named,
            (None, TokenKind::Sign(Sign::Open), kinds) => Operand::Anonymous(self.elements(kinds, ElementKind::Value)?),
            (None, _, [kind]) => Operand::Value(self.value(*kind)?),
            (None, _, _) => return Err(self.error("`{` or `@`: a concatenation is compared with a set")),
        };
        Ok(Statement::Match { left, operator, right })
    }

    fn concatenation(&mut self) -> Result<Vec<Expression>, ParseError> {
        let mut left = vec![self.expression()?];
        while self.take_word(".") {
            left.push(self.expression()?);
        }
        Ok(left)
    }

    /// `update @set { ether saddr }`
    fn update(&mut self) -> Result<Statement, ParseError> {
        self.advance();
        self.sign(Sign::At, "`@`")?;
        let set = self.identifier()?;
        self.sign(Sign::Open, "`{`")?;
        let key = self.concatenation()?;
        self.sign(Sign::Close, "`}`")?;
        Ok(Statement::Update { set, key })
    }

    fn operator(&mut self) -> Operator {
        if self.take_sign(Sign::NotEqual) {
            Operator::NotEqual
        } else {
            self.take_sign(Sign::Equal);
            Operator::Equal
        }
    }

    fn set_reference(&mut self) -> Result<Option<Operand>, ParseError> {
        if self.take_sign(Sign::At) { self.identifier().map(Operand::Named).map(Some) } else { Ok(None) }
    }

    fn expression(&mut self) -> Result<Expression, ParseError> {
        const EXPECTED: &str = "something to match on";
        if self.take_sign(Sign::At) {
            return self.raw();
        }
        Ok(match self.word(EXPECTED)? {
            "iifname" => Expression::InputInterface,
            "oifname" => Expression::OutputInterface,
            "meta" => match self.word("a key of `meta`")? {
                "iifname" => Expression::InputInterface,
                "oifname" => Expression::OutputInterface,
                "nfproto" => Expression::NfProto,
                "l4proto" => Expression::L4Proto,
                _ => return Err(self.error_before("`nfproto` or `l4proto`")),
            },
            "ip" if self.take_word("ttl") => Expression::Ttl,
            "ip" => Expression::Ip(self.one_of(&IpField::ALL, "`saddr` or `daddr`")?),
            "ip6" if self.take_word("hoplimit") => Expression::HopLimit,
            "ip6" => Expression::Ip6(self.one_of(&IpField::ALL, "`saddr` or `daddr`")?),
            "ether" => {
                self.keyword("saddr", "`saddr`")?;
                Expression::EtherSource
            }
            "icmp" => {
                self.keyword("type", "`type`")?;
                Expression::IcmpType
            }
            "icmpv6" => {
                self.keyword("type", "`type`")?;
                Expression::Icmpv6Type
            }
            "ct" => {
                self.keyword("state", "`state`")?;
                Expression::CtState
            }
            word => {
                let Some((transport, _)) = Transport::ALL.iter().find(|(_, name)| *name == word) else {
                    return Err(self.error_before(EXPECTED));
                };
                match self.word("`sport` or `dport`")? {
                    "sport" => Expression::SourcePort(*transport),
                    "dport" => Expression::DestinationPort(*transport),
                    _ => return Err(self.error_before("`sport` or `dport`")),
                }
            }
        })
    }

    /// `@th,96,24`, past the `@`.
    fn raw(&mut self) -> Result<Expression, ParseError> {
        let base = self.one_of(&RawBase::ALL, "`th` or `nh`")?;
        self.sign(Sign::Comma, "`,`")?;
        let offset = self.number("an offset in bits")?;
        self.sign(Sign::Comma, "`,`")?;
        let length: u8 = self.number("a length in bits")?;
        if !(8..=64).contains(&length) {
            return Err(self.error_before("a length of 8 to 64 bits"));
        }
        Ok(Expression::Raw { base, offset, length })
    }

    fn counter_reference(&mut self) -> Result<Statement, ParseError> {
        self.advance();
        if self.take_word("name") {
            if matches!(self.kind(), TokenKind::Word(word) if EXPRESSIONS.contains(&word)) {
                return self.counter_map();
            }
            return self.identifier().map(Some).map(Statement::Counter);
        }
        if self.take_word("packets") {
            self.number::<u64>("a number of packets")?;
            self.keyword("bytes", "`bytes`")?;
            self.number::<u64>("a number of bytes")?;
        }
        Ok(Statement::Counter(None))
    }

    /// `ip daddr . meta l4proto map @x`
    fn counter_map(&mut self) -> Result<Statement, ParseError> {
        let left = self.concatenation()?;
        self.keyword("map", "`map`")?;
        self.sign(Sign::At, "`@`")?;
        Ok(Statement::CounterMap { left, map: self.identifier()? })
    }

    fn log(&mut self) -> Result<Statement, ParseError> {
        self.advance();
        if !self.take_word("prefix") {
            return Ok(Statement::Log(None));
        }
        let TokenKind::Quoted(text) = self.kind() else { return Err(self.error("a prefix in quotes")) };
        let prefix = LogPrefix::new(text).map_err(|_| self.error("a prefix of harmless characters"))?;
        self.advance();
        Ok(Statement::Log(Some(prefix)))
    }

    /// `limit rate over 10/second burst 5 packets`, `limit rate 12 kbytes/second burst 1 mbytes`
    fn limit(&mut self) -> Result<Limit, ParseError> {
        const EXPECTED: &str = "a rate such as `10/second` or `10 kbytes/second`";
        self.advance();
        self.keyword("rate", "`rate`")?;
        let mode = if self.take_word("over") { LimitMode::Over } else { LimitMode::Within };
        let word = self.word(EXPECTED)?;
        let (rate, per) = if let Some((count, per)) = word.split_once('/') {
            (count.parse().ok().map(Rate::Packets), per)
        } else {
            let unit = self.word(EXPECTED)?;
            let (unit, per) = unit.split_once('/').ok_or_else(|| self.error_before(EXPECTED))?;
            let bytes = scale(unit).and_then(|scale| word.parse::<u64>().ok()?.checked_mul(scale));
            (bytes.map(Rate::Bytes), per)
        };
        let per = TimeUnit::ALL.iter().find(|(_, name)| *name == per).map(|(unit, _)| *unit);
        let (Some(rate @ (Rate::Packets(1..) | Rate::Bytes(1..))), Some(per)) = (rate, per) else {
            return Err(self.error_before(EXPECTED));
        };
        let burst = if self.take_word("burst") {
            let count: u32 = self.number("a burst")?;
            let unit = self.word("`packets` or `bytes`")?;
            let burst = match rate {
                Rate::Packets(_) => (unit == "packets").then_some(count),
                Rate::Bytes(_) => scale(unit).and_then(|scale| u32::try_from(u64::from(count).checked_mul(scale)?).ok()),
            };
            burst.ok_or_else(|| self.error_before("a burst in the unit of the rate"))?
        } else {
            match rate {
                Rate::Packets(_) => DEFAULT_BURST,
                Rate::Bytes(_) => 0,
            }
        };
        Ok(Limit { mode, rate, per, burst })
    }

    /// `tcp flags & (syn | ack) != syn`, and as 1.0.6 lists it: `tcp flags != syn / syn,ack`.
    fn tcp_flags(&mut self) -> Result<TcpFlags, ParseError> {
        self.advance();
        self.advance();
        let flags = if self.take_sign(Sign::And) {
            let mask = self.flag_bits()?;
            let operator = self.operator();
            TcpFlags { mask, operator, value: self.flag_bits()? }
        } else {
            let operator = self.operator();
            let value = self.flag_bits()?;
            self.keyword("/", "`/` and the mask")?;
            TcpFlags { mask: self.flag_bits()?, operator, value }
        };
        if flags.value == 0 || flags.value & !flags.mask != 0 || flags.mask.count_ones() < 2 {
            return Err(self.error_before("flags that are part of the mask"));
        }
        Ok(flags)
    }

    /// `syn`, `(syn | ack)`, `syn,ack`
    fn flag_bits(&mut self) -> Result<u8, ParseError> {
        let parenthesis = self.take_sign(Sign::LeftParenthesis);
        let mut bits = self.one_of(&TcpFlags::ALL, "a TCP flag")?;
        while self.take_sign(Sign::Or) || self.take_sign(Sign::Comma) {
            bits |= self.one_of(&TcpFlags::ALL, "a TCP flag")?;
        }
        if parenthesis {
            self.sign(Sign::RightParenthesis, "`)`")?;
        }
        Ok(bits)
    }

    fn max_segment(&mut self) -> Result<Statement, ParseError> {
        for word in ["tcp", "option", "maxseg", "size", "set"] {
            self.keyword(word, "`tcp option maxseg size set`")?;
        }
        self.number("a size in bytes").map(Statement::MaxSegment)
    }

    fn snat(&mut self) -> Result<SnatTarget, ParseError> {
        self.advance();
        let families = [(TableIp::V4, "ip"), (TableIp::V6, "ip6")];
        let family = self.one_of(&families, "`ip` or `ip6`")?;
        self.keyword("to", "`to`")?;
        if self.kind() == TokenKind::Word("jhash") {
            return self.spread(family);
        }
        match family {
            TableIp::V4 => self.address().map(SnatTarget::V4),
            TableIp::V6 => self.address().map(SnatTarget::V6),
        }
    }

    /// `jhash ip saddr . ip daddr mod 2 seed 0x1 map { 0 : A, 1 : B }`
    fn spread(&mut self, family: TableIp) -> Result<SnatTarget, ParseError> {
        let ip = match family {
            TableIp::V4 => "ip",
            TableIp::V6 => "ip6",
        };
        for word in ["jhash", ip, "saddr", ".", ip, "daddr", "mod"] {
            self.keyword(word, "a hash of source and destination")?;
        }
        let count: usize = self.number("a number of addresses")?;
        self.keyword("seed", "`seed`")?;
        let seed = self.number("a seed")?;
        self.keyword("map", "`map`")?;
        Ok(match family {
            TableIp::V4 => SnatTarget::SpreadV4 { seed, addresses: self.numbered_addresses::<Ipv4Addr>(count)? },
            TableIp::V6 => SnatTarget::SpreadV6 { seed, addresses: self.numbered_addresses::<Ipv6Addr>(count)? },
        })
    }

    fn numbered_addresses<A: std::str::FromStr>(&mut self, count: usize) -> Result<Vec<A>, ParseError> {
        self.sign(Sign::Open, "`{`")?;
        let mut numbered = Vec::new();
        loop {
            self.newlines();
            let index: usize = self.number("the address's number")?;
            self.keyword(":", "`:`")?;
            numbered.push((index, self.address()?));
            self.newlines();
            if !self.take_sign(Sign::Comma) {
                break;
            }
        }
        self.sign(Sign::Close, "`}`")?;
        numbered.sort_unstable_by_key(|(index, _)| *index);
        if count < 2 || numbered.len() != count || numbered.iter().enumerate().any(|(place, (index, _))| place != *index) {
            return Err(self.error_before("one address for each value of the hash, two at least"));
        }
        Ok(numbered.into_iter().map(|(_, address)| address).collect())
    }

    fn address<A: std::str::FromStr>(&mut self) -> Result<A, ParseError> {
        let word = self.word("an address")?;
        word.parse().map_err(|_| self.error_before("an address"))
    }
}

#[derive(Debug, Clone, Copy)]
enum TableIp {
    V4,
    V6,
}

fn scale(unit: &str) -> Option<u64> {
    match unit {
        "bytes" => Some(1),
        "kbytes" => Some(1 << 10),
        "mbytes" => Some(1 << 20),
        _ => None,
    }
}
