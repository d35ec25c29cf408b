//! A firewall machine of a cluster: the reconciler, and rules in a real kernel, in the namespaces of [`crate::world`].

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};
use leafwall_kube::bounds::Bounds;
use leafwall_kube::reconcile::{Settings, run};
use leafwall_kube::sink::{ClusterRules, Observed, RuleSink, SinkError};
use leafwall_policy::nft::parse;
use leafwall_policy::order::rules;
use leafwall_policy::ruleset::{counter_of, table};
use leafwall_policy::zone::FirewallRules;
use tokio::sync::oneshot;

use crate::namespace::{nft, with_input};

/// A sink for tests: it replaces the whole table with one that holds the cluster's rules as the only policies, with the machine's own `nft`, and reads it back.
/// The agent's sink changes the chain `cluster` alone; this one has the same kernel under it and no counters that last.
#[derive(Debug, Clone)]
pub struct WholeTable {
    namespace: String,
    firewall: FirewallRules,
}

impl WholeTable {
    /// For the firewall in this network namespace.
    pub fn new(namespace: &str, firewall: FirewallRules) -> Self {
        Self { namespace: namespace.to_owned(), firewall }
    }

    fn nft(&self, arguments: &[&str], input: &str) -> Result<String, SinkError> {
        let mut command = Command::new("ip");
        command.args(["netns", "exec", &self.namespace]).args(nft()).args(arguments);
        with_input(&mut command, input).map_err(|error| SinkError::Refused(error.to_string()))
    }

    fn replace(&mut self, rules: &ClusterRules) -> Result<Observed, SinkError> {
        self.firewall.policies.clone_from(&rules.policies);
        let refused = |error: &dyn std::fmt::Display| SinkError::Refused(error.to_string());
        let wanted = table(&self.firewall).map_err(|error| refused(&error))?;
        let script = leafwall_policy::ruleset::ruleset(&self.firewall).map_err(|error| refused(&error))?;
        self.nft(&["-f", "-"], &script.to_text())?;
        let listing = parse(&self.nft(&["list", "table", "inet", "leafwall"], "")?).map_err(|error| refused(&error))?;
        let Some(there) = listing.tables().next() else { return Ok(Observed::default()) };
        let lacks: BTreeSet<String> = wanted.differences(there).iter().map(|difference| difference.object().1.to_string()).collect();
        let counters: BTreeSet<_> = there.counters.iter().map(|counter| counter.name.clone()).collect();
        let holds = |name: &leafwall_policy::nft::Identifier| counters.contains(name) && !lacks.contains(name.as_str());
        let held = self::rules(&rules.policies).map(|(id, _)| id).filter(|id| holds(&counter_of(id))).collect();
        Ok(Observed { held, resolves_names: false })
    }
}

impl RuleSink for WholeTable {
    async fn put(&mut self, rules: &ClusterRules) -> Result<Observed, SinkError> {
        let (mut worker, rules) = (self.clone(), rules.clone());
        let done = tokio::task::spawn_blocking(move || worker.replace(&rules)).await;
        done.map_err(|error| SinkError::Kernel(Box::new(error)))?
    }
}

/// A reconciler that runs; it ends with this.
#[derive(Debug)]
pub struct Reconciler {
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Reconciler {
    /// Starts one.
    ///
    /// # Panics
    /// Where the kubeconfig is none.
    pub fn start(kubeconfig: &Path, me: &str, bounds: Bounds, sink: impl RuleSink + Send + 'static) -> Self {
        let (stop, stopped) = oneshot::channel();
        let (file, me) = (Kubeconfig::read_from(kubeconfig).unwrap(), me.to_owned());
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
            runtime.block_on(async {
                let config = Config::from_custom_kubeconfig(file, &KubeConfigOptions::default()).await.unwrap();
                let settings = Settings { bounds, me, lease_namespace: "firewall".to_owned() };
                tokio::select! {
                    ended = run(Client::try_from(config).unwrap(), sink, settings) => panic!("{ended:?}"),
                    _ = stopped => {}
                }
            });
        });
        Self { stop: Some(stop), thread: Some(thread) }
    }
}

impl Drop for Reconciler {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
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
