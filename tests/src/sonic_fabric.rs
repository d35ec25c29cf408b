//! Random fabrics of SONiC switches: split cages, routed and bridged servers, provisioning, exits with and without tags. One random source, one fabric.

#![allow(clippy::unwrap_used, clippy::disallowed_methods)] // what can't be read fails the test

use std::collections::BTreeMap;
use std::fmt::Write as _;

use leafwall_render::CONFIG_DB_JSON;
use leafwall_render::config_db::ConfigDb;

use crate::fabric::File;
use crate::random::Random;
use crate::rendered::{Rendered, rendered_files};
use crate::root;

/// Cages of a leaf that servers are plugged into, by the number of their first port.
const CAGES: [usize; 4] = [0, 4, 8, 12];
/// What a cage is split into, with the ports' distance.
const SPLITS: [(&str, usize, usize); 4] = [("", 1, 4), ("1x40G", 1, 4), ("2x50G", 2, 2), ("4x25G", 4, 1)];
/// Leaves, a redundant pair.
const LEAVES: [&str; 2] = ["leaf-01", "leaf-02"];

fn document(out: &mut String, kind: &str, name: &str, spec: &str) {
    let _ = write!(out, "---\napiVersion: leafwall.io/v1\nkind: {kind}\nmetadata: {{name: {name}}}\nspec: {spec}\n");
}

/// Some of these, as a YAML list.
fn some(random: &mut Random, from: &[&str], most: usize) -> String {
    let mut picked: Vec<String> = random.some(from, most).iter().map(|text| format!("\"{text}\"")).collect();
    picked.sort();
    picked.dedup();
    format!("[{}]", picked.join(", "))
}

/// Draws a fabric.
pub fn draw(random: &mut Random) -> Vec<File> {
    let mut out = String::new();
    let hosts = ["192.0.2.1", "192.0.2.2", "192.0.2.3", "2001:db8::1", "2001:db8::2"];
    let provisioning = [
        "",
        ", provisioning: {prefix: 172.16.0.0/24}",
        ", provisioning: {prefix: 172.16.0.0/24, dhcpServers: [192.0.2.9, \"2001:db8::9\"]}",
    ];
    let spec = format!(
        "{{underlay: {{loopbacks: 10.253.0.0/24, asns: 4210000000-4210000999}}, overlay: {{vnis: 20000-20999, vlans: {}-2000}}, dns: {}, ntp: {}, syslog: {}{}}}",
        random.pick(&[2, 1001, 1501]),
        some(random, &hosts, 3),
        some(random, &hosts, 3),
        some(random, &hosts, 2),
        random.pick(&provisioning)
    );
    document(&mut out, "Fabric", "random", &spec);
    document(&mut out, "Switch", "spine-01", "{role: spine, platform: sonic, hwsku: Accton-AS9716-32D}");
    let mut ports: [Vec<usize>; 2] = Default::default();
    for (leaf, ports) in LEAVES.iter().zip(&mut ports) {
        let mut settings = Vec::new();
        for cage in CAGES {
            let (split, parts, distance) = *random.pick(&SPLITS);
            if !split.is_empty() {
                settings.push(format!("Ethernet{cage}: {{breakout: {split}, fec: {}}}", random.pick(&["rs", "fc", "none"])));
            }
            ports.extend((0..parts).map(|part| cage + part * distance));
        }
        let management = [
            "",
            ", management: {address: 172.20.0.2ID/24, gateway: 172.20.0.1}",
            ", management: {address: \"2001:db8:1::2ID/64\", gateway: \"2001:db8:1::1\"}",
        ];
        let management = random.pick(&management).replace("ID", &leaf[6..]);
        let spec = format!("{{role: leaf, platform: sonic, hwsku: Accton-AS7726-32X{management}, ports: {{{}}}}}", settings.join(", "));
        document(&mut out, "Switch", leaf, &spec);
    }
    document(&mut out, "Switch", "exit-01", "{role: exit, platform: sonic, hwsku: Accton-AS7726-32X}");
    let links = "{links: [[\"leaf-01:Ethernet124\", \"spine-01:Ethernet0\"], [\"leaf-02:Ethernet120\", \"spine-01:Ethernet8\"], [\"exit-01:Ethernet124\", \"spine-01:Ethernet16\"]]}";
    document(&mut out, "Cabling", "random", links);
    let networks = tenants(random, &mut out);
    servers(random, &mut out, &ports, &networks);
    vec![("fabric.yaml".to_owned(), out)]
}

