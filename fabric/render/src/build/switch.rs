//! frr.conf of spines, leaves and exits.

use std::net::Ipv4Addr;

use leafwall_plan::device::{Advertise, RoutedPort, SubnetPlan, SwitchPlan, VrfPlan};
use leafwall_topology::{Family, Name, Platform, Release, Role, RouteTarget};

use super::draft::{Draft, FRR_VERSION, Watch, at_most, digit, own, peer, session};
use super::external;
use super::firewall_port;
use super::underlay::{Exports, Underlay, exports_of_own, loopbacks, speak};
use super::vrf::{LocalMark, VrfInstance};
use crate::frr::{
    AttributeKind, Direction, EvpnVni, Exchange, FamilyNeighborStatement, FrrConfig, Global, Match, Neighbor, NeighborStatement, Origin,
    RemoteAs, Setting, VniStatement, Word,
};

/// The configuration of a switch.
pub fn config(name: &Name, plan: &SwitchPlan) -> FrrConfig {
    let mut draft = draft(name, plan);
    if plan.role == Role::Spine {
        let exports = Exports { filter: None, loopbacks: loopbacks(&mut draft, &plan.common), evpn: own("any") };
        let underlay = Underlay::new(&mut draft, &plan.router, &plan.common, &plan.fabric_ports, &exports, plan.maintenance);
        draft.config.routers.push(underlay.finish());
        return draft.finish();
    }
    let exports = exports_of_own(&mut draft, &plan.common, &plan.own_asns);
    let mut underlay = Underlay::new(&mut draft, &plan.router, &plan.common, &plan.fabric_ports, &exports, plan.maintenance);
    for port in &plan.firewall_ports {
        firewall_port::add(&mut draft, &mut underlay, &plan.common, port, &exports.loopbacks);
    }
    underlay.vtep(segments(plan).map(segment));
    draft.config.routers.push(underlay.finish());

    let speaks_to_servers = plan.vrfs.iter().any(|vrf| !vrf.routed_ports.is_empty());
    // what servers are told is not filtered, but without any filter nothing is told (RFC 8212)
    let everything = speaks_to_servers.then(|| draft.attribute_list(AttributeKind::AsPath, "any", [".*".to_owned()]));
    let mut asns: Vec<_> = plan.vrfs.iter().flat_map(|vrf| &vrf.routed_ports).map(|port| port.asn).collect();
    asns.sort_unstable();
    asns.dedup();
    for asn in asns {
        // a server may prepend itself, and may name nobody else
        draft.attribute_list(AttributeKind::AsPath, &format!("as-{asn}"), [format!("^{asn}( {asn})*$")]);
    }
    for vrf in &plan.vrfs {
        let instance = instance(&mut draft, plan, vrf, everything.as_ref());
        draft.config.routers.push(instance.finish());
    }
    draft.finish()
}

/// The beginning of a switch's configuration. On SONiC zebra is told where routes go on to the ASIC, if its release needs that (H13).
fn draft(name: &Name, plan: &SwitchPlan) -> Draft {
    let draft = Draft::new(name, &plan.common);
    if plan.platform != Platform::Sonic {
        return draft;
    }
    let release = Release::find(&plan.version).ok();
    let mut draft = draft.on(plan.platform, release.map_or(FRR_VERSION, |release| release.frr));
    if release.is_none_or(|release| release.fpm_address) {
        draft.config.globals.push(Global::FpmAddress(Ipv4Addr::LOCALHOST));
    }
    draft
}

/// All bridged segments of a switch, the provisioning network's among them.
pub fn segments(plan: &SwitchPlan) -> impl Iterator<Item = &SubnetPlan> {
    let provisioning = plan.provisioning.iter().map(|provisioning| &provisioning.subnet);
    let mut all: Vec<_> = plan.vrfs.iter().flat_map(|vrf| &vrf.subnets).chain(provisioning).collect();
    all.sort_by_key(|segment| segment.vni);
    all.dedup_by_key(|segment| segment.vni);
    all.into_iter()
}

