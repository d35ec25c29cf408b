//! What prefix lists, AS-path lists, community lists and route-maps let through.
//!
//! As bgpd 10.3 has it: a filter that is named and does not exist lets nothing through, and an eBGP neighbour without any filter in a direction exchanges
//! nothing there (`bgp ebgp-requires-policy`, on with `frr defaults traditional`).

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::sync::Arc;

use leafwall_render::frr::{
    Action, AttributeKind, AttributeList, Direction, EvpnRouteType, FamilyNeighborStatement, FrrConfig, Match, PrefixList, RouteMapEntry,
    Set, Word,
};
use leafwall_topology::{Asn, Family, IfName, MacAddr, RouteDistinguisher, RouteTarget};
use regex_lite::Regex;

use crate::memo::Memo;
use crate::read::Device;
use crate::routes::RouteSet;

/// What routes carry beside their prefix.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Attributes {
    /// The AS path, nearest first.
    pub path: Vec<Asn>,
    /// Route targets of a type-5 route.
    pub targets: Vec<RouteTarget>,
    /// Its route distinguisher.
    pub rd: Option<RouteDistinguisher>,
    /// Its router MAC.
    pub router_mac: Option<MacAddr>,
    /// Its next hop, where it is a tunnel's end.
    pub next_hop: Option<Ipv4Addr>,
    /// The VRF that it was leaked from.
    pub source_vrf: Option<IfName>,
    /// Whether it carries `no-export`.
    pub no_export: bool,
}

impl Attributes {
    /// Those of a route that was just made.
    pub const fn plain() -> Self {
        Self { path: Vec::new(), targets: Vec::new(), rd: None, router_mac: None, next_hop: None, source_vrf: None, no_export: false }
    }
}

/// What lists were found to permit. It depends on nothing but the configuration, so it holds for as long as that does.
#[derive(Debug, Default)]
pub struct Permitted {
    prefixes: Memo<(Family, String), RouteSet>,
    texts: Memo<(AttributeKind, String, String), bool>,
}

impl Permitted {
    /// How many texts were asked about.
    pub fn texts(&self) -> usize {
        self.texts.count()
    }
}

