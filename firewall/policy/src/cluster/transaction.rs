//! From one part to the next: only what differs (F12).

use std::cmp::Ordering;

use super::{Part, table_id};
use crate::nft::{Change, Command, Counter, Elements, Script, Set, Table};
use crate::ruleset::CLUSTER;
use crate::ruleset::names::fixed;

/// The transaction that makes the cluster's part `to` where the kernel holds `from`; `None` is a signed ruleset with the empty chain `cluster`. Counters, elements
/// and chains that are in both stay untouched. Empty if nothing differs.
///
/// Elements of sets whose elements have an end (DNS answers) are state: they stay where the set stays. A set's name says how it is declared, so two of one name
/// differ in their elements at most.
pub fn transaction(from: Option<&Part>, to: &Part) -> Script {
    let nothing = Part { chains: vec![super::build::entry(Vec::new())], ..Part::default() };
    let from = from.unwrap_or(&nothing);
    let counters = compare(&from.counters, &to.counters, |counter| &counter.name);
    let sets = compare(&from.sets, &to.sets, |set| &set.name);
    let chains = compare(&from.chains, &to.chains, |chain| &chain.name);
    let changed: Vec<_> = chains.both.into_iter().filter(|(before, after)| before.rules != after.rules).map(|(_, after)| after).collect();

    let mut changes: Vec<Change> = chains.gone.iter().chain(&changed).map(|chain| Change::FlushChain(chain.name.clone())).collect();
    let mut commands: Vec<Command> = std::mem::take(&mut changes).into_iter().map(of_table).collect();
    let defined = Table {
        id: table_id(),
        counters: counters.new.into_iter().cloned().collect(),
        sets: sets.new.into_iter().cloned().collect(),
        chains: chains.new.into_iter().chain(changed).cloned().collect(),
    };
    if !(defined.counters.is_empty() && defined.sets.is_empty() && defined.chains.is_empty()) {
        commands.push(Command::Define(defined));
    }
    // elements go before others come: a new one may lie where an old one was
    for (before, after) in sets.both.into_iter().filter(|(_, after)| !after.flags.timeout) {
        let (gone, new) = difference(&before.elements, &after.elements);
        changes.extend((!gone.is_empty()).then(|| Change::DeleteElements(with(before, gone))));
        changes.extend((!new.is_empty()).then(|| Change::AddElements(with(after, new))));
    }
    // what is pointed at goes behind what points
    changes.extend(sets.gone.into_iter().map(|set| Change::DeleteSet(with(set, emptied(&set.elements)))));
    let unused = chains.gone.into_iter().filter(|chain| chain.name != fixed(CLUSTER));
    changes.extend(unused.map(|chain| Change::DeleteChain(chain.name.clone())));
    changes.extend(counters.gone.into_iter().map(|Counter { name }| Change::DeleteCounter(name.clone())));
    commands.extend(changes.into_iter().map(of_table));
    Script { commands }
}

fn of_table(change: Change) -> Command {
    Command::Change(table_id(), change)
}

fn with(set: &Set, elements: Elements) -> Set {
    Set { name: set.name.clone(), key: set.key.clone(), flags: set.flags, size: set.size, timeout: set.timeout, elements }
}

const fn emptied(elements: &Elements) -> Elements {
    match elements {
        Elements::Values(_) => Elements::Values(Vec::new()),
        Elements::Verdicts(_) => Elements::Verdicts(Vec::new()),
        Elements::Counters(_) => Elements::Counters(Vec::new()),
    }
}

/// What is in the first only, and what in the second.
fn difference(before: &Elements, after: &Elements) -> (Elements, Elements) {
    match (before, after) {
        (Elements::Values(a), Elements::Values(b)) => both(Elements::Values, a, b),
        (Elements::Verdicts(a), Elements::Verdicts(b)) => both(Elements::Verdicts, a, b),
        (Elements::Counters(a), Elements::Counters(b)) => both(Elements::Counters, a, b),
        _ => (before.clone(), after.clone()),
    }
}

fn both<T: Ord + Clone>(make: impl Fn(Vec<T>) -> Elements, before: &[T], after: &[T]) -> (Elements, Elements) {
    let found = compare(before, after, |element| element);
    (make(found.gone.into_iter().cloned().collect()), make(found.new.into_iter().cloned().collect()))
}

/// Two sorted lists side by side.
struct Compared<'a, T> {
    gone: Vec<&'a T>,
    both: Vec<(&'a T, &'a T)>,
    new: Vec<&'a T>,
}

fn compare<'a, T, K: Ord + ?Sized + 'a>(before: &'a [T], after: &'a [T], key: impl Fn(&'a T) -> &'a K) -> Compared<'a, T> {
    let mut found = Compared { gone: Vec::new(), both: Vec::new(), new: Vec::new() };
    let (mut old, mut new) = (before.iter().peekable(), after.iter().peekable());
    loop {
        let order = match (old.peek(), new.peek()) {
            (None, None) => return found,
            (Some(_), None) => Ordering::Less,
            (None, Some(_)) => Ordering::Greater,
            (Some(a), Some(b)) => key(a).cmp(key(b)),
        };
        match order {
            Ordering::Less => found.gone.extend(old.next()),
            Ordering::Greater => found.new.extend(new.next()),
            Ordering::Equal => found.both.extend(old.next().zip(new.next())),
        }
    }
}
