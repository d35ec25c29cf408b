//! SONiC's own YANG models on every CONFIG_DB that is rendered, and on every step from one to another.
#![allow(clippy::disallowed_methods)] // tests may read files

#[path = "tools_sonic/transitions.rs"]
mod transitions;
#[path = "tools_sonic/yang.rs"]
mod yang;

use std::sync::OnceLock;

use leafwall_delta::config_db::Plan;
use leafwall_render::config_db::{ConfigDb, Row, table};
use leafwall_tests::random::Random;
use leafwall_tests::rendered::{all_golden_fabrics, rendered, rendered_files};
use leafwall_tests::sonic_daemons::Daemons;
use leafwall_tests::sonic_fabric::databases;
use leafwall_tests::{reference, skip, sonic_fabric};
use yang::Yang;

/// How many random fabrics are checked where nobody asks for more.
const FABRICS: u64 = 40;
/// How many transitions, each of three or four switches, there and back.
const TRANSITIONS: u64 = 6;

/// The models, loaded once for all tests.
fn models(test: &str) -> Option<&'static Yang> {
    static MODELS: OnceLock<Option<Yang>> = OnceLock::new();
    let models = MODELS.get_or_init(|| Some(Yang::load(&reference()?.join("sonic-yang"))));
    if models.is_none() {
        skip(test, "SONiC's YANG models are not there: LEAFWALL_REFERENCE names the directory that has sonic-yang");
    }
    models.as_ref()
}

/// A number from the environment.
fn asked(name: &str, usual: u64) -> u64 {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(usual)
}

#[test]
fn every_rendered_database_is_valid() {
    let Some(models) = models("every_rendered_database_is_valid") else { return };
    let mut found = 0;
    for (fabric, path) in all_golden_fabrics() {
        for (device, database) in databases(&rendered(&path)) {
            models.check(&database).unwrap_or_else(|error| panic!("{fabric}/{device}: {error}"));
            found += 1;
        }
    }
    assert!(found >= 4, "{found} databases");
}

#[test]
fn a_mixed_fra1_is_valid() {
    let Some(models) = models("a_mixed_fra1_is_valid") else { return };
    let all = databases(&rendered_files(sonic_fabric::mixed_fra1()));
    assert_eq!(all.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>(), ["exit-01", "exit-02", "spine-01", "spine-02"]);
    for (device, database) in all {
        models.check(&database).unwrap_or_else(|error| panic!("{device}: {error}"));
    }
}

#[test]
fn databases_of_random_fabrics_are_valid() {
    let Some(models) = models("databases_of_random_fabrics_are_valid") else { return };
    let count = asked("LEAFWALL_SONIC_FABRICS", FABRICS);
    let mut random = Random::from_environment(5);
    for number in 0..count {
        for (device, database) in databases(&rendered_files(sonic_fabric::draw(&mut random))) {
            models.check(&database).unwrap_or_else(|error| panic!("fabric {number}: {device}: {error}"));
        }
    }
}

#[test]
fn random_transitions_break_no_constraint_and_are_undone() {
    let Some(models) = models("random_transitions_break_no_constraint_and_are_undone") else { return };
    let mut random = Random::from_environment(6);
    let count = asked("LEAFWALL_SONIC_TRANSITIONS", TRANSITIONS);
    let operations: usize = (0..count).map(|_| transitions::there_and_back(&mut random, Some(models))).sum();
    println!("{count} transitions, {operations} operations");
    assert!(operations > 100, "{operations} operations: nothing was tried");
}

/// The stand-in can tell: the same operations without waiting, and it does not survive them.
#[test]
fn h10_h11_h12_daemons_do_not_survive_haste() {
    let (_, path) = all_golden_fabrics().into_iter().find(|(name, _)| *name == "sonic").unwrap();
    let (_, full) = databases(&rendered(&path)).into_iter().find(|(name, _)| name == "leaf-01").unwrap();
    let mut bare = full.clone();
    bare.tables.retain(|table, _| table == table::PORT || table == table::DEVICE_METADATA);
    let mut random = Random::from_environment(7);
    let mut faults = String::new();
    for _ in 0..20 {
        let mut daemons = Daemons::default();
        for plan in [Plan::between(&ConfigDb::default(), &full), Plan::between(&full, &bare)] {
            for operation in &plan.operations {
                daemons.write(&operation.write);
                daemons.step(&mut random);
            }
            daemons.settle(&mut random);
        }
        faults += &daemons.faults.join("\n");
    }
    for hazard in ["(H10)", "(H11)", "(H12)"] {
        assert!(faults.contains(hazard), "{hazard} is not among\n{faults}");
    }
    // and without haste it does
    let mut daemons = Daemons::default();
    for (from, to) in [(&ConfigDb::default(), &full), (&full, &bare)] {
        transitions::follow(&Plan::between(from, to), &mut daemons, &mut random, None, "without haste");
    }
}

