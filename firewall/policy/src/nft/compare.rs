//! What differs between the table that was meant and the one that the kernel holds.

use std::collections::BTreeMap;

use super::tree::{Elements, Identifier, Set, Table};

/// One object that is not as it was meant.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, thiserror::Error)]
pub enum Difference {
    /// It was meant and is not there.
    #[error("{0} `{1}` is missing")]
    Missing(ObjectKind, Identifier),
    /// It is there and differs.
    #[error("{0} `{1}` differs")]
    Changed(ObjectKind, Identifier),
    /// It is there and was not meant.
    #[error("{0} `{1}` is foreign")]
    Foreign(ObjectKind, Identifier),
}

impl Difference {
    /// What kind of object, and its name.
    pub const fn object(&self) -> (ObjectKind, &Identifier) {
        match self {
            Self::Missing(kind, name) | Self::Changed(kind, name) | Self::Foreign(kind, name) => (*kind, name),
        }
    }
}

/// What a table consists of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ObjectKind {
    /// A named counter.
    Counter,
    /// A named set or map.
    Set,
    /// A chain with its rules.
    Chain,
}

impl std::fmt::Display for ObjectKind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Counter => "counter",
            Self::Set => "set",
            Self::Chain => "chain",
        })
    }
}

impl Table {
    /// How `observed` (what `nft list table` printed, parsed) differs from this table. Empty means that the kernel holds what was meant.
    ///
    /// The order of objects means nothing; that of rules does. Elements of sets whose elements have an end are state and are not compared.
    pub fn differences(&self, observed: &Self) -> Vec<Difference> {
        let mut found = Vec::new();
        compare(&mut found, ObjectKind::Counter, &self.counters, &observed.counters, |counter| &counter.name, PartialEq::eq);
        compare(&mut found, ObjectKind::Set, &self.sets, &observed.sets, |set| &set.name, same_set);
        compare(&mut found, ObjectKind::Chain, &self.chains, &observed.chains, |chain| &chain.name, PartialEq::eq);
        found
    }
}

fn same_set(meant: &Set, observed: &Set) -> bool {
    let declared = |set: &Set| (set.key.clone(), set.flags, set.timeout, matches!(set.elements, Elements::Values(_)));
    // a size that nobody asked for is the kernel's own
    let size = meant.size.is_none() || meant.size == observed.size;
    size && declared(meant) == declared(observed) && (meant.flags.timeout || meant.elements == observed.elements)
}

fn compare<T>(
    found: &mut Vec<Difference>,
    kind: ObjectKind,
    meant: &[T],
    observed: &[T],
    name: impl Fn(&T) -> &Identifier,
    same: impl Fn(&T, &T) -> bool,
) {
    let mut there: BTreeMap<&Identifier, &T> = observed.iter().map(|object| (name(object), object)).collect();
    for object in meant {
        match there.remove(name(object)) {
            None => found.push(Difference::Missing(kind, name(object).clone())),
            Some(other) if !same(object, other) => found.push(Difference::Changed(kind, name(object).clone())),
            Some(_) => {}
        }
    }
    found.extend(there.into_keys().map(|foreign| Difference::Foreign(kind, foreign.clone())));
}
