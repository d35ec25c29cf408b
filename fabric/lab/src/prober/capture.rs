//! What arrives at the node: a thread per family and protocol reads raw sockets into one store.

use std::collections::{HashMap, HashSet};
use std::io;
use std::net::{IpAddr, UdpSocket};
use std::os::fd::OwnedFd;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use leafwall_topology::Family;
use socket2::{Domain, Protocol, Socket, Type};

use super::Arrival;
use super::packet::{self, Carrier, Meaning};

/// Room for packets that wait while the machine is busy, in bytes.
const RECEIVE_BUFFER: usize = 8 << 20;
/// The longest packet of ours is far shorter.
const PACKET: usize = 2048;

/// How a probe of ours was answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reply {
    Answer,
    Closed,
}

/// All that arrived.
#[derive(Debug, Default)]
struct Seen {
    arrivals: HashSet<Arrival>,
    replies: HashMap<u32, (Reply, Instant)>,
}

/// The store that capture threads fill.
#[derive(Debug, Clone, Default)]
pub(super) struct Store(Arc<(Mutex<Seen>, Condvar)>);

impl Store {
    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.0.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn note(&self, source: IpAddr, meaning: Meaning) {
        let mut seen = self.seen();
        let reply = match meaning {
            Meaning::Request(nonce) => {
                seen.arrivals.insert(Arrival { nonce, source });
                return;
            }
            Meaning::Answer(nonce) => (nonce, Reply::Answer),
            Meaning::Closed(nonce) => (nonce, Reply::Closed),
        };
        seen.replies.entry(reply.0).or_insert((reply.1, Instant::now()));
        self.0.1.notify_all();
    }

    /// What arrived since the last call.
    pub(super) fn take_arrivals(&self) -> Vec<Arrival> {
        self.seen().arrivals.drain().collect()
    }

    /// The reply to a probe, if there was one.
    pub(super) fn reply(&self, nonce: u32) -> Option<Reply> {
        self.seen().replies.get(&nonce).map(|(reply, _)| *reply)
    }

    /// Forgets the reply to a probe, and returns it.
    pub(super) fn take_reply(&self, nonce: u32) -> Option<Reply> {
        self.seen().replies.remove(&nonce).map(|(reply, _)| reply)
    }

    /// Waits until `done` or the time is over.
    pub(super) fn wait(&self, limit: Duration, done: impl Fn() -> bool) {
        let end = Instant::now() + limit;
        while !done() {
            let Some(left) = end.checked_duration_since(Instant::now()).filter(|left| !left.is_zero()) else { return };
            // A short wait at most: `done` is asked without the lock, so that a wake-up in between could be missed.
            let _ = self.0.1.wait_timeout(self.seen(), left.min(Duration::from_millis(50)));
        }
    }
}

/// Starts to read everything that reaches this node, in all VRFs.
pub(super) fn start(store: &Store) -> io::Result<()> {
    for family in Family::BOTH {
        for carrier in [Carrier::Icmp, Carrier::Tcp, Carrier::Udp] {
            let socket = raw_socket(family, carrier)?;
            // Refused above the system's limit without privileges: less room then.
            let _ = socket.set_recv_buffer_size(RECEIVE_BUFFER);
            let socket = as_datagrams(socket);
            let store = store.clone();
            // It reads as long as the process lives.
            thread::spawn(move || {
                let mut buffer = [0; PACKET];
                loop {
                    match socket.recv_from(&mut buffer) {
                        Ok((count, source)) => {
                            if let Some(meaning) = packet::read(family, carrier, &buffer[..count]) {
                                store.note(source.ip(), meaning);
                            }
                        }
                        Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                        Err(error) => {
                            tracing::warn!(%error, "a raw socket failed once");
                            thread::sleep(Duration::from_millis(10));
                        }
                    }
                }
            });
        }
    }
    Ok(())
}

/// A raw socket of that protocol.
pub(super) fn raw_socket(family: Family, carrier: Carrier) -> io::Result<Socket> {
    let domain = match family {
        Family::V4 => Domain::IPV4,
        Family::V6 => Domain::IPV6,
    };
    let protocol = match (carrier, family) {
        (Carrier::Icmp, Family::V4) => Protocol::ICMPV4,
        (Carrier::Icmp, Family::V6) => Protocol::ICMPV6,
        (Carrier::Tcp, _) => Protocol::TCP,
        (Carrier::Udp, _) => Protocol::UDP,
    };
    Socket::new(domain, Type::RAW, Some(protocol))
}

/// The standard library's datagram socket: to send to and receive from addresses is the same for raw ones.
pub(super) fn as_datagrams(socket: Socket) -> UdpSocket {
    UdpSocket::from(OwnedFd::from(socket))
}
