//! Links and settings.

use std::collections::BTreeSet;

use leafwall_topology::Family;

use super::{OnceError, Run};
use crate::links::{LinkDiff, LinkStep, diff};
use crate::netlink::rules;
use crate::report::Backend;
use crate::sysctl::even;

/// Some steps have effects beside their own (a port that changes its VRF loses addresses): we look again, this often at most.
const PASSES: u8 = 4;

/// Which steps are done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Phase {
    /// Links are made, down.
    Make,
    /// Links go up.
    Raise,
    /// What is no longer wanted goes.
    Remove,
}

impl Phase {
    fn steps(self, found: LinkDiff) -> Vec<LinkStep> {
        match self {
            Self::Make => found.make,
            // something may have been lost on the way up
            Self::Raise => [found.make, found.raise].concat(),
            Self::Remove => found.remove,
        }
    }
}

impl Run {
    /// Does a phase's steps, looks again, and does what is left, as long as that leads anywhere.
    pub(super) async fn links(&mut self, phase: Phase) -> Result<(), OnceError> {
        let mut refused: BTreeSet<String> = BTreeSet::new();
        for _ in 0..PASSES {
            let Some(links) = self.artefacts.links() else { return Ok(()) };
            let observed = self.netlink.observe().await?;
            let found = diff(&observed, links);
            for warning in &found.warnings {
                self.report.warn(warning.clone());
            }
            let mut progress = false;
            let mut broken: BTreeSet<String> = BTreeSet::new();
            for step in phase.steps(found) {
                let text = step.to_string();
                // what failed once is tried again; what fails twice is left to the report
                let name = step.link().map(ToOwned::to_owned);
                if refused.contains(&text) || name.as_ref().is_some_and(|name| broken.contains(name)) {
                    continue;
                }
                match self.netlink.apply(&step).await {
                    Ok(()) => {
                        progress = true;
                        self.report.done(Backend::Links, text);
                    }
                    Err(error) => {
                        self.report.failed(Backend::Links, text.as_str(), &error);
                        refused.insert(text);
                        if matches!(step, LinkStep::Create { .. } | LinkStep::Delete { .. }) {
                            broken.extend(name);
                        }
                    }
                }
            }
            if !progress {
                break;
            }
        }
        Ok(())
    }

    /// Moves the rule of the table `local`: first the new one is there, then the old one goes, so that the device is never without. Other preferences are
    /// somebody else's and stay.
    pub(super) async fn local_table(&mut self) -> Result<(), OnceError> {
        let Some(links) = self.artefacts.links() else { return Ok(()) };
        let wanted = rules::preference(links.local_table);
        let other = if wanted == rules::FIRST { rules::AFTER_VRFS } else { rules::FIRST };
        for family in Family::BOTH {
            let found = self.netlink.local_rules(family).await?;
            if !found.contains(&wanted) {
                let step = format!("{family:?}: table local at preference {wanted}");
                match self.netlink.add_local_rule(family, wanted).await {
                    Ok(()) => self.report.done(Backend::Links, step),
                    Err(error) => {
                        self.report.failed(Backend::Links, step, &error);
                        continue;
                    }
                }
            }
            if found.contains(&other) {
                let step = format!("{family:?}: table local no longer at preference {other}");
                match self.netlink.delete_local_rule(family, other).await {
                    Ok(()) => self.report.done(Backend::Links, step),
                    Err(error) => self.report.failed(Backend::Links, step, &error),
                }
            }
        }
        Ok(())
    }

    /// Sets kernel settings that differ. Those of devices that are not there yet are left for later.
    pub(super) fn settings(&mut self, which: impl Fn(&str) -> bool) -> Result<(), OnceError> {
        // `ip_forward` resets others, so look again
        for _ in 0..PASSES {
            let mut changed = false;
            let sysctls = self.artefacts.links().into_iter().flat_map(|links| &links.sysctls);
            for (key, value) in sysctls.filter(|(key, _)| which(key)) {
                if self.sysctl.read(key)?.is_none_or(|now| now == even(value)) {
                    continue;
                }
                let step = format!("{key} = {value}");
                match self.sysctl.write(key, value) {
                    Ok(()) => {
                        changed = true;
                        self.report.done(Backend::Sysctl, step);
                    }
                    Err(error) => self.report.failed(Backend::Sysctl, step, &error),
                }
            }
            if !changed {
                break;
            }
        }
        Ok(())
    }
}
