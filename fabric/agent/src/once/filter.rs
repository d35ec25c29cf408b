//! Packet filters, before everything else.

use leafwall_policy::nft::Table;
use leafwall_render::links::{Forwarding, Links};

use super::{OnceError, Run};
use crate::netlink::conntrack::{self, Cut};
use crate::nftables::{CLOSED, Ruleset};
use crate::report::{Backend, Report};
use crate::sysctl::{Sysctl, forwards};

/// Settings that make a device forward, whether `links.json` names them or not.
const FORWARDING: [&str; 2] = ["net/ipv4/ip_forward", "net/ipv6/conf/all/forwarding"];

/// What is there once the ruleset was looked at.
pub(super) struct Filtered {
    /// The ruleset that is wanted is there, and nothing else of ours.
    pub in_place: bool,
    /// Our tables as they were read last; none where nobody looked.
    pub tables: Option<Vec<Table>>,
}

impl Run {
    /// Loads the ruleset if the kernel holds another one, and reads it back. Whether it is in place.
    ///
    /// A firewall without any ruleset stops forwarding before it is loaded, and one whose ruleset can't be put right stops too. Without a file it gets a closed
    /// ruleset.
    pub(super) async fn filter(&mut self) -> Result<Filtered, OnceError> {
        let closed;
        let (ruleset, wanted) = match (&self.artefacts.ruleset, self.artefacts.forwarding()) {
            (Some(ruleset), _) => (ruleset, true),
            (None, Forwarding::AfterRuleset) => {
                closed = Ruleset::new(CLOSED)?;
                (&closed, false)
            }
            // nothing to load; tables of ours that are there are reported, since a missing file is not an empty ruleset
            (None, Forwarding::Immediate) => return Ok(Filtered { in_place: false, tables: None }),
        };
        let mut present = self.filters.tables(ruleset.tables()).await?;
        let mut differences = ruleset.differences(&present);
        let firewall = self.artefacts.forwarding() == Forwarding::AfterRuleset;
        // one ruleset takes the place of another at once, so only where there is none does anything have to stop
        let bare = ruleset.differences(&[]).iter().any(|missing| differences.contains(missing));
        if firewall && (!wanted || bare) {
            stop_forwarding(&self.sysctl, self.artefacts.links(), &mut self.report)?;
        }
        if !differences.is_empty() {
            match ruleset.load(&present).await {
                Ok(()) => self.report.done(Backend::Nftables, "load the ruleset"),
                Err(error) => self.report.failed(Backend::Nftables, "load the ruleset", &error),
            }
            let before = std::mem::replace(&mut present, self.filters.read(ruleset.tables()).await?);
            if firewall {
                cut(&before, &present, &mut self.report).await;
            }
            differences = ruleset.differences(&present);
            if firewall && !differences.is_empty() {
                stop_forwarding(&self.sysctl, self.artefacts.links(), &mut self.report)?;
            }
        }
        Ok(Filtered { in_place: wanted && differences.is_empty(), tables: Some(present) })
    }

    /// Makes nothing but the packet filters, and reads them back. A firewall that stopped forwarding until its ruleset was there forwards again.
    pub(super) async fn make_filters(mut self) -> Result<Report, OnceError> {
        let Filtered { in_place, tables } = self.filter().await?;
        let mut differences = self.filters(tables).await?;
        if in_place && self.artefacts.forwarding() == Forwarding::AfterRuleset {
            self.settings(|_| true)?;
            differences.extend(self.set()?);
        }
        differences.sort();
        self.report.differences = differences;
        Ok(self.report)
    }
}

/// Cuts the flows that the change took the rules of (F13). What can't be cut is reported; the rules are in force all the same.
async fn cut(before: &[Table], after: &[Table], report: &mut Report) {
    for earlier in before {
        let Some(later) = after.iter().find(|table| table.id == earlier.id) else { continue };
        match conntrack::cut(None, earlier.clone(), later.clone()).await {
            Ok(Cut { cut: 0, .. }) => {}
            Ok(Cut { cut, .. }) => report.done(Backend::Nftables, format!("cut {cut} flows that no rule allows any more")),
            Err(error) => report.failed(Backend::Nftables, "cut the flows that no rule allows any more", &error),
        }
    }
}

fn stop_forwarding(sysctl: &Sysctl, links: Option<&Links>, report: &mut Report) -> Result<(), OnceError> {
    for key in FORWARDING
        .into_iter()
        .chain(links.into_iter().flat_map(|links| links.sysctls.keys()).map(String::as_str).filter(|key| forwards(key)))
    {
        if sysctl.read(key)?.is_some_and(|value| value != "0") {
            sysctl.write(key, "0")?;
            report.done(Backend::Sysctl, format!("stop forwarding: {key} = 0"));
        }
    }
    Ok(())
}
