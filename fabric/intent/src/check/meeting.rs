//! Where networks meet, their prefixes are disjoint: at a firewall, in a network that several firewalls join, in a peering. Elsewhere tenants may use the
//! same ones.

use std::collections::{HashMap, HashSet};

use leafwall_topology::{Family, Name, Prefix};

use super::index::{Index, same, value};
use super::overlap::nested;
use super::peerings::{shown, sides};
use crate::codes::{self, Code};
use crate::diagnostic::{Diagnostic, Diagnostics};
use crate::model::NetworkType;
use crate::raw::{FirewallIntent, NetworkIntent, Object};
use crate::source::{Place, Spanned};

/// A prefix that somebody brings to where networks meet.
struct Brought<'a> {
    /// The network that it is of.
    of: &'a Name,
    prefix: Spanned<Prefix>,
    /// Where it is said that it comes here.
    by: Place,
    /// Whether it comes by the meeting that is looked at.
    counts: bool,
}

pub(super) fn check(index: &Index<'_>, out: &mut Diagnostics) {
    let mut joined_by: HashMap<&Name, Vec<(&Object<FirewallIntent>, Place)>> = HashMap::new();
    for firewall in &index.intents.firewalls {
        at_firewall(index, firewall, out);
        for name in &firewall.spec.networks {
            joined_by.entry(&name.value).or_default().push((firewall, name.place));
        }
    }
    for network in &index.intents.networks {
        if let Some(firewalls) = joined_by.get(&network.name.value) {
            without_nat(index, network, firewalls, out);
        }
    }
    in_peerings(index, &joined_by, out);
}

/// All that a network's members may have as addresses.
fn all_prefixes(network: &NetworkIntent) -> impl Iterator<Item = Spanned<Prefix>> {
    network.own_prefixes().chain(network.announce.iter().copied()).filter(|prefix| !prefix.value.is_default())
}

fn clashes<'a>(brought: &'a [Brought<'a>]) -> impl Iterator<Item = (&'a Brought<'a>, &'a Brought<'a>)> {
    let values: Vec<Prefix> = brought.iter().map(|brought| brought.prefix.value).collect();
    let pairs = nested(&values).into_iter().map(|(outer, inner)| (&brought[outer], &brought[inner]));
    // what overlaps within one network is found there
    pairs.filter(|(outer, inner)| outer.of != inner.of && (outer.counts || inner.counts))
}

fn report(code: Code, one: &Brought<'_>, other: &Brought<'_>, place: &str, out: &mut Diagnostics) {
    let (first, second) = if (one.by, one.prefix.place) <= (other.by, other.prefix.place) { (one, other) } else { (other, one) };
    // point at what brings them together if only one does
    let at = if second.counts { second.by } else { first.by };
    let message = format!("`{}` of `{}` and `{}` of `{}` overlap {place}", second.prefix.value, second.of, first.prefix.value, first.of);
    let mut diagnostic = Diagnostic::error(code, at, message);
    for brought in [first, second].into_iter().filter(|brought| brought.prefix.place != at) {
        diagnostic = diagnostic.with(brought.prefix.place, format!("of `{}`", brought.of));
    }
    out.push(diagnostic);
}

fn at_firewall(index: &Index<'_>, firewall: &Object<FirewallIntent>, out: &mut Diagnostics) {
    let mut brought = Vec::new();
    let mut ways: HashMap<Prefix, (&Name, Place)> = HashMap::new();
    for name in &firewall.spec.networks {
        let Some(network) = index.networks.get(&name.value) else { continue };
        brought.extend(all_prefixes(&network.spec).map(|prefix| Brought { of: &name.value, prefix, by: name.place, counts: true }));
        for destination in &network.spec.destinations {
            let (first, place) = *ways.entry(destination.value).or_insert((&name.value, destination.place));
            if *first != name.value {
                let message =
                    format!("`{first}` and `{}` both lead to `{}` at firewall `{}`", name.value, destination.value, firewall.name.value);
                let diagnostic = Diagnostic::error(codes::SAME_DESTINATION, name.place, message);
                out.push(diagnostic.with(place, format!("of `{first}`")).with(destination.place, format!("of `{}`", name.value)));
            }
        }
    }
    let place = format!("at firewall `{}`", firewall.name.value);
    clashes(&brought).for_each(|(one, other)| report(codes::OVERLAP_AT_FIREWALL, one, other, &place, out));
}

