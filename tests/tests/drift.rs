//! Drift and lost health, over real certificates, streams, journals and store, with fake devices behind the agents.
#![allow(clippy::unwrap_used, clippy::panic)] // tests may fail

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use leafwall_agent::health::Health;
use leafwall_agent::report::{Backend, Parts};
use leafwall_api::v1::Outcome;
use leafwall_tests::controller::{World, intents};
use leafwall_tests::fake_device::FakeDevice;
use leafwall_tests::root;
use leafwall_topology::Name;

/// So long that no test sees it.
const NEVER: Duration = Duration::from_hours(1);

fn fra1() -> BTreeMap<String, String> {
    intents(&root().join("containerlab/fra1"))
}

/// The fabric with an elastic address more.
fn changed() -> BTreeMap<String, String> {
    let more = "apiVersion: leafwall.io/v1\nkind: Address\nmetadata: {name: acme-more}\nspec: {tenant: acme, network: internet, static: true, server: srv-01}\n";
    let mut intents = fra1();
    intents.insert("more.yaml".to_owned(), more.to_owned());
    intents
}

/// A world in which everybody has the first revision, and whose agents repair what they notice.
fn settled(test: &str, compare_every: Duration) -> World {
    let mut world = World::new(test);
    (world.repair, world.compare_every) = (true, compare_every);
    world.settle(&fra1());
    // agents look once at what they changed themselves
    std::thread::sleep(Duration::from_secs(1));
    world.devices.values().for_each(|device| drop(device.comparisons()));
    world
}

fn leaf(world: &World) -> (Name, FakeDevice) {
    let name: Name = "leaf-01".parse().unwrap();
    let device = world.devices[&name].clone();
    (name, device)
}

fn audited(world: &World, text: &str) -> bool {
    world.audit().iter().any(|entry| entry.text.contains(text))
}

/// H23, H26: an event leads to a comparison of the part that it is about, long before everything is compared, and what differs is told and repaired.
#[test]
fn h23_h26_drift_is_noticed_by_events_and_by_the_digest_of_frr() {
    let world = settled("drift-events", NEVER);
    let (name, device) = leaf(&world);
    let before = device.running();
    for (file, part) in [("links.json", Backend::Links), ("leafwall.nft", Backend::Nftables), ("frr.conf", Backend::Frr)] {
        let started = Instant::now();
        device.drifts(file, "{}");
        world.until(&format!("{file} is repaired"), |_| device.running() == before);
        println!("{file}: {:?} from drift to repair (a fake device, this machine's clock)", started.elapsed());
        assert_eq!(device.comparisons().first(), Some(&Parts::from([part])), "{file}");
        world.until("it was told", |world| audited(world, &format!("`{name}` drifted: changed  {part:<9} {file}")));
        world.until("all is well", |world| world.status().devices.iter().all(|device| device.differences.is_empty()));
        // what the repair itself did
        std::thread::sleep(Duration::from_secs(1));
        device.comparisons();
    }
    // what nobody tells is left to the comparison of everything, which does not come here
    device.drifts_unheard("links.json", "{}");
    std::thread::sleep(Duration::from_secs(1));
    assert_eq!(device.comparisons(), [] as [Parts; 0]);
}

/// What nobody tells is found when everything is compared.
#[test]
fn drift_that_nobody_tells_is_found_later() {
    let world = settled("drift-unheard", Duration::from_millis(300));
    let (_, device) = leaf(&world);
    let before = device.running();
    device.drifts_unheard("links.json", "{}");
    world.until("it is repaired", |_| device.running() == before);
}

/// H25: something foreign in the way of ours is told, and nothing is done about it.
#[test]
fn h25_what_is_foreign_is_told_and_not_repaired() {
    let world = settled("drift-foreign", NEVER);
    let (_, device) = leaf(&world);
    let made = device.made();
    device.meets_something_foreign("links.json");
    let word = "foreign  links     something in the way of links.json";
    world.until("it is told", |world| audited(world, word));
    std::thread::sleep(Duration::from_secs(1));
    assert_eq!(device.made(), made);
    // beside it, what is ours is repaired, and it is still told
    device.drifts("leafwall.nft", "flushed");
    world.until("ours is repaired", |_| device.running()["leafwall.nft"] != "flushed");
    world.until("it is still told", |world| {
        world.status().devices.iter().any(|device| device.differences.iter().any(|difference| difference == word))
    });
}

