//! What can be read off a ruleset.

use std::net::{Ipv4Addr, Ipv6Addr};

use leafwall_policy::nft::{
    Chain, ChainKind, CtState, Elements, Expression, Hook, IpField, LimitMode, Operand, Policy, Statement, Table, TableFamily, Value,
    Verdict,
};
use leafwall_policy::protocols::{ICMP, ICMPV6};
use leafwall_policy::sets::{Header, PacketSet};
use leafwall_render::links::{BridgePort, LinkKind};
use leafwall_topology::IfName;

use super::{
    ANY_SOURCE, FOREIGN_RANGE, FORWARD_OPEN, Found, KEYWORD, L3MDEV, LOG_LIMIT, MAC_FLOOD, NO_GUARD, PATH_MTU, Place, SNAT_PROTOCOL,
};
use crate::ground::Owner;
use crate::nft::{Certainty, Context};

/// VXLAN's port.
const VXLAN: u64 = 4789;

/// Words that `nft` reads as something else than a name, of those that somebody might take for one.
const KEYWORDS: &[&str] = &[
    "accept",
    "add",
    "chain",
    "comment",
    "continue",
    "counter",
    "ct",
    "daddr",
    "delete",
    "device",
    "drop",
    "dynamic",
    "element",
    "elements",
    "fib",
    "flags",
    "flow",
    "flowtable",
    "flush",
    "forward",
    "fwd",
    "goto",
    "hook",
    "icmp",
    "icmpv6",
    "iif",
    "iifname",
    "inet",
    "ingress",
    "input",
    "insert",
    "ip",
    "ip6",
    "jump",
    "last",
    "limit",
    "list",
    "log",
    "map",
    "mark",
    "masquerade",
    "meta",
    "meter",
    "nat",
    "netdev",
    "notrack",
    "oif",
    "oifname",
    "output",
    "policy",
    "postrouting",
    "prerouting",
    "priority",
    "queue",
    "quota",
    "redirect",
    "reject",
    "replace",
    "reset",
    "return",
    "rule",
    "saddr",
    "sctp",
    "secmark",
    "set",
    "size",
    "snat",
    "socket",
    "synproxy",
    "table",
    "tcp",
    "timeout",
    "tproxy",
    "type",
    "typeof",
    "udp",
    "update",
    "vlan",
    "vmap",
    "xt",
];

/// Names of base chains that every nftables prints and reads again: its grammar knows them as hooks only where a hook stands.
const HOOKS: &[&str] = &["forward", "input", "output", "postrouting", "prerouting"];

pub(super) fn check(place: &Place<'_>, found: &mut Found<'_>) {
    names(place, found);
    logs(place, found);
    if place.is_switch() {
        guards(place, found);
        macs(place, found);
        inputs(place, found);
    }
    if place.is_firewall() {
        forwarding(place, found);
        translation(place, found);
        tunnels(place, found);
        errors(place, found);
    }
}

fn tables<'a>(place: &'a Place<'_>) -> impl Iterator<Item = &'a Table> {
    place.device.nft.script().tables()
}

fn chains<'a>(place: &'a Place<'_>) -> impl Iterator<Item = (&'a Table, &'a Chain)> {
    tables(place).flat_map(|table| table.chains.iter().map(move |chain| (table, chain)))
}

fn hooked<'a>(place: &'a Place<'_>, kind: ChainKind, hook: Hook) -> impl Iterator<Item = (&'a Table, &'a Chain)> {
    chains(place).filter(move |(_, chain)| chain.base.as_ref().is_some_and(|base| base.kind == kind && base.hook == hook))
}

fn head(chain: &Chain) -> String {
    format!("chain {} {{", chain.name)
}

/// F19
fn names(place: &Place<'_>, found: &mut Found<'_>) {
    let named = |name: &str| KEYWORDS.contains(&name) && !HOOKS.contains(&name);
    for table in tables(place) {
        for chain in table.chains.iter().filter(|chain| named(chain.name.as_str())) {
            found.nft(KEYWORD, &head(chain), format!("chain {}", chain.name));
        }
        for set in table.sets.iter().filter(|set| named(set.name.as_str())) {
            found.nft(KEYWORD, &format!(" {} {{", set.name), format!("set {}", set.name));
        }
    }
}

