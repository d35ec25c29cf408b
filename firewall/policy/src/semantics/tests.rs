//! What the documentation promises, one promise a test.

use super::*;
use crate::rule::{Policy, PortRange, Priority};
use crate::ruleset::{RulesetError, closed, table};
use crate::zone::{Failsafe, Snat};

fn parsed<T: std::str::FromStr<Err: fmt::Debug>>(text: &str) -> T {
    text.parse().unwrap()
}

fn prefixes(texts: &[&str]) -> Vec<Prefix> {
    texts.iter().map(|text| parsed(text)).collect()
}

fn zone(number: u8, network: &str, kind: ZoneKind, own: &[&str]) -> Zone {
    Zone {
        network: parsed(network),
        kind,
        input: parsed(&format!("vrf{number}")),
        output: parsed(&format!("vlan{number}")),
        prefixes: prefixes(own),
        sources: if kind == ZoneKind::External {
            Sources::AllBut(prefixes(&["10.0.0.0/8", "fd00::/8"]))
        } else {
            Sources::Only(prefixes(own))
        },
        snat: Snat::default(),
        clamp_mss_to: None,
        rate_mbit: None,
    }
}

fn firewall() -> FirewallRules {
    FirewallRules {
        firewall: parsed("fw"),
        tenant: parsed("acme"),
        zones: vec![
            zone(1, "app", ZoneKind::Own, &["10.0.0.0/24", "fd00:a::/64"]),
            zone(2, "db", ZoneKind::Own, &["10.0.1.0/24"]),
            zone(3, "storage", ZoneKind::Shared, &["10.50.0.0/24"]),
            zone(4, "internet", ZoneKind::External, &["0.0.0.0/0", "::/0"]),
        ],
        access: Access::Baseline,
        allowed_ingress: None,
        allowed_egress: None,
        log_accepted: false,
        policies: Vec::new(),
        resolvers: Vec::new(),
        failsafe: Failsafe {
            uplinks: vec![parsed("lan0")],
            loopback: parsed("10.255.0.9"),
            vteps: parsed("10.255.0.0/24"),
            management: None,
            inband: None,
        },
    }
}

fn rule(action: Action) -> Rule {
    Rule { action, priority: Priority::default(), from: vec![], to: vec![], ports: vec![], log: false, expires: None }
}

fn policy(name: &str, ingress: Vec<Rule>, egress: Vec<Rule>) -> Policy {
    Policy { name: parsed(name), ingress, egress }
}

fn cidr(block: &str, except: &[&str]) -> Peer {
    Peer::Cidr { cidr: parsed(block), except: prefixes(except) }
}

fn tcp(input: &str, source: &str, output: &str, destination: &str, port: u16) -> Packet {
    Packet {
        input: parsed(input),
        output: parsed(output),
        source: parsed(source),
        destination: parsed(destination),
        transport: Transport::Tcp { source: 40000, destination: port },
        state: FlowState::New,
    }
}

fn out(destination: &str, port: u16) -> Packet {
    tcp("app", if destination.contains(':') { "fd00:a::5" } else { "10.0.0.5" }, "internet", destination, port)
}

fn reason(firewall: &FirewallRules, packet: &Packet) -> Reason {
    decide(firewall, &Answers::new(), packet).reason
}

fn by(policy: &str, direction: Direction, index: usize) -> Reason {
    Reason::Rule(RuleId { policy: parsed(policy), direction, index })
}

#[test]
fn f05_empty_lists_mean_everything() {
    let mut firewall = firewall();
    firewall.policies = vec![policy("open", vec![], vec![rule(Action::Allow)])];
    for destination in ["198.51.100.1", "2001:db8::1"] {
        assert_eq!(reason(&firewall, &out(destination, 1)), by("open", Direction::Egress, 0));
    }
    let odd = Packet { transport: Transport::Other(253), ..out("198.51.100.1", 1) };
    assert_eq!(reason(&firewall, &odd), by("open", Direction::Egress, 0));
    // and say nothing about the other direction
    assert_eq!(reason(&firewall, &tcp("internet", "198.51.100.1", "app", "10.0.0.5", 1)), Reason::Default);
}

#[test]
fn f04_an_exception_cuts_its_own_block_alone() {
    let mut firewall = firewall();
    let peers = vec![cidr("198.51.100.0/24", &["198.51.100.0/25"]), cidr("198.51.100.64/26", &[])];
    firewall.policies = vec![policy("web", vec![], vec![Rule { to: peers, ..rule(Action::Allow) }])];
    assert_eq!(reason(&firewall, &out("198.51.100.1", 80)), Reason::Default);
    assert_eq!(reason(&firewall, &out("198.51.100.65", 80)), by("web", Direction::Egress, 0));
    assert_eq!(reason(&firewall, &out("198.51.100.129", 80)), by("web", Direction::Egress, 0));
}

