//! Notices that the device is no longer what was confirmed, tells it, and repairs it.
//!
//! The kernel tells of changes, FRR is asked for a digest of what it runs. Either only wakes a comparison of the parts that it is about; everything is compared
//! now and then too. Nothing is compared while a revision is made, taken back, or waits for its confirmation: what the agent changes itself then is looked at
//! once, afterwards, and is what it should be.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::{Duration, Instant};

use leafwall_rollout::device::{Event, Kept};
use leafwall_rollout::message::At;
use tokio::sync::Notify;

use super::device::{Compared, Device, Events as _};
use super::schedule::Schedule;
use super::work::{Inner, Outcome, Workshop};
use crate::report::{Backend, DifferenceKind, Parts};

/// Between two looks at FRR, and at the BGP sessions after a change.
/// The goal is to tell of an edited route-map within two seconds; twice a second was a third of what a dozen agents cost two emulated processors at rest.
const LOOK: Duration = Duration::from_secs(1);
/// A look at FRR may take up to one part in so many of the time, for bgpd prints all that it runs.
const LOOK_SHARE: u32 = 10;
/// Before the kernel is listened to again after that failed.
const LISTEN_AGAIN: Duration = Duration::from_secs(1);
/// The pause before what could not be repaired is tried again; it doubles, up to the distance of comparisons.
const FIRST_PAUSE: Duration = Duration::from_secs(1);

/// How a device is watched.
#[derive(Debug, Clone, Copy)]
pub struct Watching {
    /// Between two comparisons of everything.
    pub every: Duration,
    /// Whether what differs is repaired.
    pub repair: bool,
    /// How long sessions and routes may be away after a change.
    pub grace: Duration,
}

/// What the kernel told since it was last looked at.
#[derive(Default)]
struct Told {
    parts: RefCell<Parts>,
    wake: Notify,
}

struct Watch<D> {
    inner: Rc<Inner<D>>,
    how: Watching,
    schedule: Schedule,
    look_at: Instant,
    /// Of which revision the rest is.
    at: Option<At>,
    /// What differs, by the parts that were looked at.
    found: BTreeMap<Backend, Vec<String>>,
    /// What the controller knows of that.
    told: Vec<String>,
    pause: Duration,
    repair_at: Instant,
    unhealthy_since: Option<Instant>,
}

impl<D: Device> Workshop<D> {
    /// Watches the device for as long as somebody wants to know.
    pub async fn watch(self, how: Watching) {
        let inner = self.inner;
        let told = Rc::new(Told::default());
        let listener = tokio::task::spawn_local(listen(inner.clone(), told.clone()));
        let now = Instant::now();
        let mut watch = Watch {
            inner: inner.clone(),
            how,
            schedule: Schedule::new(now, how.every),
            look_at: now + LOOK,
            at: None,
            found: BTreeMap::new(),
            told: Vec::new(),
            pause: FIRST_PAUSE,
            repair_at: now,
            unhealthy_since: None,
        };
        loop {
            // what is due while there is nothing to compare the device with waits for the next look
            let due = if inner.settled_on().is_some() { watch.schedule.due_at().min(watch.look_at) } else { watch.look_at };
            tokio::select! {
                () = inner.outcomes.closed() => break,
                () = told.wake.notified() => {}
                () = tokio::time::sleep_until(due.into()) => {}
            }
            watch.schedule.notice(Instant::now(), std::mem::take(&mut *told.parts.borrow_mut()));
            watch.step().await;
        }
        listener.abort();
    }
}

/// Passes on what the kernel tells.
async fn listen<D: Device>(inner: Rc<Inner<D>>, told: Rc<Told>) {
    loop {
        let opened = inner.device.lock().await.events();
        let error = match opened {
            Ok(mut events) => {
                // what changed before is not told
                let mut parts = Ok(Backend::ALL.into());
                loop {
                    match parts {
                        Ok(parts) => {
                            told.parts.borrow_mut().extend::<Parts>(parts);
                            told.wake.notify_one();
                        }
                        Err(error) => break error,
                    }
                    parts = events.next().await;
                }
            }
            Err(error) => error,
        };
        tracing::warn!(error, "the device does not tell of changes: they are noticed late");
        tokio::time::sleep(LISTEN_AGAIN).await;
    }
}

