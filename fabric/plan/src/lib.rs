//! Leafwall plans: the Model and the allocation table become one plan per device.
//!
//! [`device`] holds the types that a plan consists of. Every value a template prints is computed here or in `render`; nothing is left to decide.
#![cfg_attr(test, allow(missing_docs))]

pub mod allocation;
mod changes;
mod context;
pub mod device;
mod exchange;
mod firewall;
mod firewall_port;
mod holdings;
pub mod index;
mod matches;
mod planner;
mod server;
mod sonic;
mod switch;
mod zones;

pub use allocation::{Table, TableFile, allocate};
pub use context::PlanError;
pub use device::{Device, DevicePlan, Plan};
pub use planner::{Failure, Planner, Undo};
