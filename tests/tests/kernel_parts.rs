//! The signed part and the cluster's part of one table: drift is told apart, each is repaired without harm to the other, and a reboot brings both back.
#![allow(clippy::unwrap_used, clippy::panic)] // tests may fail

use std::collections::BTreeMap;

use leafwall_agent::report::Report;
use leafwall_policy::cluster::ClusterRules;
use leafwall_policy::nft::{Table, parse};
use leafwall_policy::rule::{Action, Policy, PortMatch, PortRange, Priority, Protocol, Rule};
use leafwall_policy::semantics::Transport;
use leafwall_policy::zone::FirewallRules;
use leafwall_tests::filtering::{Filtering, put};
use leafwall_tests::firewall::{parsed, quiet};
use leafwall_tests::namespace::{Namespace, unable};
use leafwall_tests::skip;
use leafwall_tests::wire;
use leafwall_tests::world::World;

const APP: usize = 0;
const INTERNET: usize = 3;
const PATIENCE: std::time::Duration = std::time::Duration::from_millis(500);

fn allow(name: &str, port: u16) -> Policy {
    let ports = vec![PortMatch { protocol: Protocol::Udp, ports: PortRange::new(port, port).ok() }];
    let rule = Rule { action: Action::Allow, priority: Priority::default(), from: vec![], to: vec![], ports, log: false, expires: None };
    Policy { name: parsed(name), ingress: vec![], egress: vec![rule] }
}

/// Port 1 is signed, port 2 the cluster's.
fn signed() -> FirewallRules {
    FirewallRules { policies: vec![allow("signed", 1)], ..quiet() }
}

fn clusters() -> ClusterRules {
    ClusterRules { policies: vec![allow("own", 2)] }
}

struct Parts {
    world: World,
    device: Filtering,
    token: u32,
}

impl Parts {
    fn new(purpose: &str) -> Self {
        let made = Self { world: World::new(purpose).unwrap(), device: Filtering::new(&signed()), token: 0 };
        made.device.make(&made.world.firewall);
        assert_eq!(put(&mut made.device.cluster(&signed(), &made.world.firewall), &clusters()), 1);
        made
    }

    /// Whether a new flow to a port arrives.
    fn passes(&mut self, port: u16) -> bool {
        self.token += 1;
        let source = 10_000 + u16::try_from(self.token).unwrap();
        let to = parsed("2001:db8::7");
        let packet = wire::packet(parsed("fd00:a::20"), to, Transport::Udp { source, destination: port }, self.token);
        self.world.networks[APP].sender.send(to, &packet).unwrap();
        self.world.networks[INTERNET].catcher.wait_for(self.token, PATIENCE).is_some()
    }

    fn nft(&self, arguments: &[&str]) -> String {
        self.world.firewall.run(&[&["nft"], arguments].concat()).unwrap()
    }

    fn table(&self) -> Table {
        parse(&self.nft(&["list", "table", "inet", "leafwall"])).unwrap().tables().next().unwrap().clone()
    }

    /// The kernel holds this and nothing else; in which order it was made does not matter.
    fn is(&self, right: &Table) {
        let there = self.table();
        assert_eq!((right.differences(&there), there.differences(right)), (Vec::new(), Vec::new()));
    }

    /// What the named counters hold.
    fn counted(&self) -> BTreeMap<String, u64> {
        let listing = self.nft(&["list", "counters", "table", "inet", "leafwall"]);
        let words: Vec<&str> = listing.split_whitespace().collect();
        words.windows(5).filter(|w| w[0] == "counter" && w[3] == "packets").map(|w| (w[1].to_owned(), w[4].parse().unwrap())).collect()
    }
}

fn told(report: &Report) -> Vec<String> {
    report.differences.iter().map(ToString::to_string).collect()
}