/// Tenants with their networks, and a network outside; the names of the former.
fn tenants(random: &mut Random, out: &mut String) -> Vec<String> {
    let networks: Vec<String> = (0..=random.below(4)).map(|number| format!("net-{number}")).collect();
    for (number, network) in networks.iter().enumerate() {
        document(out, "Tenant", &format!("tenant-{number}"), "{}");
        let six = if random.once_in(2) { format!(", {{prefix: \"2001:db8:{number}::/64\"}}") } else { String::new() };
        let spec = format!(
            "{{tenant: tenant-{number}, type: private, prefixes: [10.{number}.0.0/24], subnets: [{{prefix: 10.{number}.1.0/24}}{six}]}}"
        );
        document(out, "Network", network, &spec);
    }
    let tag = *random.pick(&["", "vlan: 100, ", "vlan: 200, "]);
    let spec = format!(
        "{{type: external, prefixes: [203.0.113.0/24], destinations: [0.0.0.0/0], exits: [exit-01], peers: [{{exit: exit-01, interface: Ethernet0, {tag}localAddress: 198.51.100.1/30, peerAddress: 198.51.100.2, asn: 64500, import: [0.0.0.0/0]}}]}}"
    );
    if !random.once_in(4) {
        document(out, "Network", "outside", &spec);
    }
    networks
}

/// A server on some of the ports that both leaves have, or one alone.
fn servers(random: &mut Random, out: &mut String, ports: &[Vec<usize>; 2], networks: &[String]) {
    let mut number = 0;
    for port in 0..16 {
        let at: Vec<usize> = (0..LEAVES.len()).filter(|leaf| ports[*leaf].contains(&port) && !random.once_in(3)).collect();
        if at.is_empty() {
            continue;
        }
        number += 1;
        let name = format!("srv-{number:02}");
        let nics: Vec<String> = at
            .iter()
            .map(|leaf| {
                format!("{{name: lan{leaf}, mac: \"02:00:00:00:{number:02x}:0{leaf}\", port: \"{}:Ethernet{port}\"}}", LEAVES[*leaf])
            })
            .collect();
        document(out, "Server", &name, &format!("{{nics: [{}]}}", nics.join(", ")));
        if random.once_in(4) {
            continue;
        }
        let network = random.below(networks.len());
        let mode = random.pick(&["routed", "bridged"]);
        let phase = random.pick(&["active", "active", "provisioning"]);
        let spec = format!("{{server: {name}, tenant: tenant-{network}, network: {}, mode: {mode}, phase: {phase}}}", networks[network]);
        document(out, "Allocation", &format!("of-{name}"), &spec);
    }
}

/// A SONiC exit with so many networks outside, each with a peer in a VLAN of its own: one VRF, tunnel and subinterface for each. With one network more the others
/// keep their numbers: its name comes last.
pub fn tenants_at_exit(count: usize) -> Vec<File> {
    let mut out = String::new();
    let ranges = "{underlay: {loopbacks: 10.253.0.0/24, asns: 4210000000-4210000999}, overlay: {vnis: 20000-29999, vlans: 2-4000}}";
    document(&mut out, "Fabric", "exits", ranges);
    document(&mut out, "Switch", "spine-01", "{role: spine, platform: sonic, hwsku: Accton-AS9716-32D}");
    document(&mut out, "Switch", "exit-01", "{role: exit, platform: sonic, hwsku: Accton-AS7726-32X}");
    document(&mut out, "Cabling", "exits", "{links: [[\"exit-01:Ethernet124\", \"spine-01:Ethernet0\"]]}");
    for number in 0..count {
        let (high, low, vlan) = (number / 64, number % 64 * 4, number + 2);
        let peer = format!(
            "{{exit: exit-01, interface: Ethernet0, vlan: {vlan}, localAddress: 100.64.{high}.{}/30, peerAddress: 100.64.{high}.{}, asn: 64500, import: [0.0.0.0/0]}}",
            low + 1,
            low + 2
        );
        let spec = format!(
            "{{type: external, prefixes: [198.18.{}.{}/32], destinations: [0.0.0.0/0], exits: [exit-01], peers: [{peer}]}}",
            number / 256,
            number % 256
        );
        document(&mut out, "Network", &format!("outside-{number:04}"), &spec);
    }
    vec![("fabric.yaml".to_owned(), out)]
}

