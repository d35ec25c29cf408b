//! frr.conf of a routed server: an output for its owner.

use leafwall_plan::device::{Lengths, PrefixMatch, RoutedServerPlan};
use leafwall_topology::{Family, Name, Prefix};

use super::draft::{Draft, Watch, digit, peer, router, session};
use super::underlay::speak;
use crate::frr::{
    AddressFamily, AttributeKind, Direction, FamilyKind, FamilyNeighborStatement, FrrConfig, Neighbor, NeighborStatement, Origin, Peer,
    RemoteAs, Word,
};

/// The peer group of a server's leaves.
const GROUP: &str = "LEAF";

/// The configuration of a routed server.
pub fn config(name: &Name, plan: &RoutedServerPlan) -> FrrConfig {
    let mut draft = Draft::new(name, &plan.common);
    let watch = Watch::servers(&plan.common);
    if watch == Watch::Timers {
        draft.config.bfd.profiles.clear();
    }
    let group = Peer::Named(Word::ours(GROUP));
    let mut router = router(plan.asn, None, plan.router_id, false);
    let mut statements = vec![NeighborStatement::PeerGroup, NeighborStatement::RemoteAs(RemoteAs::External)];
    statements.extend(session(&plan.common, watch));
    router.neighbors.push(Neighbor { peer: group.clone(), statements });
    for port in &plan.uplinks {
        let statements = vec![NeighborStatement::InterfacePeerGroup(Word::ours(GROUP))];
        router.neighbors.push(Neighbor { peer: peer(&port.port), statements });
    }

    let everything = draft.attribute_list(AttributeKind::AsPath, "any", [".*".to_owned()]);
    let mut hosts: Vec<_> = plan.addresses.iter().chain(&plan.elastic).map(|&address| Prefix::host(address)).collect();
    hosts.sort_unstable();
    hosts.dedup();
    let exact = |&prefix: &Prefix| PrefixMatch { prefix, lengths: Lengths::Exact };
    let inside = |&prefix: &Prefix| PrefixMatch { prefix, lengths: Lengths::UpToHosts };
    // never what it learned from one leaf to the other
    let own_paths = draft.attribute_list(AttributeKind::AsPath, "own", ["^$".to_owned()]);
    // its own addresses, and what its network may announce besides (pods, services)
    let announced: Vec<_> = hosts.iter().map(exact).chain(plan.may_announce.iter().map(inside)).collect();
    for family in Family::BOTH {
        let list = draft.prefix_list(&format!("own-{}", digit(family)), family, announced.iter().copied());
        let mut unicast = AddressFamily::new(FamilyKind::from(family));
        unicast.origins.extend(hosts.iter().filter(|prefix| prefix.family() == family).map(|&prefix| Origin::Network(prefix)));
        let filters = [
            FamilyNeighborStatement::PrefixList(list, Direction::Out),
            FamilyNeighborStatement::FilterList(everything.clone(), Direction::In),
            FamilyNeighborStatement::FilterList(own_paths.clone(), Direction::Out),
        ];
        unicast.neighbors.push(speak(group.clone(), filters));
        router.families.push(unicast);
    }
    draft.config.routers.push(router);
    draft.finish()
}
