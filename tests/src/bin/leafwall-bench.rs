//! What `scripts/bench` needs beside the command itself: fabrics of any size, and a change rendered in a process that holds the Model.
#![allow(clippy::unwrap_used, clippy::disallowed_methods, clippy::panic)] // a measurement that cannot run stops

#[path = "bench/cluster.rs"]
mod cluster;
#[path = "bench/controller.rs"]
mod controller;
#[path = "bench/firewall.rs"]
mod firewall;
#[path = "bench/frr.rs"]
mod frr;
#[path = "bench/pipeline.rs"]
mod pipeline;
#[path = "bench/proof.rs"]
mod proof;
#[path = "bench/sonic.rs"]
mod sonic;

use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use leafwall_intent::model::Allocation;
use leafwall_plan::{Planner, Table};
use leafwall_render::{render, render_device};
use leafwall_tests::drift_lab::DriftLab;
use leafwall_tests::fabric::{Size, generate};
use leafwall_tests::machine::Machine;

/// As in the command that is measured.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const USAGE: &str = "usage: leafwall-bench generate LEAVES SPINES TENANTS LEAVES_PER_TENANT DIR\n       leafwall-bench rerender DIR\n       \
                     leafwall-bench frr PEER_CONF first|change\n       leafwall-bench frr-inside load|change|verify|memory FILE\n       \
                     leafwall-bench controller LEAFWALL DIR\n       leafwall-bench fake-agents ADDRESS DIR\n       leafwall-bench agent-rss\n       \
                     leafwall-bench drift TENANTS\n       leafwall-bench cluster\n       leafwall-bench firewall POLICIES\n       \
                     leafwall-bench connections\n       leafwall-bench pipeline DIR\n       \
                     leafwall-bench proof DIR [failures|once]\n       leafwall-bench sonic|sonic-apply TENANTS";
/// How many changes are measured; the median counts.
const CHANGES: usize = 21;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["generate", leaves, spines, tenants, leaves_per_tenant, directory] => {
            let number = |text: &str| text.parse().unwrap();
            let size = Size {
                leaves: number(leaves),
                spines: number(spines),
                tenants: number(tenants),
                leaves_per_tenant: number(leaves_per_tenant),
            };
            std::fs::create_dir_all(directory).unwrap();
            for (path, text) in generate(size) {
                std::fs::write(Path::new(directory).join(path), text).unwrap();
            }
        }
        ["rerender", directory] => rerender(Path::new(directory)),
        ["frr", peer, which] => frr::measure(Path::new(peer), which),
        ["controller", program, fabric] => controller::measure(Path::new(program), Path::new(fabric)),
        ["fake-agents", address, root] => controller::agents(address, Path::new(root)),
        ["agent-rss"] => frr::memory(),
        ["cluster"] => cluster::measure(),
        ["pipeline", directory] => pipeline::measure(Path::new(directory)),
        ["proof", directory] => proof::measure(Path::new(directory), false, false),
        ["proof", directory, "failures"] => proof::measure(Path::new(directory), true, false),
        ["proof", directory, "once"] => proof::measure(Path::new(directory), false, true),
        ["sonic", tenants] => sonic::measure(tenants.parse().unwrap()),
        ["sonic-apply", tenants] => sonic::measure_apply(tenants.parse().unwrap()),
        ["firewall", policies] => firewall::measure(policies.parse().unwrap()),
        ["connections"] => firewall::connections::measure(),
        ["drift", tenants] => drift(tenants.parse().unwrap()),
        ["frr-inside", task, file] => frr::inside(task, Path::new(file)),
        _ => panic!("{USAGE}"),
    }
}

/// Drift on a leaf in the lab's machine, told and repaired.
fn drift(tenants: usize) {
    let machine = Machine::boot("drift").unwrap();
    let lab = DriftLab::start(machine, tenants, 3600);
    let drifts = lab.all();
    eprintln!("{}", lab.costs());
    let rows: Vec<_> = drifts
        .iter()
        .map(|drift| serde_json::json!({"what": drift.what, "told": drift.told, "to_report_ms": drift.to_report, "to_repair_ms": drift.to_repair}))
        .collect();
    println!("{}", serde_json::json!(rows));
}

/// Takes one Allocation away and gives it back, again and again. From the changed object to the texts of all devices that it touches; then everything is
/// rendered anew and compared.
fn rerender(directory: &Path) {
    let (model, _, findings) = leafwall_tests::directory::load(directory).unwrap();
    let model = model.unwrap_or_else(|| panic!("{findings}"));
    let (name, allocation): (_, Arc<Allocation>) =
        model.allocations.last_key_value().map(|(name, object)| (name.clone(), object.clone())).unwrap();
    let mut planner = Planner::new(model, &Table::default(), 1, None).unwrap();
    let mut devices = render(planner.plan()).unwrap();
    let mut took = Vec::new();
    let mut touched = 0;
    for _ in 0..CHANGES {
        let start = Instant::now();
        let mut changed = (**planner.model()).clone();
        if changed.allocations.remove(&name).is_none() {
            changed.allocations.insert(name.clone(), allocation.clone());
        }
        let names = planner.update(changed).unwrap();
        for name in &names {
            match planner.plan().devices.get(name) {
                Some(plan) => drop(devices.insert(name.clone(), Arc::new(render_device(plan).unwrap()))),
                None => drop(devices.remove(name)),
            }
        }
        took.push(start.elapsed().as_secs_f64() * 1e3);
        touched = names.len();
        assert_eq!(devices, render(planner.plan()).unwrap(), "an incremental rendering differs from a full one of the same plan");
        let full = Planner::new((**planner.model()).clone(), planner.table(), 1, None).unwrap();
        assert_eq!(devices, render(full.plan()).unwrap(), "an incremental rendering differs from a full one");
    }
    took.sort_by(f64::total_cmp);
    println!(
        "{{\"median_ms\": {:.3}, \"worst_ms\": {:.3}, \"changes\": {CHANGES}, \"devices_touched\": {touched}, \"devices\": {}}}",
        took[took.len() / 2],
        took[took.len() - 1],
        devices.len()
    );
}
