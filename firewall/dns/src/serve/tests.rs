//! The whole proxy on loopback: real clients, a real resolver, and a kernel of this test's own.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use hickory_proto::op::{Message, MessageType, OpCode, Query as Asked, ResponseCode};
use hickory_proto::rr::rdata::A;
use hickory_proto::rr::{Name, RData, Record, RecordType};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UdpSocket};

use super::*;
use crate::proxy::Settings;
use crate::sink::AnswerError;

/// What the test's kernel has; it takes a while to have it.
#[derive(Clone, Default)]
struct Kernel(Arc<Mutex<BTreeSet<IpAddr>>>);

impl AnswerSink for Kernel {
    async fn put(&mut self, change: &Change) -> Result<(), AnswerError> {
        tokio::time::sleep(Duration::from_millis(20)).await;
        self.0.lock().unwrap().extend(change.add.iter().map(|(_, address, _)| *address));
        Ok(())
    }

    async fn lost(&mut self) -> Result<Vec<Pair>, AnswerError> {
        Ok(Vec::new())
    }
}

fn answer(query: &[u8], most: usize) -> Vec<u8> {
    let asked = Message::from_vec(query).unwrap();
    let mut message = Message::response(asked.metadata.id, OpCode::Query);
    let question = asked.queries[0].clone();
    let record = |number: u16| {
        Record::from_rdata(
            question.name().clone(),
            1,
            RData::A(A::new(198, 51, u8::try_from(number / 256).unwrap(), u8::try_from(number % 256).unwrap())),
        )
    };
    let many = question.name().to_string().starts_with("many");
    message.add_answers((0..if many { 500 } else { 1 }).map(record));
    message.add_query(question);
    let bytes = message.to_vec().unwrap();
    if bytes.len() <= most { bytes } else { message.truncate().to_vec().unwrap() }
}

/// Answers over both transports at one port.
async fn resolver(address: &str) -> SocketAddr {
    let connections = TcpListener::bind(address).await.unwrap();
    let at = connections.local_addr().unwrap();
    let datagrams = UdpSocket::bind(at).await.unwrap();
    tokio::spawn(async move {
        let mut buffer = [0; 4096];
        loop {
            let (length, from) = datagrams.recv_from(&mut buffer).await.unwrap();
            datagrams.send_to(&answer(&buffer[..length], 512), from).await.unwrap();
        }
    });
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = connections.accept().await.unwrap();
            let mut query = vec![0; stream.read_u16().await.unwrap().into()];
            stream.read_exact(&mut query).await.unwrap();
            stream.write_all(&ask::framed(&answer(&query, usize::MAX))).await.unwrap();
        }
    });
    at
}

struct Running {
    at: SocketAddr,
    kernel: Kernel,
    _names: watch::Sender<Names>,
}

async fn running(listen: &str, clients: &str) -> Running {
    let resolver = resolver(&free(&SocketAddr::new(listen.parse::<SocketAddr>().unwrap().ip(), 0).to_string())).await;
    let server = Server::bind(&[listen.parse().unwrap()]).unwrap();
    let at = server.addresses()[0];
    let settings = Settings { resolvers: 1, clients: vec![clients.parse().unwrap()], ..Settings::default() };
    let names = Names::new(["*.example.com".parse().unwrap()]);
    let proxy = Proxy::new(settings, names.clone(), []);
    let (hold, watched) = watch::channel(names);
    let kernel = Kernel::default();
    let resolvers = vec![Endpoint { address: resolver, device: None }];
    tokio::spawn(server.run(proxy, resolvers, kernel.clone(), watched, watch::channel(Report::default()).0, Meter::default()));
    Running { at, kernel, _names: hold }
}

fn query(name: &str) -> Vec<u8> {
    let mut message = Message::new(77, MessageType::Query, OpCode::Query);
    message.add_query(Asked::query(Name::from_ascii(name).unwrap(), RecordType::A));
    message.to_vec().unwrap()
}

