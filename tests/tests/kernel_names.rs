//! Rules for DNS names in a kernel: a resolver that misbehaves, the proxy, real nftables, and the first packet to each address.
#![allow(clippy::unwrap_used, clippy::panic)] // tests may fail

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::time::{Duration, Instant};

use hickory_proto::op::ResponseCode;
use hickory_proto::rr::RecordType;
use leafwall_agent::cluster::ClusterTable;
use leafwall_policy::cluster::ClusterRules;
use leafwall_policy::rule::{Action, Peer, Policy, Priority, Rule};
use leafwall_policy::semantics::Transport;
use leafwall_policy::zone::{FirewallRules, Snat};
use leafwall_tests::filtering::{Filtering, put};
use leafwall_tests::firewall::{parsed, quiet};
use leafwall_tests::names_proxy::{Client, NamesProxy};
use leafwall_tests::namespace::unable;
use leafwall_tests::random::Random;
use leafwall_tests::resolver::{MANY, Resolver, addresses};
use leafwall_tests::skip;
use leafwall_tests::wire;
use leafwall_tests::world::World;

const APP: usize = 0;
const STORAGE: usize = 2;
const INTERNET: usize = 3;
const CLIENT: &str = "10.0.0.10";
const CLIENT_V6: &str = "fd00:a::20";
const LISTEN: [&str; 2] = ["10.255.0.53:53", "[fd00:ffff::53]:53"];
const RESOLVERS: [&str; 2] = ["198.51.100.53:53", "[2001:db8:53::53]:53"];
/// How long the last packets may take.
const PATIENCE: Duration = Duration::from_secs(2);

/// Names that are looked up and connected to.
fn connections() -> u32 {
    std::env::var("LEAFWALL_NAMES").ok().and_then(|text| text.parse().ok()).unwrap_or(300)
}

fn signed() -> FirewallRules {
    let mut firewall = FirewallRules { resolvers: vec![parsed("198.51.100.53")], ..quiet() };
    firewall.zones[INTERNET].snat = Snat { sources: vec![parsed("10.0.0.0/22")], v4: vec![parsed("203.0.113.10")], v6: vec![] };
    firewall
}

fn clusters(names: &[&str]) -> ClusterRules {
    let to = names.iter().map(|name| Peer::Fqdn(parsed(name))).collect();
    let rule = Rule { action: Action::Allow, priority: Priority::default(), from: vec![], to, ports: vec![], log: false, expires: None };
    ClusterRules { policies: vec![Policy { name: parsed("names"), ingress: vec![], egress: vec![rule] }] }
}

struct Site {
    // ends before what it uses
    proxy: Option<NamesProxy>,
    world: World,
    device: Filtering,
    table: ClusterTable,
    resolver: Resolver,
    _second: Resolver,
    client: Client,
    token: u32,
}

impl Site {
    fn new(purpose: &str, names: &[&str]) -> Self {
        let (world, device) = (World::new(purpose).unwrap(), Filtering::new(&signed()));
        world.firewall.ip("address add 10.255.0.53/32 dev lo\naddress add fd00:ffff::53/128 dev lo\n").unwrap();
        world.networks[APP].namespace.ip(&format!("address add {CLIENT}/32 dev lo\naddress add {CLIENT_V6}/128 dev lo\n")).unwrap();
        world.networks[INTERNET].namespace.ip("address add 198.51.100.53/32 dev lo\naddress add 2001:db8:53::53/128 dev lo\n").unwrap();
        device.make(&world.firewall);
        let mut table = device.cluster(&signed(), &world.firewall);
        put(&mut table, &clusters(names));
        let internet = &world.networks[INTERNET].namespace;
        let (resolver, second) = (Resolver::start(internet, parsed(RESOLVERS[0])), Resolver::start(internet, parsed(RESOLVERS[1])));
        let client = Client::new(&world.networks[APP].namespace, parsed(CLIENT), parsed(LISTEN[0]));
        let mut made = Self { world, device, table, resolver, _second: second, proxy: None, client, token: 0 };
        made.start();
        made
    }

    fn start(&mut self) {
        self.proxy = None;
        self.proxy = Some(NamesProxy::start(&self.world.firewall, &signed(), &self.table, &LISTEN, &RESOLVERS));
    }

    fn ask(&mut self, name: &str, kind: RecordType) -> (ResponseCode, Vec<IpAddr>) {
        let answer =
            self.client.ask(&self.world.networks[APP].namespace, name, kind).unwrap_or_else(|| panic!("nobody answers for {name}"));
        (answer.metadata.response_code, addresses(&answer))
    }

