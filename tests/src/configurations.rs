//! Random configurations of FRR: what is rendered for random fabrics, and the same with everything in it changed, added and removed by chance.

use leafwall_intent::{SourceFile, Sources};
use leafwall_plan::{Planner, Table};
use leafwall_render::build;
use leafwall_render::frr::{
    Action, AddressFamily, AttributeEntry, AttributeKind, BfdProfile, Direction, EvpnVni, Exchange, FamilyKind, FamilyNeighborStatement,
    FrrConfig, Match, NeighborStatement, Origin, Peer, PrefixEntry, RemoteAs, RouteMapEntry, RouterBgp, Set, Setting, Source, VniStatement,
    Vrf,
};
use leafwall_topology::{Family, IfName, Prefix, RouteDistinguisher, RouteTarget, Vni};

use crate::choices::{Ground, choices, fabric};
use crate::random::Random;

/// How many changes a changed configuration has at most.
const CHANGES: usize = 8;

/// A source of configurations, each to be compared with the one before.
#[derive(Debug)]
pub struct Configurations {
    random: Random,
    choices: Vec<u8>,
    table: Table,
    devices: Vec<FrrConfig>,
    device: usize,
    last: FrrConfig,
}

impl Configurations {
    /// By this chance.
    pub fn new(mut random: Random) -> Self {
        let choices = choices(&mut random);
        let mut new = Self { random, choices, table: Table::default(), devices: Vec::new(), device: 0, last: FrrConfig::default() };
        new.render();
        new.last = new.devices.first().cloned().unwrap_or_default();
        new
    }

    /// The next one: of the same device after a change of the fabric, of another device, of the last one changed by chance.
    pub fn another(&mut self) -> FrrConfig {
        self.last = match self.random.below(10) {
            0 => {
                self.device = self.random.below(self.devices.len());
                self.devices[self.device % self.devices.len()].clone()
            }
            1..=3 => {
                for _ in 0..=self.random.below(4) {
                    let place = self.random.below(self.choices.len());
                    self.choices[place] = self.random.next().to_be_bytes()[0];
                }
                self.render();
                self.devices[self.device % self.devices.len()].clone()
            }
            _ => {
                let mut config = self.last.clone();
                for _ in 0..=self.random.below(CHANGES) {
                    change(&mut config, &mut self.random);
                }
                config
            }
        };
        // daemons do not show families that say nothing
        for router in &mut self.last.routers {
            router.families.iter_mut().for_each(|family| family.neighbors.retain(|neighbor| !neighbor.statements.is_empty()));
            router.families.retain(|family| !(family.origins.is_empty() && family.neighbors.is_empty() && family.exchanges.is_empty()));
        }
        self.last.sort();
        self.last.clone()
    }

    fn render(&mut self) {
        let files = fabric(Ground::LAB, &self.choices);
        let sources = Sources::new(files.into_iter().map(|(path, text)| SourceFile { path, text: text.into() }).collect());
        let Some(model) = leafwall_intent::load(&sources).0 else { return };
        let Ok(planner) = Planner::new(model, &self.table, 1, None) else { return };
        self.table = (**planner.table()).clone();
        self.devices = planner.plan().devices.values().filter_map(|plan| build::frr(plan)).collect();
    }
}

fn prefix(random: &mut Random, family: Family) -> Prefix {
    let number = random.below(6);
    let text = match family {
        Family::V4 => format!("10.{number}.0.0/16"),
        Family::V6 => format!("2001:db8:{number}::/48"),
    };
    text.parse().unwrap_or(Prefix::any(family))
}

fn action(random: &mut Random) -> Action {
    if random.once_in(4) { Action::Deny } else { Action::Permit }
}

fn vni(random: &mut Random) -> Vni {
    let number = 10_000 + random.below(30) as u64;
    Vni::try_from(number).unwrap_or_else(|_| unreachable!("{number} is a VNI"))
}

fn vrf_of(vni: Vni) -> IfName {
    leafwall_topology::names::vrf(vni)
}

