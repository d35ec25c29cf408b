//! What is done to the device, one thing at a time.

use std::cell::{Cell, RefCell};
use std::path::PathBuf;
use std::rc::Rc;
use std::time::{Duration, Instant};

use leafwall_api::v1::FetchRequest;
use leafwall_api::v1::agents_client::AgentsClient;
use leafwall_render::CONFIG_DB_JSON;
use leafwall_rollout::device::{Event, Journal, Kept};
use leafwall_rollout::digest::Digest;
use leafwall_rollout::message::Phase;
use leafwall_rollout::revision::Files;
use leafwall_topology::Platform;
use tokio::sync::{Mutex, mpsc};

use super::cache::{Cache, FILE_MAX};
use super::device::Device;
use super::link::Reach;
use super::meter::Meter;
use crate::health::Health;
use crate::report::{Backend, Parts, chain};

/// Between two looks at sessions and routes that a change may have restarted.
const LOOK: Duration = Duration::from_millis(200);

/// What came of it.
pub enum Outcome {
    /// For the machine.
    Event(Event),
    /// For the controller: what differs from what was confirmed.
    Observed(Vec<String>),
}

/// Does things to the device.
pub struct Workshop<D> {
    pub(super) inner: Rc<Inner<D>>,
}

impl<D> Clone for Workshop<D> {
    fn clone(&self) -> Self {
        Self { inner: self.inner.clone() }
    }
}

pub(super) struct Inner<D> {
    /// Whoever changes the device, or compares it, holds it.
    pub(super) device: Mutex<D>,
    pub(super) cache: Cache,
    reach: Rc<Reach>,
    pub(super) meter: Meter,
    pub(super) outcomes: mpsc::Sender<Outcome>,
    /// How long sessions and routes may be away after a change.
    grace: Duration,
    confirmed: RefCell<Option<Kept>>,
    /// How far a change is.
    pending: Cell<Option<Phase>>,
    /// Something of a revision is being made: what differs then is no drift.
    busy: Cell<usize>,
    /// How the device stood before the change.
    before: RefCell<Health>,
    /// There is a controller that may know nothing of what differs.
    pub(super) untold: Cell<bool>,
    /// What the device was when it was last looked at as a whole, if that was nothing else than some artefacts.
    known: RefCell<Option<Files>>,
}

impl<D: Device> Workshop<D> {
    /// For one device. Runs within a `LocalSet`, and its tasks end with it.
    pub fn new(device: D, cache: Cache, reach: Rc<Reach>, meter: Meter, outcomes: mpsc::Sender<Outcome>, grace: Duration) -> Self {
        let inner = Inner {
            device: Mutex::new(device),
            cache,
            reach,
            meter,
            outcomes,
            grace,
            confirmed: RefCell::default(),
            pending: Cell::new(None),
            busy: Cell::new(0),
            before: RefCell::default(),
            untold: Cell::new(false),
            known: RefCell::default(),
        };
        Self { inner: Rc::new(inner) }
    }

    /// What the device should be, and what is to become of it.
    pub fn watches(&self, journal: &Journal) {
        // called at every turn of the loop: the names of its files are copied only when they are others
        if *self.inner.confirmed.borrow() != journal.confirmed {
            self.inner.confirmed.borrow_mut().clone_from(&journal.confirmed);
            if let Some(kept) = journal.confirmed.clone() {
                tokio::task::spawn_local(self.inner.clone().keep(kept));
            }
        }
        self.inner.pending.set(journal.pending.as_ref().map(|pending| pending.phase));
    }

    /// A controller is reached: it is told what differs, whatever an earlier one was told (H26).
    pub fn greets(&self) {
        self.inner.untold.set(true);
    }

    /// Removes what no journal names.
    pub fn keep_only(&self, journal: &Journal) {
        // while something is fetched its directory is in no journal yet
        if self.inner.busy.get() == 0
            && let Err(error) = self.inner.cache.keep_only(journal)
        {
            tracing::warn!(error = chain(&error), "old artefacts stay");
        }
    }

    /// Fetches and checks a revision.
    pub fn check(&self, kept: Kept) {
        self.spawn(async move |inner| {
            let outcome = async {
                inner.fetch(&kept).await?;
                let device = inner.device.lock().await;
                device.check(&inner.cache.directory(&kept), &inner.concerned(&kept)).await
            };
            Event::Checked { at: kept.at, outcome: outcome.await }
        });
    }

    /// Makes a revision.
    pub fn make(&self, kept: Kept) {
        self.spawn(async move |inner| Event::Made { at: kept.at, outcome: inner.make(&kept).await });
    }

    /// Leaves a revision.
    pub fn go_back(&self, from: Kept, to: Option<Kept>) {
        self.spawn(async move |inner| {
            tracing::warn!(from = %from.at.generation, to = ?to.as_ref().map(|kept| kept.at.generation.0), "going back");
            let outcome = match &to {
                Some(kept) => inner.make(kept).await,
                None => inner.make_nothing(&from).await,
            };
            Event::WentBack { at: from.at, outcome }
        });
    }

    fn spawn(&self, work: impl AsyncFnOnce(Rc<Inner<D>>) -> Event + 'static) {
        let inner = self.inner.clone();
        inner.busy.set(inner.busy.get() + 1);
        tokio::task::spawn_local(async move {
            let event = work(inner.clone()).await;
            inner.busy.set(inner.busy.get() - 1);
            let _ = inner.outcomes.send(Outcome::Event(event)).await;
        });
    }
}

