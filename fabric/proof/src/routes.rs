//! Sets of routes: which prefixes of which lengths.

use leafwall_policy::sets::{Diagram, Field, PacketSet};
use leafwall_topology::{Family, Prefix};

const ADDRESS: u8 = 0;
const LENGTH: u8 = 1;

/// A set of prefixes of both families. A prefix is in it by its first address and its length.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RouteSet {
    v4: Diagram,
    v6: Diagram,
}

impl RouteSet {
    /// No route.
    pub const fn none() -> Self {
        Self { v4: Diagram::Empty, v6: Diagram::Empty }
    }

    /// Every route.
    pub const fn all() -> Self {
        Self { v4: Diagram::Full, v6: Diagram::Full }
    }

    /// Every route of a family.
    pub const fn family(family: Family) -> Self {
        match family {
            Family::V4 => Self { v4: Diagram::Full, v6: Diagram::Empty },
            Family::V6 => Self { v4: Diagram::Empty, v6: Diagram::Full },
        }
    }

    /// Prefixes inside a prefix with a length from `shortest` to `longest`.
    pub fn within(prefix: Prefix, shortest: u8, longest: u8) -> Self {
        let family = prefix.family();
        let shortest = shortest.max(prefix.length());
        let longest = longest.min(family.host_length());
        if shortest > longest {
            return Self::none();
        }
        let inside = Diagram::interval(ADDRESS, Family::number(prefix.network()), Family::number(prefix.last()), family.last_number());
        let lengths = Diagram::interval(LENGTH, shortest.into(), longest.into(), family.host_length().into());
        let set = inside.and(&lengths);
        match family {
            Family::V4 => Self { v4: set, v6: Diagram::Empty },
            Family::V6 => Self { v4: Diagram::Empty, v6: set },
        }
    }

    /// This prefix alone.
    pub fn exactly(prefix: Prefix) -> Self {
        // a shorter one inside it does not exist, so its own length says all
        Self::within(prefix, prefix.length(), prefix.length())
    }

    /// It and everything inside.
    pub fn inside(prefix: Prefix) -> Self {
        Self::within(prefix, prefix.length(), prefix.family().host_length())
    }

    /// Host routes inside it.
    pub fn hosts(prefix: Prefix) -> Self {
        Self::within(prefix, prefix.family().host_length(), prefix.family().host_length())
    }

    /// What is in both.
    #[must_use]
    pub fn and(&self, other: &Self) -> Self {
        Self { v4: self.v4.and(&other.v4), v6: self.v6.and(&other.v6) }
    }

    /// What is in either.
    #[must_use]
    pub fn or(&self, other: &Self) -> Self {
        Self { v4: self.v4.or(&other.v4), v6: self.v6.or(&other.v6) }
    }

    /// What is in this one alone.
    #[must_use]
    pub fn minus(&self, other: &Self) -> Self {
        Self { v4: self.v4.minus(&other.v4), v6: self.v6.minus(&other.v6) }
    }

    /// What is in any of these.
    pub fn union(sets: impl IntoIterator<Item = Self>) -> Self {
        let (v4, v6): (Vec<_>, Vec<_>) = sets.into_iter().map(|set| (set.v4, set.v6)).unzip();
        Self { v4: Diagram::union(v4), v6: Diagram::union(v6) }
    }

    /// Whether there is none.
    pub const fn is_empty(&self) -> bool {
        self.v4.is_empty() && self.v6.is_empty()
    }

    /// Whether the prefix is in it.
    pub fn contains(&self, prefix: Prefix) -> bool {
        let set = match prefix.family() {
            Family::V4 => &self.v4,
            Family::V6 => &self.v6,
        };
        set.contains(&[Family::number(prefix.network()), prefix.length().into()])
    }

    /// Packets to any address that some route of the set draws.
    pub fn destinations(&self) -> PacketSet {
        // every address inside a prefix is one of its first-address numbers, since sets are made of whole prefixes
        let drawn = |family: Family, set: &Diagram| match set.forget(LENGTH).project(ADDRESS) {
            None => PacketSet::family(family),
            Some(intervals) => PacketSet::union(
                intervals
                    .into_iter()
                    .map(|(first, last)| PacketSet::addresses(Field::Destination, family.address(first), family.address(last))),
            ),
        };
        drawn(Family::V4, &self.v4).or(&drawn(Family::V6, &self.v6))
    }

    /// Some prefix of the set.
    pub fn witness(&self) -> Option<Prefix> {
        let (family, set) = if self.v4.is_empty() { (Family::V6, &self.v6) } else { (Family::V4, &self.v4) };
        let found = set.example(2)?;
        let first = |level: u8| found.get(usize::from(level)).copied().flatten();
        let address = first(ADDRESS).map_or(0, |(first, _)| first);
        let length = first(LENGTH).and_then(|(first, _)| u8::try_from(first).ok()).unwrap_or(0);
        Prefix::containing(family.address(address), length)
    }
}
