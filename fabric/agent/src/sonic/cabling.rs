//! Links between switches as SONiC sees them, and whether the other end is who it should be. Pure.
//!
//! Only ports to the fabric are looked at: what a tenant's server says of itself over LLDP is its own business.

use std::collections::BTreeMap;

use leafwall_render::config_db::{ConfigDb, Hash, Row, table};

use crate::report::{Backend, Difference};

/// Rows of APPL_DB about ports, with what orchagent says of their links.
pub const PORTS: &str = "PORT_TABLE:";
/// Rows of APPL_DB about neighbours, by port.
pub const NEIGHBOURS: &str = "LLDP_ENTRY_TABLE:";

/// What differs from the cabling that intents describe: links that are down, and other ends that are somebody else. No agent can mend it.
///
/// `rows` are those of APPL_DB whose names begin with [`PORTS`] and [`NEIGHBOURS`].
pub fn differences(wanted: &ConfigDb, rows: &BTreeMap<String, Hash>) -> Vec<Difference> {
    let own = wanted.row(table::DEVICE_METADATA, "localhost").and_then(|row| row.text("hostname")).unwrap_or("this switch");
    let fabric = wanted.tables.get(table::PORT).into_iter().flatten().filter(|(port, row)| is_fabric(wanted, port, row));
    let mut found = Vec::new();
    for (port, peer) in fabric.filter_map(|(port, row)| Some((port, device(row.text("description")?)))) {
        let said = |table: &str, field: &str| rows.get(&format!("{table}{port}")).and_then(|row| row.get(field));
        if said(PORTS, "oper_status").is_some_and(|status| status != "up") {
            found.push(Difference::foreign(Backend::Sonic, format!("{own} {port} is down")).expected(peer));
            // who was there when it went down says nothing
            continue;
        }
        if let Some(seen) = said(NEIGHBOURS, "lldp_rem_sys_name").filter(|seen| !is_called(seen, peer)) {
            // a neighbour says what it likes
            found.push(Difference::foreign(Backend::Sonic, format!("{own} {port} sees {}", seen.escape_debug())).expected(peer));
        }
    }
    found
}

/// A port that is in service and routed outside of all VRFs.
fn is_fabric(wanted: &ConfigDb, port: &str, row: &Row) -> bool {
    let routed = wanted.row(table::INTERFACE, port).is_some_and(|interface| interface.text("vrf_name").is_none());
    routed && row.text("admin_status") == Some("up")
}

/// The device of a description such as `spine-01:Ethernet0`. What its port is called over LLDP is its own business: SONiC says what is printed on the front.
fn device(description: &str) -> &str {
    description.split_once(':').map_or(description, |(device, _)| device)
}

/// A name, or the same with a domain.
fn is_called(seen: &str, name: &str) -> bool {
    seen.strip_prefix(name).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
}

#[cfg(test)]
mod tests {
    use super::*;

    const WANTED: &str = r#"{
      "DEVICE_METADATA": {"localhost": {"hostname": "leaf-01"}},
      "PORT": {"Ethernet48": {"admin_status": "up", "description": "spine-01:Ethernet0"}, "Ethernet52": {"admin_status": "up", "description": "spine-02:Ethernet0"},
               "Ethernet56": {"admin_status": "down", "description": "spine-03:Ethernet0"}, "Ethernet0": {"admin_status": "up", "description": "srv-01"}},
      "INTERFACE": {"Ethernet48": {}, "Ethernet52": {}, "Ethernet56": {}, "Ethernet0": {"vrf_name": "Vrf5"}}
    }"#;

    fn seen(rows: &[(&str, &str, &str)]) -> Vec<String> {
        let rows = rows.iter().map(|(name, field, value)| ((*name).to_owned(), Hash::from([((*field).to_owned(), (*value).to_owned())])));
        let found = differences(&ConfigDb::parse(WANTED).unwrap(), &rows.collect());
        found.iter().map(|difference| difference.to_string().split_whitespace().collect::<Vec<_>>().join(" ")).collect()
    }

    #[test]
    fn another_end_is_named() {
        let name = "lldp_rem_sys_name";
        assert_eq!(
            seen(&[("LLDP_ENTRY_TABLE:Ethernet48", name, "spine-02"), ("LLDP_ENTRY_TABLE:Ethernet52", name, "spine-02.example.com")]),
            ["foreign sonic leaf-01 Ethernet48 sees spine-02, expected spine-01"]
        );
        assert_eq!(
            seen(&[("LLDP_ENTRY_TABLE:Ethernet48", name, "spine-011\n\u{1b}[31m")]),
            ["foreign sonic leaf-01 Ethernet48 sees spine-011\\n\\u{1b}[31m, expected spine-01"]
        );
        // a shut port, and a server that calls itself what it likes
        assert_eq!(seen(&[("LLDP_ENTRY_TABLE:Ethernet56", name, "x"), ("LLDP_ENTRY_TABLE:Ethernet0", name, "x")]), [""; 0]);
    }

    #[test]
    fn a_link_that_is_down_is_named() {
        assert_eq!(
            seen(&[
                ("PORT_TABLE:Ethernet48", "oper_status", "down"),
                ("PORT_TABLE:Ethernet52", "oper_status", "up"),
                ("PORT_TABLE:Ethernet56", "oper_status", "down")
            ]),
            ["foreign sonic leaf-01 Ethernet48 is down, expected spine-01"]
        );
        assert_eq!(seen(&[]), [""; 0], "what nobody says is no difference");
    }
}
