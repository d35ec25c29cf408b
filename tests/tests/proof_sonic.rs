//! The proof of fabrics with SONiC switches: it says what the oracle says, and mistakes in CONFIG_DB are refused.
#![allow(clippy::unwrap_used)] // helpers of tests

use std::sync::Arc;

use leafwall_intent::Model;
use leafwall_intent::model::Phase;
use leafwall_proof::certificate::{Given, digests};
use leafwall_proof::{Broken, Certificate, Input, Proof};
use leafwall_render::CONFIG_DB_JSON;
use leafwall_render::config_db::{ConfigDb, Row};
use leafwall_render::inventory::LabInventory;
use leafwall_tests::against_oracle::Compared;
use leafwall_tests::random::Random;
use leafwall_tests::rendered::{Rendered, rendered, rendered_files};
use leafwall_tests::{root, sonic_fabric};
use leafwall_topology::Name;
use rayon::prelude::*;

/// Random fabrics where nobody asks for more.
const FABRICS: usize = 30;

#[test]
fn the_proof_says_what_the_oracle_says_of_sonic_switches() {
    let mut all = Compared::default();
    for (name, fabric) in [("sonic", sonic()), ("mixed fra1", rendered_files(sonic_fabric::mixed_fra1()))] {
        let proof = all.compare(name, &fabric);
        assert!(proof.holds(), "{name}: {:?}", proof.hazards);
    }
    let count = std::env::var("LEAFWALL_SONIC_FABRICS").ok().and_then(|text| text.parse().ok()).unwrap_or(FABRICS);
    let mut random = Random::from_environment(8);
    let mut together = 0;
    for number in 0..count {
        let fabric = rendered_files(sonic_fabric::draw(&mut random));
        let proof = all.compare(&number.to_string(), &fabric);
        // SONiC keeps no machine from another one in its VLAN
        let meet = proof.findings.iter().filter(|finding| finding.check == "provisioning").count();
        assert_eq!(meet > 0, idle_meet(fabric.planner.model()), "{number}: {:?}", proof.findings);
        together += usize::from(meet > 0);
        all.wrong.retain(|told| !told.contains("isolation (provisioning)"));
    }
    assert!(together > 0 && together < count, "machines that are nobody's meet in {together} fabrics");
    eprintln!("{} probes, {} pass", all.probes, all.passing);
    assert!(all.wrong.is_empty(), "{}:\n{}", all.wrong.len(), all.wrong[..all.wrong.len().min(40)].join("\n"));
    assert!(all.passing > 100, "{} probes pass", all.passing);
}

/// Whether several machines are nobody's: they are in one VLAN while they get started, behind whichever leaf.
fn idle_meet(model: &Model) -> bool {
    let given = |server: &Name| model.allocations.values().any(|given| given.server == *server && given.phase == Phase::Active);
    model.fabric.provisioning.is_some() && model.servers.keys().filter(|server| !given(server)).count() > 1
}

#[test]
fn a_certificate_says_what_is_assumed_of_chips() {
    let fabric = sonic();
    let certificate = |fabric: &Rendered| {
        let inventory = fabric.inventory();
        let input = fabric.input(&inventory);
        let proof = leafwall_proof::prove(&input).unwrap();
        let made = Certificate::new(&input, &proof, Given::digests([], ""), digests(input.artefacts));
        let text = serde_json::to_string(&made).unwrap();
        (Certificate::parse(&text).unwrap(), text)
    };
    let (with, text) = certificate(&fabric);
    let chips = |certificate: &Certificate| certificate.assumptions.iter().filter(|text| text.contains("SONiC")).count();
    assert_eq!(chips(&with), 2);
    // nobody takes them out
    let without = with.assumptions.iter().find(|text| text.contains("control plane")).unwrap();
    let text = text.replace(&format!(",{}", serde_json::to_string(without).unwrap()), "");
    assert!(Certificate::parse(&text).unwrap_err().to_string().contains("assumptions"));
    let fra1 = rendered(&root().join("containerlab/fra1"));
    assert_eq!(chips(&certificate(&fra1).0), 0);
}

