//! Random small fabrics for the lab, each with a scenario by the [oracle](crate::oracle): at most eight nodes run FRR. One seed gives one fabric.
//!
//! What is drawn is legal by construction: [`generate`] asserts that the check passes. Fabrics of which the oracle can't say everything are drawn again,
//! and it says why.

mod policies;
mod tenants;

use std::fmt::Write as _;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use leafwall_intent::Model;
use leafwall_topology::Family;

use crate::directory;
use crate::oracle::Oracle;
use crate::random::Random;

/// How many nodes with FRR a fabric has at most: switches, firewall machines, routed servers, routers outside.
pub const MOST_ROUTERS: usize = 8;
/// How often a fabric is drawn again before something must be wrong with the generator.
const MOST_DRAWS: u64 = 200;
/// How much is to pass from network to network at least, in three of four fabrics: what stays in one network is soon told.
const LEAST_CROSSING: usize = 12;

/// A random fabric, written.
#[derive(Debug)]
pub struct RandomFabric {
    /// What gives it again.
    pub seed: u64,
    /// Its directory, with its scenario in `scenarios/`.
    pub directory: PathBuf,
    /// How many of its nodes run FRR.
    pub routers: usize,
    /// How many things its scenario expects to pass.
    pub passing: usize,
    /// How many of them go from one network into another.
    pub crossing: usize,
    /// Why earlier draws were thrown away.
    pub redrawn: Vec<String>,
}

/// Draws the fabric of a seed and writes it below `parent`, in place of what was there.
///
/// # Errors
/// Where files can't be written.
///
/// # Panics
/// Where what was drawn does not pass the check, or is larger than the lab has room for: the generator is wrong then.
#[allow(clippy::panic)]
pub fn generate(seed: u64, parent: &Path) -> io::Result<RandomFabric> {
    let directory = parent.join(seed.to_string());
    let mut redrawn = Vec::new();
    for draw in 0..MOST_DRAWS {
        // neighbouring seeds must not give each other's draws
        let mut draft = Draft::new(Random::new(seed.wrapping_mul(0x1_0001).wrapping_add(draw << 40)));
        draft.draw();
        if directory.exists() {
            fs::remove_dir_all(&directory)?;
        }
        fs::create_dir_all(directory.join("scenarios"))?;
        fs::write(directory.join("operators.yaml"), &draft.operators)?;
        fs::write(directory.join("tenants.yaml"), &draft.tenants)?;
        let (passes, findings) = directory::check(&directory)?;
        assert!(passes, "seed {seed}: {} does not pass the check:\n{findings}", directory.display());
        let (model, _, _) = directory::load(&directory)?;
        let Some(model) = model else { panic!("seed {seed}: what passes the check has a Model") };
        let oracle = Oracle::new(&model);
        let kinds = oracle.kinds();
        let routers = routers(&model);
        assert!(routers <= MOST_ROUTERS, "seed {seed}: {routers} nodes run FRR");
        let scenario = oracle
            .passing(&kinds)
            .and_then(|passing| Ok((passing.len(), oracle.crossing(&passing), oracle.scenario("random", "..", &kinds)?)));
        match scenario {
            Ok((0, ..)) => redrawn.push("nothing passes".to_owned()),
            Ok((_, crossing, _)) if crossing < LEAST_CROSSING && !seed.is_multiple_of(4) => {
                redrawn.push(format!("{crossing} things pass from network to network"));
            }
            Ok((passing, crossing, scenario)) => {
                let head = format!("# What a random fabric's oracle derives from its Model: LEAFWALL_SEED={seed}\n");
                fs::write(directory.join("scenarios/random.yaml"), head + &scenario)?;
                return Ok(RandomFabric { seed, directory, routers, passing, crossing, redrawn });
            }
            Err(unclear) => redrawn.push(unclear.to_string()),
        }
    }
    panic!("seed {seed}: no fabric in {MOST_DRAWS} draws: {redrawn:#?}");
}

/// How many nodes run FRR in the lab.
pub fn routers(model: &Model) -> usize {
    use leafwall_intent::model::Mode;
    let routed = model.allocations.values().filter(|allocation| allocation.mode == Mode::Routed).count();
    let machines: usize = model.firewalls.values().map(|firewall| firewall.servers.len()).sum();
    let outside = model.networks.values().filter(|network| !network.peers.is_empty()).count();
    model.switches.len() + routed + machines + outside
}

/// A network as it was drawn.
#[derive(Debug, Clone)]
struct Net {
    name: &'static str,
    tenant: &'static str,
    /// The letter of its tenant in IPv6 prefixes.
    prefixes: Vec<&'static str>,
    subnets: Vec<&'static str>,
}

impl Net {
    fn all(&self) -> impl Iterator<Item = &'static str> {
        self.prefixes.iter().chain(&self.subnets).copied()
    }
}

