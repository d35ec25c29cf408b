//! Rollouts that people decide: held after something failed, or called off.

use leafwall_api::v1;
use leafwall_rollout::fabric::{Event, Outcome};
use leafwall_rollout::revision::Generation;
use tokio::sync::oneshot;
use tonic::Status;

use super::super::news::{finish, news};
use super::{Caller, Core};
use crate::audit::Outcome as AuditOutcome;
use crate::server::ServerError;

/// What a person decides.
pub struct Resolution {
    pub generation: Generation,
    pub outcome: Outcome,
    pub caller: Caller,
    pub reason: String,
    pub reply: oneshot::Sender<Result<(), Status>>,
}

impl Core {
    /// Tells once that a rollout is held: who waits for its end would wait for people.
    pub(super) fn tell_held(&mut self) {
        let Some((at, reason)) = self.machine.held() else { return };
        let Some(applying) = self.applying.as_mut().filter(|applying| applying.at == at) else { return };
        let Some(progress) = applying.progress.take() else { return };
        tracing::warn!(generation = at.generation.0, reason, "a rollout is held");
        self.watchers.tell(&news(at.generation.0, "", "held", reason, None));
        finish(&progress, at.generation.0, v1::Outcome::Held, reason);
    }

    /// Ends a rollout as a person says, if that can be: only one that is held may stand.
    pub(super) async fn resolve(&mut self, resolution: Resolution) -> Result<Option<Event>, ServerError> {
        let Resolution { generation, outcome, caller, reason, reply } = resolution;
        let what = match outcome {
            Outcome::Committed => "resolve: commit",
            Outcome::Abandoned => "resolve: abandon",
        };
        let found = match self.machine.running() {
            None => Err("no revision is held or under way".to_owned()),
            Some(at) if at.generation != generation => Err(format!("revision {} is under way, not {generation}", at.generation)),
            Some(_) if outcome == Outcome::Committed && self.machine.held().is_none() => {
                Err(format!("revision {generation} is not held: it is committed once all devices have it"))
            }
            Some(at) => Ok(at),
        };
        let at = match found {
            Ok(at) => at,
            Err(reason) => {
                let _ = reply.send(Err(Status::failed_precondition(reason.clone())));
                self.note(caller, what.into(), AuditOutcome::Refused { reason }).await?;
                return Ok(None);
            }
        };
        // before it is done: what was decided and by whom must not be lost
        self.audit(caller, what.into(), reason, AuditOutcome::Begun, Some(at)).await?;
        let _ = reply.send(Ok(()));
        Ok(Some(Event::Resolve(at, outcome)))
    }
}
