//! The proof from artefacts' texts: all of it, the same again after a change of one tenant, and under every single failure.

use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use leafwall_plan::{Planner, Table};
use leafwall_proof::{Failures, Input, Known, Proof};
use leafwall_render::inventory::LabInventory;
use leafwall_render::{Devices, build, render, render_device};

/// How often a proof of a small fabric is measured, and a change; the median counts.
const RUNS: usize = 9;

struct Fabric {
    planner: Planner,
    inventory: LabInventory,
    devices: Devices,
}

impl Fabric {
    fn prove(&self, known: &mut Known, failures: Failures) -> (Proof, f64) {
        let input = Input {
            model: self.planner.model(),
            table: self.planner.table(),
            endpoints: &self.inventory.endpoints,
            outside: &self.inventory.outside,
            artefacts: &self.devices,
        };
        let start = Instant::now();
        let proof = leafwall_proof::prove_again(&input, known, failures).unwrap();
        let took = start.elapsed().as_secs_f64() * 1e3;
        assert!(proof.holds(), "{:?} {:?}", proof.findings, proof.hazards);
        (proof, took)
    }

    fn again(&mut self) {
        self.inventory = build::inventory(self.planner.model(), self.planner.table(), self.planner.plan());
    }
}

/// Proves a directory's fabric, often or once; with single failures where they are asked for.
pub fn measure(directory: &Path, failures: bool, once: bool) {
    let (model, _, findings) = leafwall_tests::directory::load(directory).unwrap();
    let model = model.unwrap_or_else(|| panic!("{findings}"));
    let planner = Planner::new(model, &Table::default(), 1, None).unwrap();
    let devices = render(planner.plan()).unwrap();
    let inventory = build::inventory(planner.model(), planner.table(), planner.plan());
    let mut fabric = Fabric { planner, inventory, devices };
    let runs = if once { 1 } else { RUNS };
    let full = median((0..runs).map(|_| fabric.prove(&mut Known::default(), Failures::None).1).collect());

    let mut known = Known::default();
    let (proof, _) = fabric.prove(&mut known, Failures::None);
    let change = median((0..runs).map(|_| one_tenant(&mut fabric, &mut known)).collect());

    let single = failures.then(|| fabric.prove(&mut Known::default(), Failures::Single));
    let looked = single.as_ref().map(|(proof, _)| proof.failures.len());
    println!(
        "{}",
        serde_json::json!({
            "full_ms": full, "change_ms": change, "failures_ms": single.map(|(_, took)| took), "failures": looked,
            "pairs": proof.pairs, "devices": fabric.devices.len(),
        })
    );
}

/// Takes an Allocation away or gives it back, and proves what comes of it. Rendering is not part of what is measured.
fn one_tenant(fabric: &mut Fabric, known: &mut Known) -> f64 {
    let mut changed = (**fabric.planner.model()).clone();
    let (name, allocation) = changed.allocations.last_key_value().map(|(name, object)| (name.clone(), object.clone())).unwrap();
    changed.allocations.remove(&name);
    let mut took = Vec::new();
    for model in [changed.clone(), {
        let mut back = changed;
        back.allocations.insert(name, allocation);
        back
    }] {
        for name in &fabric.planner.update(model).unwrap() {
            match fabric.planner.plan().devices.get(name) {
                Some(plan) => drop(fabric.devices.insert(name.clone(), Arc::new(render_device(plan).unwrap()))),
                None => drop(fabric.devices.remove(name)),
            }
        }
        fabric.again();
        took.push(fabric.prove(known, Failures::None).1);
    }
    median(took)
}

fn median(mut all: Vec<f64>) -> f64 {
    all.sort_by(f64::total_cmp);
    all[all.len() / 2]
}
