//! Running configuration against wanted configuration, statement by statement. Who owns what is the delta's word: what a delta would leave alone is no difference.

use std::collections::BTreeSet;

use leafwall_delta::target;
use leafwall_render::frr::{FrrConfig, PrintError};

use crate::report::{Backend, Difference};

/// What differs in what is ours. Foreign lists, route-maps, profiles, VRFs and instances are nobody's business (H25).
pub fn differences(running: &FrrConfig, wanted: &FrrConfig) -> Result<Vec<Difference>, PrintError> {
    let (there, target) = (running.statements()?, target(running, wanted).statements()?);
    let missing = target.difference(&there).filter(|statement| has_parent(statement, &there));
    let mut found: Vec<Difference> = missing.map(|statement| Difference::missing(Backend::Frr, told(statement))).collect();
    let empty = empty_vrfs(&there);
    let surplus = there.difference(&target).filter(|statement| !empty.contains(*statement) && has_parent(statement, &target));
    found.extend(surplus.map(|statement| Difference::surplus(Backend::Frr, told(statement))));
    Ok(found)
}

/// A statement as a report may show it: without a password.
fn told(statement: &[String]) -> String {
    let text = statement.join(" / ");
    match text.split_once(" password ") {
        Some((before, _)) => format!("{before} password (not shown)"),
        None => text,
    }
}

/// Whether a daemon runs anything that is ours: what would not stay if nothing were wanted. Foreign configuration beside it does not count.
pub fn holds_ours(running: &FrrConfig) -> Result<bool, PrintError> {
    let (there, foreign) = (running.statements()?, target(running, &FrrConfig::default()).statements()?);
    let empty = empty_vrfs(&there);
    Ok(there.difference(&foreign).any(|statement| !empty.contains(statement)))
}

/// FRR shows every VRF of the kernel, configured or not.
fn empty_vrfs(statements: &BTreeSet<Vec<String>>) -> BTreeSet<Vec<String>> {
    let filled: BTreeSet<&String> =
        statements.iter().filter(|statement| statement.len() > 1).filter_map(|statement| statement.first()).collect();
    let empty = |statement: &&Vec<String>| matches!(statement.as_slice(), [only] if only.starts_with("vrf ") && !filled.contains(only));
    statements.iter().filter(empty).cloned().collect()
}

