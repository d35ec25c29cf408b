//! What the rendered filters hold, by the hazard that each is against. Every assertion is on the tree that is read back from the file.

use leafwall_plan::device::{Device, DevicePlan, Lengths, PrefixMatch};
use leafwall_render::frr::{
    Action, AttributeKind, Direction, EvpnRouteType, Exchange, FamilyKind, FamilyNeighbor, FamilyNeighborStatement, FrrConfig, Match, Peer,
    RouterBgp, Setting,
};
use leafwall_render::{FRR_CONF, render_device};
use leafwall_tests::rendered::{Rendered, golden_fabrics, rendered};
use leafwall_topology::{Family, Role};

fn fra1() -> Rendered {
    rendered(&golden_fabrics()[0].1)
}

fn config(plan: &DevicePlan) -> FrrConfig {
    FrrConfig::parse(&render_device(plan).unwrap().files[FRR_CONF]).unwrap()
}

/// All switches of a role with their configurations.
fn switches(fabric: &Rendered, role: Role) -> Vec<(DevicePlan, FrrConfig)> {
    let of_role =
        fabric.planner.plan().devices.values().filter(|plan| matches!(&plan.device, Device::Switch(switch) if switch.role == role));
    of_role.map(|plan| (plan.as_ref().clone(), config(plan))).collect()
}

fn neighbors(router: &RouterBgp, kind: FamilyKind) -> &[FamilyNeighbor] {
    router.families.iter().find(|family| family.kind == kind).map_or(&[], |family| &family.neighbors)
}

fn filters(neighbor: &FamilyNeighbor, direction: Direction) -> Vec<(&'static str, String)> {
    neighbor
        .statements
        .iter()
        .filter_map(|statement| match statement {
            FamilyNeighborStatement::PrefixList(name, to) if *to == direction => Some(("prefix-list", name.to_string())),
            FamilyNeighborStatement::FilterList(name, to) if *to == direction => Some(("filter-list", name.to_string())),
            FamilyNeighborStatement::RouteMap(name, to) if *to == direction => Some(("route-map", name.to_string())),
            _ => None,
        })
        .collect()
}

/// Every neighbour has a filter each way in every family, and every filter that is named is there: a missing one would permit or deny by chance.
#[test]
fn no_filter_is_missing_or_empty() {
    let fabric = fra1();
    for (name, artefacts) in &fabric.devices {
        let Some(text) = artefacts.files.get(FRR_CONF) else { continue };
        let config = FrrConfig::parse(text).unwrap();
        for router in &config.routers {
            for family in &router.families {
                for neighbor in &family.neighbors {
                    for direction in [Direction::In, Direction::Out] {
                        let filters = filters(neighbor, direction);
                        assert!(!filters.is_empty(), "{name}: {} {} {direction}", family.kind, neighbor.peer);
                        for (kind, filter) in filters {
                            let wanted = if family.kind == FamilyKind::Ipv6Unicast { Family::V6 } else { Family::V4 };
                            let there = match kind {
                                "prefix-list" => {
                                    config.prefix_lists.iter().any(|list| list.name.as_str() == filter && list.family == wanted)
                                }
                                "filter-list" => config
                                    .attribute_lists
                                    .iter()
                                    .any(|list| list.name.as_str() == filter && list.kind == AttributeKind::AsPath),
                                _ => config.route_maps.iter().any(|entry| entry.name.as_str() == filter),
                            };
                            assert!(there, "{name}: {kind} {filter} of {} is missing", neighbor.peer);
                        }
                    }
                }
            }
        }
    }
}

#[test]
fn h20_filters_are_per_port_and_empty_means_deny() {
    let fabric = fra1();
    for (mut plan, rendered) in switches(&fabric, Role::Leaf) {
        let Device::Switch(switch) = &mut plan.device else { panic!() };
        for router in rendered.routers.iter().filter(|router| router.vrf.is_some()) {
            for kind in [FamilyKind::Ipv4Unicast, FamilyKind::Ipv6Unicast] {
                for neighbor in neighbors(router, kind) {
                    let lists: Vec<_> = filters(neighbor, Direction::In).into_iter().filter(|(kind, _)| *kind == "prefix-list").collect();
                    let digit = if kind == FamilyKind::Ipv4Unicast { '4' } else { '6' };
                    assert_eq!(lists, [("prefix-list", format!("lw-{}-{digit}", neighbor.peer))]);
                }
            }
        }
        // a port that may announce nothing gets lists that say so, and no other port changes
        let Some(port) = switch.vrfs.iter_mut().flat_map(|vrf| &mut vrf.routed_ports).next() else { continue };
        port.accept.clear();
        let own: Vec<_> = ['4', '6'].iter().map(|digit| format!("lw-{}-{digit}", port.port)).collect();
        let emptied = config(&plan);
        for (before, after) in rendered.prefix_lists.iter().zip(&emptied.prefix_lists) {
            assert_eq!(before.name, after.name);
            if own.contains(&after.name.to_string()) {
                let [entry] = after.entries[..] else { panic!("{after:?}") };
                assert_eq!((entry.action, entry.prefix, entry.ge), (Action::Deny, leafwall_topology::Prefix::any(after.family), None));
                assert_eq!(entry.le, Some(after.family.host_length()));
            } else {
                assert_eq!(before, after);
            }
        }
    }
}

