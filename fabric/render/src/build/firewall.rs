//! frr.conf of a firewall machine: a VTEP with one VRF per network that it joins.

use leafwall_plan::device::{FirewallPlan, FirewallVrfPlan, Lengths, PrefixMatch};
use leafwall_topology::{Family, Name, Prefix};

use super::draft::Draft;
use super::underlay::{Exports, Underlay, loopbacks};
use super::vrf::{LocalMark, VrfInstance};
use crate::frr::{EvpnRouteType, FrrConfig, Match, Origin, Set};

/// The configuration of a firewall machine.
pub fn config(name: &Name, plan: &FirewallPlan) -> FrrConfig {
    let mut draft = Draft::new(name, &plan.common);
    loopbacks(&mut draft, &plan.common);
    let loopback = PrefixMatch { prefix: Prefix::host(plan.router.loopback.into()), lengths: Lengths::Exact };
    // Its type-5 routes begin anew with its own ASN: a path that came through the spines would be refused by them on its way back. The leaves' filters
    // decide what may be announced at all.
    let evpn =
        plan.vrfs.iter().map(|vrf| (vec![Match::EvpnRd(vrf.rd), Match::EvpnRouteType(EvpnRouteType::Prefix)], vec![Set::AsPathExcludeAll]));
    let exports =
        Exports { filter: None, loopbacks: draft.prefix_list("lo", Family::V4, [loopback]), evpn: draft.route_map("evpn-out", evpn) };
    let mut underlay = Underlay::new(&mut draft, &plan.router, &plan.common, &plan.uplinks, &exports, false);
    underlay.vtep([]);
    draft.config.routers.push(underlay.finish());
    for vrf in &plan.vrfs {
        let instance = instance(&mut draft, plan, vrf);
        draft.config.routers.push(instance.finish());
    }
    draft.finish()
}

fn instance(draft: &mut Draft, plan: &FirewallPlan, vrf: &FirewallVrfPlan) -> VrfInstance {
    let mut instance = VrfInstance::new(draft, plan.router.asn, plan.router.loopback, vrf.vni, vrf.rd, false);
    let mut addresses: Vec<_> = vrf.addresses.iter().map(|&address| Prefix::host(address)).collect();
    addresses.sort_unstable();
    for prefix in addresses {
        instance.family(prefix.family()).origins.push(Origin::Network(prefix));
    }
    for &prefix in &vrf.aggregates {
        instance.family(prefix.family()).origins.push(Origin::AggregateSummaryOnly(prefix));
    }
    instance.import(draft, &vrf.leaks, LocalMark::NoExport);
    instance.advertise_only(draft, &vrf.announce);
    instance
}
