//! MAC addresses that a bridge takes for its own.

use leafwall_topology::{MacAddr, VlanId};
use rtnetlink::packet_core::Parseable;
use rtnetlink::packet_route::AddressFamily;
use rtnetlink::packet_route::neighbour::{NeighbourAttribute, NeighbourFlags, NeighbourMessage, NeighbourState};

use super::{Change, Kind, Netlink, NetlinkError, Raw};

impl Netlink {
    pub(super) async fn add_local_mac(&self, what: &impl ToString, index: u32, vlan: VlanId, mac: MacAddr) -> Result<(), NetlinkError> {
        let mut message = NeighbourMessage::default();
        message.header.family = AddressFamily::Bridge;
        message.header.ifindex = index;
        message.header.state = NeighbourState::Permanent; // "local" to the bridge code
        message.header.flags = NeighbourFlags::Own; // "self": the bridge, not its master
        message.attributes = vec![NeighbourAttribute::LinkLayerAddress(mac.bytes().to_vec()), NeighbourAttribute::Vlan(vlan.get())];
        self.change(what, Change::Create, Raw::new(Kind::NewNeighbour, &message)).await
    }

    /// Permanent entries of bridges themselves: device, VLAN, address.
    pub(super) async fn local_macs(&self) -> Result<Vec<(u32, VlanId, [u8; 6])>, NetlinkError> {
        let mut request = NeighbourMessage::default();
        request.header.family = AddressFamily::Bridge;
        let messages = self.dump("MAC addresses", Raw::new(Kind::GetNeighbour, &request)).await?;
        Ok(messages.iter().filter_map(|raw| NeighbourMessage::parse(&raw.payload).ok()).filter_map(|message| local(&message)).collect())
    }
}

fn local(message: &NeighbourMessage) -> Option<(u32, VlanId, [u8; 6])> {
    if message.header.state != NeighbourState::Permanent {
        return None;
    }
    let mac = message.attributes.iter().find_map(|attribute| match attribute {
        NeighbourAttribute::LinkLayerAddress(bytes) => bytes.as_slice().try_into().ok(),
        _ => None,
    })?;
    let vlan = message.attributes.iter().find_map(|attribute| match attribute {
        NeighbourAttribute::Vlan(vlan) => VlanId::try_from(u64::from(*vlan)).ok(),
        _ => None,
    })?;
    Some((message.header.ifindex, vlan, mac))
}
