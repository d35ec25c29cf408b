//! A firewall's agent in a namespace of this host, as far as its packet filters go.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use leafwall_agent::cluster::{ClusterFile, ClusterTable};
use leafwall_agent::frr::Frr;
use leafwall_agent::nftables::Memory;
use leafwall_agent::once::{Options, change, compare};
use leafwall_agent::report::{Backend, Parts, Report};
use leafwall_agent::sonic::Sonic;
use leafwall_policy::cluster::ClusterRules;
use leafwall_policy::ruleset::ruleset;
use leafwall_policy::zone::FirewallRules;

use crate::namespace::Namespace;

const LINKS: &str = r#"{"version": 1, "forwarding": "after-ruleset", "sysctls": {"net/ipv4/ip_forward": "1", "net/ipv6/conf/all/forwarding": "1"}, "links": []}"#;

/// The directory of a firewall machine's artefacts and state; it goes with this.
#[derive(Debug)]
pub struct Filtering {
    directory: PathBuf,
}

impl Filtering {
    /// One with this signed ruleset.
    ///
    /// # Panics
    /// Where it can't be written.
    pub fn new(firewall: &FirewallRules) -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let name = format!("leafwall-filtering-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let directory = std::env::temp_dir().join(name);
        std::fs::create_dir_all(&directory).unwrap();
        std::fs::write(directory.join("links.json"), LINKS).unwrap();
        let made = Self { directory };
        made.sign(firewall);
        made
    }

    /// Another signed ruleset takes the place of the one before.
    ///
    /// # Panics
    /// Where it can't be written.
    pub fn sign(&self, firewall: &FirewallRules) {
        std::fs::write(self.directory.join("leafwall.nft"), ruleset(firewall).unwrap().to_text()).unwrap();
    }

    /// Where the state is.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// What `leafwall kube` writes with on this machine.
    pub fn cluster(&self, firewall: &FirewallRules, namespace: &Namespace) -> ClusterTable {
        ClusterTable::new(firewall.clone(), Some(namespace.name()), Some(ClusterFile::new(&self.directory)))
    }

    /// The agent makes the namespace's filters what the directory says.
    ///
    /// # Panics
    /// Where they do not become that.
    pub fn make(&self, namespace: &Namespace) -> Report {
        let report = self.run(namespace, async |options, parts| change(&self.directory, &options, &parts).await.unwrap());
        assert!(report.is_equal(), "{report:?}");
        report
    }

    /// The agent only looks.
    ///
    /// # Panics
    /// Where it can't.
    pub fn compare(&self, namespace: &Namespace) -> Report {
        self.run(namespace, async |options, parts| compare(&self.directory, &options, &parts).await.unwrap())
    }

    fn run(&self, namespace: &Namespace, work: impl AsyncFn(Options, Parts) -> Report + Send + Sync) -> Report {
        let cluster = Some(ClusterFile::new(&self.directory));
        let options = Options {
            frr: Frr::default(),
            timeout: Duration::from_secs(5),
            secrets: None,
            cluster,
            filters: Memory::default(),
            sonic: Sonic::default(),
        };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        namespace.enter(|| runtime.block_on(work(options, [Backend::Nftables].into()))).unwrap()
    }
}

impl Drop for Filtering {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.directory);
    }
}

/// Puts rules of a cluster into a kernel. How many it holds then.
///
/// # Panics
/// Where they do not get there.
pub fn put(table: &mut ClusterTable, rules: &ClusterRules) -> usize {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(table.put(rules)).unwrap().len()
}
