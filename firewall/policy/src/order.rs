//! Which rule is looked at first, and for which pair of zones.

use std::fmt;

use leafwall_topology::Name;
use serde::{Deserialize, Serialize};

use crate::rule::{Action, Peer, Policy, Priority, Rule};
use crate::zone::{Zone, ZoneKind};

/// Which list of a policy a rule stands in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Direction {
    /// Into the tenant's own networks.
    Ingress,
    /// Out of them.
    Egress,
}

impl fmt::Display for Direction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Ingress => "ingress",
            Self::Egress => "egress",
        })
    }
}

/// Names one rule: the policy, the list, and its place there from 0.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct RuleId {
    /// The policy's name.
    pub policy: Name,
    /// Which of its lists.
    pub direction: Direction,
    /// The place in that list.
    pub index: usize,
}

impl fmt::Display for RuleId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}/{}", self.policy, self.direction, self.index)
    }
}

/// All rules with their names, in the order written.
pub fn rules(policies: &[Policy]) -> impl Iterator<Item = (RuleId, &Rule)> {
    policies.iter().flat_map(|policy| {
        let named = move |direction| move |(index, rule)| (RuleId { policy: policy.name.clone(), direction, index }, rule);
        policy
            .ingress
            .iter()
            .enumerate()
            .map(named(Direction::Ingress))
            .chain(policy.egress.iter().enumerate().map(named(Direction::Egress)))
    })
}

/// The rank of a rule: by priority, deny before allow, then by name. The first match decides.
pub fn rank<'r>(id: &'r RuleId, rule: &Rule) -> (Priority, std::cmp::Reverse<Action>, &'r RuleId) {
    (rule.priority, std::cmp::Reverse(rule.action), id)
}

/// The rank of a rule that comes from the cluster: by priority, deny before allow; then those with DNS names last, then those that say more first, then by name.
///
/// Between rules of one priority and action the verdict is the same, so this only says which of them counts; and it keeps rules of one shape together, which
/// makes few lookups of them.
pub fn cluster_rank<'r>(id: &'r RuleId, rule: &Rule) -> (Priority, std::cmp::Reverse<Action>, Breadth, &'r RuleId) {
    let is_fqdn = |peer: &Peer| matches!(peer, Peer::Fqdn(_));
    let breadth = Breadth {
        names: rule.from.iter().chain(&rule.to).any(is_fqdn),
        every_source: rule.from.is_empty(),
        every_destination: rule.to.is_empty(),
        every_port: rule.ports.is_empty() || rule.ports.iter().any(|port| port.ports.is_none()),
    };
    (rule.priority, std::cmp::Reverse(rule.action), breadth, id)
}

/// How little a rule says; each part that it leaves open is an independent one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[allow(clippy::struct_excessive_bools)]
pub struct Breadth {
    names: bool,
    every_source: bool,
    every_destination: bool,
    every_port: bool,
}

/// How a rule applies to flows from one zone into another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Binding {
    /// Not at all.
    None,
    /// With all its peers.
    AllPeers,
    /// Between two of the tenant's own networks: only the peers on the far side that name the network. An address block never opens a way between two own
    /// networks by accident.
    NamedNetworks,
}

/// Whether rules of this direction are about flows from `input` into `output` (F3).
///
/// Ingress is from another's network into an own one, egress the reverse. Between two own networks a rule counts in either direction if its far side names
/// the network. From one foreign network into another there are no rules: a firewall is no transit.
pub fn binding(direction: Direction, input: &Zone, output: &Zone) -> Binding {
    if input.network == output.network {
        return Binding::None;
    }
    match (input.kind == ZoneKind::Own, output.kind == ZoneKind::Own, direction) {
        (true, true, _) => Binding::NamedNetworks,
        (false, true, Direction::Ingress) | (true, false, Direction::Egress) => Binding::AllPeers,
        _ => Binding::None,
    }
}

/// The peers of one side that count under this binding; `None` means that everyone matches.
pub fn peers_in_force(binding: Binding, far_side: bool, peers: &[Peer]) -> Option<Vec<&Peer>> {
    match binding {
        Binding::None => Some(Vec::new()),
        Binding::NamedNetworks if far_side => Some(peers.iter().filter(|peer| matches!(peer, Peer::Network(_))).collect()),
        _ if peers.is_empty() => None,
        _ => Some(peers.iter().collect()),
    }
}
