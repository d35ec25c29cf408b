//! Source NAT, MSS, and the limits of what goes into a network.

use leafwall_topology::{Family, Mtu};

use super::Parts;
use super::build::{DROP, address_field, base_chain, counter, equal, family, goto, interfaces, rule};
use super::names;
use crate::interval::AddressSet;
use crate::nft::{
    Expression, Hook, Identifier, IpField, Limit, LimitMode, Operand, Operator, Policy, Rate, Rule, SnatTarget, Statement, TcpFlags,
    TimeUnit, priority,
};
use crate::zone::{FirewallRules, Snat, Zone, ZoneKind};

/// Seeds the hash that spreads flows over several addresses: constant, so that a reload does not move anybody (F10).
const SPREAD_SEED: u32 = 0x6c65_6166;
/// Bytes of an IPv4 and a TCP header, and of an IPv6 and a TCP header (RFC 6691, RFC 8200 §8.3).
const HEADERS_V4: u16 = 40;
const HEADERS_V6: u16 = 60;
/// Bytes a second in one Mbit/s.
const BYTES_PER_MBIT: u64 = 125_000;
/// The kernel multiplies rate and bucket by 10⁹ in 64 bits and refuses what does not fit: a higher limit is held at 128 Gbit/s, which no such machine forwards.
const BYTES_MAX: u64 = 128_000 * BYTES_PER_MBIT;
/// A limit's bucket holds a tenth of a second, but two of the largest packets at least.
const BURST_PARTS: u64 = 10;
const BURST_MIN: u64 = 128 * 1024;

pub(super) fn build(firewall: &FirewallRules, parts: &mut Parts) {
    clamp(firewall, parts);
    limits(firewall, parts);
    translate(firewall, parts);
}

/// Lowers the MSS of what goes to and comes from a network with a smaller MTU; the kernel never raises one.
fn clamp(firewall: &FirewallRules, parts: &mut Parts) {
    let mut rules = Vec::new();
    for zone in &firewall.zones {
        let Some(mtu) = zone.clamp_mss_to.map(Mtu::get) else { continue };
        for (expression, interface) in [(Expression::OutputInterface, &zone.output), (Expression::InputInterface, &zone.input)] {
            for (each, headers) in [(Family::V4, HEADERS_V4), (Family::V6, HEADERS_V6)] {
                let syn = TcpFlags { mask: TcpFlags::SYN | TcpFlags::RST, operator: Operator::Equal, value: TcpFlags::SYN };
                let lowered = Statement::MaxSegment(mtu.saturating_sub(headers));
                rules.extend(
                    interfaces(expression, std::slice::from_ref(interface))
                        .map(|side| rule([side, family(each), Statement::TcpFlags(syn), lowered])),
                );
            }
        }
    }
    if !rules.is_empty() {
        parts.chains.push(base_chain(names::fixed("forward.mss"), Hook::Forward, priority::MANGLE, Policy::Accept, rules));
    }
}

/// Behind the filter, so that what is dropped anyway takes no one's share.
fn limits(firewall: &FirewallRules, parts: &mut Parts) {
    let mut rules = Vec::new();
    for zone in &firewall.zones {
        let Some(mbit) = zone.rate_mbit else { continue };
        let bytes = (u64::from(mbit.max(1)) * BYTES_PER_MBIT).min(BYTES_MAX);
        let burst = u32::try_from((bytes / BURST_PARTS).max(BURST_MIN)).unwrap_or(u32::MAX);
        let over = Limit { mode: LimitMode::Over, rate: Rate::Bytes(bytes), per: TimeUnit::Second, burst };
        let dropped = names::zone("drop.rate", &zone.network);
        parts.count(&dropped);
        rules.extend(
            interfaces(Expression::OutputInterface, std::slice::from_ref(&zone.output))
                .map(|side| rule([side, Statement::Limit(over), counter(&dropped), DROP])),
        );
    }
    if !rules.is_empty() {
        parts.chains.push(base_chain(names::fixed("forward.rate"), Hook::Forward, priority::FILTER + 10, Policy::Accept, rules));
    }
}

/// Sources of own prefixes become the firewall's addresses in that network: every protocol, never bare masquerade.
fn translate(firewall: &FirewallRules, parts: &mut Parts) {
    let mut rules = Vec::new();
    for zone in &firewall.zones {
        let set = AddressSet::of(&zone.snat.sources);
        for each in Family::BOTH {
            let Some(target) = target(&zone.snat, each) else { continue };
            let Some(sources) = sources(zone, &set, each, parts) else { continue };
            let Some(side) = interfaces(Expression::OutputInterface, std::slice::from_ref(&zone.output)) else { continue };
            rules.push(rule([side, equal(address_field(each, IpField::Source), sources), Statement::Snat(target)]));
        }
    }
    parts.chains.push(base_chain(names::fixed("postrouting"), Hook::Postrouting, priority::SRCNAT, Policy::Accept, rules));
}

fn sources(zone: &Zone, set: &AddressSet, family: Family, parts: &mut Parts) -> Option<Operand> {
    parts.addresses(names::zone_set("snat", &zone.network, family), set, family)
}

fn target(snat: &Snat, family: Family) -> Option<SnatTarget> {
    fn distinct<A: Copy + PartialEq>(addresses: &[A]) -> Vec<A> {
        let mut kept: Vec<A> = Vec::with_capacity(addresses.len());
        for address in addresses {
            if !kept.contains(address) {
                kept.push(*address);
            }
        }
        kept
    }
    match family {
        Family::V4 => match distinct(&snat.v4).as_slice() {
            [] => None,
            [one] => Some(SnatTarget::V4(*one)),
            several => Some(SnatTarget::SpreadV4 { seed: SPREAD_SEED, addresses: several.to_vec() }),
        },
        Family::V6 => match distinct(&snat.v6).as_slice() {
            [] => None,
            [one] => Some(SnatTarget::V6(*one)),
            several => Some(SnatTarget::SpreadV6 { seed: SPREAD_SEED, addresses: several.to_vec() }),
        },
    }
}

/// Sources that want translating where there is no address to translate to: dropped, never let out as they are.
pub(super) fn guard(input: &Zone, output: &Zone, no_egress: &Identifier, parts: &mut Parts) -> Vec<Rule> {
    if input.kind != ZoneKind::Own {
        return Vec::new();
    }
    let set = AddressSet::of(&output.snat.sources);
    let unserved = Family::BOTH.into_iter().filter(|each| target(&output.snat, *each).is_none());
    let mut rules = Vec::new();
    for each in unserved {
        if let Some(operand) = parts.addresses(names::zone_set("unserved", &output.network, each), &set, each) {
            rules.push(rule([equal(address_field(each, IpField::Source), operand), goto(no_egress)]));
        }
    }
    rules
}
