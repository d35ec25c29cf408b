//! Every fault of a leader at every phase of a rollout, early and late in it.
#![allow(clippy::unwrap_used, clippy::panic)] // tests may fail

use leafwall_tests::succession::{Fault, Moment, round, settled};

#[test]
fn another_one_takes_over_at_any_moment() {
    let mut world = settled("soak");
    let faults = [Fault::Killed, Fault::Paused, Fault::CutOff];
    let moments = [
        ("begun", 1),
        ("prepared", 1),
        ("prepared", 6),
        ("applied", 1),
        ("applied", 3),
        ("applied", 6),
        ("confirmed", 1),
        ("confirmed", 4),
    ];
    let mut number = 0;
    for (phase, times) in moments {
        for fault in faults {
            number += 1;
            round(&mut world, number, fault, Moment { phase, times });
        }
    }
}
