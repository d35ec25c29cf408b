//! What machines' packets can do on a switch beside being routed in their network: fall out of it, go over to a peering's other side, reach the switch itself, or go
//! into tunnels.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::sync::OnceLock;

use leafwall_policy::nft::{CtState, Hook};
use leafwall_policy::sets::{Field, Header, PacketSet};
use leafwall_render::frr::{Exchange, FamilyKind};
use leafwall_render::links::{LinkKind, LocalTable, RouteTargetKind};
use leafwall_topology::{Family, IfName, Name, Prefix};
use rustc_hash::FxHashMap;

use crate::domains::{Domains, Place};
use crate::filters::{Attributes, Filters};
use crate::finding::Finding;
use crate::ground::{Ground, Owner};
use crate::nft::{Certainty, Context};
use crate::read::{Device, Devices};
use crate::routes::RouteSet;
use crate::tunnels::Tunnels;

/// All checks of one switch.
pub fn check(device: &Device, devices: &Devices, ground: &Ground<'_>, domains: &Domains, tunnels: &OnceLock<Tunnels>) -> Vec<Finding> {
    let switch = Switch { device, devices, ground, domains, tunnels };
    let mut findings = Vec::new();
    switch.unreachable_defaults(&mut findings);
    switch.leaks(&mut findings);
    switch.services(&mut findings);
    switch.firewall_ports(&mut findings);
    switch.untagged(&mut findings);
    switch.provisioning(&mut findings);
    findings
}

struct Switch<'a> {
    device: &'a Device,
    devices: &'a Devices,
    ground: &'a Ground<'a>,
    domains: &'a Domains,
    tunnels: &'a OnceLock<Tunnels>,
}

