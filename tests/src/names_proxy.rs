//! A firewall in the small world that resolves names: the proxy in its namespace, real nftables behind it, and clients in front.

use std::io::Write as _;
use std::net::{IpAddr, SocketAddr, TcpStream, UdpSocket};
use std::thread::JoinHandle;
use std::time::Duration;

use hickory_proto::op::{Message, MessageType, OpCode, Query};
use hickory_proto::rr::{Name, RecordType};
use leafwall_agent::cluster::ClusterTable;
use leafwall_agent::cluster::answers::AnswerTable;
use leafwall_dns::endpoint::Endpoint;
use leafwall_dns::meter::Meter;
use leafwall_dns::names::Names;
use leafwall_dns::proxy::{Proxy, Settings};
use leafwall_dns::serve::{Report, Server};
use leafwall_dns::sink::{AnswerError, AnswerSink, Change, Pair};
use leafwall_policy::zone::FirewallRules;
use tokio::sync::{oneshot, watch};

use crate::namespace::Namespace;
use crate::resolver::framed;

/// How long a client waits. It asks again then, as clients do.
const PATIENCE: Duration = Duration::from_secs(5);

/// The agent's hand on the sets, for the proxy.
struct Hand(AnswerTable);

impl AnswerSink for Hand {
    async fn put(&mut self, change: &Change) -> Result<(), AnswerError> {
        self.0.put(&change.add, &change.remove).await.map_err(|error| AnswerError(Box::new(error)))
    }

    async fn lost(&mut self) -> Result<Vec<Pair>, AnswerError> {
        self.0.lost().await.map_err(|error| AnswerError(Box::new(error)))
    }
}

/// A running proxy; it ends with this.
#[derive(Debug)]
pub struct NamesProxy {
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl NamesProxy {
    /// Starts one in the firewall's namespace.
    ///
    /// # Panics
    /// Where it does not start.
    pub fn start(namespace: &Namespace, firewall: &FirewallRules, table: &ClusterTable, listen: &[&str], resolvers: &[&str]) -> Self {
        let endpoints = |texts: &[&str]| -> Vec<Endpoint> { texts.iter().map(|text| text.parse().unwrap()).collect() };
        let (listen, resolvers) = (endpoints(listen), endpoints(resolvers));
        let (answers, mut used) = (table.answers(), table.used_names());
        let settings = Settings::of(firewall, resolvers.len());
        let (stop, stopped) = oneshot::channel();
        let (started, ready) = std::sync::mpsc::channel();
        let name = namespace.name().to_owned();
        let thread = std::thread::spawn(move || {
            leafwall_agent::netlink::enter_namespace(&name).unwrap();
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async move {
                let (names_are, names) = watch::channel(Names::new(used.borrow_and_update().all()));
                tokio::spawn(async move {
                    while used.changed().await.is_ok() {
                        names_are.send_replace(Names::new(used.borrow_and_update().all()));
                    }
                });
                let server = Server::bind(&listen).unwrap();
                started.send(()).unwrap();
                let proxy = Proxy::new(settings, names.borrow().clone(), answers.kept());
                let report = watch::channel(Report::default()).0;
                tokio::select! {
                    ended = server.run(proxy, resolvers, Hand(answers), names, report, Meter::default()) => panic!("{ended:?}"),
                    _ = stopped => {}
                }
            });
        });
        ready.recv().unwrap();
        Self { stop: Some(stop), thread: Some(thread) }
    }
}

impl Drop for NamesProxy {
    fn drop(&mut self) {
        drop(self.stop.take());
        let ended = self.thread.take().map(JoinHandle::join);
        assert!(std::thread::panicking() || matches!(ended, Some(Ok(()))), "the proxy has failed");
    }
}

/// A client that asks a proxy, as a host of a network.
#[derive(Debug)]
pub struct Client {
    socket: UdpSocket,
    proxy: SocketAddr,
    next: u16,
}

impl Client {
    /// One at this address of the namespace.
    ///
    /// # Panics
    /// Where there is no such address.
    pub fn new(namespace: &Namespace, from: IpAddr, proxy: SocketAddr) -> Self {
        let socket = namespace.enter(|| UdpSocket::bind((from, 0)).unwrap()).unwrap();
        socket.connect(proxy).unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        Self { socket, proxy, next: 0 }
    }

    /// Asks over UDP, and over TCP where the answer is not whole. `None` where nobody answers.
    ///
    /// # Panics
    /// Where an answer is none.
    pub fn ask(&mut self, namespace: &Namespace, name: &str, kind: RecordType) -> Option<Message> {
        self.next = self.next.wrapping_add(1);
        let mut message = Message::new(self.next, MessageType::Query, OpCode::Query);
        message.metadata.recursion_desired = true;
        message.add_query(Query::query(Name::from_ascii(name).unwrap(), kind));
        let query = message.to_vec().unwrap();
        self.socket.send(&query).unwrap();
        let mut buffer = [0; 4096];
        let answer = loop {
            let length = self.socket.recv(&mut buffer).ok()?;
            let answer = Message::from_vec(&buffer[..length]).unwrap();
            // one that was waited for in vain may come later
            if answer.metadata.id == self.next {
                break answer;
            }
        };
        if !answer.metadata.truncation {
            return Some(answer);
        }
        let mut stream = namespace.enter(|| TcpStream::connect(self.proxy).unwrap()).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.write_all(&[&u16::try_from(query.len()).unwrap().to_be_bytes(), query.as_slice()].concat()).unwrap();
        framed(&mut stream).ok().map(|bytes| Message::from_vec(&bytes).unwrap())
    }
}
