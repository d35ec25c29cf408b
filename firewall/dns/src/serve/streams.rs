//! Clients' connections (RFC 7766): several queries each, answers in the order in which they are there.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use super::ask::framed;
use super::{Input, QUERY_MAX};
use crate::proxy::Client;

/// Connections to one of our addresses at once, and of one client among them.
const CONNECTIONS_MAX: usize = 512;
const CONNECTIONS_PER_CLIENT: usize = 64;
/// A connection on which nothing comes for so long is closed, and one whose query takes so long to come or its answer to go.
const IDLE: Duration = Duration::from_secs(10);
/// Answers that wait to be sent over one connection.
const ANSWERS: usize = 64;
/// After connections can't be taken (descriptors run out).
const PAUSE: Duration = Duration::from_millis(100);

/// Takes connections for ever.
pub(super) async fn take(listener: usize, socket: TcpListener, query: mpsc::Sender<Input>, next: Arc<AtomicU64>) {
    let open = Arc::new(Mutex::new(BTreeMap::<IpAddr, usize>::new()));
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            taken = socket.accept() => {
                let Ok((stream, peer)) = taken else {
                    tokio::time::sleep(PAUSE).await;
                    continue;
                };
                let Some(place) = Place::take(&open, peer.ip()) else { continue };
                let client = Client { listener, peer, stream: Some(next.fetch_add(1, Ordering::Relaxed)) };
                connections.spawn(connection(stream, client, query.clone(), place));
            }
            Some(_) = connections.join_next() => {}
        }
        if query.is_closed() {
            return;
        }
    }
}

/// Room for a connection, until this is dropped.
struct Place {
    open: Arc<Mutex<BTreeMap<IpAddr, usize>>>,
    client: IpAddr,
}

impl Place {
    fn take(open: &Arc<Mutex<BTreeMap<IpAddr, usize>>>, client: IpAddr) -> Option<Self> {
        let mut counts = open.lock().unwrap_or_else(PoisonError::into_inner);
        let all: usize = counts.values().sum();
        let here = counts.entry(client).or_default();
        if all >= CONNECTIONS_MAX || *here >= CONNECTIONS_PER_CLIENT {
            if *here == 0 {
                counts.remove(&client);
            }
            return None;
        }
        *here += 1;
        drop(counts);
        Some(Self { open: Arc::clone(open), client })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut counts = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(here) = counts.get_mut(&self.client) {
            *here -= 1;
            if *here == 0 {
                counts.remove(&self.client);
            }
        }
    }
}

async fn connection(stream: TcpStream, client: Client, query: mpsc::Sender<Input>, place: Place) {
    let Some(number) = client.stream else { return };
    let (answer, answers) = mpsc::channel(ANSWERS);
    if query.send(Input::Opened(number, answer)).await.is_err() {
        return;
    }
    let (read, write) = stream.into_split();
    // an answer that can't be written ends it; one who has asked everything still gets the answers
    tokio::select! {
        () = read_queries(read, client, &query) => {}
        () = write_answers(write, answers) => {}
    }
    drop(place);
    let _ = query.send(Input::Closed(number)).await;
}

async fn read_queries(mut read: OwnedReadHalf, client: Client, query: &mpsc::Sender<Input>) {
    loop {
        let message = async {
            let length = usize::from(read.read_u16().await?);
            if length > QUERY_MAX {
                return Err(std::io::ErrorKind::InvalidData.into());
            }
            let mut bytes = vec![0; length];
            read.read_exact(&mut bytes).await.map(|_| bytes)
        };
        match tokio::time::timeout(IDLE, message).await {
            Ok(Ok(bytes)) => {
                if query.send(Input::Query(client, bytes)).await.is_err() {
                    return;
                }
            }
            Ok(Err(error)) if error.kind() == std::io::ErrorKind::UnexpectedEof => return tokio::time::sleep(IDLE).await,
            Ok(Err(_)) | Err(_) => return,
        }
    }
}

async fn write_answers(mut write: OwnedWriteHalf, mut answers: mpsc::Receiver<Vec<u8>>) {
    while let Some(bytes) = answers.recv().await {
        if !matches!(tokio::time::timeout(IDLE, write.write_all(&framed(&bytes))).await, Ok(Ok(()))) {
            return;
        }
    }
}