impl Switch<'_> {
    fn name(&self) -> &Name {
        &self.device.name
    }

    fn network(&self, vrf: &IfName) -> Option<&Name> {
        self.domains.network_of(&Place::Vrf(self.name().clone(), Some(vrf.clone())))
    }

    fn other_vteps(&self) -> Vec<IpAddr> {
        let others = self.devices.values().filter(|other| other.name != *self.name());
        others.flat_map(|other| other.loopbacks()).collect()
    }

    /// Without a last route of its own, a lookup in a VRF goes on in the main table: into the underlay. With the table of local addresses first, any address of the
    /// switch answers in every VRF (H40).
    fn unreachable_defaults(&self, findings: &mut Vec<Finding>) {
        // a chip drops what has no route
        for (vrf, table) in self.device.vrfs().filter(|_| !self.device.has_chip()) {
            for family in Family::BOTH {
                let closed = self.device.links.routes.iter().any(|route| {
                    route.table == table && route.prefix == Prefix::any(family) && matches!(route.target, RouteTargetKind::Unreachable {})
                });
                if closed {
                    continue;
                }
                let to: Vec<IpAddr> = match family {
                    Family::V4 => self.other_vteps(),
                    Family::V6 => vec![std::net::Ipv6Addr::LOCALHOST.into()],
                };
                let packet = self.ground.packet(self.network(vrf), &to);
                let path = vec![format!("{}: VRF {vrf}: no route", self.name()), format!("{}: table main: the underlay", self.name())];
                let message = format!("{}: {vrf} has no last route for {family:?}: packets fall into the underlay", self.name());
                findings.push(Finding::isolation("unreachable-default", message, packet, path));
            }
        }
        if self.device.vrfs().next().is_some() && self.device.links.local_table == LocalTable::First {
            let to: Vec<IpAddr> = self.device.loopbacks().collect();
            let network = self.device.vrfs().find_map(|(vrf, _)| self.network(vrf));
            let message =
                format!("{}: the switch's own addresses are asked before the VRFs: it answers there in every network", self.name());
            let path = vec![format!("{}: table local, before any VRF", self.name())];
            findings.push(Finding::isolation("local-table", message, self.ground.packet(network, &to), path));
        }
    }

    /// Routes that one VRF takes from another: packets that follow them are a Peering's, from its one side to its other.
    fn leaks(&self, findings: &mut Vec<Finding>) {
        let filters = Filters::of(self.device);
        for router in &self.device.frr.routers {
            for (kind, family) in [(FamilyKind::Ipv4Unicast, Family::V4), (FamilyKind::Ipv6Unicast, Family::V6)] {
                let exchanges = || router.families.iter().filter(move |stated| stated.kind == kind).flat_map(|stated| &stated.exchanges);
                let map = exchanges().find_map(|exchange| if let Exchange::ImportVrfRouteMap(map) = exchange { Some(map) } else { None });
                for source in exchanges().filter_map(|exchange| if let Exchange::ImportVrf(vrf) = exchange { Some(vrf) } else { None }) {
                    let taken = match map {
                        None => RouteSet::family(family),
                        Some(map) => {
                            let attributes = Attributes { source_vrf: Some(source.clone()), ..Attributes::plain() };
                            RouteSet::union(filters.apply(map, &RouteSet::family(family), &attributes).into_iter().map(|(set, _)| set))
                        }
                    };
                    self.leak(router.vrf.as_ref(), source, family, &taken, findings);
                }
            }
        }
    }

    fn leak(&self, into: Option<&IfName>, source: &IfName, family: Family, taken: &RouteSet, findings: &mut Vec<Finding>) {
        let ends = |vrf: Option<&IfName>| self.domains.network_of(&Place::Vrf(self.name().clone(), vrf.cloned()));
        let (near, far) = (ends(into), ends(Some(source)));
        let mut allowed = PacketSet::none();
        for peering in near.into_iter().flat_map(|near| self.ground.peerings_of(near)) {
            for (one, other) in [(0, 1), (1, 0)] {
                let (one, other) = (&peering.sides[one], &peering.sides[other]);
                if Some(&one.network) == near && Some(&other.network) == far {
                    let senders = PacketSet::prefixes(Field::Source, &one.prefixes);
                    allowed = allowed.or(&senders.and(&PacketSet::prefixes(Field::Destination, &other.prefixes)));
                }
            }
        }
        let routed = taken.destinations().and(&PacketSet::family(family));
        // a packet of an interface in a VRF comes in as of the VRF; where it goes out is whatever the other VRF has
        let mut context = Context::new(into, None, Certainty::May);
        context.state = CtState::Untracked;
        let passing = self.device.nft.accepted(&context, Hook::Forward);
        let beyond = routed.and(&passing).minus(&allowed);
        // what stays in the far network's own addresses matters; the rest has no route there
        let reached = far.map_or_else(PacketSet::all, |far| self.ground.addresses(far));
        if let Some(packet) = beyond.and(&reached).and(&self.senders(near)).witness().or_else(|| beyond.and(&reached).witness()) {
            let told = |network: Option<&Name>| network.map_or("nobody's network".to_owned(), |name| format!("network `{name}`"));
            let message = format!("{}: packets go from {} over to {}, which no peering allows", self.name(), told(near), told(far));
            let from = into.map_or("default VRF".to_owned(), |vrf| format!("VRF {vrf}"));
            let path = vec![
                format!("{}: {from}: route leaked from {source}", self.name()),
                format!("{}: forward chain lets it through", self.name()),
                format!("{}: VRF {source}", self.name()),
            ];
            findings.push(Finding::isolation("peering", message, Some(packet), path));
        }
    }

    fn senders(&self, network: Option<&Name>) -> PacketSet {
        network.map_or_else(PacketSet::all, |network| {
            let addresses = self.ground.somebody(network);
            PacketSet::union(addresses.into_iter().map(|address| PacketSet::addresses(Field::Source, address, address)))
        })
    }

    /// What machines reach on the switch itself (H40): BGP and BFD on the link, errors and pings, DHCP's relay, and the sessions of routers outside.
    fn services(&self, findings: &mut Vec<Finding>) {
        let inputs = self.device.links.links.iter().filter(|link| match &link.kind {
            LinkKind::Vrf { .. } => true,
            LinkKind::Physical {} | LinkKind::Vlan { .. } => {
                self.device.vrf_of(&link.name).is_some() || matches!(self.ground.owner(self.name(), &link.name), Some(Owner::Firewall(..)))
            }
            _ => false,
        });
        let mut allowed = services();
        for peer in self.ground.peers_at(self.name()) {
            let from = PacketSet::addresses(Field::Source, peer.peer_address, peer.peer_address);
            allowed = allowed.or(&from.and(&bgp().or(&bfd())));
        }
        if self.ground.model.fabric.provisioning.is_some() {
            allowed = allowed.or(&udp(67)).or(&udp(547));
        }
        // tunnels; which ones, its port's own guard says
        let with_tunnels = allowed.or(&udp(4789));
        let mut told: FxHashMap<(Context, bool), Option<Header>> = FxHashMap::default();
        // what keeps packets from the processor of a switch with a chip is an assumption
        for link in inputs.filter(|_| !self.device.has_chip()) {
            let context = Context { state: CtState::Untracked, ..Context::new(Some(&link.name), None, Certainty::May) };
            let firewall = matches!(self.ground.owner(self.name(), &link.name), Some(Owner::Firewall(..)));
            let beyond = told.entry((self.device.nft.question(&context), firewall)).or_insert_with_key(|(question, firewall)| {
                let reached = self.device.nft.accepted(question, Hook::Input);
                let allowed = if *firewall { &with_tunnels } else { &allowed };
                reached.minus(allowed).and(&PacketSet::numbers(Field::Vni, 0, 0)).witness()
            });
            if let Some(packet) = *beyond {
                let message = format!("{}: what comes in by {} reaches the switch's own services", self.name(), link.name);
                let path = vec![format!("{}: {}: input chain lets it through", self.name(), link.name)];
                findings.push(Finding::isolation("services", message, Some(packet), path));
            }
        }
    }

    /// H38: a firewall machine's port takes from it VXLAN of its own networks, from itself, to switches that have them; and what stays on the link.
    fn firewall_ports(&self, findings: &mut Vec<Finding>) {
        for (port, owner) in self.ground.owners_at(self.name()) {
            let Owner::Firewall(machine, firewall) = owner else { continue };
            let Some(serves) = self.ground.model.firewalls.get(firewall) else { continue };
            if !self.device.is_up(port) {
                continue;
            }
            let tunnels = self.tunnels.get_or_init(|| Tunnels::new(self.devices, self.ground, self.domains));
            let context = Context { state: CtState::Untracked, ..Context::new(Some(port), None, Certainty::May) };
            let accepted = self.device.nft.ingress(&context, port).unwrap_or_else(PacketSet::all);
            let loopback = self.ground.table.loopback(machine).map(IpAddr::from);
            let from_itself = loopback.map_or_else(PacketSet::none, |address| PacketSet::addresses(Field::Source, address, address));
            let mut allowed = services_on_link();
            allowed = allowed.or(&tunnels.ends.and(&from_itself).and(&icmp()));
            for (vtep, vni) in serves.networks.iter().flat_map(|network| tunnels.into(network)) {
                let to = from_itself.and(&PacketSet::addresses(Field::Destination, *vtep, *vtep));
                allowed = allowed.or(&to.and(&udp(4789)).and(&PacketSet::vni(*vni)));
            }
            // a VNI that the switch there does not have comes out nowhere
            let beyond = accepted.minus(&allowed).minus(&tunnels.unheard);
            if let Some(packet) = beyond
                .and(&PacketSet::protocol(17))
                .and(&PacketSet::numbers(Field::Vni, 1, 0xff_ffff))
                .witness()
                .or_else(|| beyond.witness())
            {
                let message = format!("{}: firewall machine `{machine}` may send what is not its own through {port}", self.name());
                let path = vec![format!("{}: ingress guard of {port} lets it through", self.name()), self.arrival(&packet)];
                findings.push(Finding::isolation("tunnel-guard", message, Some(packet), path));
            }
        }
    }

    fn arrival(&self, packet: &Header) -> String {
        let there = self.devices.values().find(|device| device.vtep.map(IpAddr::from) == Some(packet.destination));
        let Some(device) = there else { return format!("underlay: {}", packet.destination) };
        let vlan = device.vnis.iter().find(|(vni, _)| vni.get() == packet.vni).map(|(_, vlan)| *vlan);
        let network = vlan.and_then(|vlan| self.domains.network_of(&Place::Vlan(device.name.clone(), vlan)));
        match network {
            Some(network) => format!("{}: out of the tunnel, into network `{network}`", device.name),
            None => format!("{}: in the underlay", device.name),
        }
    }

    /// Machines that are nobody's do not reach each other by way of their gateway. That their frames stay apart is shown with the domains.
    fn provisioning(&self, findings: &mut Vec<Finding>) {
        if self.device.has_chip() {
            return;
        }
        let idle = self.ground.owners_at(self.name()).filter(|(_, owner)| matches!(owner, Owner::Idle(_)));
        let vlans: BTreeSet<_> = idle.filter_map(|(port, _)| self.device.access(port)).map(|(vlan, _)| vlan).collect();
        for svi in vlans.iter().filter_map(|vlan| self.device.svis.get(vlan)) {
            let (Some(vrf), Some(link)) = (self.device.vrf_of(svi), self.device.link(svi)) else { continue };
            let subnets = link.addresses.iter().filter_map(|address| Prefix::containing(address.address(), address.length()));
            let context = Context { state: CtState::Untracked, ..Context::new(Some(vrf), None, Certainty::May) };
            let through = self.device.nft.accepted(&context, Hook::Forward);
            for subnet in subnets {
                let among = PacketSet::prefix(Field::Source, subnet).and(&PacketSet::prefix(Field::Destination, subnet));
                if let Some(packet) = through.and(&among).witness() {
                    let message = format!("{}: machines that are nobody's reach each other by way of {svi}", self.name());
                    let path = vec![format!("{}: VRF {vrf}: forward chain lets it through", self.name())];
                    findings.push(Finding::isolation("provisioning", message, Some(packet), path));
                }
            }
        }
    }

    /// A port of which only VLANs are used is itself in the default VRF: nothing untagged may come in.
    fn untagged(&self, findings: &mut Vec<Finding>) {
        let lowers = self
            .device
            .links
            .links
            .iter()
            .filter_map(|link| if let LinkKind::Vlan { lower, .. } = &link.kind { Some(lower) } else { None });
        let carrying: BTreeSet<&IfName> = lowers.collect();
        for link in &self.device.links.links {
            if !matches!(link.kind, LinkKind::Physical {})
                || !carrying.contains(&link.name)
                || self.device.vrf_of(&link.name).is_some()
                || !self.device.takes_untagged(&link.name)
            {
                continue;
            }
            let context = Context { state: CtState::Untracked, ..Context::new(Some(&link.name), None, Certainty::May) };
            let through = self.device.nft.accepted(&context, Hook::Prerouting);
            let to = PacketSet::union(self.other_vteps().into_iter().map(|vtep| PacketSet::addresses(Field::Destination, vtep, vtep)));
            if let Some(packet) =
                through.and(&to).and(&udp(4789)).and(&PacketSet::numbers(Field::Vni, 1, 0xff_ffff)).witness().or_else(|| through.witness())
            {
                let message = format!("{}: what comes in untagged on {} is in the underlay", self.name(), link.name);
                let path = vec![format!("{}: {} is in the default VRF", self.name(), link.name), self.arrival(&packet)];
                findings.push(Finding::isolation("underlay", message, Some(packet), path));
            }
        }
    }
}