/// A fabric while it is drawn.
struct Draft {
    random: Random,
    operators: String,
    tenants: String,
    /// How many nodes with FRR may still come.
    room: usize,
    families: Vec<Family>,
    leaves: usize,
    /// Networks of tenants.
    nets: Vec<Net>,
    /// External networks by name, with the families that are translated.
    outside: Vec<(&'static str, &'static str)>,
    /// What is translated on the way into the shared network, if there is one.
    store: Option<&'static str>,
    /// Firewall machines: `None` for a fabric without.
    machines: usize,
    /// Routed servers, with their tenant and network.
    routed: Vec<(String, &'static str, &'static str)>,
    /// Addresses that rules may name.
    hosts: Vec<String>,
    /// Whether tenants use the same IPv4 prefixes.
    same: bool,
}

fn family(text: &str) -> Family {
    if text.contains(':') { Family::V6 } else { Family::V4 }
}

/// A list for YAML's flow style.
fn list<T: AsRef<str>>(items: &[T]) -> String {
    items.iter().map(|item| format!("\"{}\"", item.as_ref())).collect::<Vec<_>>().join(", ")
}

fn document(out: &mut String, kind: &str, name: &str, spec: &str) {
    let _ = writeln!(out, "---\napiVersion: leafwall.io/v1\nkind: {kind}\nmetadata: {{name: {name}}}\nspec: {{{spec}}}");
}

impl Draft {
    fn new(random: Random) -> Self {
        Self {
            random,
            operators: String::new(),
            tenants: String::new(),
            room: MOST_ROUTERS,
            families: Vec::new(),
            leaves: 0,
            nets: Vec::new(),
            outside: Vec::new(),
            store: None,
            machines: 0,
            routed: Vec::new(),
            hosts: Vec::new(),
            same: false,
        }
    }

    fn draw(&mut self) {
        self.families = self.random.pick(&[Family::BOTH.to_vec(), Family::BOTH.to_vec(), vec![Family::V4], vec![Family::V6]]).clone();
        self.ground();
        self.networks();
        self.servers();
        self.firewalls();
    }

    fn has(&self, text: &str) -> bool {
        self.families.contains(&family(text))
    }

    /// Those of these prefixes or addresses that are of the fabric's families.
    fn of_families(&self, all: &[&'static str]) -> Vec<&'static str> {
        all.iter().copied().filter(|text| self.has(text)).collect()
    }

    /// Switches, their cables, and how much of what there is room for.
    fn ground(&mut self) {
        let provisioning = if self.random.once_in(3) { ", provisioning: {prefix: 10.250.0.0/24, gateway: 10.250.0.1}" } else { "" };
        let fabric = format!(
            "underlay: {{loopbacks: 10.255.0.0/24, asns: 4210000000-4210000999}}, overlay: {{vnis: 10000-19999, vlans: 1001-2000}}, \
             bgp: {{bfd: {{interval: 1000, multiplier: 3}}}}{provisioning}"
        );
        document(&mut self.operators, "Fabric", "random", &fabric);
        let spines = 1 + usize::from(self.random.once_in(3));
        self.leaves = 1 + usize::from(!self.random.once_in(3));
        let exits = usize::from(!self.random.once_in(4));
        self.room -= spines + self.leaves + exits;
        if exits > 0 {
            let two = self.room > 3 && self.random.once_in(3);
            for name in ["internet", "partner"].into_iter().take(1 + usize::from(two)) {
                let nat = *self.random.pick(&["ipv4", "ipv4", "both", "none"]);
                self.outside.push((name, nat));
                self.room -= 1;
            }
        }
        self.machines = match (self.outside.is_empty(), self.random.below(4)) {
            (false, 0) | (true, 0 | 1) => 0,
            (_, 3) if self.room > 2 => 2,
            _ => 1,
        };
        self.room -= self.machines;
        let mut links = Vec::new();
        let leaves = (1..=self.leaves).map(|n| (format!("leaf-{n}"), "leaf"));
        for (at, (switch, role)) in leaves.chain((0..exits).map(|_| ("exit-1".to_owned(), "exit"))).enumerate() {
            document(&mut self.operators, "Switch", &switch, &format!("role: {role}, platform: frr"));
            links.extend((1..=spines).map(|spine| format!("[\"{switch}:swp{}\", \"spine-{spine}:swp{}\"]", 30 + spine, at + 1)));
        }
        for spine in 1..=spines {
            document(&mut self.operators, "Switch", &format!("spine-{spine}"), "role: spine, platform: frr");
        }
        document(&mut self.operators, "Cabling", "random", &format!("links: [{}]", links.join(", ")));
    }

    /// A server's NICs: on one leaf, or on both.
    fn nics(&mut self, number: usize, port: usize) -> String {
        let first = self.random.below(self.leaves) + 1;
        let both = self.leaves > 1 && self.random.once_in(2);
        let leaves = if both { vec![1, 2] } else { vec![first] };
        let nics = leaves
            .iter()
            .enumerate()
            .map(|(nic, leaf)| format!("{{name: lan{nic}, mac: \"02:00:00:00:{number:02x}:{nic:02x}\", port: \"leaf-{leaf}:swp{port}\"}}"));
        format!("nics: [{}]", nics.collect::<Vec<_>>().join(", "))
    }
}
