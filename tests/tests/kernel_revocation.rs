//! A rule that is taken away takes its flows along, and no others (F13): real flows through a real kernel, both families, translated ones too.
#![allow(clippy::unwrap_used, clippy::panic)] // tests may fail

use std::collections::BTreeMap;
use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream};
use std::time::Duration;

use leafwall_agent::cluster::ClusterTable;
use leafwall_agent::report::Report;
use leafwall_policy::cluster::ClusterRules;
use leafwall_policy::rule::{Action, Peer, Policy, PortMatch, PortRange, Priority, Protocol, Rule};
use leafwall_policy::ruleset::ruleset;
use leafwall_policy::semantics::Transport;
use leafwall_policy::zone::{FirewallRules, Snat};
use leafwall_tests::filtering::{self, Filtering};
use leafwall_tests::firewall::{parsed, quiet};
use leafwall_tests::namespace::{Namespace, unable};
use leafwall_tests::skip;
use leafwall_tests::wire;
use leafwall_tests::world::World;

const APP: usize = 0;
const INTERNET: usize = 3;
const PATIENCE: Duration = Duration::from_millis(500);

fn rule(protocol: Protocol, port: Option<u16>) -> Rule {
    let ports = vec![PortMatch { protocol, ports: port.and_then(|port| PortRange::new(port, port).ok()) }];
    Rule { action: Action::Allow, priority: Priority::default(), from: vec![], to: vec![], ports, log: false, expires: None }
}

fn policy(name: &str, ingress: Vec<Rule>, egress: Vec<Rule>) -> Policy {
    Policy { name: parsed(name), ingress, egress }
}

/// Everything with port 53, and pings: what is taken away.
fn dies() -> Policy {
    let egress = vec![
        rule(Protocol::Udp, Some(53)),
        rule(Protocol::Tcp, Some(53)),
        rule(Protocol::Sctp, Some(53)),
        rule(Protocol::Icmp, None),
        rule(Protocol::Icmpv6, None),
    ];
    policy("dies", vec![rule(Protocol::Udp, Some(53))], egress)
}

/// Port 80, and port 53 of one server: what stays.
fn lives() -> Policy {
    let mut one = rule(Protocol::Udp, Some(53));
    one.to = ["198.51.100.99/32", "2001:db8::99/128"].map(|cidr| Peer::Cidr { cidr: parsed(cidr), except: vec![] }).to_vec();
    policy("lives", vec![rule(Protocol::Udp, Some(80))], vec![rule(Protocol::Udp, Some(80)), rule(Protocol::Tcp, Some(80)), one])
}

fn firewall(policies: Vec<Policy>) -> FirewallRules {
    let mut firewall = quiet();
    firewall.zones[INTERNET].snat = Snat { sources: vec![parsed("10.0.0.0/22")], v4: vec![parsed("203.0.113.10")], v6: vec![] };
    firewall.policies = policies;
    firewall
}

/// A flow by its first packet.
#[derive(Debug, Clone, Copy)]
struct Known {
    outward: bool,
    source: &'static str,
    destination: &'static str,
    transport: Transport,
    lives: bool,
}

fn udp(source: u16, destination: u16) -> Transport {
    Transport::Udp { source, destination }
}

fn known() -> Vec<Known> {
    let flow = |outward, source, destination, transport, lives| Known { outward, source, destination, transport, lives };
    let mut all = vec![
        flow(true, "10.0.0.20", "198.51.100.7", Transport::Icmp(8), false),
        flow(true, "fd00:a::20", "2001:db8::7", Transport::Icmpv6(128), false),
    ];
    for (own, foreign, favoured) in [("10.0.0.20", "198.51.100.7", "198.51.100.99"), ("fd00:a::20", "2001:db8::7", "2001:db8::99")] {
        all.extend([
            flow(true, own, foreign, udp(4000, 53), false),
            flow(true, own, foreign, Transport::Sctp { source: 4000, destination: 53 }, false),
            flow(true, own, foreign, udp(4001, 80), true),
            // the same source and ports as one that dies, with a rule of its own
            flow(true, own, favoured, udp(4000, 53), true),
            flow(false, foreign, own, udp(5000, 53), false),
            flow(false, foreign, own, udp(5001, 80), true),
        ]);
    }
    all
}

fn answer(transport: Transport) -> Transport {
    match transport {
        Transport::Udp { source, destination } => Transport::Udp { source: destination, destination: source },
        Transport::Sctp { source, destination } => Transport::Sctp { source: destination, destination: source },
        Transport::Icmp(_) => Transport::Icmp(0),
        Transport::Icmpv6(_) => Transport::Icmpv6(129),
        other => other,
    }
}

fn ping(kind: u8, token: u32) -> Vec<u8> {
    let mut body = vec![kind, 0, 0, 0, 0x12, 0x34, 0, 1];
    body.extend(wire::marked(token));
    body
}

