//! The default instance: loopbacks and EVPN over unnumbered sessions.

use leafwall_plan::device::{Common, FabricPort, Lengths, PrefixMatch, Router};
use leafwall_topology::{Asn, Family, IfName, Prefix};

use super::draft::{Draft, Watch, own, peer, router, session};
use crate::frr::{
    AddressFamily, AttributeKind, Direction, Exchange, FamilyKind, FamilyNeighbor, FamilyNeighborStatement, Match, Neighbor,
    NeighborStatement, Origin, Peer, RemoteAs, RouterBgp, Word,
};

/// The peer group of sessions with other devices of the fabric.
/// The peer group of sessions with other switches, and of a firewall machine with its leaves.
pub const FABRIC_GROUP: &str = "FABRIC";

/// What a device tells the fabric.
pub struct Exports {
    /// AS paths that unicast routes may have; `None` where all may (spines, firewall machines, whose other filters are stricter).
    pub filter: Option<Word>,
    /// Which loopbacks.
    pub loopbacks: Word,
    /// Which EVPN routes.
    pub evpn: Word,
}

/// The default instance and its parts, which are extended before they are put together.
pub struct Underlay {
    router: RouterBgp,
    /// IPv4 unicast.
    pub unicast: AddressFamily,
    /// EVPN.
    pub evpn: AddressFamily,
}

/// The list of all loopbacks of the fabric.
pub fn loopbacks(draft: &mut Draft, common: &Common) -> Word {
    draft.prefix_list("loopbacks", Family::V4, [PrefixMatch { prefix: common.loopbacks, lengths: Lengths::Hosts }])
}

/// The route-map that lets everything pass: without any, nothing does (RFC 8212).
pub fn any(draft: &mut Draft) -> Word {
    draft.route_map("any", [(Vec::new(), Vec::new())])
}

/// What leaves and exits tell the spines (H37): what they originate, and what begins with an ASN behind one of their own ports. Everything else
/// was learned from another spine, and passing it on would make a valley path around every filter.
pub fn exports_of_own(draft: &mut Draft, common: &Common, own_asns: &[Asn]) -> Exports {
    let loopbacks = loopbacks(draft, common);
    let paths = std::iter::once("^$".to_owned()).chain(own_asns.iter().map(|asn| format!("^{asn}(_|$)")));
    let filter = draft.attribute_list(AttributeKind::AsPath, "own", paths);
    let evpn = draft.route_map("evpn-fabric-out", [(vec![Match::AsPath(filter.clone())], Vec::new())]);
    Exports { filter: Some(filter), loopbacks, evpn }
}

/// A neighbour's statements in one family.
pub fn speak(peer: Peer, statements: impl IntoIterator<Item = FamilyNeighborStatement>) -> FamilyNeighbor {
    let statements = std::iter::once(FamilyNeighborStatement::Activate).chain(statements).collect();
    FamilyNeighbor { peer, statements }
}

impl Underlay {
    /// The instance with its sessions to the fabric.
    pub fn new(draft: &mut Draft, identity: &Router, common: &Common, ports: &[FabricPort], exports: &Exports, maintenance: bool) -> Self {
        let group = Word::ours(FABRIC_GROUP);
        let mut router = router(identity.asn, None, identity.loopback, maintenance);
        let mut statements = vec![NeighborStatement::PeerGroup, NeighborStatement::RemoteAs(RemoteAs::External)];
        statements.extend(session(common, Watch::Bfd));
        router.neighbors.push(Neighbor { peer: Peer::Named(group.clone()), statements });
        for port in ports {
            router
                .neighbors
                .push(Neighbor { peer: peer(&port.port), statements: vec![NeighborStatement::InterfacePeerGroup(group.clone())] });
        }

        let mut unicast = AddressFamily::new(FamilyKind::Ipv4Unicast);
        unicast.origins.push(Origin::Network(Prefix::host(identity.loopback.into())));
        let mut filters = vec![
            FamilyNeighborStatement::PrefixList(own("loopbacks"), Direction::In),
            FamilyNeighborStatement::PrefixList(exports.loopbacks.clone(), Direction::Out),
        ];
        filters.extend(exports.filter.clone().map(|filter| FamilyNeighborStatement::FilterList(filter, Direction::Out)));
        unicast.neighbors.push(speak(Peer::Named(group.clone()), filters));

        let mut evpn = AddressFamily::new(FamilyKind::L2vpnEvpn);
        let filters = [
            FamilyNeighborStatement::RouteMap(any(draft), Direction::In),
            FamilyNeighborStatement::RouteMap(exports.evpn.clone(), Direction::Out),
        ];
        evpn.neighbors.push(speak(Peer::Named(group), filters));
        Self { router, unicast, evpn }
    }

    /// Adds a neighbour of its own on a port.
    pub fn neighbor(&mut self, port: &IfName, asn: Asn, common: &Common) {
        let mut statements = vec![NeighborStatement::InterfaceRemoteAs(RemoteAs::Asn(asn))];
        statements.extend(session(common, Watch::Bfd));
        self.router.neighbors.push(Neighbor { peer: peer(port), statements });
    }

    /// Makes the device a VTEP.
    pub fn vtep(&mut self, vnis: impl IntoIterator<Item = Exchange>) {
        self.evpn.exchanges.push(Exchange::AdvertiseAllVni);
        self.evpn.exchanges.extend(vnis);
    }

    /// The finished instance.
    pub fn finish(mut self) -> RouterBgp {
        self.router.families.extend([self.unicast, self.evpn]);
        self.router
    }
}
