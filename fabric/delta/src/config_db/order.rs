//! From two databases to operations in order.

use std::collections::{BTreeMap, BTreeSet};

use leafwall_render::config_db::{ConfigDb, Hash, NOTHING, is_nothing, table};

use super::condition::Condition;
use super::rows::{Id, Maps, Part, Parts, gone, in_place, parts, place, prepares, present, stands_on};
use super::{Action, Operation, Phase, Plan, Write};

/// Whether a port is in service.
const ADMIN_STATUS: &str = "admin_status";
const UP: &str = "up";
const DOWN: &str = "down";

/// Two databases, taken apart.
struct Both {
    old: Parts,
    new: Parts,
    old_maps: Maps,
    new_maps: Maps,
    /// What is taken out, whether it comes back or not.
    out: BTreeSet<Id>,
}

/// From one whole database to another.
pub fn plan(old: &ConfigDb, new: &ConfigDb) -> Plan {
    let (old, new) = (parts(old), parts(new));
    let (old_maps, new_maps) = (Maps::of(&old), Maps::of(&new));
    let mut both = Both { old, new, old_maps, new_maps, out: BTreeSet::new() };
    both.out = both.taken_out();
    let mut operations = Vec::new();
    both.updates(&mut operations);
    both.removals(&mut operations);
    both.additions(&mut operations);
    operations.sort_by_key(|operation| operation.phase);
    Plan { operations, settled: both.settled() }
}

impl Both {
    /// Parts that go, parts that can't change in place, and all that stands on them.
    fn taken_out(&self) -> BTreeSet<Id> {
        let mut on: BTreeMap<Id, Vec<&Id>> = BTreeMap::new();
        for (id, hash) in &self.old {
            for base in stands_on(id, hash, &self.old_maps) {
                on.entry(base).or_default().push(id);
            }
        }
        let mut open: Vec<&Id> = self.old.iter().filter(|(id, hash)| self.must_go(id, hash)).map(|(id, _)| id).collect();
        let mut out = BTreeSet::new();
        loop {
            while let Some(id) = open.pop() {
                if out.insert(id.clone()) {
                    open.extend(on.get(id).into_iter().flatten());
                }
            }
            // what changes so that it stands on something which is made anew has to come after that, too
            let changed = self.old.iter().filter(|(id, old)| !out.contains(*id) && self.new.get(*id).is_some_and(|new| new != *old));
            open.extend(changed.map(|(id, _)| id).filter(|id| {
                self.new.get(*id).is_some_and(|new| stands_on(id, new, &self.new_maps).iter().any(|base| out.contains(base)))
            }));
            if open.is_empty() {
                return out;
            }
        }
    }

    fn must_go(&self, id: &Id, old: &Hash) -> bool {
        let Some(new) = self.new.get(id) else { return true };
        if old == new {
            return false;
        }
        // what is to stand on something that is not there yet comes after it
        let new_bases = || stands_on(id, new, &self.new_maps);
        !in_place(id, old, new) || new_bases().iter().any(|base| self.new.contains_key(base) && !self.old.contains_key(base))
    }

    fn removals(&self, operations: &mut Vec<Operation>) {
        let mut going: Vec<(&Id, &Hash)> = self.out.iter().filter_map(|id| Some((id, self.old.get(id)?))).collect();
        going.sort_by_key(|(id, _)| (std::cmp::Reverse(place(id, &self.old)), *id));
        let mut on: BTreeMap<Id, Vec<(&Id, &Hash)>> = BTreeMap::new();
        for &(id, hash) in &going {
            for base in stands_on(id, hash, &self.old_maps) {
                on.entry(base).or_default().push((id, hash));
            }
        }
        for (id, hash) in going {
            let above = on.get(id).into_iter().flatten();
            let when: BTreeSet<Condition> = above.flat_map(|(other, hash)| gone(other, hash, &self.old_maps)).collect();
            let when: Vec<Condition> = when.into_iter().collect();
            let operation = |when, action| Operation { phase: Phase::Remove, when, write: write(id, action) };
            if id.part == Part::Row {
                operations.push(operation(when, Action::Delete));
                continue;
            }
            operations.push(operation(when, put([("vni".to_owned(), "0".to_owned())], [])));
            let row = Id::row(&id.table, &id.key);
            if !self.out.contains(&row) && !self.new.contains_key(id) {
                let rest = self.new.get(&row).cloned().unwrap_or_default();
                operations.push(operation(gone(id, hash, &self.old_maps), put(rest, ["vni".to_owned()])));
            }
        }
    }

    fn updates(&self, operations: &mut Vec<Operation>) {
        for (id, new) in &self.new {
            let Some(old) = self.old.get(id).filter(|old| *old != new && !self.out.contains(id)) else { continue };
            let unset: Vec<String> = old.keys().filter(|field| !new.contains_key(*field)).cloned().collect();
            let mut set: Hash =
                new.iter().filter(|(field, value)| old.get(*field) != Some(value)).map(|(f, v)| (f.clone(), v.clone())).collect();
            // a VRF's VNI that stays is enough for its row to stay
            let vni = Id { part: Part::Vni, ..id.clone() };
            if id.part == Part::Row && self.old.contains_key(&vni) && self.new.contains_key(&vni) && !self.out.contains(&vni) {
                set.remove(NOTHING);
            }
            operations.push(Operation { phase: phase_of_update(id, old, new), when: Vec::new(), write: write(id, put(set, unset)) });
        }
    }

