//! What goes over the wire, made and recognised in one place.

use std::net::IpAddr;

use leafwall_topology::Family;

/// Begins the payload of a request.
const REQUEST: [u8; 4] = *b"LWPQ";
/// Begins the payload of a UDP answer.
const ANSWER: [u8; 4] = *b"LWPA";
/// Echo request and reply, RFC 792.
const ECHO_V4: (u8, u8) = (8, 0);
/// Echo request and reply, RFC 4443 §4.
const ECHO_V6: (u8, u8) = (128, 129);
/// TCP's flags, RFC 9293 §3.1.
const SYN: u8 = 0x02;
const RST: u8 = 0x04;
const ACK: u8 = 0x10;
/// The protocol's number, for the checksum.
const PROTOCOL_TCP: u8 = 6;

/// What a packet of ours means to the node that received it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Meaning {
    /// Somebody's probe arrived.
    Request(u32),
    /// Our probe was answered.
    Answer(u32),
    /// Our probe found a closed port.
    Closed(u32),
}

/// Which protocol a raw socket carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Carrier {
    Icmp,
    Tcp,
    Udp,
}

/// The payload that asks.
pub(super) fn request(nonce: u32) -> [u8; 8] {
    tagged(REQUEST, nonce)
}

/// The payload that answers a UDP request, if it is one.
pub(super) fn answer_to(payload: &[u8]) -> Option<[u8; 8]> {
    read_tagged(payload, REQUEST).map(|nonce| tagged(ANSWER, nonce))
}

fn tagged(tag: [u8; 4], nonce: u32) -> [u8; 8] {
    let mut payload = [0; 8];
    payload[..4].copy_from_slice(&tag);
    payload[4..].copy_from_slice(&nonce.to_be_bytes());
    payload
}

fn read_tagged(payload: &[u8], tag: [u8; 4]) -> Option<u32> {
    (payload.get(..4)? == tag).then(|| word(payload, 4)).flatten()
}

fn word(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_be_bytes(bytes.get(at..at + 4)?.try_into().ok()?))
}

/// An echo request; the kernel fills in ICMPv6's checksum on a raw socket, not ICMP's.
pub(super) fn echo(family: Family, nonce: u32) -> Vec<u8> {
    let kind = if family == Family::V4 { ECHO_V4.0 } else { ECHO_V6.0 };
    let mut message = vec![kind, 0, 0, 0];
    message.extend_from_slice(&nonce.to_be_bytes()); // identifier and sequence number
    message.extend_from_slice(&request(nonce));
    if family == Family::V4 {
        let sum = checksum(&[&message]);
        message[2..4].copy_from_slice(&sum.to_be_bytes());
    }
    message
}

/// The port a probe's connection comes from: any above the ephemeral ones that nobody listens on.
fn source_port(nonce: u32) -> u16 {
    // Kept in 61000..=65047, above Linux's own ephemeral ports.
    61_000 + (nonce & 0x0fff) as u16 % 4048
}

/// A SYN whose sequence number is the nonce: firewalls and NAT leave it alone, and the answer acknowledges it.
pub(super) fn syn(from: IpAddr, to: IpAddr, port: u16, nonce: u32) -> Vec<u8> {
    let mut segment = Vec::with_capacity(20);
    segment.extend_from_slice(&source_port(nonce).to_be_bytes());
    segment.extend_from_slice(&port.to_be_bytes());
    segment.extend_from_slice(&nonce.to_be_bytes());
    segment.extend_from_slice(&[0; 4]); // nothing acknowledged
    segment.extend_from_slice(&[5 << 4, SYN, 0xff, 0xff, 0, 0, 0, 0]); // five words, window, checksum, no urgent data
    let sum = checksum(&[&pseudo_header(from, to, segment.len()), &segment]);
    segment[16..18].copy_from_slice(&sum.to_be_bytes());
    segment
}

/// RFC 9293 §3.1 and RFC 8200 §8.1. The sum does not depend on the order of its 16-bit words.
fn pseudo_header(from: IpAddr, to: IpAddr, length: usize) -> Vec<u8> {
    let mut header = Vec::with_capacity(40);
    for address in [from, to] {
        match address {
            IpAddr::V4(v4) => header.extend_from_slice(&v4.octets()),
            IpAddr::V6(v6) => header.extend_from_slice(&v6.octets()),
        }
    }
    header.extend_from_slice(&u32::try_from(length).unwrap_or(u32::MAX).to_be_bytes());
    header.extend_from_slice(&[0, PROTOCOL_TCP]);
    header
}

