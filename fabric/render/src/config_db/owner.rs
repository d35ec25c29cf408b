//! Whose a row is.
//!
//! Ours are: the fields that we write in the rows of the switch itself, of its ports and services; what is named after one of our VRFs or VLANs, where those *are* ours
//! ([`leafwall_topology::names::sonic`] says how that shows), and what is in them; and whatever puts a port that intents know into a VRF or VLAN: a port has one use, and
//! intents say which. Everything else is somebody else's, and is left alone (H25).

use std::fmt;

use leafwall_topology::Vni;
use leafwall_topology::names::sonic::{self, TUNNEL, UNDERLAY_LOOPBACK, VLAN_MARK};

use super::{ConfigDb, Row, Value, table};

/// How much of a row is ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Share {
    /// All of it.
    Row,
    /// These fields, and those that we write into it.
    Fields(&'static [&'static str]),
    /// Nothing.
    None,
}

/// Fields of the switch itself that are ours. Whether it is a `LeafRouter` and the like, its region and so on are not.
const METADATA: &[&str] = &["hostname", "hwsku", "platform", "mac", "bgp_asn", "docker_routing_config_mode", "frr_mgmt_framework_config"];
/// Fields of a port that are ours, wanted or not. `fec` and `autoneg` are only where intents say something of them.
const PORT: &[&str] = &["alias", "index", "lanes", "speed", "mtu", "admin_status", "description"];
/// Tables of which a Fabric or Switch that says nothing means nothing: missing intent is no empty intent.
const ONLY_IF_WANTED: &[&str] = &[
    table::MGMT_PORT,
    table::MGMT_INTERFACE,
    table::MGMT_VRF_CONFIG,
    table::NTP,
    table::NTP_SERVER,
    table::DNS_NAMESERVER,
    table::SYSLOG_SERVER,
    table::FEATURE,
    table::DEVICE_METADATA,
];

/// A row that is wanted where somebody else's stands.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Clash {
    /// The table.
    pub table: String,
    /// The key.
    pub key: String,
}

impl fmt::Display for Clash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}|{} is somebody else's", self.table, self.key)
    }
}

/// A VRF that is called after the VNI that it has, or has none (yet, or any more).
fn our_vrf(database: &ConfigDb, name: &str) -> bool {
    let Some(named) = sonic::vrf_vni(name) else { return false };
    match database.row(table::VRF, name).map(|row| row.text("vni")) {
        None => false,
        Some(None | Some("0")) => true,
        Some(Some(vni)) => vni.parse::<Vni>() == Ok(named),
    }
}

fn our_vlan(database: &ConfigDb, name: &str) -> bool {
    sonic::vlan_id(name).is_some() && database.row(table::VLAN, name).is_some_and(|row| row.text("description") == Some(VLAN_MARK))
}

/// Whether an interface is in a VRF of ours.
fn in_our_vrf(database: &ConfigDb, table: &str, name: &str) -> bool {
    database.row(table, name).and_then(|row| row.text("vrf_name")).is_some_and(|vrf| our_vrf(database, vrf))
}

/// The lanes of a port.
fn lanes(row: &Row) -> impl Iterator<Item = &str> {
    row.text("lanes").into_iter().flat_map(|lanes| lanes.split(','))
}

/// How much of a running row is ours.
fn share(running: &ConfigDb, wanted: &ConfigDb, table: &str, key: &str, row: &Row) -> Share {
    if ONLY_IF_WANTED.contains(&table) && !wanted.tables.contains_key(table) {
        return Share::None;
    }
    let name = key.split('|').next().unwrap_or_default();
    let whole = |ours: bool| if ours { Share::Row } else { Share::None };
    let known = |port: &str| wanted.row(table::PORT, port).is_some() || gone(running, wanted, port);
    match table {
        table::DEVICE_METADATA if key == "localhost" => Share::Fields(METADATA),
        table::FEATURE if wanted.row(table, key).is_some() => Share::Fields(&["state"]),
        table::PORT if wanted.row(table, key).is_some() => Share::Fields(PORT),
        table::PORT => whole(sonic::port_number(key).is_some() && lanes_are_ours(row, wanted)),
        // in a VRF of ours is nobody else's port, whether intents know it or not any more
        table::INTERFACE => whole(known(name) || in_our_vrf(running, table, name)),
        table::VLAN_SUB_INTERFACE => whole(in_our_vrf(running, table, name)),
        table::LOOPBACK_INTERFACE if name == UNDERLAY_LOOPBACK => whole(true),
        table::LOOPBACK_INTERFACE => whole(sonic::loopback_vlan(name).is_some() && in_our_vrf(running, table, name)),
        table::VRF => whole(our_vrf(running, key)),
        table::VLAN => whole(our_vlan(running, key)),
        table::VLAN_MEMBER => whole(our_vlan(running, name) || key.split_once('|').is_some_and(|(_, port)| known(port))),
        table::VLAN_INTERFACE | table::SUPPRESS_VLAN_NEIGH => whole(our_vlan(running, name)),
        table::VXLAN_TUNNEL | table::VXLAN_TUNNEL_MAP | table::VXLAN_EVPN_NVO => whole(name == TUNNEL),
        table::SAG => whole(key == "GLOBAL"),
        table::MGMT_PORT => whole(key == sonic::MANAGEMENT_PORT),
        table::MGMT_INTERFACE => whole(name == sonic::MANAGEMENT_PORT),
        table::MGMT_VRF_CONFIG if key == "vrf_global" => Share::Fields(&["mgmtVrfEnabled"]),
        table::NTP if key == "global" => Share::Fields(&["vrf"]),
        table::NTP_SERVER | table::DNS_NAMESERVER | table::SYSLOG_SERVER => Share::Row,
        _ => Share::None,
    }
}

