use leafwall_policy::rule::{Peer, PortMatch, PortRange, Protocol};
use leafwall_policy::ruleset::ruleset;
use leafwall_policy::zone::{Access, Failsafe, FirewallRules, Snat, Sources, Zone, ZoneKind};
use proptest::prelude::*;
use serde_json::json;

use super::*;

fn key(kind: Kind) -> ObjectKey {
    let namespace = if kind == Kind::FirewallPolicy { "" } else { CNP_NAMESPACE };
    ObjectKey { kind, namespace: namespace.into(), name: "x".into() }
}

fn within(allowed: &[&str]) -> Bounds {
    let allowed: Vec<_> = allowed.iter().map(|text| text.parse().unwrap()).collect();
    Bounds { ingress: Some(allowed.clone()), egress: Some(allowed), networks: ["app".parse().unwrap()].into() }
}

fn read(kind: Kind, object: &Value) -> Policy {
    match convert(&key(kind), object, &Bounds::default()) {
        Verdict::Accepted(policy) => policy,
        other => panic!("{object}: {other:?}"),
    }
}

fn refused(kind: Kind, object: &Value, bounds: &Bounds) -> Vec<(Reason, String)> {
    match convert(&key(kind), object, bounds) {
        Verdict::Refused(findings) => findings.into_iter().map(|finding| (finding.reason, finding.place)).collect(),
        other => panic!("{object}: {other:?}"),
    }
}

fn cnp(rule: &Value) -> Value {
    json!({"spec": {"egress": [rule]}})
}

fn tcp(low: u16, high: u16) -> PortMatch {
    PortMatch { protocol: Protocol::Tcp, ports: Some(PortRange::new(low, high).unwrap()) }
}

const CNP: Kind = Kind::ClusterwideNetworkPolicy;

#[test]
fn f01_every_mistake_of_an_object_is_found_at_once_with_its_place() {
    let object = cnp(&json!({
        "to": [{"cidr": "10.0.0.0/33"}, {"cidr": "10.0.0.0/8", "except": ["192.0.2.0/24", "nonsense"]}],
        "ports": [{"port": 90, "endPort": 80}, {"protocol": "ICMP"}, {"endPort": 5}, {"port": 70000}, {"port": 0}],
    }));
    let place = |tail: &str| format!("spec.egress[0].{tail}");
    let expected = [
        (Reason::InvalidAddress, place("to[0].cidr")),
        (Reason::InvalidExcept, place("to[1].except[0]")),
        (Reason::InvalidAddress, place("to[1].except[1]")),
        (Reason::InvalidPort, place("ports[0].port")),
        (Reason::InvalidProtocol, place("ports[1].protocol")),
        (Reason::InvalidPort, place("ports[2].endPort")),
        (Reason::InvalidPort, place("ports[3].port")),
        (Reason::InvalidPort, place("ports[4].port")),
    ];
    assert_eq!(refused(CNP, &object, &Bounds::default()), expected);
}

#[test]
fn f03_an_address_that_is_not_allowed_gives_no_rule() {
    let allowed = within(&["198.51.100.0/24"]);
    let service = |ranges: &Value| {
        json!({
            "spec": {"type": "LoadBalancer", "ports": [{"port": 80, "protocol": "TCP"}], "loadBalancerSourceRanges": ranges},
            "status": {"loadBalancer": {"ingress": [{"ip": "203.0.113.7"}]}},
        })
    };
    let forbidden = [(Reason::AddressForbidden, "spec.loadBalancerSourceRanges[0].cidr".to_owned())];
    assert_eq!(refused(Kind::Service, &service(&json!(["192.0.2.0/24"])), &allowed), forbidden);
    // one range that is allowed does not save the other
    assert_eq!(refused(Kind::Service, &service(&json!(["192.0.2.0/24", "198.51.100.0/25"])), &allowed), forbidden);
    assert!(matches!(convert(&key(Kind::Service), &service(&json!(["198.51.100.0/25"])), &allowed), Verdict::Accepted(_)));
    // and without an address there is no destination that could be left out
    let mut nowhere = service(&json!([]));
    nowhere["status"] = json!({});
    assert_eq!(convert(&key(Kind::Service), &nowhere, &Bounds::default()), Verdict::Waiting);
    let opened = read(Kind::Service, &service(&json!([" 10.0.0.0/8 "])));
    assert_eq!(opened.ingress[0].to, [Peer::Cidr { cidr: "203.0.113.7/32".parse().unwrap(), except: vec![] }]);
    assert_eq!((opened.ingress.len(), opened.egress.len(), &opened.ingress[0].ports[..]), (1, 0, &[tcp(80, 80)][..]));
}

#[test]
fn f04_an_except_cuts_its_own_block() {
    let policy = read(CNP, &cnp(&json!({"to": [{"cidr": "10.0.0.0/8", "except": ["10.1.0.0/16"]}, {"cidr": "10.1.2.0/24"}]})));
    let Peer::Cidr { except, .. } = &policy.egress[0].to[1] else { panic!("{policy:?}") };
    assert!(except.is_empty());
    let Peer::Cidr { except, .. } = &policy.egress[0].to[0] else { panic!("{policy:?}") };
    assert_eq!(except[..], ["10.1.0.0/16".parse().unwrap()]);
}

