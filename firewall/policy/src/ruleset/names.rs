//! The names of everything in our table.
//!
//! Each has a dot or is one of the kernel's own hooks, so that none can be a keyword of any version of `nft` (F19); and since object names hold no dots, no
//! two objects can meet in one name.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use leafwall_topology::{Family, IfName, Name};
use sha2::{Digest, Sha256};

use crate::nft::{Elements, Identifier, Operand, Statement, Table, Value, Verdict};
use crate::order::RuleId;
use crate::rule::{Fqdn, Peer};

/// The chain that only the agent fills, from Kubernetes objects and DNS answers.
pub const CLUSTER: &str = "cluster";

/// DNS names up to this length stand in their set's name as they are.
const FQDN_IN_NAME: usize = 240;
/// Longer ones are told apart by so many bytes of their digest.
const DIGEST_IN_NAME: usize = 16;

pub(crate) const fn digit(family: Family) -> char {
    match family {
        Family::V4 => '4',
        Family::V6 => '6',
    }
}

pub(crate) fn fixed(text: &'static str) -> Identifier {
    Identifier::composed(text)
}

/// The chain and the counter of a rule.
pub(crate) fn rule(id: &RuleId) -> Identifier {
    Identifier::composed(&format!("rule.{}.{}.{}", id.policy, id.direction, id.index))
}

/// The set of a rule's blocks on one side.
pub(crate) fn rule_set(id: &RuleId, side: &str, family: Family) -> Identifier {
    Identifier::composed(&format!("{side}{}.{}.{}.{}", digit(family), id.policy, id.direction, id.index))
}

/// Something of a zone.
pub(crate) fn zone(what: &str, network: &Name) -> Identifier {
    Identifier::composed(&format!("{what}.{network}"))
}

/// A set of a zone's addresses.
pub(crate) fn zone_set(what: &str, network: &Name, family: Family) -> Identifier {
    Identifier::composed(&format!("{what}{}.{network}", digit(family)))
}

/// The chain for flows from one zone into another.
pub(crate) fn pair(input: &Name, output: &Name) -> Identifier {
    Identifier::composed(&format!("pair.{input}.{output}"))
}

/// The sets of DNS names: where the answers go.
pub(crate) struct FqdnSets {
    names: BTreeSet<Fqdn>,
    prefix: &'static str,
}

impl FqdnSets {
    /// Those that peers name; `prefix` stands in front of the sets' names.
    pub(crate) fn of_peers<'p>(peers: impl IntoIterator<Item = &'p Peer>, prefix: &'static str) -> Self {
        let fqdns = peers.into_iter().filter_map(|peer| match peer {
            Peer::Fqdn(fqdn) => Some(fqdn.clone()),
            Peer::Cidr { .. } | Peer::Network(_) => None,
        });
        Self { names: fqdns.collect(), prefix }
    }

    pub(crate) fn all(&self) -> impl Iterator<Item = (&Fqdn, Family, Identifier)> {
        self.names.iter().flat_map(|fqdn| Family::BOTH.map(|family| (fqdn, family, self.name(fqdn, family))))
    }

    pub(crate) fn name(&self, fqdn: &Fqdn, family: Family) -> Identifier {
        fqdn_set(fqdn, family, self.prefix)
    }
}

/// The set of a DNS name in one family. It depends on nothing but the name: a set keeps its elements for as long as it is called the same.
pub(crate) fn fqdn_set(fqdn: &Fqdn, family: Family, prefix: &str) -> Identifier {
    let name = fqdn.as_str();
    // no label starts with `-`, and none has a `/`: neither can be another name's
    let rest = if name.len() > FQDN_IN_NAME {
        let digest = Sha256::digest(name);
        digest.iter().take(DIGEST_IN_NAME).fold("-long.".to_owned(), |mut hex, byte| {
            let _ = write!(hex, "{byte:02x}");
            hex
        })
    } else {
        format!(".{}", name.replace('*', "/"))
    };
    Identifier::composed(&format!("{prefix}fqdn{}{rest}", digit(family)))
}

/// The zones that a table tells apart, by their interfaces: where their packets come in, and where packets go into them. Zones into which nothing goes are left
/// out.
pub fn zones(table: &Table) -> Vec<(IfName, IfName)> {
    let (mut inputs, mut outputs) = (BTreeMap::new(), BTreeMap::new());
    let rules = table.chains.iter().flat_map(|chain| &chain.rules).flat_map(|rule| &rule.statements);
    for statement in rules {
        let Statement::VerdictMap { map: Operand::Anonymous(Elements::Verdicts(entries)), .. } = statement else { continue };
        for (key, verdict) in entries {
            let Verdict::Goto(chain) = verdict else { continue };
            match key.as_slice() {
                [Value::Interface(input)] => {
                    let name = chain.as_str().strip_prefix("source.");
                    name.and_then(|name| inputs.insert(name, input));
                }
                [Value::Interface(_), Value::Interface(output)] => {
                    let names = chain.as_str().strip_prefix("pair.").and_then(|names| names.split_once('.'));
                    names.and_then(|(_, name)| outputs.insert(name, output));
                }
                _ => {}
            }
        }
    }
    outputs.into_iter().filter_map(|(name, output)| Some(((*inputs.get(name)?).clone(), output.clone()))).collect()
}
