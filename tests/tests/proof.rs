//! The proof on rendered fabrics, against what was written down by hand and against packet functions.
#![allow(clippy::unwrap_used)] // helpers of tests

use std::collections::BTreeMap;
use std::net::IpAddr;

use leafwall_intent::model::{Firewall, Model, Peering};
use leafwall_policy::nft::CtState;
use leafwall_policy::rule::Action;
use leafwall_policy::ruleset::ruleset;
use leafwall_policy::semantics::{FlowState, Packet, decide};
use leafwall_policy::sets::{Header, PacketSet};
use leafwall_proof::nft::{Certainty, Context, Evaluation};
use leafwall_proof::{Broken, Proof, intended, matrix};
use leafwall_render::{LEAFWALL_NFT, LINKS_JSON};
use leafwall_tests::choices::{self, Ground};
use leafwall_tests::expectations::{Expectations, Probe};
use leafwall_tests::firewall;
use leafwall_tests::random::Random;
use leafwall_tests::rendered::{Rendered, golden_fabrics, rendered, rendered_files};
use leafwall_tests::root;
use leafwall_topology::Family;

fn prove(fabric: &Rendered) -> Proof {
    let inventory = fabric.inventory();
    let input = fabric.input(&inventory);
    leafwall_proof::prove(&input).unwrap()
}

fn told(proof: &Proof) -> String {
    proof.findings.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
}

#[test]
fn what_is_rendered_is_proved() {
    for (name, path) in golden_fabrics() {
        let proof = prove(&rendered(&path));
        assert!(proof.holds(), "{name}:\n{}", told(&proof));
    }
}

#[test]
fn machines_that_are_nobodys_are_kept_apart() {
    // each of the leaves has one
    let second = ", {name: lan1, mac: \"02:00:00:00:03:02\", port: \"leaf-02:swp2\"}]}";
    let another = "]}\n---\napiVersion: leafwall.io/v1\nkind: Server\nmetadata: {name: srv-04}\nspec: {nics: [{name: lan0, mac: \"02:00:00:00:03:02\", port: \"leaf-02:swp2\"}]}";
    let intents = std::fs::read_to_string(root().join("tests/fabrics/corners/fabric.yaml")).unwrap();
    assert!(intents.contains(second));
    let fabric = || rendered_files(vec![("fabric.yaml".to_owned(), intents.replace(second, another))]);
    assert!(prove(&fabric()).holds());
    let refused = |file: &str, from: &str, to: &str| {
        let mut fabric = fabric();
        let text = std::sync::Arc::make_mut(fabric.devices.get_mut("leaf-01").unwrap()).files.get_mut(file).unwrap();
        assert!(text.contains(from), "{file} has no `{from}`");
        *text = text.replace(from, to);
        let proof = prove(&fabric);
        proof
            .findings
            .iter()
            .any(|finding| finding.check == "provisioning" && finding.broken == Broken::Isolation && finding.packet.is_some())
    };
    assert!(refused(LINKS_JSON, "\"isolated\"", "\"open\""), "frames");
    assert!(refused(LEAFWALL_NFT, "counter name \"drop.provisioning\" drop", "counter name \"drop.provisioning\" accept"), "packets");
    assert!(refused(LEAFWALL_NFT, "ip daddr 172.16.0.0/24 counter", "ip daddr 172.16.0.0/25 counter"), "some packets");
}

fn header(source: IpAddr, destination: IpAddr, probe: Probe) -> Header {
    let (protocol, source_port, destination_port) = match (probe, Family::of(source)) {
        (Probe::Ping, Family::V4) => (1, 0, 8),
        (Probe::Ping, Family::V6) => (58, 0, 128),
        (Probe::Tcp(port), _) => (6, 40_000, port),
        (Probe::Udp(port), _) => (17, 40_000, port),
    };
    Header { source, destination, protocol, source_port, destination_port, vni: 0 }
}

#[test]
fn the_proven_matrix_of_fra1_is_the_hand_written_one() {
    let fabric = rendered(&root().join("containerlab/fra1"));
    let inventory = fabric.inventory();
    let proof = prove(&fabric);
    let expected = Expectations::read(&root().join("containerlab/fra1/scenarios/reachability.yaml"));
    let (mut probes, mut passing, mut wrong) = (0, 0, Vec::new());
    for (from, to, cell) in proof.cells() {
        let (near, far) = (&inventory.endpoints[from], &inventory.endpoints[to]);
        if near.node == far.node {
            continue;
        }
        for source in matrix::addresses(near) {
            for destination in matrix::addresses(far).filter(|destination| Family::of(*destination) == Family::of(source)) {
                for probe in &expected.probes {
                    let packet = header(source, destination, *probe);
                    let passes = expected.pass(from, to, Family::of(source), *probe);
                    let (arrives, answered) = (cell.arrives.contains(&packet), cell.answered.contains(&packet));
                    probes += 1;
                    passing += usize::from(passes);
                    if arrives != passes || answered != passes {
                        wrong.push(format!("{from} {to} {packet}: expected {passes}, arrives {arrives}, answered {answered}"));
                    }
                }
            }
        }
    }
    let endpoints = inventory.endpoints.len();
    assert!(proof.pairs >= endpoints * (endpoints - 1) - 2, "every ordered pair but those of one node");
    assert!(passing > 200 && probes > 1_500, "{passing} of {probes}");
    assert!(wrong.is_empty(), "{} of {probes}:\n{}", wrong.len(), wrong.join("\n"));
}

