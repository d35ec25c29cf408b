//! Whole flows through a firewall, with the sockets of real hosts and packets made by hand.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // a test may; its helpers are tests too

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::time::Duration;

use leafwall_policy::nft::parse;
use leafwall_policy::order::{Direction, RuleId};
use leafwall_policy::rule::{Action, Peer, Policy, PortMatch, PortRange, Priority, Protocol, Rule};
use leafwall_policy::ruleset::{closed, counter_of, fqdn_sets, ruleset};
use leafwall_policy::semantics::Transport;
use leafwall_policy::zone::{Access, FirewallRules, Snat};
use leafwall_tests::firewall::{failsafe, parsed, quiet};
use leafwall_tests::namespace::{Namespace, unable};
use leafwall_tests::skip;
use leafwall_tests::wire::{self, Caught};
use leafwall_tests::world::{World, counter};

const APP: usize = 0;
const DB: usize = 1;
const INTERNET: usize = 3;

/// How long a packet that should arrive may take, and how long one that should not is waited for.
const PATIENCE: Duration = Duration::from_secs(1);

macro_rules! world {
    ($test:literal) => {
        match unable() {
            Some(why) => return skip($test, &why),
            None => World::new(&$test[..3]).unwrap(),
        }
    };
}

fn allow() -> Rule {
    Rule { action: Action::Allow, priority: Priority::default(), from: vec![], to: vec![], ports: vec![], log: false, expires: None }
}

fn ports(protocol: Protocol, low: u16, high: u16) -> PortMatch {
    PortMatch { protocol, ports: PortRange::new(low, high).ok() }
}

fn egress(rules: Vec<Rule>) -> Vec<Policy> {
    vec![Policy { name: parsed("web"), ingress: vec![], egress: rules }]
}

/// All of the world joined, everything may leave, IPv4 translated into the internet.
fn open() -> FirewallRules {
    let mut firewall = quiet();
    firewall.policies = egress(vec![allow()]);
    firewall.zones[INTERNET].snat = snat(&["203.0.113.10"]);
    firewall
}

fn snat(addresses: &[&str]) -> Snat {
    Snat { sources: vec![parsed("10.0.0.0/22")], v4: addresses.iter().map(|address| parsed(address)).collect(), v6: vec![] }
}

fn load(world: &World, firewall: &FirewallRules) {
    world.load(&ruleset(firewall).unwrap().to_text()).unwrap();
}

fn transport(source: u16, destination: u16) -> Transport {
    Transport::Udp { source, destination }
}

/// Sends a packet from one network and looks for it in another.
fn crosses(world: &mut World, (from, to): (usize, usize), addresses: (&str, &str), transport: Transport, token: u32) -> Option<Caught> {
    let (source, destination): (IpAddr, IpAddr) = (parsed(addresses.0), parsed(addresses.1));
    world.networks[from].sender.send(destination, &wire::packet(source, destination, transport, token)).unwrap();
    world.networks[to].catcher.wait_for(token, PATIENCE)
}

fn host(namespace: &Namespace, address: &str) {
    namespace.ip(&format!("address add {address} dev lo\n")).unwrap();
}

/// A TCP connection with a word each way, from one namespace to a listener in another; the source that the listener saw, or why not.
fn talk(client: &Namespace, bind: &str, server: &Namespace, listen: &str) -> Result<IpAddr, ErrorKind> {
    let (bind, listen): (IpAddr, SocketAddr) = (parsed(bind), parsed(listen));
    let listener = server.enter(|| TcpListener::bind(listen)).unwrap().unwrap();
    listener.set_nonblocking(true).unwrap();
    client
        .enter(|| {
            let domain = if bind.is_ipv4() { socket2::Domain::IPV4 } else { socket2::Domain::IPV6 };
            let socket = socket2::Socket::new(domain, socket2::Type::STREAM, None).unwrap();
            socket.bind(&SocketAddr::new(bind, 0).into()).unwrap();
            socket.connect_timeout(&listen.into(), PATIENCE).map_err(|error| error.kind())?;
            let mut ours = TcpStream::from(socket);
            let (mut theirs, peer) = listener.accept().unwrap();
            theirs.set_nonblocking(false).unwrap();
            let mut word = [0; 4];
            ours.write_all(b"ping").unwrap();
            theirs.read_exact(&mut word).unwrap();
            theirs.write_all(b"pong").unwrap();
            ours.read_exact(&mut word).unwrap();
            assert_eq!(&word, b"pong");
            Ok(peer.ip())
        })
        .unwrap()
}

