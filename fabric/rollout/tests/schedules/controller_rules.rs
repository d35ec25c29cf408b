//! One test for each rule of the controller.

use std::collections::{BTreeMap, BTreeSet};

use leafwall_rollout::fabric::{
    Action, Event, Health, Intention, Ledger, Machine, OnFailure, Outcome, Settings, Standing, Transaction, Wanted, batches,
};
use leafwall_rollout::message::{Answer, At, Hello, Phase};
use leafwall_topology::Name;

use crate::fake::{at, files};

const A: &str = "leaf-01";
const B: &str = "leaf-02";

fn name(text: &str) -> Name {
    text.parse().unwrap()
}

fn names(texts: &[&str]) -> BTreeSet<Name> {
    texts.iter().copied().map(name).collect()
}

fn settings() -> Settings {
    Settings { watch_for: 0, ..Settings::default() }
}

/// Revision 1 is committed on both.
fn ledger() -> Ledger {
    let wanted = [A, B].map(|device| (name(device), Wanted { at: at(1), files: files(&name(device), 1) })).into();
    Ledger { head: Some(at(1)), wanted, undecided: None }
}

fn hello(device: &str, confirmed: u64, pending: Option<(u64, Phase)>) -> Event {
    let pending = pending.map(|(generation, phase)| (at(generation), phase));
    Event::Connected(Hello { device: name(device), confirmed: Some(at(confirmed)), pending })
}

fn controller(settings: Settings) -> Machine {
    let (mut machine, _) = Machine::resume(settings, ledger(), 0);
    for device in [A, B] {
        assert_eq!(machine.on(0, hello(device, 1, None)), []);
    }
    machine
}

fn transaction() -> Transaction {
    let devices = names(&[A, B]);
    Transaction {
        at: at(2),
        parent: Some(at(1)),
        batches: batches(&devices, std::slice::from_ref(&devices), None),
        devices: devices.into_iter().map(|device| (device.clone(), files(&device, 2))).collect(),
        on_failure: OnFailure::RollBack,
    }
}

fn heard(device: &str, answer: impl Fn(At) -> Answer) -> Event {
    Event::Heard(name(device), answer(at(2)))
}

const fn prepared(at: At) -> Answer {
    Answer::Prepared { at }
}

const fn applied(at: At) -> Answer {
    Answer::Applied { at }
}

const fn confirmed(at: At) -> Answer {
    Answer::Confirmed { at }
}

fn refused(at: At) -> Answer {
    Answer::Refused { at, reason: "bad luck".to_owned() }
}

fn failed(at: At) -> Answer {
    Answer::Failed { at, reason: "bad luck".to_owned() }
}

fn apply(device: &str) -> Action {
    Action::Order(name(device), Intention::Apply { at: at(2), confirm_within: settings().confirm_within })
}

fn confirm(device: &str) -> Action {
    Action::Order(name(device), Intention::Confirm { at: at(2) })
}

fn abandon(device: &str) -> Action {
    Action::Order(name(device), Intention::Abandon { at: at(2) })
}

fn commits() -> Vec<Action> {
    vec![Action::Decide { at: at(2), outcome: Outcome::Committed, reason: None }]
}

fn gives_up(reason: &str) -> Vec<Action> {
    vec![Action::Decide { at: at(2), outcome: Outcome::Abandoned, reason: Some(reason.to_owned()) }]
}

/// Both prepared: the canary is told to apply.
fn canary(settings: Settings) -> Machine {
    canary_of(settings, transaction())
}

fn canary_of(settings: Settings, transaction: Transaction) -> Machine {
    let mut machine = controller(settings);
    machine.on(0, Event::Start(transaction));
    assert_eq!(machine.on(0, heard(A, prepared)), []);
    assert_eq!(machine.on(0, heard(B, prepared)), [apply(A)]);
    machine
}

#[test]
fn all_prepare_then_the_canary_then_the_rest_then_the_decision_then_all_confirm() {
    let mut machine = controller(settings());
    let orders = machine.on(0, Event::Start(transaction()));
    let prepares = |action: &Action, device| {
        let Action::Order(to, Intention::Prepare { at: this, files: wanted, replaces }) = action else { return false };
        *to == name(device) && *this == at(2) && *wanted == files(to, 2) && *replaces == Some(at(1).revision)
    };
    assert!(matches!(&orders[..], [a, b] if prepares(a, A) && prepares(b, B)), "{orders:?}");
    machine.on(0, heard(A, prepared));
    assert_eq!(machine.on(0, heard(B, prepared)), [apply(A)]);
    assert_eq!(machine.on(0, heard(A, applied)), [apply(B)]);
    assert_eq!(machine.on(0, heard(B, applied)), commits());
    // nothing is confirmed before that is durable
    assert_eq!(machine.on(0, Event::Tick), []);
    assert_eq!(machine.on(0, Event::Decided(at(2), Outcome::Committed)), [confirm(A), confirm(B)]);
    assert_eq!(machine.on(0, heard(A, confirmed)), []);
    let end = machine.on(0, heard(B, confirmed));
    assert!(
        matches!(&end[..], [Action::Finished { outcome: Outcome::Committed, status, reason: None, .. }] if status.standing == Standing::Full)
    );
    assert_eq!((machine.ledger().head, machine.running(), machine.wake_at()), (Some(at(2)), None, None));
}

