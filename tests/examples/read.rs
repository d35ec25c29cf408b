//! How long it takes to read and check generated intents: `cargo run --release -p leafwall-tests --example read [LEAVES SPINES TENANTS LEAVES_PER_TENANT]`.

use std::time::Instant;

use leafwall_intent::SourceFile;
use leafwall_tests::fabric::{Size, generate};

fn main() {
    let mut numbers = std::env::args().skip(1).filter_map(|number| number.parse().ok());
    let mut next = |default| numbers.next().unwrap_or(default);
    let size = Size { leaves: next(1000), spines: next(16), tenants: next(5000), leaves_per_tenant: next(4) };
    let files: Vec<SourceFile> = generate(size).into_iter().map(|(path, text)| SourceFile { path, text: text.into() }).collect();
    let bytes: usize = files.iter().map(|file| file.text.len()).sum();
    let begin = Instant::now();
    let (intents, found) = leafwall_intent::read(&files);
    let documents =
        intents.servers.len() + intents.allocations.len() + intents.networks.len() + intents.tenants.len() + intents.switches.len();
    println!("read {documents} documents, {} KiB, {} findings: {:?}", bytes / 1024, found.len(), begin.elapsed());
    let begin = Instant::now();
    let (model, found) = leafwall_intent::check(&intents);
    println!("checked, {} findings, a Model: {}: {:?}", found.len(), model.is_some(), begin.elapsed());
}
