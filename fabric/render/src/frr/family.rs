//! Address families of a BGP instance.

use std::fmt;

use leafwall_topology::{Family, IfName, Prefix, RouteDistinguisher, RouteTarget, Vni};

use super::Fault;
use super::bgp::Peer;
use super::line::{Block, Parsed};
use super::text::{Direction, Foreign, Text, Word};

/// Which address family. The ones that we do not use are kept whole as foreign statements of the instance.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum FamilyKind {
    /// `ipv4 unicast`
    Ipv4Unicast,
    /// `ipv6 unicast`
    Ipv6Unicast,
    /// `l2vpn evpn`
    L2vpnEvpn,
}

impl fmt::Display for FamilyKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Ipv4Unicast => "ipv4 unicast",
            Self::Ipv6Unicast => "ipv6 unicast",
            Self::L2vpnEvpn => "l2vpn evpn",
        })
    }
}

impl From<Family> for FamilyKind {
    fn from(family: Family) -> Self {
        match family {
            Family::V4 => Self::Ipv4Unicast,
            Family::V6 => Self::Ipv6Unicast,
        }
    }
}

/// One address family. bgpd prints some statements before the neighbours and some after them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AddressFamily {
    /// Which.
    pub kind: FamilyKind,
    /// What stands before the neighbours: what is announced.
    pub origins: Vec<Origin>,
    /// What is said of neighbours.
    pub neighbors: Vec<FamilyNeighbor>,
    /// What stands after them: imports, EVPN.
    pub exchanges: Vec<Exchange>,
}

/// Where announced routes come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// `network`: this prefix, while the routing table has it.
    Network(Prefix),
    /// `aggregate-address … summary-only`: this prefix instead of its parts, while there is one.
    AggregateSummaryOnly(Prefix),
    /// `redistribute`, with or without a route-map.
    Redistribute(Source, Option<Word>),
    /// Anything else.
    Foreign(Foreign),
}

/// What is redistributed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Source {
    /// The kernel's routes.
    Kernel,
    /// Interfaces' subnets.
    Connected,
    /// Static routes.
    Static,
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Kernel => "kernel",
            Self::Connected => "connected",
            Self::Static => "static",
        })
    }
}

fn with_route_map(f: &mut fmt::Formatter<'_>, route_map: Option<&Word>) -> fmt::Result {
    match route_map {
        Some(name) => write!(f, " route-map {name}"),
        None => Ok(()),
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Network(prefix) => write!(f, "network {prefix}"),
            Self::AggregateSummaryOnly(prefix) => write!(f, "aggregate-address {prefix} summary-only"),
            Self::Redistribute(source, route_map) => {
                write!(f, "redistribute {source}")?;
                with_route_map(f, route_map.as_ref())
            }
            Self::Foreign(foreign) => foreign.text.fmt(f),
        }
    }
}

impl Origin {
    fn parse(block: &Block<'_>) -> Parsed<Self> {
        let source = |word: &str| match word {
            "kernel" => Some(Source::Kernel),
            "connected" => Some(Source::Connected),
            "static" => Some(Source::Static),
            _ => None,
        };
        Ok(match block.words.as_slice() {
            ["network", prefix] => Some(Self::Network(block.value(prefix)?)),
            ["aggregate-address", prefix, "summary-only"] => Some(Self::AggregateSummaryOnly(block.value(prefix)?)),
            ["redistribute", word] => source(word).map(|source| Self::Redistribute(source, None)),
            ["redistribute", word, "route-map", name] => match source(word) {
                Some(source) => Some(Self::Redistribute(source, Some(block.value(name)?))),
                None => None,
            },
            _ => None,
        })
    }

    const fn rank(&self) -> u8 {
        match self {
            Self::Network(_) => 0,
            Self::AggregateSummaryOnly(_) => 1,
            Self::Redistribute(..) => 2,
            Self::Foreign(_) => 3,
        }
    }
}

/// A neighbour in this address family.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FamilyNeighbor {
    /// Which.
    pub peer: Peer,
    /// What is said of it.
    pub statements: Vec<FamilyNeighborStatement>,
}

