//! What an object's status says, and the event that goes with a change of it. Pure.

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};

use crate::convert::Verdict;
use crate::index::{Entry, in_force, rule_ids};
use crate::key::Kind;
use crate::sink::{Observed, Resolution};
use crate::verdict::summary;
use leafwall_policy::rule::{Fqdn, Peer, Policy};

/// How an object stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Standing {
    /// Whether the object was accepted.
    pub accepted: bool,
    /// Whether the kernel holds all of its rules (F7).
    pub programmed: bool,
    /// Why, as one word.
    pub reason: String,
    /// Why, for people.
    pub message: String,
    /// How many of its rules the kernel holds.
    pub rules: usize,
    /// How its DNS names stand, if it has any that somebody resolves.
    pub names: Option<Names>,
}

/// How an object's DNS names stand.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Names {
    /// Whether the kernel has an address of each: a name that nobody has asked for has none.
    pub resolved: bool,
    /// Why, as one word.
    pub reason: &'static str,
    /// The first of them with their addresses, and what was refused.
    pub message: String,
}

impl Standing {
    /// Whether this is more than other numbers of addresses, which come and go by themselves.
    pub fn is_news(&self, before: &Self) -> bool {
        let without = |standing: &Self| Self { names: None, ..standing.clone() };
        without(self) != without(before)
    }
}

/// What went wrong where the sink could not be asked.
pub type Unknown = String;

/// How an object stands, by what the kernel holds at `now`.
pub fn standing(entry: &Entry, observed: Result<&Observed, &Unknown>, resolution: Option<&Resolution>, now: u64) -> Standing {
    match &entry.verdict {
        Verdict::Accepted(policy) => accepted(policy, observed, resolution, now),
        Verdict::Refused(findings) => Standing {
            accepted: false,
            programmed: false,
            reason: findings.first().map_or_else(String::new, |finding| finding.reason.to_string()),
            message: summary(findings),
            rules: 0,
            names: None,
        },
        Verdict::Waiting | Verdict::Unrelated => Standing {
            accepted: true,
            programmed: false,
            reason: "NoAddress".into(),
            message: "the load balancer has no address yet".into(),
            rules: 0,
            names: None,
        },
    }
}

fn accepted(policy: &Policy, observed: Result<&Observed, &Unknown>, resolution: Option<&Resolution>, now: u64) -> Standing {
    let alive = in_force(policy, now);
    let wanted = rule_ids(&alive);
    let expired = policy.ingress.len() + policy.egress.len() - wanted.len();
    let fqdns: BTreeSet<&Fqdn> =
        alive.ingress.iter().chain(&alive.egress).flat_map(|rule| rule.from.iter().chain(&rule.to)).filter_map(fqdn).collect();
    let names = resolution.filter(|_| !fqdns.is_empty()).map(|resolution| names(&fqdns, resolution));
    let say = |programmed, reason: &str, message: String, rules| {
        let names = names.clone();
        Standing { accepted: true, programmed, reason: reason.into(), message, rules, names }
    };
    let observed = match observed {
        Ok(observed) => observed,
        Err(why) => return say(false, "NotWritten", format!("the rules did not get into the kernel: {why}"), 0),
    };
    let held = wanted.intersection(&observed.held).count();
    if held < wanted.len() {
        return say(false, "NotInKernel", format!("the kernel holds {held} of {} rules", wanted.len()), held);
    }
    if !fqdns.is_empty() && resolution.is_none() {
        return say(false, "NamesNotResolved", "nobody resolves names on this firewall, so rules for names match nothing".into(), held);
    }
    let tail = if expired > 0 { format!("; {expired} have expired") } else { String::new() };
    say(true, "InKernel", format!("the kernel holds all {held} rules{tail}"), held)
}

fn fqdn(peer: &Peer) -> Option<&Fqdn> {
    match peer {
        Peer::Fqdn(fqdn) => Some(fqdn),
        Peer::Cidr { .. } | Peer::Network(_) => None,
    }
}

/// Names that are told of by name.
const NAMES_SHOWN: usize = 8;

