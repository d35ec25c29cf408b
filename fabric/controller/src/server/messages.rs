//! What is put together of messages, and what answers are made of.

use leafwall_api::convert;
use leafwall_api::v1;
use leafwall_api::v1::upload::Part;
use leafwall_rollout::digest::Digest;
use leafwall_rollout::fabric::OnFailure;
use leafwall_rollout::revision::Generation;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Status, Streaming};

use crate::history::{History, HistoryError, Intents};
use crate::store::{Decision, Store};

/// Bytes of a reason: it stands in the revision for ever.
const REASON_MAX: usize = 4096;

/// What is told as it comes.
pub type Answers<T> = ReceiverStream<Result<T, Status>>;

/// What failed within the controller, with its causes.
pub fn internal(error: &HistoryError) -> Status {
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(inner) = cause {
        text = format!("{text}: {inner}");
        cause = inner.source();
    }
    Status::internal(text)
}

/// What was planned, if that is said, and whether all that is said of it can be had.
pub fn planned(head: &v1::ApplyHead) -> Result<Option<Digest>, Status> {
    reason(&head.reason)?;
    match head.planned.as_slice() {
        [] => Ok(None),
        bytes => convert::digest("planned", bytes).map(Some).map_err(|malformed| Status::invalid_argument(malformed.to_string())),
    }
}

/// Whether a reason is short enough for history and audit log.
pub fn reason(text: &str) -> Result<(), Status> {
    if text.len() > REASON_MAX {
        return Err(Status::invalid_argument(format!("the reason has {} bytes, and {REASON_MAX} are allowed", text.len())));
    }
    Ok(())
}

/// What to do where a device fails.
pub fn on_failure(head: &v1::ApplyHead) -> OnFailure {
    match head.on_failure() {
        v1::OnFailure::Rollback => OnFailure::RollBack,
        v1::OnFailure::Hold => OnFailure::Hold,
    }
}

/// What is wanted, put together from its pieces: at most so many bytes.
pub async fn upload(mut pieces: Streaming<v1::Upload>, most: usize) -> Result<(v1::ApplyHead, Intents), Status> {
    let mut head = None;
    let mut intents = Intents::new();
    let mut length = 0;
    while let Some(upload) = pieces.message().await? {
        match upload.part.ok_or_else(|| Status::invalid_argument("an empty message"))? {
            Part::Head(first) if head.is_none() && intents.is_empty() => head = Some(first),
            Part::Head(_) => return Err(Status::invalid_argument("the head must come first, and once")),
            Part::Piece(piece) => {
                let (path, bytes) = convert::piece(piece).map_err(|malformed| Status::invalid_argument(malformed.to_string()))?;
                length += bytes.len() + path.len();
                if length > most {
                    return Err(Status::resource_exhausted(format!("more than {most} bytes")));
                }
                intents.entry(path).or_default().extend(bytes);
            }
        }
    }
    Ok((head.ok_or_else(|| Status::invalid_argument("no head"))?, intents))
}

/// An answer of what comes, as far as it is told.
pub fn stream<F: Send + 'static, T: Send + 'static>(
    mut from: mpsc::Receiver<F>,
    mut told: impl FnMut(F) -> Option<Result<T, Status>> + Send + 'static,
) -> Answers<T> {
    let (send, answer) = mpsc::channel(4);
    tokio::spawn(async move {
        loop {
            let one = tokio::select! {
                one = from.recv() => one,
                // nobody listens any more
                () = send.closed() => return,
            };
            let Some(one) = one else { return };
            if let Some(one) = told(one)
                && send.send(one).await.is_err()
            {
                return;
            }
        }
    });
    ReceiverStream::new(answer)
}

/// A revision as operators see it.
pub async fn summary(history: &History, store: &Store, generation: Generation) -> Result<v1::RevisionSummary, Status> {
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
