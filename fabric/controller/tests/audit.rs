//! Whatever is done to the audit log past the controller is found, and named.
#![allow(missing_docs, clippy::unwrap_used)] // a test fails by it

mod support;

use ed25519_dalek::SigningKey;
use leafwall_controller::audit::{Act, AuditError, Entry, Finding, Log, Outcome, Role, TEXT_MAX, Tip, Verified, verify};
use leafwall_controller::store::{Backend, Change, Key, Store, StoreError, Transaction, Verdict};
use leafwall_rollout::revision::Generation;
use leafwall_rollout::signed::Signed;
use support::key;

fn act(what: &str) -> Act {
    Act {
        at: 1_790_000_000_000,
        who: "alice".into(),
        role: Role::Tenant { tenant: "acme".parse().unwrap() },
        what: what.into(),
        why: "ticket 5".into(),
        outcome: Outcome::Refused { reason: "not its own object".into() },
        generation: Some(Generation(3)),
    }
}

/// A log of ten entries in a fresh store.
async fn log() -> (Store, Vec<Tip>) {
    let store = Store::memory();
    let epoch = store.lead().await.unwrap();
    let log = Log::new(store.clone(), key(), &[]);
    let mut tips = Vec::new();
    for number in 1..=10 {
        tips.push(log.append(epoch, act(&format!("apply {number}"))).await.unwrap());
    }
    (store, tips)
}

async fn look(store: &Store) -> Verified {
    verify(store, &[key().verifying_key()], None).await.unwrap()
}

async fn findings(store: &Store) -> Vec<Finding> {
    look(store).await.findings
}

fn place(sequence: u64) -> Key {
    Key::new(format!("audit/{sequence:020}"))
}

async fn get(store: &Store, key: &Key) -> Vec<u8> {
    store.backend().get(key).await.unwrap().unwrap()
}

async fn tamper(store: &Store, changes: Vec<Change>) {
    let epoch = store.epoch().await.unwrap();
    let done = store.backend().transact(Transaction { epoch, conditions: Vec::new(), changes }).await.unwrap();
    assert_eq!(done, Verdict::Done);
}

fn put<T: serde::Serialize>(key: Key, value: &T) -> Change {
    Change::Put(key, serde_json::to_vec(value).unwrap())
}

#[tokio::test]
async fn what_was_written_is_read_and_in_order() {
    let (store, tips) = log().await;
    let Verified { entries, end, findings } = look(&store).await;
    assert_eq!((entries, end, findings), (10, tips.last().copied(), vec![]));
    let read = store.audit_entries(4, 3).await.unwrap();
    let read: Vec<Entry> = read.into_iter().map(|(_, entry)| entry.unwrap().verify(&[key().verifying_key()]).unwrap()).collect();
    assert_eq!(read.iter().map(|entry| entry.what.as_str()).collect::<Vec<_>>(), ["apply 4", "apply 5", "apply 6"]);
    assert_eq!(read[0].before, Some(tips[2].digest));
    assert_eq!(read[0].role, Role::Tenant { tenant: "acme".parse().unwrap() });
    let empty = Store::memory();
    assert_eq!(look(&empty).await, Verified { entries: 0, end: None, findings: vec![] });
}

#[tokio::test]
async fn a_changed_entry_is_found() {
    let (store, _) = log().await;
    for sequence in [1, 5, 10] {
        let sound = get(&store, &place(sequence)).await;
        let text = String::from_utf8(sound.clone()).unwrap();
        let others = [
            text.replace("alice", "mallory"),
            text.replace("ticket 5", "ticket 6"),
            text.replace("\"signature\":[", "\"signature\":[1,"),
            text[..text.len() - 1].to_owned(),
            "null".to_owned(),
        ];
        for other in others {
            assert_ne!(other, text);
            tamper(&store, vec![Change::Put(place(sequence), other.into_bytes())]).await;
            assert_eq!(findings(&store).await, [Finding::Changed { sequence }]);
        }
        tamper(&store, vec![Change::Put(place(sequence), sound)]).await;
    }
    assert_eq!(findings(&store).await, []);
}

#[tokio::test]
async fn an_entry_of_somebody_else_is_found() {
    let (store, tips) = log().await;
    let signed: Signed<Entry> = serde_json::from_slice(&get(&store, &place(5)).await).unwrap();
    let mut entry = signed.verify(&[key().verifying_key()]).unwrap();
    entry.who = "mallory".into();
    let stranger = SigningKey::from_bytes(&[8; 32]);
    tamper(&store, vec![put(place(5), &Signed::new(&entry, &stranger).unwrap())]).await;
    assert_eq!(findings(&store).await, [Finding::Changed { sequence: 5 }]);
    // a signed end is no entry
    let end = Signed::<Entry>::from_parts(serde_json::to_string(&tips[4]).unwrap(), Signed::new(&tips[4], &key()).unwrap().signature);
    tamper(&store, vec![put(place(5), &end)]).await;
    assert_eq!(findings(&store).await, [Finding::Changed { sequence: 5 }]);
}

