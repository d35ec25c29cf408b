//! A firewall's rules → its nftables ruleset.
//!
//! Flow: `input` guards the machine itself. In `forward`, a packet's input zone picks a `source.…` chain, which drops what does not belong there (F23);
//! packets of known flows pass; a new one is sent by its zones to a `pair.…` chain: the operator's bounds, the policies' rules in their order, the chain
//! `cluster`, and the default, which is to drop. A rule that matches goes on in its own `rule.…` chain: counter, log, verdict.
//!
//! Guarantees: every packet between zones is dropped unless a rule or the agent's chain accepts it; the signed bounds stand before everything that can
//! accept; no user text stands in it but checked names (F2). Named counters of rules count flows, not packets, since established ones pass earlier.
//!
//! Caveats: policy of the `forward` chain is drop, so while the table is replaced (one transaction) nothing passes unguarded; who takes the table away must
//! stop forwarding first (F22).

pub(crate) mod build;
pub(crate) mod forward;
mod input;
pub(crate) mod matches;
pub(crate) mod names;
mod nat;

use std::collections::BTreeSet;

use leafwall_topology::{Family, IfName, Name, Prefix, names::NFT_TABLE};

pub use input::{ECHO_RATE, ICMP_ERRORS, ICMPV6_ERRORS, NEIGHBOUR_DISCOVERY};
pub use names::{CLUSTER, zones};

use crate::interval::AddressSet;
use crate::nft::{Chain, Counter, Elements, Identifier, IpField, Operand, Script, Set, SetFlags, Table, TableFamily, TableId};
use crate::order::RuleId;
use crate::rule::Fqdn;
use crate::zone::{Access, Failsafe, FirewallRules};

/// Input that cannot come from a checked model: refused whole, for half a ruleset is worse than the old one.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RulesetError {
    /// Two policies of one name: their rules' counters and chains would meet.
    #[error("two policies are called `{0}`")]
    DuplicatePolicy(Name),
    /// Two zones of one network.
    #[error("two zones are called `{0}`")]
    DuplicateZone(Name),
    /// Two zones behind one interface could not be told apart.
    #[error("interface `{0}` belongs to two zones")]
    DuplicateInterface(IfName),
    /// The underlay is IPv4.
    #[error("VTEPs live in an IPv4 range, not in `{0}`")]
    VtepRange(Prefix),
}

/// The ruleset of a firewall: one transaction that replaces our own table and nothing else.
pub fn ruleset(rules: &FirewallRules) -> Result<Script, RulesetError> {
    Ok(Script::replacing(vec![table(rules)?]))
}

/// The table alone, to compare with what the kernel holds.
pub fn table(rules: &FirewallRules) -> Result<Table, RulesetError> {
    check(rules)?;
    let mut parts = Parts::default();
    parts.chains.extend(input::chains(rules, &mut parts.counters));
    forward::build(rules, &mut parts);
    nat::build(rules, &mut parts);
    Ok(parts.into_table())
}

/// The ruleset of a firewall without an intent: the machine can be reached to be given one; nothing is forwarded (F9, F22).
pub fn closed(failsafe: &Failsafe) -> Result<Script, RulesetError> {
    let nothing: &Name = &closed_name();
    ruleset(&FirewallRules {
        firewall: nothing.clone(),
        tenant: nothing.clone(),
        zones: Vec::new(),
        access: Access::Forbidden,
        allowed_ingress: None,
        allowed_egress: None,
        log_accepted: false,
        policies: Vec::new(),
        resolvers: Vec::new(),
        failsafe: failsafe.clone(),
    })
}

#[allow(clippy::expect_used)] // a constant that a test covers
fn closed_name() -> Name {
    "closed".parse().expect("a legal name")
}

/// The set that holds the answers for a DNS name in one family; whoever resolves fills it, with a timeout for each element.
pub fn fqdn_sets(rules: &FirewallRules) -> Vec<(Fqdn, Family, Identifier)> {
    forward::fqdns(rules).all().map(|(fqdn, family, set)| (fqdn.clone(), family, set)).collect()
}

/// The counter of a rule: it counts the flows that the rule decided.
pub fn counter_of(id: &RuleId) -> Identifier {
    names::rule(id)
}

fn check(rules: &FirewallRules) -> Result<(), RulesetError> {
    let mut seen = BTreeSet::new();
    if let Some(policy) = rules.policies.iter().find(|policy| !seen.insert(&policy.name)) {
        return Err(RulesetError::DuplicatePolicy(policy.name.clone()));
    }
    let (mut networks, mut inputs, mut outputs) = (BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
    for zone in &rules.zones {
        if !networks.insert(&zone.network) {
            return Err(RulesetError::DuplicateZone(zone.network.clone()));
        }
        for (set, interface) in [(&mut inputs, &zone.input), (&mut outputs, &zone.output)] {
            if !set.insert(interface) {
                return Err(RulesetError::DuplicateInterface(interface.clone()));
            }
        }
    }
    match rules.failsafe.vteps.family() {
        Family::V4 => Ok(()),
        Family::V6 => Err(RulesetError::VtepRange(rules.failsafe.vteps)),
    }
}

/// A table while it grows.
#[derive(Debug, Default)]
struct Parts {
    counters: Vec<Counter>,
    sets: Vec<Set>,
    chains: Vec<Chain>,
    named: BTreeSet<Identifier>,
}

impl Parts {
    /// The addresses of one family as the right side of a comparison: one value inline, several in a set of this name, made once however often it is asked for.
    /// `None` if there are none.
    fn addresses(&mut self, name: Identifier, set: &AddressSet, family: Family) -> Option<Operand> {
        let values = set.values(family);
        if values.len() < 2 {
            return build::one_or_set(values);
        }
        if self.named.insert(name.clone()) {
            self.sets.push(Set {
                name: name.clone(),
                key: vec![build::address_field(family, IpField::Source).data_type()],
                flags: SetFlags { interval: true, ..SetFlags::default() },
                size: None,
                timeout: None,
                elements: Elements::values(values.into_iter().map(|value| vec![value]).collect()),
            });
        }
        Some(Operand::Named(name))
    }

    fn count(&mut self, name: &Identifier) {
        self.counters.push(Counter { name: name.clone() });
    }

    /// A chain that counts, logs within limits, and drops.
    fn drop_chain(&mut self, name: &Identifier, log_prefix: &str) {
        self.count(name);
        let rules = vec![build::rule([build::counter(name)]), build::limited_log(log_prefix), build::rule([build::DROP])];
        self.chains.push(build::chain(name.clone(), rules));
    }

    fn into_table(self) -> Table {
        let id = TableId { family: TableFamily::Inet, name: Identifier::composed(NFT_TABLE) };
        Table { id, counters: self.counters, sets: self.sets, chains: self.chains }
    }
}
