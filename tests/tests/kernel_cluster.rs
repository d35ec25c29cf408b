//! The cluster's part in a kernel: what it lets through, what it counts, what it can't open, and what a change leaves alone.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // a test may; its helpers are tests too

use std::collections::BTreeMap;

use leafwall_policy::cluster::{ClusterRules, Part, counters, table_part, transaction};
use leafwall_policy::nft::{Script, Table, parse};
use leafwall_policy::rule::{Action, Rule};
use leafwall_policy::ruleset::table;
use leafwall_policy::semantics::{Answers, Decision, Packet, Reason, decide_with_cluster};
use leafwall_policy::zone::FirewallRules;
use leafwall_tests::firewall::{packet, quiet, random, random_policy};
use leafwall_tests::judge::judge;
use leafwall_tests::namespace::{Namespace, nft, unable};
use leafwall_tests::random::Random;
use leafwall_tests::skip;
use leafwall_tests::world::World;

/// Packets for each content of the chain.
const PACKETS: u32 = 100;
/// Changes of the cluster's rules under one signed ruleset.
const CHANGES: usize = 4;

fn rulesets() -> u32 {
    std::env::var("LEAFWALL_RULESETS").ok().and_then(|text| text.parse().ok()).unwrap_or(12)
}

fn call_nft(namespace: &Namespace, arguments: &[&str], input: &str) -> String {
    let nft = nft();
    let command: Vec<&str> = nft.iter().map(String::as_str).chain(arguments.iter().copied()).collect();
    namespace.run_with_input(&command, input).unwrap_or_else(|error| panic!("{error}\n{input}"))
}

fn observed(namespace: &Namespace) -> Table {
    let listing = call_nft(namespace, &["list", "table", "inet", "leafwall"], "");
    parse(&listing).unwrap_or_else(|error| panic!("{error}\n{listing}")).tables().next().unwrap().clone()
}

/// What the counters of our table hold, in packets.
fn counted(namespace: &Namespace) -> BTreeMap<String, u64> {
    let listing = call_nft(namespace, &["list", "counters", "table", "inet", "leafwall"], "");
    let words: Vec<&str> = listing.split_whitespace().collect();
    words.windows(5).filter(|w| w[0] == "counter" && w[3] == "packets").map(|w| (w[1].to_owned(), w[4].parse().unwrap())).collect()
}

fn whole(firewall: &FirewallRules, part: &Part) -> Script {
    let mut meant = table(firewall).unwrap();
    part.join(&mut meant);
    Script::replacing(vec![meant])
}

/// Something of the cluster changes: a policy comes, goes, or has other rules.
fn changed(chance: &mut Random, cluster: &ClusterRules, next: &mut usize) -> ClusterRules {
    let mut after = cluster.clone();
    for _ in 0..=chance.below(2) {
        let gone = chance.once_in(2) && !after.policies.is_empty();
        if gone {
            let at = chance.below(after.policies.len());
            after.policies.remove(at);
        }
        if !gone || chance.once_in(2) {
            *next += 1;
            after.policies.push(random_policy(chance, *next));
        }
    }
    after
}

fn text(part: &Part) -> String {
    Script { commands: vec![leafwall_policy::nft::Command::Define(part.to_table())] }.to_text()
}

/// The kernel holds exactly the signed table and this part.
fn holds(namespace: &Namespace, firewall: &FirewallRules, part: &Part) {
    let mut there = observed(namespace);
    let held = Part::split(&mut there);
    let differences = part.to_table().differences(&held.to_table());
    assert!(differences.is_empty(), "{differences:?}\n--- meant\n{}\n--- held\n{}", text(part), text(&held));
    let differences = table(firewall).unwrap().differences(&there);
    assert!(differences.is_empty(), "the signed part: {differences:?}");
}

