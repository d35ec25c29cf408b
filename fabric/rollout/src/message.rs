//! Orders to an agent, and what it says.

use leafwall_topology::Name;
use serde::{Deserialize, Serialize};

use crate::digest::Digest;
use crate::revision::{DeviceRevision, Generation};
use crate::signed::Signed;

/// A revision as an agent names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct At {
    /// Its number.
    pub generation: Generation,
    /// The fabric's revision.
    pub revision: Digest,
}

/// What a controller tells an agent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Order {
    /// Check this, and keep it ready. Nothing on the device changes.
    Prepare {
        /// What the device is to be.
        revision: Signed<DeviceRevision>,
    },
    /// Make the device what was prepared. Without a `Confirm` in time the agent goes back by itself.
    Apply {
        /// Which.
        at: At,
        /// How long the agent waits for the confirmation once it has observed the new state, in milliseconds.
        confirm_within: u64,
    },
    /// The revision stands.
    Confirm {
        /// Which.
        at: At,
    },
    /// Go back to what was confirmed last, wherever you are with this one.
    Abandon {
        /// Which.
        at: At,
    },
}

/// Where an agent is with a revision.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Phase {
    /// Checked and kept ready.
    Prepared,
    /// The device is being changed.
    Applying,
    /// Observed on the device, and not confirmed yet.
    Unconfirmed,
    /// On the way back.
    GoingBack,
}

/// What an agent says of itself, each time it connects.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hello {
    /// Which device.
    pub device: Name,
    /// What was confirmed last.
    pub confirmed: Option<At>,
    /// What is on its way.
    pub pending: Option<(At, Phase)>,
}

/// What an agent says to an order, or by itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Answer {
    /// Checked and kept ready.
    Prepared {
        /// Which.
        at: At,
    },
    /// Not taken; the device is as it was.
    Refused {
        /// Which.
        at: At,
        /// Why, in words for people.
        reason: String,
    },
    /// Observed on the device.
    Applied {
        /// Which.
        at: At,
    },
    /// The change did not lead there; the agent goes back.
    Failed {
        /// Which.
        at: At,
        /// Why, in words for people.
        reason: String,
    },
    /// It stands, also over a restart.
    Confirmed {
        /// Which.
        at: At,
    },
    /// The device is again what was confirmed last, as observed.
    WentBack {
        /// From which.
        from: At,
        /// Why, in words for people.
        reason: String,
    },
}
