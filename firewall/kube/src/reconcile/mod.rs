//! The reconciler: from watches to the sink, and back to the objects' status.
//!
//! Flow: [`watch`] → the index → the sink → [`outbox`]. One task owns the index and calls the sink, one thing at a time; changes that come meanwhile are taken
//! together. Workers write status and events, the newest of each object, and only where this firewall leads ([`lease`]); so does `mirror`, which keeps the
//! `Firewall` object.
//!
//! Guarantees: nothing is put into the sink before every kind was listed once, so a firewall that can't reach the API server keeps what it has. A sink that
//! refuses keeps what it has, too, and is asked again; every accepted object says so meanwhile.
//!
//! Caveats: a firewall whose lease was taken may write a status once more, up to a request's length late; the new leader looks at every object, and the API
//! server tells it of such a write, so the last word is the leader's.

pub mod lease;
mod mirror;
mod outbox;
mod run;
mod watch;

pub use run::{ConnectError, RunError, Settings, connect, run};

use k8s_openapi::jiff::Timestamp;
use kube::core::{ApiResource, GroupVersionKind};
use tokio::time::Instant;

use crate::crds::{GROUP, METAL_STACK};
use crate::key::Kind;

/// Who writes: the field manager, and the reporter of events.
pub(crate) const MANAGER: &str = "leafwall";

/// Where the API server has a kind.
pub(crate) fn resource(kind: Kind) -> ApiResource {
    let (group, plural) = match kind {
        Kind::ClusterwideNetworkPolicy => (METAL_STACK, "clusterwidenetworkpolicies"),
        Kind::FirewallPolicy => (GROUP, "firewallpolicies"),
        Kind::Service => ("", "services"),
    };
    ApiResource::from_gvk_with_plural(&GroupVersionKind::gvk(group, "v1", kind.as_str()), plural)
}

/// An error with its causes, outermost first.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        let inner_text = inner.to_string();
        // some errors repeat their cause
        if !text.ends_with(&inner_text) {
            text.push_str(": ");
            text.push_str(&inner_text);
        }
        cause = inner.source();
    }
    text
}

/// Until then, or for ever.
pub(crate) async fn sleep_until(wake: Option<Instant>) {
    match wake {
        Some(at) => tokio::time::sleep_until(at).await,
        None => std::future::pending().await,
    }
}

/// Now, as objects have it.
pub(crate) fn now_text() -> String {
    Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

/// Now, in seconds since 1970.
pub(crate) fn now_seconds() -> u64 {
    u64::try_from(Timestamp::now().as_second()).unwrap_or(0)
}
