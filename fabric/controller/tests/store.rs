//! What every backend of the store must do. One suite, run on each.
#![allow(missing_docs, clippy::unwrap_used)] // a test fails by it

mod support;

use std::collections::{BTreeMap, BTreeSet};

use leafwall_controller::store::{
    BLOB_MAX, Backend, CHUNK_MAX, Change, Condition, Decision, Epoch, Key, Store, StoreError, Transaction, Verdict,
};
use leafwall_rollout::digest::Digest;
use leafwall_rollout::message::At;
use leafwall_rollout::revision::Generation;
use leafwall_topology::Name;
use support::{Place, commit, revision};

macro_rules! on_each_backend {
    ($($test:ident),* $(,)?) => {
        mod memory {
            $(#[tokio::test] async fn $test() { super::$test(super::Place::memory()).await; })*
        }
        mod file {
            $(#[tokio::test] async fn $test() { super::$test(super::Place::file()).await; })*
        }
        mod etcd {
            $(#[tokio::test] async fn $test() {
                if super::support::has_etcd() {
                    super::$test(super::Place::etcd()).await;
                }
            })*
        }
    };
}

on_each_backend!(
    chunks_are_what_was_put,
    large_chunks_are_split,
    a_changed_chunk_is_an_error_and_can_be_mended,
    everything_is_there_after_a_reopening,
    a_leader_that_was_replaced_writes_nothing,
    leaders_at_once_have_different_epochs,
    revisions_are_immutable_and_numbers_grow,
    the_head_moves_only_from_where_it_was_seen,
    decisions_are_final,
    acknowledgements_are_kept_by_device_and_by_revision,
    transactions_happen_as_a_whole,
    ranges_are_in_order_and_bounded,
    damaged_records_are_errors,
);

/// What somebody does who writes to the database past us.
async fn tamper(store: &Store, change: Change) {
    let epoch = store.epoch().await.unwrap();
    let transaction = Transaction { epoch, conditions: Vec::new(), changes: vec![change] };
    assert_eq!(store.backend().transact(transaction).await.unwrap(), Verdict::Done);
}

async fn largest_value(store: &Store) -> usize {
    store.backend().range("", None, usize::MAX).await.unwrap().iter().map(|(_, value)| value.len()).max().unwrap()
}

fn bytes(length: usize) -> Vec<u8> {
    // not periodic in the size of a chunk, so that exchanged parts would show
    (0..length).map(|at| u8::try_from((at / 251 + at * 7) % 256).unwrap()).collect()
}

async fn chunks_are_what_was_put(place: Place) {
    let store = place.open().await;
    let epoch = store.lead().await.unwrap();
    for length in [0, 1, 4096, CHUNK_MAX - 1] {
        let bytes = bytes(length);
        let digest = store.put_chunk(epoch, &bytes).await.unwrap();
        assert_eq!(digest, Digest::of(&bytes));
        assert_eq!(store.chunk(&digest).await.unwrap(), bytes, "{length} bytes");
    }
    let none = Digest::of(b"never put");
    assert!(matches!(store.chunk(&none).await, Err(StoreError::NoChunk(digest)) if digest == none));
    let many: Vec<Vec<u8>> = (0..300u32).map(|number| number.to_be_bytes().to_vec()).collect();
    let digests = store.put_chunks(epoch, many.iter().map(Vec::as_slice)).await.unwrap();
    for (bytes, digest) in many.iter().zip(&digests) {
        assert_eq!(&store.chunk(digest).await.unwrap(), bytes);
    }
    let too_large = vec![0; BLOB_MAX + 1];
    assert!(matches!(store.put_chunk(epoch, &too_large).await, Err(StoreError::TooLarge { .. })));
}

async fn large_chunks_are_split(place: Place) {
    let store = place.open().await;
    let epoch = store.lead().await.unwrap();
    for length in [CHUNK_MAX, CHUNK_MAX + 1, 2 * CHUNK_MAX, 5_000_000] {
        let bytes = bytes(length);
        let digest = store.put_chunk(epoch, &bytes).await.unwrap();
        assert_eq!(digest, Digest::of(&bytes));
        assert!(store.chunk(&digest).await.unwrap() == bytes, "{length} bytes");
    }
    assert!(largest_value(&store).await <= CHUNK_MAX);
}

async fn a_changed_chunk_is_an_error_and_can_be_mended(place: Place) {
    let store = place.open().await;
    let epoch = store.lead().await.unwrap();
    for content in [bytes(100), bytes(3_000_000)] {
        let digest = store.put_chunk(epoch, &content).await.unwrap();
        let part = Digest::of(&content[..content.len().min(CHUNK_MAX - 1)]);
        let key = Key::new(format!("chunk/{part}"));
        let sound = store.backend().get(&key).await.unwrap().unwrap();

        let mut flipped = sound.clone();
        *flipped.last_mut().unwrap() ^= 1;
        for changed in [flipped, Vec::new(), b"?".to_vec(), b"+short".to_vec(), sound[..50].to_vec()] {
            tamper(&store, Change::Put(key.clone(), changed)).await;
            let error = store.chunk(&digest).await.unwrap_err();
            assert!(matches!(error, StoreError::Damaged { .. }), "{error}");
        }
        store.put_chunk(epoch, &content).await.unwrap();
        assert!(store.chunk(&digest).await.unwrap() == content, "mended where it was damaged");
        tamper(&store, Change::Delete(key.clone())).await;
        assert!(matches!(store.chunk(&digest).await, Err(StoreError::NoChunk(missing)) if missing == part));
        store.put_chunk(epoch, &content).await.unwrap();
        assert!(store.chunk(&digest).await.unwrap() == content, "mended where it was missing");
    }
    // a list that names itself ends
    let itself = Digest::of(b"x");
    tamper(&store, Change::Put(Key::new(format!("chunk/{itself}")), [b"+", itself.bytes().as_slice()].concat())).await;
    assert!(matches!(store.chunk(&itself).await, Err(StoreError::Damaged { .. })));
}

async fn everything_is_there_after_a_reopening(place: Place) {
    let store = place.open().await;
    let epoch = store.lead().await.unwrap();
    let first = commit(&store, epoch, &[("a.yaml", "one")]).await;
    let second = commit(&store, epoch, &[("a.yaml", "two")]).await;
    store.acknowledge(epoch, &BTreeMap::from([("leaf-01".parse().unwrap(), second)])).await.unwrap();
    let large = store.put_chunk(epoch, &bytes(2_500_000)).await.unwrap();
    drop(store);

    let store = place.open().await;
    assert_eq!(store.epoch().await.unwrap(), epoch);
    assert_eq!(store.head().await.unwrap(), Some(second));
    assert_eq!(store.revision(Generation(1)).await.unwrap(), revision(1, None, &[("a.yaml", "one")]));
    assert_eq!(store.generation_of(&first.revision).await.unwrap(), Some(Generation(1)));
    assert_eq!(store.decision(Generation(2)).await.unwrap(), Some(Decision::Committed));
    assert_eq!(store.acknowledged().await.unwrap(), BTreeMap::from([("leaf-01".parse().unwrap(), second)]));
    assert!(store.chunk(&large).await.unwrap() == bytes(2_500_000));
    assert_eq!(store.lead().await.unwrap(), Epoch(epoch.0 + 1));
}

async fn a_leader_that_was_replaced_writes_nothing(place: Place) {
    let store = place.open().await;
    let old = store.lead().await.unwrap();
    let first = commit(&store, old, &[("a.yaml", "one")]).await;
    let second = store.put_revision(old, &revision(2, Some(first.revision), &[])).await.unwrap();
    store.start(old, Generation(2)).await.unwrap();
    let acknowledged = BTreeMap::from([("leaf-01".parse().unwrap(), first)]);

    let new = store.lead().await.unwrap();
    let before = store.backend().range("", None, usize::MAX).await.unwrap();
    let fenced = |result: Result<(), StoreError>| {
        assert!(matches!(result, Err(StoreError::Fenced { epoch, seen }) if epoch == old && seen == new), "{result:?}");
    };
    fenced(store.put_chunk(old, b"new").await.map(drop));
    fenced(store.put_chunk(old, b"one").await.map(drop)); // also what is there already
    fenced(store.put_revision(old, &revision(3, Some(first.revision), &[])).await.map(drop));
    fenced(store.start(old, Generation(2)).await);
    fenced(store.abandon(old, Generation(2), "late").await);
    fenced(store.move_head(old, Some(first), second).await);
    fenced(store.acknowledge(old, &acknowledged).await);
    assert!(store.backend().range("", None, usize::MAX).await.unwrap() == before, "nothing was written");

    store.move_head(new, Some(first), second).await.unwrap();
    store.acknowledge(new, &acknowledged).await.unwrap();
    // an epoch that comes from elsewhere shuts out older ones from its first write on
    store.put_chunk(Epoch(new.0 + 10), b"later").await.unwrap();
    assert!(matches!(store.put_chunk(new, b"late").await, Err(StoreError::Fenced { .. })));
}

async fn leaders_at_once_have_different_epochs(place: Place) {
    let store = place.open().await;
    let tasks: Vec<_> = (0..8)
        .map(|_| {
            tokio::spawn({
                let store = store.clone();
                async move { store.lead().await.unwrap() }
            })
        })
        .collect();
    let mut epochs = BTreeSet::new();
    for task in tasks {
        epochs.insert(task.await.unwrap());
    }
    assert_eq!(epochs.len(), 8);
    assert_eq!(epochs.last(), Some(&store.epoch().await.unwrap()));
}

async fn revisions_are_immutable_and_numbers_grow(place: Place) {
    let store = place.open().await;
    let epoch = store.lead().await.unwrap();
    assert_eq!(store.newest().await.unwrap(), Generation::NONE);
    assert!(matches!(store.revision(Generation(1)).await, Err(StoreError::NoRevision(Generation(1)))));
    assert!(matches!(store.put_revision(epoch, &revision(0, None, &[])).await, Err(StoreError::NotNew { .. })));

    let signed = revision(5, None, &[("a.yaml", "one")]);
    let at = store.put_revision(epoch, &signed).await.unwrap();
    assert_eq!(at, At { generation: Generation(5), revision: signed.digest() });
    assert_eq!(store.put_revision(epoch, &signed).await.unwrap(), at, "once more is nothing new");
    for other in [revision(5, None, &[("a.yaml", "two")]), revision(4, None, &[])] {
        let error = store.put_revision(epoch, &other).await.unwrap_err();
        assert!(matches!(error, StoreError::NotNew { newest: Generation(5), .. }), "{error}");
    }
    assert_eq!(store.revision(Generation(5)).await.unwrap(), signed);
    assert_eq!(store.newest().await.unwrap(), Generation(5));
    let garbage = leafwall_rollout::signed::Signed::from_parts("{}".into(), Vec::new());
    assert!(matches!(store.put_revision(epoch, &garbage).await, Err(StoreError::Unreadable(_))));

    // text above the limit of one value
    let paths: Vec<String> = (0..20_000).map(|number| format!("tenants/{number:08}.yaml")).collect();
    let intents: Vec<(&str, &str)> = paths.iter().map(|path| (path.as_str(), "x")).collect();
    let large = revision(6, Some(at.revision), &intents);
    store.put_revision(epoch, &large).await.unwrap();
    assert!(store.revision(Generation(6)).await.unwrap() == large);
    assert!(largest_value(&store).await <= CHUNK_MAX);
}

async fn the_head_moves_only_from_where_it_was_seen(place: Place) {
    let store = place.open().await;
    let epoch = store.lead().await.unwrap();
    assert_eq!(store.head().await.unwrap(), None);
    let first = store.put_revision(epoch, &revision(1, None, &[])).await.unwrap();
    let rival = store.put_revision(epoch, &revision(2, None, &[("a.yaml", "one")])).await.unwrap();
    let error = store.move_head(epoch, None, first).await.unwrap_err();
    assert!(matches!(error, StoreError::Decided { from: None, .. }), "not started: {error}");
    store.start(epoch, Generation(1)).await.unwrap();
    store.start(epoch, Generation(2)).await.unwrap();

    let (one, other) = tokio::join!(store.move_head(epoch, None, first), store.move_head(epoch, None, rival));
    assert!(one.is_ok() != other.is_ok(), "one of two wins: {one:?}, {other:?}");
    let (won, lost) = if one.is_ok() { (first, rival) } else { (rival, first) };
    let error = one.and(other).unwrap_err();
    assert!(matches!(error, StoreError::HeadMoved { expected: None, found } if found == Some(won)), "{error}");
    assert_eq!(store.head().await.unwrap(), Some(won));
    assert_eq!(store.decision(won.generation).await.unwrap(), Some(Decision::Committed));
    assert_eq!(store.decision(lost.generation).await.unwrap(), Some(Decision::Started));

    // the loser was not made from what stands now
    let error = store.move_head(epoch, Some(won), lost).await.unwrap_err();
    assert!(matches!(error, StoreError::NotOnHead { .. }), "{error}");
    let third = store.put_revision(epoch, &revision(3, Some(won.revision), &[])).await.unwrap();
    store.start(epoch, Generation(3)).await.unwrap();
    let another = At { revision: won.revision, ..third };
    assert!(matches!(store.move_head(epoch, Some(won), another).await, Err(StoreError::NotOnHead { .. })), "another text's digest");
    store.move_head(epoch, Some(won), third).await.unwrap();
    assert!(store.move_head(epoch, Some(won), third).await.is_err(), "the head is there already");
    assert_eq!(store.head().await.unwrap(), Some(third));
}

async fn decisions_are_final(place: Place) {
    let store = place.open().await;
    let epoch = store.lead().await.unwrap();
    assert!(matches!(store.start(epoch, Generation(9)).await, Err(StoreError::NoRevision(Generation(9)))));
    let first = commit(&store, epoch, &[]).await;
    store.put_revision(epoch, &revision(2, Some(first.revision), &[])).await.unwrap();
    let error = store.abandon(epoch, Generation(2), "early").await.unwrap_err();
    assert!(matches!(error, StoreError::Decided { from: None, .. }), "{error}");
    store.start(epoch, Generation(2)).await.unwrap();
    store.start(epoch, Generation(2)).await.unwrap();
    assert_eq!(store.decisions_after(first.generation).await.unwrap(), [(Generation(2), Decision::Started)]);
    store.abandon(epoch, Generation(2), "leaf-01 refused it").await.unwrap();
    store.abandon(epoch, Generation(2), "once more").await.unwrap();

    let abandoned = Decision::Abandoned { reason: "leaf-01 refused it".into() };
    assert_eq!(store.decision(Generation(2)).await.unwrap(), Some(abandoned.clone()));
    let second = At { generation: Generation(2), revision: store.revision(Generation(2)).await.unwrap().digest() };
    assert!(matches!(store.move_head(epoch, Some(first), second).await, Err(StoreError::Decided { .. })), "abandoned for good");
    assert!(matches!(store.start(epoch, Generation(2)).await, Err(StoreError::Decided { .. })));
    assert!(matches!(store.abandon(epoch, Generation(1), "late").await, Err(StoreError::Decided { .. })), "committed for good");
    let all = store.decisions_after(Generation::NONE).await.unwrap();
    assert_eq!(all, [(Generation(1), Decision::Committed), (Generation(2), abandoned)]);
}

async fn acknowledgements_are_kept_by_device_and_by_revision(place: Place) {
    let store = place.open().await;
    let epoch = store.lead().await.unwrap();
    let (first, second) = (commit(&store, epoch, &[]).await, commit(&store, epoch, &[("a.yaml", "one")]).await);
    let names: Vec<Name> = (0..1100).map(|number| format!("leaf-{number:04}").parse().unwrap()).collect();
    store.acknowledge(epoch, &names.iter().map(|name| (name.clone(), first)).collect()).await.unwrap();
    store.acknowledge(epoch, &names[..3].iter().map(|name| (name.clone(), second)).collect()).await.unwrap();
    let all = store.acknowledged().await.unwrap();
    assert_eq!(all.len(), 1100);
    assert_eq!(all.values().filter(|at| **at == second).count(), 3);
    assert_eq!(store.acknowledged_by(Generation(1)).await.unwrap().len(), 1100);
    assert_eq!(store.acknowledged_by(Generation(2)).await.unwrap(), names[..3].iter().cloned().collect());
}

async fn transactions_happen_as_a_whole(place: Place) {
    let store = place.open().await;
    let epoch = store.lead().await.unwrap();
    let (one, two) = (Key::new("x/one"), Key::new("x/two"));
    let put = |key: &Key| Change::Put(key.clone(), b"1".to_vec());
    let transact = async |conditions, changes| store.backend().transact(Transaction { epoch, conditions, changes }).await.unwrap();
    let is = |key: &Key, value: Option<&[u8]>| Condition { key: key.clone(), value: value.map(<[u8]>::to_vec) };
    assert_eq!(transact(vec![is(&one, None)], vec![put(&one)]).await, Verdict::Done);
    let unmet = transact(vec![is(&two, None), is(&one, None)], vec![put(&two), Change::Delete(one.clone())]).await;
    assert_eq!(unmet, Verdict::Unmet);
    assert_eq!(store.backend().get(&two).await.unwrap(), None);
    assert_eq!(transact(vec![is(&one, Some(b"2"))], vec![put(&two)]).await, Verdict::Unmet);
    assert_eq!(transact(vec![is(&one, Some(b"1"))], vec![put(&two), Change::Delete(one.clone())]).await, Verdict::Done);
    assert_eq!(store.backend().get(&one).await.unwrap(), None);
    assert_eq!(store.backend().get(&two).await.unwrap(), Some(b"1".to_vec()));

    // one of a newer leader shuts out older ones even where it does not happen
    let newer = Transaction { epoch: Epoch(epoch.0 + 1), conditions: vec![is(&two, None)], changes: vec![put(&one)] };
    assert_eq!(store.backend().transact(newer).await.unwrap(), Verdict::Unmet);
    let older = Transaction { epoch, conditions: vec![is(&two, None)], changes: Vec::new() };
    assert!(matches!(store.backend().transact(older).await, Err(StoreError::Fenced { .. })));
}

async fn ranges_are_in_order_and_bounded(place: Place) {
    let store = place.open().await;
    let epoch = store.lead().await.unwrap();
    let changes = ["b/2", "a/9", "b/1", "b0", "b/3", "c"].map(|path| Change::Put(Key::new(path), path.as_bytes().to_vec()));
    let _ = store.backend().transact(Transaction { epoch, conditions: Vec::new(), changes: changes.to_vec() }).await.unwrap();
    let range = async |after: Option<&str>, limit| {
        let after = after.map(Key::new);
        let found = store.backend().range("b/", after.as_ref(), limit).await.unwrap();
        found.into_iter().map(|(key, _)| key.as_str().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(range(None, 9).await, ["b/1", "b/2", "b/3"]);
    assert_eq!(range(None, 2).await, ["b/1", "b/2"]);
    assert_eq!(range(Some("b/1"), 9).await, ["b/2", "b/3"]);
    assert_eq!(range(Some("b/3"), 9).await, [""; 0]);
}

async fn damaged_records_are_errors(place: Place) {
    let store = place.open().await;
    let epoch = store.lead().await.unwrap();
    let at = commit(&store, epoch, &[]).await;
    store.acknowledge(epoch, &BTreeMap::from([("leaf-01".parse().unwrap(), at)])).await.unwrap();
    let keys = store.backend().range("", None, usize::MAX).await.unwrap();
    for (key, _) in keys.iter().filter(|(key, _)| key.as_str() != "epoch") {
        tamper(&store, Change::Put(key.clone(), b"\xffgarbage".to_vec())).await;
    }
    let damaged = |result: Result<(), StoreError>| assert!(matches!(result, Err(StoreError::Damaged { .. })), "{result:?}");
    damaged(store.head().await.map(drop));
    damaged(store.newest().await.map(drop));
    damaged(store.revision(Generation(1)).await.map(drop));
    damaged(store.generation_of(&at.revision).await.map(drop));
    damaged(store.decision(Generation(1)).await.map(drop));
    damaged(store.decisions_after(Generation::NONE).await.map(drop));
    damaged(store.acknowledged().await.map(drop));
    tamper(&store, Change::Put(Key::epoch(), b"many".to_vec())).await;
    damaged(store.lead().await.map(drop));
}
