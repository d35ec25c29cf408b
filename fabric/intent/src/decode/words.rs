//! Values that are one of a few words.

use leafwall_policy::rule::{Action, Protocol};
use leafwall_policy::zone::Access;
use leafwall_topology::{Platform, Role};

use super::{Decode, Reader, nearest, ticked};
use crate::codes;
use crate::diagnostic::Diagnostic;
use crate::model::{Mode, Nat, NetworkType, Phase, ServerRole};
use crate::raw::{Fec, QuotaItem};
use crate::shape::Shape;
use crate::tree::Node;

fn word<T: Copy>(node: &Node<'_>, reader: &mut Reader<'_>, words: &[(&'static str, T, &'static str)]) -> Option<T> {
    let text = reader.text(node)?;
    if let Some((_, value, _)) = words.iter().find(|(word, ..)| *word == text) {
        return Some(*value);
    }
    let all = || words.iter().map(|(word, ..)| *word);
    let message = format!("`{}` is not one of {}", super::scalars::shown(text), ticked(all()));
    let diagnostic = Diagnostic::error(codes::UNKNOWN_VALUE, node.place, message);
    reader.push(match nearest(text, all()) {
        Some(meant) => diagnostic.hint(format!("did you mean `{meant}`?")),
        None => diagnostic,
    });
    None
}

macro_rules! words {
    ($($ty:ty { $($text:literal => $value:ident: $doc:literal),+ $(,)? })+) => {
        $(impl Decode for $ty {
            fn decode(node: &Node<'_>, reader: &mut Reader<'_>) -> Option<Self> {
                word(node, reader, &[$(($text, Self::$value, $doc)),+])
            }

            fn shape() -> Shape {
                Shape::Words(vec![$(($text, $doc)),+])
            }
        })+
    };
}

words! {
    Role {
        "spine" => Spine: "connects leaves and exits",
        "leaf" => Leaf: "has servers and firewall machines behind its ports",
        "exit" => Exit: "connects external networks",
    }
    Platform {
        "frr" => Frr: "Linux with FRR",
        "sonic" => Sonic: "SONiC",
    }
    Fec {
        "rs" => Rs: "Reed-Solomon",
        "fc" => Fc: "fire code",
        "none" => None: "off",
    }
    ServerRole {
        "machine" => Machine: "a tenant's machine",
        "firewall" => Firewall: "a firewall machine of the provider",
    }
    QuotaItem {
        "allocations" => Allocations: "servers",
        "networks" => Networks: "networks",
        "addresses" => Addresses: "elastic addresses",
        "firewalls" => Firewalls: "firewalls",
        "policies" => Policies: "firewall policies",
    }
    NetworkType {
        "private" => Private: "its tenant's alone",
        "shared" => Shared: "other tenants' firewalls may join it",
        "external" => External: "the outside",
    }
    Nat {
        "none" => None: "everything is routed",
        "ipv4" => Ipv4: "IPv4 is translated, IPv6 routed",
        "both" => Both: "both are translated",
    }
    Mode {
        "routed" => Routed: "BGP unnumbered on the host",
        "bridged" => Bridged: "an access VLAN with an anycast gateway; one port, or two in active-backup",
    }
    Phase {
        "provisioning" => Provisioning: "its ports are in the provisioning network",
        "active" => Active: "its ports are in the tenant's network",
    }
    Access {
        "baseline" => Baseline: "rules decide, within `allowedNetworks` where given",
        "restricted" => Restricted: "only `allowedNetworks` can be met; where they are not given, nothing",
        "forbidden" => Forbidden: "nothing to or from external networks, whatever the rules say",
    }
    Action {
        "allow" => Allow: "let through",
        "deny" => Deny: "drop",
    }
    Protocol {
        "TCP" => Tcp: "with ports",
        "UDP" => Udp: "with ports",
        "SCTP" => Sctp: "with ports",
        "ICMP" => Icmp: "IPv4 only",
        "ICMPv6" => Icmpv6: "IPv6 only",
        "any" => Any: "every protocol",
    }
}