#[test]
fn connections_live_both_ways_and_open_one_way() {
    let world = world!("connections_live_both_ways_and_open_one_way");
    let [app, _, _, internet, _] = world.networks.each_namespace();
    for (namespace, address) in
        [(app, "10.0.0.10/32"), (app, "fd00:a::10/128"), (internet, "198.51.100.7/32"), (internet, "2001:db8::7/128")]
    {
        host(namespace, address);
    }
    let mut firewall = open();
    firewall.policies = egress(vec![Rule { ports: vec![ports(Protocol::Tcp, 80, 80)], ..allow() }]);
    load(&world, &firewall);
    assert_eq!(talk(app, "10.0.0.10", internet, "198.51.100.7:80"), Ok(parsed("203.0.113.10")));
    assert_eq!(talk(app, "fd00:a::10", internet, "[2001:db8::7]:80"), Ok(parsed("fd00:a::10")));
    // another port, and the other way
    assert_eq!(talk(app, "10.0.0.10", internet, "198.51.100.7:81"), Err(ErrorKind::TimedOut));
    assert_eq!(talk(app, "fd00:a::10", internet, "[2001:db8::7]:81"), Err(ErrorKind::TimedOut));
    assert_eq!(talk(internet, "198.51.100.7", app, "10.0.0.10:80"), Err(ErrorKind::TimedOut));
    assert_eq!(talk(internet, "2001:db8::7", app, "[fd00:a::10]:80"), Err(ErrorKind::TimedOut));
    // the rule's counter counts its two flows, not their packets
    let rule = RuleId { policy: parsed("web"), direction: Direction::Egress, index: 0 };
    assert_eq!(counter(&world.firewall, counter_of(&rule).as_str()), Some(2));
    assert!(counter(&world.firewall, "drop.denied").unwrap() >= 4);
    // an ingress rule opens the other way
    firewall.policies[0].ingress = vec![allow()];
    load(&world, &firewall);
    assert_eq!(talk(internet, "2001:db8::7", app, "[fd00:a::10]:80"), Ok(parsed("2001:db8::7")));
}

/// The namespaces of the networks, to take apart by name.
trait EachNamespace {
    fn each_namespace(&self) -> [&Namespace; 5];
}

impl EachNamespace for Vec<leafwall_tests::world::Network> {
    fn each_namespace(&self) -> [&Namespace; 5] {
        [0, 1, 2, 3, 4].map(|index: usize| &self[index].namespace)
    }
}

#[test]
fn f22_a_firewall_without_an_intent_forwards_nothing() {
    let mut world = world!("f22_a_firewall_without_an_intent_forwards_nothing");
    let way = ("fd00:a::1", "2001:db8::1");
    load(&world, &open());
    assert!(crosses(&mut world, (APP, INTERNET), way, transport(1, 1), 1).is_some(), "control");
    world.load(&closed(&failsafe()).unwrap().to_text()).unwrap();
    assert!(crosses(&mut world, (APP, INTERNET), way, transport(2, 2), 2).is_none());
    // not even what is known
    assert!(crosses(&mut world, (APP, INTERNET), way, transport(1, 1), 3).is_none());
}

#[test]
fn f23_a_forged_source_does_not_even_join_a_known_flow() {
    let mut world = world!("f23_a_forged_source_does_not_even_join_a_known_flow");
    load(&world, &open());
    assert!(crosses(&mut world, (APP, INTERNET), ("fd00:a::1", "2001:db8::1"), transport(7, 8), 1).is_some(), "control");
    assert!(crosses(&mut world, (INTERNET, APP), ("2001:db8::1", "fd00:a::1"), transport(8, 7), 2).is_some(), "the answer");
    // the same packet as the first from other networks, and a private source from outside
    assert!(crosses(&mut world, (DB, INTERNET), ("fd00:a::1", "2001:db8::1"), transport(7, 8), 3).is_none());
    assert!(crosses(&mut world, (INTERNET, DB), ("fd00:a::1", "fd00:b::1"), transport(7, 8), 4).is_none());
    assert!(crosses(&mut world, (APP, INTERNET), ("10.0.8.1", "198.51.100.1"), transport(7, 8), 5).is_none());
    assert_eq!(counter(&world.firewall, "drop.spoofed"), Some(3));
}

