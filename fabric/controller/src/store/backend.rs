//! What a store stands on: keys, values, and transactions that happen as a whole or not at all. Small enough for any database that has these.

use std::fmt;
use std::future::Future;

use serde::{Deserialize, Serialize};

use super::error::{Result, StoreError};
use super::etcd::Etcd;
use super::memory::Memory;
use super::redb::Redb;

/// A leader's term. Every write carries it; a newer one shuts out all older ones for ever, however late their writes arrive.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Epoch(pub u64);

impl Epoch {
    /// As it is kept: of one width, so that a database that compares bytes compares numbers.
    pub(super) fn stored(self) -> Vec<u8> {
        format!("{:020}", self.0).into_bytes()
    }

    pub(super) fn read(key: &Key, value: Option<&[u8]>) -> Result<Self> {
        let Some(value) = value else { return Ok(Self::default()) };
        let number = str::from_utf8(value).ok().and_then(|text| text.parse().ok());
        number.map(Self).ok_or_else(|| StoreError::Damaged { key: key.to_string(), complaint: "no epoch".into() })
    }
}

impl fmt::Display for Epoch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Where a value is: a path of words.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key(String);

impl Key {
    /// Where the newest epoch is. Backends keep it by themselves.
    pub fn epoch() -> Self {
        Self("epoch".into())
    }

    /// One at this path.
    pub fn new(path: impl Into<String>) -> Self {
        Self(path.into())
    }

    /// Its path.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// What must be so for a transaction to happen.
#[derive(Debug, Clone)]
pub struct Condition {
    /// Where.
    pub key: Key,
    /// The value there; none where nothing may be.
    pub value: Option<Vec<u8>>,
}

/// What a transaction does.
#[derive(Debug, Clone)]
pub enum Change {
    /// Writes a value, whatever was there.
    Put(Key, Vec<u8>),
    /// Removes a value, if there is one.
    Delete(Key),
}

/// Changes that happen as a whole, if the epoch is not past and all conditions hold.
#[derive(Debug, Clone)]
pub struct Transaction {
    /// The writer's.
    pub epoch: Epoch,
    /// What must be so.
    pub conditions: Vec<Condition>,
    /// What is done then.
    pub changes: Vec<Change>,
}

/// What came of a transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub enum Verdict {
    /// It happened, and will be there after any crash.
    Done,
    /// A condition did not hold; nothing happened.
    Unmet,
}

/// A database.
///
/// # Guarantees
/// A transaction is refused with [`StoreError::Fenced`] once one of a newer epoch happened or was tried, even without any change. What [`Verdict::Done`] was said of
/// survives any crash of the process and of the machine.
pub trait Backend: Send + Sync {
    /// The value of a key.
    fn get(&self, key: &Key) -> impl Future<Output = Result<Option<Vec<u8>>>> + Send;

    /// Keys that start with `prefix`, in their order, behind `after`, up to `limit` of them.
    fn range(&self, prefix: &str, after: Option<&Key>, limit: usize) -> impl Future<Output = Result<Vec<(Key, Vec<u8>)>>> + Send;

    /// Does all of it or nothing.
    fn transact(&self, transaction: Transaction) -> impl Future<Output = Result<Verdict>> + Send;
}

/// Any of the backends.
#[derive(Debug)]
pub enum AnyBackend {
    /// Lives as long as the process.
    Memory(Memory),
    /// A file.
    Redb(Redb),
    /// etcd.
    Etcd(Etcd),
}

impl Backend for AnyBackend {
    async fn get(&self, key: &Key) -> Result<Option<Vec<u8>>> {
        match self {
            Self::Memory(memory) => memory.get(key).await,
            Self::Redb(redb) => redb.get(key).await,
            Self::Etcd(etcd) => etcd.get(key).await,
        }
    }

    async fn range(&self, prefix: &str, after: Option<&Key>, limit: usize) -> Result<Vec<(Key, Vec<u8>)>> {
        match self {
            Self::Memory(memory) => memory.range(prefix, after, limit).await,
            Self::Redb(redb) => redb.range(prefix, after, limit).await,
            Self::Etcd(etcd) => etcd.range(prefix, after, limit).await,
        }
    }

    async fn transact(&self, transaction: Transaction) -> Result<Verdict> {
        match self {
            Self::Memory(memory) => memory.transact(transaction).await,
            Self::Redb(redb) => redb.transact(transaction).await,
            Self::Etcd(etcd) => etcd.transact(transaction).await,
        }
    }
}

/// What a backend that can look before it writes does with a transaction.
pub(super) enum Judgement {
    /// Write the epoch if it is newer, and no more.
    Unmet,
    /// Write the epoch and the changes.
    Met,
}

/// Looks whether a transaction may happen.
pub(super) fn judge(transaction: &Transaction, mut get: impl FnMut(&Key) -> Result<Option<Vec<u8>>>) -> Result<(Epoch, Judgement)> {
    let key = Key::epoch();
    let seen = Epoch::read(&key, get(&key)?.as_deref())?;
    if seen > transaction.epoch {
        return Err(StoreError::Fenced { epoch: transaction.epoch, seen });
    }
    for condition in &transaction.conditions {
        if get(&condition.key)? != condition.value {
            return Ok((seen, Judgement::Unmet));
        }
    }
    Ok((seen, Judgement::Met))
}
