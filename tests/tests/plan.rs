//! Allocation and plans: stable, deterministic, and the same whether made at once or change by change.
#![allow(clippy::unwrap_used)] // helpers of tests

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use leafwall_intent::model::NetworkType;
use leafwall_intent::{Model, SourceFile, Sources, Style};
use leafwall_plan::allocation::{Printed, REST, allocate};
use leafwall_plan::{Planner, Table, TableFile};
use leafwall_tests::choices::{self, CHOICES, Ground};
use proptest::prelude::*;
use serde_json::Value;

const GROUND: Ground = Ground { leaves: 4, machines: 12 };

fn model(files: Vec<(String, String)>) -> Model {
    let sources = Sources::new(files.into_iter().map(|(path, text)| SourceFile { path, text: text.into() }).collect());
    let (model, diagnostics) = leafwall_intent::load(&sources);
    assert!(!diagnostics.has_errors(), "{}", diagnostics.render(&sources, Style::Plain));
    model.unwrap()
}

/// All values of a table by path, what rests left out.
fn entries(table: &Table) -> BTreeMap<String, String> {
    fn walk(path: &str, value: &Value, out: &mut BTreeMap<String, String>) {
        match value {
            Value::Object(map) => map.iter().for_each(|(key, value)| walk(&format!("{path}/{key}"), value, out)),
            // a segment is known by its subnets, not by its place in the list
            Value::Array(items) if path.starts_with("/segments") => {
                for item in items {
                    for subnet in item["subnets"].as_array().unwrap() {
                        out.insert(format!("{path}/{subnet}"), item["vni"].to_string());
                    }
                }
            }
            other => drop(out.insert(path.to_owned(), other.to_string())),
        }
    }
    let file = TableFile { resting: leafwall_plan::allocation::Resting::default(), ..TableFile::from(table) };
    let mut value = serde_json::to_value(&file).unwrap();
    value.as_object_mut().unwrap().remove("revision");
    let mut out = BTreeMap::new();
    walk("", &value, &mut out);
    out
}

/// Which numbers are one space: no value stands twice in one of them.
fn space(path: &str) -> String {
    let parts: Vec<&str> = path.split('/').collect();
    match parts[1] {
        "vnis" | "segments" | "provisioning" => "vnis".to_owned(),
        "vlans" | "addresses" => format!("{}/{}", parts[1], parts[2]),
        other => other.to_owned(),
    }
}

