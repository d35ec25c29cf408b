//! SONiC's databases in Redis: rows are read and written, and changes of rows are heard of. The one module that names the client.
//!
//! Whatever comes out of Redis is somebody else's bytes: what is no text is an error that names its row.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use futures_util::{FutureExt, StreamExt};
use leafwall_delta::config_db::{Action, Write};
use leafwall_render::config_db::{ConfigDb, Hash};
use redis::aio::{MultiplexedConnection, PubSub};
use redis::{AsyncConnectionConfig, Client, ConnectionAddr, IntoConnectionInfo, RedisConnectionInfo};
use thiserror::Error;

/// CONFIG_DB's number in Redis (SONiC's `database_config.json`).
pub const CONFIG_DB: u8 = 4;
/// Where SONiC's Redis listens.
const SOCKET: &str = "/var/run/redis/redis.sock";
/// What says that CONFIG_DB was loaded as a whole: 1 from then on.
const INITIALIZED: &str = "CONFIG_DB_INITIALIZED";
/// How long a connection may take. The socket is on the same machine.
const CONNECT: Duration = Duration::from_secs(2);
/// How long one answer may take: Redis does one thing at a time, and others ask it for much.
const ANSWER: Duration = Duration::from_secs(10);
/// Rows that are asked for at once.
const BATCH: usize = 1000;

/// Where Redis listens: `/PATH` of a socket, or `HOST:PORT`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Address {
    /// A Unix socket.
    Socket(PathBuf),
    /// TCP.
    Host {
        /// A name or an address; one of IPv6 without brackets.
        host: String,
        /// The port.
        port: u16,
    },
}

impl Default for Address {
    fn default() -> Self {
        Self::Socket(PathBuf::from(SOCKET))
    }
}

impl FromStr for Address {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text.starts_with('/') {
            return Ok(Self::Socket(PathBuf::from(text)));
        }
        let parts = text.rsplit_once(':').and_then(|(host, port)| Some((host, port.parse().ok()?)));
        let bare = |host: &str| host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host).to_owned();
        match parts {
            Some((host, port)) if !host.is_empty() => Ok(Self::Host { host: bare(host), port }),
            _ => Err("expected the path of a socket, or HOST:PORT".to_owned()),
        }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Socket(path) => write!(f, "{}", path.display()),
            Self::Host { host, port } if host.contains(':') => write!(f, "[{host}]:{port}"),
            Self::Host { host, port } => write!(f, "{host}:{port}"),
        }
    }
}

impl Address {
    fn client(&self, database: u8) -> Result<Client, redis::RedisError> {
        let address = match self {
            Self::Socket(path) => ConnectionAddr::Unix(path.clone()),
            Self::Host { host, port } => ConnectionAddr::Tcp(host.clone(), *port),
        };
        let settings = RedisConnectionInfo::default().set_db(database.into()).set_skip_set_lib_name();
        Client::open(address.into_connection_info()?.set_redis_settings(settings))
    }
}

/// What went wrong with Redis.
#[derive(Debug, Error)]
pub enum RedisError {
    /// Nobody answers there.
    #[error("can't reach SONiC's databases at `{address}`")]
    Reach {
        /// Where.
        address: Address,
        /// Why.
        #[source]
        source: redis::RedisError,
    },
    /// It takes no connection in time.
    #[error("SONiC's databases at `{address}` do not answer within {} s", CONNECT.as_secs())]
    Silent {
        /// Where.
        address: Address,
    },
    /// A question or an order that failed.
    #[error("can't {what}")]
    Ask {
        /// Which.
        what: String,
        /// Why.
        #[source]
        source: redis::RedisError,
    },
    /// Bytes that are no text.
    #[error("`{name}` of database {database} is no text")]
    NoText {
        /// The row, with what is no text of its name replaced.
        name: String,
        /// The database's number.
        database: u8,
    },
    /// Changes are not told: waiting would be for nothing.
    #[error("Redis does not tell of changes: its `notify-keyspace-events` is `{found}`, and SONiC's is `AKE`")]
    Quiet {
        /// What it is.
        found: String,
    },
    /// The connection that tells of changes.
    #[error("Redis ended the connection that tells of changes")]
    Ended,
}

fn ask(what: impl Into<String>) -> impl FnOnce(redis::RedisError) -> RedisError {
    let what = what.into();
    |source| RedisError::Ask { what, source }
}

fn text(bytes: Vec<u8>, database: u8, name: &str) -> Result<String, RedisError> {
    String::from_utf8(bytes).map_err(|_| RedisError::NoText { name: name.to_owned(), database })
}

/// Connections to one Redis, one for each of its databases that is asked for something.
pub struct Session {
    address: Address,
    connections: BTreeMap<u8, MultiplexedConnection>,
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session").field("address", &self.address).finish_non_exhaustive()
    }
}

