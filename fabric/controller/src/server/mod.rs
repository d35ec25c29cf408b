//! The controller as it runs.
//!
//! One task, the [`core`], owns the rollout's machine and writes the store; the services check who asks and what, and pass it on. So nothing needs a lock, and
//! what one caller sees another one's change can't be half of.

mod agents;
mod core;
mod fabric;
mod peer;
mod resume;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use ed25519_dalek::SigningKey;
use leafwall_api::v1::agents_server::AgentsServer;
use leafwall_api::v1::fabric_server::FabricServer;
use thiserror::Error;
use tokio::net::TcpListener;
use tokio_stream::wrappers::TcpListenerStream;
use tonic::transport::{Certificate, Identity, Server, ServerTlsConfig};

use crate::audit::AuditError;
use crate::history::{History, HistoryError};
use crate::keys::{self, KeyError};
use crate::store::{Store, StoreError};

pub use leafwall_rollout::fabric::Settings as RolloutSettings;

/// Between two signs of life on a silent connection.
const SIGN_OF_LIFE: Duration = Duration::from_secs(3);
/// A connection whose sign of life is not answered for so long is dead; a busy switch is not.
const DEAD_AFTER: Duration = Duration::from_secs(10);
/// Requests that wait for the core.
const QUEUE: usize = 1024;

/// How a controller runs.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Where its certificates, keys and store are.
    pub state: PathBuf,
    /// How a rollout goes.
    pub rollout: RolloutSettings,
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
    /// The API.
    #[error("the API ended")]
    Serve(#[from] tonic::transport::Error),
}

/// One that listens, and is not served yet.
#[derive(Debug)]
pub struct Bound {
    settings: Settings,
    listener: TcpListener,
    address: SocketAddr,
}

impl Bound {
    /// Listens.
    ///
    /// # Errors
    /// Where the address is taken.
    pub async fn new(settings: Settings, address: SocketAddr) -> Result<Self, ServerError> {
        let listen = |source| ServerError::Listen { address, source };
        let listener = TcpListener::bind(address).await.map_err(listen)?;
        let address = listener.local_addr().map_err(listen)?;
        Ok(Self { settings, listener, address })
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
        let read = |name: &str| {
            let path = self.settings.state.join(name);
            std::fs::read_to_string(&path).map_err(|source| ServerError::Read { path, source })
        };
        let tls = ServerTlsConfig::new()
            .identity(Identity::from_pem(read("own.pem")?, read("own.key")?))
            .client_ca_root(Certificate::from_pem(read("ca.pem")?));
        let key: SigningKey = keys::load(&self.settings.state.join("sign.key"))?;
        let store = Store::file(&self.settings.state.join("store")).await?;
        let history = History::new(store.clone(), vec![key.verifying_key()]);
        let core = core::Core::resume(store.clone(), history.clone(), key, self.settings.rollout.clone()).await?;
        let (commands, queue) = tokio::sync::mpsc::channel(QUEUE);
        let core = core.run(queue);
        let server = Server::builder()
            .tls_config(tls)?
            .http2_keepalive_interval(Some(SIGN_OF_LIFE))
            .http2_keepalive_timeout(Some(DEAD_AFTER))
            .add_service(AgentsServer::new(agents::Service::new(commands.clone(), store.clone())))
            .add_service(FabricServer::new(fabric::Service::new(commands, history, store)))
            .serve_with_incoming(TcpListenerStream::new(self.listener));
        tokio::select! {
            ended = server => Ok(ended?),
            ended = core => ended,
        }
    }
}

/// Milliseconds since 1970, UTC.
fn wall_clock() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}
