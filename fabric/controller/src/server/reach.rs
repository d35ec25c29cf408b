//! What a change opens and closes, against what passes in the head's fabric.

use std::sync::Arc;

use leafwall_api::v1;
use leafwall_proof::Reach;
use leafwall_proof::reach::{Change, Party};
use leafwall_topology::Name;
use tonic::Status;

use super::messages::internal;
use crate::history::{History, Past};
use crate::pipeline::Pipeline;

/// What a tenant is told instead of somebody else's name.
const SOMEBODY: &str = "somebody else's";

/// What passes in a head's fabric, as it was kept or proved anew; nothing, where there is no head. `None` where it is refused by now: a newer prover knows more.
pub async fn of_head(history: &History, proof: &Pipeline, head: Option<&Past>) -> Result<Option<Arc<Reach>>, Status> {
    let Some(head) = head else { return Ok(Some(Arc::default())) };
    let revision = &head.revision;
    if let Some(kept) = proof.reach(&revision.intents, revision.allocation) {
        return Ok(Some(kept));
    }
    let intents = history.intents(revision).await.map_err(|error| internal(&error))?;
    let stored = history.allocation(revision).await.map_err(|error| internal(&error))?;
    let proof = proof.clone();
    let built = tokio::task::spawn_blocking(move || proof.build(intents, Some(&stored))).await;
    match built.map_err(|error| Status::internal(error.to_string()))? {
        Ok(candidate) => Ok(Some(candidate.reach)),
        Err(rejection) => {
            tracing::warn!(%rejection, "what runs would be refused by now: what a change opens and closes is not told");
            Ok(None)
        }
    }
}

/// A change as operators are told of it.
pub fn told(change: &Change) -> v1::ReachChange {
    v1::ReachChange {
        change: change.way.to_string(),
        from: change.from.network.clone(),
        to: change.to.network.clone(),
        firewall: change.firewall.as_ref().map(ToString::to_string).unwrap_or_default(),
        what: change.what.clone(),
        packet: change.packet.to_string(),
        tenants: change.tenants.iter().map(ToString::to_string).collect(),
    }
}

/// The same as a tenant is told: by the names that it knows. `None` for what is not its own.
pub fn told_to(tenant: &Name, change: &Change) -> Option<v1::ReachChange> {
    if !change.tenants.contains(tenant) {
        return None;
    }
    let name = |party: &Party| match &party.tenant {
        Some(owner) if owner != tenant && !party.is_public => SOMEBODY.to_owned(),
        _ => party.network.clone(),
    };
    let firewall = match &change.owner {
        Some(owner) if owner != tenant => SOMEBODY.to_owned(),
        _ => change.firewall.as_ref().map(ToString::to_string).unwrap_or_default(),
    };
    Some(v1::ReachChange { from: name(&change.from), to: name(&change.to), firewall, tenants: Vec::new(), ..told(change) })
}
