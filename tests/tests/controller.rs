//! Controller and agents over real certificates, streams, journals and store, with fake devices behind the agents.
#![allow(clippy::unwrap_used, clippy::panic)] // tests may fail

use std::collections::BTreeMap;

use leafwall_agent::report::Backend;
use leafwall_api::v1::{self, Outcome, Progress, Way};
use leafwall_controller::certificates::PeerRole;
use leafwall_tests::controller::{World, intents, upload};
use leafwall_tests::root;
use leafwall_topology::Name;
use tonic::Code;

fn outcome(told: &[Progress]) -> Outcome {
    told.last().unwrap_or_else(|| panic!("nothing was told")).outcome()
}

fn fra1() -> BTreeMap<String, String> {
    intents(&root().join("containerlab/fra1"))
}

/// The fabric with an elastic address more.
fn changed(mut intents: BTreeMap<String, String>) -> BTreeMap<String, String> {
    let more = "apiVersion: leafwall.io/v1\nkind: Address\nmetadata: {name: acme-more}\nspec: {tenant: acme, network: internet, static: true, server: srv-01}\n";
    intents.insert("more.yaml".to_owned(), more.to_owned());
    intents
}

/// A world in which everybody has the first revision.
fn settled(test: &str) -> World {
    settle(World::new(test))
}

fn settle(mut world: World) -> World {
    assert!(world.settle(&fra1()).devices.len() > 10);
    world
}

fn is_made(world: &World, name: &Name) -> bool {
    world.devices[name].running().contains_key("links.json")
}

#[test]
fn a_revision_is_everywhere_and_its_repetition_does_nothing() {
    let mut world = settled("everywhere");
    assert!(world.devices.keys().all(|name| is_made(&world, name)));
    let made: usize = world.devices.values().map(leafwall_tests::fake_device::FakeDevice::made).sum();
    assert_eq!(made, world.devices.len(), "each once");
    assert_eq!(outcome(&world.apply(&fra1(), &[])), Outcome::Unchanged);
    // words for people are remembered, and no device hears of them
    let mut noted = fra1();
    noted.get_mut("fabric.yaml").unwrap().push_str("# one more word\n");
    let told = world.apply(&noted, &[]);
    assert_eq!(outcome(&told), Outcome::Committed, "{told:#?}");
    assert_eq!(world.devices.values().map(leafwall_tests::fake_device::FakeDevice::made).sum::<usize>(), made);

    // H16, H17: it is there after a restart of either side
    world.stop_controller();
    world.start_controller();
    world.until("everybody is back", |world| {
        let status = world.status();
        status.state == "FULL" && status.generation == 2 && status.devices.iter().all(|device| device.connected)
    });
    let name = world.devices.keys().next().unwrap().clone();
    world.stop_agent(&name);
    world.until("it is away", |world| world.status().devices.iter().any(|device| !device.connected));
    world.start_agent(&name);
    world.until("it is back", |world| world.status().state == "FULL" && world.status().devices.iter().all(|device| device.connected));
}

#[test]
fn one_that_refuses_or_fails_takes_the_revision_back_everywhere() {
    let world = settled("refusal");
    let before: BTreeMap<_, _> = world.devices.iter().map(|(name, device)| (name.clone(), device.running())).collect();
    let plan = world.plan(&changed(fra1()));
    assert!(!plan.refused, "{}", plan.diagnostics);
    let concerned: Vec<Name> = plan.devices.iter().map(|change| change.device.parse().unwrap()).collect();
    assert!(!concerned.is_empty() && concerned.len() < world.devices.len(), "a tenant's change concerns some devices: {concerned:?}");

    let last = &world.devices[concerned.last().unwrap()];
    last.refuses(true);
    let told = world.apply(&changed(fra1()), &plan.digest);
    assert_eq!(outcome(&told), Outcome::Abandoned, "{told:#?}");
    assert!(told.last().unwrap().message.contains("its tools refuse it"), "{told:#?}");
    last.refuses(false);

    last.fails_next();
    let told = world.apply(&changed(fra1()), &[]);
    assert_eq!(outcome(&told), Outcome::Abandoned, "{told:#?}");
    world.until("everybody is as before", |world| world.devices.iter().all(|(name, device)| device.running() == before[name]));
    assert_eq!(world.status().generation, 1);

    let told = world.apply(&changed(fra1()), &[]);
    assert_eq!(outcome(&told), Outcome::Committed, "{told:#?}");
    // numbers of revisions that were taken back are not used again
    assert_eq!(world.status().generation, 4);
    // history says who it was and why
    let outcomes: Vec<String> = world.history().into_iter().map(|summary| summary.outcome).collect();
    let name = concerned.last().unwrap();
    let [refused, failed] = ["its tools refuse it", "half of it is missing"].map(|why| format!("abandoned: `{name}`: {why}"));
    assert_eq!(outcomes, ["committed", &failed, &refused, "committed"]);
    for (name, device) in &world.devices {
        assert_eq!(device.running() != before[name], concerned.contains(name), "{name}");
    }
}

