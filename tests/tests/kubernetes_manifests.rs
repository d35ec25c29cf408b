//! The manifests that are committed are what the code says, and metal-stack's definition is metal-stack's.
#![allow(clippy::unwrap_used, clippy::panic)] // tests may fail

use leafwall_kube::crds::{GROUP, METAL_STACK, clusterwide_network_policy, yaml};
use leafwall_kube::webhook;
use leafwall_tests::{reference, root, skip};
use serde_json::Value;

#[test]
fn the_committed_definitions_are_the_exported_ones() {
    let webhook = webhook::yaml(&["fw-01.example.com:9443".to_owned()], "").unwrap();
    let definitions = [("crds.yaml", GROUP), ("metal-stack/crd.yaml", METAL_STACK)].map(|(file, group)| (file, yaml(group).unwrap()));
    for (file, wanted) in definitions.into_iter().chain([("webhook/webhook.yaml", webhook)]) {
        let path = root().join("firewall/kube/manifests").join(file);
        if std::env::var_os("UPDATE_GOLDENS").is_some() {
            std::fs::write(&path, &wanted).unwrap();
        }
        assert!(std::fs::read_to_string(&path).unwrap_or_default() == wanted, "{file} differs; UPDATE_GOLDENS=1 writes it anew");
    }
}

/// Without what is only there to be read.
fn bare(value: &Value) -> Value {
    match value {
        Value::Array(list) => list.iter().map(bare).collect(),
        Value::Object(fields) => {
            let kept = fields.iter().filter(|(name, value)| !(name.as_str() == "description" && value.is_string()));
            Value::Object(kept.map(|(name, value)| (name.clone(), bare(value))).collect())
        }
        other => other.clone(),
    }
}

/// So that a cluster can take either, in any order, and no manifest notices.
#[test]
fn our_definition_of_metal_stacks_kind_has_the_same_fields() {
    let Some(reference) = reference() else {
        return skip(
            "our_definition_of_metal_stacks_kind_has_the_same_fields",
            "metal-stack's definition is not there (LEAFWALL_REFERENCE)",
        );
    };
    let text = std::fs::read_to_string(reference.join("metal-stack.io_clusterwidenetworkpolicies.crd.yaml")).unwrap();
    let theirs: Value = serde_saphyr::from_str(&text).unwrap();
    assert_eq!(bare(&theirs["spec"]), bare(&clusterwide_network_policy()["spec"]));
}