impl<D: Device> Watch<D> {
    async fn step(&mut self) {
        let looks = Instant::now() >= self.look_at;
        if looks {
            self.look_at = Instant::now() + LOOK;
        }
        if self.inner.is_unconfirmed() {
            if looks {
                self.look_at_health().await;
            }
            return;
        }
        self.unhealthy_since = None;
        let Some(kept) = self.inner.settled_on() else { return };
        if self.at != Some(kept.at) {
            // it was read back as a whole when it was made
            self.at = Some(kept.at);
            self.found.clear();
            self.pause = FIRST_PAUSE;
            self.repair_at = Instant::now();
        }
        if looks {
            self.look_at_routing().await;
        }
        if let Some(parts) = self.schedule.take(Instant::now()) {
            self.compare(&kept, &parts).await;
        }
        self.tell().await;
    }

    async fn look_at_health(&mut self) {
        let Some(reason) = self.inner.unhealthy().await else {
            self.unhealthy_since = None;
            return;
        };
        let since = *self.unhealthy_since.get_or_insert_with(Instant::now);
        if since.elapsed() >= self.how.grace {
            self.unhealthy_since = None;
            let reason = format!("{reason}, for {} s after the change", self.how.grace.as_secs());
            let _ = self.inner.outcomes.send(Outcome::Event(Event::HealthLost { reason })).await;
        }
    }

    async fn look_at_routing(&mut self) {
        let started = Instant::now();
        if self.inner.device.lock().await.routing_changed().await {
            self.schedule.notice(Instant::now(), Parts::from([Backend::Frr]));
        }
        let took = started.elapsed();
        tracing::trace!(?took, "looked at FRR");
        self.look_at = (started + LOOK).max(Instant::now() + took.saturating_mul(LOOK_SHARE - 1));
    }

    async fn compare(&mut self, kept: &Kept, parts: &Parts) {
        let inner = self.inner.clone();
        let directory = inner.cache.directory(kept);
        let device = inner.device.lock().await;
        // an order may have come while we waited for the device
        if inner.settled_on().as_ref() != Some(kept) {
            self.schedule.notice(Instant::now(), parts.clone());
            return;
        }
        let started = Instant::now();
        let compared = device.compare(&directory, parts).await;
        self.schedule.end(Instant::now(), started.elapsed());
        inner.meter.compared(started.elapsed(), compared.as_ref().map_or(1, |compared| compared.differences.len()));
        tracing::debug!(?parts, took = ?started.elapsed(), "compared");
        let to_repair = match compared {
            Ok(compared) => {
                let ours = |difference: &&crate::report::Difference| difference.kind != DifferenceKind::Foreign;
                let to_repair: Parts = compared.differences.iter().filter(ours).map(|difference| difference.backend).collect();
                self.keep(compared);
                to_repair
            }
            Err(error) => {
                inner.knows(None);
                self.fail(parts, format!("can't be compared: {error}"));
                return;
            }
        };
        if to_repair.is_empty() {
            if *parts == Backend::ALL.into() {
                inner.knows(Some(&kept.files));
            }
            return;
        }
        inner.knows(None);
        let repair = self.how.repair && Instant::now() >= self.repair_at;
        tracing::warn!(differences = ?self.found, repair, "the device drifted");
        // before the repair, which takes a while
        self.tell().await;
        if !repair {
            // nobody tells that the pause is over
            if self.how.repair {
                self.schedule.notice(self.repair_at, to_repair);
            }
            return;
        }
        let started = Instant::now();
        match device.repair(&directory, &to_repair).await {
            Ok(compared) => self.keep(compared),
            Err(error) => self.fail(&to_repair, format!("can't be repaired: {error}")),
        }
        inner.meter.repaired(self.found.is_empty());
        if self.found.is_empty() {
            tracing::info!(took = ?started.elapsed(), "repaired");
            self.pause = FIRST_PAUSE;
        } else {
            // its own changes wake the next comparison: without a pause it would go on and on
            self.repair_at = Instant::now() + self.pause;
            self.pause = (self.pause * 2).min(self.how.every.max(FIRST_PAUSE));
            self.schedule.notice(self.repair_at, to_repair);
        }
    }

    /// Remembers what differs where it was looked at.
    fn keep(&mut self, compared: Compared) {
        self.found.retain(|part, _| !compared.parts.contains(part));
        for difference in compared.differences {
            self.found.entry(difference.backend).or_default().push(difference.to_string());
        }
    }

    fn fail(&mut self, parts: &Parts, error: String) {
        self.found.retain(|part, _| !parts.contains(part));
        if let Some(part) = parts.first() {
            self.found.insert(*part, vec![error]);
        }
    }

    /// Tells the controller what differs, where that may be something else than it knows.
    async fn tell(&mut self) {
        let differences: Vec<String> = self.found.values().flatten().cloned().collect();
        if self.inner.untold.take() || differences != self.told {
            self.told.clone_from(&differences);
            let _ = self.inner.outcomes.send(Outcome::Observed(differences)).await;
        }
    }
}
