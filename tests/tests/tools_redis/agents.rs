//! Agents as processes: killed, started again, left alone with a switch that drifts.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use leafwall_agent::daemon::cache::Cache;
use leafwall_agent::daemon::journal::JournalFile;
use leafwall_controller::certificates::{Authority, PeerRole};
use leafwall_render::CONFIG_DB_JSON;
use leafwall_render::config_db::{ConfigDb, table};
use leafwall_rollout::device::{Journal, Kept, Pending};
use leafwall_rollout::digest::Digest;
use leafwall_rollout::message::{At, Phase};
use leafwall_rollout::revision::Generation;
use leafwall_rollout::signed::Signed;
use leafwall_tests::machine::program;
use leafwall_tests::sonic_fabric::shared;
use leafwall_tests::sonic_stand_in::Manners;
use redis::Commands;

use super::{PATIENCE, Switch, bare, leaf, redis};

/// A process that is killed when this is dropped, as `kill -9` does it.
struct Agent(Child);

impl Drop for Agent {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

pub fn agent(switch: &Switch, arguments: &[&str]) -> Command {
    let mut command = Command::new(program());
    command.arg("agent").args(arguments).arg("--redis").arg(switch.server.socket()).arg("--config-db").arg(switch.saved());
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
    command
}

fn until(what: &str, mut holds: impl FnMut() -> bool) -> Duration {
    let start = Instant::now();
    while !holds() {
        assert!(start.elapsed() < PATIENCE, "not within {} s: {what}", PATIENCE.as_secs());
        std::thread::sleep(Duration::from_millis(2));
    }
    start.elapsed()
}

fn slow(milliseconds: u64) -> Manners {
    Manners { delay: Duration::from_millis(milliseconds), ..Manners::default() }
}

/// A revision whose artefacts are one file.
fn kept(cache: &Cache, generation: u64, database: &ConfigDb) -> Kept {
    let text = database.print().unwrap();
    let at = At { generation: Generation(generation), revision: Digest::of(text.as_bytes()) };
    let files = BTreeMap::from([(CONFIG_DB_JSON.to_owned(), Digest::of(text.as_bytes()))]);
    let kept = Kept { at, files, order: Signed::from_parts(String::new(), Vec::new()) };
    cache.put(&kept, CONFIG_DB_JSON, text.as_bytes()).unwrap();
    kept
}

fn saved(path: &Path) -> Option<ConfigDb> {
    std::fs::read_to_string(path).ok().and_then(|text| ConfigDb::parse(&text).ok())
}

/// H17: killed at any time, an agent that comes again finishes what was asked of it, from wherever the switch is.
#[test]
fn h17_an_agent_that_is_killed_finishes_when_it_comes_again() {
    if !redis("h17_an_agent_that_is_killed_finishes_when_it_comes_again") {
        return;
    }
    let full = leaf();
    let switch = Switch::start("killed", &shared(&bare(&full)));
    let (there, back) = (switch.artefacts("full", &full), switch.artefacts("bare", &bare(&full)));
    for (directory, database, after) in [(&there, &full, 9), (&back, &bare(&full), 14)] {
        switch.stand_in.behave(slow(3));
        let mut killed = Agent(agent(&switch, &["--once", &directory.to_string_lossy()]).spawn().unwrap());
        until("it is in the midst", || switch.stand_in.done() >= after);
        assert!(killed.0.try_wait().unwrap().is_none(), "it was done already");
        drop(killed);
        assert_ne!(switch.server.config(), shared(database));
        let output = agent(&switch, &["--once", &directory.to_string_lossy()]).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
        assert_eq!(switch.server.config().tables.get(table::VXLAN_TUNNEL_MAP), database.tables.get(table::VXLAN_TUNNEL_MAP));
        switch.is_whole();
    }
}

/// H17, H23: a change that was on its way when everything was killed is taken back by the journal; what was confirmed is kept, saved, and put back when it drifts.
#[test]
fn h17_h23_the_journal_leads_back_and_drift_is_repaired() {
    if !redis("h17_h23_the_journal_leads_back_and_drift_is_repaired") {
        return;
    }
    let full = leaf();
    let mut more = bare(&full);
    for (table, key) in [(table::LOOPBACK_INTERFACE, "Loopback0"), (table::FEATURE, "bgp")] {
        more.insert(table, key, full.row(table, key).unwrap().clone());
    }
    let switch = Switch::start("journal", &shared(&full));
    let state = switch.server.directory().join("state");
    let identity = switch.server.directory().join("identity");
    let controller = switch.server.directory().join("controller");
    Authority::create(&controller).unwrap();
    Authority::load(&controller).unwrap().issue("leaf-01", PeerRole::Agent, None, &identity).unwrap();
    let cache = Cache::open(&state).unwrap();
    let (confirmed, pending) = (kept(&cache, 1, &full), kept(&cache, 2, &more));
    let journal = Journal {
        floor: Generation(1),
        newest: Some(pending.at),
        confirmed: Some(confirmed),
        pending: Some(Pending { kept: pending.clone(), phase: Phase::Applying, confirm_within: Some(5000) }),
    };
    JournalFile::open(&state).unwrap().save(&journal).unwrap();
    // the second revision was being made when all was killed
    switch.stand_in.behave(slow(3));
    let half = Agent(agent(&switch, &["--once", &cache.directory(&pending).to_string_lossy()]).spawn().unwrap());
    until("it is in the midst", || switch.stand_in.done() >= 12);
    drop(half);
    let start = || {
        let directories = ["--state", &state.to_string_lossy(), "--identity", &identity.to_string_lossy()].map(ToOwned::to_owned);
        let arguments = ["--controller", "https://127.0.0.1:1", "--device", "leaf-01", "--compare-every", "3600"];
        let all: Vec<&str> = arguments.into_iter().chain(directories.iter().map(String::as_str)).collect();
        Agent(agent(&switch, &all).spawn().unwrap())
    };
    // on the way back it is killed once more
    switch.stand_in.behave(slow(3));
    let first = start();
    until("it is on its way back", || switch.stand_in.done() >= 8);
    drop(first);
    switch.stand_in.behave(Manners::default());
    let _agent = start();
    let expected = shared(&full);
    until("what was confirmed is there", || switch.server.config() == expected);
    until("it is what the switch starts with", || saved(&switch.saved()).as_ref() == Some(&expected));
    until("the journal knows of nothing else", || JournalFile::open(&state).unwrap().load().unwrap().pending.is_none());
    switch.is_whole();

    // drift: noticed by the events of Redis, long before everything is compared
    let mut by_hand = switch.server.connection(super::CONFIG_DB);
    std::thread::sleep(Duration::from_secs(2));
    let port = full.tables[table::VLAN_MEMBER].keys().next().unwrap();
    let mut times = Vec::new();
    for row in [format!("VLAN_MEMBER|{port}"), "SAG|GLOBAL".to_owned()] {
        by_hand.del::<_, ()>(&row).unwrap();
        times.push((row, until("it is put back", || switch.server.config() == expected)));
        switch.is_whole();
        std::thread::sleep(Duration::from_millis(500));
    }
    by_hand.hset::<_, _, _, ()>("PORT|Ethernet0", "mtu", "1500").unwrap();
    times.push(("mtu of PORT|Ethernet0".to_owned(), until("it is put back", || switch.server.config() == expected)));
    for (what, took) in &times {
        println!("drift of {what}: repaired after {} ms", took.as_millis());
    }
    // what others write stays, and is not saved for them
    by_hand.hset::<_, _, _, ()>("ACL_TABLE|LATER", "type", "L3").unwrap();
    by_hand.hset::<_, _, _, ()>("PORT|Ethernet0", "mtu", "1400").unwrap();
    until("it is put back", || switch.server.config().row(table::PORT, "Ethernet0") == expected.row(table::PORT, "Ethernet0"));
    assert!(switch.server.config().row("ACL_TABLE", "LATER").is_some());
    assert_eq!(saved(&switch.saved()).as_ref(), Some(&expected));
    // a file that others wrote over is made good when the switch is looked at
    std::fs::write(switch.saved(), bare(&full).print().unwrap()).unwrap();
    by_hand.hset::<_, _, _, ()>("ACL_TABLE|LATER", "stage", "ingress").unwrap();
    until("it is what the switch starts with", || saved(&switch.saved()) == Some(full.clone()));
}

#[test]
fn another_end_of_a_cable_is_named() {
    if !redis("another_end_of_a_cable_is_named") {
        return;
    }
    let full = leaf();
    let switch = Switch::start("cabling", &full);
    let directory = switch.artefacts("full", &full);
    let look = || agent(&switch, &["--once", &directory.to_string_lossy(), "--dry-run"]).output().unwrap();
    std::fs::write(switch.saved(), full.print().unwrap()).unwrap();
    let output = look();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
    let mut appl = switch.server.connection(0);
    appl.hset::<_, _, _, ()>("PORT_TABLE:Ethernet124", "oper_status", "up").unwrap();
    appl.hset::<_, _, _, ()>("LLDP_ENTRY_TABLE:Ethernet124", "lldp_rem_sys_name", "spine-01").unwrap();
    let output = look();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
    appl.hset::<_, _, _, ()>("LLDP_ENTRY_TABLE:Ethernet124", "lldp_rem_sys_name", "spine-02").unwrap();
    let output = look();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(text.contains("leaf-01 Ethernet124 sees spine-02, expected spine-01\n"), "{text}");
    assert_eq!(output.status.code(), Some(1));
    appl.hset::<_, _, _, ()>("PORT_TABLE:Ethernet124", "oper_status", "down").unwrap();
    let text = String::from_utf8_lossy(&look().stdout).into_owned();
    assert!(text.contains("leaf-01 Ethernet124 is down, expected spine-01") && !text.contains("sees"), "{text}");
}