/// A device's lists and route-maps by name.
pub struct Filters<'a> {
    permitted: Arc<Permitted>,
    prefix_lists: BTreeMap<(Family, &'a str), &'a PrefixList>,
    attribute_lists: BTreeMap<(AttributeKind, &'a str), &'a AttributeList>,
    route_maps: BTreeMap<&'a str, Vec<&'a RouteMapEntry>>,
}

/// bgpd's `_` in a regular expression: any delimiter, or an end.
fn regex(pattern: &str) -> Option<Regex> {
    Regex::new(&pattern.replace('_', "(?:^|[,{}() ]|$)")).ok()
}

impl<'a> Filters<'a> {
    /// Those of a device.
    pub fn of(device: &'a Device) -> Self {
        Self { permitted: Arc::clone(&device.permitted), ..Self::new(&device.frr) }
    }

    /// Those of a configuration.
    pub fn new(config: &'a FrrConfig) -> Self {
        let mut route_maps: BTreeMap<&str, Vec<&RouteMapEntry>> = BTreeMap::new();
        for entry in &config.route_maps {
            route_maps.entry(entry.name.as_str()).or_default().push(entry);
        }
        for entries in route_maps.values_mut() {
            entries.sort_by_key(|entry| entry.seq);
        }
        Self {
            permitted: Arc::default(),
            prefix_lists: config.prefix_lists.iter().map(|list| ((list.family, list.name.as_str()), list)).collect(),
            attribute_lists: config.attribute_lists.iter().map(|list| ((list.kind, list.name.as_str()), list)).collect(),
            route_maps,
        }
    }

    /// The entries of a route-map in their order.
    pub fn route_map(&self, name: &str) -> &[&'a RouteMapEntry] {
        self.route_maps.get(name).map_or(&[], Vec::as_slice)
    }

    /// The entries of a list.
    pub fn attribute_list(&self, kind: AttributeKind, name: &str) -> Option<&'a AttributeList> {
        self.attribute_lists.get(&(kind, name)).copied()
    }

    /// What a prefix list permits.
    pub fn prefix_list(&self, family: Family, name: &str) -> RouteSet {
        let Some(list) = self.prefix_lists.get(&(family, name)) else { return RouteSet::none() };
        self.permitted.prefixes.get((family, name.to_owned()), |_| Self::permitted_by(family, list))
    }

    fn permitted_by(family: Family, list: &PrefixList) -> RouteSet {
        let mut entries: Vec<_> = list.entries.iter().collect();
        entries.sort_by_key(|entry| entry.seq);
        let set = |entry: &leafwall_render::frr::PrefixEntry| {
            let (shortest, longest) = match (entry.ge, entry.le) {
                (None, None) => (entry.prefix.length(), entry.prefix.length()),
                (ge, le) => (ge.unwrap_or(entry.prefix.length()), le.unwrap_or(family.host_length())),
            };
            RouteSet::within(entry.prefix, shortest, longest)
        };
        if entries.iter().all(|entry| entry.action == Action::Permit) {
            return RouteSet::union(entries.into_iter().map(set));
        }
        let (mut permitted, mut seen) = (RouteSet::none(), RouteSet::none());
        for entry in entries {
            let here = set(entry).minus(&seen);
            seen = seen.or(&here);
            if entry.action == Action::Permit {
                permitted = permitted.or(&here);
            }
        }
        permitted
    }

    /// Whether the first pattern that fits a text permits it.
    fn by_patterns(&self, kind: AttributeKind, name: &str, text: String) -> bool {
        let Some(list) = self.attribute_list(kind, name) else { return false };
        self.permitted.texts.get((kind, name.to_owned(), text), |(.., text)| Self::first_fitting(list, text))
    }

    fn first_fitting(list: &AttributeList, text: &str) -> bool {
        let mut entries: Vec<_> = list.entries.iter().collect();
        entries.sort_by_key(|entry| entry.seq);
        let matching = entries.iter().find(|entry| regex(entry.pattern.as_str()).is_some_and(|pattern| pattern.is_match(text)));
        matching.is_some_and(|entry| entry.action == Action::Permit)
    }

    /// Whether an AS-path list permits a path.
    pub fn as_path(&self, name: &str, path: &[Asn]) -> bool {
        let text = path.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ");
        self.by_patterns(AttributeKind::AsPath, name, text)
    }

    fn extended(&self, name: &str, route: &Attributes) -> bool {
        if self.attribute_list(AttributeKind::ExtendedCommunityExpanded, name).is_some() {
            let mut words: Vec<String> = route.targets.iter().map(|target| format!("RT:{target}")).collect();
            words.push("ET:8".to_owned());
            words.extend(route.router_mac.map(|mac| format!("Rmac:{mac}")));
            return self.by_patterns(AttributeKind::ExtendedCommunityExpanded, name, words.join(" "));
        }
        let Some(list) = self.attribute_list(AttributeKind::ExtendedCommunity, name) else { return false };
        let mut entries: Vec<_> = list.entries.iter().collect();
        entries.sort_by_key(|entry| entry.seq);
        let has_all = |pattern: &str| {
            let words: Vec<&str> = pattern.split_whitespace().filter(|word| *word != "rt").collect();
            !words.is_empty() && words.iter().all(|word| route.targets.iter().any(|target| target.to_string() == *word))
        };
        entries.iter().find(|entry| has_all(entry.pattern.as_str())).is_some_and(|entry| entry.action == Action::Permit)
    }

    /// The prefixes for which a condition holds, for routes with these attributes.
    fn holds(&self, condition: &Match, route: &Attributes) -> RouteSet {
        let on = |holds: bool| if holds { RouteSet::all() } else { RouteSet::none() };
        match condition {
            Match::AsPath(list) => on(self.as_path(list.as_str(), &route.path)),
            Match::EvpnRd(rd) => on(route.rd == Some(*rd)),
            // what is asked of here is type 5 where it is EVPN at all
            Match::EvpnRouteType(kind) => on(route.rd.is_some() && *kind == EvpnRouteType::Prefix),
            // no filter on the way in (H36)
            Match::EvpnVni(_) => RouteSet::all(),
            Match::ExtendedCommunity(list) => on(self.extended(list.as_str(), route)),
            Match::PrefixList(family, list) => self.prefix_list(*family, list.as_str()),
            Match::NextHopAddress(address) => on(route.next_hop == Some(*address)),
            // the one never holds for EVPN routes; nobody sets what the other asks for
            Match::NextHopPrefixList(_) | Match::Community(_) => RouteSet::none(),
            Match::SourceVrf(vrf) => on(route.source_vrf.as_ref() == Some(vrf)),
        }
    }

    /// What a route-map makes of routes: those that it permits, changed as it says.
    pub fn apply(&self, name: &Word, routes: &RouteSet, attributes: &Attributes) -> Vec<(RouteSet, Attributes)> {
        let mut left = routes.clone();
        let mut permitted = Vec::new();
        for entry in self.route_map(name.as_str()) {
            let matching = entry.matches.iter().fold(left.clone(), |set, condition| set.and(&self.holds(condition, attributes)));
            if matching.is_empty() {
                continue;
            }
            left = left.minus(&matching);
            if entry.action == Action::Permit {
                permitted.push((matching, changed(attributes, &entry.sets)));
            }
            if left.is_empty() {
                break;
            }
        }
        permitted
    }

    /// What a neighbour's filters of one direction let through. `family` says which prefix lists are meant.
    pub fn neighbor(
        &self,
        statements: &[&FamilyNeighborStatement],
        direction: Direction,
        family: Option<Family>,
        routes: &RouteSet,
        attributes: &Attributes,
    ) -> Vec<(RouteSet, Attributes)> {
        let mut left = routes.clone();
        let mut filtered = false;
        let mut map = None;
        for statement in statements {
            match statement {
                FamilyNeighborStatement::PrefixList(list, towards) if *towards == direction => {
                    filtered = true;
                    left = family.map_or_else(RouteSet::none, |family| left.and(&self.prefix_list(family, list.as_str())));
                }
                FamilyNeighborStatement::FilterList(list, towards) if *towards == direction => {
                    filtered = true;
                    if !self.as_path(list.as_str(), &attributes.path) {
                        left = RouteSet::none();
                    }
                }
                FamilyNeighborStatement::RouteMap(name, towards) if *towards == direction => {
                    filtered = true;
                    map = Some(name);
                }
                _ => {}
            }
        }
        match map {
            _ if !filtered || left.is_empty() => Vec::new(),
            Some(name) => self.apply(name, &left, attributes),
            None => vec![(left, attributes.clone())],
        }
    }
}

fn changed(attributes: &Attributes, sets: &[Set]) -> Attributes {
    let mut after = attributes.clone();
    for set in sets {
        match set {
            Set::AsPathExcludeAll => after.path.clear(),
            Set::AsPathExclude(numbers) => after.path.retain(|asn| !numbers.contains(asn)),
            Set::AsPathPrepend(numbers) => {
                after.path.splice(0..0, numbers.iter().copied());
            }
            Set::Community(text) => after.no_export |= text.as_str().split_whitespace().any(|word| word == "no-export"),
            Set::LocalPreference(_) => {}
        }
    }
    after
}
