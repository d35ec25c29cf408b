//! The chain `cluster`: what a cluster's own policies and DNS answers open, behind everything that is signed.
//!
//! Flow: the policies' rules in their order → for each class of pairs of zones the regions of packets that they decide ([`region`](self)) → layers, each one
//! lookup in a map of counters → [`Part`], the content of the table that only the local agent writes → [`transaction`] from one to the next.
//!
//! Guarantees: the chain is asked only for new flows that no signed rule decided, behind `allowedNetworks` and the check of sources, so that nothing in it can
//! pass what the signed ruleset forbids; the number of lookups does not grow with the number of rules that fit maps; of two parts only what differs is
//! touched, so that counters and other sets stay (F12).
//!
//! Caveats: rules with DNS names, and rules of more than [`REGIONS_MAX`] regions, are lists of nftables rules, looked at one by one. Rules that overlap without one
//! holding the other cost a layer for each that lies on top.

mod build;
mod classes;
mod layers;
mod names;
mod region;
#[cfg(test)]
mod tests;
mod transaction;

use std::collections::BTreeMap;

use leafwall_topology::{Family, Name, names::NFT_TABLE};
use serde::{Deserialize, Serialize};

pub use names::is_ours as is_of_cluster;
pub use transaction::transaction;

use crate::nft::{Chain, Counter, Identifier, Set, Table, TableFamily, TableId};
use crate::order::{RuleId, rules};
use crate::rule::{Fqdn, Peer, Policy};
use crate::ruleset::RulesetError;
use crate::ruleset::names::fqdn_set;
use crate::zone::FirewallRules;

/// Regions of one rule in one family: more are written as a list with sets inside.
pub const REGIONS_MAX: usize = 4096;

/// What comes from the cluster. Its rules decide only where no rule of the signed ruleset matched.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClusterRules {
    /// The accepted policies; their names are unique.
    pub policies: Vec<Policy>,
}

impl ClusterRules {
    /// The DNS names that its rules use, some of them several times.
    pub fn fqdns(&self) -> impl Iterator<Item = &Fqdn> {
        rules(&self.policies).flat_map(|(_, rule)| rule.from.iter().chain(&rule.to)).filter_map(|peer| match peer {
            Peer::Fqdn(fqdn) => Some(fqdn),
            Peer::Cidr { .. } | Peer::Network(_) => None,
        })
    }
}

/// The cluster's part of the table: the chain `cluster` and everything whose name begins with `cluster.`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Part {
    /// Named counters, sorted by name.
    pub counters: Vec<Counter>,
    /// Named sets and maps, sorted by name.
    pub sets: Vec<Set>,
    /// Chains, sorted by name.
    pub chains: Vec<Chain>,
}

impl Part {
    /// Takes the cluster's part out of a table; what stays is the signed part with an empty chain `cluster`, as the signed ruleset declares it.
    pub fn split(table: &mut Table) -> Self {
        fn out<T>(from: &mut Vec<T>, name: impl Fn(&T) -> &Identifier) -> Vec<T> {
            let mut taken: Vec<T> = from.extract_if(.., |object| names::is_ours(name(object))).collect();
            taken.sort_by(|a, b| name(a).cmp(name(b)));
            taken
        }
        let part = Self {
            counters: out(&mut table.counters, |counter| &counter.name),
            sets: out(&mut table.sets, |set| &set.name),
            chains: out(&mut table.chains, |chain| &chain.name),
        };
        if part.chains.iter().any(|chain| chain.name.as_str() == crate::ruleset::CLUSTER) {
            table.chains.push(build::entry(Vec::new()));
        }
        part
    }

    /// Puts the part into a signed table, in the place of the empty chain `cluster`; a part without any chain leaves it there.
    pub fn join(&self, table: &mut Table) {
        table.chains.retain(|chain| self.chains.is_empty() || !names::is_ours(&chain.name));
        table.counters.extend(self.counters.iter().cloned());
        table.sets.extend(self.sets.iter().cloned());
        table.chains.extend(self.chains.iter().cloned());
    }

    /// The part as a table of its own, to compare or to print.
    pub fn to_table(&self) -> Table {
        Table { id: table_id(), counters: self.counters.clone(), sets: self.sets.clone(), chains: self.chains.clone() }
    }
}

fn table_id() -> TableId {
    TableId { family: TableFamily::Inet, name: Identifier::composed(NFT_TABLE) }
}

/// The cluster's part for a firewall. Of the firewall's rules only the networks, `access` and `logAccepted` count here: its policies stand before this part.
pub fn table_part(firewall: &FirewallRules, cluster: &ClusterRules) -> Result<Part, RulesetError> {
    if let Some(twice) = twice(cluster) {
        return Err(RulesetError::DuplicatePolicy(twice.clone()));
    }
    Ok(build::part(firewall, cluster))
}

fn twice(cluster: &ClusterRules) -> Option<&Name> {
    let mut seen = std::collections::BTreeSet::new();
    cluster.policies.iter().map(|policy| &policy.name).find(|name| !seen.insert(*name))
}

/// The counter of each rule: it counts the flows that the rule decided, and outlives every change but the rule's end.
pub fn counters(cluster: &ClusterRules) -> BTreeMap<RuleId, Identifier> {
    rules(&cluster.policies).map(|(id, _)| (id.clone(), names::rule(&id))).collect()
}

/// The sets in which answers for a DNS name go in one family, where rules use the name: the signed ruleset's and the cluster's.
pub fn answer_sets(fqdn: &Fqdn, family: Family) -> [Identifier; 2] {
    ["", names::PREFIX].map(|prefix| fqdn_set(fqdn, family, prefix))
}

/// The set that holds the answers for a DNS name in one family; whoever resolves fills it, with a timeout for each element.
pub fn fqdn_sets(cluster: &ClusterRules) -> Vec<(Fqdn, Family, Identifier)> {
    build::fqdns(cluster).all().map(|(fqdn, family, set)| (fqdn.clone(), family, set)).collect()
}
