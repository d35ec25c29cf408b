//! What can be done to a device.

use std::cell::Cell;
use std::future::Future;
use std::path::Path;

use leafwall_render::CONFIG_DB_JSON;
use leafwall_rollout::digest::Digest;
use tokio::sync::watch;

use crate::health::Health;
use crate::netlink::events::Events as KernelEvents;
use crate::once::{self, Options};
use crate::report::{Backend, Difference, Parts, Report, chain};
use crate::sonic::Sonic;
use crate::sonic::events::Events as SonicEvents;

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
    /// Sees to it that the device starts with these artefacts, too, which it is and which were confirmed.
    fn keep(&self, directory: &Path) -> impl Future<Output = Result<(), String>>;
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

/// What this machine tells: its kernel, or the databases of SONiC, which makes the kernel's links itself.
#[derive(Debug)]
pub struct ThisDeviceEvents {
    kernel: KernelEvents,
    sonic: Sonic,
    /// Whether the machine turned out to be one that runs SONiC: artefacts say it.
    runs_sonic: watch::Receiver<bool>,
    databases: Option<SonicEvents>,
}

impl Events for ThisDeviceEvents {
    async fn next(&mut self) -> Result<Parts, String> {
        if self.databases.is_none() && *self.runs_sonic.borrow_and_update() {
            self.databases = Some(SonicEvents::open(&self.sonic).await.map_err(|error| chain(&error))?);
            // what changed before is not told
            return Ok(Parts::from([Backend::Sonic]));
        }
        if let Some(databases) = &mut self.databases {
            return databases.next().await.map(|()| Parts::from([Backend::Sonic])).map_err(|error| chain(&error));
        }
        tokio::select! {
            parts = self.kernel.next() => parts.map_err(|error| chain(&error)),
            // from the next call on SONiC is listened to
            Ok(()) = self.runs_sonic.changed() => Ok(Parts::from([Backend::Sonic])),
        }
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
    runs_sonic: watch::Sender<bool>,
}

impl ThisDevice {
    /// This machine, whose parts are found in some way.
    pub fn new(options: Options) -> Self {
        Self { options, compared: Cell::new(None), runs_sonic: watch::Sender::new(false) }
    }

    /// Artefacts say what kind of machine this is.
    fn recognise(&self, directory: &Path) {
        if directory.join(CONFIG_DB_JSON).exists() {
            self.runs_sonic.send_if_modified(|runs| !std::mem::replace(runs, true));
        }
    }

    fn remember(&self, report: &Report) {
        if report.running.is_some() {
            self.compared.set(Some(report.running));
        }
    }
}

impl Device for ThisDevice {
    type Events = ThisDeviceEvents;

    async fn check(&self, directory: &Path, parts: &Parts) -> Result<(), String> {
        once::check(directory, &self.options, parts).await.map_err(|error| chain(&error))
    }

    async fn make(&self, directory: &Path, parts: &Parts) -> Result<(), String> {
        self.recognise(directory);
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
        self.recognise(directory);
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

    async fn keep(&self, directory: &Path) -> Result<(), String> {
        once::keep(directory, &self.options).await.map_err(|error| chain(&error))
    }

    async fn health(&self) -> Option<Health> {
        self.options.frr.health().await.ok()
    }

    fn events(&self) -> Result<ThisDeviceEvents, String> {
        let kernel = KernelEvents::open().map_err(|error| chain(&error))?;
        Ok(ThisDeviceEvents { kernel, sonic: self.options.sonic.clone(), runs_sonic: self.runs_sonic.subscribe(), databases: None })
    }

    async fn routing_changed(&self) -> bool {
        let Some(compared) = self.compared.get() else { return false };
        let running = self.options.frr.digest().await.ok();
        // a daemon that is away is told once, and once more when it is back
        self.compared.set(Some(running));
        running != compared
    }
}
