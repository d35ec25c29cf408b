//! What must survive: chunks, revisions, the head, decisions, acknowledgements, the audit log.
//!
//! # Guarantees
//! - What was written without an error is there after any crash, as a whole.
//! - A leader that was replaced writes nothing any more, however late ([`Epoch`]).
//! - Nothing of a revision changes once it is there; only the head moves, from where its mover saw it.
//! - What is read is what was written, or an error.
//!
//! # Assumptions
//! A revision's chunks are put before it, and it before its decision.

mod audit;
mod backend;
mod chunks;
mod error;
mod etcd;
mod memory;
mod meter;
mod redb;
mod revisions;
mod tokens;

use std::sync::Arc;
use std::time::Instant;

use serde::Serialize;
use serde::de::DeserializeOwned;

pub use backend::{AnyBackend, Backend, Change, Condition, Epoch, Key, Transaction, Verdict};
pub use chunks::{BLOB_MAX, CHUNK_MAX};
pub use error::{Cause, Result, StoreError};
pub use etcd::{Campaign, Etcd, EtcdUrl, Leader, Lease, NoEtcd, TTL};
pub use memory::Memory;
pub use meter::StoreMeter;
pub use redb::Redb;
pub use revisions::Decision;
pub use tokens::{Enrolled, TokenRecord};

/// Times that a write is tried again where others write at the same time. Each try fails only because another one's succeeded.
const TRIES: usize = 16;

/// Keys that are asked for at once.
const PAGE: usize = 512;

/// A store on any backend. Clones share it.
#[derive(Debug, Clone)]
pub struct Store(Arc<AnyBackend>, StoreMeter);

impl Store {
    /// On this backend.
    pub fn new(backend: AnyBackend) -> Self {
        Self(Arc::new(backend), StoreMeter::default())
    }

    /// In memory, empty.
    pub fn memory() -> Self {
        Self::new(AnyBackend::Memory(Memory::default()))
    }

    /// In a file, which is made if it is not there.
    ///
    /// # Errors
    /// As [`Redb::open`].
    pub async fn file(path: &std::path::Path) -> Result<Self> {
        Ok(Self::new(AnyBackend::Redb(Redb::open(path).await?)))
    }

    /// What it stands on.
    pub fn backend(&self) -> &AnyBackend {
        &self.0
    }

    /// What is counted of it.
    pub fn meter(&self) -> &StoreMeter {
        &self.1
    }

    /// Begins to lead: an epoch above all others, whose writers are shut out from now on.
    ///
    /// # Errors
    /// Where the store can't be written.
    pub async fn lead(&self) -> Result<Epoch> {
        self.lead_while(None).await
    }

    /// The same, if something holds at that moment: one that has lost its lease, and does not know it, must not shut out whoever got it.
    ///
    /// # Errors
    /// Where it does not hold, or the store can't be written.
    pub async fn lead_while(&self, held: Option<&Condition>) -> Result<Epoch> {
        let key = Key::epoch();
        for _ in 0..TRIES {
            let value = self.0.get(&key).await?;
            let epoch = Epoch(Epoch::read(&key, value.as_deref())?.0.saturating_add(1));
            let unchanged = Condition { key: key.clone(), value };
            // Looked at after the epoch was read: whoever has the lease now, and had raised the epoch by then, is seen here. A newer epoch shuts out others even
            // where the transaction's conditions do not hold, but only where the epoch is still what was read.
            if let Some(held) = held
                && self.0.get(&held.key).await? != held.value
            {
                return Err(StoreError::NotHeld);
            }
            let conditions = held.cloned().into_iter().chain([unchanged]).collect();
            let transaction = Transaction { epoch, conditions, changes: Vec::new() };
            match self.0.transact(transaction).await {
                Ok(Verdict::Done) => {
                    tracing::info!(%epoch, "leads the store");
                    return Ok(epoch);
                }
                Ok(Verdict::Unmet) | Err(StoreError::Fenced { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        Err(StoreError::Backend { action: "begin to lead", source: "others begin all the time".into() })
    }

    /// The newest epoch.
    ///
    /// # Errors
    /// Where it can't be read.
    pub async fn epoch(&self) -> Result<Epoch> {
        let key = Key::epoch();
        Epoch::read(&key, self.0.get(&key).await?.as_deref())
    }

    async fn read<T: DeserializeOwned>(&self, key: &Key) -> Result<Option<T>> {
        self.0.get(key).await?.map(|value| decode(key, &value)).transpose()
    }

    async fn transact(&self, epoch: Epoch, conditions: Vec<Condition>, changes: Vec<Change>) -> Result<Verdict> {
        let start = Instant::now();
        let result = self.0.transact(Transaction { epoch, conditions, changes }).await;
        self.1.wrote(start.elapsed(), &result);
        if let Err(error @ StoreError::Fenced { .. }) = &result {
            tracing::warn!(%error, "a write came too late");
        }
        result
    }

    /// All keys below a prefix.
    async fn all(&self, prefix: &str) -> Result<Vec<(Key, Vec<u8>)>> {
        let mut found = Vec::new();
        loop {
            let page = self.0.range(prefix, found.last().map(|(key, _)| key), PAGE).await?;
            let done = page.len() < PAGE;
            found.extend(page);
            if done {
                return Ok(found);
            }
        }
    }
}

fn encode(key: &Key, value: &impl Serialize) -> Result<Vec<u8>> {
    serde_json::to_vec(value).map_err(|error| StoreError::Damaged { key: key.to_string(), complaint: error.to_string() })
}

fn decode<T: DeserializeOwned>(key: &Key, value: &[u8]) -> Result<T> {
    serde_json::from_slice(value).map_err(|error| StoreError::Damaged { key: key.to_string(), complaint: error.to_string() })
}

fn put(key: Key, value: &impl Serialize) -> Result<Change> {
    let value = encode(&key, value)?;
    Ok(Change::Put(key, value))
}

/// A number as the end of a key: of one width, so that keys are in the order of numbers.
fn numbered(prefix: &str, number: u64) -> Key {
    Key::new(format!("{prefix}{number:020}"))
}

/// The number at the end of a key.
fn number(prefix: &str, key: &Key) -> Result<u64> {
    let digits = key.as_str().strip_prefix(prefix).filter(|text| text.len() == 20 && text.bytes().all(|byte| byte.is_ascii_digit()));
    digits
        .and_then(|digits| digits.parse().ok())
        .ok_or_else(|| StoreError::Damaged { key: key.to_string(), complaint: "no number where one must be".into() })
}
