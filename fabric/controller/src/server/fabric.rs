//! The service for operators, tenants and their tools.

use leafwall_api::v1;
use leafwall_intent::ALLOCATION_FILE;
use leafwall_rollout::digest::Digest;
use leafwall_rollout::fabric::{OnFailure, Outcome as Ends};
use leafwall_rollout::revision::Generation;
use leafwall_topology::Name;
use tokio::sync::{mpsc, oneshot};
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status, Streaming};

use super::back::back;
use super::core::{Caller, Command, Resolution};
use super::messages::{Answers, internal, on_failure, planned, reason, stream, summary, upload};
use super::peer::caller;
use super::reach;
use super::tenants::{self, Tenants};
use crate::audit::{Outcome, Role};
use crate::history::{Changes, History, Intents, diff};
use crate::pipeline::{self, Candidate, Pipeline, Rejection};
use crate::store::Store;

/// The most that a directory of intents may hold, in bytes: a fabric of a thousand leaves has a tenth of it.
const UPLOAD_MAX: usize = 256 << 20;
/// Bytes of a file in one message.
const PIECE: usize = 256 * 1024;
/// Lines that somebody who watches an apply may be behind.
const PROGRESS: usize = 4096;
/// News that somebody who watches the fabric may be behind.
const NEWS: usize = 1024;
/// Audit entries that are read at once.
const PAGE: usize = 256;

/// The service.
pub struct Service {
    commands: mpsc::Sender<Command>,
    history: History,
    store: Store,
    proof: Pipeline,
    tenants: Tenants,
}

/// What a call needs.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Need {
    Look,
    Change,
}

impl Service {
    pub fn new(commands: mpsc::Sender<Command>, history: History, store: Store) -> Self {
        let proof = Pipeline::default();
        let tenants = Tenants::new(history.clone(), store.clone(), proof.clone());
        Self { commands, history, store, proof, tenants }
    }

    /// Who asks for what tenants may have their own part of, and which tenant it is, if it is one.
    async fn asks<T>(&self, request: &Request<T>, what: &str, need: Need) -> Result<(Caller, Option<Name>), Status> {
        let caller = caller(request)?;
        match caller.role.clone() {
            Role::Tenant { tenant } => Ok((caller, Some(tenant))),
            _ => Ok((self.allowed(request, what, need).await?, None)),
        }
    }

    /// Who asks, if they may. What is not allowed is written down.
    async fn allowed<T>(&self, request: &Request<T>, what: &str, need: Need) -> Result<Caller, Status> {
        let caller = caller(request)?;
        let may = match caller.role {
            Role::Operator => true,
            Role::Viewer => need == Need::Look,
            // whole-fabric calls show and change what is other tenants'
            Role::Tenant { .. } | Role::Agent { .. } | Role::Controller | Role::Nobody => false,
        };
        if may {
            return Ok(caller);
        }
        let reason = format!("`{}` may not do this", caller.who);
        Err(self.denied(caller, what, reason).await)
    }

    /// Writes down what somebody may not, and says so.
    async fn denied(&self, caller: Caller, what: &str, reason: String) -> Status {
        let outcome = Outcome::Refused { reason: reason.clone() };
        let _ = self.commands.send(Command::Note { caller, what: what.to_owned(), outcome }).await;
        Status::permission_denied(reason)
    }

    async fn candidate(&self, intents: Intents) -> Result<Result<Candidate, Rejection>, Status> {
        let stored = match self.history.head().await.map_err(|error| internal(&error))? {
            Some(head) => Some(self.history.allocation(&head.revision).await.map_err(|error| internal(&error))?),
            None => None,
        };
        let proof = self.proof.clone();
        let build = move || proof.build(intents, stored.as_deref());
        tokio::task::spawn_blocking(build).await.map_err(|error| Status::internal(error.to_string()))
    }

