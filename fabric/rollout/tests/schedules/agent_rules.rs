//! One test for each rule of the agent.

use leafwall_rollout::device::{Action, Event, FIRST_PAUSE, Journal, LONGEST_PAUSE, Machine};
use leafwall_rollout::digest::Digest;
use leafwall_rollout::message::{Answer, At, Order, Phase};
use leafwall_rollout::revision::DeviceRevision;
use leafwall_rollout::signed::Signed;
use leafwall_topology::Name;

use crate::fake::{KEY, at, forged, signed, statement};

const CONFIRM_WITHIN: u64 = 3_000;

fn leaf() -> Name {
    "leaf-01".parse().unwrap()
}

fn agent(journal: &Journal) -> Machine {
    let (mut machine, _) = Machine::resume(leaf(), vec![KEY.verifying_key()], journal.clone(), 0);
    machine.on(0, Event::Connected);
    machine
}

fn prepare(generation: u64, replaces: Option<u64>) -> Event {
    Order::Prepare { revision: signed(&leaf(), generation, replaces.map(|number| at(number).revision)) }.into()
}

fn apply(generation: u64) -> Event {
    Order::Apply { at: at(generation), confirm_within: CONFIRM_WITHIN }.into()
}

fn confirm(generation: u64) -> Event {
    Order::Confirm { at: at(generation) }.into()
}

fn abandon(generation: u64) -> Event {
    Order::Abandon { at: at(generation) }.into()
}

const FINE: Result<(), String> = Ok(());

fn bad() -> Result<(), String> {
    Err("bad luck".to_owned())
}

/// Takes a revision as far as that.
fn brought(machine: &mut Machine, generation: u64, replaces: Option<u64>, phase: Phase) {
    machine.on(0, prepare(generation, replaces));
    machine.on(0, Event::Checked { at: at(generation), outcome: FINE });
    if phase != Phase::Prepared {
        machine.on(0, apply(generation));
    }
    if matches!(phase, Phase::Unconfirmed | Phase::GoingBack) {
        machine.on(0, Event::Made { at: at(generation), outcome: FINE });
    }
    if phase == Phase::GoingBack {
        machine.on(0, Event::HealthLost { reason: "no session is left".to_owned() });
    }
    assert_eq!(machine.hello().pending, Some((at(generation), phase)));
}

fn confirmed(generation: u64) -> Machine {
    let mut machine = agent(&Journal::default());
    brought(&mut machine, generation, None, Phase::Unconfirmed);
    machine.on(0, confirm(generation));
    assert_eq!(machine.hello().confirmed, Some(at(generation)));
    machine
}

fn says(actions: &[Action], answer: &Answer) -> bool {
    actions.iter().any(|action| matches!(action, Action::Say(said) if said == answer))
}

fn refuses(actions: &[Action], why: &str) -> bool {
    matches!(actions, [Action::Say(Answer::Refused { reason, .. })] if reason.contains(why))
}

fn goes_back(actions: &[Action]) -> bool {
    matches!(actions, [.., Action::GoBack { .. }])
}

#[test]
fn a_revision_is_checked_then_made_then_confirmed_and_durable_before_each_is_said() {
    let mut machine = agent(&Journal::default());
    assert!(matches!(machine.on(0, prepare(1, None))[..], [Action::Check(_)]));
    let actions = machine.on(0, Event::Checked { at: at(1), outcome: FINE });
    assert!(matches!(&actions[..], [Action::Save(_), Action::Say(Answer::Prepared { .. })]), "{actions:?}");
    let actions = machine.on(0, apply(1));
    assert!(matches!(&actions[..], [Action::Save(_), Action::Make(kept)] if kept.at == at(1)), "{actions:?}");
    let actions = machine.on(0, Event::Made { at: at(1), outcome: FINE });
    assert_eq!(actions, [Action::Say(Answer::Applied { at: at(1) })]);
    let actions = machine.on(0, confirm(1));
    assert!(matches!(&actions[..], [Action::Save(_), Action::Say(Answer::Confirmed { .. })]), "{actions:?}");
    assert_eq!(machine.wake_at(), None);
}

#[test]
fn what_the_controller_did_not_sign_is_refused() {
    for changed in [true, false] {
        let order = forged(&leaf(), 1, None, changed);
        assert!(refuses(&agent(&Journal::default()).on(0, order.into()), "signature"));
    }
    let rubbish = Order::Prepare { revision: Signed::from_parts("{".to_owned(), vec![]) };
    assert!(refuses(&agent(&Journal::default()).on(0, rubbish.into()), "signature"));
}

