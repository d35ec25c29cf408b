//! Watches of one kind each, as changes for the index. An object that can't be read is a change like any other: its verdict says so (F1).

use std::convert::Infallible;
use std::time::Duration;

use futures_util::{Stream, StreamExt, future};
use kube::api::{Api, DynamicObject};
use kube::runtime::WatchStreamExt;
use kube::runtime::utils::Backoff;
use kube::runtime::watcher::{self, Event, watcher};
use kube::{Client, ResourceExt};
use serde_json::Value;

use super::{chain, resource};
use crate::key::{Kind, ObjectKey};
use crate::meter::Meter;

/// What happened.
#[derive(Debug)]
pub(super) enum Change {
    /// An object is there or changed.
    Applied(ObjectKey, Value),
    /// An object is gone.
    Deleted(ObjectKey),
    /// These are all objects of a kind.
    Listed(Kind, Vec<(ObjectKey, Value)>),
}

/// The changes of a kind, for ever. What the API server has forgotten of a watch, a new list brings back.
pub(super) fn changes(client: &Client, kind: Kind, meter: &Meter) -> impl Stream<Item = Change> + Send + use<> {
    let api: Api<DynamicObject> = Api::all_with(client.clone(), &resource(kind));
    let mut listing = Listing { kind, objects: Vec::new(), was_listed: false, meter: meter.clone() };
    watcher(api, watcher::Config::default()).backoff(Patience::default()).filter_map(move |event| future::ready(listing.on(event)))
}

struct Listing {
    kind: Kind,
    objects: Vec<(ObjectKey, Value)>,
    was_listed: bool,
    meter: Meter,
}

impl Listing {
    fn on(&mut self, event: watcher::Result<Event<DynamicObject>>) -> Option<Change> {
        match event {
            Ok(Event::Init) => self.objects.clear(),
            Ok(Event::InitApply(object)) => self.objects.push(split(self.kind, object)),
            Ok(Event::InitDone) => {
                self.was_listed = true;
                return Some(Change::Listed(self.kind, std::mem::take(&mut self.objects)));
            }
            Ok(Event::Apply(object)) => {
                let (key, value) = split(self.kind, object);
                return Some(Change::Applied(key, value));
            }
            Ok(Event::Delete(object)) => return Some(Change::Deleted(split(self.kind, object).0)),
            Err(error) => {
                self.meter.watch_failed(self.kind);
                tracing::warn!(kind = %self.kind, error = %chain(&error), "the API server can't be watched");
                // a cluster may do without one of our kinds; one that it has had does not go by an answer that says so
                if !self.was_listed && is_unknown(&error) {
                    self.was_listed = true;
                    return Some(Change::Listed(self.kind, Vec::new()));
                }
            }
        }
        None
    }
}

/// Whether the API server says that there is no such kind.
fn is_unknown(error: &watcher::Error) -> bool {
    match error {
        watcher::Error::InitialListFailed(kube::Error::Api(status)) => status.code == 404,
        _ => false,
    }
}

fn split(kind: Kind, mut object: DynamicObject) -> (ObjectKey, Value) {
    let key = ObjectKey { kind, namespace: object.namespace().unwrap_or_default(), name: object.name_any() };
    object.metadata.managed_fields = None;
    object.metadata.annotations = None;
    // what was read as JSON can be written as JSON
    (key, serde_json::to_value(object).unwrap_or(Value::Null))
}

/// How long to wait after a failure: at first short, since an API server that restarts is back within seconds.
#[derive(Debug, Default)]
pub(super) struct Patience {
    failures: u32,
}

/// After the first failure.
const FIRST: Duration = Duration::from_millis(250);
/// Never longer than this.
const LONGEST: Duration = Duration::from_secs(5);

impl Iterator for Patience {
    type Item = Duration;
    fn next(&mut self) -> Option<Duration> {
        let wait = FIRST.saturating_mul(2_u32.saturating_pow(self.failures)).min(LONGEST);
        self.failures = self.failures.saturating_add(1);
        Some(wait)
    }
}

impl Backoff for Patience {
    fn reset(&mut self) {
        self.failures = 0;
    }
}

/// A stream that must not end, as an error where it does.
pub(super) fn ended() -> Result<Infallible, super::run::RunError> {
    Err(super::run::RunError::WatchEnded)
}
