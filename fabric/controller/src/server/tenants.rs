//! What tenants ask: of their own objects alone, and answered in words about nothing else.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use leafwall_api::v1;
use leafwall_proof::Reach;
use leafwall_rollout::digest::Digest;
use leafwall_rollout::revision::Generation;
use leafwall_topology::Name;
use tokio::sync::{Semaphore, mpsc};
use tonic::Status;

use super::core::Caller;
use super::reach;
use crate::audit::Role;
use crate::history::{History, Intents, Past};
use crate::pipeline::{self, Artefacts, Candidate, Pipeline};
use crate::store::{Decision, Store};
use crate::tenants::{self, Own, Placed};

/// The most that a tenant may send, in bytes: thousands of rules have a tenth of it.
pub const UPLOAD_MAX: usize = 8 << 20;
/// Tenants' requests that are worked on at once: operators' always find a core.
const AT_ONCE: usize = 2;
/// How often, and how far apart, a turn is tried: for a second.
const TURN_TRIES: u32 = 50;
const TURN_EACH: Duration = Duration::from_millis(20);
/// Revisions that are looked through for one answer: each is read and parted.
const LOOKED_THROUGH: u64 = 1000;

/// What all tenants' calls share.
#[derive(Clone)]
pub struct Tenants {
    history: History,
    store: Store,
    proof: Pipeline,
    busy: Arc<Mutex<BTreeSet<Name>>>,
    cores: Arc<Semaphore>,
    placed: Arc<tokio::sync::Mutex<Option<(Digest, Everywhere)>>>,
}

type Everywhere = Arc<BTreeMap<Name, Vec<Placed>>>;

/// A tenant's turn: it has one at a time, so that one that floods waits for itself alone.
pub struct Turn {
    tenant: Name,
    busy: Arc<Mutex<BTreeSet<Name>>>,
}

impl Drop for Turn {
    fn drop(&mut self) {
        self.busy.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.tenant);
    }
}

/// What a tenant's documents come to.
pub struct Wanted {
    pub candidate: Candidate,
    /// On top of which head.
    pub head: Option<Digest>,
    pub objects: Vec<v1::ObjectChange>,
    /// What its change opens and closes.
    reach: Vec<v1::ReachChange>,
    /// Warnings, of its own documents alone.
    pub warnings: String,
    /// Its firewall machines, before and after.
    machines: BTreeSet<Name>,
}

impl Tenants {
    pub fn new(history: History, store: Store, proof: Pipeline) -> Self {
        Self { history, store, proof, busy: Arc::default(), cores: Arc::new(Semaphore::new(AT_ONCE)), placed: Arc::default() }
    }

    /// Its turn, which it waits for a little: one that was broken off just now may not be over yet.
    pub async fn turn(&self, tenant: &Name) -> Result<Turn, Status> {
        for _ in 0..TURN_TRIES {
            if self.busy.lock().unwrap_or_else(PoisonError::into_inner).insert(tenant.clone()) {
                return Ok(Turn { tenant: tenant.clone(), busy: Arc::clone(&self.busy) });
            }
            tokio::time::sleep(TURN_EACH).await;
        }
        Err(Status::resource_exhausted("a request of this tenant is being worked on: one at a time"))
    }

    async fn work<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> Result<T, Status> {
        let _core = self.cores.acquire().await.map_err(|_| Status::unavailable("the controller ends"))?;
        tokio::task::spawn_blocking(work).await.map_err(|error| failed(&error))
    }

    async fn head(&self) -> Result<(Option<Past>, Intents), Status> {
        let Some(head) = self.history.head().await.map_err(|error| failed(&error))? else { return Ok((None, Intents::new())) };
        let intents = self.history.intents(&head.revision).await.map_err(|error| failed(&error))?;
        Ok((Some(head), intents))
    }

    /// The fabric with a tenant's documents replaced by these; else what the tenant is told.
    pub async fn wanted(&self, tenant: &Name, sent: Intents) -> Result<Result<Wanted, String>, Status> {
        let (head, before) = self.head().await?;
        let stored = match &head {
            Some(head) => Some(self.history.allocation(&head.revision).await.map_err(|error| failed(&error))?),
            None => None,
        };
        let passes = reach::of_head(&self.history, &self.proof, head.as_ref()).await?;
        let (tenant, head) = (tenant.clone(), head.map(|head| head.at.revision));
        let proof = self.proof.clone();
        self.work(move || wanted(&tenant, head, &Before { intents: before, passes }, &sent, stored.as_deref(), &proof)).await
    }