fn segment(plan: &SubnetPlan) -> Exchange {
    let target = RouteTarget::from(plan.vni);
    let statements = vec![VniStatement::Rd(plan.rd), VniStatement::ImportTarget(target), VniStatement::ExportTarget(target)];
    Exchange::Vni(EvpnVni { vni: plan.vni, statements })
}

fn instance(draft: &mut Draft, plan: &SwitchPlan, vrf: &VrfPlan, everything: Option<&Word>) -> VrfInstance {
    let mut instance = VrfInstance::new(draft, plan.router.asn, plan.router.loopback, vrf.vni, vrf.rd, plan.maintenance);
    let mut subnets: Vec<_> = vrf.subnets.iter().flat_map(|subnet| &subnet.gateways).map(|gateway| gateway.prefix).collect();
    if let Some(provisioning) = plan.provisioning.as_ref().filter(|provisioning| provisioning.vrf_vni == vrf.vni) {
        subnets.extend(provisioning.subnet.gateways.iter().map(|gateway| gateway.prefix));
    }
    subnets.sort_unstable();
    subnets.dedup();
    // With the check, `import vrf` takes a subnet's route over as invalid: a peered network would not reach it on this leaf. It is off in every VRF from the
    // start, since bgpd 10.3 crashes when it is switched while there are networks.
    instance.router.settings.push(Setting::NoNetworkImportCheck);
    for prefix in subnets {
        // silent hosts are reached by their subnet's type-5 route
        instance.family(prefix.family()).origins.push(Origin::Network(prefix));
    }
    if let Some(everything) = everything {
        for port in &vrf.routed_ports {
            routed_port(draft, &mut instance, plan, port, everything);
        }
    }
    for &prefix in &vrf.aggregates {
        instance.family(prefix.family()).origins.push(Origin::AggregateSummaryOnly(prefix));
    }
    for neighbor in &vrf.external_peers {
        external::add(draft, &mut instance, &plan.common, vrf.vni, neighbor);
    }
    instance.import(draft, &vrf.leaks, LocalMark::None);
    match &vrf.advertise {
        Advertise::Only(listed) => instance.advertise_only(draft, listed),
        Advertise::Own if vrf.leaks.is_empty() => {
            for family in Family::BOTH {
                instance.advertise(family, None);
            }
        }
        Advertise::Own => {
            let mut sources: Vec<_> = vrf.leaks.iter().map(|leak| leak.from).collect();
            sources.sort_unstable();
            sources.dedup();
            let denied: Vec<_> = sources.into_iter().map(|from| Match::SourceVrf(draft.vrf_name(from))).collect();
            let map = draft.route_map_all_but(&format!("{}-adv", vrf.vni), denied);
            for family in Family::BOTH {
                instance.advertise(family, Some(map.clone()));
            }
        }
    }
    instance
}

/// A server's session. Its filters are its own, per family, and bound to the neighbour (H20, H22): a route-map for each would cost bgpd time that grows
/// with the square of their number.
fn routed_port(draft: &mut Draft, instance: &mut VrfInstance, plan: &SwitchPlan, port: &RoutedPort, everything: &Word) {
    let mut statements = vec![NeighborStatement::InterfaceRemoteAs(RemoteAs::Asn(port.asn))];
    statements.extend(session(&plan.common, Watch::servers(&plan.common)));
    instance.router.neighbors.push(Neighbor { peer: peer(&port.port), statements });
    for family in Family::BOTH {
        let list = draft.prefix_list(&format!("{}-{}", port.port, digit(family)), family, port.accept.iter().copied());
        let filters = [
            at_most(port.maximum_prefix),
            FamilyNeighborStatement::PrefixList(list, Direction::In),
            FamilyNeighborStatement::FilterList(own(&format!("as-{}", port.asn)), Direction::In),
            FamilyNeighborStatement::FilterList(everything.clone(), Direction::Out),
        ];
        instance.family(family).neighbors.push(speak(peer(&port.port), filters));
    }
}
