//! What a change opens and closes, for whom, each with a packet; and that a tenant's change is its own.
#![allow(clippy::unwrap_used, clippy::panic)] // helpers of tests

use std::collections::BTreeMap;

use leafwall_controller::tenants::within;
use leafwall_proof::Reach;
use leafwall_proof::reach::{Change, Way};
use leafwall_tests::controller::intents;
use leafwall_tests::rendered::rendered_files;
use leafwall_tests::root;
use leafwall_topology::Name;

fn fra1() -> BTreeMap<String, String> {
    intents(&root().join("containerlab/fra1"))
}

fn reach(files: BTreeMap<String, String>) -> Reach {
    let fabric = rendered_files(files.into_iter().collect());
    let inventory = fabric.inventory();
    let input = fabric.input(&inventory);
    let proof = leafwall_proof::prove(&input).unwrap();
    assert!(proof.holds(), "{:?} {:?}", proof.findings, proof.hazards);
    Reach::new(&proof)
}

fn changed(file: &str, from: &str, to: &str) -> BTreeMap<String, String> {
    let mut files = fra1();
    let text = files.get_mut(file).unwrap();
    assert!(text.contains(from), "{from} is not in {file}");
    *text = text.replacen(from, to, 1);
    files
}

fn names(change: &Change) -> Vec<&str> {
    change.tenants.iter().map(Name::as_str).collect()
}

#[test]
fn nothing_changes_where_nothing_is_changed() {
    assert_eq!(reach(fra1()).changes(&reach(fra1())), []);
}

#[test]
fn a_rule_is_told_in_words_with_a_packet() {
    let before = reach(fra1());
    let after = reach(changed("tenant-acme.yaml", "{protocol: TCP, port: 2049}", "{protocol: TCP, port: 2050}"));
    let changes = before.changes(&after);
    let rule = |way: Way| changes.iter().find(|change| change.way == way && change.firewall.is_some()).unwrap();
    let (opens, closes) = (rule(Way::Opens), rule(Way::Closes));
    assert_eq!((opens.from.network.as_str(), opens.to.network.as_str()), ("acme-prod", "storage"));
    assert!(opens.what.starts_with("tcp 2050 from ") && opens.what.contains("to 10.100.0.0-10.100.0.255"), "{opens}");
    assert!(closes.what.starts_with("tcp 2049 from "), "{closes}");
    assert_eq!((opens.packet.protocol, opens.packet.destination_port), (6, 2050));
    assert_eq!((closes.packet.protocol, closes.packet.destination_port), (6, 2049));
    assert_eq!(names(opens), ["acme", "initech"], "the storage is initech's");
    // and between the machines that are there
    let packets: Vec<&Change> = changes.iter().filter(|change| change.firewall.is_none()).collect();
    assert_eq!(packets.len(), 2, "{packets:?}");
    for change in packets {
        assert_eq!((change.from.network.as_str(), change.to.network.as_str()), ("acme-prod", "storage"));
        assert_eq!(change.what, if change.way == Way::Opens { "tcp 2050" } else { "tcp 2049" });
    }
    let told = opens.to_string();
    assert!(told.starts_with("opens tcp 2050 ") && told.contains("`acme-prod` to `storage` at firewall `acme-fw`, such as tcp "), "{told}");
}

#[test]
fn a_rule_about_addresses_that_nobody_has_is_told_too() {
    let before = reach(fra1());
    let changes = before.changes(&reach(changed("tenant-acme.yaml", "except: [192.0.2.0/24]", "except: [192.0.2.0/25]")));
    let [opens] = changes.as_slice() else { panic!("{changes:?}") };
    assert_eq!((opens.way, opens.to.network.as_str(), names(opens)), (Way::Opens, "internet", vec!["acme"]));
    assert!(opens.what.contains("to 192.0.2.128-192.0.2.255"), "{opens}");
    assert!(!opens.to.is_public || opens.to.tenant.is_none());
}

#[test]
fn a_machine_that_is_given_back_closes_what_it_had() {
    let before = reach(fra1());
    let files = fra1();
    let text = &files["tenant-initech.yaml"];
    let documents: Vec<&str> =
        text.split("---\n").filter(|document| !document.contains("kind: Allocation") || !document.contains("srv-09")).collect();
    let after =
        reach(files.iter().map(|(path, all)| (path.clone(), if all == text { documents.join("---\n") } else { all.clone() })).collect());
    let changes = before.changes(&after);
    assert!(!changes.is_empty() && changes.iter().all(|change| change.way == Way::Closes && names(change) == ["initech"]), "{changes:?}");
    assert!(changes.iter().any(|change| change.from.network == "initech-backup" || change.to.network == "initech-backup"), "{changes:?}");
}

/// Whoever's packets a change alters: it is for them to make, or for an operator.
#[test]
fn a_tenants_change_that_alters_anothers_packets_is_refused() {
    let before = reach(fra1());
    let after = reach(changed("tenant-globex.yaml", "port: 443", "port: 8443"));
    let tenant = |name: &str| name.parse::<Name>().unwrap();
    assert!(!within(&tenant("globex"), Some(&before), &after).unwrap().is_empty());
    for other in ["acme", "initech"] {
        let told = within(&tenant(other), Some(&before), &after).unwrap_err();
        assert!(told.starts_with("error: ") && !told.contains("globex"), "{told}");
    }
    // where it is not known what passes now, nothing can be found unaltered
    assert!(within(&tenant("globex"), None, &after).is_err());
    assert_eq!(within(&tenant("acme"), Some(&before), &before).unwrap(), []);
}
