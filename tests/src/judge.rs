//! Packets with what should become of them, sent through the small world.

#![allow(clippy::panic)] // what does not come out as said is a failed test

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use leafwall_policy::rule::Action;
use leafwall_policy::semantics::{Decision, Packet};

use crate::firewall::{ZONES, network};
use crate::wire;
use crate::world::World;

/// How long a packet that should arrive may take.
const PATIENCE: Duration = Duration::from_secs(2);
/// How long nothing more may arrive before the rest counts as dropped, after everything that should arrive has.
const QUIET: Duration = Duration::from_millis(20);

/// Sends the packets, each under its token, and compares with what was decided.
///
/// # Panics
/// Where a packet does not become what was decided; `context` says of what.
pub fn judge(world: &mut World, sent: &BTreeMap<u32, (Packet, Decision)>, context: impl Fn() -> String) {
    let mut arrived: BTreeMap<u32, Vec<(usize, wire::Caught)>> = BTreeMap::new();
    let expected = sent.values().filter(|(_, decision)| decision.verdict == Action::Allow).count();
    for (token, (packet, _)) in sent {
        let input = (0..ZONES).find(|index| network(*index) == packet.input).unwrap_or_default();
        let bytes = wire::packet(packet.source, packet.destination, packet.transport, *token);
        if let Err(error) = world.networks[input].sender.send(packet.destination, &bytes) {
            panic!("{packet:?}: {error}");
        }
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
        let context = || format!("{packet:#?}\n{decision:?}\narrived: {found:?}\n{}", context());
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
