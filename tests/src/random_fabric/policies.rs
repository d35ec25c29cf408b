//! External networks, elastic addresses, firewalls and their rules.

use std::fmt::Write as _;

use leafwall_topology::Family;

use super::tenants::inside;
use super::{Draft, Net, document, family, list};

/// What is beyond the exits.
struct Beyond {
    name: &'static str,
    vni: u32,
    prefixes: [&'static str; 2],
    destinations: [&'static str; 2],
    port: &'static str,
    local: [&'static str; 2],
    peer: [&'static str; 2],
    asn: u32,
}

const BEYOND: [Beyond; 2] = [
    Beyond {
        name: "internet",
        vni: 104_009,
        prefixes: ["203.0.113.0/24", "2001:db8:f0::/48"],
        destinations: ["0.0.0.0/0", "::/0"],
        port: "interface: swp1",
        local: ["198.51.100.1/30", "2001:db8:ffff:1::1/64"],
        peer: ["198.51.100.2", "2001:db8:ffff:1::2"],
        asn: 64500,
    },
    Beyond {
        name: "partner",
        vni: 104_010,
        prefixes: ["100.64.7.0/28", "2001:db8:f1::/48"],
        destinations: ["172.31.0.0/16", "2001:db8:99::/48"],
        port: "interface: swp2, vlan: 200",
        local: ["198.51.100.9/30", "2001:db8:ffff:2::1/64"],
        peer: ["198.51.100.10", "2001:db8:ffff:2::2"],
        asn: 64510,
    },
];

fn covers(nat: &str, of: Family) -> bool {
    nat == "both" || (nat == "ipv4" && of == Family::V4)
}

/// What rules name beside the addresses of servers, each with a part of it to leave out.
const BLOCKS: [(&str, &str); 10] = [
    ("0.0.0.0/0", "198.18.0.0/24"),
    ("0.0.0.0/0", "10.100.0.0/24"),
    ("10.0.0.0/8", "10.0.4.0/24"),
    ("10.0.0.0/22", "10.0.0.20/31"),
    ("203.0.113.0/24", "203.0.113.30/31"),
    ("172.31.0.0/16", "172.31.99.0/24"),
    ("::/0", "2001:2::/48"),
    ("::/0", "2001:db8:b::/48"),
    ("2001:db8::/32", "2001:db8:b:100::/64"),
    ("2001:db8:a::/48", "2001:db8:a:4::/64"),
];

const PORTS: [&str; 6] = [
    "{protocol: TCP, port: 443}",
    "{protocol: TCP, port: 8000, endPort: 8002}",
    "{protocol: TCP}",
    "{protocol: UDP, port: 53}",
    "{protocol: any}",
    "{protocol: TCP, port: 22}",
];

impl Draft {
    pub(super) fn firewalls(&mut self) {
        let mut machines: Vec<String> = Vec::new();
        for number in 1..=self.machines {
            let nics = self.nics(0xf0 + number, 20 + number);
            let name = format!("fw-{number}");
            document(&mut self.operators, "Server", &name, &format!("role: firewall, {nics}"));
            machines.push(name);
        }
        // who has a firewall: one tenant with one machine or two, or two tenants
        let mut owners: Vec<(&'static str, Vec<String>)> = Vec::new();
        let first = *self.random.pick(&["red", "red", "blue"]);
        match machines.len() {
            0 => {}
            1 => owners.push((first, machines)),
            _ if self.random.once_in(3) => owners.push((first, machines)),
            _ => {
                owners.push(("red", vec![machines[0].clone()]));
                owners.push(("blue", vec![machines[1].clone()]));
            }
        }
        let mut joined: Vec<Net> = Vec::new();
        for (tenant, machines) in owners {
            self.firewall(tenant, &machines, &mut joined);
        }
        self.external(&joined);
    }

    fn firewall(&mut self, tenant: &'static str, machines: &[String], joined: &mut Vec<Net>) {
        let mut own: Vec<Net> = self.nets.iter().filter(|net| net.tenant == tenant && net.name != "store").cloned().collect();
        if own.len() > 1 && self.random.once_in(3) {
            own.truncate(1);
        }
        let mut names: Vec<&'static str> = own.iter().map(|net| net.name).collect();
        let mut translating: Vec<(&'static str, &'static str)> = Vec::new();
        for (name, nat) in self.outside.clone() {
            if !self.random.once_in(5) {
                names.push(name);
                translating.push((name, nat));
            }
        }
        if let Some(nat) = self.store
            && !self.random.once_in(4)
        {
            names.push("store");
            translating.push(("store", nat));
        }
        let mut egress = Vec::new();
        for (network, nat) in translating.clone() {
            let mut held = Vec::new();
            for prefix in self.prefixes_of(network).into_iter().filter(|prefix| covers(nat, family(prefix))) {
                let number = if tenant == "red" { 10 } else { 12 };
                // without one, nothing gets out in that family
                if self.random.once_in(10) {
                    continue;
                }
                for extra in 0..=usize::from(self.random.once_in(4)) {
                    let name = format!("{tenant}-{network}-{}{extra}", if family(prefix) == Family::V4 { "v4" } else { "v6" });
                    let address = inside(prefix, number + extra);
                    let spec = format!("tenant: {tenant}, network: {network}, address: \"{address}\", static: true");
                    document(&mut self.tenants, "Address", &name, &spec);
                    held.push(name);
                }
            }
            if !held.is_empty() {
                egress.push(format!("{{network: {network}, addresses: [{}]}}", list(&held)));
            }
        }
        for network in translating.iter().map(|(network, _)| *network) {
            self.elastic(tenant, network);
        }
        let bounds = match self.random.below(10) {
            0 => ", access: forbidden",
            1 if self.families.contains(&Family::V4) => ", allowedNetworks: {egress: [198.18.0.0/15, 10.100.0.0/24], ingress: [0.0.0.0/0]}",
            2 => ", access: restricted, allowedNetworks: {egress: [0.0.0.0/0, \"::/0\"]}",
            _ => "",
        };
        let name = format!("{tenant}-fw");
        let spec = format!(
            "tenant: {tenant}, servers: [{}], networks: [{}], egress: [{}]{bounds}",
            list(machines),
            names.join(", "),
            egress.join(", ")
        );
        document(&mut self.tenants, "Firewall", &name, &spec);
        for policy in 0..=self.random.below(2) {
            let egress: Vec<String> = (0..=self.random.below(3)).map(|_| self.rule(&names)).collect();
            let ingress: Vec<String> = (0..self.random.below(3)).map(|_| self.rule(&names)).collect();
            let spec = format!("firewall: {name}, egress: [{}], ingress: [{}]", egress.join(", "), ingress.join(", "));
            document(&mut self.tenants, "FirewallPolicy", &format!("{tenant}-rules-{policy}"), &spec);
        }
        joined.extend(own);
        if names.contains(&"store") {
            joined.extend(self.nets.iter().filter(|net| net.name == "store" && net.tenant == tenant).cloned());
        }
    }

    fn prefixes_of(&self, network: &str) -> Vec<&'static str> {
        let outside = BEYOND.iter().find(|beyond| beyond.name == network).map(|beyond| self.of_families(&beyond.prefixes));
        outside.or_else(|| self.nets.iter().find(|net| net.name == network).map(|net| net.prefixes.clone())).unwrap_or_default()
    }

    /// Perhaps an elastic address of this network on one of the tenant's servers.
    fn elastic(&mut self, tenant: &'static str, network: &'static str) {
        let servers: Vec<String> =
            self.routed.iter().filter(|(_, owner, at)| *owner == tenant && *at != network).map(|(server, ..)| server.clone()).collect();
        if servers.is_empty() || self.random.once_in(3) {
            return;
        }
        let server = self.random.pick(&servers).clone();
        let prefixes = self.prefixes_of(network);
        let prefix = *self.random.pick(&prefixes);
        let address = inside(prefix, if tenant == "red" { 8 } else { 9 });
        let spec = format!("tenant: {tenant}, network: {network}, address: \"{address}\", static: true, server: {server}");
        document(&mut self.tenants, "Address", &format!("{tenant}-{network}-www"), &spec);
        self.hosts.push(address);
    }

    /// Networks of the outside. What is not translated on the way there is told to the routers there.
    fn external(&mut self, joined: &[Net]) {
        for (name, nat) in self.outside.clone() {
            let Some(beyond) = BEYOND.iter().find(|beyond| beyond.name == name) else { continue };
            let mut peers = Vec::new();
            for (index, of) in Family::BOTH.into_iter().enumerate().filter(|(_, of)| self.families.contains(of)) {
                let mut export = vec![beyond.prefixes[index]];
                if !covers(nat, of) {
                    export.extend(joined.iter().flat_map(Net::all).filter(|prefix| family(prefix) == of));
                }
                export.sort_unstable();
                export.dedup();
                peers.push(format!(
                    "{{exit: exit-1, {}, localAddress: \"{}\", peerAddress: \"{}\", asn: {}, import: [\"{}\"], export: [{}]}}",
                    beyond.port,
                    beyond.local[index],
                    beyond.peer[index],
                    beyond.asn,
                    beyond.destinations[index],
                    list(&export)
                ));
            }
            let spec = format!(
                "type: external, vni: {}, prefixes: [{}], destinations: [{}], nat: {nat}, exits: [exit-1], peers: [{}]",
                beyond.vni,
                list(&self.of_families(&beyond.prefixes)),
                list(&self.of_families(&beyond.destinations)),
                peers.join(", ")
            );
            document(&mut self.tenants, "Network", name, &spec);
        }
    }

    fn rule(&mut self, networks: &[&'static str]) -> String {
        let of = *self.random.pick(&self.families.clone());
        let action = if self.random.once_in(4) { "deny" } else { "allow" };
        let priority = *self.random.pick(&["", "", "", ", priority: 100", ", priority: 2000"]);
        let mut fields = format!("action: {action}{priority}");
        for side in ["from", "to"] {
            let peers: Vec<String> = match self.random.below(4) {
                0 => Vec::new(),
                1 if side == "from" => Vec::new(),
                _ => (0..=self.random.below(2)).map(|_| self.peer(networks, of)).collect(),
            };
            if !peers.is_empty() {
                let _ = write!(fields, ", {side}: [{}]", peers.join(", "));
            }
        }
        let mut ports: Vec<String> = (0..self.random.below(3)).map(|_| (*self.random.pick(&PORTS)).to_owned()).collect();
        if self.random.once_in(3) {
            ports.push(format!("{{protocol: {}}}", if of == Family::V4 { "ICMP" } else { "ICMPv6" }));
        }
        if !ports.is_empty() {
            let _ = write!(fields, ", ports: [{}]", ports.join(", "));
        }
        format!("{{{fields}}}")
    }

    fn peer(&mut self, networks: &[&'static str], of: Family) -> String {
        if self.random.once_in(3) {
            return format!("{{network: {}}}", self.random.pick(networks));
        }
        let hosts: Vec<String> = self.hosts.iter().filter(|host| family(host) == of).cloned().collect();
        if !hosts.is_empty() && self.random.once_in(4) {
            let host = self.random.pick(&hosts);
            return format!("{{cidr: \"{host}/{}\"}}", of.host_length());
        }
        let blocks: Vec<_> = BLOCKS.iter().filter(|(block, _)| family(block) == of).collect();
        let (block, part) = *self.random.pick(&blocks);
        if self.random.once_in(2) { format!("{{cidr: \"{block}\", except: [\"{part}\"]}}") } else { format!("{{cidr: \"{block}\"}}") }
    }
}
