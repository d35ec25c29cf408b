//! A leaf's port with a firewall machine behind: what the machine may announce, and where its packets may go (H38).
//!
//! Those are leaves with servers of its networks and exits of its external ones, never another firewall machine: tenants meet in a shared network only at
//! its servers (H28), and in an external one by way of an exit.

use std::collections::BTreeSet;
use std::net::Ipv4Addr;

use leafwall_intent::model::Firewall;
use leafwall_topology::{MacAddr, Mtu};

use crate::context::{Context, PlanError};
use crate::device::{FirewallPort, FirewallPortVni};
use crate::exchange::exchange;
use crate::index::ServerPort;

/// How many times a standby machine's ASN is prepended per step. A detour over another leaf adds two ASNs to a path: three never tie with it.
const PREPENDS_PER_STEP: usize = 3;
/// How many routes a firewall machine may announce: its prefixes and addresses, and what the outside tells inside of a destination.
const MAXIMUM_PREFIXES: u32 = 1000;

/// The plan of the port.
pub(crate) fn plan(ctx: &Context<'_>, firewall: &Firewall, position: usize, at: &ServerPort, mtu: Mtu) -> Result<FirewallPort, PlanError> {
    let machine = &at.server;
    let loopback = ctx.loopback(machine)?;
    let mut vnis = Vec::new();
    for name in &firewall.networks {
        let network = ctx.network(name)?;
        let vni = ctx.vni(name)?;
        let accept = exchange(ctx, firewall, machine, network)?.announce;
        let vteps = ctx.announcers.get(name).map(|all| all.to_vec()).unwrap_or_default();
        vnis.push(FirewallPortVni { vni, rd: ctx.rd(machine, vni)?, accept, vteps });
    }
    let vteps: BTreeSet<Ipv4Addr> = vnis.iter().flat_map(|vni| vni.vteps.iter().copied()).collect();
    vnis.sort_by_key(|vni| vni.vni);
    Ok(FirewallPort {
        port: at.port.clone(),
        mtu,
        firewall: machine.clone(),
        firewall_port: at.nic.clone(),
        asn: ctx.asn(machine)?,
        loopback,
        router_mac: MacAddr::router(loopback),
        prepend: u8::try_from(position * PREPENDS_PER_STEP).unwrap_or(u8::MAX),
        vnis,
        vteps: vteps.into_iter().collect(),
        maximum_prefix: MAXIMUM_PREFIXES,
    })
}
