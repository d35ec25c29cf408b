//! New flows a second through a kernel that forwards between two namespaces, with many and with few policies and with a plain list of rules; and packets a second
//! of one flow that is established. Sender, firewall and receiver are namespaces made for this.

use std::fmt::Write as _;
use std::net::IpAddr;
use std::time::{Duration, Instant};

use leafwall_policy::cluster::{Part, table_part, transaction};
use leafwall_policy::nft::Script;
use leafwall_policy::rule::Protocol;
use leafwall_policy::ruleset::table;
use leafwall_policy::semantics::Transport;
use leafwall_tests::namespace::Namespace;
use leafwall_tests::random::Random;
use leafwall_tests::wire::{Sender, packet};

use super::{address, firewall, port, rules_of};

/// How often each kind is measured, in turns; the medians count.
const ROUNDS: u16 = 7;
/// New flows of one measurement: the connection table holds those of all rounds.
const FLOWS: usize = 4000;
/// Packets of one flow in one measurement.
const PACKETS: usize = 50_000;
/// How long packets may take.
const PATIENCE: Duration = Duration::from_mins(1);
const PROTOCOLS: [Protocol; 2] = [Protocol::Udp, Protocol::Sctp];

/// Two machines and a firewall between them.
struct Path {
    outside: Namespace,
    inside: Namespace,
    /// Held so that it lives as long.
    _firewall: Namespace,
    sender: Sender,
    policies: u32,
    flows: Vec<f64>,
    packets: Vec<f64>,
}

impl Path {
    fn new(purpose: &str, policies: u32, ruleset: &str) -> Self {
        let [outside, firewall, inside] = ["o", "f", "i"].map(|place| Namespace::new(&format!("{purpose}-{place}")).unwrap());
        // each end of a cable is made where it belongs; addresses of the link layer are known, so that nobody asks for them
        let cable = |from: &Namespace, name: &str, own: &str, (to, other): (&Namespace, &str), mac: &str| {
            from.ip(&format!(
                "link add {name} address {own} type veth peer name {other} address {mac} netns {}\nlink set {name} up",
                to.name()
            ))
            .unwrap();
            to.ip(&format!("link set {other} up")).unwrap();
        };
        cable(&firewall, "vrf2", "02:00:00:00:02:01", (&outside, "up0"), "02:00:00:00:02:02");
        cable(&firewall, "vlan1", "02:00:00:00:01:01", (&inside, "up0"), "02:00:00:00:01:02");
        firewall
            .ip("address add 198.51.100.254/24 dev vrf2\naddress add 172.31.0.1/30 dev vlan1\n\
                 neighbor add 198.51.100.1 lladdr 02:00:00:00:02:02 dev vrf2\nneighbor add 172.31.0.2 lladdr 02:00:00:00:01:02 dev vlan1\n\
                 route add 10.0.0.0/8 via 172.31.0.2")
            .unwrap();
        outside.ip("address add 198.51.100.1/24 dev up0\nneighbor add 198.51.100.254 lladdr 02:00:00:00:02:01 dev up0\nroute add default via 198.51.100.254").unwrap();
        inside.ip("address add 172.31.0.2/30 dev up0\nneighbor add 172.31.0.1 lladdr 02:00:00:00:01:01 dev up0\nroute add default via 172.31.0.1").unwrap();
        // checksums of SCTP are not made here
        firewall.sysctl(&["net.ipv4.ip_forward=1", "net.netfilter.nf_conntrack_checksum=0"]).unwrap();
        firewall.run_with_input(&["nft", "-f", "-"], ruleset).unwrap();
        let sender = Sender::new(&outside).unwrap();
        Self { outside, inside, _firewall: firewall, sender, policies, flows: Vec::new(), packets: Vec::new() }
    }

    /// Packets a second, from the first that is sent until the last has arrived.
    fn rate(&self, packets: &[(IpAddr, Vec<u8>)]) -> f64 {
        let before = received(&self.inside);
        let start = Instant::now();
        for (destination, bytes) in packets {
            self.sender.send(*destination, bytes).unwrap();
        }
        while received(&self.inside) - before < packets.len() {
            assert!(start.elapsed() < PATIENCE, "{} of {} packets arrived", received(&self.inside) - before, packets.len());
            std::thread::yield_now();
        }
        f64::from(u32::try_from(packets.len()).unwrap()) / start.elapsed().as_secs_f64()
    }

