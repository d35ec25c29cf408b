//! What the `Firewall` object shows: the operator's intent and how the machine stands. Pure.

use leafwall_policy::zone::{Access, FirewallRules, Zone, ZoneKind};
use leafwall_topology::Prefix;
use serde_json::{Map, Value, json};

use crate::crds::MIRROR_MOST;
use crate::status::condition;
use crate::verdict::cut;

/// A message has this many bytes at most.
const MESSAGE: usize = 1000;
/// The condition that says whether the kernel holds the cluster's rules.
const PROGRAMMED: &str = "Programmed";

/// How a machine stands.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MachineState {
    /// Which of the cluster's firewall machines says so.
    pub machine: String,
    /// Objects of the cluster that have rules, or will once they have an address.
    pub objects: usize,
    /// Objects that are refused.
    pub refused: usize,
    /// Rules of the cluster that the kernel was found to hold.
    pub rules: usize,
    /// Why the kernel does not hold them all, if it does not.
    pub problem: Option<String>,
    /// What went wrong last, and when (RFC 3339); stays when it is over.
    pub last_error: Option<(String, String)>,
}

impl MachineState {
    /// Whether the kernel holds what it should, as one word.
    pub const fn reason(&self) -> &'static str {
        if self.problem.is_some() { "NotWritten" } else { "InKernel" }
    }

    /// The same for people.
    pub fn message(&self) -> String {
        match &self.problem {
            Some(problem) => cut(&format!("the rules from before stay: {problem}"), MESSAGE),
            None => format!("the kernel holds {} rules of {} objects", self.rules, self.objects),
        }
    }
}

/// The patch (a merge patch) that makes the object's status say so, unless it does already.
///
/// `generation` is the fabric's revision whose ruleset the machine confirmed last, where that is known; `time` is now, as RFC 3339.
pub fn patch(object: &Value, firewall: &FirewallRules, state: &MachineState, generation: Option<u64>, time: &str) -> Option<Value> {
    let holds = state.problem.is_none();
    let programmed = condition(object, PROGRAMMED, holds, state.reason(), &state.message(), &Value::Null, time);
    let wanted = json!({
        "tenant": firewall.tenant,
        "access": match firewall.access {
            Access::Baseline => "baseline",
            Access::Restricted => "restricted",
            Access::Forbidden => "forbidden",
        },
        // a side without a bound is null, or a merge patch would leave what was there
        "allowedNetworks": {"ingress": bound(firewall.allowed_ingress.as_deref()), "egress": bound(firewall.allowed_egress.as_deref())},
        "networks": firewall.zones.iter().take(MIRROR_MOST).map(network).collect::<Vec<_>>(),
        "machine": state.machine,
        "generation": generation,
        "objects": state.objects,
        "refused": state.refused,
        "rules": state.rules,
        "conditions": [programmed],
        "lastError": state.last_error.as_ref().map(|(time, message)| json!({"time": time, "message": cut(message, MESSAGE)})),
    });
    let there = object.get("status").map(without_nulls).unwrap_or_default();
    let mut patched = wanted;
    if there == without_nulls(&patched) {
        return None;
    }
    // what somebody else wrote there goes
    for name in there.as_object().into_iter().flat_map(Map::keys) {
        if patched.get(name).is_none() {
            patched[name] = Value::Null;
        }
    }
    Some(json!({"status": patched}))
}

fn bound(prefixes: Option<&[Prefix]>) -> Value {
    prefixes.map_or(Value::Null, texts)
}

fn texts(prefixes: &[Prefix]) -> Value {
    prefixes.iter().take(MIRROR_MOST).map(|prefix| json!(prefix.to_string())).collect()
}

fn network(zone: &Zone) -> Value {
    let kind = match zone.kind {
        ZoneKind::Own => "own",
        ZoneKind::Shared => "shared",
        ZoneKind::External => "external",
    };
    let addresses = zone.snat.v4.iter().map(ToString::to_string).chain(zone.snat.v6.iter().map(ToString::to_string));
    let egress: Vec<String> = addresses.take(MIRROR_MOST).collect();
    json!({"name": zone.network, "type": kind, "prefixes": texts(&zone.prefixes), "egress": egress})
}

