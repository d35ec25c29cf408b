//! What must hold for intents, by the hazards that they guard against, and for any mutilation of a good fabric.
#![allow(clippy::disallowed_methods, clippy::unwrap_used, clippy::panic)] // tests may read files, and fail

use leafwall_intent::{Code, Model, SourceFile, Sources, codes};
use leafwall_policy::rule::Peer;
use leafwall_tests::{directory, root};
use proptest::prelude::*;

fn fra1() -> Vec<SourceFile> {
    let sources = directory::sources(&root().join("containerlab/fra1")).unwrap();
    sources.iter().map(|(_, file)| file.clone()).collect()
}

/// fra1 with some words of it replaced.
fn fra1_with(changes: &[(&str, &str)]) -> (Option<Model>, Vec<Code>) {
    let mut files = fra1();
    for (old, new) in changes {
        let file = files.iter_mut().find(|file| file.text.contains(old)).unwrap_or_else(|| panic!("`{old}` is not in fra1"));
        file.text = file.text.replacen(old, new, 1).into();
    }
    let (model, found) = leafwall_intent::load(&Sources::new(files));
    (model, found.iter().map(|finding| finding.code).collect())
}

#[test]
fn h15_a_key_that_stands_twice_is_refused_not_overwritten() {
    let (model, found) = fra1_with(&[("vni: 104009", "vni: 104009\n  vni: 104011")]);
    assert!(model.is_none());
    assert_eq!(found, [codes::DUPLICATE_KEY]);
}

#[test]
fn h27_the_whole_state_is_checked_whichever_object_is_the_newer_one() {
    // an overlap is found from either side, and ownership also when the owner changes under an allocation that was right
    let prefixes = "prefixes: [10.0.0.0/22, \"2001:db8:b::/64\"]";
    for (old, new) in
        [(prefixes, "prefixes: [10.100.0.0/24, \"2001:db8:b::/64\"]"), ("prefixes: [10.100.0.0/24,", "prefixes: [10.0.0.0/24,")]
    {
        let (model, found) = fra1_with(&[(old, new)]);
        assert!(model.is_none());
        assert!(found.contains(&codes::OVERLAP_AT_FIREWALL), "{new}: {found:?}");
    }
    let (model, found) = fra1_with(&[("tenant: globex\n  type: private", "tenant: initech\n  type: private")]);
    assert!(model.is_none());
    assert_eq!(found.iter().filter(|code| **code == codes::FOREIGN_NETWORK).count(), 2, "{found:?}");
    assert!(found.contains(&codes::FIREWALL_FOREIGN_NETWORK), "{found:?}");
}

#[test]
fn h27_all_errors_of_one_run_are_told() {
    let changes = [
        ("vlan: 200", "vlan: 5000"),
        ("asn: 64501", "asn: 4210000001"),
        ("server: srv-05", "server: srv-50"),
        ("firewall: globex-fw", "firewall: globex"),
    ];
    let (model, found) = fra1_with(&changes);
    assert!(model.is_none());
    for code in [codes::OUT_OF_RANGE, codes::PEER_ASN_IN_RANGE, codes::UNKNOWN_SERVER, codes::UNKNOWN_FIREWALL] {
        assert!(found.contains(&code), "{code} is not among {found:?}");
    }
}

#[test]
fn h33_a_prefix_that_cannot_be_read_refuses_the_whole() {
    for bad in ["172.31.99.0/33", "172.31.99/24", "172.31.99.1/24", "", "all"] {
        let (model, found) = fra1_with(&[("to: [{cidr: 172.31.99.0/24}]", &format!("to: [{{cidr: {bad}}}]"))]);
        assert!(model.is_none(), "`{bad}` in a deny rule left a Model");
        assert!(!found.is_empty());
    }
}

#[test]
fn f01_nothing_that_a_ruleset_refuses_is_accepted() {
    let rule = "ports: [{protocol: TCP, port: 2049}]";
    for bad in [
        "ports: [{protocol: TCP, port: 2049, endPort: 2048}]",
        "ports: [{protocol: TCP, port: 0}]",
        "ports: [{protocol: TCP, port: 65536}]",
        "ports: [{protocol: ICMP, port: 8}]",
        "ports: [{protocol: any, port: 8}]",
        "ports: [{protocol: TCP, endPort: 8}]",
        "ports: [{protocol: GRE}]",
    ] {
        assert!(fra1_with(&[(rule, bad)]).0.is_none(), "{bad}");
    }
}

