//! What the core tells, and changes nothing by.

use std::collections::BTreeMap;
use std::sync::Arc;

use leafwall_api::v1;
use leafwall_render::{Artefacts, CONFIG_DB_JSON};
use leafwall_rollout::message::At;
use leafwall_rollout::revision::Files;
use leafwall_topology::{Name, Platform};

use super::super::ServerError;
use super::Core;
use crate::history::Changes;
use crate::pipeline::{Candidate, digests};

impl Core {
    /// Every device with its files: the candidate's, and those that it no longer has, which get nothing of ours; and the artefacts of the latter.
    pub(super) fn wanted_by(&self, candidate: &Candidate) -> Result<(BTreeMap<Name, Files>, Arc<Artefacts>), ServerError> {
        let (mut artefacts, on_sonic) = (leafwall_render::nothing(Platform::Frr)?, leafwall_render::nothing(Platform::Sonic)?);
        let (empty, empty_on_sonic) = (digests(&artefacts.files), digests(&on_sonic.files));
        artefacts.files.extend(on_sonic.files);
        let mut all = candidate.digests.devices.clone();
        for (name, wanted) in &self.machine.ledger().wanted {
            let empty = if wanted.files.contains_key(CONFIG_DB_JSON) { &empty_on_sonic } else { &empty };
            all.entry(name.clone()).or_insert_with(|| empty.clone());
        }
        Ok((all, Arc::new(artefacts)))
    }

    /// What the head wants of a device.
    pub(super) fn before(&self, device: &Name) -> Option<&Files> {
        self.machine.ledger().wanted.get(device).map(|wanted| &wanted.files)
    }

    pub(super) fn head(&self) -> Option<At> {
        self.machine.ledger().head
    }

    pub(super) fn plan(&self, candidate: &Candidate) -> Result<v1::Planned, ServerError> {
        let (all, _) = self.wanted_by(candidate)?;
        let mut devices = Vec::new();
        for (name, files) in &all {
            let before = self.before(name);
            if before == Some(files) {
                continue;
            }
            let changes = Changes::between(before.unwrap_or(&Files::new()), files);
            let kind = match (before, candidate.devices.contains_key(name)) {
                (None, _) => "new",
                (Some(_), true) => "changed",
                (Some(_), false) => "removed",
            };
            let files = [changes.added, changes.changed, changes.removed].into_iter().flatten().collect();
            devices.push(v1::DeviceChange { device: name.to_string(), kind: kind.to_owned(), files });
        }
        let digest = candidate.digest(self.head().map(|head| head.revision)).map_err(ServerError::Print)?;
        let (digest, diagnostics) = (digest.bytes().to_vec(), candidate.warnings.clone());
        Ok(v1::Planned { digest, devices, diagnostics, refused: false, ..v1::Planned::default() })
    }

    /// What is not decided yet, in words.
    fn under_way(&self) -> String {
        match (self.machine.held(), self.machine.running()) {
            (Some((at, reason)), _) => format!("revision {} is held: {reason}", at.generation),
            (None, Some(at)) => format!("revision {} is under way", at.generation),
            (None, None) => String::new(),
        }
    }

    pub(super) fn status(&self) -> v1::FabricStatus {
        let status = self.machine.status();
        let name = |standing| serde_json::to_value(standing).ok().and_then(|value| value.as_str().map(str::to_owned)).unwrap_or_default();
        let devices = status.devices.iter().map(|(device, status)| v1::DeviceStatus {
            device: device.to_string(),
            connected: self.agents.contains_key(device),
            generation: status.confirmed.map_or(0, |at| at.generation.0),
            current: self.machine.ledger().wanted.get(device).map(|wanted| wanted.at) == status.confirmed,
            detail: status.reason.clone().unwrap_or_default(),
            differences: self.differences.get(device).cloned().unwrap_or_default(),
            state: name(status.standing),
        });
        let head = self.head();
        v1::FabricStatus {
            generation: head.map_or(0, |at| at.generation.0),
            revision: head.map(|at| at.revision.bytes().to_vec()).unwrap_or_default(),
            state: name(status.standing),
            devices: devices.collect(),
            objects: Vec::new(),
            under_way: self.under_way(),
            agents: u32::try_from(self.agents.len()).unwrap_or(u32::MAX),
        }
    }
}
