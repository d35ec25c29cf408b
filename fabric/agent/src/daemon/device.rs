//! What can be done to a device.

use std::cell::Cell;
use std::future::Future;
use std::path::Path;

use leafwall_rollout::digest::Digest;

use crate::health::Health;
use crate::netlink::events::Events as KernelEvents;
use crate::once::{self, Options};
use crate::report::{Backend, Difference, Parts, Report, chain};

/// A device, as the agent needs it. Only what it observes afterwards counts as done (H16).
pub trait Device: 'static {
    /// What tells of changes.
    type Events: Events;
    /// Whether the device's own tools take some parts of these artefacts; changes nothing.
    fn check(&self, directory: &Path, parts: &Parts) -> impl Future<Output = Result<(), String>>;
    /// Makes the device these artefacts, from whatever it is, and reads it back. What is not among `parts` was these artefacts when it was last looked at.
    fn make(&self, directory: &Path, parts: &Parts) -> impl Future<Output = Result<(), String>>;
    /// Looks at some parts; changes nothing.
    fn compare(&self, directory: &Path, parts: &Parts) -> impl Future<Output = Result<Compared, String>>;
    /// Makes a device that was these artefacts what it was, where parts of it differ.
    fn repair(&self, directory: &Path, parts: &Parts) -> impl Future<Output = Result<Compared, String>>;
    /// How it stands in the fabric; none where it has no FRR.
    fn health(&self) -> impl Future<Output = Option<Health>>;
    /// Begins to listen. What changed before is not told.
    fn events(&self) -> Result<Self::Events, String>;
    /// Whether FRR, which tells nobody when it is configured, runs something else than when it was compared last.
    fn routing_changed(&self) -> impl Future<Output = bool>;
}

/// What a device tells by itself.
pub trait Events: 'static {
    /// The parts that may have changed, once some may. May be dropped at any time.
    fn next(&mut self) -> impl Future<Output = Result<Parts, String>>;
}

/// What a comparison found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Compared {
    /// Where it looked.
    pub parts: Parts,
    /// What differs there.
    pub differences: Vec<Difference>,
}

impl Events for KernelEvents {
    async fn next(&mut self) -> Result<Parts, String> {
        Self::next(self).await.map_err(|error| chain(&error))
    }
}

/// What FRR ran when it was asked last; nothing where it did not say.
type Running = Option<Digest>;

/// The machine (or network namespace) that the agent runs on.
#[derive(Debug)]
pub struct ThisDevice {
    options: Options,
    /// When it was compared; nothing before that, and where there is no FRR.
    compared: Cell<Option<Running>>,
}

impl ThisDevice {
    /// This machine, whose parts are found in some way.
    pub const fn new(options: Options) -> Self {
        Self { options, compared: Cell::new(None) }
    }

    fn remember(&self, report: &Report) {
        if report.running.is_some() {
            self.compared.set(Some(report.running));
        }
    }
}

impl Device for ThisDevice {
    type Events = KernelEvents;

    async fn check(&self, directory: &Path, parts: &Parts) -> Result<(), String> {
        once::check(directory, &self.options, parts).await.map_err(|error| chain(&error))
    }

    async fn make(&self, directory: &Path, parts: &Parts) -> Result<(), String> {
        let report = once::change(directory, &self.options, parts).await.map_err(|error| chain(&error))?;
        self.remember(&report);
        tracing::info!(steps = report.steps.len(), times = report.times(), "made and read back");
        for warning in &report.warnings {
            tracing::warn!(warning, "while making a revision");
        }
        // steps that failed and were made good say nothing of what the device is
        if report.is_equal() {
            return Ok(());
        }
        let failed = report.steps.iter().filter_map(|step| step.error.as_ref().map(|error| format!("{}: {error}", step.step)));
        Err(failed.chain(report.differences.iter().map(ToString::to_string)).collect::<Vec<_>>().join("; "))
    }

    async fn compare(&self, directory: &Path, parts: &Parts) -> Result<Compared, String> {
        let report = once::compare(directory, &self.options, parts).await.map_err(|error| chain(&error))?;
        self.remember(&report);
        Ok(Compared { parts: parts.clone(), differences: report.differences })
    }

    async fn repair(&self, directory: &Path, parts: &Parts) -> Result<Compared, String> {
        let report = once::repair(directory, &self.options, parts).await.map_err(|error| chain(&error))?;
        self.remember(&report);
        for step in &report.steps {
            tracing::info!(part = %step.backend, step = step.step, error = step.error, "repair");
        }
        // what was found beside them was looked at, too
        let found = report.differences.iter().map(|difference| difference.backend);
        let parts = if once::only_filters(parts) { parts.iter().copied().chain(found).collect() } else { Backend::ALL.into() };
        Ok(Compared { parts, differences: report.differences })
    }

    async fn health(&self) -> Option<Health> {
        self.options.frr.health().await.ok()
    }

    fn events(&self) -> Result<KernelEvents, String> {
        KernelEvents::open().map_err(|error| chain(&error))
    }

    async fn routing_changed(&self) -> bool {
        let Some(compared) = self.compared.get() else { return false };
        let running = self.options.frr.digest().await.ok();
        // a daemon that is away is told once, and once more when it is back
        self.compared.set(Some(running));
        running != compared
    }
}