#[test]
fn h22_families_are_filtered_apart() {
    let fabric = fra1();
    for artefacts in fabric.devices.values() {
        let Some(text) = artefacts.files.get(FRR_CONF) else { continue };
        let config = FrrConfig::parse(text).unwrap();
        for list in &config.prefix_lists {
            assert!(list.entries.iter().all(|entry| entry.prefix.family() == list.family));
            assert!(
                list.name.as_str().ends_with(['4', '6']) || list.family == Family::V4 || list.name.as_str().contains(':'),
                "{}",
                list.name
            );
        }
        for entry in &config.route_maps {
            let families: Vec<_> = entry.matches.iter().filter(|m| matches!(m, Match::PrefixList(..))).collect();
            assert!(families.len() <= 1, "{entry:?}");
        }
    }
}

/// The entries of a firewall port's inbound route-map.
fn inbound<'a>(config: &'a FrrConfig, peer: &Peer) -> Vec<&'a leafwall_render::frr::RouteMapEntry> {
    let neighbor = neighbors(&config.routers[0], FamilyKind::L2vpnEvpn).iter().find(|neighbor| neighbor.peer == *peer).unwrap();
    let filters = filters(neighbor, Direction::In);
    let [("route-map", name)] = &filters[..] else { panic!("{filters:?}") };
    config.route_maps.iter().filter(|entry| entry.name.as_str() == name).collect()
}

/// H21, H35, H36, H39: on a firewall's port each permit names everything, and what is left is denied.
#[test]
fn h35_h36_h21_h39_a_firewall_port_takes_only_what_is_pinned_down() {
    let fabric = fra1();
    let mut ports = 0;
    for (plan, config) in switches(&fabric, Role::Leaf) {
        let Device::Switch(switch) = &plan.device else { panic!() };
        for port in &switch.firewall_ports {
            ports += 1;
            let entries = inbound(&config, &port.port.to_string().parse().unwrap());
            let (last, permits) = entries.split_last().unwrap();
            assert!(last.action == Action::Deny && last.matches.is_empty(), "{last:?}");
            assert!(!permits.is_empty());
            for entry in permits {
                assert_eq!(entry.action, Action::Permit);
                let [Match::EvpnRd(rd), Match::EvpnRouteType(EvpnRouteType::Prefix), Match::ExtendedCommunity(communities), rest @ ..] =
                    &entry.matches[..]
                else {
                    panic!("{entry:?}")
                };
                let vni = port.vnis.iter().find(|vni| vni.rd == *rd).unwrap_or_else(|| panic!("a foreign RD in {entry:?}"));
                // H39: the next hop is its loopback
                assert!(rest.contains(&Match::NextHopAddress(port.loopback)), "{entry:?}");
                // H36: `match evpn vni` does not filter inbound, so nothing relies on it
                assert!(rest.iter().all(|m| !matches!(m, Match::EvpnVni(_))));
                // H35, H39: one route target, VXLAN and its own router MAC, and nothing beside them
                let list = config.attribute_lists.iter().find(|list| list.name == *communities).unwrap();
                assert_eq!(list.kind, AttributeKind::ExtendedCommunityExpanded);
                let patterns: Vec<_> = list.entries.iter().map(|entry| entry.pattern.as_str()).collect();
                assert_eq!(patterns, [format!("^RT:65000:{} ET:8 Rmac:{}$", vni.vni, port.router_mac)]);
                // H21: only the prefixes of that VNI
                let Some(Match::PrefixList(family, name)) = rest.iter().find(|m| matches!(m, Match::PrefixList(..))) else {
                    panic!("{entry:?}")
                };
                let list = config.prefix_lists.iter().find(|list| list.name == *name && list.family == *family).unwrap();
                let listed: Vec<_> = list.entries.iter().map(|entry| (entry.action, entry.prefix)).collect();
                let ours = vni.accept.iter().filter(|found| found.prefix.family() == *family);
                assert_eq!(listed, ours.map(|found| (Action::Permit, found.prefix)).collect::<Vec<_>>());
                // standby: the leaf prepends, as often as it should
                let prepended: usize = entry.sets.iter().map(|set| set.to_string().matches(&port.asn.to_string()).count()).sum();
                assert_eq!(prepended, usize::from(port.prepend));
            }
        }
    }
    assert!(ports >= 8, "{ports}");
}

