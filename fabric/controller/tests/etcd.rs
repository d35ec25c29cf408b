//! What only the store in etcd does: leases, and members that die.
#![allow(missing_docs, clippy::unwrap_used, clippy::panic)] // a test fails by it

mod support;

use std::time::{Duration, Instant};

use leafwall_controller::store::{AnyBackend, Campaign, Etcd, Lease, Store, StoreError, TTL};
use support::etcd::EtcdProcesses;
use support::{commit, has_etcd};

async fn open(etcd: &EtcdProcesses) -> Etcd {
    Etcd::open(etcd.url("test").parse().unwrap(), None).await.unwrap()
}

fn won(campaign: Campaign) -> Lease {
    match campaign {
        Campaign::Won(lease) => lease,
        Campaign::Lost(leader) => panic!("lost: {leader:?}"),
    }
}

#[tokio::test]
async fn one_leads_and_the_others_learn_its_address() {
    if !has_etcd() {
        return;
    }
    let processes = EtcdProcesses::start(1);
    let etcd = open(&processes).await;
    assert_eq!(etcd.leader().await.unwrap(), None);
    let (one, other) = tokio::join!(etcd.campaign("https://one:1"), etcd.campaign("https://other:1"));
    let (one, other) = (one.unwrap(), other.unwrap());
    assert!(matches!(one, Campaign::Won(_)) != matches!(other, Campaign::Won(_)), "{one:?}, {other:?}");
    let (winner, address) = if matches!(one, Campaign::Won(_)) { (one, "https://one:1") } else { (other, "https://other:1") };
    let Campaign::Lost(Some(leader)) = etcd.campaign("https://third:1").await.unwrap() else { panic!("two lead") };
    assert_eq!(leader.address, address);

    // held for longer than it lasts
    let mut lease = won(winner);
    let start = Instant::now();
    while start.elapsed() < TTL + Duration::from_secs(2) {
        let before = lease.until();
        lease.prolong().await.unwrap();
        assert!(lease.until() > before);
        assert!(matches!(etcd.campaign("https://third:1").await.unwrap(), Campaign::Lost(_)));
        tokio::time::sleep(Duration::from_millis(300)).await;
    }
    lease.give_back().await;
    let start = Instant::now();
    won(etcd.campaign("https://third:1").await.unwrap());
    assert!(start.elapsed() < Duration::from_secs(1), "given back, it is free at once");
}

#[tokio::test]
async fn one_that_is_silent_stops_before_another_can_lead() {
    if !has_etcd() {
        return;
    }
    let processes = EtcdProcesses::start(1);
    let etcd = open(&processes).await;
    let store = Store::new(AnyBackend::Etcd(etcd.clone()));
    let mut silent = won(etcd.campaign("https://one:1").await.unwrap());
    let since = Instant::now();
    let old = store.lead_while(Some(&silent.held())).await.unwrap();
    commit(&store, old, &[("a.yaml", "one")]).await;
    let other = loop {
        match etcd.campaign("https://two:1").await.unwrap() {
            Campaign::Won(lease) => break lease,
            Campaign::Lost(_) => tokio::time::sleep(Duration::from_millis(20)).await,
        }
    };
    let now = Instant::now();
    assert!(now > silent.until(), "two may lead at once");
    assert!(now - since < Duration::from_secs(5), "{:?}", now - since);

    // what it still tries is in vain, and disturbs nobody
    assert!(silent.prolong().await.is_err());
    let held = silent.held();
    assert!(matches!(store.lead_while(Some(&held)).await, Err(StoreError::NotHeld)));
    assert_eq!(store.epoch().await.unwrap(), old);
    let new = store.lead_while(Some(&other.held())).await.unwrap();
    let late = store.put_chunk(old, b"late").await;
    assert!(matches!(late, Err(StoreError::Fenced { epoch, seen }) if epoch == old && seen == new), "{late:?}");
}

#[tokio::test]
async fn a_member_that_dies_is_not_noticed_by_who_asks_another_one() {
    if !has_etcd() {
        return;
    }
    let mut processes = EtcdProcesses::start(3);
    let etcd = open(&processes).await;
    let store = Store::new(AnyBackend::Etcd(etcd.clone()));
    let epoch = store.lead().await.unwrap();
    let first = commit(&store, epoch, &[("a.yaml", "one")]).await;
    // the one that was asked so far
    processes.kill(0);
    let start = Instant::now();
    let read = loop {
        match store.head().await {
            Ok(head) => break head,
            // the others elect
            Err(error) => assert!(start.elapsed() < Duration::from_secs(20), "{error}"),
        }
    };
    assert_eq!(read, Some(first));
    let second = commit(&store, epoch, &[("a.yaml", "two")]).await;
    assert_eq!(store.head().await.unwrap(), Some(second));

    // without a majority there are errors, and soon
    processes.kill(1);
    let start = Instant::now();
    let error = store.head().await.unwrap_err();
    assert!(matches!(error, StoreError::Backend { .. }), "{error}");
    assert!(start.elapsed() < Duration::from_secs(4), "{:?}", start.elapsed());
    assert!(store.put_chunk(epoch, b"lost").await.is_err());
}
