//! Addresses of one network: who has which. Every network has a space of its own, since two tenants may use the same prefixes.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;

use leafwall_topology::{Family, Name, Prefix};

use super::numbers::{Numbers, Revision};
use super::problem::{ProblemKind, Run, TablePath};

/// Who can have addresses in a network.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum AddressHolder {
    /// A routed Allocation.
    Routed(Name),
    /// A bridged Allocation.
    Bridged(Name),
    /// An Address object.
    Elastic(Name),
    /// A firewall machine that is managed through the network.
    Inband(Name),
}

impl AddressHolder {
    /// The keys below a network in `allocation.yaml`.
    pub fn keys(&self) -> [&str; 2] {
        match self {
            Self::Routed(name) => ["routed", name.as_str()],
            Self::Bridged(name) => ["bridged", name.as_str()],
            Self::Elastic(name) => ["elastic", name.as_str()],
            Self::Inband(name) => ["inband", name.as_str()],
        }
    }
}

/// The addresses of one network.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AddressPool {
    held: BTreeMap<AddressHolder, Vec<IpAddr>>,
    numbers: Numbers<IpAddr, AddressHolder>,
    /// Who had an address last; only those that rest.
    former: BTreeMap<IpAddr, AddressHolder>,
}

impl AddressPool {
    /// What a holder has, sorted.
    pub fn get(&self, holder: &AddressHolder) -> &[IpAddr] {
        self.held.get(holder).map_or(&[], Vec::as_slice)
    }

    /// All holders with what they have, sorted.
    pub fn iter(&self) -> impl Iterator<Item = (&AddressHolder, &[IpAddr])> {
        self.held.iter().map(|(holder, addresses)| (holder, addresses.as_slice()))
    }

    /// The addresses by value.
    pub fn numbers(&self) -> &Numbers<IpAddr, AddressHolder> {
        &self.numbers
    }

    /// Gives an address to a holder; the error is who has it.
    pub fn claim(&mut self, holder: &AddressHolder, address: IpAddr) -> Result<(), AddressHolder> {
        self.numbers.claim(address, holder.clone())?;
        self.former.remove(&address);
        let addresses = self.held.entry(holder.clone()).or_default();
        if let Err(place) = addresses.binary_search(&address) {
            addresses.insert(place, address);
        }
        Ok(())
    }

    fn release(&mut self, holder: &AddressHolder, address: IpAddr, now: Revision) {
        if let Some(addresses) = self.held.get_mut(holder) {
            addresses.retain(|held| *held != address);
            if addresses.is_empty() {
                self.held.remove(holder);
            }
            self.numbers.release(address, now);
            self.former.insert(address, holder.clone());
            let numbers = &self.numbers;
            self.former.retain(|address, _| !numbers.is_free(*address, now));
        }
    }

    /// Addresses that rest in revision `now`, with who had them last.
    pub fn former(&self, now: Revision) -> impl Iterator<Item = (IpAddr, &AddressHolder)> {
        self.former.iter().filter(move |(address, _)| !self.numbers.is_free(**address, now)).map(|(address, holder)| (*address, holder))
    }

    /// Notes who had an address last, as a stored table says; only one that rests can be meant.
    pub fn formerly(&mut self, holder: AddressHolder, address: IpAddr) {
        if self.numbers.rests(address) {
            self.former.insert(address, holder);
        }
    }

    /// Marks an address as resting, as a stored table says.
    pub fn rest(&mut self, address: IpAddr, since: Revision) {
        self.numbers.rest(address, since);
    }
}

/// What a holder wants.
#[derive(Debug, Clone)]
pub(super) struct AddressWant {
    /// Addresses that an intent fixes.
    pub fixed: Vec<IpAddr>,
    /// Where the others come from.
    pub from: Source,
}

/// Where allocated addresses come from.
#[derive(Debug, Clone)]
pub(super) enum Source {
    /// One of each of these families, out of the first prefix that has one left.
    Prefixes(Vec<Family>),
    /// One of each family of one segment: the one where an address is held or fixed already, else the first that has room.
    Segment,
}

/// A network as its addresses see it.
#[derive(Debug)]
pub(super) struct Space<'a> {
    /// The network's name.
    pub network: &'a Name,
    /// Its prefixes.
    pub prefixes: &'a [Prefix],
    /// Its bridged segments, each with one prefix per family at most.
    pub segments: Vec<&'a [Prefix]>,
    /// Addresses that nobody can have: gateways, and both ends of links to the outside.
    pub reserved: BTreeSet<IpAddr>,
    /// Whose addresses that rest are.
    pub resting: Resting,
}