fn rd(random: &mut Random) -> RouteDistinguisher {
    let number = u16::try_from(1000 + random.below(40)).unwrap_or(1000);
    RouteDistinguisher { loopback: [10, 255, 0, 9].into(), number }
}

fn target(random: &mut Random) -> RouteTarget {
    RouteTarget { administrator: 65_000, number: 10_000 + u32::try_from(random.below(20)).unwrap_or(0) }
}

/// A place in a list of this length.
fn place(random: &mut Random, length: usize) -> Option<usize> {
    (length > 0).then(|| random.below(length))
}

/// One change.
#[allow(clippy::too_many_lines, clippy::cognitive_complexity)] // one arm per kind
fn change(config: &mut FrrConfig, random: &mut Random) {
    match random.below(14) {
        0 | 1 => prefix_list(config, random),
        2 => attribute_list(config, random),
        3 | 4 => route_map(config, random),
        5 | 6 => neighbor(config, random),
        7 => remove_vrf(config, random),
        8 => add_vrf(config, random),
        9 => vnis(config, random),
        10 => origins(config, random),
        11 | 12 => exchanges(config, random),
        _ => settings(config, random),
    }
}

fn prefix_list(config: &mut FrrConfig, random: &mut Random) {
    let Some(at) = place(random, config.prefix_lists.len()) else { return };
    if random.once_in(6) {
        let mut copy = config.prefix_lists[at].clone();
        let Ok(name) = format!("lw-copy-{}", random.below(3)).parse() else { return };
        copy.name = name;
        if !config.prefix_lists.iter().any(|list| (list.family, &list.name) == (copy.family, &copy.name)) {
            config.prefix_lists.push(copy);
        }
        return;
    }
    let list = &mut config.prefix_lists[at];
    let entry = PrefixEntry {
        seq: 1 + u32::try_from(random.below(30)).unwrap_or(0),
        action: action(random),
        prefix: prefix(random, list.family),
        ge: None,
        le: random.once_in(2).then(|| list.family.host_length()),
    };
    match random.below(4) {
        0 if list.entries.len() > 1 => drop(list.entries.remove(random.below(list.entries.len()))),
        // everything moves by one place, as when an entry comes before others
        1 => list.entries.iter_mut().for_each(|entry| entry.seq += 5),
        2 => {
            let at = random.below(list.entries.len());
            list.entries[at] = PrefixEntry { seq: list.entries[at].seq, ..entry };
        }
        _ => {
            list.entries.retain(|other| other.seq != entry.seq);
            list.entries.push(entry);
        }
    }
}

fn attribute_list(config: &mut FrrConfig, random: &mut Random) {
    let Some(at) = place(random, config.attribute_lists.len()) else { return };
    let list = &mut config.attribute_lists[at];
    let number = random.below(8);
    let pattern = match list.kind {
        AttributeKind::AsPath => format!("^42100000{number}(_|$)"),
        AttributeKind::Community => format!("65000:{number}"),
        AttributeKind::CommunityExpanded => format!("^65000:{number}$"),
        AttributeKind::ExtendedCommunity => format!("rt 65000:{number}"),
        AttributeKind::ExtendedCommunityExpanded => format!("^RT:65000:{number} ET:8$"),
    };
    let Ok(pattern) = pattern.parse() else { return };
    let entry = AttributeEntry { seq: 1 + u32::try_from(random.below(30)).unwrap_or(0), action: action(random), pattern };
    match random.below(4) {
        0 if list.entries.len() > 1 => drop(list.entries.remove(random.below(list.entries.len()))),
        1 => list.entries.iter_mut().for_each(|entry| entry.seq += 5),
        // bgpd's lists never say one thing twice
        _ if list.entries.iter().any(|other| (other.action, &other.pattern) == (entry.action, &entry.pattern)) => {}
        _ => {
            list.entries.retain(|other| other.seq != entry.seq);
            list.entries.push(entry);
        }
    }
}

