//! The instance of a network's VRF.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use leafwall_plan::device::{Leak, LeakScope, PrefixMatch};
use leafwall_topology::{Asn, Family, RouteDistinguisher, RouteTarget, Vni};

use super::draft::{Draft, digit, router};
use crate::frr::{AddressFamily, Exchange, FamilyKind, Match, RouterBgp, Set, Text, Word};

/// A VRF's instance and its parts, which are extended before they are put together.
pub struct VrfInstance {
    vni: Vni,
    rd: RouteDistinguisher,
    /// The instance, for neighbours.
    pub router: RouterBgp,
    families: [AddressFamily; 2],
    advertise: Vec<Exchange>,
}

/// What marks leaked routes that must stay on the device.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum LocalMark {
    /// The community `no-export`: on firewalls, whose VRFs have no neighbours.
    NoExport,
    /// None: on leaves the servers behind the VRF's ports are neighbours, and must learn the routes; the route-map of `advertise` keeps them back.
    None,
}

impl VrfInstance {
    /// The VRF of a network with an L3VNI.
    pub fn new(draft: &mut Draft, asn: Asn, router_id: Ipv4Addr, vni: Vni, rd: RouteDistinguisher, maintenance: bool) -> Self {
        let name = draft.vrf(vni);
        Self {
            vni,
            rd,
            router: router(asn, Some(name), router_id, maintenance),
            families: Family::BOTH.map(|family| AddressFamily::new(FamilyKind::from(family))),
            advertise: Vec::new(),
        }
    }

    /// One of its unicast families.
    pub fn family(&mut self, family: Family) -> &mut AddressFamily {
        let [v4, v6] = &mut self.families;
        match family {
            Family::V4 => v4,
            Family::V6 => v6,
        }
    }

    /// Takes over routes of other VRFs: for each source, what the list of that source has.
    pub fn import(&mut self, draft: &mut Draft, leaks: &[Leak], mark: LocalMark) {
        // one list per source and scope; what may be passed on comes first, since the first entry that matches decides
        let mut sources: BTreeMap<(std::cmp::Reverse<LeakScope>, Vni), Vec<PrefixMatch>> = BTreeMap::new();
        for leak in leaks {
            sources.entry((std::cmp::Reverse(leak.scope), leak.from)).or_default().extend(&leak.prefixes);
        }
        for family in Family::BOTH {
            let mut entries = Vec::new();
            let mut vrfs = Vec::new();
            for ((scope, from), prefixes) in &sources {
                if prefixes.iter().all(|found| found.prefix.family() != family) {
                    continue;
                }
                let word = match scope.0 {
                    LeakScope::Announced => "from",
                    LeakScope::Local => "back",
                };
                let list = draft.prefix_list(&format!("{}-{word}-{from}-{}", self.vni, digit(family)), family, prefixes.iter().copied());
                let sets = if scope.0 == LeakScope::Local && mark == LocalMark::NoExport {
                    vec![Set::Community(Text::ours("no-export"))]
                } else {
                    Vec::new()
                };
                entries.push((vec![Match::PrefixList(family, list), Match::SourceVrf(draft.vrf_name(*from))], sets));
                vrfs.push(*from);
            }
            if entries.is_empty() {
                continue;
            }
            let map = draft.route_map(&format!("{}-import-{}", self.vni, digit(family)), entries);
            vrfs.sort_unstable();
            vrfs.dedup();
            let exchanges = &mut self.family(family).exchanges;
            exchanges.push(Exchange::ImportVrfRouteMap(map));
            exchanges.extend(vrfs.into_iter().map(|from| Exchange::ImportVrf(draft.vrf_name(from))));
        }
    }

    /// Announces routes of these families as type 5, all or what a route-map lets pass.
    pub fn advertise(&mut self, family: Family, route_map: Option<Word>) {
        self.advertise.push(Exchange::Advertise(family, route_map));
    }

    /// Announces as type 5 only what is listed. A family with nothing listed is not announced at all.
    pub fn advertise_only(&mut self, draft: &mut Draft, listed: &[PrefixMatch]) {
        for family in Family::BOTH {
            if listed.iter().any(|found| found.prefix.family() == family) {
                let name = format!("{}-adv-{}", self.vni, digit(family));
                let list = draft.prefix_list(&name, family, listed.iter().copied());
                let map = draft.route_map(&name, [(vec![Match::PrefixList(family, list)], Vec::new())]);
                self.advertise(family, Some(map));
            }
        }
    }

    /// The finished instance.
    pub fn finish(mut self) -> RouterBgp {
        let target = RouteTarget::from(self.vni);
        let said = |family: &AddressFamily| !(family.origins.is_empty() && family.neighbors.is_empty() && family.exchanges.is_empty());
        self.router.families.extend(self.families.into_iter().filter(said));
        let mut evpn = AddressFamily::new(FamilyKind::L2vpnEvpn);
        evpn.exchanges = self.advertise;
        evpn.exchanges.extend([Exchange::Rd(self.rd), Exchange::ImportTarget(target), Exchange::ExportTarget(target)]);
        self.router.families.push(evpn);
        self.router
    }
}