/// To whom an address that rests may be given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Resting {
    /// To the holder who had it last: in a tenant's own network it is still the same tenant's.
    FormerHolder,
    /// To nobody: where several tenants have addresses, another one may come by the same name.
    Nobody,
}

/// One address that is still to be found.
enum Missing {
    Family(AddressHolder, Family),
    Inside(AddressHolder, Prefix),
    Segment(AddressHolder),
}

/// Brings the addresses of a network in line with what is wanted there; `wants` is everything that is wanted, sorted by holder.
pub(super) fn sync(run: &mut Run, pool: &mut Arc<AddressPool>, space: &Space<'_>, wants: &BTreeMap<AddressHolder, AddressWant>) {
    let mut release: Vec<(AddressHolder, IpAddr)> = Vec::new();
    let mut claim: Vec<(AddressHolder, IpAddr)> = Vec::new();
    let mut missing: Vec<Missing> = Vec::new();
    for (holder, addresses) in pool.iter().filter(|(holder, _)| !wants.contains_key(*holder)) {
        release.extend(addresses.iter().map(|address| (holder.clone(), *address)));
    }
    for (holder, want) in wants {
        let held = pool.get(holder);
        let mut keep: BTreeSet<IpAddr> = want.fixed.iter().copied().collect();
        match &want.from {
            Source::Prefixes(families) => {
                for family in families {
                    if want.fixed.iter().any(|a| Family::of(*a) == *family) {
                        continue;
                    }
                    match held.iter().find(|a| Family::of(**a) == *family) {
                        Some(address) => {
                            keep.insert(*address);
                            check_inside(run, space, holder, *address, space.prefixes);
                        }
                        None => missing.push(Missing::Family(holder.clone(), *family)),
                    }
                }
            }
            Source::Segment => {
                let of = |address: &IpAddr| space.segments.iter().find(|s| s.iter().any(|p| p.contains_address(*address)));
                match want.fixed.iter().chain(held).find_map(of) {
                    Some(segment) => {
                        for prefix in *segment {
                            let inside = |a: &&IpAddr| prefix.contains_address(**a);
                            if !want.fixed.iter().any(|a| inside(&a)) {
                                match held.iter().find(inside) {
                                    Some(address) => {
                                        keep.insert(*address);
                                    }
                                    None => missing.push(Missing::Inside(holder.clone(), *prefix)),
                                }
                            }
                        }
                    }
                    None if held.is_empty() => missing.push(Missing::Segment(holder.clone())),
                    None => {
                        keep.extend(held);
                        let all: Vec<Prefix> = space.segments.iter().flat_map(|s| s.iter().copied()).collect();
                        for address in held {
                            check_inside(run, space, holder, *address, &all);
                        }
                    }
                }
            }
        }
        release.extend(held.iter().filter(|a| !keep.contains(a)).map(|a| (holder.clone(), *a)));
        claim.extend(keep.iter().filter(|a| !held.contains(a)).map(|a| (holder.clone(), *a)));
    }
    if release.is_empty() && claim.is_empty() && missing.is_empty() {
        return;
    }
    let pool = Arc::make_mut(pool);
    run.changed = true;
    for (holder, address) in release {
        pool.release(&holder, address, run.now);
    }
    for (holder, address) in claim {
        if let Err(other) = pool.claim(&holder, address) {
            let [kind, name] = other.keys();
            let by = TablePath::new(&[&"addresses", space.network, &kind, &name]).to_string();
            run.problem(path(space, &holder), ProblemKind::Taken { value: address.to_string(), by });
        }
    }
    fill(run, pool, space, missing);
}

fn path(space: &Space<'_>, holder: &AddressHolder) -> TablePath {
    let [kind, name] = holder.keys();
    TablePath::new(&[&"addresses", space.network, &kind, &name])
}

fn check_inside(run: &mut Run, space: &Space<'_>, holder: &AddressHolder, address: IpAddr, prefixes: &[Prefix]) {
    if space.reserved.contains(&address) {
        let by = format!("a gateway or external peer of network {}", space.network);
        run.problem(path(space, holder), ProblemKind::Taken { value: address.to_string(), by });
    } else if !prefixes.iter().any(|prefix| prefix.contains_address(address)) {
        run.problem(path(space, holder), ProblemKind::Outside { value: address.to_string(), range: list(prefixes) });
    }
}