/// What must be refused: a change of a valid database, by what it does.
type Mistake = (&'static str, fn(&mut ConfigDb));

fn edit(database: &mut ConfigDb, table: &str, key: &str, change: impl FnOnce(&mut Row)) {
    let row = database.tables.get_mut(table).and_then(|rows| rows.get_mut(key));
    change(row.unwrap_or_else(|| panic!("there is no {table}|{key}")));
}

fn set(database: &mut ConfigDb, table: &str, key: &str, field: &str, value: &str) {
    edit(database, table, key, |row| *row = std::mem::take(row).with(field, value));
}

fn lose(database: &mut ConfigDb, table: &str, key: &str, field: &str) {
    edit(database, table, key, |row| assert!(row.fields.remove(field).is_some(), "{table}|{key} has no {field}"));
}

fn without(database: &mut ConfigDb, table: &str, key: &str) {
    assert!(database.remove(table, key).is_some(), "there is no {table}|{key}");
}

fn add(database: &mut ConfigDb, table: &str, key: &str) {
    assert!(database.row(table, key).is_none(), "{table}|{key} is there already");
    database.insert(table, key, Row::default());
}

/// In leaf-01 of the fabric `sonic`, whose golden has these rows: VLAN 1001 is an L3VNI's, 1003 a segment's.
const MISTAKES: &[Mistake] = &[
    ("VRF of another name", |db| add(db, "VRF", "blue")),
    ("VNI of 25 bits", |db| set(db, "VRF", "Vrf20000", "vni", "16777216")),
    ("VNI that is no number", |db| set(db, "VRF", "Vrf20000", "vni", "many")),
    ("field that no VRF has", |db| set(db, "VRF", "Vrf20000", "colour", "blue")),
    ("VRF gone under its ports", |db| without(db, "VRF", "Vrf20000")),
    ("port in a VRF that is not there", |db| set(db, "INTERFACE", "Ethernet0", "vrf_name", "Vrf9")),
    ("routed port that is not there", |db| add(db, "INTERFACE", "Ethernet500")),
    ("address of a port that is not routed", |db| add(db, "INTERFACE", "Ethernet1|192.0.2.1/24")),
    ("link-local of no kind", |db| set(db, "INTERFACE", "Ethernet0", "ipv6_use_link_local_only", "yes")),
    ("port without lanes", |db| lose(db, "PORT", "Ethernet0", "lanes")),
    ("port without speed", |db| lose(db, "PORT", "Ethernet0", "speed")),
    ("speed beyond all", |db| set(db, "PORT", "Ethernet0", "speed", "9000000")),
    ("MTU beyond all", |db| set(db, "PORT", "Ethernet0", "mtu", "9217")),
    ("FEC of no kind", |db| set(db, "PORT", "Ethernet0", "fec", "reed")),
    ("neither on nor off", |db| set(db, "PORT", "Ethernet0", "autoneg", "true")),
    ("neither up nor down", |db| set(db, "PORT", "Ethernet0", "admin_status", "enabled")),
    ("VLAN 1", |db| add(db, "VLAN", "Vlan1")),
    ("VLAN of another number than its name", |db| set(db, "VLAN", "Vlan1001", "vlanid", "1002")),
    ("VLAN with a MAC address of two bytes", |db| set(db, "VLAN", "Vlan1001", "mac", "02:00")),
    ("SVI of no VLAN", |db| add(db, "VLAN_INTERFACE", "Vlan3999")),
    ("VLAN gone under its SVI", |db| without(db, "VLAN", "Vlan1001")),
    ("address of no SVI", |db| add(db, "VLAN_INTERFACE", "Vlan3999|192.0.2.1/24")),
    ("anycast gateway without a MAC address", |db| without(db, "SAG", "GLOBAL")),
    ("anycast gateway for somebody else", |db| {
        add(db, "SAG", "LOCAL");
        set(db, "SAG", "LOCAL", "gateway_mac", "02:00:5e:00:00:5a");
    }),
    ("member port that is routed, too", |db| {
        add(db, "VLAN_MEMBER", "Vlan1001|Ethernet0");
        set(db, "VLAN_MEMBER", "Vlan1001|Ethernet0", "tagging_mode", "untagged");
    }),
    ("member port untagged in two VLANs", |db| {
        add(db, "VLAN_MEMBER", "Vlan1001|Ethernet1");
        set(db, "VLAN_MEMBER", "Vlan1001|Ethernet1", "tagging_mode", "untagged");
    }),
    ("member of no kind", |db| set(db, "VLAN_MEMBER", "Vlan1003|Ethernet1", "tagging_mode", "trunk")),
    ("map on no tunnel", |db| without(db, "VXLAN_TUNNEL", "leafwall")),
    ("tunnel from no address", |db| set(db, "VXLAN_TUNNEL", "leafwall", "src_ip", "10.253.0")),
    ("map to no VLAN's name", |db| set(db, "VXLAN_TUNNEL_MAP", "leafwall|map_20000_Vlan1001", "vlan", "vlan7")),
    ("map without VNI", |db| lose(db, "VXLAN_TUNNEL_MAP", "leafwall|map_20000_Vlan1001", "vni")),
    ("second NVO", |db| {
        add(db, "VXLAN_EVPN_NVO", "other");
        set(db, "VXLAN_EVPN_NVO", "other", "source_vtep", "leafwall");
    }),
    ("NVO on no tunnel", |db| set(db, "VXLAN_EVPN_NVO", "leafwall", "source_vtep", "other")),
    ("management without a way out", |db| lose(db, "MGMT_INTERFACE", "eth0|172.20.0.21/24", "gwaddr")),
    ("way out of the other family", |db| set(db, "MGMT_INTERFACE", "eth0|172.20.0.21/24", "gwaddr", "2001:db8::1")),
    ("time from a VRF that is not there", |db| set(db, "MGMT_VRF_CONFIG", "vrf_global", "mgmtVrfEnabled", "false")),
    ("fourth resolver", |db| ["192.0.2.1", "192.0.2.2"].iter().for_each(|server| add(db, "DNS_NAMESERVER", server))),
    ("service that maybe says when it is up", |db| set(db, "FEATURE", "bgp", "check_up_status", "maybe")),
    ("routing of no mode", |db| set(db, "DEVICE_METADATA", "localhost", "docker_routing_config_mode", "ours")),
    ("ASN of 33 bits", |db| set(db, "DEVICE_METADATA", "localhost", "bgp_asn", "4294967296")),
    ("table that nobody knows", |db| add(db, "VLANS", "Vlan7")),
    ("suppression on no VLAN", |db| {
        add(db, "SUPPRESS_VLAN_NEIGH", "Vlan3999");
        set(db, "SUPPRESS_VLAN_NEIGH", "Vlan3999", "suppress", "on");
    }),
    ("suppression of no kind", |db| set(db, "SUPPRESS_VLAN_NEIGH", "Vlan1003", "suppress", "yes")),
];

#[test]
fn deliberate_mistakes_are_refused() {
    let Some(models) = models("deliberate_mistakes_are_refused") else { return };
    assert!(MISTAKES.len() >= 30);
    let (_, path) = all_golden_fabrics().into_iter().find(|(name, _)| *name == "sonic").unwrap();
    let all = databases(&rendered(&path));
    let (_, valid) = all.iter().find(|(name, _)| name == "leaf-01").unwrap();
    models.check(valid).unwrap();
    let taken: Vec<_> = MISTAKES
        .iter()
        .filter(|(_, change)| {
            let mut database = valid.clone();
            change(&mut database);
            models.check(&database).is_ok()
        })
        .map(|(what, _)| what)
        .collect();
    assert!(taken.is_empty(), "these are taken: {taken:?}");
}
