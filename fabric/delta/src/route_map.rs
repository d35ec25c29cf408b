//! Route-maps, changed entry by entry: bgpd crashed once when a route-map in use was deleted and made again.

use std::collections::BTreeMap;

use leafwall_render::frr::{Action, FrrConfig, Match, RouteMapEntry, Set, Word};
use leafwall_topology::Family;

use crate::order::Plan;
use crate::slots::{Edits, edits, foreign, negate};
use crate::step::{Batch, Context, Step};

type Map<'a> = BTreeMap<u32, &'a RouteMapEntry>;

fn maps(config: &FrrConfig) -> BTreeMap<&Word, Map<'_>> {
    let mut maps: BTreeMap<&Word, Map<'_>> = BTreeMap::new();
    for entry in &config.route_maps {
        maps.entry(&entry.name).or_default().insert(entry.seq, entry);
    }
    maps
}

/// Plans all route-maps: changed ones before what uses them, those that go after it.
pub fn all(old: &FrrConfig, new: &FrrConfig, plan: &mut Plan) {
    let (before, after) = (maps(old), maps(new));
    let nothing = Map::new();
    for (name, map) in &after {
        change(before.get(name).unwrap_or(&nothing), map, &mut plan.global);
    }
    for map in before.iter().filter(|(name, _)| !after.contains_key(*name)).map(|(_, map)| map) {
        // permits first, should something foreign still use it
        for action in [Action::Permit, Action::Deny] {
            let entries = map.values().filter(|entry| entry.action == action);
            plan.clean.batch(Context::top(), entries.map(|entry| negate(&head(entry, entry.action))).collect());
        }
    }
}

fn head(entry: &RouteMapEntry, action: Action) -> String {
    format!("route-map {} {action} {}", entry.name, entry.seq)
}

/// Whether no permit stands behind a deny: then every mixture of the two maps lets through only what one of them does.
fn permits_first(old: &Map<'_>, new: &Map<'_>) -> bool {
    let of = |action: Action| old.iter().chain(new).filter(move |(_, entry)| entry.action == action).map(|(seq, _)| *seq);
    match (of(Action::Permit).max(), of(Action::Deny).min()) {
        (Some(last_permit), Some(first_deny)) => last_permit < first_deny,
        _ => true,
    }
}

fn change(old: &Map<'_>, new: &Map<'_>, step: &mut Step) {
    if old == new {
        return;
    }
    let open = permits_first(old, new);
    if !open {
        // every entry denies until all of them say what they should
        for entry in old.values().filter(|entry| entry.action == Action::Permit) {
            enter(entry, Action::Deny, step);
        }
    }
    for (seq, entry) in new {
        let before = old.get(seq).copied();
        if before == Some(*entry) {
            continue;
        }
        let batches = body(entry, before);
        let commands: usize = batches.iter().map(|batch| batch.1.len()).sum();
        let same_action = before.is_some_and(|before| before.action == entry.action);
        // a single command takes an entry from what it was to what it is; more of them must not be seen half way
        let through_deny = !open || commands > usize::from(same_action);
        let action = if through_deny { Action::Deny } else { entry.action };
        if batches.is_empty() || (open && !same_action) {
            enter(entry, action, step);
        }
        for (inner, commands) in batches {
            let context = Context::top().inner(head(entry, action));
            step.push(Batch { context: inner.iter().fold(context, |context, block| context.inner(block)), commands });
        }
        if open && action != entry.action {
            enter(entry, entry.action, step);
        }
    }
    for (seq, entry) in old {
        if !new.contains_key(seq) {
            let action = if open { entry.action } else { Action::Deny };
            step.batch(Context::top(), vec![negate(&head(entry, action))]);
        }
    }
    if !open {
        for entry in new.values().filter(|entry| entry.action == Action::Permit) {
            enter(entry, Action::Permit, step);
        }
    }
}

/// Entering an entry makes it, or gives it this action and leaves what it says (tried on FRR 10.3).
fn enter(entry: &RouteMapEntry, action: Action, step: &mut Step) {
    step.push(Batch { context: Context::top().inner(head(entry, action)), commands: Vec::new() });
}

/// What an entry says, by the blocks inside of it.
fn body(new: &RouteMapEntry, old: Option<&RouteMapEntry>) -> Vec<(Vec<String>, Vec<String>)> {
    let (matches, sets): (&[Match], &[Set]) = old.map_or((&[], &[]), |entry| (&entry.matches, &entry.sets));
    let Edits { gone, said } = edits(matches, &new.matches, match_slot, |item| format!("match {item}"));
    let mut commands = said;
    commands.extend(gone.iter().map(|text| negate(text)));
    let Edits { gone, said } = edits(sets, &new.sets, set_slot, |item| format!("set {item}"));
    commands.extend(gone.iter().map(|text| negate(text)));
    commands.extend(said);
    let mut all = if commands.is_empty() { Vec::new() } else { vec![(Vec::new(), commands)] };
    let foreign = foreign(&Context::top(), old.map_or(&[], |entry| &entry.foreign), &new.foreign);
    all.extend(foreign.into_iter().map(|batch| (batch.context.path().to_vec(), batch.commands)));
    all
}

const fn match_slot(item: &Match) -> u8 {
    match item {
        Match::AsPath(_) => 0,
        Match::Community(_) => 1,
        Match::EvpnRd(_) => 2,
        Match::EvpnRouteType(_) => 3,
        Match::EvpnVni(_) => 4,
        Match::ExtendedCommunity(_) => 5,
        Match::PrefixList(Family::V4, _) => 6,
        Match::PrefixList(Family::V6, _) => 7,
        Match::NextHopAddress(_) => 8,
        Match::NextHopPrefixList(_) => 9,
        Match::SourceVrf(_) => 10,
    }
}

const fn set_slot(item: &Set) -> u8 {
    match item {
        Set::AsPathExcludeAll | Set::AsPathExclude(_) => 0,
        Set::AsPathPrepend(_) => 1,
        Set::Community(_) => 2,
        Set::LocalPreference(_) => 3,
    }
}