/// Fragmentation needed (RFC 1191), packet too big (RFC 4443 §3.2).
const UNREACHABLE: (u8, u8) = (3, 4);
const TOO_BIG: (u8, u8) = (2, 0);

/// An ICMP error about `packet`, as a router on the way sends it.
fn error(router: &str, to: &str, (kind, code): (u8, u8), packet: &[u8], token: u32) -> Vec<u8> {
    let mut body = vec![kind, code, 0, 0, 0, 0, 5, 0];
    body.extend(packet);
    // RFC 792 quotes the header and 8 bytes; more is allowed
    body.extend(wire::marked(token));
    let (router, to): (IpAddr, IpAddr) = (parsed(router), parsed(to));
    wire::ip(router, to, if router.is_ipv4() { 1 } else { 58 }, body)
}

fn error_crosses(world: &mut World, (from, to): (usize, usize), destination: &str, bytes: &[u8], token: u32) -> bool {
    world.networks[from].sender.send(parsed(destination), bytes).unwrap();
    let end = std::time::Instant::now() + PATIENCE;
    while std::time::Instant::now() < end {
        // the quoted packet carries its own mark in front: look for ours at the end
        if world.networks[to].catcher.arrived().iter().any(|caught| caught.bytes.ends_with(&wire::marked(token))) {
            return true;
        }
        std::thread::sleep(Duration::from_millis(2));
    }
    false
}

#[test]
fn f17_packet_too_big_reaches_the_sender_through_nat_and_from_switches() {
    let mut world = world!("f17_packet_too_big_reaches_the_sender_through_nat_and_from_switches");
    let mut firewall = open();
    firewall.policies[0].ingress = vec![allow()];
    load(&world, &firewall);
    // a router outside about a translated flow
    let sent = crosses(&mut world, (APP, INTERNET), ("10.0.0.10", "198.51.100.7"), transport(5000, 53), 1).unwrap();
    assert_eq!(sent.source, parsed::<IpAddr>("203.0.113.10"));
    let told = error("192.0.2.1", "203.0.113.10", UNREACHABLE, &sent.bytes, 2);
    assert!(error_crosses(&mut world, (INTERNET, APP), "203.0.113.10", &told, 2), "fragmentation needed, through NAT");
    let sent = crosses(&mut world, (APP, INTERNET), ("fd00:a::10", "2001:db8::7"), transport(5000, 53), 3).unwrap();
    let told = error("2001:db8:9::1", "fd00:a::10", TOO_BIG, &sent.bytes, 4);
    assert!(error_crosses(&mut world, (INTERNET, APP), "fd00:a::10", &told, 4), "packet too big");
    // a leaf in the tenant's VRF about a flow from outside: its source is no address of the tenant's
    let sent = crosses(&mut world, (INTERNET, APP), ("2001:db8::9", "fd00:a::10"), transport(6000, 80), 5).unwrap();
    let told = error("fd6c:6561:6677::aff:3", "2001:db8::9", TOO_BIG, &sent.bytes, 6);
    assert!(error_crosses(&mut world, (APP, INTERNET), "2001:db8::9", &told, 6), "from a switch, v6");
    let sent = crosses(&mut world, (INTERNET, APP), ("198.51.100.9", "10.0.0.10"), transport(6000, 80), 7).unwrap();
    let told = error("10.255.0.3", "198.51.100.9", UNREACHABLE, &sent.bytes, 8);
    assert!(error_crosses(&mut world, (APP, INTERNET), "198.51.100.9", &told, 8), "from a switch, v4");
    // about a flow that nobody knows; and something else than an error from a switch's address
    let unknown = wire::packet(parsed("fd00:a::10"), parsed("2001:db8::7"), transport(1111, 2222), 9);
    let told = error("2001:db8:9::1", "fd00:a::10", TOO_BIG, &unknown, 10);
    assert!(!error_crosses(&mut world, (INTERNET, APP), "fd00:a::10", &told, 10), "about no flow");
    assert!(crosses(&mut world, (APP, INTERNET), ("10.255.0.3", "198.51.100.9"), transport(1, 2), 11).is_none());
}