fn matches(random: &mut Random) -> Option<Match> {
    let name = ["lw-any", "lw-own", "lw-loopbacks"][random.below(3)].parse().ok()?;
    Some(match random.below(6) {
        0 => Match::AsPath(name),
        1 => Match::PrefixList(Family::V4, name),
        2 => Match::PrefixList(Family::V6, name),
        3 => Match::ExtendedCommunity(name),
        4 => Match::EvpnRd(rd(random)),
        _ => Match::NextHopAddress([10, 255, 0, u8::try_from(random.below(9)).unwrap_or(0)].into()),
    })
}

fn sets(random: &mut Random) -> Option<Set> {
    Some(match random.below(4) {
        0 => Set::AsPathExcludeAll,
        1 => Set::AsPathPrepend(vec![4_210_000_001u64.try_into().ok()?; 1 + random.below(3)]),
        2 => Set::Community("no-export".parse().ok()?),
        _ => Set::LocalPreference(100 + u32::try_from(random.below(3)).unwrap_or(0)),
    })
}

fn route_map(config: &mut FrrConfig, random: &mut Random) {
    let Some(at) = place(random, config.route_maps.len()) else { return };
    match random.below(7) {
        0 => drop(config.route_maps.remove(at)),
        1 | 2 => {
            let mut entry = config.route_maps[at].clone();
            entry.seq = 1 + u32::try_from(random.below(70)).unwrap_or(0);
            entry.action = action(random);
            config.route_maps.retain(|other| (&other.name, other.seq) != (&entry.name, entry.seq));
            config.route_maps.push(entry);
        }
        3 => {
            let entry = &mut config.route_maps[at];
            entry.action = if entry.action == Action::Permit { Action::Deny } else { Action::Permit };
        }
        4 => {
            let entry = &mut config.route_maps[at];
            let Some(item) = matches(random) else { return };
            entry.matches.retain(|other| std::mem::discriminant(other) != std::mem::discriminant(&item));
            entry.matches.push(item);
        }
        5 => {
            let entry: &mut RouteMapEntry = &mut config.route_maps[at];
            let Some(item) = sets(random) else { return };
            entry.sets.retain(|other| std::mem::discriminant(other) != std::mem::discriminant(&item));
            entry.sets.push(item);
        }
        _ => {
            let entry = &mut config.route_maps[at];
            entry.matches.pop();
            entry.sets.pop();
        }
    }
}

fn router<'c>(config: &'c mut FrrConfig, random: &mut Random) -> Option<&'c mut RouterBgp> {
    let at = place(random, config.routers.len())?;
    config.routers.get_mut(at)
}

fn neighbor_statement(random: &mut Random) -> Option<NeighborStatement> {
    let number = u16::try_from(random.below(3)).unwrap_or(0);
    Some(match random.below(5) {
        0 => NeighborStatement::Description(format!("machine {number}").parse().ok()?),
        1 => NeighborStatement::Timers { keepalive: 3 + number, hold: 9 + 3 * number },
        2 => NeighborStatement::TimersConnect(1 + number),
        3 => NeighborStatement::Password(format!("secret{number}").parse().ok()?),
        _ => NeighborStatement::Bfd,
    })
}

fn family_statement(random: &mut Random, kind: FamilyKind) -> Option<FamilyNeighborStatement> {
    let list = ["lw-any", "lw-own", "lw-loopbacks", "lw-missing"][random.below(4)].parse().ok()?;
    let direction = if random.once_in(2) { Direction::In } else { Direction::Out };
    let limit = FamilyNeighborStatement::MaximumPrefix {
        count: 10 + u32::try_from(random.below(5)).unwrap_or(0),
        restart: random.once_in(2).then_some(5),
    };
    Some(match (kind, random.below(6)) {
        (_, 0) => limit,
        (_, 1) | (FamilyKind::L2vpnEvpn, _) => FamilyNeighborStatement::RouteMap(list, direction),
        (_, 2) => FamilyNeighborStatement::FilterList(list, direction),
        (_, 3) => FamilyNeighborStatement::AllowasIn(1 + u8::try_from(random.below(3)).unwrap_or(0)),
        (_, 4) => FamilyNeighborStatement::RemovePrivateAs,
        _ => FamilyNeighborStatement::PrefixList(list, direction),
    })
}