#[test]
fn an_order_for_another_device_is_refused() {
    let order = Order::Prepare { revision: signed(&"leaf-02".parse().unwrap(), 1, None) };
    assert!(refuses(&agent(&Journal::default()).on(0, order.into()), "leaf-02"));
}

#[test]
fn an_older_generation_is_refused_also_after_a_restart() {
    let mut machine = confirmed(2);
    assert!(refuses(&machine.on(0, prepare(1, Some(2))), "older"));
    assert!(refuses(&agent(machine.journal()).on(0, prepare(1, Some(2))), "older"));
}

#[test]
fn an_abandoned_revision_is_never_taken_again() {
    for phase in [Phase::Prepared, Phase::Applying, Phase::Unconfirmed, Phase::GoingBack] {
        let mut machine = agent(&Journal::default());
        brought(&mut machine, 1, None, phase);
        machine.on(0, abandon(1));
        machine.on(0, Event::Made { at: at(1), outcome: FINE });
        machine.on(0, Event::WentBack { at: at(1), outcome: FINE });
        assert_eq!(machine.hello().pending, None, "{phase:?}");
        assert!(refuses(&machine.on(0, prepare(1, None)), "older"), "{phase:?}");
    }
    let mut checking = agent(&Journal::default());
    checking.on(0, prepare(1, None));
    checking.on(0, abandon(1));
    assert_eq!(checking.on(0, Event::Checked { at: at(1), outcome: FINE }), []);
    assert!(refuses(&checking.on(0, prepare(1, None)), "older"));
}

#[test]
fn an_order_to_abandon_what_was_never_heard_of_locks_nothing_out() {
    let mut machine = agent(&Journal::default());
    assert!(matches!(machine.on(0, abandon(1_000))[..], [Action::Say(Answer::WentBack { .. })]));
    assert!(matches!(machine.on(0, prepare(1, None))[..], [Action::Check(_)]));
}

#[test]
fn a_number_stands_for_one_revision() {
    let mut machine = agent(&Journal::default());
    brought(&mut machine, 1, None, Phase::Prepared);
    let other = DeviceRevision { revision: Digest::of(b"another"), ..statement(&leaf(), 1, None) };
    let order = Order::Prepare { revision: Signed::new(&other, &KEY).unwrap() };
    assert!(refuses(&machine.on(0, order.into()), "not `"));
}

#[test]
fn an_unknown_parent_is_refused() {
    assert!(refuses(&confirmed(1).on(0, prepare(3, Some(2))), "replaces"));
    assert!(refuses(&confirmed(1).on(0, prepare(3, None)), "replaces nothing"));
    assert!(refuses(&agent(&Journal::default()).on(0, prepare(3, Some(2))), "nothing is here"));
    // generations may be left out, as long as the parent is what is here
    assert!(matches!(confirmed(1).on(0, prepare(3, Some(1)))[..], [Action::Check(_)]));
}

#[test]
fn orders_that_are_repeated_are_answered_again_and_do_nothing() {
    let mut machine = agent(&Journal::default());
    machine.on(0, prepare(1, None));
    assert_eq!(machine.on(0, prepare(1, None)), []);
    machine.on(0, Event::Checked { at: at(1), outcome: FINE });
    assert_eq!(machine.on(0, prepare(1, None)), [Action::Say(Answer::Prepared { at: at(1) })]);
    machine.on(0, apply(1));
    assert_eq!(machine.on(0, apply(1)), []);
    machine.on(0, Event::Made { at: at(1), outcome: FINE });
    for again in [prepare(1, None), apply(1)] {
        assert_eq!(machine.on(0, again), [Action::Say(Answer::Applied { at: at(1) })]);
    }
    machine.on(0, confirm(1));
    for again in [prepare(1, None), apply(1), confirm(1)] {
        assert_eq!(machine.on(0, again), [Action::Say(Answer::Confirmed { at: at(1) })]);
    }
}

#[test]
fn what_is_not_prepared_is_not_applied() {
    assert!(refuses(&agent(&Journal::default()).on(0, apply(1)), "not prepared"));
    let mut refused = agent(&Journal::default());
    refused.on(0, prepare(1, None));
    assert!(refuses(&refused.on(0, Event::Checked { at: at(1), outcome: bad() }), "bad luck"));
    assert!(refuses(&refused.on(0, apply(1)), "not prepared"));
}

