//! `router bgp`: an instance, its settings and its neighbours.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr};
use std::str::FromStr;

use leafwall_topology::{Asn, IfName};

use super::Fault;
use super::family::AddressFamily;
use super::line::{Block, Parsed};
use super::text::{Foreign, Text, TextError, Word};

/// One BGP instance.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RouterBgp {
    /// Our ASN.
    pub asn: Asn,
    /// Its VRF; the default one where there is none.
    pub vrf: Option<IfName>,
    /// What holds for all of it.
    pub settings: Vec<Setting>,
    /// Peer groups and neighbours.
    pub neighbors: Vec<Neighbor>,
    /// What it speaks.
    pub families: Vec<AddressFamily>,
}

/// A setting of an instance.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Setting {
    /// `bgp router-id`
    RouterId(Ipv4Addr),
    /// `no bgp default ipv4-unicast`: nothing is spoken that is not activated.
    NoDefaultIpv4Unicast,
    /// `bgp graceful-shutdown`: neighbours are asked to go elsewhere (RFC 8326).
    GracefulShutdown,
    /// `bgp bestpath as-path multipath-relax`: paths of the same length share the load, whoever they go through.
    MultipathRelax,
    /// `no bgp network import-check`: a `network` statement counts whether or not the kernel has the route.
    NoNetworkImportCheck,
    /// Anything else.
    Foreign(Foreign),
}

impl fmt::Display for Setting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::RouterId(id) => write!(f, "bgp router-id {id}"),
            Self::NoDefaultIpv4Unicast => f.write_str("no bgp default ipv4-unicast"),
            Self::GracefulShutdown => f.write_str("bgp graceful-shutdown"),
            Self::MultipathRelax => f.write_str("bgp bestpath as-path multipath-relax"),
            Self::NoNetworkImportCheck => f.write_str("no bgp network import-check"),
            Self::Foreign(foreign) => write!(f, "{}", foreign.text),
        }
    }
}

impl Setting {
    /// Where bgpd prints it among the others.
    pub(super) const fn rank(&self) -> u8 {
        match self {
            Self::RouterId(_) => 0,
            Self::NoDefaultIpv4Unicast => 1,
            Self::GracefulShutdown => 2,
            Self::MultipathRelax => 3,
            Self::NoNetworkImportCheck => 4,
            Self::Foreign(_) => 5,
        }
    }

    fn parse(block: &Block<'_>) -> Parsed<Self> {
        Ok(match block.words.as_slice() {
            _ if !block.is_leaf() => None,
            ["bgp", "router-id", id] => Some(Self::RouterId(block.value(id)?)),
            ["no", "bgp", "default", "ipv4-unicast"] => Some(Self::NoDefaultIpv4Unicast),
            ["bgp", "graceful-shutdown"] => Some(Self::GracefulShutdown),
            ["bgp", "bestpath", "as-path", "multipath-relax"] => Some(Self::MultipathRelax),
            ["no", "bgp", "network", "import-check"] => Some(Self::NoNetworkImportCheck),
            _ => None,
        })
    }
}

/// What a neighbour statement is about.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Peer {
    /// A peer group, or a neighbour by its interface: both are names.
    Named(Word),
    /// A neighbour by its address.
    Address(IpAddr),
}

impl FromStr for Peer {
    type Err = TextError;
    fn from_str(text: &str) -> Result<Self, TextError> {
        match text.parse() {
            Ok(address) => Ok(Self::Address(address)),
            Err(_) => text.parse().map(Self::Named),
        }
    }
}

impl fmt::Display for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Named(name) => name.fmt(f),
            Self::Address(address) => address.fmt(f),
        }
    }
}

/// A neighbour or peer group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Neighbor {
    /// Which.
    pub peer: Peer,
    /// What is said of it.
    pub statements: Vec<NeighborStatement>,
}

/// Which ASN a neighbour may have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RemoteAs {
    /// Any but ours.
    External,
    /// Ours.
    Internal,
    /// This one.
    Asn(Asn),
}

impl FromStr for RemoteAs {
    type Err = leafwall_topology::IdError;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "external" => Ok(Self::External),
            "internal" => Ok(Self::Internal),
            number => number.parse().map(Self::Asn),
        }
    }
}

impl fmt::Display for RemoteAs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::External => f.write_str("external"),
            Self::Internal => f.write_str("internal"),
            Self::Asn(asn) => asn.fmt(f),
        }
    }
}

/// What is said of a neighbour outside the address families.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NeighborStatement {
    /// It is a peer group.
    PeerGroup,
    /// It is on this interface (BGP unnumbered) and in a peer group.
    InterfacePeerGroup(Word),
    /// It is on this interface (BGP unnumbered).
    InterfaceRemoteAs(RemoteAs),
    /// Its ASN.
    RemoteAs(RemoteAs),
    /// Words for a reader.
    Description(Text),
    /// Watched by BFD.
    Bfd,
    /// With these timers.
    BfdProfile(Word),
    /// TCP MD5 (RFC 2385).
    Password(Text),
    /// How far away it may be, by the TTL of its packets (RFC 5082).
    TtlSecurityHops(u8),
    /// Seconds between keepalives, and without one until it is given up.
    Timers {
        /// Between keepalives.
        keepalive: u16,
        /// Until given up.
        hold: u16,
    },
    /// Seconds between attempts to connect.
    TimersConnect(u16),
    /// Anything else, without `neighbor` and its name.
    Foreign(Text),
}

