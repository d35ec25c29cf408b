//! Packet filters alone, made on a device in a namespace of this host.
#![allow(clippy::unwrap_used, clippy::panic)] // tests may fail

use std::time::Duration;

use leafwall_agent::frr::Frr;
use leafwall_agent::nftables::Memory;
use leafwall_agent::once::{Options, change};
use leafwall_agent::report::{Backend, Report};
use leafwall_agent::sonic::Sonic;
use leafwall_tests::namespace::{Namespace, unable};
use leafwall_tests::skip;

const LINKS: &str = r#"{"version": 1, "forwarding": "after-ruleset", "sysctls": {"net/ipv4/ip_forward": "1"}, "links": []}"#;
const RULESET: &str = "table inet leafwall
delete table inet leafwall
table inet leafwall {
\tchain forward {
\t\ttype filter hook forward priority filter; policy drop;
\t\tct state established accept
\t}
}
";

/// F22: a firewall without its ruleset stops, and one that has it again goes on, also where nothing but the ruleset is looked at.
#[test]
fn f22_a_firewall_forwards_again_once_its_ruleset_is_back() {
    if let Some(reason) = unable() {
        return skip("f22_a_firewall_forwards_again_once_its_ruleset_is_back", &reason);
    }
    let namespace = Namespace::new("filters").unwrap();
    let directory = std::env::temp_dir().join(format!("leafwall-filters-{}", std::process::id()));
    std::fs::create_dir_all(&directory).unwrap();
    std::fs::write(directory.join("links.json"), LINKS).unwrap();
    std::fs::write(directory.join("leafwall.nft"), RULESET).unwrap();
    // as in an agent, which remembers for as long as it runs
    let filters = Memory::default();
    let make = || -> Report {
        let (frr, timeout, filters) = (Frr::default(), Duration::from_secs(5), filters.clone());
        let options = Options { frr, timeout, secrets: None, cluster: None, filters, sonic: Sonic::default() };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let parts = [Backend::Nftables].into();
        namespace.enter(|| runtime.block_on(change(&directory, &options, &parts)).unwrap()).unwrap()
    };
    let forwards = || namespace.run(&["cat", "/proc/sys/net/ipv4/ip_forward"]).unwrap().trim() == "1";
    let steps = |report: &Report| -> Vec<String> { report.steps.iter().map(|step| step.step.clone()).collect() };

    let first = make();
    assert!(first.is_equal(), "{first:?}");
    assert!(forwards());
    let again = make();
    assert!(again.is_equal() && again.steps.is_empty(), "{again:?}");
    namespace.run(&["nft", "delete", "table", "inet", "leafwall"]).unwrap();
    let back = make();
    assert!(back.is_equal(), "{back:?}");
    assert_eq!(steps(&back), ["stop forwarding: net/ipv4/ip_forward = 0", "load the ruleset", "net/ipv4/ip_forward = 1"]);
    assert!(forwards());
    // what was read once is not read again while nobody changes a ruleset; whatever anybody does to ours is noticed all the same
    for (theirs, ours) in [
        ("flush chain inet leafwall forward", "load the ruleset"),
        ("add rule inet leafwall forward counter accept", "load the ruleset"),
        ("add table inet foreign", ""),
        ("add set inet leafwall new { type ipv4_addr; }", "load the ruleset"),
        ("add chain inet leafwall forward { policy accept; }", "load the ruleset"),
    ] {
        namespace.run(&["nft", theirs]).unwrap();
        let report = make();
        assert!(report.is_equal(), "{theirs}: {report:?}");
        assert_eq!(steps(&report).join(", "), ours, "{theirs}");
        assert!(make().steps.is_empty(), "{theirs}: again");
    }
    std::fs::remove_dir_all(&directory).unwrap();
}