/// The port of a switch in fra1, as SONiC calls the cage in that place.
fn cage(port: &str, lanes: usize) -> String {
    let number: usize = port.parse().unwrap();
    format!("Ethernet{}", (number - 1) * lanes)
}

/// fra1 with SONiC on its spines and exits. Its leaves have firewall machines, which SONiC can't guard.
///
/// # Panics
/// Where it can't be read.
pub fn mixed_fra1() -> Vec<File> {
    let mut files = Vec::new();
    for file in
        std::fs::read_dir(root().join("containerlab/fra1")).unwrap().map(|entry| entry.unwrap().path()).filter(|path| path.is_file())
    {
        let mut lines = Vec::new();
        let mut hardware = None;
        for line in std::fs::read_to_string(&file).unwrap().lines() {
            if let Some((_, name)) = line.split_once("metadata: {name: ") {
                hardware =
                    [("spine", "Accton-AS9716-32D"), ("exit", "Accton-AS7726-32X")].into_iter().find(|(role, _)| name.starts_with(role));
            }
            let mut line = match hardware {
                Some((_, sku)) => line.replace("platform: frr", &format!("platform: sonic\n  hwsku: {sku}")),
                None => line.to_owned(),
            };
            for (end, lanes) in [("spine-01:swp", 8), ("spine-02:swp", 8), ("exit-01:swp", 4), ("exit-02:swp", 4), ("interface: swp", 4)] {
                if let Some((before, after)) = line.clone().split_once(end) {
                    let digits = after.find(|letter: char| !letter.is_ascii_digit()).unwrap_or(after.len());
                    line = format!("{before}{}{}{}", end.trim_end_matches("swp"), cage(&after[..digits], lanes), &after[digits..]);
                }
            }
            lines.push(line);
        }
        files.push((file.file_name().unwrap().to_string_lossy().into_owned(), lines.join("\n") + "\n"));
    }
    files
}

/// The databases of a fabric with their devices' names.
pub fn databases(rendered: &Rendered) -> Vec<(String, ConfigDb)> {
    let texts = rendered.devices.iter().filter_map(|(name, artefacts)| Some((name.to_string(), artefacts.files.get(CONFIG_DB_JSON)?)));
    texts.map(|(name, text)| (name, ConfigDb::parse(text).unwrap())).collect()
}

/// What belongs to others on every switch: tables that we do not know, and rows in those that we do.
pub const FOREIGN: &str = r#"{
  "ACL_TABLE": {"THEIRS": {"policy_desc": "theirs", "type": "L3", "stage": "ingress"}},
  "DEVICE_METADATA": {"localhost": {"type": "LeafRouter", "region": "theirs"}},
  "VRF": {"VrfBlue": {}},
  "VLAN": {"Vlan3999": {"vlanid": "3999"}},
  "VLAN_INTERFACE": {"Vlan3999": {"vrf_name": "VrfBlue"}, "Vlan3999|192.0.2.1/24": {}},
  "LOOPBACK_INTERFACE": {"Loopback4000": {"vrf_name": "VrfBlue"}, "Loopback4000|192.0.2.9/32": {}},
  "SYSLOG_CONFIG": {"GLOBAL": {"severity": "info"}}
}"#;

/// A database with what belongs to others in it.
pub fn shared(database: &ConfigDb) -> ConfigDb {
    let mut shared = database.clone();
    for (table, key, row) in ConfigDb::parse(FOREIGN).unwrap().rows() {
        let mut merged = shared.row(table, key).cloned().unwrap_or_default();
        merged.fields.extend(row.fields.clone());
        shared.insert(table, key, merged);
    }
    shared
}

/// The databases of a random fabric's devices.
pub fn switches(random: &mut Random) -> BTreeMap<String, ConfigDb> {
    databases(&rendered_files(draw(random))).into_iter().collect()
}
