//! FRR deltas on modelled daemons: many random pairs there and back, and the order that hazards ask for. `tools_delta` tries the same on real ones.
#![allow(clippy::unwrap_used, clippy::panic)] // helpers of tests

use std::collections::BTreeSet;

use leafwall_delta::{Change, Delta, StepKind};
use leafwall_render::frr::FrrConfig;
use leafwall_tests::configurations::Configurations;
use leafwall_tests::frr_model::Model;
use leafwall_tests::random::Random;

/// How many pairs are tried.
const PAIRS: usize = 400;

fn show(delta: &Delta) -> String {
    delta.steps.iter().map(ToString::to_string).collect()
}

/// Applies a delta. Between two lines nothing is open that neither the old nor the new configuration opens.
#[track_caller]
fn apply(model: &mut Model, delta: &Delta, wanted: &FrrConfig) {
    let wanted = Model::of(wanted);
    let may_be_open: BTreeSet<String> = model.open_entries().union(&wanted.open_entries()).cloned().collect();
    for step in &delta.steps {
        let looked = model.load(&step.text(), |now, line| {
            if line.starts_with("route-map ") || line.starts_with("no match ") || line.starts_with("match ") {
                let open: Vec<String> = now.open_entries().difference(&may_be_open).cloned().collect();
                assert!(open.is_empty(), "{open:?} lets everything through after `{line}`\n{}", show(delta));
            }
        });
        looked.unwrap_or_else(|error| panic!("{error}\n{step}\nof\n{}", show(delta)));
    }
    let now = model.shown();
    assert!(now == wanted, "lacks {:#?} and has {:#?} besides\n{}", wanted.minus(&now), now.minus(&wanted), show(delta));
}

fn read(text: &str) -> FrrConfig {
    FrrConfig::parse(text).unwrap()
}

fn kinds(delta: &Delta) -> Vec<StepKind> {
    delta.steps.iter().map(|step| step.kind).collect()
}

fn text_of(delta: &Delta, kind: StepKind) -> String {
    delta.steps_of(&[kind]).map(leafwall_delta::Step::text).collect()
}

/// H8: every command is exact, whatever changes, and leads there and back.
#[test]
fn h08_deltas_lead_there_and_back_on_a_model() {
    let mut configurations = Configurations::new(Random::from_environment(11));
    let mut before = configurations.another();
    for _ in 0..PAIRS {
        let wanted = configurations.another();
        let change = Change::between(&before, &wanted);
        let mut model = Model::of(&before);
        apply(&mut model, &change.forward, &change.target);
        apply(&mut model, &change.inverse, &before);
        assert_eq!(change.summary.is_empty(), change.forward.is_empty());
        // what the device says of itself stays the device's
        before = change.target;
        before.globals.extend(wanted.globals.iter().filter(|global| matches!(global, leafwall_render::frr::Global::Hostname(_))).cloned());
        before.sort();
    }
}

/// H22: nothing changes where nothing differs, in whatever order it is said.
#[test]
fn h22_nothing_is_said_where_nothing_differs() {
    let mut configurations = Configurations::new(Random::new(3));
    for _ in 0..50 {
        let config = configurations.another();
        let mut turned = config.clone();
        turned.prefix_lists.reverse();
        turned.routers.reverse();
        turned.vrfs.reverse();
        turned.route_maps.reverse();
        assert!(Delta::between(&turned, &config).is_empty());
        assert!(Change::between(&config, &config).forward.is_empty());
    }
}

/// H5: a VNI that changes is gone, in a step of its own, before another takes its place; two VRFs can exchange theirs.
#[test]
fn h05_a_vni_goes_in_a_step_of_its_own() {
    let vrfs = |a: u32, b: u32| read(&format!("vrf vrf1\n vni {a}\nexit-vrf\nvrf vrf2\n vni {b}\nexit-vrf\n"));
    let delta = Delta::between(&vrfs(1, 2), &vrfs(2, 1));
    assert_eq!(kinds(&delta), [StepKind::Withdraw, StepKind::Instances]);
    assert_eq!(text_of(&delta, StepKind::Withdraw), "vrf vrf1\n no vni 1\nexit-vrf\nvrf vrf2\n no vni 2\nexit-vrf\n");
    assert_eq!(delta.steps[0].withdrawn.len(), 2, "both are to be seen gone");
}

const TENANT: &str = "ip prefix-list lw-swp3-4 seq 5 permit 10.0.0.0/22 ge 32
bgp as-path access-list lw-any seq 5 permit .*
vrf vrf10001
 vni 10001
