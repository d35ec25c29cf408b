//! What the kernel holds.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use leafwall_render::links::LinkState;
use leafwall_topology::{Family, HostAddress, Prefix};
use rtnetlink::packet_core::Parseable;
use rtnetlink::packet_route::AddressFamily;
use rtnetlink::packet_route::address::{AddressAttribute, AddressFlags, AddressHeaderFlags, AddressMessage};
use rtnetlink::packet_route::link::{
    AfSpecInet6, AfSpecUnspec, BondMode, In6AddrGenMode, InfoBond, InfoBridge, InfoBridgePort, InfoData, InfoKind, InfoPortData, InfoVlan,
    InfoVrf, InfoVxlan, LinkAttribute, LinkExtentMask, LinkFlags, LinkInfo, LinkLayerType, LinkMessage, State,
};
use rtnetlink::packet_route::route::{RouteAddress, RouteAttribute, RouteMessage, RouteType};

use super::{Kind, Netlink, NetlinkError, Raw};
use crate::links::{
    AddressOwner, Kernel, KernelKind, KernelLink, KernelLinkLocal, KernelRoute, KernelRouteTarget, PortFlags, ROUTE_PROTOCOL, RouteKey,
    is_link_local,
};

/// Protocols of routes that an administrator made: `boot` (plain `ip route add`), `static`, and ours. All others have daemons that care for them.
pub(super) const ADMINISTRATIVE: [u8; 3] = [3, 4, ROUTE_PROTOCOL];

impl Netlink {
    /// Reads links with their addresses and VLANs, and administrative routes.
    ///
    /// A foreign link that can't be read is left out with a warning in the log: were its name one of ours, making ours would fail and say so.
    pub async fn observe(&self) -> Result<Kernel, NetlinkError> {
        let mut request = LinkMessage::default();
        request.attributes.push(LinkAttribute::ExtMask(vec![LinkExtentMask::SkipStats]));
        let mut messages = Vec::new();
        for raw in self.dump("links", Raw::new(Kind::GetLink, &request)).await? {
            match LinkMessage::parse(&raw.payload) {
                Ok(message) => messages.push(message),
                Err(error) => tracing::warn!(%error, "a link that can't be read"),
            }
        }
        let names: BTreeMap<u32, String> =
            messages.iter().filter_map(|message| Some((message.header.index, name(message)?.to_owned()))).collect();
        let mut links: BTreeMap<String, KernelLink> =
            messages.iter().filter_map(|message| Some((name(message)?.to_owned(), link(message, &names)))).collect();
        if links.values().any(|link| matches!(link.kind, KernelKind::Bridge { .. })) {
            for (index, vlan, mac) in self.local_macs().await? {
                if let Some(link) = names.get(&index).and_then(|name| links.get_mut(name)) {
                    link.local_macs.insert((vlan, mac));
                }
            }
            let mut vlans = self.vlans().await?;
            for link in links.values_mut() {
                let found = vlans.remove(&link.index).unwrap_or_default();
                (link.vlans, link.tunnels) = (found.vlans, found.tunnels);
            }
        }
        for link in links.values_mut() {
            if let KernelKind::Vxlan { filtered: true, vnis, .. } = &mut link.kind {
                *vnis = self.vnis(link.index).await?;
            }
        }
        for raw in self.dump("addresses", Raw::new(Kind::GetAddress, &AddressMessage::default())).await? {
            let message = AddressMessage::parse(&raw.payload).map_err(|source| NetlinkError::Decode { what: "an address", source })?;
            if let Some((found, owner)) = address(&message)
                && let Some(link) = names.get(&message.header.index).and_then(|name| links.get_mut(name))
            {
                if is_link_local(found) {
                    link.link_local_addresses.insert(found);
                } else {
                    link.addresses.insert(found, owner);
                }
            }
        }
        Ok(Kernel { links, routes: self.routes().await? })
    }

    async fn routes(&self) -> Result<BTreeMap<RouteKey, KernelRoute>, NetlinkError> {
        let mut routes = BTreeMap::new();
        for raw in self.dump("routes", Raw::new(Kind::GetRoute, &RouteMessage::default())).await? {
            match RouteMessage::parse(&raw.payload) {
                Ok(message) => routes.extend(route(&message)),
                Err(error) => tracing::warn!(%error, "a route that can't be read"),
            }
        }
        Ok(routes)
    }
}

fn name(message: &LinkMessage) -> Option<&str> {
    message.attributes.iter().find_map(|attribute| match attribute {
        LinkAttribute::IfName(name) => Some(name.as_str()),
        _ => None,
    })
}

