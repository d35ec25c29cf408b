//! Rulesets as `nft` and the kernel take them: loaded for real, in a namespace, and read back.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // a test may; its helpers are tests too

use leafwall_policy::guards::{
    ExternalPeerGuard, FirewallPortGuard, MacLimitGuard, PeeringGuard, ProvisioningGuard, SwitchGuards, VniGuard, guards,
};
use leafwall_policy::nft::{Script, parse};
use leafwall_policy::rule::{Fqdn, Peer, Policy, PortMatch, PortRange, Priority, Protocol, Rule};
use leafwall_policy::ruleset::{closed, ruleset};
use leafwall_policy::zone::FirewallRules;
use leafwall_tests::firewall::{failsafe, parsed, quiet, random};
use leafwall_tests::namespace::{Namespace, nft, unable};
use leafwall_tests::random::Random;
use leafwall_tests::skip;

fn able(test: &str) -> bool {
    unable().inspect(|why| skip(test, why)).is_none()
}

fn call_nft(namespace: &Namespace, arguments: &[&str], input: &str) -> Result<String, String> {
    let nft = nft();
    let command: Vec<&str> = nft.iter().map(String::as_str).chain(arguments.iter().copied()).collect();
    namespace.run_with_input(&command, input).map_err(|error| error.to_string())
}

/// Loads the script, lists each of its tables, and compares with what was meant.
fn loads_and_reads_back(namespace: &Namespace, script: &Script) {
    let text = script.to_text();
    assert_eq!(parse(&text).as_ref(), Ok(script), "{text}");
    if let Err(error) = call_nft(namespace, &["-f", "-"], &text) {
        panic!("{error}\n{text}");
    }
    for table in script.tables() {
        let listing = call_nft(namespace, &["list", "table", table.id.family.keyword(), table.id.name.as_str()], "").unwrap();
        let observed = parse(&listing).unwrap_or_else(|error| panic!("{error}\n{listing}"));
        let observed = observed.tables().next().unwrap();
        let differences = table.differences(observed);
        assert!(differences.is_empty(), "{differences:?}\n--- meant\n{text}\n--- listed\n{listing}");
        // and what `nft` printed loads again, which is not a matter of course (F19)
        call_nft(namespace, &["-c", "-f", "-"], &listing).unwrap_or_else(|error| panic!("{error}\n{listing}"));
    }
}

fn count(variable: &str, default: usize) -> usize {
    std::env::var(variable).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}

#[test]
fn f19_random_rulesets_load_and_read_back_as_meant() {
    if !able("f19_random_rulesets_load_and_read_back_as_meant") {
        return;
    }
    let namespace = Namespace::new("readback").unwrap();
    let mut chance = Random::from_environment(19);
    for _ in 0..count("LEAFWALL_RULESETS", 60) {
        loads_and_reads_back(&namespace, &ruleset(&random(&mut chance)).unwrap());
    }
}

/// Text that has broken rulesets before: keywords, quotes, what ends a statement or a comment, variables, long and foreign words.
const HOSTILE: [&str; 34] = [
    "accept",
    "drop",
    "ip",
    "inet",
    "log",
    "counter",
    "last",
    "set",
    "map",
    "type",
    "hook",
    "0",
    "0x10",
    "1h",
    "any",
    "all",
    "-",
    "a-",
    "}; accept",
    "x\" accept",
    "$var",
    "@set",
    "a b",
    "a\nb",
    "*",
    "*.*",
    "*.a.b",
    "..",
    "a..b",
    "a.b.",
    "ä.de",
    "xn--4ca.de",
    "_dmarc.example.com",
    "include \"/etc/passwd\"",
];

/// Every object that the types accept goes into one ruleset; what they refuse never gets that far (F1, F2).
#[test]
fn f01_nothing_that_is_accepted_fails_in_nft() {
    if !able("f01_nothing_that_is_accepted_fails_in_nft") {
        return;
    }
    let namespace = Namespace::new("hostile").unwrap();
    let mut chance = Random::from_environment(1);
    for _ in 0..count("LEAFWALL_RULESETS", 60) {
        loads_and_reads_back(&namespace, &ruleset(&hostile(&mut chance)).unwrap());
    }
}

