//! `FirewallPolicy`.

use serde_json::{Value, json};

use super::schema::{column, conditions, list, number, object, root, text, with_rules};
use super::{GROUP, Names, definition};

// The API server bounds what its rules (CEL) may cost, so everything that they look at has a bound.
const RULES: usize = 128;
const PEERS: usize = 128;
const EXCEPT: usize = 64;
const PORTS: usize = 64;
/// `ffff:ffff:ffff:ffff:ffff:ffff:255.255.255.255/128`
const CIDR_TEXT: usize = 49;

/// The definition of `FirewallPolicy`. It stands for the whole cluster, so it is in no namespace: who may write it decides who may open the firewall.
pub fn firewall_policy() -> Value {
    let names = Names { group: GROUP, kind: "FirewallPolicy", plural: "firewallpolicies", short: "fwp", scope: "Cluster" };
    let spec = object(
        "The rules. The first one that matches decides, in the order of priority; at the same priority deny wins; what no rule matches is dropped.",
        &[
            ("ingress", list("Rules for connections into the cluster's networks.", &rule(), RULES)),
            ("egress", list("Rules for connections out of them.", &rule(), RULES)),
        ],
        &[],
    );
    let status = object(
        "What the firewall holds of it.",
        &[
            ("conditions", conditions()),
            ("observedGeneration", json!({"type": "integer", "format": "int64", "description": "Of which generation the status speaks."})),
            ("rules", json!({"type": "integer", "format": "int32", "description": "How many of its rules the kernel holds."})),
        ],
        &[],
    );
    let condition = |name: &str| format!(".status.conditions[?(@.type==\"{name}\")]");
    let columns = json!([
        column("Accepted", "string", &format!("{}.status", condition("Accepted")), 0),
        column("Programmed", "string", &format!("{}.status", condition("Programmed")), 0),
        column("Rules", "integer", ".status.rules", 0),
        column("Message", "string", &format!("{}.message", condition("Programmed")), 1),
        column("Age", "date", ".metadata.creationTimestamp", 0),
    ]);
    definition(&names, &columns, &root("Rules of the cluster's firewall.", &[("spec", spec), ("status", status)], &["spec"]))
}

fn rule() -> Value {
    object(
        "One rule, about new connections: answers pass. Empty lists mean everyone, and all ports and protocols.",
        &[
            (
                "action",
                json!({"type": "string", "enum": ["allow", "deny"], "description": "What happens to a new connection that matches."}),
            ),
            ("priority", number("Lower numbers are looked at first; 1000 where it is not given.", 0, 65535)),
            ("from", list("Where the connection comes from.", &peer(), PEERS)),
            ("to", list("Where it goes.", &peer(), PEERS)),
            ("ports", list("Which protocols and ports.", &port(), PORTS)),
            ("log", json!({"type": "boolean", "description": "Whether connections that this rule decides are logged."})),
            ("expires", json!({"type": "string", "format": "date-time", "description": "When the rule ends."})),
        ],
        &["action"],
    )
}

fn peer() -> Value {
    let cidr = with_rules(
        text("An address block, without bits beside its prefix.", CIDR_TEXT),
        &[("isCIDR(self)", "is not an address block such as 192.0.2.0/24")],
    );
    let part = text("A part of the block.", CIDR_TEXT);
    let peer = object(
        "An address block, a DNS name or a network: exactly one of them.",
        &[
            ("cidr", cidr),
            ("except", list("Parts of this block, and of no other one, that are left out.", &part, EXCEPT)),
            ("fqdn", text("A DNS name, or all names below one: *.example.com.", 253)),
            ("network", text("A network that the firewall joins.", 63)),
        ],
        &[],
    );
    with_rules(
        peer,
        &[
            ("[has(self.cidr), has(self.fqdn), has(self.network)].filter(x, x).size() == 1", "exactly one of cidr, fqdn and network"),
            ("!has(self.except) || has(self.cidr)", "except belongs to a cidr"),
        ],
    )
}

fn port() -> Value {
    let protocol = json!({
        "type": "string", "enum": ["TCP", "UDP", "SCTP", "ICMP", "ICMPv6", "any"], "description": "The protocol; TCP where it is not given.",
    });
    let port = object(
        "A protocol, with ports where it has them.",
        &[
            ("protocol", protocol),
            ("port", number("The port, or the first of a range; all where it is not given.", 1, 65535)),
            ("endPort", number("The last port of a range.", 1, 65535)),
        ],
        &[],
    );
    with_rules(
        port,
        &[
            ("!has(self.endPort) || (has(self.port) && self.endPort >= self.port)", "endPort needs a port, and is not below it"),
            ("!has(self.port) || !has(self.protocol) || self.protocol in ['TCP', 'UDP', 'SCTP']", "only TCP, UDP and SCTP have ports"),
        ],
    )
}