impl fmt::Display for NeighborStatement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::PeerGroup => f.write_str("peer-group"),
            Self::InterfacePeerGroup(group) => write!(f, "interface peer-group {group}"),
            Self::InterfaceRemoteAs(asn) => write!(f, "interface remote-as {asn}"),
            Self::RemoteAs(asn) => write!(f, "remote-as {asn}"),
            Self::Description(text) => write!(f, "description {text}"),
            Self::Bfd => f.write_str("bfd"),
            Self::BfdProfile(profile) => write!(f, "bfd profile {profile}"),
            Self::Password(text) => write!(f, "password {text}"),
            Self::TtlSecurityHops(hops) => write!(f, "ttl-security hops {hops}"),
            Self::Timers { keepalive, hold } => write!(f, "timers {keepalive} {hold}"),
            Self::TimersConnect(seconds) => write!(f, "timers connect {seconds}"),
            Self::Foreign(text) => text.fmt(f),
        }
    }
}

impl NeighborStatement {
    /// Where bgpd prints it among the others.
    pub(super) const fn rank(&self) -> u8 {
        match self {
            Self::PeerGroup | Self::InterfacePeerGroup(_) | Self::InterfaceRemoteAs(_) => 0,
            Self::RemoteAs(_) => 1,
            Self::Description(_) => 2,
            Self::Bfd => 3,
            Self::BfdProfile(_) => 4,
            Self::Password(_) => 5,
            Self::TtlSecurityHops(_) => 6,
            Self::Timers { .. } => 7,
            Self::TimersConnect(_) => 8,
            Self::Foreign(_) => 9,
        }
    }

    /// Reads what follows `neighbor NAME`.
    fn parse(block: &Block<'_>, words: &[&str]) -> Parsed<Self> {
        Ok(match words {
            ["peer-group"] => Some(Self::PeerGroup),
            ["interface", "peer-group", group] => Some(Self::InterfacePeerGroup(block.value(group)?)),
            ["interface", "remote-as", asn] => Some(Self::InterfaceRemoteAs(block.value(asn)?)),
            ["remote-as", asn] => Some(Self::RemoteAs(block.value(asn)?)),
            ["description", first, ..] => block.rest(first).map(Self::Description),
            ["bfd"] => Some(Self::Bfd),
            ["bfd", "profile", profile] => Some(Self::BfdProfile(block.value(profile)?)),
            ["password", first, ..] => block.rest(first).map(Self::Password),
            ["ttl-security", "hops", hops] => Some(Self::TtlSecurityHops(block.value(hops)?)),
            ["timers", "connect", seconds] => Some(Self::TimersConnect(block.value(seconds)?)),
            ["timers", keepalive, hold] => Some(Self::Timers { keepalive: block.value(keepalive)?, hold: block.value(hold)? }),
            [first, ..] => block.rest(first).map(Self::Foreign),
            [] => None,
        })
    }
}

impl RouterBgp {
    /// Puts its parts into one order, so that two texts of the same meaning give the same tree.
    pub(super) fn sort(&mut self) {
        self.settings.sort_by_cached_key(|setting| (setting.rank(), setting.to_string()));
        for neighbor in &mut self.neighbors {
            neighbor.statements.sort_by_cached_key(|statement| (statement.rank(), statement.to_string()));
        }
        // peer groups stand before their members
        self.neighbors.sort_by_cached_key(|n| (!n.statements.contains(&NeighborStatement::PeerGroup), n.peer.clone()));
        self.families.iter_mut().for_each(AddressFamily::sort);
        self.families.sort_by_key(|family| family.kind);
    }

    /// A neighbour's statements, made if there are none yet.
    fn neighbor(&mut self, peer: Peer) -> &mut Neighbor {
        let place = self.neighbors.iter().rposition(|neighbor| neighbor.peer == peer).unwrap_or_else(|| {
            self.neighbors.push(Neighbor { peer, statements: Vec::new() });
            self.neighbors.len() - 1
        });
        &mut self.neighbors[place]
    }

    fn statement(&mut self, child: &Block<'_>, faults: &mut Vec<Fault>) -> Result<(), Fault> {
        if let Some(family) = AddressFamily::parse(child, faults) {
            self.families.push(family);
            return Ok(());
        }
        if let ["neighbor", peer, words @ ..] = child.words.as_slice()
            && child.is_leaf()
            && let Some(statement) = NeighborStatement::parse(child, words)?
        {
            self.neighbor(child.value(peer)?).statements.push(statement);
            return Ok(());
        }
        let setting = Setting::parse(child)?;
        self.settings.extend(setting.or_else(|| child.foreign().map(Setting::Foreign)));
        Ok(())
    }

    pub(super) fn parse(block: &Block<'_>, faults: &mut Vec<Fault>) -> Parsed<Self> {
        let (asn, vrf) = match block.words.as_slice() {
            ["router", "bgp", asn] => (asn, None),
            ["router", "bgp", asn, "vrf", vrf] => match vrf.parse() {
                Ok(name) => (asn, Some(name)),
                // a VRF whose name could not be one of ours
                Err(_) => return Ok(None),
            },
            _ => return Ok(None),
        };
        let mut router = Self { asn: block.value(asn)?, vrf, settings: Vec::new(), neighbors: Vec::new(), families: Vec::new() };
        for child in &block.children {
            if let Err(fault) = router.statement(child, faults) {
                faults.push(fault);
            }
        }
        Ok(Some(router))
    }
}
