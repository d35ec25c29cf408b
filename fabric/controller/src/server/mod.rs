//! The controller as it runs.
//!
//! Of several controllers one leads, whoever holds the lease ([`lead`]); the others send callers to it ([`seat`]). In the one that leads,
//! one task, the [`core`], owns the rollout's machine and writes the store; the services check who asks and what, and pass it on. So nothing needs a lock, and
//! what one caller sees another one's change can't be half of.

mod agents;
mod back;
mod core;
mod desk;
mod door;
mod enrol;
mod fabric;
mod identities;
mod lead;
mod limits;
mod messages;
mod metrics;
mod news;
mod peer;
mod pen;
mod reach;
mod refusals;
mod resume;
mod seat;
mod tenants;
mod term;
mod watch;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use ed25519_dalek::SigningKey;
use leafwall_metrics::{Listener, MetricsError};
use thiserror::Error;
use tokio::net::TcpListener;
use tokio_stream::wrappers::TcpListenerStream;
use tonic::body::Body;
use tonic::codegen::http::Response;
use tonic::transport::{Certificate, Identity, Server, ServerTlsConfig};
use tonic::{Code, Status};
use tower::util::MapResponseLayer;

use crate::audit::{AuditError, Log};
use crate::certificates::{AUTHORITY_KEY, Authority, CertificateError};
use crate::history::{History, HistoryError};
use crate::keys::{self, KeyError};
use crate::store::{AnyBackend, Etcd, EtcdUrl, Store, StoreError};

pub use leafwall_rollout::fabric::Settings as RolloutSettings;

/// Between two signs of life on a silent connection.
const SIGN_OF_LIFE: Duration = Duration::from_secs(3);
/// A connection whose sign of life is not answered for so long is dead; a busy switch is not.
const DEAD_AFTER: Duration = Duration::from_secs(10);
/// How long a TLS handshake may take.
const HANDSHAKE: Duration = Duration::from_secs(10);
/// Requests that wait for the core.
const QUEUE: usize = 1024;

/// How a controller runs.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Where its certificates, keys and store are.
    pub state: PathBuf,
    /// How a rollout goes.
    pub rollout: RolloutSettings,
    /// Where what must outlive it is kept.
    pub keep: Keep,
}

/// Where a controller keeps what must outlive it, and with whom it shares that.
#[derive(Debug, Clone)]
pub enum Keep {
    /// In a file of its directory: it is alone, and always leads.
    File,
    /// In etcd, beside other controllers, of which one leads.
    Etcd {
        /// Which.
        url: EtcdUrl,
        /// Directory with the certificates to speak to it with: `ca.pem`, `own.pem`, `own.key`. In the clear without one.
        identity: Option<PathBuf>,
        /// Where agents and clients reach this controller: `https://HOST:PORT`.
        advertise: String,
    },
}

