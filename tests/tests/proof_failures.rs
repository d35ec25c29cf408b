//! Single failures: what redundancy promises must still work after each, and what only looks redundant is refused.
#![allow(clippy::unwrap_used)] // helpers of tests

use std::collections::BTreeSet;
use std::sync::Arc;

use leafwall_proof::{Broken, Failure, Failures, Finding, Known, Proof};
use leafwall_tests::choices::{self, Ground};
use leafwall_tests::random::Random;
use leafwall_tests::rendered::{Rendered, golden_fabrics, rendered, rendered_files};
use leafwall_tests::root;
use rayon::prelude::*;

fn prove(fabric: &Rendered, failures: Failures) -> Proof {
    let inventory = fabric.inventory();
    let input = fabric.input(&inventory);
    leafwall_proof::prove_again(&input, &mut Known::default(), failures).unwrap()
}

fn told(findings: &[Finding]) -> String {
    findings.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
}

#[test]
fn what_is_rendered_outlives_every_single_failure() {
    for (name, path) in golden_fabrics() {
        let proof = prove(&rendered(&path), Failures::Single);
        assert!(proof.holds(), "{name}:\n{}", told(&proof.findings));
        let devices = proof.failures.iter().filter(|failure| matches!(failure, Failure::Device(_))).count();
        assert!(devices >= 4 && proof.failures.len() > 2 * devices, "{name}: {:?}", proof.failures);
    }
}

/// A mistake that nobody notices until something else fails: the device and file, what is changed, and the failure under which it shows.
struct Hidden {
    device: &'static str,
    file: &'static str,
    from: &'static str,
    to: &'static str,
    shows: &'static str,
}

const HIDDEN: &[Hidden] = &[
    // the second leaf of a server takes nothing from it
    Hidden {
        device: "leaf-04",
        file: "frr.conf",
        from: "lw-swp3-4 seq 5 permit 10.8.0.0/22",
        to: "lw-swp3-4 seq 5 deny 10.8.0.0/22",
        shows: "leaf-03 down",
    },
    // the second leaf's port is shut: the cable of the first one is the only one
    Hidden {
        device: "leaf-04",
        file: "links.json",
        from: "\"name\":\"swp3\",\"kind\":{\"physical\":{}},\"mtu\":9000,\"master\":\"vrf10003\",\"state\":\"up\"",
        to: "\"name\":\"swp3\",\"kind\":{\"physical\":{}},\"mtu\":9000,\"master\":\"vrf10003\",\"state\":\"down\"",
        shows: "leaf-03:swp3 -- srv-06:lan0 down",
    },
    // the second spine passes nothing on
    Hidden { device: "spine-02", file: "frr.conf", from: "  neighbor FABRIC route-map lw-any in\n", to: "", shows: "spine-01 down" },
    // one of two uplinks is shut
    Hidden {
        device: "leaf-01",
        file: "links.json",
        from: "{\"name\":\"swp32\",\"kind\":{\"physical\":{}},\"mtu\":9216,\"state\":\"up\"}",
        to: "{\"name\":\"swp32\",\"kind\":{\"physical\":{}},\"mtu\":9216,\"state\":\"down\"}",
        shows: "leaf-01:swp31 -- spine-01:swp1 down",
    },
    // the standby of a firewall is told nothing
    Hidden { device: "fw-02", file: "frr.conf", from: "  neighbor FABRIC route-map lw-any in\n", to: "", shows: "fw-01 down" },
    // the second exit learns no default route
    Hidden {
        device: "exit-02",
        file: "frr.conf",
        from: "lw-104009-198.51.100.6-in seq 5 permit 0.0.0.0/0",
        to: "lw-104009-198.51.100.6-in seq 5 deny 0.0.0.0/0",
        shows: "exit-01 down",
    },
    Hidden {
        device: "exit-02",
        file: "frr.conf",
        from: "lw-104009-198.51.100.6-in seq 5 permit 0.0.0.0/0",
        to: "lw-104009-198.51.100.6-in seq 5 deny 0.0.0.0/0",
        shows: "exit-01:swp1 -- outside down",
    },
];

fn judged(hidden: &Hidden) -> Option<String> {
    let mut fabric = rendered(&root().join("containerlab/fra1"));
    let text = Arc::make_mut(fabric.devices.get_mut(hidden.device).unwrap()).files.get_mut(hidden.file).unwrap();
    if !text.contains(hidden.from) {
        return Some(format!("{}: the rendered text is another one by now: {}", hidden.shows, hidden.from));
    }
    *text = text.replacen(hidden.from, hidden.to, 1);
    if !prove(&fabric, Failures::None).holds() {
        return Some(format!("{}: it shows without any failure", hidden.shows));
    }
    let proof = prove(&fabric, Failures::Single);
    let shown = proof.findings.iter().find(|finding| finding.message.starts_with(&format!("{}: ", hidden.shows)));
    match shown {
        Some(found) if found.broken == Broken::Reachability && found.packet.is_some() && !found.path.is_empty() => None,
        _ => Some(format!("{}: is not refused for it:\n{}", hidden.shows, told(&proof.findings))),
    }
}

#[test]
fn what_only_looks_redundant_is_refused_with_the_failure_and_a_packet() {
    let wrong: Vec<String> = HIDDEN.par_iter().filter_map(judged).collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Nothing is promised of what has one way only: a server at one leaf, a partner behind one exit.
#[test]
fn what_has_one_way_only_may_be_lost_with_it() {
    let fabric = rendered(&root().join("containerlab/fra1"));
    let proof = prove(&fabric, Failures::Single);
    let looked: BTreeSet<String> = proof.failures.iter().map(ToString::to_string).collect();
    for failure in ["leaf-04 down", "leaf-04:swp2 -- srv-05:lan0 down", "exit-02 down", "exit-02:swp2 -- outside down", "fw-04 down"] {
        assert!(looked.contains(failure), "{failure} is not among {looked:?}");
    }
    assert!(proof.holds(), "{}", told(&proof.findings));
}

/// Random small fabrics outlive their single failures as well.
#[test]
fn random_fabrics_outlive_single_failures() {
    let mut random = Random::from_environment(81);
    let mut looked = 0;
    for number in 0..12 {
        let ground = if number % 2 == 0 { Ground::LAB } else { Ground { leaves: 3, machines: 8 } };
        let files = choices::fabric(ground, &choices::choices(&mut random));
        let fabric = rendered_files(files.clone());
        // what is known to differ where a firewall joins both sides of a peering is not about failures (docs/decisions.md)
        if !prove(&fabric, Failures::None).holds() {
            continue;
        }
        let proof = prove(&fabric, Failures::Single);
        looked += proof.failures.len();
        let texts: String = files.iter().map(|(path, text)| format!("# {path}\n{text}")).collect::<Vec<_>>().join("\n");
        assert!(proof.holds(), "{texts}\n{}", told(&proof.findings));
    }
    assert!(looked > 100, "{looked}");
}