#[test]
fn f05_empty_lists_mean_everything() {
    for rule in [json!({}), json!({"to": [], "ports": [], "toFQDNs": []}), json!({"to": null, "ports": null})] {
        let policy = read(CNP, &cnp(&rule));
        assert_eq!(policy.egress.len(), 1, "{rule}");
        assert!(policy.egress[0].to.is_empty() && policy.egress[0].ports.is_empty(), "{rule}");
    }
    // a protocol without a port is all its ports
    let policy = read(CNP, &cnp(&json!({"ports": [{"protocol": "UDP"}, {}]})));
    assert_eq!(policy.egress[0].ports, [Protocol::Udp, Protocol::Tcp].map(|protocol| PortMatch { protocol, ports: None }));
    // but a list whose only entry is wrong does not become an empty one
    assert_eq!(refused(CNP, &cnp(&json!({"to": [{"cidr": "x"}]})), &Bounds::default()).len(), 1);
}

#[test]
fn f06_what_is_allowed_bounds_every_kind_and_both_directions() {
    let allowed = within(&["198.51.100.0/24"]);
    let outside = json!([{"cidr": "198.51.0.0/16"}]);
    let policy = |rule: &Value, direction: &str| json!({"spec": {direction: [rule]}});
    for (kind, rule, direction) in [
        (CNP, json!({"from": outside}), "ingress"),
        (CNP, json!({"to": outside}), "egress"),
        (Kind::FirewallPolicy, json!({"action": "allow", "from": outside}), "ingress"),
        (Kind::FirewallPolicy, json!({"action": "allow", "to": outside}), "egress"),
    ] {
        assert_eq!(refused(kind, &policy(&rule, direction), &allowed)[0].0, Reason::AddressForbidden, "{rule}");
    }
    // the near side is the cluster's own, and denying is always allowed
    let near = json!({"action": "allow", "from": outside});
    assert!(matches!(convert(&key(Kind::FirewallPolicy), &policy(&near, "egress"), &allowed), Verdict::Accepted(_)));
    let deny = json!({"action": "deny", "to": outside});
    assert!(matches!(convert(&key(Kind::FirewallPolicy), &policy(&deny, "egress"), &allowed), Verdict::Accepted(_)));
}

#[test]
fn a_clusterwide_network_policy_counts_in_its_namespace_alone() {
    let elsewhere = ObjectKey { namespace: "default".into(), ..key(CNP) };
    let Verdict::Refused(findings) = convert(&elsewhere, &cnp(&json!({})), &Bounds::default()) else { panic!("accepted") };
    assert_eq!(findings[0].reason, Reason::WrongNamespace);
}

#[test]
fn bits_beside_a_prefix_are_cut_where_metal_stack_cuts_them_and_a_mistake_elsewhere() {
    let policy = read(CNP, &cnp(&json!({"to": [{"cidr": "10.1.2.3/8"}, {"cidr": "2001:db8::7/32"}]})));
    let blocks: Vec<String> =
        policy.egress[0].to.iter().map(|peer| if let Peer::Cidr { cidr, .. } = peer { cidr.to_string() } else { String::new() }).collect();
    assert_eq!(blocks, ["10.0.0.0/8", "2001:db8::/32"]);
    let ours = json!({"spec": {"egress": [{"action": "allow", "to": [{"cidr": "10.1.2.3/8"}]}]}});
    let Verdict::Refused(findings) = convert(&key(Kind::FirewallPolicy), &ours, &Bounds::default()) else { panic!("accepted") };
    assert_eq!(findings[0].to_string(), "spec.egress[0].to[0].cidr: `10.1.2.3/8` has bits beside its prefix (the block is `10.0.0.0/8`)");
}

#[test]
fn a_policy_says_all_that_the_intent_can() {
    let object = json!({"spec": {"ingress": [{
        "action": "deny", "priority": 7, "log": true, "expires": "2027-01-31T00:00:00Z",
        "from": [{"fqdn": "*.Example.com"}, {"network": "app"}, {"cidr": "::/0"}],
        "ports": [{"protocol": "SCTP", "port": 1, "endPort": 65535}, {"protocol": "ICMPv6"}, {"protocol": "any"}],
    }]}});
    let Verdict::Accepted(policy) = convert(&key(Kind::FirewallPolicy), &object, &within(&[])) else { panic!("refused") };
    let rule = &policy.ingress[0];
    assert_eq!((rule.priority.0, rule.log, rule.expires, rule.from.len(), rule.ports.len()), (7, true, Some(1_801_353_600), 3, 3));
    for (peer, reason) in [
        (json!({"network": "foreign"}), Reason::UnknownNetwork),
        (json!({}), Reason::Contradiction),
        (json!({"cidr": "::/0", "fqdn": "a.b"}), Reason::Contradiction),
        (json!({"fqdn": "a b"}), Reason::InvalidName),
    ] {
        let object = json!({"spec": {"ingress": [{"action": "allow", "from": [peer]}]}});
        assert_eq!(
            refused(Kind::FirewallPolicy, &object, &Bounds { networks: within(&[]).networks, ..Bounds::default() })[0].0,
            reason,
            "{peer}"
        );
    }
}

