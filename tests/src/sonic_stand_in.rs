//! A stand-in for SONiC's manager daemons on a real Redis: hears of CONFIG_DB, and writes STATE_DB, APPL_DB and ASIC_DB as [`Daemons`] would, late, in an odd order,
//! or not at all. It is no SONiC: what it knows is what [`crate::sonic_daemons`] says.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use leafwall_agent::sonic::redis::CONFIG_DB;
use leafwall_delta::config_db::Plan;
use leafwall_render::config_db::ConfigDb;
use redis::{Commands, Connection};

use crate::random::Random;
use crate::redis_server::{RedisServer, connect, try_rows};
use crate::sonic_daemons::{Daemons, Rows};

/// How long it listens before it looks whether it is to end, or to go on after a silence.
const LISTEN: Duration = Duration::from_millis(5);

/// How it behaves.
#[derive(Debug, Clone, Default)]
pub struct Manners {
    /// Before each thing that a daemon does.
    pub delay: Duration,
    /// Daemons do nothing any more after so many things.
    pub silent_after: Option<usize>,
    /// Tables of which a daemon never hears again.
    pub deaf_to: BTreeSet<String>,
}

#[derive(Debug, Default)]
struct Shared {
    manners: Manners,
    ends: bool,
    done: usize,
    faults: Vec<String>,
    is_idle: bool,
}

/// One that runs until it is dropped.
#[derive(Debug)]
pub struct StandIn {
    shared: Arc<Mutex<Shared>>,
    thread: Option<JoinHandle<()>>,
}

fn locked(shared: &Mutex<Shared>) -> MutexGuard<'_, Shared> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

impl StandIn {
    /// Starts one that is done with what CONFIG_DB says already.
    pub fn start(server: &RedisServer, random: Random) -> Self {
        let shared = Arc::new(Mutex::new(Shared::default()));
        let (socket, theirs) = (server.socket(), shared.clone());
        let thread = std::thread::spawn(move || run(&socket, &theirs, random));
        let stand_in = Self { shared, thread: Some(thread) };
        stand_in.idle();
        stand_in
    }

    /// How it behaves from now on.
    pub fn behave(&self, manners: Manners) {
        let mut shared = locked(&self.shared);
        (shared.manners, shared.done, shared.is_idle) = (manners, 0, false);
    }

    /// What its daemons did not survive.
    pub fn faults(&self) -> Vec<String> {
        locked(&self.shared).faults.clone()
    }

    /// How much its daemons did since it was told how to behave.
    pub fn done(&self) -> usize {
        locked(&self.shared).done
    }

    /// Waits until it has nothing to do.
    pub fn idle(&self) {
        locked(&self.shared).is_idle = false;
        for _ in 0..2000 {
            std::thread::sleep(LISTEN);
            if locked(&self.shared).is_idle {
                return;
            }
        }
        panic!("the stand-in is busy for ever");
    }
}

