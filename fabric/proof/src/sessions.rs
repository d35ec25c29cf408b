//! BGP sessions, as configurations and cabling have them.

use leafwall_render::frr::{
    AddressFamily, AttributeKind, Direction, FamilyKind, FamilyNeighborStatement, Match, Neighbor, NeighborStatement, Peer, RemoteAs,
    RouterBgp,
};
use leafwall_topology::{Asn, Family, IfName, MacAddr, RouteDistinguisher, RouteTarget};

use crate::filters::Filters;
use crate::routes::RouteSet;

/// The statement of a neighbour and that of its peer group, if it is in one.
pub struct Session<'a> {
    /// Which neighbour.
    pub peer: &'a Peer,
    neighbor: &'a Neighbor,
    group: Option<&'a Neighbor>,
}

/// All neighbours of an instance; peer groups themselves are none.
pub fn sessions(router: &RouterBgp) -> impl Iterator<Item = Session<'_>> {
    places(router).filter_map(|(neighbor, group)| Session::at(router, neighbor, group))
}

/// Where a neighbour stands among an instance's, and the group that it is in.
type At = (usize, Option<usize>);

fn places(router: &RouterBgp) -> impl Iterator<Item = At> + '_ {
    let groups = |statement: &NeighborStatement| matches!(statement, NeighborStatement::PeerGroup);
    let neighbors = router.neighbors.iter().enumerate().filter(move |(_, neighbor)| !neighbor.statements.iter().any(groups));
    neighbors.map(|(at, neighbor)| {
        let named = neighbor.statements.iter().find_map(|statement| match statement {
            NeighborStatement::InterfacePeerGroup(group) => Some(group),
            _ => None,
        });
        let is_group = |group| move |other: &Neighbor| matches!(&other.peer, Peer::Named(name) if name == group);
        (at, named.and_then(|group| router.neighbors.iter().position(is_group(group))))
    })
}

/// The neighbours of an instance that are behind ports, by these.
pub(crate) fn unnumbered(router: &RouterBgp) -> impl Iterator<Item = (IfName, At)> + '_ {
    places(router).filter_map(|at| Some((Session::at(router, at.0, at.1)?.interface()?, at)))
}

impl<'a> Session<'a> {
    /// The one that stands there, and its group.
    pub(crate) fn at(router: &'a RouterBgp, neighbor: usize, group: Option<usize>) -> Option<Self> {
        let neighbor = router.neighbors.get(neighbor)?;
        Some(Self { peer: &neighbor.peer, neighbor, group: group.and_then(|group| router.neighbors.get(group)) })
    }

    /// The interface of an unnumbered session.
    pub fn interface(&self) -> Option<IfName> {
        let unnumbered = self
            .neighbor
            .statements
            .iter()
            .any(|statement| matches!(statement, NeighborStatement::InterfacePeerGroup(_) | NeighborStatement::InterfaceRemoteAs(_)));
        match self.peer {
            Peer::Named(name) if unnumbered => name.as_str().parse().ok(),
            _ => None,
        }
    }

    /// Whether the other side may have this ASN.
    pub fn admits(&self, ours: Asn, theirs: Asn) -> bool {
        let all = self.neighbor.statements.iter().chain(self.group.into_iter().flat_map(|group| &group.statements));
        let stated = all.filter_map(|statement| match statement {
            NeighborStatement::RemoteAs(asn) | NeighborStatement::InterfaceRemoteAs(asn) => Some(*asn),
            _ => None,
        });
        match stated.into_iter().next() {
            Some(RemoteAs::External) => ours != theirs,
            Some(RemoteAs::Internal) => ours == theirs,
            Some(RemoteAs::Asn(asn)) => asn == theirs,
            None => false,
        }
    }