#[test]
fn one_refusal_abandons_everywhere() {
    let mut machine = controller(settings());
    machine.on(0, Event::Start(transaction()));
    machine.on(0, heard(A, prepared));
    assert_eq!(machine.on(0, heard(B, refused)), gives_up("`leaf-02`: bad luck"));
    assert_eq!(machine.on(0, Event::Decided(at(2), Outcome::Abandoned)), [abandon(A)]);
    let end = machine.on(0, heard(A, |from| Answer::WentBack { from, reason: String::new() }));
    let [Action::Finished { outcome: Outcome::Abandoned, reason: Some(reason), .. }] = &end[..] else { panic!("{end:?}") };
    assert_eq!(reason, "`leaf-02`: bad luck");
    assert_eq!(machine.ledger(), &ledger());
}

#[test]
fn a_change_that_fails_abandons_everywhere() {
    let mut machine = canary(settings());
    assert_eq!(machine.on(0, heard(A, failed)), gives_up("`leaf-01`: bad luck"));
    assert_eq!(machine.on(0, Event::Decided(at(2), Outcome::Abandoned)), [abandon(A), abandon(B)]);
}

#[test]
fn one_that_goes_back_by_itself_abandons_everywhere() {
    let mut machine = canary(settings());
    machine.on(0, heard(A, applied));
    assert_eq!(machine.on(0, heard(A, |from| Answer::WentBack { from, reason: String::new() })), gives_up("`leaf-01`: "));
    let mut machine = canary(settings());
    machine.on(0, heard(A, applied));
    assert_eq!(machine.on(0, hello(A, 1, Some((2, Phase::GoingBack)))), gives_up("`leaf-01` has left the revision by itself"));
}

#[test]
fn bad_health_that_begins_during_a_change_abandons_it_wherever_it_is() {
    let mut machine = canary(settings());
    let bad = || Event::Health(name("spine-01"), Health::Bad("a session is down".to_owned()));
    assert_eq!(machine.on(0, bad()), gives_up("`spine-01`: a session is down"));
    // what was bad before is no consequence
    let mut machine = controller(settings());
    machine.on(0, bad());
    machine.on(0, Event::Start(transaction()));
    machine.on(0, heard(A, prepared));
    machine.on(0, heard(B, prepared));
    assert_eq!(machine.on(0, bad()), []);
}

#[test]
fn the_next_batch_waits_until_the_one_before_was_watched() {
    let mut machine = canary(Settings { watch_for: 200, ..settings() });
    assert_eq!(machine.on(10, heard(A, applied)), []);
    assert_eq!(machine.wake_at(), Some(210));
    assert_eq!(machine.on(209, Event::Tick), []);
    assert_eq!(machine.on(210, Event::Tick), [apply(B)]);
}

#[test]
fn a_device_that_is_lost_after_the_change_may_come_back_for_a_while() {
    let within = settings().reconnect_within;
    let mut machine = canary(settings());
    machine.on(0, Event::Lost(name(A)));
    assert_eq!(machine.on(within - 1, Event::Tick), []);
    assert_eq!(machine.on(within - 1, hello(A, 1, Some((2, Phase::Unconfirmed)))), [apply(A), apply(B)]);
    let mut machine = canary(settings());
    machine.on(0, Event::Lost(name(A)));
    assert_eq!(machine.wake_at(), Some(within));
    assert_eq!(machine.on(within, Event::Tick), gives_up("`leaf-01` was lost after the change"));
}

#[test]
fn deadlines_abandon() {
    let mut machine = controller(settings());
    machine.on(0, Event::Start(transaction()));
    machine.on(0, heard(A, prepared));
    let actions = machine.on(settings().prepare_within, Event::Tick);
    assert_eq!(actions, gives_up("`leaf-02` was not prepared in time"));
    let mut machine = canary(settings());
    assert_eq!(machine.on(settings().apply_within, Event::Tick), gives_up("`leaf-01` was not there in time"));
}

