//! Any text gives a CONFIG_DB or an error; what is read is printed, goes through Redis, and is read again as the same. The way from any database to any other, applied,
//! gives that other one; and the way back gives the first.
#![no_main]

use std::collections::BTreeMap;

use leafwall_delta::config_db::{Action, Change, Plan, json_patch};
use leafwall_render::config_db::{ConfigDb, Hash, Tables};
use libfuzzer_sys::fuzz_target;

fn applied(database: &BTreeMap<String, Hash>, plan: &Plan) -> BTreeMap<String, Hash> {
    let mut rows = database.clone();
    for operation in &plan.operations {
        let name = operation.write.name();
        match &operation.write.action {
            Action::Delete => drop(rows.remove(&name)),
            Action::Put { set, unset } => {
                let row = rows.entry(name).or_default();
                row.extend(set.clone());
                row.retain(|field, _| !unset.contains(field));
            }
        }
    }
    rows
}

fuzz_target!(|text: &str| {
    // two databases: what stands before and behind the first line of dashes
    let (first, second) = text.split_once("\n---\n").unwrap_or((text, "{}"));
    let (Ok(first), Ok(second)) = (ConfigDb::parse(first), ConfigDb::parse(second)) else { return };
    assert_eq!(ConfigDb::parse(&first.print().unwrap()).unwrap(), first);
    let _ = Tables::read(&first);
    let hashes = first.to_hashes();
    let through = ConfigDb::from_hashes(hashes.iter().map(|(name, hash)| (name.as_str(), hash)));
    json_patch(&through, &second).unwrap();
    let Ok(change) = Change::between(&through, &second) else { return };
    let there = applied(&through.to_hashes(), &change.forward);
    assert_eq!(there, change.target.to_hashes());
    assert_eq!(applied(&there, &change.inverse), through.to_hashes());
});
