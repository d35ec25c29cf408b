//! A configuration in the making: lists and route-maps are added as the statements that use them are.

use std::collections::BTreeSet;
use std::net::Ipv4Addr;

use leafwall_plan::device::{Common, Lengths, PrefixMatch};
use leafwall_topology::names::{self, FRR_PREFIX};
use leafwall_topology::{Asn, Family, IfName, Name, Platform, Prefix, Vni};

use crate::frr::{
    Action, AttributeEntry, AttributeKind, AttributeList, BfdProfile, Defaults, FamilyNeighborStatement, FrrConfig, Global, Match,
    Neighbor, NeighborStatement, Peer, PrefixEntry, PrefixList, RouteMapEntry, RouterBgp, Set, Setting, Text, Vrf, Word,
};

/// FRR's release that the files are made and tested for; SONiC's releases bring their own.
pub const FRR_VERSION: &str = "10.3";
/// From which level FRR logs.
const LOG_LEVEL: &str = "informational";
/// Numbers of list entries are this far apart, as FRR numbers them itself.
const SEQ_STEP: u32 = 5;
/// Numbers of route-map entries are this far apart.
const ROUTE_MAP_STEP: u32 = 10;
/// Seconds between attempts to connect: a port that comes up is to be used at once.
const CONNECT_SECONDS: u16 = 1;

/// Minutes until a session is tried again that announced too much: long enough to keep a fault from spreading, short enough to do without an operator.
const RESTART_MINUTES: u16 = 5;

/// A bound on what a neighbour announces.
pub const fn at_most(count: u32) -> FamilyNeighborStatement {
    FamilyNeighborStatement::MaximumPrefix { count, restart: Some(RESTART_MINUTES) }
}

/// What our lists and route-maps are called: `lw-` and what they are for.
pub fn own(name: &str) -> Word {
    Word::ours(&format!("{FRR_PREFIX}{name}"))
}

/// The suffix that keeps the lists of the families apart (H22).
pub const fn digit(family: Family) -> char {
    match family {
        Family::V4 => '4',
        Family::V6 => '6',
    }
}

/// An interface as a neighbour.
pub fn peer(port: &IfName) -> Peer {
    Peer::Named(Word::ours(port.as_str()))
}

/// The name of the BFD profile of fabric and firewall ports.
pub fn bfd_profile() -> Word {
    own("fabric")
}

/// A configuration in the making.
pub struct Draft {
    /// What there is so far.
    pub config: FrrConfig,
    platform: Platform,
}

impl Draft {
    /// The configuration of a device of this name, with the BFD profile that its sessions refer to.
    pub fn new(name: &Name, common: &Common) -> Self {
        let mut config = FrrConfig {
            globals: vec![
                Global::Version(Text::ours(FRR_VERSION)),
                Global::Defaults(Defaults::Traditional),
                Global::Hostname(Word::ours(name.as_str())),
                Global::LogSyslog(Word::ours(LOG_LEVEL)),
            ],
            ..FrrConfig::default()
        };
        let interval = u32::from(common.bfd.interval_ms);
        // what equals the default is not printed by bfdd, so it is not stated either
        let stated = (interval != BfdProfile::DEFAULT_INTERVAL).then_some(interval);
        config.bfd.profiles.push(BfdProfile {
            name: bfd_profile(),
            detect_multiplier: Some(common.bfd.multiplier).filter(|&multiplier| multiplier != BfdProfile::DEFAULT_MULTIPLIER),
            transmit_interval: stated,
            receive_interval: stated,
            foreign: Vec::new(),
        });
        Self { config, platform: Platform::Frr }
    }

    /// The same for another platform, whose FRR is of this release: what it brings is what it is called there.
    #[must_use]
    pub fn on(mut self, platform: Platform, frr: &str) -> Self {
        self.platform = platform;
        for global in &mut self.config.globals {
            if matches!(global, Global::Version(_)) {
                *global = Global::Version(Text::ours(frr));
            }
        }
        self
    }

    /// What the VRF of an L3VNI is called on the device.
    pub fn vrf_name(&self, vni: Vni) -> IfName {
        names::vrf_on(self.platform, vni)
    }

    /// Adds a prefix list of one family. One that would be empty says `deny` in so many words: to FRR an empty list permits everything (H20).
    pub fn prefix_list(&mut self, name: &str, family: Family, matches: impl IntoIterator<Item = PrefixMatch>) -> Word {
        let name = own(name);
        let ours = matches.into_iter().filter(|found| found.prefix.family() == family);
        let mut entries: Vec<_> = (1..).zip(ours).map(|(index, found)| entry(index * SEQ_STEP, found)).collect();
        if entries.is_empty() {
            let le = Some(family.host_length());
            entries.push(PrefixEntry { seq: SEQ_STEP, action: Action::Deny, prefix: Prefix::any(family), ge: None, le });
        }
        self.config.prefix_lists.push(PrefixList { family, name: name.clone(), entries });
        name
    }

    /// Adds a list of AS paths or communities, all of whose entries permit.
    pub fn attribute_list(&mut self, kind: AttributeKind, name: &str, patterns: impl IntoIterator<Item = String>) -> Word {
        let name = own(name);
        let entries = (1..)
            .zip(patterns)
            .map(|(index, pattern)| AttributeEntry { seq: index * SEQ_STEP, action: Action::Permit, pattern: Text::ours(&pattern) })
            .collect();
        self.config.attribute_lists.push(AttributeList { kind, name: name.clone(), entries });
        name
    }