#[tokio::test]
async fn a_removed_entry_is_found() {
    let (store, _) = log().await;
    tamper(&store, vec![Change::Delete(place(1)), Change::Delete(place(5)), Change::Delete(place(6))]).await;
    assert_eq!(findings(&store).await, [Finding::Missing { first: 1, last: 1 }, Finding::Missing { first: 5, last: 6 }]);

    // with the later ones moved down to hide the gap
    let (store, _) = log().await;
    let mut changes = vec![Change::Delete(place(10))];
    for sequence in 5..10 {
        changes.push(Change::Put(place(sequence), get(&store, &place(sequence + 1)).await));
    }
    tamper(&store, changes).await;
    let found = findings(&store).await;
    assert_eq!(found[0], Finding::Moved { at: 5, sequence: 6 });
    assert_eq!(found[1..5], [6, 7, 8, 9].map(|at| Finding::Moved { at, sequence: at + 1 }));
    assert_eq!(found[5..], [Finding::Truncated { last: 9, written: 10 }]);
}

#[tokio::test]
async fn reordered_entries_are_found() {
    let (store, _) = log().await;
    let (three, seven) = (get(&store, &place(3)).await, get(&store, &place(7)).await);
    tamper(&store, vec![Change::Put(place(3), seven), Change::Put(place(7), three)]).await;
    assert_eq!(findings(&store).await, [Finding::Moved { at: 3, sequence: 7 }, Finding::Moved { at: 7, sequence: 3 }]);
}

#[tokio::test]
async fn an_entry_of_another_log_of_ours_is_found() {
    let (store, _) = log().await;
    let other = Store::memory();
    let epoch = other.lead().await.unwrap();
    let writer = Log::new(other.clone(), key(), &[]);
    for number in 1..=10 {
        writer.append(epoch, act(&format!("another {number}"))).await.unwrap();
    }
    let foreign = get(&other, &place(5)).await;
    tamper(&store, vec![Change::Put(place(5), foreign.clone())]).await;
    // neither does it follow on 4, nor 6 on it
    assert_eq!(findings(&store).await, [Finding::Unlinked { sequence: 5 }, Finding::Unlinked { sequence: 6 }]);
    // at the end only the end tells it from the one that was written, beside the link
    let (store, _) = log().await;
    tamper(&store, vec![Change::Put(place(10), get(&other, &place(10)).await)]).await;
    assert_eq!(findings(&store).await, [Finding::Unlinked { sequence: 10 }, Finding::OtherEnd { sequence: 10 }]);
    // at the beginning
    let (store, _) = log().await;
    tamper(&store, vec![Change::Put(place(1), get(&other, &place(1)).await)]).await;
    assert_eq!(findings(&store).await, [Finding::Unlinked { sequence: 2 }]);
}

#[tokio::test]
async fn a_truncated_log_is_found() {
    let (store, _) = log().await;
    tamper(&store, vec![Change::Delete(place(10)), Change::Delete(place(9))]).await;
    assert_eq!(findings(&store).await, [Finding::Truncated { last: 8, written: 10 }]);
    tamper(&store, (1..=8).map(|sequence| Change::Delete(place(sequence))).collect()).await;
    assert_eq!(findings(&store).await, [Finding::Truncated { last: 0, written: 10 }]);
}

#[tokio::test]
async fn a_changed_end_is_found() {
    let (store, tips) = log().await;
    let sound = get(&store, &Key::new("tip")).await;
    tamper(&store, vec![Change::Delete(Key::new("tip"))]).await;
    assert_eq!(findings(&store).await, [Finding::NoEnd]);
    for other in [b"garbage".to_vec(), String::from_utf8(sound).unwrap().replace("10", "9").into_bytes()] {
        tamper(&store, vec![Change::Put(Key::new("tip"), other)]).await;
        assert_eq!(findings(&store).await, [Finding::NoEnd]);
    }
    // one of ours from before: entries behind it were written, too
    tamper(&store, vec![put(Key::new("tip"), &Signed::new(&tips[7], &key()).unwrap())]).await;
    assert_eq!(findings(&store).await, [Finding::Beyond { end: 8, last: 10 }]);
}

#[tokio::test]
async fn a_log_that_was_put_back_as_a_whole_is_found_by_an_end_that_was_noted() {
    let (store, tips) = log().await;
    let keys = [key().verifying_key()];
    for tip in &tips {
        assert_eq!(verify(&store, &keys, Some(*tip)).await.unwrap().findings, []);
    }
    let back = vec![Change::Delete(place(10)), Change::Delete(place(9)), put(Key::new("tip"), &Signed::new(&tips[7], &key()).unwrap())];
    tamper(&store, back).await;
    assert_eq!(findings(&store).await, [], "by itself it can't be told from one that never went on");
    assert_eq!(verify(&store, &keys, Some(tips[9])).await.unwrap().findings, [Finding::Older { known: 10 }]);
    // and is continued otherwise
    let epoch = store.lead().await.unwrap();
    let log = Log::new(store.clone(), key(), &[]);
    log.append(epoch, act("other")).await.unwrap();
    log.append(epoch, act("other")).await.unwrap();
    assert_eq!(verify(&store, &keys, Some(tips[9])).await.unwrap().findings, [Finding::Older { known: 10 }]);
}