#[test]
fn f12_the_kernel_decides_and_counts_for_the_cluster_as_the_function_says() {
    if let Some(why) = unable() {
        return skip("f12_the_kernel_decides_and_counts_for_the_cluster_as_the_function_says", &why);
    }
    let mut world = World::new("clu").unwrap();
    world.load(&whole(&quiet(), &Part::default()).to_text()).unwrap();
    world.forget_soon().unwrap();
    let mut chance = Random::from_environment(12);
    let mut reasons: BTreeMap<String, u32> = BTreeMap::new();
    let mut token = 0;
    for _ in 0..rulesets() {
        let mut firewall = random(&mut chance);
        // few signed rules, so that much comes as far as the cluster's
        firewall.policies.truncate(chance.below(2));
        let mut next = 100;
        let mut cluster = changed(&mut chance, &ClusterRules::default(), &mut next);
        let mut part = table_part(&firewall, &cluster).unwrap();
        world.load(&whole(&firewall, &part).to_text()).unwrap();
        for _ in 0..CHANGES {
            holds(&world.firewall, &firewall, &part);
            let before = counted(&world.firewall);
            let sent: BTreeMap<u32, (Packet, Decision)> = (0..PACKETS)
                .map(|_| {
                    token += 1;
                    let packet = packet(&mut chance, &firewall);
                    let decision = decide_with_cluster(&firewall, &cluster, &Answers::new(), &packet);
                    (token, (packet, decision))
                })
                .collect();
            for (_, decision) in sent.values() {
                let verdict = format!("{:?} {}", decision.verdict, format!("{:?}", decision.reason).split('(').next().unwrap_or_default());
                *reasons.entry(verdict).or_default() += 1;
            }
            judge(&mut world, &sent, || format!("{firewall:#?}\n{cluster:#?}\n{}", whole(&firewall, &part)));
            let after = counted(&world.firewall);
            for (id, counter) in counters(&cluster) {
                let decided = sent.values().filter(|(_, decision)| decision.reason == Reason::ClusterRule(id.clone())).count();
                let grown = after[counter.as_str()] - before[counter.as_str()];
                assert_eq!(grown, u64::try_from(decided).unwrap(), "counter of {id}: {cluster:#?}\n{}", whole(&firewall, &part));
            }
            let (new, held) = (changed(&mut chance, &cluster, &mut next), after);
            let target = table_part(&firewall, &new).unwrap();
            world.load(&transaction(Some(&part), &target).to_text()).unwrap();
            // counters of what stayed go on where they were
            let now = counted(&world.firewall);
            let stayed = counters(&new).into_values().filter_map(|name| held.get_key_value(name.as_str()));
            for (name, packets) in stayed.chain(held.iter().filter(|(name, _)| !name.starts_with("cluster."))) {
                assert_eq!(now.get(name), Some(packets), "{name} counted anew");
            }
            (cluster, part) = (new, target);
        }
    }
    for (reason, count) in &reasons {
        eprintln!("{count:6} {reason}");
    }
    for needed in ["Allow ClusterRule", "Deny ClusterRule", "Deny Default", "Deny Spoofed", "Deny OutsideAllowed", "Deny NoEgressAddress"] {
        assert!(rulesets() < 12 || reasons.get(needed).is_some_and(|count| *count > 10), "too few packets with `{needed}`: {reasons:?}");
    }
}

/// The cluster asks for everything; what is signed still bounds it (F6, F23).
#[test]
fn f06_nothing_in_the_cluster_passes_what_is_signed() {
    if let Some(why) = unable() {
        return skip("f06_nothing_in_the_cluster_passes_what_is_signed", &why);
    }
    let mut world = World::new("bnd").unwrap();
    let mut chance = Random::from_environment(6);
    let open = Rule {
        action: Action::Allow,
        priority: leafwall_policy::rule::Priority(0),
        from: vec![],
        to: vec![],
        ports: vec![],
        log: false,
        expires: None,
    };
    let all = ClusterRules {
        policies: vec![leafwall_policy::rule::Policy { name: "all".parse().unwrap(), ingress: vec![open.clone()], egress: vec![open] }],
    };
    let mut token = 0;
    let mut bounded = 0;
    for round in 0..rulesets() {
        let firewall = random(&mut chance);
        let part = table_part(&firewall, &all).unwrap();
        world.load(&whole(&firewall, &part).to_text()).unwrap();
        if round == 0 {
            world.forget_soon().unwrap();
        }
        let sent: BTreeMap<u32, (Packet, Decision)> = (0..PACKETS)
            .map(|_| {
                token += 1;
                let packet = packet(&mut chance, &firewall);
                let decision = decide_with_cluster(&firewall, &all, &Answers::new(), &packet);
                (token, (packet, decision))
            })
            .collect();
        bounded += sent.values().filter(|(_, decision)| decision.verdict == Action::Deny).count();
        judge(&mut world, &sent, || format!("{firewall:#?}"));
    }
    assert!(bounded > 50, "only {bounded} packets met a bound");
}
