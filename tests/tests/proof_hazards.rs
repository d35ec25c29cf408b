//! Known ways to fail that can be read off artefacts: each check has an artefact that it refuses, at its line, and what is rendered passes all of them.
#![allow(clippy::unwrap_used)] // helpers of tests

use std::collections::BTreeSet;
use std::sync::Arc;

use leafwall_proof::hazards::ROWS;
use leafwall_proof::{Hazard, Proof};
use leafwall_tests::rendered::{Rendered, golden_fabrics, rendered};
use leafwall_tests::root;
use rayon::prelude::*;

fn prove(fabric: &Rendered) -> Result<Proof, String> {
    let inventory = fabric.inventory();
    let input = fabric.input(&inventory);
    leafwall_proof::prove(&input).map_err(|errors| format!("{errors:?}"))
}

#[test]
fn what_is_rendered_walks_no_known_way_to_fail() {
    for (name, path) in golden_fabrics() {
        let proof = prove(&rendered(&path)).unwrap();
        assert!(proof.hazards.is_empty(), "{name}: {:#?}", proof.hazards);
    }
}

/// A change of a file of fra1 and the code that refuses it.
struct Mistake {
    code: &'static str,
    device: &'static str,
    file: &'static str,
    from: &'static str,
    to: &'static str,
    /// What the line that is told has in it; empty, where something is missing.
    at: &'static str,
}

macro_rules! mistakes {
    ($($code:literal $device:literal $file:literal $from:literal => $to:literal @ $at:literal;)*) => {
        &[$(Mistake { code: $code, device: $device, file: $file, from: $from, to: $to, at: $at }),*]
    };
}

const SVI: &str = "{\"name\":\"vlan1006\",\"kind\":{\"vlan\":{\"lower\":\"bridge0\",\"id\":1006}},\"mtu\":9000,\"mac\":\"02:00:5e:00:00:01\",\"master\":\"vrf10001\",\"addresses\":[\"10.0.4.1/24\",\"2001:db8:b:4::1/64\"],\"state\":\"up\"},\n";

const MISTAKES: &[Mistake] = mistakes! {
    "LW-H02" "leaf-01" "links.json" "\"id\":1003}},\"mtu\":9000,\"mac\":\"02:4c:0a:ff:00:07\"" => "\"id\":1003}},\"mtu\":9000,\"mac\":\"02:4c:0a:ff:00:08\"" @ "vlan1003";
    "LW-H04" "leaf-01" "frr.conf" "  advertise-all-vni\n" => "" @ "router bgp ";
    "LW-H14" "leaf-01" "frr.conf" "frr version 10.3" => "frr version 10.0.1" @ "frr version 10.0.1";
    "LW-H15" "leaf-01" "links.json" "    \"net/ipv4/ip_forward\": \"1\"," => "    \"net/ipv4/ip_forward\": \"1\",\n    \"net/ipv4/ip_forward\": \"1\"," @ "net/ipv4/ip_forward";
    "LW-H20" "leaf-03" "frr.conf" "  neighbor swp3 prefix-list lw-swp3-4 in\n" => "" @ "neighbor swp3 ";
    "LW-H20" "leaf-01" "frr.conf" "neighbor swp6 prefix-list lw-swp6-4 in" => "neighbor swp6 prefix-list lw-swp1-4 in" @ "neighbor swp6 prefix-list lw-swp1-4 in";
    "LW-H22" "leaf-01" "frr.conf" "neighbor swp1 prefix-list lw-swp1-6 in" => "neighbor swp1 prefix-list lw-swp9-lo in" @ "neighbor swp1 ";
    "LW-H35" "leaf-01" "frr.conf" "^RT:65000:10000 ET:8 Rmac:02:4c:0a:ff:00:03$" => "^RT:65000:10000 ET:8 Rmac:02:4c:0a:ff:00:03" @ "expanded lw-swp9-10000 seq 5";
    "LW-H35" "leaf-01" "frr.conf" " match extcommunity lw-swp9-10000\n" => "" @ "route-map lw-swp9-evpn-in permit 10";
    "LW-H36" "leaf-01" "frr.conf" " match extcommunity lw-swp9-10000\n" => " match extcommunity lw-swp9-10000\n match evpn vni 10000\n" @ "match evpn vni 10000";
    "LW-H37" "leaf-01" "frr.conf" " match as-path lw-own\n" => "" @ "route-map lw-evpn-fabric-out permit 10";
    "LW-H37" "leaf-01" "frr.conf" "lw-own seq 10 permit ^4210000003(_|$)" => "lw-own seq 10 permit .*" @ "route-map lw-evpn-fabric-out permit 10";
    "LW-H38" "leaf-01" "leafwall.nft" "hook ingress device \"swp9\" priority filter; policy drop" => "hook ingress device \"swp9\" priority filter; policy accept" @ "chain guard.swp9";
    "LW-H38" "leaf-01" "leafwall.nft" "hook ingress device \"swp9\"" => "hook ingress device \"swp11\"" @ "";
    "LW-H40" "leaf-01" "links.json" "\"net/ipv4/tcp_l3mdev_accept\": \"0\"" => "\"net/ipv4/tcp_l3mdev_accept\": \"1\"" @ "tcp_l3mdev_accept";
    "LW-H40" "leaf-01" "links.json" "    \"net/ipv4/udp_l3mdev_accept\": \"0\",\n" => "" @ "";
    "LW-H40" "leaf-01" "links.json" "\"local_table\": \"after-vrfs\"" => "\"local_table\": \"first\"" @ "\"local_table\"";
    "LW-H40" "leaf-01" "leafwall.nft" "type filter hook input priority" => "type filter hook output priority" @ "";
    "LW-H41" "leaf-01" "links.json" "\"maximum_macs\":128" => "\"maximum_macs\":0" @ "\"maximum_macs\":0";
    "LW-H41" "leaf-01" "leafwall.nft" "\t\tsize 64\n" => "" @ "device \"swp2\"";
    "LW-F09" "fw-01" "leafwall.nft" "type filter hook forward priority filter; policy drop" => "type filter hook forward priority filter; policy accept" @ "chain forward {";
    "LW-F10" "fw-01" "leafwall.nft" "oifname \"vlan1003\" ip saddr @snat4.internet snat" => "oifname \"vlan1003\" ip saddr @snat4.internet meta l4proto tcp snat" @ "meta l4proto tcp snat";
    "LW-F11" "fw-01" "leafwall.nft" "limit rate 10/second burst 20 packets log prefix \"leafwall deny \"" => "log prefix \"leafwall deny \" limit rate 10/second burst 20 packets" @ "chain drop.denied {";
    "LW-F11" "fw-01" "leafwall.nft" "limit rate 10/second burst 20 packets log prefix \"leafwall deny \"" => "log prefix \"leafwall deny \"" @ "chain drop.denied {";
    "LW-F15" "fw-01" "leafwall.nft" "ip saddr 10.255.0.0/24 ip daddr 10.255.0.3 udp dport 4789" => "ip saddr 10.0.0.0/8 ip daddr 10.255.0.3 udp dport 4789" @ "udp dport 4789";
    "LW-F17" "fw-01" "leafwall.nft" "\t\ticmpv6 type { destination-unreachable, packet-too-big, time-exceeded, parameter-problem } accept\n" => "" @ "chain input {";
    "LW-F17" "fw-01" "leafwall.nft" "related : accept" => "related : goto drop.invalid" @ "ct state";
    "LW-F19" "fw-01" "leafwall.nft" "chain cluster {" => "chain flow {\n\t}\n\tchain cluster {" @ "chain flow {";
    "LW-F22" "fw-01" "links.json" "\"forwarding\": \"after-ruleset\"" => "\"forwarding\": \"immediate\"" @ "\"forwarding\"";
    "LW-F23" "fw-01" "leafwall.nft" "\"vrf10000\" : goto source.acme-prod, " => "\"vrf10000\" : goto forward.flows, " @ "chain forward {";
};

