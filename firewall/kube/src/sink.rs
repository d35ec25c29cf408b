//! The port to whoever writes the kernel.

use std::collections::{BTreeMap, BTreeSet};
use std::future::Future;

pub use leafwall_policy::cluster::ClusterRules;
use leafwall_policy::order::RuleId;
use leafwall_policy::rule::Fqdn;
use thiserror::Error;

/// What the kernel holds after a `put`, as it was read back.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Observed {
    /// The rules that are in force.
    pub held: BTreeSet<RuleId>,
}

/// How the DNS names of rules stand, as whoever resolves them says. Without anybody, a rule for names matches nothing.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Resolution {
    /// How many addresses the kernel has of each; names without any are left out.
    pub addresses: BTreeMap<Fqdn, usize>,
    /// Answers that were refused: the last address of each name, and why.
    pub refused: BTreeMap<Fqdn, String>,
}

/// Why rules did not get into the kernel. The rules from before stay.
#[derive(Debug, Error)]
pub enum SinkError {
    /// They were refused as a whole.
    #[error("the rules were refused: {0}")]
    Refused(String),
    /// Whoever writes the kernel could not be asked, or could not read it back.
    #[error("the kernel could not be written or read")]
    Kernel(#[source] Box<dyn std::error::Error + Send + Sync>),
}

/// Takes the whole of the cluster's rules and makes the kernel hold them.
pub trait RuleSink {
    /// Makes these the cluster's rules, in one transaction, and reads back what the kernel holds.
    fn put(&mut self, rules: &ClusterRules) -> impl Future<Output = Result<Observed, SinkError>>;
}