    /// What is said of it in a family, its group's included.
    pub fn in_family(&self, family: &'a AddressFamily) -> Vec<&'a FamilyNeighborStatement> {
        let group = self.group.map(|group| &group.peer);
        let about = family.neighbors.iter().filter(|stated| stated.peer == *self.peer || Some(&stated.peer) == group);
        about.flat_map(|stated| &stated.statements).collect()
    }

    /// What is said of it in a family that is spoken with it; `None` where it is not.
    pub fn active(&self, router: &'a RouterBgp, kind: FamilyKind) -> Option<Vec<&'a FamilyNeighborStatement>> {
        let families = router.families.iter().filter(|family| family.kind == kind);
        let statements: Vec<_> = families.flat_map(|family| self.in_family(family)).collect();
        statements.contains(&&FamilyNeighborStatement::Activate).then_some(statements)
    }
}

/// Something that a filter on the way in leaves to the sender, or pins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pinned<T> {
    /// The sender chooses.
    Any,
    /// Only this.
    To(T),
}

/// What a filter on the way in lets a neighbour announce who may say anything.
#[derive(Debug, Clone)]
pub struct Admission {
    /// Which prefixes.
    pub routes: RouteSet,
    /// With which route target.
    pub target: Pinned<RouteTarget>,
    /// Under which route distinguisher.
    pub rd: Pinned<RouteDistinguisher>,
    /// With which router MAC.
    pub router_mac: Pinned<MacAddr>,
    /// With which next hop.
    pub next_hop: Pinned<std::net::Ipv4Addr>,
    /// Whether only type-5 routes.
    pub only_prefixes: bool,
    /// Where it stands: the route-map's entry.
    pub entry: String,
}

/// What unicast routes a neighbour may announce who may say anything.
pub fn unicast(filters: &Filters<'_>, statements: &[&FamilyNeighborStatement], family: Family) -> RouteSet {
    let mut left = RouteSet::family(family);
    let mut filtered = false;
    for statement in statements {
        match statement {
            FamilyNeighborStatement::PrefixList(list, Direction::In) => {
                filtered = true;
                left = left.and(&filters.prefix_list(family, list.as_str()));
            }
            FamilyNeighborStatement::FilterList(list, Direction::In) => {
                filtered = true;
                // a path can be made to fit any pattern; a list that is not there takes none
                if filters.attribute_list(AttributeKind::AsPath, list.as_str()).is_none() {
                    left = RouteSet::none();
                }
            }
            FamilyNeighborStatement::RouteMap(map, Direction::In) => {
                filtered = true;
                let entries = filters.route_map(map.as_str()).iter();
                let permitting = entries.filter(|entry| entry.action == leafwall_render::frr::Action::Permit);
                let sets = permitting.map(|entry| {
                    entry.matches.iter().fold(RouteSet::all(), |set, condition| match condition {
                        Match::PrefixList(family, list) => set.and(&filters.prefix_list(*family, list.as_str())),
                        _ => set,
                    })
                });
                left = left.and(&RouteSet::union(sets));
            }
            _ => {}
        }
    }
    // bgp ebgp-requires-policy
    if filtered { left } else { RouteSet::none() }
}

/// What EVPN routes a neighbour may announce who may say anything.
pub fn evpn(filters: &Filters<'_>, statements: &[&FamilyNeighborStatement]) -> Vec<Admission> {
    let map = statements.iter().find_map(|statement| match statement {
        FamilyNeighborStatement::RouteMap(map, Direction::In) => Some(map),
        _ => None,
    });
    let Some(map) = map else { return Vec::new() };
    let mut admissions = Vec::new();
    for entry in filters.route_map(map.as_str()) {
        if entry.action == leafwall_render::frr::Action::Deny {
            if entry.matches.is_empty() {
                break;
            }
            // what it takes away is left in: on the safe side
            continue;
        }
        let mut admission = Admission {
            routes: RouteSet::all(),
            target: Pinned::Any,
            rd: Pinned::Any,
            router_mac: Pinned::Any,
            next_hop: Pinned::Any,
            only_prefixes: false,
            entry: format!("route-map {map} permit {}", entry.seq),
        };
        for condition in &entry.matches {
            match condition {
                Match::EvpnRd(rd) => admission.rd = Pinned::To(*rd),
                Match::EvpnRouteType(kind) => admission.only_prefixes |= *kind == leafwall_render::frr::EvpnRouteType::Prefix,
                Match::PrefixList(family, list) => admission.routes = admission.routes.and(&filters.prefix_list(*family, list.as_str())),
                Match::NextHopAddress(address) => admission.next_hop = Pinned::To(*address),
                // never holds for EVPN routes, and neither does a plain community that nobody sets
                Match::NextHopPrefixList(_) | Match::SourceVrf(_) => admission.routes = RouteSet::none(),
                Match::ExtendedCommunity(list) => {
                    if let Some((target, mac)) = exact_communities(filters, list.as_str()) {
                        (admission.target, admission.router_mac) = (target, mac);
                    }
                }
                Match::AsPath(_) | Match::Community(_) | Match::EvpnVni(_) => {}
            }
        }
        let takes_all = entry.matches.is_empty();
        admissions.push(admission);
        if takes_all {
            break;
        }
    }
    admissions.retain(|admission| !admission.routes.is_empty());
    admissions
}

/// The route target and router MAC that a list pins, if it is of the one form that can: an expanded list with one permit entry over the whole text, from `^` to
/// `$`. A standard list, or a pattern without an end, lets other communities stand beside (H35).
fn exact_communities(filters: &Filters<'_>, name: &str) -> Option<(Pinned<RouteTarget>, Pinned<MacAddr>)> {
    let list = filters.attribute_list(AttributeKind::ExtendedCommunityExpanded, name)?;
    let [entry] = list.entries.as_slice() else { return None };
    if entry.action != leafwall_render::frr::Action::Permit {
        return None;
    }
    let text = entry.pattern.as_str().strip_prefix('^')?.strip_suffix('$')?;
    let [target, tunnel, mac] = text.split(' ').collect::<Vec<_>>()[..] else { return None };
    let target = target.strip_prefix("RT:")?.parse().ok()?;
    (tunnel == "ET:8").then_some(())?;
    let mac = mac.strip_prefix("Rmac:")?;
    // a pattern of letters and colons stands for one address; anything else for some, but holds no space and so no second community
    let pinned = match mac.parse() {
        Ok(mac) => Pinned::To(mac),
        Err(_) if mac == "[0-9a-f:]+" => Pinned::Any,
        Err(_) => return None,
    };
    Some((Pinned::To(target), pinned))
}
