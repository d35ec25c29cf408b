//! A leaf's port with a firewall machine behind, which is trusted with nothing (H21, H35 to H39).

use leafwall_plan::device::{Common, FirewallPort, Lengths, PrefixMatch};
use leafwall_topology::{Family, Prefix, RouteTarget};

use super::draft::{Draft, at_most, digit, own, peer};
use super::underlay::{Underlay, speak};
use crate::frr::{Action, AttributeKind, Direction, EvpnRouteType, FamilyNeighborStatement, Match, RouteMapEntry, Set, Word};

/// A firewall announces one loopback; a few more are refused by the filter without the session's end.
const UNICAST_MAXIMUM: u32 = 4;
/// The last entry of the inbound route-map: nothing else.
const LAST: u32 = 65535;

/// Adds the session and its filters.
pub fn add(draft: &mut Draft, underlay: &mut Underlay, common: &Common, port: &FirewallPort, loopbacks: &Word) {
    underlay.neighbor(&port.port, port.asn, common);
    let stem = port.port.as_str();
    let loopback = PrefixMatch { prefix: Prefix::host(port.loopback.into()), lengths: Lengths::Exact };
    let own_loopback = draft.prefix_list(&format!("{stem}-lo"), Family::V4, [loopback]);
    let filters = [
        at_most(UNICAST_MAXIMUM),
        FamilyNeighborStatement::PrefixList(own_loopback, Direction::In),
        FamilyNeighborStatement::PrefixList(loopbacks.clone(), Direction::Out),
    ];
    underlay.unicast.neighbors.push(speak(peer(&port.port), filters));

    let inbound = inbound(draft, port);
    let targets = port.vnis.iter().map(|vni| format!("rt {}", RouteTarget::from(vni.vni)));
    let list = draft.attribute_list(AttributeKind::ExtendedCommunity, &format!("{stem}-out"), targets);
    let outbound = draft.route_map(&format!("{stem}-evpn-out"), [(vec![Match::ExtendedCommunity(list)], Vec::new())]);
    let filters = [
        at_most(port.maximum_prefix),
        FamilyNeighborStatement::RouteMap(inbound, Direction::In),
        FamilyNeighborStatement::RouteMap(outbound, Direction::Out),
    ];
    underlay.evpn.neighbors.push(speak(peer(&port.port), filters));
}

/// What the machine may announce: per VNI and family type-5 routes of listed prefixes, with its own route distinguisher and next hop, and with extended
/// communities that are, as one text, the VNI's route target, VXLAN and its own router MAC, and nothing beside (H35).
fn inbound(draft: &mut Draft, port: &FirewallPort) -> Word {
    let stem = port.port.as_str();
    // where its network's other machine is preferred, the leaf makes the paths longer: the machine has no say in it
    let prepend = vec![port.asn; usize::from(port.prepend)];
    let mut entries = Vec::new();
    for vni in &port.vnis {
        let text = format!("^RT:{} ET:8 Rmac:{}$", RouteTarget::from(vni.vni), port.router_mac);
        let communities = draft.attribute_list(AttributeKind::ExtendedCommunityExpanded, &format!("{stem}-{}", vni.vni), [text]);
        for family in Family::BOTH {
            if vni.accept.iter().all(|found| found.prefix.family() != family) {
                continue;
            }
            let list = draft.prefix_list(&format!("{stem}-{}-{}", vni.vni, digit(family)), family, vni.accept.iter().copied());
            let matches = vec![
                Match::EvpnRd(vni.rd),
                Match::EvpnRouteType(EvpnRouteType::Prefix),
                Match::ExtendedCommunity(communities.clone()),
                Match::PrefixList(family, list),
                Match::NextHopAddress(port.loopback),
            ];
            let sets = if prepend.is_empty() { Vec::new() } else { vec![Set::AsPathPrepend(prepend.clone())] };
            entries.push((matches, sets));
        }
    }
    let name = format!("{stem}-evpn-in");
    draft.route_map(&name, entries);
    // a route-map without entries would not exist; this one always does
    draft.config.route_maps.push(RouteMapEntry::new(own(&name), Action::Deny, LAST));
    own(&name)
}