#[tokio::test]
async fn all_of_several_findings_are_told() {
    let (store, _) = log().await;
    let two = get(&store, &place(2)).await;
    tamper(&store, vec![Change::Put(place(2), b"{}".to_vec()), Change::Delete(place(4)), Change::Put(place(8), two)]).await;
    tamper(&store, vec![Change::Delete(place(10))]).await;
    let expected = [
        Finding::Changed { sequence: 2 },
        Finding::Missing { first: 4, last: 4 },
        Finding::Moved { at: 8, sequence: 2 },
        Finding::Truncated { last: 9, written: 10 },
    ];
    assert_eq!(findings(&store).await, expected);
    let texts: Vec<String> = expected.iter().map(ToString::to_string).collect();
    assert_eq!(texts[1], "entry 4 was removed");
    // a key that is none hides nothing in silence
    tamper(&store, vec![Change::Put(Key::new("audit/5"), b"{}".to_vec())]).await;
    let error = verify(&store, &[key().verifying_key()], None).await.unwrap_err();
    assert!(matches!(error, AuditError::Store("read", StoreError::Damaged { .. })), "{error}");
}

#[tokio::test]
async fn nothing_is_written_behind_an_end_that_is_not_believed() {
    let (store, _) = log().await;
    let stranger = SigningKey::from_bytes(&[8; 32]);
    let epoch = store.lead().await.unwrap();
    let other = Log::new(store.clone(), stranger.clone(), &[]);
    assert!(matches!(other.append(epoch, act("x")).await, Err(AuditError::Tip(_))));
    // a controller beside ours that knows our key goes on
    let beside = Log::new(store.clone(), stranger.clone(), &[key().verifying_key()]);
    assert_eq!(beside.append(epoch, act("x")).await.unwrap().sequence, 11);
    let both = [key().verifying_key(), stranger.verifying_key()];
    assert_eq!(verify(&store, &both, None).await.unwrap().findings, []);
    assert_eq!(findings(&store).await, [Finding::Changed { sequence: 11 }, Finding::NoEnd], "with one key alone");
}

#[tokio::test]
async fn entries_at_once_are_all_there_and_a_replaced_leader_writes_none() {
    let store = Store::memory();
    let epoch = store.lead().await.unwrap();
    // two logs, as two tasks that do not share one
    let logs = [(); 2].map(|()| std::sync::Arc::new(Log::new(store.clone(), key(), &[])));
    let tasks: Vec<_> = (0..60)
        .map(|number| {
            let log = logs[number % 2].clone();
            tokio::spawn(async move { log.append(epoch, act(&format!("apply {number}"))).await.unwrap() })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    let verified = look(&store).await;
    assert_eq!((verified.entries, verified.findings), (60, vec![]));
    // whoever saw an older end appends nothing, under whatever number
    let entry: Signed<Entry> = serde_json::from_slice(&get(&store, &place(60)).await).unwrap();
    let end = store.audit_tip().await.unwrap().unwrap();
    let older = Signed::new(&Tip { sequence: 59, digest: entry.digest() }, &key()).unwrap();
    for expected in [Some(&older), None] {
        let moved = store.append_audit(epoch, expected, 61, &entry, &end).await;
        assert!(matches!(moved, Err(StoreError::AuditMoved)));
    }
    store.lead().await.unwrap();
    let late = logs[0].append(epoch, act("late")).await;
    assert!(matches!(late, Err(AuditError::Store("written", StoreError::Fenced { .. }))));
    assert_eq!(look(&store).await.entries, 60);
}

#[tokio::test]
async fn long_and_odd_texts_are_bounded_and_kept() {
    let store = Store::memory();
    let epoch = store.lead().await.unwrap();
    let log = Log::new(store.clone(), key(), &[]);
    let odd = "é\n\u{1b}[31m\0".repeat(TEXT_MAX);
    let written = Act { who: odd.clone(), why: odd.clone(), outcome: Outcome::Failed { reason: odd.clone() }, ..act(&odd) };
    log.append(epoch, written).await.unwrap();
    let entry = store.audit_entries(1, 1).await.unwrap().pop().unwrap().1.unwrap().verify(&[key().verifying_key()]).unwrap();
    for text in [&entry.who, &entry.what, &entry.why] {
        assert_eq!(text.chars().count(), TEXT_MAX + 1);
        assert!(odd.starts_with(text.strip_suffix('…').unwrap()));
    }
    assert_eq!(findings(&store).await, []);
}
