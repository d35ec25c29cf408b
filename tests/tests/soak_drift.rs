//! Drift on a real kernel with real FRR and nftables, noticed by events and by the digest of what FRR runs.
#![allow(clippy::unwrap_used, clippy::panic)] // tests may fail

use leafwall_tests::drift_lab::DriftLab;
use leafwall_tests::machine::Machine;

/// So long, in seconds, that nothing here is noticed by the comparison of everything.
const NEVER: u64 = 3600;
/// What may pass until drift is told, in milliseconds, of a kernel that tells and of FRR which is asked. The lab is emulated and shared, so twice the goals.
const TOLD: u64 = 2000;
const FRR_TOLD: u64 = 4000;

/// What is somebody else's.
const FOREIGN: &str = "ip -n leaf -o link show type vrf | grep -c 'vrf9:'; ip netns exec leaf nft list table inet theirs; ip -n leaf -4 -o address show dev mine0";

/// H23, H25, H26: drift of every part is told soon, and repaired; what is foreign stays.
#[test]
fn h23_drift_is_told_soon_and_repaired() {
    let Some(machine) = Machine::boot("h23_drift_is_told_soon_and_repaired") else { return };
    let lab = DriftLab::start(machine, 10, NEVER);
    lab.machine().must(
        "ip netns exec leaf bash -ec 'ip link add vrf9 type vrf table 9; ip link add mine0 type dummy; ip address add 192.0.2.1/24 dev mine0
nft add table inet theirs; nft add chain inet theirs c; nft add rule inet theirs c counter accept'",
    );
    let foreign = lab.machine().must(FOREIGN);
    for drift in lab.all() {
        println!("{}: told after {} ms, repaired after {} ms ({})", drift.what, drift.to_report, drift.to_repair, drift.told);
        let most = if drift.what.ends_with("in FRR") { FRR_TOLD } else { TOLD };
        assert!(drift.to_report <= most, "{drift:?}\n{}", lab.log());
    }
    assert_eq!(lab.machine().must(FOREIGN), foreign);
    println!("by the guest's clock, emulated or not as `leafwall lab` says:\n{}", lab.costs());
}
