//! A resolver that misbehaves at will: what a name begins with says how.
//!
//! | name | answer |
//! |---|---|
//! | `few-N…` | one address, another one for each N; a time to live of 1 s |
//! | `many-N…` | 500 addresses, truncated over UDP |
//! | `chain-N…` | a chain of N mod 8 + 1 names leads to one address |
//! | `loop-N…` | names that lead to each other |
//! | `wrong-N…` | some replies with other ids, another question, and from another port, before the right one |
//! | `private-N…` | an address in private space, and a public one where N is odd |
//! | `slow-N…` | an answer after 300 ms |
//! | `garbage-N…` | bytes |
//! | `dead-N…` | nothing |
#![allow(clippy::unwrap_used)] // what it makes is legal

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use hickory_proto::op::{Message, OpCode, ResponseCode};
use hickory_proto::rr::rdata::{A, AAAA, CNAME};
use hickory_proto::rr::{Name, RData, Record, RecordType};

use crate::namespace::Namespace;

/// How often the threads look whether they should end.
const LOOK: Duration = Duration::from_millis(50);
/// Addresses of names with many.
pub const MANY: u32 = 500;
/// What an answer may have over UDP.
const UDP_LIMIT: usize = 1232;

/// A running resolver; it ends with this.
#[derive(Debug)]
pub struct Resolver {
    stop: Arc<AtomicBool>,
    asked: Arc<AtomicU64>,
    threads: Vec<JoinHandle<()>>,
}

impl Resolver {
    /// Answers at this address of the namespace, over UDP and TCP.
    ///
    /// # Panics
    /// Where it can't listen.
    pub fn start(namespace: &Namespace, at: SocketAddr) -> Self {
        let (datagrams, elsewhere, connections) = namespace
            .enter(|| (UdpSocket::bind(at).unwrap(), UdpSocket::bind(SocketAddr::new(at.ip(), 0)).unwrap(), TcpListener::bind(at).unwrap()))
            .unwrap();
        datagrams.set_read_timeout(Some(LOOK)).unwrap();
        connections.set_nonblocking(true).unwrap();
        let (stop, asked) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
        let over_udp = {
            let (stop, asked) = (Arc::clone(&stop), Arc::clone(&asked));
            std::thread::spawn(move || take_datagrams(&datagrams, &elsewhere, &stop, &asked))
        };
        let over_tcp = {
            let (stop, asked) = (Arc::clone(&stop), Arc::clone(&asked));
            std::thread::spawn(move || take_connections(&connections, &stop, &asked))
        };
        Self { stop, asked, threads: vec![over_udp, over_tcp] }
    }

    /// How many questions it was asked.
    pub fn asked(&self) -> u64 {
        self.asked.load(Ordering::Relaxed)
    }
}

impl Drop for Resolver {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
    }
}

fn take_datagrams(socket: &UdpSocket, elsewhere: &UdpSocket, stop: &AtomicBool, asked: &AtomicU64) {
    let mut buffer = [0; 4096];
    while !stop.load(Ordering::Relaxed) {
        let Ok((length, from)) = socket.recv_from(&mut buffer) else { continue };
        asked.fetch_add(1, Ordering::Relaxed);
        let Ok(query) = Message::from_vec(&buffer[..length]) else { continue };
        let Some(mut reply) = answer(&query) else { continue };
        match manner(&query) {
            "slow" => {
                let socket = socket.try_clone().unwrap();
                std::thread::spawn(move || {
                    std::thread::sleep(Duration::from_millis(300));
                    let _ = socket.send_to(&reply, from);
                });
                continue;
            }
            "wrong" => {
                let right = reply.clone();
                for guess in 1..4 {
                    reply[1] = right[1].wrapping_add(guess);
                    let _ = socket.send_to(&reply, from);
                }
                let _ = elsewhere.send_to(&right, from);
                let mut other = query.clone();
                other.queries[0].set_name(Name::from_ascii("few-1.example.com.").unwrap());
                let _ = socket.send_to(&answer(&other).unwrap(), from);
                reply = right;
            }
            _ => {}
        }
        if reply.len() > UDP_LIMIT {
            reply = Message::from_vec(&reply).unwrap().truncate().to_vec().unwrap();
        }
        let _ = socket.send_to(&reply, from);
    }
}

