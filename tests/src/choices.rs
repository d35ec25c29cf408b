//! Small fabrics with everything in them, by a list of choices: for properties over sequences of changes, and for the lab. The same choices give the same
//! bytes; any choices give intents in which nothing is wrong.

use std::fmt::Write as _;

use crate::fabric::File;
use crate::random::Random;

/// How many choices a fabric of this size reads; further ones are ignored, missing ones count as 0.
pub const CHOICES: usize = 40;

/// How large the ground is on which choices are made. It is the same for all states of one sequence.
#[derive(Debug, Clone, Copy)]
pub struct Ground {
    /// How many leaves, at least 2.
    pub leaves: usize,
    /// How many machines; every second one has two ports.
    pub machines: usize,
}

impl Ground {
    /// What fits the lab: one spine, two leaves, an exit, two firewall machines, and of four machines at most two routed: eight nodes with FRR.
    pub const LAB: Self = Self { leaves: 2, machines: 4 };
}

/// Choices by chance.
pub fn choices(random: &mut Random) -> Vec<u8> {
    (0..CHOICES).map(|_| random.next().to_be_bytes()[0]).collect()
}

/// Choices read one after the other.
struct Choices<'a>(std::slice::Iter<'a, u8>);

impl Choices<'_> {
    /// A number below `options`.
    fn pick(&mut self, options: u8) -> u8 {
        self.0.next().map_or(0, |choice| choice % options)
    }
}

/// Where a machine is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Place {
    tenant: &'static str,
    network: &'static str,
    mode: &'static str,
    phase: &'static str,
}

const PLACES: [Option<Place>; 8] = [
    None,
    Some(Place { tenant: "red", network: "red-a", mode: "bridged", phase: "active" }),
    Some(Place { tenant: "blue", network: "blue-a", mode: "bridged", phase: "active" }),
    Some(Place { tenant: "red", network: "red-a", mode: "routed", phase: "active" }),
    Some(Place { tenant: "red", network: "red-b", mode: "routed", phase: "active" }),
    Some(Place { tenant: "blue", network: "blue-a", mode: "routed", phase: "active" }),
    Some(Place { tenant: "blue", network: "store", mode: "routed", phase: "active" }),
    Some(Place { tenant: "red", network: "red-a", mode: "bridged", phase: "provisioning" }),
];

fn document(out: &mut String, kind: &str, name: &str, spec: &str) {
    let _ = writeln!(out, "---\napiVersion: leafwall.io/v1\nkind: {kind}\nmetadata: {{name: {name}}}\nspec: {spec}");
}

/// A fabric of these choices.
pub fn fabric(ground: Ground, choices: &[u8]) -> Vec<File> {
    let mut choices = Choices(choices.iter());
    let mut operators = operators(ground);
    let mut tenants = String::new();
    for tenant in ["red", "blue"] {
        document(&mut tenants, "Tenant", tenant, "{}");
    }
    networks(&mut tenants, &mut choices);
    let places = allocations(&mut tenants, &mut choices, ground);
    firewalls(&mut tenants, &mut operators, &mut choices, &places);
    vec![("operators.yaml".to_owned(), operators), ("tenants.yaml".to_owned(), tenants)]
}

