//! Neighbours whose routes bgpd does not look at again by itself.

use std::collections::BTreeSet;
use std::fmt;

use leafwall_render::frr::{AddressFamily, AttributeKind, Direction, FamilyKind, FamilyNeighborStatement, FrrConfig, Peer};
use leafwall_topology::IfName;

use crate::neighbors::{Fresh, is_group, is_member};

/// Asks a neighbour for its routes again. Tried on FRR 10.3: when a prefix list or AS-path list that is bound to a neighbour on the way in changes, bgpd keeps what
/// passed the old one and does not ask for what passes the new one. For lists on the way out, for route-maps and for bindings it looks again by itself.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Refresh {
    /// The instance's VRF; the default one where there is none.
    pub vrf: Option<IfName>,
    /// The address family.
    pub kind: FamilyKind,
    /// The neighbour.
    pub peer: Peer,
}

impl Refresh {
    /// The command, which is none of the configuration.
    pub fn command(&self) -> String {
        let vrf = self.vrf.as_ref().map_or_else(String::new, |vrf| format!("vrf {vrf} "));
        format!("clear bgp {vrf}{} {} soft in", self.kind, self.peer)
    }
}

impl fmt::Display for Refresh {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.command())
    }
}

/// Neighbours that stay and keep a binding to a list of which an entry changes. `touched` has what those lists' statements begin with.
pub fn of(old: &FrrConfig, new: &FrrConfig, touched: &BTreeSet<String>) -> Vec<Refresh> {
    if touched.is_empty() {
        return Vec::new();
    }
    let mut found = Vec::new();
    for router in &new.routers {
        let Some(before) = old.routers.iter().find(|other| other.vrf == router.vrf && other.asn == router.asn) else { continue };
        let fresh = Fresh::between(Some(before), router);
        for family in &router.families {
            let affected = |peer: &Peer| {
                let had = bindings(before.families.iter().find(|other| other.kind == family.kind), peer);
                bindings(Some(family), peer).iter().any(|list| touched.contains(list) && had.contains(list))
            };
            let bound: Vec<&Peer> = family.neighbors.iter().map(|neighbor| &neighbor.peer).filter(|peer| affected(peer)).collect();
            // a group has no routes, its members have
            let concerned = router.neighbors.iter().filter(|neighbor| !is_group(neighbor) && !fresh.is_made(&neighbor.peer));
            let concerned = concerned.filter(|neighbor| bound.iter().any(|peer| neighbor.peer == **peer || is_member(neighbor, peer)));
            found.extend(concerned.map(|neighbor| Refresh { vrf: router.vrf.clone(), kind: family.kind, peer: neighbor.peer.clone() }));
        }
    }
    found
}

/// The lists that a neighbour's routes pass on the way in, by what their statements begin with.
fn bindings(family: Option<&AddressFamily>, peer: &Peer) -> Vec<String> {
    let Some(family) = family else { return Vec::new() };
    let prefix = match family.kind {
        FamilyKind::Ipv6Unicast => "ipv6",
        FamilyKind::Ipv4Unicast | FamilyKind::L2vpnEvpn => "ip",
    };
    let statements = family.neighbors.iter().filter(|neighbor| neighbor.peer == *peer).flat_map(|neighbor| &neighbor.statements);
    let lists = statements.filter_map(|statement| match statement {
        FamilyNeighborStatement::PrefixList(name, Direction::In) => Some(format!("{prefix} prefix-list {name}")),
        FamilyNeighborStatement::FilterList(name, Direction::In) => Some(format!("{} {name}", AttributeKind::AsPath.head())),
        _ => None,
    });
    lists.collect()
}
