//! What an agent keeps over a crash.

use serde::{Deserialize, Serialize};

use crate::message::{At, Phase};
use crate::revision::{DeviceRevision, Files, Generation};
use crate::signed::Signed;

/// A revision that the device was or is to be made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Kept {
    /// Which.
    pub at: At,
    /// Its artefacts.
    pub files: Files,
    /// What said so, as it was signed: evidence for whoever looks at the device later.
    pub order: Signed<DeviceRevision>,
}

/// A revision on its way.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Pending {
    /// Which.
    pub kept: Kept,
    /// How far it is.
    pub phase: Phase,
    /// How long to wait for the confirmation, in milliseconds; known from the order to apply on. When the wait began is not kept: clocks of two boots can't be
    /// compared, and nothing waits over a restart.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub confirm_within: Option<u64>,
}

/// Exactly what must be durable.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Journal {
    /// What the device is, whatever else happens.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub confirmed: Option<Kept>,
    /// What is on its way.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub pending: Option<Pending>,
    /// Nothing older is taken any more: an old order has a good signature too, and whoever recorded it can send it again.
    pub floor: Generation,
    /// The newest revision that was taken, so that its number stands for no other one.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub newest: Option<At>,
}

impl Journal {
    /// Why a revision is too old or another one than its number says.
    pub(super) fn outdated(&self, at: At) -> Option<String> {
        if at.generation < self.floor {
            return Some(format!("revision {} is older than {}, the oldest that is still taken", at.generation, self.floor));
        }
        let clash = self.newest.filter(|newest| newest.generation == at.generation && newest.revision != at.revision)?;
        Some(format!("revision {} is `{}` here, not `{}`", at.generation, clash.revision.short(), at.revision.short()))
    }

    /// Keeps one that was checked.
    pub(super) fn prepare(&mut self, kept: Kept) {
        self.floor = self.floor.max(kept.at.generation);
        self.newest = Some(kept.at);
        self.pending = Some(Pending { kept, phase: Phase::Prepared, confirm_within: None });
    }

    /// Takes this one never again. Only what was taken before, so that one wrong order can't lock out all revisions to come. True if that is news.
    pub(super) fn renounce(&mut self, at: At) -> bool {
        let known = self.newest == Some(at) && self.floor <= at.generation;
        if known {
            self.floor = Generation(at.generation.0.saturating_add(1));
        }
        known
    }

    /// The pending revision's phase, if it is this one.
    pub(super) fn phase_of(&self, at: At) -> Option<Phase> {
        self.pending.as_ref().filter(|pending| pending.kept.at == at).map(|pending| pending.phase)
    }

    /// Whether this is what the device is.
    pub(super) fn is_confirmed(&self, at: At) -> bool {
        self.confirmed.as_ref().is_some_and(|kept| kept.at == at)
    }
}
