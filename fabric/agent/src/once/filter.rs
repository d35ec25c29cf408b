//! Packet filters, before everything else.

use leafwall_render::links::{Forwarding, Links};

use super::{OnceError, Run};
use crate::nftables::{self, CLOSED, Ruleset};
use crate::report::{Backend, Report};
use crate::sysctl::{Sysctl, forwards};

/// Settings that make a device forward, whether `links.json` names them or not.
const FORWARDING: [&str; 2] = ["net/ipv4/ip_forward", "net/ipv6/conf/all/forwarding"];

impl Run {
    /// Loads the ruleset if the kernel holds another one, and reads it back. Whether it is in place.
    ///
    /// A firewall without any ruleset stops forwarding before it is loaded, and one whose ruleset can't be put right stops too. Without a file it gets a closed
    /// ruleset.
    pub(super) async fn filter(&mut self) -> Result<bool, OnceError> {
        let closed;
        let (ruleset, wanted) = match (&self.artefacts.ruleset, self.artefacts.links.forwarding) {
            (Some(ruleset), _) => (ruleset, true),
            (None, Forwarding::AfterRuleset) => {
                closed = Ruleset::new(CLOSED)?;
                (&closed, false)
            }
            // nothing to load; tables of ours that are there are reported, since a missing file is not an empty ruleset
            (None, Forwarding::Immediate) => return Ok(false),
        };
        let present = nftables::observe(ruleset.tables()).await?;
        let mut differences = ruleset.differences(&present);
        let firewall = self.artefacts.links.forwarding == Forwarding::AfterRuleset;
        // one ruleset takes the place of another at once, so only where there is none does anything have to stop
        let bare = ruleset.differences(&[]).iter().any(|missing| differences.contains(missing));
        if firewall && (!wanted || bare) {
            stop_forwarding(&self.sysctl, &self.artefacts.links, &mut self.report)?;
        }
        if !differences.is_empty() {
            match ruleset.load(&present).await {
                Ok(()) => self.report.done(Backend::Nftables, "load the ruleset"),
                Err(error) => self.report.failed(Backend::Nftables, "load the ruleset", &error),
            }
            let loaded = nftables::observe(ruleset.tables()).await?;
            differences = ruleset.differences(&loaded);
            self.filters = Some(loaded);
            if firewall && !differences.is_empty() {
                stop_forwarding(&self.sysctl, &self.artefacts.links, &mut self.report)?;
            }
        }
        Ok(wanted && differences.is_empty())
    }
}

fn stop_forwarding(sysctl: &Sysctl, links: &Links, report: &mut Report) -> Result<(), OnceError> {
    for key in FORWARDING.into_iter().chain(links.sysctls.keys().map(String::as_str).filter(|key| forwards(key))) {
        if sysctl.read(key)?.is_some_and(|value| value != "0") {
            sysctl.write(key, "0")?;
            report.done(Backend::Sysctl, format!("stop forwarding: {key} = 0"));
        }
    }
    Ok(())
}