/// H37: to spines goes only what is our own or came in on one of our own ports, in every family.
#[test]
fn h37_leaves_and_exits_pass_no_spine_on_to_another() {
    let fabric = fra1();
    for role in [Role::Leaf, Role::Exit] {
        for (plan, config) in switches(&fabric, role) {
            let Device::Switch(switch) = &plan.device else { panic!() };
            let own = config.attribute_lists.iter().find(|list| list.name.as_str() == "lw-own").unwrap();
            let patterns: Vec<_> = own.entries.iter().map(|entry| entry.pattern.to_string()).collect();
            let expected: Vec<_> =
                std::iter::once("^$".to_owned()).chain(switch.own_asns.iter().map(|asn| format!("^{asn}(_|$)"))).collect();
            assert_eq!(patterns, expected);
            let fabric_peer: Peer = "FABRIC".parse().unwrap();
            let out = |kind| filters(neighbors(&config.routers[0], kind).iter().find(|n| n.peer == fabric_peer).unwrap(), Direction::Out);
            assert!(out(FamilyKind::Ipv4Unicast).contains(&("filter-list", "lw-own".to_owned())));
            assert_eq!(out(FamilyKind::L2vpnEvpn), [("route-map", "lw-evpn-fabric-out".to_owned())]);
            let map: Vec<_> = config.route_maps.iter().filter(|entry| entry.name.as_str() == "lw-evpn-fabric-out").collect();
            assert_eq!(map.len(), 1);
            assert_eq!(map[0].matches, [Match::AsPath("lw-own".parse().unwrap())]);
        }
    }
    // and nowhere is the loop check taken away
    for artefacts in fabric.devices.values() {
        assert!(!artefacts.files.get(FRR_CONF).is_some_and(|text| text.contains("allowas-in")));
    }
}

/// A server's port never takes a default route or the underlay, whatever the plan lists: the plan is checked for it here, the list for being the plan.
#[test]
fn a_server_announces_neither_a_default_route_nor_the_underlay() {
    let fabric = fra1();
    for (plan, _) in switches(&fabric, Role::Leaf) {
        let Device::Switch(switch) = &plan.device else { panic!() };
        for PrefixMatch { prefix, lengths } in switch.vrfs.iter().flat_map(|vrf| &vrf.routed_ports).flat_map(|port| &port.accept) {
            assert!(!prefix.is_default() && !prefix.overlaps(switch.common.loopbacks), "{prefix} {lengths:?}");
            assert!(*lengths != Lengths::Exact || prefix.is_host(), "{prefix}");
        }
    }
}

/// Routes that a peering leaks into a VRF are not told to the fabric from there.
#[test]
fn leaked_routes_are_not_passed_on() {
    let fabric = fra1();
    let mut leaking = 0;
    for (plan, config) in switches(&fabric, Role::Leaf) {
        let Device::Switch(switch) = &plan.device else { panic!() };
        for vrf in switch.vrfs.iter().filter(|vrf| !vrf.leaks.is_empty()) {
            leaking += 1;
            let name = leafwall_topology::names::vrf(vrf.vni);
            let router = config.routers.iter().find(|router| router.vrf.as_ref() == Some(&name)).unwrap();
            let evpn = router.families.iter().find(|family| family.kind == FamilyKind::L2vpnEvpn).unwrap();
            for exchange in &evpn.exchanges {
                let Exchange::Advertise(_, map) = exchange else { continue };
                let map = map.as_ref().unwrap();
                let denied: Vec<_> = config.route_maps.iter().filter(|entry| entry.name == *map && entry.action == Action::Deny).collect();
                for leak in &vrf.leaks {
                    let source = Match::SourceVrf(leafwall_topology::names::vrf(leak.from));
                    assert!(denied.iter().any(|entry| entry.matches == [source.clone()]), "{name}: {source}");
                }
            }
        }
    }
    assert!(leaking > 0);
}

/// A subnet is lent to the peered network of the same leaf: bgpd takes it over as valid only without its import check (tried on FRR 10.3). To switch it later makes
/// bgpd crash, so every instance of a switch's VRF is without from the start; a firewall machine's announcements rest on the check.
#[test]
fn subnets_are_lent_without_an_import_check() {
    let fabric = fra1();
    let unchecked = |router: &RouterBgp| router.settings.contains(&Setting::NoNetworkImportCheck);
    let mut vrfs = 0;
    for role in [Role::Leaf, Role::Exit] {
        for (plan, config) in switches(&fabric, role) {
            for router in &config.routers {
                assert_eq!(unchecked(router), router.vrf.is_some(), "{} {:?}", plan.name, router.vrf);
                vrfs += usize::from(router.vrf.is_some());
            }
        }
    }
    assert!(vrfs > 10);
    for plan in fabric.planner.plan().devices.values().filter(|plan| matches!(plan.device, Device::Firewall(_))) {
        assert!(!config(plan).routers.iter().any(unchecked), "{}", plan.name);
    }
}
