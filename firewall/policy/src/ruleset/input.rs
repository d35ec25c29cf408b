//! The `input` chain: what reaches the firewall machine itself. It holds the failsafe, which no policy can lock out (F15, F17).

use std::net::IpAddr;

use leafwall_topology::IfName;

use super::build::{
    ACCEPT, DROP, address, base_chain, counter, destination_port, equal, from_link_local, in_prefix, interfaces, number, numbers,
    per_second, rule, states,
};
use super::names;
use crate::nft::{Chain, Counter, CtState, Expression, Hook, IpField, Operand, Policy, Rule, Statement, Transport, Value, priority};
use crate::zone::{Failsafe, FirewallRules, Inband, ZoneKind};

/// ICMP types that carry an error: destination unreachable (with "fragmentation needed" inside), time exceeded, parameter problem (RFC 792).
pub const ICMP_ERRORS: [u64; 3] = [3, 11, 12];
/// ICMPv6 types below 128 are errors: unreachable, packet too big, time exceeded, parameter problem (RFC 4443 §2.1).
pub const ICMPV6_ERRORS: [u64; 4] = [1, 2, 3, 4];
/// Router and neighbour solicitation and advertisement (RFC 4861). Redirects are not among them: nothing here takes one.
pub const NEIGHBOUR_DISCOVERY: [u64; 4] = [133, 134, 135, 136];
/// Echo requests a second that are answered.
pub const ECHO_RATE: u64 = 100;

/// BGP (RFC 4271 §8.2.1), BFD control and echo (RFC 5881 §4), VXLAN (RFC 7348 §5).
const BGP: u64 = 179;
const BFD: [u64; 2] = [3784, 3785];
const VXLAN: u64 = 4789;
const SSH: u64 = 22;
const DNS: u64 = 53;
const ICMP_ECHO: u64 = 8;
const ICMPV6_ECHO: u64 = 128;

pub(super) fn chains(firewall: &FirewallRules, counters: &mut Vec<Counter>) -> Vec<Chain> {
    let failsafe = &firewall.failsafe;
    let mut rules = vec![rule([equal(Expression::InputInterface, loopback_interface()), ACCEPT])];
    rules.extend(uplink_rules(failsafe));
    rules.extend(neighbour_discovery());
    rules.push(rule([states(&[CtState::Established, CtState::Related]), ACCEPT]));
    rules.extend(failsafe.management.iter().filter_map(|port| {
        // out of band: no tenant is there
        Some(rule([interfaces(Expression::InputInterface, std::slice::from_ref(port))?, ACCEPT]))
    }));
    // tenants share that network: only the operator's way in, which asks for a key
    let from = |inband: &Inband| interfaces(Expression::InputInterface, std::slice::from_ref(&inband.vrf));
    if let Some((inband, from)) = failsafe.inband.as_ref().and_then(|inband| Some((inband, from(inband)?))) {
        rules.extend(
            inband
                .addresses
                .iter()
                .map(|to| rule([from.clone(), address(IpField::Destination, *to), number(destination_port(Transport::Tcp), SSH), ACCEPT])),
        );
    }
    rules.extend(icmp());
    rules.extend(names_proxy(firewall));
    let dropped = names::fixed("drop.input");
    counters.push(Counter { name: dropped.clone() });
    rules.push(rule([counter(&dropped), DROP]));
    let input = base_chain(names::fixed("input"), Hook::Input, priority::FILTER, Policy::Drop, rules);
    let mut chains = vec![input];
    chains.extend(untracked_vxlan(failsafe));
    chains
}

fn loopback_interface() -> Operand {
    // `lo` is a legal name; a test covers it
    "lo".parse().map_or(Operand::Named(names::fixed("lo")), |lo| Operand::Value(Value::Interface(lo)))
}

/// What the leaves need: VXLAN between VTEPs of the plan's range (F15), BGP and BFD on the link.
///
/// BGP is not bound to a TTL: a listening socket answers a SYN with the host's own. Link-local sources say as much: they come from this link.
fn uplink_rules(failsafe: &Failsafe) -> Vec<Rule> {
    let Some(uplinks) = interfaces(Expression::InputInterface, &failsafe.uplinks) else { return Vec::new() };
    let vxlan = number(destination_port(Transport::Udp), VXLAN);
    let to_us = address(IpField::Destination, IpAddr::V4(failsafe.loopback));
    vec![
        rule([uplinks.clone(), in_prefix(IpField::Source, failsafe.vteps), to_us, vxlan, ACCEPT]),
        rule([uplinks.clone(), from_link_local(), number(destination_port(Transport::Tcp), BGP), ACCEPT]),
        rule([uplinks, from_link_local(), numbers(destination_port(Transport::Udp), &BFD), ACCEPT]),
    ]
}

/// ND is taken with hop limit 255 only: it comes from this link (RFC 4861 §6.1, §7.1).
pub(crate) fn neighbour_discovery() -> Vec<Rule> {
    vec![rule([number(Expression::HopLimit, 255), numbers(Expression::Icmpv6Type, &NEIGHBOUR_DISCOVERY), ACCEPT])]
}

/// The own networks ask the proxy for names, where there is one. It looks at the clients' addresses itself.
fn names_proxy(firewall: &FirewallRules) -> Vec<Rule> {
    let own: Vec<IfName> = firewall.zones.iter().filter(|zone| zone.kind == ZoneKind::Own).map(|zone| zone.input.clone()).collect();
    let Some(from) = interfaces(Expression::InputInterface, &own).filter(|_| !firewall.resolvers.is_empty()) else { return Vec::new() };
    let over = |transport| rule([from.clone(), number(destination_port(transport), DNS), ACCEPT]);
    vec![over(Transport::Udp), over(Transport::Tcp)]
}

/// Errors always; echo within a rate.
pub(crate) fn icmp() -> Vec<Rule> {
    vec![
        rule([numbers(Expression::IcmpType, &ICMP_ERRORS), ACCEPT]),
        rule([numbers(Expression::Icmpv6Type, &ICMPV6_ERRORS), ACCEPT]),
        rule([number(Expression::IcmpType, ICMP_ECHO), per_second(ECHO_RATE), ACCEPT]),
        rule([number(Expression::Icmpv6Type, ICMPV6_ECHO), per_second(ECHO_RATE), ACCEPT]),
    ]
}

/// Outer VXLAN packets have a new source port for each inner flow: conntrack would hold an entry for each, twice.
fn untracked_vxlan(failsafe: &Failsafe) -> Vec<Chain> {
    let hooks = [("prerouting", Hook::Prerouting, Expression::InputInterface), ("output", Hook::Output, Expression::OutputInterface)];
    let chain = |(name, hook, side)| {
        let uplinks = interfaces(side, &failsafe.uplinks)?;
        let rules = vec![rule([uplinks, number(destination_port(Transport::Udp), VXLAN), Statement::NoTrack])];
        Some(base_chain(names::fixed(name), hook, priority::RAW, Policy::Accept, rules))
    };
    hooks.into_iter().filter_map(chain).collect()
}