/// What firewalls let into one network untranslated.
fn without_nat<'a>(
    index: &Index<'a>,
    network: &'a Object<NetworkIntent>,
    firewalls: &[(&'a Object<FirewallIntent>, Place)],
    out: &mut Diagnostics,
) {
    if network.spec.is(NetworkType::Private) {
        return;
    }
    let nat = value(network.spec.nat.as_ref()).unwrap_or_default();
    let mut brought = Vec::new();
    let mut seen = HashSet::new();
    for (firewall, by) in firewalls {
        let tenant = firewall.spec.tenant.as_ref();
        // into a network of the same tenant nothing is translated
        let routed = |family: Family| same(network.spec.tenant.as_ref(), tenant) || !nat.covers(family);
        for name in firewall.spec.networks.iter().filter(|name| name.value != network.name.value) {
            let Some(own) = index.networks.get(&name.value).filter(|own| same(own.spec.tenant.as_ref(), tenant)) else { continue };
            if seen.insert(&name.value) {
                let prefixes = all_prefixes(&own.spec).filter(|prefix| routed(prefix.value.family()));
                brought.extend(prefixes.map(|prefix| Brought { of: &own.name.value, prefix, by: *by, counts: true }));
            }
        }
    }
    let place = format!("untranslated in `{}`", network.name.value);
    // two networks at one firewall are found there
    let owner = |name: &Name| index.networks.get(name).and_then(|network| value_of(network.spec.tenant.as_ref()));
    for (one, other) in clashes(&brought).filter(|(one, other)| one.by != other.by || owner(one.of) != owner(other.of)) {
        report(codes::OVERLAP_WITHOUT_NAT, one, other, &place, out);
    }
}

fn value_of(name: Option<&Spanned<Name>>) -> Option<&Name> {
    name.map(|name| &name.value)
}

/// What peerings bring into a network, beside its own prefixes and what its firewalls lead to.
fn in_peerings<'a>(index: &Index<'a>, joined_by: &HashMap<&Name, Vec<(&'a Object<FirewallIntent>, Place)>>, out: &mut Diagnostics) {
    let mut into: HashMap<&Name, Vec<Brought<'a>>> = HashMap::new();
    let mut order: Vec<&Object<NetworkIntent>> = Vec::new();
    for peering in &index.intents.peerings {
        let Some((one, other)) = sides(&peering.spec).filter(|(one, other)| one.value != other.value) else { continue };
        for (near, far, far_side) in [(one, other, &peering.spec.between[1]), (other, one, &peering.spec.between[0])] {
            let (Some(here), Some(there)) = (index.networks.get(&near.value), index.networks.get(&far.value)) else { continue };
            let brought = into.entry(&here.name.value).or_insert_with(|| {
                order.push(here);
                Vec::new()
            });
            brought.extend(shown(far_side, there).into_iter().map(|prefix| Brought {
                of: &there.name.value,
                prefix,
                by: far.place,
                counts: true,
            }));
        }
    }
    let mut told = HashSet::new();
    for network in order {
        let Some(mut brought) = into.remove(&network.name.value) else { continue };
        let name = &network.name.value;
        brought.extend(all_prefixes(&network.spec).map(|prefix| Brought { of: name, prefix, by: network.name.place, counts: false }));
        for (firewall, by) in joined_by.get(name).into_iter().flatten() {
            for joined in firewall.spec.networks.iter().filter(|joined| joined.value != *name) {
                let Some(joined) = index.networks.get(&joined.value) else { continue };
                brought.extend(all_prefixes(&joined.spec).map(|prefix| Brought { of: &joined.name.value, prefix, by: *by, counts: false }));
            }
        }
        let place = format!("in `{name}`");
        for (one, other) in clashes(&brought) {
            // both sides may find the same pair
            let (a, b) = (one.prefix.place, other.prefix.place);
            if told.insert((a.min(b), a.max(b))) {
                report(codes::OVERLAP_IN_PEERING, one, other, &place, out);
            }
        }
    }
}
