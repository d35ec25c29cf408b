//! The generation of a network namespace's rulesets, over nfnetlink: the kernel counts every transaction of nftables, whoever makes it.

use std::io;

use rtnetlink::sys::{Socket, SocketAddr, protocols::NETLINK_NETFILTER};

use super::nfnetlink::{HEADER, NETFILTER_HEADER, NEW_GENERATION, NFTABLES, attributes, number};

/// Types of messages: the subsystem in the upper byte. `NFT_MSG_GETGEN` asks (`linux/netfilter/nf_tables.h`).
const ANSWER: u16 = NFTABLES << 8 | NEW_GENERATION;
const QUESTION: u16 = NFTABLES << 8 | 16;
/// `NLM_F_REQUEST`.
const REQUEST: u16 = 1;
/// `NFTA_GEN_ID`, a number of 32 bits in network order.
const NUMBER: u16 = 1;
const HEADERS: usize = HEADER + NETFILTER_HEADER;

/// Which generation of rulesets this process's network namespace has: as long as it stays the same nobody changed a table, chain, rule or set there, of whatever
/// owner. Elements that end by themselves, and those that rules add, are not counted. An error where the kernel has no nftables.
pub fn generation() -> io::Result<u32> {
    let mut socket = Socket::new(NETLINK_NETFILTER)?;
    socket.bind_auto()?;
    socket.connect(&SocketAddr::new(0, 0))?;
    socket.send(&question(), 0)?;
    let (answer, _) = socket.recv_from_full()?;
    number_in(&answer).ok_or_else(|| io::ErrorKind::Unsupported.into())
}

fn question() -> Vec<u8> {
    let length = u32::try_from(HEADERS).unwrap_or_default();
    let header = [length.to_ne_bytes().as_slice(), &QUESTION.to_ne_bytes(), &REQUEST.to_ne_bytes()].concat();
    // no sequence number and no sender; then no family, version 0, no resource
    [header.as_slice(), &[0; HEADERS - 8]].concat()
}

/// The number in an answer; `None` where it is none.
fn number_in(answer: &[u8]) -> Option<u32> {
    if number(answer, 4)? != ANSWER {
        return None;
    }
    let (_, value) = attributes(answer.get(HEADERS..)?).find(|(kind, _)| *kind == NUMBER)?;
    Some(u32::from_be_bytes(*value.first_chunk()?))
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
        assert_eq!(number_in(&answer(ANSWER, &[(2, &[1, 2, 3, 4]), (NUMBER, &[0, 0, 1, 2]), (3, b"nft\0")])), Some(258));
        assert_eq!(number_in(&answer(ANSWER, &[(2, &[1, 2, 3, 4])])), None);
        assert_eq!(number_in(&answer(2, &[(NUMBER, &[0, 0, 1, 2])])), None, "an error");
        let whole = answer(ANSWER, &[(5, &[9]), (NUMBER, &[0, 0, 1, 2])]);
        for end in 0..whole.len() {
            assert_eq!(number_in(&whole[..end]), None, "cut off after {end} bytes");
        }
        assert_eq!(number_in(&[0; 64]), None);
        let mut endless = whole;
        endless[HEADERS..HEADERS + 2].copy_from_slice(&0_u16.to_ne_bytes());
        assert_eq!(number_in(&endless), None, "an attribute without a length");
    }
}
