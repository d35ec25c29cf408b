//! Orders that SONiC's daemons are known not to survive, each with the order that is kept.

use leafwall_render::config_db::ConfigDb;

use super::*;

const ONE: &str = r#"{
  "DEVICE_METADATA": {"localhost": {"hwsku": "x"}},
  "PORT": {"Ethernet0": {"lanes": "1,2,3,4", "admin_status": "up"}, "Ethernet4": {"lanes": "5,6,7,8", "admin_status": "up"}},
  "LOOPBACK_INTERFACE": {"Loopback0": {}, "Loopback0|10.0.0.1/32": {}},
  "VXLAN_TUNNEL": {"leafwall": {"src_ip": "10.0.0.1"}}, "VXLAN_EVPN_NVO": {"leafwall": {"source_vtep": "leafwall"}},
  "VRF": {"Vrf5": {"vni": "5"}},
  "VLAN": {"Vlan7": {"vlanid": "7", "description": "leafwall"}, "Vlan8": {"vlanid": "8", "description": "leafwall"}},
  "VXLAN_TUNNEL_MAP": {"leafwall|map_5_Vlan7": {"vlan": "Vlan7", "vni": "5"}, "leafwall|map_6_Vlan8": {"vlan": "Vlan8", "vni": "6"}},
  "SAG": {"GLOBAL": {"gateway_mac": "02:00:5e:00:00:01"}},
  "VLAN_INTERFACE": {"Vlan7": {"vrf_name": "Vrf5"}, "Vlan8": {"vrf_name": "Vrf5", "static_anycast_gateway": "true"}, "Vlan8|192.0.2.1/24": {}},
  "INTERFACE": {"Ethernet0": {"vrf_name": "Vrf5", "ipv6_use_link_local_only": "enable"}},
  "VLAN_MEMBER": {"Vlan8|Ethernet4": {"tagging_mode": "untagged"}}
}"#;

fn database(text: &str) -> ConfigDb {
    ConfigDb::parse(text).unwrap()
}

fn without(text: &str, rows: &[(&str, &str)]) -> ConfigDb {
    let mut database = database(text);
    for (table, key) in rows {
        database.remove(table, key).unwrap();
    }
    database
}

/// Nothing but the switch and its ports.
fn bare() -> ConfigDb {
    let mut database = database(ONE);
    database.tables.retain(|table, _| table == "DEVICE_METADATA" || table == "PORT");
    database
}

