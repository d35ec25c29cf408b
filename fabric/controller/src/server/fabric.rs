//! The service for operators, tenants and their tools.

use leafwall_api::v1;
use leafwall_api::v1::upload::Part;
use leafwall_proof::Known;
use leafwall_rollout::digest::Digest;
use leafwall_rollout::revision::Generation;
use tokio::sync::{Mutex, mpsc, oneshot};
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status, Streaming};

use super::back::back;
use super::core::{Caller, Command};
use super::peer::caller;
use crate::audit::{Outcome, Role};
use crate::history::{History, HistoryError, Intents};
use crate::pipeline::{Candidate, Rejection};
use crate::store::{Decision, Store};

/// The most that a directory of intents may hold, in bytes: a fabric of a thousand leaves has a tenth of it.
const UPLOAD_MAX: usize = 256 << 20;
/// Bytes of a file in one message.
const PIECE: usize = 256 * 1024;
/// Lines that somebody who watches an apply may be behind.
const PROGRESS: usize = 4096;
/// Audit entries that are read at once.
const PAGE: usize = 256;

/// The service.
pub struct Service {
    commands: mpsc::Sender<Command>,
    history: History,
    store: Store,
    /// What the last proof found out.
    known: Mutex<Known>,
}

/// What a call needs.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Need {
    Look,
    Change,
}

impl Service {
    pub fn new(commands: mpsc::Sender<Command>, history: History, store: Store) -> Self {
        Self { commands, history, store, known: Mutex::default() }
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
        let outcome = Outcome::Refused { reason: reason.clone() };
        let _ = self.commands.send(Command::Note { caller, what: what.to_owned(), outcome }).await;
        Err(Status::permission_denied(reason))
    }

    async fn candidate(&self, intents: Intents) -> Result<Result<Candidate, Rejection>, Status> {
        let stored = match self.history.head().await.map_err(|error| internal(&error))? {
            Some(head) => {
                let bytes = self.store.chunk(&head.revision.allocation).await.map_err(|error| Status::internal(error.to_string()))?;
                Some(String::from_utf8(bytes).map_err(|error| Status::internal(error.to_string()))?)
            }
            None => None,
        };
        // whoever comes while another one's candidate is built starts from nothing instead of waiting
        let mut known = std::mem::take(&mut *self.known.lock().await);
        let built = tokio::task::spawn_blocking(move || (Candidate::build(intents, stored.as_deref(), &mut known), known)).await;
        let (candidate, known) = built.map_err(|error| Status::internal(error.to_string()))?;
        *self.known.lock().await = known;
        Ok(candidate)
    }

    /// What these intents would change.
    async fn planned(&self, intents: Intents) -> Result<Response<v1::Planned>, Status> {
        let candidate = match self.candidate(intents).await? {
            Ok(candidate) => candidate,
            Err(rejection) => {
                let diagnostics = rejection.to_string();
                return Ok(Response::new(v1::Planned { digest: Vec::new(), devices: Vec::new(), diagnostics, refused: true }));
            }
        };
        let (reply, answer) = oneshot::channel();
        self.send(Command::Plan { candidate: Box::new(candidate), reply }).await?;
        answer.await.map(Response::new).map_err(|_| Status::unavailable("the controller ends"))
    }

    /// Rolls out what intents came to, or tells why they are refused.
    async fn rolled_out(
        &self,
        candidate: Result<Candidate, Rejection>,
        caller: Caller,
        reason: String,
        planned: Option<Digest>,
    ) -> Result<Response<Answers<v1::Progress>>, Status> {
        let (progress, watched) = mpsc::channel::<v1::Progress>(PROGRESS);
        match candidate {
            Ok(candidate) => {
                let candidate = Box::new(candidate);
                self.send(Command::Apply { candidate, caller, reason, planned, progress }).await?;
            }
            Err(rejection) => {
                let message = rejection.to_string();
                let outcome = Outcome::Refused { reason: message.lines().next().unwrap_or_default().to_owned() };
                self.send(Command::Note { caller, what: "apply".to_owned(), outcome }).await?;
                let phase = "refused".to_owned();
                let last =
                    v1::Progress { generation: 0, device: String::new(), phase, message, outcome: Some(v1::Outcome::Refused.into()) };
                let _ = progress.send(last).await;
            }
        }
        Ok(Response::new(stream(watched)))
    }

    async fn send(&self, command: Command) -> Result<(), Status> {
        self.commands.send(command).await.map_err(|_| Status::unavailable("the controller ends"))
    }
}

pub(super) fn internal(error: &HistoryError) -> Status {
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(inner) = cause {
        text = format!("{text}: {inner}");
        cause = inner.source();
    }
    Status::internal(text)
}

