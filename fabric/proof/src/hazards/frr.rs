//! What can be read off frr.conf.

use std::collections::BTreeMap;

use leafwall_render::FRR_CONF;
use leafwall_render::frr::{
    Action, AttributeKind, Direction, Exchange, FamilyKind, FamilyNeighborStatement as Statement, Match, RouteMapEntry, RouterBgp,
};
use leafwall_render::links::LinkKind;
use leafwall_topology::{Family, Role};

use super::{FAMILY, Found, LOST_VNI, NO_EVPN, Place, SHARED_FILTER, SMUGGLED_TARGET, VALLEY, VNI_INBOUND};
use crate::ground::Owner;
use crate::sessions::{Session, sessions};

/// The version that H14 is about.
const LOSES_VNIS: &str = "10.0.1";

pub(super) fn check(place: &Place<'_>, found: &mut Found<'_>) {
    no_evpn(place, found);
    lost_vni(place, found);
    shared_filters(place, found);
    families(place, found);
    inbound_evpn(place, found);
    valleys(place, found);
}

/// H4
fn no_evpn(place: &Place<'_>, found: &mut Found<'_>) {
    let tunnel = place.device.links.links.iter().any(|link| matches!(link.kind, LinkKind::Vxlan { .. }));
    let families = place.device.router(None).into_iter().flat_map(|router| &router.families);
    let mut evpn = families.filter(|family| family.kind == FamilyKind::L2vpnEvpn).flat_map(|family| &family.exchanges);
    if tunnel && !evpn.any(|exchange| matches!(exchange, Exchange::AdvertiseAllVni)) {
        found.frr(NO_EVPN, "router bgp ", "no `advertise-all-vni` in the default instance, and there is a VXLAN device");
    }
}

/// H14
fn lost_vni(place: &Place<'_>, found: &mut Found<'_>) {
    if !place.device.frr.vrfs.iter().any(|vrf| vrf.vni.is_some()) {
        return;
    }
    let stated = found.text(FRR_CONF).lines().find_map(|line| line.strip_prefix("frr version ")).map(|version| version.trim().to_owned());
    let wanted = place.ground.model.switches.get(&place.device.name).and_then(|switch| switch.version.clone());
    for version in [stated, wanted].into_iter().flatten().filter(|version| version == LOSES_VNIS) {
        found.frr(LOST_VNI, "frr version ", format!("FRR {version}, and VRFs have VNIs"));
    }
}

fn inbound<'s>(statements: &'s [&'s Statement]) -> impl Iterator<Item = (&'static str, &'s str)> {
    statements.iter().filter_map(|statement| match statement {
        Statement::PrefixList(name, Direction::In) => Some(("prefix-list", name.as_str())),
        Statement::RouteMap(name, Direction::In) => Some(("route-map", name.as_str())),
        _ => None,
    })
}

const UNICAST: [(FamilyKind, Family); 2] = [(FamilyKind::Ipv4Unicast, Family::V4), (FamilyKind::Ipv6Unicast, Family::V6)];

/// H20
fn shared_filters(place: &Place<'_>, found: &mut Found<'_>) {
    if !place.is_switch() {
        return;
    }
    let is_strangers = |session: &Session<'_>| {
        let owner = session.interface().and_then(|port| place.ground.owner(&place.device.name, &port));
        !matches!(owner, Some(Owner::Switch(_)))
    };
    for (kind, family) in UNICAST {
        let mut users: BTreeMap<String, String> = BTreeMap::new();
        for router in &place.device.frr.routers {
            for session in sessions(router).filter(is_strangers) {
                let Some(statements) = session.active(router, kind) else { continue };
                let peer = session.peer.to_string();
                let mut filters = inbound(&statements).peekable();
                if filters.peek().is_none() {
                    found.frr(SHARED_FILTER, &format!("neighbor {peer} "), format!("neighbor {peer} has no inbound filter for {family:?}"));
                }
                for (word, name) in filters {
                    if let Some(other) = users.insert(format!("{word} {name}"), peer.clone()).filter(|other| *other != peer) {
                        let what = format!("{word} {name} filters both {other} and {peer}");
                        found.frr(SHARED_FILTER, &format!("neighbor {peer} {word} {name} in"), what);
                    }
                }
            }
        }
    }
}

/// H22
fn families(place: &Place<'_>, found: &mut Found<'_>) {
    let frr = &place.device.frr;
    for list in &frr.prefix_lists {
        for entry in list.entries.iter().filter(|entry| entry.prefix.family() != list.family) {
            let what = format!("prefix list {} of {:?} has {}", list.name, list.family, entry.prefix);
            found.frr(FAMILY, &format!("prefix-list {} seq {}", list.name, entry.seq), what);
        }
    }
    let is_of = |name: &str, family: Family| frr.prefix_lists.iter().any(|list| list.name.as_str() == name && list.family == family);
    for (kind, family) in UNICAST {
        let other = Family::BOTH.into_iter().find(|other| *other != family).unwrap_or(family);
        for stated in frr.routers.iter().flat_map(|router| &router.families).filter(|stated| stated.kind == kind) {
            for neighbor in &stated.neighbors {
                for statement in &neighbor.statements {
                    let wrong = match statement {
                        Statement::PrefixList(name, _) => !is_of(name.as_str(), family) && is_of(name.as_str(), other),
                        Statement::RouteMap(name, _) => is_blind(entries(place, name.as_str()), family),
                        _ => false,
                    };
                    if let (true, Statement::PrefixList(name, _) | Statement::RouteMap(name, _)) = (wrong, statement) {
                        let what = format!("{name} at neighbor {} in {family:?} knows {other:?} only", neighbor.peer);
                        found.frr(FAMILY, &format!("neighbor {} ", neighbor.peer), what);
                    }
                }
            }
        }
    }
}