fn same_place(a: &FamilyNeighborStatement, b: &FamilyNeighborStatement) -> bool {
    use FamilyNeighborStatement::{FilterList, PrefixList, RouteMap};
    match (a, b) {
        (PrefixList(_, a), PrefixList(_, b)) | (RouteMap(_, a), RouteMap(_, b)) | (FilterList(_, a), FilterList(_, b)) => a == b,
        _ => std::mem::discriminant(a) == std::mem::discriminant(b),
    }
}

fn neighbor(config: &mut FrrConfig, random: &mut Random) {
    let Some(router) = router(config, random) else { return };
    let groups = |router: &RouterBgp| -> Vec<Peer> {
        let groups = router.neighbors.iter().filter(|neighbor| neighbor.statements.contains(&NeighborStatement::PeerGroup));
        groups.map(|neighbor| neighbor.peer.clone()).collect()
    };
    match random.below(6) {
        0 => {
            let Some(at) = place(random, router.neighbors.len()) else { return };
            let peer = router.neighbors.remove(at).peer;
            let member = |statement: &NeighborStatement| matches!(statement, NeighborStatement::InterfacePeerGroup(name) if name.as_str() == peer.to_string());
            let lost: Vec<Peer> =
                router.neighbors.iter().filter(|neighbor| neighbor.statements.iter().any(member)).map(|n| n.peer.clone()).collect();
            router.neighbors.retain(|neighbor| !lost.contains(&neighbor.peer));
            for family in &mut router.families {
                family.neighbors.retain(|neighbor| neighbor.peer != peer && !lost.contains(&neighbor.peer));
            }
        }
        1 => {
            let Some(at) = place(random, router.neighbors.len()) else { return };
            let mut copy = router.neighbors[at].clone();
            if copy.statements.contains(&NeighborStatement::PeerGroup) || matches!(copy.peer, Peer::Address(_)) {
                return;
            }
            let Ok(peer) = format!("swp{}", 40 + random.below(4)).parse::<Peer>() else { return };
            if router.neighbors.iter().any(|neighbor| neighbor.peer == peer) {
                return;
            }
            let old = std::mem::replace(&mut copy.peer, peer.clone());
            router.neighbors.push(copy);
            for family in &mut router.families {
                if let Some(mut said) = family.neighbors.iter().find(|neighbor| neighbor.peer == old).cloned() {
                    said.peer = peer.clone();
                    family.neighbors.push(said);
                }
            }
        }
        2 => {
            let groups = groups(router);
            let Some(at) = place(random, router.neighbors.len()) else { return };
            let number = 4_210_000_100 + random.below(3) as u64;
            let Ok(asn) = number.try_into() else { return };
            for statement in &mut router.neighbors[at].statements {
                match statement {
                    NeighborStatement::InterfaceRemoteAs(remote) | NeighborStatement::RemoteAs(remote) => *remote = RemoteAs::Asn(asn),
                    NeighborStatement::InterfacePeerGroup(_) if !groups.is_empty() => {
                        *statement = NeighborStatement::InterfaceRemoteAs(RemoteAs::Asn(asn));
                    }
                    _ => {}
                }
            }
        }
        3 | 4 => {
            let Some(at) = place(random, router.neighbors.len()) else { return };
            let Some(statement) = neighbor_statement(random) else { return };
            let neighbor = &mut router.neighbors[at];
            let had = neighbor.statements.contains(&statement);
            neighbor.statements.retain(|other| std::mem::discriminant(other) != std::mem::discriminant(&statement));
            // a profile without BFD is none that FRR prints
            let profile = neighbor.statements.iter().any(|other| matches!(other, NeighborStatement::BfdProfile(_)));
            if !had || profile {
                neighbor.statements.push(statement);
            }
        }
        _ => {
            let Some(at) = place(random, router.families.len()) else { return };
            let family = &mut router.families[at];
            let Some(at) = place(random, family.neighbors.len()) else { return };
            let Some(statement) = family_statement(random, family.kind) else { return };
            let neighbor = &mut family.neighbors[at];
            let had = neighbor.statements.contains(&statement);
            neighbor.statements.retain(|other| !same_place(other, &statement));
            if !had {
                neighbor.statements.push(statement);
            }
        }
    }
}

