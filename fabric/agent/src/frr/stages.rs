//! What is loaded before the first VXLAN link exists, and what after the VRFs do.

use leafwall_render::frr::{Exchange, FrrConfig, PrintError, RouterBgp};

use super::compare;

/// How far a device has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Progress {
    /// Nothing of ours: fresh daemons, or foreign configuration.
    Empty,
    /// The global stage is loaded and nothing else: an apply was interrupted there (H17).
    Global,
    /// All of it.
    Complete,
    /// Something else of ours: it is changed by its delta.
    Different,
}

impl Progress {
    /// Compares what is running with what is wanted.
    pub fn of(running: &FrrConfig, wanted: &FrrConfig) -> Result<Self, PrintError> {
        Ok(if !compare::holds_ours(running)? {
            Self::Empty
        } else if compare::differences(running, wanted)?.is_empty() {
            Self::Complete
        } else if compare::differences(running, &global_stage(wanted))?.is_empty() {
            Self::Global
        } else {
            Self::Different
        })
    }
}

/// The first stage: lists, route-maps, BFD and the default instance with EVPN. bgpd must have it before it hears of a VXLAN link (H4). Lists come first: made
/// afterwards they cost quadratically.
pub fn global_stage(config: &FrrConfig) -> FrrConfig {
    let mut stage = config.clone();
    stage.vrfs.clear();
    stage.routers.retain(is_default);
    stage
}

/// The second stage: VRFs with their VNIs, and their instances. Zebra must know the VRFs before, or the VNIs are lost without a word (H3).
pub fn instance_stage(config: &FrrConfig) -> FrrConfig {
    let mut stage = FrrConfig { vrfs: config.vrfs.clone(), routers: config.routers.clone(), ..FrrConfig::default() };
    stage.routers.retain(|router| !is_default(router));
    stage
}

/// Whether a configuration has the instance that VXLAN links need (H4).
pub fn has_evpn(config: &FrrConfig) -> bool {
    let exchanges =
        config.routers.iter().filter(|router| is_default(router)).flat_map(|router| &router.families).flat_map(|family| &family.exchanges);
    exchanges.into_iter().any(|exchange| matches!(exchange, Exchange::AdvertiseAllVni))
}

const fn is_default(router: &RouterBgp) -> bool {
    router.vrf.is_none()
}
