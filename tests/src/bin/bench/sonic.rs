//! One tenant more on a SONiC switch: the change of its CONFIG_DB planned with the way back, and written to a Redis with a stand-in for SONiC's daemons behind it.

use std::time::{Duration, Instant};

use leafwall_agent::sonic::Sonic;
use leafwall_agent::sonic::change::Changing;
use leafwall_delta::config_db::{Change, Phase};
use leafwall_render::CONFIG_DB_JSON;
use leafwall_render::config_db::ConfigDb;
use leafwall_tests::random::Random;
use leafwall_tests::redis_server::RedisServer;
use leafwall_tests::rendered::rendered_files;
use leafwall_tests::sonic_fabric::tenants_at_exit;
use leafwall_tests::sonic_stand_in::StandIn;

use crate::CHANGES;

fn database(tenants: usize) -> ConfigDb {
    let rendered = rendered_files(tenants_at_exit(tenants));
    let exit = rendered.devices.iter().find(|(name, _)| name.as_str() == "exit-01").unwrap().1;
    ConfigDb::parse(&exit.files[CONFIG_DB_JSON]).unwrap()
}

fn milliseconds(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

fn median(mut times: Vec<f64>) -> f64 {
    times.sort_by(f64::total_cmp);
    times[times.len() / 2]
}

pub fn measure(tenants: usize) {
    let (running, wanted) = (database(tenants), database(tenants + 1));
    let mut operations = 0;
    let times = (0..CHANGES).map(|_| {
        let start = Instant::now();
        let change = Change::between(&running, &wanted).unwrap();
        operations = change.forward.operations.len();
        milliseconds(start.elapsed())
    });
    let plan = median(times.collect());
    println!("{{\"plan_ms\": {plan:.3}, \"operations\": {operations}, \"rows\": {}}}", running.rows().count());
}

/// There and back, again and again: what is written until daemons show it, and all of it with reading, planning and reading back.
pub fn measure_apply(tenants: usize) {
    const PATIENCE: Duration = Duration::from_mins(1);
    const ALL: &[Phase] = &[Phase::Prepare, Phase::Shut, Phase::Remove, Phase::Update, Phase::Add, Phase::Open];
    let (running, wanted) = (database(tenants), database(tenants + 1));
    let server = RedisServer::start("bench");
    server.load(&running);
    let stand_in = StandIn::start(&server, Random::new(1));
    let sonic = Sonic { address: server.address(), saved: server.directory().join("config_db.json") };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let (mut written, mut whole, mut read_back, mut operations) = (Vec::new(), Vec::new(), Vec::new(), 0);
    for change in 0..CHANGES {
        let target = if change % 2 == 0 { &wanted } else { &running };
        let start = Instant::now();
        runtime.block_on(async {
            let (mut changing, unsettled) = Changing::begin(&sonic, target, PATIENCE).await.unwrap().unwrap();
            assert!(unsettled.is_none());
            let (begun, mut done) = (Instant::now(), Vec::new());
            assert!(changing.advance(ALL, &mut done).await.is_ok());
            changing.settle().await.unwrap();
            written.push(milliseconds(begun.elapsed()));
            operations = operations.max(done.len());
            let settled = Instant::now();
            assert_eq!(sonic.differences(target).await.unwrap(), []);
            read_back.push(milliseconds(settled.elapsed()));
        });
        whole.push(milliseconds(start.elapsed()));
    }
    assert_eq!(stand_in.faults(), [""; 0]);
    println!(
        "{{\"apply_ms\": {:.3}, \"read_back_ms\": {:.3}, \"whole_ms\": {:.3}, \"operations\": {operations}, \"rows\": {}}}",
        median(written),
        median(read_back),
        median(whole),
        running.rows().count()
    );
}
