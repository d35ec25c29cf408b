//! Whose a document is.

use std::collections::HashMap;

use leafwall_topology::Name;

use super::OWNER_LABEL;
use crate::codes;
use crate::diagnostic::Diagnostic;
use crate::model::NetworkType;
use crate::raw::{AddressIntent, AllocationIntent, FirewallIntent, FirewallPolicyIntent, Intents, NetworkIntent, Object, PeeringIntent};
use crate::source::{Place, Spanned};

/// A document, and whose it is.
#[derive(Debug, Clone)]
pub struct Holding<'a> {
    /// Its kind.
    pub kind: &'static str,
    /// Its name.
    pub name: &'a Spanned<Name>,
    /// Where its kind stands.
    pub place: Place,
    /// The tenant that may write it; else why only operators may. Boxed, since that is long.
    pub owner: Result<&'a Name, Box<Diagnostic>>,
    /// The tenant that it concerns, also where an operator wrote it.
    pub concerns: Option<&'a Name>,
}

impl Holding<'_> {
    /// Whether a tenant may write it.
    pub fn is_of(&self, tenant: &Name) -> bool {
        self.owner.as_ref().is_ok_and(|owner| *owner == tenant)
    }
}

/// Who has which network and firewall; of several with one name the first, and that there are several is found elsewhere.
struct Owners<'a> {
    networks: HashMap<&'a Name, &'a Name>,
    firewalls: HashMap<&'a Name, &'a Name>,
}

/// All documents with whose they are, in no order that means anything.
pub fn holdings(intents: &Intents) -> Vec<Holding<'_>> {
    // without `..`: a new kind does not compile until somebody decides whose it is
    let Intents {
        sources: _,
        sound: _,
        fabrics,
        switches,
        cablings,
        servers,
        tenants,
        networks,
        allocations,
        addresses,
        peerings,
        firewalls,
        policies,
    } = intents;
    let mut owners = Owners { networks: HashMap::new(), firewalls: HashMap::new() };
    for network in networks {
        if let Some(tenant) = &network.spec.tenant {
            owners.networks.entry(&network.name.value).or_insert(&tenant.value);
        }
    }
    for firewall in firewalls {
        if let Some(tenant) = &firewall.spec.tenant {
            owners.firewalls.entry(&firewall.name.value).or_insert(&tenant.value);
        }
    }
    let mut all = Vec::new();
    all.extend(fabrics.iter().map(|object| operators("Fabric", object, None)));
    all.extend(switches.iter().map(|object| operators("Switch", object, None)));
    all.extend(cablings.iter().map(|object| operators("Cabling", object, None)));
    all.extend(servers.iter().map(|object| operators("Server", object, None)));
    all.extend(tenants.iter().map(|object| operators("Tenant", object, Some(&object.name.value))));
    all.extend(networks.iter().map(|object| holding("Network", object, network(object), of(object.spec.tenant.as_ref()))));
    all.extend(allocations.iter().map(|object| holding("Allocation", object, allocation(object), of(object.spec.tenant.as_ref()))));
    all.extend(addresses.iter().map(|object| holding("Address", object, address(object), of(object.spec.tenant.as_ref()))));
    all.extend(peerings.iter().map(|object| {
        let owner = peering(object, &owners);
        let concerns = owner.as_ref().ok().copied();
        holding("Peering", object, owner, concerns)
    }));
    all.extend(firewalls.iter().map(|object| holding("Firewall", object, firewall(object), of(object.spec.tenant.as_ref()))));
    all.extend(policies.iter().map(|object| {
        let owner = policy(object, &owners);
        let concerns = owner.as_ref().ok().copied();
        holding("FirewallPolicy", object, owner, concerns)
    }));
    all
}

type Owner<'a> = Result<&'a Name, Box<Diagnostic>>;

fn of(tenant: Option<&Spanned<Name>>) -> Option<&Name> {
    tenant.map(|tenant| &tenant.value)
}

fn not_yours<T>(place: Place, message: impl Into<String>) -> Result<T, Box<Diagnostic>> {
    Err(Box::new(Diagnostic::error(codes::NOT_YOURS, place, message)))
}

fn operators<'a, S>(kind: &'static str, object: &'a Object<S>, concerns: Option<&'a Name>) -> Holding<'a> {
    let owner = not_yours(object.place, format!("only operators write objects of kind `{kind}`"));
    Holding { kind, name: &object.name, place: object.place, owner, concerns }
}

