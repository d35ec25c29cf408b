//! Sockets, tasks and the one loop that owns the state machine.
//!
//! Flow: listeners and questions' sockets send what they get into two bounded queues; the loop takes replies first, tells [`Proxy`] and does what it answers. One task talks
//! to the sink, one thing at a time, and looks now and then whether the kernel still has what it was told.
//!
//! What comes in faster than it can be looked at is dropped at the queue, over UDP, or waits, over TCP.

mod ask;
mod streams;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use leafwall_policy::rule::Fqdn;
use leafwall_topology::chain;
use thiserror::Error;
use tokio::net::{TcpListener, UdpSocket};
use tokio::sync::{mpsc, watch};
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::Instant;

use crate::book::{Change, Pair};
use crate::endpoint::Endpoint;
use crate::meter::Meter;
use crate::names::Names;
use crate::proxy::{Action, Ask, Client, Counts, Event, Proxy, Transport};
use crate::sink::AnswerSink;
use crate::space::Refusal;

/// The largest query that is looked at. A question has 260 bytes; options may be added to it.
const QUERY_MAX: usize = 4096;
/// Queries, and replies, that wait to be looked at.
const QUEUE: usize = 1024;
/// How often it is looked whether the kernel still has what it was told.
const AUDIT: Duration = Duration::from_secs(10);
/// How often others are told how names stand, at most: numbers change all the time, and each becomes a write of a status.
const REPORT: Duration = Duration::from_secs(10);

/// Why the proxy does not run.
#[derive(Debug, Error)]
pub enum ServeError {
    /// An address of ours.
    #[error("can't answer queries at `{endpoint}`")]
    Bind {
        /// Which.
        endpoint: Endpoint,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// There are no random numbers, so ids could be guessed.
    #[error("the system gives no random numbers")]
    Chance(#[source] getrandom::Error),
    /// A task that never ends has ended.
    #[error("a task of the proxy has ended")]
    Ended,
}

/// How the names of rules stand.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Report {
    /// How many addresses the kernel has of each; those without any are left out.
    pub addresses: BTreeMap<Fqdn, usize>,
    /// The last address of each that was left out, and why.
    pub refused: BTreeMap<Fqdn, (IpAddr, Refusal)>,
}

/// What the loop is told by tasks.
enum Input {
    Query(Client, Vec<u8>),
    Opened(u64, mpsc::Sender<Vec<u8>>),
    Closed(u64),
}

enum Heard {
    Reply(Ask, Vec<u8>),
    Failed(Ask),
}

enum Told {
    Settled(bool),
    Lost(Vec<Pair>),
}

/// The sockets, bound.
#[derive(Debug)]
pub struct Server {
    datagrams: Vec<Arc<UdpSocket>>,
    connections: Vec<TcpListener>,
}

impl Server {
    /// Binds all addresses, UDP and TCP, in the network namespace of this thread.
    pub fn bind(endpoints: &[Endpoint]) -> Result<Self, ServeError> {
        let mut made = Self { datagrams: Vec::new(), connections: Vec::new() };
        for endpoint in endpoints {
            let failed = |source| ServeError::Bind { endpoint: endpoint.clone(), source };
            made.datagrams.push(Arc::new(endpoint.datagrams().map_err(failed)?));
            made.connections.push(endpoint.connections().map_err(failed)?);
        }
        Ok(made)
    }

    /// Where it listens, as bound.
    pub fn addresses(&self) -> Vec<SocketAddr> {
        self.datagrams.iter().filter_map(|socket| socket.local_addr().ok()).collect()
    }