/// Where an operation is, by the beginning of its command.
fn at(plan: &Plan, command: &str) -> usize {
    let text = |operation: &Operation| operation.to_string().lines().last().unwrap_or_default().to_owned();
    plan.operations
        .iter()
        .position(|operation| text(operation).starts_with(command))
        .unwrap_or_else(|| panic!("no {command} in\n{}", plan.operations.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")))
}

fn waits(plan: &Plan, command: &str) -> Vec<String> {
    plan.operations[at(plan, command)].when.iter().map(ToString::to_string).collect()
}

#[test]
fn h10_a_vrfs_vni_comes_after_its_vlans_map_and_goes_before() {
    let come = Plan::between(&bare(), &database(ONE));
    assert!(at(&come, "HSET VRF|Vrf5 NULL NULL") < at(&come, "HSET VLAN_INTERFACE|Vlan7"));
    assert!(at(&come, "HSET VXLAN_TUNNEL_MAP|leafwall|map_5_Vlan7") < at(&come, "HSET VRF|Vrf5 vni 5"));
    let waits_for = waits(&come, "HSET VRF|Vrf5 vni 5");
    assert!(waits_for.contains(&"APPL_DB has VXLAN_TUNNEL_MAP_TABLE:leafwall:map_5_Vlan7".to_owned()), "{waits_for:?}");
    assert!(waits_for.iter().any(|wait| wait.starts_with("ASIC_DB has a SAI_OBJECT_TYPE_TUNNEL_MAP_ENTRY")), "{waits_for:?}");
    let go = Plan::between(&database(ONE), &bare());
    assert!(at(&go, "HSET VRF|Vrf5 vni 0") < at(&go, "DEL VXLAN_TUNNEL_MAP|leafwall|map_5_Vlan7"));
    assert_eq!(waits(&go, "DEL VXLAN_TUNNEL_MAP|leafwall|map_5_Vlan7"), ["APPL_DB has no VXLAN_VRF_TABLE:leafwall:evpn_map_5_Vrf5"]);
}

#[test]
fn h11_a_vlan_goes_after_its_map_is_seen_to_be_gone() {
    let go = Plan::between(&database(ONE), &bare());
    for (vlan, map) in [("Vlan7", "map_5_Vlan7"), ("Vlan8", "map_6_Vlan8")] {
        assert!(at(&go, &format!("DEL VXLAN_TUNNEL_MAP|leafwall|{map}")) < at(&go, &format!("DEL VLAN|{vlan}")));
        let waits_for = waits(&go, &format!("DEL VLAN|{vlan}"));
        assert!(waits_for.contains(&format!("APPL_DB has no VXLAN_TUNNEL_MAP_TABLE:leafwall:{map}")), "{waits_for:?}");
        assert!(waits_for.iter().any(|wait| wait.starts_with("ASIC_DB has no SAI_OBJECT_TYPE_TUNNEL_MAP_ENTRY")), "{waits_for:?}");
    }
    assert!(waits(&go, "DEL VLAN|Vlan8").contains(&"STATE_DB has no VLAN_MEMBER_TABLE|Vlan8|Ethernet4".to_owned()));
    assert!(waits(&go, "DEL VXLAN_TUNNEL|leafwall").contains(&"APPL_DB has no VXLAN_EVPN_NVO_TABLE:leafwall".to_owned()));
}

#[test]
fn h12_a_port_waits_for_its_vrf() {
    let come = Plan::between(&bare(), &database(ONE));
    let waits_for = waits(&come, "HSET INTERFACE|Ethernet0");
    for wait in [
        "STATE_DB has VRF_TABLE|Vrf5 state=ok",
        "STATE_DB has VRF_OBJECT_TABLE|Vrf5 state=ok",
        "STATE_DB has PORT_TABLE|Ethernet0 state=ok",
    ] {
        assert!(waits_for.contains(&wait.to_owned()), "{waits_for:?}");
    }
    let go = Plan::between(&database(ONE), &bare());
    assert!(waits(&go, "DEL VRF|Vrf5").contains(&"STATE_DB has no INTERFACE_TABLE|Ethernet0".to_owned()));
}

#[test]
fn h01_the_svis_of_l3vnis_come_last() {
    let come = Plan::between(&bare(), &database(ONE));
    assert!(at(&come, "HSET VLAN_INTERFACE|Vlan8|192.0.2.1/24") < at(&come, "HSET VLAN_INTERFACE|Vlan7 "));
    assert!(at(&come, "HSET SAG|GLOBAL") < at(&come, "HSET VLAN_INTERFACE|Vlan8 "));
}

#[test]
fn a_port_that_changes_its_vrf_is_taken_out_and_put_in_again() {
    let mut other = database(ONE);
    other.insert("VRF", "Vrf9", leafwall_render::config_db::Row::default());
    let row = other.row("INTERFACE", "Ethernet0").unwrap().clone().with("vrf_name", "Vrf9");
    other.insert("INTERFACE", "Ethernet0", row);
    let plan = Plan::between(&database(ONE), &other);
    assert!(at(&plan, "DEL INTERFACE|Ethernet0") < at(&plan, "HSET INTERFACE|Ethernet0"));
    assert!(waits(&plan, "HSET INTERFACE|Ethernet0").contains(&"STATE_DB has no INTERFACE_TABLE|Ethernet0".to_owned()));
    assert_eq!(plan.operations.len(), 3, "{plan:?}");
}

#[test]
fn ports_are_shut_first_and_opened_last() {
    let mut shut = bare();
    let row = shut.row("PORT", "Ethernet0").unwrap().clone().with("admin_status", "down");
    shut.insert("PORT", "Ethernet0", row);
    let go = Plan::between(&database(ONE), &shut);
    assert_eq!(at(&go, "HSET PORT|Ethernet0 admin_status down"), 0);
    let come = Plan::between(&shut, &database(ONE));
    assert_eq!(at(&come, "HSET PORT|Ethernet0 admin_status up"), come.operations.len() - 1);
}

#[test]
fn h16_what_must_be_seen_in_the_end() {
    let come = Plan::between(&bare(), &database(ONE));
    let settled: Vec<String> = come.settled.iter().map(ToString::to_string).collect();
    for seen in [
        "APPL_DB has VXLAN_VRF_TABLE:leafwall:evpn_map_5_Vrf5",
        "STATE_DB has INTERFACE_TABLE|Ethernet0 vrf=Vrf5",
        "STATE_DB has VLAN_MEMBER_TABLE|Vlan8|Ethernet4 state=ok",
    ] {
        assert!(settled.contains(&seen.to_owned()), "{settled:#?}");
    }
    assert!(Plan::between(&database(ONE), &database(ONE)).is_empty());
}

#[test]
fn what_others_stand_on_does_not_go() {
    let mut running = database(ONE);
    let row = leafwall_render::config_db::Row::default().with("profile", "p");
    running.insert("BUFFER_PG", "Ethernet4|0", row);
    let mut wanted = without(ONE, &[("PORT", "Ethernet4"), ("VLAN_MEMBER", "Vlan8|Ethernet4")]);
    for (port, lanes) in [("Ethernet4", "5,6"), ("Ethernet6", "7,8")] {
        wanted.insert("PORT", port, leafwall_render::config_db::Row::default().with("lanes", lanes));
    }
    let refusal = Change::between(&running, &wanted).unwrap_err();
    assert_eq!(refusal.to_string(), "`Ethernet4` can't go: BUFFER_PG|Ethernet4|0 stands on it");
}