fn names(fqdns: &BTreeSet<&Fqdn>, resolution: &Resolution) -> Names {
    let count = |fqdn: &Fqdn| resolution.addresses.get(fqdn).copied().unwrap_or_default();
    let resolved = fqdns.iter().filter(|fqdn| count(fqdn) > 0).count();
    let mut message = format!("{resolved} of {} names have addresses", fqdns.len());
    // those of which something is wrong come first
    let refused = fqdns.iter().filter_map(|fqdn| Some((fqdn, resolution.refused.get(*fqdn)?)));
    let refused = refused.map(|(fqdn, why)| format!("`{fqdn}`: refused {why}"));
    let counted = fqdns.iter().map(|fqdn| format!("`{fqdn}`: {}", count(fqdn)));
    for (at, part) in refused.chain(counted).take(NAMES_SHOWN).enumerate() {
        message.push_str(if at == 0 { ": " } else { ", " });
        message.push_str(&part);
    }
    let is_refused = fqdns.iter().any(|fqdn| count(fqdn) == 0 && resolution.refused.contains_key(*fqdn));
    let (resolved, reason) = match (resolved == fqdns.len(), is_refused) {
        (true, _) => (true, "Resolved"),
        (false, true) => (false, "AnswersRefused"),
        (false, false) => (false, "NotAskedYet"),
    };
    Names { resolved, reason, message }
}

/// The condition of a Service that says whether its ports are open.
pub const SERVICE_CONDITION: &str = "leafwall.io/FirewallOpen";

/// The patch that makes the object's status say so, unless it does already. `time` is now, as RFC 3339.
///
/// For a Service it is a strategic merge patch (its other conditions are others'), for the other kinds a merge patch.
pub fn patch(kind: Kind, object: &Value, standing: &Standing, time: &str) -> Option<Value> {
    let generation = object.pointer("/metadata/generation").cloned().unwrap_or(Value::Null);
    let wanted = match kind {
        Kind::ClusterwideNetworkPolicy => {
            let state = if standing.programmed { "deployed" } else { "ignored" };
            let names = standing.names.iter().filter(|_| standing.programmed).map(|names| format!("; {}", names.message));
            json!({"state": state, "message": standing.message.clone() + &names.collect::<String>()})
        }
        Kind::FirewallPolicy => {
            let refused = if standing.accepted { "Accepted" } else { &standing.reason };
            let note = if standing.accepted { "the object is well formed and within what the operator allows" } else { &standing.message };
            let conditions = [
                condition(object, "Accepted", standing.accepted, refused, note, &generation, time),
                condition(object, "Programmed", standing.programmed, &standing.reason, &standing.message, &generation, time),
            ];
            let names = standing.names.as_ref();
            let names =
                names.map(|names| condition(object, "NamesResolved", names.resolved, names.reason, &names.message, &generation, time));
            let conditions: Vec<Value> = conditions.into_iter().chain(names).collect();
            json!({"conditions": conditions, "observedGeneration": generation, "rules": standing.rules})
        }
        Kind::Service => {
            let ours = condition(object, SERVICE_CONDITION, standing.programmed, &standing.reason, &standing.message, &Value::Null, time);
            json!({"conditions": [ours]})
        }
    };
    (!is_said(object.get("status").unwrap_or(&Value::Null), &wanted)).then(|| json!({"status": wanted}))
}

/// A condition of an object, with the time since when it holds or does not.
pub(crate) fn condition(object: &Value, name: &str, holds: bool, reason: &str, message: &str, generation: &Value, time: &str) -> Value {
    let status = if holds { "True" } else { "False" };
    let before = find(object.pointer("/status/conditions"), name);
    // the time is that of the last change of `status` alone
    let since = before.filter(|old| old.get("status") == Some(&json!(status))).and_then(|old| old.get("lastTransitionTime")).cloned();
    let mut made = json!({
        "type": name, "status": status, "reason": reason, "message": message, "lastTransitionTime": since.unwrap_or_else(|| json!(time)),
    });
    if !generation.is_null() {
        made["observedGeneration"] = generation.clone();
    }
    made
}

fn find<'v>(conditions: Option<&'v Value>, name: &str) -> Option<&'v Value> {
    conditions.and_then(Value::as_array)?.iter().find(|condition| condition.get("type").and_then(Value::as_str) == Some(name))
}

