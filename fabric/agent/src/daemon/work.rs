//! What is done to the device, one thing at a time, and watched meanwhile.

use std::cell::{Cell, RefCell};
use std::path::PathBuf;
use std::rc::Rc;
use std::time::{Duration, Instant};

use leafwall_api::v1::FetchRequest;
use leafwall_api::v1::agents_client::AgentsClient;
use leafwall_rollout::device::{Event, Journal, Kept};
use leafwall_rollout::digest::Digest;
use tokio::sync::{Mutex, mpsc};

use super::cache::{Cache, FILE_MAX};
use super::device::Device;
use super::link::Reach;
use super::meter::Meter;
use crate::report::chain;

/// Between two looks at the BGP sessions after a change.
const LOOK: Duration = Duration::from_millis(500);
/// How long a device that had sessions may be without any after a change. Sessions that a change restarts are back sooner (timers connect 1).
const ALONE: Duration = Duration::from_secs(10);

/// What came of it.
pub enum Outcome {
    /// For the machine.
    Event(Event),
    /// For the controller: what differs from what was confirmed.
    Observed(Vec<String>),
}

/// Does things to the device.
pub struct Workshop<D> {
    inner: Rc<Inner<D>>,
}

impl<D> Clone for Workshop<D> {
    fn clone(&self) -> Self {
        Self { inner: self.inner.clone() }
    }
}

struct Inner<D> {
    /// Whoever changes the device, or compares it, holds it.
    device: Mutex<D>,
    cache: Cache,
    reach: Rc<Reach>,
    meter: Meter,
    outcomes: mpsc::Sender<Outcome>,
    confirmed: RefCell<Option<Kept>>,
    unconfirmed: Cell<bool>,
    /// Something of a revision is being made: what differs then is no drift.
    busy: Cell<usize>,
    sessions_before: Cell<usize>,
}

impl<D: Device> Workshop<D> {
    /// For one device. Runs within a `LocalSet`, and its tasks end with it.
    pub fn new(device: D, cache: Cache, reach: Rc<Reach>, meter: Meter, outcomes: mpsc::Sender<Outcome>) -> Self {
        let inner = Inner {
            device: Mutex::new(device),
            cache,
            reach,
            meter,
            outcomes,
            confirmed: RefCell::default(),
            unconfirmed: Cell::new(false),
            busy: Cell::new(0),
            sessions_before: Cell::new(0),
        };
        Self { inner: Rc::new(inner) }
    }

    /// What the device should be, and whether a change of it waits for its confirmation.
    pub fn watches(&self, confirmed: Option<Kept>, unconfirmed: bool) {
        *self.inner.confirmed.borrow_mut() = confirmed;
        self.inner.unconfirmed.set(unconfirmed);
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
                inner.device.lock().await.check(&inner.cache.directory(&kept)).await
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

    /// Compares the device with what was confirmed, again and again, and looks whether a change has cut it off.
    pub async fn watch(self, every: Duration, repair: bool) {
        let inner = self.inner;
        let mut compared = Instant::now();
        let mut alone_since: Option<Instant> = None;
        let mut told: Vec<String> = Vec::new();
        while !inner.outcomes.is_closed() {
            tokio::time::sleep(LOOK.min(every)).await;
            if inner.unconfirmed.get() && inner.busy.get() == 0 {
                compared = Instant::now();
                if inner.is_cut_off().await {
                    let since = *alone_since.get_or_insert_with(Instant::now);
                    if since.elapsed() >= ALONE {
                        alone_since = None;
                        let reason = format!("no BGP session has been left for {} s after the change", ALONE.as_secs());
                        let _ = inner.outcomes.send(Outcome::Event(Event::HealthLost { reason })).await;
                    }
                } else {
                    alone_since = None;
                }
                continue;
            }
            alone_since = None;
            if compared.elapsed() < every || inner.busy.get() > 0 {
                continue;
            }
            compared = Instant::now();
            let Some(kept) = inner.confirmed.borrow().clone() else { continue };
            let differences = inner.drift(&kept, repair).await;
            if differences != told {
                told.clone_from(&differences);
                let _ = inner.outcomes.send(Outcome::Observed(differences)).await;
            }
        }
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

    async fn make(&self, kept: &Kept) -> Result<(), String> {
        // the last good state comes from the disk; only what is damaged there is fetched again
        self.fetch(kept).await?;
        let device = self.device.lock().await;
        let sessions = device.sessions().await;
        self.meter.bgp(sessions);
        self.sessions_before.set(sessions.unwrap_or(0));
        let start = Instant::now();
        let made = device.make(&self.cache.directory(kept)).await;
        self.meter.changed(start.elapsed(), made.is_ok());
        made
    }

    async fn make_nothing(&self, from: &Kept) -> Result<(), String> {
        let artefacts = leafwall_render::nothing().map_err(|error| chain(&error))?;
        for (name, text) in artefacts.files.iter().filter(|(name, _)| from.files.contains_key(**name)) {
            self.cache.put_nothing(name, text).map_err(|error| chain(&error))?;
        }
        let nothing: PathBuf = self.cache.nothing();
        let device = self.device.lock().await;
        let start = Instant::now();
        let made = device.make(&nothing).await;
        self.meter.changed(start.elapsed(), made.is_ok());
        made
    }

    /// What differs, after it was repaired if it should be.
    async fn drift(&self, kept: &Kept, repair: bool) -> Vec<String> {
        let directory = self.cache.directory(kept);
        let device = self.device.lock().await;
        // an order may have come while we waited for the device
        if self.busy.get() > 0 || self.confirmed.borrow().as_ref() != Some(kept) {
            return Vec::new();
        }
        let start = Instant::now();
        let compared = device.differences(&directory).await;
        self.meter.compared(start.elapsed(), compared.as_ref().map_or(1, Vec::len));
        let differences = match compared {
            Ok(differences) if differences.is_empty() => return differences,
            Ok(differences) => differences,
            Err(error) => return vec![format!("can't be compared: {error}")],
        };
        tracing::warn!(?differences, repair, "the device drifted");
        let _ = self.outcomes.send(Outcome::Observed(differences.clone())).await;
        if !repair {
            return differences;
        }
        let repaired = device.make(&directory).await;
        self.meter.repaired(repaired.is_ok());
        match repaired {
            Ok(()) => Vec::new(),
            Err(error) => vec![format!("can't be repaired: {error}")],
        }
    }

    async fn is_cut_off(&self) -> bool {
        if self.sessions_before.get() == 0 {
            return false;
        }
        let sessions = self.device.lock().await.sessions().await;
        self.meter.bgp(sessions);
        sessions == Some(0)
    }
}
