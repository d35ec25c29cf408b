//! What a controller knows when it starts, from the store alone.

use std::collections::{BTreeMap, BTreeSet};

use leafwall_rollout::fabric::{Ledger, OnFailure, Transaction, Wanted};
use leafwall_rollout::revision::Generation;
use leafwall_topology::Name;

use super::ServerError;
use crate::history::{History, Past};
use crate::store::{Decision, Store};

/// The head, what it wants of each device since when, and what was begun and not decided.
pub async fn ledger(store: &Store, history: &History) -> Result<Ledger, ServerError> {
    // newest first
    let chain = history.load().await?;
    let Some(head) = chain.first() else {
        return Ok(Ledger { undecided: undecided(store, history, None).await?, ..Ledger::default() });
    };
    let mut wanted = BTreeMap::new();
    for (name, files) in &head.revision.devices {
        // the oldest of those that say the same without a break
        let same = |past: &&Past| past.revision.devices.get(name) == Some(files);
        let since = chain.iter().take_while(same).last().unwrap_or(head);
        wanted.insert(name.clone(), Wanted { at: since.at, files: files.clone() });
    }
    Ok(Ledger { head: Some(head.at), wanted, undecided: undecided(store, history, Some(head)).await? })
}

async fn undecided(store: &Store, history: &History, head: Option<&Past>) -> Result<Option<Transaction>, ServerError> {
    let after = head.map_or(Generation::NONE, |head| head.at.generation);
    let decisions = store.decisions_after(after).await?;
    let Some((generation, _)) = decisions.into_iter().rfind(|(_, decision)| *decision == Decision::Started) else { return Ok(None) };
    let past = history.revision(generation).await?;
    let none = BTreeMap::new();
    let before = head.map_or(&none, |head| &head.revision.devices);
    let changed = past.revision.devices.iter().filter(|(name, files)| before.get(*name) != Some(files));
    let devices: BTreeMap<_, _> = changed.map(|(name, files)| (name.clone(), files.clone())).collect();
    // it will be abandoned: in which order it went is of no interest any more
    let batches: Vec<BTreeSet<Name>> = devices.keys().map(|name| BTreeSet::from([name.clone()])).collect();
    Ok(Some(Transaction { at: past.at, parent: head.map(|head| head.at), devices, batches, on_failure: OnFailure::RollBack }))
}
