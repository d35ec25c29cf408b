//! The service for agents.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use leafwall_api::v1;
use leafwall_api::v1::from_agent::Message;
use leafwall_rollout::message::{Answer, Hello};
use leafwall_topology::Name;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status, Streaming};

use super::core::{Caller, Command};
use super::peer::caller;
use crate::audit::{Outcome, Role};
use crate::store::Store;

/// Orders on their way to one agent: more than it can have open.
const ORDERS: usize = 16;
/// Bytes of an artefact in one message.
const PIECE: usize = 256 * 1024;
/// Differences that an agent may report at once, and bytes of each: a device that lies must not fill the memory.
const DIFFERENCES_MAX: usize = 1000;
const DIFFERENCE_MAX: usize = 1000;

/// The service.
pub struct Service {
    commands: mpsc::Sender<Command>,
    store: Store,
    connections: Arc<AtomicU64>,
}

impl Service {
    pub fn new(commands: mpsc::Sender<Command>, store: Store) -> Self {
        Self { commands, store, connections: Arc::default() }
    }

    async fn refused(&self, caller: Caller, what: String, reason: &str) -> Status {
        let outcome = Outcome::Refused { reason: reason.to_owned() };
        let _ = self.commands.send(Command::Note { caller, what, outcome }).await;
        Status::permission_denied(reason.to_owned())
    }

    async fn device<T>(&self, request: &Request<T>, what: &str) -> Result<Name, Status> {
        match caller(request)? {
            Caller { role: Role::Agent { device }, .. } => Ok(device),
            other => Err(self.refused(other, what.to_owned(), "only an agent may do this").await),
        }
    }
}

#[tonic::async_trait]
impl v1::agents_server::Agents for Service {
    type AttendStream = ReceiverStream<Result<v1::ToAgent, Status>>;
    type FetchStream = ReceiverStream<Result<v1::Piece, Status>>;

    async fn attend(&self, request: Request<Streaming<v1::FromAgent>>) -> Result<Response<Self::AttendStream>, Status> {
        let device = self.device(&request, "attend").await?;
        let (orders, mut ordered) = mpsc::channel(ORDERS);
        let (send, answer) = mpsc::channel(ORDERS);
        let stream = Attended {
            commands: self.commands.clone(),
            connection: self.connections.fetch_add(1, Ordering::Relaxed),
            messages: request.into_inner(),
            device,
            orders,
        };
        let errors = send.clone();
        tokio::spawn(async move {
            if let Err(status) = stream.listen().await {
                let _ = errors.send(Err(status)).await;
            }
        });
        tokio::spawn(async move {
            while let Some(order) = ordered.recv().await {
                if send.send(Ok(order)).await.is_err() {
                    return;
                }
            }
        });
        Ok(Response::new(ReceiverStream::new(answer)))
    }

    async fn fetch(&self, request: Request<v1::FetchRequest>) -> Result<Response<Self::FetchStream>, Status> {
        self.device(&request, "fetch").await?;
        let digest = leafwall_api::convert::digest("digest", &request.into_inner().digest);
        let digest = digest.map_err(|malformed| Status::invalid_argument(malformed.to_string()))?;
        // whoever names a digest was told it: artefacts hold no secret beyond it
        let bytes = self.store.chunk(&digest).await.map_err(|error| Status::not_found(error.to_string()))?;
        let (send, pieces) = mpsc::channel(2);
        tokio::spawn(async move {
            for piece in bytes.chunks(PIECE) {
                if send.send(Ok(v1::Piece { bytes: piece.to_vec() })).await.is_err() {
                    return;
                }
            }
        });
        Ok(Response::new(ReceiverStream::new(pieces)))
    }
}

/// One agent's stream.
struct Attended {
    commands: mpsc::Sender<Command>,
    connection: u64,
    messages: Streaming<v1::FromAgent>,
    device: Name,
    orders: mpsc::Sender<v1::ToAgent>,
}

impl Attended {
    async fn listen(mut self) -> Result<(), Status> {
        // a stream to one that leads no more ends: its agent is to look for the one that does
        let commands = self.commands.clone();
        let ended = tokio::select! {
            ended = self.messages() => ended,
            () = commands.closed() => Err(Status::unavailable("this controller does not lead any more")),
        };
        let _ = self.commands.send(Command::Down { device: self.device, connection: self.connection }).await;
        ended
    }

    async fn messages(&mut self) -> Result<(), Status> {
        let mut greeted = false;
        while let Some(message) = self.messages.message().await? {
            let (device, connection) = (self.device.clone(), self.connection);
            let command = match message.message.ok_or_else(|| Status::invalid_argument("an empty message"))? {
                Message::Hello(hello) => {
                    let hello = Hello::try_from(hello).map_err(|malformed| Status::invalid_argument(malformed.to_string()))?;
                    if hello.device != device {
                        let role = Role::Agent { device: device.clone() };
                        let reason = format!("`{device}` says that it is `{}`", hello.device);
                        let outcome = Outcome::Refused { reason: reason.clone() };
                        let caller = Caller { who: device.to_string(), role };
                        let _ = self.commands.send(Command::Note { caller, what: "greet".to_owned(), outcome }).await;
                        return Err(Status::permission_denied(reason));
                    }
                    greeted = true;
                    Command::Up { hello, connection, orders: self.orders.clone() }
                }
                _ if !greeted => return Err(Status::failed_precondition("the first message must be Hello")),
                Message::Answer(answer) => {
                    let answer = Answer::try_from(answer).map_err(|malformed| Status::invalid_argument(malformed.to_string()))?;
                    Command::Heard { device, connection, answer }
                }
                Message::Observed(observed) => {
                    let cut = |text: String| text.chars().take(DIFFERENCE_MAX).collect();
                    let differences = observed.differences.into_iter().take(DIFFERENCES_MAX).map(cut).collect();
                    Command::Observed { device, connection, differences }
                }
            };
            self.commands.send(command).await.map_err(|_| Status::unavailable("the controller ends"))?;
        }
        Ok(())
    }
}