fn remove_vrf(config: &mut FrrConfig, random: &mut Random) {
    let Some(at) = place(random, config.vrfs.len()) else { return };
    let name = config.vrfs.remove(at).name;
    config.routers.retain(|router| router.vrf.as_ref() != Some(&name));
    for family in config.routers.iter_mut().flat_map(|router| &mut router.families) {
        family.exchanges.retain(|exchange| !matches!(exchange, Exchange::ImportVrf(vrf) if *vrf == name));
    }
}

fn add_vrf(config: &mut FrrConfig, random: &mut Random) {
    let vni = vni(random);
    let name = vrf_of(vni);
    let used = |vrf: &Vrf| vrf.name == name || vrf.vni == Some(vni);
    if config.vrfs.iter().any(used) || l2(config).contains(&vni) {
        return;
    }
    let model = config.routers.iter().filter(|router| router.vrf.is_some()).cloned().collect::<Vec<_>>();
    let Some(at) = place(random, model.len()) else { return };
    let mut router = model[at].clone();
    router.vrf = Some(name.clone());
    // the same interface is no neighbour in two VRFs
    router.neighbors.clear();
    router.families.iter_mut().for_each(|family| family.neighbors.clear());
    config.vrfs.push(Vrf { name, vni: Some(vni), foreign: Vec::new() });
    config.routers.push(router);
}

/// VNIs of bridged segments.
fn l2(config: &FrrConfig) -> Vec<Vni> {
    let exchanges = config.routers.iter().flat_map(|router| &router.families).flat_map(|family| &family.exchanges);
    exchanges
        .filter_map(|exchange| match exchange {
            Exchange::Vni(vni) => Some(vni.vni),
            _ => None,
        })
        .collect()
}

/// VNIs of VRFs change, go, come, and change hands (H5).
fn vnis(config: &mut FrrConfig, random: &mut Random) {
    let other = vni(random);
    let taken = config.vrfs.iter().any(|vrf| vrf.vni == Some(other)) || l2(config).contains(&other);
    let Some(at) = place(random, config.vrfs.len()) else { return };
    match random.below(3) {
        0 => {
            let with = random.below(config.vrfs.len());
            let vni = config.vrfs[with].vni;
            config.vrfs[with].vni = config.vrfs[at].vni;
            config.vrfs[at].vni = vni;
        }
        1 if !taken => config.vrfs[at].vni = Some(other),
        _ => config.vrfs[at].vni = None,
    }
}

fn family_of(router: &mut RouterBgp, kind: FamilyKind) -> &mut AddressFamily {
    let at = router.families.iter().position(|family| family.kind == kind).unwrap_or_else(|| {
        router.families.push(AddressFamily::new(kind));
        router.families.len() - 1
    });
    &mut router.families[at]
}

fn origins(config: &mut FrrConfig, random: &mut Random) {
    let family = if random.once_in(2) { Family::V4 } else { Family::V6 };
    let prefix = prefix(random, family);
    let map = if random.once_in(2) { "lw-any".parse().ok() } else { None };
    let source = [Source::Connected, Source::Kernel, Source::Static][random.below(3)];
    let kind = random.below(3);
    let Some(router) = router(config, random) else { return };
    let family = family_of(router, family.into());
    let origin = match kind {
        0 => Origin::Network(prefix),
        1 => Origin::AggregateSummaryOnly(prefix),
        _ => Origin::Redistribute(source, map),
    };
    let had = family.origins.contains(&origin);
    family.origins.retain(|other| match (other, &origin) {
        (Origin::Redistribute(a, _), Origin::Redistribute(b, _)) => a != b,
        (a, b) => a != b,
    });
    if !had {
        family.origins.push(origin);
    }
}