#[test]
fn a_newer_revision_takes_the_place_of_a_prepared_one_but_not_of_one_under_way() {
    let mut machine = agent(&Journal::default());
    brought(&mut machine, 1, None, Phase::Prepared);
    assert!(matches!(&machine.on(0, prepare(2, None))[..], [Action::Save(journal), Action::Check(_)] if journal.pending.is_none()));
    assert!(refuses(&machine.on(0, apply(1)), "not prepared"));
    for phase in [Phase::Applying, Phase::Unconfirmed, Phase::GoingBack] {
        let mut machine = agent(&Journal::default());
        brought(&mut machine, 1, None, phase);
        assert!(refuses(&machine.on(0, prepare(2, None)), "still on its way"), "{phase:?}");
    }
}

#[test]
fn an_unconfirmed_revision_goes_back_by_itself_and_a_late_confirmation_is_refused() {
    let mut machine = confirmed(1);
    brought(&mut machine, 2, Some(1), Phase::Unconfirmed);
    machine.on(0, Event::ControllerLost);
    assert_eq!(machine.wake_at(), Some(CONFIRM_WITHIN));
    assert_eq!(machine.on(CONFIRM_WITHIN - 1, Event::Tick), []);
    let actions = machine.on(CONFIRM_WITHIN, Event::Tick);
    assert!(matches!(&actions[..], [Action::Save(_), Action::GoBack { from, to: Some(to) }] if from.at == at(2) && to.at == at(1)));
    machine.on(CONFIRM_WITHIN, Event::Connected);
    assert!(refuses(&machine.on(CONFIRM_WITHIN, confirm(2)), "does not wait"));

    // too late by the clock counts, also where nobody was woken in time
    let mut machine = confirmed(1);
    brought(&mut machine, 2, Some(1), Phase::Unconfirmed);
    assert!(goes_back(&machine.on(CONFIRM_WITHIN, confirm(2))));
    machine.on(CONFIRM_WITHIN, Event::WentBack { at: at(2), outcome: FINE });
    assert!(refuses(&machine.on(CONFIRM_WITHIN, confirm(2)), "does not wait"));
    // it was not abandoned: the controller prepares it again
    assert!(matches!(machine.on(CONFIRM_WITHIN, prepare(2, Some(1)))[..], [Action::Check(_)]));
}

#[test]
fn a_repeated_order_to_apply_renews_the_wait() {
    let mut machine = agent(&Journal::default());
    brought(&mut machine, 1, None, Phase::Unconfirmed);
    machine.on(2_000, apply(1));
    assert_eq!(machine.wake_at(), Some(2_000 + CONFIRM_WITHIN));
}

#[test]
fn lost_health_takes_a_change_back_and_nothing_else() {
    let lost = || Event::HealthLost { reason: "no session is left".to_owned() };
    let mut machine = agent(&Journal::default());
    brought(&mut machine, 1, None, Phase::Unconfirmed);
    assert!(matches!(&machine.on(0, lost())[..], [Action::Save(_), Action::GoBack { to: None, .. }]));
    assert!(says(
        &machine.on(0, Event::WentBack { at: at(1), outcome: FINE }),
        &Answer::WentBack { from: at(1), reason: "no session is left".to_owned() }
    ));

    // never two changes at once: the way back begins when the way there has ended
    let mut machine = agent(&Journal::default());
    brought(&mut machine, 1, None, Phase::Applying);
    assert!(matches!(machine.on(0, lost())[..], [Action::Save(_)]));
    assert!(goes_back(&machine.on(0, Event::Made { at: at(1), outcome: FINE })));

    assert_eq!(confirmed(1).on(0, lost()), []);
}

#[test]
fn a_change_that_fails_goes_back_and_says_why() {
    let mut machine = confirmed(1);
    brought(&mut machine, 2, Some(1), Phase::Applying);
    let actions = machine.on(0, Event::Made { at: at(2), outcome: bad() });
    assert!(says(&actions, &Answer::Failed { at: at(2), reason: "bad luck".to_owned() }) && goes_back(&actions), "{actions:?}");
}