    /// What it may see of a plan.
    pub fn planned(wanted: &Seen, planned: v1::Planned) -> v1::Planned {
        let own = |change: &v1::DeviceChange| wanted.machines.iter().any(|machine| machine.as_str() == change.device);
        let devices = planned.devices.into_iter().filter(own).collect();
        let (objects, reach, diagnostics) = (wanted.objects.clone(), wanted.reach.clone(), wanted.warnings.clone());
        v1::Planned { devices, objects, reach, diagnostics, ..planned }
    }

    async fn placed(&self) -> Result<Everywhere, Status> {
        let Some(head) = self.history.head().await.map_err(|error| failed(&error))? else { return Ok(Everywhere::default()) };
        // whoever comes meanwhile waits for the one that works on it
        let mut known = self.placed.lock().await;
        if let Some((at, placed)) = known.as_ref()
            && *at == head.at.revision
        {
            return Ok(Arc::clone(placed));
        }
        let intents = self.history.intents(&head.revision).await.map_err(|error| failed(&error))?;
        let placed = Arc::new(self.work(move || tenants::placed(&intents)).await?);
        *known = Some((head.at.revision, Arc::clone(&placed)));
        Ok(placed)
    }

    /// What it may see of the status: its objects, each with the state of all devices that have a part in it.
    pub async fn status(&self, tenant: &Name, whole: v1::FabricStatus) -> Result<v1::FabricStatus, Status> {
        let everywhere = self.placed().await?;
        let placed = everywhere.get(tenant).map(Vec::as_slice).unwrap_or_default();
        let states: BTreeMap<&str, &str> = whole.devices.iter().map(|device| (device.device.as_str(), device.state.as_str())).collect();
        let of_device = |device: &Name| states.get(device.as_str()).copied().unwrap_or("NONE");
        let of = |placed: &Placed| placed.devices.iter().map(of_device).collect::<Vec<_>>();
        let objects: Vec<_> = placed
            .iter()
            .map(|placed| v1::ObjectStatus { kind: placed.kind.into(), name: placed.name.to_string(), state: state(&of(placed)).into() })
            .collect();
        let all = state(&objects.iter().map(|object| object.state.as_str()).collect::<Vec<_>>());
        let own = |device: &v1::DeviceStatus| placed.iter().any(|placed| placed.machines.iter().any(|name| name.as_str() == device.device));
        // what is the matter with a machine is told in words that may be about others
        let machine = |device: &v1::DeviceStatus| v1::DeviceStatus { detail: String::new(), differences: Vec::new(), ..device.clone() };
        let devices = whole.devices.iter().filter(|device| own(device)).map(machine).collect();
        // field by field: what is new in a status is the operators' until somebody decides
        Ok(v1::FabricStatus {
            generation: whole.generation,
            revision: Vec::new(),
            state: all.to_owned(),
            devices,
            objects,
            under_way: String::new(),
            agents: 0,
        })
    }

    /// A revision that there is.
    async fn exists(&self, generation: Generation) -> Result<(), Status> {
        let newest = self.store.newest().await.map_err(|error| failed(&error))?;
        if generation == Generation::NONE || generation > newest {
            return Err(Status::not_found(format!("there is no revision {generation}")));
        }
        Ok(())
    }

    /// What it configures on its servers, as a revision has them.
    pub async fn servers(&self, tenant: &Name, generation: Generation) -> Result<Intents, Status> {
        self.exists(generation).await?;
        let past = self.history.revision(generation).await.map_err(|error| failed(&error))?;
        let intents = self.history.intents(&past.revision).await.map_err(|error| failed(&error))?;
        let stored = self.history.allocation(&past.revision).await.map_err(|error| failed(&error))?;
        let owner = tenant.clone();
        let servers = self.work(move || pipeline::servers(intents, &stored, Some(&owner))).await?;
        // what is refused by now may be about anybody
        servers.map(files_of).map_err(|rejection| {
            tracing::error!(%rejection, %tenant, "a tenant's servers can't be told");
            Status::internal("the controller failed; an operator can see why")
        })
    }

