//! The one task that owns the index.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::select_all;
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::ObjectReference;
use kube::config::{KubeConfigOptions, Kubeconfig, KubeconfigError};
use kube::runtime::events::{Event, EventType};
use kube::{Api, Client, Config};
use leafwall_policy::zone::FirewallRules;
use serde_json::Value;
use thiserror::Error;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::outbox::{Outbox, WORKERS, Write};
use super::watch::{Change, changes, ended};
use super::{chain, lease, mirror, now_seconds, now_text, resource, sleep_until};
use crate::bounds::Bounds;
use crate::convert::Verdict;
use crate::index::Index;
use crate::key::{Kind, ObjectKey};
use crate::meter::Meter;
use crate::mirror::MachineState;
use crate::sink::{ClusterRules, Observed, Resolution, RuleSink};
use crate::status::{Standing, patch, standing};
use crate::verdict::cut;

/// Changes that come within this time go into the kernel together: a `kubectl apply` of many objects is one transaction or a few, not as many.
const GATHER: Duration = Duration::from_millis(20);
/// And never later than this after the first of them.
const GATHER_MOST: Duration = Duration::from_millis(100);
/// After the sink has failed, doubled with every further failure.
const RETRY: Duration = Duration::from_millis(500);
/// Never longer than this.
const RETRY_MOST: Duration = Duration::from_secs(30);

/// How a firewall reconciles.
#[derive(Debug, Clone)]
pub struct Settings {
    /// What the operator states of this firewall.
    pub firewall: FirewallRules,
    /// The fabric's revision whose ruleset the machine confirmed last, where that is known.
    pub generation: watch::Receiver<Option<u64>>,
    /// How the DNS names of rules stand; `None` where nobody resolves them.
    pub resolution: watch::Receiver<Option<Resolution>>,
    /// Which of the cluster's firewalls this is: the lease's holder.
    pub me: String,
    /// Where the lease is.
    pub lease_namespace: String,
    /// Where it is counted.
    pub meter: Meter,
}

/// Why the reconciler ended.
#[derive(Debug, Error)]
pub enum RunError {
    /// A watch ended, which it never does by itself.
    #[error("a watch has ended")]
    WatchEnded,
}

