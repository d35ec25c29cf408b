//! Tenants, their networks and servers.

use std::fmt::Write as _;

use leafwall_topology::Family;

use super::{Draft, Net, document, family, list};

/// What a tenant's network may consist of: a routed prefix and a subnet of each family.
struct Plot {
    name: &'static str,
    tenant: &'static str,
    routed: [&'static str; 2],
    bridged: [&'static str; 2],
    /// What it has in place of `routed` and `bridged` where tenants use the same IPv4 prefixes.
    same: Option<[&'static str; 2]>,
}

const PLOTS: [Plot; 4] = [
    Plot {
        name: "red-a",
        tenant: "red",
        routed: ["10.0.0.0/22", "2001:db8:a::/64"],
        bridged: ["10.0.4.0/24", "2001:db8:a:4::/64"],
        same: None,
    },
    Plot {
        name: "red-b",
        tenant: "red",
        routed: ["10.9.0.0/24", "2001:db8:a:9::/64"],
        bridged: ["10.9.4.0/24", "2001:db8:a:94::/64"],
        same: None,
    },
    Plot {
        name: "blue-a",
        tenant: "blue",
        routed: ["10.16.0.0/22", "2001:db8:b::/64"],
        bridged: ["10.16.4.0/24", "2001:db8:b:4::/64"],
        same: Some(["10.0.0.0/22", "10.0.4.0/24"]),
    },
    Plot {
        name: "green-a",
        tenant: "green",
        routed: ["10.32.0.0/22", "2001:db8:c::/64"],
        bridged: ["10.32.4.0/24", "2001:db8:c:4::/64"],
        same: Some(["10.0.0.0/22", "10.0.4.0/24"]),
    },
];

const STORE: [&str; 2] = ["10.100.0.0/24", "2001:db8:b:100::/64"];

impl Draft {
    pub(super) fn networks(&mut self) {
        let tenants: &[&str] = if self.random.once_in(2) { &["red", "blue"] } else { &["red", "blue", "green"] };
        for tenant in tenants {
            document(&mut self.tenants, "Tenant", tenant, "");
        }
        self.store = if self.random.once_in(2) { Some(*self.random.pick(&["ipv4", "both", "none"])) } else { None };
        // what is nowhere translated must differ
        let untranslated = self.outside.iter().map(|(_, nat)| *nat).chain(self.store).any(|nat| nat == "none");
        self.same = !untranslated && !self.random.once_in(4);
        for plot in &PLOTS {
            if tenants.contains(&plot.tenant) && (plot.name != "red-b" || self.random.once_in(2)) {
                self.private(plot);
            }
        }
        if let Some(nat) = self.store {
            let prefixes = self.of_families(&STORE);
            document(
                &mut self.tenants,
                "Network",
                "store",
                &format!("tenant: blue, type: shared, nat: {nat}, prefixes: [{}]", list(&prefixes)),
            );
            self.nets.push(Net { name: "store", tenant: "blue", prefixes, subnets: Vec::new() });
        }
        self.peering();
    }

    fn private(&mut self, plot: &Plot) {
        let (mut routed, mut bridged) = (plot.routed, plot.bridged);
        if let (true, Some([prefix, subnet])) = (self.same, plot.same) {
            (routed[0], bridged[0]) = (prefix, subnet);
        }
        let only: Option<Family> = if self.random.once_in(5) { Some(*self.random.pick(&self.families.clone())) } else { None };
        let fits = |text: &&'static str| only.is_none_or(|only| family(text) == only);
        let prefixes: Vec<_> = self.of_families(&routed).into_iter().filter(|t| fits(t)).collect();
        let mut subnets: Vec<_> = self.of_families(&bridged).into_iter().filter(|t| fits(t)).collect();
        let prefixes = if self.random.once_in(5) { Vec::new() } else { prefixes };
        if !prefixes.is_empty() && self.random.once_in(4) {
            subnets.clear();
        }
        let gateway = |subnet: &&str| match (*subnet, self.same) {
            ("10.9.4.0/24", _) => "{prefix: 10.9.4.0/24, gateway: 10.9.4.254}".to_owned(),
            _ => format!("{{prefix: \"{subnet}\"}}"),
        };
        let gateways: Vec<String> = subnets.iter().map(gateway).collect();
        let spec = format!("tenant: {}, type: private, prefixes: [{}], subnets: [{}]", plot.tenant, list(&prefixes), gateways.join(", "));
        document(&mut self.tenants, "Network", plot.name, &spec);
        self.nets.push(Net { name: plot.name, tenant: plot.tenant, prefixes, subnets });
    }

    /// A peering of red's networks, or of a tenant's with another tenant's.
    fn peering(&mut self) {
        let partner = *self.random.pick(&["red-b", "red-b", "green-a", "none"]);
        let near = self.nets.iter().find(|net| net.name == "red-a").cloned();
        let far = self.nets.iter().find(|net| net.name == partner).cloned();
        let (Some(near), Some(far)) = (near, far) else { return };
        if self.same && partner == "green-a" {
            return;
        }
        let mut side = |net: &Net| {
            let all: Vec<&str> = net.all().collect();
            let some: Vec<&str> = match self.random.below(4) {
                0 => vec![*self.random.pick(&all)],
                1 => self.random.pick(&[&["10.0.0.0/29"][..], &["10.0.1.0/24"], &all]).to_vec(),
                _ => Vec::new(),
            };
            // a part of a prefix is shown where it is one
            let some: Vec<&str> =
                some.into_iter().filter(|p| all.contains(p) || (net.name == "red-a" && all.contains(&"10.0.0.0/22"))).collect();
            if some.is_empty() {
                format!("{{network: {}}}", net.name)
            } else {
                format!("{{network: {}, prefixes: [{}]}}", net.name, list(&some))
            }
        };
        let between = format!("between: [{}, {}]", side(&near), side(&far));
        document(&mut self.tenants, "Peering", "peers", &between);
    }

    pub(super) fn servers(&mut self) {
        let fixed = !self.random.once_in(4);
        let bridged = 1 + self.random.below(4);
        let routed = self.room.min(4).saturating_sub(self.random.below(2));
        for number in 0..(bridged + routed) {
            let name = format!("m-{number}");
            let nics = self.nics(number, number + 1);
            document(&mut self.operators, "Server", &name, &nics);
            let routed = number >= bridged;
            let nets: Vec<Net> =
                self.nets.iter().filter(|net| if routed { !net.prefixes.is_empty() } else { !net.subnets.is_empty() }).cloned().collect();
            if nets.is_empty() || self.random.once_in(12) {
                continue; // nobody has it
            }
            let net = self.random.pick(&nets).clone();
            let phase = if self.random.once_in(12) { ", phase: provisioning" } else { "" };
            let mut spec = format!("server: {name}, tenant: {}, network: {}{phase}", net.tenant, net.name);
            let from = if routed { &net.prefixes } else { &net.subnets };
            if !routed {
                spec += ", mode: bridged";
            }
            let addresses: Vec<String> = from.iter().map(|prefix| inside(prefix, 20 + number)).collect();
            if fixed {
                let _ = write!(spec, ", addresses: [{}]", list(&addresses));
                self.hosts.extend(addresses);
            }
            document(&mut self.tenants, "Allocation", &format!("a-{number}"), &spec);
            if routed {
                self.room -= 1;
                self.routed.push((name, net.tenant, net.name));
            }
        }
    }
}

/// An address in a prefix, by its number there.
pub(super) fn inside(prefix: &str, number: usize) -> String {
    let network = prefix.split('/').next().unwrap_or(prefix);
    match network.strip_suffix(".0") {
        Some(network) => format!("{network}.{number}"),
        None => format!("{network}{number:x}"),
    }
}
