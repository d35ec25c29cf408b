//! The ruleset in a kernel does with packets what the function says: random rules, random packets at their edges, both families.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // a test may; its helpers are tests too

use std::collections::BTreeMap;

use leafwall_policy::ruleset::ruleset;
use leafwall_policy::semantics::{Answers, Decision, Packet, decide};
use leafwall_tests::firewall::{packet, random};
use leafwall_tests::judge::judge;
use leafwall_tests::namespace::unable;
use leafwall_tests::random::Random;
use leafwall_tests::skip;
use leafwall_tests::world::World;

/// Packets for each ruleset.
const PACKETS: u32 = 150;

fn rulesets() -> u32 {
    std::env::var("LEAFWALL_RULESETS").ok().and_then(|text| text.parse().ok()).unwrap_or(40)
}

#[test]
fn f04_f05_f16_f23_the_kernel_decides_as_the_function_says() {
    if let Some(why) = unable() {
        return skip("f04_f05_f16_f23_the_kernel_decides_as_the_function_says", &why);
    }
    let mut world = World::new("sem").unwrap();
    world.load(&ruleset(&leafwall_tests::firewall::quiet()).unwrap().to_text()).unwrap();
    world.forget_soon().unwrap();
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
        judge(&mut world, &sent, || format!("{firewall:#?}\n{script}"));
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