type Devices = BTreeMap<Name, BTreeMap<String, String>>;

fn running(world: &World) -> Devices {
    world.devices.iter().map(|(name, device)| (name.clone(), device.running())).collect()
}

#[test]
fn going_back_undoes_one_revision_or_all_since_one() {
    let world = settled("back");
    let first = running(&world);
    let ops = |generation, way| world.back("ops", PeerRole::Operator, generation, way);
    assert_eq!(outcome(&world.apply(&changed(fra1()), &[])), Outcome::Committed); // 2
    let second = running(&world);
    assert_ne!(first, second);
    let mut third = changed(fra1());
    let globex = third.get_mut("tenant-globex.yaml").unwrap();
    *globex = globex.replace("port: 2049", "port: 2050");
    assert_eq!(outcome(&world.apply(&third, &[])), Outcome::Committed); // 3
    let both = running(&world);
    let its: Name = "fw-03".parse().unwrap(); // globex's
    assert_ne!(both[&its], second[&its]);

    // a plan changes nothing
    let plan = world.plan_back(2, Way::Revert).unwrap();
    assert!(!plan.refused && !plan.devices.is_empty(), "{plan:#?}");
    assert_eq!((running(&world), world.status().generation), (both.clone(), 3));
    let viewer = world.back("auditor", PeerRole::Viewer, 2, Way::Revert).unwrap_err();
    assert_eq!(viewer.code(), Code::PermissionDenied);

    // the second is undone, and the third stays
    let told = ops(2, Way::Revert).unwrap();
    assert_eq!(outcome(&told), Outcome::Committed, "{told:#?}"); // 4
    for (name, files) in running(&world) {
        assert_eq!(files, if name == its { &both } else { &first }[&name], "{name}");
    }
    let mut left = third.clone();
    left.remove("more.yaml");
    assert_eq!(outcome(&world.apply(&left, &[])), Outcome::Unchanged, "exactly the file is gone");
    assert_eq!(world.history()[0].reason, "revert 2: a test");

    let told = ops(2, Way::Restore).unwrap();
    assert_eq!(outcome(&told), Outcome::Committed, "{told:#?}"); // 5
    assert_eq!(running(&world)[&its], second[&its]);
    assert_eq!(outcome(&world.apply(&changed(fra1()), &[])), Outcome::Unchanged, "exactly the second's files are there");
}

#[test]
fn what_never_stood_or_changed_again_is_not_reverted() {
    let world = settled("no-way-back");
    let ops = |generation, way| world.back("ops", PeerRole::Operator, generation, way).unwrap_err();
    assert_eq!(outcome(&world.apply(&changed(fra1()), &[])), Outcome::Committed); // 2
    let mut again = changed(fra1());
    let more = again.get_mut("more.yaml").unwrap();
    *more = more.replace("static: true", "static: true, address: 203.0.113.77");
    assert_eq!(outcome(&world.apply(&again, &[])), Outcome::Committed); // 3
    let device = &world.devices[&world.plan(&fra1()).devices[0].device.parse::<Name>().unwrap()];
    device.refuses(true);
    assert_eq!(outcome(&world.apply(&fra1(), &[])), Outcome::Abandoned); // 4
    device.refuses(false);

    for (generation, way, code, says) in [
        (0, Way::Revert, tonic::Code::InvalidArgument, "there is no revision 0"),
        (0, Way::Restore, tonic::Code::InvalidArgument, "there is no revision 0"),
        (9, Way::Revert, tonic::Code::NotFound, "there is no revision 9: the newest one is 4"),
        (9, Way::Restore, tonic::Code::NotFound, "there is no revision 9: the newest one is 4"),
        (4, Way::Revert, tonic::Code::FailedPrecondition, "never stood: it was abandoned: `"),
        (2, Way::Revert, tonic::Code::FailedPrecondition, "files changed again: `more.yaml` in 3"),
    ] {
        for status in [ops(generation, way), world.plan_back(generation, way).unwrap_err()] {
            assert_eq!(status.code(), code, "{status}");
            assert!(status.message().contains(says) && status.message().contains("\nhint: "), "{status}");
        }
    }
    let mut client = world.client("ops", PeerRole::Operator);
    let long = v1::BackRequest { generation: 3, way: Way::Restore.into(), reason: "x".repeat(5000) };
    let refused = world.wait(async move { client.back(long).await.unwrap_err() });
    assert_eq!(refused.code(), Code::InvalidArgument, "{refused}");
    assert_eq!(world.status().generation, 3);
    assert!(world.audit().iter().any(|entry| entry.text.contains("files changed again")), "a refusal is written down");
    // what was in the way of the fourth is gone
    assert_eq!(outcome(&world.back("ops", PeerRole::Operator, 4, Way::Restore).unwrap()), Outcome::Committed);
}

