//! Device plans become trees: frr.conf, links.json, config_db.json, and what nftables are made from.
//!
//! Everything is decided here or in the plan; the templates print what these trees say. Statements are put into the order in which FRR prints them
//! itself, so that a device's own text compares line by line.

mod config_db;
mod draft;
mod external;
mod firewall;
mod firewall_port;
mod guards;
mod inventory;
mod links;
mod server;
mod switch;
mod underlay;
mod vrf;

use leafwall_plan::device::{Device, DevicePlan};

use crate::frr::FrrConfig;
pub use config_db::config_db;
pub use guards::guards;
pub use inventory::{ends, inventory};
pub use links::{LinksError, links};
pub use underlay::FABRIC_GROUP;

/// What a BGP password looks like in frr.conf until the agent puts the secret of that name in its place. A session with this text as its password
/// does not come up, so a forgotten replacement fails closed.
pub const SECRET_PREFIX: &str = "leafwall-secret-";

/// The frr.conf of a device; `None` for one that runs no routing daemon.
pub fn frr(plan: &DevicePlan) -> Option<FrrConfig> {
    match &plan.device {
        Device::Switch(switch) => Some(switch::config(&plan.name, switch)),
        Device::Firewall(machine) => Some(firewall::config(&plan.name, machine)),
        Device::Routed(server) => Some(server::config(&plan.name, server)),
        Device::Bridged(_) => None,
    }
}
