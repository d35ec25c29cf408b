//! The delta engine against real daemons: FRR 10.3 from the lab's root file system. Every pair of configurations is applied by its delta and undone by the inverse.
//! `LEAFWALL_DELTA_PAIRS` says how many, `LEAFWALL_DELTA_FROM` leaves out those before; the seed is printed.
#![allow(clippy::unwrap_used, clippy::panic)] // helpers of tests

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;

use leafwall_delta::{Change, Delta};
use leafwall_render::frr::FrrConfig;
use leafwall_tests::configurations::Configurations;
use leafwall_tests::daemons::Daemons;
use leafwall_tests::lab_root::LabRoot;
use leafwall_tests::random::Random;

/// How many pairs are tried where nothing is said: what fits a minute.
const PAIRS: usize = 40;
/// Daemons are started anew after this many, from a file: what an older pair left behind must not hide a mistake, nor make one.
const PAIRS_A_START: usize = 20;

/// What somebody else configured.
const FOREIGN: &str = "ip prefix-list theirs seq 5 permit 192.0.2.0/24
ip prefix-list theirs seq 10 deny any
ipv6 prefix-list theirs seq 5 permit 2001:db8:ffff::/48
bgp as-path access-list theirs seq 5 permit ^65000$
route-map theirs permit 10
 match ip address prefix-list theirs
exit
vrf mgmt
 ip route 198.51.100.0/24 blackhole
exit-vrf
ip route 203.0.113.0/24 blackhole
bfd
 profile theirs
  detect-multiplier 7
 exit
exit
";

/// A directory that is gone with its test.
struct Files(PathBuf);

impl Files {
    fn new(test: &str) -> Self {
        let path = std::env::temp_dir().join(format!("lw-{test}-{}", std::process::id()));
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }
}