/// A firewall of one own network and the outside.
fn firewall(policies: Vec<Policy>) -> FirewallRules {
    let zone = |network: &str, kind, sources| Zone {
        network: network.parse().unwrap(),
        kind,
        input: format!("i-{network}").parse().unwrap(),
        output: format!("o-{network}").parse().unwrap(),
        prefixes: vec!["10.0.0.0/8".parse().unwrap()],
        sources,
        snat: Snat::default(),
        clamp_mss_to: None,
        rate_mbit: None,
    };
    FirewallRules {
        firewall: "fw".parse().unwrap(),
        tenant: "acme".parse().unwrap(),
        zones: vec![zone("app", ZoneKind::Own, Sources::AllBut(vec![])), zone("net", ZoneKind::External, Sources::AllBut(vec![]))],
        access: Access::Baseline,
        allowed_ingress: None,
        allowed_egress: None,
        log_accepted: false,
        policies,
        resolvers: Vec::new(),
        failsafe: Failsafe {
            uplinks: vec![],
            loopback: [10, 0, 0, 1].into(),
            vteps: "10.0.0.0/24".parse().unwrap(),
            management: None,
            inband: None,
        },
    }
}

#[test]
fn f01_an_object_that_would_fill_the_kernel_is_refused() {
    let blocks = |count: usize| -> Value { (0..count).map(|at| json!({"cidr": format!("10.{}.{}.0/24", at / 200, at % 200)})).collect() };
    let verdict = |rules: usize, peers: usize| {
        let rule = json!({"action": "allow", "from": blocks(peers), "to": blocks(peers)});
        let object = json!({"spec": {"ingress": vec![rule; rules]}});
        convert(&key(Kind::FirewallPolicy), &object, &Bounds::default())
    };
    // 8 * 64 * 64 is as much as there may be
    assert!(matches!(verdict(8, 64), Verdict::Accepted(_)));
    let Verdict::Refused(findings) = verdict(9, 64) else { panic!("accepted") };
    assert_eq!((findings.len(), findings[0].reason), (1, Reason::TooLarge));
    // a rule that fits no map is sets, whose sizes add up
    assert!(matches!(verdict(9, 65), Verdict::Accepted(_)));
}

/// What stands between two marks would be a rule if it got into the text.
const INJECTED: &str = "zqx";

fn hostile() -> impl Strategy<Value = String> {
    let pieces = prop_oneof![
        Just("10.0.0.0/8".to_owned()),
        Just("10.0.0.0/8, zqx".to_owned()),
        Just("} accept zqx".to_owned()),
        Just("a.example.com".to_owned()),
        Just("\n\t\taccept comment \"zqx\"".to_owned()),
        Just("$(zqx)".to_owned()),
        ".{0,12}",
        "[0-9a-f:./]{0,20}",
    ];
    proptest::collection::vec(pieces, 0..3).prop_map(|pieces| pieces.concat())
}

fn hostile_object() -> impl Strategy<Value = Value> {
    let port = prop_oneof![any::<i64>().prop_map(Some), (0..70000_i64).prop_map(Some), Just(None)];
    let ports = (port.clone(), port, proptest::option::of(hostile()));
    (hostile(), proptest::option::of(hostile()), proptest::option::of(hostile()), ports).prop_map(|(cidr, except, name, (port, end, protocol))| {
        let port = json!({"port": port, "endPort": end, "protocol": protocol});
        let block = json!([{"cidr": cidr, "except": except.map(|except| [except])}]);
        let mut rule = json!({"action": "allow", "from": block, "ports": [port], "network": cidr});
        match name {
            Some(name) => rule["toFQDNs"] = json!([{"matchPattern": name}]),
            None => rule["to"] = block,
        }
        json!({"spec": {
            "type": "LoadBalancer", "ingress": [rule], "egress": [rule], "description": cidr, "loadBalancerSourceRanges": [cidr], "ports": [port],
        }, "status": {"loadBalancer": {"ingress": [{"ip": cidr}]}}})
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]
    #[test]
    fn f02_no_text_of_a_user_gets_into_the_ruleset(object in hostile_object(), name in hostile()) {
        for kind in Kind::ALL {
            let namespace = key(kind).namespace;
            // where the text is a name that is legal, it may stand there: as a name
            let key = ObjectKey { kind, namespace, name: name.replace(INJECTED, "n") };
            if let Verdict::Accepted(policy) = convert(&key, &object, &Bounds::default()) {
                let made = ruleset(&firewall(vec![policy])).unwrap();
                let text = made.to_text();
                prop_assert!(!text.contains(INJECTED), "{}", text);
                prop_assert_eq!(leafwall_policy::nft::parse(&text), Ok(made));
            }
        }
    }
}
