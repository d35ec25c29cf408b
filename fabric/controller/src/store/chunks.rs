//! Bytes by their digest.

use std::collections::BTreeSet;

use leafwall_rollout::digest::{DIGEST_LEN, Digest};

use super::backend::{Backend, Change, Key};
use super::error::{Result, StoreError};
use super::{Epoch, Store};

/// The most bytes of a value: with its key and the frame of a request it stays under 1 MiB, which every database takes.
pub const CHUNK_MAX: usize = (1 << 20) - 4096;

/// The most bytes that are put as one: a bound on memory, and hundreds of times the largest artefact.
pub const BLOB_MAX: usize = 256 << 20;

/// Bytes and changes of one transaction: what etcd takes by default (1.5 MiB, 128 changes), less some room.
const BATCH_BYTES: usize = 1 << 20;
const BATCH_CHANGES: usize = 100;

/// Before a value's bytes: they are the content.
const WHOLE: u8 = b'=';
/// Before a value's bytes: they are the digests of the parts.
const PARTS: u8 = b'+';

fn key(digest: &Digest) -> Key {
    Key::new(format!("chunk/{digest}"))
}

fn damaged(digest: &Digest, complaint: &str) -> StoreError {
    StoreError::Damaged { key: key(digest).to_string(), complaint: complaint.to_owned() }
}

impl Store {
    /// Keeps bytes, whose digest is their name. Those that are there already cost no write; where what is there is damaged, it is mended.
    ///
    /// # Errors
    /// Where there are too many of them, or they can't be written.
    pub async fn put_chunk(&self, epoch: Epoch, bytes: &[u8]) -> Result<Digest> {
        let mut digests = self.put_chunks(epoch, [bytes]).await?;
        // one in, one out
        Ok(digests.pop().unwrap_or_else(|| Digest::of(bytes)))
    }

    /// Keeps many at once, in as few transactions as it takes: each waits for the disk.
    ///
    /// # Errors
    /// Where one is too large, or can't be written. Some of them may be there then.
    pub async fn put_chunks<'a>(&self, epoch: Epoch, blobs: impl IntoIterator<Item = &'a [u8]>) -> Result<Vec<Digest>> {
        let mut batch = Batch { store: self, epoch, changes: Vec::new(), bytes: 0, known: BTreeSet::new() };
        let mut digests = Vec::new();
        for blob in blobs {
            if blob.len() > BLOB_MAX {
                return Err(StoreError::TooLarge { bytes: blob.len(), limit: BLOB_MAX });
            }
            let digest = Digest::of(blob);
            if blob.len() < CHUNK_MAX {
                batch.put(digest, WHOLE, blob).await?;
            } else {
                let mut parts = Vec::new();
                for part in blob.chunks(CHUNK_MAX - 1) {
                    let digest = Digest::of(part);
                    batch.put(digest, WHOLE, part).await?;
                    parts.extend(digest.bytes());
                }
                // behind its parts, so that a list is never there without them
                batch.put(digest, PARTS, &parts).await?;
            }
            digests.push(digest);
        }
        batch.flush().await?;
        Ok(digests)
    }

    /// The bytes of this digest, and no others.
    ///
    /// # Errors
    /// Where they are not there, are damaged, or can't be read.
    pub async fn chunk(&self, digest: &Digest) -> Result<Vec<u8>> {
        let value = self.0.get(&key(digest)).await?.ok_or(StoreError::NoChunk(*digest))?;
        let bytes = match value.split_first() {
            Some((&WHOLE, _)) => without_first(value),
            Some((&PARTS, parts)) => self.joined(digest, parts).await?,
            _ => return Err(damaged(digest, "it begins with no known mark")),
        };
        if Digest::of(&bytes) != *digest {
            return Err(damaged(digest, "its bytes have another digest"));
        }
        Ok(bytes)
    }

    async fn joined(&self, whole: &Digest, parts: &[u8]) -> Result<Vec<u8>> {
        let (digests, rest) = parts.as_chunks::<DIGEST_LEN>();
        if !rest.is_empty() || digests.len() > BLOB_MAX.div_ceil(CHUNK_MAX - 1) {
            return Err(damaged(whole, "its list of parts is none"));
        }
        let mut bytes = Vec::new();
        for part in digests {
            let part = Digest::from(*part);
            let value = self.0.get(&key(&part)).await?.ok_or(StoreError::NoChunk(part))?;
            match value.split_first() {
                Some((&WHOLE, content)) => bytes.extend_from_slice(content),
                _ => return Err(damaged(&part, "it is a part and not whole itself")),
            }
        }
        Ok(bytes)
    }
}

fn without_first(mut value: Vec<u8>) -> Vec<u8> {
    value.remove(0);
    value
}

/// Chunks on their way to the store.
struct Batch<'a> {
    store: &'a Store,
    epoch: Epoch,
    changes: Vec<Change>,
    bytes: usize,
    known: BTreeSet<Digest>,
}

impl Batch<'_> {
    async fn put(&mut self, digest: Digest, mark: u8, content: &[u8]) -> Result<()> {
        if !self.known.insert(digest) {
            return Ok(());
        }
        let mut value = Vec::with_capacity(content.len() + 1);
        value.push(mark);
        value.extend_from_slice(content);
        if self.store.0.get(&key(&digest)).await?.is_some_and(|there| there == value) {
            return Ok(());
        }
        if self.changes.len() >= BATCH_CHANGES || self.bytes + value.len() > BATCH_BYTES {
            self.flush().await?;
        }
        self.bytes += value.len();
        self.changes.push(Change::Put(key(&digest), value));
        Ok(())
    }

    async fn flush(&mut self) -> Result<()> {
        self.bytes = 0;
        let changes = std::mem::take(&mut self.changes);
        // also without a change: a leader that was replaced must hear of it
        let _unconditional = self.store.transact(self.epoch, Vec::new(), changes).await?;
        Ok(())
    }
}
