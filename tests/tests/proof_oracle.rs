//! The proof and the oracle, which share nothing, on random fabrics: what the one reads out of artefacts the other derives from the Model.
#![allow(clippy::unwrap_used)] // helpers of tests

use std::fs;

use leafwall_tests::against_oracle::Compared;
use leafwall_tests::random_fabric::generate;
use leafwall_tests::rendered::rendered;

#[test]
fn the_proof_says_what_the_oracle_says() {
    let parent = std::env::temp_dir().join(format!("leafwall-proof-oracle-{}", std::process::id()));
    let seeds = std::env::var("LEAFWALL_SEEDS").ok().and_then(|text| text.parse().ok()).unwrap_or(30);
    let mut all = Compared::default();
    for seed in 0..seeds {
        all.compare(&seed.to_string(), &rendered(&generate(seed, &parent).unwrap().directory));
    }
    let Compared { probes: compared, passing, isolation_alone: twice, left_out, wrong } = all;
    fs::remove_dir_all(&parent).unwrap();
    eprintln!("{compared} probes of {seeds} fabrics, {passing} pass; {twice} fabrics compared for isolation alone");
    assert!(wrong.is_empty(), "{} of {compared}:\n{}", wrong.len(), wrong[..wrong.len().min(60)].join("\n"));
    assert!(left_out > 100, "{left_out} pairs have nothing to do with each other");
}