/// What is said of a neighbour in an address family.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FamilyNeighborStatement {
    /// The family is spoken.
    Activate,
    /// Private ASNs are left out of what it is told.
    RemovePrivateAs,
    /// The session ends when it announces more than `count`, and is tried again after some minutes; without them it stays down until somebody clears it.
    MaximumPrefix {
        /// How many.
        count: u32,
        /// Minutes until it is tried again.
        restart: Option<u16>,
    },
    /// How often our own ASN may stand in what it announces.
    AllowasIn(u8),
    /// A filter on prefixes.
    PrefixList(Word, Direction),
    /// A filter that also changes.
    RouteMap(Word, Direction),
    /// A filter on AS paths.
    FilterList(Word, Direction),
    /// The next hop stays what it was.
    NextHopUnchanged,
    /// Anything else, without `neighbor` and its name.
    Foreign(Text),
}

/// What `allowas-in` means without a number, and how bgpd prints that number.
const ALLOWAS_IN_DEFAULT: u8 = 3;

impl fmt::Display for FamilyNeighborStatement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Activate => f.write_str("activate"),
            Self::RemovePrivateAs => f.write_str("remove-private-AS"),
            Self::MaximumPrefix { count, restart: None } => write!(f, "maximum-prefix {count}"),
            Self::MaximumPrefix { count, restart: Some(minutes) } => write!(f, "maximum-prefix {count} restart {minutes}"),
            Self::AllowasIn(ALLOWAS_IN_DEFAULT) => f.write_str("allowas-in"),
            Self::AllowasIn(count) => write!(f, "allowas-in {count}"),
            Self::PrefixList(list, direction) => write!(f, "prefix-list {list} {direction}"),
            Self::RouteMap(map, direction) => write!(f, "route-map {map} {direction}"),
            Self::FilterList(list, direction) => write!(f, "filter-list {list} {direction}"),
            Self::NextHopUnchanged => f.write_str("attribute-unchanged next-hop"),
            Self::Foreign(text) => text.fmt(f),
        }
    }
}

impl FamilyNeighborStatement {
    fn parse(block: &Block<'_>, words: &[&str]) -> Parsed<Self> {
        Ok(match words {
            ["activate"] => Some(Self::Activate),
            ["remove-private-AS"] => Some(Self::RemovePrivateAs),
            ["maximum-prefix", count] => Some(Self::MaximumPrefix { count: block.value(count)?, restart: None }),
            ["maximum-prefix", count, "restart", minutes] => {
                Some(Self::MaximumPrefix { count: block.value(count)?, restart: Some(block.value(minutes)?) })
            }
            ["allowas-in"] => Some(Self::AllowasIn(ALLOWAS_IN_DEFAULT)),
            ["allowas-in", count] if *count != "origin" => Some(Self::AllowasIn(block.value(count)?)),
            ["prefix-list", list, direction] => Some(Self::PrefixList(block.value(list)?, block.value(direction)?)),
            ["route-map", map, direction] => Some(Self::RouteMap(block.value(map)?, block.value(direction)?)),
            ["filter-list", list, direction] => Some(Self::FilterList(block.value(list)?, block.value(direction)?)),
            ["attribute-unchanged", "next-hop"] => Some(Self::NextHopUnchanged),
            [first, ..] => block.rest(first).map(Self::Foreign),
            [] => None,
        })
    }

    const fn rank(&self) -> u8 {
        match self {
            Self::Activate => 0,
            Self::RemovePrivateAs => 1,
            Self::MaximumPrefix { .. } => 2,
            Self::AllowasIn(_) => 3,
            Self::PrefixList(_, Direction::In) => 4,
            Self::PrefixList(_, Direction::Out) => 5,
            Self::RouteMap(_, Direction::In) => 6,
            Self::RouteMap(_, Direction::Out) => 7,
            Self::FilterList(_, Direction::In) => 8,
            Self::FilterList(_, Direction::Out) => 9,
            Self::NextHopUnchanged => 10,
            Self::Foreign(_) => 11,
        }
    }
}

