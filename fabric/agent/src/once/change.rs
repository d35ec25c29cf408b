//! FRR that runs something of ours already, changed by its delta.

use std::time::{Duration, Instant};

use leafwall_delta::{Change, Delta, Step, StepKind};
use leafwall_render::frr::FrrConfig;

use super::{OnceError, Run};
use crate::frr::{self, FrrError};
use crate::report::{Backend, DifferenceKind};

/// Between two looks at what is withdrawn, or at VRFs that go.
const POLL: Duration = Duration::from_millis(50);

/// What is said before new links exist.
const BEFORE_LINKS: &[StepKind] = &[StepKind::Withdraw, StepKind::RemoveInstances, StepKind::Global];
/// What is said once zebra has them.
const AFTER_LINKS: &[StepKind] = &[StepKind::Instances];
/// What is said once old links are gone.
const AT_THE_END: &[StepKind] = &[StepKind::Clean, StepKind::Forget];

/// A change on its way.
#[derive(Debug)]
pub(super) struct Changing {
    /// What ran before.
    before: FrrConfig,
    delta: Delta,
}

/// Why a change is taken back.
#[derive(Debug, thiserror::Error)]
enum Setback {
    #[error(transparent)]
    Frr(#[from] FrrError),
    #[error("still there after {} s: {what}", after.as_secs())]
    Remains { what: String, after: Duration },
    #[error("not running after it was said: {what}")]
    Missing { what: String },
}

impl Run {
    /// Computes the delta, has it checked, and does what comes before new links.
    pub(super) async fn change_global(&mut self, wanted: &FrrConfig) -> Result<(), OnceError> {
        let change = Change::between(&self.running, wanted);
        self.frr.check_delta(&change.forward).await?;
        tracing::info!(steps = change.forward.steps.len(), "FRR changes:\n{}", change.summary);
        self.changing = Some(Changing { before: self.running.clone(), delta: change.forward });
        self.change(BEFORE_LINKS).await?;
        self.running = self.frr.running().await?;
        Ok(())
    }

    /// Does what needs the links.
    pub(super) async fn change_instances(&mut self, wanted: &FrrConfig) -> Result<(), OnceError> {
        self.change(AFTER_LINKS).await?;
        if self.undone {
            return Ok(());
        }
        let differences = frr::differences(&self.frr.running().await?, wanted).map_err(FrrError::from)?;
        let missing: Vec<String> = differences
            .into_iter()
            .filter(|difference| difference.kind == DifferenceKind::Missing)
            .map(|difference| difference.what)
            .collect();
        if !missing.is_empty() {
            self.undo(&Setback::Missing { what: missing.join("; ") }).await?;
        }
        Ok(())
    }

    /// Does what follows the links that went.
    pub(super) async fn change_end(&mut self) -> Result<(), OnceError> {
        self.change(AT_THE_END).await
    }

    async fn change(&mut self, kinds: &[StepKind]) -> Result<(), OnceError> {
        let Some(changing) = self.changing.as_ref().filter(|_| !self.undone) else { return Ok(()) };
        for step in changing.delta.steps_of(kinds).cloned().collect::<Vec<Step>>() {
            match self.take(&step).await {
                Ok(()) => self.report.done(Backend::Frr, step.kind.title()),
                Err(setback) => {
                    self.report.failed(Backend::Frr, step.kind.title(), &setback);
                    return self.undo(&setback).await;
                }
            }
        }
        Ok(())
    }

    async fn take(&self, step: &Step) -> Result<(), Setback> {
        let deadline = Instant::now() + self.timeout;
        if step.kind == StepKind::Forget {
            // the kernel has lost them; zebra hears of it a little later, and what it still has then is no harm: FRR shows it empty
            loop {
                let now = self.frr.forgettable(step).await?;
                if now.batches == step.batches || Instant::now() >= deadline || !self.links_are_gone(step).await {
                    return if now.is_empty() { Ok(()) } else { Ok(self.frr.take(&now).await?) };
                }
                tokio::time::sleep(POLL).await;
            }
        }
        self.frr.take(step).await?;
        if step.withdrawn.is_empty() {
            return Ok(());
        }
        loop {
            let remaining = self.frr.remaining(&step.withdrawn).await?;
            if remaining.is_empty() {
                return Ok(());
            }
            if Instant::now() >= deadline {
                let what: Vec<String> = remaining.iter().map(|vni| format!("VNI {vni}")).collect();
                return Err(Setback::Remains { what: what.join(", "), after: self.timeout });
            }
            tokio::time::sleep(POLL).await;
        }
    }

    /// Whether the kernel has none of the VRFs that are to be forgotten.
    async fn links_are_gone(&self, step: &Step) -> bool {
        let Ok(observed) = self.netlink.observe().await else { return false };
        let commands = step.batches.iter().flat_map(|batch| &batch.commands);
        let mut names = commands.filter_map(|command| command.strip_prefix("no vrf "));
        names.all(|name| !observed.links.contains_key(name))
    }

    /// Goes back to what ran before, from wherever the daemons are now; that is reported, whether it succeeds or not. The links that FRR names again must stay
    /// (H19): CONFIG_DB is what it was before FRR names again what it had before, and after FRR gave up what came.
    pub(super) async fn undo(&mut self, setback: &dyn std::error::Error) -> Result<(), OnceError> {
        self.undone = true;
        self.report.warn(format!("the change is taken back: {setback}"));
        let steps = match &self.changing {
            Some(changing) => Delta::between(&self.frr.running().await?, &changing.before).steps,
            None => Vec::new(),
        };
        let (first, then): (Vec<Step>, Vec<Step>) = steps.into_iter().partition(|step| BEFORE_LINKS.contains(&step.kind));
        self.take_back(first).await;
        self.take_back_config_db().await;
        self.take_back(then).await;
        if self.changing.is_some() {
            self.running = self.frr.running().await?;
        }
        Ok(())
    }

    async fn take_back(&mut self, steps: Vec<Step>) {
        for step in steps {
            match self.take(&step).await {
                Ok(()) => self.report.done(Backend::Frr, format!("take back: {}", step.kind.title())),
                // the steps after it may still close what is open
                Err(error) => self.report.failed(Backend::Frr, format!("take back: {}", step.kind.title()), &error),
            }
        }
    }
}
