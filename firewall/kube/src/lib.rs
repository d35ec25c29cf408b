//! Kubernetes objects that open a cluster's firewall.
//!
//! Flow: `reconcile::watch` → [`index::Index`] (pure, synchronous) → [`sink::ClusterRules`] → [`sink::RuleSink`], whoever writes the kernel → what it observed →
//! [`status`] (pure) → conditions and events of each object.
//!
//! Guarantees: every object has its own verdict, one bad object never stops another (F1); no text of a user gets into rules but names and prefixes that were
//! parsed (F2); an object's status says what the kernel holds, not what was sent (F7); while the API server is away the rules stay as they are.
//!
//! Assumptions: the sink is the only one that writes rules, and the signed ruleset bounds whatever comes out of here.
//!
//! - [`convert`]: pure; object → policy, or every reason why not
//! - [`crds`]: the definitions of the kinds
//! - [`webhook`]: an API server's questions before it stores an object
#![cfg_attr(test, allow(missing_docs, clippy::unwrap_used, clippy::panic))]

pub mod admission;
pub mod bounds;
pub mod convert;
pub mod crds;
pub mod index;
pub mod key;
pub mod meter;
pub mod mirror;
pub mod reconcile;
pub mod sink;
pub mod status;
pub mod verdict;
pub mod webhook;
