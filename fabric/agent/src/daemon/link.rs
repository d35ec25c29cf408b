//! The stream to the controller.

use std::cell::RefCell;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::Duration;

use leafwall_api::v1::agents_client::AgentsClient;
use leafwall_api::v1::{FromAgent, ToAgent};
use leafwall_rollout::message::Order;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::{Channel, Endpoint};

use super::identity::{Identity, IdentityError};

/// Between two attempts to reach the controller.
const PAUSE: Duration = Duration::from_millis(500);
/// How long one may take.
const PATIENCE: Duration = Duration::from_secs(5);
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

/// The way to the controller. Its connection is made when it is needed, and made again.
pub struct Reach {
    controller: String,
    identity: PathBuf,
    channel: RefCell<Channel>,
}

impl Reach {
    /// To this controller, as whoever the identity's directory says.
    pub fn new(controller: &str, directory: &Path, identity: &Identity) -> Option<Self> {
        let channel = RefCell::new(channel(controller, identity)?);
        Some(Self { controller: controller.to_owned(), identity: directory.to_owned(), channel })
    }

    /// The connection.
    pub fn channel(&self) -> Channel {
        self.channel.borrow().clone()
    }

    /// From now on, new streams and calls use the identity that is on the disk now. Streams that are there go on.
    pub fn renew(&self) -> Result<(), IdentityError> {
        let identity = Identity::read(&self.identity)?;
        if let Some(channel) = channel(&self.controller, &identity) {
            *self.channel.borrow_mut() = channel;
        }
        Ok(())
    }
}

fn channel(controller: &str, identity: &Identity) -> Option<Channel> {
    let endpoint = Endpoint::from_shared(controller.to_owned()).ok()?.tls_config(identity.tls()).ok()?;
    let endpoint = endpoint.connect_timeout(PATIENCE).http2_keep_alive_interval(SIGN_OF_LIFE).keep_alive_timeout(DEAD_AFTER);
    Some(endpoint.keep_alive_while_idle(true).connect_lazy())
}

/// Keeps a stream for as long as somebody listens to the news.
pub async fn keep(reach: Rc<Reach>, news: mpsc::Sender<News>) {
    let mut told = false;
    loop {
        match attend(reach.channel(), &news).await {
            Ok(()) => told = false,
            Err(status) if told => tracing::debug!(%status, "no controller"),
            Err(status) => {
                tracing::warn!(%status, "no controller; trying again");
                told = true;
            }
        }
        if news.is_closed() {
            return;
        }
        tokio::time::sleep(PAUSE).await;
    }
}

async fn attend(channel: Channel, news: &mpsc::Sender<News>) -> Result<(), tonic::Status> {
    let (say, said) = mpsc::channel(QUEUE);
    let mut orders = AgentsClient::new(channel).attend(ReceiverStream::new(said)).await?.into_inner();
    if news.send(News::Up(say)).await.is_err() {
        return Ok(());
    }
    let ended = loop {
        match orders.message().await {
            Ok(Some(message)) => match order(message) {
                Ok(order) => {
                    if news.send(News::Order(order)).await.is_err() {
                        return Ok(());
                    }
                }
                // not ours to guess: the controller hears that the stream ended
                Err(status) => break Err(status),
            },
            Ok(None) => break Ok(()),
            Err(status) => break Err(status),
        }
    };
    let _ = news.send(News::Down).await;
    ended
}

fn order(message: ToAgent) -> Result<Order, tonic::Status> {
    Order::try_from(message).map_err(|malformed| tonic::Status::invalid_argument(malformed.to_string()))
}
