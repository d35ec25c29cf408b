//! Which pairs of zones have the same rules: most firewalls have two classes, in and out, however many networks they join.

use std::collections::{BTreeMap, BTreeSet};

use leafwall_topology::Name;

use super::ClusterRules;
use crate::order::rules;
use crate::rule::Peer;
use crate::ruleset::forward::passable;
use crate::zone::{FirewallRules, Zone, ZoneKind};

/// Pairs of zones between which the same rules have the same meaning: their direction, and the networks of the pair that some rule names.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Class {
    way: Way,
    input: Option<Name>,
    output: Option<Name>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Way {
    In,
    Out,
    Between,
}

impl Class {
    /// As a word in names.
    pub(super) fn word(&self) -> String {
        let way = match self.way {
            Way::In => "in",
            Way::Out => "out",
            Way::Between => "between",
        };
        match (&self.input, &self.output) {
            (None, None) => way.to_owned(),
            (input, output) => {
                // no name is a lone `-`
                let word = |name: &Option<Name>| name.as_ref().map_or("-", Name::as_str).to_owned();
                format!("{way}.{}.{}", word(input), word(output))
            }
        }
    }
}

/// The pairs of each class.
pub(super) fn classes<'f>(firewall: &'f FirewallRules, cluster: &ClusterRules) -> BTreeMap<Class, Vec<(&'f Zone, &'f Zone)>> {
    let named: BTreeSet<&Name> = rules(&cluster.policies)
        .flat_map(|(_, rule)| rule.from.iter().chain(&rule.to))
        .filter_map(|peer| if let Peer::Network(name) = peer { Some(name) } else { None })
        .collect();
    let name = |zone: &Zone| named.contains(&zone.network).then(|| zone.network.clone());
    let mut found: BTreeMap<Class, Vec<_>> = BTreeMap::new();
    for input in &firewall.zones {
        for output in firewall.zones.iter().filter(|output| passable(firewall.access, input, output)) {
            let way = match (input.kind == ZoneKind::Own, output.kind == ZoneKind::Own) {
                (true, true) => Way::Between,
                (true, false) => Way::Out,
                _ => Way::In,
            };
            found.entry(Class { way, input: name(input), output: name(output) }).or_default().push((input, output));
        }
    }
    found
}