fn link(message: &LinkMessage, names: &BTreeMap<u32, String>) -> KernelLink {
    let mut link = KernelLink {
        index: message.header.index,
        alias: None,
        group: 0,
        kind: KernelKind::Other("port".into()),
        mtu: 0,
        mac: None,
        master: None,
        addresses: BTreeMap::new(),
        link_local_addresses: BTreeSet::new(),
        running: false,
        state: if message.header.flags.contains(LinkFlags::Up) { LinkState::Up } else { LinkState::Down },
        link_local: KernelLinkLocal::Absent,
        port: None,
        vlans: BTreeMap::new(),
        tunnels: BTreeMap::new(),
        local_macs: BTreeSet::new(),
    };
    let (mut lower, mut elsewhere) = (None, false);
    for attribute in &message.attributes {
        match attribute {
            LinkAttribute::IfAlias(alias) => link.alias = Some(alias.clone()),
            LinkAttribute::Group(group) => link.group = *group,
            LinkAttribute::OperState(state) => link.running = *state == State::Up,
            LinkAttribute::Mtu(mtu) => link.mtu = *mtu,
            LinkAttribute::Address(mac) => link.mac = mac.as_slice().try_into().ok(),
            LinkAttribute::Controller(index) => link.master = Some(names.get(index).cloned().unwrap_or_else(|| format!("#{index}"))),
            LinkAttribute::Link(index) => lower = names.get(index).cloned(),
            LinkAttribute::LinkNetNsId(_) => elsewhere = true,
            LinkAttribute::AfSpecUnspec(specs) => link.link_local = link_local(specs).unwrap_or(link.link_local),
            LinkAttribute::LinkInfo(info) => {
                link.kind = kind(info);
                link.port = info.iter().find_map(port_flags);
            }
            _ => {}
        }
    }
    if let KernelKind::Vlan { lower: below, .. } = &mut link.kind {
        *below = lower.filter(|_| !elsewhere);
    }
    if message.header.link_layer_type == LinkLayerType::Loopback {
        link.kind = KernelKind::Loopback;
    }
    link
}

fn link_local(specs: &[AfSpecUnspec]) -> Option<KernelLinkLocal> {
    let inet6 = specs.iter().find_map(|spec| if let AfSpecUnspec::Inet6(inet6) = spec { Some(inet6) } else { None })?;
    inet6.iter().find_map(|attribute| match attribute {
        AfSpecInet6::AddrGenMode(In6AddrGenMode::Eui64) => Some(KernelLinkLocal::Eui64),
        AfSpecInet6::AddrGenMode(In6AddrGenMode::None) => Some(KernelLinkLocal::None),
        AfSpecInet6::AddrGenMode(_) => Some(KernelLinkLocal::Other),
        _ => None,
    })
}

fn kind(info: &[LinkInfo]) -> KernelKind {
    let data = info.iter().find_map(|info| if let LinkInfo::Data(data) = info { Some(data) } else { None });
    match data {
        Some(InfoData::Vrf(vrf)) => {
            let table = vrf.iter().find_map(|attribute| if let InfoVrf::TableId(table) = attribute { Some(*table) } else { None });
            KernelKind::Vrf { table: table.unwrap_or(0) }
        }
        Some(InfoData::Bridge(bridge)) => bridge_kind(bridge),
        Some(InfoData::Vxlan(vxlan)) => vxlan_kind(vxlan),
        Some(InfoData::Vlan(vlan)) => {
            let id = vlan.iter().find_map(|attribute| if let InfoVlan::Id(id) = attribute { Some(*id) } else { None });
            KernelKind::Vlan { lower: None, id: id.unwrap_or(0) }
        }
        Some(InfoData::Bond(bond)) => bond_kind(bond),
        _ => {
            let word = info.iter().find_map(|info| if let LinkInfo::Kind(kind) = info { Some(word(kind)) } else { None });
            KernelKind::Other(word.unwrap_or_else(|| "port".into()))
        }
    }
}

fn word(kind: &InfoKind) -> String {
    match kind {
        InfoKind::Other(kind) => kind.clone(),
        kind => kind.to_string(),
    }
}

fn bridge_kind(attributes: &[InfoBridge]) -> KernelKind {
    let (mut filtering, mut pvid, mut snooping, mut limit) = (false, 1, true, None);
    for attribute in attributes {
        match attribute {
            InfoBridge::VlanFiltering(on) => filtering = *on,
            InfoBridge::VlanDefaultPvid(vid) => pvid = *vid,
            InfoBridge::MulticastSnooping(on) => snooping = *on,
            InfoBridge::FdbMaxLearned(most) => limit = Some(*most),
            _ => {}
        }
    }
    KernelKind::Bridge { vlan_filtering: filtering, default_pvid: pvid, multicast_snooping: snooping, maximum_macs: limit }
}