#[test]
fn drift_of_either_part_is_told_apart_and_repaired() {
    if let Some(why) = unable() {
        return skip("drift_of_either_part_is_told_apart_and_repaired", &why);
    }
    let mut parts = Parts::new("parts");
    let right = parts.table();
    assert!(parts.passes(1) && parts.passes(2) && !parts.passes(3));
    assert!(parts.device.compare(&parts.world.firewall).is_equal());
    let before = parts.counted();
    assert_eq!((before["rule.signed.egress.0"], before["cluster.rule.own.egress.0"]), (1, 1));

    // somebody opens the cluster's chain by hand: that alone is put right, and what is signed goes on counting where it was
    parts.nft(&["insert", "rule", "inet", "leafwall", "cluster", "accept"]);
    assert!(parts.passes(3));
    let found = told(&parts.device.compare(&parts.world.firewall));
    assert!(!found.is_empty() && found.iter().all(|found| found.contains("the cluster's part")), "{found:?}");
    parts.device.make(&parts.world.firewall);
    parts.is(&right);
    assert!(!parts.passes(3));
    let after = parts.counted();
    assert_eq!((after["rule.signed.egress.0"], after["cluster.rule.own.egress.0"]), (1, 1), "counters go on");

    // a chain and a counter of the cluster's that nobody wrote go, whoever made them
    parts.nft(&["add", "chain", "inet", "leafwall", "cluster.extra"]);
    parts.nft(&["add", "counter", "inet", "leafwall", "cluster.rule.x.egress.0"]);
    let found = told(&parts.device.compare(&parts.world.firewall));
    assert_eq!(found.iter().filter(|found| found.contains("the cluster's part")).count(), 2, "{found:?}");
    parts.device.make(&parts.world.firewall);
    parts.is(&right);

    // somebody opens what is signed: it is told as that, and the cluster's rules are there when it is put right
    parts.nft(&["insert", "rule", "inet", "leafwall", "forward", "accept"]);
    assert!(parts.passes(3));
    let found = told(&parts.device.compare(&parts.world.firewall));
    assert!(!found.is_empty() && found.iter().all(|found| !found.contains("the cluster's part")), "{found:?}");
    parts.device.make(&parts.world.firewall);
    parts.is(&right);
    assert!(parts.passes(1) && parts.passes(2) && !parts.passes(3));

    // both at once are both told
    parts.nft(&["insert", "rule", "inet", "leafwall", "forward", "accept"]);
    parts.nft(&["flush", "chain", "inet", "leafwall", "cluster"]);
    let found = told(&parts.device.compare(&parts.world.firewall));
    let of_cluster = found.iter().filter(|found| found.contains("the cluster's part")).count();
    assert!(of_cluster > 0 && of_cluster < found.len(), "{found:?}");
    parts.device.make(&parts.world.firewall);
    parts.is(&right);
}

/// A machine that comes up has an empty kernel, its disk, and at first no API server.
#[test]
fn after_a_reboot_the_clusters_rules_come_from_the_disk() {
    if let Some(why) = unable() {
        return skip("after_a_reboot_the_clusters_rules_come_from_the_disk", &why);
    }
    let mut parts = Parts::new("boot");
    let right = parts.table();
    assert!(parts.passes(2));
    // all that a reboot takes: tables, known flows, forwarding
    parts.nft(&["flush", "ruleset"]);
    parts.world.firewall.sysctl(&["net.ipv4.ip_forward=0", "net.ipv6.conf.all.forwarding=0"]).unwrap();
    assert!(!parts.passes(2));
    parts.device.make(&parts.world.firewall);
    parts.is(&right);
    assert!(parts.passes(1) && parts.passes(2) && !parts.passes(3));
    // whoever follows the cluster comes later, finds its rules there, and changes nothing
    parts.passes(2);
    let before = parts.counted();
    assert_eq!(put(&mut parts.device.cluster(&signed(), &parts.world.firewall), &clusters()), 1);
    parts.is(&right);
    assert_eq!(parts.counted(), before);
    // a new revision brings the cluster's part with it as well
    let more = FirewallRules { policies: vec![allow("signed", 1), allow("signed-too", 4)], ..quiet() };
    parts.device.sign(&more);
    parts.device.make(&parts.world.firewall);
    assert!(parts.passes(4) && parts.passes(2));
    // and a disk that lost the cluster's part leaves the signed one alone: nothing opens
    std::fs::remove_file(parts.device.directory().join("cluster.nft")).unwrap();
    let elsewhere = Namespace::new("boot-bare").unwrap();
    parts.device.make(&elsewhere);
    let text = elsewhere.run(&["nft", "list", "chain", "inet", "leafwall", "cluster"]).unwrap();
    assert!(!text.contains("cluster.rule"), "{text}");
}
