//! The chain of revisions: reading it with all that is in doubt verified, comparing, reverting, restoring.

use std::collections::BTreeMap;

use ed25519_dalek::VerifyingKey;
use leafwall_intent::ALLOCATION_FILE;
use leafwall_rollout::digest::Digest;
use leafwall_rollout::message::At;
use leafwall_rollout::revision::{Files, Generation, Revision};
use leafwall_rollout::signed::{NotBelieved, Signed};
use leafwall_topology::Name;
use thiserror::Error;

use crate::store::{Store, StoreError};

/// Intents by their path in the fabric's directory.
pub type Intents = BTreeMap<String, Vec<u8>>;

/// A revision whose signature and place were verified.
#[derive(Debug, Clone)]
pub struct Past {
    /// Its number and digest.
    pub at: At,
    /// What it says.
    pub revision: Revision,
    /// Word for word.
    pub signed: Signed<Revision>,
}

/// A file that can't be reverted, since it changed again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Conflict {
    /// Which.
    pub path: String,
    /// The first revision after the reverted one that changed it.
    pub changed_in: Generation,
}

/// Why history can't be read, or not be gone back in.
#[derive(Debug, Error)]
pub enum HistoryError {
    /// The store failed.
    #[error("revision {generation} can't be read from the store")]
    Store {
        /// Which.
        generation: Generation,
        /// Why not.
        #[source]
        source: StoreError,
    },
    /// The store failed before it was known where.
    #[error("the head can't be read from the store")]
    Head(#[source] StoreError),
    /// A revision that none of our keys signed.
    #[error("revision {generation} is not believed")]
    NotBelieved {
        /// Which.
        generation: Generation,
        /// Why not.
        #[source]
        source: NotBelieved,
    },
    /// A revision that is another one than the one after it, or the head, names.
    #[error("the chain breaks at revision {generation}: {} is expected there, and {} is there", expected.short(), found.short())]
    Broken {
        /// Where.
        generation: Generation,
        /// What should be there.
        expected: Digest,
        /// What is there.
        found: Digest,
    },
    /// A revision whose parent is nowhere, or has no smaller number.
    #[error("the chain breaks at revision {generation}: its parent {} is not there", parent.short())]
    NoParent {
        /// Which.
        generation: Generation,
        /// The parent that it names.
        parent: Digest,
    },
    /// A signed revision with another number than the one that it is kept under.
    #[error("the chain breaks at revision {generation}: what is kept there says that it is revision {says}")]
    Renumbered {
        /// Where.
        generation: Generation,
        /// What it says.
        says: Generation,
    },
    /// A revision that never stood.
    #[error("revision {0} is not in the history of the head")]
    NotInHistory(Generation),
    /// Files that changed again since.
    #[error("revision {generation} can't be reverted, since files changed again: {}", list(conflicts))]
    Conflicts {
        /// Which.
        generation: Generation,
        /// All of them.
        conflicts: Vec<Conflict>,
    },
}

fn list(conflicts: &[Conflict]) -> String {
    conflicts.iter().map(|conflict| format!("`{}` in {}", conflict.path, conflict.changed_in)).collect::<Vec<_>>().join(", ")
}

/// Names that differ between two revisions.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Changes {
    /// Only in the later one.
    pub added: Vec<String>,
    /// Only in the earlier one.
    pub removed: Vec<String>,
    /// In both, with other bytes.
    pub changed: Vec<String>,
}

impl Changes {
    /// From `before` to `after`.
    pub fn between(before: &Files, after: &Files) -> Self {
        let missing = |from: &Files, other: &Files| from.keys().filter(|path| !other.contains_key(*path)).cloned().collect();
        let changed = before.iter().filter(|(path, digest)| after.get(*path).is_some_and(|other| other != *digest));
        Self { added: missing(after, before), removed: missing(before, after), changed: changed.map(|(path, _)| path.clone()).collect() }
    }

    /// Whether nothing differs.
    pub const fn is_empty(&self) -> bool {
        self.added.is_empty() && self.removed.is_empty() && self.changed.is_empty()
    }
}

/// What differs between two revisions.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RevisionDiff {
    /// Intents, by path.
    pub intents: Changes,
    /// Whether the table of numbers differs.
    pub allocation: bool,
    /// Devices whose artefacts differ, by file; a device that one of the two does not have has all its files there.
    pub devices: BTreeMap<Name, Changes>,
}

/// What differs from one revision to another.
pub fn diff(before: &Revision, after: &Revision) -> RevisionDiff {
    let none = Files::new();
    let names = before.devices.keys().chain(after.devices.keys());
    let devices = names.map(|name| {
        let files = |revision: &'_ Revision| revision.devices.get(name).unwrap_or(&none).clone();
        (name.clone(), Changes::between(&files(before), &files(after)))
    });
    RevisionDiff {
        intents: Changes::between(&before.intents, &after.intents),
        allocation: before.allocation != after.allocation,
        devices: devices.filter(|(_, changes)| !changes.is_empty()).collect(),
    }
}

/// The history in a store, believed as far as these keys signed it.
#[derive(Debug, Clone)]
pub struct History {
    store: Store,
    keys: Vec<VerifyingKey>,
}

impl History {
    /// Of this store.
    pub fn new(store: Store, keys: Vec<VerifyingKey>) -> Self {
        Self { store, keys }
    }

