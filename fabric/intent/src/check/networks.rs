//! Networks: their prefixes, subnets and types.

use std::collections::HashMap;
use std::net::IpAddr;

use leafwall_topology::{Family, Prefix, VRF_SOURCE_V6, Vni};

use super::fabric::first_host;
use super::index::{Index, value};
use super::overlap::nested;
use crate::codes;
use crate::diagnostic::{Diagnostic, Diagnostics};
use crate::model::NetworkType;
use crate::raw::{NetworkIntent, Object, SubnetIntent};
use crate::source::{Place, Spanned};

pub(super) fn check(index: &Index<'_>, out: &mut Diagnostics) {
    let mut vnis: HashMap<Vni, (&Object<NetworkIntent>, Place)> = HashMap::new();
    for network in &index.intents.networks {
        shape(network, out);
        prefixes(index, network, out);
        own_overlaps(network, out);
        for subnet in &network.spec.subnets {
            check_subnet(&subnet.value, out);
        }
        let Some(vni) = network.spec.vni else { continue };
        if let Some((first, place)) = vnis.get(&vni.value) {
            let message = format!("VNI {} is `{}`'s already", vni.value, first.name.value);
            out.push(Diagnostic::error(codes::DUPLICATE_VNI, vni.place, message).with(*place, "first here"));
        } else {
            vnis.insert(vni.value, (network, vni.place));
        }
    }
}

/// What a type of network must have and must not have.
fn shape(network: &Object<NetworkIntent>, out: &mut Diagnostics) {
    let (name, spec) = (&network.name, &network.spec);
    let Some(kind) = value(spec.kind.as_ref()) else { return };
    let mut stranger = |field: &str, place: Option<Place>, of: &str| {
        if let Some(place) = place {
            let message = format!("`{field}` belongs to {of} networks, `{}` is {}", name.value, word(kind));
            out.push(Diagnostic::error(codes::FIELD_OF_OTHER_TYPE, place, message));
        }
    };
    if kind == NetworkType::External {
        stranger("subnets", spec.subnets.first().map(|subnet| subnet.place), "private and shared");
        stranger("announce", spec.announce.first().map(|prefix| prefix.place), "private and shared");
    } else {
        stranger("exits", spec.exits.first().map(|exit| exit.place), "external");
        stranger("peers", spec.peers.first().map(|peer| peer.place), "external");
    }
    if kind == NetworkType::Private {
        stranger("nat", spec.nat.map(|nat| nat.place), "shared and external");
    }
    if kind != NetworkType::External && network.sound {
        if spec.tenant.is_none() {
            let message = format!("{} network `{}` belongs to nobody", word(kind), name.value);
            out.push(Diagnostic::error(codes::NO_OWNER, name.place, message).hint("give its `tenant`"));
        }
        if spec.prefixes.is_empty() && spec.subnets.is_empty() {
            let message = format!("{} network `{}` has no prefixes and no subnets", word(kind), name.value);
            out.push(Diagnostic::error(codes::EMPTY_NETWORK, name.place, message));
        }
    }
}

/// The type as it is written.
pub(super) const fn word(kind: NetworkType) -> &'static str {
    match kind {
        NetworkType::Private => "private",
        NetworkType::Shared => "shared",
        NetworkType::External => "external",
    }
}

fn prefixes(index: &Index<'_>, network: &Object<NetworkIntent>, out: &mut Diagnostics) {
    let subnets = network.spec.subnets.iter().filter_map(|subnet| subnet.value.prefix);
    for prefix in network.spec.prefixes.iter().chain(&network.spec.announce).copied().chain(subnets) {
        let what = format!("network `{}`", network.name.value);
        if prefix.value.is_default() {
            let message = format!("`{}` is the default route, not a prefix of a network", prefix.value);
            let diagnostic = Diagnostic::error(codes::DEFAULT_ROUTE, prefix.place, message);
            out.push(diagnostic.hint("what is reachable through a network stands in its `destinations`"));
            continue;
        }
        special(&what, prefix, out);
        fabric_overlap(index, &what, prefix, out);
    }
    for destination in &network.spec.destinations {
        inside_special(*destination, out);
    }
}

/// Blocks that are never a network's (RFC 6890, RFC 4291), with what they are.
const SPECIAL: [(&str, &str); 10] = [
    ("0.0.0.0/8", "hosts of this network"),
    ("127.0.0.0/8", "loopback addresses"),
    ("169.254.0.0/16", "link-local addresses"),
    ("224.0.0.0/4", "multicast addresses"),
    ("240.0.0.0/4", "reserved addresses"),
    ("::/128", "the unspecified address"),
    ("::1/128", "the loopback address"),
    ("::ffff:0:0/96", "IPv4-mapped addresses"),
    ("fe80::/10", "link-local addresses"),
    ("ff00::/8", "multicast addresses"),
];

fn special_blocks() -> impl Iterator<Item = (Prefix, &'static str)> {
    SPECIAL.iter().filter_map(|(text, what)| Some((text.parse().ok()?, *what)))
}

/// A prefix that touches a block no network can have.
pub(super) fn special(whose: &str, prefix: Spanned<Prefix>, out: &mut Diagnostics) {
    if let Some((block, what)) = special_blocks().find(|(block, _)| block.overlaps(prefix.value)) {
        let message = format!("`{}` cannot be a prefix of {whose}: `{block}` holds {what}", prefix.value);
        out.push(Diagnostic::error(codes::SPECIAL_PREFIX, prefix.place, message));
    }
}