fn vxlan_kind(attributes: &[InfoVxlan]) -> KernelKind {
    let (mut vtep, mut udp, mut learns, mut external, mut filter) = (None, 0, false, false, false);
    for attribute in attributes {
        match attribute {
            InfoVxlan::Local(address) => vtep = Some(*address),
            InfoVxlan::Port(port) => udp = *port,
            InfoVxlan::Learning(on) => learns = *on,
            InfoVxlan::CollectMetadata(on) => external = *on,
            InfoVxlan::Vnifilter(on) => filter = *on,
            _ => {}
        }
    }
    KernelKind::Vxlan { local: vtep, port: udp, filtered: external && filter, learning: learns, vnis: BTreeSet::new() }
}

fn bond_kind(attributes: &[InfoBond]) -> KernelKind {
    let (mut active_backup, mut interval) = (false, 0);
    for attribute in attributes {
        match attribute {
            InfoBond::Mode(mode) => active_backup = *mode == BondMode::ActiveBackup,
            InfoBond::MiiMon(ms) => interval = *ms,
            _ => {}
        }
    }
    KernelKind::Bond { active_backup, miimon_ms: interval }
}

fn port_flags(info: &LinkInfo) -> Option<PortFlags> {
    let LinkInfo::PortData(InfoPortData::BridgePort(attributes)) = info else { return None };
    let mut flags = PortFlags { learning: false, neighbour_suppression: false, vlan_tunnel: false, isolated: false };
    for attribute in attributes {
        match attribute {
            InfoBridgePort::Learning(on) => flags.learning = *on,
            InfoBridgePort::NeighSupress(on) => flags.neighbour_suppression = *on,
            InfoBridgePort::VlanTunnel(on) => flags.vlan_tunnel = *on,
            InfoBridgePort::Isolated(on) => flags.isolated = *on,
            _ => {}
        }
    }
    Some(flags)
}

/// A permanent address, but for IPv4's link-local ones. Others come and go by themselves (SLAAC, DHCP).
fn address(message: &AddressMessage) -> Option<(HostAddress, AddressOwner)> {
    let (mut peer, mut local, mut owner) = (None, None, AddressOwner::Foreign);
    let mut permanent = message.header.flags.contains(AddressHeaderFlags::Permanent);
    for attribute in &message.attributes {
        match attribute {
            AddressAttribute::Address(address) => peer = Some(*address),
            AddressAttribute::Local(address) => local = Some(*address),
            AddressAttribute::Flags(flags) => permanent |= flags.contains(AddressFlags::Permanent),
            AddressAttribute::Protocol(protocol) if u8::from(*protocol) == ROUTE_PROTOCOL => owner = AddressOwner::Ours,
            _ => {}
        }
    }
    let address = local.or(peer).filter(|_| permanent)?;
    if matches!(address, IpAddr::V4(address) if address.is_link_local()) {
        return None;
    }
    Some((HostAddress::new(address, message.header.prefix_len)?, owner))
}

fn route(message: &RouteMessage) -> Option<(RouteKey, KernelRoute)> {
    let header = &message.header;
    let protocol = u8::from(header.protocol);
    if !ADMINISTRATIVE.contains(&protocol) || header.tos != 0 {
        return None;
    }
    let family = match header.address_family {
        AddressFamily::Inet => Family::V4,
        AddressFamily::Inet6 => Family::V6,
        _ => return None,
    };
    let (mut table, mut metric, mut destination, mut gateway) = (u32::from(header.table), 0, None, None);
    for attribute in &message.attributes {
        match attribute {
            RouteAttribute::Table(number) => table = *number,
            RouteAttribute::Priority(priority) => metric = *priority,
            RouteAttribute::Destination(address) => destination = ip(address),
            RouteAttribute::Gateway(address) => gateway = ip(address),
            _ => {}
        }
    }
    let prefix = match destination {
        Some(address) => Prefix::containing(address, header.destination_prefix_length)?,
        None => Prefix::any(family),
    };
    let target = match (header.kind, gateway) {
        (RouteType::Unreachable, _) => KernelRouteTarget::Unreachable,
        (RouteType::Unicast, Some(gateway)) => KernelRouteTarget::Via(gateway),
        _ => KernelRouteTarget::Other,
    };
    Some((RouteKey { table, prefix, metric }, KernelRoute { target, protocol }))
}

const fn ip(address: &RouteAddress) -> Option<IpAddr> {
    match address {
        RouteAddress::Inet(address) => Some(IpAddr::V4(*address)),
        RouteAddress::Inet6(address) => Some(IpAddr::V6(*address)),
        _ => None,
    }
}
