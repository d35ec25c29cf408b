//! Going back in history: to which intents, and whether that can be done.

use leafwall_api::v1;
use leafwall_rollout::revision::Generation;
use tonic::Status;

use super::messages::{self, internal};
use crate::history::{History, HistoryError, Intents};
use crate::store::{Decision, Store};

/// The intents that a request comes to, and the reason that history is told.
pub async fn back(history: &History, store: &Store, request: &v1::BackRequest) -> Result<(Intents, String), Status> {
    messages::reason(&request.reason)?;
    let generation = Generation(request.generation);
    let newest = store.newest().await.map_err(|error| Status::internal(error.to_string()))?;
    if generation == Generation::NONE {
        return Err(Status::invalid_argument(format!("there is no revision 0: the first one is 1\n{HINT}")));
    }
    if generation > newest {
        return Err(Status::not_found(format!("there is no revision {generation}: the newest one is {newest}\n{HINT}")));
    }
    let (intents, verb) = match request.way() {
        v1::Way::Revert => {
            stood(generation, store.decision(generation).await.map_err(|error| Status::internal(error.to_string()))?)?;
            (history.revert(generation).await, "revert")
        }
        // also one that never stood: so it is tried again once what was in its way is gone
        v1::Way::Restore => (history.restore(generation).await, "restore"),
        v1::Way::Unspecified => return Err(Status::invalid_argument("the request says no way back that this controller knows")),
    };
    let intents = intents.map_err(|error| refusal(&error))?;
    let reason = request.reason.trim();
    Ok((intents, if reason.is_empty() { format!("{verb} {generation}") } else { format!("{verb} {generation}: {reason}") }))
}

const HINT: &str = "hint: `leafwall history` lists revisions";

/// Only what once stood can be undone.
fn stood(generation: Generation, decision: Option<Decision>) -> Result<(), Status> {
    let why = match decision {
        Some(Decision::Committed) => return Ok(()),
        Some(Decision::Abandoned { reason }) => format!("it was abandoned: {reason}"),
        Some(Decision::Started) => "it is still under way".to_owned(),
        None => "it was not started".to_owned(),
    };
    Err(Status::failed_precondition(format!("revision {generation} can't be reverted, since it never stood: {why}\n{HINT}")))
}

fn refusal(error: &HistoryError) -> Status {
    match error {
        HistoryError::Conflicts { .. } => Status::failed_precondition(format!(
            "{error}\nhint: revert the later revisions first, or take the files from `leafwall show` and apply them"
        )),
        HistoryError::NotInHistory(_) => Status::failed_precondition(format!("{error}\n{HINT}")),
        _ => internal(error),
    }
}