fn tcp_from_or_to(port: u64) -> PacketSet {
    let either = PacketSet::numbers(Field::SourcePort, port, port).or(&PacketSet::numbers(Field::DestinationPort, port, port));
    PacketSet::protocol(6).and(&either)
}

/// UDP to a port.
pub fn udp(port: u64) -> PacketSet {
    PacketSet::protocol(17).and(&PacketSet::numbers(Field::DestinationPort, port, port))
}

fn bgp() -> PacketSet {
    tcp_from_or_to(179)
}

fn bfd() -> PacketSet {
    udp(3784).or(&udp(3785))
}

fn icmp() -> PacketSet {
    let v4 = PacketSet::family(Family::V4).and(&PacketSet::protocol(1));
    v4.or(&PacketSet::family(Family::V6).and(&PacketSet::protocol(58)))
}

/// BGP and BFD of a neighbour on the link: from link-local addresses, which nobody passes on.
fn on_link() -> PacketSet {
    let neighbours = Prefix::containing(std::net::Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 0).into(), 10);
    neighbours.map_or_else(PacketSet::none, |prefix| PacketSet::prefix(Field::Source, prefix).and(&bgp().or(&bfd())))
}

/// What anybody may say to the device in front of him: BGP, BFD on the link, ICMP.
pub fn services() -> PacketSet {
    on_link().or(&icmp())
}

/// What a firewall machine may say to its leaf: BGP, BFD, neighbour discovery and errors, all of which stay on the link.
fn services_on_link() -> PacketSet {
    on_link().or(&PacketSet::family(Family::V6).and(&PacketSet::protocol(58)))
}
