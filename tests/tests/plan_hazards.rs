//! What plans must hold whatever the fabric: rows of the list of hazards, over random small fabrics.
#![allow(clippy::unwrap_used)] // helpers of tests

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;

use leafwall_intent::model::{Firewall, Model, NetworkType};
use leafwall_intent::{SourceFile, Sources, Style};
use leafwall_plan::device::{Advertise, FirewallPlan, FirewallPort, LeakScope, Lengths, PrefixMatch, SwitchPlan};
use leafwall_plan::{Device, Planner, Table};
use leafwall_policy::zone::Sources as ZoneSources;
use leafwall_render::build;
use leafwall_render::frr::{Exchange, VniStatement};
use leafwall_tests::choices::{self, Ground};
use leafwall_tests::fabric::{Size, generate};
use leafwall_tests::random::Random;
use leafwall_topology::{Name, Prefix, Role, VRF_SOURCE_V6, Vni};

const FABRICS: usize = 40;

/// Runs a check over random fabrics; the seed is printed.
fn everywhere(default_seed: u64, check: impl Fn(&Fabric)) {
    let mut random = Random::from_environment(default_seed);
    for _ in 0..FABRICS {
        let files = choices::fabric(Ground { leaves: 3, machines: 10 }, &choices::choices(&mut random));
        check(&Fabric::new(files));
    }
}

struct Fabric {
    planner: Planner,
}

impl Fabric {
    fn new(files: Vec<(String, String)>) -> Self {
        let sources = Sources::new(files.into_iter().map(|(path, text)| SourceFile { path, text: text.into() }).collect());
        let (model, diagnostics) = leafwall_intent::load(&sources);
        assert!(!diagnostics.has_errors(), "{}", diagnostics.render(&sources, Style::Plain));
        Self { planner: Planner::new(model.unwrap(), &Table::default(), 1, None).unwrap() }
    }

    fn model(&self) -> &Model {
        self.planner.model()
    }

    fn switches(&self) -> impl Iterator<Item = (&Name, &SwitchPlan)> {
        self.planner.plan().devices.iter().filter_map(|(name, plan)| match &plan.device {
            Device::Switch(switch) => Some((name, switch)),
            _ => None,
        })
    }

    fn firewalls(&self) -> impl Iterator<Item = (&Name, &FirewallPlan)> {
        self.planner.plan().devices.iter().filter_map(|(name, plan)| match &plan.device {
            Device::Firewall(firewall) => Some((name, firewall)),
            _ => None,
        })
    }

    fn firewall_ports(&self) -> impl Iterator<Item = (&FirewallPort, &FirewallPlan, &Firewall)> {
        self.switches().flat_map(|(_, switch)| &switch.firewall_ports).map(|port| {
            let (_, machine) = self.firewalls().find(|(name, _)| **name == port.firewall).unwrap();
            (port, machine, &*self.model().firewalls[&machine.firewall])
        })
    }

    /// The network with this L3VNI.
    fn network(&self, vni: Vni) -> &leafwall_intent::model::Network {
        let table = self.planner.table();
        self.model().networks.values().find(|network| table.vni(&network.name) == Some(vni)).unwrap()
    }
}

fn prefix(text: &str) -> Prefix {
    text.parse().unwrap()
}

fn accepts(list: &[PrefixMatch], route: Prefix) -> bool {
    list.iter().any(|m| match m.lengths {
        Lengths::Exact => m.prefix == route,
        Lengths::Hosts => m.prefix.contains(route) && route.is_host(),
        Lengths::UpToHosts => m.prefix.contains(route),
    })
}

#[test]
fn h02_one_router_mac_per_device_and_no_two_alike() {
    everywhere(2, |fabric| {
        let macs = fabric.switches().map(|(_, s)| s.router.router_mac).chain(fabric.firewalls().map(|(_, f)| f.router.router_mac));
        let macs: Vec<_> = macs.collect();
        assert_eq!(macs.iter().collect::<BTreeSet<_>>().len(), macs.len());
        assert!(!macs.contains(&fabric.model().fabric.anycast_mac));
    });
}