    /// The first packet of a connection to an address.
    fn connect(&mut self, to: IpAddr) -> u32 {
        self.token += 1;
        let from = parsed(if to.is_ipv4() { CLIENT } else { CLIENT_V6 });
        let source = u16::try_from(20_000 + self.token % 40_000).unwrap();
        let packet = wire::packet(from, to, Transport::Udp { source, destination: 443 }, self.token);
        self.world.networks[APP].sender.send(to, &packet).unwrap();
        self.token
    }

    fn passes(&mut self, to: IpAddr) -> bool {
        let token = self.connect(to);
        self.world.networks[INTERNET].catcher.wait_for(token, Duration::from_millis(500)).is_some()
    }

    fn set(&self, set: &str) -> String {
        self.world.firewall.run(&["nft", "list", "set", "inet", "leafwall", set]).unwrap()
    }
}

macro_rules! site {
    ($test:literal, $names:expr) => {
        match unable() {
            Some(why) => return skip($test, &why),
            None => Site::new(&$test[..7], $names),
        }
    };
}

#[test]
fn f14_no_first_connection_is_dropped() {
    let mut site = site!("f14_no_first_connection_is_dropped", &["*.example.com"]);
    let mut chance = Random::from_environment(14);
    let mut sent: BTreeMap<u32, String> = BTreeMap::new();
    let mut caught: BTreeSet<u32> = BTreeSet::new();
    let mut took: Vec<Duration> = Vec::new();
    for number in 0..connections() {
        let manner = *chance.pick(&["few", "few", "few", "many", "chain", "chain", "wrong", "slow"]);
        // some are asked for again and again
        let number = if chance.once_in(4) { number / 8 } else { number };
        let number = if manner == "many" { number % 100 } else { number };
        let kind = *chance.pick(&[RecordType::A, RecordType::A, RecordType::AAAA]);
        let name = format!("{manner}-{number}.{}example.com.", if chance.once_in(3) { "deep.er." } else { "" });
        let start = Instant::now();
        let (code, found) = site.ask(&name, kind);
        took.push(start.elapsed());
        assert_eq!((code, found.is_empty()), (ResponseCode::NoError, false), "{name}");
        assert!(manner != "many" || found.len() == MANY as usize, "{name}: {}", found.len());
        let to = *chance.pick(&found);
        sent.insert(site.connect(to), format!("{name} {to}"));
        caught.extend(site.world.networks[INTERNET].catcher.arrived().iter().filter_map(|caught| caught.token));
    }
    let start = Instant::now();
    while sent.keys().any(|token| !caught.contains(token)) && start.elapsed() < PATIENCE {
        std::thread::sleep(Duration::from_millis(10));
        caught.extend(site.world.networks[INTERNET].catcher.arrived().iter().filter_map(|caught| caught.token));
    }
    let dropped: Vec<&String> = sent.iter().filter(|(token, _)| !caught.contains(token)).map(|(_, name)| name).collect();
    took.sort_unstable();
    eprintln!(
        "{} first connections, {} dropped; an answer took {:?} (median), {:?} (all but 1 %)",
        sent.len(),
        dropped.len(),
        took[took.len() / 2],
        took[took.len() * 99 / 100]
    );
    assert!(dropped.is_empty(), "dropped: {dropped:?}");
    // and the rule is what lets them pass, not everything
    assert!(!site.passes(parsed("192.0.2.77")));
}

