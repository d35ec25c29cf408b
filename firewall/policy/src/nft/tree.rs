//! The tree: scripts, tables, sets, chains. What stands in rules is in the module beside.

use std::borrow::Borrow;
use std::fmt;
use std::sync::Arc;

use leafwall_topology::IfName;

use super::data::{DataType, Key};
use super::statement::{Rule, Verdict};

/// What one `nft -f -` takes: one transaction.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Script {
    /// Run in this order, all or none.
    pub commands: Vec<Command>,
}

/// One command of a script.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// `table inet x`: make the table if it is not there, so that deleting it cannot fail.
    Declare(TableId),
    /// `delete table inet x`, with all that is in it.
    Delete(TableId),
    /// `table inet x { … }`: add what stands inside. A chain that is there already gets the rules behind its own.
    Define(Table),
    /// A change inside of a table that is there. [`parse`](super::parse) does not read these: they are orders to the kernel, no state that anybody keeps.
    Change(TableId, Change),
}

/// One change inside of a table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// `flush chain`: its rules go.
    FlushChain(Identifier),
    /// `delete chain`; nothing may lead there any more.
    DeleteChain(Identifier),
    /// `add element`: a set or map with what comes into it.
    AddElements(Set),
    /// `delete element`: a set or map with what goes out of it.
    DeleteElements(Set),
    /// `delete set` or `delete map`.
    DeleteSet(Set),
    /// `delete counter`; nothing may count there any more.
    DeleteCounter(Identifier),
}

impl Script {
    /// The transaction that puts these tables in the place of whatever they held before, atomically. No other table is named, so none is touched (F12, F19).
    pub fn replacing(tables: Vec<Table>) -> Self {
        let mut commands = Vec::with_capacity(tables.len() * 3);
        for table in tables {
            commands.extend([Command::Declare(table.id.clone()), Command::Delete(table.id.clone()), Command::Define(table)]);
        }
        Self { commands }
    }

    /// The tables that it defines.
    pub fn tables(&self) -> impl Iterator<Item = &Table> {
        self.commands.iter().filter_map(|command| match command {
            Command::Define(table) => Some(table),
            Command::Declare(_) | Command::Delete(_) | Command::Change(..) => None,
        })
    }
}

/// The longest identifier: NFT_NAME_MAXLEN of the kernel less the closing zero.
const IDENTIFIER_MAX: usize = 255;

/// The name of a table, chain, set or counter: a letter, `_` or `.`, then those, digits, `-` and `/`. It needs no quotes and cannot end a statement (F2).
///
/// Names that are keywords of some version are legal here; whoever builds a ruleset composes names that no keyword has (F19).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Identifier(Arc<str>);

/// Text that is not an identifier.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not a name that nftables takes: a letter, then letters, digits, `.`, `_` or `-`, {IDENTIFIER_MAX} at most")]
pub struct IdentifierError {
    /// What was written.
    pub text: String,
}

impl Identifier {
    /// Checks the text.
    pub fn new(text: impl AsRef<str> + Into<Arc<str>>) -> Result<Self, IdentifierError> {
        let bytes = text.as_ref().as_bytes();
        let first = bytes.first().is_some_and(|b| b.is_ascii_alphabetic() || matches!(b, b'_' | b'.'));
        let legal = bytes.iter().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.' | b'-' | b'/'));
        // a lone dot is the operator that joins a concatenation
        if first && legal && bytes.len() <= IDENTIFIER_MAX && bytes != b"." {
            Ok(Self(text.into()))
        } else {
            Err(IdentifierError { text: text.as_ref().to_owned() })
        }
    }

    /// A name made by us of legal parts. Should one not be legal, or the whole too long, `_` takes the bad place and the end is cut: it stays harmless.
    pub(crate) fn composed(text: &str) -> Self {
        Self::new(text).unwrap_or_else(|_| {
            let legal = |c: char| if c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-' | '/') { c } else { '_' };
            let body: String = text.chars().map(legal).take(IDENTIFIER_MAX - 1).collect();
            Self(format!("_{body}").into())
        })
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Identifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl Borrow<str> for Identifier {
    fn borrow(&self) -> &str {
        &self.0
    }
}

/// The family of a table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum TableFamily {
    /// IPv4
    Ip,
    /// IPv6
    Ip6,
    /// Both
    Inet,
    /// Frames of one device, before everything else
    Netdev,
}

/// A table's family and name.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TableId {
    /// Its family.
    pub family: TableFamily,
    /// Its name.
    pub name: Identifier,
}

