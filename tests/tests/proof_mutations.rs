//! Mistakes in rendered artefacts are refused, each with a packet that shows it; other words for the same are accepted.
#![allow(clippy::unwrap_used)] // helpers of tests

use std::sync::Arc;

use leafwall_proof::{Broken, Failures, Input, Known, Proof};
use leafwall_render::inventory::LabInventory;
use leafwall_render::links::Links;
use leafwall_render::{FRR_CONF, LINKS_JSON};
use leafwall_tests::mutations::{Breaks, MISTAKES, Mutation, REWRITES};
use leafwall_tests::rendered::{Rendered, rendered};
use leafwall_tests::root;
use rayon::prelude::*;

fn fra1() -> (Rendered, LabInventory) {
    let fabric = rendered(&root().join("containerlab/fra1"));
    let inventory = fabric.inventory();
    (fabric, inventory)
}

fn prove_with((fabric, inventory): &(Rendered, LabInventory), mutation: &Mutation) -> Result<Proof, String> {
    let mut artefacts = fabric.devices.clone();
    let text = Arc::make_mut(artefacts.get_mut(mutation.device).unwrap()).files.get_mut(mutation.file).unwrap();
    if mutation.file == LINKS_JSON {
        // the mutations name single values, which stand on a line each here
        *text = serde_json::to_string_pretty(&Links::parse(text).unwrap()).unwrap() + "\n";
    }
    *text = mutation.apply(text).ok_or_else(|| "the rendered text is another one by now".to_owned())?;
    let input = Input { artefacts: &artefacts, ..fabric.input(inventory) };
    leafwall_proof::prove(&input).map_err(|errors| format!("{errors:?}"))
}

/// What is wrong with how a proof took a mutation.
fn judged(fabric: &(Rendered, LabInventory), mutation: &Mutation) -> Option<String> {
    let told = |proof: &Proof| proof.findings.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n");
    let wanted = match mutation.breaks {
        Breaks::Isolation => Some(Broken::Isolation),
        Breaks::Reachability => Some(Broken::Reachability),
        Breaks::Nothing => None,
    };
    let problem = match (prove_with(fabric, mutation), wanted) {
        (Err(why), _) => why,
        (Ok(proof), None) if proof.holds() => return None,
        (Ok(proof), None) => format!("is refused:\n{}", told(&proof)),
        (Ok(proof), Some(_)) if proof.holds() => "is accepted".to_owned(),
        (Ok(proof), Some(broken)) => {
            let shown = proof.findings.iter().filter(|finding| finding.broken == broken);
            if shown.into_iter().any(|finding| finding.packet.is_some() && !finding.path.is_empty()) {
                return None;
            }
            format!("is refused, but without a packet for {broken:?}:\n{}", told(&proof))
        }
    };
    Some(format!("{}: {problem}", mutation.name))
}

#[test]
fn mistakes_are_refused_with_a_packet() {
    let fabric = fra1();
    let wrong: Vec<String> = MISTAKES.par_iter().filter_map(|mutation| judged(&fabric, mutation)).collect();
    assert!(MISTAKES.len() >= 60);
    assert!(wrong.is_empty(), "{} of {}:\n{}", wrong.len(), MISTAKES.len(), wrong.join("\n"));
}

#[test]
fn other_words_are_accepted() {
    let fabric = fra1();
    let wrong: Vec<String> = REWRITES.par_iter().filter_map(|mutation| judged(&fabric, mutation)).collect();
    assert!(wrong.is_empty(), "{} of {}:\n{}", wrong.len(), REWRITES.len(), wrong.join("\n"));
}