    /// Adds a route-map whose entries permit. What none of them matches is denied.
    pub fn route_map(&mut self, name: &str, entries: impl IntoIterator<Item = (Vec<Match>, Vec<Set>)>) -> Word {
        let name = own(name);
        for (index, (matches, sets)) in (1..).zip(entries) {
            let mut entry = RouteMapEntry::new(name.clone(), Action::Permit, index * ROUTE_MAP_STEP);
            entry.matches = matches;
            entry.sets = sets;
            entry.sort();
            self.config.route_maps.push(entry);
        }
        name
    }

    /// Adds a route-map that denies what these conditions match, each for itself, and permits the rest.
    pub fn route_map_all_but(&mut self, name: &str, denied: impl IntoIterator<Item = Match>) -> Word {
        let name = own(name);
        let mut last = 0;
        for (index, condition) in (1..).zip(denied) {
            last = index;
            let mut entry = RouteMapEntry::new(name.clone(), Action::Deny, index * ROUTE_MAP_STEP);
            entry.matches.push(condition);
            self.config.route_maps.push(entry);
        }
        self.config.route_maps.push(RouteMapEntry::new(name.clone(), Action::Permit, (last + 1) * ROUTE_MAP_STEP));
        name
    }

    /// The VRF of an L3VNI.
    pub fn vrf(&mut self, vni: Vni) -> IfName {
        let name = self.vrf_name(vni);
        self.config.vrfs.push(Vrf { name: name.clone(), vni: Some(vni), foreign: Vec::new() });
        name
    }

    /// The finished tree, its lists in the order in which FRR prints them.
    pub fn finish(mut self) -> FrrConfig {
        self.config.prefix_lists.sort_by(|a, b| (a.family, &a.name).cmp(&(b.family, &b.name)));
        // bgpd keeps both forms of a kind of community list together, by name
        self.config.attribute_lists.sort_by(|a, b| (a.kind.attribute(), &a.name).cmp(&(b.kind.attribute(), &b.name)));
        self.config.routers.iter_mut().for_each(order_neighbors);
        self.config.route_maps.sort_by(|a, b| (&a.name, a.seq).cmp(&(&b.name, b.seq)));
        self.config
    }
}

/// bgpd lists peer groups and their members first, and interfaces by their numbers: `swp9` before `swp10`.
fn order_neighbors(router: &mut RouterBgp) {
    let grouped = |neighbor: &Neighbor| {
        let first = neighbor.statements.first();
        matches!(first, Some(NeighborStatement::PeerGroup | NeighborStatement::InterfacePeerGroup(_)))
    };
    let groups: BTreeSet<Peer> =
        router.neighbors.iter().filter(|neighbor| grouped(neighbor)).map(|neighbor| neighbor.peer.clone()).collect();
    router.neighbors.sort_by_cached_key(|neighbor| {
        (!neighbor.statements.contains(&NeighborStatement::PeerGroup), !grouped(neighbor), natural(&neighbor.peer))
    });
    for family in &mut router.families {
        family.neighbors.sort_by_cached_key(|neighbor| (!groups.contains(&neighbor.peer), natural(&neighbor.peer)));
    }
}

/// A neighbour's place among others: names without their last number, then that number.
fn natural(peer: &Peer) -> (Peer, u64) {
    let Peer::Named(name) = peer else { return (peer.clone(), 0) };
    let stem = name.as_str().trim_end_matches(|c: char| c.is_ascii_digit());
    match (stem.parse(), name.as_str().get(stem.len()..).map(str::parse)) {
        (Ok(stem), Some(Ok(number))) => (Peer::Named(stem), number),
        _ => (peer.clone(), 0),
    }
}

fn entry(seq: u32, found: PrefixMatch) -> PrefixEntry {
    let PrefixMatch { prefix, lengths } = found;
    let host = Some(prefix.family().host_length()).filter(|_| !prefix.is_host());
    let (ge, le) = match lengths {
        Lengths::Exact => (None, None),
        Lengths::Hosts => (host, None),
        Lengths::UpToHosts => (None, host),
    };
    PrefixEntry { seq, action: Action::Permit, prefix, ge, le }
}

/// An instance with what all of ours have.
pub fn router(asn: Asn, vrf: Option<IfName>, router_id: Ipv4Addr, maintenance: bool) -> RouterBgp {
    let mut settings = vec![Setting::RouterId(router_id), Setting::NoDefaultIpv4Unicast];
    if maintenance {
        settings.push(Setting::GracefulShutdown);
    }
    settings.push(Setting::MultipathRelax);
    RouterBgp { asn, vrf, settings, neighbors: Vec::new(), families: Vec::new() }
}

/// Whether a session is watched by BFD.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Watch {
    /// By BFD, with the fabric's timers.
    Bfd,
    /// By BGP's own timers alone.
    Timers,
}

impl Watch {
    /// How sessions with servers are watched: BFD is opt-in there.
    pub const fn servers(common: &Common) -> Self {
        if common.bfd.servers { Self::Bfd } else { Self::Timers }
    }
}

/// What follows the first statements of a neighbour.
pub fn session(common: &Common, watch: Watch) -> Vec<NeighborStatement> {
    let mut statements = Vec::with_capacity(4);
    if watch == Watch::Bfd {
        statements.extend([NeighborStatement::Bfd, NeighborStatement::BfdProfile(bfd_profile())]);
    }
    statements.push(NeighborStatement::Timers { keepalive: common.timers.keepalive, hold: common.timers.hold });
    statements.push(NeighborStatement::TimersConnect(CONNECT_SECONDS));
    statements
}
