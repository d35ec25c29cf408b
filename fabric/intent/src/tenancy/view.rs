//! The fabric as one tenant may see it.

use std::collections::HashSet;
use std::sync::Arc;

use leafwall_topology::Name;

use crate::model::NetworkType;
use crate::raw::{AllocationIntent, FirewallIntent, Intents, NetworkIntent, Object, Objects};
use crate::source::Spanned;

/// Stands for whoever else has something that the tenant may use.
const SOMEBODY: &str = "another-tenant";

/// The intents without what is others' alone: servers that others have, private networks, whose a shared one is, switches and cables are not there.
pub(super) fn view(intents: &Intents, tenant: &Name) -> Intents {
    let is_of = |name: Option<&Spanned<Name>>| name.is_some_and(|name| name.value == *tenant);
    let taken: HashSet<&Name> = taken(&intents.allocations, &intents.firewalls, tenant);
    let mut seen = Intents { sources: intents.sources.clone(), sound: intents.sound, ..Intents::default() };
    seen.fabrics.clone_from(&intents.fabrics);
    seen.servers = kept(&intents.servers, |server| !taken.contains(&server.name.value));
    seen.tenants = kept(&intents.tenants, |other| other.name.value == *tenant);
    seen.networks = intents.networks.iter().filter_map(|network| seen_network(network, tenant)).collect();
    seen.allocations = kept(&intents.allocations, |allocation| is_of(allocation.spec.tenant.as_ref()));
    seen.addresses = kept(&intents.addresses, |address| is_of(address.spec.tenant.as_ref()));
    seen.firewalls = kept(&intents.firewalls, |firewall| is_of(firewall.spec.tenant.as_ref()));
    let own: HashSet<&Name> =
        intents.networks.iter().filter(|network| is_of(network.spec.tenant.as_ref())).map(|network| &network.name.value).collect();
    seen.peerings = kept(&intents.peerings, |peering| {
        peering.spec.between.iter().all(|side| side.value.network.as_ref().is_some_and(|network| own.contains(&network.value)))
    });
    let firewalls: HashSet<&Name> = seen.firewalls.iter().map(|firewall| &firewall.name.value).collect();
    let policies = kept(&intents.policies, |policy| policy.spec.firewall.as_ref().is_some_and(|name| firewalls.contains(&name.value)));
    seen.policies = policies;
    seen
}

fn kept<S>(objects: &[Arc<Object<S>>], keep: impl Fn(&Object<S>) -> bool) -> Objects<S> {
    objects.iter().filter(|object| keep(object)).cloned().collect()
}

/// Servers that somebody else has.
fn taken<'a>(
    allocations: &'a [Arc<Object<AllocationIntent>>],
    firewalls: &'a [Arc<Object<FirewallIntent>>],
    tenant: &Name,
) -> HashSet<&'a Name> {
    let others = |of: Option<&Spanned<Name>>| of.is_none_or(|of| of.value != *tenant);
    let machines = allocations.iter().filter(|allocation| others(allocation.spec.tenant.as_ref()));
    let machines = machines.filter_map(|allocation| allocation.spec.server.as_ref());
    let walls = firewalls.iter().filter(|firewall| others(firewall.spec.tenant.as_ref())).flat_map(|firewall| &firewall.spec.servers);
    machines.chain(walls).map(|server| &server.value).collect()
}

/// A network that a tenant has, or may join.
fn seen_network(network: &Arc<Object<NetworkIntent>>, tenant: &Name) -> Option<Arc<Object<NetworkIntent>>> {
    let owner = network.spec.tenant.as_ref();
    if owner.is_some_and(|owner| owner.value == *tenant) {
        return Some(Arc::clone(network));
    }
    let kind = network.spec.kind.as_ref().map(|kind| kind.value);
    let mut seen = match (kind, owner) {
        (Some(NetworkType::External), None) | (Some(NetworkType::Shared), _) => Object::clone(network),
        (Some(NetworkType::External), Some(_)) | (Some(NetworkType::Private) | None, _) => return None,
    };
    (seen.spec.exits, seen.spec.peers, seen.labels) = Default::default();
    if let (Some(owner), Ok(somebody)) = (&mut seen.spec.tenant, SOMEBODY.parse()) {
        owner.value = somebody;
    }
    Some(Arc::new(seen))
}
