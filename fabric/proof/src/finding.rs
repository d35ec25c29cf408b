//! What is wrong with a fabric, each with a packet that shows it.

use std::fmt;

use leafwall_policy::sets::Header;
use serde::{Deserialize, Serialize};

/// What kind of promise is broken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Broken {
    /// Something reaches, or may reach, what no intent allows.
    Isolation,
    /// Something intended does not work.
    Reachability,
    /// An artefact says what the proof does not understand; nothing is proved then.
    NotUnderstood,
}

/// One way in which a fabric fails its proof.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Finding {
    /// The promise.
    pub broken: Broken,
    /// Which check found it.
    pub check: &'static str,
    /// What is wrong, in one sentence.
    pub message: String,
    /// A packet that shows it.
    pub packet: Option<Header>,
    /// Its way, hop by hop.
    pub path: Vec<String>,
}

impl Finding {
    /// Something that no intent allows.
    pub fn isolation(check: &'static str, message: impl Into<String>, packet: Option<Header>, path: Vec<String>) -> Self {
        Self { broken: Broken::Isolation, check, message: message.into(), packet, path }
    }

    /// Something that should work and does not.
    pub fn reachability(check: &'static str, message: impl Into<String>, packet: Option<Header>, path: Vec<String>) -> Self {
        Self { broken: Broken::Reachability, check, message: message.into(), packet, path }
    }

    /// Something that nobody here understands.
    pub fn not_understood(message: impl Into<String>) -> Self {
        Self { broken: Broken::NotUnderstood, check: "statements", message: message.into(), packet: None, path: Vec::new() }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = match self.broken {
            Broken::Isolation => "isolation",
            Broken::Reachability => "reachability",
            Broken::NotUnderstood => "not understood",
        };
        write!(f, "{kind} ({}): {}", self.check, self.message)?;
        if let Some(packet) = &self.packet {
            write!(f, "\n  packet: {packet}")?;
        }
        for hop in &self.path {
            write!(f, "\n    {hop}")?;
        }
        Ok(())
    }
}
