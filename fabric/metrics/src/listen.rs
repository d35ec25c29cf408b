//! `/metrics`, `/healthz` and `/readyz` over HTTP/1.1: GET and HEAD, one request a connection, so many connections at once, and none for long.

use std::fmt::Write as _;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use prometheus_client::registry::Registry;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;

/// Connections at once. A scrape takes milliseconds; others wait in the kernel's queue.
const ROOM: usize = 16;
/// How long a connection may take.
const PATIENCE: Duration = Duration::from_secs(5);
/// The longest head of a request.
const HEAD_MAX: usize = 8 << 10;
/// After an error of the listener, such as too many open files.
const PAUSE: Duration = Duration::from_millis(100);

/// An address that can't be listened on.
#[derive(Debug)]
pub struct MetricsError {
    address: SocketAddr,
    source: io::Error,
}

impl std::fmt::Display for MetricsError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "can't listen for metrics on {}: is the address this machine's, and the port free?", self.address)
    }
}

impl std::error::Error for MetricsError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.source)
    }
}

/// What a daemon says of itself when it is asked.
pub trait Checks: Send + Sync + 'static {
    /// Brings numbers up to date that are not counted as things happen.
    fn refresh(&self) -> impl Future<Output = ()> + Send;
    /// Whether it does its work; if not, why.
    fn ready(&self) -> impl Future<Output = Result<(), String>> + Send;
}

/// One that listens, and does not answer yet.
#[derive(Debug)]
pub struct Listener {
    listener: TcpListener,
    address: SocketAddr,
}

impl Listener {
    /// Listens.
    ///
    /// # Errors
    /// Where the address is taken or not ours.
    pub async fn bind(address: SocketAddr) -> Result<Self, MetricsError> {
        let failed = |source| MetricsError { address, source };
        let listener = TcpListener::bind(address).await.map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        Ok(Self { listener, address })
    }

    /// Where.
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Answers for ever.
    pub async fn serve(self, registry: Registry, checks: impl Checks) -> std::convert::Infallible {
        let shared = Arc::new((registry, checks));
        let room = Arc::new(Semaphore::new(ROOM));
        loop {
            // never closed
            let place = Arc::clone(&room).acquire_owned().await.ok();
            match self.listener.accept().await {
                Ok((stream, _)) => {
                    let shared = Arc::clone(&shared);
                    tokio::spawn(async move {
                        // whoever is too slow or goes away misses it
                        let _ = tokio::time::timeout(PATIENCE, answer(stream, &shared.0, &shared.1)).await;
                        drop(place);
                    });
                }
                Err(error) => {
                    tracing::warn!(%error, "nobody can ask for metrics");
                    tokio::time::sleep(PAUSE).await;
                }
            }
        }
    }
}

async fn answer(mut stream: TcpStream, registry: &Registry, checks: &impl Checks) -> io::Result<()> {
    let head = head(&mut stream).await?;
    let mut words = head.lines().next().unwrap_or_default().split(' ');
    let (method, target) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    let path = target.split('?').next().unwrap_or_default();
    let (status, kind, body) = match (method, path) {
        ("GET" | "HEAD", "/metrics") => {
            checks.refresh().await;
            ("200 OK", "text/plain; version=0.0.4; charset=utf-8", crate::text(registry))
        }
        ("GET" | "HEAD", "/healthz") => ("200 OK", "text/plain; charset=utf-8", "alive\n".to_owned()),
        ("GET" | "HEAD", "/readyz") => match checks.ready().await {
            Ok(()) => ("200 OK", "text/plain; charset=utf-8", "ready\n".to_owned()),
            Err(why) => ("503 Service Unavailable", "text/plain; charset=utf-8", format!("not ready: {why}\n")),
        },
        ("GET" | "HEAD", _) => ("404 Not Found", "text/plain; charset=utf-8", "there are /metrics, /healthz and /readyz\n".to_owned()),
        _ => ("405 Method Not Allowed", "text/plain; charset=utf-8", "only GET and HEAD\n".to_owned()),
    };
    let mut text = String::new();
    // to a String that can't fail
    let _ = write!(text, "HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n", body.len());
    if method != "HEAD" {
        text.push_str(&body);
    }
    stream.write_all(text.as_bytes()).await?;
    stream.shutdown().await
}