fn without_nulls(value: &Value) -> Value {
    match value {
        Value::Object(fields) => {
            let kept = fields.iter().filter(|(_, value)| !value.is_null());
            Value::Object(kept.map(|(name, value)| (name.clone(), without_nulls(value))).collect())
        }
        Value::Array(list) => list.iter().map(without_nulls).collect(),
        other => other.clone(),
    }
}

#[cfg(test)]
mod tests {
    use leafwall_policy::zone::Failsafe;

    use super::*;

    fn firewall() -> FirewallRules {
        FirewallRules {
            firewall: "fw".parse().unwrap(),
            tenant: "bank".parse().unwrap(),
            zones: Vec::new(),
            access: Access::Restricted,
            allowed_ingress: None,
            allowed_egress: Some(vec!["192.0.2.0/24".parse().unwrap()]),
            log_accepted: false,
            policies: Vec::new(),
            resolvers: Vec::new(),
            failsafe: Failsafe {
                uplinks: Vec::new(),
                loopback: [10, 0, 0, 1].into(),
                vteps: "10.0.0.0/24".parse().unwrap(),
                management: None,
                inband: None,
            },
        }
    }

    /// What a merge patch makes of an object's status (RFC 7396), as far as it is nested here.
    fn merged(object: &mut Value, patch: &Value) {
        fn merge(target: &mut Value, patch: &Value) {
            let Value::Object(fields) = patch else {
                *target = patch.clone();
                return;
            };
            if !target.is_object() {
                *target = json!({});
            }
            for (name, value) in fields {
                if value.is_null() {
                    target.as_object_mut().unwrap().remove(name);
                } else {
                    merge(&mut target[name.as_str()], value);
                }
            }
        }
        merge(object, patch);
    }

    #[test]
    fn the_mirror_says_what_is_and_is_written_once() {
        let mut object = json!({"metadata": {"name": "fw"}});
        let mut state = MachineState { machine: "fw-01".into(), objects: 3, refused: 1, rules: 5, ..MachineState::default() };
        let first = patch(&object, &firewall(), &state, Some(7), "T1").unwrap();
        merged(&mut object, &first);
        let status = &object["status"];
        assert_eq!((&status["access"], &status["generation"], &status["rules"]), (&json!("restricted"), &json!(7), &json!(5)));
        assert_eq!(status["allowedNetworks"], json!({"egress": ["192.0.2.0/24"]}));
        assert_eq!(patch(&object, &firewall(), &state, Some(7), "T2"), None, "nothing is new");

        state.problem = Some("nft is gone".into());
        state.last_error = Some(("T3".into(), "nft is gone".into()));
        let bad = patch(&object, &firewall(), &state, Some(7), "T3").unwrap();
        merged(&mut object, &bad);
        let condition = &object["status"]["conditions"][0];
        assert_eq!(
            (&condition["status"], &condition["reason"], &condition["lastTransitionTime"]),
            (&json!("False"), &json!("NotWritten"), &json!("T3"))
        );
        state.problem = None;
        let good = patch(&object, &firewall(), &state, Some(8), "T4").unwrap();
        merged(&mut object, &good);
        let status = &object["status"];
        assert_eq!(
            (&status["conditions"][0]["lastTransitionTime"], &status["lastError"]["message"]),
            (&json!("T4"), &json!("nft is gone"))
        );
    }

    /// F9 and DESIGN: what a tenant writes there changes nothing, and does not stay.
    #[test]
    fn what_somebody_else_writes_there_goes() {
        let (state, mut object) = (MachineState::default(), json!({}));
        let first = patch(&object, &firewall(), &state, None, "T").unwrap();
        merged(&mut object, &first);
        let right = object.clone();
        for (path, forged) in [
            ("access", json!("baseline")),
            ("generation", json!(99)),
            ("lastError", json!({"message": "none"})),
            ("allowedNetworks", json!({"ingress": ["0.0.0.0/0"], "egress": ["192.0.2.0/24"]})),
            ("conditions", json!([])),
            ("other", json!("x")),
        ] {
            object["status"][path] = forged;
            let back = patch(&object, &firewall(), &state, None, "T").unwrap_or_else(|| panic!("{path} is not seen"));
            merged(&mut object, &back);
            assert_eq!(object, right, "{path}");
        }
    }
}
