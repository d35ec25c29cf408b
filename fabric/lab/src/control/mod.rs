//! The control channel into the virtual machine: one TCP connection per command, over QEMU's forwarded port on loopback.
//!
//! The client sends a [`Request`] as one frame of JSON, with the token that only the owner of the lab's directory can read. Then frames flow
//! both ways until the guest sends the exit status. If the client goes away, the guest ends the command.

pub(crate) mod client;
pub(crate) mod frame;
pub(crate) mod guest;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// The port that the guest listens on.
pub(crate) const GUEST_PORT: u16 = 7000;

/// The file in the machine's work directory that holds the token.
pub(crate) const TOKEN_FILE: &str = "token";

/// Where the guest sees the work directory.
pub(crate) const GUEST_WORK: &str = "/leafwall/work";

/// Where the guest sees the programs.
pub(crate) const GUEST_PROGRAMS: &str = "/leafwall/bin";

/// A command to run in the machine.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Request {
    /// Proof that the client may read the lab's directory.
    pub token: String,
    /// Program and arguments.
    pub argv: Vec<String>,
    /// Variables beside the guest's own.
    #[serde(default)]
    pub environment: BTreeMap<String, String>,
    /// What the command is connected to.
    pub terminal: Terminal,
}

/// What a command is connected to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Terminal {
    /// Pipes, one each for output and errors.
    Pipes,
    /// A pseudo-terminal of this size.
    Pty {
        /// Lines.
        rows: u16,
        /// Characters a line.
        columns: u16,
    },
}

/// How a command ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Ending {
    /// With this exit status; 128 + n if by signal n, as shells say it.
    Status(i32),
    /// It never began.
    Refused(String),
}
