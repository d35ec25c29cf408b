//! What a ruleset does with packets, from its syntax tree alone: sets in, sets out.
//!
//! Nothing here knows how rulesets are made. What the sets do not look at (hop limits, TCP flags, rates, learned MAC addresses) is *uncertain*: whoever asks
//! says on which side to err ([`Certainty`]).

mod alike;
mod matches;
mod ruleset;

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::net::IpAddr;

use leafwall_policy::nft::{Chain, ChainKind, CtState, Hook, Policy, Rule, Script, SnatTarget, Statement, Table, TableFamily, Verdict};
use leafwall_policy::sets::{Header, PacketSet};
use leafwall_topology::IfName;

pub use ruleset::Ruleset;

/// On which side to err where a rule looks at what sets do not hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Certainty {
    /// Whatever could happen: such a rule matches, and also does not. For what must never pass.
    May,
    /// Such a rule matches. For what must pass.
    Must,
}

/// What the kernel knows of the packets beside their headers.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Context {
    /// Where they come in.
    pub input: Option<IfName>,
    /// Where they go out.
    pub output: Option<IfName>,
    /// What conntrack says of them.
    pub state: CtState,
    /// On which side to err.
    pub certainty: Certainty,
    /// A chain whose content is not ours to know: it accepts whatever reaches it.
    pub accepting: Option<&'static str>,
}

impl Context {
    /// New flows from one interface to another.
    pub fn new(input: Option<&IfName>, output: Option<&IfName>, certainty: Certainty) -> Self {
        Self { input: input.cloned(), output: output.cloned(), state: CtState::New, certainty, accepting: None }
    }
}

/// Chains that call each other deeper than this are taken for a loop; nftables' own bound is 16.
const DEPTH: usize = 16;

/// What becomes of every packet that enters a chain or rule. With uncertainty a packet may be in several of them.
#[derive(Debug, Clone)]
struct Fate {
    accepted: PacketSet,
    dropped: PacketSet,
    /// Back to the calling chain.
    returned: PacketSet,
    /// On to the next rule.
    passed: PacketSet,
}

impl Fate {
    fn nothing() -> Self {
        Self { accepted: PacketSet::none(), dropped: PacketSet::none(), returned: PacketSet::none(), passed: PacketSet::all() }
    }

    /// This, then that for what passes.
    fn then(self, next: &Self) -> Self {
        Self {
            accepted: self.accepted.or(&self.passed.and(&next.accepted)),
            dropped: self.dropped.or(&self.passed.and(&next.dropped)),
            returned: self.returned.or(&self.passed.and(&next.returned)),
            passed: self.passed.and(&next.passed),
        }
    }

    /// One after the other, joined in pairs: the sets of long chains grow once instead of at every rule.
    fn sequence(mut fates: Vec<Self>) -> Self {
        while fates.len() > 1 {
            let mut joined = Vec::with_capacity(fates.len().div_ceil(2));
            let mut rest = fates.into_iter();
            while let Some(first) = rest.next() {
                joined.push(match rest.next() {
                    Some(second) => first.then(&second),
                    None => first,
                });
            }
            fates = joined;
        }
        fates.pop().unwrap_or_else(Self::nothing)
    }
}

/// Source translation: what is translated, and to which addresses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Translation {
    /// Which packets.
    pub packets: PacketSet,
    /// One of these becomes their source.
    pub to: Vec<IpAddr>,
}

/// A ruleset, asked under one context.
pub struct Evaluation<'a> {
    script: &'a Script,
    context: Context,
    chains: RefCell<BTreeMap<(usize, &'a str), Fate>>,
}

impl<'a> Evaluation<'a> {
    /// A script under a context.
    pub fn new(script: &'a Script, context: Context) -> Self {
        Self { script, context, chains: RefCell::default() }
    }

    fn base_chains(&self, family: TableFamily, kind: ChainKind, hook: Hook) -> Vec<(usize, &'a Table, &'a Chain)> {
        let tables = self.script.tables().enumerate().filter(|(_, table)| table.id.family == family);
        let mut chains: Vec<_> = tables
            .flat_map(|(index, table)| table.chains.iter().map(move |chain| (index, table, chain)))
            .filter(|(_, _, chain)| chain.base.as_ref().is_some_and(|base| base.kind == kind && base.hook == hook))
            .collect();
        chains.sort_by_key(|(_, _, chain)| chain.base.as_ref().map_or(0, |base| base.priority));
        chains
    }

