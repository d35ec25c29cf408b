//! No object that is accepted can make nft fail, whatever its author put into it (F1, F2).
#![allow(clippy::unwrap_used, clippy::panic)] // tests may fail

use std::collections::BTreeMap;

use leafwall_kube::bounds::Bounds;
use leafwall_kube::convert::{Verdict, convert};
use leafwall_kube::index::Index;
use leafwall_kube::key::{Kind, ObjectKey};
use leafwall_kube::sink::ClusterRules;
use leafwall_policy::cluster::table_part;
use leafwall_policy::nft::{Script, parse};
use leafwall_policy::ruleset::table;
use leafwall_policy::zone::FirewallRules;
use leafwall_tests::firewall::quiet;
use leafwall_tests::hostile::{MARK, object};
use leafwall_tests::namespace::{Namespace, nft, unable};
use leafwall_tests::random::Random;
use leafwall_tests::skip;
use serde_json::Value;

/// Objects for one start of nft.
const TOGETHER: usize = 150;

fn starts() -> usize {
    std::env::var("LEAFWALL_RULESETS").ok().and_then(|text| text.parse().ok()).unwrap_or(12)
}

/// What these objects come to, whole: the signed table with the cluster's part in it.
fn script(firewall: &FirewallRules, objects: &[(ObjectKey, Value)]) -> Script {
    let mut index = Index::new(Bounds::from(firewall));
    for (key, object) in objects {
        index.apply(key.clone(), object.clone());
    }
    let rules: ClusterRules = index.rules(0);
    let part = table_part(firewall, &rules).unwrap();
    let mut meant = table(firewall).unwrap();
    part.join(&mut meant);
    Script::replacing(vec![meant])
}

/// What nft says against these objects. Its check knows the grammar; only loading shows what the kernel takes.
fn complaint(namespace: &Namespace, firewall: &FirewallRules, objects: &[(ObjectKey, Value)]) -> Option<String> {
    let text = script(firewall, objects).to_text();
    let nft = nft();
    [&["-c", "-f", "-"][..], &["-f", "-"]].into_iter().find_map(|arguments| {
        let command: Vec<&str> = nft.iter().map(String::as_str).chain(arguments.iter().copied()).collect();
        namespace.run_with_input(&command, &text).err().map(|error| error.to_string())
    })
}

/// The fewest of these that fail together, by halving.
fn culprits<T>(all: &[T], fails: impl Fn(&[T]) -> bool) -> &[T] {
    let mut left = all;
    while left.len() > 1 {
        let (first, second) = left.split_at(left.len() / 2);
        left = match (fails(first), fails(second)) {
            (true, _) => first,
            (false, true) => second,
            // only together
            (false, false) => break,
        };
    }
    left
}

#[test]
fn f01_no_accepted_object_makes_nft_fail() {
    if let Some(why) = unable() {
        return skip("f01_no_accepted_object_makes_nft_fail", &why);
    }
    let namespace = Namespace::new("objects").unwrap();
    let firewall = quiet();
    let bounds = Bounds::from(&firewall);
    let mut chance = Random::from_environment(101);
    let mut seen = BTreeMap::<(Kind, bool), usize>::new();
    for _ in 0..starts() {
        let drawn: Vec<(ObjectKey, Value)> = (0..TOGETHER).map(|_| object(&mut chance)).collect();
        let mut accepted = Vec::new();
        for (key, object) in drawn {
            let verdict = convert(&key, &object, &bounds);
            let is_accepted = matches!(verdict, Verdict::Accepted(_));
            *seen.entry((key.kind, is_accepted)).or_default() += 1;
            if is_accepted {
                accepted.push((key, object));
            }
            if let Verdict::Refused(findings) = verdict {
                assert!(!findings.is_empty());
            }
        }
        let meant = script(&firewall, &accepted);
        let text = meant.to_text();
        assert!(!text.contains(MARK), "a user's text is in the ruleset");
        assert!(text.is_ascii() && !text.contains(['\0', '\r', '\\', '$', '#']), "{text}");
        assert_eq!(parse(&text).as_ref(), Ok(&meant));
        if let Some(complaint) = complaint(&namespace, &firewall, &accepted) {
            let culprits = culprits(&accepted, |some| self::complaint(&namespace, &firewall, some).is_some());
            let one = script(&firewall, culprits).to_text();
            panic!("{complaint}\n{} objects: {culprits:#?}\n{}", culprits.len(), one.chars().take(20_000).collect::<String>());
        }
    }
    eprintln!("{seen:?}");
    for kind in Kind::ALL {
        for accepted in [true, false] {
            assert!(seen.get(&(kind, accepted)).is_some_and(|count| *count >= starts()), "too few {kind}, accepted: {accepted}: {seen:?}");
        }
    }
}

/// Halving finds the object, or a failure would be a page of hundreds.
#[test]
fn a_culprit_is_found() {
    let all: Vec<u32> = (0..100).collect();
    for culprit in [0, 1, 49, 50, 99] {
        assert_eq!(culprits(&all, |some| some.contains(&culprit)), [culprit]);
    }
    assert_eq!(culprits(&all, |some| some.contains(&10) && some.contains(&20)), &all[..25][..], "two that fail together stay together");
}
