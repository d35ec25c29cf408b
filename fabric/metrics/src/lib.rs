//! Numbers about a daemon that runs, for Prometheus, and whether it is well.
//!
//! Names begin with `leafwall_`; what only grows ends in `_total`, durations in `_seconds`. No label has a value that a client, a tenant or a device chooses: the number
//! of series is known when a daemon starts, and all of them are there from the start.
//!
//! - [`listen`]: `/metrics`, `/healthz` and `/readyz` over HTTP
#![cfg_attr(test, allow(missing_docs))]

mod listen;

use std::time::Duration;

use prometheus_client::encoding::prometheus_text;
pub use prometheus_client::metrics::counter::Counter;
pub use prometheus_client::metrics::family::Family;
pub use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
pub use prometheus_client::registry::{Metric, Registry};

pub use listen::{Checks, Listener, MetricsError};

/// A gauge that is no whole number.
pub type Seconds = Gauge<f64, std::sync::atomic::AtomicU64>;

/// The label of a family that has one: its name and value.
pub type Label = [(&'static str, &'static str); 1];

/// The prefix of all names.
const PREFIX: &str = "leafwall";

/// An empty registry, whose names get the prefix.
pub fn registry() -> Registry {
    Registry::with_prefix(PREFIX)
}

/// Durations of what takes between a millisecond and a minute.
#[derive(Debug, Clone)]
pub struct Durations(pub Histogram);

impl Default for Durations {
    fn default() -> Self {
        // 1 ms, 2 ms, 4 ms … 65.536 s
        Self(Histogram::new(exponential_buckets(0.001, 2.0, 17)))
    }
}

impl Durations {
    /// One more.
    pub fn took(&self, duration: Duration) {
        self.0.observe(duration.as_secs_f64());
    }
}

/// Metrics of one kind by the values of one label, all of which are there from the start.
#[derive(Debug, Clone)]
pub struct ByLabel<M> {
    label: &'static str,
    family: Family<Label, M>,
}

/// Counters by the values of one label; registering adds `_total` to their name.
pub type Counters = ByLabel<Counter>;

/// Whole numbers that go up and down, by the values of one label.
pub type Gauges = ByLabel<Gauge>;

impl<M: Default + Clone> ByLabel<M> {
    /// With these values.
    pub fn new(label: &'static str, values: &[&'static str]) -> Self {
        let family = Family::<Label, M>::default();
        for value in values {
            drop(family.get_or_create(&[(label, *value)]));
        }
        Self { label, family }
    }

    fn of(&self, value: &'static str) -> M {
        self.family.get_or_create_owned(&[(self.label, value)])
    }

    /// Shows them under this name.
    pub fn register(&self, registry: &mut Registry, name: &str, help: &str)
    where
        Family<Label, M>: Metric,
    {
        registry.register(name, help, self.family.clone());
    }
}

impl Counters {
    /// One more of this value.
    pub fn add(&self, value: &'static str) {
        self.add_many(value, 1);
    }

    /// So many more of this value.
    pub fn add_many(&self, value: &'static str, more: u64) {
        self.of(value).inc_by(more);
    }

    /// How many of this value.
    pub fn get(&self, value: &'static str) -> u64 {
        self.of(value).get()
    }
}

impl Gauges {
    /// The number of this value is now another one.
    pub fn set(&self, value: &'static str, number: i64) {
        self.of(value).set(number);
    }
}

/// Durations by the values of one label, all of which are there from the start.
#[derive(Debug, Clone)]
pub struct DurationsBy {
    label: &'static str,
    family: Family<Label, Histogram, fn() -> Histogram>,
}

impl DurationsBy {
    /// With these values.
    pub fn new(label: &'static str, values: &[&'static str]) -> Self {
        let family = Family::<Label, Histogram, fn() -> Histogram>::new_with_constructor(|| Durations::default().0);
        for value in values {
            drop(family.get_or_create(&[(label, *value)]));
        }
        Self { label, family }
    }

    /// One more of this value.
    pub fn took(&self, value: &'static str, duration: Duration) {
        self.family.get_or_create(&[(self.label, value)]).observe(duration.as_secs_f64());
    }

    /// Shows them under this name, which ends in `_seconds`.
    pub fn register(&self, registry: &mut Registry, name: &str, help: &str) {
        registry.register(name, help, self.family.clone());
    }
}

/// All numbers as Prometheus reads them (text format 0.0.4).
pub fn text(registry: &Registry) -> String {
    let mut text = String::new();
    // to a String that can't fail
    let _ = prometheus_text::encode(&mut text, registry);
    text
}
