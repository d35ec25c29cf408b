use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use leafwall_render::links::*;
use leafwall_topology::{HostAddress, IfName, MacAddr, Mtu, VlanId, Vni, names};
use proptest::prelude::*;

use super::model;
use super::*;

fn name(text: &str) -> IfName {
    text.parse().unwrap()
}

fn vni(number: u32) -> Vni {
    u64::from(number).try_into().unwrap()
}

fn vlan(number: u16) -> VlanId {
    u64::from(number).try_into().unwrap()
}

fn plain(link: &str, kind: LinkKind) -> Link {
    Link {
        name: name(link),
        kind,
        mtu: Some(Mtu::MACHINE),
        mac: None,
        master: None,
        addresses: vec![],
        state: LinkState::Up,
        link_local: LinkLocal::Eui64,
        bridge_port: None,
    }
}

/// A network on a random device.
#[derive(Debug, Clone)]
struct Net {
    vni: u32,
    vlan: u16,
    port: Option<(u8, bool)>,
}

/// Small domains, so that numbers are taken over from one another.
fn nets() -> impl Strategy<Value = Vec<Net>> {
    prop::collection::btree_map(1u32..6, (1u16..6, prop::option::of((0u8..3, any::<bool>()))), 0..5).prop_map(|map| {
        let mut vlans = std::collections::BTreeSet::new();
        let mut ports = std::collections::BTreeSet::new();
        map.into_iter()
            .filter(|(_, (vlan, _))| vlans.insert(*vlan))
            .map(|(vni, (vlan, port))| Net { vni, vlan, port: port.filter(|(port, _)| ports.insert(*port)) })
            .collect()
    })
}

fn links(nets: &[Net], loopback: u8, extras: bool) -> Links {
    let mut links = vec![plain("lo", LinkKind::Loopback {})];
    let local = Ipv4Addr::new(10, 255, 0, loopback);
    links[0].addresses = vec![HostAddress::alone(local.into())];
    links[0].mtu = None;
    for net in nets {
        let mut vrf = plain(names::vrf(vni(net.vni)).as_str(), LinkKind::Vrf { table: net.vni });
        vrf.addresses = vec![HostAddress::alone(local.into())];
        links.push(vrf);
    }
    if !nets.is_empty() {
        let vlans = nets.iter().map(|net| vlan(net.vlan)).collect();
        let mut bridge = plain("bridge0", LinkKind::Bridge { maximum_macs: u32::from(loopback), vlans });
        bridge.mac = Some(MacAddr::router(local));
        links.push(bridge);
        let vnis = nets.iter().map(|net| VniMap { vni: vni(net.vni), vlan: vlan(net.vlan) }).collect();
        let mut vxlan = plain("vxlan0", LinkKind::Vxlan { local, vnis });
        vxlan.master = Some(name("bridge0"));
        vxlan.bridge_port = Some(BridgePort::Tunnel {});
        vxlan.link_local = LinkLocal::None;
        links.push(vxlan);
    }
    for (net, (port, bridged)) in nets.iter().filter_map(|net| net.port.map(|port| (net, port))) {
        let mut port = plain(&format!("swp{port}"), LinkKind::Physical {});
        if bridged {
            port.master = Some(name("bridge0"));
            port.bridge_port =
                Some(BridgePort::Access { vlan: vlan(net.vlan), isolation: if extras { Isolation::Isolated } else { Isolation::Open } });
        } else {
            port.master = Some(names::vrf(vni(net.vni)));
        }
        links.push(port);
    }
    if extras {
        links.push(plain("bond0", LinkKind::Bond { miimon_ms: 100 }));
        let mut port = plain("swp8", LinkKind::Physical {});
        port.master = Some(name("bond0"));
        links.push(port);
        links.push(plain("swp9.100", LinkKind::Vlan { lower: name("swp9"), id: vlan(100) }));
        let at = links.len() - 1;
        links.insert(at, plain("swp9", LinkKind::Physical {}));
    }
    for net in nets {
        let mut svi = plain(names::svi(vlan(net.vlan)).as_str(), LinkKind::Vlan { lower: name("bridge0"), id: vlan(net.vlan) });
        svi.master = Some(names::vrf(vni(net.vni)));
        svi.mac = Some(if net.vni % 2 == 0 { MacAddr::ANYCAST_DEFAULT } else { MacAddr::router(local) });
        svi.link_local = LinkLocal::None;
        links.push(svi);
    }
    let routes = nets
        .iter()
        .flat_map(|net| {
            ["0.0.0.0/0", "::/0"].map(|prefix| Route {
                table: net.vni,
                prefix: prefix.parse().unwrap(),
                target: RouteTargetKind::Unreachable {},
                metric: 4_278_198_272,
            })
        })
        .collect();
    Links {
        version: LINKS_VERSION,
        forwarding: Forwarding::Immediate,
        local_table: LocalTable::First,
        sysctls: BTreeMap::new(),
        links,
        routes,
    }
}

