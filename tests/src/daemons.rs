//! FRR's daemons in the lab's root file system, kept up for many questions.

use std::io::{self, BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Stdio};

use leafwall_agent::frr::FrrError;
use leafwall_agent::frr::daemons::Daemons as Sessions;
use leafwall_delta::Step;
use tokio::runtime::Runtime;

use crate::lab_root::LabRoot;

/// What ends an answer, before the exit code.
const MARK: &str = "@@@@";

/// Commands one a line; each is answered by what it prints and a line with its exit code.
const SERVE: &str = r#"while IFS= read -r line; do eval "$line" 2>&1; code=$?; echo; echo "@@@@ $code"; done"#;

const START: &str = "for d in mgmtd zebra bgpd bfdd staticd; do /usr/lib/frr/$d -d -A 127.0.0.1 --log file:/tmp/$d.log || exit 1; done; \
                     for i in $(seq 50); do [ \"$(vtysh -c 'show daemons' 2>/dev/null | wc -w)\" = 5 ] && break; sleep 0.1; done";
/// Ends the daemons that this session started.
const STOP: &str = "for d in bgpd bfdd staticd zebra mgmtd; do kill $(cat /run/frr/$d.pid); done; \
                    for i in $(seq 100); do ls /run/frr/*.vty >/dev/null 2>&1 || break; sleep 0.1; done; rm -f /run/frr/*.pid /run/frr/*.vty";

/// Daemons that run until this is dropped.
#[derive(Debug)]
pub struct Daemons {
    child: Child,
    input: Option<ChildStdin>,
    output: BufReader<ChildStdout>,
    sockets: PathBuf,
    runtime: Runtime,
}

/// What a command printed, and whether it exited with 0.
#[derive(Debug, Clone)]
pub struct Answer {
    /// Its exit code.
    pub code: i32,
    /// What it printed, errors included.
    pub text: String,
}

impl Daemons {
    /// Starts them. `files` is a directory that both sides see; it is read-only inside.
    ///
    /// # Errors
    /// Where they do not start.
    pub fn start(root: &LabRoot, files: &Path) -> io::Result<Self> {
        let sockets = files.join("sockets");
        std::fs::create_dir_all(&sockets)?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let mut command = root.command_with_sockets(files, &sockets, SERVE);
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
        let (input, output) = (child.stdin.take(), child.stdout.take());
        let output = BufReader::new(output.ok_or_else(|| io::Error::other("no output"))?);
        let mut daemons = Self { child, input, output, sockets, runtime };
        let started = daemons.ask(START)?;
        if started.code == 0 { Ok(daemons) } else { Err(io::Error::other(started.text)) }
    }

    /// Ends them and starts new ones, which know nothing.
    ///
    /// # Errors
    /// Where they do not start.
    pub fn restart(&mut self) -> io::Result<()> {
        self.ask(STOP)?;
        let started = self.ask(START)?;
        if started.code == 0 { Ok(()) } else { Err(io::Error::other(started.text)) }
    }

    /// Runs a command line.
    ///
    /// # Errors
    /// Where the other side is gone.
    pub fn ask(&mut self, command: &str) -> io::Result<Answer> {
        let input = self.input.as_mut().ok_or_else(|| io::Error::other("closed"))?;
        writeln!(input, "{}", command.replace('\n', " "))?;
        input.flush()?;
        let mut text = String::new();
        loop {
            let mut line = String::new();
            if self.output.read_line(&mut line)? == 0 {
                return Err(io::Error::other(format!("the daemons' shell is gone after: {text}")));
            }
            if let Some(code) = line.strip_prefix(MARK) {
                return Ok(Answer { code: code.trim().parse().unwrap_or(-1), text });
            }
            text.push_str(&line);
        }
    }

    /// Enters lines of configuration, as an agent does.
    ///
    /// # Errors
    /// What the daemons say against it.
    pub fn configure(&mut self, text: &str) -> Result<(), FrrError> {
        self.runtime.block_on(async { Sessions::open(&self.sockets).await?.configure(text).await })
    }

    /// Does one step of a delta, as an agent does.
    ///
    /// # Errors
    /// What the daemons say against it.
    pub fn take(&mut self, step: &Step) -> Result<(), FrrError> {
        self.runtime.block_on(async { Sessions::open(&self.sockets).await?.take(step).await })
    }

    /// What they run.
    ///
    /// # Errors
    /// Where they do not answer.
    pub fn running(&mut self) -> Result<String, FrrError> {
        self.runtime.block_on(async { Sessions::open(&self.sockets).await?.running().await })
    }
}

impl Drop for Daemons {
    fn drop(&mut self) {
        // the shell ends with its input, and everything in its process namespace with it
        self.input.take();
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
