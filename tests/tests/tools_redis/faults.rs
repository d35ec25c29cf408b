//! What goes wrong, and what is there then.

use std::time::{Duration, Instant};

use leafwall_agent::once::{check, once};
use leafwall_agent::report::{DifferenceKind, Report};
use leafwall_agent::sonic::change::Changing;
use leafwall_agent::sonic::redis::CONFIG_DB;
use leafwall_render::config_db::{ConfigDb, Row, table};
use leafwall_tests::random::Random;
use leafwall_tests::redis_server::RedisServer;
use leafwall_tests::sonic_fabric::shared;
use leafwall_tests::sonic_stand_in::{Manners, StandIn};
use redis::Commands;

use super::{ALL, PATIENCE, Switch, bare, leaf, redis, wait};

/// How long is waited for what does not come.
const SOON: Duration = Duration::from_secs(1);

fn silent_after(steps: usize) -> Manners {
    Manners { silent_after: Some(steps), ..Manners::default() }
}

fn errors(report: &Report) -> String {
    report.steps.iter().filter_map(|step| step.error.as_ref().map(|error| format!("{}: {error}", step.step))).collect::<Vec<_>>().join("\n")
}

#[test]
fn h12_what_never_comes_is_named_and_everything_taken_back() {
    if !redis("h12_what_never_comes_is_named_and_everything_taken_back") {
        return;
    }
    let full = leaf();
    let running = shared(&bare(&full));
    let switch = Switch::start("silent", &running);
    let directory = switch.artefacts("full", &full);
    switch.stand_in.behave(silent_after(0));
    let report = switch.once(&directory, SOON);
    assert!(!report.is_equal());
    assert!(errors(&report).contains("not seen within 1 s: STATE_DB has VRF_"), "{report}");
    assert!(report.warnings.iter().any(|warning| warning.starts_with("the change is taken back: not seen")), "{report}");
    assert_eq!(switch.server.config(), running, "{report}");
    // one daemon that lost a write
    switch.stand_in.behave(Manners { deaf_to: ["VLAN".to_owned()].into(), ..Manners::default() });
    switch.stand_in.idle();
    let report = switch.once(&directory, SOON);
    assert!(errors(&report).contains("STATE_DB has VLAN_TABLE|Vlan"), "{report}");
    assert_eq!(switch.server.config(), running, "{report}");
    switch.stand_in.behave(Manners::default());
    let report = switch.once(&directory, PATIENCE);
    assert!(report.is_equal(), "{report}");
    switch.is_whole();
}

/// Daemons that stop in the middle of a change: what could not be taken back without them waits for them, is said, and is taken up again.
#[test]
fn h17_daemons_that_stop_half_way() {
    if !redis("h17_daemons_that_stop_half_way") {
        return;
    }
    let full = leaf();
    let running = shared(&bare(&full));
    let (mut stuck, mut back) = (0, 0);
    for steps in [3, 12, 20, 28] {
        let switch = Switch::start("half-way", &running);
        let directory = switch.artefacts("full", &full);
        switch.stand_in.behave(silent_after(steps));
        let report = switch.once(&directory, SOON);
        assert!(!report.is_equal() && errors(&report).contains("not seen within"), "{steps}: {report}");
        if switch.server.config() == running {
            back += 1;
        } else {
            stuck += 1;
            assert!(errors(&report).contains("can't take back what was written"), "{steps}: {report}");
        }
        switch.stand_in.behave(Manners::default());
        let report = switch.once(&directory, PATIENCE);
        assert!(report.is_equal(), "{steps}: {report}");
        switch.is_whole();
        assert_eq!(switch.server.config(), shared(&full), "{steps}");
    }
    println!("daemons that stopped half way: {back} changes taken back, {stuck} waited for them");
    assert!(back > 0 && stuck > 0);
}

