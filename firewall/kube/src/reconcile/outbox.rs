//! What is to be written to the API server: the newest of each object, by a few workers, again until it is there.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use k8s_openapi::api::core::v1::ObjectReference;
use kube::Client;
use kube::api::{Api, DynamicObject, Patch, PatchParams};
use kube::runtime::events::{Event, Recorder, Reporter};
use serde_json::Value;
use tokio::sync::{Notify, watch};

use super::{MANAGER, chain, resource};
use crate::key::{Kind, ObjectKey};
use crate::meter::Meter;

/// Requests at once. With 8, 1000 objects take about as long as the API server needs for them.
pub(super) const WORKERS: usize = 8;
/// After a failure.
const PAUSE: Duration = Duration::from_millis(500);
/// How often a write is tried again. After that the object's next change brings it, or a change of the leader.
const TRIES: u32 = 20;

/// A status and the event that tells of it.
pub(super) struct Write {
    pub patch: Value,
    pub event: Option<Event>,
    pub reference: ObjectReference,
}

#[derive(Default)]
struct Waiting {
    writes: BTreeMap<ObjectKey, Write>,
    /// Nobody else writes these: an older status never comes after a newer one.
    in_work: BTreeSet<ObjectKey>,
}

/// The writes that wait.
#[derive(Clone)]
pub(super) struct Outbox {
    waiting: Arc<Mutex<Waiting>>,
    wake: Arc<Notify>,
    meter: Meter,
}

impl Outbox {
    pub fn new(meter: Meter) -> Self {
        Self { waiting: Arc::default(), wake: Arc::default(), meter }
    }

    /// Takes the place of what waits for this object. An event that waits is kept where the new write has none.
    pub fn put(&self, key: ObjectKey, mut write: Write) {
        {
            let mut waiting = self.lock();
            if let Some(old) = waiting.writes.remove(&key) {
                write.event = write.event.or(old.event);
            }
            waiting.writes.insert(key, write);
            self.meter.waiting(waiting.writes.len());
        }
        self.wake.notify_one();
    }

    /// Forgets an object that is gone.
    pub fn forget(&self, key: &ObjectKey) {
        self.lock().writes.remove(key);
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn take(&self) -> Option<(ObjectKey, Write)> {
        let mut waiting = self.lock();
        let key = waiting.writes.keys().find(|key| !waiting.in_work.contains(*key)).cloned()?;
        let write = waiting.writes.remove(&key)?;
        self.meter.waiting(waiting.writes.len());
        waiting.in_work.insert(key.clone());
        Some((key, write))
    }

    fn done(&self, key: &ObjectKey) {
        self.lock().in_work.remove(key);
    }

    fn is_replaced(&self, key: &ObjectKey) -> bool {
        self.lock().writes.contains_key(key)
    }

    /// Works for ever, while this firewall leads.
    pub async fn work(self, client: Client, me: String, mut leading: watch::Receiver<bool>) {
        let recorder = Recorder::new(client.clone(), Reporter { controller: MANAGER.to_owned(), instance: Some(me) });
        loop {
            if leading.wait_for(|leads| *leads).await.is_err() {
                return;
            }
            let Some((key, write)) = self.take() else {
                self.wake.notified().await;
                continue;
            };
            // whoever is woken wakes the next one, so that many writes find all workers
            self.wake.notify_one();
            self.write(&client, &recorder, &key, &write, &leading).await;
            self.done(&key);
            self.wake.notify_one();
        }
    }

    async fn write(&self, client: &Client, recorder: &Recorder, key: &ObjectKey, write: &Write, leading: &watch::Receiver<bool>) {
        for _ in 0..TRIES {
            let written = patch(client, key, &write.patch).await;
            self.meter.wrote(written.is_ok());
            match written {
                Ok(()) => break,
                Err(kube::Error::Api(status)) if status.code == 404 => return,
                Err(error) => tracing::warn!(%key, error = %chain(&error), "a status can't be written"),
            }
            tokio::time::sleep(PAUSE).await;
            if self.is_replaced(key) || !*leading.borrow() {
                return;
            }
        }
        if let Some(event) = &write.event
            && let Err(error) = recorder.publish(event, &write.reference).await
        {
            tracing::warn!(%key, error = %chain(&error), "an event can't be written");
        }
    }
}

async fn patch(client: &Client, key: &ObjectKey, patch: &Value) -> Result<(), kube::Error> {
    let resource = resource(key.kind);
    let api: Api<DynamicObject> = if key.namespace.is_empty() {
        Api::all_with(client.clone(), &resource)
    } else {
        Api::namespaced_with(client.clone(), &key.namespace, &resource)
    };
    let parameters = PatchParams { field_manager: Some(MANAGER.to_owned()), ..PatchParams::default() };
    let body = if key.kind == Kind::Service { Patch::Strategic(patch) } else { Patch::Merge(patch) };
    api.patch_status(&key.name, &parameters, &body).await.map(|_| ())
}
