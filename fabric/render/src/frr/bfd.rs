//! BFD profiles.

use super::Fault;
use super::line::{Block, Parsed};
use super::text::{Foreign, Word};

/// `bfd`
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Bfd {
    /// Its profiles.
    pub profiles: Vec<BfdProfile>,
    /// Statements that we do not know.
    pub foreign: Vec<Foreign>,
}

/// Timers that sessions refer to by name. What equals bfdd's default (3, 300 ms, 300 ms) is not stated, as bfdd does not print it either.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BfdProfile {
    /// Its name.
    pub name: Word,
    /// How many packets may be lost before the session is down.
    pub detect_multiplier: Option<u8>,
    /// Milliseconds between packets sent.
    pub transmit_interval: Option<u32>,
    /// Milliseconds between packets wanted.
    pub receive_interval: Option<u32>,
    /// Statements that we do not know.
    pub foreign: Vec<Foreign>,
}

impl BfdProfile {
    /// bfdd's default multiplier.
    pub const DEFAULT_MULTIPLIER: u8 = 3;
    /// bfdd's default intervals in milliseconds.
    pub const DEFAULT_INTERVAL: u32 = 300;

    fn parse(block: &Block<'_>) -> Parsed<Self> {
        let ["profile", name] = block.words.as_slice() else { return Ok(None) };
        let mut profile = Self {
            name: block.value(name)?,
            detect_multiplier: None,
            transmit_interval: None,
            receive_interval: None,
            foreign: Vec::new(),
        };
        for child in &block.children {
            match child.words.as_slice() {
                ["detect-multiplier", value] if child.is_leaf() => profile.detect_multiplier = Some(child.value(value)?),
                ["transmit-interval", value] if child.is_leaf() => profile.transmit_interval = Some(child.value(value)?),
                ["receive-interval", value] if child.is_leaf() => profile.receive_interval = Some(child.value(value)?),
                _ => profile.foreign.extend(child.foreign()),
            }
        }
        Ok(Some(profile))
    }
}

impl Bfd {
    pub(super) fn read(&mut self, block: &Block<'_>, faults: &mut Vec<Fault>) {
        for child in &block.children {
            match BfdProfile::parse(child) {
                Ok(Some(profile)) => self.profiles.push(profile),
                Ok(None) => self.foreign.extend(child.foreign()),
                Err(fault) => faults.push(fault),
            }
        }
    }
}