    /// Its own files in a revision.
    pub async fn show(&self, tenant: &Name, generation: Generation) -> Result<Intents, Status> {
        self.exists(generation).await?;
        let intents = self.history.restore(generation).await.map_err(|error| failed(&error))?;
        let tenant = tenant.clone();
        self.work(move || tenants::shown(&intents, &tenant)).await?.map_err(Status::failed_precondition)
    }

    async fn own(&self, tenant: &Name, past: &Past) -> Result<Own, Status> {
        let intents = self.history.intents(&past.revision).await.map_err(|error| failed(&error))?;
        let tenant = tenant.clone();
        self.work(move || tenants::own(&intents, &tenant)).await?.map_err(Status::failed_precondition)
    }

    /// Tells the revisions in which its own documents changed, the newest first. Those of others are not there.
    pub async fn tell_history(
        &self,
        tenant: &Name,
        limit: u32,
        send: &mpsc::Sender<Result<v1::RevisionSummary, Status>>,
    ) -> Result<(), Status> {
        let newest = self.store.newest().await.map_err(|error| failed(&error))?.0;
        let mut left = if limit == 0 { u32::MAX } else { limit };
        let mut known: Option<(Generation, Own)> = None;
        for generation in (newest.saturating_sub(LOOKED_THROUGH) + 1..=newest).rev().map(Generation) {
            let past = self.history.revision(generation).await.map_err(|error| failed(&error))?;
            let parent = self.history.parent(&past).await.map_err(|error| failed(&error))?;
            let after = match known.take_if(|(of, _)| *of == generation) {
                Some((_, own)) => own,
                None => self.own(tenant, &past).await?,
            };
            let before = match &parent {
                Some(parent) if parent.revision.intents == past.revision.intents => after.clone(),
                Some(parent) => self.own(tenant, parent).await?,
                None => Own::new(),
            };
            if !tenants::changes(&before, &after).is_empty() {
                if left == 0 || send.send(self.summary(tenant, &past).await).await.is_err() {
                    return Ok(());
                }
                left -= 1;
            }
            known = parent.map(|parent| (parent.at.generation, before));
        }
        Ok(())
    }

    async fn summary(&self, tenant: &Name, past: &Past) -> Result<v1::RevisionSummary, Status> {
        let outcome = match self.store.decision(past.at.generation).await.map_err(|error| failed(&error))? {
            None => "not started",
            Some(Decision::Started) => "under way",
            Some(Decision::Committed) => "committed",
            Some(Decision::Abandoned { .. }) => "abandoned",
        };
        let (author, reason) = match past.revision.author.strip_suffix(&signature(tenant)) {
            Some(author) => (author.to_owned(), past.revision.reason.clone()),
            None => ("somebody else".to_owned(), String::new()),
        };
        let (generation, revision, made_at) = (past.at.generation.0, Vec::new(), past.revision.made_at);
        Ok(v1::RevisionSummary { generation, revision, made_at, author, reason, outcome: outcome.to_owned() })
    }
}

/// Artefacts as files, `SERVER/FILE`.
pub fn files_of(servers: BTreeMap<Name, Artefacts>) -> Intents {
    let files =
        servers.into_iter().flat_map(|(server, files)| files.into_iter().map(move |(file, text)| (format!("{server}/{file}"), text)));
    files.map(|(path, text)| (path, text.into_bytes())).collect()
}

/// What a tenant may see of a change, once the change itself is on its way.
pub struct Seen {
    pub objects: Vec<v1::ObjectChange>,
    pub reach: Vec<v1::ReachChange>,
    pub warnings: String,
    pub machines: BTreeSet<Name>,
}

impl Wanted {
    /// Parts what is to be done from what is seen of it.
    pub fn part(self) -> (Candidate, Seen) {
        let Self { candidate, objects, reach, warnings, machines, .. } = self;
        (candidate, Seen { objects, reach, warnings, machines })
    }
}

/// What a tenant's change is held against.
struct Before {
    intents: Intents,
    /// What passes there; `None` where it would be refused by now.
    passes: Option<Arc<Reach>>,
}