/// F11
fn logs(place: &Place<'_>, found: &mut Found<'_>) {
    for (_, chain) in chains(place) {
        for rule in &chain.rules {
            let mut limited = false;
            for statement in &rule.statements {
                match statement {
                    Statement::Limit(limit) if limit.mode == LimitMode::Within => limited = true,
                    Statement::Log(_) if !limited => {
                        found.nft(LOG_LIMIT, &head(chain), format!("chain {} logs without a limit before it", chain.name));
                    }
                    _ => {}
                }
            }
        }
    }
}

fn ingress<'a>(place: &'a Place<'_>, port: &'a IfName) -> impl Iterator<Item = (&'a Table, &'a Chain)> {
    let here = move |chain: &Chain| chain.base.as_ref().is_some_and(|base| base.device.as_ref() == Some(port));
    hooked(place, ChainKind::Filter, Hook::Ingress).filter(move |(table, chain)| table.id.family == TableFamily::Netdev && here(chain))
}

/// H38
fn guards(place: &Place<'_>, found: &mut Found<'_>) {
    for (port, owner) in place.ground.owners_at(&place.device.name) {
        if !matches!(owner, Owner::Firewall(..)) || !place.device.is_up(port) {
            continue;
        }
        let mut guarding = ingress(place, port).peekable();
        if guarding.peek().is_none() {
            found.nft(NO_GUARD, "", format!("no ingress chain at {port}"));
        }
        for (_, chain) in guarding.filter(|(_, chain)| chain.base.as_ref().is_some_and(|base| base.policy != Policy::Drop)) {
            found.nft(NO_GUARD, &head(chain), format!("chain {} at {port} accepts what no rule decides", chain.name));
        }
    }
}

/// H41, the ports' part.
fn macs(place: &Place<'_>, found: &mut Found<'_>) {
    for link in &place.device.links.links {
        if !matches!(link.bridge_port, Some(BridgePort::Access { .. })) || !place.device.is_up(&link.name) {
            continue;
        }
        let bounded = ingress(place, &link.name).any(|(table, chain)| {
            let updates = chain.rules.iter().flat_map(|rule| &rule.statements).filter_map(|statement| match statement {
                Statement::Update { set, key } if key.contains(&Expression::EtherSource) => Some(set),
                _ => None,
            });
            updates.into_iter().any(|name| table.sets.iter().any(|set| set.name == *name && set.size.is_some()))
        });
        if !bounded {
            found.nft(MAC_FLOOD, &format!("device \"{}\"", link.name), format!("{} has no set of a size for learned addresses", link.name));
        }
    }
}

/// H40, the ruleset's part.
fn inputs(place: &Place<'_>, found: &mut Found<'_>) {
    let vrfs = place.device.vrfs().next().is_some();
    if vrfs && hooked(place, ChainKind::Filter, Hook::Input).next().is_none() {
        found.nft(L3MDEV, "", "no input chain, and there are VRFs");
    }
}

/// F9 and F23
fn forwarding(place: &Place<'_>, found: &mut Found<'_>) {
    let filtering = |chain: &Chain| chain.base.as_ref().is_some_and(|base| base.priority == leafwall_policy::nft::priority::FILTER);
    let mut any = false;
    for (table, chain) in hooked(place, ChainKind::Filter, Hook::Forward).filter(|(_, chain)| filtering(chain)) {
        any = true;
        if chain.base.as_ref().is_some_and(|base| base.policy != Policy::Drop) {
            found.nft(FORWARD_OPEN, &head(chain), format!("chain {} has the policy accept", chain.name));
        }
        let vrfs = place.device.links.links.iter().filter(|link| matches!(link.kind, LinkKind::Vrf { .. }));
        for vrf in vrfs.filter(|vrf| !looks_at_source(table, chain, &vrf.name)) {
            found.nft(
                ANY_SOURCE,
                &head(chain),
                format!("chain {} does not look at the source of what comes in by {}", chain.name, vrf.name),
            );
        }
    }
    if !any {
        found.nft(FORWARD_OPEN, "", "no forward chain");
    }
}

