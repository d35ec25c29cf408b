//! What the documentation promises.

use proptest::prelude::*;

use super::*;
use crate::nft::{Change, Command, Elements};
use crate::order::cluster_rank;
use crate::rule::{Action, Peer, PortMatch, PortRange, Priority, Protocol, Rule};
use crate::zone::{Access, Failsafe, Snat, Sources, Zone, ZoneKind};

fn parsed<T: std::str::FromStr<Err: std::fmt::Debug>>(text: &str) -> T {
    text.parse().unwrap()
}

fn firewall() -> FirewallRules {
    let zone = |number: u8, network: &str, kind, own: &str| Zone {
        network: parsed(network),
        kind,
        input: parsed(&format!("vrf{number}")),
        output: parsed(&format!("vlan{number}")),
        prefixes: vec![parsed(own)],
        sources: Sources::AllBut(vec![]),
        snat: Snat::default(),
        clamp_mss_to: None,
        rate_mbit: None,
    };
    FirewallRules {
        firewall: parsed("fw"),
        tenant: parsed("acme"),
        zones: vec![
            zone(1, "app", ZoneKind::Own, "10.0.0.0/8"),
            zone(2, "internet", ZoneKind::External, "0.0.0.0/0"),
            zone(3, "mpls", ZoneKind::External, "172.16.0.0/12"),
        ],
        access: Access::Baseline,
        allowed_ingress: None,
        allowed_egress: None,
        log_accepted: false,
        policies: Vec::new(),
        resolvers: Vec::new(),
        failsafe: Failsafe {
            uplinks: vec![],
            loopback: "10.255.0.9".parse().unwrap(),
            vteps: parsed("10.255.0.0/24"),
            management: None,
            inband: None,
        },
    }
}

fn cidr(text: &str) -> Peer {
    Peer::Cidr { cidr: parsed(text), except: vec![] }
}

fn tcp(low: u16, high: u16) -> Vec<PortMatch> {
    vec![PortMatch { protocol: Protocol::Tcp, ports: PortRange::new(low, high).ok() }]
}

fn rule(action: Action, from: &[&str], to: &[&str], ports: Vec<PortMatch>) -> Rule {
    let peers = |texts: &[&str]| texts.iter().map(|text| cidr(text)).collect();
    Rule { action, priority: Priority::default(), from: peers(from), to: peers(to), ports, log: false, expires: None }
}

fn ingress(name: &str, rule: Rule) -> Policy {
    Policy { name: parsed(name), ingress: vec![rule], egress: vec![] }
}

fn cluster(policies: Vec<Policy>) -> ClusterRules {
    ClusterRules { policies }
}

fn part(policies: Vec<Policy>) -> Part {
    table_part(&firewall(), &cluster(policies)).unwrap()
}

fn lines(part: &Part, chain: &str) -> Vec<String> {
    let found = part.chains.iter().find(|held| held.name.as_str() == chain);
    found.map(|chain| chain.rules.iter().map(ToString::to_string).collect()).unwrap_or_default()
}

#[test]
fn any_number_of_rules_of_one_shape_is_one_lookup() {
    let many = |count: u16| {
        (0..count)
            .map(|n| ingress(&format!("p{n}"), rule(Action::Allow, &[], &[&format!("10.0.{}.{}/32", n / 256, n % 256)], tcp(443, 443))))
            .collect()
    };
    for count in [1, 2000] {
        let part = part(many(count));
        assert_eq!(
            lines(&part, "cluster.in"),
            ["counter name ip daddr . meta l4proto . th dport map @cluster.in.4.dpn.allow.0 accept"],
            "{count}"
        );
        assert_eq!((part.sets[0].elements.len(), part.counters.len()), (usize::from(count), usize::from(count)));
    }
}

#[test]
fn all_pairs_of_zones_share_their_lookups_unless_a_rule_names_a_network() {
    let web = || ingress("web", rule(Action::Allow, &["198.51.100.0/24"], &[], tcp(80, 80)));
    assert_eq!(
        lines(&part(vec![web()]), "cluster"),
        ["iifname . oifname vmap { \"vrf2\" . \"vlan1\" : goto cluster.in, \"vrf3\" . \"vlan1\" : goto cluster.in }"]
    );
    let named = Rule { from: vec![Peer::Network(parsed("mpls"))], ..rule(Action::Allow, &[], &[], tcp(22, 22)) };
    let both = part(vec![web(), ingress("ssh", named)]);
    assert_eq!(
        lines(&both, "cluster"),
        ["iifname . oifname vmap { \"vrf2\" . \"vlan1\" : goto cluster.in, \"vrf3\" . \"vlan1\" : goto cluster.in.mpls.- }"]
    );
    assert_eq!(lines(&both, "cluster.in").len(), 1);
}