fn wanted(
    tenant: &Name,
    head: Option<Digest>,
    before: &Before,
    sent: &Intents,
    stored: Option<&str>,
    proof: &Pipeline,
) -> Result<Wanted, String> {
    let merged = tenants::merge(&before.intents, tenant, sent)?;
    let mut machines = machines(&before.intents, tenant);
    machines.extend(self::machines(&merged.intents, tenant));
    let changes = tenants::changes(&tenants::own(&before.intents, tenant)?, &tenants::own(&merged.intents, tenant)?);
    let change =
        |(kind, name, change): (&str, Name, &str)| v1::ObjectChange { kind: kind.into(), name: name.to_string(), change: change.into() };
    let objects = changes.into_iter().map(change).collect();
    let candidate = proof.build(merged.intents, stored).map_err(|rejection| tenants::refusal(&rejection, tenant, sent))?;
    let reach = tenants::within(tenant, before.passes.as_deref(), &candidate.reach)?;
    let reach = reach.iter().filter_map(|change| reach::told_to(tenant, change)).collect();
    Ok(Wanted { candidate, head, objects, reach, warnings: merged.warnings, machines })
}

fn machines(intents: &Intents, tenant: &Name) -> BTreeSet<Name> {
    tenants::placed(intents).remove(tenant).into_iter().flatten().flat_map(|placed| placed.machines).collect()
}

/// All of them as one: there if all are, in error if one is.
fn state(states: &[&str]) -> &'static str {
    let any = |state| states.contains(&state);
    match (any("ERROR"), any("PARTIAL"), any("NONE"), any("FULL")) {
        (true, ..) => "ERROR",
        (_, true, ..) | (.., true, true) => "PARTIAL",
        (.., true, false) => "NONE",
        (.., false, _) => "FULL",
    }
}

/// What went wrong within the controller may be about anybody: it goes to the log.
fn failed(error: &(dyn std::error::Error + 'static)) -> Status {
    tracing::error!(error, "a tenant's request failed");
    Status::internal("the controller failed; an operator can see why")
}

/// The author in history: a tenant's certificate may have the name of an operator, or of another tenant's.
pub fn author(caller: &Caller) -> String {
    match &caller.role {
        Role::Tenant { tenant } => format!("{}{}", caller.who, signature(tenant)),
        _ => caller.who.clone(),
    }
}

fn signature(tenant: &Name) -> String {
    format!(" (tenant {tenant})")
}

/// What a tenant is told of the rollout of its change: news of its own machines, and how it ends.
pub fn progress(mut progress: v1::Progress, machines: &BTreeSet<Name>) -> Option<v1::Progress> {
    if !progress.device.is_empty() && !machines.iter().any(|machine| machine.as_str() == progress.device) {
        return None;
    }
    // words of devices and of the machine name devices
    progress.message = match progress.outcome.and_then(|outcome| v1::Outcome::try_from(outcome).ok()) {
        Some(v1::Outcome::Abandoned) => "a device did not take it, so that all is as before; an operator can see which".to_owned(),
        Some(v1::Outcome::Refused) => {
            "another change is under way, or the fabric is no longer what this was planned for: plan again".to_owned()
        }
        Some(v1::Outcome::Unchanged) => "nothing differs from what is".to_owned(),
        Some(v1::Outcome::Unspecified | v1::Outcome::Committed | v1::Outcome::Held) | None => String::new(),
    };
    Some(progress)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_object_is_as_its_devices_are() {
        for (states, all) in [
            (&[][..], "FULL"),
            (&["FULL", "FULL"], "FULL"),
            (&["FULL", "PARTIAL"], "PARTIAL"),
            (&["FULL", "NONE"], "PARTIAL"),
            (&["NONE", "NONE"], "NONE"),
            (&["FULL", "PARTIAL", "NONE", "ERROR"], "ERROR"),
        ] {
            assert_eq!(state(states), all, "{states:?}");
        }
    }

    #[test]
    fn a_tenant_hears_of_its_machines_and_of_the_end_alone() {
        let machines = BTreeSet::from(["fw-03".parse().unwrap()]);
        let told = |device: &str, outcome: Option<v1::Outcome>| {
            let (device, message, outcome) = (device.to_owned(), "`leaf-01`: its tools refuse it".to_owned(), outcome.map(Into::into));
            progress(v1::Progress { device, message, outcome, ..v1::Progress::default() }, &machines)
        };
        assert_eq!(told("leaf-01", None), None);
        assert_eq!(told("fw-03", None).unwrap().message, "");
        for outcome in [v1::Outcome::Abandoned, v1::Outcome::Refused, v1::Outcome::Committed, v1::Outcome::Unchanged] {
            let told = told("", Some(outcome)).unwrap();
            assert!(told.outcome() == outcome && !told.message.contains("leaf"), "{told:?}");
        }
    }
}
