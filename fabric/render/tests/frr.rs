//! `parse(print(x)) == x` over random trees, and over what a device prints.

#![allow(clippy::unwrap_used)] // helpers of tests

use leafwall_render::frr::{
    Action, AddressFamily, AttributeEntry, AttributeKind, AttributeList, Bfd, BfdProfile, Defaults, Direction, EvpnRouteType, EvpnVni,
    Exchange, FamilyKind, FamilyNeighbor, FamilyNeighborStatement, Foreign, FrrConfig, Global, Match, Neighbor, NeighborStatement, Origin,
    Peer, PrefixEntry, PrefixList, RemoteAs, RouteMapEntry, RouterBgp, Set, Setting, Source, Text, VniStatement, Vrf, Word,
};
use leafwall_topology::{Asn, Family, IfName, Prefix, RouteDistinguisher, RouteTarget, Vni};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;

fn word() -> impl Strategy<Value = Word> {
    "lw-[a-z0-9_.:-]{1,12}".prop_map(|text| text.parse().unwrap())
}

fn text() -> impl Strategy<Value = Text> {
    "[!-~]([ -~]{0,20}[!-~])?".prop_map(|text| text.parse().unwrap())
}

fn interface() -> impl Strategy<Value = IfName> {
    "(swp|vrf)[0-9]{1,3}".prop_map(|text| text.parse().unwrap())
}

fn vni() -> impl Strategy<Value = Vni> {
    (1u64..=16_777_215).prop_map(|n| n.try_into().unwrap())
}

fn asn() -> impl Strategy<Value = Asn> {
    (1u64..=4_294_967_294).prop_map(|n| n.try_into().unwrap())
}

fn family() -> impl Strategy<Value = Family> {
    prop_oneof![Just(Family::V4), Just(Family::V6)]
}

fn prefix_of(family: Family) -> BoxedStrategy<Prefix> {
    match family {
        Family::V4 => (any::<[u8; 4]>(), 0u8..=32).prop_map(|(a, l)| Prefix::containing(a.into(), l).unwrap()).boxed(),
        Family::V6 => (any::<[u8; 16]>(), 0u8..=128).prop_map(|(a, l)| Prefix::containing(a.into(), l).unwrap()).boxed(),
    }
}

fn prefix() -> impl Strategy<Value = Prefix> {
    family().prop_flat_map(prefix_of)
}

fn action() -> impl Strategy<Value = Action> {
    prop_oneof![Just(Action::Permit), Just(Action::Deny)]
}

fn direction() -> impl Strategy<Value = Direction> {
    prop_oneof![Just(Direction::In), Just(Direction::Out)]
}

fn rd() -> impl Strategy<Value = RouteDistinguisher> {
    (any::<[u8; 4]>(), any::<u16>()).prop_map(|(a, number)| RouteDistinguisher { loopback: a.into(), number })
}

fn target() -> impl Strategy<Value = RouteTarget> {
    (any::<u16>(), any::<u32>()).prop_map(|(administrator, number)| RouteTarget { administrator, number })
}

/// A statement that no part of ours begins with.
fn foreign_text() -> impl Strategy<Value = Text> {
    "zz( [a-z0-9./:]{1,8}){0,3}".prop_map(|text| text.parse().unwrap())
}

fn foreign(depth: u32) -> BoxedStrategy<Foreign> {
    if depth == 0 {
        return foreign_text().prop_map(Foreign::line).boxed();
    }
    (foreign_text(), vec(foreign(depth - 1), 0..2), option::of(Just("exit".parse().unwrap())))
        .prop_map(|(text, body, close)| Foreign { text, body, close })
        .boxed()
}

fn prefix_list() -> impl Strategy<Value = PrefixList> {
    family().prop_flat_map(|family| {
        let bound = || option::of(0..=family.host_length());
        let entry = (any::<u32>(), action(), prefix_of(family), bound(), bound()).prop_map(|(seq, action, prefix, ge, le)| PrefixEntry {
            seq,
            action,
            prefix,
            ge,
            le,
        });
        (word(), vec(entry, 1..4)).prop_map(move |(name, entries)| PrefixList { family, name, entries })
    })
}

