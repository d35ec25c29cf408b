//! The one task that decides and writes.

mod look;
mod notes;

mod held;

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use ed25519_dalek::SigningKey;
use leafwall_api::v1;
use leafwall_rollout::digest::Digest;
use leafwall_rollout::fabric::{Action, Event, Intention, Machine, OnFailure, Outcome, Settings, Transaction, batches};
use leafwall_rollout::message::{Answer, At, Hello, Order};
use leafwall_rollout::revision::{DeviceRevision, Files, Revision};
use leafwall_rollout::signed::Signed;
use leafwall_topology::Name;
use tokio::sync::{mpsc, oneshot};

pub use held::Resolution;

use super::metrics::Meter;
use super::news::{finish, news, tell};
use super::pen::Pen;
use super::refusals::Refusals;
use super::resume::ledger;
use super::tenants::author;
use super::term::Term;
use super::watch::Watchers;
use super::{ServerError, wall_clock};
use crate::audit::{Log, Outcome as AuditOutcome, Role};
use crate::history::History;
use crate::pipeline::{Candidate, Digests};
use crate::store::{Decision, Epoch, Store, StoreError};

/// Who asks.
#[derive(Debug, Clone)]
pub struct Caller {
    /// The name in the certificate.
    pub who: String,
    /// As what.
    pub role: Role,
}

/// What the services pass on.
pub enum Command {
    /// An agent introduces itself.
    Up { hello: Hello, connection: u64, orders: mpsc::Sender<v1::ToAgent> },
    /// Its stream ended.
    Down { device: Name, connection: u64 },
    /// It answers.
    Heard { device: Name, connection: u64, answer: Answer },
    /// What differs there.
    Observed { device: Name, connection: u64, differences: Vec<String> },
    /// What would change.
    Plan { candidate: Box<Candidate>, reply: oneshot::Sender<v1::Planned> },
    /// Change it.
    Apply {
        candidate: Box<Candidate>,
        caller: Caller,
        reason: String,
        planned: Option<Digest>,
        on_failure: OnFailure,
        progress: mpsc::Sender<v1::Progress>,
    },
    /// Say what becomes of a rollout.
    Resolve(Resolution),
    /// Where everybody is.
    Status { reply: oneshot::Sender<v1::FabricStatus> },
    /// The same, and then what changes.
    Watch { news: mpsc::Sender<v1::News> },
    /// Answers once all is done that was asked before.
    Settle { reply: oneshot::Sender<()> },
    /// Write down what a service refused.
    Note { caller: Caller, what: String, outcome: AuditOutcome },
}

struct Agent {
    connection: u64,
    orders: mpsc::Sender<v1::ToAgent>,
}

/// Somebody who waits for an apply.
struct Applying {
    at: At,
    caller: Caller,
    reason: String,
    /// Who listens; nobody any more once it was told that it is held.
    progress: Option<mpsc::Sender<v1::Progress>>,
}

/// The one task that decides and writes.
pub struct Core {
    store: Store,
    history: History,
    log: Arc<Log>,
    key: SigningKey,
    epoch: Epoch,
    machine: Machine,
    begun: VecDeque<Action>,
    agents: BTreeMap<Name, Agent>,
    differences: BTreeMap<Name, Vec<String>>,
    applying: Option<Applying>,
    refusals: Refusals,
    watchers: Watchers,
    start: Instant,
    meter: Meter,
    term: Term,
}

impl Core {
    /// Begins under this epoch, with what the store knows.
    pub async fn resume(
        store: Store,
        history: History,
        log: Arc<Log>,
        key: SigningKey,
        epoch: Epoch,
        settings: Settings,
        meter: Meter,
    ) -> Result<Self, ServerError> {
        let ledger = ledger(&store, &history).await?;
        let (machine, begun) = Machine::resume(settings, ledger, 0);
        let (agents, differences) = (BTreeMap::new(), BTreeMap::new());
        Ok(Self {
            store,
            history,
            log,
            key,
            epoch,
            machine,
            begun: begun.into(),
            agents,
            differences,
            applying: None,
            refusals: Refusals::default(),
            watchers: Watchers::default(),
            start: Instant::now(),
            meter,
            term: Term::endless(),
        })
    }

