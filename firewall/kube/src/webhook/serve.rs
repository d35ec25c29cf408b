//! HTTPS in front of [`review`].

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper::body::{Body, Bytes, Incoming};
use hyper::header::{ALLOW, CONNECTION, CONTENT_TYPE, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use serde_json::Value;
use thiserror::Error;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::time::{MissedTickBehavior, interval, timeout};
use tokio_rustls::TlsAcceptor;

use super::certificate::{Certificate, CertificateError, Pair};
use crate::admission::review;
use crate::bounds::Bounds;

/// Where questions go.
pub const PATH: &str = "/validate";
/// The longest question, in bytes. An API server takes objects of 3 MiB, and a question about a change has the object twice.
pub const BODY_MAX: usize = 7 << 20;
/// Connections at once. An API server keeps some tens of them open; others wait in the kernel's queue.
const CONNECTIONS: usize = 64;
/// Questions that are read and answered at once: each may take some times [`BODY_MAX`] of memory.
const QUESTIONS: usize = 4;
/// For the handshake, and again for a question's body.
const PATIENCE: Duration = Duration::from_secs(5);
/// How long a connection may say nothing between two questions.
const IDLE: Duration = Duration::from_secs(30);
/// How often the certificate's files are looked at.
const LOOK: Duration = Duration::from_secs(30);
/// After an error of the listener, such as too many open files.
const PAUSE: Duration = Duration::from_millis(100);

/// Why there is no webhook.
#[derive(Debug, Error)]
pub enum WebhookError {
    /// The address.
    #[error("the webhook can't listen on {address}: is the address this machine's, and the port free?")]
    Listen {
        /// Where.
        address: SocketAddr,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The certificate.
    #[error("the webhook has no certificate")]
    Certificate(#[from] CertificateError),
}

/// One that listens, and does not answer yet.
pub struct Webhook {
    listener: TcpListener,
    address: SocketAddr,
    files: Certificate,
    pair: Pair,
    acceptor: TlsAcceptor,
}

impl std::fmt::Debug for Webhook {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Webhook").field("address", &self.address).field("files", &self.files).finish_non_exhaustive()
    }
}

impl Webhook {
    /// Listens.
    ///
    /// # Errors
    /// Where the address is taken or not ours, or the certificate can't be used.
    pub async fn bind(address: SocketAddr, files: Certificate) -> Result<Self, WebhookError> {
        let pair = files.read()?;
        let acceptor = files.acceptor(&pair)?;
        let failed = |source| WebhookError::Listen { address, source };
        let listener = TcpListener::bind(address).await.map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        Ok(Self { listener, address, files, pair, acceptor })
    }

    /// Where.
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Answers for ever, by these bounds. `asked` is told of each answer to a question.
    pub async fn serve(mut self, bounds: Bounds, asked: impl Fn(Answer) + Send + Sync + 'static) -> Infallible {
        let desk = Arc::new(Desk { bounds, room: Semaphore::new(QUESTIONS), asked });
        let room = Arc::new(Semaphore::new(CONNECTIONS));
        let mut look = interval(LOOK);
        look.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let place = Arc::clone(&room).acquire_owned();
            let (place, accepted) = tokio::select! {
                _ = look.tick() => {
                    self.look_at_files();
                    continue;
                }
                // the semaphore is never closed
                both = async { (place.await.ok(), self.listener.accept().await) } => both,
            };
            match accepted {
                Ok((stream, _)) => {
                    let (acceptor, desk) = (self.acceptor.clone(), Arc::clone(&desk));
                    tokio::spawn(async move {
                        converse(stream, acceptor, desk).await;
                        drop(place);
                    });
                }
                Err(error) => {
                    tracing::warn!(%error, "nobody can ask the webhook");
                    tokio::time::sleep(PAUSE).await;
                }
            }
        }
    }

    fn look_at_files(&mut self) {
        let renewed = match self.files.read() {
            Ok(pair) if pair == self.pair => return,
            Ok(pair) => self.files.acceptor(&pair).map(|acceptor| (pair, acceptor)),
            Err(error) => Err(error),
        };
        match renewed {
            Ok((pair, acceptor)) => {
                tracing::info!("the webhook has a new certificate");
                (self.pair, self.acceptor) = (pair, acceptor);
            }
            Err(error) => {
                let error = crate::reconcile::chain(&error);
                tracing::warn!(%error, "the webhook's certificate was not renewed, and the one from before is used");
            }
        }
    }
}

/// What became of a question.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Answer {
    /// The object may come, with or without a warning.
    Allowed,
    /// It may not.
    Refused,
    /// It was none.
    Malformed,
}

