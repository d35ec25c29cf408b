//! Who did what, when, why, and what came of it.
//!
//! # Guarantees
//! Each entry is signed and holds the digest of the one before; the end of the log is signed apart from it. So an entry that is changed, missing, at another's
//! place or cut off is found, and named ([`verify`]).
//!
//! # Caveats
//! Whoever can write the store can put back an older whole state of it, signed end included, and whoever has the key can write another log. Against the first, ends
//! go to the structured log as well and can be held against it ([`verify`]'s `known`).

mod verify;

use std::fmt;

use ed25519_dalek::SigningKey;
use leafwall_metrics::{Counters, Registry};
use leafwall_rollout::digest::Digest;
use leafwall_rollout::revision::Generation;
use leafwall_rollout::signed::{NotBelieved, Signed, Statement};
use leafwall_topology::Name;
use serde::{Deserialize, Serialize};
use thiserror::Error;
use tokio::sync::Mutex;

pub use verify::{Finding, Verified, verify, verify_entries};

use crate::store::{Epoch, Store, StoreError};

/// The most characters of each text of an entry: those come from clients, and a refused one must not fill the disk.
pub const TEXT_MAX: usize = 1000;

/// Times that an entry is tried where another process writes the log at the same time.
const TRIES: usize = 16;

/// What somebody was when they did it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum Role {
    /// May do everything.
    Operator,
    /// May touch its own objects.
    Tenant {
        /// Which.
        tenant: Name,
    },
    /// May look.
    Viewer,
    /// A device's agent.
    Agent {
        /// Whose.
        device: Name,
    },
    /// The controller, by itself.
    Controller,
    /// Somebody with no role here.
    Nobody,
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Operator => f.write_str("operator"),
            Self::Tenant { tenant } => write!(f, "tenant {tenant}"),
            Self::Viewer => f.write_str("viewer"),
            Self::Agent { device } => write!(f, "agent {device}"),
            Self::Controller => f.write_str("controller"),
            Self::Nobody => f.write_str("nobody"),
        }
    }
}

/// What came of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum Outcome {
    /// Begun; what comes of it is an entry of its own.
    Begun,
    /// Done.
    Done,
    /// Not allowed, or not valid.
    Refused {
        /// Why.
        reason: String,
    },
    /// Tried.
    Failed {
        /// Why not.
        reason: String,
    },
}

impl Outcome {
    const fn word(&self) -> &'static str {
        match self {
            Self::Begun => "begun",
            Self::Done => "done",
            Self::Refused { .. } => "refused",
            Self::Failed { .. } => "failed",
        }
    }
}

/// What is to be written down.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Act {
    /// When, in milliseconds since 1970 (UTC).
    pub at: u64,
    /// Who: the name in a certificate.
    pub who: String,
    /// As what.
    pub role: Role,
    /// What was done or tried, and to what.
    pub what: String,
    /// Why, in their words.
    pub why: String,
    /// What came of it.
    pub outcome: Outcome,
    /// The revision that it is about.
    pub generation: Option<Generation>,
}

/// An entry of the log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Entry {
    /// From 1, without gaps.
    pub sequence: u64,
    /// The digest of the entry before; none for the first.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub before: Option<Digest>,
    /// When, in milliseconds since 1970 (UTC).
    pub at: u64,
    /// Who: the name in a certificate.
    pub who: String,
    /// As what.
    pub role: Role,
    /// What was done or tried, and to what.
    pub what: String,
    /// Why, in their words.
    pub why: String,
    /// What came of it.
    pub outcome: Outcome,
    /// The revision that it is about.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub generation: Option<Generation>,
}

impl Statement for Entry {
    const KIND: &'static str = "leafwall-audit-entry-1";
}

/// The end of the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Tip {
    /// The last entry's number.
    pub sequence: u64,
    /// Its digest.
    pub digest: Digest,
}

impl Statement for Tip {
    const KIND: &'static str = "leafwall-audit-tip-1";
}

/// An entry that could not be written. What it was to tell must not happen then, or be told in another way.
#[derive(Debug, Error)]
pub enum AuditError {
    /// The store failed.
    #[error("the audit log can't be {0}")]
    Store(&'static str, #[source] StoreError),
    /// The log's end is not ours: `verify` says more.
    #[error("the end of the audit log is not believed")]
    Tip(#[source] NotBelieved),
    /// It could not be signed.
    #[error("the audit entry can't be printed")]
    Print(#[source] serde_json::Error),
}

/// The log, for writing.
#[derive(Debug)]
pub struct Log {
    store: Store,
    key: SigningKey,
    keys: Vec<ed25519_dalek::VerifyingKey>,
    /// One entry at a time: each follows on the one before.
    turn: Mutex<()>,
    entries: Counters,
}

impl Log {
    /// Signs with `key`, and continues what that or one of `others` (of the controllers beside this one) signed.
    pub fn new(store: Store, key: SigningKey, others: &[ed25519_dalek::VerifyingKey]) -> Self {
        let mut keys = others.to_vec();
        keys.push(key.verifying_key());
        Self { store, key, keys, turn: Mutex::new(()), entries: Counters::new("outcome", &["begun", "done", "refused", "failed"]) }
    }

    /// Shows how many entries were written.
    pub fn register(&self, registry: &mut Registry) {
        self.entries.register(registry, "audit_entries", "Entries that were written to the audit log, by the outcome that they tell");
    }

    /// Writes down an act. It is in the log for good when this returns without an error.
    ///
    /// # Errors
    /// Where it can't be written, or the log's end is not believed.
    pub async fn append(&self, epoch: Epoch, act: Act) -> Result<Tip, AuditError> {
        let _turn = self.turn.lock().await;
        let mut tries = 0;
        loop {
            let end = self.store.audit_tip().await.map_err(|error| AuditError::Store("read", error))?;
            let last = end.as_ref().map(|tip| tip.verify(&self.keys)).transpose().map_err(AuditError::Tip)?;
            let entry = entry(last, act.clone());
            let signed = Signed::new(&entry, &self.key).map_err(AuditError::Print)?;
            let tip = Tip { sequence: entry.sequence, digest: signed.digest() };
            let signed_tip = Signed::new(&tip, &self.key).map_err(AuditError::Print)?;
            tries += 1;
            match self.store.append_audit(epoch, end.as_ref(), entry.sequence, &signed, &signed_tip).await {
                Ok(()) => {
                    let Entry { who, what, outcome, .. } = &entry;
                    self.entries.add(outcome.word());
                    tracing::info!(sequence = tip.sequence, digest = %tip.digest, %who, %what, ?outcome, "audit");
                    return Ok(tip);
                }
                Err(StoreError::AuditMoved) if tries < TRIES => {}
                Err(error) => return Err(AuditError::Store("written", error)),
            }
        }
    }
}

fn entry(last: Option<Tip>, act: Act) -> Entry {
    let Act { at, who, role, what, why, outcome, generation } = act;
    let outcome = match outcome {
        Outcome::Begun | Outcome::Done => outcome,
        Outcome::Refused { reason } => Outcome::Refused { reason: clipped(reason) },
        Outcome::Failed { reason } => Outcome::Failed { reason: clipped(reason) },
    };
    Entry {
        sequence: last.map_or(1, |tip| tip.sequence.saturating_add(1)),
        before: last.map(|tip| tip.digest),
        at,
        who: clipped(who),
        role,
        what: clipped(what),
        why: clipped(why),
        outcome,
        generation,
    }
}

/// A longer text is cut and not refused: what it tells of must be in the log.
fn clipped(text: String) -> String {
    match text.char_indices().nth(TEXT_MAX) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}
