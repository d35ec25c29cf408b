//! metal-stack's `ClusterwideNetworkPolicy`, field by field as its own definition has it (version v1, made with controller-gen 0.18).

use serde_json::{Value, json};

use super::schema::{column, object, root};
use super::{METAL_STACK, Names, definition};

/// The definition of `ClusterwideNetworkPolicy`.
pub fn clusterwide_network_policy() -> Value {
    let names = Names {
        group: METAL_STACK,
        kind: "ClusterwideNetworkPolicy",
        plural: "clusterwidenetworkpolicies",
        short: "cwnp",
        scope: "Namespaced",
    };
    let array = |items: &Value| json!({"type": "array", "items": items});
    let text = || json!({"type": "string"});
    let number = || json!({"type": "integer", "format": "int32"});
    let ports = array(&object(
        "Ports of a protocol, TCP where none is given.",
        &[("protocol", text()), ("port", number()), ("endPort", number())],
        &[],
    ));
    let parts = json!({"type": "array", "items": {"type": "string"}, "x-kubernetes-list-type": "atomic"});
    let blocks = array(&object("An address block without some parts of it.", &[("cidr", text()), ("except", parts)], &["cidr"]));
    let pattern = |pattern: &str| json!({"type": "string", "pattern": pattern});
    let selector = object(
        "A DNS name, or a pattern with `*`.",
        &[("matchName", pattern("^([-a-zA-Z0-9_]+[.]?)+$")), ("matchPattern", pattern("^([-a-zA-Z0-9_*]+[.]?)+$"))],
        &[],
    );
    let ingress = object("Connections into the cluster.", &[("ports", ports.clone()), ("from", blocks.clone())], &[]);
    let egress = object("Connections out of the cluster.", &[("ports", ports), ("to", blocks), ("toFQDNs", array(&selector))], &[]);
    let spec = object("The rules.", &[("description", text()), ("ingress", array(&ingress)), ("egress", array(&egress))], &[]);
    let columns = json!([column("Status", "string", ".status.state", 0), column("Message", "string", ".status.message", 0)]);
    definition(&names, &columns, &root("Rules of the cluster's firewall.", &[("spec", spec), ("status", status())], &[]))
}

fn status() -> Value {
    let text = || json!({"type": "string"});
    let time = || json!({"type": "string", "format": "date-time"});
    let set = object(
        "Addresses of a name; not written by Leafwall.",
        &[
            ("expirationTime", time()),
            ("fqdn", text()),
            ("ipExpirationTimes", json!({"type": "object", "additionalProperties": time()})),
            ("ips", json!({"type": "array", "items": {"type": "string"}})),
            ("setName", text()),
            ("version", text()),
        ],
        &[],
    );
    let sets = json!({"type": "object", "additionalProperties": {"type": "array", "items": set}});
    object("How it stands.", &[("fqdn_state", sets), ("message", text()), ("state", text())], &[])
}