fn attribute_list() -> impl Strategy<Value = AttributeList> {
    let entry = (any::<u32>(), action(), text()).prop_map(|(seq, action, pattern)| AttributeEntry { seq, action, pattern });
    (proptest::sample::select(AttributeKind::ALL.to_vec()), word(), vec(entry, 1..4)).prop_map(|(kind, name, entries)| AttributeList {
        kind,
        name,
        entries,
    })
}

fn condition() -> impl Strategy<Value = Match> {
    let route_type = prop_oneof![Just(EvpnRouteType::MacIp), Just(EvpnRouteType::Multicast), Just(EvpnRouteType::Prefix)];
    prop_oneof![
        word().prop_map(Match::AsPath),
        word().prop_map(Match::Community),
        rd().prop_map(Match::EvpnRd),
        route_type.prop_map(Match::EvpnRouteType),
        vni().prop_map(Match::EvpnVni),
        word().prop_map(Match::ExtendedCommunity),
        (family(), word()).prop_map(|(family, list)| Match::PrefixList(family, list)),
        any::<[u8; 4]>().prop_map(|a| Match::NextHopAddress(a.into())),
        word().prop_map(Match::NextHopPrefixList),
        interface().prop_map(Match::SourceVrf),
    ]
}

fn change() -> impl Strategy<Value = Set> {
    prop_oneof![
        Just(Set::AsPathExcludeAll),
        vec(asn(), 1..4).prop_map(Set::AsPathExclude),
        vec(asn(), 1..4).prop_map(Set::AsPathPrepend),
        "(no-export|65000:[0-9]{1,4})( additive)?".prop_map(|text| Set::Community(text.parse().unwrap())),
        any::<u32>().prop_map(Set::LocalPreference),
    ]
}

fn route_map() -> impl Strategy<Value = RouteMapEntry> {
    (word(), action(), any::<u32>(), vec(condition(), 0..4), vec(change(), 0..3), vec(foreign(1), 0..2))
        .prop_map(|(name, action, seq, matches, sets, foreign)| RouteMapEntry { name, action, seq, matches, sets, foreign })
}

fn peer() -> impl Strategy<Value = Peer> {
    prop_oneof![
        interface().prop_map(|name| Peer::Named(name.as_str().parse().unwrap())),
        any::<[u8; 4]>().prop_map(|a| Peer::Address(a.into())),
        any::<[u8; 16]>().prop_map(|a| Peer::Address(a.into())),
    ]
}

fn setting() -> impl Strategy<Value = Setting> {
    prop_oneof![
        any::<[u8; 4]>().prop_map(|a| Setting::RouterId(a.into())),
        Just(Setting::NoDefaultIpv4Unicast),
        Just(Setting::GracefulShutdown),
        Just(Setting::MultipathRelax),
        Just(Setting::NoNetworkImportCheck),
        foreign(1).prop_map(Setting::Foreign),
    ]
}

fn neighbor_statement() -> impl Strategy<Value = NeighborStatement> {
    let remote = || prop_oneof![Just(RemoteAs::External), Just(RemoteAs::Internal), asn().prop_map(RemoteAs::Asn)];
    prop_oneof![
        Just(NeighborStatement::PeerGroup),
        word().prop_map(NeighborStatement::InterfacePeerGroup),
        remote().prop_map(NeighborStatement::InterfaceRemoteAs),
        remote().prop_map(NeighborStatement::RemoteAs),
        text().prop_map(NeighborStatement::Description),
        Just(NeighborStatement::Bfd),
        word().prop_map(NeighborStatement::BfdProfile),
        text().prop_map(NeighborStatement::Password),
        any::<u8>().prop_map(NeighborStatement::TtlSecurityHops),
        (any::<u16>(), any::<u16>()).prop_map(|(keepalive, hold)| NeighborStatement::Timers { keepalive, hold }),
        any::<u16>().prop_map(NeighborStatement::TimersConnect),
        foreign_text().prop_map(NeighborStatement::Foreign),
    ]
}