exit-vrf
router bgp 4210000011
 bgp router-id 10.255.0.11
 no bgp default ipv4-unicast
 address-family l2vpn evpn
  advertise-all-vni
  vni 10002
   rd 10.255.0.11:1002
  exit-vni
 exit-address-family
exit
router bgp 4210000011 vrf vrf10001
 bgp router-id 10.255.0.11
 no bgp default ipv4-unicast
 neighbor swp3 interface remote-as 4210000020
 address-family ipv4 unicast
  neighbor swp3 activate
  neighbor swp3 prefix-list lw-swp3-4 in
  neighbor swp3 filter-list lw-any out
 exit-address-family
exit
";

const BARE: &str = "bgp as-path access-list lw-any seq 5 permit .*
router bgp 4210000011
 bgp router-id 10.255.0.11
 no bgp default ipv4-unicast
 address-family l2vpn evpn
  advertise-all-vni
 exit-address-family
exit
";

/// H3, H4: EVPN and lists before links, VRFs and instances after; filters before a neighbour speaks.
#[test]
fn h04_what_links_need_comes_before_them_and_what_needs_links_after() {
    let delta = Delta::between(&FrrConfig::default(), &read(TENANT));
    assert_eq!(kinds(&delta), [StepKind::RemoveInstances, StepKind::Global, StepKind::Instances]);
    // a hidden default instance of an earlier time must not come back half deleted
    assert_eq!(text_of(&delta, StepKind::RemoveInstances), "router bgp 4210000011\nexit\nno router bgp 4210000011\n");
    let (global, instances) = (text_of(&delta, StepKind::Global), text_of(&delta, StepKind::Instances));
    assert!(global.contains("advertise-all-vni") && global.contains("lw-swp3-4") && !global.contains("vrf10001"), "{global}");
    let place = |word: &str| instances.find(word).unwrap_or_else(|| panic!("no `{word}` in {instances}"));
    assert!(place(" vni 10001") < place("router bgp 4210000011 vrf vrf10001"));
    assert!(place("prefix-list lw-swp3-4 in") < place("swp3 activate") && place("filter-list lw-any out") < place("swp3 activate"));
}

/// H19: an instance goes before its VRF, after its VNI; what it used goes last.
#[test]
fn h19_an_instance_goes_before_its_vrf() {
    let delta = Delta::between(&read(TENANT), &read(BARE));
    assert_eq!(kinds(&delta), [StepKind::Withdraw, StepKind::RemoveInstances, StepKind::Clean, StepKind::Forget]);
    assert_eq!(text_of(&delta, StepKind::RemoveInstances), "no router bgp 4210000011 vrf vrf10001\n");
    let clean = text_of(&delta, StepKind::Clean);
    assert!(clean.contains("no vni 10002") && clean.contains("no ip prefix-list lw-swp3-4 seq 5 permit 10.0.0.0/22 ge 32"), "{clean}");
    assert_eq!(text_of(&delta, StepKind::Forget), "no vrf vrf10001\n");
}

/// H25: what is foreign survives; a foreign statement in what is ours does not.
#[test]
fn h25_only_what_is_ours_changes() {
    let foreign = "ip prefix-list theirs seq 5 permit any\nroute-map theirs permit 10\nexit\nvrf mgmt\n vni 5\nexit-vrf\nrouter bgp 64999 vrf mgmt\n bgp router-id 192.0.2.1\nexit\n\
                   bfd\n profile theirs\n exit\nexit\nip route 192.0.2.0/24 blackhole\n";
    let change = Change::between(&read(&format!("{TENANT}{foreign}")), &read(BARE));
    let said: String = change.forward.steps.iter().map(leafwall_delta::Step::text).collect();
    assert!(!said.contains("theirs") && !said.contains("mgmt") && !said.contains("192.0.2"), "{said}");
    let meddled = BARE.replace("  advertise-all-vni\n", "  advertise-all-vni\n  advertise-svi-ip\n");
    let change = Change::between(&read(&meddled), &read(BARE));
    assert!(text_of(&change.forward, StepKind::Global).contains("no advertise-svi-ip"));
}

/// bgpd does not look again at what a list on a neighbour let in: it is asked to.
#[test]
fn neighbours_behind_a_changed_list_are_asked_again() {
    let changed = TENANT.replace("10.0.0.0/22 ge 32", "10.0.4.0/22 ge 32");
    let delta = Delta::between(&read(TENANT), &read(&changed));
    let asked: Vec<String> = delta.steps.iter().flat_map(|step| &step.refreshes).map(ToString::to_string).collect();
    assert_eq!(asked, ["clear bgp vrf vrf10001 ipv4 unicast swp3 soft in"]);
}