    /// What these intents would change.
    async fn planned(&self, intents: Intents) -> Result<Response<v1::Planned>, Status> {
        let candidate = match self.candidate(intents).await? {
            Ok(candidate) => candidate,
            Err(rejection) => {
                let diagnostics = rejection.to_string();
                return Ok(Response::new(v1::Planned { diagnostics, refused: true, ..v1::Planned::default() }));
            }
        };
        let head = self.history.head().await.map_err(|error| internal(&error))?;
        let before = reach::of_head(&self.history, &self.proof, head.as_ref()).await?;
        let changes = before.map(|before| before.changes(&candidate.reach).iter().map(reach::told).collect());
        let planned = self.differs(candidate).await?;
        Ok(Response::new(v1::Planned { reach: changes.unwrap_or_default(), ..planned }))
    }

    async fn differs(&self, candidate: Candidate) -> Result<v1::Planned, Status> {
        let (reply, answer) = oneshot::channel();
        self.send(Command::Plan { candidate: Box::new(candidate), reply }).await?;
        answer.await.map_err(|_| Status::unavailable("the controller ends"))
    }

    /// What a tenant's own documents would change.
    async fn planned_by(&self, caller: Caller, tenant: &Name, pieces: Streaming<v1::Upload>) -> Result<Response<v1::Planned>, Status> {
        let _turn = self.tenants.turn(tenant).await?;
        let (_, sent) = upload(pieces, tenants::UPLOAD_MAX).await?;
        match self.tenants.wanted(tenant, sent).await? {
            Ok(wanted) => {
                let (candidate, seen) = wanted.part();
                let planned = self.differs(candidate).await?;
                Ok(Response::new(Tenants::planned(&seen, planned)))
            }
            Err(diagnostics) => {
                // who looks for what is others' does it by plans
                let outcome = Outcome::Refused { reason: diagnostics.lines().next().unwrap_or_default().to_owned() };
                self.send(Command::Note { caller, what: "plan".to_owned(), outcome }).await?;
                Ok(Response::new(v1::Planned { diagnostics, refused: true, ..v1::Planned::default() }))
            }
        }
    }

    /// Rolls out a tenant's own documents.
    async fn applied_by(
        &self,
        caller: Caller,
        tenant: &Name,
        pieces: Streaming<v1::Upload>,
    ) -> Result<Response<Answers<v1::Progress>>, Status> {
        let _turn = self.tenants.turn(tenant).await?;
        let (head, sent) = upload(pieces, tenants::UPLOAD_MAX).await?;
        let planned = planned(&head)?;
        if on_failure(&head) == OnFailure::Hold {
            // it would hold up everybody else's changes
            return Err(self.denied(caller, "hold a rollout", "only operators hold a rollout".to_owned()).await);
        }
        match self.tenants.wanted(tenant, sent).await? {
            Ok(wanted) => {
                // what is made from one head is for that head alone: else what others did in between would be undone
                let made = wanted.candidate.digest(wanted.head).map_err(|error| Status::internal(error.to_string()))?;
                let (candidate, seen) = wanted.part();
                let planned = Some(planned.unwrap_or(made));
                let answers = self.rolled_out(Ok(candidate), caller, head.reason, planned, OnFailure::RollBack).await?.into_inner();
                Ok(Response::new(stream(answers.into_inner(), move |told| match told {
                    Ok(told) => tenants::progress(told, &seen.machines).map(Ok),
                    Err(status) => Some(Err(status)),
                })))
            }
            Err(message) => self.refused(caller, message).await,
        }
    }

    /// Tells why intents are refused, and writes it down.
    async fn refused(&self, caller: Caller, message: String) -> Result<Response<Answers<v1::Progress>>, Status> {
        let outcome = Outcome::Refused { reason: message.lines().next().unwrap_or_default().to_owned() };
        self.send(Command::Note { caller, what: "apply".to_owned(), outcome }).await?;
        let (phase, outcome) = ("refused".to_owned(), Some(v1::Outcome::Refused.into()));
        let last = v1::Progress { generation: 0, device: String::new(), phase, message, outcome };
        let (send, answer) = mpsc::channel(1);
        let _ = send.send(Ok(last)).await;
        Ok(Response::new(ReceiverStream::new(answer)))
    }

