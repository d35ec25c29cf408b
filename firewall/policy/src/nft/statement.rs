//! Rules and their statements.

use std::net::{Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

use super::data::Value;
use super::expression::Expression;
use super::tree::{Elements, Identifier};

/// A rule: its statements, from left to right, until one does not match.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Rule {
    /// The statements.
    pub statements: Vec<Statement>,
}

/// One step of a rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Statement {
    /// `ip saddr 10.0.0.0/8`, `iifname . oifname @pairs`: goes on only if it matches.
    Match {
        /// What is looked at; several for a concatenation.
        left: Vec<Expression>,
        /// Equal or not.
        operator: Operator,
        /// What it is compared with.
        right: Operand,
    },
    /// `iifname vmap { … }`: the verdict that stands for the value, if there is one.
    VerdictMap {
        /// What is looked at.
        left: Vec<Expression>,
        /// Where the verdicts stand: an anonymous map's elements or a named map.
        map: Operand,
    },
    /// `counter name ip daddr . meta l4proto map @x`: counts with the counter that stands for the value; goes on only if there is one.
    CounterMap {
        /// What is looked at.
        left: Vec<Expression>,
        /// A named map of counters.
        map: Identifier,
    },
    /// `tcp flags …`
    TcpFlags(TcpFlags),
    /// `counter name "x"`, or one without a name.
    Counter(Option<Identifier>),
    /// `limit rate …`: goes on only within (or over) the rate.
    Limit(Limit),
    /// `log prefix "x"`
    Log(Option<LogPrefix>),
    /// `update @set { ether saddr }`: remembers the value for the set's timeout from now on; goes on only if it is in the set or fits into it.
    Update {
        /// A dynamic set.
        set: Identifier,
        /// What is remembered.
        key: Vec<Expression>,
    },
    /// `notrack`
    NoTrack,
    /// `tcp option maxseg size set N`; the kernel only ever lowers it.
    MaxSegment(u16),
    /// `snat ip to …`
    Snat(SnatTarget),
    /// `accept`, `jump x` and so on.
    Verdict(Verdict),
}

/// Equal or not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Operator {
    /// Nothing is written.
    Equal,
    /// `!=`
    NotEqual,
}

/// The right side of a comparison or the map of a lookup.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Operand {
    /// One value; not for concatenations, which `nft` wants in sets.
    Value(Value),
    /// `{ … }`
    Anonymous(Elements),
    /// `@name`
    Named(Identifier),
}

/// A comparison of TCP flags under a mask: `tcp flags & (syn | ack) != syn`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TcpFlags {
    /// The bits that are looked at (RFC 9293 §3.1, FIN is 1); at least two.
    pub mask: u8,
    /// Equal or not.
    pub operator: Operator,
    /// What they are compared with: some of the mask's bits, at least one.
    pub value: u8,
}

impl TcpFlags {
    /// SYN
    pub const SYN: u8 = 2;
    /// RST
    pub const RST: u8 = 4;
    /// ACK
    pub const ACK: u8 = 16;
    pub(super) const ALL: [(u8, &'static str); 8] =
        [(1, "fin"), (2, "syn"), (4, "rst"), (8, "psh"), (16, "ack"), (32, "urg"), (64, "ecn"), (128, "cwr")];
}

/// A token bucket.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Limit {
    /// Which packets match: those within the rate or those over it.
    pub mode: LimitMode,
    /// How fast it fills.
    pub rate: Rate,
    /// How fast: per second, minute…
    pub per: TimeUnit,
    /// How much it holds, in the rate's unit.
    pub burst: u32,
}

/// Which packets match a limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum LimitMode {
    /// Those within the rate.
    Within,
    /// Those over it.
    Over,
}

/// A rate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Rate {
    /// Packets per unit of time, 1 at least.
    Packets(u64),
    /// Bytes per unit of time, 1 at least.
    Bytes(u64),
}

/// A unit of time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum TimeUnit {
    /// `second`
    Second,
    /// `minute`
    Minute,
    /// `hour`
    Hour,
    /// `day`
    Day,
    /// `week`
    Week,
}

/// The longest log prefix: NF_LOG_PREFIXLEN of the kernel less the closing zero.
const LOG_PREFIX_MAX: usize = 127;

/// A log line's prefix: letters, digits, space and `.:/-_`, nothing that could end a quoted string or name a variable (F2).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LogPrefix(Arc<str>);

/// Text that is not a log prefix.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not a log prefix: letters, digits, spaces and `.:/-_`, 1 to {LOG_PREFIX_MAX}")]
pub struct LogPrefixError {
    /// What was written.
    pub text: String,
}

impl LogPrefix {
    /// Checks the text.
    pub fn new(text: impl AsRef<str> + Into<Arc<str>>) -> Result<Self, LogPrefixError> {
        let bytes = text.as_ref().as_bytes();
        let legal = bytes.iter().all(|b| b.is_ascii_alphanumeric() || b" .:/-_".contains(b));
        if legal && !bytes.is_empty() && bytes.len() <= LOG_PREFIX_MAX {
            Ok(Self(text.into()))
        } else {
            Err(LogPrefixError { text: text.as_ref().to_owned() })
        }
    }

    /// A prefix made by us; what is not legal becomes `_`, and the end is cut.
    pub(crate) fn composed(text: &str) -> Self {
        Self::new(text).unwrap_or_else(|_| {
            let legal = |c: char| if c.is_ascii_alphanumeric() || " .:/-_".contains(c) { c } else { '_' };
            let body: String = text.chars().map(legal).take(LOG_PREFIX_MAX - 1).collect();
            Self(format!("_{body}").into())
        })
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// What sources are translated to. With several addresses each pair of source and destination keeps one of them, whatever the protocol (F10).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SnatTarget {
    /// `snat ip to A`
    V4(Ipv4Addr),
    /// `snat ip6 to A`
    V6(Ipv6Addr),
    /// `snat ip to jhash ip saddr . ip daddr mod N seed S map { 0 : A, … }`
    SpreadV4 {
        /// The hash's seed, so that a reload does not move flows.
        seed: u32,
        /// Two addresses at least.
        addresses: Vec<Ipv4Addr>,
    },
    /// The same for IPv6.
    SpreadV6 {
        /// The hash's seed.
        seed: u32,
        /// Two addresses at least.
        addresses: Vec<Ipv6Addr>,
    },
}

/// What becomes of a packet.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Verdict {
    /// It passes this base chain.
    Accept,
    /// It is gone.
    Drop,
    /// Go on in the calling chain.
    Return,
    /// Go on in another chain, and come back if that decides nothing.
    Jump(Identifier),
    /// Go on in another chain, and never come back here.
    Goto(Identifier),
}
