//! What the operator allows at all, as far as objects are judged by it.
//!
//! The signed ruleset enforces these bounds whatever comes out of here; this is so that users are told.

use std::collections::BTreeSet;

use leafwall_policy::zone::{Access, FirewallRules};
use leafwall_topology::{Name, Prefix};

/// The operator's bounds of one firewall.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Bounds {
    /// From where connections may come; `None` means from everywhere.
    pub ingress: Option<Vec<Prefix>>,
    /// Where they may go.
    pub egress: Option<Vec<Prefix>>,
    /// The networks that the firewall joins.
    pub networks: BTreeSet<Name>,
}

impl From<&FirewallRules> for Bounds {
    fn from(firewall: &FirewallRules) -> Self {
        // `restricted` without `allowedNetworks` is a bound that nothing is inside of
        let or_nothing = |allowed: &Option<Vec<Prefix>>| match firewall.access {
            Access::Restricted => Some(allowed.clone().unwrap_or_default()),
            Access::Baseline | Access::Forbidden => allowed.clone(),
        };
        Self {
            ingress: or_nothing(&firewall.allowed_ingress),
            egress: or_nothing(&firewall.allowed_egress),
            networks: firewall.zones.iter().map(|zone| zone.network.clone()).collect(),
        }
    }
}

/// Whether a block lies inside the allowed ones. One that lies in several together counts as outside: users can write its parts.
pub fn is_within(bound: Option<&[Prefix]>, block: Prefix) -> bool {
    bound.is_none_or(|allowed| allowed.iter().any(|prefix| prefix.contains(block)))
}