/// Why there is no client for a cluster.
#[derive(Debug, Error)]
pub enum ConnectError {
    /// The file is not there or is none.
    #[error("the kubeconfig can't be read")]
    Kubeconfig(#[from] KubeconfigError),
    /// What it says makes no client: certificates, addresses.
    #[error("the kubeconfig makes no client")]
    Client(#[from] kube::Error),
}

/// A client as a kubeconfig says. Nothing is asked yet.
///
/// # Errors
/// Where the kubeconfig is none.
pub async fn connect(kubeconfig: &Path) -> Result<Client, ConnectError> {
    let file = Kubeconfig::read_from(kubeconfig)?;
    let config = Config::from_custom_kubeconfig(file, &KubeConfigOptions::default()).await?;
    Ok(Client::try_from(config)?)
}

/// Reconciles for ever.
///
/// # Errors
/// Only if something ended that never does.
pub async fn run(client: Client, sink: impl RuleSink, settings: Settings) -> Result<Infallible, RunError> {
    let (leading_is, leading) = watch::channel(false);
    let outbox = Outbox::new(settings.meter.clone());
    // all of them end with this function
    let mut tasks = JoinSet::new();
    let leases: Api<Lease> = Api::namespaced(client.clone(), &settings.lease_namespace);
    tasks.spawn(lease::keep(leases, settings.me.clone(), leading_is));
    for _ in 0..WORKERS {
        tasks.spawn(outbox.clone().work(client.clone(), settings.me.clone(), leading.clone()));
    }
    let (state_is, state) = watch::channel(None);
    let firewall = Arc::new(settings.firewall);
    let sources = mirror::Sources {
        firewall: Arc::clone(&firewall),
        me: settings.me.clone(),
        state,
        generation: settings.generation,
        leading: leading.clone(),
    };
    tasks.spawn(mirror::keep(client.clone(), sources));
    let mut changes = select_all(Kind::ALL.map(|kind| changes(&client, kind, &settings.meter).boxed()));
    let mut body = Body {
        index: Index::new(Bounds::from(&*firewall)),
        sink,
        outbox,
        written: None,
        observed: Err("nothing was written yet".to_owned()),
        held: 0,
        failures: 0,
        told: BTreeMap::new(),
        resolution: settings.resolution.clone(),
        state: state_is,
        me: settings.me,
        meter: settings.meter,
        last_error: None,
    };
    let mut leads = leading.clone();
    let mut resolution = settings.resolution;
    let mut wake: Option<Instant> = None;
    loop {
        tokio::select! {
            change = changes.next() => {
                let Some(change) = change else { return ended() };
                let first = Instant::now();
                body.take(change);
                while let Ok(more) = tokio::time::timeout_at((Instant::now() + GATHER).min(first + GATHER_MOST), changes.next()).await {
                    let Some(more) = more else { return ended() };
                    body.take(more);
                }
            }
            changed = leads.changed() => {
                if changed.is_err() {
                    return ended();
                }
                // what another one wrote is not known
                body.told.clear();
            }
            // one that is gone says nothing any more
            Ok(()) = resolution.changed() => {}
            () = sleep_until(wake) => {}
        }
        if body.index.is_complete() {
            // not inside of the call: what borrows keeps the lease from saying anything, and then nobody goes on
            let leads = *leading.borrow();
            body.meter.leads(leads);
            wake = body.settle(leads).await;
        }
    }
}

struct Body<S> {
    index: Index,
    sink: S,
    outbox: Outbox,
    /// What the sink took last.
    written: Option<ClusterRules>,
    observed: Result<Observed, String>,
    /// How many rules the kernel held when it was last looked at with success.
    held: usize,
    failures: u32,
    /// What was told of each object: no event twice.
    told: BTreeMap<ObjectKey, Standing>,
    resolution: watch::Receiver<Option<Resolution>>,
    /// What the mirror shows.
    state: watch::Sender<Option<MachineState>>,
    me: String,
    meter: Meter,
    last_error: Option<(String, String)>,
}

impl<S: RuleSink> Body<S> {
    fn take(&mut self, change: Change) {
        match change {
            Change::Applied(key, object) => {
                self.index.apply(key, object);
            }
            Change::Deleted(key) => {
                self.index.delete(&key);
                self.forget(&key);
            }
            Change::Listed(kind, objects) => {
                tracing::info!(%kind, objects = objects.len(), "listed");
                for gone in self.index.reset(kind, objects) {
                    self.forget(&gone);
                }
            }
        }
    }

    fn forget(&mut self, key: &ObjectKey) {
        self.told.remove(key);
        self.outbox.forget(key);
    }

    /// Brings the sink and the objects to what the index says. When to come back without a change, if at all.
    async fn settle(&mut self, leads: bool) -> Option<Instant> {
        let now = now_seconds();
        let rules = self.index.rules(now);
        let mut retry = None;
        if self.written.as_ref() != Some(&rules) {
            let start = Instant::now();
            let put = self.sink.put(&rules).await;
            let took = start.elapsed();
            match put {
                Ok(observed) => {
                    tracing::info!(policies = rules.policies.len(), rules = observed.held.len(), "the kernel holds the cluster's rules");
                    self.held = observed.held.len();
                    self.meter.put(took, Ok(self.held));
                    (self.observed, self.written, self.failures) = (Ok(observed), Some(rules), 0);
                }
                Err(error) => {
                    let why = chain(&error);
                    self.meter.put(took, Err(&why));
                    tracing::error!(error = %why, "the cluster's rules did not get into the kernel");
                    let wait = RETRY.saturating_mul(2_u32.saturating_pow(self.failures)).min(RETRY_MOST);
                    self.failures = self.failures.saturating_add(1);
                    self.last_error = Some((now_text(), why.clone()));
                    self.observed = Err(why);
                    retry = Some(Instant::now() + wait);
                }
            }
        }
        self.reflect();
        if leads {
            self.tell(now);
        }
        let expiry = self.index.next_expiry(now).map(|at| Instant::now() + Duration::from_secs(at.saturating_sub(now)));
        retry.into_iter().chain(expiry).min()
    }

    /// Tells the mirror and the meter.
    fn reflect(&self) {
        let (mut objects, mut refused) = (0, 0);
        for kind in Kind::ALL {
            let of_kind = || self.index.entries().filter(|(key, _)| key.kind == kind);
            let bad = of_kind().filter(|(_, entry)| matches!(entry.verdict, Verdict::Refused(_))).count();
            let good = of_kind().count() - bad;
            self.meter.holds(kind, good, bad);
            (objects, refused) = (objects + good, refused + bad);
        }
        let state = MachineState {
            machine: self.me.clone(),
            objects,
            refused,
            rules: self.held,
            problem: self.observed.as_ref().err().cloned(),
            last_error: self.last_error.clone(),
        };
        self.state.send_if_modified(|was| {
            let is_new = was.as_ref() != Some(&state);
            *was = Some(state);
            is_new
        });
    }

    /// Writes what is not said yet.
    fn tell(&mut self, now: u64) {
        let time = now_text();
        let resolution = self.resolution.borrow().clone();
        for (key, entry) in self.index.entries() {
            let standing = standing(entry, self.observed.as_ref(), resolution.as_ref(), now);
            let Some(patch) = patch(key.kind, &entry.object, &standing, &time) else {
                self.told.insert(key.clone(), standing);
                continue;
            };
            // an object's new generation needs a new status, and its watch brings the old one back before: not every patch is news
            let is_news = self.told.insert(key.clone(), standing.clone()).is_none_or(|before| standing.is_news(&before));
            self.outbox
                .put(key.clone(), Write { patch, event: is_news.then(|| event(&standing)), reference: reference(key, &entry.object) });
        }
    }
}

fn event(standing: &Standing) -> Event {
    // a note has 1024 bytes at most
    const LONGEST: usize = 1000;
    let note = cut(&standing.message, LONGEST);
    let good = standing.programmed || standing.reason == "NoAddress";
    Event {
        type_: if good { EventType::Normal } else { EventType::Warning },
        reason: standing.reason.clone(),
        note: Some(note),
        action: if standing.accepted { "Programming".into() } else { "Accepting".into() },
        secondary: None,
    }
}

fn reference(key: &ObjectKey, object: &Value) -> ObjectReference {
    let text = |path: &str| object.pointer(path).and_then(Value::as_str).map(str::to_owned);
    ObjectReference {
        api_version: Some(resource(key.kind).api_version),
        kind: Some(key.kind.as_str().to_owned()),
        name: Some(key.name.clone()),
        namespace: (!key.namespace.is_empty()).then(|| key.namespace.clone()),
        uid: text("/metadata/uid"),
        resource_version: text("/metadata/resourceVersion"),
        ..ObjectReference::default()
    }
}