/// The mistakes of one row of the list of hazards.
fn refused(row: &str) {
    let fabric = fra1();
    let mistakes: Vec<&Mutation> = MISTAKES.iter().filter(|mutation| mutation.name.starts_with(&format!("{row}: "))).collect();
    assert!(!mistakes.is_empty());
    let wrong: Vec<String> = mistakes.into_par_iter().filter_map(|mutation| judged(&fabric, mutation)).collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn h21_h35_h36_h39_a_firewall_that_may_announce_more_than_its_own_is_refused() {
    ["h21", "h35", "h36", "h39"].into_iter().for_each(refused);
}

#[test]
fn h28_tenants_that_meet_in_a_shared_network_are_refused() {
    refused("h28");
}

#[test]
fn h38_h40_f22_f23_guards_that_are_missing_are_refused() {
    ["h38", "h40", "f22", "f23"].into_iter().for_each(refused);
}

#[test]
fn f03_f04_f05_f06_rulesets_that_mean_something_else_are_refused() {
    ["f03", "f04", "f05", "f06"].into_iter().for_each(refused);
}

/// metal-core's way: one filter for the whole VRF, of which the last port's wins, and an empty one opens it.
#[test]
fn h20_a_filter_per_vrf_is_refused() {
    let fabric = fra1();
    let per_vrf = [
        // the filter of another port of the device, in another network
        ("leaf-01", "neighbor swp1 prefix-list lw-swp1-4 in", "neighbor swp1 prefix-list lw-swp6-4 in"),
        // none at all
        ("leaf-03", "  neighbor swp3 prefix-list lw-swp3-4 in\n", ""),
        ("leaf-03", "  neighbor swp3 prefix-list lw-swp3-6 in\n", ""),
    ];
    for (device, from, to) in per_vrf {
        let mutation = Mutation { name: "h20", device, file: "frr.conf", after: "", from, to, breaks: Breaks::Isolation };
        assert_eq!(judged(&fabric, &mutation), None, "{device}: {from}");
    }
}

/// What was found out before a change is never taken for what holds after it: one mistake after the other comes in and goes out again.
/// Spines are on no island: what islands have of them is what was asked about on the way.
#[test]
fn a_proof_that_goes_on_sees_what_spines_pass_on() {
    let (fabric, inventory) = fra1();
    let mut known = Known::default();
    for (broken, statement) in [(false, ""), (true, " address-family l2vpn evpn\n"), (false, ""), (true, " address-family ipv4 unicast\n")]
    {
        let mut artefacts = fabric.devices.clone();
        for spine in ["spine-01", "spine-02"].into_iter().filter(|_| broken) {
            let text = Arc::make_mut(artefacts.get_mut(spine).unwrap()).files.get_mut(FRR_CONF).unwrap();
            let (before, after) = text.split_once(statement).unwrap();
            *text = format!("{before}{statement}{}", after.replacen("  neighbor FABRIC activate\n", "", 1));
        }
        let input = Input { artefacts: &artefacts, ..fabric.input(&inventory) };
        let again = leafwall_proof::prove_again(&input, &mut known, Failures::None).unwrap();
        assert_eq!(again.findings, leafwall_proof::prove(&input).unwrap().findings);
        assert_eq!(again.holds(), !broken);
    }
}

#[test]
fn a_proof_that_goes_on_from_another_one_says_the_same() {
    let (fabric, inventory) = fra1();
    let mut known = Known::default();
    let (mut found, mut kept) = (0, 0);
    for mutation in MISTAKES.iter().step_by(3) {
        for broken in [true, false] {
            let mut artefacts = fabric.devices.clone();
            let text = Arc::make_mut(artefacts.get_mut(mutation.device).unwrap()).files.get_mut(mutation.file).unwrap();
            if mutation.file == LINKS_JSON {
                *text = serde_json::to_string_pretty(&Links::parse(text).unwrap()).unwrap() + "\n";
            }
            if broken {
                *text = mutation.apply(text).unwrap();
            }
            let input = Input { artefacts: &artefacts, ..fabric.input(&inventory) };
            let again = leafwall_proof::prove_again(&input, &mut known, Failures::None).unwrap();
            let fresh = leafwall_proof::prove(&input).unwrap();
            assert_eq!(again.findings, fresh.findings, "{}", mutation.name);
            let open = |proof: &Proof| -> Vec<_> {
                proof
                    .matrix
                    .cells()
                    .map(|(from, to, cell)| {
                        ((from.clone(), to.clone()), cell.arrives.clone(), cell.answered.clone(), cell.intended.clone())
                    })
                    .collect()
            };
            assert!(open(&again) == open(&fresh), "{}", mutation.name);
            found += usize::from(!again.holds());
            kept += usize::from(again.holds());
        }
    }
    assert!(found >= 20 && kept >= 20, "{found} {kept}");
}
