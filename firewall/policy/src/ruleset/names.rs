//! The names of everything in our table.
//!
//! Each has a dot or is one of the kernel's own hooks, so that none can be a keyword of any version of `nft` (F19); and since object names hold no dots, no
//! two objects can meet in one name.

use std::collections::BTreeMap;

use leafwall_topology::{Family, Name};

use crate::nft::Identifier;
use crate::order::RuleId;
use crate::rule::Fqdn;

/// The chain that only the agent fills, from Kubernetes objects and DNS answers.
pub const CLUSTER: &str = "cluster";

/// DNS names up to this length stand in their set's name as they are.
const FQDN_IN_NAME: usize = 240;

pub(super) const fn digit(family: Family) -> char {
    match family {
        Family::V4 => '4',
        Family::V6 => '6',
    }
}

pub(super) fn fixed(text: &'static str) -> Identifier {
    Identifier::composed(text)
}

/// The chain and the counter of a rule.
pub(super) fn rule(id: &RuleId) -> Identifier {
    Identifier::composed(&format!("rule.{}.{}.{}", id.policy, id.direction, id.index))
}

/// The set of a rule's blocks on one side.
pub(super) fn rule_set(id: &RuleId, side: &str, family: Family) -> Identifier {
    Identifier::composed(&format!("{side}{}.{}.{}.{}", digit(family), id.policy, id.direction, id.index))
}

/// Something of a zone.
pub(super) fn zone(what: &str, network: &Name) -> Identifier {
    Identifier::composed(&format!("{what}.{network}"))
}

/// A set of a zone's addresses.
pub(super) fn zone_set(what: &str, network: &Name, family: Family) -> Identifier {
    Identifier::composed(&format!("{what}{}.{network}", digit(family)))
}

/// The chain for flows from one zone into another.
pub(super) fn pair(input: &Name, output: &Name) -> Identifier {
    Identifier::composed(&format!("pair.{input}.{output}"))
}

/// The sets of DNS names: where the answers go.
pub(super) struct FqdnSets {
    names: BTreeMap<Fqdn, String>,
}

impl FqdnSets {
    pub(super) fn new(fqdns: impl IntoIterator<Item = Fqdn>) -> Self {
        let mut names: BTreeMap<Fqdn, String> = fqdns.into_iter().map(|fqdn| (fqdn, String::new())).collect();
        let mut long = 0_usize;
        for (fqdn, name) in &mut names {
            *name = if fqdn.as_str().len() > FQDN_IN_NAME {
                long += 1;
                format!("-long.{long}")
            } else {
                // no label starts with `-`, so this cannot be another name
                format!(".{}", fqdn.as_str().replace('*', "-"))
            };
        }
        Self { names }
    }

    pub(super) fn all(&self) -> impl Iterator<Item = (&Fqdn, Family, Identifier)> {
        self.names.keys().flat_map(|fqdn| Family::BOTH.map(|family| (fqdn, family, self.name(fqdn, family))))
    }

    pub(super) fn name(&self, fqdn: &Fqdn, family: Family) -> Identifier {
        let rest = self.names.get(fqdn).map_or("", String::as_str);
        Identifier::composed(&format!("fqdn{}{rest}", digit(family)))
    }
}
