//! Leafwall artefacts: device plans become configuration, and configuration is read back.
//!
//! [`render`] gives each device its files. [`frr`] is frr.conf as a tree, printed by the templates in `templates/frr` and read back; [`links`] is the plan of a device's kernel links,
//! written as `links.json`; [`config_db`] is SONiC's database; [`inventory`] is what the lab needs to know of the fabric, written as `fabric.json`.

mod artefacts;
pub mod build;
pub mod config_db;
pub mod frr;
pub mod inventory;
mod lines;
pub mod links;

pub use artefacts::{Artefacts, CONFIG_DB_JSON, Devices, FRR_CONF, LEAFWALL_NFT, LINKS_JSON, RenderError, nothing, render, render_device};
