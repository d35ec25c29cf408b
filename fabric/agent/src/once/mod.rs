//! All backends in the one safe order.
//!
//! 1. Everything is checked with the device's own tools; a mistake ends the run before anything is touched.
//! 2. nftables first: guards and rulesets are there before a link goes up or a packet is forwarded. A firewall whose ruleset is not read back as it should be
//!    gets no forwarding, no links and no routes (F22).
//! 3. FRR's global stage with EVPN, before the first VXLAN link exists (H4). Where FRR runs something of ours already, what goes or changes is withdrawn first.
//! 4. Links, down, until zebra shows them (H3). Then FRR's VRFs and instances.
//! 5. Links up, L3VNI SVIs last (H1).
//! 6. What is ours and no longer wanted goes, once FRR does not name it (H19); then what nothing in FRR uses any more.
//! 7. Everything is read back until it is as it should be or time is up (H16).
//!
//! On SONiC, CONFIG_DB stands in the place of links: all but the opening of ports in 4, that in 5; what goes went before what came (`leafwall_delta::config_db`), once
//! FRR gave up its instances in 3. What FRR or SONiC does not take is taken back from both.

mod artefacts;
mod change;
mod filter;
mod kernel;
mod routing;
mod secrets;
mod sonic;
mod verify;

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use leafwall_delta::Change;
use leafwall_render::frr::FrrConfig;
use leafwall_render::links::Forwarding;
use thiserror::Error;

pub use artefacts::{Artefacts, ArtefactsError, Ground};

use crate::cluster::ClusterFile;
use crate::frr::{Frr, FrrError, Progress};
use crate::netlink::{Netlink, NetlinkError};
use crate::nftables::{self, NftablesError};
use crate::report::{Backend, Parts, Report};
use crate::sonic::change::Changing as ChangingConfigDb;
use crate::sonic::{Sonic, SonicError};
use crate::sysctl::{Sysctl, SysctlError};

/// How to run.
#[derive(Debug, Clone)]
pub struct Options {
    /// The daemons.
    pub frr: Frr,
    /// How long to wait at most, once for zebra to see the links and once for the daemons to settle.
    pub timeout: Duration,
    /// Where the device keeps its BGP passwords, a file each; `None` leaves their names in place, so that those sessions stay down.
    pub secrets: Option<PathBuf>,
    /// Where a firewall keeps what its cluster opens; `None` where no cluster can.
    pub cluster: Option<ClusterFile>,
    /// What is known of the packet filters.
    pub filters: nftables::Memory,
    /// Where a switch that runs SONiC has its databases.
    pub sonic: Sonic,
}