#[test]
fn a_way_back_that_fails_is_tried_again_ever_more_slowly_and_reported_each_time() {
    let mut machine = confirmed(1);
    brought(&mut machine, 2, Some(1), Phase::GoingBack);
    let (mut now, mut pause) = (0, FIRST_PAUSE);
    for _ in 0..8 {
        let actions = machine.on(now, Event::WentBack { at: at(2), outcome: bad() });
        assert!(matches!(&actions[..], [Action::Say(Answer::Failed { reason, .. })] if reason.contains("bad luck")));
        assert_eq!(machine.wake_at(), Some(now + pause));
        assert_eq!(machine.on(now + pause - 1, Event::Tick), []);
        now += pause;
        assert!(goes_back(&machine.on(now, Event::Tick)));
        pause = (2 * pause).min(LONGEST_PAUSE);
    }
}

#[test]
fn a_confirmed_revision_is_not_abandoned() {
    let mut machine = confirmed(1);
    assert!(refuses(&machine.on(0, abandon(1)), "confirmed"));
    assert_eq!(machine.hello().confirmed, Some(at(1)));
}

#[test]
fn a_restart_undoes_what_was_not_confirmed_and_keeps_what_was_prepared() {
    for phase in [Phase::Applying, Phase::Unconfirmed, Phase::GoingBack] {
        let mut before = confirmed(1);
        brought(&mut before, 2, Some(1), phase);
        let (machine, actions) = Machine::resume(leaf(), vec![KEY.verifying_key()], before.journal().clone(), 0);
        assert!(matches!(&actions[..], [Action::Save(_), Action::GoBack { to: Some(to), .. }] if to.at == at(1)), "{phase:?}: {actions:?}");
        assert_eq!(machine.hello().pending, Some((at(2), Phase::GoingBack)));
    }
    let mut before = agent(&Journal::default());
    brought(&mut before, 1, None, Phase::Prepared);
    let (machine, actions) = Machine::resume(leaf(), vec![KEY.verifying_key()], before.journal().clone(), 0);
    assert_eq!((actions, machine.hello().pending), (vec![], Some((at(1), Phase::Prepared))));
}

#[test]
fn after_a_reboot_the_last_good_state_is_made_without_a_controller_until_it_is_there() {
    let (mut machine, actions) = Machine::resume(leaf(), vec![KEY.verifying_key()], confirmed(1).journal().clone(), 0);
    assert!(matches!(&actions[..], [Action::Make(kept)] if kept.at == at(1)));
    assert_eq!(machine.on(0, Event::Made { at: at(1), outcome: bad() }), []);
    assert_eq!(machine.wake_at(), Some(FIRST_PAUSE));
    assert!(matches!(machine.on(FIRST_PAUSE, Event::Tick)[..], [Action::Make(_)]));
    machine.on(FIRST_PAUSE, Event::Made { at: at(1), outcome: FINE });
    assert_eq!(machine.wake_at(), None);
}

#[test]
fn ends_of_work_that_was_never_asked_for_are_nothing() {
    let mut machine = confirmed(1);
    for outcome in [FINE, bad()] {
        for at in [at(1), at(2), At { revision: Digest::of(b""), ..at(1) }] {
            assert_eq!(machine.on(0, Event::Checked { at, outcome: outcome.clone() }), []);
            assert_eq!(machine.on(0, Event::Made { at, outcome: outcome.clone() }), []);
            assert_eq!(machine.on(0, Event::WentBack { at, outcome: outcome.clone() }), []);
        }
    }
}

#[test]
fn what_is_said_while_nobody_listens_is_in_the_next_greeting() {
    let mut machine = agent(&Journal::default());
    brought(&mut machine, 1, None, Phase::Applying);
    machine.on(0, Event::ControllerLost);
    assert_eq!(machine.on(0, Event::Made { at: at(1), outcome: FINE }), []);
    assert!(matches!(&machine.on(0, Event::Connected)[..], [Action::Greet(hello)] if hello.pending == Some((at(1), Phase::Unconfirmed))));
}

#[test]
fn a_journal_is_read_back_as_it_was_written() {
    let mut machine = confirmed(1);
    brought(&mut machine, 2, Some(1), Phase::Applying);
    let text = serde_json::to_string(machine.journal()).unwrap();
    assert_eq!(serde_json::from_str::<Journal>(&text).unwrap(), *machine.journal());
    assert_eq!(serde_json::from_str::<Journal>("{\"floor\":0}").unwrap(), Journal::default());
}
