//! Who is called what, and who has which server.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::Arc;

use leafwall_topology::{Name, Role};

use crate::model::{Mode, NetworkType, Phase, ServerRole};
use crate::raw::{
    AddressIntent, AllocationIntent, FabricIntent, FirewallIntent, Intents, NetworkIntent, Object, ServerIntent, SwitchIntent, TenantIntent,
};
use crate::source::Spanned;

/// Objects of one kind by name; of several with one name the first.
pub(super) type Table<'a, S> = HashMap<&'a Name, &'a Object<S>>;

/// The intents with the ways through them that the topics share.
pub(super) struct Index<'a> {
    pub intents: &'a Intents,
    /// The first Fabric.
    pub fabric: Option<&'a FabricIntent>,
    pub switches: Table<'a, SwitchIntent>,
    pub servers: Table<'a, ServerIntent>,
    pub tenants: Table<'a, TenantIntent>,
    pub networks: Table<'a, NetworkIntent>,
    pub addresses: Table<'a, AddressIntent>,
    pub firewalls: Table<'a, FirewallIntent>,
    /// The first allocation of each server.
    pub allocation_of: HashMap<&'a Name, &'a Object<AllocationIntent>>,
    /// The first Firewall that lists each server.
    pub firewall_of: HashMap<&'a Name, &'a Object<FirewallIntent>>,
}

fn table<S>(objects: &[Arc<Object<S>>]) -> Table<'_, S> {
    first_by(objects.iter().map(|object| (&object.name.value, &**object)))
}

fn first_by<'a, K: Eq + Hash, V>(pairs: impl Iterator<Item = (&'a K, V)>) -> HashMap<&'a K, V> {
    let mut map = HashMap::new();
    for (key, value) in pairs {
        map.entry(key).or_insert(value);
    }
    map
}

impl<'a> Index<'a> {
    pub fn new(intents: &'a Intents) -> Self {
        let allocations = intents.allocations.iter().filter_map(|a| a.spec.server.as_ref().map(|server| (&server.value, &**a)));
        let firewalls = intents.firewalls.iter().flat_map(|f| f.spec.servers.iter().map(move |server| (&server.value, &**f)));
        Self {
            intents,
            fabric: intents.fabrics.first().map(|fabric| &fabric.spec),
            switches: table(&intents.switches),
            servers: table(&intents.servers),
            tenants: table(&intents.tenants),
            networks: table(&intents.networks),
            addresses: table(&intents.addresses),
            firewalls: table(&intents.firewalls),
            allocation_of: first_by(allocations),
            firewall_of: first_by(firewalls),
        }
    }

    /// The network that a field names.
    pub fn network(&self, name: Option<&Spanned<Name>>) -> Option<&'a Object<NetworkIntent>> {
        self.networks.get(&name?.value).copied()
    }

    /// The role of the switch that is called so.
    pub fn role(&self, switch: &Name) -> Option<Role> {
        value(self.switches.get(switch)?.spec.role.as_ref())
    }
}

/// The value of a field.
pub(super) fn value<T: Copy>(field: Option<&Spanned<T>>) -> Option<T> {
    field.map(|spanned| spanned.value)
}

/// Whether two fields are there and hold the same.
pub(super) fn same<T: PartialEq>(one: Option<&Spanned<T>>, other: Option<&Spanned<T>>) -> bool {
    matches!((one, other), (Some(one), Some(other)) if one.value == other.value)
}

impl NetworkIntent {
    pub(super) fn is(&self, kind: NetworkType) -> bool {
        value(self.kind.as_ref()) == Some(kind)
    }

    /// All prefixes and subnets: what the network consists of.
    pub(super) fn own_prefixes(&self) -> impl Iterator<Item = Spanned<leafwall_topology::Prefix>> {
        self.prefixes.iter().copied().chain(self.subnets.iter().filter_map(|subnet| subnet.value.prefix))
    }
}

impl AllocationIntent {
    pub(super) fn mode(&self) -> Mode {
        value(self.mode.as_ref()).unwrap_or(Mode::Routed)
    }

    pub(super) fn is_active(&self) -> bool {
        value(self.phase.as_ref()).unwrap_or_default() == Phase::Active
    }
}

impl ServerIntent {
    pub(super) fn role(&self) -> ServerRole {
        value(self.role.as_ref()).unwrap_or(ServerRole::Machine)
    }
}

impl FirewallIntent {
    pub(super) fn joins(&self, network: &Name) -> bool {
        self.networks.iter().any(|joined| joined.value == *network)
    }
}