#[test]
fn f02_no_text_of_a_user_gets_into_a_rule() {
    for bad in ["192.0.2.0/24; accept", "\"192.0.2.0/24 }\\n accept\"", "\"192.0.2.0/24\\\" accept\"", "$(reboot)"] {
        assert!(fra1_with(&[("except: [192.0.2.0/24]", &format!("except: [{bad}]"))]).0.is_none(), "{bad}");
    }
    assert!(fra1_with(&[("metadata: {name: acme-out}", "metadata: {name: \"a; drop\"}")]).0.is_none());
}

#[test]
fn f04_an_exception_belongs_to_its_own_block() {
    let (model, _) = fra1_with(&[]);
    let to = &model.unwrap().policies["acme-out"].policy.egress[1].to;
    let except: Vec<usize> = to.iter().map(|peer| if let Peer::Cidr { except, .. } = peer { except.len() } else { 99 }).collect();
    assert_eq!(except, [1, 0]);
    let (model, found) = fra1_with(&[("except: [192.0.2.0/24]", "except: [\"2001:db8::/32\"]")]);
    assert!(model.is_none());
    assert_eq!(found, [codes::EXCEPT_OUTSIDE]);
}

#[test]
fn f05_empty_peers_and_ports_stay_empty_which_means_all() {
    let (model, found) = fra1_with(&[("to: [{cidr: 172.31.99.0/24}]", "to: [], ports: []")]);
    let model = model.unwrap_or_else(|| panic!("{found:?}"));
    let rule = &model.policies["initech-partner-only"].policy.egress[0];
    assert!(rule.from.is_empty() && rule.to.is_empty() && rule.ports.is_empty());
}

#[test]
fn an_empty_peer_is_not_taken_for_everyone() {
    assert!(fra1_with(&[("to: [{cidr: 172.31.99.0/24}]", "to: [{}]")]).0.is_none());
}

/// What happens to one line of a file.
#[derive(Debug, Clone)]
enum Cut {
    Drop,
    Double,
    Swap(usize),
    Word(String),
}

fn cuts() -> impl Strategy<Value = Vec<(usize, usize, Cut)>> {
    let word = prop_oneof![Just("acme".to_owned()), Just("leaf-01".to_owned()), Just("[]".to_owned()), Just("0".to_owned()), "[ -~]{0,12}"];
    let cut = prop_oneof![Just(Cut::Drop), Just(Cut::Double), (0usize..200).prop_map(Cut::Swap), word.prop_map(Cut::Word)];
    proptest::collection::vec((0usize..8, 0usize..200, cut), 1..8)
}

fn mutilate(files: &mut [SourceFile], cuts: &[(usize, usize, Cut)]) {
    for (file, line, cut) in cuts {
        let count = files.len();
        let file = &mut files[file % count];
        let mut lines: Vec<String> = file.text.lines().map(ToOwned::to_owned).collect();
        if lines.is_empty() {
            continue;
        }
        let at = line % lines.len();
        match cut {
            Cut::Drop => drop(lines.remove(at)),
            Cut::Double => lines.insert(at, lines[at].clone()),
            Cut::Swap(other) => {
                let other = other % lines.len();
                lines.swap(at, other);
            }
            // behind the first colon stands the value
            Cut::Word(word) => lines[at] = lines[at].split_once(": ").map_or(word.clone(), |(key, _)| format!("{key}: {word}")),
        }
        file.text = lines.join("\n").into();
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]
    #[test]
    fn whatever_becomes_of_a_fabric_it_is_a_model_or_findings(cuts in cuts()) {
        let mut files = fra1();
        mutilate(&mut files, &cuts);
        let sources = Sources::new(files.clone());
        let (model, found) = leafwall_intent::load(&sources);
        prop_assert_eq!(model.is_none(), found.has_errors());
        // the same whatever the order of the files
        files.reverse();
        let again = leafwall_intent::load(&Sources::new(files));
        prop_assert_eq!(&again.1, &found);
        prop_assert!(again.0 == model);
        let text = found.render(&sources, leafwall_intent::Style::Plain);
        prop_assert_eq!(text.is_empty(), found.is_empty());
    }
}
