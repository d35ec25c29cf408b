//! An exit's sessions with routers outside.

use leafwall_plan::device::{Common, ExternalPeerPlan};
use leafwall_topology::names::subinterface;
use leafwall_topology::{Family, IfName, Vni};

use super::SECRET_PREFIX;
use super::draft::{Draft, Watch, at_most, session};
use super::underlay::speak;
use super::vrf::VrfInstance;
use crate::frr::{Direction, FamilyNeighborStatement, Neighbor, NeighborStatement, Peer, RemoteAs, Text};

/// The device that a session runs over: the port, or its tagged subinterface; `None` where that name is too long.
pub fn device(plan: &ExternalPeerPlan) -> Option<IfName> {
    match plan.vlan {
        None => Some(plan.interface.clone()),
        Some(vlan) => subinterface(&plan.interface, vlan),
    }
}

/// Adds a session: prefixes are filtered both ways, and private ASNs stay inside.
pub fn add(draft: &mut Draft, instance: &mut VrfInstance, common: &Common, vni: Vni, plan: &ExternalPeerPlan) {
    let peer = Peer::Address(plan.peer_address);
    let family = Family::of(plan.peer_address);
    let mut statements = vec![NeighborStatement::RemoteAs(RemoteAs::Asn(plan.asn))];
    statements.extend(plan.password_ref.as_ref().map(|name| NeighborStatement::Password(Text::ours(&format!("{SECRET_PREFIX}{name}")))));
    statements.extend(session(common, Watch::Timers));
    instance.router.neighbors.push(Neighbor { peer: peer.clone(), statements });

    let import = draft.prefix_list(&format!("{vni}-{}-in", plan.peer_address), family, plan.import.iter().copied());
    let export = draft.prefix_list(&format!("{vni}-{}-out", plan.peer_address), family, plan.export.iter().copied());
    let filters = [
        FamilyNeighborStatement::RemovePrivateAs,
        at_most(plan.maximum_prefix),
        FamilyNeighborStatement::PrefixList(import, Direction::In),
        FamilyNeighborStatement::PrefixList(export, Direction::Out),
    ];
    instance.family(family).neighbors.push(speak(peer, filters));
}
