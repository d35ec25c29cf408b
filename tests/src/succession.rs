//! One controller leads, something happens to it in the middle of a rollout, and another one takes over: what must hold then, whatever happened and when.

use std::collections::BTreeMap;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

use leafwall_api::v1::{Outcome, Progress};
use leafwall_topology::Name;

use crate::controller::intents;
use crate::controllers::Controllers;

/// A new leader is there within so long after the old one's end.
const SUCCESSION: Duration = Duration::from_secs(5);
/// All agents have found it then, and are where it wants them: a few seconds more, for the machine is busy.
const FOUND: Duration = Duration::from_secs(8);
/// How long anything else may take on a busy machine.
const PATIENCE: Duration = Duration::from_mins(1);

/// What happens to the leader.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// It is killed, and started again later.
    Killed,
    /// It is stopped, keeps its connections, and goes on when another one leads.
    Paused,
    /// It does not reach etcd any more, but everybody reaches it.
    CutOff,
}

/// When: once so many devices have told that phase of the rollout.
#[derive(Debug, Clone, Copy)]
pub struct Moment {
    /// As in what an apply tells: `begun`, `prepared`, `applied`, `confirmed`.
    pub phase: &'static str,
    /// So many times.
    pub times: usize,
}

/// The fabric fra1, with other timers each time, which concerns all its switches.
fn variant(number: usize) -> BTreeMap<String, String> {
    let mut all = intents(&crate::root().join("containerlab/fra1"));
    let fabric = all.get_mut("fabric.yaml").unwrap();
    let changed = fabric.replace("hold: 9", &format!("hold: {}", 10 + number));
    assert_ne!(*fabric, changed);
    *fabric = changed;
    all
}

fn wait_for(told: &Receiver<Result<Progress, tonic::Status>>, moment: Moment) -> Option<Outcome> {
    let mut seen = 0;
    while seen < moment.times {
        let progress = told.recv_timeout(PATIENCE).unwrap().unwrap();
        if progress.phase == moment.phase {
            seen += 1;
        }
        assert!(progress.outcome.is_none() || seen == moment.times, "it ended before {moment:?}: {progress:?}");
        if progress.outcome.is_some() {
            return Some(progress.outcome());
        }
    }
    None
}

/// What was told until the end, if one was.
fn rest(told: &Receiver<Result<Progress, tonic::Status>>) -> Option<Outcome> {
    loop {
        match told.recv_timeout(PATIENCE) {
            Ok(Ok(progress)) if progress.outcome.is_some() => return Some(progress.outcome()),
            Ok(Ok(_)) => {}
            Ok(Err(_)) | Err(RecvTimeoutError::Disconnected) => return None,
            Err(RecvTimeoutError::Timeout) => panic!("whoever waits for a rollout is never told that its controller is gone"),
        }
    }
}

/// Three controllers, the agents of all devices, and a first revision that everybody has.
pub fn settled(test: &str) -> Controllers {
    let mut world = Controllers::start(test);
    let leader = world.leader().unwrap();
    let plan = world.plan(leader, &variant(0));
    assert!(!plan.refused, "{}", plan.diagnostics);
    let names: Vec<Name> = plan.devices.iter().map(|change| change.device.parse().unwrap()).collect();
    assert!(names.len() > 10, "{names:?}");
    for name in &names {
        world.start_agent(name);
    }
    let all = names.len();
    // before a first revision, a status speaks of no device
    world.until("all agents are there", |world| world.log(leader).matches("\"an agent is there\"").count() >= all);
    let told = world.apply(world.leader().unwrap(), &variant(0));
    assert_eq!(rest(&told), Some(Outcome::Committed));
    whole(&world, all);
    world
}

/// Waits until so many devices are there and have what the head says.
fn whole(world: &Controllers, devices: usize) {
    world.until("everybody has the head", |world| {
        let status = world.leader().and_then(|leader| world.status(leader).ok());
        status.is_some_and(|status| {
            status.state == "FULL"
                && status.devices.len() == devices
                && status.devices.iter().all(|device| device.connected && device.current)
        })
    });
}

/// One rollout with one fault in its middle, and all that must hold after it. Gives how long it took until another one led.
pub fn round(world: &mut Controllers, number: usize, fault: Fault, moment: Moment) -> Duration {
    let old = world.leader().unwrap();
    let before = world.status(old).unwrap();
    let running: BTreeMap<_, _> = world.devices.iter().map(|(name, device)| (name.clone(), device.running())).collect();
    let concerned = world.plan(old, &variant(number)).devices.len();
    assert!(concerned > 5, "{concerned} devices");
    let told = world.apply(old, &variant(number));
    let mut acknowledged = wait_for(&told, moment);

    let happened = Instant::now();
    match fault {
        Fault::Killed => world.all[old].kill(),
        Fault::Paused => world.all[old].pause(),
        Fault::CutOff => world.all[old].cut(true),
    }
    let (new, _) = world.other_leader(old, SUCCESSION);
    let took = happened.elapsed();
    assert!(took < SUCCESSION, "{took:?}");
    // agents find it, wherever the old one is
    whole(world, running.len());
    let found = happened.elapsed();
    assert!(found < FOUND, "{found:?}");

    let logged = world.log(old).len();
    match fault {
        Fault::Killed => world.run(old),
        Fault::Paused => world.all[old].go_on(),
        Fault::CutOff => {
            // it noticed by itself
            assert!(!world.all[old].leads());
            assert!(world.log(old).contains("does not lead any more"));
            world.all[old].cut(false);
        }
    }
    let leader = world.all[new].url();
    world.until("the old one follows", |world| {
        world.all[old].says("/readyz").is_some_and(|(status, text)| status == 503 && text.ends_with(&format!("a follower: {leader} leads")))
    });
    acknowledged = acknowledged.or_else(|| rest(&told));

    // the old one has written nothing more, and given no order
    std::thread::sleep(Duration::from_millis(300));
    let late = world.log(old)[logged..].to_owned();
    for word in ["\"audit\"", "\"committed\"", "\"decided\"", "\"leads the store\"", "\"a rollout ended\""] {
        assert!(!late.contains(word), "{word} after {fault:?}:\n{late}");
    }

    // an acknowledged revision is there; one that was not is there everywhere or nowhere
    whole(world, running.len());
    let after = world.status(new).unwrap();
    if acknowledged == Some(Outcome::Committed) {
        assert!(after.generation > before.generation, "an acknowledged revision is lost");
    }
    let changed = world.devices.iter().filter(|(name, device)| device.running() != running[*name]).count();
    let all_or_none = if after.generation > before.generation { concerned } else { 0 };
    assert_eq!(changed, all_or_none, "revision {} before, {} after", before.generation, after.generation);

    // history and audit log verify, and the store says the same as the leader
    let history = world.history();
    let past = world.wait(history.load()).unwrap();
    assert_eq!(past.first().map(|past| past.at.generation.0), Some(after.generation));
    let audit = world.leafwall(&["audit", "--verify"]);
    assert!(audit.status.success(), "{}", String::from_utf8_lossy(&audit.stderr));
    println!(
        "ok {fault:?} at {}x {}: another one leads after {} ms, everybody has one revision after {} ms, {}",
        moment.times,
        moment.phase,
        took.as_millis(),
        found.as_millis(),
        if all_or_none > 0 { "the new one" } else { "the old one" }
    );
    took
}
