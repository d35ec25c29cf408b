//! What differs between the running CONFIG_DB and the wanted one. Pure.

use leafwall_render::config_db::{ConfigDb, Hash, target};

use crate::report::{Backend, Difference};

/// What differs in rows and fields that are ours, and where somebody else's stand in the way.
pub fn differences(running: &ConfigDb, wanted: &ConfigDb) -> Vec<Difference> {
    let target = match target(running, wanted) {
        Ok(target) => target,
        Err(clashes) => return clashes.iter().map(|clash| Difference::foreign(Backend::Sonic, clash.to_string())).collect(),
    };
    between(running, &target, "CONFIG_DB")
}

/// What differs between two whole databases, whoever owns what.
pub fn between(found: &ConfigDb, target: &ConfigDb, of: &str) -> Vec<Difference> {
    let name = |table: &str, key: &str| format!("{table}|{key} in {of}");
    let mut differences = Vec::new();
    for (table, key, row) in target.rows() {
        match found.row(table, key) {
            Some(there) if there == row => {}
            Some(there) => {
                let (expected, observed) = differing(&row.to_hash(), &there.to_hash());
                differences.push(Difference::changed(Backend::Sonic, name(table, key)).expected(expected).observed(observed));
            }
            None => differences.push(Difference::missing(Backend::Sonic, name(table, key))),
        }
    }
    let surplus = found.rows().filter(|(table, key, _)| target.row(table, key).is_none());
    differences.extend(surplus.map(|(table, key, _)| Difference::surplus(Backend::Sonic, name(table, key))));
    differences
}

/// The fields of each that the other has not, or has otherwise.
fn differing(wanted: &Hash, found: &Hash) -> (String, String) {
    let only = |one: &Hash, other: &Hash| {
        let fields: Vec<String> =
            one.iter().filter(|(field, value)| other.get(*field) != Some(value)).map(|(field, value)| format!("{field}={value}")).collect();
        if fields.is_empty() { "nothing".to_owned() } else { fields.join(" ").escape_debug().to_string() }
    };
    (only(wanted, found), only(found, wanted))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(running: &str, wanted: &str) -> Vec<String> {
        let found = differences(&ConfigDb::parse(running).unwrap(), &ConfigDb::parse(wanted).unwrap());
        found.iter().map(|difference| difference.to_string().split_whitespace().collect::<Vec<_>>().join(" ")).collect()
    }

    #[test]
    fn ours_is_missing_changed_or_too_much_and_theirs_is_nothing() {
        let wanted = r#"{"VRF": {"Vrf5": {"vni": "5"}, "Vrf6": {"vni": "6"}}, "PORT": {"Ethernet0": {"lanes": "1", "mtu": "9000"}}}"#;
        let running = r#"{"VRF": {"Vrf5": {}, "Vrf7": {"vni": "7"}, "VrfBlue": {}}, "PORT": {"Ethernet0": {"lanes": "1", "mtu": "1500", "theirs": "x"}},
                          "ACL_TABLE": {"THEIRS": {"type": "L3"}}}"#;
        assert_eq!(
            texts(running, wanted),
            [
                "changed sonic PORT|Ethernet0 in CONFIG_DB, expected mtu=9000, observed mtu=1500",
                "changed sonic VRF|Vrf5 in CONFIG_DB, expected vni=5, observed NULL=NULL",
                "missing sonic VRF|Vrf6 in CONFIG_DB",
                "changed sonic VRF|Vrf7 in CONFIG_DB, expected nothing",
            ]
        );
        assert_eq!(texts(wanted, wanted), [""; 0]);
    }

    #[test]
    fn theirs_in_the_way_is_foreign() {
        let found = texts(r#"{"VLAN": {"Vlan7": {"vlanid": "7"}}}"#, r#"{"VLAN": {"Vlan7": {"vlanid": "7", "description": "leafwall"}}}"#);
        assert_eq!(found, ["foreign sonic VLAN|Vlan7 is somebody else's"]);
    }
}