/// A storm of events, and a repair that never holds, cost a bounded number of comparisons and changes.
#[test]
fn a_storm_of_events_is_bounded() {
    let world = settled("drift-storm", NEVER);
    let (_, device) = leaf(&world);
    let made = device.made();
    let started = Instant::now();
    while started.elapsed() < Duration::from_secs(3) {
        device.tells(&Parts::from([Backend::Links]));
        std::thread::sleep(Duration::from_millis(1));
    }
    let comparisons = device.comparisons().len();
    assert!((2..=8).contains(&comparisons), "{comparisons} comparisons in 3 s");
    assert_eq!(device.made(), made);

    // something stands in the way for ever, and something of ours with it
    device.meets_something_foreign("links.json");
    let started = Instant::now();
    while started.elapsed() < Duration::from_secs(5) {
        device.drifts("links.json", "{}");
        std::thread::sleep(Duration::from_millis(20));
    }
    let repairs = device.made() - made;
    assert!((1..=4).contains(&repairs), "{repairs} repairs in 5 s");
}

/// What the agent changes itself is no drift.
#[test]
fn a_change_of_our_own_is_no_drift() {
    let world = settled("drift-own", NEVER);
    let made: BTreeMap<Name, usize> = world.devices.iter().map(|(name, device)| (name.clone(), device.made())).collect();
    let told = world.apply(&changed(), &[]);
    assert_eq!(told.last().unwrap().outcome(), Outcome::Committed, "{told:#?}");
    world.until("everybody has it", |world| world.status().state == "FULL");
    std::thread::sleep(Duration::from_secs(2));
    let changed: Vec<_> = world.devices.iter().filter(|(name, device)| device.made() != made[*name]).collect();
    assert!(!changed.is_empty());
    assert!(changed.iter().all(|(name, device)| device.made() == made[*name] + 1), "each once");
    assert!(changed.iter().all(|(_, device)| !device.comparisons().is_empty()), "it is looked at once more");
    assert!(!audited(&world, "drifted"));
}

fn health(reached: u64) -> Health {
    Health { neighbours: 2, sessions: 2, fabric: 2, routes: 9, reached: [(10_001, reached), (10_002, reached), (10_003, reached)].into() }
}

/// A change after which sessions are up and EVPN's routes are gone is taken back everywhere, and never counts as applied.
#[test]
fn h16_a_change_that_costs_evpn_routes_is_taken_back_everywhere() {
    let world = settled("health-made", NEVER);
    let before: Vec<_> = world.devices.values().map(FakeDevice::running).collect();
    let plan = world.plan(&changed());
    let device = &world.devices[&plan.devices[0].device.parse::<Name>().unwrap()];
    device.health(health(2), health(0));
    let told = world.apply(&changed(), &plan.digest);
    assert_eq!(told.last().unwrap().outcome(), Outcome::Abandoned, "{told:#?}");
    assert!(told.last().unwrap().message.contains("3 of 3 VNIs reach nobody any more"), "{told:#?}");
    world.until("everybody is as before", |world| world.devices.values().map(FakeDevice::running).collect::<Vec<_>>() == before);

    // the same, where it stays as it was
    device.health(health(2), health(1));
    let told = world.apply(&changed(), &plan.digest);
    assert_eq!(told.last().unwrap().outcome(), Outcome::Committed, "{told:#?}");
}

/// Health that is lost while others are still changed takes the revision back, and until then nothing is repaired.
#[test]
fn health_lost_while_others_change_takes_the_revision_back() {
    let world = settled("health-waiting", NEVER);
    let before: BTreeMap<Name, _> = world.devices.iter().map(|(name, device)| (name.clone(), device.running())).collect();
    let plan = world.plan(&changed());
    let names: Vec<Name> = plan.devices.iter().map(|change| change.device.parse().unwrap()).collect();
    assert!(names.len() > 1, "{names:?}");
    for name in &names {
        world.devices[name].health(health(2), health(2));
        world.devices[name].is_slow(Duration::from_secs(3));
    }
    let told = std::thread::scope(|scope| {
        let apply = scope.spawn(|| world.apply(&changed(), &plan.digest));
        let first = || names.iter().find(|name| world.devices[*name].running() != before[*name]);
        world.until("one is changed", |_| first().is_some());
        let device = &world.devices[first().unwrap()];
        // only now: it stood well when it was changed
        std::thread::sleep(Duration::from_millis(300));
        device.health(health(0), health(0));
        device.drifts("links.json", "{}");
        std::thread::sleep(Duration::from_millis(700));
        assert_eq!(device.running()["links.json"], "{}", "nothing is repaired while a change waits for its confirmation");
        apply.join().unwrap()
    });
    assert_eq!(told.last().unwrap().outcome(), Outcome::Abandoned, "{told:#?}");
    assert!(told.last().unwrap().message.contains("3 of 3 VNIs reach nobody any more"), "{told:#?}");
    world.until("everybody is as before", |world| world.devices.iter().all(|(name, device)| device.running() == before[name]));
}