impl Session {
    /// One that connects when it is needed.
    pub const fn new(address: Address) -> Self {
        Self { address, connections: BTreeMap::new() }
    }

    /// Where it leads.
    pub const fn address(&self) -> &Address {
        &self.address
    }

    async fn connection(&mut self, database: u8) -> Result<&mut MultiplexedConnection, RedisError> {
        match self.connections.entry(database) {
            std::collections::btree_map::Entry::Occupied(there) => Ok(there.into_mut()),
            std::collections::btree_map::Entry::Vacant(empty) => {
                let reach = |source| RedisError::Reach { address: self.address.clone(), source };
                let patience = AsyncConnectionConfig::new().set_connection_timeout(Some(CONNECT)).set_response_timeout(Some(ANSWER));
                let client = self.address.client(database).map_err(reach)?;
                Ok(empty.insert(client.get_multiplexed_async_connection_with_config(&patience).await.map_err(reach)?))
            }
        }
    }

    /// Whether CONFIG_DB was loaded as a whole. Before that it says nothing: missing rows are not gone.
    ///
    /// # Errors
    /// Where Redis does not answer.
    pub async fn is_initialized(&mut self) -> Result<bool, RedisError> {
        let connection = self.connection(CONFIG_DB).await?;
        let value: Option<Vec<u8>> = redis::cmd("GET").arg(INITIALIZED).query_async(connection).await.map_err(ask("read CONFIG_DB"))?;
        Ok(value.as_deref() == Some(b"1"))
    }

    /// All of CONFIG_DB's rows.
    ///
    /// # Errors
    /// Where Redis does not answer, or a row is no text.
    pub async fn config(&mut self) -> Result<ConfigDb, RedisError> {
        // what has no bar in its name is no row
        let names = self.names(CONFIG_DB, "*|*").await?;
        let rows = self.rows(CONFIG_DB, &names.into_iter().collect::<Vec<_>>()).await?;
        Ok(ConfigDb::from_hashes(rows.iter().map(|(name, hash)| (name.as_str(), hash))))
    }

    /// The names of hashes of a shape (Redis' `MATCH`). One that comes or goes meanwhile is among them or not.
    ///
    /// # Errors
    /// Where Redis does not answer, or a name is no text.
    pub async fn names(&mut self, database: u8, shape: &str) -> Result<BTreeSet<String>, RedisError> {
        let connection = self.connection(database).await?;
        let mut names = BTreeSet::new();
        let mut cursor = 0_u64;
        loop {
            let mut scan = redis::cmd("SCAN");
            scan.arg(cursor).arg("MATCH").arg(shape).arg("COUNT").arg(BATCH).arg("TYPE").arg("hash");
            let (next, found): (u64, Vec<Vec<u8>>) =
                scan.query_async(connection).await.map_err(|source| ask(format!("list the rows of database {database}"))(source))?;
            for name in found {
                let lossy = String::from_utf8_lossy(&name).into_owned();
                names.insert(text(name, database, &lossy)?);
            }
            if next == 0 {
                return Ok(names);
            }
            cursor = next;
        }
    }

    /// These rows, without those that are not there.
    ///
    /// # Errors
    /// Where Redis does not answer, or a row is no hash of texts.
    pub async fn rows(&mut self, database: u8, names: &[String]) -> Result<BTreeMap<String, Hash>, RedisError> {
        let mut rows = BTreeMap::new();
        for names in names.chunks(BATCH) {
            let connection = self.connection(database).await?;
            let mut questions = redis::pipe();
            for name in names {
                questions.cmd("HGETALL").arg(name);
            }
            let answers: Vec<HashMap<Vec<u8>, Vec<u8>>> =
                questions.query_async(connection).await.map_err(|source| ask(format!("read rows of database {database}"))(source))?;
            for (name, fields) in names.iter().zip(answers).filter(|(_, fields)| !fields.is_empty()) {
                let fields = fields.into_iter().map(|(field, value)| Ok((text(field, database, name)?, text(value, database, name)?)));
                rows.insert(name.clone(), fields.collect::<Result<_, RedisError>>()?);
            }
        }
        Ok(rows)
    }

    /// Writes a row of CONFIG_DB, all at once.
    ///
    /// # Errors
    /// Where Redis refuses or does not answer. In the latter case it may have been written all the same.
    pub async fn write(&mut self, write: &Write) -> Result<(), RedisError> {
        let name = write.name();
        let mut orders = redis::pipe();
        orders.atomic();
        match &write.action {
            Action::Delete => {
                orders.del(&name).ignore();
            }
            Action::Put { set, unset } => {
                if !set.is_empty() {
                    orders.hset_multiple(&name, &set.iter().collect::<Vec<_>>()).ignore();
                }
                if !unset.is_empty() {
                    orders.hdel(&name, unset).ignore();
                }
            }
        }
        if orders.is_empty() {
            return Ok(());
        }
        let connection = self.connection(CONFIG_DB).await?;
        orders.query_async::<()>(connection).await.map_err(|source| ask(format!("write `{name}`"))(source))
    }
}