#[test]
fn h20_each_port_has_a_filter_of_its_own() {
    everywhere(20, |fabric| {
        let table = fabric.planner.table();
        for port in fabric.switches().flat_map(|(_, s)| &s.vrfs).flat_map(|vrf| &vrf.routed_ports) {
            let allocation = fabric.model().allocations.values().find(|a| a.server == port.server).unwrap();
            let network = &fabric.model().networks[&allocation.network];
            for family in ["0.0.0.0/0", "::/0", "10.255.0.1/32", "10.255.0.0/24"] {
                assert!(!accepts(&port.accept, prefix(family)), "{family} from {}", port.server);
            }
            assert!(!accepts(&port.accept, Prefix::try_from(ipnet::IpNet::V6(VRF_SOURCE_V6)).unwrap()));
            for subnet in &network.subnets {
                assert!(!accepts(&port.accept, subnet.prefix) && !accepts(&port.accept, Prefix::host(subnet.gateway)));
            }
            for own in &network.prefixes {
                assert!(!accepts(&port.accept, *own), "a whole prefix from {}", port.server);
                assert!(accepts(&port.accept, Prefix::host(own.nth(1).unwrap())));
            }
            for address in fabric.model().addresses.values() {
                let host = Prefix::host(table_address(fabric, &address.name));
                let egress = fabric.model().firewalls.values().any(|f| f.egress.values().flatten().any(|name| *name == address.name));
                let elsewhere = address.server.as_ref().is_some_and(|server| *server != port.server);
                let may = address.tenant == allocation.tenant && !egress && !elsewhere;
                let inside = network.prefixes.iter().any(|p| p.contains(host));
                assert_eq!(accepts(&port.accept, host), may || inside, "{} from {}", address.name, port.server);
            }
            assert_eq!(Some(port.asn), table.asn(&port.server));
        }
    });
}

fn table_address(fabric: &Fabric, name: &Name) -> std::net::IpAddr {
    let address = &fabric.model().addresses[name];
    let holder = leafwall_plan::allocation::AddressHolder::Elastic(name.clone());
    fabric.planner.table().addresses(&address.network, &holder)[0]
}

#[test]
fn h21_a_firewall_port_takes_routes_of_its_own_networks_alone() {
    everywhere(21, |fabric| {
        for (port, machine, firewall) in fabric.firewall_ports() {
            let networks: BTreeSet<&Name> = port.vnis.iter().map(|vni| &fabric.network(vni.vni).name).collect();
            assert_eq!(networks, firewall.networks.iter().collect());
            for vni in &port.vnis {
                let network = fabric.network(vni.vni);
                // what the machine is configured to announce is what its leaves accept, neither more nor less
                let vrf = machine.vrfs.iter().find(|vrf| vrf.vni == vni.vni).unwrap();
                assert_eq!(vni.accept, vrf.announce);
                for m in &vni.accept {
                    let tenant_address = fabric.model().addresses.values().any(|a| {
                        a.tenant == firewall.tenant && a.network == network.name && Prefix::host(table_address(fabric, &a.name)) == m.prefix
                    });
                    let of_joined = firewall.networks.iter().filter(|n| **n != network.name).any(|n| {
                        let joined = &fabric.model().networks[n];
                        joined
                            .prefixes
                            .iter()
                            .chain(joined.subnets.iter().map(|s| &s.prefix))
                            .chain(&joined.destinations)
                            .any(|p| *p == m.prefix)
                    });
                    let holder = leafwall_plan::allocation::AddressHolder::Inband(port.firewall.clone());
                    let inband = fabric.planner.table().addresses(&network.name, &holder);
                    let managed = inband.iter().any(|address| Prefix::host(*address) == m.prefix);
                    assert!(tenant_address || of_joined || managed, "{} in {}", m.prefix, network.name);
                    assert!(!m.prefix.overlaps(prefix("10.255.0.0/24")) || m.prefix.is_default());
                }
            }
        }
    });
}

