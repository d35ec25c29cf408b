//! VLANs of bridges and their ports: written with `RTM_SETLINK`, read from the VLAN database (`RTM_GETVLAN`, `struct br_vlan_msg`), which splits long lists over
//! messages. A link message with all of a port's VLANs and tunnels does not fit a buffer from about a thousand tenants on.

use std::collections::BTreeMap;

use leafwall_topology::VlanId;
use rtnetlink::packet_core::{DecodeError, Emitable, NlaBuffer, NlasIterator, parse_u16, parse_u32};
use rtnetlink::packet_route::AddressFamily;
use rtnetlink::packet_route::link::{AfSpecBridge, BridgeFlag, BridgeVlanInfo, BridgeVlanInfoFlags, BridgeVlanTunnelInfo, LinkAttribute};

use super::{Change, Kind, Netlink, NetlinkError, Raw, attributes};
use crate::links::{Tagging, VlanScope};

/// `struct br_vlan_msg`: family, three reserved bytes, interface.
const HEADER: usize = 8;
const BRIDGE_VLANDB_ENTRY: u16 = 1;
const BRIDGE_VLANDB_ENTRY_INFO: u16 = 1;
const BRIDGE_VLANDB_ENTRY_RANGE: u16 = 2;
const BRIDGE_VLANDB_ENTRY_TUNNEL_INFO: u16 = 4;
const BRIDGE_VLANDB_TINFO_ID: u16 = 1;

/// What a port or bridge has.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct PortVlans {
    pub vlans: BTreeMap<VlanId, Tagging>,
    pub tunnels: BTreeMap<VlanId, u32>,
}

struct VlanRequest;

impl Emitable for VlanRequest {
    fn buffer_len(&self) -> usize {
        HEADER
    }

    fn emit(&self, buffer: &mut [u8]) {
        buffer[..HEADER].fill(0);
        buffer[0] = u8::from(AddressFamily::Bridge);
    }
}

impl Netlink {
    pub(super) async fn set_vlan(
        &self,
        what: &impl ToString,
        kind: Kind,
        index: u32,
        scope: VlanScope,
        vlan: VlanId,
        tagging: Tagging,
    ) -> Result<(), NetlinkError> {
        let flags = match tagging {
            Tagging::PvidUntagged => BridgeVlanInfoFlags::Pvid | BridgeVlanInfoFlags::Untagged,
            Tagging::Tagged | Tagging::Other => BridgeVlanInfoFlags::empty(),
        };
        let mut spec = match scope {
            // the kernel's BRIDGE_FLAGS_SELF
            VlanScope::Bridge => vec![AfSpecBridge::Flags(BridgeFlag::LowerDev)],
            VlanScope::Port => vec![],
        };
        spec.push(AfSpecBridge::VlanInfo(BridgeVlanInfo { flags, vid: vlan.get() }));
        let message = attributes::bridge(index, vec![LinkAttribute::AfSpecBridge(spec)]);
        self.change(what, Change::Existing, Raw::new(kind, &message)).await
    }

    pub(super) async fn set_tunnel(
        &self,
        what: &impl ToString,
        kind: Kind,
        index: u32,
        vlan: VlanId,
        vni: u32,
    ) -> Result<(), NetlinkError> {
        let tunnel = vec![
            BridgeVlanTunnelInfo::Id(vni),
            BridgeVlanTunnelInfo::Vid(vlan.get()),
            BridgeVlanTunnelInfo::Flags(BridgeVlanInfoFlags::empty()),
        ];
        let message = attributes::bridge(index, vec![LinkAttribute::AfSpecBridge(vec![AfSpecBridge::VlanTunnelInfo(tunnel)])]);
        self.change(what, Change::Existing, Raw::new(kind, &message)).await
    }

    /// The VLANs of all bridges and their ports, by interface.
    pub(super) async fn vlans(&self) -> Result<BTreeMap<u32, PortVlans>, NetlinkError> {
        let mut all = BTreeMap::new();
        for raw in self.dump("VLANs", Raw::new(Kind::GetVlan, &VlanRequest)).await? {
            read(&raw.payload, &mut all).map_err(|source| NetlinkError::Decode { what: "VLANs", source })?;
        }
        Ok(all)
    }
}