/// Flows in a world, with the addresses that answers go to.
struct Flows {
    world: World,
    token: u32,
    answered: BTreeMap<usize, IpAddr>,
}

impl Flows {
    fn new(purpose: &str) -> Self {
        Self { world: World::new(purpose).unwrap(), token: 0, answered: BTreeMap::new() }
    }

    /// The source that a packet arrives with, if it does.
    fn crosses(&mut self, (from, to): (usize, usize), source: IpAddr, destination: IpAddr, transport: Transport) -> Option<IpAddr> {
        self.token += 1;
        let packet = match transport {
            // a flow of pings has one identifier, and `wire` gives each packet its own
            Transport::Icmp(kind) => wire::ip(source, destination, 1, ping(kind, self.token)),
            Transport::Icmpv6(kind) => wire::ip(source, destination, 58, ping(kind, self.token)),
            _ => wire::packet(source, destination, transport, self.token),
        };
        self.world.networks[from].sender.send(destination, &packet).unwrap();
        self.world.networks[to].catcher.wait_for(self.token, PATIENCE).map(|caught| caught.source)
    }

    /// A packet of the flow in its own direction. Whether it arrives; answers then go where it came from.
    fn goes(&mut self, number: usize, known: Known) -> bool {
        let ends = if known.outward { (APP, INTERNET) } else { (INTERNET, APP) };
        let seen = self.crosses(ends, parsed(known.source), parsed(known.destination), known.transport);
        if let Some(seen) = seen {
            self.answered.insert(number, seen);
        }
        seen.is_some()
    }

    /// An answer of it. No rule allows that as a flow of its own, so it arrives only where the flow is known.
    fn is_answered(&mut self, number: usize, known: Known) -> bool {
        let ends = if known.outward { (INTERNET, APP) } else { (APP, INTERNET) };
        let to = self.answered[&number];
        self.crosses(ends, parsed(known.destination), to, answer(known.transport)).is_some()
    }

    fn establish(&mut self) {
        self.world.forget_soon().unwrap();
        for (number, known) in known().into_iter().enumerate() {
            assert!(self.goes(number, known), "first packet of {known:?}");
            assert!(self.is_answered(number, known), "answer of {known:?}");
        }
        let translated = self.answered.values().filter(|address| **address == parsed::<IpAddr>("203.0.113.10")).count();
        assert_eq!(translated, 5, "IPv4 goes out translated");
    }

    /// Those whose rule went are dead in both directions, the others live.
    fn only_the_living_live(&mut self) {
        for (number, known) in known().into_iter().enumerate() {
            // first the answer: the flow's own direction could make it anew where a rule allows it
            assert_eq!(self.is_answered(number, known), known.lives, "answer of {known:?}");
            assert_eq!(self.goes(number, known), known.lives, "{known:?}");
        }
    }
}

fn host(namespace: &Namespace, address: &str) {
    namespace.ip(&format!("address add {address} dev lo\n")).unwrap();
}

/// A connection between real sockets, with a word through it.
struct Connection {
    client: TcpStream,
    server: TcpStream,
}

impl Connection {
    fn new(world: &World, from: &str, to: &str) -> Self {
        let (client, server) = (&world.networks[APP].namespace, &world.networks[INTERNET].namespace);
        let (bind, listen): (IpAddr, SocketAddr) = (parsed(from), parsed(to));
        let listener = server.enter(|| TcpListener::bind(listen)).unwrap().unwrap();
        let client = client
            .enter(|| {
                let domain = if bind.is_ipv4() { socket2::Domain::IPV4 } else { socket2::Domain::IPV6 };
                let socket = socket2::Socket::new(domain, socket2::Type::STREAM, None).unwrap();
                socket.bind(&SocketAddr::new(bind, 0).into()).unwrap();
                socket.connect_timeout(&listen.into(), Duration::from_secs(5)).unwrap();
                TcpStream::from(socket)
            })
            .unwrap();
        let (server, _) = listener.accept().unwrap();
        let mut made = Self { client, server };
        assert!(made.talks(), "{from} to {to}");
        made
    }

    /// Whether a word arrives each way; the answer first.
    fn talks(&mut self) -> bool {
        let says = |from: &mut TcpStream, to: &mut TcpStream| {
            from.write_all(b"word").unwrap();
            to.set_read_timeout(Some(Duration::from_secs(1))).unwrap();
            match to.read_exact(&mut [0; 4]) {
                Ok(()) => true,
                Err(error) => {
                    assert!(matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut), "{error}");
                    false
                }
            }
        };
        says(&mut self.server, &mut self.client) && says(&mut self.client, &mut self.server)
    }
}