    /// What every chain of a hook lets through, together; everything where there is none.
    pub fn accepted(&self, hook: Hook) -> PacketSet {
        let chains = self.base_chains(TableFamily::Inet, ChainKind::Filter, hook);
        chains.into_iter().fold(PacketSet::all(), |left, (index, table, chain)| left.and(&self.let_through(index, table, chain)))
    }

    /// What the ingress chains of a device let through; `None` where it has none.
    pub fn ingress(&self, device: &IfName) -> Option<PacketSet> {
        let chains = self.base_chains(TableFamily::Netdev, ChainKind::Filter, Hook::Ingress);
        let here = chains.into_iter().filter(|(_, _, chain)| chain.base.as_ref().is_some_and(|base| base.device.as_ref() == Some(device)));
        here.map(|(index, table, chain)| self.let_through(index, table, chain)).reduce(|a, b| a.and(&b))
    }

    fn let_through(&self, index: usize, table: &'a Table, chain: &'a Chain) -> PacketSet {
        let fate = self.rules(index, table, &chain.rules, 0);
        match chain.base.as_ref().map(|base| base.policy) {
            Some(Policy::Drop) => fate.accepted,
            _ => fate.accepted.or(&fate.passed).or(&fate.returned),
        }
    }

    fn rules(&self, index: usize, table: &'a Table, rules: &'a [Rule], depth: usize) -> Fate {
        Fate::sequence(rules.iter().map(|rule| self.rule(index, table, rule, depth)).collect())
    }

    fn chain(&self, index: usize, table: &'a Table, name: &'a str, depth: usize) -> Fate {
        if self.context.accepting == Some(name) {
            return Fate { accepted: PacketSet::all(), passed: PacketSet::none(), ..Fate::nothing() };
        }
        if let Some(known) = self.chains.borrow().get(&(index, name)) {
            return known.clone();
        }
        let fate = match table.chains.iter().find(|chain| chain.name.as_str() == name) {
            Some(chain) if depth < DEPTH => self.rules(index, table, &chain.rules, depth + 1),
            // not a ruleset that loads; whatever is asked, the answer is the unwelcome one
            _ => match self.context.certainty {
                Certainty::May => Fate { accepted: PacketSet::all(), passed: PacketSet::none(), ..Fate::nothing() },
                Certainty::Must => Fate { dropped: PacketSet::all(), passed: PacketSet::none(), ..Fate::nothing() },
            },
        };
        self.chains.borrow_mut().insert((index, name), fate.clone());
        fate
    }

    fn rule(&self, index: usize, table: &'a Table, rule: &'a Rule, depth: usize) -> Fate {
        let mut fate = Fate { passed: PacketSet::none(), ..Fate::nothing() };
        let mut current = PacketSet::all();
        let mut missed = PacketSet::none();
        for statement in &rule.statements {
            match statement {
                Statement::Verdict(verdict) => {
                    self.decide(index, table, &mut fate, &current, verdict, depth);
                    current = PacketSet::none();
                }
                Statement::VerdictMap { left, map } => {
                    for (packets, verdict) in matches::verdicts(table, &self.context, left, map) {
                        let here = current.and(&packets);
                        self.decide(index, table, &mut fate, &here, verdict, depth);
                        current = current.minus(&packets);
                    }
                }
                Statement::Snat(_) => {
                    fate.accepted = fate.accepted.or(&current);
                    current = PacketSet::none();
                }
                other => {
                    let found = matches::statement(table, &self.context, other);
                    missed = missed.or(&current.minus(&found.packets));
                    current = current.and(&found.packets);
                    if found.uncertain && self.context.certainty == Certainty::May {
                        missed = missed.or(&current);
                    }
                }
            }
            if current.is_empty() {
                break;
            }
        }
        fate.passed = fate.passed.or(&missed).or(&current);
        fate
    }