impl<D: Device> Inner<D> {
    async fn fetch(&self, kept: &Kept) -> Result<(), String> {
        for (name, digest) in self.cache.missing(kept) {
            let bytes = self.download(digest).await.map_err(|status| format!("can't fetch `{name}`: {}", status.message()))?;
            self.cache.put(kept, &name, &bytes).map_err(|error| chain(&error))?;
        }
        Ok(())
    }

    async fn download(&self, digest: Digest) -> Result<Vec<u8>, tonic::Status> {
        let request = FetchRequest { digest: digest.bytes().to_vec() };
        let mut pieces = AgentsClient::new(self.reach.channel()).fetch(request).await?.into_inner();
        let mut bytes = Vec::new();
        while let Some(piece) = pieces.message().await? {
            bytes.extend(piece.bytes);
            if bytes.len() > FILE_MAX {
                return Err(tonic::Status::out_of_range(format!("longer than {FILE_MAX} bytes")));
            }
        }
        Ok(bytes)
    }

    /// The parts of the device that a revision is about: all of it, unless it is known what it is.
    fn concerned(&self, kept: &Kept) -> Parts {
        match &*self.known.borrow() {
            Some(files) => Backend::between(files, &kept.files),
            None => Backend::ALL.into(),
        }
    }

    /// The device was found to be these artefacts, or nobody knows any more what it is.
    pub(super) fn knows(&self, files: Option<&Files>) {
        *self.known.borrow_mut() = files.cloned();
    }

    async fn make(&self, kept: &Kept) -> Result<(), String> {
        // the last good state comes from the disk; only what is damaged there is fetched again
        self.fetch(kept).await?;
        let device = self.device.lock().await;
        let before = device.health().await;
        self.meter.bgp(before.as_ref().map(|health| health.sessions));
        *self.before.borrow_mut() = before.unwrap_or_default();
        let start = Instant::now();
        let parts = self.concerned(kept);
        // until it was read back
        self.knows(None);
        let made = match device.make(&self.cache.directory(kept), &parts).await {
            Ok(()) => self.recovered(&device).await,
            failed => failed,
        };
        if made.is_ok() {
            self.knows(Some(&kept.files));
        }
        self.meter.changed(start.elapsed(), made.is_ok());
        made
    }

    /// What was confirmed is what the device starts with. Where that fails it is seen, and tried again, when the device is compared.
    async fn keep(self: Rc<Self>, kept: Kept) {
        let device = self.device.lock().await;
        // another one may have come while we waited for the device
        if self.settled_on().as_ref() == Some(&kept)
            && let Err(error) = device.keep(&self.cache.directory(&kept)).await
        {
            tracing::warn!(error, "what was confirmed is not what the device starts with");
        }
    }

    /// Waits until what the change restarted is back: sessions (timers connect 1) and what comes over them. A device that was cut off by a change is not what it
    /// should be, whatever it runs (H16).
    async fn recovered(&self, device: &D) -> Result<(), String> {
        let started = Instant::now();
        while let Some(reason) = self.lost(device).await {
            if started.elapsed() >= self.grace {
                return Err(format!("{reason}, for {} s after it was made", self.grace.as_secs()));
            }
            tokio::time::sleep(LOOK).await;
        }
        Ok(())
    }

    async fn lost(&self, device: &D) -> Option<String> {
        if *self.before.borrow() == Health::default() {
            return None;
        }
        let now = device.health().await?;
        self.meter.bgp(Some(now.sessions));
        self.before.borrow().lost(&now)
    }

    /// What the change cost the device that it had before.
    pub(super) async fn unhealthy(&self) -> Option<String> {
        self.lost(&*self.device.lock().await).await
    }

    /// Whether a change was made and waits for its confirmation.
    pub(super) fn is_unconfirmed(&self) -> bool {
        self.busy.get() == 0 && self.pending.get() == Some(Phase::Unconfirmed)
    }

    /// Whether the device should be what was confirmed, and nothing is being done to it.
    pub(super) fn is_settled(&self) -> bool {
        self.busy.get() == 0 && matches!(self.pending.get(), None | Some(Phase::Prepared))
    }

    /// What it should be then.
    pub(super) fn settled_on(&self) -> Option<Kept> {
        self.is_settled().then(|| self.confirmed.borrow().clone()).flatten()
    }

    async fn make_nothing(&self, from: &Kept) -> Result<(), String> {
        let platform = if from.files.contains_key(CONFIG_DB_JSON) { Platform::Sonic } else { Platform::Frr };
        let artefacts = leafwall_render::nothing(platform).map_err(|error| chain(&error))?;
        for (name, text) in artefacts.files.iter().filter(|(name, _)| from.files.contains_key(**name)) {
            self.cache.put_nothing(name, text).map_err(|error| chain(&error))?;
        }
        let nothing: PathBuf = self.cache.nothing();
        let device = self.device.lock().await;
        let start = Instant::now();
        self.knows(None);
        let made = device.make(&nothing, &Backend::ALL.into()).await;
        self.meter.changed(start.elapsed(), made.is_ok());
        made
    }
}