fn refused(mistake: &Mistake) -> Result<Vec<Hazard>, String> {
    let mut fabric = rendered(&root().join("containerlab/fra1"));
    let text = Arc::make_mut(fabric.devices.get_mut(mistake.device).unwrap()).files.get_mut(mistake.file).unwrap();
    if !text.contains(mistake.from) {
        return Err("the rendered text is another one by now".to_owned());
    }
    *text = text.replacen(mistake.from, mistake.to, 1);
    let lines: Vec<String> = text.lines().map(str::to_owned).collect();
    let hazards = prove(&fabric)?.hazards;
    let here = hazards.iter().find(|hazard| hazard.code == mistake.code && hazard.device.as_str() == mistake.device);
    let Some(here) = here else { return Err(format!("it is not refused: {hazards:?}")) };
    let line = here.line.and_then(|line| lines.get(line - 1));
    match (mistake.at, line) {
        ("", None) => {}
        (at, Some(line)) if !at.is_empty() && line.contains(at) && here.file == mistake.file => {}
        _ => return Err(format!("it is refused elsewhere: {here}")),
    }
    Ok(hazards)
}

#[test]
fn each_known_way_to_fail_is_refused_at_its_line() {
    let wrong: Vec<String> = MISTAKES
        .par_iter()
        .filter_map(|mistake| refused(mistake).err().map(|why| format!("{} ({} => {}): {why}", mistake.code, mistake.from, mistake.to)))
        .collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// H1: the SVI of a subnet behind those of L3VNIs.
#[test]
fn h01_an_svi_that_comes_too_late_is_refused() {
    let mut fabric = rendered(&root().join("containerlab/fra1"));
    let text = Arc::make_mut(fabric.devices.get_mut("leaf-01").unwrap()).files.get_mut("links.json").unwrap();
    assert!(text.contains(SVI));
    let moved = text.replacen(&format!("    {SVI}"), "", 1);
    *text = moved.replacen("    {\"name\":\"vlan1004\"", &format!("    {SVI}    {{\"name\":\"vlan1004\""), 1);
    let hazards = prove(&fabric).unwrap().hazards;
    assert!(hazards.iter().any(|hazard| hazard.code == "LW-H01" && hazard.line.is_some()), "{hazards:?}");
}

#[test]
fn every_check_has_an_artefact_that_it_refuses_and_a_line_in_the_documents() {
    let tried: BTreeSet<&str> = MISTAKES.iter().map(|mistake| mistake.code).chain(["LW-H01"]).collect();
    let known: BTreeSet<&str> = ROWS.iter().map(|row| row.code).collect();
    assert_eq!(tried, known);
    let documents = std::fs::read_to_string(root().join("docs/hazards.md")).unwrap();
    for row in ROWS {
        assert!(documents.contains(&format!("| {} | {} |", row.row, row.code)), "{} is not in docs/hazards.md", row.code);
    }
}