/// What passes between VRFs, and between a VRF and EVPN.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Exchange {
    /// `import vrf route-map`: what of the imported routes is taken.
    ImportVrfRouteMap(Word),
    /// `import vrf`: routes of that VRF on this device.
    ImportVrf(IfName),
    /// `advertise-all-vni`: this device is a VTEP.
    AdvertiseAllVni,
    /// An L2VNI.
    Vni(EvpnVni),
    /// `advertise ipv4 unicast` or `ipv6`: the VRF's routes as type 5, with or without a route-map.
    Advertise(Family, Option<Word>),
    /// The route distinguisher of the VRF's type-5 routes.
    Rd(RouteDistinguisher),
    /// Which routes are taken.
    ImportTarget(RouteTarget),
    /// What ours are marked with.
    ExportTarget(RouteTarget),
}

/// `vni` below `address-family l2vpn evpn`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EvpnVni {
    /// The L2VNI.
    pub vni: Vni,
    /// What is said of it: [`Exchange::Rd`], [`Exchange::ImportTarget`], [`Exchange::ExportTarget`] as lines of its own type.
    pub statements: Vec<VniStatement>,
}

/// What is said of an L2VNI.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum VniStatement {
    /// Its route distinguisher.
    Rd(RouteDistinguisher),
    /// Which routes are taken.
    ImportTarget(RouteTarget),
    /// What ours are marked with.
    ExportTarget(RouteTarget),
    /// Anything else.
    Foreign(Foreign),
}

impl fmt::Display for VniStatement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Rd(rd) => write!(f, "rd {rd}"),
            Self::ImportTarget(target) => write!(f, "route-target import {target}"),
            Self::ExportTarget(target) => write!(f, "route-target export {target}"),
            Self::Foreign(foreign) => foreign.text.fmt(f),
        }
    }
}

impl VniStatement {
    fn parse(block: &Block<'_>) -> Option<Self> {
        // other forms of RD and RT than ours are legal on a device, but not ours
        let known = match block.words.as_slice() {
            _ if !block.is_leaf() => None,
            ["rd", rd] => rd.parse().ok().map(Self::Rd),
            ["route-target", "import", target] => target.parse().ok().map(Self::ImportTarget),
            ["route-target", "export", target] => target.parse().ok().map(Self::ExportTarget),
            _ => None,
        };
        known.or_else(|| block.foreign().map(Self::Foreign))
    }

    const fn rank(&self) -> u8 {
        match self {
            Self::Rd(_) => 0,
            Self::ImportTarget(_) => 1,
            Self::ExportTarget(_) => 2,
            Self::Foreign(_) => 3,
        }
    }
}

impl fmt::Display for Exchange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ImportVrfRouteMap(map) => write!(f, "import vrf route-map {map}"),
            Self::ImportVrf(vrf) => write!(f, "import vrf {vrf}"),
            Self::AdvertiseAllVni => f.write_str("advertise-all-vni"),
            Self::Vni(vni) => write!(f, "vni {}", vni.vni),
            Self::Advertise(family, route_map) => {
                write!(f, "advertise {}", FamilyKind::from(*family))?;
                with_route_map(f, route_map.as_ref())
            }
            Self::Rd(rd) => write!(f, "rd {rd}"),
            Self::ImportTarget(target) => write!(f, "route-target import {target}"),
            Self::ExportTarget(target) => write!(f, "route-target export {target}"),
        }
    }
}

