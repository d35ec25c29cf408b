//! Sending probes.

use std::collections::HashMap;
use std::io;
use std::io::{Read, Write};
use std::net::{IpAddr, SocketAddr, TcpStream, UdpSocket};
use std::thread;
use std::time::Duration;

use leafwall_topology::{Family, IfName};
use socket2::{Domain, SockAddr, Socket, Type};

use super::capture::{Reply, Store, as_datagrams, raw_socket};
use super::packet::{self, Carrier};
use super::{Outcome, Probe, ProbeKind};

/// How often a probe is sent while no answer comes.
const PASSES: u32 = 4;
/// From one pass to the next.
const PASS_INTERVAL: Duration = Duration::from_millis(500);
/// How long after the last pass a packet may still arrive (DESIGN §7).
const LAST_WAIT: Duration = Duration::from_secs(2);
/// Between two packets: a burst would only test the queues of an emulated machine.
const SPACING: Duration = Duration::from_micros(500);
/// How long a whole connection may take whose first segment was answered.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);

/// Sockets by what they are bound to.
#[derive(Debug, Default)]
pub(super) struct Sender {
    sockets: HashMap<(Carrier, IpAddr, Option<IfName>), UdpSocket>,
}

impl Sender {
    /// Sends one probe once.
    pub(super) fn send(&mut self, probe: &Probe) -> io::Result<()> {
        let family = Family::of(probe.to);
        let (carrier, message, port) = match probe.kind {
            ProbeKind::Ping => (Carrier::Icmp, packet::echo(family, probe.nonce), 0),
            ProbeKind::Tcp(port) => (Carrier::Tcp, packet::syn(probe.from, probe.to, port, probe.nonce), 0),
            ProbeKind::Udp(port) => (Carrier::Udp, packet::request(probe.nonce).to_vec(), port),
        };
        let key = (carrier, probe.from, probe.vrf.clone());
        let socket = match self.sockets.entry(key) {
            std::collections::hash_map::Entry::Occupied(entry) => entry.into_mut(),
            std::collections::hash_map::Entry::Vacant(entry) => {
                let socket = open(carrier, probe)?;
                entry.insert(socket)
            }
        };
        // An ICMP error for an earlier datagram is handed to the next send: it says nothing about this one.
        match socket.send_to(&message, SocketAddr::new(probe.to, port)) {
            Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
                socket.send_to(&message, SocketAddr::new(probe.to, port)).map(drop)
            }
            other => other.map(drop),
        }
    }

    /// Sends all until each is answered or the time is over.
    pub(super) fn round(&mut self, probes: &[Probe], store: &Store) -> Vec<Outcome> {
        let mut failures: HashMap<u32, io::Error> = HashMap::new();
        let open = |probe: &&Probe| store.reply(probe.nonce).is_none();
        for pass in 0..PASSES {
            for probe in probes.iter().filter(open) {
                match self.send(probe) {
                    Ok(()) => {
                        failures.remove(&probe.nonce);
                    }
                    Err(error) => {
                        failures.insert(probe.nonce, error);
                    }
                }
                thread::sleep(SPACING);
            }
            let limit = if pass + 1 == PASSES { LAST_WAIT } else { PASS_INTERVAL };
            store.wait(limit, || !probes.iter().any(|probe| open(&probe)));
        }
        probes.iter().map(|probe| outcome(probe, store.take_reply(probe.nonce), failures.remove(&probe.nonce))).collect()
    }
}

fn outcome(probe: &Probe, reply: Option<Reply>, failure: Option<io::Error>) -> Outcome {
    match (reply, probe.kind, failure) {
        (Some(Reply::Closed), ..) => Outcome::Closed,
        (Some(Reply::Answer), ProbeKind::Tcp(port), _) => {
            if converse(probe, port).is_ok() {
                Outcome::Answered
            } else {
                Outcome::HalfOpen
            }
        }
        (Some(Reply::Answer), ..) => Outcome::Answered,
        (None, _, Some(error)) => match error.kind() {
            io::ErrorKind::NetworkUnreachable | io::ErrorKind::HostUnreachable | io::ErrorKind::PermissionDenied => Outcome::NoRoute,
            _ => Outcome::Broken(error.to_string()),
        },
        (None, _, None) => Outcome::Silent,
    }
}

fn open(carrier: Carrier, probe: &Probe) -> io::Result<UdpSocket> {
    let socket = match carrier {
        Carrier::Udp => Socket::new(domain(probe.from), Type::DGRAM, None)?,
        Carrier::Icmp | Carrier::Tcp => raw_socket(Family::of(probe.from), carrier)?,
    };
    bind(&socket, probe)?;
    Ok(as_datagrams(socket))
}

fn bind(socket: &Socket, probe: &Probe) -> io::Result<()> {
    if let Some(vrf) = &probe.vrf {
        socket.bind_device(Some(vrf.as_str().as_bytes()))?;
    }
    socket.bind(&SockAddr::from(SocketAddr::new(probe.from, 0)))
}

fn domain(address: IpAddr) -> Domain {
    if address.is_ipv4() { Domain::IPV4 } else { Domain::IPV6 }
}

/// A whole connection: the nonce goes there and comes back.
fn converse(probe: &Probe, port: u16) -> io::Result<()> {
    let socket = Socket::new(domain(probe.from), Type::STREAM, None)?;
    bind(&socket, probe)?;
    socket.connect_timeout(&SockAddr::from(SocketAddr::new(probe.to, port)), CONNECT_TIMEOUT)?;
    let mut stream = TcpStream::from(socket);
    stream.set_read_timeout(Some(CONNECT_TIMEOUT))?;
    stream.write_all(&packet::request(probe.nonce))?;
    let mut answer = [0; 8];
    stream.read_exact(&mut answer)?;
    if Some(answer) == packet::answer_to(&packet::request(probe.nonce)) { Ok(()) } else { Err(io::Error::other("another answer")) }
}