    /// The same, but that it stops when this term is over: at once, in the middle of whatever it does.
    pub fn until(self, term: Term) -> Self {
        Self { term, ..self }
    }

    /// With which others write under the same term, without going through this task.
    pub fn pen(&self) -> Pen {
        Pen { store: self.store.clone(), log: Arc::clone(&self.log), epoch: self.epoch }
    }

    /// Runs until it is to stop, the store fails or another controller leads.
    pub async fn run(mut self, mut commands: mpsc::Receiver<Command>, stop: impl Future<Output = ()>) -> Result<(), ServerError> {
        let mut stop = std::pin::pin!(stop);
        let begun = std::mem::take(&mut self.begun);
        self.perform(begun).await?;
        loop {
            let wake = self.machine.wake_at().into_iter().chain(self.refusals.wake_at()).chain(self.watchers.wake_at()).min();
            let wake = wake.map(|at| self.start + Duration::from_millis(at));
            let event = tokio::select! {
                command = commands.recv() => match command {
                    Some(command) => self.command(command).await?,
                    None => return self.ends(commands).await,
                },
                () = sleep_until(wake) => Some(Event::Tick),
                () = &mut stop => return self.ends(commands).await,
            };
            let due = self.refusals.due(self.now());
            self.write_refused(due).await?;
            if let Some(event) = event {
                self.happens(event).await?;
            }
            let now = self.now();
            if self.watchers.looks(now) {
                let status = self.status();
                self.watchers.look(now, status);
            }
        }
    }

