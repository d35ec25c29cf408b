//! A Redis of a test's own, as SONiC has it: databases by number, keyspace events. It listens on a socket in a directory of its own and nowhere else.

use std::collections::{BTreeMap, HashMap};
use std::os::unix::fs::chown;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use leafwall_agent::sonic::redis::{Address, CONFIG_DB};
use leafwall_render::config_db::{ConfigDb, Hash};
use redis::{Client, Connection, ConnectionAddr, IntoConnectionInfo, RedisConnectionInfo};

/// How long it may take to come up on a busy machine.
const PATIENCE: Duration = Duration::from_secs(20);
/// `nobody`, on every Debian.
const NOBODY: u32 = 65534;

/// A server that ends when this is dropped.
#[derive(Debug)]
pub struct RedisServer {
    directory: PathBuf,
    child: Child,
}

/// Whether there is one to start.
pub fn is_installed() -> bool {
    Command::new("redis-server").arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok_and(|status| status.success())
}

fn spawn(directory: &Path, events: &str) -> Child {
    let mut command = Command::new("redis-server");
    command.args([
        "--port",
        "0",
        "--unixsocket",
        "redis.sock",
        "--unixsocketperm",
        "700",
        "--databases",
        "16",
        "--notify-keyspace-events",
        events,
    ]);
    // what was written before it is killed is there after it is started again
    command.args(["--appendonly", "yes", "--appendfsync", "no", "--save", "", "--dir"]).arg(directory);
    command.current_dir(directory).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    if rustix::process::getuid().is_root() {
        chown(directory, Some(NOBODY), Some(NOBODY)).unwrap();
        command.uid(NOBODY).gid(NOBODY);
    }
    command.spawn().unwrap()
}

impl RedisServer {
    /// Starts one with nothing in it, which tells of all changes and has an empty CONFIG_DB that counts as loaded.
    pub fn start(test: &str) -> Self {
        let server = Self::start_telling(test, "AKE");
        server.initialized(true);
        server
    }

    /// The same with other events, and a CONFIG_DB that does not count as loaded.
    pub fn start_telling(test: &str, events: &str) -> Self {
        static NUMBER: AtomicUsize = AtomicUsize::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let directory = std::env::temp_dir().join(format!("lw-redis-{test}-{}-{number}", std::process::id()));
        let _ = std::fs::remove_dir_all(&directory);
        std::fs::create_dir_all(&directory).unwrap();
        let child = spawn(&directory, events);
        let server = Self { directory, child };
        server.wait();
        server
    }

    fn wait(&self) {
        let start = Instant::now();
        while self.try_connection(CONFIG_DB).and_then(|mut connection| redis::cmd("PING").query::<String>(&mut connection)).is_err() {
            assert!(start.elapsed() < PATIENCE, "redis-server does not come up in {}", self.directory.display());
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// Kills it; what was written stays on the disk.
    pub fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// Starts it again.
    pub fn again(&mut self) {
        let _ = std::fs::remove_file(self.socket());
        self.child = spawn(&self.directory, "AKE");
        self.wait();
    }

    /// Its directory, in which tests may have files of their own.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// Its socket.
    pub fn socket(&self) -> PathBuf {
        self.directory.join("redis.sock")
    }

    /// The same as an agent is told it.
    pub fn address(&self) -> Address {
        Address::Socket(self.socket())
    }

    /// A connection to one of its databases.
    pub fn connection(&self, database: u8) -> Connection {
        self.try_connection(database).unwrap()
    }

    fn try_connection(&self, database: u8) -> redis::RedisResult<Connection> {
        connect(&self.socket(), database)
    }

    /// Says that CONFIG_DB was loaded, or that it is not yet.
    pub fn initialized(&self, loaded: bool) {
        redis::cmd("SET").arg("CONFIG_DB_INITIALIZED").arg(u8::from(loaded)).exec(&mut self.connection(CONFIG_DB)).unwrap();
    }

    /// Makes CONFIG_DB this, row by row.
    pub fn load(&self, database: &ConfigDb) {
        let mut orders = redis::pipe();
        let mut connection = self.connection(CONFIG_DB);
        let wanted = database.to_hashes();
        for name in rows(&mut connection).into_keys().filter(|name| !wanted.contains_key(name)) {
            orders.del(name).ignore();
        }
        for (name, hash) in &wanted {
            orders.del(name).hset_multiple(name, &hash.iter().collect::<Vec<_>>()).ignore();
        }
        if !orders.is_empty() {
            orders.query::<()>(&mut connection).unwrap();
        }
    }

    /// CONFIG_DB as it is.
    pub fn config(&self) -> ConfigDb {
        let rows = rows(&mut self.connection(CONFIG_DB));
        ConfigDb::from_hashes(rows.iter().map(|(name, hash)| (name.as_str(), hash)))
    }
}

impl Drop for RedisServer {
    fn drop(&mut self) {
        self.kill();
        let _ = std::fs::remove_dir_all(&self.directory);
    }
}

/// A connection to a database behind a socket.
///
/// # Errors
/// Where nobody answers.
pub fn connect(socket: &Path, database: u8) -> redis::RedisResult<Connection> {
    let settings = RedisConnectionInfo::default().set_db(database.into()).set_skip_set_lib_name();
    Client::open(ConnectionAddr::Unix(socket.to_owned()).into_connection_info()?.set_redis_settings(settings))?.get_connection()
}

/// All hashes of a database by their names.
pub fn rows(connection: &mut Connection) -> BTreeMap<String, Hash> {
    try_rows(connection).unwrap()
}

/// The same.
///
/// # Errors
/// Where nobody answers.
pub fn try_rows(connection: &mut Connection) -> redis::RedisResult<BTreeMap<String, Hash>> {
    // more than there are: all at once
    let (_, names): (u64, Vec<String>) = redis::cmd("SCAN").arg(0).arg("COUNT").arg(1_000_000).arg("TYPE").arg("hash").query(connection)?;
    if names.is_empty() {
        return Ok(BTreeMap::new());
    }
    let mut questions = redis::pipe();
    for name in &names {
        questions.cmd("HGETALL").arg(name);
    }
    let answers: Vec<HashMap<String, String>> = questions.query(connection)?;
    Ok(names.into_iter().zip(answers.into_iter().map(|hash| hash.into_iter().collect())).collect())
}