/// Why a controller can't run, or not go on.
#[derive(Debug, Error)]
pub enum ServerError {
    /// A certificate or key.
    #[error("can't read `{path}`")]
    Read {
        /// Which file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The authority, which is asked for certificates here.
    #[error("the authority can't be used")]
    Authority(#[from] CertificateError),
    /// The key that signs.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// What the store says of the past.
    #[error(transparent)]
    History(#[from] HistoryError),
    /// The audit log.
    #[error(transparent)]
    Audit(#[from] AuditError),
    /// What a device without anything of ours has.
    #[error(transparent)]
    Render(#[from] leafwall_render::RenderError),
    /// Can't happen with these types, but is no reason to panic.
    #[error("can't print what is signed")]
    Print(#[source] serde_json::Error),
    /// The address.
    #[error("can't listen on {address}")]
    Listen {
        /// Which.
        address: SocketAddr,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// Being told to stop.
    #[error("can't be told to stop")]
    Signals {
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// Metrics.
    #[error(transparent)]
    Metrics(#[from] MetricsError),
    /// The lease is over: another controller may lead.
    #[error("the lease is over")]
    Over,
    /// The API.
    #[error("the API ended")]
    Serve(#[from] tonic::transport::Error),
}

impl ServerError {
    /// Whether a new term, of this controller or of another one, may go well.
    fn is_passing(&self) -> bool {
        let store = match self {
            Self::Over => return true,
            Self::Store(error)
            | Self::Audit(AuditError::Store(_, error))
            | Self::History(HistoryError::Head(error) | HistoryError::Store { source: error, .. }) => error,
            _ => return false,
        };
        matches!(store, StoreError::Fenced { .. } | StoreError::NotHeld | StoreError::Backend { .. } | StoreError::AuditMoved)
    }
}

/// One that listens, and is not served yet.
#[derive(Debug)]
pub struct Bound {
    settings: Settings,
    listener: TcpListener,
    address: SocketAddr,
    enrolment: Option<TcpListener>,
    metrics: Option<Listener>,
}

impl Bound {
    /// Listens.
    ///
    /// # Errors
    /// Where the address is taken.
    pub async fn new(settings: Settings, address: SocketAddr) -> Result<Self, ServerError> {
        let (listener, address) = listen(address).await?;
        Ok(Self { settings, listener, address, enrolment: None, metrics: None })
    }

    /// Listens in another place for devices that have no certificate yet, too, and gives that place. Nothing but enrolment is there.
    ///
    /// # Errors
    /// Where the address is taken.
    pub async fn enrolment(mut self, address: SocketAddr) -> Result<(Self, SocketAddr), ServerError> {
        let (listener, address) = listen(address).await?;
        self.enrolment = Some(listener);
        Ok((self, address))
    }

    /// Answers to Prometheus and to whoever asks for its health in this place, too, and gives that place.
    ///
    /// # Errors
    /// Where the address is taken.
    pub async fn metrics(mut self, address: SocketAddr) -> Result<(Self, SocketAddr), ServerError> {
        let listener = Listener::bind(address).await?;
        let address = listener.address();
        self.metrics = Some(listener);
        Ok((self, address))
    }

    /// Where it listens.
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Serves for ever.
    ///
    /// # Errors
    /// Where certificates, keys or the store can't be used.
    pub async fn serve(self) -> Result<(), ServerError> {
        Box::pin(self.serve_until(std::future::pending())).await
    }

    /// Serves until something happens. What was begun is left as a crash would leave it; what was refused is written down first.
    ///
    /// # Errors
    /// Where certificates, keys or the store can't be used.
    pub async fn serve_until(self, stop: impl Future<Output = ()>) -> Result<(), ServerError> {
        let read = |name: &str| {
            let path = self.settings.state.join(name);
            std::fs::read_to_string(&path).map_err(|source| ServerError::Read { path, source })
        };
        let authority = authority(&self.settings.state)?.map(Arc::new);
        // the authority's certificate goes with our own: so one who knows its digest alone learns it
        let ca = read("ca.pem")?;
        let open = ServerTlsConfig::new().identity(Identity::from_pem(read("own.pem")? + &ca, read("own.key")?)).timeout(HANDSHAKE);
        let tls = open.clone().client_ca_root(Certificate::from_pem(ca));
        let key: SigningKey = keys::load(&self.settings.state.join("sign.key"))?;
        let (store, etcd) = match self.settings.keep {
            Keep::File => (Store::file(&self.settings.state.join("store")).await?, None),
            Keep::Etcd { url, identity, advertise } => {
                let etcd = Etcd::open(url, identity.as_deref()).await?;
                (Store::new(AnyBackend::Etcd(etcd.clone())), Some((etcd, advertise)))
            }
        };
        let history = History::new(store.clone(), vec![key.verifying_key()]);
        let log = Arc::new(Log::new(store.clone(), key.clone(), &[]));
        let meter = metrics::Meter::default();
        let (seat, seen) = tokio::sync::watch::channel(seat::Seat::Starting);
        let (watch, registry) = metrics::Watch::new(seen.clone(), &store, &log, &meter);
        let rollout = self.settings.rollout;
        let (stopping, stops) = tokio::sync::watch::channel(false);
        let terms = lead::Terms { store, history, log, key, authority, rollout, meter: meter.clone(), seat, stops };
        // boxed: it is by far the largest of what is waited for here
        let terms = Box::pin(async {
            match etcd {
                None => terms.alone().await,
                Some((etcd, address)) => terms.among(etcd, address).await,
            }
        });
        // what every service answers, whatever it is
        let counted = MapResponseLayer::new(move |response: Response<Body>| {
            meter.answered(Status::from_header_map(response.headers()).map_or(Code::Ok, |status| status.code()));
            response
        });
        let server = Server::builder()
            .tls_config(tls)?
            .http2_keepalive_interval(Some(SIGN_OF_LIFE))
            .http2_keepalive_timeout(Some(DEAD_AFTER))
            .layer(counted.clone())
            .add_service(seat::agents(&seen))
            .add_service(seat::fabric(&seen))
            .add_service(seat::identities(&seen))
            .add_service(seat::leadership(&seen))
            .serve_with_incoming(TcpListenerStream::new(self.listener));
        let enrolment = async {
            let Some(listener) = self.enrolment else { return std::future::pending().await };
            Server::builder()
                .tls_config(open)?
                .concurrency_limit_per_connection(1)
                .max_concurrent_streams(1)
                .max_connection_age(door::VISIT)
                .timeout(door::VISIT)
                .layer(counted)
                .add_service(seat::enrolment(&seen))
                .serve_with_incoming(door::visitors(listener))
                .await
        };
        let metrics = async {
            match self.metrics {
                Some(listener) => listener.serve(registry, watch).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            never = metrics => match never {},
            ended = server => Ok(ended?),
            ended = enrolment => Ok(ended?),
            ended = terms => ended,
            never = async {
                stop.await;
                stopping.send_replace(true);
                std::future::pending::<std::convert::Infallible>().await
            } => match never {},
        }
    }
}

async fn listen(address: SocketAddr) -> Result<(TcpListener, SocketAddr), ServerError> {
    let failed = |source| ServerError::Listen { address, source };
    let listener = TcpListener::bind(address).await.map_err(failed)?;
    let address = listener.local_addr().map_err(failed)?;
    Ok((listener, address))
}

/// The authority, unless its key is kept elsewhere.
fn authority(state: &Path) -> Result<Option<Authority>, ServerError> {
    let there = state.join(AUTHORITY_KEY).exists();
    Ok(there.then(|| Authority::load(state)).transpose()?)
}

/// Milliseconds since 1970, UTC.
fn wall_clock() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}
