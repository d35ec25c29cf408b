//! Everything read back.

use std::time::{Duration, Instant};

use leafwall_policy::nft::Table;
use leafwall_render::links::Forwarding;
use leafwall_topology::Family;

use super::{Ground, OnceError, Run};
use crate::frr::{self, FrrError};
use crate::links::diff;
use crate::netlink::rules;
use crate::nftables::{self, CLOSED, Ruleset};
use crate::report::{Backend, Difference, Parts};
use crate::sysctl::even;

/// Between two looks at the daemons.
const POLL: Duration = Duration::from_millis(200);

impl Run {
    /// Looks at some parts until nothing differs or time is up; what differs then is reported. Daemons take a while to see links and each other (H16); what
    /// does not change by itself is not waited for.
    pub(super) async fn verify(&mut self, parts: &Parts) -> Result<(), OnceError> {
        let mut differences = self.own_doing(parts).await?;
        if parts.contains(&Backend::Frr) {
            if differences.is_empty() {
                let (waited, state) = self.settled().await;
                if waited {
                    // something may have changed meanwhile
                    differences = self.own_doing(parts).await?;
                }
                differences.extend(state);
            } else {
                differences.extend(self.state().await);
            }
        }
        // once: nothing changes it by itself, and it is read by starting programs
        if parts.contains(&Backend::Nftables) {
            differences.extend(self.filters(None).await?);
        }
        differences.sort();
        differences.dedup();
        self.report.differences = differences;
        Ok(())
    }

    /// What differs in what was told to the kernel and the daemons.
    async fn own_doing(&mut self, parts: &Parts) -> Result<Vec<Difference>, OnceError> {
        let mut differences = Vec::new();
        if parts.contains(&Backend::Links) {
            differences.extend(self.kernel().await?);
        }
        if parts.contains(&Backend::Sysctl) {
            differences.extend(self.set()?);
        }
        if parts.contains(&Backend::Sonic)
            && let Ground::Sonic(wanted) = &self.artefacts.ground
        {
            differences.extend(self.sonic.differences(wanted).await?);
        }
        if parts.contains(&Backend::Frr) {
            differences.extend(self.configuration().await?);
        }
        Ok(differences)
    }

    /// What the daemons make of it once they agree, or when time is up; and whether it was waited for.
    async fn settled(&self) -> (bool, Vec<Difference>) {
        let deadline = Instant::now() + self.timeout;
        let mut waited = false;
        loop {
            let state = self.state().await;
            if state.is_empty() || Instant::now() >= deadline {
                return (waited, state);
            }
            waited = true;
            tokio::time::sleep(POLL).await;
        }
    }

    async fn kernel(&mut self) -> Result<Vec<Difference>, OnceError> {
        let Some(links) = self.artefacts.links() else { return Ok(Vec::new()) };
        let observed = self.netlink.observe().await?;
        let found = diff(&observed, links);
        let wanted = rules::preference(links.local_table);
        for warning in &found.warnings {
            self.report.warn(warning.clone());
        }
        let mut differences = found.differences(&observed);
        for family in Family::BOTH {
            let found = self.netlink.local_rules(family).await?;
            if found != [wanted] {
                let what = format!("{family:?} rules to table local");
                differences.push(Difference::changed(Backend::Links, what).expected(wanted.to_string()).observed(format!("{found:?}")));
            }
        }
        Ok(differences)
    }

    pub(super) fn set(&self) -> Result<Vec<Difference>, OnceError> {
        let mut differences = Vec::new();
        for (key, value) in self.artefacts.links().into_iter().flat_map(|links| &links.sysctls) {
            match self.sysctl.read(key)? {
                None => differences.push(Difference::missing(Backend::Sysctl, key.clone()).expected(value.clone())),
                Some(now) if now != even(value) => {
                    differences.push(Difference::changed(Backend::Sysctl, key.clone()).expected(value.clone()).observed(now));
                }
                Some(_) => {}
            }
        }
        Ok(differences)
    }

    /// What differs in packet filters, by what was just read of them or by what is read now.
    pub(super) async fn filters(&self, just_read: Option<Vec<Table>>) -> Result<Vec<Difference>, OnceError> {
        let observed = match just_read {
            Some(tables) => Ok(tables),
            None => self.filters.tables(self.artefacts.ruleset.as_ref().map(Ruleset::tables).unwrap_or_default()).await,
        };
        let present = match (&self.artefacts.ruleset, observed) {
            // a device that has no ruleset needs no nftables
            (None, Err(error)) if self.artefacts.forwarding() == Forwarding::Immediate => {
                tracing::debug!(%error, "no nftables");
                return Ok(Vec::new());
            }
            (_, present) => present?,
        };
        match &self.artefacts.ruleset {
            Some(ruleset) => Ok(ruleset.differences(&present)),
            None if self.artefacts.forwarding() == Forwarding::AfterRuleset => {
                let mut found = Ruleset::new(CLOSED)?.differences(&present);
                found.push(Difference::missing(Backend::Nftables, "the firewall's ruleset: it is closed"));
                Ok(found)
            }
            None => Ok(present
                .iter()
                .map(|table| Difference::foreign(Backend::Nftables, format!("table {}", nftables::word(&table.id))))
                .collect()),
        }
    }

    async fn configuration(&mut self) -> Result<Vec<Difference>, OnceError> {
        let Some(routing) = &self.artefacts.routing else { return Ok(Vec::new()) };
        let (running, digest) = self.frr.running_with_digest().await?;
        self.report.running = Some(digest);
        Ok(frr::differences(&running, &routing.config).map_err(FrrError::from)?)
    }

    async fn state(&self) -> Vec<Difference> {
        match &self.artefacts.routing {
            Some(routing) => self.frr.state(&routing.expected).await,
            None => Vec::new(),
        }
    }
}
