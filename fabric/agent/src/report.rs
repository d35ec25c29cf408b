//! What was done and what differs.

use std::collections::BTreeSet;
use std::fmt;
use std::time::Duration;

use leafwall_render::LEAFWALL_NFT;
use leafwall_rollout::digest::Digest;
use leafwall_rollout::revision::Files;
pub(crate) use leafwall_topology::chain;
use serde::Serialize;

/// Which part of the device.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Backend {
    /// Kernel links, addresses, routes.
    Links,
    /// Kernel settings.
    Sysctl,
    /// Packet filters.
    Nftables,
    /// CONFIG_DB of a switch that runs SONiC, which has no other parts than this and routing daemons.
    Sonic,
    /// Routing daemons.
    Frr,
}

impl Backend {
    /// All of a device.
    pub const ALL: [Self; 5] = [Self::Links, Self::Sysctl, Self::Nftables, Self::Sonic, Self::Frr];

    /// The parts that one device's artefacts and its next ones say something different of. Packet filters stand alone; links, kernel settings, CONFIG_DB and
    /// routing depend on each other.
    pub fn between(before: &Files, after: &Files) -> Parts {
        let differs = |file: &&String| before.get(*file) != after.get(*file);
        let all: BTreeSet<&String> = before.keys().chain(after.keys()).collect();
        let parts = all.into_iter().filter(differs).flat_map(|file| match file.as_str() {
            LEAFWALL_NFT => vec![Self::Nftables],
            _ => vec![Self::Links, Self::Sysctl, Self::Sonic, Self::Frr],
        });
        parts.collect()
    }
}

/// Some parts of a device.
pub type Parts = BTreeSet<Backend>;

impl fmt::Display for Backend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Links => "links",
            Self::Sysctl => "sysctl",
            Self::Nftables => "nftables",
            Self::Sonic => "sonic",
            Self::Frr => "frr",
        })
    }
}

/// How something differs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum DifferenceKind {
    /// It should be there and is not.
    Missing,
    /// It is there and is not as it should be.
    Changed,
    /// It belongs to somebody else and stands in the way, or is out of an agent's hands: a cable, the other end of one. Nothing is done about it (H25).
    Foreign,
}

impl fmt::Display for DifferenceKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Missing => "missing",
            Self::Changed => "changed",
            Self::Foreign => "foreign",
        })
    }
}

/// Something that is not as it should be, as observed at the end.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Difference {
    /// Where.
    pub backend: Backend,
    /// How.
    pub kind: DifferenceKind,
    /// What.
    pub what: String,
    /// What it should be, where that can be said in a word.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expected: Option<String>,
    /// What it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub observed: Option<String>,
}

impl Difference {
    /// Something that is not there.
    pub fn missing(backend: Backend, what: impl Into<String>) -> Self {
        Self { backend, kind: DifferenceKind::Missing, what: what.into(), expected: None, observed: None }
    }

    /// Something that is not as it should be.
    pub fn changed(backend: Backend, what: impl Into<String>) -> Self {
        Self { kind: DifferenceKind::Changed, ..Self::missing(backend, what) }
    }

    /// Something that somebody put into what is ours: that was changed, and is changed back.
    pub fn surplus(backend: Backend, what: impl Into<String>) -> Self {
        Self::changed(backend, what).expected("nothing")
    }

    /// Something of somebody else's that is in the way.
    pub fn foreign(backend: Backend, what: impl Into<String>) -> Self {
        Self { kind: DifferenceKind::Foreign, ..Self::missing(backend, what) }
    }

    /// With what it should be.
    #[must_use]
    pub fn expected(self, expected: impl Into<String>) -> Self {
        Self { expected: Some(expected.into()), ..self }
    }

    /// With what it is.
    #[must_use]
    pub fn observed(self, observed: impl Into<String>) -> Self {
        Self { observed: Some(observed.into()), ..self }
    }
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:<8} {:<9} {}", self.kind, self.backend, self.what)?;
        if let Some(expected) = &self.expected {
            write!(f, ", expected {expected}")?;
        }
        if let Some(observed) = &self.observed {
            write!(f, ", observed {observed}")?;
        }
        Ok(())
    }
}

