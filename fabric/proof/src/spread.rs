//! How far a route gets from where it is made: over every session whose filters let it through, each device keeping the shortest path.

use std::collections::BTreeMap;

use leafwall_render::frr::{Direction, FamilyNeighborStatement};
use leafwall_topology::{Family, Name};

use crate::fabric::{Edge, Fabric};
use crate::filters::Attributes;
use crate::routes::RouteSet;

/// What of a set of routes arrives where, with which attributes.
pub type Arrivals<'a> = BTreeMap<&'a Name, Vec<(RouteSet, Attributes)>>;

/// Spreads routes from a device. `family` is that of prefix lists on neighbours; EVPN has none.
pub fn spread<'a>(
    fabric: &'a Fabric<'a>,
    edges: &'a BTreeMap<&'a Name, Vec<Edge<'a>>>,
    from: &'a Name,
    family: Option<Family>,
    routes: &RouteSet,
    attributes: &Attributes,
) -> Arrivals<'a> {
    let mut arrived: Arrivals<'a> = BTreeMap::new();
    let mut kept: BTreeMap<&Name, RouteSet> = BTreeMap::new();
    // by length of path: what comes first is what bgpd keeps
    let mut open: BTreeMap<usize, Vec<(&Name, RouteSet, Attributes)>> = BTreeMap::new();
    open.entry(attributes.path.len()).or_default().push((from, routes.clone(), attributes.clone()));
    while let Some((_, batch)) = open.pop_first() {
        for (at, set, attributes) in batch {
            let known = kept.entry(at).or_default();
            let new = set.minus(known);
            if new.is_empty() {
                continue;
            }
            *known = known.or(&new);
            for edge in edges.get(at).into_iter().flatten() {
                for (set, attributes) in over(fabric, at, edge, family, &new, &attributes) {
                    open.entry(attributes.path.len()).or_default().push((edge.to, set, attributes));
                }
            }
            arrived.entry(at).or_default().push((new, attributes));
        }
    }
    arrived
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
    let (Some(near), Some(far)) = (fabric.filters.get(from), fabric.filters.get(edge.to)) else { return Vec::new() };
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
