//! The files of each device.

use std::collections::BTreeMap;
use std::sync::Arc;

use leafwall_plan::device::{Device, DevicePlan, Plan};
use leafwall_policy::guards::guards;
use leafwall_policy::ruleset::{RulesetError, ruleset};
use leafwall_topology::{Name, Platform};
use rayon::prelude::*;
use thiserror::Error;

use crate::build::{self, LinksError};
use crate::config_db::ConfigDb;
use crate::frr::{FrrConfig, PrintError};
use crate::links::{Forwarding, LINKS_VERSION, Links, LocalTable};

/// The routing daemons' configuration.
pub const FRR_CONF: &str = "frr.conf";
/// The kernel's links.
pub const LINKS_JSON: &str = "links.json";
/// SONiC's database: on its switches this and not the kernel's links, which SONiC makes itself.
pub const CONFIG_DB_JSON: &str = "config_db.json";
/// A firewall's ruleset, or a switch's guards.
pub const LEAFWALL_NFT: &str = "leafwall.nft";

/// The files of one device, by name.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Artefacts {
    /// Their texts.
    pub files: BTreeMap<&'static str, String>,
}

/// A device that cannot be rendered. Plans that come from a checked Model always can be; nothing of a fabric is rendered if one cannot.
#[derive(Debug, Error)]
pub enum RenderError {
    /// Its links.
    #[error("can't make the links of `{device}`")]
    Links {
        /// The device.
        device: Name,
        /// Why.
        #[source]
        source: LinksError,
    },
    /// Their text.
    #[error("can't print the links of `{device}`")]
    LinksText {
        /// The device.
        device: Name,
        /// Why.
        #[source]
        source: serde_json::Error,
    },
    /// Its frr.conf.
    #[error("can't print the frr.conf of `{device}`")]
    Frr {
        /// The device.
        device: Name,
        /// Why.
        #[source]
        source: PrintError,
    },
    /// Its CONFIG_DB.
    #[error("can't print the CONFIG_DB of `{device}`")]
    ConfigDb {
        /// The device.
        device: Name,
        /// Why.
        #[source]
        source: serde_json::Error,
    },
    /// `links.json` or `config_db.json` of a device that is to have nothing of ours.
    #[error("can't print links.json or config_db.json of a device without anything of ours")]
    NothingJson(#[source] serde_json::Error),
    /// `frr.conf` of a device that is to have nothing of ours.
    #[error("can't print frr.conf of a device without anything of ours")]
    NothingFrr(#[source] PrintError),
    /// Its ruleset.
    #[error("can't make the ruleset of `{device}`")]
    Ruleset {
        /// The device.
        device: Name,
        /// Why.
        #[source]
        source: RulesetError,
    },
}

/// Of a device of a platform that is to have nothing of ours: no links, or a CONFIG_DB of no rows (which takes out what is ours alone), and FRR without our
/// statements. A ruleset is not among them: without intent nothing is opened.
pub fn nothing(platform: Platform) -> Result<Artefacts, RenderError> {
    let (ground, text) = match platform {
        Platform::Frr => {
            let links = Links {
                version: LINKS_VERSION,
                forwarding: Forwarding::Immediate,
                local_table: LocalTable::default(),
                sysctls: BTreeMap::new(),
                links: Vec::new(),
                routes: Vec::new(),
            };
            (LINKS_JSON, links.print().map_err(RenderError::NothingJson)?)
        }
        Platform::Sonic => (CONFIG_DB_JSON, ConfigDb::default().print().map_err(RenderError::NothingJson)?),
    };
    let frr = FrrConfig::default().print().map_err(RenderError::NothingFrr)?;
    Ok(Artefacts { files: BTreeMap::from([(ground, text), (FRR_CONF, frr)]) })
}

/// Renders one device.
pub fn render_device(plan: &DevicePlan) -> Result<Artefacts, RenderError> {
    let device = || plan.name.clone();
    let mut files = BTreeMap::new();
    if let Some(config) = build::frr(plan) {
        files.insert(FRR_CONF, config.print().map_err(|source| RenderError::Frr { device: device(), source })?);
    }
    if let Device::Switch(switch) = &plan.device
        && let Some(tables) = build::config_db(&plan.name, switch)
    {
        let text = tables.to_database().and_then(|database| database.print());
        files.insert(CONFIG_DB_JSON, text.map_err(|source| RenderError::ConfigDb { device: device(), source })?);
        return Ok(Artefacts { files });
    }
    let links = build::links(plan).map_err(|source| RenderError::Links { device: device(), source })?;
    // bridged servers are many, and their links a line among others'
    let text = if matches!(plan.device, Device::Bridged(_)) { links.print_line() } else { links.print() };
    files.insert(LINKS_JSON, text.map_err(|source| RenderError::LinksText { device: device(), source })?);
    let script = match &plan.device {
        Device::Switch(switch) => Some(guards(&build::guards(switch))),
        Device::Firewall(machine) => Some(ruleset(&machine.rules).map_err(|source| RenderError::Ruleset { device: device(), source })?),
        Device::Routed(_) | Device::Bridged(_) => None,
    };
    if let Some(script) = script {
        files.insert(LEAFWALL_NFT, script.to_text());
    }
    Ok(Artefacts { files })
}

/// What each device of a fabric has. One fabric and the next share what did not change.
pub type Devices = BTreeMap<Name, Arc<Artefacts>>;

/// Renders all devices, on all cores; the result does not depend on their number.
pub fn render(plan: &Plan) -> Result<Devices, RenderError> {
    let devices: Vec<_> = plan.devices.iter().collect();
    // one by one: switches cost a hundred times what servers do, and stand together in the order of names
    let rendered: Vec<_> = devices.par_iter().with_max_len(1).map(|(name, device)| (*name, render_device(device))).collect();
    // the first device that fails by name is the one reported, whichever thread was faster
    rendered.into_iter().map(|(name, artefacts)| artefacts.map(|artefacts| (name.clone(), Arc::new(artefacts)))).collect()
}