impl Drop for Files {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn read(daemons: &mut Daemons) -> FrrConfig {
    let text = daemons.running().unwrap();
    FrrConfig::parse(&text).unwrap_or_else(|faults| panic!("{faults}\n{text}"))
}

/// Statements without what the daemon says of itself.
fn statements(config: &FrrConfig) -> BTreeSet<Vec<String>> {
    let own = |statement: &Vec<String>| statement[0].starts_with("hostname") || statement[0].starts_with("frr version");
    config.statements().unwrap().into_iter().filter(|statement| !own(statement)).collect()
}

/// Applies a delta step by step, as an agent does, and looks at what came of it.
fn apply(daemons: &mut Daemons, delta: &Delta, wanted: &FrrConfig, context: &dyn Fn() -> String) {
    for step in &delta.steps {
        daemons.take(step).unwrap_or_else(|error| panic!("{:?}: {error}\n{step}\n{}", step.kind, context()));
        if !step.withdrawn.is_empty() {
            let running = read(daemons);
            let left = running.vrfs.iter().find(|vrf| step.withdrawn.iter().any(|(name, vni)| vrf.name == *name && vrf.vni == Some(*vni)));
            assert!(left.is_none(), "H5: {left:?} is still there\n{}", context());
        }
    }
    let (there, wanted) = (statements(&read(daemons)), statements(wanted));
    let lacks: Vec<_> = wanted.difference(&there).collect();
    let more: Vec<_> = there.difference(&wanted).collect();
    assert!(lacks.is_empty() && more.is_empty(), "the daemons lack {lacks:#?} and have {more:#?} besides\n{}", context());
}

fn show(delta: &Delta) -> String {
    delta.steps.iter().map(ToString::to_string).collect()
}

/// bgpd hides a default instance that ends after a VRF imported from another, and gives it half deleted to the next one under another ASN: `aggregate-address`
/// is taken then and forgotten.
#[test]
fn h08_a_default_instance_of_another_asn_is_whole() {
    let Some(root) = LabRoot::find("h08_a_default_instance_of_another_asn_is_whole") else { return };
    let files = Files::new("asn");
    let mut daemons = Daemons::start(&root, &files.0).unwrap();
    let importing = "router bgp 4210000003
exit
router bgp 4210000003 vrf vrf10000
 address-family ipv4 unicast
  import vrf vrf10001
 exit-address-family
exit
router bgp 4210000003 vrf vrf10001
 address-family ipv4 unicast
  network 203.0.113.1/32
 exit-address-family
exit
";
    let aggregating = "router bgp 4210000009
 address-family ipv4 unicast
  aggregate-address 10.0.0.0/8 summary-only
 exit-address-family
 address-family ipv6 unicast
  aggregate-address 2001:db8::/48 summary-only
 exit-address-family
exit
";
    for way in [&[importing, aggregating][..], &[importing, "", aggregating]] {
        for text in way {
            let running = read(&mut daemons);
            let change = Change::between(&running, &FrrConfig::parse(text).unwrap());
            apply(&mut daemons, &change.forward, &change.target, &|| format!("to\n{text}\nby\n{}", show(&change.forward)));
        }
    }
    // loaded as a whole, as into daemons that hold nothing of ours
    for text in [importing, ""] {
        let change = Change::between(&read(&mut daemons), &FrrConfig::parse(text).unwrap());
        apply(&mut daemons, &change.forward, &change.target, &|| show(&change.forward));
    }
    let other = FrrConfig::parse(&aggregating.replace("4210000009", "4210000010")).unwrap();
    Delta::before_loading(&read(&mut daemons), &other).steps.iter().for_each(|step| daemons.take(step).unwrap());
    daemons.configure(&other.print().unwrap()).unwrap();
    assert!(Change::between(&read(&mut daemons), &other).forward.is_empty());
}

/// bgpd shows `import vrf route-map` of a map that is not there in another form, which it does not take back while another VRF imports from that one.
#[test]
fn h08_a_leak_without_its_route_map_is_no_difference_and_goes() {
    let Some(root) = LabRoot::find("h08_a_leak_without_its_route_map_is_no_difference_and_goes") else { return };
    let files = Files::new("leak");
    let mut daemons = Daemons::start(&root, &files.0).unwrap();
    let text = "router bgp 4210000003
exit
router bgp 4210000003 vrf vrf10000
 address-family ipv4 unicast
  import vrf route-map lw-missing
 exit-address-family
exit
router bgp 4210000003 vrf vrf10001
 address-family ipv4 unicast
  import vrf vrf10000
 exit-address-family
exit
";
    let without = FrrConfig::parse(&text.replace("  import vrf route-map lw-missing\n", "  network 203.0.113.0/24\n")).unwrap();
    for wanted in [FrrConfig::parse(text).unwrap(), without] {
        let change = Change::between(&read(&mut daemons), &wanted);
        apply(&mut daemons, &change.forward, &change.target, &|| show(&change.forward));
    }
}

/// H8, H25: the delta leads there and back, whatever it has to change, and what is foreign survives both ways.
#[test]
fn h08_deltas_lead_there_and_back() {
    let Some(root) = LabRoot::find("h08_deltas_lead_there_and_back") else { return };
    let files = Files::new("delta");
    let number = |variable: &str| std::env::var(variable).ok().and_then(|count| count.parse::<usize>().ok());
    let (from, pairs) =
        (number("LEAFWALL_DELTA_FROM").unwrap_or(0) / PAIRS_A_START * PAIRS_A_START, number("LEAFWALL_DELTA_PAIRS").unwrap_or(PAIRS));
    let mut configurations = Configurations::new(Random::from_environment(5));
    let mut daemons = Daemons::start(&root, &files.0).unwrap();
    let mut commands = 0;
    for pair in 0..from {
        (0..=usize::from(pair % PAIRS_A_START == 0)).for_each(|_| drop(configurations.another()));
    }
    for pair in from..pairs {
        if pair % PAIRS_A_START == 0 {
            if pair > from {
                daemons.restart().unwrap();
            }
            daemons.configure(&format!("{}{FOREIGN}", configurations.another().print().unwrap().trim_end_matches("end\n"))).unwrap();
        }
        let before = read(&mut daemons);
        let wanted = configurations.another();
        let change = Change::between(&before, &wanted);
        let context = || format!("pair {pair}: forward\n{}\ninverse\n{}\n{}", show(&change.forward), show(&change.inverse), change.summary);
        apply(&mut daemons, &change.forward, &change.target, &context);
        assert!(Change::between(&read(&mut daemons), &wanted).forward.is_empty(), "a second time does nothing\n{}", context());
        apply(&mut daemons, &change.inverse, &before, &context);
        apply(&mut daemons, &change.forward, &change.target, &context);
        commands += change.forward.steps.iter().map(leafwall_delta::Step::commands).sum::<usize>();
    }
    eprintln!("{pairs} pairs, {commands} commands forward");
    let running = daemons.running().unwrap();
    for statement in FOREIGN.lines().filter(|line| !line.trim_start().starts_with("exit")) {
        assert!(running.contains(statement), "`{statement}` is gone");
    }
}
