//! Lists that filters refer to, changed entry by entry.

use std::collections::{BTreeMap, BTreeSet};

use leafwall_render::frr::{Action, AttributeList, FrrConfig, PrefixList};

use crate::order::Plan;
use crate::slots::negate;
use crate::step::Context;

/// A list as its daemon sees it: a name in a space of names, and entries in order of their numbers; what none of them matches is denied.
struct List {
    /// What its statements begin with.
    head: String,
    /// Lists of different kinds in one space can't share a name.
    space: String,
    /// Whether the daemon ignores, without a word, an entry that says what another entry of the list says: bgpd's lists do, prefix lists do not.
    unique: bool,
    entries: BTreeMap<u32, Entry>,
}

/// What an entry says, without its number.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Entry {
    action: Action,
    rest: String,
}

/// One command on a list.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Edit {
    Remove(u32),
    Put(u32),
}

impl List {
    fn prefix(list: &PrefixList) -> Self {
        let entries = list.entries.iter().map(|entry| (entry.seq, Entry::of(entry.action, &entry.to_string())));
        let space = format!("{:?} {}", list.family, list.name);
        Self { head: list.head(), space, unique: false, entries: entries.collect() }
    }

    fn attribute(list: &AttributeList) -> Self {
        let entries = list.entries.iter().map(|entry| (entry.seq, Entry::of(entry.action, &entry.to_string())));
        let space = format!("{} {}", list.kind.attribute(), list.name);
        Self { head: list.head(), space, unique: true, entries: entries.collect() }
    }

    fn of(config: &FrrConfig) -> BTreeMap<String, Self> {
        let lists = config.prefix_lists.iter().map(Self::prefix).chain(config.attribute_lists.iter().map(Self::attribute));
        lists.map(|list| (list.head.clone(), list)).collect()
    }
}

impl Entry {
    /// From the text of the whole entry: `seq N permit …`.
    fn of(action: Action, text: &str) -> Self {
        Self { action, rest: text.splitn(3, ' ').nth(2).unwrap_or_default().to_owned() }
    }
}

/// Plans all lists. Returns what the statements of those that change begin with.
pub fn all(old: &FrrConfig, new: &FrrConfig, plan: &mut Plan) -> BTreeSet<String> {
    let (before, after) = (List::of(old), List::of(new));
    let mut touched = BTreeSet::new();
    let spaces: BTreeSet<&str> = after.values().map(|list| list.space.as_str()).collect();
    let command = |list: &List, seq: u32, entries: &BTreeMap<u32, Entry>| {
        entries.get(&seq).map_or_else(String::new, |entry| format!("{} seq {seq} {}", list.head, entry.rest))
    };
    // those that go, at the end, unless a list of another kind takes their name: then it is the name that matters, and a missing list denies
    for list in before.values().filter(|list| !after.contains_key(&list.head)) {
        let step = if spaces.contains(list.space.as_str()) { &mut plan.global } else { &mut plan.clean };
        let order = edits(&list.entries, &BTreeMap::new(), list.unique);
        let seqs = order.iter().map(|edit| match edit {
            Edit::Remove(seq) | Edit::Put(seq) => *seq,
        });
        step.batch(Context::top(), seqs.map(|seq| negate(&command(list, seq, &list.entries))).collect());
        touched.insert(list.head.clone());
    }
    let nothing = BTreeMap::new();
    for list in after.values() {
        let had = before.get(&list.head).map_or(&nothing, |list| &list.entries);
        let mut now = had.clone();
        let mut commands = Vec::new();
        for edit in edits(had, &list.entries, list.unique) {
            match edit {
                Edit::Remove(seq) => {
                    commands.push(negate(&command(list, seq, &now)));
                    now.remove(&seq);
                }
                Edit::Put(seq) => {
                    commands.push(command(list, seq, &list.entries));
                    now.extend(list.entries.get(&seq).map(|entry| (seq, entry.clone())));
                }
            }
        }
        if !commands.is_empty() {
            touched.insert(list.head.clone());
        }
        plan.global.batch(Context::top(), commands);
    }
    touched
}