/// What is wanted, put together from its pieces.
async fn upload(mut pieces: Streaming<v1::Upload>) -> Result<(v1::ApplyHead, Intents), Status> {
    let mut head = None;
    let mut intents = Intents::new();
    let mut length = 0;
    while let Some(upload) = pieces.message().await? {
        match upload.part.ok_or_else(|| Status::invalid_argument("an empty message"))? {
            Part::Head(first) if head.is_none() && intents.is_empty() => head = Some(first),
            Part::Head(_) => return Err(Status::invalid_argument("the head must come first, and once")),
            Part::Piece(piece) => {
                if piece.path.is_empty() || piece.path.contains(['/', '\0']) || piece.path.starts_with('.') {
                    return Err(Status::invalid_argument(format!("`{}` is no file at the top of a fabric's directory", piece.path)));
                }
                length += piece.bytes.len() + piece.path.len();
                if length > UPLOAD_MAX {
                    return Err(Status::resource_exhausted(format!("more than {UPLOAD_MAX} bytes")));
                }
                intents.entry(piece.path).or_default().extend(piece.bytes);
            }
        }
    }
    Ok((head.ok_or_else(|| Status::invalid_argument("no head"))?, intents))
}

type Answers<T> = ReceiverStream<Result<T, Status>>;

#[tonic::async_trait]
impl v1::fabric_server::Fabric for Service {
    type ApplyStream = Answers<v1::Progress>;
    type BackStream = Answers<v1::Progress>;
    type HistoryStream = Answers<v1::RevisionSummary>;
    type ShowStream = Answers<v1::FilePiece>;
    type AuditStream = Answers<v1::AuditEntry>;

    async fn plan(&self, request: Request<Streaming<v1::Upload>>) -> Result<Response<v1::Planned>, Status> {
        self.allowed(&request, "plan", Need::Look).await?;
        let (_, intents) = upload(request.into_inner()).await?;
        self.planned(intents).await
    }

    async fn plan_back(&self, request: Request<v1::BackRequest>) -> Result<Response<v1::Planned>, Status> {
        self.allowed(&request, "plan going back", Need::Look).await?;
        let (intents, _) = back(&self.history, &self.store, request.get_ref()).await?;
        self.planned(intents).await
    }

    async fn apply(&self, request: Request<Streaming<v1::Upload>>) -> Result<Response<Self::ApplyStream>, Status> {
        let caller = self.allowed(&request, "apply", Need::Change).await?;
        let (head, intents) = upload(request.into_inner()).await?;
        if head.on_failure() == v1::OnFailure::Hold {
            return Err(Status::unimplemented("this controller always goes back where an apply fails"));
        }
        let planned = match head.planned.as_slice() {
            [] => None,
            bytes => {
                Some(leafwall_api::convert::digest("planned", bytes).map_err(|malformed| Status::invalid_argument(malformed.to_string()))?)
            }
        };
        let candidate = self.candidate(intents).await?;
        self.rolled_out(candidate, caller, head.reason, planned).await
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
        self.rolled_out(candidate, caller, reason, planned).await
    }

    async fn status(&self, request: Request<v1::StatusRequest>) -> Result<Response<v1::FabricStatus>, Status> {
        self.allowed(&request, "status", Need::Look).await?;
        let (reply, answer) = oneshot::channel();
        self.send(Command::Status { reply }).await?;
        answer.await.map(Response::new).map_err(|_| Status::unavailable("the controller ends"))
    }

    async fn history(&self, request: Request<v1::HistoryRequest>) -> Result<Response<Self::HistoryStream>, Status> {
        self.allowed(&request, "history", Need::Look).await?;
        let limit = request.into_inner().limit;
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

    async fn show(&self, request: Request<v1::ShowRequest>) -> Result<Response<Self::ShowStream>, Status> {
        self.allowed(&request, "show", Need::Look).await?;
        let generation = Generation(request.into_inner().generation);
        let intents = self.history.restore(generation).await.map_err(|error| internal(&error))?;
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

fn stream<T: Send + 'static>(mut from: mpsc::Receiver<T>) -> Answers<T> {
    let (send, answer) = mpsc::channel(4);
    tokio::spawn(async move {
        while let Some(one) = from.recv().await {
            if send.send(Ok(one)).await.is_err() {
                return;
            }
        }
    });
    ReceiverStream::new(answer)
}

async fn summary(history: &History, store: &Store, generation: Generation) -> Result<v1::RevisionSummary, Status> {
    let past = history.revision(generation).await.map_err(|error| internal(&error))?;
    let decision = store.decision(generation).await.map_err(|error| Status::internal(error.to_string()))?;
    let outcome = match decision {
        None => "not started".to_owned(),
        Some(Decision::Started) => "under way".to_owned(),
        Some(Decision::Committed) => "committed".to_owned(),
        Some(Decision::Abandoned { reason }) => format!("abandoned: {reason}"),
    };
    Ok(v1::RevisionSummary {
        generation: generation.0,
        revision: past.at.revision.bytes().to_vec(),
        made_at: past.revision.made_at,
        author: past.revision.author,
        reason: past.revision.reason,
        outcome,
    })
}