struct Desk<A> {
    bounds: Bounds,
    room: Semaphore,
    asked: A,
}

async fn converse(stream: TcpStream, acceptor: TlsAcceptor, desk: Arc<Desk<impl Fn(Answer) + Send + Sync + 'static>>) {
    // whoever is too slow or goes away misses it
    let Ok(Ok(stream)) = timeout(PATIENCE, acceptor.accept(stream)).await else { return };
    let service = service_fn(|request| {
        let desk = Arc::clone(&desk);
        async move { Ok::<_, Infallible>(answer(request, &desk).await) }
    });
    let connection =
        http1::Builder::new().timer(TokioTimer::new()).header_read_timeout(IDLE).serve_connection(TokioIo::new(stream), service);
    if let Err(error) = connection.await {
        tracing::debug!(%error, "a connection to the webhook ended");
    }
}

type Reply = Response<Full<Bytes>>;

async fn answer(request: Request<Incoming>, desk: &Desk<impl Fn(Answer)>) -> Reply {
    let mut reply = match question(request, desk).await {
        Ok(reply) => reply,
        Err((status, words)) => {
            (desk.asked)(Answer::Malformed);
            plain(status, words)
        }
    };
    // whoever sends nonsense begins anew; what is left of its body is not read
    if reply.status() != StatusCode::OK {
        reply.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    }
    if reply.status() == StatusCode::METHOD_NOT_ALLOWED {
        reply.headers_mut().insert(ALLOW, HeaderValue::from_static("POST"));
    }
    reply
}

async fn question(request: Request<Incoming>, desk: &Desk<impl Fn(Answer)>) -> Result<Reply, (StatusCode, &'static str)> {
    if request.uri().path() != PATH {
        return Err((StatusCode::NOT_FOUND, "there is /validate\n"));
    }
    if request.method() != Method::POST {
        return Err((StatusCode::METHOD_NOT_ALLOWED, "only POST\n"));
    }
    let is_json =
        |kind: &HeaderValue| kind.to_str().is_ok_and(|kind| kind.split(';').next().unwrap_or_default().trim() == "application/json");
    if !request.headers().get(CONTENT_TYPE).is_some_and(is_json) {
        return Err((StatusCode::UNSUPPORTED_MEDIA_TYPE, "only application/json\n"));
    }
    let too_long = (StatusCode::PAYLOAD_TOO_LARGE, "the question is too long\n");
    if request.body().size_hint().lower() > BODY_MAX as u64 {
        return Err(too_long);
    }
    // never closed
    let _place = desk.room.acquire().await.ok();
    let body = timeout(PATIENCE, Limited::new(request.into_body(), BODY_MAX).collect()).await;
    let bytes = match body {
        Ok(Ok(body)) => body.to_bytes(),
        Ok(Err(error)) if error.is::<LengthLimitError>() => return Err(too_long),
        Ok(Err(_)) => return Err((StatusCode::BAD_REQUEST, "the question was cut off\n")),
        Err(_) => return Err((StatusCode::REQUEST_TIMEOUT, "the question took too long\n")),
    };
    let said = serde_json::from_slice(&bytes).ok().and_then(|asked: Value| review(&asked, &desk.bounds));
    let Some(said) = said else { return Err((StatusCode::BAD_REQUEST, "not an AdmissionReview of admission.k8s.io/v1\n")) };
    let is_allowed = said.pointer("/response/allowed") == Some(&Value::Bool(true));
    (desk.asked)(if is_allowed { Answer::Allowed } else { Answer::Refused });
    let mut reply = Response::new(Full::from(said.to_string()));
    reply.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    Ok(reply)
}

fn plain(status: StatusCode, words: &'static str) -> Reply {
    let mut reply = Response::new(Full::from(words));
    *reply.status_mut() = status;
    reply.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    reply
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