const PORTS: [&str; 6] = ["swp0", "swp1", "swp2", "swp8", "swp9", "eth0"];

fn bring(kernel: &mut Kernel, desired: &Links) -> LinkDiff {
    let found = diff(kernel, desired);
    for step in found.steps() {
        kernel.apply(step).unwrap_or_else(|error| panic!("{step}: {error}\n{found:#?}"));
    }
    found
}

proptest! {
    /// From any device of ours to any other: every step is one that the kernel takes, and afterwards there is nothing to do.
    #[test]
    fn steps_lead_from_anywhere_to_desired(first in nets(), second in nets(), loopbacks in (1u8..3, 1u8..3), extras in any::<(bool, bool)>()) {
        let mut kernel = Kernel::with_ports(&PORTS);
        let untouched = kernel.links["eth0"].clone();
        for desired in [links(&first, loopbacks.0, extras.0), links(&second, loopbacks.1, extras.1)] {
            bring(&mut kernel, &desired);
            let again = diff(&kernel, &desired);
            prop_assert!(again.is_empty(), "{:#?}", again);
            prop_assert_eq!(&kernel.links["eth0"], &untouched);
        }
        let nothing = Links { links: vec![], routes: vec![], ..links(&[], 1, false) };
        bring(&mut kernel, &nothing);
        let left: Vec<_> = kernel.links.keys().map(String::as_str).collect();
        prop_assert_eq!(left, ["eth0", "lo", "swp0", "swp1", "swp2", "swp8", "swp9"]);
        prop_assert!(kernel.routes.is_empty());
    }

    /// Whoever meddles with one link of ours is undone (H23), whatever it was.
    #[test]
    fn meddling_is_undone(nets in nets(), which in any::<prop::sample::Index>(), what in 0..10) {
        let mut kernel = Kernel::with_ports(&PORTS);
        let desired = links(&nets, 1, true);
        bring(&mut kernel, &desired);
        let target = &desired.links[which.index(desired.links.len())];
        let link = kernel.links.get_mut(target.name.as_str()).unwrap();
        match what {
            0 => link.state = LinkState::Down,
            1 => link.mtu = 1400,
            2 if link.port.is_some() => { link.vlans.insert(vlan(4000), Tagging::PvidUntagged); }
            3 if link.port.is_some() => link.port = Some(PortFlags::NEW),
            4 if target.name.as_str() != "lo" => { link.addresses.insert("192.0.2.1/24".parse().unwrap(), AddressOwner::Ours); }
            5 => { link.addresses.clear(); }
            6 => link.link_local = KernelLinkLocal::Other,
            7 => link.link_local_addresses = ["fe80::1/64".parse().unwrap()].into(),
            8 => link.running = true,
            _ => { link.tunnels.clear(); }
        }
        bring(&mut kernel, &desired);
        prop_assert!(diff(&kernel, &desired).is_empty());
    }
}

fn one_net() -> Links {
    links(&[Net { vni: 5, vlan: 7, port: Some((0, false)) }], 1, false)
}

#[test]
fn h25_a_foreign_link_of_the_same_name_is_reported_and_survives() {
    let mut kernel = Kernel::with_ports(&PORTS);
    let foreign = KernelLink { alias: Some("someone else's".into()), ..model::link(KernelKind::Vrf { table: 77 }) };
    kernel.links.insert("vrf5".into(), foreign.clone());
    let found = bring(&mut kernel, &one_net());
    assert!(matches!(&found.conflicts[0], Conflict::Foreign { name, .. } if name == "vrf5"), "{:?}", found.conflicts);
    assert_eq!(kernel.links["vrf5"], foreign);
    // what needs it is held back, the rest goes on
    assert_eq!(kernel.links["swp0"].master, None);
    assert!(kernel.links.contains_key("bridge0"));
    assert!(!kernel.links.contains_key("vlan7"));
}

#[test]
fn h25_foreign_links_of_our_shape_are_never_deleted() {
    let mut kernel = Kernel::with_ports(&PORTS);
    for foreign in ["vrf9", "vlan9", "bridge0x", "vxlan7"] {
        kernel.links.insert(foreign.into(), model::link(KernelKind::Vrf { table: 9 }));
    }
    let found = diff(&kernel, &Links { links: vec![], routes: vec![], ..one_net() });
    assert!(found.is_empty(), "{found:?}");
}