#[test]
fn h24_vlans_come_from_the_table_and_are_each_devices_own() {
    everywhere(24, |fabric| {
        for (name, switch) in fabric.switches() {
            let mut vlans = BTreeMap::new();
            for vrf in &switch.vrfs {
                vlans.insert(vrf.vlan, vrf.vni);
                vlans.extend(vrf.subnets.iter().map(|subnet| (subnet.vlan, subnet.vni)));
                assert_eq!(vrf.rd.number, 10_000 + vrf.vlan.get(), "above the numbers that bgpd gives");
            }
            let count: usize = switch.vrfs.iter().map(|vrf| 1 + vrf.subnets.len()).sum();
            assert_eq!(vlans.len(), count, "a VLAN twice on {name}");
            for (vlan, vni) in vlans {
                assert!(fabric.model().fabric.vlans.contains(vlan));
                assert_eq!(fabric.planner.table().vlan(name, vni), Some(vlan));
            }
            for port in &switch.access_ports {
                assert!(switch.vrfs.iter().flat_map(|vrf| &vrf.subnets).any(|subnet| subnet.vlan == port.vlan));
            }
        }
    });
}

#[test]
fn h28_tenants_do_not_meet_in_what_they_share() {
    everywhere(28, |fabric| {
        let machines: BTreeSet<Ipv4Addr> = fabric.firewalls().map(|(_, machine)| machine.router.loopback).collect();
        for (port, machine, firewall) in fabric.firewall_ports() {
            assert!(port.vteps.iter().all(|vtep| !machines.contains(vtep)), "firewalls never send to each other");
            let foreign = |prefix: Prefix| {
                let networks = fabric
                    .model()
                    .networks
                    .values()
                    .filter(|n| n.kind == NetworkType::Private && n.tenant.as_ref() != Some(&firewall.tenant));
                networks.flat_map(|n| n.prefixes.iter().chain(n.subnets.iter().map(|s| &s.prefix))).any(|p| *p == prefix)
            };
            let own = |prefix: Prefix| {
                let networks = firewall.networks.iter().map(|n| &fabric.model().networks[n]);
                networks.flat_map(|n| n.prefixes.iter().chain(n.subnets.iter().map(|s| &s.prefix))).any(|p| *p == prefix)
            };
            for vni in &port.vnis {
                for m in &vni.accept {
                    // two tenants may use the same prefix: then it is this one's own
                    assert!(!foreign(m.prefix) || own(m.prefix), "{} of somebody else", m.prefix);
                    let shared = fabric.network(vni.vni).kind != NetworkType::Private;
                    assert!(!(shared && m.prefix.is_default() && fabric.network(vni.vni).tenant.as_ref() != Some(&firewall.tenant)));
                }
            }
            for vrf in &machine.vrfs {
                let network = &fabric.model().networks[&vrf.network];
                for leak in vrf.leaks.iter().filter(|leak| leak.scope == LeakScope::Announced && network.kind != NetworkType::Private) {
                    for m in leak.prefixes.iter().filter(|m| !m.prefix.is_host() && !m.prefix.is_default()) {
                        assert!(!network.nat.covers(m.prefix.family()), "{} untranslated into {}", m.prefix, network.name);
                    }
                }
            }
        }
    });
}

#[test]
fn h37_own_asns_are_those_behind_own_ports() {
    everywhere(37, |fabric| {
        for (name, switch) in fabric.switches() {
            let vrfs = || switch.vrfs.iter();
            let mut expected: BTreeSet<_> = vrfs().flat_map(|vrf| &vrf.routed_ports).map(|port| port.asn).collect();
            expected.extend(switch.firewall_ports.iter().map(|port| port.asn));
            expected.extend(vrfs().flat_map(|vrf| &vrf.external_peers).map(|peer| peer.asn));
            assert_eq!(switch.own_asns.iter().copied().collect::<BTreeSet<_>>(), expected, "{name}");
            let fabric_asns: BTreeSet<_> = fabric.switches().map(|(_, other)| other.router.asn).collect();
            assert!(switch.own_asns.iter().all(|asn| !fabric_asns.contains(asn)), "a switch's ASN would let a valley path through");
        }
    });
}

