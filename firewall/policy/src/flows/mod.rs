//! Which known flows a change of rules takes away (F13): the first packet of a flow, asked of a table as the kernel holds it.
//!
//! Flow: the tables before and after a change → [`Judge`] for each → a flow is *revoked* if its first packet passed before and does not any more. Both parts
//! of the table are asked together, so that it makes no difference whose rule went.
//!
//! Connection tracking does not remember by which interfaces a flow came and went. They are found as the ruleset itself sees them: a flow comes from a zone that
//! its source belongs to, and goes into one that its answers' source belongs to (F23). What is not certain errs on the side of life: where a flow could have
//! been between several pairs of zones, as between two external networks, it lives as long as one of them lets it pass; and answers for DNS names that were
//! there before the change count afterwards (F14).
//!
//! Flows of the machine itself belong to no pair of zones; they never passed here and are never revoked.

mod lookup;

use std::collections::BTreeMap;
use std::net::IpAddr;

use leafwall_topology::IfName;

use crate::nft::{
    Chain, ChainKind, CtState, Elements, Expression, Hook, LimitMode, Operand, Operator, Policy, Rule, Statement, Table, TcpFlags, Verdict,
};
use crate::protocols::TCP;
use crate::ruleset::zones;
use lookup::{Answer, Lookup, Packet, holds};

/// Chains that call each other deeper than this are taken for a loop; nftables' own bound is 16.
const DEPTH: usize = 16;

/// A flow by its first packet, as the chain `forward` sees it: before its source is translated.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Flow {
    /// Where it comes from.
    pub source: IpAddr,
    /// Where it goes, of the same family.
    pub destination: IpAddr,
    /// The number of its IP protocol.
    pub protocol: u8,
    /// Its source port; 0 where the protocol has none.
    pub source_port: u16,
    /// Its destination port; for ICMP and ICMPv6 the type.
    pub destination_port: u16,
}

impl Flow {
    /// The first answer, as far as it says whom it comes from.
    const fn answer(self) -> Self {
        Self {
            source: self.destination,
            destination: self.source,
            protocol: self.protocol,
            source_port: self.destination_port,
            destination_port: self.source_port,
        }
    }
}

/// A table that is asked about flows.
#[derive(Debug)]
pub struct Judge<'t> {
    chains: BTreeMap<&'t str, &'t Chain>,
    forward: Vec<(&'t Chain, Policy)>,
    lookup: Lookup<'t>,
    zones: Vec<(IfName, IfName)>,
}