fn as_header(packet: &Packet) -> Header {
    let (protocol, source_port, destination_port) = packet.transport.numbers();
    Header { source: packet.source, destination: packet.destination, protocol, source_port, destination_port, vni: 0 }
}

/// Three that must agree: the function of one packet, the sets of the intents, and the sets of the ruleset's tree.
#[test]
fn sets_of_intents_and_of_rulesets_are_the_packet_function() {
    let mut random = Random::from_environment(8);
    let (mut packets, mut accepted) = (0, 0);
    for _ in 0..60 {
        let rules = firewall::random(&mut random);
        let script = ruleset(&rules).unwrap();
        let mut sets: BTreeMap<_, (PacketSet, PacketSet)> = BTreeMap::new();
        for input in &rules.zones {
            for output in &rules.zones {
                let context = Context::new(Some(&input.input), Some(&output.output), Certainty::Must);
                let by_ruleset = Evaluation::new(&script, context).accepted(leafwall_policy::nft::Hook::Forward);
                let by_intents = intended::allowed(&rules, input, output).packets;
                assert_eq!(
                    by_intents,
                    by_ruleset,
                    "{} into {}: {:?}",
                    input.network,
                    output.network,
                    by_intents.minus(&by_ruleset).or(&by_ruleset.minus(&by_intents)).witness()
                );
                sets.insert((input.network.clone(), output.network.clone()), (by_intents, by_ruleset));
            }
        }
        for _ in 0..400 {
            let packet = firewall::packet(&mut random, &rules);
            assert_eq!(packet.state, FlowState::New);
            let allowed = decide(&rules, &BTreeMap::new(), &packet).verdict == Action::Allow;
            let Some((by_intents, by_ruleset)) = sets.get(&(packet.input.clone(), packet.output.clone())) else { continue };
            let header = as_header(&packet);
            assert_eq!(by_intents.contains(&header), allowed, "intents: {packet:?}");
            assert_eq!(by_ruleset.contains(&header), allowed, "ruleset: {packet:?}");
            packets += 1;
            accepted += usize::from(allowed);
        }
    }
    assert!(packets > 10_000 && accepted > packets / 20, "{accepted} of {packets}");
}

#[test]
fn what_conntrack_calls_invalid_passes_nowhere() {
    let rules = firewall::quiet();
    let script = ruleset(&rules).unwrap();
    for zone in &rules.zones {
        for state in [CtState::New, CtState::Invalid, CtState::Untracked] {
            let context = Context { state, ..Context::new(Some(&zone.input), Some(&rules.zones[0].output), Certainty::May) };
            assert!(Evaluation::new(&script, context).accepted(leafwall_policy::nft::Hook::Forward).is_empty());
        }
    }
}

fn joined_twice(model: &Model) -> bool {
    let both = |peering: &Peering, firewall: &Firewall| peering.sides.iter().all(|side| firewall.networks.contains(&side.network));
    model.peerings.values().any(|peering| model.firewalls.values().any(|firewall| both(peering, firewall)))
}

/// Random small fabrics: whatever is checked and rendered is proved.
#[test]
fn random_fabrics_are_proved() {
    let mut random = Random::from_environment(80);
    let mut open = 0;
    for number in 0..30 {
        let ground = if number % 2 == 0 { Ground::LAB } else { Ground { leaves: 3, machines: 8 } };
        let files = choices::fabric(ground, &choices::choices(&mut random));
        let fabric = rendered_files(files.clone());
        let proof = prove(&fabric);
        open += proof.matrix.cells().filter(|(.., cell)| !cell.arrives.is_empty()).count();
        let texts: String = files.iter().map(|(path, text)| format!("# {path}\n{text}")).collect::<Vec<_>>().join("\n");
        let isolated = proof.findings.iter().all(|finding| finding.broken == Broken::Reachability);
        // where a firewall joins both sides of a peering, its announcement may win over the leak, and then its rules decide: closed, not open
        let twice = joined_twice(fabric.planner.model());
        assert!(proof.holds() || (twice && isolated), "{texts}\n{}", told(&proof));
    }
    assert!(open > 100, "{open}");
}