/// One thing that was done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct StepDone {
    /// Where.
    pub backend: Backend,
    /// What.
    pub step: String,
    /// How it ended. Success says only that nobody complained; [`Report::differences`] says what came of it (H16).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

/// What an agent did and found.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Report {
    /// What was done, in order.
    pub steps: Vec<StepDone>,
    /// What differs now; empty means that the device is as it should be.
    pub differences: Vec<Difference>,
    /// What the device can't do and is done without.
    pub warnings: Vec<String>,
    /// Of what FRR ran when it was compared last.
    #[serde(skip)]
    pub running: Option<Digest>,
    /// What the time went into, in order.
    #[serde(skip)]
    pub laps: Vec<(&'static str, Duration)>,
}

impl Report {
    pub(crate) fn done(&mut self, backend: Backend, step: impl Into<String>) {
        self.steps.push(StepDone { backend, step: step.into(), error: None });
    }

    pub(crate) fn failed(&mut self, backend: Backend, step: impl Into<String>, error: &dyn std::error::Error) {
        self.steps.push(StepDone { backend, step: step.into(), error: Some(chain(error)) });
    }

    pub(crate) fn warn(&mut self, warning: String) {
        if !self.warnings.contains(&warning) {
            self.warnings.push(warning);
        }
    }

    /// What the time went into, in words.
    pub fn times(&self) -> String {
        self.laps.iter().map(|(what, took)| format!("{what} {} ms", took.as_millis())).collect::<Vec<_>>().join(", ")
    }

    /// Whether the device is as it should be.
    pub const fn is_equal(&self) -> bool {
        self.differences.is_empty()
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for backend in [Backend::Nftables, Backend::Sysctl, Backend::Links, Backend::Sonic, Backend::Frr] {
            let steps: Vec<_> = self.steps.iter().filter(|step| step.backend == backend).collect();
            let failed = steps.iter().filter(|step| step.error.is_some()).count();
            writeln!(f, "{backend:<9} {:>5} steps, {failed} failed", steps.len())?;
        }
        for (step, error) in self.steps.iter().filter_map(|step| step.error.as_ref().map(|error| (step, error))) {
            writeln!(f, "failed   {:<9} {}: {error}", step.backend, step.step)?;
        }
        for warning in &self.warnings {
            writeln!(f, "warning  {warning}")?;
        }
        for difference in &self.differences {
            writeln!(f, "{difference}")?;
        }
        if self.is_equal() { writeln!(f, "nothing differs") } else { writeln!(f, "{} differences", self.differences.len()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn files(texts: &[(&str, &str)]) -> Files {
        texts.iter().map(|(name, text)| ((*name).to_owned(), Digest::of(text.as_bytes()))).collect()
    }

    #[test]
    fn packet_filters_alone_concern_nothing_else() {
        let before = files(&[("frr.conf", "a"), ("links.json", "b"), ("leafwall.nft", "c")]);
        assert_eq!(Backend::between(&before, &before), Parts::new());
        assert_eq!(
            Backend::between(&before, &files(&[("frr.conf", "a"), ("links.json", "b"), ("leafwall.nft", "d")])),
            [Backend::Nftables].into()
        );
        // one that is gone is another one
        assert_eq!(Backend::between(&before, &files(&[("frr.conf", "a"), ("links.json", "b")])), [Backend::Nftables].into());
        let routing = Backend::between(&before, &files(&[("frr.conf", "x"), ("links.json", "b"), ("leafwall.nft", "c")]));
        assert_eq!(routing, [Backend::Links, Backend::Sysctl, Backend::Sonic, Backend::Frr].into());
        // whatever it is, the whole device is about it
        let new = Backend::between(&before, &files(&[("frr.conf", "a"), ("links.json", "y"), ("leafwall.nft", "d"), ("new", "")]));
        assert_eq!(new, Backend::ALL.into());
    }
}
