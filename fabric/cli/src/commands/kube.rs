//! `leafwall kube`

use std::path::PathBuf;

use leafwall_agent::args::LogFormat;
use leafwall_agent::cluster::{ClusterError, ClusterFile, ClusterTable};
use leafwall_kube::bounds::Bounds;
use leafwall_kube::reconcile::{Settings, connect, run as reconcile};
use leafwall_kube::sink::{ClusterRules, Observed, RuleSink, SinkError};
use leafwall_policy::zone::FirewallRules;

use crate::{Outcome, chain};

/// Runs on a firewall machine for ever: rules from Kubernetes objects into the chain `cluster`, and how they stand back into the objects.
#[derive(clap::Args)]
#[command(after_help = "Example:\n  leafwall export firewall containerlab/fra1 fw-01 > fw-01.json\n  \
                        leafwall kube --kubeconfig /etc/leafwall/kubeconfig --firewall fw-01.json --name fw-01 \\\n      --state /var/lib/leafwall")]
pub struct Args {
    /// The cluster and who we are in it
    #[arg(long, value_name = "FILE")]
    kubeconfig: PathBuf,
    /// What `leafwall export firewall` printed for this machine
    #[arg(long, value_name = "FILE")]
    firewall: PathBuf,
    /// Which of the cluster's firewall machines this is
    #[arg(long)]
    name: String,
    /// The namespace of the lease by which one of them writes status and events
    #[arg(long, value_name = "NAMESPACE", default_value = "firewall")]
    lease_namespace: String,
    /// The network namespace whose firewall this is [default: this one]
    #[arg(long, value_name = "NAME")]
    netns: Option<String>,
    /// The agent's state directory on this machine: there the rules are kept, so that the agent loads them again with every ruleset and after a reboot. Without
    /// it an agent takes them for drift
    #[arg(long, value_name = "DIR")]
    state: Option<PathBuf>,
    /// How the log is written, to stderr
    #[arg(long, value_enum, default_value_t, env = "LEAFWALL_LOG_FORMAT")]
    pub log_format: LogFormat,
}

/// Runs until a signal or an error.
pub fn run(args: &Args) -> Outcome {
    match tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build() {
        Ok(runtime) => runtime.block_on(serve(args)).unwrap_or_else(Outcome::CouldNot),
        Err(error) => Outcome::CouldNot(format!("cannot start: {error}")),
    }
}

async fn serve(args: &Args) -> Result<Outcome, String> {
    let at = |error: &dyn std::fmt::Display| format!("{}: {error}", args.firewall.display());
    let text = std::fs::read_to_string(&args.firewall).map_err(|error| at(&error))?;
    let firewall: FirewallRules = serde_json::from_str(&text).map_err(|error| at(&error))?;
    let settings = Settings { bounds: Bounds::from(&firewall), me: args.name.clone(), lease_namespace: args.lease_namespace.clone() };
    let client = connect(&args.kubeconfig).await.map_err(|error| chain(&error))?;
    let kept = args.state.as_deref().map(ClusterFile::new);
    let sink = Chain(ClusterTable::new(firewall, args.netns.as_deref(), kept));
    let mut terminate = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate()).map_err(|error| error.to_string())?;
    tokio::select! {
        ended = reconcile(client, sink, settings) => match ended {
            Ok(never) => match never {},
            Err(error) => Err(chain(&error)),
        },
        _ = terminate.recv() => Ok(Outcome::Fine),
        _ = tokio::signal::ctrl_c() => Ok(Outcome::Fine),
    }
}

/// The agent's hand on the chain `cluster`.
struct Chain(ClusterTable);

impl RuleSink for Chain {
    async fn put(&mut self, rules: &ClusterRules) -> Result<Observed, SinkError> {
        match self.0.put(rules).await {
            // sets for names are there, and nobody fills them yet
            Ok(held) => Ok(Observed { held, resolves_names: false }),
            Err(error @ ClusterError::Rules(_)) => Err(SinkError::Refused(error.to_string())),
            Err(error) => Err(SinkError::Kernel(Box::new(error))),
        }
    }
}