    /// Rolls out what intents came to, or tells why they are refused.
    async fn rolled_out(
        &self,
        candidate: Result<Candidate, Rejection>,
        caller: Caller,
        reason: String,
        planned: Option<Digest>,
        on_failure: OnFailure,
    ) -> Result<Response<Answers<v1::Progress>>, Status> {
        let candidate = match candidate {
            Ok(candidate) => Box::new(candidate),
            Err(rejection) => return self.refused(caller, rejection.to_string()).await,
        };
        let (progress, watched) = mpsc::channel::<v1::Progress>(PROGRESS);
        self.send(Command::Apply { candidate, caller, reason, planned, on_failure, progress }).await?;
        Ok(Response::new(stream(watched, |told| Some(Ok(told)))))
    }

    async fn send(&self, command: Command) -> Result<(), Status> {
        self.commands.send(command).await.map_err(|_| Status::unavailable("the controller ends"))
    }
}

#[tonic::async_trait]
impl v1::fabric_server::Fabric for Service {
    type ApplyStream = Answers<v1::Progress>;
    type BackStream = Answers<v1::Progress>;
    type WatchStream = Answers<v1::News>;
    type HistoryStream = Answers<v1::RevisionSummary>;
    type ShowStream = Answers<v1::FilePiece>;
    type AuditStream = Answers<v1::AuditEntry>;

    async fn plan(&self, request: Request<Streaming<v1::Upload>>) -> Result<Response<v1::Planned>, Status> {
        if let (caller, Some(tenant)) = self.asks(&request, "plan", Need::Look).await? {
            return self.planned_by(caller, &tenant, request.into_inner()).await;
        }
        let (_, intents) = upload(request.into_inner(), UPLOAD_MAX).await?;
        self.planned(intents).await
    }

    async fn plan_back(&self, request: Request<v1::BackRequest>) -> Result<Response<v1::Planned>, Status> {
        self.allowed(&request, "plan going back", Need::Look).await?;
        let (intents, _) = back(&self.history, &self.store, request.get_ref()).await?;
        self.planned(intents).await
    }

    async fn apply(&self, request: Request<Streaming<v1::Upload>>) -> Result<Response<Self::ApplyStream>, Status> {
        let (caller, tenant) = self.asks(&request, "apply", Need::Change).await?;
        if let Some(tenant) = tenant {
            return self.applied_by(caller, &tenant, request.into_inner()).await;
        }
        let (head, intents) = upload(request.into_inner(), UPLOAD_MAX).await?;
        let planned = planned(&head)?;
        let candidate = self.candidate(intents).await?;
        let on_failure = on_failure(&head);
        self.rolled_out(candidate, caller, head.reason, planned, on_failure).await
    }

    async fn back(&self, request: Request<v1::BackRequest>) -> Result<Response<Self::BackStream>, Status> {
        let caller = self.allowed(&request, "going back", Need::Change).await?;
        // The head is read before what is made from it: if it moves from here on, the digest is another one and the core refuses, instead of undoing
        // what came in between.
        let head = self.history.head().await.map_err(|error| internal(&error))?.map(|head| head.at.revision);
        let (intents, reason) = match back(&self.history, &self.store, request.get_ref()).await {
            Ok(found) => found,
            Err(status) => {
                let reason = status.message().lines().next().unwrap_or_default().to_owned();
                self.send(Command::Note { caller, what: "going back".to_owned(), outcome: Outcome::Refused { reason } }).await?;
                return Err(status);
            }
        };
        let candidate = self.candidate(intents).await?;
        let planned = match &candidate {
            Ok(candidate) => Some(candidate.digest(head).map_err(|error| Status::internal(error.to_string()))?),
            Err(_) => None,
        };
        self.rolled_out(candidate, caller, reason, planned, OnFailure::RollBack).await
    }

