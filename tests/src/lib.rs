//! What Leafwall's end-to-end tests share.

pub mod against_oracle;
pub mod apiserver;
pub mod choices;
pub mod cluster_firewall;
pub mod configurations;
pub mod controller;
pub mod controllers;
pub mod daemons;
pub mod directory;
pub mod drift_lab;
#[path = "../../fabric/controller/tests/support/etcd.rs"]
pub mod etcd;
pub mod expectations;
pub mod fabric;
pub mod fake_device;
pub mod fake_network;
pub mod filtering;
pub mod firewall;
pub mod frr_model;
pub mod frr_stand_in;
pub mod hostile;
pub mod judge;
pub mod lab_root;
pub mod machine;
pub mod mutations;
pub mod names_proxy;
pub mod namespace;
pub mod oracle;
pub mod random;
pub mod random_fabric;
pub mod redis_server;
pub mod rendered;
pub mod resolver;
pub mod simulator;
pub mod sonic_daemons;
pub mod sonic_fabric;
pub mod sonic_stand_in;
pub mod succession;
pub mod wire;
pub mod world;

use std::io::Write;
use std::path::PathBuf;

/// The root of the repository.
pub fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).parent().map(PathBuf::from).unwrap_or_default()
}

/// Where the schemas and models of others are, that tests check against: `$LEAFWALL_REFERENCE`, else `../shared/reference` beside the repository.
pub fn reference() -> Option<PathBuf> {
    let path = std::env::var_os("LEAFWALL_REFERENCE").map_or_else(|| root().join("../shared/reference"), PathBuf::from);
    path.is_dir().then_some(path)
}

/// Skips a test, loudly and counted: the suite's closing line has it. In CI nothing is skipped, so there it fails.
///
/// # Panics
/// Where the environment variable `CI` is set.
pub fn skip(test: &str, why: &str) {
    eprintln!("SKIPPED {test}: {why}");
    assert!(std::env::var_os("CI").is_none(), "{test} cannot run here ({why}), and in CI nothing is skipped");
    if let Some(path) = std::env::var_os("LEAFWALL_SKIPS")
        && let Ok(mut file) = std::fs::OpenOptions::new().append(true).create(true).open(path)
    {
        let _ = writeln!(file, "{test}: {why}");
    }
}
