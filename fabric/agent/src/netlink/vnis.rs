//! The VNI filter of a VXLAN device (`RTM_NEWTUNNEL`, `struct tunnel_msg`), for which there is no typed message.

use std::collections::BTreeSet;

use rtnetlink::packet_core::{DecodeError, DefaultNla, Emitable, NlaBuffer, NlasIterator, parse_u32};
use rtnetlink::packet_route::AddressFamily;

use super::attributes::nested;
use super::{Change, Kind, Netlink, NetlinkError, Raw};

/// `struct tunnel_msg`: family, flags, two reserved bytes, interface.
const HEADER: usize = 8;
const VXLAN_VNIFILTER_ENTRY: u16 = 1;
const VXLAN_VNIFILTER_ENTRY_START: u16 = 1;
const VXLAN_VNIFILTER_ENTRY_END: u16 = 2;

struct TunnelMessage {
    index: u32,
    attributes: Vec<DefaultNla>,
}

impl Emitable for TunnelMessage {
    fn buffer_len(&self) -> usize {
        HEADER + self.attributes.as_slice().buffer_len()
    }

    fn emit(&self, buffer: &mut [u8]) {
        buffer[..HEADER].fill(0);
        buffer[0] = u8::from(AddressFamily::Bridge);
        buffer[4..HEADER].copy_from_slice(&self.index.to_ne_bytes());
        self.attributes.as_slice().emit(&mut buffer[HEADER..]);
    }
}

fn entry(index: u32, vni: u32) -> TunnelMessage {
    let start = DefaultNla::new(VXLAN_VNIFILTER_ENTRY_START, vni.to_ne_bytes().to_vec());
    TunnelMessage { index, attributes: vec![nested(VXLAN_VNIFILTER_ENTRY, &[start])] }
}

impl Netlink {
    pub(super) async fn add_vni(&self, what: &impl ToString, index: u32, vni: u32) -> Result<(), NetlinkError> {
        self.change(what, Change::Create, Raw::new(Kind::NewTunnel, &entry(index, vni))).await
    }

    pub(super) async fn remove_vni(&self, what: &impl ToString, index: u32, vni: u32) -> Result<(), NetlinkError> {
        self.change(what, Change::Existing, Raw::new(Kind::DelTunnel, &entry(index, vni))).await
    }

    /// The VNIs that a device with `vnifilter` accepts.
    pub(super) async fn vnis(&self, index: u32) -> Result<BTreeSet<u32>, NetlinkError> {
        let request = TunnelMessage { index, attributes: vec![] };
        let mut vnis = BTreeSet::new();
        for raw in self.dump("VNIs", Raw::new(Kind::GetTunnel, &request)).await? {
            read(&raw.payload, index, &mut vnis).map_err(|source| NetlinkError::Decode { what: "VNIs", source })?;
        }
        Ok(vnis)
    }
}

fn read(payload: &[u8], index: u32, vnis: &mut BTreeSet<u32>) -> Result<(), DecodeError> {
    if payload.len() < HEADER || payload[4..HEADER] != index.to_ne_bytes() {
        return Ok(());
    }
    for nla in NlasIterator::new(&payload[HEADER..]) {
        let nla = nla?;
        if nla.kind() != VXLAN_VNIFILTER_ENTRY {
            continue;
        }
        let (mut start, mut end) = (None, None);
        for inner in NlasIterator::new(nla.value()) {
            let inner: NlaBuffer<&[u8]> = inner?;
            match inner.kind() {
                VXLAN_VNIFILTER_ENTRY_START => start = Some(parse_u32(inner.value())?),
                VXLAN_VNIFILTER_ENTRY_END => end = Some(parse_u32(inner.value())?),
                _ => {}
            }
        }
        if let Some(start) = start {
            vnis.extend(start..=end.unwrap_or(start));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        let message = entry(7, 10_001);
        let mut bytes = vec![0; message.buffer_len()];
        message.emit(&mut bytes);
        // family AF_BRIDGE, interface 7, an attribute of 12 bytes marked as nested, in it one of 8 bytes
        assert_eq!(bytes, [7, 0, 0, 0, 7, 0, 0, 0, 12, 0, 1, 0x80, 8, 0, 1, 0, 0x11, 0x27, 0, 0]);
        let mut vnis = BTreeSet::new();
        read(&bytes, 7, &mut vnis).unwrap();
        assert_eq!(vnis, BTreeSet::from([10_001]));
        read(&bytes, 8, &mut vnis).unwrap();
        assert_eq!(vnis.len(), 1, "another device's entries are not ours");
    }

    #[test]
    fn truncated_messages_are_errors_or_nothing() {
        let message = entry(7, 10_001);
        let mut bytes = vec![0; message.buffer_len()];
        message.emit(&mut bytes);
        for length in 0..bytes.len() {
            let mut vnis = BTreeSet::new();
            let _ = read(&bytes[..length], 7, &mut vnis);
            assert!(vnis.is_empty());
        }
    }
}