#[test]
fn what_is_held_is_kept_as_it_is_until_a_person_decides() {
    for outcome in [Outcome::Committed, Outcome::Abandoned] {
        let mut machine = canary_of(settings(), Transaction { on_failure: OnFailure::Hold, ..transaction() });
        assert_eq!(machine.held(), None);
        machine.on(0, heard(A, applied));
        assert_eq!(machine.on(0, heard(B, failed)), []);
        assert_eq!(machine.held(), Some((at(2), "`leaf-02`: bad luck")));
        // agents that hear nothing would go back
        assert_eq!(machine.on(settings().repeat_every, Event::Tick), [apply(A)]);
        let reason = Some("`leaf-02`: bad luck".to_owned());
        assert_eq!(machine.on(5_000, Event::Resolve(at(2), outcome)), [Action::Decide { at: at(2), outcome, reason }]);
    }
    let mut machine = controller(settings());
    machine.on(0, Event::Start(Transaction { on_failure: OnFailure::Hold, ..transaction() }));
    assert_eq!(machine.on(0, heard(A, refused)), gives_up("`leaf-01`: bad luck"), "nothing has changed that could be held");
}

#[test]
fn a_person_calls_it_off_but_commits_nothing_early() {
    let mut machine = canary(settings());
    assert_eq!(machine.on(0, Event::Resolve(at(2), Outcome::Committed)), []);
    assert_eq!(machine.on(0, Event::Resolve(at(2), Outcome::Abandoned)), gives_up("it was called off"));
}

#[test]
fn devices_that_are_away_do_not_block_and_catch_up() {
    let mut machine = controller(settings());
    machine.on(0, Event::Lost(name(B)));
    assert!(matches!(machine.on(0, Event::Start(transaction()))[..], [Action::Order(_, Intention::Prepare { .. })]));
    assert_eq!(machine.on(0, heard(A, prepared)), [apply(A)]);
    assert_eq!(machine.on(0, heard(A, applied)), commits());
    machine.on(0, Event::Decided(at(2), Outcome::Committed));
    let end = machine.on(0, heard(A, confirmed));
    assert!(
        matches!(&end[..], [Action::Finished { status, .. }] if status.standing == Standing::Partial
        && status.devices[&name(B)].reason.as_deref() == Some("it is away")),
        "{end:?}"
    );

    assert!(matches!(machine.on(0, hello(B, 1, None))[..], [Action::Order(_, Intention::Prepare { .. })]));
    assert_eq!(machine.on(0, heard(B, prepared)), [apply(B)]);
    assert_eq!(machine.on(0, heard(B, applied)), [confirm(B)]);
    assert_eq!(machine.on(0, heard(B, confirmed)), []);
    assert_eq!(machine.status().standing, Standing::Full);
}

#[test]
fn what_a_greeting_holds_is_confirmed_if_decided_and_else_abandoned() {
    let mut ledger = ledger();
    ledger.undecided = Some(transaction());
    ledger.decide(Outcome::Committed);
    let (mut machine, _) = Machine::resume(settings(), ledger.clone(), 0);
    assert_eq!(machine.on(0, hello(A, 1, Some((2, Phase::Unconfirmed)))), [confirm(A)]);
    assert_eq!(machine.on(0, hello(B, 1, Some((2, Phase::Prepared)))), [apply(B)]);
    let stray = Action::Order(name(B), Intention::Abandon { at: at(3) });
    assert_eq!(machine.on(0, hello(B, 2, Some((3, Phase::Unconfirmed)))), [stray]);
}

#[test]
fn one_that_was_prepared_and_lost_waits_for_the_decision() {
    let mut machine = controller(settings());
    machine.on(0, Event::Start(transaction()));
    machine.on(0, heard(B, prepared));
    machine.on(0, Event::Lost(name(B)));
    machine.on(0, heard(A, prepared));
    // it takes no part any more; but an agent that was told to abandon would never take it again
    assert_eq!(machine.on(0, hello(B, 1, Some((2, Phase::Prepared)))), []);
    machine.on(0, heard(A, applied));
    assert_eq!(machine.on(0, Event::Decided(at(2), Outcome::Committed)), [confirm(A), apply(B)]);
}

