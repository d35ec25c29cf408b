//! Running the device's own tools and reading their answers.

use std::ffi::OsString;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Seek, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::process::{self, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use thiserror::Error;
use tokio::process::Command;

/// Where tools for administrators are, which an ordinary user's path lacks.
const PLACES: [&str; 4] = ["/usr/sbin", "/sbin", "/usr/bin", "/bin"];

/// What went wrong with a tool.
#[derive(Debug, Error)]
pub enum ToolError {
    /// It is not installed.
    #[error("`{program}` is not installed")]
    Missing {
        /// Its name.
        program: String,
    },
    /// It could not be started or talked to.
    #[error("can't run `{program}`")]
    Run {
        /// Its name.
        program: String,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// It took too long and was ended.
    #[error("`{program}` did not finish within {} s", limit.as_secs())]
    TimedOut {
        /// Its name.
        program: String,
        /// How long it had.
        limit: Duration,
    },
}

/// What a tool said.
#[derive(Debug, Clone)]
pub struct Answer {
    /// Whether it exited with 0. Necessary, not sufficient (F18).
    pub exited_well: bool,
    /// Its standard output.
    pub output: String,
    /// Its standard error.
    pub complaint: String,
}

/// Runs a tool with a text on its standard input.
///
/// The text is in a file without a name, not in a pipe: `vtysh -f` reads it once for each daemon, in processes of their own.
pub async fn run(program: &str, arguments: &[&str], input: &str, limit: Duration) -> Result<Answer, ToolError> {
    let failed = |source| ToolError::Run { program: program.to_owned(), source };
    let path = find(program).ok_or_else(|| ToolError::Missing { program: program.to_owned() })?;
    let input = if input.is_empty() { Stdio::null() } else { nameless(input).map_err(failed)?.into() };
    let mut command = Command::new(path);
    command.args(arguments).stdin(input).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
    command.env("LC_ALL", "C");
    let started = Instant::now();
    let work = command.spawn().map_err(failed)?.wait_with_output();
    let output =
        tokio::time::timeout(limit, work).await.map_err(|_| ToolError::TimedOut { program: program.to_owned(), limit })?.map_err(failed)?;
    tracing::debug!(program, ?arguments, elapsed = ?started.elapsed(), "run");
    Ok(Answer {
        exited_well: output.status.success(),
        output: String::from_utf8_lossy(&output.stdout).into_owned(),
        complaint: String::from_utf8_lossy(&output.stderr).into_owned(),
    })
}

/// A file that only we can read (it may hold passwords) and that is gone with the last process that has it open.
fn nameless(text: &str) -> io::Result<File> {
    static NUMBER: AtomicU64 = AtomicU64::new(0);
    let name = format!("leafwall-{}-{}", process::id(), NUMBER.fetch_add(1, Ordering::Relaxed));
    let path = std::env::temp_dir().join(name);
    let mut file = OpenOptions::new().read(true).write(true).create_new(true).mode(0o600).open(&path)?;
    fs::remove_file(&path)?;
    file.write_all(text.as_bytes())?;
    file.rewind()?;
    Ok(file)
}

fn find(program: &str) -> Option<OsString> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let places = std::env::split_paths(&path).chain(PLACES.iter().map(|place| Path::new(place).to_path_buf()));
    places.map(|place| place.join(program)).find(|candidate| candidate.is_file()).map(Into::into)
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: Duration = Duration::from_secs(10);

    #[tokio::test]
    async fn what_goes_in_comes_out() {
        let answer = run("cat", &[], "a text", LIMIT).await.unwrap();
        assert!(answer.exited_well);
        assert_eq!(answer.output, "a text");
    }

    #[tokio::test]
    async fn failure_and_absence_are_told_apart() {
        assert!(!run("false", &[], "", LIMIT).await.unwrap().exited_well);
        assert!(matches!(run("no-such-tool-anywhere", &[], "", LIMIT).await, Err(ToolError::Missing { .. })));
        assert!(matches!(run("sleep", &["5"], "", Duration::from_millis(50)).await, Err(ToolError::TimedOut { .. })));
    }
}
