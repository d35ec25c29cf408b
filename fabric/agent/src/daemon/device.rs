//! What can be done to a device.

use std::future::Future;
use std::path::Path;

use crate::once::{self, Options};
use crate::report::chain;

/// A device, as the agent needs it. Only what it observes afterwards counts as done (H16).
pub trait Device: 'static {
    /// Whether the device's own tools take these artefacts; changes nothing.
    fn check(&self, directory: &Path) -> impl Future<Output = Result<(), String>>;
    /// Makes the device these artefacts, from whatever it is, and reads it back.
    fn make(&self, directory: &Path) -> impl Future<Output = Result<(), String>>;
    /// What differs now; changes nothing.
    fn differences(&self, directory: &Path) -> impl Future<Output = Result<Vec<String>, String>>;
    /// How many BGP sessions of the fabric are established; none where the device has no FRR.
    fn sessions(&self) -> impl Future<Output = Option<usize>>;
}

/// The machine (or network namespace) that the agent runs on.
#[derive(Debug, Clone)]
pub struct ThisDevice {
    /// How its parts are found.
    pub options: Options,
}

impl Device for ThisDevice {
    async fn check(&self, directory: &Path) -> Result<(), String> {
        once::check(directory, &self.options).await.map_err(|error| chain(&error))
    }

    async fn make(&self, directory: &Path) -> Result<(), String> {
        let report = once::once(directory, &self.options).await.map_err(|error| chain(&error))?;
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

    async fn differences(&self, directory: &Path) -> Result<Vec<String>, String> {
        let report = once::compare(directory, &self.options).await.map_err(|error| chain(&error))?;
        Ok(report.differences.iter().map(ToString::to_string).collect())
    }

    async fn sessions(&self) -> Option<usize> {
        self.options.frr.established().await.ok()
    }
}