#[test]
fn f06_answers_open_nothing_that_is_closed_and_useless_ones_open_nothing_at_all() {
    let mut site = site!("f06_answers_open_nothing_that_is_closed_and_useless_ones_open_nothing_at_all", &["*.example.com"]);
    assert_eq!(site.ask("private-0.example.com.", RecordType::A), (ResponseCode::Refused, vec![]));
    assert_eq!(site.ask("private-0.example.com.", RecordType::AAAA), (ResponseCode::Refused, vec![]));
    let (code, found) = site.ask("private-1.example.com.", RecordType::A);
    assert_eq!((code, found), (ResponseCode::NoError, vec![parsed("198.18.0.1")]), "what is left");
    let token = site.connect(parsed("10.50.0.7"));
    assert!(site.world.networks[STORAGE].catcher.wait_for(token, Duration::from_millis(300)).is_none());
    assert_eq!(site.ask("loop-1.example.com.", RecordType::A), (ResponseCode::ServFail, vec![]));
    let sets = [site.set("cluster.fqdn4./.example.com"), site.set("cluster.fqdn6./.example.com")].concat();
    assert!(sets.contains("198.18.0.1") && !sets.contains("10.50.0.7") && !sets.contains("fd00:50::7"), "{sets}");
    // names of no rule are answered, and open nothing
    let (code, found) = site.ask("few-9.example.org.", RecordType::A);
    assert_eq!((code, found.clone()), (ResponseCode::NoError, vec![parsed("198.18.0.9")]));
    assert!(!site.passes(found[0]));
    // a resolver that talks rubbish or nothing is an error, soon
    for name in ["garbage-1.example.com.", "dead-1.example.com."] {
        assert_eq!(site.ask(name, RecordType::A), (ResponseCode::ServFail, vec![]), "{name}");
    }
    // over IPv6, too
    let mut client = Client::new(&site.world.networks[APP].namespace, parsed(CLIENT_V6), parsed(LISTEN[1]));
    let answer = client.ask(&site.world.networks[APP].namespace, "few-5.example.com.", RecordType::AAAA).unwrap();
    let to = addresses(&answer)[0];
    assert!(site.passes(to));
    // and nobody else is served: the shared network reaches no proxy
    let storage = &site.world.networks[STORAGE].namespace;
    storage.ip("address add 10.50.0.5/32 dev lo\n").unwrap();
    let mut stranger = Client::new(storage, parsed("10.50.0.5"), parsed(LISTEN[0]));
    let before = site.resolver.asked();
    assert!(stranger.ask(storage, "few-6.example.com.", RecordType::A).is_none());
    assert_eq!(site.resolver.asked(), before);
}

#[test]
fn f14_restarts_revisions_and_reboots_keep_what_clients_know() {
    let mut site = site!("f14_restarts_revisions_and_reboots_keep_what_clients_know", &["*.example.com", "few-2.example.org"]);
    let known: Vec<IpAddr> = ["few-1.example.com.", "few-2.example.org.", "many-1.example.com."]
        .iter()
        .flat_map(|name| site.ask(name, RecordType::A).1)
        .collect();
    assert_eq!(known.len(), 2 + MANY as usize);
    let some = [known[0], known[1], known[known.len() - 1]];
    // the process that resolves starts again, and asks nobody
    site.start();
    assert!(some.iter().all(|to| site.passes(*to)));
    // another signed ruleset takes the place of the one before
    let mut firewall = signed();
    firewall.log_accepted = true;
    site.device.sign(&firewall);
    site.device.make(&site.world.firewall);
    assert!(some.iter().all(|to| site.passes(*to)), "after a revision");
    // all that a reboot takes
    site.proxy = None;
    site.world.firewall.run(&["nft", "flush", "ruleset"]).unwrap();
    site.device.make(&site.world.firewall);
    assert!(some.iter().all(|to| site.passes(*to)), "after a reboot");
    // a name whose rule goes takes its addresses with it, and the others stay
    site.table = site.device.cluster(&firewall, &site.world.firewall);
    site.start();
    put(&mut site.table, &clusters(&["*.example.com"]));
    assert!(site.passes(some[0]) && !site.passes(some[1]) && site.passes(some[2]));
    // somebody empties a set: it is noticed, and put back
    site.world.firewall.run(&["nft", "flush", "set", "inet", "leafwall", "cluster.fqdn4./.example.com"]).unwrap();
    assert!(!site.passes(some[0]));
    let start = Instant::now();
    while !site.passes(some[0]) {
        assert!(start.elapsed() < Duration::from_secs(20), "it is not put back");
    }
    // a damaged file is as none: nothing opens by it, and clients ask again
    site.proxy = None;
    let path = site.device.directory().join("answers");
    let text = std::fs::read_to_string(&path).unwrap().replacen("198.18.0.1 ", "192.0.2.77 ", 1);
    std::fs::write(&path, text).unwrap();
    site.world.firewall.run(&["nft", "flush", "ruleset"]).unwrap();
    site.device.make(&site.world.firewall);
    site.table = site.device.cluster(&firewall, &site.world.firewall);
    put(&mut site.table, &clusters(&["*.example.com"]));
    site.start();
    assert!(!site.passes(parsed("192.0.2.77")) && !site.passes(some[0]));
    assert_eq!(site.ask("few-1.example.com.", RecordType::A).1, [some[0]]);
    assert!(site.passes(some[0]));
}
