//! The lab suite: random small fabrics on real FRR, VXLAN and nftables, one after the other in one virtual machine, each against the whole matrix that the
//! oracle derives from its Model.
//!
//! `LEAFWALL_RANDOM_FABRICS` is how many (3), `LEAFWALL_SEED` the first one's seed; the following ones have the next seeds. A fabric that fails stays in
//! `target/random/SEED`: `leafwall lab up target/random/SEED` and `leafwall lab test target/random/SEED` run it by hand.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use leafwall_tests::random_fabric::generate;
use leafwall_tests::{root, skip};

/// The first seed where none is given: the suite tries the same fabrics everywhere, `LEAFWALL_SEED` others.
const SEED: u64 = 1;
/// How many fabrics the suite samples; a soak asks for more.
const FABRICS: u64 = 3;
/// The lab of this test: another one may be up at the same time.
const NAME: &str = "suite-random";

struct Lab(PathBuf);

impl Lab {
    fn run(&self, arguments: &[&str]) -> Output {
        Command::new(&self.0).args(["lab", "--name", NAME, "--runtime", "vm"]).args(arguments).output().unwrap()
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        self.run(&["down"]);
    }
}

/// The program as this workspace builds it, beside the tests.
fn leafwall() -> PathBuf {
    let built = Command::new(env!("CARGO")).args(["build", "--quiet", "--package", "leafwall"]).current_dir(root()).status().unwrap();
    assert!(built.success(), "leafwall does not build");
    std::env::current_exe().unwrap().ancestors().nth(2).unwrap().join("leafwall")
}

fn number(variable: &str, default: u64) -> u64 {
    std::env::var(variable).map_or(default, |text| text.parse().unwrap_or_else(|_| panic!("{variable} is no number: {text}")))
}

/// What to tell of a run: what was wrong, or how it went.
fn told(output: &Output, directory: &Path) -> String {
    let text = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    if !output.status.success() {
        std::fs::write(directory.join("failed.txt"), &text).unwrap();
    }
    text
}

#[test]
fn random_fabrics_reach_whom_the_oracle_says_and_nobody_else() {
    if !rustix::process::geteuid().is_root() {
        return skip("random_fabrics_reach_whom_the_oracle_says_and_nobody_else", "only root makes the lab's root file system");
    }
    let (first, count) = (number("LEAFWALL_SEED", SEED), number("LEAFWALL_RANDOM_FABRICS", FABRICS));
    println!("seed: LEAFWALL_SEED={first} LEAFWALL_RANDOM_FABRICS={count}");
    let lab = Lab(leafwall());
    let booted = lab.run(&["boot"]);
    assert!(booted.status.success(), "{}", String::from_utf8_lossy(&booted.stderr));
    let parent = root().join("target/random");
    let mut failed = Vec::new();
    for seed in first..first + count {
        let fabric = generate(seed, &parent).unwrap();
        let directory = fabric.directory.to_str().unwrap();
        println!(
            "fabric {seed}: {} nodes with FRR, {} things are to pass, {} of them from network to network",
            fabric.routers, fabric.passing, fabric.crossing
        );
        let output = lab.run(&["test", directory]);
        println!("{}", told(&output, &fabric.directory));
        if output.status.success() {
            std::fs::remove_dir_all(&fabric.directory).unwrap();
        } else {
            failed.push(format!("LEAFWALL_SEED={seed} LEAFWALL_RANDOM_FABRICS=1 repeats it; it is kept in {directory}"));
        }
    }
    assert!(failed.is_empty(), "{} of {count} random fabrics failed:\n{}", failed.len(), failed.join("\n"));
}