fn list(prefixes: &[Prefix]) -> String {
    prefixes.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

/// Finds an address for everyone who has none yet, the lowest free one each.
fn fill(run: &mut Run, pool: &mut AddressPool, space: &Space<'_>, missing: Vec<Missing>) {
    // what lies below a cursor is taken: nothing is released any more in this run
    let mut cursors: BTreeMap<Prefix, u128> = BTreeMap::new();
    for wanted in missing {
        let (holder, found, range) = match wanted {
            Missing::Family(holder, family) => {
                let prefixes: Vec<Prefix> = space.prefixes.iter().copied().filter(|p| p.family() == family).collect();
                if prefixes.is_empty() {
                    let why = format!("network `{}` has no such prefix", space.network);
                    let what = format!("{} address", family_name(family));
                    run.problem(path(space, &holder), ProblemKind::NoRange { what, why });
                    continue;
                }
                let returning = || prefixes.iter().find_map(|p| former(run, pool, space, &holder, *p));
                let found = returning().or_else(|| prefixes.iter().find_map(|p| next(run, pool, space, &mut cursors, *p)));
                (holder, found.map(|a| vec![a]), list(&prefixes))
            }
            Missing::Inside(holder, prefix) => {
                let found = former(run, pool, space, &holder, prefix).or_else(|| next(run, pool, space, &mut cursors, prefix));
                (holder, found.map(|a| vec![a]), prefix.to_string())
            }
            Missing::Segment(holder) => {
                if space.segments.is_empty() {
                    let why = format!("network `{}` has no subnet", space.network);
                    run.problem(path(space, &holder), ProblemKind::NoRange { what: "address".to_owned(), why });
                    continue;
                }
                let mut room = |segment: &&[Prefix]| -> Option<Vec<IpAddr>> {
                    let one = |prefix: &Prefix| {
                        former(run, pool, space, &holder, *prefix).or_else(|| next(run, pool, space, &mut cursors, *prefix))
                    };
                    segment.iter().map(one).collect()
                };
                let had = |segment: &&&[Prefix]| segment.iter().any(|prefix| former(run, pool, space, &holder, *prefix).is_some());
                let found = space.segments.iter().find(had).and_then(&mut room).or_else(|| space.segments.iter().find_map(room));
                (holder, found, space.segments.iter().map(|s| list(s)).collect::<Vec<_>>().join(", "))
            }
        };
        let Some(found) = found else {
            let resting = pool.numbers.resting_at(run.now);
            run.problem(path(space, &holder), ProblemKind::Exhausted { what: "address".to_owned(), range, resting });
            continue;
        };
        for address in found {
            // free a moment ago
            let _ = pool.claim(&holder, address);
        }
    }
}

const fn family_name(family: Family) -> &'static str {
    match family {
        Family::V4 => "IPv4",
        Family::V6 => "IPv6",
    }
}

/// The address of a prefix that a holder had last, if that rests and may be given back.
fn former(run: &Run, pool: &AddressPool, space: &Space<'_>, holder: &AddressHolder, prefix: Prefix) -> Option<IpAddr> {
    if space.resting == Resting::Nobody {
        return None;
    }
    let returns = |(address, had): &(IpAddr, &AddressHolder)| {
        *had == holder && prefix.contains_address(*address) && !space.reserved.contains(address)
    };
    pool.former(run.now).find(returns).map(|(address, _)| address)
}

/// The lowest free address of a prefix: never the first one (the network's own, or IPv6's router anycast, RFC 4291 §2.6.1), nor IPv4's broadcast.
fn next(run: &Run, pool: &AddressPool, space: &Space<'_>, cursors: &mut BTreeMap<Prefix, u128>, prefix: Prefix) -> Option<IpAddr> {
    let host_bits = prefix.family().host_length() - prefix.length();
    let start = u128::from(host_bits > 1);
    let cursor = cursors.entry(prefix).or_insert(start);
    loop {
        let address = prefix.nth(*cursor)?;
        if prefix.family() == Family::V4 && host_bits > 1 && address == prefix.last() {
            return None;
        }
        if pool.numbers.is_free(address, run.now) && !space.reserved.contains(&address) {
            return Some(address);
        }
        *cursor += 1;
    }
}