fn operators(ground: Ground) -> String {
    let mut out = String::new();
    let fabric = "{underlay: {loopbacks: 10.255.0.0/24, asns: 4210000000-4210000999}, overlay: {vnis: 10000-19999, vlans: 1001-2000}, \
                  bgp: {bfd: {interval: 1000, multiplier: 3}}, provisioning: {prefix: 10.250.0.0/24, gateway: 10.250.0.1, dhcpServers: [10.250.0.2]}}";
    document(&mut out, "Fabric", "random", fabric);
    document(&mut out, "Switch", "spine-1", "{role: spine, platform: frr}");
    document(&mut out, "Switch", "exit-1", "{role: exit, platform: frr}");
    let mut links = String::from("[\"exit-1:swp31\", \"spine-1:swp1\"]");
    for leaf in 1..=ground.leaves {
        document(&mut out, "Switch", &format!("leaf-{leaf}"), "{role: leaf, platform: frr}");
        let _ = write!(links, ", [\"leaf-{leaf}:swp31\", \"spine-1:swp{}\"]", leaf + 1);
    }
    document(&mut out, "Cabling", "random", &format!("{{links: [{links}]}}"));
    for machine in 0..ground.machines {
        let mut nics = String::new();
        for nic in 0..=machine % 2 {
            let leaf = (machine + nic) % ground.leaves + 1;
            let port = machine + 1;
            let _ = write!(nics, "{{name: lan{nic}, mac: \"02:00:00:00:{machine:02x}:{nic:02x}\", port: \"leaf-{leaf}:swp{port}\"}}, ");
        }
        document(&mut out, "Server", &format!("m-{machine}"), &format!("{{nics: [{}]}}", nics.trim_end_matches(", ")));
    }
    out
}

fn networks(out: &mut String, choices: &mut Choices<'_>) {
    let nat = ["ipv4", "both"][usize::from(choices.pick(2))];
    let internet = format!(
        "{{type: external, vni: 104009, prefixes: [203.0.113.0/24, \"2001:db8:f0::/48\"], destinations: [0.0.0.0/0, \"::/0\"], nat: {nat}, \
         exits: [exit-1], peers: [{{exit: exit-1, interface: swp1, localAddress: 198.51.100.1/30, peerAddress: 198.51.100.2, asn: 64500, import: [0.0.0.0/0]}}, \
         {{exit: exit-1, interface: swp1, localAddress: \"2001:db8:ffff::1/64\", peerAddress: \"2001:db8:ffff::2\", asn: 64500, import: [\"::/0\"], \
         export: [\"2001:db8:f0::/48\", \"2001:db8:a::/48\", \"2001:db8:b::/48\"]}}]}}"
    );
    document(out, "Network", "internet", &internet);
    let extra = ["", ", 10.0.8.0/24"][usize::from(choices.pick(2))];
    let subnets = [
        "{prefix: 10.0.4.0/24}, {prefix: \"2001:db8:a:4::/64\"}",
        "{prefix: 10.0.4.0/24}, {prefix: \"2001:db8:a:4::/64\"}, {prefix: 10.0.5.0/24}",
        "{prefix: 10.0.4.0/24}, {prefix: 10.0.5.0/24}, {prefix: \"2001:db8:a:4::/64\"}, {prefix: \"2001:db8:a:5::/64\"}",
    ][usize::from(choices.pick(3))];
    let vni = ["", ", vni: 15000"][usize::from(choices.pick(2))];
    let announce = ["", ", announce: [10.244.0.0/16]"][usize::from(choices.pick(2))];
    let red =
        format!("{{tenant: red, type: private, prefixes: [10.0.0.0/22, \"2001:db8:a::/64\"{extra}], subnets: [{subnets}]{vni}{announce}}}");
    document(out, "Network", "red-a", &red);
    document(out, "Network", "red-b", "{tenant: red, type: private, prefixes: [10.9.0.0/24, \"2001:db8:a:9::/64\"]}");
    let blue = "{tenant: blue, type: private, prefixes: [10.0.0.0/22, \"2001:db8:b::/64\"], subnets: [{prefix: 10.0.4.0/24}, {prefix: \"2001:db8:b:4::/64\"}]}";
    document(out, "Network", "blue-a", blue);
    document(out, "Network", "store", "{tenant: blue, type: shared, nat: ipv4, prefixes: [10.100.0.0/24, \"2001:db8:b:100::/64\"]}");
    match choices.pick(3) {
        1 => document(out, "Peering", "red-ab", "{between: [{network: red-a}, {network: red-b}]}"),
        2 => document(out, "Peering", "red-ab", "{between: [{network: red-a, prefixes: [10.0.4.0/24]}, {network: red-b}]}"),
        _ => {}
    }
}