#[test]
fn after_a_restart_what_was_undecided_is_abandoned_unless_the_store_knows_better() {
    let begun = Ledger { undecided: Some(transaction()), ..ledger() };
    let (mut machine, actions) = Machine::resume(settings(), begun.clone(), 0);
    assert_eq!(actions, gives_up("the controller was restarted before the decision"));
    assert_eq!(machine.on(0, hello(A, 1, Some((2, Phase::Unconfirmed)))), []);
    assert_eq!(machine.on(0, Event::Decided(at(2), Outcome::Abandoned))[0], abandon(A));

    // the write of the one before was still on its way
    let (mut machine, _) = Machine::resume(settings(), begun, 0);
    machine.on(0, hello(A, 1, Some((2, Phase::Unconfirmed))));
    assert_eq!(machine.on(0, Event::Decided(at(2), Outcome::Committed)), [confirm(A)]);
}

#[test]
fn a_decision_is_asked_for_until_the_store_answers() {
    let mut machine = canary(settings());
    machine.on(0, heard(A, failed));
    let again = settings().repeat_every;
    assert_eq!(machine.on(again, Event::Tick), gives_up("`leaf-01`: bad luck"));
}

#[test]
fn a_transaction_that_does_not_follow_is_declined() {
    let declined = |transaction: Transaction| {
        let actions = controller(settings()).on(0, Event::Start(transaction));
        let [Action::Declined { reason, .. }] = &actions[..] else { panic!("{actions:?}") };
        reason.clone()
    };
    assert!(declined(Transaction { parent: None, ..transaction() }).contains("not made from the newest"));
    assert!(declined(Transaction { at: at(1), ..transaction() }).contains("not above"));
    assert!(declined(Transaction { batches: vec![names(&[A])], ..transaction() }).contains("`leaf-02` is in no batch"));
    assert!(declined(Transaction { batches: vec![names(&[A, B]), names(&[A])], ..transaction() }).contains("`leaf-01`"));
    let mut busy = canary(settings());
    assert!(matches!(&busy.on(0, Event::Start(transaction()))[..], [Action::Declined { reason, .. }] if reason.contains("still")));
}

#[test]
fn without_any_device_nothing_is_committed() {
    let (mut machine, _) = Machine::resume(settings(), ledger(), 0);
    assert_eq!(machine.on(0, Event::Start(transaction())), gives_up("no device that it changes is there"));
}

#[test]
fn what_changes_no_device_is_committed_at_once() {
    let mut machine = controller(settings());
    let nothing = Transaction { devices: BTreeMap::new(), batches: Vec::new(), ..transaction() };
    assert_eq!(machine.on(0, Event::Start(nothing)), commits());
    let ended = machine.on(0, Event::Decided(at(2), Outcome::Committed));
    assert!(matches!(&ended[..], [Action::Finished { outcome: Outcome::Committed, .. }]), "{ended:?}");
}

#[test]
fn no_batch_holds_more_than_half_of_a_redundant_group() {
    let leaves: Vec<String> = (1..=4).map(|number| format!("leaf-0{number}")).collect();
    let spines: Vec<String> = (1..=4).map(|number| format!("spine-0{number}")).collect();
    let devices: BTreeSet<Name> = leaves.iter().chain(&spines).map(|text| name(text)).collect();
    let groups = [names(&["leaf-01", "leaf-02"]), names(&["leaf-03", "leaf-04"]), spines.iter().map(|text| name(text)).collect()];
    let canary = name("leaf-03");
    let order = batches(&devices, &groups, Some(&canary));
    let expected =
        [names(&["leaf-03"]), names(&["leaf-01", "leaf-04", "spine-01", "spine-02"]), names(&["leaf-02", "spine-03", "spine-04"])];
    assert_eq!(order, expected);
    assert_eq!(batches(&BTreeSet::new(), &groups, Some(&canary)), Vec::<BTreeSet<Name>>::new());
    // a canary that does not change
    assert_eq!(batches(&names(&[A]), &groups, Some(&canary)), [names(&[A])]);
}

#[test]
fn a_fabric_stands_as_its_devices_do() {
    let (mut machine, _) = Machine::resume(settings(), ledger(), 0);
    assert_eq!(machine.status().standing, Standing::None);
    machine.on(0, hello(A, 1, None));
    assert_eq!(machine.status().standing, Standing::Partial);
    machine.on(0, hello(B, 1, None));
    assert_eq!(machine.status().standing, Standing::Full);
    machine.on(0, Event::Health(name(A), Health::Bad("a session is down".to_owned())));
    let status = machine.status();
    assert_eq!(status.standing, Standing::Error);
    let reasons: BTreeMap<_, _> = status.devices.iter().map(|(device, status)| (device.as_str(), status.reason.as_deref())).collect();
    assert_eq!(reasons, BTreeMap::from([(A, Some("a session is down")), (B, None)]));
}
