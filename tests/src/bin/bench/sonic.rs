//! One tenant more on a SONiC switch: the change of its CONFIG_DB planned, with the way back.

use std::time::Instant;

use leafwall_delta::config_db::Change;
use leafwall_render::CONFIG_DB_JSON;
use leafwall_render::config_db::ConfigDb;
use leafwall_tests::rendered::rendered_files;
use leafwall_tests::sonic_fabric::tenants_at_exit;

use crate::CHANGES;

fn database(tenants: usize) -> ConfigDb {
    let rendered = rendered_files(tenants_at_exit(tenants));
    let exit = rendered.devices.iter().find(|(name, _)| name.as_str() == "exit-01").unwrap().1;
    ConfigDb::parse(&exit.files[CONFIG_DB_JSON]).unwrap()
}

pub fn measure(tenants: usize) {
    let (running, wanted) = (database(tenants), database(tenants + 1));
    let mut operations = 0;
    let mut times: Vec<f64> = (0..CHANGES)
        .map(|_| {
            let start = Instant::now();
            let change = Change::between(&running, &wanted).unwrap();
            operations = change.forward.operations.len();
            start.elapsed().as_secs_f64() * 1e3
        })
        .collect();
    times.sort_by(f64::total_cmp);
    println!("{{\"plan_ms\": {:.3}, \"operations\": {operations}, \"rows\": {}}}", times[CHANGES / 2], running.rows().count());
}