#[test]
fn f10_every_protocol_gets_the_addresses_and_a_pair_keeps_its_own() {
    let mut world = world!("f10_every_protocol_gets_the_addresses_and_a_pair_keeps_its_own");
    let addresses = ["203.0.113.10", "203.0.113.77", "203.0.113.200"];
    let mut firewall = open();
    firewall.zones[INTERNET].snat = snat(&addresses);
    load(&world, &firewall);
    let mut used = std::collections::BTreeSet::new();
    let mut token = 0;
    for host in 1..=16 {
        let destination = format!("198.51.100.{host}");
        let mut pair = std::collections::BTreeSet::new();
        let kinds = [
            transport(4000, 53),
            transport(4001, 99),
            Transport::Tcp { source: 4000, destination: 80 },
            Transport::Icmp(8),
            Transport::Other(253),
        ];
        for kind in kinds {
            token += 1;
            pair.insert(crosses(&mut world, (APP, INTERNET), ("10.0.0.10", &destination), kind, token).unwrap().source);
        }
        assert_eq!(pair.len(), 1, "one pair, one address: {pair:?}");
        used.extend(pair);
        // a reload moves nobody
        load(&world, &firewall);
    }
    assert_eq!(used, addresses.iter().map(|address| parsed(address)).collect());
}

#[test]
fn f05_f06_a_set_of_answers_opens_its_addresses_within_the_bounds() {
    let mut world = world!("f05_f06_a_set_of_answers_opens_its_addresses_within_the_bounds");
    let mut firewall = open();
    let fqdn = leafwall_policy::rule::Fqdn::try_from("*.example.com".to_owned()).unwrap();
    firewall.policies = egress(vec![Rule { to: vec![Peer::Fqdn(fqdn)], ..allow() }]);
    firewall.allowed_egress = Some(vec![parsed("198.51.100.0/24")]);
    load(&world, &firewall);
    let (_, _, set) = fqdn_sets(&firewall).into_iter().next().unwrap();
    let way = |last: &str| ("10.0.0.10".to_owned(), last.to_owned());
    let tries = |world: &mut World, to: &str, token| {
        let (from, to) = way(to);
        crosses(world, (APP, INTERNET), (&from, &to), transport(1, 1), token).is_some()
    };
    assert!(!tries(&mut world, "198.51.100.7", 1));
    world.load(&format!("add element inet leafwall {set} {{ 198.51.100.7 timeout 1m, 192.0.2.7 timeout 1m }}\n")).unwrap();
    assert!(tries(&mut world, "198.51.100.7", 2));
    assert!(!tries(&mut world, "198.51.100.8", 3));
    assert!(!tries(&mut world, "192.0.2.7", 4), "an answer outside of allowedNetworks opens nothing");
    // answers are state: they are no drift
    let listing = world.firewall.run(&["nft", "list", "table", "inet", "leafwall"]).unwrap();
    let observed = parse(&listing).unwrap();
    let meant = leafwall_policy::ruleset::table(&firewall).unwrap();
    assert_eq!(meant.differences(observed.tables().next().unwrap()), []);
}

