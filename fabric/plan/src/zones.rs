//! A firewall's networks as its ruleset sees them.

use std::collections::BTreeSet;
use std::net::IpAddr;

use leafwall_intent::model::{Firewall, Network};
use leafwall_policy::zone::{Snat, Sources, Zone, ZoneKind};
use leafwall_topology::{Name, Prefix, names};

use crate::context::{Context, PlanError};
use crate::exchange::zone_kind;
use crate::firewall::{egress, elastic_of_others};
use crate::matches::own_prefixes;

/// The zones of a firewall machine, sorted by network.
pub(crate) fn plan(ctx: &Context<'_>, firewall: &Firewall, machine: &Name) -> Result<Vec<Zone>, PlanError> {
    let mut networks: Vec<&Network> = Vec::new();
    for name in &firewall.networks {
        networks.push(ctx.network(name)?);
    }
    let mut zones = Vec::new();
    for network in &networks {
        let kind = zone_kind(network, &firewall.tenant);
        let vni = ctx.vni(&network.name)?;
        zones.push(Zone {
            network: network.name.clone(),
            kind,
            input: names::vrf(vni),
            output: names::svi(ctx.vlan(machine, vni)?),
            prefixes: extent(ctx, firewall, network).into_iter().collect(),
            sources: sources(ctx, firewall, network, &networks),
            snat: snat(ctx, firewall, network, &networks),
            clamp_mss_to: if kind == ZoneKind::External { network.peers.iter().map(|peer| peer.mtu).min() } else { None },
            rate_mbit: firewall.rate_limits.get(&network.name).copied(),
        });
    }
    Ok(zones)
}

/// Addresses of the tenant that its servers may have: all that no firewall translates to.
fn on_servers(ctx: &Context<'_>, firewall: &Firewall) -> Vec<Prefix> {
    let free = ctx.addresses_of(&firewall.tenant).filter(|address| !ctx.index.egress.has(&address.name));
    free.flat_map(|address| ctx.elastic(address)).map(|host| Prefix::host(*host)).collect()
}

/// Where packets from a network can honestly come from, destinations aside.
fn inhabitants(ctx: &Context<'_>, firewall: &Firewall, network: &Network) -> BTreeSet<Prefix> {
    let mut prefixes: BTreeSet<Prefix> = own_prefixes(network).collect();
    if zone_kind(network, &firewall.tenant) == ZoneKind::Own {
        prefixes.extend(&network.announce);
        prefixes.extend(on_servers(ctx, firewall));
    }
    prefixes
}

/// Everything that a network consists of or makes reachable.
fn extent(ctx: &Context<'_>, firewall: &Firewall, network: &Network) -> BTreeSet<Prefix> {
    let mut prefixes = inhabitants(ctx, firewall, network);
    prefixes.extend(&network.destinations);
    prefixes
}

/// Which sources are accepted from a network (F16, F23): from within only what lives there; from outside everything but what belongs elsewhere, the
/// firewall's own addresses included.
fn sources(ctx: &Context<'_>, firewall: &Firewall, network: &Network, all: &[&Network]) -> Sources {
    let kind = zone_kind(network, &firewall.tenant);
    let everywhere = network.destinations.iter().any(|prefix| prefix.is_default());
    if kind == ZoneKind::Own {
        // a destination of an own network is reached through its servers, which then are its sources
        let specific = network.destinations.iter().filter(|prefix| !prefix.is_default());
        return Sources::Only(
            inhabitants(ctx, firewall, network).into_iter().chain(specific.copied()).collect::<BTreeSet<_>>().into_iter().collect(),
        );
    }
    if kind == ZoneKind::Shared && !everywhere {
        return Sources::Only(extent(ctx, firewall, network).into_iter().collect());
    }
    let mut elsewhere: BTreeSet<Prefix> = BTreeSet::new();
    for other in all.iter().filter(|other| other.name != network.name) {
        elsewhere.extend(extent(ctx, firewall, other).into_iter().filter(|prefix| !prefix.is_default()));
        elsewhere.extend(egress(ctx, firewall, &other.name).into_iter().map(Prefix::host));
    }
    elsewhere.extend(egress(ctx, firewall, &network.name).into_iter().map(Prefix::host));
    Sources::AllBut(elsewhere.into_iter().collect())
}

/// Source NAT into a network: everything of the tenant's own networks in families that the network has translated. Where the firewall holds no address of
/// such a family, the sources stand here all the same: what cannot be translated must not pass as it is. So it is with elastic addresses of other networks
/// where nothing is translated: no answer would find back.
fn snat(ctx: &Context<'_>, firewall: &Firewall, network: &Network, all: &[&Network]) -> Snat {
    let mut snat = Snat::default();
    let mut sources: BTreeSet<Prefix> = BTreeSet::new();
    for own in all.iter().filter(|other| other.name != network.name && zone_kind(other, &firewall.tenant) == ZoneKind::Own) {
        sources.extend(own_prefixes(own).chain(own.announce.iter().copied()).filter(|prefix| network.nat.covers(prefix.family())));
    }
    sources.extend(elastic_of_others(ctx, firewall, network));
    snat.sources = sources.into_iter().collect();
    for address in egress(ctx, firewall, &network.name) {
        match address {
            IpAddr::V4(v4) if network.nat.covers(leafwall_topology::Family::V4) => snat.v4.push(v4),
            IpAddr::V6(v6) if network.nat.covers(leafwall_topology::Family::V6) => snat.v6.push(v6),
            _ => {}
        }
    }
    snat.v4.sort();
    snat.v6.sort();
    snat
}
