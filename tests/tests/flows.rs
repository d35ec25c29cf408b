//! What decides whether a known flow lives after a change of rules: the table itself, asked about one packet, says what the function says (F13).
#![allow(clippy::unwrap_used, clippy::panic)] // tests may fail

use std::collections::BTreeMap;

use leafwall_policy::cluster::{ClusterRules, table_part};
use leafwall_policy::flows::{Flow, Judge, revoked};
use leafwall_policy::nft::{Script, Table, parse};
use leafwall_policy::rule::Action;
use leafwall_policy::ruleset::{table, zones};
use leafwall_policy::semantics::{Answers, FlowState, Packet, decide_with_cluster};
use leafwall_policy::zone::FirewallRules;
use leafwall_tests::firewall::{packet, quiet, random, random_policy};
use leafwall_tests::random::Random;
use leafwall_topology::Name;

const RULESETS: usize = 60;
const PACKETS: usize = 120;

fn flow(packet: &Packet) -> Flow {
    let (protocol, source_port, destination_port) = packet.transport.numbers();
    Flow { source: packet.source, destination: packet.destination, protocol, source_port, destination_port }
}

/// The table with both parts, as it comes back from text.
fn whole(firewall: &FirewallRules, cluster: &ClusterRules) -> Table {
    let mut meant = table(firewall).unwrap();
    table_part(firewall, cluster).unwrap().join(&mut meant);
    let text = Script::replacing(vec![meant]).to_text();
    parse(&text).unwrap().tables().next().unwrap().clone()
}

fn drawn(chance: &mut Random) -> (FirewallRules, ClusterRules) {
    let mut firewall = random(chance);
    firewall.policies.truncate(chance.below(3));
    let policies = (100..100 + chance.below(6)).map(|number| random_policy(chance, number)).collect();
    (firewall, ClusterRules { policies })
}

#[test]
fn f13_a_table_says_of_one_packet_what_the_function_says() {
    let mut chance = Random::from_environment(13);
    let mut reasons = BTreeMap::<String, usize>::new();
    for _ in 0..RULESETS {
        let (firewall, cluster) = drawn(&mut chance);
        let table = whole(&firewall, &cluster);
        let judge = Judge::new(&table, None);
        let zone = |name: &Name| firewall.zones.iter().find(|zone| zone.network == *name);
        for _ in 0..PACKETS {
            let packet = Packet { state: FlowState::New, ..packet(&mut chance, &firewall) };
            let (Some(input), Some(output)) = (zone(&packet.input), zone(&packet.output)) else { continue };
            let decision = decide_with_cluster(&firewall, &cluster, &Answers::new(), &packet);
            let passes = judge.passes(flow(&packet), &input.input, &output.output);
            assert_eq!(passes, decision.verdict == Action::Allow, "{packet:?} {decision:?}\n{firewall:#?}\n{cluster:#?}");
            let said = format!("{:?} {}", decision.verdict, format!("{:?}", decision.reason).split('(').next().unwrap_or_default());
            *reasons.entry(said).or_default() += 1;
        }
    }
    for needed in
        ["Allow Rule", "Deny Rule", "Allow ClusterRule", "Deny ClusterRule", "Deny Default", "Deny Spoofed", "Deny OutsideAllowed"]
    {
        assert!(reasons.get(needed).is_some_and(|count| *count > 20), "too few `{needed}`: {reasons:?}");
    }
}

/// What passes between two networks passes for one who knows only the addresses; and what no pair of networks lets pass does not.
#[test]
fn f13_a_flow_that_passes_is_never_taken_for_one_that_does_not() {
    let mut chance = Random::from_environment(14);
    let (mut passed, mut exact, mut cut) = (0_usize, 0_usize, 0_usize);
    for _ in 0..RULESETS {
        let ((firewall, cluster), (_, other)) = (drawn(&mut chance), drawn(&mut chance));
        let (before, after) = (whole(&firewall, &cluster), whole(&firewall, &other));
        let packets: Vec<Packet> = (0..PACKETS).map(|_| Packet { state: FlowState::New, ..packet(&mut chance, &firewall) }).collect();
        let allows = |cluster: &ClusterRules, packet: &Packet| {
            decide_with_cluster(&firewall, cluster, &Answers::new(), packet).verdict == Action::Allow
        };
        let gone = revoked(&before, &after, &packets, flow);
        for packet in &packets {
            let is_gone = gone.contains(&packet);
            if allows(&cluster, packet) {
                passed += 1;
                assert!(!(is_gone && allows(&other, packet)), "cut although it is allowed: {packet:?}");
                cut += usize::from(is_gone);
                exact += usize::from(is_gone != allows(&other, packet));
            }
        }
    }
    assert!(passed > 500 && cut > 200, "{passed} passed, {cut} cut");
    // with two external networks whose addresses are not told apart a few live on
    assert!(exact * 100 >= passed * 95, "{exact} of {passed} as the function says");
}

#[test]
fn f13_what_is_not_forwarded_is_never_cut() {
    let firewall = quiet();
    let nothing = whole(&firewall, &ClusterRules::default());
    let names = zones(&nothing);
    assert_eq!(names.len(), firewall.zones.len());
    assert!(firewall.zones.iter().all(|zone| names.contains(&(zone.input.clone(), zone.output.clone()))));
    // a table that was closed before, as any table of a switch, let nothing pass
    let local = Flow {
        source: [10, 255, 0, 1].into(),
        destination: [10, 255, 0, 9].into(),
        protocol: 6,
        source_port: 40_000,
        destination_port: 179,
    };
    assert!(!Judge::new(&nothing, None).lets_pass(local));
    let empty = Table { chains: Vec::new(), ..nothing.clone() };
    assert!(revoked(&empty, &nothing, [local], |flow| flow).is_empty());
}

/// F14: answers that were there before a ruleset was replaced count, so that their flows live until the names are asked again.
#[test]
fn f14_flows_to_answers_for_names_live_while_the_sets_are_filled_again() {
    let mut firewall = quiet();
    let text = r#"{"policies": [{"name": "names", "ingress": [], "egress": [{"action": "allow", "priority": 1000, "from": [], "to": [{"fqdn": "a.example.com"}], "ports": [], "log": false, "expires": null}]}]}"#;
    let cluster: ClusterRules = serde_json::from_str(text).unwrap();
    let after = whole(&firewall, &cluster);
    let mut before = after.clone();
    let answers = "table inet x { set s { type ipv4_addr; flags timeout; elements = { 198.51.100.7 timeout 1m } } }";
    let filled = parse(answers).ok().and_then(|script| script.tables().next().map(|table| table.sets[0].elements.clone()));
    let set = before.sets.iter_mut().find(|set| set.flags.timeout && set.name.as_str().contains("fqdn4")).unwrap();
    set.elements = filled.unwrap();
    let known =
        Flow { source: [10, 0, 0, 1].into(), destination: [198, 51, 100, 7].into(), protocol: 6, source_port: 1, destination_port: 443 };
    assert!(Judge::new(&before, None).lets_pass(known) && !Judge::new(&after, None).lets_pass(known));
    assert!(revoked(&before, &after, [known], |flow| flow).is_empty());
    // but not where the rule itself is gone
    firewall.log_accepted = true;
    let gone = whole(&firewall, &ClusterRules::default());
    assert_eq!(revoked(&before, &gone, [known], |flow| flow), [known]);
}