#[test]
fn one_that_is_away_does_not_hold_up_others_and_catches_up() {
    let mut world = settled("away");
    let plan = world.plan(&changed(fra1()));
    let name: Name = plan.devices[0].device.parse().unwrap();
    world.stop_agent(&name);
    world.until("it is away", |world| world.status().devices.iter().any(|device| !device.connected));
    let told = world.apply(&changed(fra1()), &plan.digest);
    assert_eq!(outcome(&told), Outcome::Committed, "{told:#?}");
    assert_ne!(world.status().state, "FULL");
    world.start_agent(&name);
    world.until("it caught up", |world| world.status().state == "FULL");
}

#[test]
fn what_was_not_planned_or_is_not_allowed_is_refused_and_written_down() {
    let world = settled("refused");
    let plan = world.plan(&changed(fra1()));
    let mut other = changed(fra1());
    other.get_mut("more.yaml").unwrap().push_str("# another word\n");
    assert_eq!(outcome(&world.apply(&other, &plan.digest)), Outcome::Refused);
    assert!(world.plan(&BTreeMap::from([("bad.yaml".to_owned(), "kind: [".to_owned())])).refused);

    for (who, role) in [("auditor", PeerRole::Viewer), ("leaf-01", PeerRole::Agent)] {
        let status = world.try_apply(who, role, &changed(fra1()), &[]).unwrap_err();
        assert_eq!(status.code(), Code::PermissionDenied, "{status}");
    }
    let log: Vec<String> = world.audit().into_iter().map(|entry| entry.text).collect();
    for word in ["auditor", "leaf-01"] {
        assert!(log.iter().any(|entry| entry.contains(&format!("`{word}` may not do this"))), "{log:#?}");
    }
    assert_eq!(world.status().generation, 1);
}

#[test]
fn a_flood_of_refused_calls_is_two_entries_and_no_count_is_lost() {
    let mut world = World::new("flood");
    let calls = 200;
    for _ in 0..calls {
        let status = world.back("auditor", PeerRole::Viewer, 1, Way::Revert).unwrap_err();
        assert_eq!(status.code(), Code::PermissionDenied, "{status}");
    }
    let of_auditor = |world: &World| {
        let log: Vec<String> = world.audit().into_iter().map(|entry| entry.text).collect();
        log.into_iter().filter(|entry| entry.contains("\"who\":\"auditor\"")).collect::<Vec<_>>()
    };
    assert_eq!(of_auditor(&world).len(), 1);
    // what was counted is written before the controller ends
    world.stop_controller();
    world.start_controller();
    let log = of_auditor(&world);
    assert_eq!(log.len(), 2, "{log:#?}");
    assert!(log[1].contains(&format!("{} times more within a minute", calls - 1)), "{log:#?}");
}

