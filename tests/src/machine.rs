//! The lab's virtual machine as a place to try one device in: a kernel that has all that a switch needs, and FRR.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::process::{Command, Output};

use leafwall_lab::Vm;
use leafwall_render::links::{LinkKind, Links};
use leafwall_topology::Name;

use crate::skip;

/// What the guest's scripts start with: our program, and FRR's daemons.
const PRELUDE: &str = r#"
set -eu
cd /leafwall/work
leafwall=$(ls -t /leafwall/bin/* | head -n 1)
agent() { node=$1; shift; ip netns exec "$node" "$leafwall" agent --frr-pathspace "$node" "$@"; }
daemons() {
  mkdir -p "/etc/frr/$1" "/run/frr/$1"; : >"/etc/frr/$1/vtysh.conf"; chown -R frr:frr "/etc/frr/$1" "/run/frr/$1"
  for daemon in mgmtd zebra staticd bfdd bgpd; do ip netns exec "$1" "/usr/lib/frr/$daemon" -d -N "$1" -P 0 >/dev/null 2>&1; done
}
"#;

/// A machine that runs until it is dropped.
#[derive(Debug)]
pub struct Machine {
    program: PathBuf,
    name: Name,
    work: PathBuf,
}

/// What a script in the machine printed, and how it ended.
#[derive(Debug)]
pub struct Said {
    /// Its exit status.
    pub status: i32,
    /// Standard output.
    pub output: String,
    /// Standard error.
    pub errors: String,
}

impl Machine {
    /// Boots one for this test; `None`, with the test skipped, where that can't be.
    ///
    /// # Panics
    /// As [`skip`] does, and where the program does not build.
    #[allow(clippy::expect_used)]
    pub fn boot(test: &str) -> Option<Self> {
        let program = program();
        let name: Name = format!("test-{}", std::process::id()).parse().expect("a legal name");
        let mut machine = Self { program, name, work: PathBuf::new() };
        let booted = machine.lab(&["boot"]);
        if !booted.status.success() {
            skip(test, String::from_utf8_lossy(&booted.stderr).trim());
            return None;
        }
        machine.work = Vm::find(&machine.name).expect("the machine that was just booted").work_dir();
        Some(machine)
    }

    /// Runs a script in the machine. It may call `agent NODE …`, which runs `leafwall agent` in a namespace, and `daemons NODE`, which starts FRR there.
    pub fn run(&self, script: &str) -> Said {
        let script = format!("{PRELUDE}{script}");
        let output = self.lab(&["run", "--", "bash", "-c", &script]);
        Said {
            status: output.status.code().unwrap_or(-1),
            output: String::from_utf8_lossy(&output.stdout).into_owned(),
            errors: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }

    /// Runs a script that must succeed, and returns what it prints.
    ///
    /// # Panics
    /// Where it fails.
    pub fn must(&self, script: &str) -> String {
        let said = self.run(script);
        assert!(said.status == 0, "exit {}\n{script}\n{}\n{}", said.status, said.output, said.errors);
        said.output
    }

    /// Makes a namespace with the ports of a device, as cables whose other ends nobody holds, and the device's files in a directory of the namespace's name.
    ///
    /// # Panics
    /// Where files can't be written or namespaces not be made.
    #[allow(clippy::expect_used)]
    pub fn device(&self, node: &str, files: &BTreeMap<String, String>) {
        let links: Links = serde_json::from_str(&files["links.json"]).expect("links.json as it was rendered");
        self.write(node, files);
        let ports = links.links.iter().filter(|link| matches!(link.kind, LinkKind::Physical {}));
        let cables: Vec<String> = ports.map(|port| format!("link add {0} type veth peer name far-{0}\n", port.name)).collect();
        self.must(&format!("ip netns add {node}\nip -n {node} -batch - <<'END'\n{}END\n", cables.concat()));
    }

    /// Writes a device's files anew; those that are not named are gone.
    ///
    /// # Panics
    /// Where that can't be done.
    #[allow(clippy::expect_used)]
    pub fn write(&self, node: &str, files: &BTreeMap<String, String>) {
        let dir = self.work.join(node);
        if dir.exists() {
            fs::remove_dir_all(&dir).expect("an old directory goes");
        }
        fs::create_dir_all(&dir).expect("a directory");
        for (file, text) in files {
            fs::write(dir.join(file), text).expect("a file");
        }
    }

    #[allow(clippy::panic)] // without the program there is nothing to test
    fn lab(&self, arguments: &[&str]) -> Output {
        let mut command = Command::new(&self.program);
        command.args(["lab", "--runtime", "vm", "--name", self.name.as_str()]).args(arguments);
        command.output().unwrap_or_else(|error| panic!("can't run `{}`: {error}", self.program.display()))
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        let _ = self.lab(&["down"]);
    }
}

/// The `leafwall` program, built from this tree.
#[allow(clippy::expect_used)]
pub fn program() -> PathBuf {
    let this = std::env::current_exe().expect("this program has a path");
    let directory = this.parent().expect("a program lies in a directory");
    // a measurement lies beside the program that it measures, and was built with it
    if !directory.ends_with("deps") {
        return directory.join("leafwall");
    }
    let mut build = Command::new(env!("CARGO"));
    build.args(["build", "--quiet", "--package", "leafwall"]).current_dir(crate::root());
    // What cargo tells this test of itself is news to build scripts that look at it (ring's does), and with it all that stands on them would be built again.
    for (name, _) in std::env::vars_os() {
        if name.to_str().is_some_and(|name| name.starts_with("CARGO_PKG_") || name.starts_with("CARGO_MANIFEST_")) {
            build.env_remove(name);
        }
    }
    let built = build.status();
    assert!(built.is_ok_and(|status| status.success()), "leafwall does not build");
    // target/debug/deps/test-…
    directory.parent().expect("a test lies in target/PROFILE/deps").join("leafwall")
}