/// What a rule does with a packet.
enum Effect<'t> {
    /// Nothing: the next one is asked.
    Passes,
    /// This.
    Ends(&'t Verdict),
    /// This or nothing.
    MayEnd(&'t Verdict),
}

impl<'t> Judge<'t> {
    /// Of a table. Elements of sets with timeouts that `before` has count as well.
    pub fn new(table: &'t Table, before: Option<&'t Table>) -> Self {
        let forward = table.chains.iter().filter_map(|chain| {
            let base = chain.base.as_ref()?;
            (base.kind == ChainKind::Filter && base.hook == Hook::Forward).then_some((chain, base.policy))
        });
        Self {
            chains: table.chains.iter().map(|chain| (chain.name.as_str(), chain)).collect(),
            forward: forward.collect(),
            lookup: Lookup::new(table, before),
            zones: zones(table),
        }
    }

    /// Whether the flow's first packet passes between any two zones that it can be between.
    pub fn lets_pass(&self, flow: Flow) -> bool {
        let inputs: Vec<&IfName> = self.zones.iter().map(|(input, _)| input).filter(|input| self.belongs(flow, input)).collect();
        if inputs.is_empty() {
            return false;
        }
        let outputs: Vec<&IfName> =
            self.zones.iter().filter(|(input, _)| self.belongs(flow.answer(), input)).map(|(_, output)| output).collect();
        inputs.iter().any(|input| outputs.iter().any(|output| self.passes(flow, input, output)))
    }

    /// Whether the flow's first packet passes from one interface to another.
    pub fn passes(&self, flow: Flow, input: &IfName, output: &IfName) -> bool {
        self.goes(&Packet { flow, input, output: Some(output), state: CtState::New })
    }

    /// Whether packets of known flows with this source may come in by an interface.
    fn belongs(&self, flow: Flow, input: &IfName) -> bool {
        self.goes(&Packet { flow, input, output: None, state: CtState::Established })
    }

    fn goes(&self, packet: &Packet<'_>) -> bool {
        !self.forward.is_empty() && self.forward.iter().all(|(chain, policy)| self.accepts(packet, vec![(chain, 0)], *policy))
    }

    /// Whether the packet may be accepted from here on. The stack has each chain with the rule that is next in it.
    fn accepts(&self, packet: &Packet<'_>, mut stack: Vec<(&'t Chain, usize)>, policy: Policy) -> bool {
        while let Some((chain, at)) = stack.pop() {
            // behind the last rule it goes on where the chain was called
            let Some(rule) = chain.rules.get(at) else { continue };
            stack.push((chain, at + 1));
            let verdict = match self.effect(packet, rule) {
                Effect::Passes => continue,
                Effect::Ends(verdict) => verdict,
                Effect::MayEnd(verdict) => {
                    if self.accepts(packet, stack.clone(), policy) {
                        return true;
                    }
                    verdict
                }
            };
            let name = match verdict {
                Verdict::Accept => return true,
                Verdict::Drop => return false,
                Verdict::Return => {
                    stack.pop();
                    continue;
                }
                Verdict::Jump(name) => name,
                Verdict::Goto(name) => {
                    stack.pop();
                    name
                }
            };
            match self.chains.get(name.as_str()) {
                Some(called) if stack.len() < DEPTH => stack.push((called, 0)),
                _ => return false,
            }
        }
        policy == Policy::Accept
    }

    fn effect(&self, packet: &Packet<'_>, rule: &'t Rule) -> Effect<'t> {
        let mut certain = true;
        for statement in &rule.statements {
            let found = match statement {
                Statement::Verdict(verdict) => return if certain { Effect::Ends(verdict) } else { Effect::MayEnd(verdict) },
                Statement::VerdictMap { left, map } => {
                    return match self.lookup.verdict(packet, left, map) {
                        (_, None) => Effect::Passes,
                        (Answer::Yes, Some(verdict)) if certain => Effect::Ends(verdict),
                        (_, Some(verdict)) => Effect::MayEnd(verdict),
                    };
                }
                Statement::Match { left, operator, right } => self.matches(packet, left, *operator, right),
                Statement::CounterMap { left, map } => self.lookup.has(packet, left, map),
                Statement::TcpFlags(flags) => first_of_tcp(packet, *flags),
                // within its rate nothing is over it
                Statement::Limit(limit) if limit.mode == LimitMode::Over => Answer::No,
                Statement::Limit(_)
                | Statement::Counter(_)
                | Statement::Log(_)
                | Statement::Update { .. }
                | Statement::NoTrack
                | Statement::MaxSegment(_)
                | Statement::Snat(_) => Answer::Yes,
            };
            match found {
                Answer::Yes => {}
                Answer::No => return Effect::Passes,
                Answer::Unknown => certain = false,
            }
        }
        Effect::Passes
    }

    fn matches(&self, packet: &Packet<'_>, left: &[Expression], operator: Operator, right: &'t Operand) -> Answer {
        let Some(facts) = packet.facts(left) else { return Answer::No };
        let equal = match right {
            Operand::Value(stated) => holds(left, &facts, std::slice::from_ref(stated)),
            Operand::Anonymous(Elements::Values(keys)) => Answer::any(keys.iter().map(|key| holds(left, &facts, key))),
            Operand::Named(name) => self.lookup.has(packet, left, name),
            Operand::Anonymous(_) => Answer::No,
        };
        match operator {
            Operator::Equal => equal,
            Operator::NotEqual => equal.not(),
        }
    }
}

/// A flow's first packet of TCP has SYN alone.
fn first_of_tcp(packet: &Packet<'_>, flags: TcpFlags) -> Answer {
    if packet.flow.protocol != TCP {
        return Answer::No;
    }
    Answer::of((TcpFlags::SYN & flags.mask == flags.value) == (flags.operator == Operator::Equal))
}

/// Of these flows those that passed with the table before and do not with the one after.
pub fn revoked<F: Copy>(before: &Table, after: &Table, flows: impl IntoIterator<Item = F>, flow: impl Fn(F) -> Flow) -> Vec<F> {
    let (passed, passes) = (Judge::new(before, None), Judge::new(after, Some(before)));
    // each once, however often it comes
    let mut known = BTreeMap::<Flow, bool>::new();
    flows
        .into_iter()
        .filter(|one| {
            let flow = flow(*one);
            *known.entry(flow).or_insert_with(|| passed.lets_pass(flow) && !passes.lets_pass(flow))
        })
        .collect()
}
