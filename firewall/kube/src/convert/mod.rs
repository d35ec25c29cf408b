//! Objects → policies. Pure: what an object means depends on the object and the operator's bounds alone.
//!
//! All mistakes of an object are found at once. An object with a mistake is refused whole: half of it would be another policy than its author meant.

mod cnp;
mod parts;
mod policy;
mod service;
#[cfg(test)]
mod tests;

use leafwall_policy::rule::Policy;
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
    if findings.is_empty() { Ok(policy) } else { Err(findings) }
}