#[test]
fn the_lowest_priority_decides_and_deny_wins_a_tie() {
    let mut firewall = firewall();
    let at = |action, priority| Rule { priority: Priority(priority), ..rule(action) };
    firewall.policies = vec![policy("a", vec![], vec![at(Action::Allow, 1000), at(Action::Deny, 1000)])];
    assert_eq!(reason(&firewall, &out("198.51.100.1", 80)), by("a", Direction::Egress, 1));
    firewall.policies.push(policy("b", vec![], vec![at(Action::Allow, 999)]));
    assert_eq!(reason(&firewall, &out("198.51.100.1", 80)), by("b", Direction::Egress, 0));
    // the kernel looks at them in the same order
    let table = table(&firewall).unwrap();
    let pair = table.chains.iter().find(|chain| chain.name.as_str() == "pair.app.internet").unwrap();
    let order: Vec<String> = pair.rules.iter().map(ToString::to_string).collect();
    assert_eq!(order, ["goto rule.b.egress.0", "goto rule.a.egress.1", "goto rule.a.egress.0", "jump cluster", "goto drop.denied"]);
}

#[test]
fn f03_a_rule_is_bound_to_its_networks() {
    let mut firewall = firewall();
    let to = vec![Peer::Network(parsed("internet"))];
    firewall.policies = vec![policy("net", vec![], vec![Rule { to, ..rule(Action::Allow) }])];
    assert_eq!(
        reason(&firewall, &out("10.50.0.9", 80)),
        by("net", Direction::Egress, 0),
        "routed into the internet: its prefixes hold everything"
    );
    assert_eq!(reason(&firewall, &tcp("app", "10.0.0.5", "storage", "10.50.0.9", 80)), Reason::Default);
}

#[test]
fn own_networks_meet_only_where_a_rule_names_one() {
    let mut firewall = firewall();
    let between = tcp("app", "10.0.0.5", "db", "10.0.1.5", 5432);
    firewall.policies = vec![policy(
        "all",
        vec![rule(Action::Allow)],
        vec![rule(Action::Allow), Rule { to: vec![cidr("10.0.0.0/8", &[])], ..rule(Action::Allow) }],
    )];
    assert_eq!(reason(&firewall, &between), Reason::Default);
    firewall.policies.push(policy("db", vec![Rule { from: vec![Peer::Network(parsed("app"))], ..rule(Action::Allow) }], vec![]));
    assert_eq!(reason(&firewall, &between), by("db", Direction::Ingress, 0));
}

#[test]
fn there_is_no_transit_and_no_hairpin() {
    let mut firewall = firewall();
    firewall.policies = vec![policy("all", vec![rule(Action::Allow)], vec![rule(Action::Allow)])];
    assert_eq!(reason(&firewall, &tcp("internet", "198.51.100.1", "storage", "10.50.0.1", 1)), Reason::NoPath);
    assert_eq!(reason(&firewall, &tcp("app", "10.0.0.1", "app", "10.0.0.2", 1)), Reason::NoPath);
    assert_eq!(reason(&firewall, &tcp("nowhere", "10.0.0.1", "app", "10.0.0.2", 1)), Reason::UnknownNetwork);
}

#[test]
fn access_and_allowed_networks_bound_every_path() {
    let mut firewall = firewall();
    firewall.policies = vec![policy("all", vec![rule(Action::Allow)], vec![rule(Action::Allow)])];
    let (web, storage) = (out("198.51.100.1", 80), tcp("app", "10.0.0.5", "storage", "10.50.0.1", 80));
    firewall.allowed_egress = Some(prefixes(&["198.51.100.0/24"]));
    assert_eq!(reason(&firewall, &web), by("all", Direction::Egress, 0));
    assert_eq!(reason(&firewall, &out("2001:db8::1", 80)), Reason::OutsideAllowed);
    assert_eq!(reason(&firewall, &storage), Reason::OutsideAllowed);
    firewall.allowed_egress = None;
    firewall.access = Access::Restricted;
    assert_eq!(reason(&firewall, &web), Reason::OutsideAllowed);
    firewall.allowed_ingress = Some(prefixes(&["198.51.100.0/24"]));
    assert_eq!(reason(&firewall, &tcp("internet", "198.51.100.1", "app", "10.0.0.5", 80)), by("all", Direction::Ingress, 0));
    assert_eq!(reason(&firewall, &tcp("internet", "192.0.2.1", "app", "10.0.0.5", 80)), Reason::OutsideAllowed);
    firewall.access = Access::Forbidden;
    assert_eq!(reason(&firewall, &web), Reason::Forbidden);
    assert_eq!(reason(&firewall, &storage), by("all", Direction::Egress, 0));
}

