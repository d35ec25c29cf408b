//! Numbers about a firewall machine in its cluster.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use leafwall_metrics::{Checks, Counters, Durations, Gauge, Gauges, Registry};

use crate::key::Kind;
use crate::webhook::Answer;

const RESULTS: [&str; 2] = ["done", "failed"];
const ANSWERS: [&str; 3] = ["allowed", "refused", "malformed"];

fn word(worked: bool) -> &'static str {
    if worked { "done" } else { "failed" }
}

fn whole(number: impl TryInto<i64>) -> i64 {
    number.try_into().unwrap_or(i64::MAX)
}

/// What is counted as it happens. Clones count the same.
#[derive(Debug, Clone)]
pub struct Meter {
    /// Why the machine is not ready, if it is not.
    lacks: Arc<Mutex<Option<String>>>,
    leads: Gauge,
    objects: Gauges,
    refused: Gauges,
    rules: Gauge,
    puts: Counters,
    put: Durations,
    watches: Counters,
    writes: Counters,
    waiting: Gauge,
    questions: Counters,
}

impl Default for Meter {
    fn default() -> Self {
        let kinds = Kind::ALL.map(Kind::as_str);
        Self {
            lacks: Arc::new(Mutex::new(Some("not every kind of object was listed yet".to_owned()))),
            leads: Gauge::default(),
            objects: Gauges::new("kind", &kinds),
            refused: Gauges::new("kind", &kinds),
            rules: Gauge::default(),
            puts: Counters::new("result", &RESULTS),
            put: Durations::default(),
            watches: Counters::new("kind", &kinds),
            writes: Counters::new("result", &RESULTS),
            waiting: Gauge::default(),
            questions: Counters::new("answer", &ANSWERS),
        }
    }
}

impl Meter {
    /// All numbers of `leafwall kube`.
    pub fn registry(&self) -> Registry {
        let mut registry = leafwall_metrics::registry();
        let all = &mut registry;
        all.register("kube_leads", "Whether this machine writes the status of objects", self.leads.clone());
        self.objects.register(all, "kube_objects", "Objects that are accepted, or wait for an address");
        self.refused.register(all, "kube_refused_objects", "Objects that are refused");
        all.register("kube_rules", "Rules of the cluster that the kernel held when last looked at", self.rules.clone());
        self.puts.register(all, "kube_puts", "Changes of the cluster's rules that were put into the kernel");
        all.register("kube_put_seconds", "How long such a change took, with reading it back", self.put.0.clone());
        self.watches.register(all, "kube_watch_failures", "Failures to list or watch objects");
        self.writes.register(all, "kube_status_writes", "Requests that wrote an object's status");
        all.register("kube_waiting_writes", "Objects whose status waits to be written", self.waiting.clone());
        self.questions.register(all, "kube_webhook_answers", "Answers of the admission webhook");
        registry
    }

    /// The webhook has answered.
    pub fn answered(&self, answer: Answer) {
        self.questions.add(match answer {
            Answer::Allowed => "allowed",
            Answer::Refused => "refused",
            Answer::Malformed => "malformed",
        });
    }

    pub(crate) fn leads(&self, leads: bool) {
        self.leads.set(i64::from(leads));
    }

    /// How many objects of a kind there are.
    pub(crate) fn holds(&self, kind: Kind, accepted: usize, refused: usize) {
        self.objects.set(kind.as_str(), whole(accepted));
        self.refused.set(kind.as_str(), whole(refused));
    }

    /// The sink has taken rules, of which the kernel holds so many, or refused them.
    pub(crate) fn put(&self, took: Duration, held: Result<usize, &str>) {
        self.puts.add(word(held.is_ok()));
        self.put.took(took);
        let lacks = match held {
            Ok(held) => {
                self.rules.set(whole(held));
                None
            }
            Err(why) => Some(format!("the cluster's rules did not get into the kernel: {why}")),
        };
        *self.lacks.lock().unwrap_or_else(PoisonError::into_inner) = lacks;
    }

    pub(crate) fn watch_failed(&self, kind: Kind) {
        self.watches.add(kind.as_str());
    }

    pub(crate) fn wrote(&self, worked: bool) {
        self.writes.add(word(worked));
    }

    pub(crate) fn waiting(&self, writes: usize) {
        self.waiting.set(whole(writes));
    }
}

impl Checks for Meter {
    async fn refresh(&self) {}

    /// Ready is who has seen every kind of object and whose kernel holds what they come to. A machine that has lost the API server since stays ready: its rules are in
    /// force.
    async fn ready(&self) -> Result<(), String> {
        self.lacks.lock().unwrap_or_else(PoisonError::into_inner).clone().map_or(Ok(()), Err)
    }
}