#[test]
fn who_watches_hears_the_status_then_every_change_and_the_end_of_an_apply() {
    use leafwall_api::v1::news::News as What;
    let world = settled("watch");
    let mut client = world.client("auditor", PeerRole::Viewer);
    let mut stream = world.wait(async { client.watch(leafwall_api::v1::WatchRequest {}).await.unwrap().into_inner() });
    let mut next = || world.wait(async { stream.message().await.unwrap().unwrap().news.unwrap() });
    assert!(matches!(next(), What::Status(status) if status.generation == 1 && status.state == "FULL"));
    let (name, device) = world.devices.iter().next().unwrap();
    device.drifts("links.json", "{}");
    loop {
        if let What::Device(told) = next()
            && told.device == name.as_str()
            && told.differences.iter().any(|difference| difference.contains("links.json"))
        {
            break;
        }
    }
    assert_eq!(outcome(&world.apply(&changed(fra1()), &[])), Outcome::Committed);
    let (mut phases, mut ended, mut arrived) = (Vec::new(), false, false);
    while !ended || !arrived {
        match next() {
            What::Progress(progress) if progress.outcome.is_some() => {
                assert_eq!((progress.generation, progress.outcome()), (2, Outcome::Committed));
                ended = true;
            }
            What::Progress(progress) => phases.push(progress.phase),
            What::Device(device) => arrived |= device.generation == 2 && device.current,
            What::Status(_) | What::Missed(_) => panic!("nothing was missed"),
        }
    }
    for phase in ["begun", "prepared", "applied"] {
        assert!(phases.iter().any(|told| told == phase), "{phase}: {phases:?}");
    }
}

/// H23, H26: drift is seen, told and repaired.
#[test]
fn h23_h26_drift_is_told_and_repaired() {
    let mut world = World::new("drift");
    world.repair = true;
    let world = settle(world);
    let (name, device) = world.devices.iter().next().unwrap();
    let before = device.running();
    device.drifts("links.json", "{}");
    world.until("it is repaired", |_| device.running() == before);
    world.until("it was told", |world| {
        world.audit().iter().any(|entry| entry.text.contains(&format!("`{name}` drifted: changed  links     links.json")))
    });
}

/// H18: what an agent has on its disk says nothing of what the device runs.
#[test]
fn h18_what_lies_on_the_disk_is_not_taken_for_what_runs() {
    let mut world = settled("disk");
    let name: Name = "leaf-01".parse().unwrap();
    let before = world.devices[&name].running();
    world.stop_agent(&name);
    // the revision and its files stay where they are
    world.devices[&name].drifts_unheard("frr.conf", "! somebody else's\n");
    world.start_agent(&name);
    world.until("it runs its revision again", |world| world.devices[&name].running() == before);
}

/// H26: what is the matter is said for as long as it is, also to a controller that comes later.
#[test]
fn h26_what_is_the_matter_with_a_device_is_told_to_every_controller() {
    let mut world = settled("matter");
    let name: Name = "leaf-01".parse().unwrap();
    let told = |world: &World| {
        let status = world.status();
        let device = status.devices.iter().find(|device| device.device == name.as_str()).unwrap();
        device.connected && device.differences.iter().any(|difference| difference.contains("links.json"))
    };
    world.devices[&name].meets_something_foreign("links.json");
    world.devices[&name].tells(&Backend::ALL.into());
    world.until("it is told", told);
    world.stop_controller();
    world.start_controller();
    world.until("it is told again", told);
    assert!(world.status().devices.iter().filter(|device| device.device != name.as_str()).all(|device| device.differences.is_empty()));
}

/// H29: no message limit bites: not where intents come, and not where they are shown.
#[test]
fn h29_what_is_longer_than_a_message_may_be_goes_in_pieces() {
    let world = settled("pieces");
    let mut long = fra1();
    let words = "# a word more, and one more of them\n".repeat(200_000);
    assert!(words.len() > 5 << 20, "gRPC takes 4 MiB");
    long.insert("words.yaml".to_owned(), words);
    let told = world.apply(&long, &[]);
    assert_eq!(outcome(&told), Outcome::Committed, "{told:#?}");
    let mut client = world.client("ops", PeerRole::Operator);
    let shown = world.wait(async move {
        let mut pieces = client.show(v1::ShowRequest { generation: 2, allocation: false, servers: false }).await.unwrap().into_inner();
        let mut bytes = Vec::new();
        while let Some(piece) = pieces.message().await.unwrap() {
            if piece.path == "words.yaml" {
                bytes.extend(piece.bytes);
            }
        }
        bytes
    });
    assert_eq!(shown, long["words.yaml"].as_bytes());
}

