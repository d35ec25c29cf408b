//! SONiC's backend on a real Redis, with a stand-in for SONiC's daemons behind it.
#![allow(clippy::unwrap_used, clippy::disallowed_methods)] // tests may fail, and read files

#[path = "tools_redis/agents.rs"]
mod agents;
#[path = "tools_redis/faults.rs"]
mod faults;
#[path = "tools_redis/transaction.rs"]
mod transaction;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use leafwall_agent::frr::Frr;
use leafwall_agent::nftables::Memory;
use leafwall_agent::once::{Options, compare, once};
use leafwall_agent::report::{Backend, Report};
use leafwall_agent::sonic::Sonic;
use leafwall_agent::sonic::change::Changing;
use leafwall_agent::sonic::redis::CONFIG_DB;
use leafwall_delta::config_db::Phase;
use leafwall_render::CONFIG_DB_JSON;
use leafwall_render::config_db::{ConfigDb, table};
use leafwall_tests::random::Random;
use leafwall_tests::redis_server::{RedisServer, is_installed};
use leafwall_tests::rendered::{all_golden_fabrics, rendered};
use leafwall_tests::skip;
use leafwall_tests::sonic_fabric::{databases, shared, switches};
use leafwall_tests::sonic_stand_in::{Manners, StandIn};

/// How many transitions, each of some switches, there and back.
const TRANSITIONS: u64 = 3;
/// So long that a stand-in does what it does.
const PATIENCE: Duration = Duration::from_secs(20);
const ALL: &[Phase] = &[Phase::Prepare, Phase::Shut, Phase::Remove, Phase::Update, Phase::Add, Phase::Open];

fn redis(test: &str) -> bool {
    let there = is_installed();
    if !there {
        skip(test, "redis-server is not installed");
    }
    there
}

/// A switch: Redis, somebody behind it, and what an agent is told of it.
struct Switch {
    stand_in: StandIn,
    server: RedisServer,
}

impl Switch {
    fn start(test: &str, database: &ConfigDb) -> Self {
        let server = RedisServer::start(test);
        server.load(database);
        let stand_in = StandIn::start(&server, Random::from_environment(8));
        assert_eq!(stand_in.faults(), [""; 0], "{test}: at the start");
        Self { stand_in, server }
    }

    fn saved(&self) -> PathBuf {
        self.server.directory().join("config_db.json")
    }

    fn sonic(&self) -> Sonic {
        Sonic { address: self.server.address(), saved: self.saved() }
    }

    fn options(&self, timeout: Duration) -> Options {
        let (frr, filters) = (Frr::default(), Memory::default());
        Options { frr, timeout, secrets: None, cluster: None, filters, sonic: self.sonic() }
    }

    /// A directory of artefacts that say this and nothing of routing.
    fn artefacts(&self, name: &str, database: &ConfigDb) -> PathBuf {
        let directory = self.server.directory().join(name);
        std::fs::create_dir_all(&directory).unwrap();
        std::fs::write(directory.join(CONFIG_DB_JSON), database.print().unwrap()).unwrap();
        directory
    }

    fn once(&self, directory: &Path, timeout: Duration) -> Report {
        wait(once(directory, &self.options(timeout))).unwrap()
    }

    fn compare(&self, directory: &Path) -> Report {
        wait(compare(directory, &self.options(PATIENCE), &Backend::ALL.into())).unwrap()
    }

    fn is_whole(&self) {
        self.stand_in.idle();
        assert_eq!(self.stand_in.faults(), [""; 0]);
    }
}

fn wait<T>(work: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(work)
}

/// A leaf of the golden fabric with SONiC on all switches.
fn leaf() -> ConfigDb {
    let (_, path) = all_golden_fabrics().into_iter().find(|(name, _)| *name == "sonic").unwrap();
    databases(&rendered(&path)).into_iter().find(|(name, _)| name == "leaf-01").unwrap().1
}

/// A switch as it comes: itself and its ports.
fn bare(full: &ConfigDb) -> ConfigDb {
    let mut bare = full.clone();
    bare.tables.retain(|table, _| table == table::PORT || table == table::DEVICE_METADATA);
    bare
}

#[test]
fn a_switch_is_made_what_its_artefacts_say_and_again_is_nothing() {
    if !redis("a_switch_is_made_what_its_artefacts_say_and_again_is_nothing") {
        return;
    }
    let full = leaf();
    let running = shared(&bare(&full));
    let switch = Switch::start("once", &running);
    let directory = switch.artefacts("full", &full);
    assert!(!switch.compare(&directory).is_equal());
    assert_eq!(switch.server.config(), running, "a look changes nothing");
    let report = switch.once(&directory, PATIENCE);
    assert!(report.is_equal() && report.warnings.is_empty(), "{report}");
    assert_eq!(switch.server.config(), shared(&full));
    switch.is_whole();
    let again = switch.once(&directory, PATIENCE);
    assert!(again.is_equal() && again.steps.is_empty(), "{again}");
    assert!(!switch.saved().exists(), "what nobody confirmed is not what it starts with");
    // and back to nothing, which leaves ports and what is others'
    let nothing = switch.artefacts("nothing", &ConfigDb::default());
    let report = switch.once(&nothing, PATIENCE);
    assert!(report.is_equal(), "{report}");
    switch.is_whole();
    let left = switch.server.config();
    assert_eq!(left.tables[table::PORT].len(), full.tables[table::PORT].len());
    assert!(left.row(table::VRF, "VrfBlue").is_some() && left.row("ACL_TABLE", "THEIRS").is_some());
    assert!(left.rows().all(|(table, key, _)| table != table::VXLAN_TUNNEL_MAP && !key.contains("Vrf2")), "{left:?}");
}

/// H10, H11, H12: whatever daemons are at when, no order of writes is one that they do not survive; and back it is what it was.
#[test]
fn random_transitions_are_survived_and_undone() {
    if !redis("random_transitions_are_survived_and_undone") {
        return;
    }
    let mut random = Random::from_environment(6);
    let count = std::env::var("LEAFWALL_SONIC_TRANSITIONS").ok().and_then(|text| text.parse().ok()).unwrap_or(TRANSITIONS);
    let mut operations = 0;
    for _ in 0..count {
        let (before, after): (BTreeMap<_, _>, BTreeMap<_, _>) = (switches(&mut random), switches(&mut random));
        for (device, old) in &before {
            let Some(wanted) = after.get(device) else { continue };
            let running = shared(old);
            let switch = Switch::start("transition", &running);
            switch.stand_in.behave(Manners { delay: Duration::from_micros(300), ..Manners::default() });
            let mut done = Vec::new();
            wait(async {
                let begun = Changing::begin(&switch.sonic(), wanted, PATIENCE).await.unwrap();
                let Some((mut changing, unsettled)) = begun else { return };
                assert!(unsettled.is_none(), "{device}: {unsettled:?}");
                changing.advance(ALL, &mut done).await.unwrap_or_else(|(step, setback)| panic!("{device}: {step}: {setback}"));
                changing.settle().await.unwrap_or_else(|setback| panic!("{device}: {setback}"));
                let differences = switch.sonic().differences(wanted).await.unwrap();
                assert!(differences.is_empty(), "{device}: {differences:#?}");
                switch.is_whole();
                changing.undo(&mut done).await.unwrap_or_else(|error| panic!("{device}: {error}"));
            });
            assert_eq!(switch.server.config(), running, "{device}: taken back, it is not what it was");
            switch.is_whole();
            operations += done.len();
        }
    }
    println!("{count} transitions, {operations} operations on Redis");
    assert!(operations > 50, "{operations} operations: nothing was tried");
}