/// The fabric that goldens are kept of: acme is VRF 20000 with a routed and a bridged server at leaf-01, globex VRF 20001 with a routed one.
fn sonic() -> Rendered {
    rendered(&root().join("tests/fabrics/sonic"))
}

/// What comes of a mistake.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Comes {
    /// It is not understood, or not in one piece.
    Unread,
    /// Something may be reached that no intent allows.
    Open,
    /// Something intended does not work.
    Closed,
    /// Nothing: it is none.
    Nothing,
}
use Comes::{Closed, Nothing, Open, Unread};

/// What is written into a row; `None` takes it out.
type Change = (&'static str, &'static str, Option<&'static [(&'static str, &'static str)]>);

const MISTAKES: &[(&str, &str, &[Change], Comes)] = &[
    ("a port in a foreign VRF", "leaf-01", &[("INTERFACE", "Ethernet0", Some(&[("vrf_name", "Vrf20001")]))], Open),
    ("a port in no VRF", "leaf-01", &[("INTERFACE", "Ethernet0", Some(&[("ipv6_use_link_local_only", "enable")]))], Open),
    (
        "a port in a foreign VLAN",
        "leaf-01",
        &[("VLAN_MEMBER", "Vlan1003|Ethernet1", None), ("VLAN_MEMBER", "Vlan1002|Ethernet1", Some(&[("tagging_mode", "untagged")]))],
        Open,
    ),
    ("an SVI in a foreign VRF", "leaf-01", &[("VLAN_INTERFACE", "Vlan1003", Some(&[("vrf_name", "Vrf20001")]))], Open),
    ("an SVI in no VRF", "leaf-01", &[("VLAN_INTERFACE", "Vlan1003", Some(&[("static_anycast_gateway", "true")]))], Open),
    (
        "VNIs the wrong way round",
        "leaf-01",
        &[
            ("VXLAN_TUNNEL_MAP", "leafwall|map_20000_Vlan1001", Some(&[("vlan", "Vlan1002")])),
            ("VXLAN_TUNNEL_MAP", "leafwall|map_20001_Vlan1002", Some(&[("vlan", "Vlan1001")])),
        ],
        Open,
    ),
    ("a segment with a foreign VNI", "leaf-01", &[("VXLAN_TUNNEL_MAP", "leafwall|map_20003_Vlan1003", Some(&[("vni", "20002")]))], Open),
    ("a tagged peer in no VRF", "exit-01", &[("VLAN_SUB_INTERFACE", "Ethernet0.100", Some(&[("admin_status", "up")]))], Open),
    ("a peer's port in no VRF", "exit-01", &[("INTERFACE", "Ethernet4", Some(&[]))], Open),
    ("the port of a tagged peer routed by itself", "exit-01", &[("INTERFACE", "Ethernet0", Some(&[]))], Open),
    ("no gateway", "leaf-01", &[("VLAN_INTERFACE", "Vlan1003|10.0.4.1/24", None)], Closed),
    ("a port in no VLAN", "leaf-01", &[("VLAN_MEMBER", "Vlan1003|Ethernet1", None)], Closed),
    ("another tunnel's end", "leaf-01", &[("VXLAN_TUNNEL", "leafwall", Some(&[("src_ip", "10.253.0.99")]))], Closed),
    ("a table of others", "leaf-01", &[("STATIC_ROUTE", "Vrf20000|10.9.0.0/24", Some(&[("nexthop", "10.0.4.9")]))], Unread),
    ("a field of others", "leaf-01", &[("INTERFACE", "Ethernet0", Some(&[("vrf_name", "Vrf20000"), ("nat_zone", "1")]))], Unread),
    ("an L3VNI that FRR does not have", "leaf-01", &[("VRF", "Vrf20000", Some(&[("vni", "20001")]))], Unread),
    ("a VRF that FRR has and SONiC not", "leaf-01", &[("VRF", "Vrf20001", None)], Unread),
    ("a port that is a trunk", "leaf-01", &[("VLAN_MEMBER", "Vlan1003|Ethernet1", Some(&[("tagging_mode", "tagged")]))], Unread),
    ("a port in two VLANs", "leaf-01", &[("VLAN_MEMBER", "Vlan1002|Ethernet1", Some(&[("tagging_mode", "untagged")]))], Unread),
    ("a port in a VLAN and routed", "leaf-01", &[("VLAN_MEMBER", "Vlan1003|Ethernet0", Some(&[("tagging_mode", "untagged")]))], Unread),
    ("a VNI mapped twice", "leaf-01", &[("VXLAN_TUNNEL_MAP", "leafwall|map_20003_Vlan1003", Some(&[("vni", "20000")]))], Unread),
    ("a VLAN that is not there", "leaf-01", &[("VLAN", "Vlan1003", None)], Unread),
    ("a tunnel of another name", "leaf-01", &[("VXLAN_EVPN_NVO", "leafwall", Some(&[("source_vtep", "other")]))], Unread),
    ("a VLAN without ports", "leaf-01", &[("VLAN", "Vlan7", Some(&[("vlanid", "7")]))], Nothing),
    ("another description", "leaf-01", &[("PORT", "Ethernet1", Some(&[("description", "rack 7")]))], Nothing),
];

/// Rows of these tables have more fields than a mistake names: those stay.
const KEPT: [&str; 2] = ["PORT", "VXLAN_TUNNEL_MAP"];

fn changed(text: &str, changes: &[Change]) -> String {
    let mut database = ConfigDb::parse(text).unwrap();
    for (table, key, fields) in changes {
        let before = database.remove(table, key);
        let Some(fields) = fields else {
            assert!(before.is_some(), "`{table}|{key}` is not there");
            continue;
        };
        let row = if KEPT.contains(table) { before.unwrap() } else { Row::default() };
        database.insert(table, key, fields.iter().fold(row, |row, (field, value)| row.with(field, *value)));
    }
    database.print().unwrap()
}

fn prove_with(fabric: &Rendered, inventory: &LabInventory, device: &str, changes: &[Change]) -> Result<Proof, String> {
    let mut artefacts = fabric.devices.clone();
    let text = Arc::make_mut(artefacts.get_mut(device).unwrap()).files.get_mut(CONFIG_DB_JSON).unwrap();
    *text = changed(text, changes);
    let input = Input { artefacts: &artefacts, ..fabric.input(inventory) };
    leafwall_proof::prove(&input).map_err(|errors| errors.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))
}

#[test]
fn mistakes_in_config_db_are_refused() {
    let fabric = sonic();
    let inventory = fabric.inventory();
    let wrong: Vec<String> = MISTAKES
        .par_iter()
        .filter_map(|(name, device, changes, comes)| {
            let proof = prove_with(&fabric, &inventory, device, changes);
            let shown = |proof: &Proof, broken| {
                proof.findings.iter().any(|finding| finding.broken == broken && finding.packet.is_some() && !finding.path.is_empty())
            };
            let good = match (&proof, comes) {
                (Err(why), Unread) => why.contains(&format!("{device}/{CONFIG_DB_JSON}: ")),
                (Ok(proof), Open) => shown(proof, Broken::Isolation),
                (Ok(proof), Closed) => shown(proof, Broken::Reachability),
                (Ok(proof), Nothing) => proof.holds(),
                _ => false,
            };
            let told = match proof {
                Err(why) => why,
                Ok(proof) => proof.findings.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"),
            };
            (!good).then(|| format!("{name}: expected {comes:?}:\n{told}"))
        })
        .collect();
    assert!(wrong.is_empty(), "{} of {}:\n{}", wrong.len(), MISTAKES.len(), wrong.join("\n"));
}
