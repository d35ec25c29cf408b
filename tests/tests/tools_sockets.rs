//! The agent's way to FRR, over the daemons' sockets, with real daemons of the lab's root file system on this host's kernel.
#![allow(clippy::disallowed_methods)] // tests may read files

use std::collections::BTreeSet;
use std::fs;

use leafwall_agent::frr::FrrError;
use leafwall_agent::frr::daemons::Daemons;
use leafwall_render::frr::FrrConfig;
use leafwall_tests::lab_root::LabRoot;
use leafwall_tests::rendered::goldens;

/// What a text says, but for what a daemon says of itself and its kernel.
fn statements(text: &str) -> BTreeSet<Vec<String>> {
    let own = |first: &str| first.starts_with("hostname") || matches!(first, "no ip forwarding" | "no ipv6 forwarding");
    FrrConfig::parse(text).unwrap().statements().unwrap().into_iter().filter(|statement| !own(&statement[0])).collect()
}

/// H9: what is loaded over the sockets is what the daemons then run; a line that none of them takes is refused with its number, and one that is taken in
/// another context is seen.
#[tokio::test]
async fn h09_what_is_loaded_over_the_sockets_runs_and_a_bad_line_is_refused() {
    const NAME: &str = "h09_what_is_loaded_over_the_sockets_runs_and_a_bad_line_is_refused";
    let Some(root) = LabRoot::find(NAME) else { return };
    let sockets = std::env::temp_dir().join(format!("lw-sockets-{}", std::process::id()));
    for device in ["leaf-01", "fw-01", "spine-01", "srv-01"] {
        fs::create_dir_all(&sockets).unwrap();
        let running = root.daemons(&sockets).unwrap();
        let text = fs::read_to_string(goldens("fra1").join(device).join("frr.conf")).unwrap();

        Daemons::open(&sockets).await.unwrap().configure(&text).await.unwrap_or_else(|error| panic!("{device}: {error}"));
        let (wanted, there) = (statements(&text), statements(&Daemons::open(&sockets).await.unwrap().running().await.unwrap()));
        let (lacks, more): (Vec<_>, Vec<_>) = (wanted.difference(&there).collect(), there.difference(&wanted).collect());
        assert!(lacks.is_empty() && more.is_empty(), "{device}: the daemons lack {lacks:#?} and have {more:#?} besides");

        let number = 1 + text.lines().position(|line| line.trim_start().starts_with("neighbor ") && line.contains(" timers ")).unwrap();
        let bad = text.replacen(" timers ", " timer-s ", 1);
        match Daemons::open(&sockets).await.unwrap().configure(&bad).await {
            Err(FrrError::Line { number: found, line, complaint }) => {
                assert_eq!(found, number, "{line}");
                assert!(complaint.contains("bgpd"), "{complaint}");
            }
            other => panic!("{device}: {other:?}"),
        }
        let climbs = text.replacen(" exit-address-family", "  bgp router-id 192.0.2.1\n exit-address-family", 1);
        assert!(matches!(Daemons::open(&sockets).await.unwrap().configure(&climbs).await, Err(FrrError::Context { .. })), "{device}");
        drop(running);
        fs::remove_dir_all(&sockets).unwrap();
    }
}
