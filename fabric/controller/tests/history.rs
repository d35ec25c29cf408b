//! The chain of revisions: believed only where signatures and digests hold; compared, reverted, restored.
#![allow(missing_docs, clippy::unwrap_used)] // a test fails by it

mod support;

use std::collections::BTreeMap;

use ed25519_dalek::SigningKey;
use leafwall_controller::history::{Changes, Conflict, History, HistoryError, Intents, diff};
use leafwall_controller::store::{Backend, Change, Epoch, Key, Store, StoreError, Transaction};
use leafwall_rollout::digest::Digest;
use leafwall_rollout::message::At;
use leafwall_rollout::revision::{Files, Generation, Revision};
use leafwall_rollout::signed::Signed;
use support::{commit, key, revision};

/// Intents of revisions, one after the other.
type Revisions<'a> = &'a [&'a [(&'a str, &'a str)]];

fn intents(files: &[(&str, &str)]) -> Intents {
    files.iter().map(|(path, text)| ((*path).to_owned(), text.as_bytes().to_vec())).collect()
}

/// Commits each of these in turn.
async fn chain(revisions: Revisions<'_>) -> (Store, Epoch, Vec<At>, History) {
    let store = Store::memory();
    let epoch = store.lead().await.unwrap();
    let mut all = Vec::new();
    for files in revisions {
        all.push(commit(&store, epoch, files).await);
    }
    let history = History::new(store.clone(), vec![key().verifying_key()]);
    (store, epoch, all, history)
}

async fn tamper(store: &Store, epoch: Epoch, changes: Vec<Change>) {
    let _done = store.backend().transact(Transaction { epoch, conditions: Vec::new(), changes }).await.unwrap();
}

fn generations(chain: &[leafwall_controller::history::Past]) -> Vec<u64> {
    chain.iter().map(|past| past.at.generation.0).collect()
}

#[tokio::test]
async fn the_chain_is_read_from_the_head_to_the_first() {
    let (store, epoch, all, history) = chain(&[&[("a.yaml", "1")], &[("a.yaml", "2")]]).await;
    // one that never stood is not in it, and its number is not used again
    store.put_revision(epoch, &revision(3, Some(all[1].revision), &[])).await.unwrap();
    store.start(epoch, Generation(3)).await.unwrap();
    store.abandon(epoch, Generation(3), "refused").await.unwrap();
    commit(&store, epoch, &[("a.yaml", "4")]).await;
    let loaded = history.load().await.unwrap();
    assert_eq!(generations(&loaded), [4, 2, 1]);
    assert_eq!(loaded[2].at, all[0]);
    assert_eq!(history.head().await.unwrap().unwrap().at.generation, Generation(4));
    assert_eq!(history.restore(Generation(1)).await.unwrap(), intents(&[("a.yaml", "1")]));
    assert_eq!(history.restore(Generation(3)).await.unwrap(), intents(&[]), "one that never stood is there as well");
    assert!(matches!(history.restore(Generation(9)).await, Err(HistoryError::Store { generation: Generation(9), .. })));

    let empty = History::new(Store::memory(), Vec::new());
    assert!(empty.load().await.unwrap().is_empty());
    assert!(matches!(empty.revert(Generation(1)).await, Err(HistoryError::NotInHistory(Generation(1)))));
}

fn kept(signed: &Signed<Revision>) -> Vec<u8> {
    serde_json::to_vec(&serde_json::json!({"revision": signed.digest(), "signature": signed.signature})).unwrap()
}

/// Puts another revision in the place of one.
async fn replace(store: &Store, epoch: Epoch, generation: u64, signed: &Signed<Revision>) {
    store.put_chunk(epoch, signed.text.as_bytes()).await.unwrap();
    tamper(store, epoch, vec![Change::Put(Key::new(format!("revision/{generation:020}")), kept(signed))]).await;
}

#[tokio::test]
async fn a_break_names_its_revision() {
    let revisions: Revisions<'_> = &[&[("a.yaml", "1")], &[("a.yaml", "2")], &[("a.yaml", "3")]];
    // a stranger's in the middle: the same text, another's signature
    let (store, epoch, _, history) = chain(revisions).await;
    let text = store.revision(Generation(2)).await.unwrap();
    let statement = text.verify(&[key().verifying_key()]).unwrap();
    replace(&store, epoch, 2, &Signed::new(&statement, &SigningKey::from_bytes(&[8; 32])).unwrap()).await;
    let error = history.load().await.unwrap_err();
    assert!(matches!(error, HistoryError::NotBelieved { generation: Generation(2), .. }), "{error}");

    // ours, but another one
    let (store, epoch, all, history) = chain(revisions).await;
    replace(&store, epoch, 2, &revision(2, Some(all[0].revision), &[("b.yaml", "other")])).await;
    let error = history.load().await.unwrap_err();
    assert!(matches!(error, HistoryError::Broken { generation: Generation(2), expected, .. } if expected == all[1].revision), "{error}");

    // ours, of another number
    let (store, epoch, _, history) = chain(revisions).await;
    let first = store.revision(Generation(1)).await.unwrap();
    replace(&store, epoch, 2, &first).await;
    let error = history.load().await.unwrap_err();
    assert!(matches!(error, HistoryError::Renumbered { generation: Generation(2), says: Generation(1) }), "{error}");

    // the parent is nowhere, or comes later: no walk in circles
    let (store, epoch, all, history) = chain(revisions).await;
    let index = Key::new(format!("number/{}", all[1].revision));
    for number in ["3", "4", "3000"] {
        tamper(&store, epoch, vec![Change::Put(index.clone(), number.into())]).await;
        let error = history.load().await.unwrap_err();
        assert!(matches!(error, HistoryError::NoParent { generation: Generation(3), parent } if parent == all[1].revision), "{error}");
    }
    tamper(&store, epoch, vec![Change::Put(index.clone(), b"1".to_vec())]).await;
    assert!(matches!(history.load().await, Err(HistoryError::Broken { generation: Generation(1), .. })));
    tamper(&store, epoch, vec![Change::Delete(index)]).await;
    assert!(matches!(history.load().await, Err(HistoryError::NoParent { generation: Generation(3), .. })));

    // the text is damaged, or gone
    let (store, epoch, all, history) = chain(revisions).await;
    let chunk = Key::new(format!("chunk/{}", all[0].revision));
    tamper(&store, epoch, vec![Change::Put(chunk.clone(), b"={}".to_vec())]).await;
    let error = history.load().await.unwrap_err();
    assert!(matches!(&error, HistoryError::Store { generation: Generation(1), source: StoreError::Damaged { .. } }), "{error}");
    tamper(&store, epoch, vec![Change::Delete(chunk)]).await;
    assert!(matches!(history.load().await, Err(HistoryError::Store { source: StoreError::NoChunk(_), .. })));

    // the head names another text
    let (store, epoch, all, history) = chain(revisions).await;
    let head = At { generation: Generation(3), revision: all[1].revision };
    tamper(&store, epoch, vec![Change::Put(Key::new("head"), serde_json::to_vec(&head).unwrap())]).await;
    assert!(matches!(history.load().await, Err(HistoryError::Broken { generation: Generation(3), .. })));
}

#[tokio::test]
async fn differences_are_by_path_and_by_device() {
    let digest = |text: &str| Digest::of(text.as_bytes());
    let files = |pairs: &[(&str, &str)]| pairs.iter().map(|(path, text)| ((*path).to_owned(), digest(text))).collect::<Files>();
    let read = |signed: Signed<Revision>| signed.verify(&[key().verifying_key()]).unwrap();
    let mut before = read(revision(1, None, &[("same.yaml", "1"), ("gone.yaml", "1"), ("other.yaml", "1")]));
    let mut after = read(revision(2, None, &[("same.yaml", "1"), ("new.yaml", "1"), ("other.yaml", "2")]));
    before.devices = BTreeMap::from([
        ("leaf-01".parse().unwrap(), files(&[("frr.conf", "1"), ("links.json", "1")])),
        ("leaf-02".parse().unwrap(), files(&[("frr.conf", "1")])),
        ("leaf-03".parse().unwrap(), files(&[("frr.conf", "1")])),
    ]);
    after.devices = BTreeMap::from([
        ("leaf-01".parse().unwrap(), files(&[("frr.conf", "2"), ("links.json", "1")])),
        ("leaf-02".parse().unwrap(), files(&[("frr.conf", "1")])),
        ("leaf-04".parse().unwrap(), files(&[("frr.conf", "1")])),
    ]);
    after.allocation = digest("other");
    let found = diff(&before, &after);
    let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
    let expected = Changes { added: names(&["new.yaml"]), removed: names(&["gone.yaml"]), changed: names(&["other.yaml"]) };
    assert_eq!(found.intents, expected);
    assert!(found.allocation);
    let devices = BTreeMap::from([
        ("leaf-01".parse().unwrap(), Changes { changed: names(&["frr.conf"]), ..Changes::default() }),
        ("leaf-03".parse().unwrap(), Changes { removed: names(&["frr.conf"]), ..Changes::default() }),
        ("leaf-04".parse().unwrap(), Changes { added: names(&["frr.conf"]), ..Changes::default() }),
    ]);
    assert_eq!(found.devices, devices);
    assert_eq!(diff(&before, &before), leafwall_controller::history::RevisionDiff::default());
}

#[tokio::test]
async fn a_reverted_revision_is_taken_out_from_below_later_ones() {
    let (_, _, _, history) = chain(&[
        &[("a", "1"), ("b", "1"), ("c", "1")],
        &[("a", "2"), ("c", "1"), ("d", "2")], // changes a, removes b, adds d
        &[("a", "2"), ("c", "3"), ("d", "2"), ("e", "3")],
        &[("a", "2"), ("c", "3"), ("d", "2"), ("e", "3"), ("f", "4")],
    ])
    .await;
    let expected = intents(&[("a", "1"), ("b", "1"), ("c", "3"), ("e", "3"), ("f", "4")]);
    assert_eq!(history.revert(Generation(2)).await.unwrap(), expected);
    // the newest: as before it
    assert_eq!(history.revert(Generation(4)).await.unwrap(), history.restore(Generation(3)).await.unwrap());
    // the first: what it added and nobody touched goes
    let error = history.revert(Generation(1)).await.unwrap_err();
    let HistoryError::Conflicts { conflicts, .. } = &error else { panic!("{error}") };
    let changed = |path: &str, generation| Conflict { path: path.into(), changed_in: Generation(generation) };
    assert_eq!(*conflicts, [changed("a", 2), changed("c", 3)], "and b, which is gone already, is none");
    assert!(error.to_string().ends_with("`a` in 2, `c` in 3"), "{error}");
    assert!(matches!(history.revert(Generation(5)).await, Err(HistoryError::NotInHistory(_))));
}

#[tokio::test]
async fn a_file_that_changed_again_is_a_conflict_and_not_guessed() {
    let changed = |path: &str, generation| Conflict { path: path.into(), changed_in: Generation(generation) };
    // what the revision did to the file, what came later, and whether that is a conflict
    let cases: &[(Revisions<'_>, Result<&str, u64>)] = &[
        (&[&[("x", "1")], &[("x", "2")], &[("x", "3")], &[("x", "4")]], Err(3)), // changed, changed again twice
        (&[&[("x", "1")], &[("x", "2")], &[]], Err(3)),                          // changed, removed
        (&[&[("x", "1")], &[], &[("x", "3")]], Err(3)),                          // removed, made anew otherwise
        (&[&[], &[("x", "2")], &[("x", "3")]], Err(3)),                          // added, changed
        (&[&[("x", "1")], &[("x", "2")], &[("x", "1")]], Ok("1")),               // taken back by hand
        (&[&[("x", "1")], &[], &[("x", "1")]], Ok("1")),                         // removed, made anew as it was
        (&[&[], &[("x", "2")], &[]], Ok("")),                                    // added, removed by hand
        (&[&[("x", "1")], &[("x", "2")], &[("x", "3")], &[("x", "2")]], Ok("1")), // changed, and back to it
        (&[&[("x", "1")], &[("x", "1")], &[("x", "3")]], Ok("3")),               // not touched
    ];
    for (revisions, expected) in cases {
        let (_, _, _, history) = chain(revisions).await;
        match (history.revert(Generation(2)).await, expected) {
            (Ok(files), Ok("")) => assert_eq!(files, intents(&[]), "{revisions:?}"),
            (Ok(files), Ok(text)) => assert_eq!(files, intents(&[("x", text)]), "{revisions:?}"),
            (Err(HistoryError::Conflicts { conflicts, .. }), Err(later)) => assert_eq!(conflicts, [changed("x", *later)], "{revisions:?}"),
            (found, _) => panic!("{revisions:?}: {found:?}"),
        }
    }
}
