//! What is rolled out, in which order, and what the store must know of it.

use std::collections::{BTreeMap, BTreeSet};

use leafwall_topology::Name;
use serde::{Deserialize, Serialize};

use super::OnFailure;
use crate::message::At;
use crate::revision::Files;

/// A revision on its way to the devices that it changes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Transaction {
    /// Which.
    pub at: At,
    /// The revision that it was made from.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub parent: Option<At>,
    /// What each device that changes is to be.
    pub devices: BTreeMap<Name, Files>,
    /// Which of them change together, in this order ([`batches`]).
    pub batches: Vec<BTreeSet<Name>>,
    /// What to do where a device refuses, fails or is lost. Held, it is for as long as the controller lives: one that starts abandons it.
    #[serde(default)]
    pub on_failure: OnFailure,
}

impl Transaction {
    /// Why its batches are not its devices, each once.
    pub(super) fn complaint(&self) -> Option<String> {
        let mut left: BTreeSet<&Name> = self.devices.keys().collect();
        for name in self.batches.iter().flatten() {
            if !left.remove(name) {
                return Some(format!("`{name}` is in two batches, or is in one and does not change"));
            }
        }
        left.first().map(|name| format!("`{name}` is in no batch"))
    }
}

/// How a transaction ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Outcome {
    /// It is the head, and every device gets there.
    Committed,
    /// No device stays there.
    Abandoned,
}

/// What a device is to be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Wanted {
    /// The last committed revision that changed it.
    pub at: At,
    /// Its files there.
    pub files: Files,
}

/// What a controller knows after a restart. A transaction is written down before it is told to the machine, its outcome when the machine says so.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Ledger {
    /// The last committed revision.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub head: Option<At>,
    /// What it and those before it want of each device.
    pub wanted: BTreeMap<Name, Wanted>,
    /// What was begun after it.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub undecided: Option<Transaction>,
}

impl Ledger {
    /// Writes down how the begun transaction ends.
    pub fn decide(&mut self, outcome: Outcome) {
        let Some(transaction) = self.undecided.take() else { return };
        if outcome == Outcome::Committed {
            let at = transaction.at;
            self.head = Some(at);
            self.wanted.extend(transaction.devices.into_iter().map(|(name, files)| (name, Wanted { at, files })));
        }
    }
}

/// Who changes together: first one device alone, the canary, then as few batches as there can be while no batch holds more than half of a redundant group
/// (one of a pair of leaves or firewalls, two of four or five spines).
///
/// A canary that does not change is none; then the first device is.
pub fn batches(devices: &BTreeSet<Name>, redundant: &[BTreeSet<Name>], canary: Option<&Name>) -> Vec<BTreeSet<Name>> {
    let Some(canary) = canary.filter(|name| devices.contains(*name)).or_else(|| devices.first()) else { return Vec::new() };
    let mut batches = vec![BTreeSet::from([canary.clone()])];
    for device in devices.iter().filter(|device| *device != canary) {
        let groups: Vec<_> = redundant.iter().filter(|group| group.contains(device)).collect();
        let fits = |batch: &BTreeSet<Name>| groups.iter().all(|group| batch.intersection(group).count() < (group.len() / 2).max(1));
        match batches.iter_mut().skip(1).find(|batch| fits(batch)) {
            Some(batch) => {
                batch.insert(device.clone());
            }
            None => batches.push(BTreeSet::from([device.clone()])),
        }
    }
    batches
}