/// The commands, in an order in which the list never lets through what neither the old nor the new one does.
fn edits(old: &BTreeMap<u32, Entry>, new: &BTreeMap<u32, Entry>, unique: bool) -> Vec<Edit> {
    if old == new {
        return Vec::new();
    }
    let denies = |entries: &BTreeMap<u32, Entry>| entries.values().any(|entry| entry.action == Action::Deny);
    if denies(old) || denies(new) { strict(old, new) } else { smooth(old, new, unique) }
}

/// Between lists that only permit, any mixture is safe: what is added comes before what goes, so that what both permit stays permitted as far as that can be.
fn smooth(old: &BTreeMap<u32, Entry>, new: &BTreeMap<u32, Entry>, unique: bool) -> Vec<Edit> {
    let mut now = old.clone();
    let mut count: BTreeMap<Entry, usize> = BTreeMap::new();
    for entry in old.values() {
        *count.entry(entry.clone()).or_default() += 1;
    }
    let wanted: BTreeSet<&Entry> = new.values().collect();
    let mut pending: BTreeSet<u32> = new.iter().filter(|(seq, entry)| old.get(seq) != Some(entry)).map(|(seq, _)| *seq).collect();
    let mut order = Vec::new();
    let drop = |seq: u32, now: &mut BTreeMap<u32, Entry>, count: &mut BTreeMap<Entry, usize>| {
        if let Some(entry) = now.remove(&seq)
            && let Some(times) = count.get_mut(&entry)
        {
            *times -= 1;
        }
    };
    let has = |count: &BTreeMap<Entry, usize>, entry: &Entry| count.get(entry).is_some_and(|times| *times > 0);
    while !pending.is_empty() {
        let possible = |seq: &u32| !unique || new.get(seq).is_none_or(|entry| !has(&count, entry) || now.get(seq) == Some(entry));
        // nothing that is wanted is lost by it: the place is free, or what stands there is not wanted or stands elsewhere too
        let harmless =
            |seq: &u32| now.get(seq).is_none_or(|there| !wanted.contains(there) || count.get(there).is_some_and(|times| *times > 1));
        let next =
            pending.iter().rev().find(|seq| possible(seq) && harmless(seq)).or_else(|| pending.iter().rev().find(|seq| possible(seq)));
        let Some(seq) = next.copied() else {
            // what one of them says stands elsewhere, in its way
            let first = pending.first().and_then(|seq| new.get(seq));
            let Some(blocking) = first.and_then(|entry| now.iter().find(|(_, there)| *there == entry)).map(|(seq, _)| *seq) else { break };
            drop(blocking, &mut now, &mut count);
            order.push(Edit::Remove(blocking));
            continue;
        };
        drop(seq, &mut now, &mut count);
        if let Some(entry) = new.get(&seq) {
            now.insert(seq, entry.clone());
            *count.entry(entry.clone()).or_default() += 1;
        }
        order.push(Edit::Put(seq));
        pending.remove(&seq);
    }
    order.extend(now.keys().filter(|seq| !new.contains_key(seq)).map(|seq| Edit::Remove(*seq)));
    order
}