    /// A revision, whether it ever stood or not.
    ///
    /// # Errors
    /// Where it is not there or not believed.
    pub async fn revision(&self, generation: Generation) -> Result<Past, HistoryError> {
        let signed = self.store.revision(generation).await.map_err(|source| HistoryError::Store { generation, source })?;
        let revision = signed.verify(&self.keys).map_err(|source| HistoryError::NotBelieved { generation, source })?;
        if revision.generation != generation {
            return Err(HistoryError::Renumbered { generation, says: revision.generation });
        }
        Ok(Past { at: At { generation, revision: signed.digest() }, revision, signed })
    }

    /// The revision that stands.
    ///
    /// # Errors
    /// Where it can't be read, is not believed, or is not what the head names.
    pub async fn head(&self) -> Result<Option<Past>, HistoryError> {
        match self.store.head().await.map_err(HistoryError::Head)? {
            Some(head) => self.expected(head).await.map(Some),
            None => Ok(None),
        }
    }

    /// The revision that this one was made from.
    ///
    /// # Errors
    /// Where it is not there, is not believed, or is not the one that is named.
    pub async fn parent(&self, past: &Past) -> Result<Option<Past>, HistoryError> {
        let Some(parent) = past.revision.parent else { return Ok(None) };
        let child = past.at.generation;
        let generation = self.store.generation_of(&parent).await;
        let generation = generation.map_err(|source| HistoryError::Store { generation: child, source })?;
        // numbers grow, so the walk to the first one ends
        let generation = generation.filter(|generation| *generation < child).ok_or(HistoryError::NoParent { generation: child, parent })?;
        self.expected(At { generation, revision: parent }).await.map(Some)
    }

    async fn expected(&self, at: At) -> Result<Past, HistoryError> {
        let past = self.revision(at.generation).await?;
        if past.at.revision != at.revision {
            return Err(HistoryError::Broken { generation: at.generation, expected: at.revision, found: past.at.revision });
        }
        Ok(past)
    }

    /// The whole chain, from the head to the first.
    ///
    /// # Errors
    /// Where it breaks, with the number of the revision at which it does.
    pub async fn load(&self) -> Result<Vec<Past>, HistoryError> {
        self.back_to(Generation::NONE).await
    }

    /// The chain from the head to this revision or the last one after it.
    async fn back_to(&self, generation: Generation) -> Result<Vec<Past>, HistoryError> {
        let mut chain: Vec<Past> = self.head().await?.into_iter().collect();
        while let Some(last) = chain.last() {
            if last.at.generation <= generation {
                break;
            }
            let Some(parent) = self.parent(last).await? else { break };
            chain.push(parent);
        }
        Ok(chain)
    }

    /// The intents of a revision, as files.
    ///
    /// # Errors
    /// Where one is not there or damaged.
    pub async fn intents(&self, revision: &Revision) -> Result<Intents, HistoryError> {
        self.files(revision.generation, &revision.intents).await
    }

    /// The table of numbers of a revision, as `allocation.yaml`.
    ///
    /// # Errors
    /// Where it is not there or damaged.
    pub async fn allocation(&self, revision: &Revision) -> Result<String, HistoryError> {
        let failed = |source| HistoryError::Store { generation: revision.generation, source };
        let bytes = self.store.chunk(&revision.allocation).await.map_err(failed)?;
        String::from_utf8(bytes)
            .map_err(|error| failed(StoreError::Damaged { key: ALLOCATION_FILE.to_owned(), complaint: error.to_string() }))
    }

    async fn files(&self, generation: Generation, files: &Files) -> Result<Intents, HistoryError> {
        let mut read = Intents::new();
        for (path, digest) in files {
            let bytes = self.store.chunk(digest).await.map_err(|source| HistoryError::Store { generation, source })?;
            read.insert(path.clone(), bytes);
        }
        Ok(read)
    }

    /// The intents as they were in a revision, whether it ever stood or not.
    ///
    /// # Errors
    /// Where it or one of its files is not there, not believed or damaged.
    pub async fn restore(&self, generation: Generation) -> Result<Intents, HistoryError> {
        let past = self.revision(generation).await?;
        self.intents(&past.revision).await
    }

    /// The head's intents without what a revision changed, file by file. A file that changed again since is a conflict: nothing is guessed.
    ///
    /// # Errors
    /// Where the revision never stood, files changed again, or history can't be read.
    pub async fn revert(&self, generation: Generation) -> Result<Intents, HistoryError> {
        let chain = self.back_to(generation).await?;
        let (Some(head), Some(reverted)) = (chain.first(), chain.last().filter(|past| past.at.generation == generation)) else {
            return Err(HistoryError::NotInHistory(generation));
        };
        let before = self.parent(reverted).await?.map(|past| past.revision.intents).unwrap_or_default();
        let changed = &reverted.revision.intents;
        let mut merged = head.revision.intents.clone();
        let mut conflicts = Vec::new();
        for path in before.keys().chain(changed.keys().filter(|path| !before.contains_key(*path))) {
            let (old, new, now) = (before.get(path), changed.get(path), head.revision.intents.get(path));
            // not touched by it, or already as before
            if old == new || now == old {
                continue;
            }
            if now != new {
                let later = chain.iter().rev().find(|past| past.revision.intents.get(path) != new);
                conflicts.push(Conflict { path: path.clone(), changed_in: later.unwrap_or(head).at.generation });
                continue;
            }
            match old {
                Some(old) => drop(merged.insert(path.clone(), *old)),
                None => drop(merged.remove(path)),
            }
        }
        if conflicts.is_empty() { self.files(generation, &merged).await } else { Err(HistoryError::Conflicts { generation, conflicts }) }
    }
}