fn words(chance: &mut Random) -> String {
    let mut text = (*chance.pick(&HOSTILE)).to_owned();
    while chance.once_in(3) {
        let (joint, next) = (*chance.pick(&["", "-", ".", "x", "9"]), *chance.pick(&HOSTILE));
        text.push_str(joint);
        text.push_str(next);
    }
    if chance.once_in(10) { format!("{}.{}", "a".repeat(chance.below(70)), vec!["b".repeat(chance.below(70)); 4].join(".")) } else { text }
}

fn hostile(chance: &mut Random) -> FirewallRules {
    let mut firewall = random(chance);
    let mut taken = std::collections::BTreeSet::new();
    for policy in &mut firewall.policies {
        if let Some(name) = (0..50).find_map(|_| words(chance).parse().ok().filter(|name| taken.insert(std::clone::Clone::clone(name)))) {
            policy.name = name;
        }
        for rule in policy.ingress.iter_mut().chain(&mut policy.egress) {
            rule.to.extend((0..20).find_map(|_| Fqdn::try_from(words(chance)).ok()).map(Peer::Fqdn));
            let port = |chance: &mut Random| u16::try_from(chance.below(65536)).unwrap();
            rule.ports.extend(
                (0..3)
                    .filter_map(|_| PortRange::new(port(chance), port(chance)).ok())
                    .map(|range| PortMatch { protocol: Protocol::Udp, ports: Some(range) }),
            );
        }
    }
    for zone in &mut firewall.zones {
        if let Some(name) = (0..50).find_map(|_| words(chance).parse().ok().filter(|name| taken.insert(std::clone::Clone::clone(name)))) {
            zone.network = name;
        }
        zone.rate_mbit = zone.rate_mbit.map(|_| *chance.pick(&[0, 1, 7, u32::MAX]));
    }
    firewall
}

#[test]
fn f02_text_of_a_user_cannot_leave_its_place() {
    for text in HOSTILE.iter().filter(|text| text.contains(|c: char| " \"$@{};\n".contains(c))) {
        assert!(text.parse::<leafwall_topology::Name>().is_err(), "{text}");
        assert!(Fqdn::try_from((*text).to_owned()).is_err(), "{text}");
        assert!(text.parse::<leafwall_topology::Prefix>().is_err(), "{text}");
        assert!(text.parse::<leafwall_topology::IfName>().is_err(), "{text}");
    }
}

#[test]
fn the_longest_names_fit() {
    if !able("the_longest_names_fit") {
        return;
    }
    let mut firewall = quiet();
    let long = |c: &str| parsed(&c.repeat(63));
    firewall.zones[0].network = long("a");
    firewall.zones[3].network = long("b");
    let label = "c".repeat(63);
    let fqdns = ["x", "y"].map(|end| Peer::Fqdn(Fqdn::try_from(format!("{label}.{label}.{label}.{}{end}", "d".repeat(60))).unwrap()));
    let rule = Rule { to: fqdns.to_vec(), log: true, ..open() };
    firewall.policies = vec![Policy { name: long("p"), ingress: vec![], egress: vec![rule] }];
    loads_and_reads_back(&Namespace::new("longest").unwrap(), &ruleset(&firewall).unwrap());
}

fn open() -> Rule {
    Rule {
        action: leafwall_policy::rule::Action::Allow,
        priority: Priority::default(),
        from: vec![],
        to: vec![],
        ports: vec![],
        log: false,
        expires: None,
    }
}

