//! The definitions of the kinds, as values that are serialised.
//!
//! `FirewallPolicy` and `Firewall` are ours. `ClusterwideNetworkPolicy` is metal-stack's: a cluster that comes from there has it, and keeps it; others may
//! take it from here, with the same fields.

mod firewall;
mod metal_stack;
mod policy;
mod schema;

use leafwall_topology::yaml::{YamlError, to_string};
use serde_json::{Value, json};

pub(crate) use firewall::MOST as MIRROR_MOST;
pub use firewall::firewall;
pub use metal_stack::clusterwide_network_policy;
pub use policy::firewall_policy;

/// The group of our kinds.
pub const GROUP: &str = "leafwall.io";
/// The group of metal-stack's.
pub const METAL_STACK: &str = "metal-stack.io";

/// All of them.
pub fn all() -> [Value; 3] {
    [firewall_policy(), firewall(), clusterwide_network_policy()]
}

/// Those of a group, as a file for `kubectl apply -f`.
///
/// # Errors
/// If one can't be written as YAML.
pub fn yaml(group: &str) -> Result<String, YamlError> {
    let wanted = all().into_iter().filter(|crd| crd.pointer("/spec/group").and_then(Value::as_str) == Some(group));
    let texts: Result<Vec<String>, _> = wanted.map(|crd| to_string(&crd)).collect();
    Ok(texts?.join("---\n"))
}

struct Names {
    group: &'static str,
    kind: &'static str,
    plural: &'static str,
    short: &'static str,
    scope: &'static str,
}

fn definition(names: &Names, columns: &Value, schema: &Value) -> Value {
    json!({
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": format!("{}.{}", names.plural, names.group)},
        "spec": {
            "group": names.group,
            "names": {
                "kind": names.kind,
                "listKind": format!("{}List", names.kind),
                "plural": names.plural,
                "singular": names.kind.to_lowercase(),
                "shortNames": [names.short],
            },
            "scope": names.scope,
            "versions": [{
                "name": "v1",
                "served": true,
                "storage": true,
                "additionalPrinterColumns": columns,
                "schema": {"openAPIV3Schema": schema},
                "subresources": {"status": {}},
            }],
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;

    /// Kubernetes' type holds bounds as floating point.
    fn in_floats(value: &Value) -> Value {
        match value {
            Value::Number(number) => json!(number.as_f64()),
            Value::Array(list) => list.iter().map(in_floats).collect(),
            Value::Object(fields) => Value::Object(fields.iter().map(|(name, value)| (name.clone(), in_floats(value))).collect()),
            other => other.clone(),
        }
    }

    #[test]
    fn every_definition_is_one() {
        let mut names = Vec::new();
        for value in all() {
            let crd: CustomResourceDefinition = serde_json::from_value(value.clone()).unwrap();
            // nothing got lost on the way into the type: no field has a wrong name
            assert!(in_floats(&serde_json::to_value(&crd).unwrap()) == in_floats(&value), "{:?}", crd.metadata.name);
            names.push(crd.metadata.name.unwrap());
        }
        assert_eq!(names, ["firewallpolicies.leafwall.io", "firewalls.leafwall.io", "clusterwidenetworkpolicies.metal-stack.io"]);
    }
}
