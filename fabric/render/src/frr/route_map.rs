//! Route-maps.

use std::fmt;
use std::net::Ipv4Addr;

use leafwall_topology::{Asn, Family, IfName, RouteDistinguisher, Vni};

use super::line::{Block, Parsed};
use super::text::{Action, Foreign, Text, Word};

/// One entry of a route-map: all matches must hold, then the sets are done. A route that no entry matches is denied.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RouteMapEntry {
    /// The route-map's name.
    pub name: Word,
    /// What happens to what it matches.
    pub action: Action,
    /// Its number; entries are tried in its order.
    pub seq: u32,
    /// What must hold, sorted by text as FRR prints it.
    pub matches: Vec<Match>,
    /// What is changed, sorted by text.
    pub sets: Vec<Set>,
    /// Statements that we do not know.
    pub foreign: Vec<Foreign>,
}

/// A condition on a route.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Match {
    /// Its AS path.
    AsPath(Word),
    /// Its communities.
    Community(Word),
    /// Its EVPN route distinguisher (H39).
    EvpnRd(RouteDistinguisher),
    /// Its EVPN route type.
    EvpnRouteType(EvpnRouteType),
    /// Its VNI: does not filter inbound (H36).
    EvpnVni(Vni),
    /// Its extended communities.
    ExtendedCommunity(Word),
    /// Its prefix.
    PrefixList(Family, Word),
    /// Its IPv4 next hop, by value (H39).
    NextHopAddress(Ipv4Addr),
    /// Its IPv4 next hop, by list.
    NextHopPrefixList(Word),
    /// The VRF that it was leaked from.
    SourceVrf(IfName),
}

/// EVPN route types.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EvpnRouteType {
    /// Type 2 (RFC 7432 §7.2)
    MacIp,
    /// Type 3 (RFC 7432 §7.3)
    Multicast,
    /// Type 5 (RFC 9136)
    Prefix,
}

/// A change to a route.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Set {
    /// Empties the AS path.
    AsPathExcludeAll,
    /// Takes these ASNs out of the AS path.
    AsPathExclude(Vec<Asn>),
    /// Puts these before the AS path.
    AsPathPrepend(Vec<Asn>),
    /// Replaces its communities, or with `additive` adds to them.
    Community(Text),
    /// Its local preference.
    LocalPreference(u32),
}

fn family_word(family: Family) -> &'static str {
    match family {
        Family::V4 => "ip",
        Family::V6 => "ipv6",
    }
}

impl fmt::Display for Match {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AsPath(list) => write!(f, "as-path {list}"),
            Self::Community(list) => write!(f, "community {list}"),
            Self::EvpnRd(rd) => write!(f, "evpn rd {rd}"),
            Self::EvpnRouteType(kind) => write!(
                f,
                "evpn route-type {}",
                match kind {
                    EvpnRouteType::MacIp => "macip",
                    EvpnRouteType::Multicast => "multicast",
                    EvpnRouteType::Prefix => "prefix",
                }
            ),
            Self::EvpnVni(vni) => write!(f, "evpn vni {vni}"),
            Self::ExtendedCommunity(list) => write!(f, "extcommunity {list}"),
            Self::PrefixList(family, list) => write!(f, "{} address prefix-list {list}", family_word(*family)),
            Self::NextHopAddress(address) => write!(f, "ip next-hop address {address}"),
            Self::NextHopPrefixList(list) => write!(f, "ip next-hop prefix-list {list}"),
            Self::SourceVrf(vrf) => write!(f, "source-vrf {vrf}"),
        }
    }
}

