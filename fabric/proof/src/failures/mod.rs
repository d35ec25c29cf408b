//! Single failures: what redundancy promises still works after each, and nothing opens by any.
//!
//! That nobody is joined, announced or let through who should not be is proved without a routing table, and a failure only takes routes away. Which routes are *left*
//! is looked at here: for each failure the tables that the fabric comes to without what failed, and the pairs of endpoints for which anything is another way then. All
//! others are as in the fabric where nothing has failed, which was proved before.

mod standing;

use std::collections::BTreeSet;
use std::fmt::{self, Write as _};
use std::sync::Arc;

use leafwall_topology::{Cable, Name, PortRef, Prefix};
use rayon::prelude::*;

pub use standing::{Standing, Station, singles};

use crate::fabric::Fabric;
use crate::finding::Finding;
use crate::ground::{Ground, Owner};
use crate::islands::Island;
use crate::matrix::{self, Matcher, addresses};
use crate::read::Devices;
use crate::tables::{self, Converged, Kind, Route, Tables, Via};

/// So many failures are looked at without being asked for: each costs about as much as a proof of its own, and both grow with the fabric.
pub const FEW: usize = 300;

/// Findings that are told of one failure: where a leaf takes a whole rack with it, the first ones say it all.
const TOLD: usize = 4;

/// One thing that fails.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Failure {
    /// A switch or a firewall machine.
    Device(Name),
    /// A cable of the fabric.
    Cable(Cable),
    /// An exit's cable to the outside.
    Outside(PortRef),
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Device(device) => write!(f, "{device} down"),
            Self::Cable(cable) => write!(f, "{cable} down"),
            Self::Outside(end) => write!(f, "{end} -- outside down"),
        }
    }
}

impl Failure {
    /// What is left of the devices.
    fn taken_from(&self, devices: &Devices) -> Devices {
        let mut left = devices.clone();
        let mut without = |end: &PortRef| {
            if let Some(device) = left.get_mut(&end.device) {
                *device = Arc::new(device.without(&end.port));
            }
        };
        match self {
            Self::Device(gone) => _ = left.remove(gone),
            Self::Outside(end) => without(end),
            Self::Cable(cable) => [&cable.a, &cable.b].into_iter().for_each(without),
        }
        left
    }

    /// Whether trusted devices keep all sessions that they have with each other.
    fn keeps_sessions(&self, ground: &Ground<'_>) -> bool {
        match self {
            Self::Device(_) => false,
            Self::Outside(_) => true,
            Self::Cable(cable) => {
                [&cable.a, &cable.b].into_iter().any(|end| matches!(ground.owner(&end.device, &end.port), Some(Owner::Machine { .. })))
            }
        }
    }
}

/// A fabric where nothing has failed, as it was proved.
pub struct Whole<'w, 'a> {
    /// What was read.
    pub fabric: &'w Fabric<'a>,
    /// Its tables.
    pub converged: &'w Converged<'a>,
    /// Its walker.
    pub matcher: &'w Matcher<'w, 'a>,
}

/// Looks at all failures; what is wrong after each.
pub fn check<'a>(whole: &Whole<'_, 'a>, islands: &[Island<'a>], failures: &[Failure]) -> Vec<Finding> {
    let found: Vec<Vec<Finding>> = failures.par_iter().map(|failure| after(whole, islands, failure)).collect();
    found.into_iter().flatten().collect()
}

fn after<'a>(whole: &Whole<'_, 'a>, islands: &[Island<'a>], failure: &Failure) -> Vec<Finding> {
    let ground = whole.fabric.ground;
    let left = failure.taken_from(whole.fabric.devices);
    let fabric = whole.fabric.with(&left);
    let nothing = Converged::default();
    let everything = Island::whole(&left, ground);
    let converged =
        tables::converge_again(&fabric, &everything.vrfs, if failure.keeps_sessions(ground) { whole.converged } else { &nothing });
    let standing = Standing::new(ground, Some(failure));
    let matcher = Matcher::new(&fabric, &everything, &converged.tables, standing);
    let touched = touched(whole, &fabric, &converged.tables, &matcher);
    if touched.is_empty() {
        return Vec::new();
    }
    let matrix = matcher.matrix_of(islands, &touched);
    let mut findings = matrix::check(&matcher, &matrix);
    findings.sort();
    let more = findings.len().saturating_sub(TOLD);
    findings.truncate(TOLD);
    for finding in &mut findings {
        finding.message = format!("{failure}: {}", finding.message);
    }
    if let Some(last) = findings.last_mut().filter(|_| more > 0) {
        let _ = write!(last.message, " (and {more} more findings with {failure})");
    }
    findings
}

/// Endpoints that packets get to, or answers back from, on another way than before.
fn touched<'a, 'f>(whole: &Whole<'_, 'a>, fabric: &Fabric<'f>, tables: &Tables, matcher: &Matcher<'_, 'f>) -> BTreeSet<&'a Name> {
    let endpoints = whole.matcher.endpoints();
    let tunnels_work = whole.matcher.walker().working().into_iter().all(|(to, from)| {
        let there = fabric.devices.get_key_value(from).filter(|_| fabric.by_vtep(to).is_some());
        there.is_none_or(|(from, _)| matcher.walker().tunnel_works(from, Some(to)))
    });
    let changed = changed(&whole.converged.tables, tables, fabric.devices);
    let moved = |address: &std::net::IpAddr| changed.iter().any(|prefix| prefix.contains_address(*address));
    // answers to what is translated look for the translation's address
    let translated = whole.fabric.ground.model.firewalls.values().flat_map(|firewall| firewall.egress.values().flatten());
    let translated = translated.filter_map(|name| whole.fabric.ground.model.addresses.get(name));
    let mut translated = translated.flat_map(|address| whole.fabric.ground.elastic(address));
    if !tunnels_work || translated.any(moved) {
        return endpoints.keys().collect();
    }
    let standing = matcher.standing();
    let is_touched = |name: &Name| {
        let Some(endpoint) = endpoints.get(name) else { return false };
        let outside = whole.fabric.ground.outside.iter().any(|outside| outside.name == endpoint.node);
        standing.concerns(&endpoint.node)
            || (outside && standing.concerns_outside())
            || addresses(endpoint).any(|address| moved(&address))
            || whole.matcher.heard(name) != matcher.heard(name)
    };
    endpoints.keys().filter(|name| is_touched(name)).collect()
}

/// Prefixes that some device sends another way than before, or no longer.
fn changed(before: &Tables, after: &Tables, left: &Devices) -> BTreeSet<Prefix> {
    let mut changed = BTreeSet::new();
    // what else routes carry has its effect in other tables, or in what neighbours are told
    let ways = |routes: Option<&BTreeSet<Route>>| -> BTreeSet<(Kind, Via)> {
        routes.into_iter().flatten().map(|route| (route.kind, route.via.clone())).collect()
    };
    for (place, table) in before.iter().filter(|((device, _), _)| left.contains_key(device)) {
        let now = after.get(place);
        for (prefix, routes) in table {
            let routes_now = now.and_then(|table| table.get(prefix));
            if routes_now != Some(routes) && ways(Some(routes)) != ways(routes_now) {
                changed.insert(*prefix);
            }
        }
        changed.extend(now.into_iter().flat_map(|table| table.keys()).filter(|prefix| !table.contains_key(prefix)));
    }
    changed
}
