//! From intents to a proved candidate in one process, as the controller does it: from nothing, and after changes of one tenant.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Instant;

use leafwall_controller::history::Intents;
use leafwall_controller::pipeline::{Candidate, Pipeline};
use leafwall_tests::controller::intents;

use super::controller::one_tenant_less;

/// How often one tenant is changed, and changed back; the medians count.
const CHANGES: usize = 5;

/// Prints how long each stage takes, in ms, the first time and after a change, as JSON. What the last change comes to is made from nothing again, and compared.
pub fn measure(fabric: &Path) {
    let bytes = |files: &BTreeMap<String, String>| -> Intents {
        files.iter().map(|(path, text)| (path.clone(), text.clone().into_bytes())).collect()
    };
    let whole = intents(fabric);
    let mut changed = whole.clone();
    one_tenant_less(&mut changed);
    let pipeline = Pipeline::default();
    let (first, first_ms) = timed(&pipeline, bytes(&whole), None);
    let first_stages = stages(&first);
    let mut before = first;
    let mut all = Vec::new();
    for files in [&changed, &whole].into_iter().cycle().take(2 * CHANGES) {
        let (candidate, took) = timed(&pipeline, bytes(files), Some(&before.allocation));
        all.push((took, stages(&candidate)));
        if all.len() == 2 * CHANGES {
            let (fresh, _) = timed(&Pipeline::default(), bytes(files), Some(&before.allocation));
            assert_eq!(candidate.allocation, fresh.allocation);
            assert_eq!(candidate.devices, fresh.devices);
            assert_eq!(candidate.certificate, fresh.certificate);
        }
        before = candidate;
    }
    let names = all[0].1.keys();
    let change_stages: BTreeMap<_, _> = names.map(|name| (*name, median(all.iter().map(|(_, stages)| stages[name])))).collect();
    println!(
        "{}",
        serde_json::json!({
            "first_ms": first_ms, "change_ms": median(all.iter().map(|(took, _)| *took)), "first_stages_ms": first_stages, "change_stages_ms": change_stages,
            "devices": before.devices.len(), "certificate_bytes": before.certificate.len(), "table_bytes": before.allocation.len(),
        })
    );
}

fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

fn timed(pipeline: &Pipeline, intents: Intents, stored: Option<&str>) -> (Candidate, f64) {
    let start = Instant::now();
    let candidate = pipeline.build(intents, stored).unwrap_or_else(|rejection| panic!("{rejection}"));
    (candidate, start.elapsed().as_secs_f64() * 1e3)
}

fn stages(candidate: &Candidate) -> BTreeMap<&'static str, f64> {
    candidate.took.iter().map(|(name, took)| (*name, took.as_secs_f64() * 1e3)).collect()
}
