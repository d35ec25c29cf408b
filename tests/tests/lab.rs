//! The lab suite: fra1 on real FRR, VXLAN and nftables, in the virtual machine, against matrices written by hand.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use leafwall_tests::{root, skip};

/// The lab of these tests: another one may be up at the same time.
const NAME: &str = "suite-lab";

/// Ends the lab however the test ends.
struct Down(PathBuf);

impl Drop for Down {
    fn drop(&mut self) {
        let _ = Command::new(&self.0).args(["lab", "--name", NAME, "down"]).status();
    }
}

/// The program as this workspace builds it, beside the tests.
fn leafwall() -> PathBuf {
    let built = Command::new(env!("CARGO")).args(["build", "--quiet", "--package", "leafwall"]).current_dir(root()).status().unwrap();
    assert!(built.success(), "leafwall does not build");
    let tests = std::env::current_exe().unwrap();
    tests.ancestors().nth(2).unwrap().join("leafwall")
}

fn lab(program: &Path, arguments: &[&str]) -> Output {
    let output = Command::new(program).args(["lab", "--name", NAME, "--runtime", "vm"]).args(arguments).output().unwrap();
    print!("{}", String::from_utf8_lossy(&output.stdout));
    eprint!("{}", String::from_utf8_lossy(&output.stderr));
    output
}

#[test]
fn fra1_reaches_whom_it_should_and_a_wrong_matrix_is_found() {
    if !rustix::process::geteuid().is_root() {
        return skip("fra1_reaches_whom_it_should_and_a_wrong_matrix_is_found", "only root makes the lab's root file system");
    }
    let program = leafwall();
    let _down = Down(program.clone());
    let fra1 = root().join("containerlab/fra1");
    let scenario = fra1.join("scenarios/reachability.yaml");
    let output = lab(&program, &["test", "--keep", scenario.to_str().unwrap()]);
    assert!(output.status.success(), "reachability fails");

    // The same matrix less one line: what it allowed is a leak now. A runner that cannot fail would not see it.
    let line = "    - {from: [srv-06, srv-07], to: [srv-06, srv-07], any: true}\n";
    let text = fs::read_to_string(&scenario).unwrap();
    assert!(text.contains(line), "the matrix has changed: choose another line");
    let dir = std::env::temp_dir().join(format!("leafwall-lab-test-{}", std::process::id()));
    fs::create_dir_all(&dir).unwrap();
    let wrong = dir.join("wrong.yaml");
    fs::write(&wrong, text.replace(line, "").replace("fabric: ..", &format!("fabric: {}", fra1.display()))).unwrap();
    let output = lab(&program, &["test", "--keep", wrong.to_str().unwrap()]);
    fs::remove_dir_all(&dir).unwrap();
    assert_eq!(output.status.code(), Some(1));
    let printed = String::from_utf8_lossy(&output.stdout);
    assert!(printed.contains("! srv-06 to srv-07, IPv4: should be blocked, passes"), "the leak is not named");
}

#[test]
fn fra1_with_agents_is_what_is_applied() {
    if !rustix::process::geteuid().is_root() {
        return skip("fra1_with_agents_is_what_is_applied", "only root makes the lab's root file system");
    }
    let program = leafwall();
    let _down = Down(program.clone());
    let output = lab(&program, &["test", root().join("containerlab/fra1/scenarios/rollouts/agents.yaml").to_str().unwrap()]);
    assert!(output.status.success(), "the scenario fails");
}