async fn over_udp(at: SocketAddr, bytes: &[u8], patience: Duration) -> Option<Message> {
    let socket = UdpSocket::bind(SocketAddr::new(at.ip(), 0)).await.unwrap();
    socket.send_to(bytes, at).await.unwrap();
    let mut buffer = [0; 4096];
    let length = tokio::time::timeout(patience, socket.recv(&mut buffer)).await.ok()?.unwrap();
    Some(Message::from_vec(&buffer[..length]).unwrap())
}

const PATIENCE: Duration = Duration::from_secs(5);

async fn over_tcp(at: SocketAddr, queries: &[Vec<u8>]) -> Vec<Message> {
    let mut stream = TcpStream::connect(at).await.unwrap();
    for bytes in queries {
        stream.write_all(&ask::framed(bytes)).await.unwrap();
    }
    let mut found = Vec::new();
    for _ in queries {
        let mut bytes = vec![0; stream.read_u16().await.unwrap().into()];
        stream.read_exact(&mut bytes).await.unwrap();
        found.push(Message::from_vec(&bytes).unwrap());
    }
    found
}

fn free(address: &str) -> String {
    // a port that both transports have free
    (0..50)
        .find_map(|_| {
            let connections = std::net::TcpListener::bind(address).ok()?;
            let at = connections.local_addr().ok()?;
            std::net::UdpSocket::bind(at).ok().map(|_| at.to_string())
        })
        .unwrap()
}

#[tokio::test]
async fn both_transports_and_families_answer_and_only_after_the_kernel_has_it() {
    for (listen, clients) in [("127.0.0.1:0", "127.0.0.0/8"), ("[::1]:0", "::1/128")] {
        let running = running(&free(listen), clients).await;
        let message = over_udp(running.at, &query("a.example.com."), PATIENCE).await.unwrap();
        assert_eq!((message.metadata.id, message.answers.len()), (77, 1));
        assert!(running.kernel.0.lock().unwrap().contains(&"198.51.0.0".parse().unwrap()));
        let message = over_udp(running.at, &query("many.example.com."), PATIENCE).await.unwrap();
        assert!(message.metadata.truncation);
        assert_eq!(running.kernel.0.lock().unwrap().len(), 500, "the truncated answer's addresses are there before it");
        let both = over_tcp(running.at, &[query("many.example.com."), query("b.example.com.")]).await;
        assert_eq!(both.iter().map(|message| message.answers.len()).collect::<BTreeSet<_>>(), BTreeSet::from([1, 500]));
    }
}

#[tokio::test]
async fn strangers_and_garbage_get_nothing_and_harm_nobody() {
    let running = running(&free("127.0.0.1:0"), "127.0.0.1/32").await;
    let garbage = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    for length in 0..600_usize {
        let bytes: Vec<u8> = (0..length).map(|at| u8::try_from((at * 31 + length * 7) % 256).unwrap()).collect();
        garbage.send_to(&bytes, running.at).await.unwrap();
    }
    let mut half = TcpStream::connect(running.at).await.unwrap();
    half.write_all(&[255, 255, 1]).await.unwrap();
    let message = over_udp(running.at, &query("a.example.com."), PATIENCE).await.unwrap();
    assert_eq!(message.metadata.response_code, ResponseCode::NoError);
    let mut left = Vec::new();
    assert_eq!(
        tokio::time::timeout(PATIENCE, half.read_to_end(&mut left)).await.unwrap().unwrap_or_default(),
        0,
        "too long a query closes the connection"
    );
    let stranger = UdpSocket::bind("127.0.0.2:0").await.unwrap();
    stranger.send_to(&query("a.example.com."), running.at).await.unwrap();
    assert!(tokio::time::timeout(Duration::from_millis(300), stranger.recv(&mut [0; 512])).await.is_err());
}
