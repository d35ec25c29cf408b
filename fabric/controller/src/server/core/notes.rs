//! What the core writes into the audit log.

use leafwall_rollout::message::At;
use leafwall_topology::Name;
use tokio::sync::mpsc;

use super::super::refusals::Refused;
use super::super::{ServerError, wall_clock};
use super::{Caller, Command, Core};
use crate::audit::{Act, Outcome as AuditOutcome, Role};

impl Core {
    /// What was refused is written down before the end, also what still waits for its turn.
    pub(super) async fn ends(mut self, mut commands: mpsc::Receiver<Command>) -> Result<(), ServerError> {
        commands.close();
        while let Some(command) = commands.recv().await {
            if let Command::Note { caller, what, outcome } = command {
                self.note(caller, what, outcome).await?;
            }
        }
        let rest = self.refusals.rest();
        self.write_refused(rest).await
    }

    pub(super) async fn note(&mut self, caller: Caller, what: String, outcome: AuditOutcome) -> Result<(), ServerError> {
        match outcome {
            AuditOutcome::Refused { reason } => {
                let written = self.refusals.note(self.now(), Refused { caller, what, reason });
                self.write_refused(written).await
            }
            AuditOutcome::Begun | AuditOutcome::Done | AuditOutcome::Failed { .. } => {
                self.audit(caller, what, String::new(), outcome, None).await
            }
        }
    }

    pub(super) async fn write_refused(&self, all: Vec<Refused>) -> Result<(), ServerError> {
        for Refused { caller, what, reason } in all {
            self.audit(caller, what, String::new(), AuditOutcome::Refused { reason }, None).await?;
        }
        Ok(())
    }

    pub(super) async fn note_drift(&mut self, device: &Name, differences: &[String]) -> Result<(), ServerError> {
        let before = self.differences.get(device).is_some_and(|before| !before.is_empty());
        let what = match (before, differences.first()) {
            (_, Some(first)) => format!("`{device}` drifted: {first}{}", if differences.len() > 1 { " and more" } else { "" }),
            (true, None) => format!("`{device}` is again as it should be"),
            (false, None) => return Ok(()),
        };
        let caller = Caller { who: device.to_string(), role: Role::Agent { device: device.clone() } };
        self.audit(caller, what, String::new(), AuditOutcome::Done, None).await
    }

    pub(super) async fn audit(
        &self,
        caller: Caller,
        what: String,
        why: String,
        outcome: AuditOutcome,
        at: Option<At>,
    ) -> Result<(), ServerError> {
        let Caller { who, role } = caller;
        let act = Act { at: wall_clock(), who, role, what, why, outcome, generation: at.map(|at| at.generation) };
        // what can't be written down is not done
        self.log.append(self.epoch, act).await?;
        Ok(())
    }
}
