//! Objects → policies. Pure: what an object means depends on the object and the operator's bounds alone.
//!
//! All mistakes of an object are found at once. An object with a mistake is refused whole: half of it would be another policy than its author meant.

mod cnp;
mod parts;
mod policy;
mod service;
#[cfg(test)]
mod tests;

use leafwall_policy::cluster::REGIONS_MAX;
use leafwall_policy::rule::{Peer, Policy, Rule};
use serde_json::Value;

use crate::bounds::Bounds;
use crate::key::{Kind, ObjectKey};
use crate::verdict::{Finding, Reason};

/// The only namespace in which a ClusterwideNetworkPolicy counts.
pub const CNP_NAMESPACE: &str = "firewall";

/// Most rules of an object, of both directions together.
pub const RULES_MAX: usize = 256;
/// Most peers of a side of a rule, most exceptions of a block, most ports of a rule.
pub const LIST_MAX: usize = 256;

/// Most combinations of an object's sources, destinations and ports: what fits into an object otherwise could be a million elements, which take a kernel most of a
/// minute to load, and everybody else's rules wait (F1).
pub const COMBINATIONS_MAX: usize = 32_768;

/// What an object means.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// These rules.
    Accepted(Policy),
    /// Nothing yet: a Service whose load balancer has no address.
    Waiting,
    /// Nothing, and never did: a Service of another type.
    Unrelated,
    /// Nothing, for these reasons; there is at least one.
    Refused(Vec<Finding>),
}

/// Reads an object, as the API server gives it: `metadata` is known from the key.
pub fn convert(key: &ObjectKey, object: &Value, bounds: &Bounds) -> Verdict {
    let made = match key.kind {
        Kind::ClusterwideNetworkPolicy => cnp::policy(key, object, bounds),
        Kind::FirewallPolicy => policy::policy(key, object, bounds),
        Kind::Service => return service::policy(key, object, bounds),
    };
    match made {
        Ok(policy) => Verdict::Accepted(policy),
        Err(findings) => Verdict::Refused(findings),
    }
}

/// The object's `spec`, or why it can't be read. A missing one is an empty one.
fn spec<T: serde::de::DeserializeOwned>(object: &Value) -> Result<T, Vec<Finding>> {
    let empty = Value::Object(serde_json::Map::new());
    let spec = object.get("spec").filter(|spec| !spec.is_null()).unwrap_or(&empty);
    T::deserialize(spec).map_err(|error| vec![Finding::new(Reason::Malformed, "spec", crate::verdict::quoted(&error.to_string()))])
}

/// Accepted only without findings.
fn all_or_nothing(policy: Policy, findings: Vec<Finding>) -> Result<Policy, Vec<Finding>> {
    let rules = policy.ingress.len() + policy.egress.len();
    if rules > RULES_MAX {
        return Err(vec![Finding::new(Reason::TooLarge, "spec", format!("{rules} rules, and an object has {RULES_MAX} at most"))]);
    }
    let combinations = policy.ingress.iter().chain(&policy.egress).map(combinations).fold(0, usize::saturating_add);
    if combinations > COMBINATIONS_MAX {
        let message =
            format!("{combinations} combinations of sources, destinations and ports, and an object has {COMBINATIONS_MAX} at most");
        let finding = Finding::new(Reason::TooLarge, "spec", message);
        return Err(vec![finding.hint("a rule needs fewer where it names larger blocks, or one side alone")]);
    }
    if findings.is_empty() { Ok(policy) } else { Err(findings) }
}

/// How many elements a rule comes to in the kernel's maps, for each pair of networks that it is about.
fn combinations(rule: &Rule) -> usize {
    let side = |peers: &[Peer]| {
        let parts = peers.iter().map(|peer| match peer {
            // each exception parts a block once more
            Peer::Cidr { except, .. } => 1 + except.len(),
            Peer::Fqdn(_) | Peer::Network(_) => 1,
        });
        parts.sum::<usize>().max(1)
    };
    let (from, to, ports) = (side(&rule.from), side(&rule.to), rule.ports.len().max(1));
    let product = from.saturating_mul(to).saturating_mul(ports);
    // one that fits no map is written as sets, side by side
    if product > REGIONS_MAX { from.saturating_add(to).saturating_add(ports) } else { product }
}
