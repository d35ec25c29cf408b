//! Controller and agents under simulated time: thousands of random schedules of faults, and a test for each rule.
//!
//! `LEAFWALL_SCHEDULES` says how many schedules are tried, `LEAFWALL_SEED` shows a single one.
#![allow(missing_docs, clippy::unwrap_used)] // helpers of tests

mod agent_rules;
mod controller_rules;
mod fake;
mod random;
mod world;

use std::collections::BTreeMap;

use self::world::World;

/// Without `LEAFWALL_SCHEDULES`: a few seconds.
const SCHEDULES: u64 = 2_000;

#[expect(clippy::disallowed_methods, reason = "what is tested is pure; how much is tested is asked of the one who runs it")]
fn number(variable: &str) -> Option<u64> {
    std::env::var(variable).ok()?.parse().ok()
}

#[test]
fn every_schedule_of_faults_ends_with_all_devices_on_what_was_decided() {
    if let Some(seed) = number("LEAFWALL_SEED") {
        World::new(seed, true).run();
        return;
    }
    let schedules = number("LEAFWALL_SCHEDULES").unwrap_or(SCHEDULES);
    let mut outcomes: BTreeMap<&str, u64> = BTreeMap::new();
    for seed in 0..schedules {
        for (outcome, count) in World::new(seed, false).run() {
            *outcomes.entry(outcome).or_default() += count;
        }
    }
    println!("{schedules} schedules: {outcomes:?}");
    let seen = |outcome| outcomes.get(outcome).copied().unwrap_or_default();
    assert!(schedules < 100 || (seen("committed") > schedules && seen("abandoned") > schedules / 4), "too tame or too wild: {outcomes:?}");
}
