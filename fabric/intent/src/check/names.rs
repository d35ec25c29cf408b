//! Names are unique in each kind, and hosts' names across switches and servers.

use std::collections::HashMap;
use std::sync::Arc;

use leafwall_topology::Name;

use super::index::Index;
use crate::codes;
use crate::diagnostic::{Diagnostic, Diagnostics};
use crate::raw::{Intents, Object};
use crate::source::{Place, Spanned};

pub(super) fn check(index: &Index<'_>, out: &mut Diagnostics) {
    let Intents { switches, servers, tenants, networks, allocations, addresses, peerings, firewalls, policies, cablings, fabrics, .. } =
        index.intents;
    unique("a tenant", names(tenants), out);
    unique("a network", names(networks), out);
    unique("an allocation", names(allocations), out);
    unique("an address", names(addresses), out);
    unique("a peering", names(peerings), out);
    unique("a firewall", names(firewalls), out);
    unique("a firewall policy", names(policies), out);
    unique("a cabling", names(cablings), out);
    let mut hosts: Vec<&Spanned<Name>> = names(switches).chain(names(servers)).collect();
    hosts.sort_by_key(|name| name.place);
    unique("a switch or server", hosts.into_iter(), out);
    if let [first, others @ ..] = fabrics.as_slice() {
        for other in others {
            let message = format!("`{}` is a second Fabric", other.name.value);
            out.push(Diagnostic::error(codes::SECOND_FABRIC, other.name.place, message).with(first.name.place, "the first one"));
        }
    }
}

fn names<S>(objects: &[Arc<Object<S>>]) -> impl Iterator<Item = &Spanned<Name>> {
    objects.iter().map(|object| &object.name)
}

fn unique<'a>(kind: &str, names: impl Iterator<Item = &'a Spanned<Name>>, out: &mut Diagnostics) {
    let mut seen: HashMap<&Name, Place> = HashMap::new();
    for name in names {
        if let Some(first) = seen.get(&name.value) {
            let message = format!("there is already {kind} called `{}`", name.value);
            out.push(Diagnostic::error(codes::DUPLICATE_NAME, name.place, message).with(*first, "the first one"));
        } else {
            seen.insert(&name.value, name.place);
        }
    }
}