/// TCP connections on port 53, which dies, and 80, which lives; both families.
fn connections(world: &World) -> [(Connection, bool); 4] {
    for (network, address) in [(APP, "10.0.0.10/32"), (APP, "fd00:a::10/128"), (INTERNET, "198.51.100.8/32"), (INTERNET, "2001:db8::8/128")]
    {
        host(&world.networks[network].namespace, address);
    }
    [
        ("10.0.0.10", "198.51.100.8:53", false),
        ("10.0.0.10", "198.51.100.8:80", true),
        ("fd00:a::10", "[2001:db8::8]:53", false),
        ("fd00:a::10", "[2001:db8::8]:80", true),
    ]
    .map(|(from, to, lives)| (Connection::new(world, from, to), lives))
}

fn put(table: &mut ClusterTable, policies: Vec<Policy>) -> usize {
    filtering::put(table, &ClusterRules { policies })
}

#[test]
fn f13_flows_of_a_clusters_rule_end_with_it() {
    if let Some(why) = unable() {
        return skip("f13_flows_of_a_clusters_rule_end_with_it", &why);
    }
    let mut flows = Flows::new("f13c");
    let firewall = firewall(Vec::new());
    flows.world.load(&ruleset(&firewall).unwrap().to_text()).unwrap();
    let mut table = ClusterTable::new(firewall, Some(flows.world.firewall.name()), None);
    assert_eq!(put(&mut table, vec![dies(), lives()]), 10);
    flows.establish();
    let mut tcp = connections(&flows.world);
    // a change that takes nothing away cuts nothing
    put(&mut table, vec![dies(), lives(), policy("more", vec![], vec![rule(Protocol::Udp, Some(99))])]);
    for (number, known) in known().into_iter().enumerate() {
        assert!(flows.is_answered(number, known), "{known:?}");
    }
    put(&mut table, vec![lives()]);
    for (connection, lives) in &mut tcp {
        assert_eq!(connection.talks(), *lives);
    }
    flows.only_the_living_live();
    // and what the rule allows again begins anew
    put(&mut table, vec![dies(), lives()]);
    assert!(known().into_iter().enumerate().all(|(number, known)| flows.goes(number, known)));
}

/// A deny that comes ends flows as well, and a rule that goes while another one allows the same ends none.
#[test]
fn f13_a_deny_that_comes_ends_flows_and_a_rule_that_was_not_alone_ends_none() {
    if let Some(why) = unable() {
        return skip("f13_a_deny_that_comes_ends_flows_and_a_rule_that_was_not_alone_ends_none", &why);
    }
    let mut flows = Flows::new("f13d");
    let firewall = firewall(Vec::new());
    flows.world.load(&ruleset(&firewall).unwrap().to_text()).unwrap();
    let mut table = ClusterTable::new(firewall, Some(flows.world.firewall.name()), None);
    let open = policy("open", dies().ingress, dies().egress);
    put(&mut table, vec![dies(), lives(), open.clone()]);
    flows.establish();
    put(&mut table, vec![lives(), open.clone()]);
    for (number, known) in known().into_iter().enumerate() {
        assert!(flows.is_answered(number, known), "another rule allows {known:?}");
    }
    let mut deny = policy("deny", open.ingress.clone(), open.egress.clone());
    for rule in deny.ingress.iter_mut().chain(&mut deny.egress) {
        (rule.action, rule.priority) = (Action::Deny, Priority(1));
    }
    // but port 53 of the favoured server, which a rule in front of the deny allows
    let mut favoured = lives();
    for rule in &mut favoured.egress {
        rule.priority = Priority(0);
    }
    put(&mut table, vec![favoured, open, deny]);
    flows.only_the_living_live();
}

fn steps(report: &Report) -> Vec<&str> {
    report.steps.iter().map(|step| step.step.as_str()).collect()
}

#[test]
fn f13_flows_of_a_signed_rule_end_with_it_and_the_clusters_live() {
    if let Some(why) = unable() {
        return skip("f13_flows_of_a_signed_rule_end_with_it_and_the_clusters_live", &why);
    }
    let mut flows = Flows::new("f13s");
    let device = Filtering::new(&firewall(vec![dies()]));
    device.make(&flows.world.firewall);
    // what lives is the cluster's, what dies is signed
    let mut table = device.cluster(&firewall(vec![dies()]), &flows.world.firewall);
    put(&mut table, vec![lives()]);
    flows.establish();
    let mut tcp = connections(&flows.world);
    device.sign(&firewall(Vec::new()));
    let report = device.make(&flows.world.firewall);
    let steps = steps(&report);
    // in each family a ping, UDP, SCTP, one from outside, and TCP
    assert!(steps.contains(&"cut 10 flows that no rule allows any more"), "{steps:?}");
    for (connection, lives) in &mut tcp {
        assert_eq!(connection.talks(), *lives);
    }
    flows.only_the_living_live();
}
