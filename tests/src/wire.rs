//! Packets as bytes: made, sent from a namespace, and caught where they arrive.

use std::io::{self, Read as _};
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use leafwall_policy::semantics::Transport;
use socket2::{Domain, Protocol, SockAddr, Socket, Type};

use crate::namespace::Namespace;

/// Stands before the token in every packet of ours.
const MARK: [u8; 4] = *b"LWTK";
const ETHERNET: usize = 14;

/// A whole IP packet that carries this token.
pub fn packet(source: IpAddr, destination: IpAddr, transport: Transport, token: u32) -> Vec<u8> {
    let (protocol, body) = transport_bytes(transport, token);
    ip(source, destination, protocol, body)
}

/// A whole IP packet around this body; its checksum is filled in where the protocol has one.
pub fn ip(source: IpAddr, destination: IpAddr, protocol: u8, mut body: Vec<u8>) -> Vec<u8> {
    if let Some(place) = checksum_place(protocol) {
        let sum = transport_checksum(source, destination, protocol, &body);
        body[place..place + 2].copy_from_slice(&sum.to_be_bytes());
    }
    let mut whole = Vec::with_capacity(40 + body.len());
    match (source, destination) {
        (IpAddr::V4(source), IpAddr::V4(destination)) => {
            whole.extend([0x45, 0]);
            whole.extend(length(20 + body.len()));
            whole.extend([0, 0, 0, 0, 64, protocol, 0, 0]);
            whole.extend(source.octets());
            whole.extend(destination.octets());
            let sum = folded(&whole, 0);
            whole[10..12].copy_from_slice(&sum.to_be_bytes());
        }
        (source, destination) => {
            whole.extend([0x60, 0, 0, 0]);
            whole.extend(length(body.len()));
            whole.extend([protocol, 64]);
            for address in [source, destination] {
                match address {
                    IpAddr::V6(address) => whole.extend(address.octets()),
                    IpAddr::V4(address) => whole.extend(address.to_ipv6_mapped().octets()),
                }
            }
        }
    }
    whole.extend(body);
    whole
}

/// A TCP SYN with this MSS.
pub fn syn(source_port: u16, destination_port: u16, mss: u16, token: u32) -> Vec<u8> {
    let mut body = Vec::new();
    body.extend(source_port.to_be_bytes());
    body.extend(destination_port.to_be_bytes());
    body.extend([0; 8]);
    body.extend([0x60, 2, 0xff, 0xff, 0, 0, 0, 0, 2, 4]);
    body.extend(mss.to_be_bytes());
    body.extend(marked(token));
    body
}

/// A UDP datagram.
pub fn udp(source_port: u16, destination_port: u16, payload: &[u8]) -> Vec<u8> {
    let mut body = Vec::new();
    body.extend(source_port.to_be_bytes());
    body.extend(destination_port.to_be_bytes());
    body.extend(length(8 + payload.len()));
    body.extend([0, 0]);
    body.extend(payload);
    body
}

/// The mark and the token.
pub fn marked(token: u32) -> Vec<u8> {
    let mut bytes = MARK.to_vec();
    bytes.extend(token.to_be_bytes());
    bytes
}

fn transport_bytes(transport: Transport, token: u32) -> (u8, Vec<u8>) {
    match transport {
        Transport::Tcp { source, destination } => (6, syn(source, destination, 1400, token)),
        Transport::Udp { source, destination } => (17, udp(source, destination, &marked(token))),
        Transport::Sctp { source, destination } => {
            // INIT: tag and window hold the mark and the token; the checksum is not looked at in these namespaces
            let mut body = Vec::new();
            body.extend(source.to_be_bytes());
            body.extend(destination.to_be_bytes());
            body.extend([0; 8]);
            body.extend([1, 0, 0, 20]);
            body.extend(marked(token));
            body.extend([0, 1, 0, 1, 0, 0, 0, 1]);
            (132, body)
        }
        Transport::Icmp(kind) | Transport::Icmpv6(kind) => {
            let mut body = vec![kind, 0, 0, 0];
            // the identifier tells flows apart
            body.extend(&token.to_be_bytes()[2..]);
            body.extend([0, 1]);
            body.extend(marked(token));
            (if matches!(transport, Transport::Icmp(_)) { 1 } else { 58 }, body)
        }
        Transport::Other(protocol) => {
            let mut body = vec![0; 8];
            body.extend(marked(token));
            (protocol, body)
        }
    }
}

const fn checksum_place(protocol: u8) -> Option<usize> {
    match protocol {
        6 => Some(16),
        17 => Some(6),
        1 | 58 => Some(2),
        _ => None,
    }
}

fn transport_checksum(source: IpAddr, destination: IpAddr, protocol: u8, body: &[u8]) -> u16 {
    let mut pseudo = Vec::new();
    if protocol != 1 {
        for address in [source, destination] {
            match address {
                IpAddr::V4(address) => pseudo.extend(address.octets()),
                IpAddr::V6(address) => pseudo.extend(address.octets()),
            }
        }
        pseudo.extend([0, protocol]);
        pseudo.extend(length(body.len()));
    }
    let partial = sum(&pseudo);
    folded(body, partial)
}