    async fn resolve(&self, request: Request<v1::ResolveRequest>) -> Result<Response<v1::Resolved>, Status> {
        let caller = self.allowed(&request, "resolve", Need::Change).await?;
        let request = request.into_inner();
        reason(&request.reason)?;
        let outcome = match request.outcome() {
            v1::Outcome::Committed => Ends::Committed,
            v1::Outcome::Abandoned => Ends::Abandoned,
            _ => return Err(Status::invalid_argument("a rollout is resolved by committing or by abandoning it")),
        };
        let (reply, answer) = oneshot::channel();
        let generation = Generation(request.generation);
        self.send(Command::Resolve(Resolution { generation, outcome, caller, reason: request.reason, reply })).await?;
        answer.await.map_err(|_| Status::unavailable("the controller ends"))??;
        Ok(Response::new(v1::Resolved {}))
    }

    async fn status(&self, request: Request<v1::StatusRequest>) -> Result<Response<v1::FabricStatus>, Status> {
        let (_, tenant) = self.asks(&request, "status", Need::Look).await?;
        let (reply, answer) = oneshot::channel();
        self.send(Command::Status { reply }).await?;
        let whole = answer.await.map_err(|_| Status::unavailable("the controller ends"))?;
        Ok(Response::new(match tenant {
            Some(tenant) => self.tenants.status(&tenant, whole).await?,
            None => whole,
        }))
    }

    async fn watch(&self, request: Request<v1::WatchRequest>) -> Result<Response<Self::WatchStream>, Status> {
        self.allowed(&request, "watch", Need::Look).await?;
        let (news, watched) = mpsc::channel(NEWS);
        self.send(Command::Watch { news }).await?;
        Ok(Response::new(stream(watched, |news| Some(Ok(news)))))
    }

    async fn history(&self, request: Request<v1::HistoryRequest>) -> Result<Response<Self::HistoryStream>, Status> {
        let (_, tenant) = self.asks(&request, "history", Need::Look).await?;
        let limit = request.into_inner().limit;
        if let Some(tenant) = tenant {
            let turn = self.tenants.turn(&tenant).await?;
            let (send, revisions) = mpsc::channel(4);
            let tenants = self.tenants.clone();
            tokio::spawn(async move {
                let told = tokio::select! {
                    told = tenants.tell_history(&tenant, limit, &send) => told,
                    () = send.closed() => Ok(()),
                };
                drop(turn);
                if let Err(status) = told {
                    let _ = send.send(Err(status)).await;
                }
            });
            return Ok(Response::new(ReceiverStream::new(revisions)));
        }
        let newest = self.store.newest().await.map_err(|error| Status::internal(error.to_string()))?;
        let (send, revisions) = mpsc::channel(4);
        let (history, store) = (self.history.clone(), self.store.clone());
        tokio::spawn(async move {
            let all = (1..=newest.0).rev().map(Generation);
            for generation in all.take(if limit == 0 { usize::MAX } else { limit as usize }) {
                let summary = summary(&history, &store, generation).await;
                let failed = summary.is_err();
                if send.send(summary).await.is_err() || failed {
                    return;
                }
            }
        });
        Ok(Response::new(ReceiverStream::new(revisions)))
    }

    async fn compare(&self, request: Request<v1::CompareRequest>) -> Result<Response<v1::Compared>, Status> {
        self.allowed(&request, "compare", Need::Look).await?;
        let request = request.into_inner();
        let newest = self.store.newest().await.map_err(|error| Status::internal(error.to_string()))?;
        for generation in [request.from, request.to].map(Generation) {
            if generation == Generation::NONE || generation > newest {
                return Err(Status::not_found(format!("there is no revision {generation}: they go from 1 to {newest}")));
            }
        }
        let [from, to] = [request.from, request.to].map(|generation| self.history.revision(Generation(generation)));
        let (from, to) = (from.await.map_err(|error| internal(&error))?, to.await.map_err(|error| internal(&error))?);
        let change = |(device, changes): (Name, Changes)| {
            let kind = match (from.revision.devices.contains_key(&device), to.revision.devices.contains_key(&device)) {
                (false, _) => "new",
                (true, true) => "changed",
                (true, false) => "removed",
            };
            let files = [changes.added, changes.changed, changes.removed].into_iter().flatten().collect();
            v1::DeviceChange { device: device.to_string(), kind: kind.to_owned(), files }
        };
        let devices = diff(&from.revision, &to.revision).devices.into_iter().map(change).collect();
        Ok(Response::new(v1::Compared { devices }))
    }

