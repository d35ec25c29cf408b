//! FRR: asked and configured over the daemons' own sockets, as `vtysh` does it, which takes a second of CPU to start on a slow machine.
//!
//! Only the check of the whole text is vtysh's: a configuration is checked with `vtysh -C` before anything is touched (H9). Then it is loaded into empty
//! daemons in two stages (H3, H4), line by line and context by context: a line that no daemon takes, or that one takes outside of its context, is an error. Then
//! it is read back: the running configuration as a tree, and what zebra and bgpd made of it.
//!
//! - [`vty`]: the protocol of the sockets
//! - [`daemons`]: who takes which line, and what they run together

mod change;
mod compare;
pub mod daemons;
#[cfg(test)]
mod fake;
mod stages;
mod state;
pub mod vty;

use std::collections::VecDeque;
use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use leafwall_render::frr::{Faults, FrrConfig, PrintError};
use leafwall_rollout::digest::Digest;
use thiserror::Error;

pub use compare::differences;
pub use stages::{Progress, global_stage, has_evpn, instance_stage};
pub use state::Expectation;

use crate::tool::{self, Answer, ToolError};
use daemons::Daemons;
use vty::VtyError;

/// Checking a thousand tenants takes some seconds.
const LIMIT: Duration = Duration::from_mins(3);

/// The text is handed over on standard input, a file that each of vtysh's processes opens anew. Not `/dev/stdin`: small systems have no such link.
const STDIN: &str = "/proc/self/fd/0";

/// How many texts that vtysh took are remembered: a revision is prepared and then made, and the one before it may come back.
const TAKEN_MAX: usize = 8;

/// Some FRR daemons. Copies remember together what vtysh took.
#[derive(Debug, Clone, Default)]
pub struct Frr {
    /// Their option `-N`: where the daemons' sockets are, one such space per network namespace.
    pub pathspace: Option<String>,
    /// Texts that vtysh took, the oldest first: what was checked when a revision was prepared need not be checked again when it is made.
    taken: Arc<Mutex<VecDeque<Digest>>>,
}

/// What went wrong with FRR.
#[derive(Debug, Error)]
pub enum FrrError {
    /// The tool.
    #[error(transparent)]
    Tool(#[from] ToolError),
    /// It does not take our text.
    #[error("vtysh refuses the configuration: {complaint}")]
    Refused {
        /// Its words, with line numbers.
        complaint: String,
    },
    /// What is said over the sockets.
    #[error(transparent)]
    Vty(#[from] VtyError),
    /// The directory of the sockets.
    #[error("can't list the sockets of FRR's daemons in `{directory}`")]
    Sockets {
        /// Which.
        directory: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// Nobody listens.
    #[error("no daemon of FRR runs: none listens in `{directory}`")]
    NoDaemons {
        /// Where its sockets would be.
        directory: PathBuf,
    },
    /// One that was asked for.
    #[error("{daemon} does not run")]
    NotRunning {
        /// Which.
        daemon: String,
    },
    /// A line that is not taken.
    #[error("line {number}, `{line}`, is refused: {complaint}")]
    Line {
        /// From 1, in the text that was loaded.
        number: usize,
        /// The line.
        line: String,
        /// Who says what.
        complaint: String,
    },
    /// A context that a daemon left by itself.
    #[error("{daemon} took a line below line {number}, `{line}`, as one of another context")]
    Context {
        /// Where the context begins, from 1.
        number: usize,
        /// Its first line.
        line: String,
        /// Who.
        daemon: String,
    },
    /// A command that failed.
    #[error("`{command}` failed: {complaint}")]
    Command {
        /// Which.
        command: String,
        /// What it said.
        complaint: String,
    },
    /// Text that can't be read.
    #[error("can't read {what}")]
    Parse {
        /// Which text.
        what: &'static str,
        /// Where and why.
        #[source]
        source: Faults,
    },
    /// A tree that can't be printed.
    #[error("can't print a configuration")]
    Print(#[from] PrintError),
    /// JSON that can't be read.
    #[error("can't read the answer to `{command}`")]
    Json {
        /// The question.
        command: &'static str,
        /// Why.
        #[source]
        source: serde_json::Error,
    },
}

impl Frr {
    /// Those of a path space.
    pub fn new(pathspace: Option<String>) -> Self {
        Self { pathspace, taken: Arc::default() }
    }

    /// Whether vtysh would take this text. No daemon is asked.
    pub async fn check(&self, text: &str) -> Result<(), FrrError> {
        let digest = Digest::of(text.as_bytes());
        if self.taken.lock().unwrap_or_else(PoisonError::into_inner).contains(&digest) {
            return Ok(());
        }
        let answer = self.vtysh(&["-C", "-f", STDIN], text).await?;
        accepted(&answer)?;
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        if taken.len() == TAKEN_MAX {
            taken.pop_front();
        }
        taken.push_back(digest);
        Ok(())
    }

    /// Loads a configuration on top of what is running.
    pub async fn load(&self, config: &FrrConfig) -> Result<(), FrrError> {
        self.daemons().await?.configure(&config.print()?).await
    }

    /// What is running.
    pub async fn running(&self) -> Result<FrrConfig, FrrError> {
        Ok(self.running_with_digest().await?.0)
    }

    /// What is running, and [`Self::digest`] of it.
    pub async fn running_with_digest(&self) -> Result<(FrrConfig, Digest), FrrError> {
        let texts = self.daemons().await?.texts().await?;
        let config =
            FrrConfig::parse(&daemons::merged(&texts)).map_err(|source| FrrError::Parse { what: "the running configuration", source })?;
        Ok((config, daemons::digest(&texts)))
    }

    /// A digest of what is running, which is much cheaper than to read it: FRR tells nobody when it is configured.
    pub async fn digest(&self) -> Result<Digest, FrrError> {
        Ok(daemons::digest(&self.daemons().await?.texts().await?))
    }

    /// Sessions with all of them.
    pub async fn daemons(&self) -> Result<Daemons, FrrError> {
        Daemons::open(&daemons::directory(self.pathspace.as_deref())).await
    }

    async fn vtysh(&self, arguments: &[&str], input: &str) -> Result<Answer, ToolError> {
        let mut all = Vec::new();
        if let Some(pathspace) = &self.pathspace {
            all.extend(["-N", pathspace.as_str()]);
        }
        all.extend(arguments);
        tool::run("vtysh", &all, input, LIMIT).await
    }
}

/// vtysh reports bad lines in words; its exit code alone is not to be trusted (H9).
fn accepted(answer: &Answer) -> Result<(), FrrError> {
    let complaint = words(answer);
    let bad = complaint.lines().any(|line| line.contains("% ") || line.contains("processing failure"));
    if answer.exited_well && !bad { Ok(()) } else { Err(FrrError::Refused { complaint }) }
}

fn words(answer: &Answer) -> String {
    let lines = answer.complaint.lines().chain(answer.output.lines()).map(str::trim);
    lines.filter(|line| !line.is_empty()).collect::<Vec<_>>().join("; ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn h09_a_bad_line_is_a_refusal_whatever_the_exit_code() {
        let answer = |exited_well, complaint: &str| Answer { exited_well, output: String::new(), complaint: complaint.into() };
        assert!(accepted(&answer(true, "")).is_ok());
        assert!(accepted(&answer(true, "line 3: % Unknown command[20]:  vni abc\n")).is_err());
        assert!(accepted(&answer(false, "")).is_err());
    }
}