    /// Runs until a task fails. Questions go to `resolvers`, from sockets in the network namespace of the thread that runs this.
    pub async fn run(
        self,
        proxy: Proxy,
        resolvers: Vec<Endpoint>,
        sink: impl AnswerSink,
        mut names: watch::Receiver<Names>,
        report: watch::Sender<Report>,
        meter: Meter,
    ) -> Result<Infallible, ServeError> {
        let (query, mut queries) = mpsc::channel(QUEUE);
        let (hear, mut heard) = mpsc::channel(QUEUE);
        let (change, changes) = mpsc::channel(1);
        let (tell, mut told) = mpsc::channel(1);
        let mut tasks = JoinSet::new();
        for (listener, socket) in self.datagrams.iter().enumerate() {
            tasks.spawn(take_datagrams(listener, Arc::clone(socket), query.clone(), meter.clone()));
        }
        let next = Arc::default();
        for (listener, socket) in self.connections.into_iter().enumerate() {
            tasks.spawn(streams::take(listener, socket, query.clone(), Arc::clone(&next)));
        }
        tasks.spawn(put(sink, changes, tell, meter.clone()));
        let began = Instant::now();
        let mut body = Body {
            datagrams: self.datagrams,
            resolvers: resolvers.into(),
            asking: JoinSet::new(),
            sockets: BTreeMap::new(),
            streams: BTreeMap::new(),
            hear,
            change,
        };
        let mut core = Core { proxy, began, meter, counts: Counts::default(), report, reported: began };
        core.handle(Event::Time, &mut body)?;
        loop {
            let wake = began + core.proxy.wake();
            tokio::select! {
                biased;
                ended = tasks.join_next() => { let _ = ended; return Err(ServeError::Ended) }
                changed = names.changed() => {
                    if changed.is_err() { return Err(ServeError::Ended) }
                    let now = names.borrow_and_update().clone();
                    core.handle(Event::Names(now), &mut body)?;
                }
                Some(told) = told.recv() => core.handle(match told { Told::Settled(worked) => Event::Settled(worked), Told::Lost(pairs) => Event::Lost(pairs) }, &mut body)?,
                Some(heard) = heard.recv() => match heard {
                    Heard::Reply(ask, bytes) => core.handle(Event::Reply(ask, &bytes), &mut body)?,
                    Heard::Failed(ask) => core.handle(Event::Failed(ask), &mut body)?,
                },
                Some(_) = body.asking.join_next() => {}
                Some(input) = queries.recv() => match input {
                    Input::Query(client, bytes) => core.handle(Event::Query(client, &bytes), &mut body)?,
                    Input::Opened(stream, answers) => drop(body.streams.insert(stream, answers)),
                    Input::Closed(stream) => drop(body.streams.remove(&stream)),
                },
                () = tokio::time::sleep_until(wake) => core.handle(Event::Time, &mut body)?,
            }
        }
    }
}

struct Core {
    proxy: Proxy,
    began: Instant,
    meter: Meter,
    counts: Counts,
    report: watch::Sender<Report>,
    reported: Instant,
}

impl Core {
    fn handle(&mut self, event: Event<'_>, body: &mut Body) -> Result<(), ServeError> {
        let mut failed = None;
        let actions = self.proxy.handle(event, self.began.elapsed(), &mut || {
            let mut bytes = [0; 2];
            failed = getrandom::fill(&mut bytes).err().or(failed);
            u16::from_ne_bytes(bytes)
        });
        if let Some(error) = failed {
            return Err(ServeError::Chance(error));
        }
        for action in actions {
            body.act(action);
        }
        self.meter.look(&self.proxy, &mut self.counts);
        if self.reported.elapsed() >= REPORT {
            self.reported = Instant::now();
            let addresses = self.proxy.book().counts().into_iter().filter(|(_, count)| *count > 0).collect();
            let now = Report { addresses, refused: self.proxy.refusals().clone() };
            self.report.send_if_modified(|was| {
                let is_new = *was != now;
                *was = now;
                is_new
            });
        }
        Ok(())
    }
}

/// Sockets and channels that actions use.
struct Body {
    datagrams: Vec<Arc<UdpSocket>>,
    resolvers: Arc<[Endpoint]>,
    asking: JoinSet<()>,
    sockets: BTreeMap<Ask, AbortHandle>,
    streams: BTreeMap<u64, mpsc::Sender<Vec<u8>>>,
    hear: mpsc::Sender<Heard>,
    change: mpsc::Sender<Change>,
}

impl Body {
    fn act(&mut self, action: Action) {
        match action {
            Action::Ask(ask, resolver, transport, bytes) => {
                let Some(endpoint) = self.resolvers.get(resolver).cloned() else { return };
                let hear = self.hear.clone();
                let socket = match transport {
                    Transport::Udp => self.asking.spawn(ask::in_datagrams(ask, endpoint, bytes, hear)),
                    Transport::Tcp => self.asking.spawn(ask::in_a_connection(ask, endpoint, bytes, hear)),
                };
                self.sockets.insert(ask, socket);
            }
            Action::Close(ask) => {
                if let Some(socket) = self.sockets.remove(&ask) {
                    socket.abort();
                }
            }
            Action::Answer(Client { stream: Some(stream), .. }, bytes) => {
                // one that does not read its answers loses its connection
                if self.streams.get(&stream).is_some_and(|answers| answers.try_send(bytes).is_err()) {
                    self.streams.remove(&stream);
                }
            }
            Action::Answer(client, bytes) => {
                // a full buffer is a lost datagram, and clients ask again
                if let Some(socket) = self.datagrams.get(client.listener) {
                    let _ = socket.try_send_to(&bytes, client.peer);
                }
            }
            // there is one under way at most
            Action::Tell(change) => drop(self.change.try_send(change)),
        }
    }
}

async fn take_datagrams(listener: usize, socket: Arc<UdpSocket>, query: mpsc::Sender<Input>, meter: Meter) {
    let mut buffer = vec![0; QUERY_MAX];
    loop {
        // an error is about somebody who is gone (ICMP), not about this socket
        let Ok((length, peer)) = socket.recv_from(&mut buffer).await else { continue };
        let bytes = buffer.get(..length).unwrap_or_default().to_vec();
        match query.try_send(Input::Query(Client { listener, peer, stream: None }, bytes)) {
            Ok(()) => {}
            Err(mpsc::error::TrySendError::Full(_)) => meter.dropped(),
            Err(mpsc::error::TrySendError::Closed(_)) => return,
        }
    }
}

/// Talks to the sink, one thing at a time.
async fn put(mut sink: impl AnswerSink, mut changes: mpsc::Receiver<Change>, tell: mpsc::Sender<Told>, meter: Meter) {
    let mut audit = tokio::time::interval(AUDIT);
    audit.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        let word = tokio::select! {
            biased;
            change = changes.recv() => {
                let Some(change) = change else { return };
                let start = Instant::now();
                let put = sink.put(&change).await;
                meter.put(start.elapsed(), put.is_ok());
                if let Err(error) = &put {
                    tracing::error!(error = %chain(error), addresses = change.add.len(), "answers about names are held back");
                }
                Told::Settled(put.is_ok())
            }
            _ = audit.tick() => match sink.lost().await {
                Ok(lost) if lost.is_empty() => continue,
                Ok(lost) => {
                    tracing::warn!(addresses = lost.len(), "somebody has taken addresses of names out of the kernel; they are put back");
                    meter.lost(lost.len());
                    Told::Lost(lost)
                }
                Err(error) => {
                    tracing::warn!(error = %chain(&error), "can't look which addresses of names the kernel has");
                    continue;
                }
            },
        };
        if tell.send(word).await.is_err() {
            return;
        }
    }
}