#[test]
fn what_the_agent_puts_into_cluster_stays_within_the_bounds() {
    let mut world = world!("what_the_agent_puts_into_cluster_stays_within_the_bounds");
    let mut firewall = open();
    firewall.policies =
        egress(vec![Rule { action: Action::Deny, to: vec![Peer::Cidr { cidr: parsed("198.51.100.8/32"), except: vec![] }], ..allow() }]);
    firewall.allowed_egress = Some(vec![parsed("198.51.100.0/24")]);
    load(&world, &firewall);
    world.load("add rule inet leafwall cluster accept\n").unwrap();
    let mut tries =
        |ends: (usize, usize), from: &str, to: &str, token| crosses(&mut world, ends, (from, to), transport(1, 1), token).is_some();
    assert!(tries((APP, INTERNET), "10.0.0.10", "198.51.100.7", 1));
    assert!(!tries((APP, INTERNET), "10.0.0.10", "198.51.100.8", 2), "an operator's rule comes first");
    assert!(!tries((APP, INTERNET), "10.0.0.10", "192.0.2.7", 3), "outside of allowedNetworks");
    assert!(!tries((APP, INTERNET), "10.0.8.10", "198.51.100.7", 4), "forged");
    assert!(!tries((INTERNET, 4), "198.51.100.7", "172.16.0.1", 5), "no transit");
    firewall.access = Access::Forbidden;
    load(&world, &firewall);
    world.load("add rule inet leafwall cluster accept\n").unwrap();
    let mut tries = |from: &str, to: &str, token| crosses(&mut world, (APP, INTERNET), (from, to), transport(2, 2), token).is_some();
    assert!(!tries("10.0.0.10", "198.51.100.7", 6), "forbidden");
}

#[test]
fn mss_is_lowered_both_ways_and_never_raised() {
    let mut world = world!("mss_is_lowered_both_ways_and_never_raised");
    let mut firewall = open();
    firewall.policies[0].ingress = vec![allow()];
    firewall.zones[INTERNET].clamp_mss_to = Some(leafwall_topology::Mtu::ETHERNET);
    load(&world, &firewall);
    let cases = [
        ((APP, INTERNET), "10.0.0.1", "198.51.100.1", 8960, 1460),
        ((APP, INTERNET), "fd00:a::1", "2001:db8::1", 8940, 1440),
        ((INTERNET, APP), "198.51.100.1", "10.0.0.1", 8960, 1460),
        ((INTERNET, APP), "2001:db8::1", "fd00:a::1", 8940, 1440),
        ((APP, INTERNET), "10.0.0.2", "198.51.100.2", 1200, 1200),
        ((APP, 4), "10.0.0.1", "172.16.0.1", 8960, 8960),
    ];
    for (index, ((from, to), source, destination, mss, expected)) in cases.into_iter().enumerate() {
        let token = u32::try_from(index).unwrap();
        let (source, destination): (IpAddr, IpAddr) = (parsed(source), parsed(destination));
        let packet = wire::ip(source, destination, 6, wire::syn(4000, 80, mss, token));
        world.networks[from].sender.send(destination, &packet).unwrap();
        let caught = world.networks[to].catcher.wait_for(token, PATIENCE).unwrap();
        let option = caught.bytes.len() - 10;
        assert_eq!(u16::from_be_bytes([caught.bytes[option], caught.bytes[option + 1]]), expected, "{source} to {destination}");
    }
}

/// Packets that are too many.
const SENT: usize = 400;

#[test]
fn rates_into_a_network_are_limited_and_the_rest_is_counted() {
    let mut world = world!("rates_into_a_network_are_limited_and_the_rest_is_counted");
    let mut firewall = open();
    firewall.zones[INTERNET].rate_mbit = Some(1);
    load(&world, &firewall);
    let (source, destination): (IpAddr, IpAddr) = (parsed("fd00:a::1"), parsed("2001:db8::1"));
    let ours = |world: &mut World| world.networks[INTERNET].catcher.arrived().iter().filter(|caught| caught.token.is_some()).count();
    let mut arrived = 0;
    for index in 0..SENT {
        let mut payload = wire::marked(u32::try_from(index).unwrap());
        payload.resize(1200, 0);
        world.networks[APP].sender.send(destination, &wire::ip(source, destination, 17, wire::udp(1, 1, &payload))).unwrap();
        arrived += ours(&mut world);
    }
    std::thread::sleep(Duration::from_millis(50));
    arrived += ours(&mut world);
    let dropped = usize::try_from(counter(&world.firewall, "drop.rate.internet").unwrap()).unwrap();
    // the bucket holds 128 KiB, that is 105 of these; a slow machine lets a few more through while it sends
    assert!((100..300).contains(&arrived), "{arrived} arrived");
    assert_eq!(arrived + dropped, SENT);
}