fn holding<'a, S>(kind: &'static str, object: &'a Object<S>, owner: Owner<'a>, concerns: Option<&'a Name>) -> Holding<'a> {
    let label = object.labels.iter().find(|(key, _)| key.value.as_str() == OWNER_LABEL);
    let owner = match label {
        Some((key, _)) => not_yours(key.place, format!("only operators write the label `{OWNER_LABEL}`")),
        None => owner,
    };
    Holding { kind, name: &object.name, place: object.place, owner, concerns }
}

fn named<'a, S>(object: &Object<S>, tenant: Option<&'a Spanned<Name>>) -> Owner<'a> {
    tenant.map_or_else(|| not_yours(object.place, "only operators write what names no tenant"), |tenant| Ok(&tenant.value))
}

/// A field that only operators write.
fn operators_field<T>(field: Option<&Spanned<T>>, name: &str) -> Result<(), Box<Diagnostic>> {
    field.map_or(Ok(()), |field| not_yours(field.place, format!("only operators write `{name}` here")))
}

fn network(object: &Object<NetworkIntent>) -> Owner<'_> {
    let NetworkIntent { tenant, kind, vni, exits, peers, prefixes: _, subnets: _, destinations: _, announce: _, nat: _ } = &object.spec;
    match kind {
        Some(kind) if kind.value == NetworkType::Private => {}
        Some(kind) => return not_yours(kind.place, "only operators write shared and external networks"),
        None => return not_yours(object.place, "only operators write networks of no type"),
    }
    // numbers are the whole fabric's: one who could fix them would learn which are taken
    operators_field(vni.as_ref(), "vni")?;
    operators_field(exits.first(), "exits")?;
    operators_field(peers.first(), "peers")?;
    named(object, tenant.as_ref())
}

fn allocation(object: &Object<AllocationIntent>) -> Owner<'_> {
    let AllocationIntent { tenant, server: _, network: _, mode: _, addresses: _, phase: _ } = &object.spec;
    named(object, tenant.as_ref())
}

fn address(object: &Object<AddressIntent>) -> Owner<'_> {
    let AddressIntent { tenant, network: _, address: _, permanent: _, server: _ } = &object.spec;
    named(object, tenant.as_ref())
}

fn firewall(object: &Object<FirewallIntent>) -> Owner<'_> {
    let FirewallIntent {
        tenant,
        rate_limits,
        access,
        allowed_networks,
        kubernetes,
        servers: _,
        networks: _,
        egress: _,
        log_accepted: _,
        dns: _,
    } = &object.spec;
    // what bounds the tenant is not the tenant's to lift, and a path on the machine is the operators'
    operators_field(rate_limits.first(), "rateLimits")?;
    operators_field(access.as_ref(), "access")?;
    operators_field(allowed_networks.as_ref(), "allowedNetworks")?;
    operators_field(kubernetes.as_ref(), "kubernetes")?;
    named(object, tenant.as_ref())
}

/// What is said of another's, and of what belongs to something that does not exist: the same, so that who tries names learns nothing.
pub(super) fn foreign(kind: &str, name: &Spanned<Name>) -> Diagnostic {
    let message = format!("{kind} `{}` is not of the tenant that writes it", name.value);
    Diagnostic::error(codes::NOT_YOURS, name.place, message).hint(match kind {
        "Peering" => "both its networks have to be the tenant's own",
        "FirewallPolicy" => "`firewall` has to name one of the tenant's own",
        _ => "`tenant` has to name the tenant in the certificate",
    })
}

/// Of the tenant that has both networks.
fn peering<'a>(object: &'a Object<PeeringIntent>, owners: &Owners<'a>) -> Owner<'a> {
    let PeeringIntent { between } = &object.spec;
    let mut sides = between.iter().map(|side| side.value.network.as_ref().and_then(|network| owners.networks.get(&network.value).copied()));
    let owner = sides.next().flatten().filter(|owner| sides.all(|other| other == Some(*owner)));
    owner.ok_or_else(|| Box::new(foreign("Peering", &object.name)))
}

fn policy<'a>(object: &'a Object<FirewallPolicyIntent>, owners: &Owners<'a>) -> Owner<'a> {
    let FirewallPolicyIntent { firewall, ingress: _, egress: _ } = &object.spec;
    let owner = firewall.as_ref().and_then(|firewall| owners.firewalls.get(&firewall.value).copied());
    owner.ok_or_else(|| Box::new(foreign("FirewallPolicy", &object.name)))
}