    fn now(&self) -> u64 {
        u64::try_from(self.start.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    async fn happens(&mut self, event: Event) -> Result<(), ServerError> {
        let actions = self.machine.on(self.now(), event);
        self.perform(actions.into()).await?;
        self.tell_held();
        Ok(())
    }

    /// Whether this is the stream that the device is on now: what an older one still says is of the past.
    fn is_current(&self, device: &Name, connection: u64) -> bool {
        self.agents.get(device).is_some_and(|agent| agent.connection == connection)
    }

    async fn command(&mut self, command: Command) -> Result<Option<Event>, ServerError> {
        match command {
            Command::Up { hello, connection, orders } => {
                tracing::info!(device = %hello.device, confirmed = ?hello.confirmed.map(|at| at.generation.0), "an agent is there");
                // the machine takes a second greeting for what it is; an older stream ends with its sender
                self.agents.insert(hello.device.clone(), Agent { connection, orders });
                Ok(Some(Event::Connected(hello)))
            }
            Command::Down { device, connection } if self.is_current(&device, connection) => {
                self.agents.remove(&device);
                Ok(Some(Event::Lost(device)))
            }
            Command::Heard { device, connection, answer } if self.is_current(&device, connection) => {
                if let Answer::Confirmed { at } = answer {
                    self.store.acknowledge(self.epoch, &BTreeMap::from([(device.clone(), at)])).await?;
                }
                self.tell_answer(&device, &answer);
                Ok(Some(Event::Heard(device, answer)))
            }
            Command::Observed { device, connection, differences } if self.is_current(&device, connection) => {
                self.note_drift(&device, &differences).await?;
                self.differences.insert(device, differences);
                Ok(None)
            }
            Command::Down { .. } | Command::Heard { .. } | Command::Observed { .. } => Ok(None),
            Command::Plan { candidate, reply } => {
                let _ = reply.send(self.plan(&candidate)?);
                Ok(None)
            }
            Command::Apply { candidate, caller, reason, planned, on_failure, progress } => {
                self.apply(*candidate, caller, reason, planned, on_failure, progress).await
            }
            Command::Resolve(resolution) => self.resolve(resolution).await,
            Command::Status { reply } => {
                let _ = reply.send(self.status());
                Ok(None)
            }
            Command::Watch { news } => {
                self.watchers.add(news);
                Ok(None)
            }
            Command::Settle { reply } => {
                let _ = reply.send(());
                Ok(None)
            }
            Command::Note { caller, what, outcome } => {
                self.note(caller, what, outcome).await?;
                Ok(None)
            }
        }
    }

    async fn apply(
        &mut self,
        candidate: Candidate,
        caller: Caller,
        reason: String,
        planned: Option<Digest>,
        on_failure: OnFailure,
        progress: mpsc::Sender<v1::Progress>,
    ) -> Result<Option<Event>, ServerError> {
        let head = self.head();
        let now_planned = candidate.digest(head.map(|head| head.revision)).map_err(ServerError::Print)?;
        let refusal = if let Some(at) = self.machine.running() {
            Some(format!("revision {} is under way; wait for its end", at.generation))
        } else if planned.is_some_and(|planned| planned != now_planned) {
            Some("what would be applied is not what was planned: intents, or the fabric's head, changed since; plan again".to_owned())
        } else {
            None
        };
        if let Some(reason) = refusal {
            self.meter.ended(v1::Outcome::Refused);
            finish(&progress, 0, v1::Outcome::Refused, &reason);
            self.note(caller, "apply".into(), AuditOutcome::Refused { reason }).await?;
            return Ok(None);
        }
        let (all, nothing) = self.wanted_by(&candidate)?;
        let Digests { intents, allocation, .. } = &candidate.digests;
        let past = self.history.head().await?;
        if let Some(past) = &past
            && past.revision.devices == all
            && past.revision.intents == *intents
            && past.revision.allocation == *allocation
        {
            self.meter.ended(v1::Outcome::Unchanged);
            finish(&progress, past.at.generation.0, v1::Outcome::Unchanged, "nothing differs from what is");
            return Ok(None);
        }
        // what the head names is kept already, and is nearly all of it
        let known = |path: &String, digest| past.as_ref().and_then(|past| past.revision.intents.get(path)) == Some(digest);
        let files = candidate.intents.iter().filter(|(path, _)| !intents.get(*path).is_some_and(|digest| known(path, digest)));
        let new = candidate.devices.iter().filter(|(name, _)| self.before(name) != all.get(*name));
        let artefacts =
            new.map(|(_, artefacts)| artefacts).chain([&nothing]).flat_map(|artefacts| artefacts.files.values()).map(String::as_bytes);
        let blobs = files.map(|(_, bytes)| bytes.as_slice()).chain(artefacts);
        let blobs = blobs.chain([candidate.allocation.as_bytes(), candidate.certificate.as_bytes()]);
        self.store.put_chunks(self.epoch, blobs).await?;
        let changed = all.iter().filter(|(name, files)| self.before(name) != Some(files));
        let devices: BTreeMap<Name, Files> = changed.map(|(name, files)| (name.clone(), files.clone())).collect();
        let revision = Revision {
            generation: self.store.newest().await?.next(),
            parent: head.map(|head| head.revision),
            intents: intents.clone(),
            allocation: *allocation,
            devices: all,
            proof: Some(Digest::of(candidate.certificate.as_bytes())),
            author: author(&caller),
            reason: reason.clone(),
            made_at: wall_clock(),
        };
        let signed = Signed::new(&revision, &self.key).map_err(ServerError::Print)?;
        let at = self.store.put_revision(self.epoch, &signed).await?;
        self.store.start(self.epoch, at.generation).await?;
        self.audit(caller.clone(), "apply".into(), reason.clone(), AuditOutcome::Begun, Some(at)).await?;
        let batches = batches(&devices.keys().cloned().collect(), &candidate.redundant, None);
        let told = news(at.generation.0, "", "begun", &format!("{} devices in {} batches", devices.len(), batches.len()), None);
        self.watchers.tell(&told);
        tell(&progress, told);
        self.meter.begun(at);
        self.applying = Some(Applying { at, caller, reason, progress: Some(progress) });
        Ok(Some(Event::Start(Transaction { at, parent: head, devices, batches, on_failure })))
    }

    fn tell_answer(&mut self, device: &Name, answer: &Answer) {
        let (at, phase, message) = match answer {
            Answer::Prepared { at } => (at, "prepared", ""),
            Answer::Refused { at, reason } => (at, "refused", reason.as_str()),
            Answer::Applied { at } => (at, "applied", ""),
            Answer::Failed { at, reason } => (at, "failed", reason.as_str()),
            Answer::Confirmed { at } => (at, "confirmed", ""),
            Answer::WentBack { from, reason } => (from, "went back", reason.as_str()),
        };
        tracing::info!(%device, generation = at.generation.0, phase, message, "an agent answers");
        let told = news(at.generation.0, device.as_str(), phase, message, None);
        self.watchers.tell(&told);
        let applying = self.applying.as_ref().filter(|applying| applying.at == *at);
        if let Some(progress) = applying.and_then(|applying| applying.progress.as_ref()) {
            tell(progress, told);
        }
    }

    async fn perform(&mut self, mut actions: VecDeque<Action>) -> Result<(), ServerError> {
        while let Some(action) = actions.pop_front() {
            // the store refuses what comes late, and nobody but us what is said to agents
            if !self.term.holds() {
                return Err(ServerError::Over);
            }
            match action {
                Action::Order(device, intention) => {
                    self.meter.ordered(&intention);
                    self.order(&device, intention)?;
                }
                Action::Decide { at, outcome, reason } => {
                    let decided = self.decide(at, outcome, &reason.unwrap_or_default()).await?;
                    self.meter.decided(at, decided);
                    actions.extend(self.machine.on(self.now(), Event::Decided(at, decided)));
                }
                Action::Declined { at, reason } => {
                    self.store.abandon(self.epoch, at.generation, &reason).await?;
                    self.finished(at, v1::Outcome::Refused, &reason, AuditOutcome::Refused { reason: reason.clone() }).await?;
                }
                Action::Finished { at, outcome, reason, .. } => {
                    let reason = reason.unwrap_or_default();
                    let (told, written) = match outcome {
                        Outcome::Committed => (v1::Outcome::Committed, AuditOutcome::Done),
                        Outcome::Abandoned => (v1::Outcome::Abandoned, AuditOutcome::Failed { reason: reason.clone() }),
                    };
                    self.finished(at, told, &reason, written).await?;
                }
            }
        }
        Ok(())
    }

    async fn finished(&mut self, at: At, told: v1::Outcome, reason: &str, written: AuditOutcome) -> Result<(), ServerError> {
        tracing::info!(generation = at.generation.0, outcome = ?told, reason, "a rollout ended");
        self.meter.ended(told);
        self.watchers.tell(&news(at.generation.0, "", "finished", reason, Some(told)));
        let Some(applying) = self.applying.take_if(|applying| applying.at == at) else {
            let own = Caller { who: "controller".into(), role: Role::Controller };
            return self.audit(own, "apply".into(), "taken up after a restart".into(), written, Some(at)).await;
        };
        self.audit(applying.caller, "apply".into(), applying.reason, written, Some(at)).await?;
        if let Some(progress) = applying.progress {
            finish(&progress, at.generation.0, told, reason);
        }
        Ok(())
    }

    /// Makes a decision durable, unless another one is there; that one is the answer.
    async fn decide(&mut self, at: At, outcome: Outcome, reason: &str) -> Result<Outcome, ServerError> {
        let done = match outcome {
            Outcome::Committed => self.store.move_head(self.epoch, self.head(), at).await,
            Outcome::Abandoned => self.store.abandon(self.epoch, at.generation, reason).await,
        };
        match (done, self.store.decision(at.generation).await?) {
            (_, Some(Decision::Committed)) => Ok(Outcome::Committed),
            (_, Some(Decision::Abandoned { .. })) => Ok(Outcome::Abandoned),
            (Err(error), _) => Err(error.into()),
            (Ok(()), _) => Err(StoreError::NoRevision(at.generation).into()),
        }
    }

    fn order(&self, device: &Name, intention: Intention) -> Result<(), ServerError> {
        let Some(agent) = self.agents.get(device) else { return Ok(()) };
        let order = match intention {
            Intention::Prepare { at, files, replaces } => {
                let part = DeviceRevision { device: device.clone(), generation: at.generation, revision: at.revision, replaces, files };
                Order::Prepare { revision: Signed::new(&part, &self.key).map_err(ServerError::Print)? }
            }
            Intention::Apply { at, confirm_within } => Order::Apply { at, confirm_within },
            Intention::Confirm { at } => Order::Confirm { at },
            Intention::Abandon { at } => Order::Abandon { at },
        };
        // an agent that does not take its orders hears them again
        if agent.orders.try_send(order.into()).is_err() {
            tracing::debug!(%device, "does not take its orders now");
        }
        Ok(())
    }
}

async fn sleep_until(wake: Option<Instant>) {
    match wake {
        Some(at) => tokio::time::sleep_until(at.into()).await,
        None => std::future::pending().await,
    }
}