fn entries<'a>(place: &'a Place<'_>, map: &'a str) -> impl Iterator<Item = &'a RouteMapEntry> + 'a {
    place.device.frr.route_maps.iter().filter(move |entry| entry.name.as_str() == map)
}

/// Whether a map looks at prefixes, and at those of the other family alone.
fn is_blind<'a>(entries: impl Iterator<Item = &'a RouteMapEntry>, family: Family) -> bool {
    let lists = entries.filter(|entry| entry.action == Action::Permit).flat_map(|entry| &entry.matches);
    let families: Vec<Family> =
        lists.filter_map(|condition| if let Match::PrefixList(family, _) = condition { Some(*family) } else { None }).collect();
    !families.is_empty() && !families.contains(&family)
}

/// H35 and H36: what stands in maps on the way in from firewall machines.
fn inbound_evpn(place: &Place<'_>, found: &mut Found<'_>) {
    if !place.is_switch() {
        return;
    }
    for router in &place.device.frr.routers {
        for session in sessions(router) {
            let owner = session.interface().and_then(|port| place.ground.owner(&place.device.name, &port));
            let Some(statements) = session.active(router, FamilyKind::L2vpnEvpn) else { continue };
            let from_firewall = matches!(owner, Some(Owner::Firewall(..)));
            for (_, map) in inbound(&statements).filter(|(word, _)| *word == "route-map") {
                for entry in entries(place, map).filter(|entry| entry.action == Action::Permit) {
                    for condition in &entry.matches {
                        match condition {
                            Match::EvpnVni(vni) => {
                                let what = format!("route-map {map} permit {} relies on `match evpn vni {vni}`", entry.seq);
                                found.frr(VNI_INBOUND, &format!(" match evpn vni {vni}"), what);
                            }
                            Match::ExtendedCommunity(list) if from_firewall && !is_whole(place, list.as_str()) => {
                                let what = format!("route-map {map} permit {} matches by {list}, which is no whole text", entry.seq);
                                found.frr(SMUGGLED_TARGET, &format!(" {list} seq "), what);
                            }
                            _ => {}
                        }
                    }
                    let pinned = entry.matches.iter().any(|condition| matches!(condition, Match::ExtendedCommunity(_)));
                    if from_firewall && !pinned {
                        let what = format!("route-map {map} permit {} looks at no route target", entry.seq);
                        found.frr(SMUGGLED_TARGET, &format!("route-map {map} permit {}", entry.seq), what);
                    }
                }
            }
        }
    }
}

fn is_whole(place: &Place<'_>, list: &str) -> bool {
    let expanded = |kind| matches!(kind, AttributeKind::ExtendedCommunityExpanded);
    let mut lists = place.device.frr.attribute_lists.iter().filter(|stated| stated.name.as_str() == list);
    let whole = |pattern: &str| pattern.starts_with("^RT:") && pattern.ends_with('$') && !pattern.contains('|') && !pattern.contains(".*");
    lists.all(|stated| expanded(stated.kind) && stated.entries.iter().all(|entry| whole(entry.pattern.as_str())))
}

/// H37
fn valleys(place: &Place<'_>, found: &mut Found<'_>) {
    let role = place.ground.model.switches.get(&place.device.name).map(|switch| switch.role);
    if role.is_none_or(|role| role == Role::Spine) {
        return;
    }
    let Some(router) = place.device.router(None) else { return };
    for (map, peer) in to_spines(place, router) {
        for entry in entries(place, &map).filter(|entry| entry.action == Action::Permit) {
            let own = entry.matches.iter().any(|condition| match condition {
                Match::AsPath(list) => only_own(place, list.as_str()),
                _ => false,
            });
            if !own {
                let what = format!("route-map {map} permit {} towards {peer} lets any AS path out", entry.seq);
                found.frr(VALLEY, &format!("route-map {map} permit {}", entry.seq), what);
            }
        }
    }
}

fn to_spines(place: &Place<'_>, router: &RouterBgp) -> BTreeMap<String, String> {
    let mut maps = BTreeMap::new();
    for session in sessions(router) {
        let owner = session.interface().and_then(|port| place.ground.owner(&place.device.name, &port));
        if !matches!(owner, Some(Owner::Switch(_))) {
            continue;
        }
        for statement in session.active(router, FamilyKind::L2vpnEvpn).into_iter().flatten() {
            if let Statement::RouteMap(map, Direction::Out) = statement {
                maps.entry(map.as_str().to_owned()).or_insert_with(|| session.peer.to_string());
            }
        }
    }
    maps
}

/// Whether a list permits only paths that are empty or begin with one number.
fn only_own(place: &Place<'_>, list: &str) -> bool {
    let lists =
        place.device.frr.attribute_lists.iter().filter(|stated| stated.kind == AttributeKind::AsPath && stated.name.as_str() == list);
    let begins =
        |pattern: &str| pattern.strip_prefix('^').is_some_and(|rest| rest == "$" || rest.starts_with(|c: char| c.is_ascii_digit()));
    lists.flat_map(|stated| &stated.entries).filter(|entry| entry.action == Action::Permit).all(|entry| begins(entry.pattern.as_str()))
}
