//! What is rolled out: a revision of the fabric, and each device's part of it.

use std::collections::BTreeMap;
use std::fmt;

use leafwall_topology::Name;
use serde::{Deserialize, Serialize};

use crate::digest::Digest;
use crate::signed::Statement;

/// The number of a revision: from 1, always growing. One that was taken back keeps its number; the next one has another.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Generation(pub u64);

impl Generation {
    /// Before the first revision.
    pub const NONE: Self = Self(0);

    /// The one after.
    #[must_use]
    pub const fn next(self) -> Self {
        Self(self.0 + 1)
    }
}

impl fmt::Display for Generation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Files by name, as the digests of their bytes.
pub type Files = BTreeMap<String, Digest>;

/// A state of the whole fabric. Immutable, and chained to the one before it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Revision {
    /// Its number.
    pub generation: Generation,
    /// The revision that it was made from; none for the first.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub parent: Option<Digest>,
    /// The intents, by their path in the fabric's directory.
    pub intents: Files,
    /// The table of allocated numbers.
    pub allocation: Digest,
    /// What each device is to be.
    pub devices: BTreeMap<Name, Files>,
    /// The certificate of the proof.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub proof: Option<Digest>,
    /// Who asked for it: the name in a certificate.
    pub author: String,
    /// Why, in the author's words.
    pub reason: String,
    /// When, in milliseconds since 1970 (UTC).
    pub made_at: u64,
}

impl Statement for Revision {
    const KIND: &'static str = "leafwall-revision-1";
}

/// One device's part of a revision: what an agent is told to make of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct DeviceRevision {
    /// Whose.
    pub device: Name,
    /// The revision's number.
    pub generation: Generation,
    /// The revision.
    pub revision: Digest,
    /// The revision that the device has now, as it said itself; none for a device that has none yet.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub replaces: Option<Digest>,
    /// Its artefacts.
    pub files: Files,
}

impl Statement for DeviceRevision {
    const KIND: &'static str = "leafwall-device-revision-1";
}