/// The internet checksum (RFC 1071) over pieces of even length.
fn checksum(pieces: &[&[u8]]) -> u16 {
    let words = pieces.iter().flat_map(|piece| piece.chunks(2));
    let mut sum: u32 = words.map(|pair| u32::from(pair[0]) << 8 | u32::from(pair.get(1).copied().unwrap_or(0))).sum();
    while sum >> 16 != 0 {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !u16::try_from(sum).unwrap_or(u16::MAX)
}

/// What a packet from a raw socket means. IPv4's come with their IP header, IPv6's without.
pub(super) fn read(family: Family, carrier: Carrier, packet: &[u8]) -> Option<Meaning> {
    let message = match family {
        Family::V4 => packet.get(usize::from(packet.first()? & 0x0f) * 4..)?,
        Family::V6 => packet,
    };
    match carrier {
        Carrier::Icmp => {
            let (asks, answers) = if family == Family::V4 { ECHO_V4 } else { ECHO_V6 };
            let nonce = read_tagged(message.get(8..)?, REQUEST)?;
            match *message.first()? {
                kind if kind == asks => Some(Meaning::Request(nonce)),
                kind if kind == answers => Some(Meaning::Answer(nonce)),
                _ => None,
            }
        }
        Carrier::Tcp => {
            let flags = *message.get(13)?;
            let acknowledged = word(message, 8)?.wrapping_sub(1);
            match (flags & SYN != 0, flags & ACK != 0, flags & RST != 0) {
                (true, false, false) => Some(Meaning::Request(word(message, 4)?)),
                (true, true, false) => Some(Meaning::Answer(acknowledged)),
                (_, true, true) => Some(Meaning::Closed(acknowledged)),
                _ => None,
            }
        }
        Carrier::Udp => {
            let payload = message.get(8..)?;
            read_tagged(payload, REQUEST).map(Meaning::Request).or_else(|| read_tagged(payload, ANSWER).map(Meaning::Answer))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An IPv4 header without options before a message, as a raw socket delivers it.
    fn with_header(message: &[u8]) -> Vec<u8> {
        let mut packet = vec![0; 20];
        packet[0] = 0x45;
        packet.extend_from_slice(message);
        packet
    }

    #[test]
    fn an_echo_request_is_an_arrival_and_its_reply_an_answer() {
        let mut v6 = echo(Family::V6, 7);
        assert_eq!(read(Family::V6, Carrier::Icmp, &v6), Some(Meaning::Request(7)));
        v6[0] = 129;
        assert_eq!(read(Family::V6, Carrier::Icmp, &v6), Some(Meaning::Answer(7)));
        let v4 = echo(Family::V4, 9);
        assert_eq!(read(Family::V4, Carrier::Icmp, &with_header(&v4)), Some(Meaning::Request(9)));
        assert_eq!(checksum(&[&v4]), 0, "the sum over a message with its checksum is zero");
    }

    #[test]
    fn a_syn_carries_its_nonce_there_and_back() {
        let (from, to): (IpAddr, IpAddr) = ("10.0.0.1".parse().unwrap(), "10.0.0.2".parse().unwrap());
        let segment = syn(from, to, 80, u32::MAX);
        assert_eq!(checksum(&[&pseudo_header(from, to, segment.len()), &segment]), 0);
        assert_eq!(read(Family::V4, Carrier::Tcp, &with_header(&segment)), Some(Meaning::Request(u32::MAX)));
        let mut reply = segment.clone();
        reply[8..12].copy_from_slice(&u32::MAX.wrapping_add(1).to_be_bytes());
        reply[13] = SYN | ACK;
        assert_eq!(read(Family::V6, Carrier::Tcp, &reply), Some(Meaning::Answer(u32::MAX)));
        reply[13] = RST | ACK;
        assert_eq!(read(Family::V6, Carrier::Tcp, &reply), Some(Meaning::Closed(u32::MAX)));
    }

    #[test]
    fn a_udp_answer_is_made_from_a_request_alone() {
        let answer = answer_to(&request(5)).unwrap();
        assert_eq!(answer_to(&answer), None);
        let datagram = [&[0; 8][..], &answer].concat();
        assert_eq!(read(Family::V6, Carrier::Udp, &datagram), Some(Meaning::Answer(5)));
    }

    #[test]
    fn foreign_and_cut_packets_mean_nothing() {
        for length in 0..28 {
            for carrier in [Carrier::Icmp, Carrier::Tcp, Carrier::Udp] {
                for family in Family::BOTH {
                    if !(carrier == Carrier::Tcp && length >= 14) {
                        assert_eq!(read(family, carrier, &vec![0x45; length]), None);
                    }
                }
            }
        }
    }
}
