//! What can go wrong with a store.

use leafwall_rollout::digest::Digest;
use leafwall_rollout::message::At;
use leafwall_rollout::revision::Generation;
use thiserror::Error;

use super::{Decision, Epoch};

/// The result of an operation on a store.
pub type Result<T, E = StoreError> = std::result::Result<T, E>;

/// The cause of an error, of whatever backend.
pub type Cause = Box<dyn std::error::Error + Send + Sync>;

/// An operation on a store that failed.
#[derive(Debug, Error)]
pub enum StoreError {
    /// Somebody else leads now. Nothing was written, and nothing will be under this epoch.
    #[error("epoch {epoch} does not lead any more: the store has seen epoch {seen}")]
    Fenced {
        /// The writer's.
        epoch: Epoch,
        /// The newest.
        seen: Epoch,
    },
    /// The lease was lost before the store was led under it. Nothing was written.
    #[error("another controller may lead: the lease is not held any more")]
    NotHeld,
    /// The backend failed. What was to be written may or may not be there.
    #[error("the store can't {action}")]
    Backend {
        /// What was tried: a verb and its object.
        action: &'static str,
        /// Why not.
        #[source]
        source: Cause,
    },
    /// What is there is not what was written.
    #[error("`{key}` in the store is damaged: {complaint}")]
    Damaged {
        /// Where.
        key: String,
        /// In what way.
        complaint: String,
    },
    /// A chunk that is not there.
    #[error("the store has no chunk `{0}`")]
    NoChunk(Digest),
    /// More bytes than a chunk may have, parts included.
    #[error("{bytes} bytes are too many for the store: {limit} at most")]
    TooLarge {
        /// How many.
        bytes: usize,
        /// The most.
        limit: usize,
    },
    /// A text that is no revision.
    #[error("the revision can't be read")]
    Unreadable(#[source] serde_json::Error),
    /// A revision whose number is not above all others. Numbers are never used twice.
    #[error("revision {generation} is not new: there is {newest} already")]
    NotNew {
        /// Its number.
        generation: Generation,
        /// The greatest that there is.
        newest: Generation,
    },
    /// A revision that is not there.
    #[error("the store has no revision {0}")]
    NoRevision(Generation),
    /// The head is not where the caller saw it.
    #[error("the head moved: expected {}, found {}", place(expected.as_ref()), place(found.as_ref()))]
    HeadMoved {
        /// Where the caller saw it.
        expected: Option<At>,
        /// Where it is.
        found: Option<At>,
    },
    /// A revision that does not follow on the head.
    #[error("revision {generation} was not made from the head, {}", place(head.as_ref()))]
    NotOnHead {
        /// Its number.
        generation: Generation,
        /// Where the head is.
        head: Option<At>,
    },
    /// A decision that contradicts the one taken.
    #[error("revision {generation} can't be {to}: it is {}", .from.as_ref().map_or("not started", Decision::word))]
    Decided {
        /// Its number.
        generation: Generation,
        /// What was decided.
        from: Option<Decision>,
        /// What was to be.
        to: &'static str,
    },
    /// The end of the audit log is not where the caller saw it.
    #[error("the audit log grew meanwhile")]
    AuditMoved,
}

fn place(at: Option<&At>) -> String {
    at.map_or_else(|| "none".to_owned(), |at| format!("revision {} ({})", at.generation, at.revision.short()))
}