/// A port that is not wanted, on lanes that are: a cage that was or is to be split otherwise.
fn lanes_are_ours(row: &Row, wanted: &ConfigDb) -> bool {
    let ports = wanted.tables.get(table::PORT);
    ports.is_some_and(|ports| ports.values().any(|port| lanes(port).any(|lane| lanes(row).any(|other| other == lane))))
}

fn gone(running: &ConfigDb, wanted: &ConfigDb, port: &str) -> bool {
    running.row(table::PORT, port).is_some_and(|row| sonic::port_number(port).is_some() && lanes_are_ours(row, wanted))
}

/// What should be where `running` is: all of `wanted`, and of what is there only what is not ours.
///
/// # Errors
/// Rows that are wanted where somebody else's stand: neither is touched.
pub fn target(running: &ConfigDb, wanted: &ConfigDb) -> Result<ConfigDb, Vec<Clash>> {
    let mut target = wanted.clone();
    let mut clashes = Vec::new();
    for (table, key, row) in running.rows() {
        match share(running, wanted, table, key, row) {
            Share::Row => {}
            Share::Fields(ours) => target.insert(table, key, merged(row, wanted.row(table, key), ours)),
            Share::None => match wanted.row(table, key) {
                Some(same) if same != row => clashes.push(Clash { table: table.to_owned(), key: key.to_owned() }),
                _ => target.insert(table, key, row.clone()),
            },
        }
    }
    for (table, key) in foreign_tunnels(running, wanted) {
        clashes.push(Clash { table, key });
    }
    if clashes.is_empty() { Ok(target) } else { Err(clashes) }
}

/// SONiC has one NVO; where somebody else has it, we can't have ours.
fn foreign_tunnels(running: &ConfigDb, wanted: &ConfigDb) -> Vec<(String, String)> {
    if !wanted.tables.contains_key(table::VXLAN_EVPN_NVO) {
        return Vec::new();
    }
    let rows = running.tables.get(table::VXLAN_EVPN_NVO);
    let others = rows.into_iter().flat_map(|rows| rows.keys()).filter(|key| *key != TUNNEL);
    others.map(|key| (table::VXLAN_EVPN_NVO.to_owned(), key.clone())).collect()
}