    async fn show(&self, request: Request<v1::ShowRequest>) -> Result<Response<Self::ShowStream>, Status> {
        let (caller, tenant) = self.asks(&request, "show", Need::Look).await?;
        let v1::ShowRequest { generation, allocation, servers } = request.into_inner();
        let generation = Generation(generation);
        let intents = match tenant {
            _ if allocation && servers => return Err(Status::invalid_argument("either the table of numbers or servers")),
            Some(_) if allocation => {
                let reason = "the table of numbers is the whole fabric's: only operators and viewers see it".to_owned();
                return Err(self.denied(caller, "show the allocation", reason).await);
            }
            Some(tenant) => {
                let _turn = self.tenants.turn(&tenant).await?;
                if servers { self.tenants.servers(&tenant, generation).await? } else { self.tenants.show(&tenant, generation).await? }
            }
            None => {
                let past = self.history.revision(generation).await.map_err(|error| internal(&error))?;
                let mut intents = self.history.intents(&past.revision).await.map_err(|error| internal(&error))?;
                if servers {
                    let table = self.history.allocation(&past.revision).await.map_err(|error| internal(&error))?;
                    let work = tokio::task::spawn_blocking(move || pipeline::servers(intents, &table, None));
                    let servers = work.await.map_err(|error| Status::internal(error.to_string()))?;
                    intents = tenants::files_of(servers.map_err(|rejection| Status::failed_precondition(rejection.to_string()))?);
                } else if allocation {
                    let table = self.history.allocation(&past.revision).await.map_err(|error| internal(&error))?;
                    intents.insert(ALLOCATION_FILE.to_owned(), table.into_bytes());
                }
                intents
            }
        };
        let (send, pieces) = mpsc::channel(4);
        tokio::spawn(async move {
            for (path, bytes) in intents {
                // an empty file is a file too
                let pieces: Vec<&[u8]> = if bytes.is_empty() { vec![&[]] } else { bytes.chunks(PIECE).collect() };
                for piece in pieces {
                    if send.send(Ok(v1::FilePiece { path: path.clone(), bytes: piece.to_vec() })).await.is_err() {
                        return;
                    }
                }
            }
        });
        Ok(Response::new(ReceiverStream::new(pieces)))
    }

    async fn audit(&self, request: Request<v1::AuditRequest>) -> Result<Response<Self::AuditStream>, Status> {
        self.allowed(&request, "audit", Need::Look).await?;
        // what somebody was told before is in what is read now
        let (reply, settled) = oneshot::channel();
        self.send(Command::Settle { reply }).await?;
        settled.await.map_err(|_| Status::unavailable("the controller ends"))?;
        let (send, entries) = mpsc::channel(4);
        let store = self.store.clone();
        tokio::spawn(async move {
            let mut from = 1;
            loop {
                let page = match store.audit_entries(from, PAGE).await {
                    Ok(page) => page,
                    Err(error) => {
                        let _ = send.send(Err(Status::data_loss(error.to_string()))).await;
                        return;
                    }
                };
                let Some((last, _)) = page.last() else { return };
                from = last + 1;
                for (_, entry) in page {
                    let entry = entry.map(|signed| v1::AuditEntry { text: signed.text, signature: signed.signature });
                    if send.send(entry.map_err(|error| Status::data_loss(error.to_string()))).await.is_err() {
                        return;
                    }
                }
            }
        });
        Ok(Response::new(ReceiverStream::new(entries)))
    }
}
