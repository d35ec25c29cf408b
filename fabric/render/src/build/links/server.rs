//! Servers: outputs for their owners.

use std::collections::BTreeMap;

use leafwall_plan::device::{BridgedServerPlan, RoutedServerPlan};
use leafwall_topology::names::bond;
use leafwall_topology::{Family, Prefix};

use super::{link, loopback, ports, sysctls};
use crate::links::{Forwarding, LINKS_VERSION, Link, LinkKind, Links, LocalTable, Route, RouteTargetKind};

/// Milliseconds between a bond's looks at its ports.
const MIIMON_MS: u32 = 100;
/// The main routing table.
const MAIN_TABLE: u32 = 254;
/// The metric of default routes: what IPv6 takes where none is given.
const METRIC: u32 = 1024;

/// A routed server: its addresses on `lo`, its ports bare.
pub fn routed(plan: &RoutedServerPlan) -> Links {
    let mut links: Vec<_> = loopback(plan.addresses.iter().chain(&plan.elastic).copied()).into_iter().collect();
    links.extend(plan.uplinks.iter().map(ports::fabric));
    Links {
        version: LINKS_VERSION,
        forwarding: Forwarding::Immediate,
        local_table: LocalTable::First,
        sysctls: sysctls::server(),
        links,
        routes: Vec::new(),
    }
}

/// A bridged server: one port, or two in an active-backup bond; its gateway does the rest.
pub fn bridged(plan: &BridgedServerPlan) -> Links {
    let port = |name| Link { mtu: Some(plan.mtu), ..link(name, LinkKind::Physical {}) };
    let mut links = Vec::new();
    match plan.ports.as_slice() {
        [only] => links.push(Link { addresses: plan.addresses.clone(), ..port(only.name.clone()) }),
        several => {
            let kind = LinkKind::Bond { miimon_ms: MIIMON_MS };
            links.push(Link { mtu: Some(plan.mtu), addresses: plan.addresses.clone(), ..link(bond(), kind) });
            links.extend(several.iter().map(|one| Link { master: Some(bond()), ..port(one.name.clone()) }));
        }
    }
    for link in &mut links {
        link.addresses.sort_unstable();
    }
    let mut routes: Vec<_> = plan
        .gateways
        .iter()
        .map(|&gateway| Route {
            table: MAIN_TABLE,
            prefix: Prefix::any(Family::of(gateway)),
            target: RouteTargetKind::Via { gateway },
            metric: METRIC,
        })
        .collect();
    routes.sort();
    Links {
        version: LINKS_VERSION,
        forwarding: Forwarding::Immediate,
        local_table: LocalTable::First,
        sysctls: BTreeMap::new(),
        links,
        routes,
    }
}