/// Only the topmost of statements that differ together is reported.
fn has_parent(statement: &[String], set: &BTreeSet<Vec<String>>) -> bool {
    statement.len() < 2 || set.contains(&statement[..statement.len() - 1])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frr::stages::{Progress, global_stage, instance_stage};
    use crate::report::DifferenceKind;

    const WANTED: &str = "frr version 10.3
frr defaults traditional
hostname leaf-01
!
ip prefix-list lw-loopbacks seq 5 permit 10.255.0.0/24 ge 32
!
vrf vrf10001
 vni 10001
exit-vrf
!
router bgp 4210000011
 bgp router-id 10.255.0.11
 no bgp default ipv4-unicast
 !
 address-family ipv4 unicast
  network 10.255.0.11/32
 exit-address-family
 !
 address-family l2vpn evpn
  advertise-all-vni
 exit-address-family
exit
!
router bgp 4210000011 vrf vrf10001
 bgp router-id 10.255.0.11
 !
 address-family l2vpn evpn
  advertise ipv4 unicast
 exit-address-family
exit
!
";

    fn read(text: &str) -> FrrConfig {
        FrrConfig::parse(text).unwrap()
    }

    fn found(running: &str) -> Vec<Difference> {
        differences(&read(running), &read(WANTED)).unwrap()
    }

    #[test]
    fn order_version_and_host_name_do_not_matter() {
        let other = WANTED.replace("hostname leaf-01", "hostname other").replace("frr version 10.3", "frr version 10.4");
        let (lists, rest) = other.split_once("vrf vrf10001\n").unwrap();
        let (vrf, routers) = rest.split_once("!\n").unwrap();
        let turned = format!("{lists}{routers}vrf vrf10001\n{vrf}");
        assert_eq!(found(&turned), []);
    }

    #[test]
    fn a_lost_vni_is_missing() {
        let found = found(&WANTED.replace(" vni 10001\n", ""));
        assert_eq!(found, [Difference::missing(Backend::Frr, "vrf vrf10001 / vni 10001")]);
    }

    #[test]
    fn what_is_added_in_our_instance_is_a_change_of_it() {
        let found = found(&WANTED.replace("  advertise-all-vni\n", "  advertise-all-vni\n  advertise-svi-ip\n"));
        assert_eq!(found.len(), 1, "{found:?}");
        assert_eq!((found[0].kind, found[0].expected.as_deref()), (DifferenceKind::Changed, Some("nothing")));
    }

    #[test]
    fn a_password_is_not_told() {
        let neighbour = |password: &str| {
            WANTED.replace(
                " bgp router-id 10.255.0.11\n !\n address-family l2vpn",
                &format!(" neighbor 192.0.2.1 remote-as 65002\n neighbor 192.0.2.1 password {password}\n !\n address-family l2vpn"),
            )
        };
        let found = differences(&read(&neighbour("old")), &read(&neighbour("new"))).unwrap();
        let told: Vec<_> = found.iter().map(|difference| format!("{difference:?}")).collect();
        assert_eq!(told.len(), 2, "{told:?}");
        assert!(
            told.iter().all(|told| told.contains("password (not shown)") && !told.contains("old") && !told.contains("new")),
            "{told:?}"
        );
    }

    #[test]
    fn h25_foreign_things_are_left_out_and_ours_are_not() {
        let foreign = format!("{WANTED}ip prefix-list theirs seq 5 permit any\n!\nvrf mgmt\n ip route 0.0.0.0/0 192.0.2.1\nexit-vrf\n!\n");
        assert_eq!(found(&foreign), []);
        assert_eq!(found(&format!("{WANTED}vrf vrf77\nexit-vrf\n!\n")), [], "a VRF of the kernel that nobody configured");
        let profile = "bfd\n profile theirs\n  detect-multiplier 7\n exit\n !\nexit\n!\n";
        let ours = profile.replace("theirs", "lw-fabric");
        let beside = differences(&read(&format!("{WANTED}{profile}{ours}")), &read(&format!("{WANTED}{ours}"))).unwrap();
        assert_eq!(beside, [], "a profile of somebody else's beside ours");
        let stale = format!("{WANTED}ip prefix-list lw-old seq 5 permit any\n!\nrouter bgp 4210000011 vrf vrf7\nexit\n!\n");
        assert_eq!(found(&stale).len(), 2, "{:?}", found(&stale));
    }

    #[test]
    fn h04_the_first_stage_has_evpn_and_no_vrf_and_the_second_has_the_rest() {
        let wanted = read(WANTED);
        let first = global_stage(&wanted);
        assert!(super::super::has_evpn(&first));
        assert!(first.vrfs.is_empty() && first.routers.len() == 1);
        let second = instance_stage(&wanted);
        assert!(second.routers.iter().all(|router| router.vrf.is_some()) && second.vrfs.len() == 1);
        let mut both = first.statements().unwrap();
        both.extend(second.statements().unwrap());
        assert_eq!(both, wanted.statements().unwrap());
    }

    #[test]
    fn h17_an_interrupted_load_is_taken_up_where_it_stopped() {
        let wanted = read(WANTED);
        let progress = |running: &FrrConfig| Progress::of(running, &wanted).unwrap();
        assert_eq!(progress(&read("frr version 10.3\nfrr defaults traditional\n")), Progress::Empty);
        let foreign = "frr version 10.3\nip prefix-list theirs seq 5 permit any\n!\nvrf vrf10001\nexit-vrf\n!\nvrf mgmt\n vni 5\nexit-vrf\n!\nbfd\n profile theirs\n exit\n !\nexit\n!\n";
        assert_eq!(progress(&read(foreign)), Progress::Empty, "H25: what is somebody else's does not count");
        assert_eq!(
            progress(&read("router bgp 64999\nexit\n!\n")),
            Progress::Different,
            "there is one default instance: another's is in the way"
        );
        assert_eq!(progress(&global_stage(&wanted)), Progress::Global);
        assert_eq!(progress(&wanted), Progress::Complete);
        assert_eq!(progress(&read(&WANTED.replace("vni 10001", "vni 10002"))), Progress::Different);
    }
}