fn read(payload: &[u8], all: &mut BTreeMap<u32, PortVlans>) -> Result<(), DecodeError> {
    if payload.len() < HEADER {
        return Err(DecodeError::buffer_too_small(payload.len(), HEADER));
    }
    let port = all.entry(parse_u32(&payload[4..HEADER])?).or_default();
    for nla in NlasIterator::new(&payload[HEADER..]) {
        let nla = nla?;
        if nla.kind() == BRIDGE_VLANDB_ENTRY {
            read_entry(nla.value(), port)?;
        }
    }
    Ok(())
}

fn read_entry(value: &[u8], port: &mut PortVlans) -> Result<(), DecodeError> {
    let (mut first, mut last, mut tunnel) = (None, None, None);
    for nla in NlasIterator::new(value) {
        let nla: NlaBuffer<&[u8]> = nla?;
        match nla.kind() {
            BRIDGE_VLANDB_ENTRY_INFO => first = Some(BridgeVlanInfo::try_from(nla.value())?),
            BRIDGE_VLANDB_ENTRY_RANGE => last = Some(parse_u16(nla.value())?),
            BRIDGE_VLANDB_ENTRY_TUNNEL_INFO => {
                for inner in NlasIterator::new(nla.value()) {
                    let inner: NlaBuffer<&[u8]> = inner?;
                    if inner.kind() == BRIDGE_VLANDB_TINFO_ID {
                        tunnel = Some(parse_u32(inner.value())?);
                    }
                }
            }
            _ => {}
        }
    }
    let Some(first) = first else { return Ok(()) };
    let tagging = match (first.flags.contains(BridgeVlanInfoFlags::Pvid), first.flags.contains(BridgeVlanInfoFlags::Untagged)) {
        (false, false) => Tagging::Tagged,
        (true, true) => Tagging::PvidUntagged,
        _ => Tagging::Other,
    };
    // in a range the tunnel ids count along with the VLANs
    for (offset, vid) in (first.vid..=last.unwrap_or(first.vid)).enumerate() {
        let Ok(vlan) = VlanId::try_from(u64::from(vid)) else { continue };
        port.vlans.insert(vlan, tagging);
        if let Some(id) = tunnel {
            port.tunnels.insert(vlan, id.saturating_add(u32::try_from(offset).unwrap_or(u32::MAX)));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use rtnetlink::packet_core::DefaultNla;

    use super::*;

    fn message(inner: &[DefaultNla]) -> Vec<u8> {
        let entry = [attributes::nested(BRIDGE_VLANDB_ENTRY, inner)];
        let mut bytes = vec![7, 0, 0, 0, 9, 0, 0, 0];
        let at = bytes.len();
        bytes.resize(at + entry.as_slice().buffer_len(), 0);
        entry.as_slice().emit(&mut bytes[at..]);
        bytes
    }

    fn vlan(number: u64) -> VlanId {
        VlanId::try_from(number).unwrap()
    }

    #[test]
    fn a_range_with_tunnels_counts_along() {
        let tunnel = attributes::nested(
            BRIDGE_VLANDB_ENTRY_TUNNEL_INFO,
            &[DefaultNla::new(BRIDGE_VLANDB_TINFO_ID, 10_001_u32.to_ne_bytes().to_vec())],
        );
        let info = DefaultNla::new(BRIDGE_VLANDB_ENTRY_INFO, [0_u16.to_ne_bytes(), 100_u16.to_ne_bytes()].concat());
        let range = DefaultNla::new(BRIDGE_VLANDB_ENTRY_RANGE, 102_u16.to_ne_bytes().to_vec());
        let bytes = message(&[info, range, tunnel]);
        let mut all = BTreeMap::new();
        read(&bytes, &mut all).unwrap();
        assert_eq!(all[&9].vlans, BTreeMap::from([100, 101, 102].map(|id| (vlan(id), Tagging::Tagged))));
        assert_eq!(all[&9].tunnels, BTreeMap::from([(vlan(100), 10_001), (vlan(101), 10_002), (vlan(102), 10_003)]));
        for length in 0..bytes.len() {
            let _ = read(&bytes[..length], &mut BTreeMap::new());
        }
    }

    #[test]
    fn pvid_and_untagged_belong_together() {
        for (flags, tagging) in [(6_u16, Tagging::PvidUntagged), (2, Tagging::Other), (4, Tagging::Other), (0, Tagging::Tagged)] {
            let info = DefaultNla::new(BRIDGE_VLANDB_ENTRY_INFO, [flags.to_ne_bytes(), 5_u16.to_ne_bytes()].concat());
            let mut all = BTreeMap::new();
            read(&message(&[info]), &mut all).unwrap();
            assert_eq!(all[&9].vlans[&vlan(5)], tagging);
        }
    }
}
