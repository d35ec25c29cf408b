//! Rules of firewall policies. Nothing that gets through here can make a ruleset that nftables refuses (F1).

use leafwall_policy::rule::{PortRange, Protocol};
use leafwall_topology::{Family, Prefix};

use super::index::{Index, value};
use super::overlap::covered;
use crate::codes;
use crate::diagnostic::{Diagnostic, Diagnostics};
use crate::raw::{FirewallIntent, PeerIntent, PortMatchIntent, RuleIntent};
use crate::source::Spanned;

pub(super) fn check(index: &Index<'_>, out: &mut Diagnostics) {
    for policy in &index.intents.policies {
        let firewall = policy.spec.firewall.as_ref().and_then(|name| index.firewalls.get(&name.value)).map(|firewall| &firewall.spec);
        for rule in policy.spec.ingress.iter().chain(&policy.spec.egress) {
            let RuleIntent { from, to, ports, .. } = &rule.value;
            for peer in from.iter().chain(to) {
                check_peer(index, firewall, &peer.value, out);
            }
            for fqdn in from.iter().filter_map(|peer| peer.value.fqdn.as_ref()) {
                let message = format!("`{}` cannot be the source of a rule", fqdn.value);
                out.push(Diagnostic::error(codes::FQDN_AS_SOURCE, fqdn.place, message).hint("name the source's addresses by `cidr`"));
            }
            for port in ports {
                check_ports(port, out);
            }
            families(rule, out);
        }
    }
}

fn check_peer(index: &Index<'_>, firewall: Option<&FirewallIntent>, peer: &PeerIntent, out: &mut Diagnostics) {
    if let Some(block) = peer.cidr {
        exceptions(block, &peer.except, out);
    }
    let Some(firewall) = firewall else { return };
    if let Some(name) = &peer.network
        && index.networks.contains_key(&name.value)
        && !firewall.joins(&name.value)
    {
        let diagnostic = Diagnostic::error(codes::RULE_NETWORK, name.place, format!("the firewall does not join network `{}`", name.value));
        out.push(match firewall.networks.first() {
            Some(first) => diagnostic.with(first.place, "the networks that it joins"),
            None => diagnostic,
        });
    }
    if let Some(fqdn) = &peer.fqdn
        && firewall.dns.is_empty()
        && index.fabric.is_some_and(|fabric| fabric.dns.is_empty())
    {
        let message = format!("nobody resolves `{}` for this firewall", fqdn.value);
        out.push(Diagnostic::error(codes::NO_RESOLVER, fqdn.place, message).hint("give `dns` of the Firewall or the Fabric"));
    }
}

fn exceptions(block: Spanned<Prefix>, except: &[Spanned<Prefix>], out: &mut Diagnostics) {
    let mut inside = Vec::new();
    for part in except {
        if block.value.contains(part.value) {
            inside.push(part.value);
        } else {
            let message = format!("`{}` is no part of `{}`", part.value, block.value);
            out.push(Diagnostic::error(codes::EXCEPT_OUTSIDE, part.place, message).with(block.place, "the block"));
        }
    }
    if covered(block.value, &inside) {
        let message = format!("the exceptions leave nothing of `{}`", block.value);
        let place = except.first().map_or(block.place, |part| part.place);
        out.push(Diagnostic::error(codes::EXCEPT_EVERYTHING, block.place, message).with(place, "the exceptions"));
    }
}

fn check_ports(ports: &Spanned<PortMatchIntent>, out: &mut Diagnostics) {
    let PortMatchIntent { protocol, port, end_port } = &ports.value;
    for zero in [port, end_port].into_iter().flatten().filter(|port| port.value == 0) {
        out.push(Diagnostic::error(codes::OUT_OF_RANGE, zero.place, "0 is not a port: expected 1 to 65535"));
    }
    let kind = value(protocol.as_ref()).unwrap_or(Protocol::Tcp);
    if let Some(first) = port.or(*end_port)
        && !has_ports(kind)
    {
        let message = format!("protocol `{}` has no ports", word(kind));
        let diagnostic = Diagnostic::error(codes::PORT_WITHOUT_PORTS, first.place, message);
        out.push(match protocol {
            Some(protocol) => diagnostic.with(protocol.place, "the protocol"),
            None => diagnostic,
        });
        return;
    }
    match (port, end_port) {
        (None, Some(end)) => {
            let message = format!("a range that ends at {} and begins nowhere", end.value);
            out.push(Diagnostic::error(codes::END_WITHOUT_PORT, end.place, message).hint("give the first port as `port`"));
        }
        (Some(first), Some(end)) if first.value != 0 && end.value != 0 && PortRange::new(first.value, end.value).is_err() => {
            let message = format!("the ports {} to {} run backwards", first.value, end.value);
            out.push(Diagnostic::error(codes::PORTS_BACKWARDS, end.place, message).with(first.place, "the first port"));
        }
        _ => {}
    }
}

pub(super) const fn has_ports(protocol: Protocol) -> bool {
    matches!(protocol, Protocol::Tcp | Protocol::Udp | Protocol::Sctp)
}

const fn word(protocol: Protocol) -> &'static str {
    match protocol {
        Protocol::Tcp => "TCP",
        Protocol::Udp => "UDP",
        Protocol::Sctp => "SCTP",
        Protocol::Icmp => "ICMP",
        Protocol::Icmpv6 => "ICMPv6",
        Protocol::Any => "any",
    }
}

/// Which families something can match: IPv4, IPv6.
type Families = [bool; 2];

fn of_peers(peers: &[Spanned<PeerIntent>]) -> Families {
    // without peers everyone matches; names and networks may have both families
    let matches =
        |family: Family| peers.is_empty() || peers.iter().any(|peer| peer.value.cidr.is_none_or(|cidr| cidr.value.family() == family));
    [matches(Family::V4), matches(Family::V6)]
}

fn of_protocol(ports: &PortMatchIntent) -> Families {
    match value(ports.protocol.as_ref()) {
        Some(Protocol::Icmp) => [true, false],
        Some(Protocol::Icmpv6) => [false, true],
        _ => [true, true],
    }
}

/// A rule of which a part can match no packet at all.
fn families(rule: &Spanned<RuleIntent>, out: &mut Diagnostics) {
    let (from, to) = (of_peers(&rule.value.from), of_peers(&rule.value.to));
    let both = [from[0] && to[0], from[1] && to[1]];
    if both == [false, false] {
        let (Some(source), Some(destination)) = (rule.value.from.first(), rule.value.to.first()) else { return };
        let message = "sources and destinations of this rule have no family in common";
        out.push(Diagnostic::error(codes::RULE_FAMILY, destination.place, message).with(source.place, "the sources"));
        return;
    }
    for ports in &rule.value.ports {
        let protocol = of_protocol(&ports.value);
        if !(both[0] && protocol[0] || both[1] && protocol[1]) {
            let (is, other) = if protocol[0] { ("IPv4", "IPv6") } else { ("IPv6", "IPv4") };
            let message = format!("the protocol is of {is}, the rule's addresses are {other}");
            let diagnostic = Diagnostic::error(codes::RULE_FAMILY, ports.place, message);
            out.push(match rule.value.to.first().or(rule.value.from.first()) {
                Some(peer) => diagnostic.with(peer.place, "the addresses"),
                None => diagnostic,
            });
        }
    }
}
