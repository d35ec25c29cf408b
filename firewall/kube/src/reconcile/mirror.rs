//! Keeps the `Firewall` object: made where it is not there, written where it says something else, whoever wrote that.

use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use k8s_openapi::api::core::v1::ObjectReference;
use kube::api::{Api, DynamicObject, Patch, PatchParams, PostParams};
use kube::core::{ApiResource, GroupVersionKind};
use kube::runtime::WatchStreamExt;
use kube::runtime::events::{Event, EventType, Recorder, Reporter};
use kube::runtime::watcher::{self, watcher};
use kube::{Client, ResourceExt};
use leafwall_policy::zone::FirewallRules;
use serde_json::Value;
use tokio::sync::watch;
use tokio::time::Instant;

use super::watch::Patience;
use super::{MANAGER, chain, now_text, sleep_until};
use crate::crds::GROUP;
use crate::mirror::{MachineState, patch};

/// After a write that failed.
const PAUSE: Duration = Duration::from_secs(2);

/// What the mirror is made of.
pub(super) struct Sources {
    pub firewall: Arc<FirewallRules>,
    pub me: String,
    /// `None` before there is anything to tell.
    pub state: watch::Receiver<Option<MachineState>>,
    pub generation: watch::Receiver<Option<u64>>,
    pub leading: watch::Receiver<bool>,
}

fn resource() -> ApiResource {
    ApiResource::from_gvk_with_plural(&GroupVersionKind::gvk(GROUP, "v1", "Firewall"), "firewalls")
}

/// What the API server has.
enum There {
    /// Nobody knows yet.
    Unknown,
    Nothing,
    Object(Box<DynamicObject>),
}

/// Works for ever, or until one of its sources closes.
pub(super) async fn keep(client: Client, mut sources: Sources) {
    let name = sources.firewall.firewall.to_string();
    let api: Api<DynamicObject> = Api::all_with(client.clone(), &resource());
    let only = watcher::Config::default().fields(&format!("metadata.name={name}"));
    let mut events = watcher(api.clone(), only).backoff(Patience::default()).boxed();
    let recorder = Recorder::new(client, Reporter { controller: MANAGER.to_owned(), instance: Some(sources.me.clone()) });
    let (mut there, mut listed, mut told) = (There::Unknown, There::Nothing, None::<MachineState>);
    let mut retry = None;
    loop {
        tokio::select! {
            event = events.next() => match event {
                None => return,
                Some(Ok(watcher::Event::Init)) => listed = There::Nothing,
                Some(Ok(watcher::Event::InitApply(object))) => listed = There::Object(Box::new(object)),
                Some(Ok(watcher::Event::InitDone)) => there = std::mem::replace(&mut listed, There::Nothing),
                Some(Ok(watcher::Event::Apply(object))) => there = There::Object(Box::new(object)),
                Some(Ok(watcher::Event::Delete(_))) => there = There::Nothing,
                Some(Err(error)) => tracing::warn!(error = %chain(&error), "the Firewall object can't be watched"),
            },
            changed = sources.state.changed() => if changed.is_err() { return },
            changed = sources.leading.changed() => if changed.is_err() { return },
            Ok(()) = sources.generation.changed() => {}
            () = sleep_until(retry) => {}
        }
        retry = None;
        let Some(state) = sources.state.borrow_and_update().clone().filter(|_| *sources.leading.borrow()) else { continue };
        let generation = *sources.generation.borrow();
        match write(&api, &name, &there, &sources.firewall, &state, generation).await {
            Ok(None) => {}
            Ok(Some(written)) => {
                let is_news = told.as_ref().is_none_or(|told| (told.reason(), &told.problem) != (state.reason(), &state.problem));
                if is_news {
                    publish(&recorder, &written, &state).await;
                }
                told = Some(state);
                there = There::Object(Box::new(written));
            }
            Err(error) => {
                tracing::warn!(error = %chain(&error), "the Firewall object can't be written");
                retry = Some(Instant::now() + PAUSE);
            }
        }
    }
}

/// Makes the object say so. What it is then, if something had to be written.
async fn write(
    api: &Api<DynamicObject>,
    name: &str,
    there: &There,
    firewall: &FirewallRules,
    state: &MachineState,
    generation: Option<u64>,
) -> Result<Option<DynamicObject>, kube::Error> {
    let (object, is_new) = match there {
        There::Unknown => return Ok(None),
        There::Object(object) => (serde_json::to_value(object).unwrap_or(Value::Null), false),
        There::Nothing => (Value::Null, true),
    };
    let Some(patch) = patch(&object, firewall, state, generation, &now_text()) else { return Ok(None) };
    if is_new {
        match api.create(&PostParams::default(), &DynamicObject::new(name, &resource())).await {
            Ok(_) => tracing::info!(name, "the Firewall object was made"),
            // somebody was faster
            Err(kube::Error::Api(status)) if status.code == 409 => {}
            Err(error) => return Err(error),
        }
    }
    let parameters = PatchParams { field_manager: Some(MANAGER.to_owned()), ..PatchParams::default() };
    api.patch_status(name, &parameters, &Patch::Merge(&patch)).await.map(Some)
}

async fn publish(recorder: &Recorder, object: &DynamicObject, state: &MachineState) {
    let event = Event {
        type_: if state.problem.is_none() { EventType::Normal } else { EventType::Warning },
        reason: state.reason().to_owned(),
        note: Some(state.message()),
        action: "Programming".into(),
        secondary: None,
    };
    let reference = ObjectReference {
        api_version: Some(resource().api_version),
        kind: Some("Firewall".into()),
        name: Some(object.name_any()),
        uid: object.uid(),
        resource_version: object.resource_version(),
        ..ObjectReference::default()
    };
    if let Err(error) = recorder.publish(&event, &reference).await {
        tracing::warn!(error = %chain(&error), "an event of the Firewall object can't be written");
    }
}