fn allocations(out: &mut String, choices: &mut Choices<'_>, ground: Ground) -> Vec<Option<Place>> {
    let mut places = Vec::new();
    let mut routed = 0;
    for machine in 0..ground.machines {
        let mut place = PLACES[usize::from(choices.pick(8))];
        if place.is_some_and(|p| p.mode == "routed") {
            routed += 1;
            // the lab has room for two of these
            if ground.leaves == Ground::LAB.leaves && routed > 2 {
                place = PLACES[1];
            }
        }
        if let Some(Place { tenant, network, mode, phase }) = place {
            let spec = format!("{{server: m-{machine}, tenant: {tenant}, network: {network}, mode: {mode}, phase: {phase}}}");
            document(out, "Allocation", &format!("a-{machine}"), &spec);
        }
        places.push(place);
    }
    places
}

fn firewalls(out: &mut String, operators: &mut String, choices: &mut Choices<'_>, places: &[Option<Place>]) {
    let inband = ["", ", management: {inband: blue-a}"][usize::from(choices.pick(2))];
    let nics = |n: usize| {
        format!(
            "nics: [{{name: lan0, mac: \"02:00:00:00:f{n}:00\", port: \"leaf-1:swp2{n}\"}}, {{name: lan1, mac: \"02:00:00:00:f{n}:01\", port: \"leaf-2:swp2{n}\"}}]"
        )
    };
    document(operators, "Server", "fw-1", &format!("{{role: firewall, {}}}", nics(1)));
    let (red, blue) = (choices.pick(4), choices.pick(3));
    // in-band management goes through a network that its firewall joins
    let inband = if red != 3 && blue != 0 { inband } else { "" };
    document(operators, "Server", "fw-2", &format!("{{role: firewall, {}{inband}}}", nics(2)));
    document(out, "Address", "red-out", "{tenant: red, network: internet, address: 203.0.113.10, static: true}");
    document(out, "Address", "red-store", "{tenant: red, network: store, static: true}");
    document(out, "Address", "blue-out", "{tenant: blue, network: internet, static: true}");
    document(out, "Address", "blue-out6", "{tenant: blue, network: internet, address: \"2001:db8:f0::b\", static: true}");
    let routed_red = places.iter().position(|p| p.is_some_and(|p| p.tenant == "red" && p.mode == "routed"));
    match (choices.pick(3), routed_red) {
        (1, Some(machine)) => {
            document(out, "Address", "red-www", &format!("{{tenant: red, network: internet, static: true, server: m-{machine}}}"));
        }
        (2, _) => document(out, "Address", "red-www", "{tenant: red, network: internet, static: true}"),
        _ => {}
    }
    let red_servers = if red == 3 { "fw-1, fw-2" } else { "fw-1" };
    let red_networks = ["", "red-a, internet", "red-a, red-b, internet, store", "red-a, internet, store"][usize::from(red)];
    if red > 0 {
        let store = if red > 1 { ", {network: store, addresses: [red-store]}" } else { "" };
        let spec = format!(
            "{{tenant: red, servers: [{red_servers}], networks: [{red_networks}], egress: [{{network: internet, addresses: [red-out]}}{store}]}}"
        );
        document(out, "Firewall", "red-fw", &spec);
        if choices.pick(2) == 1 {
            let rules = "{firewall: red-fw, egress: [{action: allow, to: [{cidr: 0.0.0.0/0}], ports: [{protocol: TCP, port: 443}]}]}";
            document(out, "FirewallPolicy", "red-web", rules);
        }
    }
    if blue > 0 && red != 3 {
        let networks = ["", "blue-a, internet", "blue-a, internet, store"][usize::from(blue)];
        let egress = ["blue-out", "blue-out, blue-out6"][usize::from(choices.pick(2))];
        let spec =
            format!("{{tenant: blue, servers: [fw-2], networks: [{networks}], egress: [{{network: internet, addresses: [{egress}]}}]}}");
        document(out, "Firewall", "blue-fw", &spec);
    }
}
