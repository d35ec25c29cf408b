//! The names of everything of the cluster's part: [`CLUSTER`] or what begins with it and a dot. Nothing of the signed part does.

use leafwall_topology::Family;

use super::classes::Class;
use super::layers::{Fate, Kind};
use crate::nft::Identifier;
use crate::order::RuleId;
use crate::ruleset::CLUSTER;
use crate::ruleset::names::digit;

/// What stands in front of names.
pub(super) const PREFIX: &str = "cluster.";

/// Whether an object is of the cluster's part.
pub fn is_ours(name: &Identifier) -> bool {
    name.as_str() == CLUSTER || name.as_str().starts_with(PREFIX)
}

/// The counter of a rule, and its chain if it has one.
pub(super) fn rule(id: &RuleId) -> Identifier {
    Identifier::composed(&format!("{PREFIX}rule.{}.{}.{}", id.policy, id.direction, id.index))
}

/// The chain of a class of pairs of zones.
pub(super) fn class(class: &Class) -> Identifier {
    Identifier::composed(&format!("{PREFIX}{}", class.word()))
}

/// The map of a layer: the `number`th of its kind there.
pub(super) fn map(class: &Class, family: Family, kind: Kind, number: usize) -> Identifier {
    let fate = match kind.fate {
        Fate::Allow => "allow",
        Fate::Deny => "deny",
        Fate::Chain => "chain",
    };
    Identifier::composed(&format!("{PREFIX}{}.{}.{}.{fate}.{number}", class.word(), digit(family), kind.shape.word()))
}
