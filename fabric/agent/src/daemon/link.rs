//! The stream to the controller: of several, the one that leads.

use std::cell::{Cell, RefCell};
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::Duration;

use leafwall_api::LEADER_HINT;
use leafwall_api::v1::agents_client::AgentsClient;
use leafwall_api::v1::leadership_client::LeadershipClient;
use leafwall_api::v1::{FromAgent, LeadsRequest, ToAgent};
use leafwall_rollout::message::Order;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::Status;
use tonic::transport::{Channel, Endpoint};

use super::identity::{Identity, IdentityError};

/// Between two attempts to reach the controller.
const PAUSE: Duration = Duration::from_millis(500);
/// How long one may take.
const PATIENCE: Duration = Duration::from_secs(5);
/// The same two where there are several controllers: another one may answer.
const PAUSE_AMONG: Duration = Duration::from_millis(200);
const PATIENCE_AMONG: Duration = Duration::from_secs(2);
/// Between two questions to the other controllers, and how long an answer may take: so a new leader is found within seconds also where the old one is silent.
const LOOK: Duration = Duration::from_secs(1);
/// Between two signs of life on a silent connection.
const SIGN_OF_LIFE: Duration = Duration::from_secs(3);
/// A connection whose sign of life is not answered for so long is dead. A switch whose processor computes routes is not: three seconds were too short in a lab.
const DEAD_AFTER: Duration = Duration::from_secs(10);
/// Messages on their way to the controller.
const QUEUE: usize = 64;

/// What to say goes in here.
pub type Link = mpsc::Sender<FromAgent>;

/// What happens on the stream.
pub enum News {
    /// There is a controller.
    Up(Link),
    /// It is gone.
    Down,
    /// It said something.
    Order(Order),
}

/// The way to the controllers. Connections are made when they are needed, and made again.
pub struct Reach {
    controllers: Vec<String>,
    identity: PathBuf,
    channels: RefCell<Vec<Channel>>,
    /// The one that leads, as far as is known.
    current: Cell<usize>,
}

impl Reach {
    /// To these controllers, as whoever the identity's directory says.
    pub fn new(controllers: &[String], directory: &Path, identity: &Identity) -> Option<Self> {
        let controllers: Vec<String> = controllers.iter().map(|address| address.trim_end_matches('/').to_owned()).collect();
        let channels = RefCell::new(channels(&controllers, identity)?);
        Some(Self { controllers, identity: directory.to_owned(), channels, current: Cell::new(0) })
    }

    /// The connection to the one that leads, as far as is known.
    pub fn channel(&self) -> Channel {
        self.channel_of(self.current.get())
    }

    fn channel_of(&self, at: usize) -> Channel {
        let channels = self.channels.borrow();
        // as many as there are controllers, and there is one
        channels[at % channels.len()].clone()
    }

    /// From now on, new streams and calls use the identity that is on the disk now. Streams that are there go on.
    pub fn renew(&self) -> Result<(), IdentityError> {
        let identity = Identity::read(&self.identity)?;
        if let Some(channels) = channels(&self.controllers, &identity) {
            *self.channels.borrow_mut() = channels;
        }
        Ok(())
    }

    fn are_several(&self) -> bool {
        self.controllers.len() > 1
    }

    /// Which of ours a refusal names. A stranger's address is nobody's: who may order is for this device's operator to say.
    fn named(&self, status: &Status) -> Option<usize> {
        let hint = status.metadata().get(LEADER_HINT)?.to_str().ok()?.trim_end_matches('/');
        self.controllers.iter().position(|address| address == hint)
    }

    /// Turns to the controller that a refusal names, or to the next one. Says whether it was named.
    fn turn(&self, status: &Status) -> bool {
        let current = self.current.get();
        let named = self.named(status).filter(|named| *named != current);
        self.current.set(named.unwrap_or((current + 1) % self.controllers.len()));
        named.is_some()
    }

    async fn leads(&self, at: usize) -> Result<(), Status> {
        let mut client = LeadershipClient::new(self.channel_of(at));
        match tokio::time::timeout(LOOK, client.leads(LeadsRequest {})).await {
            Ok(answer) => answer.map(drop),
            Err(_) => Err(Status::deadline_exceeded("no answer")),
        }
    }

