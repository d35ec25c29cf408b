//! Lists that filters refer to: prefix lists, AS-path lists, communities.

use std::fmt;

use leafwall_topology::{Family, Prefix};

use super::line::{Block, Parsed};
use super::text::{Action, Text, Word};

/// `ip prefix-list` or `ipv6 prefix-list`; the families are apart (H22).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PrefixList {
    /// Which of the two.
    pub family: Family,
    /// Its name.
    pub name: Word,
    /// Its entries by number. What none of them matches is denied.
    pub entries: Vec<PrefixEntry>,
}

/// One entry of a prefix list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PrefixEntry {
    /// Its number.
    pub seq: u32,
    /// What happens to what it matches.
    pub action: Action,
    /// The prefix inside which it matches.
    pub prefix: Prefix,
    /// The shortest length that it matches; the prefix's own where neither bound is given.
    pub ge: Option<u8>,
    /// The longest one.
    pub le: Option<u8>,
}

impl fmt::Display for PrefixEntry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "seq {} {} {}", self.seq, self.action, self.prefix)?;
        if let Some(ge) = self.ge {
            write!(f, " ge {ge}")?;
        }
        if let Some(le) = self.le {
            write!(f, " le {le}")?;
        }
        Ok(())
    }
}

impl PrefixList {
    /// The statement of one of its entries.
    pub fn head(&self) -> String {
        let family = match self.family {
            Family::V4 => "ip",
            Family::V6 => "ipv6",
        };
        format!("{family} prefix-list {}", self.name)
    }

    /// Reads one entry: the list's family and name, and the entry.
    pub(super) fn parse(block: &Block<'_>) -> Parsed<(Family, Word, PrefixEntry)> {
        let (family, name, seq, action, range) = match block.words.as_slice() {
            ["ip", "prefix-list", name, "seq", seq, action, range @ ..] => (Family::V4, name, seq, action, range),
            ["ipv6", "prefix-list", name, "seq", seq, action, range @ ..] => (Family::V6, name, seq, action, range),
            _ => return Ok(None),
        };
        let (prefix, bounds) = match range {
            ["any"] => (Prefix::any(family), [None, Some(family.host_length())]),
            [prefix] => (block.value(prefix)?, [None, None]),
            [prefix, "ge", ge] => (block.value(prefix)?, [Some(block.value(ge)?), None]),
            [prefix, "le", le] => (block.value(prefix)?, [None, Some(block.value(le)?)]),
            [prefix, "ge", ge, "le", le] => (block.value(prefix)?, [Some(block.value(ge)?), Some(block.value(le)?)]),
            _ => return Ok(None),
        };
        if prefix.family() != family {
            return Err(block.fault(name, format!("`{prefix}` is of the other family")));
        }
        let entry = PrefixEntry { seq: block.value(seq)?, action: block.value(action)?, prefix, ge: bounds[0], le: bounds[1] };
        Ok(Some((family, block.value(name)?, entry)))
    }
}

/// A list of bgpd's that matches attributes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AttributeList {
    /// What it matches, and how.
    pub kind: AttributeKind,
    /// Its name.
    pub name: Word,
    /// Its entries by number.
    pub entries: Vec<AttributeEntry>,
}

/// What a list matches.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum AttributeKind {
    /// A regular expression over the AS path.
    AsPath,
    /// Communities that must all be there.
    Community,
    /// A regular expression over the communities as text.
    CommunityExpanded,
    /// Extended communities that must all be there; others may be there too (H35).
    ExtendedCommunity,
    /// A regular expression over *all* the extended communities as one text: the only form that sees what is smuggled in beside (H35).
    ExtendedCommunityExpanded,
}

impl AttributeKind {
    /// All of them in the order in which bgpd prints them.
    pub const ALL: [Self; 5] =
        [Self::AsPath, Self::Community, Self::CommunityExpanded, Self::ExtendedCommunity, Self::ExtendedCommunityExpanded];

    /// Which attribute it matches, whatever the form; in the order in which bgpd prints them.
    pub const fn attribute(self) -> u8 {
        match self {
            Self::AsPath => 0,
            Self::Community | Self::CommunityExpanded => 1,
            Self::ExtendedCommunity | Self::ExtendedCommunityExpanded => 2,
        }
    }

    /// What every statement of such a list begins with, without its name.
    pub fn head(self) -> String {
        self.words().join(" ")
    }

    const fn words(self) -> &'static [&'static str] {
        match self {
            Self::AsPath => &["bgp", "as-path", "access-list"],
            Self::Community => &["bgp", "community-list", "standard"],
            Self::CommunityExpanded => &["bgp", "community-list", "expanded"],
            Self::ExtendedCommunity => &["bgp", "extcommunity-list", "standard"],
            Self::ExtendedCommunityExpanded => &["bgp", "extcommunity-list", "expanded"],
        }
    }
}

/// One entry of such a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AttributeEntry {
    /// Its number.
    pub seq: u32,
    /// What happens to what it matches.
    pub action: Action,
    /// The pattern, or the values.
    pub pattern: Text,
}

impl fmt::Display for AttributeEntry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "seq {} {} {}", self.seq, self.action, self.pattern)
    }
}

impl AttributeList {
    /// What every statement of it begins with.
    pub fn head(&self) -> String {
        format!("{} {}", self.kind.head(), self.name)
    }

    /// Reads one entry.
    pub(super) fn parse(block: &Block<'_>) -> Parsed<(AttributeKind, Word, AttributeEntry)> {
        for kind in AttributeKind::ALL {
            if let Some([name, "seq", seq, action, pattern, ..]) = block.words.strip_prefix(kind.words()) {
                let Some(pattern) = block.rest(pattern) else { return Ok(None) };
                let entry = AttributeEntry { seq: block.value(seq)?, action: block.value(action)?, pattern };
                return Ok(Some((kind, block.value(name)?, entry)));
            }
        }
        Ok(None)
    }
}