/// The head of a request, up to the empty line.
async fn head(stream: &mut TcpStream) -> io::Result<String> {
    let mut head = Vec::new();
    let mut part = [0; 1024];
    while !head.windows(4).any(|window| window == b"\r\n\r\n") {
        let length = stream.read(&mut part).await?;
        if length == 0 || head.len() + length > HEAD_MAX {
            return Err(io::ErrorKind::InvalidData.into());
        }
        head.extend_from_slice(&part[..length]);
    }
    String::from_utf8(head).map_err(|_| io::ErrorKind::InvalidData.into())
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, Ordering};

    use super::*;

    struct Fake(Arc<AtomicBool>);

    impl Checks for Fake {
        async fn refresh(&self) {}

        async fn ready(&self) -> Result<(), String> {
            if self.0.load(Ordering::Relaxed) { Ok(()) } else { Err("the store is away".to_owned()) }
        }
    }

    async fn ask(address: SocketAddr, request: &str) -> String {
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut text = String::new();
        let _ = stream.read_to_string(&mut text).await;
        text
    }

    #[tokio::test]
    async fn the_three_pages_are_there_and_nothing_else() {
        let ready = Arc::new(AtomicBool::new(false));
        let listener = Listener::bind(([127, 0, 0, 1], 0).into()).await.unwrap();
        let address = listener.address();
        assert!(Listener::bind(address).await.is_err(), "it is taken");
        let mut registry = crate::registry();
        let counters = crate::Counters::new("kind", &["one", "two"]);
        counters.register(&mut registry, "things", "Things");
        counters.add("two");
        let served = tokio::spawn(listener.serve(registry, Fake(Arc::clone(&ready))));

        let text = ask(address, "GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n").await;
        assert!(text.starts_with("HTTP/1.1 200 OK\r\n"), "{text}");
        assert!(
            text.contains("leafwall_things_total{kind=\"one\"} 0\n") && text.contains("leafwall_things_total{kind=\"two\"} 1\n"),
            "{text}"
        );
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        assert!(head.contains(&format!("Content-Length: {}\r\n", body.len())));
        assert!(ask(address, "HEAD /metrics HTTP/1.1\r\n\r\n").await.ends_with("\r\n\r\n"));
        assert!(ask(address, "GET /healthz?x HTTP/1.1\r\n\r\n").await.contains("200 OK"));
        let text = ask(address, "GET /readyz HTTP/1.1\r\n\r\n").await;
        assert!(text.contains("503") && text.contains("the store is away"), "{text}");
        ready.store(true, Ordering::Relaxed);
        assert!(ask(address, "GET /readyz HTTP/1.1\r\n\r\n").await.contains("200 OK"));
        assert!(ask(address, "GET /etc/passwd HTTP/1.1\r\n\r\n").await.contains("404"));
        assert!(ask(address, "POST /metrics HTTP/1.1\r\n\r\n").await.contains("405"));
        assert_eq!(ask(address, &"x".repeat(2 * HEAD_MAX)).await, "");
        served.abort();
    }

    #[tokio::test]
    async fn who_says_nothing_keeps_nobody_out_for_long() {
        let listener = Listener::bind(([127, 0, 0, 1], 0).into()).await.unwrap();
        let address = listener.address();
        let served = tokio::spawn(listener.serve(crate::registry(), Fake(Arc::default())));
        let mut idle = Vec::new();
        for _ in 0..2 * ROOM {
            idle.push(TcpStream::connect(address).await.unwrap());
        }
        let asked = tokio::time::timeout(3 * PATIENCE, ask(address, "GET /healthz HTTP/1.1\r\n\r\n")).await;
        assert!(asked.unwrap().contains("200 OK"));
        served.abort();
    }
}
