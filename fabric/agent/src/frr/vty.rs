//! What FRR's daemons speak on their local sockets (`NAME.vty`), as `vtysh` does.
//!
//! A question is one line ended by a NUL. The answer is text, three NULs, and a byte that says how it went. The text of an answer holds no NUL, so the first
//! one ends it. A session begins outside of configuration and remembers which context it is in.

use std::io;
use std::path::Path;
use std::time::Duration;

use thiserror::Error;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;

/// How long a daemon may be silent. A thousand tenants' running configuration takes it well under a second; a daemon that hangs is found out by this.
const SILENCE_MAX: Duration = Duration::from_secs(30);
/// The longest answer that is taken: a table of a million routes as JSON is about that long.
const ANSWER_MAX: usize = 512 << 20;
/// FRR drops a line of 4096 bytes or more, and then gives no answer.
const LINE_MAX: usize = 4000;
/// What ends an answer, without the byte that says how it went.
const END: [u8; 3] = [0; 3];

/// How a command went, in FRR's numbers (`lib/command.h`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    /// Done.
    Success,
    /// Done, or not: the text says.
    Warning,
    /// No such command here.
    Unknown,
    /// Anything else is a failure.
    Failed(u8),
}

impl From<u8> for Status {
    fn from(byte: u8) -> Self {
        match byte {
            0 => Self::Success,
            1 => Self::Warning,
            2 => Self::Unknown,
            other => Self::Failed(other),
        }
    }
}

/// What a daemon said to one command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reply {
    /// How it went.
    pub status: Status,
    /// Its words.
    pub text: String,
}

impl Reply {
    /// Whether the daemon did it. A warning counts only if the daemon complains of nothing: it begins complaints with `%`.
    pub fn is_done(&self) -> bool {
        match self.status {
            Status::Success => true,
            Status::Warning => !self.text.lines().any(|line| line.trim_start().starts_with('%')),
            Status::Unknown | Status::Failed(_) => false,
        }
    }

    /// The daemon's words on one line; what is told of a refusal.
    pub fn words(&self) -> String {
        let words = self.text.lines().map(str::trim).filter(|line| !line.is_empty()).collect::<Vec<_>>().join("; ");
        if words.is_empty() { format!("{:?}", self.status) } else { words }
    }
}

/// What went wrong between us and a daemon.
#[derive(Debug, Error)]
pub enum VtyError {
    /// No connection, or one that broke.
    #[error("can't talk to {daemon}")]
    Io {
        /// Whom.
        daemon: String,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// It went away before its answer was whole.
    #[error("{daemon} closed the connection before it had answered `{command}`")]
    Closed {
        /// Who.
        daemon: String,
        /// The question.
        command: String,
    },
    /// It does not answer.
    #[error("{daemon} has not answered `{command}` for {} s", SILENCE_MAX.as_secs())]
    Silent {
        /// Who.
        daemon: String,
        /// The question.
        command: String,
    },
    /// Bytes that no daemon sends.
    #[error("{daemon} answers `{command}` with {what}")]
    Garbled {
        /// Who.
        daemon: String,
        /// The question.
        command: String,
        /// What is wrong with it.
        what: &'static str,
    },
    /// A line that can't be sent.
    #[error("`{line}` is no line for a daemon: it holds a line break or a NUL, or is longer than {LINE_MAX} bytes")]
    Line {
        /// Its beginning.
        line: String,
    },
}

/// A session with one daemon.
#[derive(Debug)]
pub struct Vty {
    daemon: String,
    stream: UnixStream,
    /// What came after the answers that were read: the beginning of the next one.
    pending: Vec<u8>,
    silence: Duration,
}

impl Vty {
    /// Connects to a daemon's socket.
    pub async fn open(daemon: &str, socket: &Path) -> Result<Self, VtyError> {
        let stream = UnixStream::connect(socket).await.map_err(|source| VtyError::Io { daemon: daemon.to_owned(), source })?;
        Ok(Self { daemon: daemon.to_owned(), stream, pending: Vec::new(), silence: SILENCE_MAX })
    }

    /// Whom this is with.
    pub fn daemon(&self) -> &str {
        &self.daemon
    }