fn exchanges(config: &mut FrrConfig, random: &mut Random) {
    let names: Vec<IfName> = config.routers.iter().filter_map(|router| router.vrf.clone()).collect();
    let l3: Vec<Vni> = config.vrfs.iter().filter_map(|vrf| vrf.vni).collect();
    let Some(router) = router(config, random) else { return };
    let map = if random.once_in(2) { "lw-any".parse().ok() } else { None };
    if router.vrf.is_none() {
        let family = family_of(router, FamilyKind::L2vpnEvpn);
        let vni = vni(random);
        let at = family.exchanges.iter().position(|exchange| matches!(exchange, Exchange::Vni(other) if other.vni == vni));
        match at {
            Some(at) if random.once_in(2) => drop(family.exchanges.remove(at)),
            Some(at) => {
                family.exchanges[at] = Exchange::Vni(EvpnVni {
                    vni,
                    statements: vec![VniStatement::Rd(rd(random)), VniStatement::ImportTarget(target(random))],
                });
            }
            None if l3.contains(&vni) || !family.exchanges.contains(&Exchange::AdvertiseAllVni) => {}
            None => family.exchanges.push(Exchange::Vni(EvpnVni { vni, statements: vec![VniStatement::ExportTarget(target(random))] })),
        }
    } else {
        let kind = [FamilyKind::Ipv4Unicast, FamilyKind::Ipv6Unicast, FamilyKind::L2vpnEvpn][random.below(3)];
        let own = router.vrf.clone();
        let family = family_of(router, kind);
        let exchange = match (kind, random.below(4)) {
            (FamilyKind::L2vpnEvpn, 0) => Exchange::Rd(rd(random)),
            (FamilyKind::L2vpnEvpn, 1) => Exchange::ImportTarget(target(random)),
            (FamilyKind::L2vpnEvpn, 2) => Exchange::ExportTarget(target(random)),
            (FamilyKind::L2vpnEvpn, _) => Exchange::Advertise(if random.once_in(2) { Family::V4 } else { Family::V6 }, map),
            (_, 0) => match map {
                Some(map) => Exchange::ImportVrfRouteMap(map),
                None => return,
            },
            _ => match place(random, names.len()).map(|at| names[at].clone()).filter(|name| own.as_ref() != Some(name)) {
                Some(name) => Exchange::ImportVrf(name),
                None => return,
            },
        };
        let had = family.exchanges.contains(&exchange);
        family.exchanges.retain(|other| match (other, &exchange) {
            (Exchange::Advertise(a, _), Exchange::Advertise(b, _)) => a != b,
            (Exchange::Rd(_), Exchange::Rd(_)) | (Exchange::ImportVrfRouteMap(_), Exchange::ImportVrfRouteMap(_)) => false,
            (a, b) => a != b,
        });
        if !had {
            family.exchanges.push(exchange);
        }
    }
}

fn settings(config: &mut FrrConfig, random: &mut Random) {
    if random.once_in(3) {
        let name: leafwall_render::frr::Word = match format!("lw-bfd-{}", random.below(2)).parse() {
            Ok(name) => name,
            Err(_) => return,
        };
        let had = config.bfd.profiles.iter().any(|profile| profile.name == name);
        config.bfd.profiles.retain(|profile| profile.name != name);
        if !had || random.once_in(2) {
            config.bfd.profiles.push(BfdProfile {
                name,
                detect_multiplier: random.once_in(2).then_some(5),
                transmit_interval: random.once_in(2).then_some(400),
                receive_interval: random.once_in(2).then_some(500),
                foreign: Vec::new(),
            });
        }
        return;
    }
    let setting = if random.once_in(2) { Setting::GracefulShutdown } else { Setting::MultipathRelax };
    let Some(router) = router(config, random) else { return };
    let had = router.settings.contains(&setting);
    router.settings.retain(|other| *other != setting);
    if !had {
        router.settings.push(setting);
    }
}
