//! The generation of a network namespace's rulesets, over nfnetlink: the kernel counts every transaction of nftables, whoever makes it.

use std::io;

use rtnetlink::sys::{Socket, SocketAddr, protocols::NETLINK_NETFILTER};

/// `NFT_MSG_NEWGEN` and `NFT_MSG_GETGEN`, of `NFNL_SUBSYS_NFTABLES` in the upper byte (`linux/netfilter/nf_tables.h`).
const ANSWER: u16 = 10 << 8 | 15;
const QUESTION: u16 = 10 << 8 | 16;
/// `NLM_F_REQUEST`.
const REQUEST: u16 = 1;
/// `NFTA_GEN_ID`, a number of 32 bits in network order.
const NUMBER: u16 = 1;
/// Attribute types have flags above this.
const ATTRIBUTE_MASK: u16 = 0x3fff;
/// Of `struct nlmsghdr`, and with `struct nfgenmsg` behind it.
const HEADER: usize = 16;
const HEADERS: usize = HEADER + 4;

/// Which generation of rulesets this process's network namespace has: as long as it stays the same nobody changed a table, chain, rule or set there, of whatever
/// owner. Elements that end by themselves, and those that rules add, are not counted. An error where the kernel has no nftables.
pub fn generation() -> io::Result<u32> {
    let mut socket = Socket::new(NETLINK_NETFILTER)?;
    socket.bind_auto()?;
    socket.connect(&SocketAddr::new(0, 0))?;
    socket.send(&question(), 0)?;
    let (answer, _) = socket.recv_from_full()?;
    number(&answer).ok_or_else(|| io::ErrorKind::Unsupported.into())
}

fn question() -> Vec<u8> {
    let length = u32::try_from(HEADERS).unwrap_or_default();
    let header = [length.to_ne_bytes().as_slice(), &QUESTION.to_ne_bytes(), &REQUEST.to_ne_bytes()].concat();
    // no sequence number and no sender; then no family, version 0, no resource
    [header.as_slice(), &[0; HEADERS - 8]].concat()
}

/// The number in an answer; `None` where it is none.
fn number(answer: &[u8]) -> Option<u32> {
    let half = |at: usize| Some(u16::from_ne_bytes(*answer.get(at..)?.first_chunk()?));
    if half(4)? != ANSWER {
        return None;
    }
    let mut at = HEADERS;
    loop {
        let (length, kind) = (usize::from(half(at)?), half(at + 2)? & ATTRIBUTE_MASK);
        if kind == NUMBER {
            return Some(u32::from_be_bytes(*answer.get(at + 4..at + length)?.first_chunk()?));
        }
        // an attribute is never shorter than its own header
        at += length.max(4).next_multiple_of(4);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(kind: u16, attributes: &[(u16, &[u8])]) -> Vec<u8> {
        let mut bytes = [&[0; 4][..], &kind.to_ne_bytes(), &[0; HEADERS - 6]].concat();
        for (kind, value) in attributes {
            bytes.extend(u16::try_from(value.len() + 4).unwrap().to_ne_bytes());
            bytes.extend(kind.to_ne_bytes());
            bytes.extend(*value);
            bytes.resize(bytes.len().next_multiple_of(4), 0);
        }
        bytes
    }

    #[test]
    fn the_number_is_found_among_attributes_and_nothing_else_is_one() {
        assert_eq!(number(&answer(ANSWER, &[(2, &[1, 2, 3, 4]), (NUMBER, &[0, 0, 1, 2]), (3, b"nft\0")])), Some(258));
        assert_eq!(number(&answer(ANSWER, &[(2, &[1, 2, 3, 4])])), None);
        assert_eq!(number(&answer(2, &[(NUMBER, &[0, 0, 1, 2])])), None, "an error");
        let whole = answer(ANSWER, &[(5, &[9]), (NUMBER, &[0, 0, 1, 2])]);
        for end in 0..whole.len() {
            assert_eq!(number(&whole[..end]), None, "cut off after {end} bytes");
        }
        assert_eq!(number(&[0; 64]), None);
        let mut endless = whole;
        endless[HEADERS..HEADERS + 2].copy_from_slice(&0_u16.to_ne_bytes());
        assert_eq!(number(&endless), None, "an attribute without a length");
    }
}
