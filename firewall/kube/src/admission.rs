//! What the admission webhook answers: the verdict that the object's condition would have, before it is stored. Pure.
//!
//! It is a convenience and no guard: the reconciler judges every object again, so the webhook may be away (`failurePolicy: Ignore`) and nothing opens.

use serde_json::{Value, json};

use crate::bounds::Bounds;
use crate::convert::{Verdict, convert};
use crate::key::{Kind, ObjectKey};
use crate::verdict::{Finding, Reason, summary};

/// A warning has this many characters at most, or kubectl's users see none of it.
const WARNING: usize = 256;

/// The version of the questions that are understood.
const VERSION: &str = "admission.k8s.io/v1";
/// A longer one is no uid.
const UID: usize = 128;

/// Answers an `AdmissionReview` of `admission.k8s.io/v1`; `None` if it is none.
pub fn review(question: &Value, bounds: &Bounds) -> Option<Value> {
    let is = |field: &str, wanted: &str| question.get(field).and_then(Value::as_str) == Some(wanted);
    if !is("kind", "AdmissionReview") || !is("apiVersion", VERSION) {
        return None;
    }
    let request = question.get("request")?;
    let uid = request.get("uid")?.as_str().filter(|uid| uid.len() <= UID)?;
    let answer = match judge(request, bounds) {
        Answer::Fine => json!({"uid": uid, "allowed": true}),
        Answer::Warn(findings) => json!({"uid": uid, "allowed": true, "warnings": findings.iter().map(warning).collect::<Vec<_>>()}),
        Answer::Refuse(findings) => {
            json!({"uid": uid, "allowed": false, "status": {"code": 422, "reason": "Invalid", "message": summary(&findings)}})
        }
    };
    Some(json!({"apiVersion": VERSION, "kind": "AdmissionReview", "response": answer}))
}

enum Answer {
    Fine,
    Warn(Vec<Finding>),
    Refuse(Vec<Finding>),
}

fn judge(request: &Value, bounds: &Bounds) -> Answer {
    let text = |path: &str| request.pointer(path).and_then(Value::as_str).unwrap_or_default().to_owned();
    let Some(kind) = Kind::ALL.into_iter().find(|kind| kind.as_str() == text("/kind/kind")) else { return Answer::Fine };
    let Some(object) = request.get("object").filter(|object| !object.is_null()) else { return Answer::Fine };
    let key = ObjectKey { kind, namespace: text("/namespace"), name: text("/name") };
    let Verdict::Refused(findings) = convert(&key, object, bounds) else { return Answer::Fine };
    // an object that was refused before can still be labelled, or lose a finalizer; and a Service is more than what the firewall makes of it
    let is_as_before = request.pointer("/oldObject/spec").is_some_and(|spec| object.get("spec") == Some(spec));
    let is_elsewhere = findings.iter().any(|finding| finding.reason == Reason::WrongNamespace);
    if kind == Kind::Service || is_as_before || is_elsewhere { Answer::Warn(findings) } else { Answer::Refuse(findings) }
}

fn warning(finding: &Finding) -> String {
    finding.to_string().chars().take(WARNING).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ask(kind: &str, namespace: &str, object: &Value, old: &Value) -> Value {
        let request = json!({"uid": "u", "kind": {"kind": kind}, "namespace": namespace, "name": "x", "object": object, "oldObject": old});
        let question = json!({"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": request});
        review(&question, &Bounds::default()).unwrap()["response"].clone()
    }

    #[test]
    fn the_webhook_says_what_the_condition_would() {
        let (good, bad) = (json!({"spec": {"egress": [{}]}}), json!({"spec": {"egress": [{"to": [{"cidr": "x"}]}]}}));
        let (kind, nothing) = ("ClusterwideNetworkPolicy", Value::Null);
        assert_eq!(ask(kind, "firewall", &good, &nothing), json!({"uid": "u", "allowed": true}));
        let refusal = ask(kind, "firewall", &bad, &good);
        assert_eq!(refusal["allowed"], false);
        let said = "spec.egress[0].to[0].cidr: `x` is not an address block (such as `192.0.2.0/24` or `2001:db8::/32`)";
        assert_eq!(refusal["status"]["message"], said);
        // what was bad before may stay so, and can be deleted
        assert_eq!(ask(kind, "firewall", &bad, &bad)["warnings"], json!([said]));
        assert_eq!(ask(kind, "firewall", &nothing, &bad)["allowed"], true);
        assert_eq!(ask(kind, "default", &good, &nothing)["allowed"], true);
        let service = json!({"spec": {"type": "LoadBalancer", "loadBalancerSourceRanges": ["x"]}});
        assert_eq!(ask("Service", "default", &service, &nothing)["allowed"], true);
        for none in [
            json!({}),
            json!({"request": {"uid": "u"}}),
            json!({"apiVersion": "admission.k8s.io/v1beta1", "kind": "AdmissionReview", "request": {"uid": "u"}}),
            json!({"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": {"uid": 7}}),
            json!({"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": {"uid": "u".repeat(129)}}),
        ] {
            assert_eq!(review(&none, &Bounds::default()), None, "{none}");
        }
    }
}
