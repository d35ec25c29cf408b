//! A firewall machine of a cluster: `leafwall kube` as a process, and rules in the real kernel of a namespace of [`crate::world`].

use std::ffi::OsStr;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use leafwall_policy::ruleset::ruleset;
use leafwall_policy::zone::FirewallRules;

use crate::machine::program;
use crate::namespace::Namespace;
use crate::world::load;

/// A running `leafwall kube`; it ends with this.
#[derive(Debug)]
pub struct Reconciler {
    process: Child,
    directory: PathBuf,
}

impl Reconciler {
    /// Loads the signed ruleset of this firewall into the namespace, and starts one that fills its chain `cluster`.
    ///
    /// # Panics
    /// Where it can't be started.
    pub fn start(kubeconfig: &Path, me: &str, firewall: &FirewallRules, namespace: &Namespace) -> Self {
        Self::start_with(kubeconfig, me, firewall, namespace, &[])
    }

    /// As [`Self::start`], with more arguments.
    ///
    /// # Panics
    /// Where it can't be started.
    pub fn start_with(kubeconfig: &Path, me: &str, firewall: &FirewallRules, namespace: &Namespace, more: &[&OsStr]) -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        load(namespace, &ruleset(firewall).unwrap().to_text()).unwrap();
        let name = format!("leafwall-kube-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let directory = std::env::temp_dir().join(name);
        std::fs::create_dir_all(&directory).unwrap();
        let rules = directory.join("firewall.json");
        std::fs::write(&rules, serde_json::to_string(firewall).unwrap()).unwrap();
        let mut command = Command::new(program());
        command.arg("kube").arg("--kubeconfig").arg(kubeconfig).arg("--firewall").arg(rules);
        command.args(["--name", me, "--netns", namespace.name()]).args(more);
        let log = File::create(directory.join("log")).unwrap();
        let process = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log).spawn().unwrap();
        Self { process, directory }
    }

    /// What it has said so far.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.directory.join("log")).unwrap_or_default()
    }
}

impl Drop for Reconciler {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
        if std::thread::panicking() {
            eprintln!("leafwall kube said:\n{}", self.log());
        }
        let _ = std::fs::remove_dir_all(&self.directory);
    }
}

/// Waits until it is so.
///
/// # Panics
/// With the last word, where it does not become so.
pub fn eventually(what: &str, patience: Duration, mut so: impl FnMut() -> Result<(), String>) {
    let start = Instant::now();
    loop {
        match so() {
            Ok(()) => return,
            Err(why) => assert!(start.elapsed() < patience, "{what}: {why}"),
        }
        std::thread::sleep(Duration::from_millis(50));
    }
}
