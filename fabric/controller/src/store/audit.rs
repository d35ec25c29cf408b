//! The audit log's place in the store. What is in it is the business of [`crate::audit`].

use leafwall_rollout::signed::Signed;

use super::backend::{Backend, Condition, Key, Verdict};
use super::error::{Result, StoreError};
use super::{Epoch, Store, decode, encode, number, numbered, put};
use crate::audit::{Entry, Tip};

const ENTRIES: &str = "audit/";

fn tip_key() -> Key {
    Key::new("tip")
}

impl Store {
    /// Writes an entry together with the log's new end, if its end is where the caller saw it.
    ///
    /// # Errors
    /// Where it is elsewhere, or can't be written.
    pub async fn append_audit(
        &self,
        epoch: Epoch,
        expected: Option<&Signed<Tip>>,
        sequence: u64,
        entry: &Signed<Entry>,
        tip: &Signed<Tip>,
    ) -> Result<()> {
        let key = numbered(ENTRIES, sequence);
        let conditions = vec![
            Condition { key: tip_key(), value: expected.map(|tip| encode(&tip_key(), tip)).transpose()? },
            Condition { key: key.clone(), value: None },
        ];
        match self.transact(epoch, conditions, vec![put(key, entry)?, put(tip_key(), tip)?]).await? {
            Verdict::Done => Ok(()),
            Verdict::Unmet => Err(StoreError::AuditMoved),
        }
    }

    /// The log's end, its signature not yet verified.
    ///
    /// # Errors
    /// Where it can't be read.
    pub async fn audit_tip(&self) -> Result<Option<Signed<Tip>>> {
        self.read(&tip_key()).await
    }

    /// Entries from this number on, by the number that they are kept under, up to `limit` of them; their signatures not yet verified. One that can't be read hides
    /// no other.
    ///
    /// # Errors
    /// Where they can't be read.
    pub async fn audit_entries(&self, from: u64, limit: usize) -> Result<Vec<(u64, Result<Signed<Entry>>)>> {
        let after = from.checked_sub(1).map(|before| numbered(ENTRIES, before));
        let page = self.0.range(ENTRIES, after.as_ref(), limit).await?;
        page.iter().map(|(key, value)| Ok((number(ENTRIES, key)?, decode(key, value)))).collect()
    }
}
