//! The agent as it runs on a device: it keeps a stream to the controller and does what the rollout's machine answers.
//!
//! What to do, and when to go back, is decided in [`leafwall_rollout::device`]; here it is done, in its order, and what came of it is told. The device is
//! changed by one task at a time. The journal is on the disk before the device is touched; a journal or an artefact that is not as it was written refuses (H17).
//!
//! - [`device`]: what can be done to a device, and what it tells
//! - [`cache`]: artefacts by their digests, and the directories made of them
//! - [`journal`]: what survives a crash
//! - [`enrol`]: how a device without a certificate gets one
//! - [`link`]: the stream to the controller
//! - [`meter`]: what is counted of it
//! - [`renew`]: a certificate is renewed before it ends

mod authority;
pub mod cache;
pub mod device;
mod drift;
pub(crate) mod durable;
pub mod enrol;
pub mod identity;
pub mod journal;
mod link;
pub mod meter;
mod renew;
mod schedule;
mod work;

use std::path::PathBuf;
use std::rc::Rc;
use std::time::{Duration, Instant};

use leafwall_api::v1;
use leafwall_rollout::device::{Action, Event, Machine};
use leafwall_topology::Name;
use thiserror::Error;
use tokio::sync::mpsc;

use cache::{Cache, CacheError};
use device::Device;
use drift::Watching;
use identity::{Identity, IdentityError};
use journal::{JournalError, JournalFile};
use link::{Link, News, Reach};
use meter::Meter;
use work::Workshop;

/// How an agent runs.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Which device this is: the name in its certificate.
    pub device: Name,
    /// Where the controllers listen, of which one leads: `https://HOST:PORT`.
    pub controllers: Vec<String>,
    /// Where the journal and artefacts are kept.
    pub state: PathBuf,
    /// Where certificates and keys are.
    pub identity: PathBuf,
    /// Between two full comparisons of the device with what was confirmed.
    pub compare_every: Duration,
    /// Whether what differs is repaired, or only reported.
    pub repair: bool,
    /// How long sessions and EVPN routes may be away after a change, before it is taken back.
    pub health_grace: Duration,
}

/// Why an agent can't run, or not go on.
#[derive(Debug, Error)]
pub enum DaemonError {
    /// Certificates and keys.
    #[error(transparent)]
    Identity(#[from] IdentityError),
    /// What was on its way.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// The artefacts.
    #[error(transparent)]
    Cache(#[from] CacheError),
    /// The address of the controller.
    #[error("`{0}` is no address of a controller, such as https://10.0.0.1:7443")]
    Address(String),
}

/// Events that wait for the loop; each is small, and a device has little to tell.
const QUEUE: usize = 64;

/// Runs until something fails that only a new start can mend. Everything that is being done to the device when that happens is taken up by the next start.
pub async fn run(settings: Settings, device: impl Device) -> Result<std::convert::Infallible, DaemonError> {
    run_metered(settings, device, Meter::default()).await
}

/// The same, and counts what happens.
pub async fn run_metered(settings: Settings, device: impl Device, meter: Meter) -> Result<std::convert::Infallible, DaemonError> {
    let identity = Identity::read(&settings.identity)?;
    let mut file = JournalFile::open(&settings.state)?;
    let cache = Cache::open(&settings.state)?;
    let start = Instant::now();
    let now = || u64::try_from(start.elapsed().as_millis()).unwrap_or(u64::MAX);
    let reach = Reach::new(&settings.controllers, &settings.identity, &identity);
    let reach = Rc::new(reach.ok_or_else(|| DaemonError::Address(settings.controllers.join(",")))?);

    let (send_event, mut events) = mpsc::channel(QUEUE);
    let (send_news, mut news) = mpsc::channel(QUEUE);
    let local = tokio::task::LocalSet::new();
    local.spawn_local(link::keep(Rc::clone(&reach), send_news));
    local.spawn_local(renew::keep(Rc::clone(&reach), settings.device.clone(), settings.identity.clone()));
    let watching = Watching { every: settings.compare_every, repair: settings.repair, grace: settings.health_grace };
    let workshop = Workshop::new(device, cache, reach, meter.clone(), send_event, settings.health_grace);
    local.spawn_local(workshop.clone().watch(watching));

    let (mut machine, mut actions) = Machine::resume(settings.device.clone(), identity.controllers.clone(), file.load()?, now());
    let mut link: Option<Link> = None;
    let body = async move {
        loop {
            for action in std::mem::take(&mut actions) {
                match action {
                    Action::Save(journal) => {
                        // an answer or a change that is not on the disk never happened: the next start says what did
                        file.save(&journal)?;
                        workshop.keep_only(&journal);
                    }
                    Action::Check(kept) => workshop.check(kept),
                    Action::Make(kept) => workshop.make(kept),
                    Action::GoBack { from, to } => workshop.go_back(from, to),
                    Action::Greet(hello) => say(&mut link, v1::from_agent::Message::Hello(hello.into())).await,
                    Action::Say(answer) => {
                        tracing::info!(?answer, "answer");
                        say(&mut link, v1::from_agent::Message::Answer(answer.into())).await;
                    }
                }
            }
            meter.confirmed(machine.journal().confirmed.as_ref().map_or(0, |kept| kept.at.generation.0));
            workshop.watches(machine.journal());
            let wake = machine.wake_at().map(|at| start + Duration::from_millis(at));
            let event = tokio::select! {
                Some(event) = events.recv() => match event {
                    work::Outcome::Event(event) => event,
                    work::Outcome::Observed(differences) => {
                        say(&mut link, v1::from_agent::Message::Observed(v1::Observed { differences })).await;
                        continue;
                    }
                },
                Some(news) = news.recv() => match news {
                    News::Up(up) => {
                        meter.connected(true);
                        link = Some(up);
                        workshop.greets();
                        Event::Connected
                    }
                    News::Down => {
                        meter.connected(false);
                        link = None;
                        Event::ControllerLost
                    }
                    News::Order(order) => {
                        tracing::info!(?order, "order");
                        Event::Order(order)
                    }
                },
                () = sleep_until(wake) => Event::Tick,
            };
            actions = machine.on(now(), event);
        }
    };
    local.run_until(body).await
}

async fn sleep_until(wake: Option<Instant>) {
    match wake {
        Some(at) => tokio::time::sleep_until(at.into()).await,
        None => std::future::pending().await,
    }
}

/// Tells the controller, if there is one; what it misses, the next greeting says.
async fn say(link: &mut Option<Link>, message: v1::from_agent::Message) {
    if let Some(up) = link
        && up.send(v1::FromAgent { message: Some(message) }).await.is_err()
    {
        *link = None;
    }
}
