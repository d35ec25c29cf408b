//! The house stays as it is drawn: dependencies point one way, and the pure crates stay pure.

use std::collections::BTreeMap;
use std::process::Command;

use serde_json::Value;

/// Layers from the ground up. A crate may name those before it only.
const LAYERS: &[(&str, Purity)] = &[
    ("leafwall-topology", Purity::Pure),
    ("leafwall-metrics", Purity::Impure),
    ("leafwall-policy", Purity::Pure),
    ("leafwall-dns", Purity::Impure),
    ("leafwall-kube", Purity::Impure),
    ("leafwall-intent", Purity::Pure),
    ("leafwall-plan", Purity::Pure),
    ("leafwall-render", Purity::Pure),
    ("leafwall-delta", Purity::Pure),
    ("leafwall-proof", Purity::Pure),
    ("leafwall-rollout", Purity::Pure),
    ("leafwall-api", Purity::Impure),
    ("leafwall-agent", Purity::Impure),
    ("leafwall-controller", Purity::Impure),
    ("leafwall-lab", Purity::Impure),
    ("leafwall", Purity::Impure),
];

#[derive(PartialEq)]
enum Purity {
    Pure,
    Impure,
}

/// Crates that bring a clock, a network, a file system or chance: not for pure crates.
const IMPURE: &[&str] = &[
    "leafwall-metrics",
    "tokio",
    "kube",
    "k8s-openapi",
    "tonic",
    "rtnetlink",
    "nftables",
    "redb",
    "etcd-client",
    "rand",
    "getrandom",
    "chrono",
    "time",
    "socket2",
    "nix",
    "libc",
];

fn dependencies() -> BTreeMap<String, Vec<String>> {
    let output = Command::new(env!("CARGO")).args(["metadata", "--no-deps", "--format-version", "1"]).output().unwrap();
    let metadata: Value = serde_json::from_slice(&output.stdout).unwrap();
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    metadata["packages"]
        .as_array()
        .unwrap()
        .iter()
        .map(|package| {
            let normal = |dependency: &&Value| dependency["kind"].is_null();
            (text(&package["name"]), package["dependencies"].as_array().unwrap().iter().filter(normal).map(|d| text(&d["name"])).collect())
        })
        .collect()
}

#[test]
fn dependencies_point_one_way() {
    let all = dependencies();
    for (at, (name, _)) in LAYERS.iter().enumerate() {
        for dependency in all.get(*name).unwrap_or_else(|| panic!("{name} is not in the workspace")) {
            if let Some(other) = LAYERS.iter().position(|(layer, _)| layer == dependency) {
                assert!(other < at, "{name} must not depend on {dependency}: that layer is above it or beside it");
            }
        }
    }
    for name in all.keys() {
        assert!(name == "leafwall-tests" || LAYERS.iter().any(|(layer, _)| layer == name), "{name} has no place in the layers");
    }
}

#[test]
fn pure_crates_name_nothing_impure() {
    let all = dependencies();
    for (name, purity) in LAYERS {
        if *purity == Purity::Pure {
            for dependency in &all[*name] {
                assert!(!IMPURE.contains(&dependency.as_str()), "{name} is pure and must not depend on {dependency}");
            }
        }
    }
}

#[test]
fn pure_crates_are_watched_by_clippy() {
    // clippy reads the nearest clippy.toml; each pure crate must have one that bans std's impure parts
    let root = leafwall_tests::root();
    for directory in ["topology", "firewall/policy", "fabric/intent", "fabric/plan", "fabric/render", "fabric/delta", "fabric/proof"] {
        let text = std::fs::read_to_string(root.join(directory).join("clippy.toml")).unwrap_or_default();
        for banned in [
            "std::fs::read",
            "std::fs::write",
            "std::process::Command",
            "std::time::Instant",
            "std::time::SystemTime",
            "std::net::TcpStream",
            "std::env::var",
        ] {
            assert!(text.contains(banned), "{directory}/clippy.toml does not ban {banned}");
        }
    }
}

#[test]
fn the_oracle_shares_nothing_with_what_it_judges() {
    let directory = leafwall_tests::root().join("tests/src/oracle");
    let mut files = 0;
    for entry in std::fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        let text = std::fs::read_to_string(&path).unwrap();
        for shared in ["plan", "render", "proof", "delta", "agent", "lab"].map(|layer| format!("leafwall_{layer}")) {
            assert!(!text.contains(&shared), "{} names {shared}", path.display());
        }
        // of firewall rules only the types, of this crate nothing else
        for shared in ["semantics", "ruleset", "leafwall_policy::order", "crate::"] {
            assert!(!text.contains(shared), "{} names {shared}", path.display());
        }
        files += 1;
    }
    assert!(files > 0, "the oracle has moved");
}