/// Whether a datagram from one namespace reaches a socket in another.
fn datagram(from: &Namespace, bind: &str, to: &Namespace, listen: &str, send_to: &str) -> bool {
    let (bind, listen, send_to): (SocketAddr, SocketAddr, SocketAddr) = (parsed(bind), parsed(listen), parsed(send_to));
    let receiver = to.enter(|| UdpSocket::bind(listen)).unwrap().unwrap();
    receiver.set_read_timeout(Some(PATIENCE)).unwrap();
    from.enter(|| UdpSocket::bind(bind).unwrap().send_to(b"hello", send_to).unwrap()).unwrap();
    receiver.recv(&mut [0; 16]).is_ok()
}

fn link_local(namespace: &Namespace, device: &str) -> (String, u32) {
    let listing = namespace.run(&["ip", "-6", "-o", "address", "show", "dev", device, "scope", "link"]).unwrap();
    let address = listing.split_whitespace().skip_while(|word| *word != "inet6").nth(1).unwrap().split('/').next().unwrap().to_owned();
    (address, listing.split(':').next().unwrap().trim().parse().unwrap())
}

#[test]
fn f15_the_failsafe_takes_the_fabric_from_the_plan_and_nothing_else() {
    let world = world!("f15_the_failsafe_takes_the_fabric_from_the_plan_and_nothing_else");
    load(&world, &open());
    let (firewall, leaf) = (&world.firewall, &world.leaf);
    let ((ours, _), (_, port)) = (link_local(firewall, "lan0"), link_local(leaf, "swp9"));
    // VXLAN: from the plan's range of loopbacks only; not 10.0.0.0/8
    assert!(datagram(leaf, "10.255.0.1:0", firewall, "10.255.0.9:4789", "10.255.0.9:4789"));
    assert!(!datagram(leaf, "10.99.0.1:0", firewall, "10.255.0.9:4789", "10.255.0.9:4789"));
    assert!(!datagram(leaf, "10.255.0.1:0", firewall, "10.255.0.9:4790", "10.255.0.9:4790"));
    // BFD and BGP on the link
    let here = |number: u16| format!("[{ours}%{port}]:{number}");
    assert!(datagram(leaf, "[::]:0", firewall, "[::]:3784", &here(3784)));
    assert!(!datagram(leaf, "[::]:0", firewall, "[::]:3786", &here(3786)));
    let connects = |number: u16| {
        let listener = firewall.enter(|| TcpListener::bind(("::", number))).unwrap().unwrap();
        let address: std::net::SocketAddrV6 = format!("[{ours}%{port}]:{number}").parse().unwrap();
        let done = leaf.enter(|| TcpStream::connect_timeout(&address.into(), PATIENCE).is_ok()).unwrap();
        drop(listener);
        done
    };
    assert!(connects(179));
    assert!(!connects(22));
    // neighbour discovery worked for all that; the machine answers a ping
    let (ping, from, to): (_, IpAddr, IpAddr) = (wire::Sender::new(leaf).unwrap(), parsed("10.255.0.1"), parsed("10.255.0.9"));
    let mut answers = wire::Catcher::new(leaf).unwrap();
    ping.send(to, &wire::packet(from, to, Transport::Icmp(8), 1)).unwrap();
    assert_eq!(answers.wait_for(1, PATIENCE).map(|caught| caught.source), Some(to));
    // a tenant reaches nothing of it: neither as BGP nor as VXLAN
    let app = &world.networks[APP].namespace;
    host(app, "10.0.0.10/32");
    host(app, "10.255.0.77/32");
    for (bind, number) in [("10.0.0.10:0", 4789), ("10.255.0.77:0", 4789), ("10.0.0.10:0", 179)] {
        assert!(!datagram(app, bind, firewall, &format!("10.255.0.9:{number}"), &format!("10.255.0.9:{number}")), "{bind} {number}");
    }
    // and a firewall that was given nothing yet keeps all of that
    world.load(&closed(&failsafe()).unwrap().to_text()).unwrap();
    assert!(datagram(leaf, "10.255.0.1:0", firewall, "10.255.0.9:4789", "10.255.0.9:4789"));
    assert!(connects(179) && !connects(22));
}