/// A table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Table {
    /// Family and name.
    pub id: TableId,
    /// Named counters.
    pub counters: Vec<Counter>,
    /// Named sets and verdict maps.
    pub sets: Vec<Set>,
    /// Chains; one that is jumped to may stand after the one that jumps.
    pub chains: Vec<Chain>,
}

/// A named counter. What it has counted is state, not configuration, and is not kept.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Counter {
    /// Its name.
    pub name: Identifier,
}

/// A named set, verdict map or map of counters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Set {
    /// Its name.
    pub name: Identifier,
    /// The types of its keys; several for a concatenation.
    pub key: Vec<DataType>,
    /// What it can do.
    pub flags: SetFlags,
    /// How many elements it takes; what the kernel takes by itself where this is `None`.
    pub size: Option<u32>,
    /// How long an element lives that says nothing else, in seconds.
    pub timeout: Option<u64>,
    /// What is in it, and whether it is a set or a verdict map.
    pub elements: Elements,
}

/// What a set can do. Each is an independent switch of the kernel's.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct SetFlags {
    /// Elements may be ranges.
    pub interval: bool,
    /// Elements may have an end.
    pub timeout: bool,
    /// Rules may add elements.
    pub dynamic: bool,
}

/// The elements of a set or map, sorted and without duplicates.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Elements {
    /// A set.
    Values(Vec<Key>),
    /// A verdict map.
    Verdicts(Vec<(Key, Verdict)>),
    /// A map of named counters.
    Counters(Vec<(Key, Identifier)>),
}

impl Elements {
    /// A set of these keys.
    pub fn values(mut keys: Vec<Key>) -> Self {
        keys.sort_unstable();
        keys.dedup();
        Self::Values(keys)
    }

    /// A verdict map of these.
    pub fn verdicts(mut entries: Vec<(Key, Verdict)>) -> Self {
        entries.sort_unstable();
        entries.dedup();
        Self::Verdicts(entries)
    }

    /// A map of these named counters.
    pub fn counters(mut entries: Vec<(Key, Identifier)>) -> Self {
        entries.sort_unstable();
        entries.dedup();
        Self::Counters(entries)
    }

    /// One of the keys, by its place.
    pub fn key(&self, at: usize) -> Option<&Key> {
        match self {
            Self::Values(keys) => keys.get(at),
            Self::Verdicts(entries) => entries.get(at).map(|(key, _)| key),
            Self::Counters(entries) => entries.get(at).map(|(key, _)| key),
        }
    }

    /// All keys in order.
    pub fn keys(&self) -> impl Iterator<Item = &Key> {
        (0..self.len()).filter_map(|at| self.key(at))
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        match self {
            Self::Values(keys) => keys.len(),
            Self::Verdicts(entries) => entries.len(),
            Self::Counters(entries) => entries.len(),
        }
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// A chain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Chain {
    /// Its name.
    pub name: Identifier,
    /// Where packets enter it; `None` for one that is only jumped to.
    pub base: Option<BaseChain>,
    /// Its rules.
    pub rules: Vec<Rule>,
}

/// Where a base chain hangs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BaseChain {
    /// What it may do.
    pub kind: ChainKind,
    /// When it runs.
    pub hook: Hook,
    /// For which device, in family netdev.
    pub device: Option<IfName>,
    /// Its place among the chains of the same hook; lower runs earlier.
    pub priority: i32,
    /// What happens to a packet that no rule decides.
    pub policy: Policy,
}

/// The places that have names.
pub mod priority {
    /// Before conntrack.
    pub const RAW: i32 = -300;
    /// Where headers are changed.
    pub const MANGLE: i32 = -150;
    /// Where packets are filtered.
    pub const FILTER: i32 = 0;
    /// Where sources are translated.
    pub const SRCNAT: i32 = 100;
}

/// What a base chain may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ChainKind {
    /// `filter`
    Filter,
    /// `nat`: sees the first packet of a flow only.
    Nat,
}

/// When a base chain runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Hook {
    /// `ingress`
    Ingress,
    /// `prerouting`
    Prerouting,
    /// `input`
    Input,
    /// `forward`
    Forward,
    /// `output`
    Output,
    /// `postrouting`
    Postrouting,
}

/// What happens to a packet that no rule decides.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Policy {
    /// It passes.
    Accept,
    /// It is gone.
    Drop,
}