/// With denies: permits go, denies change, permits come. Whatever passes at any moment passes the old list, until the denies of the new one stand, or the new one.
fn strict(old: &BTreeMap<u32, Entry>, new: &BTreeMap<u32, Entry>) -> Vec<Edit> {
    let of = |entries: &BTreeMap<u32, Entry>, action: Action| -> BTreeMap<u32, Entry> {
        entries.iter().filter(|(_, entry)| entry.action == action).map(|(seq, entry)| (*seq, entry.clone())).collect()
    };
    let (old_permits, old_denies) = (of(old, Action::Permit), of(old, Action::Deny));
    let (new_permits, new_denies) = (of(new, Action::Permit), of(new, Action::Deny));
    let same = |seq: &u32| old.get(seq) == new.get(seq);
    // where a deny takes another's place or number, both are needed for a moment: nothing may pass meanwhile
    let moved = old_denies
        .iter()
        .any(|(seq, entry)| !same(seq) && (new_denies.contains_key(seq) || new_denies.values().any(|other| other == entry)));
    let stays = |seq: &u32| !moved && same(seq);
    let mut order: Vec<Edit> = old_permits.keys().filter(|seq| !stays(seq)).map(|seq| Edit::Remove(*seq)).collect();
    let mut go: Vec<Edit> = old_denies.keys().filter(|seq| !same(seq)).map(|seq| Edit::Remove(*seq)).collect();
    let mut come: Vec<Edit> = new_denies.keys().filter(|seq| !same(seq)).map(|seq| Edit::Put(*seq)).collect();
    if moved {
        order.append(&mut go);
        order.append(&mut come);
    } else {
        order.append(&mut come);
        order.append(&mut go);
    }
    order.extend(new_permits.keys().filter(|seq| !stays(seq)).map(|seq| Edit::Put(*seq)));
    order
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::collection::btree_map;
    use proptest::prelude::*;

    fn entries() -> impl Strategy<Value = BTreeMap<u32, Entry>> {
        // few numbers and few values, so that they meet; a value is a set of four routes as bits
        let entry = (prop::bool::weighted(0.3), 1u8..16).prop_map(|(deny, set)| {
            let action = if deny { Action::Deny } else { Action::Permit };
            Entry { action, rest: format!("{action} {set}") }
        });
        btree_map(1u32..6, entry, 0..5)
    }

    /// Which of the four routes a list lets through.
    fn passes(list: &BTreeMap<u32, Entry>) -> u8 {
        let set = |entry: &Entry| entry.rest.split(' ').nth(1).unwrap().parse::<u8>().unwrap();
        let decides =
            |route: u8| list.values().find(|entry| set(entry) >> route & 1 == 1).is_some_and(|entry| entry.action == Action::Permit);
        (0..4).filter(|route| decides(*route)).fold(0, |all, route| all | 1 << route)
    }

    /// A list without equal entries, as bgpd's own are.
    fn distinct(list: BTreeMap<u32, Entry>) -> BTreeMap<u32, Entry> {
        let mut seen = BTreeSet::new();
        list.into_iter().filter(|(_, entry)| seen.insert(entry.clone())).collect()
    }

    fn run(old: &BTreeMap<u32, Entry>, new: &BTreeMap<u32, Entry>, unique: bool) {
        let bound = passes(old) | passes(new);
        let mut now = old.clone();
        for edit in edits(old, new, unique) {
            match edit {
                Edit::Remove(seq) => assert!(now.remove(&seq).is_some()),
                Edit::Put(seq) => {
                    let entry = new[&seq].clone();
                    assert!(!unique || !now.values().any(|there| *there == entry), "bgpd would ignore it");
                    now.insert(seq, entry);
                }
            }
            assert_eq!(passes(&now) & !bound, 0, "something passes that neither list lets through");
        }
        assert!(now == *new);
    }

    proptest! {
        #[test]
        fn lists_become_each_other_and_never_open(old in entries(), new in entries()) {
            run(&old, &new, false);
            run(&distinct(old), &distinct(new), true);
        }
    }

    #[test]
    fn what_both_permit_stays_while_numbers_shift() {
        let list = |texts: &[&str]| -> BTreeMap<u32, Entry> {
            (1..).zip(texts).map(|(seq, text)| (seq * 5, Entry { action: Action::Permit, rest: (*text).to_owned() })).collect()
        };
        let (short, long) = (list(&["permit a", "permit b"]), list(&["permit n", "permit a", "permit b"]));
        assert_eq!(edits(&short, &long, false), [Edit::Put(15), Edit::Put(10), Edit::Put(5)]);
        assert_eq!(edits(&long, &short, false), [Edit::Put(5), Edit::Put(10), Edit::Remove(15)]);
    }
}
