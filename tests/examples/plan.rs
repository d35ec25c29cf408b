//! Measures allocation and planning: `cargo run --release --example plan -- LEAVES SPINES TENANTS LEAVES_PER_TENANT`; with one argument, a directory,
//! prints its table and plan.
#![allow(clippy::unwrap_used, clippy::disallowed_methods, clippy::expect_used)]

use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use leafwall_intent::{SourceFile, Sources};
use leafwall_plan::{Planner, Table, TableFile};
use leafwall_tests::{directory, fabric};

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if let [path] = &arguments[..] {
        let (model, _, text) = directory::load(Path::new(path)).unwrap();
        let planner = Planner::new(model.expect(&text), &Table::default(), 1, None).unwrap();
        println!("{}", TableFile::from(&**planner.table()).to_yaml().unwrap());
        println!("{}", serde_json::to_string_pretty(&planner.plan().devices).unwrap());
        return;
    }
    let mut numbers = arguments.iter().map(|n| n.parse::<usize>().unwrap()).chain([1000, 16, 5000, 4].into_iter().skip(arguments.len()));
    let mut next = || numbers.next().unwrap();
    let size = fabric::Size { leaves: next(), spines: next(), tenants: next(), leaves_per_tenant: next() };
    let files = fabric::generate(size).into_iter().map(|(path, text)| SourceFile { path, text: text.into() });
    let sources = Sources::new(files.collect());
    let start = Instant::now();
    let (model, diagnostics) = leafwall_intent::load(&sources);
    println!("read and check  {:>8.1} ms, {} findings", start.elapsed().as_secs_f64() * 1e3, diagnostics.len());
    let model = model.unwrap();
    let start = Instant::now();
    let index = leafwall_plan::index::Index::new(&model);
    println!("index           {:>8.1} ms, {} spines", start.elapsed().as_secs_f64() * 1e3, index.spines.len());
    drop(index);
    let start = Instant::now();
    let table = leafwall_plan::allocate(&model, &Table::default()).unwrap();
    println!("allocate        {:>8.1} ms", start.elapsed().as_secs_f64() * 1e3);
    let start = Instant::now();
    let again = leafwall_plan::allocate(&model, &table).unwrap();
    println!("allocate again  {:>8.1} ms, same: {}", start.elapsed().as_secs_f64() * 1e3, again == table);
    let start = Instant::now();
    let mut planner = Planner::new(model.clone(), &table, 1, None).unwrap();
    println!("allocate + plan {:>8.1} ms, {} devices", start.elapsed().as_secs_f64() * 1e3, planner.plan().devices.len());
    // the last allocation goes and comes back
    let (name, allocation) = model.allocations.last_key_value().map(|(name, object)| (name.clone(), Arc::clone(object))).unwrap();
    for _ in 0..3 {
        let start = Instant::now();
        let mut changed = (**planner.model()).clone();
        let cloned = start.elapsed().as_secs_f64() * 1e3;
        match changed.allocations.remove(&name) {
            Some(_) => {}
            None => drop(changed.allocations.insert(name.clone(), Arc::clone(&allocation))),
        }
        let start = Instant::now();
        let devices = planner.update(changed).unwrap();
        println!(
            "update          {:>8.1} ms (and {cloned:.1} ms to clone the Model), devices {devices:?}",
            start.elapsed().as_secs_f64() * 1e3
        );
    }
}
