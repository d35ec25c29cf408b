//! CONFIG_DB and FRR as one change.

use std::sync::Arc;

use leafwall_delta::config_db::Phase;
use leafwall_render::config_db::ConfigDb;

use super::{Ground, OnceError, Run};
use crate::report::Backend;
use crate::sonic::change::Changing;
use crate::sonic::{Setback, Sonic};

/// What is written before FRR is told of VRFs that come (H3). What goes is out of FRR's instances by then (H19).
const BEFORE_INSTANCES: &[Phase] = &[Phase::Prepare, Phase::Shut, Phase::Remove, Phase::Update, Phase::Add];
/// What is written once all that is behind ports is as it should be.
const AFTER_INSTANCES: &[Phase] = &[Phase::Open];

impl Run {
    /// The switch's databases and what they should hold, where it is one that runs SONiC.
    pub(super) fn on_sonic(&self) -> Option<(Sonic, Arc<ConfigDb>)> {
        match &self.artefacts.ground {
            Ground::Sonic(wanted) => Some((self.sonic.clone(), wanted.clone())),
            Ground::Links(_) => None,
        }
    }

    /// All of a switch that runs SONiC: one change of CONFIG_DB and FRR.
    pub(super) async fn build_on_sonic(&mut self, wanted: &ConfigDb) -> Result<(), OnceError> {
        // before anything is touched: what can't be changed beside what is somebody else's is not begun
        if let Some((changing, unsettled)) = Changing::begin(&self.sonic, wanted, self.timeout).await? {
            if let Some(unsettled) = unsettled {
                self.report.warn(format!("before the change: {unsettled}"));
            }
            self.changing_config_db = Some(changing);
        }
        self.lap("planning CONFIG_DB");
        let progress = self.global_stage().await?;
        self.lap("FRR before CONFIG_DB");
        if !self.vxlan_is_safe() {
            self.report.warn("bgpd runs without EVPN: CONFIG_DB is left alone (H4)".into());
            return Ok(());
        }
        self.write_config_db(BEFORE_INSTANCES).await?;
        self.lap("CONFIG_DB");
        self.instance_stage(progress).await?;
        self.lap("VRFs in FRR");
        self.write_config_db(AFTER_INSTANCES).await?;
        self.settle_config_db().await?;
        self.lap("opening ports");
        self.change_end().await?;
        self.lap("FRR after CONFIG_DB");
        Ok(())
    }

    /// Writes what these phases write, or takes everything back.
    async fn write_config_db(&mut self, phases: &[Phase]) -> Result<(), OnceError> {
        let Some(changing) = self.changing_config_db.as_mut().filter(|_| !self.undone) else { return Ok(()) };
        let mut done = Vec::new();
        let written = changing.advance(phases, &mut done).await;
        for step in done {
            self.report.done(Backend::Sonic, step);
        }
        match written {
            Ok(()) => Ok(()),
            Err((step, setback)) => self.fail_config_db(&step, setback).await,
        }
    }

    async fn settle_config_db(&mut self) -> Result<(), OnceError> {
        let Some(changing) = self.changing_config_db.as_mut().filter(|_| !self.undone) else { return Ok(()) };
        match changing.settle().await {
            Ok(()) => Ok(()),
            Err(setback) => self.fail_config_db("see what came of CONFIG_DB", setback).await,
        }
    }

    async fn fail_config_db(&mut self, step: &str, setback: Setback) -> Result<(), OnceError> {
        self.report.failed(Backend::Sonic, step, &setback);
        self.undo(&setback).await
    }

    /// Takes back what was written of a change, if there is one.
    pub(super) async fn take_back_config_db(&mut self) {
        let Some(changing) = self.changing_config_db.take() else { return };
        let mut done = Vec::new();
        let undone = changing.undo(&mut done).await;
        for step in done {
            self.report.done(Backend::Sonic, format!("take back: {step}"));
        }
        if let Err(error) = undone {
            self.report.failed(Backend::Sonic, "take back what was written", &error);
        }
    }
}