fn family_statement() -> impl Strategy<Value = FamilyNeighborStatement> {
    prop_oneof![
        Just(FamilyNeighborStatement::Activate),
        Just(FamilyNeighborStatement::RemovePrivateAs),
        (any::<u32>(), any::<Option<u16>>()).prop_map(|(count, restart)| FamilyNeighborStatement::MaximumPrefix { count, restart }),
        (1u8..=10).prop_map(FamilyNeighborStatement::AllowasIn),
        (word(), direction()).prop_map(|(list, d)| FamilyNeighborStatement::PrefixList(list, d)),
        (word(), direction()).prop_map(|(map, d)| FamilyNeighborStatement::RouteMap(map, d)),
        (word(), direction()).prop_map(|(list, d)| FamilyNeighborStatement::FilterList(list, d)),
        Just(FamilyNeighborStatement::NextHopUnchanged),
        foreign_text().prop_map(FamilyNeighborStatement::Foreign),
    ]
}

fn origin() -> impl Strategy<Value = Origin> {
    let source = prop_oneof![Just(Source::Kernel), Just(Source::Connected), Just(Source::Static)];
    prop_oneof![
        prefix().prop_map(Origin::Network),
        prefix().prop_map(Origin::AggregateSummaryOnly),
        (source, option::of(word())).prop_map(|(source, map)| Origin::Redistribute(source, map)),
        foreign(1).prop_map(Origin::Foreign),
    ]
}

fn vni_statement() -> impl Strategy<Value = VniStatement> {
    prop_oneof![
        rd().prop_map(VniStatement::Rd),
        target().prop_map(VniStatement::ImportTarget),
        target().prop_map(VniStatement::ExportTarget),
        foreign(0).prop_map(VniStatement::Foreign),
    ]
}

fn exchange() -> impl Strategy<Value = Exchange> {
    prop_oneof![
        word().prop_map(Exchange::ImportVrfRouteMap),
        interface().prop_map(Exchange::ImportVrf),
        Just(Exchange::AdvertiseAllVni),
        (vni(), vec(vni_statement(), 0..4)).prop_map(|(vni, statements)| Exchange::Vni(EvpnVni { vni, statements })),
        (family(), option::of(word())).prop_map(|(family, map)| Exchange::Advertise(family, map)),
        rd().prop_map(Exchange::Rd),
        target().prop_map(Exchange::ImportTarget),
        target().prop_map(Exchange::ExportTarget),
    ]
}

fn unique<T>(items: Vec<T>, same: impl Fn(&T, &T) -> bool) -> Vec<T> {
    let mut kept: Vec<T> = Vec::new();
    for item in items {
        if !kept.iter().any(|other| same(other, &item)) {
            kept.push(item);
        }
    }
    kept
}

fn address_family() -> impl Strategy<Value = AddressFamily> {
    let kind = prop_oneof![Just(FamilyKind::Ipv4Unicast), Just(FamilyKind::Ipv6Unicast), Just(FamilyKind::L2vpnEvpn)];
    let neighbor = (peer(), vec(family_statement(), 1..4)).prop_map(|(peer, statements)| FamilyNeighbor { peer, statements });
    (kind, vec(origin(), 0..3), vec(neighbor, 0..3), vec(exchange(), 0..4)).prop_map(|(kind, origins, neighbors, exchanges)| {
        AddressFamily { kind, origins, neighbors: unique(neighbors, |a, b| a.peer == b.peer), exchanges }
    })
}

fn router() -> impl Strategy<Value = RouterBgp> {
    let neighbor = (peer(), vec(neighbor_statement(), 1..4)).prop_map(|(peer, statements)| Neighbor { peer, statements });
    (asn(), option::of(interface()), vec(setting(), 0..4), vec(neighbor, 0..3), vec(address_family(), 0..3)).prop_map(
        |(asn, vrf, settings, neighbors, families)| RouterBgp {
            asn,
            vrf,
            settings,
            neighbors: unique(neighbors, |a, b| a.peer == b.peer),
            families,
        },
    )
}

fn profile() -> impl Strategy<Value = BfdProfile> {
    (word(), any::<Option<u8>>(), any::<Option<u32>>(), any::<Option<u32>>(), vec(foreign(0), 0..2)).prop_map(
        |(name, detect_multiplier, transmit_interval, receive_interval, foreign)| BfdProfile {
            name,
            detect_multiplier,
            transmit_interval,
            receive_interval,
            foreign,
        },
    )
}