/// Why a run could not begin or go on. What differs is no error.
#[derive(Debug, Error)]
pub enum OnceError {
    /// The directory.
    #[error(transparent)]
    Artefacts(#[from] ArtefactsError),
    /// The kernel.
    #[error(transparent)]
    Netlink(#[from] NetlinkError),
    /// nftables.
    #[error(transparent)]
    Nftables(#[from] NftablesError),
    /// FRR.
    #[error(transparent)]
    Frr(#[from] FrrError),
    /// A kernel setting that is not of the network.
    #[error(transparent)]
    Sysctl(#[from] SysctlError),
    /// SONiC.
    #[error(transparent)]
    Sonic(#[from] SonicError),
}

/// One run.
struct Run {
    artefacts: Artefacts,
    frr: Frr,
    netlink: Netlink,
    sysctl: Sysctl,
    filters: nftables::Memory,
    sonic: Sonic,
    timeout: Duration,
    /// What FRR ran when we last looked.
    running: FrrConfig,
    /// A change of what it ran.
    changing: Option<change::Changing>,
    /// A change of CONFIG_DB.
    changing_config_db: Option<ChangingConfigDb>,
    /// Something was refused, or did not lead where it should, and all was taken back as far as that went.
    undone: bool,
    /// Since when the present lap lasts.
    lap: Instant,
    report: Report,
}

/// Makes this device (this network namespace) what the artefacts in `directory` say, and reads it back.
///
/// Running it again does nothing. Empty daemons are filled; daemons that run something else of ours are changed by its delta, and back if that is refused or
/// does not lead where it should.
pub async fn once(directory: &Path, options: &Options) -> Result<Report, OnceError> {
    let mut run = Run::new(directory, options)?;
    run.check(&Backend::ALL.into()).await?;
    run.make(&Backend::ALL.into()).await
}

/// The same for artefacts that this device was made before and drifted from. Only the parts that drifted are looked at where one does not depend on others.
pub async fn repair(directory: &Path, options: &Options, parts: &Parts) -> Result<Report, OnceError> {
    let mut run = Run::new(directory, options)?;
    if only_filters(parts) {
        return run.make_filters().await;
    }
    run.check_what_is_loaded().await?;
    let sonic = run.on_sonic();
    let mut report = run.make(&Backend::ALL.into()).await?;
    if let Some((sonic, wanted)) = sonic {
        if report.is_equal() && sonic.save(&wanted).await? {
            report.done(Backend::Sonic, format!("save {}", sonic.saved.display()));
        }
        report.differences.extend(sonic.surroundings(&wanted).await?);
    }
    Ok(report)
}

/// Sees to it that a device starts with these artefacts, too, which it is: they were confirmed. A device that we fill anew after each start has nothing of the kind.
pub async fn keep(directory: &Path, options: &Options) -> Result<(), OnceError> {
    if let Ground::Sonic(wanted) = Ground::read(directory)? {
        options.sonic.save(&wanted).await?;
    }
    Ok(())
}

/// The same for artefacts that [`check`] was asked about. What is not among `parts` is as they say already, and is left alone.
pub async fn change(directory: &Path, options: &Options, parts: &Parts) -> Result<Report, OnceError> {
    let mut run = Run::new(directory, options)?;
    if only_filters(parts) {
        return run.make_filters().await;
    }
    run.read_running().await?;
    run.make(parts).await
}

/// Whether nothing but packet filters is concerned, on which nothing else depends.
pub(crate) fn only_filters(parts: &Parts) -> bool {
    parts.iter().all(|part| *part == Backend::Nftables)
}

/// Asks the device's own tools about some parts of the artefacts; changes nothing.
pub async fn check(directory: &Path, options: &Options, parts: &Parts) -> Result<(), OnceError> {
    Run::new(directory, options)?.check(parts).await
}

/// What differs from the artefacts now in some parts, and around it; changes nothing, and waits for nothing.
pub async fn compare(directory: &Path, options: &Options, parts: &Parts) -> Result<Report, OnceError> {
    let mut run = Run::new(directory, &Options { timeout: Duration::ZERO, ..options.clone() })?;
    // a look at the device takes nothing for granted
    run.filters = nftables::Memory::default();
    run.verify(parts).await?;
    if let Some((sonic, wanted)) = run.on_sonic().filter(|_| parts.contains(&Backend::Sonic)) {
        run.report.differences.extend(sonic.surroundings(&wanted).await?);
    }
    Ok(run.report)
}

impl Run {
    fn new(directory: &Path, options: &Options) -> Result<Self, OnceError> {
        let mut artefacts = Artefacts::read(directory, options.secrets.as_deref(), options.cluster.as_ref())?;
        let nameless = artefacts.routing.as_mut().map(|routing| secrets::wanted(&mut routing.config)).unwrap_or_default();
        let netlink = Netlink::open()?;
        let mut run = Self {
            artefacts,
            frr: options.frr.clone(),
            netlink,
            sysctl: Sysctl::default(),
            filters: options.filters.clone(),
            sonic: options.sonic.clone(),
            timeout: options.timeout,
            running: FrrConfig::default(),
            changing: None,
            changing_config_db: None,
            undone: false,
            lap: Instant::now(),
            report: Report::default(),
        };
        for name in nameless {
            run.report.warn(format!("the BGP password `{name}` is not filled in (--secrets): its session stays down"));
        }
        Ok(run)
    }

    /// Asks the device's own tools about our text; changes nothing.
    async fn check(&mut self, parts: &Parts) -> Result<(), OnceError> {
        if let Some(ruleset) = self.artefacts.ruleset.as_ref().filter(|_| parts.contains(&Backend::Nftables)) {
            ruleset.check().await?;
        }
        self.read_running().await?;
        if let Some(routing) = self.artefacts.routing.as_ref().filter(|_| parts.contains(&Backend::Frr)) {
            match Progress::of(&self.running, &routing.config).map_err(FrrError::from)? {
                // what runs was taken already; the same text is looked for again when it is made
                Progress::Different => self.frr.check_delta(&Change::between(&self.running, &routing.config).forward).await?,
                Progress::Empty | Progress::Global | Progress::Complete => self.frr.check(&routing.text).await?,
            }
        }
        match &self.artefacts.ground {
            Ground::Links(links) => links.sysctls.keys().try_for_each(|key| self.sysctl.read(key).map(drop))?,
            Ground::Sonic(wanted) if parts.contains(&Backend::Sonic) => self.sonic.check(wanted, self.timeout).await?,
            Ground::Sonic(_) => {}
        }
        Ok(())
    }

    /// The same for a text that was checked when it was prepared: only what FRR does not run yet is asked about, which takes seconds for a thousand tenants.
    async fn check_what_is_loaded(&mut self) -> Result<(), OnceError> {
        let all = Backend::ALL.into();
        let Some(routing) = &self.artefacts.routing else { return self.check(&all).await };
        self.running = self.frr.running().await?;
        if Progress::of(&self.running, &routing.config).map_err(FrrError::from)? == Progress::Complete {
            return Ok(());
        }
        self.check(&all).await
    }

    async fn read_running(&mut self) -> Result<(), OnceError> {
        if self.artefacts.routing.is_some() {
            self.running = self.frr.running().await?;
        }
        Ok(())
    }

    /// Makes the device what the artefacts say, and reads it back. What is not among `parts` is not looked at; but a firewall's ruleset always is, for
    /// without it nothing may be forwarded (F22).
    async fn make(mut self, parts: &Parts) -> Result<Report, OnceError> {
        let mut parts = parts.clone();
        if self.artefacts.forwarding() == Forwarding::AfterRuleset {
            parts.insert(Backend::Nftables);
        }
        self.lap("reading what is there");
        let guarded = parts.contains(&Backend::Nftables) && self.filter().await?.in_place;
        self.lap("packet filters");
        if let Ground::Sonic(wanted) = &self.artefacts.ground {
            let wanted = wanted.clone();
            self.build_on_sonic(&wanted).await?;
        } else if guarded || self.artefacts.forwarding() == Forwarding::Immediate {
            self.build().await?;
        } else {
            self.report.warn("the ruleset is not in place: nothing is forwarded, and links and routes are left alone (F22)".into());
        }
        self.verify(&parts).await?;
        self.lap("reading back");
        Ok(self.report)
    }

    /// What the time since the last one went into.
    fn lap(&mut self, what: &'static str) {
        let now = Instant::now();
        self.report.laps.push((what, now - self.lap));
        self.lap = now;
    }

    async fn build(&mut self) -> Result<(), OnceError> {
        let forwarding = self.artefacts.forwarding();
        self.settings(|key| forwarding == Forwarding::Immediate || !crate::sysctl::forwards(key))?;
        // before the first VRF: no packet of a tenant ever meets the other order
        self.local_table().await?;
        self.lap("settings");
        let progress = self.global_stage().await?;
        self.lap("FRR before links");
        if !self.vxlan_is_safe() {
            self.report.warn("bgpd runs without EVPN: links are left alone (H4)".into());
            return Ok(());
        }
        self.links(kernel::Phase::Make).await?;
        self.settings(|key| forwarding == Forwarding::Immediate || !crate::sysctl::forwards(key))?;
        self.lap("making links");
        self.instance_stage(progress).await?;
        self.lap("VRFs in FRR");
        self.links(kernel::Phase::Raise).await?;
        self.lap("raising links");
        if !self.undone {
            self.links(kernel::Phase::Remove).await?;
            self.lap("removing links");
            self.change_end().await?;
            self.lap("FRR after links");
        }
        self.settings(|_| true)
    }
}
