//! Peerings: who is joined, and that what they show each other is theirs and disjoint.

use std::collections::HashMap;

use leafwall_topology::{Name, Prefix};

use super::index::Index;
use crate::codes;
use crate::diagnostic::{Diagnostic, Diagnostics};
use crate::model::NetworkType;
use crate::raw::{NetworkIntent, Object, PeeringIntent, PeeringSideIntent};
use crate::source::{Place, Spanned};

pub(super) fn check(index: &Index<'_>, out: &mut Diagnostics) {
    let mut pairs: HashMap<(&Name, &Name), (&Name, Place)> = HashMap::new();
    for peering in &index.intents.peerings {
        for side in &peering.spec.between {
            check_side(index, &side.value, out);
        }
        let Some((one, other)) = sides(&peering.spec) else { continue };
        if one.value == other.value {
            let message = format!("both sides are network `{}`", one.value);
            out.push(Diagnostic::error(codes::SELF_PEERING, other.place, message).with(one.place, "the other side"));
            continue;
        }
        let pair = if one.value <= other.value { (&one.value, &other.value) } else { (&other.value, &one.value) };
        if let Some((first, place)) = pairs.get(&pair) {
            let message = format!("`{}` and `{}` are peered by `{first}` already", pair.0, pair.1);
            out.push(Diagnostic::error(codes::PEERED_TWICE, peering.name.place, message).with(*place, "first here"));
        } else {
            pairs.insert(pair, (&peering.name.value, peering.name.place));
        }
    }
}

/// The names of the two sides, if both are there.
pub(super) fn sides(peering: &PeeringIntent) -> Option<(&Spanned<Name>, &Spanned<Name>)> {
    match peering.between.as_slice() {
        [one, other] => Some((one.value.network.as_ref()?, other.value.network.as_ref()?)),
        _ => None,
    }
}

fn check_side(index: &Index<'_>, side: &PeeringSideIntent, out: &mut Diagnostics) {
    let Some(name) = &side.network else { return };
    let Some(network) = index.networks.get(&name.value) else { return };
    if network.spec.is(NetworkType::External) {
        let message = format!("`{}` is external: it is met through a firewall", name.value);
        out.push(Diagnostic::error(codes::PEERING_OUTSIDE_NETWORK, name.place, message));
        return;
    }
    for prefix in side.prefixes.iter().filter(|_| network.sound) {
        let own = network.spec.own_prefixes().chain(network.spec.announce.iter().copied());
        if !own.into_iter().any(|own| own.value.contains(prefix.value)) {
            let message = format!("`{}` is no part of network `{}`", prefix.value, name.value);
            out.push(Diagnostic::error(codes::PEERING_OUTSIDE, prefix.place, message).with(network.name.place, "the network"));
        }
        let subnets = network.spec.subnets.iter().filter_map(|subnet| subnet.value.prefix);
        for subnet in subnets.filter(|subnet| subnet.value != prefix.value && subnet.value.contains(prefix.value)) {
            let message = format!("`{}` is only a part of subnet `{}`", prefix.value, subnet.value);
            let diagnostic = Diagnostic::error(codes::PEERING_SHOWS_PART, prefix.place, message).with(subnet.place, "the subnet");
            out.push(diagnostic.hint(format!("show the whole of it: {}", subnet.value)));
        }
    }
}

/// What one side shows the other, each with the place to point at.
pub(super) fn shown(side: &Spanned<PeeringSideIntent>, network: &Object<NetworkIntent>) -> Vec<Spanned<Prefix>> {
    if side.value.prefixes.is_empty() { network.spec.own_prefixes().collect() } else { side.value.prefixes.clone() }
}
