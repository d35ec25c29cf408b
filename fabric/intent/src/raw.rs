//! Intents as they were written: every value has the type and range of its field and knows its place, but nothing is known of how they fit together.
//!
//! The records below are the one table of kinds and fields: decoding, the JSON Schema and `docs/intents.md` come from it. A required field that is `None`,
//! or a list that lacks an entry, has been reported by [`crate::read`] already.

use std::sync::Arc;

use leafwall_topology::Name;

use crate::source::{Place, Sources, Spanned};

mod operators;
mod rules;
mod tenants;
mod values;

pub use operators::*;
pub use rules::*;
pub use tenants::*;
pub use values::*;

/// A mapping whose keys are values, in the order written; no key stands twice.
pub type Entries<K, V> = Vec<(Spanned<K>, Spanned<V>)>;

/// One document.
#[derive(Debug, Clone, PartialEq)]
pub struct Object<S> {
    /// `metadata.name`
    pub name: Spanned<Name>,
    /// `metadata.labels`
    pub labels: Entries<Text, Text>,
    /// What is said of it.
    pub spec: S,
    /// Where its `kind` stands.
    pub place: Place,
    /// Whether all of it could be read. Where not, what seems to be absent may be there, only illegible: a check that concludes from absence skips it.
    pub sound: bool,
}

/// Documents of one kind. One reading and the next share those of files that did not change.
pub type Objects<S> = Vec<Arc<Object<S>>>;

/// Everything that was read, sorted by file and place within each kind.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Intents {
    /// The texts that places point into.
    pub sources: Arc<Sources>,
    /// Whether there was no error in any of them. Without it no Model is made: what could not be read may have been a rule or a bound (H33).
    pub sound: bool,
    /// `kind: Fabric`; there must be exactly one.
    pub fabrics: Objects<FabricIntent>,
    /// `kind: Switch`
    pub switches: Objects<SwitchIntent>,
    /// `kind: Cabling`
    pub cablings: Objects<CablingIntent>,
    /// `kind: Server`
    pub servers: Objects<ServerIntent>,
    /// `kind: Tenant`
    pub tenants: Objects<TenantIntent>,
    /// `kind: Network`
    pub networks: Objects<NetworkIntent>,
    /// `kind: Allocation`
    pub allocations: Objects<AllocationIntent>,
    /// `kind: Address`
    pub addresses: Objects<AddressIntent>,
    /// `kind: Peering`
    pub peerings: Objects<PeeringIntent>,
    /// `kind: Firewall`
    pub firewalls: Objects<FirewallIntent>,
    /// `kind: FirewallPolicy`
    pub policies: Objects<FirewallPolicyIntent>,
}
