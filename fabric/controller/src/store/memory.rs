//! A store that lives as long as the process, for tests and trials.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::{Arc, PoisonError, RwLock};

use super::backend::{Backend, Change, Judgement, Key, Transaction, Verdict, judge};
use super::error::Result;

/// Keys and values in memory. Clones share them.
#[derive(Debug, Clone, Default)]
pub struct Memory(Arc<RwLock<BTreeMap<Key, Vec<u8>>>>);

impl Backend for Memory {
    async fn get(&self, key: &Key) -> Result<Option<Vec<u8>>> {
        Ok(self.0.read().unwrap_or_else(PoisonError::into_inner).get(key).cloned())
    }

    async fn range(&self, prefix: &str, after: Option<&Key>, limit: usize) -> Result<Vec<(Key, Vec<u8>)>> {
        let first = Key::new(prefix);
        let start = after.map_or(Bound::Included(&first), Bound::Excluded);
        let all = self.0.read().unwrap_or_else(PoisonError::into_inner);
        let within = all.range::<Key, _>((start, Bound::Unbounded)).take_while(|(key, _)| key.as_str().starts_with(prefix));
        Ok(within.take(limit).map(|(key, value)| (key.clone(), value.clone())).collect())
    }

    async fn transact(&self, transaction: Transaction) -> Result<Verdict> {
        let mut all = self.0.write().unwrap_or_else(PoisonError::into_inner);
        let (_, judgement) = judge(&transaction, |key| Ok(all.get(key).cloned()))?;
        all.insert(Key::epoch(), transaction.epoch.stored());
        let Judgement::Met = judgement else { return Ok(Verdict::Unmet) };
        for change in transaction.changes {
            match change {
                Change::Put(key, value) => drop(all.insert(key, value)),
                Change::Delete(key) => drop(all.remove(&key)),
            }
        }
        Ok(Verdict::Done)
    }
}
