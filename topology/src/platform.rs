//! Roles, platforms and what they can carry.

use std::fmt;

use serde::{Deserialize, Serialize};

/// What a switch does in the fabric.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Connects leaves and exits; holds no tenant.
    Spine,
    /// Has servers and firewalls behind its ports.
    Leaf,
    /// Connects external networks.
    Exit,
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Spine => "spine",
            Self::Leaf => "leaf",
            Self::Exit => "exit",
        })
    }
}

/// The software that a switch runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Platform {
    /// Debian with FRR: Linux is the data plane.
    Frr,
    /// SONiC.
    Sonic,
}

impl fmt::Display for Platform {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Frr => "frr",
            Self::Sonic => "sonic",
        })
    }
}

/// How much of each a device can hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Budgets {
    /// VRFs besides the default one.
    pub vrfs: u32,
    /// VLANs on the bridge (each L2VNI and each L3VNI takes one).
    pub vlans: u32,
}

/// What is known of a platform.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlatformProfile {
    /// Which one.
    pub platform: Platform,
    /// The newest version that our tests run.
    pub newest_tested: &'static str,
    /// Its limits.
    pub budgets: Budgets,
}

impl Platform {
    /// The profile of this platform.
    pub const fn profile(self) -> PlatformProfile {
        match self {
            // a VLAN-aware bridge has ids 1 to 4094; VRFs are bounded by the VLANs that their L3VNIs take
            Self::Frr => PlatformProfile { platform: self, newest_tested: "10.3", budgets: Budgets { vrfs: 4000, vlans: 4000 } },
            Self::Sonic => PlatformProfile { platform: self, newest_tested: "202505", budgets: Budgets { vrfs: 1000, vlans: 4000 } },
        }
    }
}