    fn round(&mut self, round: u16, random: &mut Random) {
        let source = IpAddr::from([198, 51, 100, 1]);
        let flow = |policy: u32, source_port: u16| {
            let destination = IpAddr::from(address(policy));
            let transport = match policy % 2 {
                0 => Transport::Udp { source: source_port, destination: port(policy) },
                _ => Transport::Sctp { source: source_port, destination: port(policy) },
            };
            (destination, transport)
        };
        let new: Vec<_> = (0..FLOWS)
            .map(|at| {
                let policy = u32::try_from(random.below(usize::try_from(self.policies).unwrap())).unwrap();
                let (destination, transport) = flow(policy, 1024 + round * u16::try_from(FLOWS).unwrap() + u16::try_from(at).unwrap());
                (destination, packet(source, destination, transport, 0))
            })
            .collect();
        self.flows.push(self.rate(&new));
        // a flow is established when it was answered
        let (destination, transport) = flow(0, 60_000);
        let Transport::Udp { source: own, destination: far } = transport else { return };
        let there = (destination, packet(source, destination, transport, 0));
        self.rate(std::slice::from_ref(&there));
        let answered = received(&self.outside);
        let back = packet(destination, source, Transport::Udp { source: far, destination: own }, 0);
        Sender::new(&self.inside).unwrap().send(source, &back).unwrap();
        let start = Instant::now();
        while received(&self.outside) == answered {
            assert!(start.elapsed() < PATIENCE, "no answer");
            std::thread::yield_now();
        }
        self.packets.push(self.rate(&vec![there; PACKETS]));
    }
}

/// IP packets that came to a namespace, also those that are for nobody there.
fn received(namespace: &Namespace) -> usize {
    let text = namespace.enter(|| std::fs::read_to_string("/proc/thread-self/net/dev").unwrap()).unwrap();
    let line = text.lines().find_map(|line| line.trim().strip_prefix("up0:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

/// As `leafwall` compiles them.
fn compiled(policies: u32) -> String {
    let firewall = firewall();
    let mut signed = table(&firewall).unwrap();
    Part::default().join(&mut signed);
    let part = table_part(&firewall, &rules_of(policies, PROTOCOLS)).unwrap();
    format!("{}{}", Script::replacing(vec![signed]).to_text(), transaction(None, &part).to_text())
}

/// As metal-stack's firewall-controller writes them: a rule with a counter and a comment for each policy and peer, one after the other, behind what is established.
fn listed(policies: u32) -> String {
    let mut text = "table inet firewall {\nchain forward {\ntype filter hook forward priority 1; policy drop;\nct state established,related counter accept\n".to_owned();
    for number in 0..policies {
        let word = if number % 2 == 0 { "udp" } else { "sctp" };
        let (address, port) = (address(number), port(number));
        let _ = writeln!(
            text,
            "ip daddr {{ {address} }} {word} dport {{ {port} }} counter accept comment \"accept traffic for network policy p{number:06} {word}\""
        );
    }
    text.push_str("counter comment \"count and drop\" drop\n}\n}\n");
    text
}

fn median(mut all: Vec<f64>) -> f64 {
    all.sort_by(f64::total_cmp);
    all[all.len() / 2]
}

/// Needs root.
pub fn measure() {
    let mut random = Random::new(7);
    let mut paths =
        [Path::new("many", 10_000, &compiled(10_000)), Path::new("few", 10, &compiled(10)), Path::new("list", 10_000, &listed(10_000))];
    for round in 0..ROUNDS {
        for path in &mut paths {
            path.round(round, &mut random);
        }
    }
    let [many, few, list] = paths.map(|path| (median(path.flows), median(path.packets)));
    println!(
        "{}",
        serde_json::json!({
            "flows": {"10k": many.0, "10": few.0, "list": list.0},
            "packets": {"10k": many.1, "10": few.1, "list": list.1},
        })
    );
}
