//! Writing under the term of the one that leads, beside the core.

use std::sync::Arc;

use leafwall_rollout::revision::Generation;

use super::core::Caller;
use super::wall_clock;
use crate::audit::{Act, AuditError, Log, Outcome};
use crate::store::{Epoch, Store};

/// The store, its log, and the term. What is written with it once another controller leads is refused by the store.
#[derive(Debug, Clone)]
pub struct Pen {
    pub store: Store,
    pub log: Arc<Log>,
    pub epoch: Epoch,
}

impl Pen {
    /// Writes an act down. It may happen once this returned.
    pub async fn note(&self, caller: Caller, what: String, why: String, outcome: Outcome) -> Result<(), AuditError> {
        let Caller { who, role } = caller;
        let generation: Option<Generation> = None;
        self.log.append(self.epoch, Act { at: wall_clock(), who, role, what, why, outcome, generation }).await?;
        Ok(())
    }
}
