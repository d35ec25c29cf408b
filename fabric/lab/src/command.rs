//! Running programs, with their output in the error when they fail.

use std::io::Write as _;
use std::process::{Command, Output, Stdio};

use crate::error::{LabError, Result};

/// How many lines of a failed program's output are kept for the message.
pub(crate) const KEPT_LINES: usize = 25;

/// The command line as one would type it.
pub(crate) fn line_of(command: &Command) -> String {
    let mut line = command.get_program().to_string_lossy().into_owned();
    for argument in command.get_args() {
        line.push(' ');
        line.push_str(&argument.to_string_lossy());
    }
    line
}

/// Runs to the end and returns what was printed on standard output; an exit status that is not 0 is an error.
pub(crate) fn run(command: &mut Command) -> Result<String> {
    let output = command.stdin(Stdio::null()).output().map_err(LabError::system(format!("run `{}`", line_of(command))))?;
    checked(&line_of(command), &output)
}

/// Like [`run`], with text on standard input.
pub(crate) fn run_with_input(command: &mut Command, input: &str) -> Result<String> {
    let line = line_of(command);
    let doing = || LabError::system(format!("run `{line}`"));
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().map_err(doing())?;
    // The programs that are fed this way (ip -batch, nft -f -) read all before they print much: a pipe cannot fill up both ways.
    if let Some(mut stdin) = child.stdin.take() {
        let written = stdin.write_all(input.as_bytes());
        drop(stdin);
        if let Err(source) = written
            && source.kind() != std::io::ErrorKind::BrokenPipe
        {
            let _ = child.kill();
            let _ = child.wait();
            return Err(doing()(source));
        }
    }
    let output = child.wait_with_output().map_err(doing())?;
    checked(&line, &output)
}

pub(crate) fn checked(line: &str, output: &Output) -> Result<String> {
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    let mut text = String::from_utf8_lossy(&output.stderr).into_owned();
    if text.trim().is_empty() {
        text = String::from_utf8_lossy(&output.stdout).into_owned();
    }
    Err(LabError::Command { command: line.to_owned(), status: output.status.to_string(), output: last_lines(&text, KEPT_LINES) })
}

/// The last `count` lines of a text.
pub(crate) fn last_lines(text: &str, count: usize) -> String {
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(count)..].join("\n")
}