#[test]
fn h38_a_firewall_reaches_only_holders_of_the_vni() {
    everywhere(38, |fabric| {
        let by_loopback: BTreeMap<Ipv4Addr, &SwitchPlan> = fabric.switches().map(|(_, s)| (s.router.loopback, s)).collect();
        for (port, _, _) in fabric.firewall_ports() {
            for vni in &port.vnis {
                for vtep in &vni.vteps {
                    assert!(by_loopback[vtep].vrfs.iter().any(|vrf| vrf.vni == vni.vni), "{vtep} has no {}", vni.vni);
                    assert!(port.vteps.contains(vtep));
                }
                for (name, switch) in fabric.switches() {
                    let vrf = switch.vrfs.iter().find(|vrf| vrf.vni == vni.vni);
                    let announces =
                        vrf.is_some_and(|vrf| !vrf.routed_ports.is_empty() || !vrf.subnets.is_empty() || !vrf.external_peers.is_empty());
                    assert_eq!(announces, vni.vteps.contains(&switch.router.loopback), "{name} in {}", vni.vni);
                }
            }
        }
    });
}

#[test]
fn h39_rd_router_mac_and_next_hop_are_the_machines_own() {
    everywhere(39, |fabric| {
        let mut seen = 0;
        for (port, machine, _) in fabric.firewall_ports() {
            assert_eq!(
                (port.loopback, port.router_mac, port.asn),
                (machine.router.loopback, machine.router.router_mac, machine.router.asn)
            );
            for vni in &port.vnis {
                assert_eq!(machine.vrfs.iter().find(|vrf| vrf.vni == vni.vni).unwrap().rd, vni.rd);
            }
            assert_eq!(usize::from(port.prepend), 3 * usize::from(machine.position), "three a step of standby");
            seen += 1;
        }
        let machines = fabric.model().firewalls.values().map(|f| f.servers.len()).sum::<usize>();
        assert_eq!(seen, 2 * machines, "each machine has two ports");
    });
}

#[test]
fn f16_f23_zones_take_only_sources_that_belong_there() {
    everywhere(23, |fabric| {
        for (_, machine) in fabric.firewalls() {
            assert_eq!(machine.rules.failsafe.vteps, fabric.model().fabric.loopbacks, "F15");
            for zone in &machine.rules.zones {
                let network = &fabric.model().networks[&zone.network];
                let others = machine.rules.zones.iter().filter(|other| other.network != zone.network);
                let foreign = others.flat_map(|other| {
                    let other = &fabric.model().networks[&other.network];
                    other.prefixes.iter().copied().chain(other.subnets.iter().map(|s| s.prefix))
                });
                for prefix in foreign {
                    let let_in = match &zone.sources {
                        ZoneSources::Only(list) => list.iter().any(|p| p.overlaps(prefix) && (prefix.is_host() || !p.is_host())),
                        ZoneSources::AllBut(list) => !list.iter().any(|p| p.contains(prefix)),
                    };
                    assert!(!let_in, "{prefix} from {}", zone.network);
                }
                if network.kind != NetworkType::External {
                    assert!(matches!(&zone.sources, ZoneSources::Only(list) if network.prefixes.iter().all(|p| list.contains(p))));
                }
                let translated = &zone.snat.sources;
                // elastic addresses of other networks stand there to be dropped
                let dropped =
                    |p: &Prefix| p.is_host() && if p.network().is_ipv4() { zone.snat.v4.is_empty() } else { zone.snat.v6.is_empty() };
                assert!(translated.iter().all(|p| network.nat.covers(p.family()) || dropped(p)), "only families with NAT");
                assert!(zone.snat.v4.iter().all(|a| network.prefixes.iter().any(|p| p.contains_address((*a).into()))));
            }
        }
    });
}