/// What somebody wrote just before is waited for: daemons that still have it before them could meet it and the change in any order.
#[test]
fn h17_what_is_on_its_way_is_waited_for() {
    if !redis("h17_what_is_on_its_way_is_waited_for") {
        return;
    }
    let bare = bare(&leaf());
    let switch = Switch::start("on-its-way", &bare);
    switch.stand_in.behave(silent_after(0));
    switch.server.connection(CONFIG_DB).hset::<_, _, _, ()>("VRF|Vrf9", "NULL", "NULL").unwrap();
    let begin = |timeout| wait(async { Changing::begin(&switch.sonic(), &bare, timeout).await.unwrap().unwrap().1 });
    let unsettled = begin(Duration::from_millis(200)).unwrap().to_string();
    assert!(unsettled.contains("STATE_DB has VRF_TABLE|Vrf9 state=ok"), "{unsettled}");
    switch.stand_in.behave(Manners { delay: Duration::from_millis(50), ..Manners::default() });
    assert!(begin(PATIENCE).is_none());
    assert!(leafwall_tests::redis_server::rows(&mut switch.server.connection(6)).contains_key("VRF_OBJECT_TABLE|Vrf9"));
}

/// The stand-in can tell on Redis, too.
#[test]
fn h11_h12_haste_is_not_survived() {
    if !redis("h11_h12_haste_is_not_survived") {
        return;
    }
    let (full, bare) = (leaf(), bare(&leaf()));
    let mut faults = String::new();
    for seed in 0..12 {
        let (from, to) = if seed % 2 == 0 { (&bare, &full) } else { (&full, &bare) };
        let server = RedisServer::start("haste");
        server.load(from);
        let stand_in = StandIn::start(&server, Random::new(seed));
        assert_eq!(stand_in.faults(), [""; 0]);
        server.load(to);
        stand_in.idle();
        faults += &(stand_in.faults().join("\n") + "\n");
    }
    for hazard in ["(H12)", "(H11)"] {
        assert!(faults.contains(hazard), "{hazard} is not among\n{faults}");
    }
}

#[test]
fn h17_redis_restarted_in_the_midst() {
    if !redis("h17_redis_restarted_in_the_midst") {
        return;
    }
    let full = leaf();
    let running = shared(&bare(&full));
    let mut switch = Switch::start("restart", &running);
    let directory = switch.artefacts("full", &full);
    switch.stand_in.behave(Manners { delay: Duration::from_millis(4), ..Manners::default() });
    let options = switch.options(PATIENCE);
    let agent = std::thread::spawn(move || wait(once(&directory, &options)).unwrap());
    let start = Instant::now();
    while switch.stand_in.done() < 10 {
        assert!(start.elapsed() < PATIENCE, "nothing is done");
        std::thread::sleep(Duration::from_millis(1));
    }
    switch.server.kill();
    assert!(!agent.is_finished());
    switch.server.again();
    let report = agent.join().unwrap();
    assert!(!report.is_equal(), "{report}");
    assert!(report.warnings.iter().any(|warning| warning.starts_with("the change is taken back")), "{report}");
    assert_eq!(switch.server.config(), running, "{report}");
    switch.stand_in.behave(Manners::default());
    let report = switch.once(&switch.artefacts("full", &full), PATIENCE);
    assert!(report.is_equal(), "{report}");
    switch.is_whole();
}

/// H25: whatever others write meanwhile, before and after, stays.
#[test]
fn h25_what_others_write_during_a_change_stays() {
    if !redis("h25_what_others_write_during_a_change_stays") {
        return;
    }
    let full = leaf();
    let running = shared(&bare(&full));
    let switch = Switch::start("foreign", &running);
    let mut done = Vec::new();
    wait(async {
        let (mut changing, _) = Changing::begin(&switch.sonic(), &full, PATIENCE).await.unwrap().unwrap();
        changing.advance(ALL, &mut done).await.map_err(|(step, setback)| format!("{step}: {setback}")).unwrap();
        let mut others = switch.server.connection(CONFIG_DB);
        others.hset::<_, _, _, ()>("ACL_TABLE|LATER", "type", "L3").unwrap();
        others.del::<_, ()>("SYSLOG_CONFIG|GLOBAL").unwrap();
        changing.undo(&mut done).await.unwrap();
    });
    let mut expected = running;
    expected.insert("ACL_TABLE", "LATER", Row::default().with("type", "L3"));
    expected.remove("SYSLOG_CONFIG", "GLOBAL").unwrap();
    assert_eq!(switch.server.config(), expected);
    // and what stands where ours is to be is not touched
    let mut theirs = shared(&bare(&full));
    let vlan = full.tables[table::VLAN].keys().next().unwrap();
    theirs.insert(table::VLAN, vlan, Row::default().with("vlanid", vlan.trim_start_matches("Vlan")));
    switch.server.load(&theirs);
    let directory = switch.artefacts("full", &full);
    let options = switch.options(SOON);
    let refused = wait(check(&directory, &options, &leafwall_agent::report::Backend::ALL.into())).unwrap_err().to_string();
    assert_eq!(refused, format!("CONFIG_DB can't be changed: VLAN|{vlan} is somebody else's"));
    assert_eq!(wait(once(&directory, &options)).unwrap_err().to_string(), refused);
    assert_eq!(switch.server.config(), theirs);
    let differences = switch.compare(&directory).differences;
    assert!(differences.iter().any(|difference| difference.kind == DifferenceKind::Foreign && difference.what.contains(vlan.as_str())));
}