fn take_connections(socket: &TcpListener, stop: &AtomicBool, asked: &AtomicU64) {
    while !stop.load(Ordering::Relaxed) {
        match socket.accept() {
            Ok((stream, _)) => {
                asked.fetch_add(1, Ordering::Relaxed);
                // one that goes away in the middle is its own problem
                let _ = talk(stream);
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => std::thread::sleep(Duration::from_millis(1)),
            Err(_) => return,
        }
    }
}

fn talk(mut stream: TcpStream) -> std::io::Result<()> {
    stream.set_nonblocking(false)?;
    stream.set_read_timeout(Some(Duration::from_secs(1)))?;
    let query = framed(&mut stream)?;
    let Some(reply) = Message::from_vec(&query).ok().and_then(|query| answer(&query)) else { return Ok(()) };
    stream.write_all(&[&u16::try_from(reply.len()).unwrap().to_be_bytes(), reply.as_slice()].concat())
}

/// A message with its length in front.
///
/// # Errors
/// What the connection says.
pub fn framed(stream: &mut TcpStream) -> std::io::Result<Vec<u8>> {
    let mut length = [0; 2];
    stream.read_exact(&mut length)?;
    let mut bytes = vec![0; u16::from_be_bytes(length).into()];
    stream.read_exact(&mut bytes)?;
    Ok(bytes)
}

fn first_label(query: &Message) -> String {
    query.queries[0].name().iter().next().map(|label| String::from_utf8_lossy(label).to_lowercase()).unwrap_or_default()
}

fn manner(query: &Message) -> &'static str {
    let label = first_label(query);
    let all = ["few", "many", "chain", "loop", "wrong", "private", "slow", "garbage", "dead"];
    all.into_iter().find(|manner| label.starts_with(&format!("{manner}-"))).unwrap_or_default()
}

fn address(number: u32, kind: RecordType) -> RData {
    match kind {
        RecordType::AAAA => RData::AAAA(AAAA(Ipv6Addr::from((0x2001_0db8_u128 << 96) | u128::from(number)))),
        _ => RData::A(A(Ipv4Addr::from(u32::from(Ipv4Addr::new(198, 18, 0, 0)) | (number & 0x1_ffff)))),
    }
}

/// The addresses of an answer.
pub fn addresses(message: &Message) -> Vec<IpAddr> {
    let read = |record: &Record| match &record.data {
        RData::A(address) => Some(address.0.into()),
        RData::AAAA(address) => Some(address.0.into()),
        _ => None,
    };
    message.answers.iter().filter_map(read).collect()
}

fn answer(query: &Message) -> Option<Vec<u8>> {
    let question = query.queries[0].clone();
    let (name, kind) = (question.name().clone(), question.query_type());
    let number: u32 = first_label(query).split('-').nth(1).and_then(|number| number.parse().ok()).unwrap_or_default();
    let mut message = Message::response(query.metadata.id, OpCode::Query);
    message.metadata.recursion_available = true;
    message.edns.clone_from(&query.edns);
    message.add_query(question);
    let mut add = |owner: &Name, data: RData| message.answers.push(Record::from_rdata(owner.clone(), 1, data));
    let step = |step: u32| Name::from_ascii(format!("step-{step}-{number}.example.org.")).unwrap();
    match manner(query) {
        "dead" => return None,
        "garbage" => {
            return Some(query.metadata.id.to_be_bytes().into_iter().chain((0..60_u8).map(|at| at.wrapping_mul(37) ^ 0x85)).collect());
        }
        "few" | "slow" | "wrong" => add(&name, address(number, kind)),
        "many" => (0..MANY).for_each(|at| add(&name, address(0x1_0000 + number * MANY + at, kind))),
        "chain" => {
            let length = number % 8 + 1;
            add(&name, RData::CNAME(CNAME(step(1))));
            (1..length).for_each(|at| add(&step(at), RData::CNAME(CNAME(step(at + 1)))));
            add(&step(length), address(0x8000 + number, kind));
        }
        "loop" => {
            add(&name, RData::CNAME(CNAME(step(1))));
            add(&step(1), RData::CNAME(CNAME(name.clone())));
        }
        "private" => {
            let private = if kind == RecordType::AAAA {
                RData::AAAA(AAAA(Ipv6Addr::new(0xfd00, 0x50, 0, 0, 0, 0, 0, 7)))
            } else {
                RData::A(A(Ipv4Addr::new(10, 50, 0, 7)))
            };
            add(&name, private);
            if number % 2 == 1 {
                add(&name, address(number, kind));
            }
        }
        _ => message.metadata.response_code = ResponseCode::NXDomain,
    }
    message.to_vec().ok()
}