#[test]
fn an_unallocated_port_is_in_no_tenants_vrf() {
    everywhere(40, |fabric| {
        for (name, switch) in fabric.switches() {
            let waiting: BTreeSet<_> = switch.provisioning.iter().flat_map(|p| &p.ports).chain(&switch.shut_ports).collect();
            for server in fabric.model().servers.values() {
                for nic in server.nics.iter().filter(|nic| nic.port.device == *name) {
                    let allocation = fabric.model().allocations.values().find(|a| a.server == server.name);
                    let active = allocation.is_some_and(|a| a.phase == leafwall_intent::model::Phase::Active);
                    let firewall = fabric.model().firewalls.values().any(|f| f.servers.contains(&server.name));
                    assert_eq!(waiting.contains(&nic.port.port), !active && !firewall, "{name} {}", nic.port.port);
                    let routed = switch.vrfs.iter().flat_map(|vrf| &vrf.routed_ports).filter(|p| p.port == nic.port.port).count();
                    let bridged = switch.access_ports.iter().filter(|p| p.port == nic.port.port).count();
                    let guarded = switch.firewall_ports.iter().filter(|p| p.port == nic.port.port).count();
                    assert_eq!((routed + bridged, guarded), (usize::from(active), usize::from(firewall)));
                }
            }
        }
    });
}

#[test]
fn the_default_route_comes_from_exits_and_only_where_it_is_asked_for() {
    everywhere(41, |fabric| {
        for (name, switch) in fabric.switches() {
            for vrf in switch.vrfs.iter().filter(|vrf| vrf.network.as_str() != "provisioning") {
                let network = &fabric.model().networks[&vrf.network];
                match &vrf.advertise {
                    Advertise::Own => assert!(switch.role == Role::Leaf && network.kind != NetworkType::External, "{name}"),
                    Advertise::Only(list) => {
                        assert_eq!(network.kind, NetworkType::External);
                        assert!(list.iter().filter(|m| m.prefix.is_default()).all(|m| network.destinations.contains(&m.prefix)));
                    }
                }
                assert!(vrf.leaks.iter().all(|leak| leak.scope == LeakScope::Local));
            }
        }
    });
}

#[test]
fn h34_whatever_is_checked_renders_and_reads_back() {
    everywhere(34, |fabric| {
        for (name, artefacts) in leafwall_render::render(fabric.planner.plan()).unwrap() {
            for (file, text) in &artefacts.files {
                let read = match *file {
                    leafwall_render::FRR_CONF => leafwall_render::frr::FrrConfig::parse(text).unwrap().print().unwrap(),
                    leafwall_render::LINKS_JSON => {
                        let links = leafwall_render::links::Links::parse(text).unwrap();
                        // those of bridged servers are a line each
                        if text.ends_with('\n') { links.print().unwrap() } else { links.print_line().unwrap() }
                    }
                    _ => leafwall_policy::nft::parse(text).unwrap().to_text(),
                };
                assert_eq!(read, *text, "{name}/{file} is not read back as it is written");
            }
        }
    });
}

/// bgpd numbers instances and L2VNIs from 2 and does not show a route distinguisher that is the one it would have taken: the device would never compare equal.
#[test]
fn no_route_distinguisher_is_one_of_bgpds_own_making() {
    let size = Size { leaves: 2, spines: 1, tenants: 12, leaves_per_tenant: 2 };
    let sources = generate(size).into_iter().map(|(path, text)| SourceFile { path, text: text.into() }).collect();
    let model = leafwall_intent::load(&Sources::new(sources)).0.unwrap();
    let planner = Planner::new(model, &Table::default(), 1, None).unwrap();
    let mut numbers = 0;
    for config in planner.plan().devices.values().filter_map(|device| build::frr(device)) {
        let exchanges = config.routers.iter().flat_map(|router| &router.families).flat_map(|family| &family.exchanges);
        let vnis = exchanges.clone().filter(|exchange| matches!(exchange, Exchange::Vni(_))).count();
        let own = config.routers.len() + vnis;
        for exchange in exchanges {
            let rds: Vec<u16> = match exchange {
                Exchange::Rd(rd) => vec![rd.number],
                Exchange::Vni(vni) => {
                    vni.statements.iter().filter_map(|said| if let VniStatement::Rd(rd) = said { Some(rd.number) } else { None }).collect()
                }
                _ => Vec::new(),
            };
            numbers += rds.len();
            assert!(rds.iter().all(|number| usize::from(*number) > own), "{rds:?} with {own} instances and VNIs");
        }
    }
    assert!(numbers > 0, "nothing has a route distinguisher");
}
