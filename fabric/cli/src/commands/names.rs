//! The proxy for DNS names beside `leafwall kube`: on a thread of its own, which lives in the network namespace of the firewall, since its sockets must.

use std::io;

use leafwall_agent::cluster::ClusterTable;
use leafwall_agent::cluster::answers::AnswerTable;
use leafwall_agent::netlink::enter_namespace;
use leafwall_dns::endpoint::Endpoint;
use leafwall_dns::meter::Meter;
use leafwall_dns::names::Names;
use leafwall_dns::proxy::{Proxy, Settings};
use leafwall_dns::serve::{Report, Server};
use leafwall_dns::sink::{AnswerError, AnswerSink, Change, Pair};
use leafwall_kube::sink::Resolution;
use leafwall_policy::zone::FirewallRules;
use tokio::sync::{oneshot, watch};

use super::kube::Args;
use crate::chain;

/// The running proxy.
pub(super) struct NamesProxy {
    pub resolution: watch::Receiver<Option<Resolution>>,
    pub meter: Meter,
    /// Why it ended, once it has.
    pub ended: oneshot::Receiver<String>,
}

impl NamesProxy {
    /// Binds its addresses and starts it.
    pub async fn start(args: &Args, firewall: &FirewallRules, table: &ClusterTable) -> Result<Self, String> {
        let operators = || firewall.resolvers.iter().map(|address| Endpoint::from(*address)).collect();
        let resolvers: Vec<Endpoint> = if args.dns_resolver.is_empty() { operators() } else { args.dns_resolver.clone() };
        if resolvers.is_empty() {
            return Err(
                "nobody is there to ask for names\n  hint: give `--dns-resolver`, or `dns` of the Firewall or the Fabric".to_owned()
            );
        }
        let settings = Settings::of(firewall, resolvers.len());
        let answers = table.answers();
        let mut used = table.used_names();
        let (names_are, names) = watch::channel(Names::new(used.borrow_and_update().all()));
        tokio::spawn(async move {
            while used.changed().await.is_ok() {
                let now = Names::new(used.borrow_and_update().all());
                names_are.send_if_modified(|was| std::mem::replace(was, now.clone()) != now);
            }
        });
        let proxy = Proxy::new(settings, names.borrow().clone(), answers.kept());
        let (report_is, mut report) = watch::channel(Report::default());
        let (resolution_is, resolution) = watch::channel(Some(Resolution::default()));
        tokio::spawn(async move {
            while report.changed().await.is_ok() {
                let told = resolution_of(&report.borrow_and_update());
                resolution_is.send_replace(Some(told));
            }
        });
        let (meter, (bound_is, bound), (ended_is, ended)) = (Meter::default(), oneshot::channel(), oneshot::channel());
        let (namespace, listen, counted) = (args.netns.clone(), args.dns.clone(), meter.clone());
        let work = move || {
            let why = inside(namespace.as_deref(), async move {
                let server = Server::bind(&listen).map_err(|error| chain(&error));
                let server = match server {
                    Ok(server) => server,
                    Err(why) => {
                        let _ = bound_is.send(Err(why.clone()));
                        return why;
                    }
                };
                tracing::info!(addresses = ?server.addresses(), "answers queries for names");
                let _ = bound_is.send(Ok(()));
                match server.run(proxy, resolvers, Answers(answers), names, report_is, counted).await {
                    Ok(never) => match never {},
                    Err(error) => chain(&error),
                }
            });
            let _ = ended_is.send(why.unwrap_or_else(|error| error.to_string()));
        };
        std::thread::Builder::new().name("names".to_owned()).spawn(work).map_err(|error| format!("cannot start: {error}"))?;
        match bound.await {
            Ok(bound) => bound?,
            Err(_) => return Err(ended.await.unwrap_or_else(|_| "the proxy for DNS names did not start".to_owned())),
        }
        Ok(Self { resolution, meter, ended })
    }
}

/// Runs on this thread, in the network namespace of that name.
fn inside<T>(namespace: Option<&str>, work: impl Future<Output = T>) -> io::Result<T> {
    if let Some(name) = namespace {
        enter_namespace(name)?;
    }
    Ok(tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(work))
}

/// Until the proxy has ended; for ever where there is none.
pub(super) async fn ended_proxy(ended: Option<oneshot::Receiver<String>>) -> String {
    match ended {
        Some(ended) => ended.await.unwrap_or_else(|_| "its thread is gone".to_owned()),
        None => std::future::pending().await,
    }
}

fn resolution_of(report: &Report) -> Resolution {
    let refused = report.refused.iter().map(|(fqdn, (address, why))| (fqdn.clone(), format!("{address}: {why}")));
    Resolution { addresses: report.addresses.clone(), refused: refused.collect() }
}

/// The agent's hand on the sets of names.
struct Answers(AnswerTable);

impl AnswerSink for Answers {
    async fn put(&mut self, change: &Change) -> Result<(), AnswerError> {
        self.0.put(&change.add, &change.remove).await.map_err(|error| AnswerError(Box::new(error)))
    }

    async fn lost(&mut self) -> Result<Vec<Pair>, AnswerError> {
        self.0.lost().await.map_err(|error| AnswerError(Box::new(error)))
    }
}