fn sum(bytes: &[u8]) -> u32 {
    bytes.chunks(2).map(|pair| u32::from(pair[0]) << 8 | u32::from(pair.get(1).copied().unwrap_or(0))).sum()
}

fn folded(bytes: &[u8], start: u32) -> u16 {
    let mut total = start + sum(bytes);
    while total > 0xffff {
        total = (total & 0xffff) + (total >> 16);
    }
    !u16::try_from(total).unwrap_or(0)
}

fn length(length: usize) -> [u8; 2] {
    u16::try_from(length).unwrap_or(u16::MAX).to_be_bytes()
}

/// Sends whole IP packets from a namespace, whatever their source.
#[derive(Debug)]
pub struct Sender {
    v4: Socket,
    v6: Socket,
}

impl Sender {
    /// One that sends from there.
    ///
    /// # Errors
    /// If raw sockets are not permitted.
    pub fn new(namespace: &Namespace) -> io::Result<Self> {
        let raw = Protocol::from(255);
        let (v4, v6) =
            namespace.enter(|| (Socket::new(Domain::IPV4, Type::RAW, Some(raw)), Socket::new(Domain::IPV6, Type::RAW, Some(raw))))?;
        Ok(Self { v4: v4?, v6: v6? })
    }

    /// Sends one.
    ///
    /// # Errors
    /// What the kernel says.
    pub fn send(&self, destination: IpAddr, packet: &[u8]) -> io::Result<()> {
        let socket = if destination.is_ipv4() { &self.v4 } else { &self.v6 };
        socket.send_to(packet, &SockAddr::from(SocketAddr::new(destination, 0))).map(drop)
    }
}

/// Sees every IP packet that comes into a namespace.
#[derive(Debug)]
pub struct Catcher {
    sockets: [Socket; 2],
}

/// A packet that arrived.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caught {
    /// Its token, if it is one of ours.
    pub token: Option<u32>,
    /// Its source.
    pub source: IpAddr,
    /// Its destination.
    pub destination: IpAddr,
    /// The packet from the IP header on.
    pub bytes: Vec<u8>,
}

impl Catcher {
    /// One that sees what comes in there from now on.
    ///
    /// # Errors
    /// If packet sockets are not permitted.
    pub fn new(namespace: &Namespace) -> io::Result<Self> {
        let open = |ethertype: u16| -> io::Result<Socket> {
            // a socket for one ethertype sees incoming packets only
            let socket = Socket::new(Domain::PACKET, Type::RAW, Some(Protocol::from(i32::from(ethertype.to_be()))))?;
            socket.set_nonblocking(true)?;
            Ok(socket)
        };
        let (v4, v6) = namespace.enter(|| (open(0x0800), open(0x86dd)))?;
        Ok(Self { sockets: [v4?, v6?] })
    }

    /// What has arrived by now.
    pub fn arrived(&mut self) -> Vec<Caught> {
        let mut found = Vec::new();
        let mut frame = vec![0; 65536];
        for socket in &mut self.sockets {
            while let Ok(length) = socket.read(&mut frame) {
                found.extend(frame.get(ETHERNET..length).and_then(read));
            }
        }
        found
    }

    /// Sends this packet until it is caught, for links that have just come up pass nothing yet: a control for whatever is tried afterwards.
    ///
    /// # Errors
    /// If nothing arrives within some seconds.
    pub fn warm_up(&mut self, sender: &Sender, destination: IpAddr, packet: &[u8], token: u32) -> io::Result<()> {
        for _ in 0..100 {
            sender.send(destination, packet)?;
            if self.wait_for(token, Duration::from_millis(50)).is_some() {
                // what was sent before and came late is not to be mistaken for anything
                std::thread::sleep(Duration::from_millis(50));
                self.arrived();
                return Ok(());
            }
        }
        Err(io::Error::other("nothing passes between the namespaces of this test"))
    }

    /// The first packet with this token, waited for.
    pub fn wait_for(&mut self, token: u32, patience: Duration) -> Option<Caught> {
        let end = Instant::now() + patience;
        loop {
            if let Some(found) = self.arrived().into_iter().find(|caught| caught.token == Some(token)) {
                return Some(found);
            }
            if Instant::now() > end {
                return None;
            }
            std::thread::sleep(Duration::from_millis(2));
        }
    }
}

fn read(bytes: &[u8]) -> Option<Caught> {
    let (source, destination) = if bytes.first()? >> 4 == 4 {
        let address = |at: usize| bytes.get(at..at + 4).and_then(|octets| <[u8; 4]>::try_from(octets).ok()).map(IpAddr::from);
        (address(12)?, address(16)?)
    } else {
        let address = |at: usize| bytes.get(at..at + 16).and_then(|octets| <[u8; 16]>::try_from(octets).ok()).map(IpAddr::from);
        (address(8)?, address(24)?)
    };
    let at = bytes.windows(MARK.len()).position(|window| window == MARK);
    let token = at.and_then(|at| bytes.get(at + 4..at + 8)).and_then(|octets| <[u8; 4]>::try_from(octets).ok()).map(u32::from_be_bytes);
    Some(Caught { token, source, destination, bytes: bytes.to_vec() })
}