    /// One command and its answer.
    pub async fn ask(&mut self, command: &str) -> Result<Reply, VtyError> {
        self.send(command).await?;
        self.answer(command).await
    }

    /// Several commands and their answers. They are sent before the first answer is read, which saves the daemon and us most of the waking up.
    pub async fn ask_all(&mut self, commands: &[&str]) -> Result<Vec<Reply>, VtyError> {
        let mut replies = Vec::with_capacity(commands.len());
        if self.answers_one_at_a_time() {
            for command in commands {
                replies.push(self.ask(command).await?);
            }
            return Ok(replies);
        }
        for batch in commands.chunks(BATCH) {
            let mut bytes = Vec::new();
            for command in batch {
                bytes.extend_from_slice(&Self::line(command)?);
            }
            self.write(&bytes, batch.first().copied().unwrap_or_default()).await?;
            for command in batch {
                replies.push(self.answer(command).await?);
            }
        }
        Ok(replies)
    }

    /// mgmtd answers some commands later and forgets what it was sent behind them.
    fn answers_one_at_a_time(&self) -> bool {
        self.daemon == "mgmtd"
    }

    async fn send(&mut self, command: &str) -> Result<(), VtyError> {
        let line = Self::line(command)?;
        self.write(&line, command).await
    }

    fn line(command: &str) -> Result<Vec<u8>, VtyError> {
        if command.len() > LINE_MAX || command.contains(['\0', '\n', '\r']) {
            return Err(VtyError::Line { line: command.chars().take(80).collect() });
        }
        let mut line = Vec::with_capacity(command.len() + 1);
        line.extend_from_slice(command.as_bytes());
        line.push(0);
        Ok(line)
    }

    async fn write(&mut self, bytes: &[u8], command: &str) -> Result<(), VtyError> {
        let written = tokio::time::timeout(self.silence, self.stream.write_all(bytes)).await;
        written.map_err(|_| self.silent(command))?.map_err(|source| VtyError::Io { daemon: self.daemon.clone(), source })
    }

    async fn answer(&mut self, command: &str) -> Result<Reply, VtyError> {
        let mut seen = 0;
        loop {
            if let Some(end) = self.pending[seen..].iter().position(|byte| *byte == 0).map(|at| seen + at) {
                let Some(tail) = self.pending.get(end..end + END.len() + 1) else {
                    // the first NUL is here, the rest is on its way
                    seen = end;
                    self.more(command).await?;
                    continue;
                };
                if tail[..END.len()] != END {
                    return Err(self.garbled(command, "a NUL in its text"));
                }
                let status = Status::from(tail[END.len()]);
                let text = String::from_utf8_lossy(&self.pending[..end]).into_owned();
                self.pending.drain(..=end + END.len());
                return Ok(Reply { status, text });
            }
            seen = self.pending.len();
            if seen > ANSWER_MAX {
                return Err(self.garbled(command, "more than an answer may have"));
            }
            self.more(command).await?;
        }
    }

    async fn more(&mut self, command: &str) -> Result<(), VtyError> {
        self.pending.reserve(CHUNK);
        let read = tokio::time::timeout(self.silence, self.stream.read_buf(&mut self.pending)).await;
        match read.map_err(|_| self.silent(command))? {
            Ok(0) => Err(VtyError::Closed { daemon: self.daemon.clone(), command: command.to_owned() }),
            Ok(_) => Ok(()),
            Err(source) => Err(VtyError::Io { daemon: self.daemon.clone(), source }),
        }
    }

    fn silent(&self, command: &str) -> VtyError {
        VtyError::Silent { daemon: self.daemon.clone(), command: command.to_owned() }
    }

    fn garbled(&self, command: &str, what: &'static str) -> VtyError {
        VtyError::Garbled { daemon: self.daemon.clone(), command: command.to_owned(), what }
    }
}

/// How many commands are on their way at a time.
const BATCH: usize = 64;
/// Bytes read at a time at least.
const CHUNK: usize = 16 * 1024;

#[cfg(test)]
#[path = "vty_tests.rs"]
mod tests;
