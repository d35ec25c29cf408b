//! How far a revision is, for people.

use std::collections::BTreeMap;

use leafwall_topology::Name;
use serde::{Deserialize, Serialize};

use super::Machine;
use super::devices::Device;
use crate::message::{At, Phase};

/// How far.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Standing {
    /// Nowhere yet.
    None,
    /// On its way.
    Partial,
    /// There.
    Full,
    /// It does not get there, by what was tried last.
    Error,
}

/// One device.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct DeviceStatus {
    /// How far.
    pub standing: Standing,
    /// What it is, as far as we heard.
    pub confirmed: Option<At>,
    /// Why it is not there.
    pub reason: Option<String>,
}

/// All of them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct FabricStatus {
    /// How far the fabric is: there if all devices are, in error if one is.
    pub standing: Standing,
    /// Each device that we want something of.
    pub devices: BTreeMap<Name, DeviceStatus>,
}

impl Machine {
    /// How far the devices are on their way to what was decided last.
    pub fn status(&self) -> FabricStatus {
        let unheard = Device::default();
        let device = |(name, at): (&Name, At)| (name.clone(), one(self.devices.get(name).unwrap_or(&unheard), at, self.bad.get(name)));
        let devices: BTreeMap<_, _> = self.ledger.wanted.iter().map(|(name, wanted)| device((name, wanted.at))).collect();
        let any = |standing| devices.values().any(|device| device.standing == standing);
        let standing = match (any(Standing::Error), any(Standing::Partial), any(Standing::None), any(Standing::Full)) {
            (true, ..) => Standing::Error,
            (_, true, ..) | (.., true, true) => Standing::Partial,
            (.., true, false) => Standing::None,
            (_, _, false, _) => Standing::Full,
        };
        FabricStatus { standing, devices }
    }
}

fn one(device: &Device, at: At, bad: Option<&String>) -> DeviceStatus {
    let status = |standing, reason| DeviceStatus { standing, confirmed: device.confirmed, reason };
    let there = device.confirmed == Some(at);
    if there && let Some(reason) = bad {
        return status(Standing::Error, Some(reason.clone()));
    }
    match (&device.trouble, device.phase_of(at)) {
        _ if there => status(Standing::Full, None),
        (Some(reason), _) => status(Standing::Error, Some(reason.clone())),
        _ if !device.connected => {
            status(if device.confirmed.is_some() { Standing::Partial } else { Standing::None }, Some("it is away".to_owned()))
        }
        (None, Some(Phase::Prepared)) => status(Standing::Partial, Some("it is prepared".to_owned())),
        (None, Some(Phase::Applying)) => status(Standing::Partial, Some("it is being changed".to_owned())),
        (None, Some(Phase::Unconfirmed)) => status(Standing::Partial, Some("it is not confirmed yet".to_owned())),
        (None, Some(Phase::GoingBack)) => status(Standing::Partial, Some("it is going back, and tries again".to_owned())),
        (None, None) => {
            status(if device.confirmed.is_some() { Standing::Partial } else { Standing::None }, Some("it prepares the revision".to_owned()))
        }
    }
}
