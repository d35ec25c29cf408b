//! Three controllers as processes on a real etcd of three members, with agents of fake devices.
#![allow(clippy::unwrap_used, clippy::panic)] // tests may fail

use std::time::Duration;

use leafwall_tests::controllers::Controllers;
use leafwall_tests::etcd::EtcdProcesses;
use leafwall_tests::skip;
use leafwall_tests::succession::{Fault, Moment, round, settled};
use tonic::{Code, Status};

fn has_etcd(test: &str) -> bool {
    let there = EtcdProcesses::is_installed();
    if !there {
        skip(test, "there is no etcd");
    }
    there
}

/// A few moments; `soak_controllers` has all.
#[test]
fn another_one_takes_over_in_the_middle_of_a_rollout() {
    if !has_etcd("another_one_takes_over_in_the_middle_of_a_rollout") {
        return;
    }
    let mut world = settled("succession");
    followers_name_the_leader(&world);
    round(&mut world, 1, Fault::Killed, Moment { phase: "applied", times: 2 });
    round(&mut world, 2, Fault::Paused, Moment { phase: "prepared", times: 3 });
    round(&mut world, 3, Fault::CutOff, Moment { phase: "confirmed", times: 1 });
    followers_name_the_leader(&world);
}

fn followers_name_the_leader(world: &Controllers) {
    let leader = world.leader().unwrap();
    for follower in (0..3).filter(|at| *at != leader) {
        // one that came up just now has not read yet who leads: it looks several times a second
        let knows = |refusal: &Status| refusal.metadata().get("leafwall-leader").is_some();
        let mut refusal = world.status(follower).unwrap_err();
        for _ in 0..100 {
            if knows(&refusal) {
                break;
            }
            std::thread::sleep(Duration::from_millis(100));
            refusal = world.status(follower).unwrap_err();
        }
        assert_eq!(refusal.code(), Code::Unavailable);
        assert_eq!(refusal.metadata().get("leafwall-leader").unwrap().to_str().unwrap(), world.all[leader].url());
        assert!(refusal.message().contains(&world.all[leader].url()), "{refusal}");
        let (status, text) = world.all[follower].says("/readyz").unwrap();
        assert_eq!((status, text), (503, format!("not ready: a follower: {} leads", world.all[leader].url())));
        assert_eq!(world.all[follower].says("/healthz").unwrap().0, 200);
    }
    // and clients find it
    let status = world.leafwall(&["status"]);
    assert!(status.status.success(), "{}", String::from_utf8_lossy(&status.stderr));
}
