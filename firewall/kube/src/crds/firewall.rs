//! `Firewall`: what the operator's intent and the machine say, to look at.

use serde_json::{Value, json};

use super::schema::{column, conditions, list, object, root, text};
use super::{GROUP, Names, definition};

/// Most entries of a list in the mirror; a firewall joins a handful of networks.
pub const MOST: usize = 1024;

/// The definition of `Firewall`, which has a status alone: it is a mirror, and nobody in the cluster changes what it shows (SNAT, access) by writing to it.
pub fn firewall() -> Value {
    let names = Names { group: GROUP, kind: "Firewall", plural: "firewalls", short: "fw", scope: "Cluster" };
    let prefixes = |description: &str| list(description, &text("An address block.", 49), MOST);
    let allowed = object(
        "Outer bounds on addresses outside, whatever the rules say. A side that is not given has none.",
        &[("ingress", prefixes("From where connections may come.")), ("egress", prefixes("Where connections may go."))],
        &[],
    );
    let network = object(
        "A network that the firewall joins.",
        &[
            ("name", text("Its name.", 63)),
            ("type", json!({"type": "string", "enum": ["own", "shared", "external"], "description": "Whose it is."})),
            ("prefixes", prefixes("What can be reached there.")),
            ("egress", list("The addresses that connections into it come from.", &text("An address.", 45), MOST)),
        ],
        &["name", "type"],
    );
    let count = |description: &str| json!({"type": "integer", "format": "int32", "description": description});
    let last_error = object(
        "What went wrong last; it stays when it is over.",
        &[("time", json!({"type": "string", "format": "date-time", "description": "When."})), ("message", text("What.", 32768))],
        &[],
    );
    let status = object(
        "What the operator states and the machine reports.",
        &[
            ("tenant", text("Whose it is.", 63)),
            ("access", json!({"type": "string", "enum": ["baseline", "restricted", "forbidden"], "description": "How far rules may go."})),
            ("allowedNetworks", allowed),
            ("networks", list("The networks that it joins.", &network, MOST)),
            ("machine", text("Which firewall machine says so: of several the one that leads.", 253)),
            (
                "generation",
                json!({"type": "integer", "format": "int64", "description": "The fabric's revision whose ruleset the machine confirmed last."}),
            ),
            ("objects", count("How many objects of the cluster have rules.")),
            ("refused", count("How many are refused.")),
            ("rules", count("How many of their rules the kernel holds.")),
            ("conditions", conditions()),
            ("lastError", last_error),
        ],
        &[],
    );
    let columns = json!([
        column("Tenant", "string", ".status.tenant", 0),
        column("Access", "string", ".status.access", 0),
        column("Objects", "integer", ".status.objects", 0),
        column("Refused", "integer", ".status.refused", 0),
        column("Rules", "integer", ".status.rules", 0),
        column("Programmed", "string", ".status.conditions[?(@.type==\"Programmed\")].status", 0),
        column("Machine", "string", ".status.machine", 1),
        column("Generation", "integer", ".status.generation", 1),
        column("Message", "string", ".status.conditions[?(@.type==\"Programmed\")].message", 1),
        column("Age", "date", ".metadata.creationTimestamp", 0),
    ]);
    definition(
        &names,
        &columns,
        &root("The cluster's firewall, as the operator made it: a mirror, to look at.", &[("status", status)], &[]),
    )
}