/// Whoever installs machines needs to know what they were given.
#[test]
fn a_revision_is_shown_with_its_numbers_where_they_are_asked_for() {
    let world = settled("numbers");
    let show = |who: &str, role, allocation| {
        let mut client = world.client(who, role);
        world.wait(async move {
            let mut pieces = client.show(v1::ShowRequest { generation: 1, allocation, servers: false }).await?.into_inner();
            let mut files = BTreeMap::<String, Vec<u8>>::new();
            while let Some(piece) = pieces.message().await? {
                files.entry(piece.path).or_default().extend(piece.bytes);
            }
            Ok::<_, tonic::Status>(files)
        })
    };
    let without = show("auditor", PeerRole::Viewer, false).unwrap();
    assert!(!without.contains_key("allocation.yaml"), "fra1 has none");
    let mut with = show("auditor", PeerRole::Viewer, true).unwrap();
    let table = String::from_utf8(with.remove("allocation.yaml").unwrap()).unwrap();
    assert!(table.contains("srv-05: 42"), "its ASN: {table}");
    assert_eq!(with, without);
    assert_eq!(show("acme", PeerRole::Tenant, true).unwrap_err().code(), Code::PermissionDenied);
}

/// What is held waits for a person, and nobody goes back meanwhile.
#[test]
fn what_is_held_stays_as_it_is_until_a_person_resolves_it() {
    let world = settled("held");
    let before: BTreeMap<_, _> = world.devices.iter().map(|(name, device)| (name.clone(), device.running())).collect();
    let plan = world.plan(&changed(fra1()));
    let concerned: Vec<Name> = plan.devices.iter().map(|change| change.device.parse().unwrap()).collect();
    let last = concerned.last().unwrap();
    let held = |world: &World| {
        let mut pieces = upload(&changed(fra1()), &[], 256 << 10);
        if let Some(v1::upload::Part::Head(head)) = &mut pieces[0].part {
            head.on_failure = v1::OnFailure::Hold.into();
        }
        world.devices[last].fails_next();
        let mut client = world.client("ops", PeerRole::Operator);
        world.wait(async move {
            let mut news = client.apply(tokio_stream::iter(pieces)).await.unwrap().into_inner();
            let mut last = None;
            while let Some(progress) = news.message().await.unwrap() {
                last = Some(progress);
            }
            last.unwrap()
        })
    };
    let resolve = |world: &World, who: &str, role, generation, outcome: Outcome| {
        let mut client = world.client(who, role);
        let request = v1::ResolveRequest { generation, outcome: outcome.into(), reason: "a test".into() };
        world.wait(async move { client.resolve(request).await.map_err(|status| status.code()) })
    };
    let told = held(&world);
    assert_eq!(told.outcome(), Outcome::Held, "{told:#?}");
    assert!(told.message.contains("half of it is missing"), "{told:#?}");
    let under_way = world.status().under_way;
    assert!(under_way.starts_with("revision 2 is held: ") && under_way.contains("half of it is missing"), "{under_way}");
    let others: Vec<&Name> = concerned.iter().filter(|name| *name != last).collect();
    let changed_now = |world: &World| others.iter().filter(|name| world.devices[**name].running() != before[**name]).count();
    let kept = changed_now(&world);
    assert!(kept > 0, "something was changed that can be held");
    // nobody but an operator, and nothing but what is held
    assert_eq!(resolve(&world, "eyes", PeerRole::Viewer, 2, Outcome::Abandoned).unwrap_err(), Code::PermissionDenied);
    assert_eq!(resolve(&world, "ops", PeerRole::Operator, 1, Outcome::Abandoned).unwrap_err(), Code::FailedPrecondition);
    assert_eq!(resolve(&world, "ops", PeerRole::Operator, 2, Outcome::Refused).unwrap_err(), Code::InvalidArgument);
    assert_eq!(outcome(&world.apply(&fra1(), &[])), Outcome::Refused, "one at a time");
    assert_eq!(changed_now(&world), kept);
    resolve(&world, "ops", PeerRole::Operator, 2, Outcome::Abandoned).unwrap();
    world.until("everybody is as before", |world| world.devices.iter().all(|(name, device)| device.running() == before[name]));
    assert_eq!(world.status().generation, 1);
    world.until("it is over", |world| world.history()[0].outcome.starts_with("abandoned"));

    // the other way: it stands, and the one that failed gets there, too
    assert_eq!(held(&world).outcome(), Outcome::Held);
    resolve(&world, "ops", PeerRole::Operator, 3, Outcome::Committed).unwrap();
    world.until("everybody has it", |world| world.status().state == "FULL" && world.status().generation == 3);
    assert!(concerned.iter().all(|name| world.devices[name].running() != before[name]));
    let log: Vec<String> = world.audit().into_iter().map(|entry| entry.text).collect();
    for what in ["resolve: abandon", "resolve: commit"] {
        assert!(log.iter().any(|entry| entry.contains(what) && entry.contains("\"who\":\"ops\"")), "{what}: {log:#?}");
    }
}
