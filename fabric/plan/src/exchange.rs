//! What a firewall exchanges between its networks. One computation serves both ends: what the machine is configured to announce is what its leaves accept
//! from it, and nothing else (H21, H35 to H39).
//!
//! | into | announced there | leaked for the way back alone |
//! |---|---|---|
//! | a private network of the tenant | prefixes, subnets and destinations of the other networks (of an external one with a default, that alone) | – |
//! | a shared or external one | the tenant's Addresses out of it; prefixes and subnets of the tenant's own networks in families without NAT | the tenant's other prefixes |
//! | a shared one of the tenant itself | both; of the outside only the destinations | as above |

use std::collections::{BTreeMap, BTreeSet};

use leafwall_intent::model::{Firewall, Network, NetworkType};
use leafwall_policy::zone::ZoneKind;
use leafwall_topology::{Name, Prefix, Vni};

use crate::allocation::AddressHolder;
use crate::context::{Context, PlanError};
use crate::device::{Leak, LeakScope, Lengths, PrefixMatch};
use crate::firewall;
use crate::matches::{Matches, own_prefixes};

/// What one machine of a firewall announces in one network, and from where it takes it.
#[derive(Debug, Default)]
pub(crate) struct Exchange {
    /// Everything that may leave the machine as type 5, sorted.
    pub announce: Vec<PrefixMatch>,
    /// What is one route as long as a part of it exists, sorted.
    pub aggregates: Vec<Prefix>,
    /// Routes taken over from the machine's other networks, sorted by source and scope.
    pub leaks: Vec<Leak>,
}

/// How a network looks to a firewall of this tenant.
pub(crate) fn zone_kind(network: &Network, tenant: &Name) -> ZoneKind {
    match network.kind {
        NetworkType::External => ZoneKind::External,
        _ if network.tenant.as_ref() == Some(tenant) => ZoneKind::Own,
        // another tenant's private network is refused by the checks; it would be a stranger's all the same
        NetworkType::Shared | NetworkType::Private => ZoneKind::Shared,
    }
}

/// The tenant's Addresses out of a network that this firewall may announce: not those that another firewall translates to.
pub(crate) fn announced_addresses(ctx: &Context<'_>, firewall: &Firewall, network: &Name) -> Vec<Prefix> {
    let mut hosts = Vec::new();
    for address in ctx.addresses_of(&firewall.tenant).filter(|address| address.network == *network) {
        let mut users = ctx.index.egress.of(&address.name).peekable();
        let elsewhere = users.peek().is_some() && !users.any(|user| *user == firewall.name);
        if !elsewhere {
            hosts.extend(ctx.elastic(address).iter().map(|host| Prefix::host(*host)));
        }
    }
    hosts
}

/// Whether a prefix of an external network is reached by its default route anyway.
pub(crate) fn behind_default(network: &Network, prefix: Prefix) -> bool {
    network.destinations.iter().any(|destination| destination.is_default() && destination.family() == prefix.family())
}

/// Collects leaks by their source.
#[derive(Default)]
struct Leaks(BTreeMap<(Vni, LeakScope), Matches>);

impl Leaks {
    fn from(&mut self, vni: Vni, scope: LeakScope) -> &mut Matches {
        self.0.entry((vni, scope)).or_default()
    }
}

/// What `machine`, one of the firewall's, exchanges in `network`.
pub(crate) fn exchange(ctx: &Context<'_>, firewall: &Firewall, machine: &Name, network: &Network) -> Result<Exchange, PlanError> {
    let mut announce = Matches::default();
    let mut aggregates: BTreeSet<Prefix> = BTreeSet::new();
    let mut leaks = Leaks::default();
    let target = zone_kind(network, &firewall.tenant);
    for name in firewall.networks.iter().filter(|name| **name != network.name) {
        let (source, vni) = (ctx.network(name)?, ctx.vni(name)?);
        let kind = zone_kind(source, &firewall.tenant);
        // forward: where the tenant's own servers can go
        if target == ZoneKind::Own {
            let private = network.kind == NetworkType::Private;
            let leak = leaks.from(vni, LeakScope::Announced);
            for destination in &source.destinations {
                if private || kind == ZoneKind::External {
                    // a default route is one route; what is inside of another destination comes as the outside tells it
                    let lengths = if destination.is_default() { Lengths::Exact } else { Lengths::UpToHosts };
                    leak.add(*destination, lengths);
                    announce.add(*destination, lengths);
                }
            }
            if private && kind == ZoneKind::External {
                // exits announce these as one route each; other firewalls' host routes stay out, so that firewalls never send to each other
                for prefix in source.prefixes.iter().filter(|prefix| !behind_default(source, **prefix)) {
                    leak.add(*prefix, Lengths::Exact);
                    announce.add(*prefix, Lengths::Exact);
                }
            } else if private {
                for prefix in own_prefixes(source) {
                    leak.add(prefix, Lengths::UpToHosts);
                    announce.add(prefix, Lengths::Exact);
                }
                aggregates.extend(source.prefixes.iter().filter(|p| !p.is_host()));
            }
        }
        // backward: where answers to the tenant's own servers go
        if kind == ZoneKind::Own && network.kind != NetworkType::Private {
            for prefix in own_prefixes(source) {
                let routed = !network.nat.covers(prefix.family());
                let scope = if routed { LeakScope::Announced } else { LeakScope::Local };
                leaks.from(vni, scope).add(prefix, Lengths::UpToHosts);
                if routed {
                    announce.add(prefix, Lengths::Exact);
                }
            }
            let routed = source.prefixes.iter().filter(|p| !network.nat.covers(p.family()) && !p.is_host());
            aggregates.extend(routed);
            leaks.from(vni, LeakScope::Local).extend(&source.announce, Lengths::UpToHosts);
            leaks.from(vni, LeakScope::Local).extend(&firewall::elastic_elsewhere(ctx, firewall, network), Lengths::Exact);
            // what the machine translates to is its own and never comes from a server
            let egress = firewall::egress(ctx, firewall, &network.name);
            let hosts = announced_addresses(ctx, firewall, &network.name).into_iter().filter(|host| !egress.contains(&host.network()));
            leaks.from(vni, LeakScope::Announced).extend(&hosts.collect::<Vec<_>>(), Lengths::Exact);
        }
    }
    if network.kind != NetworkType::Private {
        announce.extend(&announced_addresses(ctx, firewall, &network.name), Lengths::Exact);
    }
    let inband = ctx.table.addresses(&network.name, &AddressHolder::Inband(machine.clone()));
    for address in inband {
        announce.add(Prefix::host(*address), Lengths::Exact);
    }
    let leaks = leaks.0.into_iter().filter(|(_, matches)| !matches.is_empty());
    Ok(Exchange {
        announce: announce.into_vec(),
        aggregates: aggregates.into_iter().collect(),
        leaks: leaks.map(|((from, scope), matches)| Leak { from, prefixes: matches.into_vec(), scope, senders: Vec::new() }).collect(),
    })
}