#[test]
fn h17_a_link_whose_creation_was_interrupted_is_still_ours() {
    let mut kernel = Kernel::with_ports(&PORTS);
    kernel.links.insert("vrf5".into(), KernelLink { group: NEWBORN_GROUP, ..model::link(KernelKind::Vrf { table: 5 }) });
    let found = bring(&mut kernel, &one_net());
    assert_eq!(found.conflicts, []);
    assert_eq!(kernel.links["vrf5"].alias.as_deref(), Some("leafwall"));
}

#[test]
fn h01_l3vni_svis_go_up_last() {
    let found = diff(&Kernel::with_ports(&PORTS), &one_net());
    assert_eq!(found.raise.last(), Some(&LinkStep::Raise { name: name("vlan7") }));
    assert!(
        !found.make.iter().any(|step| matches!(step, LinkStep::Raise { name } if name.as_str() != "lo")),
        "only the loopback goes up early"
    );
}

#[test]
fn a_port_that_is_not_there_is_reported() {
    let found = diff(&Kernel::with_ports(&["swp1"]), &one_net());
    assert_eq!(found.conflicts, [Conflict::Missing { name: "swp0".into() }]);
}

#[test]
fn a_port_given_back_leaves_its_vrf() {
    let mut kernel = Kernel::with_ports(&PORTS);
    bring(&mut kernel, &one_net());
    let mut desired = one_net();
    desired.links.retain(|link| link.name.as_str() != "swp0");
    bring(&mut kernel, &desired);
    assert_eq!(kernel.links["swp0"].master, None);
}

#[test]
fn h41_a_kernel_without_a_limit_of_macs_is_named() {
    let mut kernel = Kernel::with_ports(&PORTS);
    bring(&mut kernel, &one_net());
    kernel.links.get_mut("bridge0").unwrap().kind =
        KernelKind::Bridge { vlan_filtering: true, default_pvid: 0, multicast_snooping: false, maximum_macs: None };
    let found = diff(&kernel, &one_net());
    assert!(found.is_empty());
    assert_eq!(found.warnings.len(), 1);
}

#[test]
fn a_foreign_route_to_the_same_place_is_a_conflict() {
    let mut kernel = Kernel::with_ports(&PORTS);
    let key = RouteKey { table: 5, prefix: "0.0.0.0/0".parse().unwrap(), metric: 4_278_198_272 };
    kernel.routes.insert(key, KernelRoute { target: KernelRouteTarget::Via("192.0.2.1".parse().unwrap()), protocol: 3 });
    let found = bring(&mut kernel, &one_net());
    assert!(matches!(found.conflicts[..], [Conflict::ForeignRoute { table: 5, .. }]));
    assert_eq!(kernel.routes[&key].protocol, 3);
}

/// A port is given back and rented again: the bridge that waits for its next tenant wants no link-local address on it, the BGP session of a routed server
/// needs one, and the kernel sees to neither.
#[test]
fn a_port_that_moves_between_bridge_and_vrf_has_a_link_local_address_where_it_needs_one() {
    let routed = links(&[Net { vni: 5, vlan: 7, port: None }], 1, true);
    let mut kernel = Kernel::with_ports(&PORTS);
    bring(&mut kernel, &routed);
    let port = |kernel: &Kernel| kernel.links["swp9"].clone();
    assert!(port(&kernel).link_local_addresses.is_empty(), "a cable that nobody plugged in has none");
    assert!(diff(&kernel, &routed).is_empty());
    kernel.links.get_mut("swp9").unwrap().running = true;
    bring(&mut kernel, &routed);
    assert_eq!(port(&kernel).link_local_addresses, ["fe80::ff:fe00:1/64".parse().unwrap()].into());
    let mut waiting = routed.clone();
    let link = waiting.links.iter_mut().find(|link| link.name.as_str() == "swp9").unwrap();
    link.link_local = LinkLocal::None;
    bring(&mut kernel, &waiting);
    assert!(port(&kernel).link_local_addresses.is_empty());
    bring(&mut kernel, &routed);
    assert_eq!(port(&kernel).link_local_addresses.len(), 1);
    // it has one of another kind: that is enough
    kernel.links.get_mut("swp9").unwrap().link_local_addresses = ["fe80::5/64".parse().unwrap()].into();
    assert!(diff(&kernel, &routed).is_empty());
}