#[test]
fn what_an_earlier_rule_holds_whole_costs_no_lookup_and_what_it_holds_in_part_one_more() {
    let wide = || ingress("a", rule(Action::Allow, &[], &["10.0.0.0/24"], tcp(80, 90)));
    let inside = ingress("b", rule(Action::Allow, &[], &["10.0.0.7/32"], tcp(80, 80)));
    let across = ingress("c", rule(Action::Allow, &[], &["10.0.0.0/24"], tcp(85, 99)));
    let denied = ingress("d", rule(Action::Deny, &[], &["10.0.0.9/32"], tcp(80, 80)));
    let maps = |policies: Vec<Policy>| lines(&part(policies), "cluster.in").len();
    assert_eq!(maps(vec![wide(), inside.clone()]), 1);
    // its counter is there nevertheless
    assert_eq!(part(vec![wide(), inside]).counters.len(), 2);
    assert_eq!(maps(vec![wide(), across]), 2);
    // deny wins a tie: it is asked first
    let both = lines(&part(vec![wide(), denied]), "cluster.in");
    assert!(both[0].ends_with("drop") && both[1].ends_with("accept"), "{both:?}");
}

#[test]
fn rules_of_two_shapes_that_lie_across_each_other_are_two_lookups() {
    let policies = (0..100)
        .flat_map(|n| {
            [
                ingress(&format!("a{n}"), rule(Action::Allow, &[&format!("198.51.100.{n}/32")], &[], vec![])),
                ingress(&format!("b{n}"), rule(Action::Allow, &[], &[&format!("10.0.0.{n}/32")], vec![])),
            ]
        })
        .collect();
    assert_eq!(lines(&part(policies), "cluster.in").len(), 2);
}

#[test]
fn f12_a_change_of_one_rule_touches_one_element_and_no_other_counter() {
    let policy = |n: u8, port| ingress(&format!("p{n}"), rule(Action::Allow, &[], &[&format!("10.0.0.{n}/32")], tcp(port, port)));
    let before = part((0..50).map(|n| policy(n, 443)).collect());
    let after = part((0..50).map(|n| policy(n, if n == 7 { 8443 } else { 443 })).collect());
    let changes = transaction(Some(&before), &after).commands;
    let [Command::Change(_, Change::DeleteElements(gone)), Command::Change(_, Change::AddElements(new))] = changes.as_slice() else {
        panic!("{changes:?}")
    };
    assert_eq!((gone.elements.len(), new.elements.len()), (1, 1));
    assert!(transaction(Some(&after), &after).commands.is_empty());
    let fewer = part((0..49).map(|n| policy(n, 443)).collect());
    let text = transaction(Some(&before), &fewer).to_text();
    assert_eq!(
        text,
        "delete element inet leafwall cluster.in.4.dpn.allow.0 { 10.0.0.49 . tcp . 443 : \"cluster.rule.p49.ingress.0\" }\n\
         delete counter inet leafwall cluster.rule.p49.ingress.0\n"
    );
}

#[test]
fn a_part_goes_into_a_table_and_comes_out_again() {
    let mut table = crate::ruleset::table(&firewall()).unwrap();
    let signed = table.clone();
    let part = part(vec![ingress("web", Rule { log: true, ..rule(Action::Allow, &[], &["10.0.0.1/32"], tcp(80, 80)) })]);
    part.join(&mut table);
    assert!(!signed.differences(&table).is_empty());
    assert_eq!(Part::split(&mut table), part);
    assert!(signed.differences(&table).is_empty());
}

#[test]
fn two_policies_of_one_name_are_refused() {
    let twice = || ingress("web", rule(Action::Allow, &[], &[], vec![]));
    assert_eq!(table_part(&firewall(), &cluster(vec![twice(), twice()])), Err(RulesetError::DuplicatePolicy(parsed("web"))));
}