    /// Waits until another controller says that it leads, and turns to it. One that was paused or cut off keeps its connections, and does not say that it is over.
    async fn another_leads(&self) {
        if !self.are_several() {
            return std::future::pending().await;
        }
        let (count, current) = (self.controllers.len(), self.current.get());
        for turn in (1..count).cycle() {
            tokio::time::sleep(LOOK).await;
            let asked = (current + turn) % count;
            let leader = match self.leads(asked).await {
                Ok(()) => Some(asked),
                Err(refusal) => match self.named(&refusal).filter(|named| *named != current && *named != asked) {
                    Some(named) => self.leads(named).await.ok().map(|()| named),
                    None => None,
                },
            };
            if let Some(leader) = leader {
                self.current.set(leader);
                return;
            }
        }
    }
}

fn channels(controllers: &[String], identity: &Identity) -> Option<Vec<Channel>> {
    let patience = if controllers.len() > 1 { PATIENCE_AMONG } else { PATIENCE };
    let all: Option<Vec<Channel>> = controllers.iter().map(|controller| channel(controller, identity, patience)).collect();
    all.filter(|all| !all.is_empty())
}

fn channel(controller: &str, identity: &Identity, patience: Duration) -> Option<Channel> {
    let endpoint = Endpoint::from_shared(controller.to_owned()).ok()?.tls_config(identity.tls()).ok()?;
    let endpoint = endpoint.connect_timeout(patience).http2_keep_alive_interval(SIGN_OF_LIFE).keep_alive_timeout(DEAD_AFTER);
    Some(endpoint.keep_alive_while_idle(true).connect_lazy())
}

/// Keeps a stream for as long as somebody listens to the news.
pub async fn keep(reach: Rc<Reach>, news: mpsc::Sender<News>) {
    let mut told = false;
    let mut named = false;
    loop {
        let ended = attend(&reach, &news).await;
        if news.is_closed() {
            return;
        }
        match ended {
            Ended::Elsewhere => {
                tracing::info!("another controller leads");
                (told, named) = (false, true);
                continue;
            }
            Ended::Stream(Ok(())) => told = false,
            Ended::Stream(Err(status)) => {
                if told {
                    tracing::debug!(%status, "no controller");
                } else {
                    tracing::warn!(%status, "no controller; trying again");
                    told = true;
                }
                // one that is named is asked at once, but two that name each other are not asked all the time
                let before = named;
                named = reach.turn(&status);
                if named && !before {
                    continue;
                }
            }
        }
        tokio::time::sleep(if reach.are_several() { PAUSE_AMONG } else { PAUSE }).await;
    }
}

/// How a stream ended.
enum Ended {
    /// By its controller, or because it could not be.
    Stream(Result<(), Status>),
    /// Another controller leads.
    Elsewhere,
}

async fn attend(reach: &Reach, news: &mpsc::Sender<News>) -> Ended {
    let (say, said) = mpsc::channel(QUEUE);
    let mut client = AgentsClient::new(reach.channel());
    let opened = client.attend(ReceiverStream::new(said));
    let opened = if reach.are_several() {
        // one that is paused is there, and does not answer
        match tokio::time::timeout(PATIENCE_AMONG, opened).await {
            Ok(opened) => opened,
            Err(_) => Err(Status::deadline_exceeded("no answer")),
        }
    } else {
        opened.await
    };
    let mut orders = match opened {
        Ok(opened) => opened.into_inner(),
        Err(status) => return Ended::Stream(Err(status)),
    };
    if news.send(News::Up(say)).await.is_err() {
        return Ended::Stream(Ok(()));
    }
    let mut elsewhere = std::pin::pin!(reach.another_leads());
    let ended = loop {
        let message = tokio::select! {
            message = orders.message() => message,
            () = &mut elsewhere => break Ended::Elsewhere,
        };
        match message {
            Ok(Some(message)) => match order(message) {
                Ok(order) => {
                    if news.send(News::Order(order)).await.is_err() {
                        return Ended::Stream(Ok(()));
                    }
                }
                // not ours to guess: the controller hears that the stream ended
                Err(status) => break Ended::Stream(Err(status)),
            },
            Ok(None) => break Ended::Stream(Ok(())),
            Err(status) => break Ended::Stream(Err(status)),
        }
    };
    let _ = news.send(News::Down).await;
    ended
}

fn order(message: ToAgent) -> Result<Order, Status> {
    Order::try_from(message).map_err(|malformed| Status::invalid_argument(malformed.to_string()))
}

#[cfg(test)]
#[path = "link_tests.rs"]
mod tests;
