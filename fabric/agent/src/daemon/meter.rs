//! Numbers about an agent.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use leafwall_metrics::{Checks, Counter, Counters, Gauge, Registry, Seconds};

/// What is counted as it happens. Clones count the same.
#[derive(Debug, Clone)]
pub struct Meter {
    connected: Arc<AtomicBool>,
    link: Gauge,
    sessions: Counter,
    bgp: Gauge,
    generation: Gauge,
    comparisons: Counter,
    drift: Counter,
    differences: Gauge,
    repairs: Counters,
    changes: Counters,
    comparison: Seconds,
    change: Seconds,
}

impl Default for Meter {
    fn default() -> Self {
        Self {
            connected: Arc::default(),
            link: Gauge::default(),
            sessions: Counter::default(),
            bgp: Gauge::default(),
            generation: Gauge::default(),
            comparisons: Counter::default(),
            drift: Counter::default(),
            differences: Gauge::default(),
            repairs: Counters::new("result", &RESULTS),
            changes: Counters::new("result", &RESULTS),
            comparison: Seconds::default(),
            change: Seconds::default(),
        }
    }
}

const RESULTS: [&str; 2] = ["done", "failed"];

fn word(worked: bool) -> &'static str {
    if worked { "done" } else { "failed" }
}

fn whole(number: impl TryInto<i64>) -> i64 {
    number.try_into().unwrap_or(i64::MAX)
}

impl Meter {
    /// All numbers of an agent.
    pub fn registry(&self) -> Registry {
        let mut registry = leafwall_metrics::registry();
        let all = &mut registry;
        all.register("agent_connected", "Whether there is a session with a controller", self.link.clone());
        all.register("agent_sessions", "Sessions with a controller that were established", self.sessions.clone());
        all.register("agent_bgp_sessions", "BGP sessions of the fabric that were established when last looked at", self.bgp.clone());
        all.register("agent_generation", "The revision that the device confirmed last; 0 for none", self.generation.clone());
        all.register("agent_comparisons", "Comparisons of the device with what it confirmed", self.comparisons.clone());
        all.register("agent_drift", "Comparisons that found a difference", self.drift.clone());
        all.register("agent_differences", "Differences that the last comparison found, and left", self.differences.clone());
        self.repairs.register(all, "agent_repairs", "Repairs of drift");
        self.changes.register(all, "agent_changes", "Changes of the device from one revision to another, also back");
        all.register("agent_last_comparison_seconds", "How long the last comparison took", self.comparison.clone());
        all.register("agent_last_change_seconds", "How long the last change took, with reading it back", self.change.clone());
        registry
    }

    pub(super) fn connected(&self, connected: bool) {
        if connected {
            self.sessions.inc();
        }
        self.connected.store(connected, Ordering::Relaxed);
        self.link.set(i64::from(connected));
    }

    pub(super) fn bgp(&self, sessions: Option<usize>) {
        self.bgp.set(whole(sessions.unwrap_or(0)));
    }

    pub(super) fn confirmed(&self, generation: u64) {
        self.generation.set(whole(generation));
    }

    pub(super) fn compared(&self, took: Duration, differences: usize) {
        self.comparisons.inc();
        self.comparison.set(took.as_secs_f64());
        self.differences.set(whole(differences));
        if differences > 0 {
            self.drift.inc();
        }
    }

    pub(super) fn repaired(&self, worked: bool) {
        self.repairs.add(word(worked));
        if worked {
            self.differences.set(0);
        }
    }

    pub(super) fn changed(&self, took: Duration, worked: bool) {
        self.changes.add(word(worked));
        self.change.set(took.as_secs_f64());
    }
}

impl Checks for Meter {
    async fn refresh(&self) {}

    async fn ready(&self) -> Result<(), String> {
        if self.connected.load(Ordering::Relaxed) { Ok(()) } else { Err("there is no session with a controller".to_owned()) }
    }
}
