//! The oracle for random fabrics is itself tried against fra1, whose matrix people wrote: both must say the same of every cell.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use leafwall_render::inventory::LabInventory;
use leafwall_tests::oracle::{ALWAYS_TRIED, Kind, Oracle};
use leafwall_tests::rendered::rendered;
use leafwall_tests::{directory, root};

struct Scratch(PathBuf);

impl Scratch {
    fn new(name: &str) -> Self {
        let dir = std::env::temp_dir().join(format!("leafwall-oracle-{name}-{}", std::process::id()));
        fs::create_dir_all(&dir).unwrap();
        Self(dir)
    }

    /// The lab's own expansion of a scenario.
    fn matrix(&self, scenario: &str, inventory: &LabInventory) -> BTreeMap<String, bool> {
        let file = self.0.join("scenario.yaml");
        fs::write(&file, scenario).unwrap();
        leafwall_lab::expected(&file, inventory).unwrap()
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// What reachability.yaml of fra1 tries.
fn kinds() -> BTreeSet<Kind> {
    let tcp = [22, 80, 443, 2049, 8443].map(Kind::Tcp);
    ALWAYS_TRIED.into_iter().chain(tcp).chain([Kind::Udp(53)]).collect()
}

fn fra1() -> (PathBuf, String) {
    let fra1 = root().join("containerlab/fra1");
    let written = fs::read_to_string(fra1.join("scenarios/reachability.yaml")).unwrap();
    (fra1, written)
}

fn by_oracle(fabric: &Path) -> String {
    let (model, _, findings) = directory::load(fabric).unwrap();
    let model = model.unwrap_or_else(|| panic!("{findings}"));
    Oracle::new(&model).scenario("oracle", "..", &kinds()).unwrap_or_else(|unclear| panic!("{unclear}"))
}

fn differences(one: &BTreeMap<String, bool>, other: &BTreeMap<String, bool>) -> Vec<String> {
    let cells: BTreeSet<&String> = one.keys().chain(other.keys()).collect();
    let different = cells.into_iter().filter(|cell| one.get(*cell) != other.get(*cell));
    different.map(|cell| format!("{cell}: {:?} by hand, {:?} by the oracle", one.get(cell), other.get(cell))).collect()
}

#[test]
fn the_oracle_says_of_fra1_what_people_wrote() {
    let (fra1, written) = fra1();
    let inventory = rendered(&fra1).inventory();
    let scratch = Scratch::new("same");
    let (by_hand, by_oracle) = (scratch.matrix(&written, &inventory), scratch.matrix(&by_oracle(&fra1), &inventory));
    assert!(by_hand.len() > 2000 && by_hand.values().any(|passes| *passes), "the whole matrix is compared");
    let different = differences(&by_hand, &by_oracle);
    assert!(different.is_empty(), "{} cells differ:\n{}", different.len(), different.join("\n"));
}

#[test]
fn any_line_of_the_matrix_that_is_missing_shows() {
    let (fra1, written) = fra1();
    let inventory = rendered(&fra1).inventory();
    let scratch = Scratch::new("less");
    let by_oracle = scratch.matrix(&by_oracle(&fra1), &inventory);
    let lines: Vec<&str> = written.lines().filter(|line| line.trim_start().starts_with("- {from:")).collect();
    assert!(lines.len() > 15);
    for line in lines {
        let by_hand = scratch.matrix(&written.replace(&format!("{line}\n"), ""), &inventory);
        assert!(!differences(&by_hand, &by_oracle).is_empty(), "without this line nothing differs: {line}");
    }
}
