//! Messages of nfnetlink as bytes, where no crate has them typed.

/// `NFNL_SUBSYS_NFTABLES`, the upper byte of a message's type (`linux/netfilter/nfnetlink.h`).
pub(super) const NFTABLES: u16 = 10;
/// `NFT_MSG_NEWGEN`: which generation of rulesets there is, asked for or after a transaction (`linux/netfilter/nf_tables.h`).
pub(super) const NEW_GENERATION: u16 = 15;
/// Of `struct nlmsghdr`.
pub(super) const HEADER: usize = 16;
/// Of `struct nfgenmsg`, which follows it.
pub(super) const NETFILTER_HEADER: usize = 4;
/// Attribute types have flags above this.
pub(super) const ATTRIBUTE_MASK: u16 = 0x3fff;

/// A number of 16 bits in the machine's order.
pub(super) fn number(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_ne_bytes(bytes.get(at..at + 2)?.try_into().ok()?))
}

/// The attributes of a message, with their types, as far as they can be read.
pub(super) fn attributes(mut rest: &[u8]) -> impl Iterator<Item = (u16, &[u8])> {
    std::iter::from_fn(move || {
        let (length, kind) = (usize::from(number(rest, 0)?), number(rest, 2)?);
        let value = rest.get(4..length)?;
        rest = rest.get(length.next_multiple_of(4)..).unwrap_or_default();
        Some((kind & ATTRIBUTE_MASK, value))
    })
}
