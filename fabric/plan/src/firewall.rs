//! A firewall machine.

use std::net::IpAddr;
use std::sync::Arc;

use leafwall_intent::model::{Firewall, Network, Server, ServerManagement};
use leafwall_policy::zone::{Failsafe, FirewallRules, Inband};
use leafwall_topology::{IfName, Name, Prefix, names};

use crate::allocation::AddressHolder;
use crate::context::{Context, PlanError};
use crate::device::{FirewallPlan, FirewallVrfPlan};
use crate::exchange::{Exchange, exchange};
use crate::server::uplinks;
use crate::zones;

/// The port of a firewall machine to the management network, where it has an address out of band.
const MANAGEMENT_PORT: &str = "mgmt0";

/// The plan of a machine of this Firewall.
pub(crate) fn plan(ctx: &Context<'_>, server: &Server, firewall: &Firewall, position: usize) -> Result<FirewallPlan, PlanError> {
    let mut vrfs = Vec::new();
    for name in &firewall.networks {
        vrfs.push(vrf(ctx, server, firewall, ctx.network(name)?)?);
    }
    vrfs.sort_by_key(|vrf| vrf.vni);
    Ok(FirewallPlan {
        firewall: firewall.name.clone(),
        position: u8::try_from(position).unwrap_or(u8::MAX),
        router: ctx.router(&server.name)?,
        common: Arc::clone(ctx.common),
        uplinks: uplinks(ctx, server, ctx.model.fabric.mtu)?,
        vrfs,
        rules: rules(ctx, server, firewall)?,
    })
}

fn vrf(ctx: &Context<'_>, server: &Server, firewall: &Firewall, network: &Network) -> Result<FirewallVrfPlan, PlanError> {
    let vni = ctx.vni(&network.name)?;
    let Exchange { announce, aggregates, leaks } = exchange(ctx, firewall, &server.name, network)?;
    let mut addresses: Vec<IpAddr> = egress(ctx, firewall, &network.name);
    addresses.extend(ctx.table.addresses(&network.name, &AddressHolder::Inband(server.name.clone())));
    addresses.sort();
    addresses.dedup();
    Ok(FirewallVrfPlan {
        network: network.name.clone(),
        vni,
        vlan: ctx.vlan(&server.name, vni)?,
        rd: ctx.rd(&server.name, vni)?,
        addresses,
        leaks,
        aggregates,
        announce,
    })
}

/// The addresses that a firewall translates to in a network.
pub(crate) fn egress(ctx: &Context<'_>, firewall: &Firewall, network: &Name) -> Vec<IpAddr> {
    let names = firewall.egress.get(network).into_iter().flatten();
    names.filter_map(|name| ctx.model.addresses.get(name)).flat_map(|address| ctx.elastic(address)).copied().collect()
}

/// Elastic addresses of the tenant's servers that come from other networks: this one has no way back to them.
pub(crate) fn elastic_of_others(ctx: &Context<'_>, firewall: &Firewall, network: &Network) -> Vec<Prefix> {
    let others =
        ctx.addresses_of(&firewall.tenant).filter(|address| address.network != network.name && !ctx.index.egress.has(&address.name));
    others.flat_map(|address| ctx.elastic(address)).map(|host| Prefix::host(*host)).collect()
}

/// Those of them that are translated in this network.
pub(crate) fn elastic_elsewhere(ctx: &Context<'_>, firewall: &Firewall, network: &Network) -> Vec<Prefix> {
    elastic_of_others(ctx, firewall, network).into_iter().filter(|prefix| network.nat.covers(prefix.family())).collect()
}

fn rules(ctx: &Context<'_>, server: &Server, firewall: &Firewall) -> Result<FirewallRules, PlanError> {
    let policies = ctx.index.policies_of_firewall.of(&firewall.name).filter_map(|name| ctx.model.policies.get(name));
    let inband = match &server.management {
        Some(ServerManagement::Inband(network)) => Some(Inband {
            vrf: names::vrf(ctx.vni(network)?),
            addresses: ctx.table.addresses(network, &AddressHolder::Inband(server.name.clone())).to_vec(),
        }),
        Some(ServerManagement::Address(_)) | None => None,
    };
    let management = match &server.management {
        Some(ServerManagement::Address(_)) => Some(management_port()?),
        Some(ServerManagement::Inband(_)) | None => None,
    };
    let mut ports: Vec<IfName> = server.nics.iter().map(|nic| nic.name.clone()).collect();
    ports.sort();
    Ok(FirewallRules {
        firewall: firewall.name.clone(),
        tenant: firewall.tenant.clone(),
        zones: zones::plan(ctx, firewall, &server.name)?,
        access: firewall.access,
        allowed_ingress: firewall.allowed_ingress.clone(),
        allowed_egress: firewall.allowed_egress.clone(),
        log_accepted: firewall.log_accepted,
        policies: policies.map(|policy| policy.policy.clone()).collect(),
        resolvers: ctx.model.resolvers(firewall).to_vec(),
        failsafe: Failsafe { uplinks: ports, loopback: ctx.loopback(&server.name)?, vteps: ctx.model.fabric.loopbacks, management, inband },
    })
}

fn management_port() -> Result<IfName, PlanError> {
    MANAGEMENT_PORT.parse().map_err(|_| PlanError { what: "interface", name: MANAGEMENT_PORT.to_owned() })
}