/// A destination or filter that lies wholly in such a block; larger ones, such as the default route, may hold one.
pub(super) fn inside_special(prefix: Spanned<Prefix>, out: &mut Diagnostics) {
    if let Some((block, what)) = special_blocks().find(|(block, _)| block.contains(prefix.value)) {
        let message = format!("`{}` is never forwarded: `{block}` holds {what}", prefix.value);
        out.push(Diagnostic::error(codes::SPECIAL_PREFIX, prefix.place, message));
    }
}

/// A prefix that covers loopbacks, or the addresses that devices have in tenants' VRFs.
pub(super) fn fabric_overlap(index: &Index<'_>, whose: &str, prefix: Spanned<Prefix>, out: &mut Diagnostics) {
    let loopbacks = index.fabric.and_then(|fabric| fabric.underlay.as_ref()).and_then(|underlay| underlay.value.loopbacks);
    if let Some(loopbacks) = loopbacks.filter(|loopbacks| loopbacks.value.overlaps(prefix.value)) {
        let message = format!("`{}` of {whose} overlaps the loopbacks `{}`", prefix.value, loopbacks.value);
        out.push(Diagnostic::error(codes::OVERLAP_WITH_FABRIC, prefix.place, message).with(loopbacks.place, "the loopbacks"));
    }
    if prefix.value.overlaps(vrf_sources()) {
        let message = format!("`{}` of {whose} overlaps `{}`, the devices' own addresses in VRFs", prefix.value, vrf_sources());
        out.push(Diagnostic::error(codes::OVERLAP_WITH_FABRIC, prefix.place, message));
    }
}

fn vrf_sources() -> Prefix {
    // the constant has no host bits; were that wrong, the whole family would be refused, which is safe
    Prefix::containing(IpAddr::V6(VRF_SOURCE_V6.addr()), VRF_SOURCE_V6.prefix_len()).unwrap_or(Prefix::any(Family::V6))
}

fn own_overlaps(network: &Object<NetworkIntent>, out: &mut Diagnostics) {
    let mut own: Vec<(Spanned<Prefix>, &str)> = network.spec.prefixes.iter().map(|prefix| (*prefix, "a prefix")).collect();
    own.extend(network.spec.subnets.iter().filter_map(|subnet| Some((subnet.value.prefix?, "a subnet"))));
    own.extend(network.spec.announce.iter().map(|prefix| (*prefix, "a prefix that servers may announce")));
    // the default route has its own finding
    own.retain(|(prefix, _)| !prefix.value.is_default());
    let values: Vec<Prefix> = own.iter().map(|(prefix, _)| prefix.value).collect();
    for (outer, inner) in nested(&values) {
        let ((outer, outer_is), (inner, _)) = (own[outer], own[inner]);
        let (first, second) = if outer.place <= inner.place { (outer, inner) } else { (inner, outer) };
        let message = format!("`{}` and `{}` of network `{}` overlap", second.value, first.value, network.name.value);
        let label = if first == outer { outer_is } else { "inside it" };
        out.push(Diagnostic::error(codes::OVERLAP_IN_NETWORK, second.place, message).with(first.place, label));
    }
}

fn check_subnet(subnet: &SubnetIntent, out: &mut Diagnostics) {
    let Some(prefix) = subnet.prefix else { return };
    let host_bits = prefix.value.family().host_length() - prefix.value.length();
    if host_bits < 2 {
        let message = format!("`{}` has no room for a gateway and a server", prefix.value);
        out.push(Diagnostic::error(codes::SUBNET_TOO_SMALL, prefix.place, message));
    } else if !prefix.value.is_default() {
        gateway(prefix, subnet.gateway, out);
    }
}

/// A gateway, if one is given, is a host of its subnet.
pub(super) fn gateway(prefix: Spanned<Prefix>, gateway: Option<Spanned<IpAddr>>, out: &mut Diagnostics) {
    let Some(gateway) = gateway else { return };
    let suggestion = first_host(prefix.value).map(|first| format!("the first host is `{first}`"));
    let mut finding = if !prefix.value.contains_address(gateway.value) {
        let message = format!("gateway `{}` is not in `{}`", gateway.value, prefix.value);
        Diagnostic::error(codes::GATEWAY_OUTSIDE, gateway.place, message).with(prefix.place, "the subnet")
    } else if let Some(reason) = not_a_host(prefix.value, gateway.value) {
        let message = format!("gateway `{}` is {reason}", gateway.value);
        Diagnostic::error(codes::GATEWAY_NOT_A_HOST, gateway.place, message).with(prefix.place, "the subnet")
    } else {
        return;
    };
    finding.hint = suggestion;
    out.push(finding);
}

/// Why an address of a subnet cannot be a host's; `None` if it can.
pub(super) fn not_a_host(prefix: Prefix, address: IpAddr) -> Option<String> {
    // a link of two (RFC 3021, RFC 6164) and a single host have neither network nor broadcast address
    if prefix.family().host_length() - prefix.length() < 2 {
        return None;
    }
    if address == prefix.network() {
        return Some(format!("the address of `{prefix}` itself"));
    }
    (address == prefix.last() && prefix.family() == Family::V4).then(|| format!("the broadcast address of `{prefix}`"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_special_block_can_be_read() {
        assert_eq!(special_blocks().count(), SPECIAL.len());
    }

    #[test]
    fn the_devices_own_addresses_are_one_block() {
        assert_eq!(vrf_sources().to_string(), "fd6c:6561:6677::/96");
    }
}