impl Exchange {
    fn parse(block: &Block<'_>) -> Parsed<Self> {
        if let ["vni", vni] = block.words.as_slice() {
            let statements = block.children.iter().filter_map(VniStatement::parse).collect();
            return Ok(Some(Self::Vni(EvpnVni { vni: block.value(vni)?, statements })));
        }
        Ok(match block.words.as_slice() {
            _ if !block.is_leaf() => None,
            // the second is what bgpd 10.3 shows of the first where the route-map was not there when it was said; it takes the first back, and not always the second
            ["import", "vrf", "route-map", map] | ["route-map", "vpn", "import", map] => Some(Self::ImportVrfRouteMap(block.value(map)?)),
            ["import", "vrf", vrf] => vrf.parse().ok().map(Self::ImportVrf),
            ["advertise-all-vni"] => Some(Self::AdvertiseAllVni),
            ["advertise", "ipv4", "unicast"] => Some(Self::Advertise(Family::V4, None)),
            ["advertise", "ipv6", "unicast"] => Some(Self::Advertise(Family::V6, None)),
            ["advertise", "ipv4", "unicast", "route-map", map] => Some(Self::Advertise(Family::V4, Some(block.value(map)?))),
            ["advertise", "ipv6", "unicast", "route-map", map] => Some(Self::Advertise(Family::V6, Some(block.value(map)?))),
            ["rd", rd] => rd.parse().ok().map(Self::Rd),
            ["route-target", "import", target] => target.parse().ok().map(Self::ImportTarget),
            ["route-target", "export", target] => target.parse().ok().map(Self::ExportTarget),
            _ => None,
        })
    }

    const fn rank(&self) -> u8 {
        match self {
            Self::ImportVrfRouteMap(_) => 0,
            Self::ImportVrf(_) => 1,
            Self::AdvertiseAllVni => 2,
            Self::Vni(_) => 3,
            Self::Advertise(..) => 4,
            Self::Rd(_) => 5,
            Self::ImportTarget(_) => 6,
            Self::ExportTarget(_) => 7,
        }
    }
}

impl AddressFamily {
    /// An empty one.
    pub const fn new(kind: FamilyKind) -> Self {
        Self { kind, origins: Vec::new(), neighbors: Vec::new(), exchanges: Vec::new() }
    }

    pub(super) fn sort(&mut self) {
        self.origins.sort_by_cached_key(|origin| (origin.rank(), origin.to_string()));
        for neighbor in &mut self.neighbors {
            neighbor.statements.sort_by_cached_key(|statement| (statement.rank(), statement.to_string()));
        }
        self.neighbors.sort_by(|a, b| a.peer.cmp(&b.peer));
        for exchange in &mut self.exchanges {
            if let Exchange::Vni(vni) = exchange {
                vni.statements.sort_by_cached_key(|statement| (statement.rank(), statement.to_string()));
            }
        }
        self.exchanges.sort_by_cached_key(|exchange| (exchange.rank(), exchange.to_string()));
    }

    fn neighbor(&mut self, peer: Peer) -> &mut FamilyNeighbor {
        let place = self.neighbors.iter().rposition(|neighbor| neighbor.peer == peer).unwrap_or_else(|| {
            self.neighbors.push(FamilyNeighbor { peer, statements: Vec::new() });
            self.neighbors.len() - 1
        });
        &mut self.neighbors[place]
    }

    fn statement(&mut self, child: &Block<'_>) -> Result<(), Fault> {
        if let ["neighbor", peer, words @ ..] = child.words.as_slice()
            && child.is_leaf()
            && let Some(statement) = FamilyNeighborStatement::parse(child, words)?
        {
            self.neighbor(child.value(peer)?).statements.push(statement);
            return Ok(());
        }
        if let Some(exchange) = Exchange::parse(child)? {
            self.exchanges.push(exchange);
            return Ok(());
        }
        let origin = if child.is_leaf() { Origin::parse(child)? } else { None };
        self.origins.extend(origin.or_else(|| child.foreign().map(Origin::Foreign)));
        Ok(())
    }

    /// Reads an address family that we use.
    pub(super) fn parse(block: &Block<'_>, faults: &mut Vec<Fault>) -> Option<Self> {
        let kind = match block.words.as_slice() {
            ["address-family", "ipv4", "unicast"] => FamilyKind::Ipv4Unicast,
            ["address-family", "ipv6", "unicast"] => FamilyKind::Ipv6Unicast,
            ["address-family", "l2vpn", "evpn"] => FamilyKind::L2vpnEvpn,
            _ => return None,
        };
        let mut family = Self::new(kind);
        for child in &block.children {
            if let Err(fault) = family.statement(child) {
                faults.push(fault);
            }
        }
        Some(family)
    }
}