    fn additions(&self, operations: &mut Vec<Operation>) {
        let mut coming: Vec<(&Id, &Hash)> = self.new.iter().filter(|(id, _)| self.out.contains(id) || !self.old.contains_key(id)).collect();
        coming.sort_by_key(|(id, _)| (place(id, &self.new), *id));
        // what is back already was waited for when it came
        let mut back: BTreeSet<&Id> = BTreeSet::new();
        for (id, hash) in coming {
            let again = self.old.get(id);
            let phase = if prepares(id) && again.is_none() { Phase::Prepare } else { Phase::Add };
            let bases = stands_on(id, hash, &self.new_maps);
            let mut when: BTreeSet<Condition> = bases
                .iter()
                .filter_map(|base| Some((base, self.new.get(base)?)))
                .flat_map(|(base, hash)| present(base, hash, &self.new_maps))
                .collect();
            when.extend(again.into_iter().flat_map(|old| gone(id, old, &self.old_maps)));
            when.extend(self.in_the_way(id, hash, &back));
            back.insert(id);
            let when: Vec<Condition> = when.into_iter().collect();
            if id.part == Part::Vni {
                let empty = self.new.get(&Id::row(&id.table, &id.key)).is_some_and(is_nothing) && !hash.contains_key(NOTHING);
                let action = put(hash.clone(), empty.then(|| NOTHING.to_owned()));
                operations.push(Operation { phase, when, write: write(id, action) });
            } else if id.table == table::PORT && hash.get(ADMIN_STATUS).is_some_and(|status| status == UP) {
                let mut shut = hash.clone();
                shut.insert(ADMIN_STATUS.to_owned(), DOWN.to_owned());
                operations.push(Operation { phase, when, write: write(id, put(shut, [])) });
                let open = put([(ADMIN_STATUS.to_owned(), UP.to_owned())], []);
                operations.push(Operation { phase: Phase::Open, when: present(id, hash, &self.new_maps), write: write(id, open) });
            } else {
                operations.push(Operation { phase, when, write: write(id, put(hash.clone(), [])) });
            }
        }
    }

    /// What goes and can't be there together with a part that comes: the other use of a port, ports on the same lanes, another map of the VLAN or VNI.
    fn in_the_way(&self, id: &Id, new: &Hash, back: &BTreeSet<&Id>) -> Vec<Condition> {
        let going = |matches: &dyn Fn(&Id, &Hash) -> bool| -> Vec<Condition> {
            let found = self.out.iter().filter_map(|other| Some((other, self.old.get(other)?)));
            found
                .filter(|(other, hash)| *other != id && !back.contains(other) && matches(other, hash))
                .flat_map(|(other, hash)| gone(other, hash, &self.old_maps))
                .collect()
        };
        match (id.table.as_str(), id.second()) {
            (table::INTERFACE, None) => going(&|other, _| other.table == table::VLAN_MEMBER && other.second() == Some(id.name())),
            (table::VLAN_MEMBER, Some(port)) => going(&|other, _| {
                (other.table == table::INTERFACE && other.key == port)
                    || (other.table == table::VLAN_MEMBER && other.second() == Some(port))
            }),
            (table::PORT, _) => going(&|other, old| other.table == table::PORT && share_lanes(old, new)),
            (table::VXLAN_TUNNEL_MAP, _) => going(&|other, old| {
                other.table == table::VXLAN_TUNNEL_MAP && (old.get("vlan") == new.get("vlan") || old.get("vni") == new.get("vni"))
            }),
            (table::VRF, _) if id.part == Part::Vni => going(&|other, old| other.part == Part::Vni && old.get("vni") == new.get("vni")),
            _ => Vec::new(),
        }
    }

    fn settled(&self) -> Vec<Condition> {
        let went = self.out.iter().filter(|id| !self.new.contains_key(*id)).filter_map(|id| Some((id, self.old.get(id)?)));
        let came = self.new.iter().filter(|(id, _)| self.out.contains(*id) || !self.old.contains_key(*id));
        let mut settled: BTreeSet<Condition> = went.flat_map(|(id, hash)| gone(id, hash, &self.old_maps)).collect();
        settled.extend(came.flat_map(|(id, hash)| present(id, hash, &self.new_maps)));
        settled.into_iter().collect()
    }
}

fn write(id: &Id, action: Action) -> Write {
    Write { table: id.table.clone(), key: id.key.clone(), action }
}

fn put(set: impl IntoIterator<Item = (String, String)>, unset: impl IntoIterator<Item = String>) -> Action {
    Action::Put { set: set.into_iter().collect(), unset: unset.into_iter().collect() }
}

fn share_lanes(a: &Hash, b: &Hash) -> bool {
    let lanes =
        |hash: &Hash| hash.get("lanes").map(|lanes| lanes.split(',').map(str::to_owned).collect::<BTreeSet<_>>()).unwrap_or_default();
    !lanes(a).is_disjoint(&lanes(b))
}

fn phase_of_update(id: &Id, old: &Hash, new: &Hash) -> Phase {
    let is = |hash: &Hash, field: &str, value: &str| hash.get(field).is_some_and(|found| found == value);
    match id.table.as_str() {
        table::PORT => match (is(old, ADMIN_STATUS, UP), is(new, ADMIN_STATUS, UP)) {
            (true, false) => Phase::Shut,
            (false, true) => Phase::Open,
            _ => Phase::Update,
        },
        // whoever goes out through the management VRF has to have moved before it is given up
        table::MGMT_VRF_CONFIG if !is(new, "mgmtVrfEnabled", "true") => Phase::Open,
        _ if prepares(id) => Phase::Prepare,
        _ => Phase::Update,
    }
}
