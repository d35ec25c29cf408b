//! Rules of firewalls.

use leafwall_policy::rule::{Action, Fqdn, Protocol};
use leafwall_topology::{Name, Prefix};

use super::Timestamp;
use crate::decode::record;

record! {
    /// Rules of one firewall. What no rule allows is dropped.
    FirewallPolicyIntent {
        /// The firewall.
        firewall "firewall": required Name,
        /// Rules for connections into the tenant's networks.
        ingress "ingress": list RuleIntent,
        /// Rules for connections out of the tenant's networks.
        egress "egress": list RuleIntent,
    }
}

record! {
    /// A rule. It matches if both peers and the ports do; what is not given matches everything.
    RuleIntent {
        /// What happens to a new connection that matches.
        action "action": required Action,
        /// Lower numbers are looked at first; at the same number deny wins. 1000 where it is not given.
        priority "priority": optional u16,
        /// Where the connection comes from.
        from "from": list PeerIntent,
        /// Where it goes.
        to "to": list PeerIntent,
        /// Which protocols and ports.
        ports "ports": list PortMatchIntent,
        /// Whether connections that this rule decides are logged; `false` where it is not given.
        log "log": optional bool,
        /// When the rule ends.
        expires "expires": optional Timestamp,
    }
}

record! {
    /// One side of a connection: exactly one of `cidr`, `fqdn` and `network`.
    PeerIntent {
        /// An address block.
        cidr "cidr": optional Prefix,
        /// Parts of this block, and of no other one, that are left out.
        except "except": list Prefix,
        /// A DNS name, or all names below one: `*.example.com`.
        fqdn "fqdn": optional Fqdn,
        /// A network that the firewall joins.
        network "network": optional Name,
    } one_of BAD_PEER BAD_PEER ["cidr", "fqdn", "network"]
}

record! {
    /// A protocol, with ports where it has them.
    PortMatchIntent {
        /// The protocol; `TCP` where it is not given.
        protocol "protocol": optional Protocol,
        /// The port, or the first of a range; all where it is not given. Only TCP, UDP and SCTP have ports.
        port "port": optional u16,
        /// The last port of a range.
        end_port "endPort": optional u16,
    }
}
