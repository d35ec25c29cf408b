//! What can go wrong in the lab: each variant is the operation that failed, with the value it failed on.

use std::path::PathBuf;
use std::time::Duration;

use thiserror::Error;

/// The result of an operation of the lab.
pub type Result<T, E = LabError> = std::result::Result<T, E>;

/// An operation of the lab that failed.
#[derive(Debug, Error)]
pub enum LabError {
    /// A file or directory could not be read, written, made or removed.
    #[error("cannot {action} `{}`", path.display())]
    File {
        /// What was tried: a verb.
        action: &'static str,
        /// On what.
        path: PathBuf,
        /// Why not.
        #[source]
        source: std::io::Error,
    },
    /// Something with the operating system that has no path.
    #[error("cannot {action}")]
    System {
        /// What was tried: a verb and its object.
        action: String,
        /// Why not.
        #[source]
        source: std::io::Error,
    },
    /// A program ended with a status that is not 0.
    #[error("`{command}` failed with {status}{}", indent(output))]
    Command {
        /// The command line.
        command: String,
        /// Exit status or signal.
        status: String,
        /// The end of what it printed.
        output: String,
    },
    /// A program that the lab needs is missing and may not be installed by us.
    #[error("the lab needs {packages}: install with `apt-get install {packages}`, or run as root and the lab does it")]
    ToolsMissing {
        /// The Debian packages, separated by spaces.
        packages: String,
    },
    /// The host's apt sources name no mirror of the host's own release.
    #[error("the apt sources of this host name no mirror of its release `{release}`: the lab makes its root file system from one")]
    NoMirror {
        /// The code name of the host's release.
        release: String,
    },
    /// A line of the recipe that is neither `suite` nor `package`.
    #[error("line {line} of the recipe is `{text}`: expected `suite NAME` or `package NAME`")]
    Recipe {
        /// Counted from 1.
        line: usize,
        /// The line.
        text: String,
    },
    /// The virtual machine ended, or did not answer in time.
    #[error("the virtual machine `{name}` {what} (its console is in `{}`){}", console.display(), indent(tail))]
    Vm {
        /// Name of the lab.
        name: String,
        /// What happened.
        what: String,
        /// Where its console was written to.
        console: PathBuf,
        /// The last lines of the console.
        tail: String,
    },
    /// No lab of that name is up.
    #[error("no lab named `{name}` is up: start it with `leafwall lab up`")]
    NotUp {
        /// Name of the lab.
        name: String,
    },
    /// The other side of the control channel said something that is not in the protocol.
    #[error("the control channel of the virtual machine: {what}")]
    Protocol {
        /// What was wrong.
        what: String,
    },
    /// A file that should hold JSON of ours does not.
    #[error("`{}` does not parse", path.display())]
    Json {
        /// The file.
        path: PathBuf,
        /// Where and why.
        #[source]
        source: serde_json::Error,
    },
    /// The kernel lacks what namespaces as nodes need, or we are not root.
    #[error("this kernel cannot run the lab in namespaces: {lacks}; use `--runtime vm`")]
    Kernel {
        /// What is missing.
        lacks: String,
    },
    /// A node that the fabric does not have.
    #[error("the lab has no node `{name}`; it has {known}")]
    UnknownNode {
        /// What was asked for.
        name: String,
        /// Those that exist.
        known: String,
    },
    /// Something took longer than it may.
    #[error("{what} was not done after {after:?}{}", indent(detail))]
    Timeout {
        /// What was waited for.
        what: String,
        /// How long.
        after: Duration,
        /// What was seen last.
        detail: String,
    },
    /// A scenario says something that cannot be done.
    #[error("{0}")]
    Scenario(String),
}

impl LabError {
    /// Wraps an I/O error of a path: `map_err(LabError::file("write", path))`.
    pub(crate) fn file(action: &'static str, path: impl Into<PathBuf>) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.into();
        move |source| Self::File { action, path, source }
    }

    /// Wraps an I/O error without a path.
    pub(crate) fn system(action: impl Into<String>) -> impl FnOnce(std::io::Error) -> Self {
        let action = action.into();
        move |source| Self::System { action, source }
    }
}

/// Several lines of output below a message, set off from it.
fn indent(text: &str) -> String {
    text.trim_end().lines().flat_map(|line| ["\n    ", line]).collect()
}