/// A small world, so that rules meet.
fn any_rule() -> impl Strategy<Value = Rule> {
    let blocks = || proptest::sample::subsequence(vec!["10.0.0.0/30", "10.0.0.1/32", "10.0.0.2/31", "10.0.0.0/8"], 0..3);
    let ports = prop_oneof![
        Just(vec![]),
        (1..6_u16, 0..3_u16).prop_map(|(low, more)| tcp(low, low + more)),
        Just(vec![PortMatch { protocol: Protocol::Tcp, ports: None }])
    ];
    (any::<bool>(), blocks(), blocks(), ports, 0..2_u16).prop_map(|(allow, from, to, ports, priority)| Rule {
        priority: Priority(priority),
        ..rule(if allow { Action::Allow } else { Action::Deny }, &from, &to, ports)
    })
}

/// The rule that a packet to `port` meets in the part, by looking its layers up as the kernel does.
fn looked_up(part: &Part, source: u8, destination: u8, port: u16) -> Option<String> {
    use crate::nft::{Expression, IpField, Statement, Value, Verdict};
    let address = |last: u8| std::net::IpAddr::from([10, 0, 0, last]);
    let holds = |expression: &Expression, value: &Value| {
        let subject = match expression {
            Expression::Ip(IpField::Source) => Value::Address(address(source)),
            Expression::Ip(IpField::Destination) => Value::Address(address(destination)),
            Expression::NfProto => Value::Number(2),
            Expression::L4Proto => Value::Number(6),
            Expression::DestinationPort(_) => Value::Number(port.into()),
            _ => return false,
        };
        match (value, &subject) {
            (Value::Prefix(prefix), Value::Address(address)) => prefix.contains_address(*address),
            (Value::Addresses(first, last), Value::Address(address)) => first <= address && address <= last,
            (Value::Numbers(first, last), Value::Number(number)) => first <= number && number <= last,
            (value, subject) => value == subject,
        }
    };
    let chain = part.chains.iter().find(|chain| chain.name.as_str() == "cluster.in")?;
    for rule in &chain.rules {
        match rule.statements.as_slice() {
            [Statement::CounterMap { left, map }, Statement::Verdict(Verdict::Accept | Verdict::Drop)] => {
                let set = part.sets.iter().find(|set| set.name == *map)?;
                let Elements::Counters(entries) = &set.elements else { return None };
                let hits: Vec<_> =
                    entries.iter().filter(|(key, _)| left.iter().zip(key).all(|(expression, value)| holds(expression, value))).collect();
                assert!(hits.len() < 2, "elements of {map} overlap: {hits:?}");
                if let Some((_, counter)) = hits.first() {
                    return Some(counter.to_string());
                }
            }
            [family, Statement::Counter(Some(counter)), Statement::Verdict(_)] if family.to_string() == "meta nfproto ipv4" => {
                return Some(counter.to_string());
            }
            _ => {}
        }
    }
    None
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn layers_decide_as_the_order_of_rules_does(rules in proptest::collection::vec(any_rule(), 1..8)) {
        let cluster = cluster(rules.into_iter().enumerate().map(|(n, rule)| ingress(&format!("p{n}"), rule)).collect());
        let part = table_part(&firewall(), &cluster).unwrap();
        let mut ordered: Vec<_> = rules_of(&cluster);
        ordered.sort_by(|(a_id, a), (b_id, b)| cluster_rank(a_id, a).cmp(&cluster_rank(b_id, b)));
        for (source, destination, port) in (0..5_u8).flat_map(|s| (0..5_u8).flat_map(move |d| (0..9_u16).map(move |p| (s, d, p)))) {
            let address = |last: u8| std::net::IpAddr::from([10, 0, 0, last]);
            let side = |peers: &[Peer], address| peers.is_empty() || peers.iter().any(|peer| matches!(peer, Peer::Cidr { cidr, .. } if cidr.contains_address(address)));
            let port_ok = |rule: &Rule| rule.ports.is_empty() || rule.ports.iter().any(|stated| stated.ports.is_none_or(|range| range.low() <= port && port <= range.high()));
            let first = ordered.iter().find(|(_, rule)| side(&rule.from, address(source)) && side(&rule.to, address(destination)) && port_ok(rule));
            let expected = first.map(|(id, _)| names::rule(id).to_string());
            prop_assert_eq!(looked_up(&part, source, destination, port), expected, "{} {} {}", source, destination, port);
        }
    }
}

fn rules_of(cluster: &ClusterRules) -> Vec<(RuleId, &Rule)> {
    rules(&cluster.policies).collect()
}