impl Drop for StandIn {
    fn drop(&mut self) {
        locked(&self.shared).ends = true;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// Until it is to end; Redis may go away and come back meanwhile.
fn run(socket: &Path, shared: &Mutex<Shared>, mut random: Random) {
    let mut daemons = Daemons::default();
    while !locked(shared).ends {
        if attend(socket, shared, &mut daemons, &mut random).is_err() {
            std::thread::sleep(LISTEN);
        }
    }
}

fn attend(socket: &Path, shared: &Mutex<Shared>, daemons: &mut Daemons, random: &mut Random) -> redis::RedisResult<()> {
    let mut ears = connect(socket, CONFIG_DB)?;
    let mut ears = ears.as_pubsub();
    ears.psubscribe(format!("__keyspace@{CONFIG_DB}__:*"))?;
    ears.set_read_timeout(Some(LISTEN))?;
    let mut config = connect(socket, CONFIG_DB)?;
    let mut hands = Hands::new(socket)?;
    let now = try_rows(&mut config)?;
    if daemons.config.is_empty() {
        // what is there when they start they take in an order that they survive: it was not written just now
        let database = ConfigDb::from_hashes(now.iter().map(|(name, hash)| (name.as_str(), hash)));
        for operation in Plan::between(&ConfigDb::default(), &database).operations {
            daemons.write(&operation.write);
            daemons.settle(random);
        }
        hands.write(daemons)?;
    }
    // what changed while nobody listened
    let names: BTreeSet<String> = now.keys().chain(daemons.config.keys()).cloned().collect();
    for name in names.into_iter().filter(|name| now.get(name) != daemons.config.get(name)).collect::<Vec<_>>() {
        daemons.told(&name, now.get(&name).cloned());
    }
    loop {
        let manners = {
            let shared = locked(shared);
            if shared.ends {
                return Ok(());
            }
            shared.manners.clone()
        };
        let mut quiet = true;
        let is_silent = |shared: &Shared| manners.silent_after.is_some_and(|after| shared.done >= after) || !shared.faults.is_empty();
        while !is_silent(&locked(shared)) {
            if !manners.delay.is_zero() {
                std::thread::sleep(manners.delay);
            }
            if !daemons.step(random) {
                break;
            }
            quiet = false;
            {
                let mut shared = locked(shared);
                shared.done += 1;
                shared.faults.clone_from(&daemons.faults);
            }
            if !manners.delay.is_zero() {
                hands.write(daemons)?;
            }
        }
        hands.write(daemons)?;
        match ears.get_message() {
            Ok(message) => {
                quiet = false;
                let channel = message.get_channel_name();
                let Some((table, _)) = channel.split_once("__:").and_then(|(_, name)| name.split_once('|')) else { continue };
                if manners.deaf_to.contains(table) {
                    continue;
                }
                let name = channel.split_once("__:").map_or("", |(_, name)| name);
                let row: BTreeMap<String, String> = config.hgetall(name)?;
                daemons.told(name, (!row.is_empty()).then_some(row));
            }
            Err(error) if error.is_timeout() => {}
            Err(error) => return Err(error),
        }
        locked(shared).is_idle = quiet;
    }
}

/// What writes the databases.
struct Hands {
    connections: BTreeMap<u8, Connection>,
    /// What is there of the daemons'.
    written: BTreeMap<u8, Rows>,
}

impl Hands {
    /// With what is in the databases.
    fn new(socket: &Path) -> redis::RedisResult<Self> {
        let mut hands = Self { connections: BTreeMap::new(), written: BTreeMap::new() };
        for (database, _) in Daemons::default().written() {
            let mut connection = connect(socket, database)?;
            let mut rows = try_rows(&mut connection)?;
            // ports' links and neighbours are not the daemons'
            rows.retain(|name, _| !name.starts_with("PORT_TABLE:") && !name.starts_with("LLDP_ENTRY_TABLE:"));
            hands.written.insert(database, rows);
            hands.connections.insert(database, connection);
        }
        Ok(hands)
    }

    fn write(&mut self, daemons: &Daemons) -> redis::RedisResult<()> {
        for (database, wanted) in daemons.written() {
            let (Some(connection), Some(written)) = (self.connections.get_mut(&database), self.written.get_mut(&database)) else {
                continue;
            };
            let gone: Vec<String> = written.keys().filter(|name| !wanted.contains_key(*name)).cloned().collect();
            for name in gone {
                connection.del::<_, ()>(&name)?;
                written.remove(&name);
            }
            for (name, row) in wanted.iter().filter(|(name, row)| written.get(*name) != Some(row)).collect::<Vec<_>>() {
                redis::pipe().atomic().del(name).hset_multiple(name, &row.iter().collect::<Vec<_>>()).query::<()>(connection)?;
                written.insert(name.clone(), row.clone());
            }
        }
        Ok(())
    }
}
