//! FRR in a namespace: its daemons, started empty, with files and sockets of their own (`-N`).

use std::ffi::OsStr;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use rustix::process::{Pid, Signal, kill_process};

use super::namespace::Namespace;
use crate::command;
use crate::error::{LabError, Result};

/// Where Debian puts the daemons.
const DAEMONS: &str = "/usr/lib/frr";
/// What every router runs. mgmtd runs before zebra, without which `vrf … vni` is lost in silence and zebra spins; bgpd follows.
const ALWAYS: [&str; 3] = ["mgmtd", "zebra", "bgpd"];
/// What runs only where its configuration has a line with one of these words: each daemon takes about a second of CPU to start under emulation.
const ON_DEMAND: [(&str, &[&str]); 2] = [("bfdd", &["bfd"]), ("staticd", &["ip route", "ipv6 route"])];
/// Directories that a path space has something in, and FRR's user must write.
const DIRECTORIES: [&str; 3] = ["/etc/frr", "/run/frr", "/var/log/frr"];

/// The FRR of one namespace.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Frr<'a>(pub(crate) &'a Namespace);

impl Frr<'_> {
    /// Whether FRR is there to be started.
    pub(crate) fn is_installed() -> bool {
        let all = ALWAYS.iter().chain(ON_DEMAND.iter().map(|(daemon, _)| daemon));
        all.into_iter().all(|daemon| Path::new(DAEMONS).join(daemon).exists())
    }

    /// Starts the daemons that a configuration needs, without any configuration.
    pub(crate) fn start(self, configuration: &str) -> Result<()> {
        self.make_directories()?;
        let [first @ .., last] = ALWAYS;
        for daemon in first {
            self.start_daemon(daemon)?;
        }
        for daemon in needed(configuration).chain([last]) {
            self.start_daemon(daemon)?;
        }
        Ok(())
    }

    fn make_directories(self) -> Result<()> {
        for dir in self.directories() {
            fs::create_dir_all(&dir).map_err(LabError::file("make", &dir))?;
        }
        // vtysh complains without one.
        let vtysh = self.directory("/etc/frr").join("vtysh.conf");
        fs::write(&vtysh, "").map_err(LabError::file("write", &vtysh))?;
        let mut own = Command::new("chown");
        own.args(["-R", "frr:frr"]).args(self.directories());
        command::run(&mut own).map(drop)
    }

    /// Starts a plain router: bgpd with a configuration of its own, which saves the programs that load one afterwards.
    pub(crate) fn start_bgp(self, configuration: &Path) -> Result<()> {
        self.make_directories()?;
        let [first @ .., _] = ALWAYS;
        for daemon in first {
            self.start_daemon(daemon)?;
        }
        self.start_with("bgpd", &[OsStr::new("--config_file"), configuration.as_os_str()])
    }

    /// Starts one daemon; it returns when the daemon is ready.
    pub(crate) fn start_daemon(self, daemon: &str) -> Result<()> {
        self.start_with(daemon, &[])
    }

    fn start_with(self, daemon: &str, options: &[&OsStr]) -> Result<()> {
        let log = self.directory("/var/log/frr").join(format!("{daemon}.log"));
        let mut start = Command::new(Path::new(DAEMONS).join(daemon));
        // No vty on TCP: the sockets of the path space are enough.
        start
            .args(["--daemon", "--pathspace", self.0.as_str(), "--vty_port", "0", "--log"])
            .arg(format!("file:{}", log.display()))
            .args(options);
        // What it prints goes to a file: the daemon keeps its standard error, so a pipe would never end.
        let printed = log.with_extension("start");
        let file = File::create(&printed).map_err(LabError::file("make", &printed))?;
        let line = command::line_of(&start);
        start.stdin(Stdio::null()).stdout(Stdio::null()).stderr(file);
        let status = self.0.within(|| start.status())?;
        let output = fs::read(&printed).map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).unwrap_or_default();
        // it starts all the same with a configuration that it does not understand, and says so
        if status.success() && (options.is_empty() || output.trim().is_empty()) {
            return Ok(());
        }
        Err(LabError::Command { command: line, status: status.to_string(), output: command::last_lines(&output, command::KEPT_LINES) })
    }

    /// Kills one daemon.
    pub(crate) fn kill_daemon(self, daemon: &str) -> Result<()> {
        let file = self.directory("/run/frr").join(format!("{daemon}.pid"));
        let text = fs::read_to_string(&file).map_err(LabError::file("read", &file))?;
        let pid = text.trim().parse().ok().and_then(Pid::from_raw).filter(|pid| self.0.processes().contains(pid));
        let pid =
            pid.ok_or_else(|| LabError::Protocol { what: format!("`{}` names no process of `{}`", file.display(), self.0.as_str()) })?;
        kill_process(pid, Signal::KILL).map_err(|error| LabError::system(format!("kill {daemon}"))(error.into()))
    }

    /// Loads a configuration file into the running daemons.
    pub(crate) fn load(self, file: &Path) -> Result<()> {
        self.0.run(Command::new("vtysh").args(["-N", self.0.as_str(), "-f"]).arg(file)).map(drop)
    }

    /// Removes its files; the daemons are ended with the namespace.
    pub(crate) fn remove(self) -> Result<()> {
        for dir in self.directories() {
            match fs::remove_dir_all(&dir) {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(LabError::file("remove", &dir)(error)),
                _ => {}
            }
        }
        Ok(())
    }

    fn directories(self) -> [PathBuf; 3] {
        DIRECTORIES.map(|base| self.directory(base))
    }

    fn directory(self, base: &str) -> PathBuf {
        Path::new(base).join(self.0.as_str())
    }
}

/// The daemons on demand that a configuration has lines for.
fn needed(configuration: &str) -> impl Iterator<Item = &'static str> {
    let lines: Vec<String> = configuration.lines().map(|line| format!(" {} ", line.trim())).collect();
    let has = move |words: &[&str]| lines.iter().any(|line| words.iter().any(|words| line.contains(&format!(" {words} "))));
    ON_DEMAND.into_iter().filter(move |(_, words)| has(words)).map(|(daemon, _)| daemon)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_daemon_runs_where_it_has_something_to_do() {
        let names = |text| needed(text).collect::<Vec<_>>();
        assert!(names("router bgp 65000\n neighbor bfds interface remote-as external\n").is_empty());
        assert_eq!(names("router bgp 65000\n neighbor swp1 bfd profile lw-fabric\n"), ["bfdd"]);
        assert_eq!(names("bfd\n profile lw-fabric\n exit\nexit\n"), ["bfdd"]);
        assert_eq!(names("ipv6 route ::/0 blackhole\n"), ["staticd"]);
    }
}