/// Whether a status holds all of this already; more than this may be there.
fn is_said(status: &Value, wanted: &Value) -> bool {
    let fields = |value: &Value| value.as_object().cloned().unwrap_or_else(Map::new);
    fields(wanted).iter().all(|(name, value)| match (name.as_str(), value.as_array()) {
        ("conditions", Some(conditions)) => conditions.iter().all(|condition| {
            let there = find(status.get("conditions"), condition.get("type").and_then(Value::as_str).unwrap_or_default());
            there.is_some_and(|there| fields(condition).iter().all(|(field, value)| there.get(field) == Some(value)))
        }),
        _ => status.get(name) == Some(value),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bounds::Bounds;
    use crate::convert::convert;
    use crate::key::ObjectKey;

    fn entry(object: Value) -> Entry {
        let key = ObjectKey { kind: Kind::FirewallPolicy, namespace: String::new(), name: "p".into() };
        let verdict = convert(&key, &object, &Bounds::default());
        Entry { object, verdict }
    }

    fn two_rules() -> Entry {
        entry(json!({"metadata": {"generation": 3}, "spec": {"ingress": [{"action": "allow"}], "egress": [{"action": "allow"}]}}))
    }

    fn held(entry: &Entry, count: usize) -> Observed {
        let Verdict::Accepted(policy) = &entry.verdict else { panic!("{entry:?}") };
        Observed { held: rule_ids(policy).into_iter().take(count).collect() }
    }

    #[test]
    fn f07_a_rule_that_the_kernel_does_not_hold_is_not_called_programmed() {
        let entry = two_rules();
        assert!(standing(&entry, Ok(&held(&entry, 2)), None, 0).programmed);
        let lacking = standing(&entry, Ok(&held(&entry, 1)), None, 0);
        assert!(lacking.accepted && !lacking.programmed);
        assert_eq!((lacking.reason.as_str(), lacking.rules), ("NotInKernel", 1));
        assert!(!standing(&entry, Err(&"nft is gone".into()), None, 0).programmed);
    }

    #[test]
    fn rules_for_names_are_not_called_programmed_where_nobody_resolves() {
        let entry = entry(json!({"spec": {"egress": [{"action": "allow", "to": [{"fqdn": "a.example.com"}]}]}}));
        let observed = held(&entry, 1);
        assert_eq!(standing(&entry, Ok(&observed), None, 0).reason, "NamesNotResolved");
        let name: Fqdn = "a.example.com".parse().unwrap();
        let mut resolution = Resolution::default();
        let asked = standing(&entry, Ok(&observed), Some(&resolution), 0);
        assert!(asked.programmed && asked.names.as_ref().is_some_and(|names| names.reason == "NotAskedYet"), "{asked:?}");
        resolution.refused.insert(name.clone(), "10.0.0.1: private".into());
        let refused = standing(&entry, Ok(&observed), Some(&resolution), 0);
        assert_eq!(refused.names.as_ref().map(|names| names.reason), Some("AnswersRefused"));
        assert_eq!(
            refused.names.as_ref().unwrap().message,
            "0 of 1 names have addresses: `a.example.com`: refused 10.0.0.1: private, `a.example.com`: 0"
        );
        resolution.addresses.insert(name, 3);
        let resolved = standing(&entry, Ok(&observed), Some(&resolution), 0);
        assert!(resolved.names.as_ref().unwrap().resolved && !resolved.is_news(&refused), "numbers that change are no event");
        let patch = patch(Kind::FirewallPolicy, &entry.object, &resolved, "T").unwrap();
        assert_eq!(find(patch.pointer("/status/conditions"), "NamesResolved").unwrap()["status"], "True");
    }

    #[test]
    fn a_status_is_written_once_and_its_time_is_that_of_the_last_change() {
        let mut entry = two_rules();
        let good = standing(&entry, Ok(&held(&entry, 2)), None, 0);
        let first = patch(Kind::FirewallPolicy, &entry.object, &good, "T1").unwrap();
        entry.object["status"] = first["status"].clone();
        assert_eq!(patch(Kind::FirewallPolicy, &entry.object, &good, "T2"), None);
        let bad = standing(&entry, Ok(&held(&entry, 1)), None, 0);
        let second = patch(Kind::FirewallPolicy, &entry.object, &bad, "T3").unwrap();
        let time = |name| find(second.pointer("/status/conditions"), name).unwrap()["lastTransitionTime"].clone();
        assert_eq!((time("Accepted"), time("Programmed")), (json!("T1"), json!("T3")));
    }

    #[test]
    fn metal_stacks_states_are_its_own_two() {
        let entry = two_rules();
        for (count, state) in [(2, "deployed"), (1, "ignored")] {
            let patch =
                patch(Kind::ClusterwideNetworkPolicy, &entry.object, &standing(&entry, Ok(&held(&entry, count)), None, 0), "T").unwrap();
            assert_eq!(patch["status"]["state"], state);
        }
    }
}
