//! FRR, filled or changed in two stages.

use std::time::{Duration, Instant};

use leafwall_delta::Delta;
use leafwall_render::config_db::table;
use leafwall_render::frr::FrrConfig;
use leafwall_render::links::LinkKind;

use super::{Ground, OnceError, Run};
use crate::frr::{Progress, global_stage, has_evpn, instance_stage};
use crate::report::Backend;

/// Between two looks at zebra.
const POLL: Duration = Duration::from_millis(100);

impl Run {
    /// Loads lists, route-maps and the default instance into empty daemons, or begins to change others. How far they were before; `None` without FRR.
    pub(super) async fn global_stage(&mut self) -> Result<Option<Progress>, OnceError> {
        let Some(routing) = &self.artefacts.routing else { return Ok(None) };
        let progress = Progress::of(&self.running, &routing.config).map_err(crate::frr::FrrError::from)?;
        match progress {
            Progress::Empty => {
                let stage = global_stage(&routing.config);
                for step in &Delta::before_loading(&self.running, &stage).steps {
                    if let Err(error) = self.frr.take(step).await {
                        self.report.failed(Backend::Frr, step.kind.title(), &error);
                    }
                }
                self.load("load the global stage", &stage).await;
                self.running = self.frr.running().await?;
            }
            Progress::Different => {
                let wanted = routing.config.clone();
                self.change_global(&wanted).await?;
            }
            Progress::Global | Progress::Complete => {}
        }
        Ok(Some(progress))
    }

    /// Whether a VXLAN link may be made: none is wanted, no FRR is to see it, or bgpd has EVPN (H4).
    pub(super) fn vxlan_is_safe(&self) -> bool {
        let wanted = match &self.artefacts.ground {
            Ground::Links(links) => links.links.iter().any(|link| matches!(link.kind, LinkKind::Vxlan { .. })),
            // vxlanmgrd makes a link for each
            Ground::Sonic(database) => database.tables.contains_key(table::VXLAN_TUNNEL_MAP),
        };
        match &self.artefacts.routing {
            Some(routing) if wanted && has_evpn(&routing.config) => has_evpn(&self.running),
            _ => true,
        }
    }

    /// Waits until zebra shows the links (H3), then loads VRFs and their instances, unless they are there.
    pub(super) async fn instance_stage(&mut self, progress: Option<Progress>) -> Result<(), OnceError> {
        let (Some(Progress::Empty | Progress::Global | Progress::Different), Some(routing)) = (progress, &self.artefacts.routing) else {
            return Ok(());
        };
        if self.undone {
            return Ok(());
        }
        let deadline = Instant::now() + self.timeout;
        loop {
            let unseen = self.frr.unseen(&routing.expected).await?;
            if unseen.is_empty() {
                break;
            }
            if Instant::now() >= deadline {
                // what is missing is found again, and reported, when everything is read back
                self.report.warn(format!("zebra does not show {} links: VRFs are not configured (H3)", unseen.len()));
                return Ok(());
            }
            tokio::time::sleep(POLL).await;
        }
        if progress == Some(Progress::Different) {
            let wanted = routing.config.clone();
            return self.change_instances(&wanted).await;
        }
        let stage = instance_stage(&routing.config);
        self.load("load VRFs and their instances", &stage).await;
        Ok(())
    }

    async fn load(&mut self, step: &str, stage: &FrrConfig) {
        match self.frr.load(stage).await {
            Ok(()) => self.report.done(Backend::Frr, step),
            Err(error) => self.report.failed(Backend::Frr, step, &error),
        }
    }
}
