//! Numbers about the proxy, for Prometheus. No label has a value that a client chooses.

use std::time::Duration;

use leafwall_metrics::{Counter, Counters, Durations, Gauge, Registry};

use crate::proxy::{Counts, Proxy};
use crate::space::Refusal;

const ANSWERS: [&str; 6] = ["passed", "resolved", "blocked", "useless", "not-held", "crowded"];
const RESULTS: [&str; 2] = ["done", "failed"];

/// What is counted. Clones count the same.
#[derive(Debug, Clone)]
pub struct Meter {
    queries: Counter,
    strangers: Counter,
    answers: Counters,
    held: Counter,
    refused: Counters,
    wrong: Counter,
    over_tcp: Counter,
    unanswered: Counter,
    dropped: Counter,
    addresses: Gauge,
    waiting: Gauge,
    puts: Counters,
    put: Durations,
    lost: Counter,
}

impl Default for Meter {
    fn default() -> Self {
        Self {
            queries: Counter::default(),
            strangers: Counter::default(),
            answers: Counters::new("answer", &ANSWERS),
            held: Counter::default(),
            refused: Counters::new("why", &Refusal::ALL.map(Refusal::as_str)),
            wrong: Counter::default(),
            over_tcp: Counter::default(),
            unanswered: Counter::default(),
            dropped: Counter::default(),
            addresses: Gauge::default(),
            waiting: Gauge::default(),
            puts: Counters::new("result", &RESULTS),
            put: Durations::default(),
            lost: Counter::default(),
        }
    }
}

impl Meter {
    /// Shows all of them.
    pub fn register(&self, all: &mut Registry) {
        all.register("dns_queries", "Queries of the cluster's clients", self.queries.clone());
        all.register("dns_strangers", "Queries from elsewhere, which get nothing", self.strangers.clone());
        self.answers.register(
            all,
            "dns_answers",
            "Answers: passed as they came, resolved for a rule, blocked, or SERVFAIL for several reasons",
        );
        all.register("dns_held_answers", "Answers that had to wait for the kernel", self.held.clone());
        self.refused.register(all, "dns_refused_addresses", "Addresses that were left out of answers");
        all.register("dns_wrong_replies", "Replies that belong to no question", self.wrong.clone());
        all.register("dns_tcp_retries", "Questions that were asked again over TCP", self.over_tcp.clone());
        all.register("dns_resolver_failures", "Questions that a resolver did not answer, or could not", self.unanswered.clone());
        all.register("dns_dropped_queries", "Queries that came faster than they can be looked at", self.dropped.clone());
        all.register("dns_addresses", "Addresses of rules' names that are kept", self.addresses.clone());
        all.register("dns_waiting_clients", "Clients that wait for an answer", self.waiting.clone());
        self.puts.register(all, "dns_puts", "Changes of addresses in the kernel");
        all.register("dns_put_seconds", "How long such a change took, with reading it back", self.put.0.clone());
        all.register(
            "dns_lost_addresses",
            "Addresses that somebody had taken out of the kernel, and that were put back",
            self.lost.clone(),
        );
    }

    pub(crate) fn look(&self, proxy: &Proxy, before: &mut Counts) {
        let now = proxy.counts();
        let whole = |number: usize| i64::try_from(number).unwrap_or(i64::MAX);
        self.queries.inc_by(now.queries - before.queries);
        self.strangers.inc_by(now.strangers - before.strangers);
        let answers = |counts: &Counts| [counts.passed, counts.resolved, counts.blocked, counts.useless, counts.not_held, counts.crowded];
        for ((answer, now), before) in ANSWERS.into_iter().zip(answers(&now)).zip(answers(before)) {
            self.answers.add_many(answer, now - before);
        }
        self.held.inc_by(now.held - before.held);
        for ((refusal, now), before) in Refusal::ALL.into_iter().zip(now.refused).zip(before.refused) {
            self.refused.add_many(refusal.as_str(), now - before);
        }
        self.wrong.inc_by(now.wrong - before.wrong);
        self.over_tcp.inc_by(now.over_tcp - before.over_tcp);
        self.unanswered.inc_by(now.unanswered - before.unanswered);
        self.addresses.set(whole(proxy.book().len()));
        self.waiting.set(whole(proxy.waiting()));
        *before = now;
    }

    pub(crate) fn dropped(&self) {
        self.dropped.inc();
    }

    pub(crate) fn lost(&self, addresses: usize) {
        self.lost.inc_by(addresses.try_into().unwrap_or(u64::MAX));
    }

    pub(crate) fn put(&self, took: Duration, worked: bool) {
        self.puts.add(if worked { "done" } else { "failed" });
        self.put.took(took);
    }
}