fn global() -> impl Strategy<Value = Global> {
    prop_oneof![
        text().prop_map(Global::Version),
        Just(Global::Defaults(Defaults::Traditional)),
        Just(Global::Defaults(Defaults::Datacenter)),
        word().prop_map(Global::Hostname),
        word().prop_map(Global::LogSyslog),
    ]
}

fn config() -> impl Strategy<Value = FrrConfig> {
    let vrf = (interface(), option::of(vni()), vec(foreign(1), 0..2)).prop_map(|(name, vni, foreign)| Vrf { name, vni, foreign });
    (
        (vec(global(), 0..4), vec(prefix_list(), 0..4), vec(attribute_list(), 0..4), vec(route_map(), 0..3)),
        (vec(vrf, 0..3), vec(router(), 0..3), vec(profile(), 0..3), vec(foreign(1), 0..2), vec(foreign(2), 0..3)),
    )
        .prop_map(|((globals, prefix_lists, attribute_lists, route_maps), (vrfs, routers, profiles, bfd, foreign))| {
            let mut prefix_lists = unique(prefix_lists, |a, b| (a.family, &a.name) == (b.family, &b.name));
            prefix_lists.sort_by_key(|list| list.family); // printed by family
            FrrConfig {
                globals,
                prefix_lists,
                attribute_lists: unique(attribute_lists, |a, b| (a.kind, &a.name) == (b.kind, &b.name)),
                route_maps,
                vrfs,
                routers,
                bfd: Bfd { profiles, foreign: bfd },
                foreign,
            }
        })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    #[test]
    fn what_is_printed_is_read_back(config in config()) {
        let text = config.print().unwrap();
        prop_assert_eq!(FrrConfig::parse(&text).unwrap(), config, "{}", text);
    }

    #[test]
    fn sorting_keeps_what_is_said_and_is_done_once(config in config()) {
        let mut sorted = config.clone();
        sorted.sort();
        prop_assert_eq!(config.statements().unwrap(), sorted.statements().unwrap());
        let mut again = sorted.clone();
        again.sort();
        prop_assert_eq!(again, sorted);
    }

    #[test]
    fn no_text_makes_the_parser_panic(text in any::<String>()) {
        let _ = FrrConfig::parse(&text);
    }

    #[test]
    fn no_broken_configuration_makes_the_parser_panic(config in config(), cuts in vec((any::<u16>(), any::<char>()), 1..8)) {
        let mut text: Vec<char> = config.print().unwrap().chars().collect();
        for (place, with) in cuts {
            let place = usize::from(place) % text.len();
            text[place] = with;
        }
        let _ = FrrConfig::parse(&text.into_iter().collect::<String>());
    }
}

/// What FRR 10.3 printed of a configuration with about everything in it: nothing is lost in reading.
#[test]
fn a_running_configuration_is_read_whole() {
    let text = include_str!("running/everything.conf");
    let config = FrrConfig::parse(text).unwrap();
    let statements = config.statements().unwrap();
    let mut above: Vec<&str> = Vec::new();
    let mut count = 0;
    for line in text.lines().map(str::trim_end) {
        let body = line.trim_start();
        if body.is_empty()
            || body.starts_with('!')
            || body.starts_with("exit")
            || ["Building configuration...", "Current configuration:", "end"].contains(&line)
        {
            continue;
        }
        above.truncate(line.len() - body.len());
        above.push(body);
        count += 1;
        assert!(statements.contains(&above.iter().map(|&s| s.to_owned()).collect::<Vec<_>>()), "{above:?}");
    }
    assert_eq!(statements.len(), count);
}

#[test]
fn all_faults_are_told_with_their_places() {
    let text = "ip prefix-list a seq x permit 10.0.0.0/8\nrouter bgp 0\n!\nrouter bgp 65001\n neighbor swp1 timers 3 b\n address-family ipv4 unicast\n  network 10.0.0.1/8\n exit-address-family\nexit\n";
    let faults = FrrConfig::parse(text).unwrap_err().to_string();
    assert_eq!(
        faults,
        "1:22: `x`: invalid digit found in string\n2:12: 0 is not a ASN: expected 1 to 4294967294\n5:25: `b`: invalid digit found in string\n7:11: `10.0.0.1/8` has host bits set: the prefix is `10.0.0.0/8`"
    );
}
