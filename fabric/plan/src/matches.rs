//! Sets of prefixes as lists match them.

use std::collections::BTreeMap;

use leafwall_intent::model::Network;
use leafwall_topology::Prefix;

use crate::device::{Lengths, PrefixMatch};

/// A set of matches, each prefix once with the widest lengths that were asked for; sorted.
#[derive(Debug, Clone, Default)]
pub(crate) struct Matches(BTreeMap<Prefix, Lengths>);

impl Matches {
    /// Adds a match.
    pub fn add(&mut self, prefix: Prefix, lengths: Lengths) {
        // for a host all three are the same
        let lengths = if prefix.is_host() { Lengths::Exact } else { lengths };
        let held = self.0.entry(prefix).or_insert(lengths);
        *held = match (*held, lengths) {
            (a, b) if a == b => a,
            // exact and hosts together are no less than everything between, for one prefix
            _ => Lengths::UpToHosts,
        };
    }

    /// Adds the same match for each prefix.
    pub fn extend<'a>(&mut self, prefixes: impl IntoIterator<Item = &'a Prefix>, lengths: Lengths) {
        prefixes.into_iter().for_each(|prefix| self.add(*prefix, lengths));
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// All of them, sorted.
    pub fn into_vec(self) -> Vec<PrefixMatch> {
        self.0.into_iter().map(|(prefix, lengths)| PrefixMatch { prefix, lengths }).collect()
    }
}

/// What a network consists of: prefixes and subnets.
pub(crate) fn own_prefixes(network: &Network) -> impl Iterator<Item = Prefix> {
    network.prefixes.iter().copied().chain(network.subnets.iter().map(|subnet| subnet.prefix))
}