#[test]
fn f19_only_our_own_table_is_replaced() {
    if !able("f19_only_our_own_table_is_replaced") {
        return;
    }
    let namespace = Namespace::new("foreign").unwrap();
    // things that our parser does not know, in tables that are not ours
    let foreign = "table ip leafwall-not { map m { type ipv4_addr : mark; elements = { 1.2.3.4 : 0x7 } }\n chain c { type nat hook postrouting priority 90; masquerade random; }\n}\n\
                   table inet other { quota q { over 5 mbytes }\n chain input { type filter hook input priority 5; ct count over 3 reject with tcp reset; }\n}\n";
    call_nft(&namespace, &["-f", "-"], foreign).unwrap();
    let before = call_nft(&namespace, &["list", "ruleset"], "").unwrap();
    let mut chance = Random::new(7);
    for _ in 0..3 {
        loads_and_reads_back(&namespace, &ruleset(&random(&mut chance)).unwrap());
    }
    // a script that fails changes nothing
    let held = call_nft(&namespace, &["list", "ruleset"], "").unwrap();
    let mut broken = ruleset(&quiet()).unwrap().to_text();
    broken.push_str("table inet leafwall { chain forward { jump nowhere; } }\n");
    call_nft(&namespace, &["-f", "-"], &broken).unwrap_err();
    assert_eq!(call_nft(&namespace, &["list", "ruleset"], "").unwrap(), held);
    call_nft(&namespace, &["delete", "table", "inet", "leafwall"], "").unwrap();
    assert_eq!(call_nft(&namespace, &["list", "ruleset"], "").unwrap(), before);
}

#[test]
fn closed_rulesets_and_guards_load_and_read_back() {
    if !able("closed_rulesets_and_guards_load_and_read_back") {
        return;
    }
    let namespace = Namespace::new("guards").unwrap();
    namespace.ip("link add swp9 type veth peer name far9\nlink add swp10 type veth peer name far10\n").unwrap();
    loads_and_reads_back(&namespace, &closed(&failsafe()).unwrap());
    let port = |port: &str, vnis: &[u64], vteps: &[&str]| FirewallPortGuard {
        port: parsed(port),
        loopback: "10.255.0.9".parse().unwrap(),
        vnis: vnis
            .iter()
            .map(|vni| VniGuard { vni: (*vni).try_into().unwrap(), vteps: vteps.iter().map(|vtep| parsed(vtep)).collect() })
            .collect(),
    };
    let full = SwitchGuards {
        firewall_ports: vec![port("swp9", &[10001, 104_009], &["10.255.0.1", "10.255.0.2"]), port("swp10", &[1], &["10.255.0.1"])],
        tenant_inputs: vec![parsed("vrf1"), parsed("swp1"), parsed("vlan1001")],
        external_peers: vec![
            ExternalPeerGuard { input: parsed("vrf9"), peer: parsed("198.51.100.2") },
            ExternalPeerGuard { input: parsed("vrf9"), peer: parsed("2001:db8::2") },
        ],
        mac_limits: vec![MacLimitGuard { port: parsed("far9"), maximum: 8 }, MacLimitGuard { port: parsed("far10"), maximum: 0 }],
        trunks: vec![parsed("swp11")],
        peerings: vec![PeeringGuard {
            input: parsed("vrf1"),
            sources: vec![parsed("10.8.4.0/24"), parsed("2001:db8:4::/64")],
            destinations: vec![parsed("10.9.0.0/24"), parsed("2001:db8:9::/64")],
        }],
        provisioning: Some(ProvisioningGuard {
            input: parsed("vrf2"),
            subnets: vec![parsed("172.16.0.0/24"), parsed("172.17.0.0/24"), parsed("2001:db8:172::/64")],
        }),
        dhcp_inputs: vec![parsed("vlan1001")],
    };
    loads_and_reads_back(&namespace, &guards(&full));
    loads_and_reads_back(&namespace, &guards(&SwitchGuards { firewall_ports: vec![port("swp9", &[], &[])], ..SwitchGuards::default() }));
    loads_and_reads_back(&namespace, &guards(&SwitchGuards::default()));
}
