//! What is counted of a store.

use std::time::Duration;

use leafwall_metrics::{Counters, Durations, Registry};

use super::backend::Verdict;
use super::error::{Result, StoreError};

/// Writes, and how long they took. Clones count the same.
#[derive(Debug, Clone)]
pub struct StoreMeter {
    writes: Counters,
    took: Durations,
}

impl Default for StoreMeter {
    fn default() -> Self {
        Self { writes: Counters::new("result", &["done", "unmet", "fenced", "failed"]), took: Durations::default() }
    }
}

impl StoreMeter {
    /// Shows it.
    pub fn register(&self, registry: &mut Registry) {
        self.writes.register(registry, "store_writes", "Transactions of the store, by what came of them");
        registry.register(
            "store_write_seconds",
            "How long transactions of the store took, until they were on the disk",
            self.took.0.clone(),
        );
    }

    pub(super) fn wrote(&self, took: Duration, result: &Result<Verdict>) {
        self.took.took(took);
        self.writes.add(match result {
            Ok(Verdict::Done) => "done",
            Ok(Verdict::Unmet) => "unmet",
            Err(StoreError::Fenced { .. }) => "fenced",
            Err(_) => "failed",
        });
    }
}