/// Sequences of states; each differs from the one before in a few choices.
fn sequences() -> impl Strategy<Value = Vec<Vec<u8>>> {
    let first = proptest::collection::vec(any::<u8>(), CHOICES);
    let edits = proptest::collection::vec(proptest::collection::vec((0..CHOICES, any::<u8>()), 1..6), 1..8);
    (first, edits).prop_map(|(first, edits)| {
        let mut states = vec![first];
        for edit in edits {
            let mut next = states[states.len() - 1].clone();
            for (place, choice) in edit {
                next[place] = choice;
            }
            states.push(next);
        }
        states
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn nothing_is_renumbered_and_nothing_held_twice(states in sequences()) {
        let mut table = Table::default();
        // what an entry of the table stood for: a fixed VNI is the one thing that a state may change by itself
        let fixed = |path: &str| path == "/vnis/red-a";
        for state in states {
            let model = model(choices::fabric(GROUND, &state));
            let next = allocate(&model, &table).unwrap();
            let (before, after) = (entries(&table), entries(&next));
            for (path, value) in &after {
                if let Some(old) = before.get(path).filter(|_| !fixed(path)) {
                    // an Address or Allocation that gets more of a family keeps what it had
                    prop_assert_eq!(old, value, "{}", path);
                }
            }
            let mut seen: BTreeMap<(String, String), &String> = BTreeMap::new();
            for (path, value) in &after {
                for one in value.trim_matches(['[', ']']).split(',') {
                    let other = seen.insert((space(path), one.to_owned()), path);
                    // both subnets of a segment have its one VNI
                    prop_assert!(other.is_none() || path.starts_with("/segments"), "{:?} and {} have {}", other, path, one);
                }
            }
            prop_assert_eq!(&allocate(&model, &next).unwrap(), &next, "a second look changes nothing");
            table = next;
        }
    }

    #[test]
    fn h30_a_released_value_rests(states in sequences()) {
        let mut table = Table::default();
        // (space, value) → who had it last, and when it was released
        let mut released: BTreeMap<(String, String), (String, u64)> = BTreeMap::new();
        for state in states {
            let model = model(choices::fabric(GROUND, &state));
            let next = allocate(&model, &table).unwrap();
            let pairs = |table: &Table| -> BTreeSet<(String, String, String)> {
                let all = entries(table).into_iter();
                all.flat_map(|(path, value)| {
                    let parts: Vec<String> = value.trim_matches(['[', ']']).split(',').map(str::to_owned).collect();
                    parts.into_iter().map(move |one| (space(&path), one, path.clone()))
                }).collect()
            };
            let (before, after) = (pairs(&table), pairs(&next));
            for (space, value, path) in after.difference(&before) {
                if let Some((was, at)) = released.get(&(space.clone(), value.clone())) {
                    let fixed = path == "/vnis/red-a" || space.starts_with("addresses/internet");
                    // a segment whose subnets regroup keeps its VNI
                    let regrouped = was.starts_with("/segments") && path.starts_with("/segments");
                    // who had an ASN, a VLAN or an address of a tenant's own network last has it again
                    let own = space.strip_prefix("addresses/").is_some_and(|network| model.networks[network].kind == NetworkType::Private);
                    let back = was == path && (space == "asns" || space.starts_with("vlans") || own);
                    prop_assert!(fixed || regrouped || back || next.revision.0 >= at + REST, "{} of {} went to {} too early", value, was, path);
                }
            }
            // what rests for somebody is not lost on somebody who comes back
            let rests_for = |path: &str| released.iter().filter(move |(_, (was, at))| was == path && next.revision.0 < at + REST).max_by_key(|(_, (_, at))| *at);
            for (space, value, path) in after.difference(&before).filter(|(space, ..)| space == "asns") {
                if let Some(((_, had), _)) = rests_for(path) {
                    prop_assert_eq!(had, value, "{} had another {} before", path, space);
                }
            }
            for (space, value, path) in before.difference(&after) {
                released.insert((space.clone(), value.clone()), (path.clone(), next.revision.0));
            }
            // a table that was stored and read goes on in the same way
            table = Table::try_from(&TableFile::from(&next)).unwrap();
            prop_assert_eq!(&TableFile::from(&table), &TableFile::from(&next));
        }
    }

    #[test]
    fn change_by_change_is_what_all_at_once_is(states in sequences()) {
        let mut planner = Planner::new(model(choices::fabric(GROUND, &states[0])), &Table::default(), 1, None).unwrap();
        let mut printed = Printed::default();
        for (number, state) in states.iter().enumerate().skip(1) {
            let before = planner.clone();
            // there and back again, so that what follows stands on what a way back leaves
            let other = model(choices::fabric(GROUND, &states[(number + 1) % states.len()]));
            let (_, undo) = planner.update_for_now(Arc::new(other)).unwrap();
            prop_assert_eq!(printed.print(planner.table()).unwrap(), TableFile::from(&**planner.table()).to_yaml().unwrap());
            planner.back(undo);
            prop_assert_eq!((planner.table(), planner.plan()), (before.table(), before.plan()));
            prop_assert_eq!(printed.print(planner.table()).unwrap(), TableFile::from(&**planner.table()).to_yaml().unwrap());
            let changed = planner.update(model(choices::fabric(GROUND, state))).unwrap();
            let fresh = Planner::new(model(choices::fabric(GROUND, state)), before.table(), 1, None).unwrap();
            prop_assert_eq!(planner.table(), fresh.table());
            prop_assert_eq!(planner.plan(), fresh.plan());
            let names: BTreeSet<_> = planner.plan().devices.keys().chain(before.plan().devices.keys()).collect();
            for name in names {
                let (old, new) = (before.plan().devices.get(name), planner.plan().devices.get(name));
                let same = matches!((old, new), (Some(old), Some(new)) if Arc::ptr_eq(old, new));
                prop_assert_eq!(changed.contains(name), !same, "{}", name);
                prop_assert!(same || old != new, "{} was said to change and did not", name);
            }
        }
    }

    #[test]
    fn the_stored_table_is_the_table(states in sequences()) {
        let mut table = Table::default();
        for state in states {
            table = allocate(&model(choices::fabric(GROUND, &state)), &table).unwrap();
            let file = TableFile::from(&table);
            let json = serde_json::to_string(&file).unwrap();
            let back: TableFile = serde_json::from_str(&json).unwrap();
            prop_assert_eq!(&back, &file);
            let read = Table::try_from(&back).unwrap();
            prop_assert_eq!(TableFile::from(&read), file);
        }
    }

    #[test]
    fn the_order_of_documents_means_nothing(state in proptest::collection::vec(any::<u8>(), CHOICES), order in any::<u64>()) {
        let files = choices::fabric(GROUND, &state);
        let straight = Planner::new(model(files.clone()), &Table::default(), 1, None).unwrap();
        let mut documents: Vec<String> = files.iter().flat_map(|(_, text)| text.split("---\n").skip(1).map(str::to_owned)).collect();
        let mut random = leafwall_tests::random::Random::new(order);
        for last in (1..documents.len()).rev() {
            documents.swap(last, random.below(last + 1));
        }
        let shuffled: Vec<_> = documents.iter().enumerate().map(|(n, text)| (format!("{n:03}.yaml"), text.clone())).collect();
        let shuffled = Planner::new(model(shuffled), &Table::default(), 1, None).unwrap();
        prop_assert_eq!(straight.plan(), shuffled.plan());
        prop_assert_eq!(straight.table(), shuffled.table());
    }
}
