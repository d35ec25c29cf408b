//! Building link messages.

use leafwall_render::links::LinkKind;
use rtnetlink::packet_core::{DefaultNla, Emitable, NLA_F_NESTED, Parseable};
use rtnetlink::packet_route::AddressFamily;
use rtnetlink::packet_route::link::{
    BondMode, InfoBond, InfoBridge, InfoBridgePort, InfoData, InfoKind, InfoPortData, InfoPortKind, InfoVlan, InfoVrf, InfoVxlan,
    LinkAttribute, LinkFlags, LinkInfo, LinkMessage,
};

use super::NetlinkError;
use crate::links::{NEWBORN_GROUP, PortFlags, VXLAN_PORT};

/// A message about the link with this number.
pub(super) fn to(index: u32, attributes: Vec<LinkAttribute>) -> LinkMessage {
    let mut message = LinkMessage::default();
    message.header.index = index;
    message.attributes = attributes;
    message
}

pub(super) fn by_name(name: &str) -> LinkMessage {
    to(0, vec![LinkAttribute::IfName(name.to_owned())])
}

/// A message to the bridge code about a port or the bridge itself.
pub(super) fn bridge(index: u32, attributes: Vec<LinkAttribute>) -> LinkMessage {
    let mut message = to(index, attributes);
    message.header.interface_family = AddressFamily::Bridge;
    message
}

/// Sets a link up or down.
pub(super) fn flags(index: u32, up: LinkFlags) -> LinkMessage {
    let mut message = to(index, vec![]);
    message.header.flags = up;
    message.header.change_mask = LinkFlags::Up;
    message
}

/// A new link, down, in the group that says whose it is. `lower` is the number of a VLAN's lower device.
pub(super) fn create(name: &str, kind: &LinkKind, lower: Option<u32>) -> LinkMessage {
    let mut info = vec![LinkInfo::Kind(info_kind(kind))];
    info.extend(creation(kind).map(LinkInfo::Data));
    let mut attributes = vec![LinkAttribute::IfName(name.to_owned()), LinkAttribute::Group(NEWBORN_GROUP), LinkAttribute::LinkInfo(info)];
    attributes.extend(lower.map(LinkAttribute::Link));
    to(0, attributes)
}

/// What of its kind can be changed on a link that exists.
pub(super) fn options(index: u32, kind: &LinkKind) -> LinkMessage {
    let data = match kind {
        LinkKind::Vxlan { .. } => Some(InfoData::Vxlan(vec![InfoVxlan::Learning(false)])),
        LinkKind::Bond { miimon_ms } => Some(InfoData::Bond(vec![InfoBond::MiiMon(*miimon_ms)])),
        LinkKind::Bridge { .. } => creation(kind),
        LinkKind::Physical {} | LinkKind::Loopback {} | LinkKind::Vrf { .. } | LinkKind::Vlan { .. } => None,
    };
    let mut info = vec![LinkInfo::Kind(info_kind(kind))];
    info.extend(data.map(LinkInfo::Data));
    to(index, vec![LinkAttribute::LinkInfo(info)])
}

pub(super) fn port(index: u32, flags: PortFlags) -> LinkMessage {
    let data = vec![
        InfoBridgePort::Learning(flags.learning),
        InfoBridgePort::NeighSupress(flags.neighbour_suppression),
        InfoBridgePort::VlanTunnel(flags.vlan_tunnel),
        InfoBridgePort::Isolated(flags.isolated),
    ];
    let info = vec![LinkInfo::PortKind(InfoPortKind::Bridge), LinkInfo::PortData(InfoPortData::BridgePort(data))];
    to(index, vec![LinkAttribute::LinkInfo(info)])
}

fn info_kind(kind: &LinkKind) -> InfoKind {
    match kind {
        LinkKind::Vrf { .. } => InfoKind::Vrf,
        LinkKind::Bridge { .. } => InfoKind::Bridge,
        LinkKind::Vxlan { .. } => InfoKind::Vxlan,
        LinkKind::Vlan { .. } => InfoKind::Vlan,
        LinkKind::Bond { .. } => InfoKind::Bond,
        LinkKind::Physical {} | LinkKind::Loopback {} => InfoKind::Other(String::new()),
    }
}

fn creation(kind: &LinkKind) -> Option<InfoData> {
    match kind {
        LinkKind::Vrf { table } => Some(InfoData::Vrf(vec![InfoVrf::TableId(*table)])),
        // without a default VLAN: a new port belongs to nobody until it is told so
        LinkKind::Bridge { maximum_macs, .. } => Some(InfoData::Bridge(vec![
            InfoBridge::VlanFiltering(true),
            InfoBridge::VlanDefaultPvid(0),
            InfoBridge::MulticastSnooping(false),
            InfoBridge::FdbMaxLearned(*maximum_macs),
        ])),
        LinkKind::Vxlan { local, .. } => Some(InfoData::Vxlan(vec![
            InfoVxlan::Local(*local),
            InfoVxlan::Learning(false),
            InfoVxlan::Port(VXLAN_PORT),
            InfoVxlan::CollectMetadata(true),
            InfoVxlan::Vnifilter(true),
        ])),
        LinkKind::Vlan { id, .. } => Some(InfoData::Vlan(vec![InfoVlan::Id(id.get())])),
        LinkKind::Bond { miimon_ms } => Some(InfoData::Bond(vec![InfoBond::Mode(BondMode::ActiveBackup), InfoBond::MiiMon(*miimon_ms)])),
        LinkKind::Physical {} | LinkKind::Loopback {} => None,
    }
}

/// The number in a link message.
pub(super) fn index(payload: &[u8]) -> Result<u32, NetlinkError> {
    let message = LinkMessage::parse(payload).map_err(|source| NetlinkError::Decode { what: "a link", source })?;
    Ok(message.header.index)
}

/// A nested attribute, marked as such: newer message types refuse one that is not.
pub(super) fn nested(kind: u16, inner: &[DefaultNla]) -> DefaultNla {
    let mut bytes = vec![0; inner.buffer_len()];
    inner.emit(&mut bytes);
    DefaultNla::new(kind | NLA_F_NESTED, bytes)
}
