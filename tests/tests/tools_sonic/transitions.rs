//! From one random configuration to another, on daemons that do things as late and in as odd an order as they could.

use std::collections::BTreeMap;

use leafwall_delta::config_db::{Change, Plan, json_patch};
use leafwall_render::config_db::ConfigDb;
use leafwall_tests::random::Random;
use leafwall_tests::sonic_daemons::Daemons;
use leafwall_tests::sonic_fabric::{FOREIGN, shared, switches};

use super::yang::Yang;

/// Follows a plan. Daemons do nothing that a condition does not wait for, and then in any order.
pub fn follow(plan: &Plan, daemons: &mut Daemons, random: &mut Random, models: Option<&Yang>, what: &str) {
    for operation in &plan.operations {
        while let Some(missing) = operation.when.iter().find(|condition| !daemons.holds(condition)) {
            let missing = missing.to_string();
            assert!(daemons.step(random), "{what}: {operation}: nobody makes it so that {missing}");
        }
        assert!(daemons.faults.is_empty(), "{what}: before {operation}: {:?}", daemons.faults);
        daemons.write(&operation.write);
        if let Some(models) = models {
            let now = ConfigDb::from_hashes(daemons.config.iter().map(|(name, hash)| (name.as_str(), hash)));
            models.check(&now).unwrap_or_else(|error| panic!("{what}: after {operation}: {error}"));
        }
    }
    daemons.settle(random);
    assert!(daemons.faults.is_empty(), "{what}: {:?}", daemons.faults);
    for condition in &plan.settled {
        assert!(daemons.holds(condition), "{what}: in the end {condition} does not hold");
    }
}

/// A database without what stays as it was where intents say nothing of it.
fn said_anew(database: &ConfigDb) -> ConfigDb {
    let mut database = database.clone();
    for table in ["FEATURE", "MGMT_PORT", "MGMT_INTERFACE", "MGMT_VRF_CONFIG", "NTP", "NTP_SERVER", "DNS_NAMESERVER", "SYSLOG_SERVER"] {
        database.tables.remove(table);
    }
    for port in database.tables.get_mut("PORT").into_iter().flat_map(BTreeMap::values_mut) {
        port.fields.remove("fec");
    }
    database
}

/// Applies a patch (RFC 6902) of the operations that ours has.
fn patched(database: &ConfigDb, patch: &str) -> ConfigDb {
    let mut document = serde_json::to_value(database).unwrap();
    for operation in serde_json::from_str::<Vec<serde_json::Value>>(patch).unwrap() {
        let path = operation["path"].as_str().unwrap();
        let (parent, last) = path.rsplit_once('/').unwrap();
        let last = last.replace("~1", "/").replace("~0", "~");
        let parent = document.pointer_mut(parent).unwrap().as_object_mut().unwrap();
        match operation["op"].as_str().unwrap() {
            "add" => assert!(parent.insert(last, operation["value"].clone()).is_none(), "{path} was there"),
            "replace" => assert!(parent.insert(last, operation["value"].clone()).is_some(), "{path} was not there"),
            "remove" => assert!(parent.remove(&last).is_some(), "{path} was not there"),
            other => panic!("{other}"),
        }
    }
    ConfigDb::parse(&document.to_string()).unwrap()
}

/// There and back between two fabrics' switches; how many operations that took.
pub fn there_and_back(random: &mut Random, models: Option<&Yang>) -> usize {
    let (before, after) = (switches(random), switches(random));
    let mut operations = 0;
    for (device, old) in &before {
        let Some(wanted) = after.get(device) else { continue };
        let running = shared(old);
        let mut daemons = Daemons::default();
        follow(&Plan::between(&ConfigDb::default(), &running), &mut daemons, random, None, &format!("{device}: from nothing"));
        assert_eq!(daemons.config, running.to_hashes(), "{device}");

        let change = Change::between(&running, wanted).unwrap_or_else(|refusal| panic!("{device}: {refusal}"));
        let foreign = ConfigDb::parse(FOREIGN).unwrap();
        for operation in change.forward.operations.iter().chain(&change.inverse.operations) {
            let (table, key) = (&operation.write.table, &operation.write.key);
            assert!(key == "localhost" || foreign.row(table, key).is_none(), "{device}: {operation} is a write into somebody else's row");
        }
        follow(&change.forward, &mut daemons, random, models, &format!("{device}: there"));
        assert_eq!(daemons.config, change.target.to_hashes(), "{device}: not what was to be there");
        assert_eq!(said_anew(&change.target), said_anew(&shared(wanted)), "{device}: not what is wanted beside what is theirs");
        assert_eq!(
            patched(&running, &json_patch(&running, &change.target).unwrap()),
            change.target,
            "{device}: the patch gives something else"
        );
        assert!(Change::between(&change.target, wanted).unwrap().forward.is_empty(), "{device}: a second pass has something to do");

        follow(&change.inverse, &mut daemons, random, models, &format!("{device}: back"));
        assert_eq!(daemons.config, running.to_hashes(), "{device}: rolled back, it is not what it was");
        operations += change.forward.operations.len() + change.inverse.operations.len();
    }
    operations
}