#[test]
fn f16_only_the_firewalls_own_prefixes_are_translated_and_none_leaves_untranslated() {
    let mut firewall = firewall();
    firewall.policies = vec![policy("all", vec![], vec![rule(Action::Allow)])];
    firewall.zones[3].snat = Snat { sources: prefixes(&["10.0.0.0/24"]), v4: vec![parsed("203.0.113.10")], v6: vec![] };
    let translated = |firewall: &FirewallRules, packet: &Packet| decide(firewall, &Answers::new(), packet).snat;
    assert_eq!(translated(&firewall, &out("198.51.100.1", 80)), [parsed("203.0.113.10")].into());
    assert_eq!(translated(&firewall, &out("2001:db8::1", 80)), [].into());
    assert_eq!(translated(&firewall, &tcp("db", "10.0.1.5", "internet", "198.51.100.1", 80)), [].into());
    firewall.zones[3].snat.v4.clear();
    assert_eq!(reason(&firewall, &out("198.51.100.1", 80)), Reason::NoEgressAddress);
}

#[test]
fn f06_answers_count_for_their_name_only() {
    let mut firewall = firewall();
    let name = Fqdn::try_from("*.example.com".to_owned()).unwrap();
    firewall.policies = vec![policy("dns", vec![], vec![Rule { to: vec![Peer::Fqdn(name.clone())], ..rule(Action::Allow) }])];
    let answers = Answers::from([(name, [parsed("198.51.100.7")].into())]);
    assert_eq!(decide(&firewall, &answers, &out("198.51.100.7", 443)).verdict, Action::Allow);
    assert_eq!(decide(&firewall, &answers, &out("198.51.100.8", 443)).verdict, Action::Deny);
}

#[test]
fn explain_tells_of_every_rule_in_its_order() {
    let mut firewall = firewall();
    let web = PortMatch { protocol: Protocol::Tcp, ports: PortRange::new(80, 80).ok() };
    firewall.policies = vec![policy(
        "web",
        vec![rule(Action::Allow)],
        vec![
            Rule { ports: vec![web], ..rule(Action::Allow) },
            Rule { from: vec![cidr("10.0.0.99/32", &[])], ..rule(Action::Allow) },
            Rule { to: vec![cidr("192.0.2.0/24", &[])], priority: Priority(1), ..rule(Action::Deny) },
        ],
    )];
    let told: Vec<String> = explain(&firewall, &Answers::new(), &out("198.51.100.1", 443))
        .into_iter()
        .map(|(id, action, why)| format!("{id} {action:?} {}", why.map_or_else(String::new, |why| why.to_string())))
        .collect();
    assert_eq!(
        told,
        [
            "web/egress/2 Deny `to` does not hold the destination",
            "web/ingress/0 Allow it is about the other direction",
            "web/egress/0 Allow `ports` do not hold the protocol or port",
            "web/egress/1 Allow `from` does not hold the source",
        ]
    );
}

#[test]
fn what_cannot_come_from_a_checked_model_is_refused_whole() {
    let base = firewall();
    let with = |change: &dyn Fn(&mut FirewallRules)| {
        let mut changed = base.clone();
        change(&mut changed);
        table(&changed).unwrap_err()
    };
    assert_eq!(
        with(&|f| f.policies = vec![policy("a", vec![], vec![]), policy("a", vec![], vec![])]),
        RulesetError::DuplicatePolicy(parsed("a"))
    );
    assert_eq!(with(&|f| f.zones[1].network = parsed("app")), RulesetError::DuplicateZone(parsed("app")));
    assert_eq!(with(&|f| f.zones[1].output = parsed("vlan1")), RulesetError::DuplicateInterface(parsed("vlan1")));
    assert_eq!(with(&|f| f.failsafe.vteps = parsed("fd00::/64")), RulesetError::VtepRange(parsed("fd00::/64")));
}

#[test]
fn f22_closed_has_no_way_through() {
    let script = closed(&firewall().failsafe).unwrap();
    let table = script.tables().next().unwrap();
    let forward = table.chains.iter().find(|chain| chain.name.as_str() == "forward").unwrap();
    assert_eq!(forward.base.as_ref().unwrap().policy, crate::nft::Policy::Drop);
    assert_eq!(forward.rules.iter().map(ToString::to_string).collect::<Vec<_>>(), ["goto drop.denied"]);
}