    fn decide(&self, index: usize, table: &'a Table, fate: &mut Fate, packets: &PacketSet, verdict: &'a Verdict, depth: usize) {
        if packets.is_empty() {
            return;
        }
        match verdict {
            Verdict::Accept => fate.accepted = fate.accepted.or(packets),
            Verdict::Drop => fate.dropped = fate.dropped.or(packets),
            Verdict::Return => fate.returned = fate.returned.or(packets),
            Verdict::Jump(to) | Verdict::Goto(to) => {
                let inner = self.chain(index, table, to.as_str(), depth);
                fate.accepted = fate.accepted.or(&packets.and(&inner.accepted));
                fate.dropped = fate.dropped.or(&packets.and(&inner.dropped));
                let back = packets.and(&inner.passed.or(&inner.returned));
                if matches!(verdict, Verdict::Jump(_)) {
                    fate.passed = fate.passed.or(&back);
                } else {
                    fate.returned = fate.returned.or(&back);
                }
            }
        }
    }

    /// Source translation at the last hook. Rules stand in the base chain itself; a jump from there is not followed and counts as no translation.
    pub fn translations(&self) -> Vec<Translation> {
        let mut found = Vec::new();
        for (_, table, chain) in self.base_chains(TableFamily::Inet, ChainKind::Nat, Hook::Postrouting) {
            let mut left = PacketSet::all();
            for rule in &chain.rules {
                let mut current = left.clone();
                for statement in &rule.statements {
                    match statement {
                        Statement::Snat(target) => {
                            left = left.minus(&current);
                            found.push(Translation { packets: current.clone(), to: addresses(target) });
                        }
                        Statement::Verdict(_) => left = left.minus(&current),
                        other => current = current.and(&matches::statement(table, &self.context, other).packets),
                    }
                }
            }
        }
        found
    }

    /// The rules that decide a packet at a hook, in words, outermost first.
    pub fn explain(&self, hook: Hook, packet: &Header) -> Vec<String> {
        let mut told = Vec::new();
        for (index, table, chain) in self.base_chains(TableFamily::Inet, ChainKind::Filter, hook) {
            self.follow(index, table, chain, packet, &mut told, 0);
        }
        told
    }

    /// Follows a packet through a chain; whether something decided it for good.
    fn follow(&self, index: usize, table: &'a Table, chain: &'a Chain, packet: &Header, told: &mut Vec<String>, depth: usize) -> bool {
        for rule in &chain.rules {
            let fate = self.rule(index, table, rule, depth);
            if fate.passed.contains(packet) && !fate.accepted.contains(packet) && !fate.dropped.contains(packet) {
                continue;
            }
            let target = rule.statements.iter().find_map(|statement| match statement {
                Statement::Verdict(Verdict::Jump(to) | Verdict::Goto(to)) => Some(to.as_str()),
                Statement::VerdictMap { left, map } => matches::verdicts(table, &self.context, left, map)
                    .into_iter()
                    .find(|(packets, _)| packets.contains(packet))
                    .and_then(|(_, verdict)| if let Verdict::Jump(to) | Verdict::Goto(to) = verdict { Some(to.as_str()) } else { None }),
                _ => None,
            });
            let next = target.and_then(|name| table.chains.iter().find(|chain| chain.name.as_str() == name));
            match next {
                Some(next) if depth < DEPTH => {
                    told.push(next.name.to_string());
                    if self.follow(index, table, next, packet, told, depth + 1) {
                        return true;
                    }
                }
                _ if fate.accepted.contains(packet) || fate.dropped.contains(packet) => return true,
                _ => {}
            }
        }
        false
    }
}

fn addresses(target: &SnatTarget) -> Vec<IpAddr> {
    match target {
        SnatTarget::V4(address) => vec![IpAddr::V4(*address)],
        SnatTarget::V6(address) => vec![IpAddr::V6(*address)],
        SnatTarget::SpreadV4 { addresses, .. } => addresses.iter().copied().map(IpAddr::V4).collect(),
        SnatTarget::SpreadV6 { addresses, .. } => addresses.iter().copied().map(IpAddr::V6).collect(),
    }
}