/// Whether the first rule of a chain sends what comes in by an interface to a chain that looks at addresses of senders.
fn looks_at_source(table: &Table, chain: &Chain, input: &IfName) -> bool {
    let Some(first) = chain.rules.first() else { return false };
    let target = first.statements.iter().find_map(|statement| match statement {
        Statement::VerdictMap { left, map: Operand::Anonymous(Elements::Verdicts(entries)) }
            if left.as_slice() == [Expression::InputInterface] =>
        {
            let here = entries.iter().find(|(key, _)| key.as_slice() == [Value::Interface(input.clone())]);
            match here {
                Some((_, Verdict::Goto(to) | Verdict::Jump(to))) => Some(to),
                _ => None,
            }
        }
        _ => None,
    });
    let target = target.and_then(|name| table.chains.iter().find(|chain| chain.name == *name));
    let is_source = |expression: &Expression| matches!(expression, Expression::Ip(IpField::Source) | Expression::Ip6(IpField::Source));
    target.is_some_and(|chain| {
        let statements = chain.rules.iter().flat_map(|rule| &rule.statements);
        statements.into_iter().any(|statement| matches!(statement, Statement::Match { left, .. } if left.iter().any(is_source)))
    })
}

/// F10
fn translation(place: &Place<'_>, found: &mut Found<'_>) {
    for (_, chain) in hooked(place, ChainKind::Nat, Hook::Postrouting) {
        for rule in chain.rules.iter().filter(|rule| rule.statements.iter().any(|statement| matches!(statement, Statement::Snat(_)))) {
            let narrow = |expression: &Expression| {
                matches!(
                    expression,
                    Expression::L4Proto | Expression::SourcePort(_) | Expression::DestinationPort(_) | Expression::IcmpType
                )
            };
            let by_protocol = rule.statements.iter().any(|statement| match statement {
                Statement::Match { left, .. } => left.iter().any(narrow),
                Statement::TcpFlags(_) => true,
                _ => false,
            });
            if by_protocol {
                found.nft(SNAT_PROTOCOL, " snat ", format!("chain {} translates some protocols only", chain.name));
            }
        }
    }
}

/// F15
fn tunnels(place: &Place<'_>, found: &mut Found<'_>) {
    let underlay = place.ground.model.fabric.loopbacks;
    for (_, chain) in hooked(place, ChainKind::Filter, Hook::Input) {
        for rule in &chain.rules {
            let to = |port: u64| {
                rule.statements.iter().any(|statement| {
                    matches!(statement, Statement::Match { left, right: Operand::Value(Value::Number(number)), .. }
                        if *number == port && matches!(left.as_slice(), [Expression::DestinationPort(_)]))
                })
            };
            let accepts = rule.statements.iter().any(|statement| matches!(statement, Statement::Verdict(Verdict::Accept)));
            if !accepts || !to(VXLAN) {
                continue;
            }
            let from = rule.statements.iter().find_map(|statement| match statement {
                Statement::Match { left, right: Operand::Value(value), .. } if left.as_slice() == [Expression::Ip(IpField::Source)] => {
                    Some(value)
                }
                _ => None,
            });
            if from != Some(&Value::prefix(underlay)) {
                found.nft(FOREIGN_RANGE, &format!("udp dport {VXLAN}"), format!("tunnels are accepted from elsewhere than {underlay}"));
            }
        }
    }
}

/// F17
fn errors(place: &Place<'_>, found: &mut Found<'_>) {
    let (v4, v6) = (Ipv4Addr::new(192, 0, 2, 1), Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1));
    for (address, protocol, kind) in [(v4.into(), ICMP, 3), (v6.into(), ICMPV6, 2)] {
        let error = Header { source: address, destination: address, protocol, source_port: 0, destination_port: kind, vni: 0 };
        for vrf in place.device.links.links.iter().filter(|link| matches!(link.kind, LinkKind::Vrf { .. })) {
            let context = Context { state: CtState::New, ..Context::new(Some(&vrf.name), None, Certainty::Must) };
            let accepted: PacketSet = place.device.nft.accepted(&context, Hook::Input);
            if !accepted.contains(&error) {
                found.nft(PATH_MTU, "chain input {", format!("{error} is dropped where it comes in by {}", vrf.name));
                break;
            }
        }
    }
    let related = Context { state: CtState::Related, ..Context::new(None, None, Certainty::Must) };
    let related = place.device.nft.accepted(&related, Hook::Forward);
    let known = chains(place).flat_map(|(_, chain)| &chain.rules).flat_map(|rule| &rule.statements).any(|statement| {
        matches!(statement, Statement::VerdictMap { left, map: Operand::Anonymous(Elements::Verdicts(entries)) }
            if left.as_slice() == [Expression::CtState]
                && entries.iter().any(|(key, verdict)| key.as_slice() == [Value::Number(CtState::Related.bit())] && *verdict == Verdict::Accept))
    });
    if !known && related.is_empty() {
        found.nft(PATH_MTU, "ct state", "errors about flows that were let through are dropped");
    }
}