/// A row with our fields as wanted and the others as they are.
fn merged(running: &Row, wanted: Option<&Row>, ours: &[&str]) -> Row {
    let mut fields = running.fields.clone();
    fields.retain(|name, _| !ours.contains(&name.as_str()));
    let said = wanted.into_iter().flat_map(|row| &row.fields);
    fields.extend(said.map(|(name, value): (&String, &Value)| (name.clone(), value.clone())));
    Row { fields }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn database(text: &str) -> ConfigDb {
        ConfigDb::parse(text).unwrap()
    }

    #[test]
    fn h25_what_is_not_ours_stays() {
        let running = database(
            r#"{
              "ACL_TABLE": {"THEIRS": {"type": "L3"}}, "BUFFER_POOL": {"p": {"size": "1"}}, "VRF": {"VrfBlue": {"vni": "7"}, "Vrf8": {"vni": "9"}, "Vrf5": {"vni": "5"}},
              "VLAN": {"Vlan7": {"vlanid": "7"}, "Vlan8": {"vlanid": "8", "description": "leafwall"}}, "VLAN_INTERFACE": {"Vlan7": {}, "Vlan8": {}},
              "LOOPBACK_INTERFACE": {"Loopback9": {}, "Loopback9|192.0.2.9/32": {}, "Loopback5": {"vrf_name": "Vrf5"}},
              "DEVICE_METADATA": {"localhost": {"type": "LeafRouter", "hwsku": "old"}}, "NTP_SERVER": {"192.0.2.1": {}}, "PORT": {"Ethernet500": {"lanes": "500"}}
            }"#,
        );
        let wanted = database(r#"{"DEVICE_METADATA": {"localhost": {"hwsku": "new"}}, "PORT": {"Ethernet0": {"lanes": "1,2"}}}"#);
        let target = target(&running, &wanted).unwrap();
        for (table, key) in [
            ("ACL_TABLE", "THEIRS"),
            ("BUFFER_POOL", "p"),
            ("VRF", "VrfBlue"),
            ("VRF", "Vrf8"),
            ("VLAN", "Vlan7"),
            ("VLAN_INTERFACE", "Vlan7"),
            ("LOOPBACK_INTERFACE", "Loopback9|192.0.2.9/32"),
            ("NTP_SERVER", "192.0.2.1"),
            ("PORT", "Ethernet500"),
        ] {
            assert_eq!(target.row(table, key), running.row(table, key), "{table}|{key}");
        }
        for (table, key) in [("VRF", "Vrf5"), ("VLAN", "Vlan8"), ("VLAN_INTERFACE", "Vlan8"), ("LOOPBACK_INTERFACE", "Loopback5")] {
            assert_eq!(target.row(table, key), None, "{table}|{key}");
        }
        let metadata = target.row("DEVICE_METADATA", "localhost").unwrap();
        assert_eq!((metadata.text("type"), metadata.text("hwsku")), (Some("LeafRouter"), Some("new")));
    }

    #[test]
    fn a_port_has_one_use() {
        let running = database(
            r#"{"PORT": {"Ethernet0": {"lanes": "1,2,3,4"}, "Ethernet8": {"lanes": "9"}}, "VLAN": {"Vlan7": {"vlanid": "7"}},
                "VLAN_MEMBER": {"Vlan7|Ethernet0": {"tagging_mode": "untagged"}, "Vlan7|Ethernet8": {"tagging_mode": "untagged"}}}"#,
        );
        let wanted =
            database(r#"{"PORT": {"Ethernet0": {"lanes": "1,2"}, "Ethernet2": {"lanes": "3,4"}}, "INTERFACE": {"Ethernet0": {}}}"#);
        let target = target(&running, &wanted).unwrap();
        assert_eq!(target.row("VLAN_MEMBER", "Vlan7|Ethernet0"), None);
        assert!(target.row("VLAN_MEMBER", "Vlan7|Ethernet8").is_some() && target.row("PORT", "Ethernet8").is_some());
        assert_eq!(target.row("PORT", "Ethernet0").unwrap().text("lanes"), Some("1,2"));
        // split the other way: the parts are on lanes that are wanted
        let back = super::target(&target, &database(r#"{"PORT": {"Ethernet0": {"lanes": "1,2,3,4"}}}"#)).unwrap();
        assert_eq!(back.row("PORT", "Ethernet2"), None);
    }

    #[test]
    fn a_port_in_our_vrf_is_ours_whether_intents_know_it_or_not() {
        let running = database(
            r#"{"VRF": {"Vrf5": {"vni": "5"}, "VrfBlue": {}}, "PORT": {"Ethernet0": {"lanes": "1"}, "Ethernet4": {"lanes": "5"}},
                "INTERFACE": {"Ethernet0": {"vrf_name": "Vrf5"}, "Ethernet0|192.0.2.1/31": {}, "Ethernet4": {"vrf_name": "VrfBlue"}}}"#,
        );
        let left = database(
            r#"{"VRF": {"VrfBlue": {}}, "PORT": {"Ethernet0": {"lanes": "1"}, "Ethernet4": {"lanes": "5"}},
                                "INTERFACE": {"Ethernet4": {"vrf_name": "VrfBlue"}}}"#,
        );
        assert_eq!(target(&running, &ConfigDb::default()).unwrap(), left);
    }

    #[test]
    fn what_somebody_else_has_is_not_taken() {
        let running = database(r#"{"VLAN": {"Vlan1001": {"vlanid": "1001"}}, "VXLAN_EVPN_NVO": {"theirs": {"source_vtep": "theirs"}}}"#);
        let wanted = database(
            r#"{"VLAN": {"Vlan1001": {"vlanid": "1001", "description": "leafwall"}}, "VXLAN_EVPN_NVO": {"leafwall": {"source_vtep": "leafwall"}}}"#,
        );
        let clashes: Vec<String> = target(&running, &wanted).unwrap_err().iter().map(ToString::to_string).collect();
        assert_eq!(clashes, ["VLAN|Vlan1001 is somebody else's", "VXLAN_EVPN_NVO|theirs is somebody else's"]);
    }
}