impl Match {
    fn parse(block: &Block<'_>) -> Parsed<Self> {
        Ok(match block.words.get(1..).unwrap_or_default() {
            ["as-path", list] => Some(Self::AsPath(block.value(list)?)),
            ["community", list] => Some(Self::Community(block.value(list)?)),
            // other forms of RD than ours are legal on a device, but not ours
            ["evpn", "rd", rd] => rd.parse().ok().map(Self::EvpnRd),
            ["evpn", "route-type", "macip" | "2"] => Some(Self::EvpnRouteType(EvpnRouteType::MacIp)),
            ["evpn", "route-type", "multicast" | "3"] => Some(Self::EvpnRouteType(EvpnRouteType::Multicast)),
            ["evpn", "route-type", "prefix" | "5"] => Some(Self::EvpnRouteType(EvpnRouteType::Prefix)),
            ["evpn", "vni", vni] => Some(Self::EvpnVni(block.value(vni)?)),
            ["extcommunity", list] => Some(Self::ExtendedCommunity(block.value(list)?)),
            ["ip", "address", "prefix-list", list] => Some(Self::PrefixList(Family::V4, block.value(list)?)),
            ["ipv6", "address", "prefix-list", list] => Some(Self::PrefixList(Family::V6, block.value(list)?)),
            ["ip", "next-hop", "address", address] => Some(Self::NextHopAddress(block.value(address)?)),
            ["ip", "next-hop", "prefix-list", list] => Some(Self::NextHopPrefixList(block.value(list)?)),
            ["source-vrf", vrf] => vrf.parse().ok().map(Self::SourceVrf),
            _ => None,
        })
    }
}

fn join(numbers: &[Asn]) -> String {
    numbers.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ")
}

impl fmt::Display for Set {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AsPathExcludeAll => f.write_str("as-path exclude all"),
            Self::AsPathExclude(numbers) => write!(f, "as-path exclude {}", join(numbers)),
            Self::AsPathPrepend(numbers) => write!(f, "as-path prepend {}", join(numbers)),
            Self::Community(communities) => write!(f, "community {communities}"),
            Self::LocalPreference(preference) => write!(f, "local-preference {preference}"),
        }
    }
}

impl Set {
    fn parse(block: &Block<'_>) -> Parsed<Self> {
        let numbers = |words: &[&str]| words.iter().map(|word| block.value::<Asn>(word)).collect::<Result<Vec<_>, _>>();
        Ok(match block.words.get(1..).unwrap_or_default() {
            ["as-path", "exclude", "all"] => Some(Self::AsPathExcludeAll),
            ["as-path", "exclude", "as-path-access-list", ..] | ["as-path", "prepend", "last-as", ..] => None,
            ["as-path", "exclude", words @ ..] if !words.is_empty() => Some(Self::AsPathExclude(numbers(words)?)),
            ["as-path", "prepend", words @ ..] if !words.is_empty() => Some(Self::AsPathPrepend(numbers(words)?)),
            ["community", first, ..] => block.rest(first).map(Self::Community),
            ["local-preference", preference] => preference.parse().ok().map(Self::LocalPreference),
            _ => None,
        })
    }
}

impl RouteMapEntry {
    /// An entry that matches everything and changes nothing.
    pub const fn new(name: Word, action: Action, seq: u32) -> Self {
        Self { name, action, seq, matches: Vec::new(), sets: Vec::new(), foreign: Vec::new() }
    }

    /// Puts its statements into the order in which FRR prints them.
    pub(crate) fn sort(&mut self) {
        self.matches.sort_by_cached_key(ToString::to_string);
        self.sets.sort_by_cached_key(ToString::to_string);
        self.foreign.sort();
    }

    pub(super) fn parse(block: &Block<'_>, faults: &mut Vec<super::Fault>) -> Parsed<Self> {
        let ["route-map", name, action, seq] = block.words.as_slice() else { return Ok(None) };
        let mut entry = Self::new(block.value(name)?, block.value(action)?, block.value(seq)?);
        for child in &block.children {
            let known = match child.words.first().filter(|_| child.is_leaf()) {
                Some(&"match") => Match::parse(child).map(|found| found.map(|m| entry.matches.push(m))),
                Some(&"set") => Set::parse(child).map(|found| found.map(|s| entry.sets.push(s))),
                _ => Ok(None),
            };
            match known {
                Ok(Some(())) => {}
                Ok(None) => entry.foreign.extend(child.foreign()),
                Err(fault) => faults.push(fault),
            }
        }
        Ok(Some(entry))
    }
}