/// Bytes out of Redis are anybody's.
#[test]
fn strange_databases_are_errors_that_say_why() {
    if !redis("strange_databases_are_errors_that_say_why") {
        return;
    }
    let full = leaf();
    let running = shared(&bare(&full));
    let switch = Switch::start("strange", &running);
    let directory = switch.artefacts("full", &full);
    let failed = |timeout| {
        let error = wait(once(&directory, &switch.options(timeout))).unwrap_err();
        leafwall_topology::chain(&error)
    };
    let mut connection = switch.server.connection(CONFIG_DB);
    connection.hset::<_, _, _, ()>("VRF|Vrf9", "vni", b"\xff\xfe".as_slice()).unwrap();
    assert_eq!(failed(SOON), "`VRF|Vrf9` of database 4 is no text");
    connection.del::<_, ()>("VRF|Vrf9").unwrap();
    connection.hset::<_, _, _, ()>(b"VRF|\xff".as_slice(), "vni", "1").unwrap();
    assert!(failed(SOON).contains("of database 4 is no text"), "{}", failed(SOON));
    connection.del::<_, ()>(b"VRF|\xff".as_slice()).unwrap();
    // what is no hash is no row
    connection.set::<_, _, ()>("SOME|TEXT", "x").unwrap();
    // a database that is only half there is not taken for what it says
    switch.server.initialized(false);
    assert_eq!(failed(Duration::from_millis(100)), "CONFIG_DB is still being loaded: CONFIG_DB_INITIALIZED is not 1");
    assert_eq!(switch.server.config(), running);
    let (address, options) = (switch.server.socket(), switch.options(PATIENCE));
    let loading = std::thread::spawn({
        let directory = directory.clone();
        move || wait(once(&directory, &options)).unwrap()
    });
    std::thread::sleep(Duration::from_millis(50));
    assert!(!loading.is_finished(), "it is waited for at {}", address.display());
    switch.server.initialized(true);
    let report = loading.join().unwrap();
    assert!(report.is_equal(), "{report}");
    assert_eq!(connection.get::<_, String>("SOME|TEXT").unwrap(), "x");
    switch.is_whole();
    // one that tells nothing: waiting would be for nothing
    redis::cmd("CONFIG").arg("SET").arg("notify-keyspace-events").arg("KE$").exec(&mut connection).unwrap();
    let nothing = switch.artefacts("nothing", &ConfigDb::default());
    let error = leafwall_topology::chain(&wait(once(&nothing, &switch.options(SOON))).unwrap_err());
    assert!(error.starts_with("Redis does not tell of changes"), "{error}");
    // and none at all
    let address = leafwall_agent::sonic::redis::Address::Socket("/nonexistent/redis.sock".into());
    let options =
        leafwall_agent::once::Options { sonic: leafwall_agent::sonic::Sonic { address, ..switch.sonic() }, ..switch.options(SOON) };
    let error = leafwall_topology::chain(&wait(once(&nothing, &options)).unwrap_err());
    assert!(error.starts_with("can't reach SONiC's databases at `/nonexistent/redis.sock`: "), "{error}");
}
