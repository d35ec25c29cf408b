//! What the cluster holds, and what comes of it. Pure and synchronous: watches feed it, nobody waits for it.

use std::collections::{BTreeMap, BTreeSet};

use leafwall_policy::order::{RuleId, rules};
use leafwall_policy::rule::{Policy, Rule};
use serde_json::Value;

use crate::bounds::Bounds;
use crate::convert::{Verdict, convert};
use crate::key::{Kind, ObjectKey};
use crate::sink::ClusterRules;

/// One object and its verdict.
#[derive(Debug, Clone, PartialEq)]
pub struct Entry {
    /// The object as the API server gave it last.
    pub object: Value,
    /// What it means.
    pub verdict: Verdict,
}

/// All objects, each with its own verdict (F1).
#[derive(Debug, Default)]
pub struct Index {
    bounds: Bounds,
    objects: BTreeMap<ObjectKey, Entry>,
    listed: BTreeSet<Kind>,
}

impl Index {
    /// An empty one. It says nothing until every kind was listed once: rules that nobody has read yet are not rules that are gone.
    pub fn new(bounds: Bounds) -> Self {
        Self { bounds, ..Self::default() }
    }

    /// Whether every kind was listed.
    pub fn is_complete(&self) -> bool {
        Kind::ALL.iter().all(|kind| self.listed.contains(kind))
    }

    /// An object is there or has changed. Whether that changes its verdict.
    pub fn apply(&mut self, key: ObjectKey, object: Value) -> bool {
        let verdict = convert(&key, &object, &self.bounds);
        if verdict == Verdict::Unrelated {
            return self.delete(&key);
        }
        let same = self.objects.get(&key).is_some_and(|entry| entry.verdict == verdict);
        self.objects.insert(key, Entry { object, verdict });
        !same
    }

    /// An object is gone. Whether it was there.
    pub fn delete(&mut self, key: &ObjectKey) -> bool {
        self.objects.remove(key).is_some()
    }

    /// These are all objects of a kind: others of it went while nobody watched. Returns those that went.
    pub fn reset(&mut self, kind: Kind, objects: impl IntoIterator<Item = (ObjectKey, Value)>) -> Vec<ObjectKey> {
        let mut gone: BTreeSet<ObjectKey> = self.objects.keys().filter(|key| key.kind == kind).cloned().collect();
        for (key, object) in objects {
            gone.remove(&key);
            self.apply(key, object);
        }
        for key in &gone {
            self.objects.remove(key);
        }
        self.listed.insert(kind);
        gone.into_iter().collect()
    }

    /// The operator's bounds have changed: every object is judged again.
    pub fn bound(&mut self, bounds: Bounds) {
        self.bounds = bounds;
        for (key, entry) in &mut self.objects {
            entry.verdict = convert(key, &entry.object, &self.bounds);
        }
    }

    /// The objects with their verdicts, sorted.
    pub fn entries(&self) -> impl Iterator<Item = (&ObjectKey, &Entry)> {
        self.objects.iter()
    }

    /// One of them.
    pub fn get(&self, key: &ObjectKey) -> Option<&Entry> {
        self.objects.get(key)
    }

    /// The rules of all accepted objects that have not expired at `now`, in seconds since 1970.
    pub fn rules(&self, now: u64) -> ClusterRules {
        let accepted = self.objects.values().filter_map(|entry| match &entry.verdict {
            Verdict::Accepted(policy) => Some(in_force(policy, now)),
            _ => None,
        });
        let mut policies: Vec<Policy> = accepted.collect();
        policies.sort_by(|a, b| a.name.cmp(&b.name));
        ClusterRules { policies }
    }

    /// When the next rule expires after `now`.
    pub fn next_expiry(&self, now: u64) -> Option<u64> {
        let policies =
            self.objects.values().filter_map(|entry| if let Verdict::Accepted(policy) = &entry.verdict { Some(policy) } else { None });
        policies.flat_map(|policy| policy.ingress.iter().chain(&policy.egress)).filter_map(|rule| rule.expires).filter(|at| *at > now).min()
    }
}

/// The policy without its rules that have expired.
pub fn in_force(policy: &Policy, now: u64) -> Policy {
    let lives = |rule: &&Rule| rule.expires.is_none_or(|at| at > now);
    let living = |rules: &[Rule]| rules.iter().filter(lives).cloned().collect();
    Policy { name: policy.name.clone(), ingress: living(&policy.ingress), egress: living(&policy.egress) }
}

/// The names of a policy's rules.
pub fn rule_ids(policy: &Policy) -> BTreeSet<RuleId> {
    rules(std::slice::from_ref(policy)).map(|(id, _)| id).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn key(kind: Kind, name: &str) -> ObjectKey {
        ObjectKey { kind, namespace: if kind == Kind::FirewallPolicy { String::new() } else { "firewall".into() }, name: name.into() }
    }

    fn cnp(cidr: &str) -> Value {
        json!({"spec": {"egress": [{"to": [{"cidr": cidr}]}]}})
    }

    fn names(index: &Index) -> Vec<String> {
        index.rules(0).policies.iter().map(|policy| policy.name.to_string()).collect()
    }

    #[test]
    fn f01_one_bad_object_never_stops_another() {
        let mut index = Index::new(Bounds::default());
        let kind = Kind::ClusterwideNetworkPolicy;
        let objects = [("a", cnp("10.0.0.0/8")), ("b", cnp("10.0.0.0/99")), ("c", json!({"spec": {"egress": 7}})), ("d", cnp("fd00::/8"))];
        index.reset(kind, objects.map(|(name, object)| (key(kind, name), object)));
        assert_eq!(names(&index), ["cnp-a", "cnp-d"]);
        assert!(matches!(index.get(&key(kind, "c")).unwrap().verdict, Verdict::Refused(_)));
        // and an accepted object that becomes bad takes its own rules back and nobody else's
        index.apply(key(kind, "a"), cnp("nothing"));
        assert_eq!(names(&index), ["cnp-d"]);
    }

    #[test]
    fn what_went_while_nobody_watched_is_gone_after_a_reset_of_its_kind_alone() {
        let mut index = Index::new(Bounds::default());
        let (cnps, policies) = (Kind::ClusterwideNetworkPolicy, Kind::FirewallPolicy);
        index.reset(cnps, ["a", "b"].map(|name| (key(cnps, name), cnp("10.0.0.0/8"))));
        index.reset(policies, [(key(policies, "p"), json!({"spec": {"ingress": [{"action": "allow"}]}}))]);
        assert!(!index.is_complete());
        index.reset(Kind::Service, []);
        assert!(index.is_complete());
        assert_eq!(index.reset(cnps, [(key(cnps, "b"), cnp("10.0.0.0/8"))]), [key(cnps, "a")]);
        assert_eq!(names(&index), ["cnp-b", "fwp-p"]);
    }

    #[test]
    fn rules_end_when_they_say() {
        let mut index = Index::new(Bounds::default());
        let rule = json!({"action": "allow", "expires": "1970-01-01T00:01:40Z"});
        index.apply(key(Kind::FirewallPolicy, "p"), json!({"spec": {"ingress": [rule, {"action": "deny"}]}}));
        assert_eq!((index.rules(99).policies[0].ingress.len(), index.next_expiry(99)), (2, Some(100)));
        assert_eq!((index.rules(100).policies[0].ingress.len(), index.next_expiry(100)), (1, None));
    }
}
