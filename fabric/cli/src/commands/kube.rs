//! `leafwall kube`

use std::convert::Infallible;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use leafwall_agent::args::LogFormat;
use leafwall_agent::cluster::{ClusterError, ClusterFile, ClusterTable};
use leafwall_agent::daemon::journal::JournalFile;
use leafwall_dns::endpoint::Endpoint;
use leafwall_kube::bounds::Bounds;
use leafwall_kube::meter::Meter;
use leafwall_kube::reconcile::{Settings, connect, run as reconcile};
use leafwall_kube::sink::{ClusterRules, Observed, RuleSink, SinkError};
use leafwall_kube::webhook::{Certificate, Webhook};
use leafwall_metrics::Listener;
use leafwall_policy::zone::FirewallRules;
use tokio::sync::watch;

use super::names::{NamesProxy, ended_proxy};
use crate::{Outcome, chain};

/// How often the agent's journal is looked at: a revision that took hold is shown this late.
const JOURNAL: Duration = Duration::from_secs(5);

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
    pub(super) netns: Option<String>,
    /// The agent's state directory on this machine: there the rules are kept, so that the agent loads them again with every ruleset and after a reboot. Without
    /// it an agent takes them for drift
    #[arg(long, value_name = "DIR")]
    state: Option<PathBuf>,
    /// Where it answers to Prometheus: /metrics, /healthz, /readyz (ready: the kernel holds what the cluster's objects come to) [default: nowhere]
    #[arg(long, value_name = "ADDRESS")]
    metrics: Option<SocketAddr>,
    /// Where the admission webhook answers the API server, over HTTPS (`leafwall export webhook` makes it ask) [default: nowhere]
    #[arg(long, value_name = "ADDRESS", requires_all = ["webhook_cert", "webhook_key"])]
    webhook: Option<SocketAddr>,
    /// The webhook's certificate, with what signed it behind it (PEM); a file that changes is read again
    #[arg(long, value_name = "FILE", requires = "webhook")]
    webhook_cert: Option<PathBuf>,
    /// Its private key (PEM)
    #[arg(long, value_name = "FILE", requires = "webhook")]
    webhook_key: Option<PathBuf>,
    /// Where the proxy for DNS names answers the cluster's clients, over UDP and TCP: `ADDRESS[:PORT][%VRF]`, several times if need be. Rules with names need it, and
    /// that clients ask nobody else [default: nowhere]
    #[arg(long, value_name = "ADDRESS")]
    pub(super) dns: Vec<Endpoint>,
    /// Whom the proxy asks, in this order: `ADDRESS[:PORT][%VRF]` [default: the operator's resolvers of this firewall]
    #[arg(long, value_name = "ADDRESS", requires = "dns")]
    pub(super) dns_resolver: Vec<Endpoint>,
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
    let bounds = Bounds::from(&firewall);
    let meter = Meter::default();
    let (generation_is, generation) = watch::channel(None);
    let kept = args.state.as_deref().map(ClusterFile::new);
    let table = ClusterTable::new(firewall.clone(), args.netns.as_deref(), kept);
    let proxy = if args.dns.is_empty() { None } else { Some(NamesProxy::start(args, &firewall, &table).await?) };
    let names_meter = proxy.as_ref().map(|proxy| proxy.meter.clone());
    let (resolution, ended) = match proxy {
        Some(proxy) => (proxy.resolution, Some(proxy.ended)),
        None => (watch::channel(None).1, None),
    };
    let settings = Settings {
        firewall: firewall.clone(),
        generation,
        resolution,
        me: args.name.clone(),
        lease_namespace: args.lease_namespace.clone(),
        meter: meter.clone(),
    };
    let webhook = webhook(args).await?;
    let metrics = metrics(args).await?;
    let client = connect(&args.kubeconfig).await.map_err(|error| chain(&error))?;
    let sink = Chain(table);
    let mut terminate = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate()).map_err(|error| error.to_string())?;
    tokio::select! {
        ended = reconcile(client, sink, settings) => match ended {
            Ok(never) => match never {},
            Err(error) => Err(chain(&error)),
        },
        never = follow_journal(args.state.as_deref(), generation_is) => match never {},
        never = answered(webhook, bounds, meter.clone()) => match never {},
        never = measured(metrics, meter, names_meter) => match never {},
        why = ended_proxy(ended) => Err(format!("the proxy for DNS names has ended: {why}")),
        _ = terminate.recv() => Ok(Outcome::Fine),
        _ = tokio::signal::ctrl_c() => Ok(Outcome::Fine),
    }
}

async fn webhook(args: &Args) -> Result<Option<Webhook>, String> {
    let (Some(address), Some(certificate), Some(key)) = (args.webhook, &args.webhook_cert, &args.webhook_key) else { return Ok(None) };
    let bound = Webhook::bind(address, Certificate::new(certificate, key)).await.map_err(|error| chain(&error))?;
    tracing::info!(address = %bound.address(), "answers the API server before it stores objects");
    Ok(Some(bound))
}

async fn metrics(args: &Args) -> Result<Option<Listener>, String> {
    let Some(address) = args.metrics else { return Ok(None) };
    let bound = Listener::bind(address).await.map_err(|error| chain(&error))?;
    tracing::info!(address = %bound.address(), "answers to Prometheus");
    Ok(Some(bound))
}

async fn measured(metrics: Option<Listener>, meter: Meter, names: Option<leafwall_dns::meter::Meter>) -> Infallible {
    let mut registry = meter.registry();
    if let Some(names) = &names {
        names.register(&mut registry);
    }
    match metrics {
        Some(metrics) => metrics.serve(registry, meter).await,
        None => std::future::pending().await,
    }
}

async fn answered(webhook: Option<Webhook>, bounds: Bounds, meter: Meter) -> Infallible {
    match webhook {
        Some(webhook) => webhook.serve(bounds, move |answer| meter.answered(answer)).await,
        None => std::future::pending().await,
    }
}

/// Says which revision this machine's agent confirmed last, where its journal is known.
async fn follow_journal(state: Option<&Path>, generation: watch::Sender<Option<u64>>) -> Infallible {
    let Some(state) = state else { return std::future::pending().await };
    loop {
        // one that is not there yet, or not readable for us, says nothing
        let confirmed = JournalFile::open(state).ok().and_then(|file| file.load().ok()).and_then(|journal| journal.confirmed);
        let found = confirmed.map(|kept| kept.at.generation.0);
        generation.send_if_modified(|was| std::mem::replace(was, found) != found);
        tokio::time::sleep(JOURNAL).await;
    }
}

/// The agent's hand on the chain `cluster`.
struct Chain(ClusterTable);

impl RuleSink for Chain {
    async fn put(&mut self, rules: &ClusterRules) -> Result<Observed, SinkError> {
        match self.0.put(rules).await {
            Ok(held) => Ok(Observed { held }),
            Err(error @ ClusterError::Rules(_)) => Err(SinkError::Refused(error.to_string())),
            Err(error) => Err(SinkError::Kernel(Box::new(error))),
        }
    }
}
