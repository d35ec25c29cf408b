//! The ruleset in a kernel does with packets what the function says: random rules, random packets at their edges, both families.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // a test may; its helpers are tests too

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use leafwall_policy::rule::Action;
use leafwall_policy::ruleset::ruleset;
use leafwall_policy::semantics::{Answers, Decision, Packet, decide};
use leafwall_policy::zone::FirewallRules;
use leafwall_tests::firewall::{ZONES, network, packet, random};
use leafwall_tests::namespace::unable;
use leafwall_tests::random::Random;
use leafwall_tests::world::World;
use leafwall_tests::{skip, wire};

/// Packets for each ruleset.
const PACKETS: u32 = 150;
/// How long a packet that should arrive may take.
const PATIENCE: Duration = Duration::from_secs(2);
/// How long nothing more may arrive before the rest counts as dropped, after everything that should arrive has.
const QUIET: Duration = Duration::from_millis(20);

fn rulesets() -> u32 {
    std::env::var("LEAFWALL_RULESETS").ok().and_then(|text| text.parse().ok()).unwrap_or(40)
}

#[test]
fn f04_f05_f16_f23_the_kernel_decides_as_the_function_says() {
    if let Some(why) = unable() {
        return skip("f04_f05_f16_f23_the_kernel_decides_as_the_function_says", &why);
    }
    let mut world = World::new("sem").unwrap();
    // flows of protocols without ports must not be remembered from one ruleset to the next; SCTP's sum is not computed here
    world.load(&ruleset(&leafwall_tests::firewall::quiet()).unwrap().to_text()).unwrap();
    world
        .firewall
        .sysctl(&[
            "net.netfilter.nf_conntrack_generic_timeout=0",
            "net.netfilter.nf_conntrack_gre_timeout=0",
            "net.netfilter.nf_conntrack_checksum=0",
        ])
        .unwrap();
    let mut chance = Random::from_environment(4);
    let mut reasons: BTreeMap<String, u32> = BTreeMap::new();
    let mut token = 0;
    for _ in 0..rulesets() {
        let firewall = random(&mut chance);
        let script = ruleset(&firewall).unwrap().to_text();
        world.load(&script).unwrap();
        let sent: BTreeMap<u32, (Packet, Decision)> = (0..PACKETS)
            .map(|_| {
                token += 1;
                let packet = packet(&mut chance, &firewall);
                let decision = decide(&firewall, &Answers::new(), &packet);
                (token, (packet, decision))
            })
            .collect();
        for (packet, decision) in sent.values() {
            let verdict = format!("{:?} {}", decision.verdict, format!("{:?}", decision.reason).split('(').next().unwrap_or_default());
            *reasons.entry(verdict).or_default() += 1;
            let _ = packet;
        }
        check(&mut world, &firewall, &sent, &script);
    }
    for (reason, count) in &reasons {
        eprintln!("{count:6} {reason}");
    }
    // the sample means something only if all kinds of reasons are in it
    for needed in [
        "Allow Rule",
        "Deny Rule",
        "Deny Default",
        "Deny Spoofed",
        "Deny OutsideAllowed",
        "Deny NoEgressAddress",
        "Deny NoPath",
        "Deny Forbidden",
    ] {
        assert!(rulesets() < 30 || reasons.get(needed).is_some_and(|count| *count > 10), "too few packets with `{needed}`: {reasons:?}");
    }
}

fn check(world: &mut World, firewall: &FirewallRules, sent: &BTreeMap<u32, (Packet, Decision)>, script: &str) {
    let mut arrived: BTreeMap<u32, Vec<(usize, wire::Caught)>> = BTreeMap::new();
    let expected = sent.values().filter(|(_, decision)| decision.verdict == Action::Allow).count();
    for (token, (packet, _)) in sent {
        let input = (0..ZONES).find(|index| network(*index) == packet.input).unwrap();
        let bytes = wire::packet(packet.source, packet.destination, packet.transport, *token);
        world.networks[input].sender.send(packet.destination, &bytes).unwrap();
        collect(world, &mut arrived);
    }
    let start = Instant::now();
    while arrived.len() < expected && start.elapsed() < PATIENCE {
        std::thread::sleep(Duration::from_millis(2));
        collect(world, &mut arrived);
    }
    std::thread::sleep(QUIET);
    collect(world, &mut arrived);
    for (token, (packet, decision)) in sent {
        let found = arrived.remove(token).unwrap_or_default();
        let context = || format!("{packet:#?}\n{decision:?}\narrived: {found:?}\n{firewall:#?}\n{script}");
        match decision.verdict {
            Action::Deny => assert!(found.is_empty(), "should have been dropped: {}", context()),
            Action::Allow => {
                let [(place, caught)] = found.as_slice() else { panic!("should have arrived once: {}", context()) };
                assert_eq!(network(*place), packet.output, "{}", context());
                let translated =
                    if decision.snat.is_empty() { caught.source == packet.source } else { decision.snat.contains(&caught.source) };
                assert!(translated && caught.destination == packet.destination, "wrong addresses: {}", context());
            }
        }
    }
    assert!(arrived.is_empty(), "from nowhere: {arrived:?}");
}

fn collect(world: &mut World, arrived: &mut BTreeMap<u32, Vec<(usize, wire::Caught)>>) {
    for (place, network) in world.networks.iter_mut().enumerate() {
        for caught in network.catcher.arrived() {
            if let Some(token) = caught.token {
                arrived.entry(token).or_default().push((place, caught));
            }
        }
    }
}
