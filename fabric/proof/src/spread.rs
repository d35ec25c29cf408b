//! How far a route gets from where it is made: over every session whose filters let it through, each device keeping the shortest path.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use leafwall_render::frr::{Direction, FamilyNeighborStatement, Set};
use leafwall_topology::{Family, Name};

use crate::fabric::{Consulted, Edge, Fabric, Layer};
use crate::filters::{Attributes, Filters};
use crate::routes::RouteSet;

/// What of a set of routes arrives where, with which attributes.
pub type Arrivals<'a> = BTreeMap<&'a Name, Vec<(RouteSet, Attributes)>>;

/// How far routes get.
#[derive(Debug, Default)]
pub struct Spread<'a> {
    /// Where they arrive.
    pub arrivals: Arrivals<'a>,
    /// The devices that this depends on.
    pub consulted: Consulted<'a>,
}

/// Devices with what gets on from them, by the length of the path that it has at the other end at least.
type Open<'a> = BTreeMap<usize, Vec<(&'a Name, RouteSet, Attributes)>>;

/// Spreads routes from a device until they are at all devices that are asked about, or get no further. `family` is that of prefix lists on neighbours; EVPN
/// has none.
pub fn spread<'a>(
    fabric: &Fabric<'a>,
    layer: Layer,
    from: &'a Name,
    family: Option<Family>,
    routes: &RouteSet,
    attributes: &Attributes,
    wanted: &BTreeSet<&'a Name>,
) -> Spread<'a> {
    let mut spreading = Spreading {
        fabric,
        layer,
        family,
        wanted,
        open: Open::new(),
        aside: Open::new(),
        kept: BTreeMap::new(),
        consulted: wanted.iter().copied().chain([from]).collect(),
    };
    let mut missing: BTreeMap<&Name, RouteSet> = wanted.iter().filter(|at| **at != from).map(|at| (*at, routes.clone())).collect();
    let mut arrived: Arrivals<'a> = BTreeMap::new();
    spreading.open.entry(attributes.path.len()).or_default().push((from, routes.clone(), attributes.clone()));
    // by length of path: what comes first is what bgpd keeps
    while !missing.is_empty() {
        let shortest = spreading.open.keys().next().into_iter().chain(spreading.aside.keys().next()).min().copied();
        let Some(shortest) = shortest else { break };
        for (at, set, attributes) in spreading.open.remove(&shortest).unwrap_or_default() {
            let known = spreading.kept.entry(at).or_default();
            let new = set.minus(known);
            if new.is_empty() {
                continue;
            }
            *known = known.or(&new);
            if let Some(left) = missing.get_mut(at) {
                *left = left.minus(&new);
                if left.is_empty() {
                    missing.remove(at);
                }
            }
            spreading.on(at, &new, &attributes);
            if wanted.contains(at) {
                arrived.entry(at).or_default().push((new, attributes));
            }
        }
        // nobody who is asked about has everything yet: on to the others, who may pass it on
        if !missing.is_empty() && !spreading.open.contains_key(&shortest) {
            for (at, set, attributes) in spreading.aside.remove(&shortest).unwrap_or_default() {
                spreading.over_the_rest(at, &set, &attributes);
            }
        }
    }
    Spread { arrivals: arrived, consulted: Arc::new(spreading.consulted) }
}

struct Spreading<'a, 'w> {
    fabric: &'w Fabric<'a>,
    layer: Layer,
    family: Option<Family>,
    wanted: &'w BTreeSet<&'a Name>,
    open: Open<'a>,
    /// What was not told to neighbours yet that nobody asked about.
    aside: Open<'a>,
    kept: BTreeMap<&'a Name, RouteSet>,
    consulted: BTreeSet<&'a Name>,
}

impl<'a> Spreading<'a, '_> {
    /// From a device to its neighbours, first those that are asked about.
    fn on(&mut self, at: &'a Name, set: &RouteSet, attributes: &Attributes) {
        let wanted = self.wanted;
        for to in wanted {
            self.over_all(at, to, set, attributes);
        }
        // where paths get shorter, what comes by there may be what others keep: it is told at once
        let shortening = self.fabric.shortening(at);
        self.consulted.extend(shortening.looked_at.iter());
        for to in shortening.by_some.iter().filter(|to| !wanted.contains(*to)) {
            self.over_all(at, to, set, attributes);
        }
        self.aside.entry(attributes.path.len() + 1).or_default().push((at, set.clone(), attributes.clone()));
    }

    fn over_the_rest(&mut self, at: &'a Name, set: &RouteSet, attributes: &Attributes) {
        for to in self.fabric.neighbours(at).into_iter().filter(|to| !self.wanted.contains(*to)) {
            self.over_all(at, to, set, attributes);
        }
    }

    fn over_all(&mut self, at: &'a Name, to: &'a Name, set: &RouteSet, attributes: &Attributes) {
        self.consulted.extend([at, to]);
        for edge in self.fabric.sessions(self.layer, at, to).iter() {
            let new = self.kept.get(edge.to).map_or_else(|| set.clone(), |known| set.minus(known));
            if new.is_empty() {
                continue;
            }
            for (set, attributes) in over(self.fabric, at, edge, self.family, &new, attributes) {
                self.open.entry(attributes.path.len()).or_default().push((edge.to, set, attributes));
            }
        }
    }
}

/// Whether routes may have a shorter AS path behind a session than before it: they do not come in the order of their paths' lengths then.
pub fn shortens(near: &Filters<'_>, far: &Filters<'_>, edge: &Edge<'_>) -> bool {
    let maps = |statements: &[&FamilyNeighborStatement], filters: &Filters<'_>, direction: Direction| {
        statements.iter().any(|statement| match statement {
            FamilyNeighborStatement::RouteMap(name, towards) if *towards == direction => filters
                .route_map(name.as_str())
                .iter()
                .any(|entry| entry.sets.iter().any(|set| matches!(set, Set::AsPathExcludeAll | Set::AsPathExclude(_)))),
            _ => false,
        })
    };
    maps(&edge.out, near, Direction::Out) || maps(&edge.into, far, Direction::In)
}

/// What gets over one session.
fn over(
    fabric: &Fabric<'_>,
    from: &Name,
    edge: &Edge<'_>,
    family: Option<Family>,
    routes: &RouteSet,
    attributes: &Attributes,
) -> Vec<(RouteSet, Attributes)> {
    let (Some(near), Some(far)) = (fabric.filters(from), fabric.filters(edge.to)) else { return Vec::new() };
    let (Some(our_asn), Some(their_asn)) = (fabric.asn(from), fabric.asn(edge.to)) else { return Vec::new() };
    let allowed =
        edge.into.iter().find_map(|s| if let FamilyNeighborStatement::AllowasIn(count) = s { Some(usize::from(*count)) } else { None });
    let mut through = Vec::new();
    for (set, mut told) in near.neighbor(&edge.out, Direction::Out, family, routes, attributes) {
        told.path.insert(0, our_asn);
        if told.path.iter().filter(|asn| **asn == their_asn).count() > allowed.unwrap_or(0) {
            continue;
        }
        through.extend(far.neighbor(&edge.into, Direction::In, family, &set, &told));
    }
    through
}