/// What is to be heard of: rows by name, or by the shape of it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Interests {
    /// Databases and names.
    pub rows: BTreeSet<(u8, String)>,
    /// Databases and shapes.
    pub shapes: BTreeSet<(u8, String)>,
}

impl Interests {
    /// CONFIG_DB being loaded as a whole.
    pub fn initialized() -> Self {
        Self { rows: BTreeSet::from([(CONFIG_DB, INITIALIZED.to_owned())]), shapes: BTreeSet::new() }
    }
}

/// Hears of changes of rows.
pub struct Listener {
    changes: PubSub,
}

impl fmt::Debug for Listener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Listener").finish_non_exhaustive()
    }
}

fn channel((database, name): &(u8, String)) -> String {
    format!("__keyspace@{database}__:{name}")
}

impl Listener {
    /// Begins to listen. What changed before is not told.
    ///
    /// # Errors
    /// Where Redis does not answer, or does not tell of changes.
    pub async fn open(session: &mut Session, interests: &Interests) -> Result<Self, RedisError> {
        let asked = session.connection(CONFIG_DB).await?;
        let setting: HashMap<String, String> = redis::cmd("CONFIG")
            .arg("GET")
            .arg("notify-keyspace-events")
            .query_async(asked)
            .await
            .map_err(ask("ask whether Redis tells of changes"))?;
        let found = setting.into_values().next().unwrap_or_default();
        // keyspace events, of commands on keys and on hashes
        let tells = |letter| found.contains(letter) || found.contains('A');
        if !(found.contains('K') && tells('g') && tells('h')) {
            return Err(RedisError::Quiet { found });
        }
        let address = session.address.clone();
        let opening = Self::subscribe(&address, interests);
        tokio::time::timeout(CONNECT, opening).await.unwrap_or(Err(RedisError::Silent { address: address.clone() }))
    }

    async fn subscribe(address: &Address, interests: &Interests) -> Result<Self, RedisError> {
        let reach = |source| RedisError::Reach { address: address.clone(), source };
        let mut changes = address.client(CONFIG_DB).map_err(reach)?.get_async_pubsub().await.map_err(reach)?;
        let channels: Vec<String> = interests.rows.iter().map(channel).collect();
        if !channels.is_empty() {
            changes.subscribe(channels).await.map_err(reach)?;
        }
        let shapes: Vec<String> = interests.shapes.iter().map(channel).collect();
        if !shapes.is_empty() {
            changes.psubscribe(shapes).await.map_err(reach)?;
        }
        Ok(Self { changes })
    }

    /// Waits for a row that changed, and says which: database and name. May be dropped at any time.
    ///
    /// # Errors
    /// Where the connection ended: something may have changed that was not told.
    pub async fn next(&mut self) -> Result<(u8, String), RedisError> {
        let message = self.changes.on_message().next().await.ok_or(RedisError::Ended)?;
        let channel: Vec<u8> = message.get_channel().map_err(ask("hear of a change"))?;
        Ok(changed(&channel).unwrap_or_default())
    }

    /// The same for what was told already; nothing where nothing was.
    ///
    /// # Errors
    /// As [`Self::next`].
    pub fn told(&mut self) -> Result<Option<(u8, String)>, RedisError> {
        self.next().now_or_never().transpose()
    }
}

/// Database and name of the row that a channel is about.
fn changed(channel: &[u8]) -> Option<(u8, String)> {
    let channel = String::from_utf8_lossy(channel);
    let (database, name) = channel.strip_prefix("__keyspace@")?.split_once("__:")?;
    Some((database.parse().ok()?, name.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_sockets_or_hosts() {
        let parsed = |text: &str| text.parse::<Address>();
        assert_eq!(parsed("/run/r.sock"), Ok(Address::Socket("/run/r.sock".into())));
        assert_eq!(parsed("127.0.0.1:6379"), Ok(Address::Host { host: "127.0.0.1".into(), port: 6379 }));
        for text in ["/run/r.sock", "localhost:1", "[::1]:6379"] {
            assert_eq!(parsed(text).unwrap().to_string(), text);
        }
        for bad in ["", "localhost", ":6379", "host:port", "host:70000"] {
            assert!(parsed(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn channels_name_database_and_row() {
        assert_eq!(changed(b"__keyspace@6__:VRF_TABLE|Vrf5"), Some((6, "VRF_TABLE|Vrf5".to_owned())));
        assert_eq!(changed(channel(&(1, "ASIC_STATE:a__:b".to_owned())).as_bytes()), Some((1, "ASIC_STATE:a__:b".to_owned())));
        for strange in [&b""[..], b"__keyspace@", b"__keyspace@x__:y", b"__keyspace@300__:y", b"\xff\xfe", b"other"] {
            assert_eq!(changed(strange), None);
        }
    }
}
