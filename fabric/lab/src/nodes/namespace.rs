//! A network namespace: made, entered, emptied, deleted.

use std::fs::{self, File};
use std::io;
use std::os::fd::AsFd;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use leafwall_topology::Name;
use rustix::process::{Pid, Signal, kill_process};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

use crate::command;
use crate::error::{LabError, Result};

/// Where ip-netns(8) keeps namespaces.
const NAMESPACES: &str = "/run/netns";
/// How long killed processes may take to go.
const DEATH_TIMEOUT: Duration = Duration::from_secs(10);
/// How often that is looked at.
const POLL: Duration = Duration::from_millis(20);

/// A namespace of a lab: `lw-LAB_NODE`. Names of labs and nodes have no underscore, so no two labs can mean the same one. FRR's path space has
/// the same name (and FRR allows no dot in it).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Namespace(String);

impl Namespace {
    /// The namespace of a node.
    pub(crate) fn of_node(lab: &Name, node: &Name) -> Self {
        Self(format!("{}{node}", prefix(lab)))
    }

    /// The namespace with the management network's bridge: no node can have that name.
    pub(crate) fn of_management(lab: &Name) -> Self {
        Self(format!("{}_management", prefix(lab)))
    }

    /// The namespace in which the kernel is tried: no node can have that name.
    pub(crate) fn of_trial(lab: &Name) -> Self {
        Self(format!("{}_trial", prefix(lab)))
    }

    /// All that exist of a lab.
    pub(crate) fn all(lab: &Name) -> Result<Vec<Self>> {
        let entries = match fs::read_dir(NAMESPACES) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            other => other.map_err(LabError::file("read", NAMESPACES))?,
        };
        let mut found: Vec<Self> = entries
            .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
            .filter(|name| name.starts_with(&prefix(lab)))
            .map(Self)
            .collect();
        found.sort();
        Ok(found)
    }

    /// Its name.
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }

    fn path(&self) -> PathBuf {
        Path::new(NAMESPACES).join(&self.0)
    }

    /// Makes it.
    pub(crate) fn create(&self) -> Result<()> {
        Self::create_all(std::slice::from_ref(self))
    }

    /// Makes several, all in one process.
    pub(crate) fn create_all(namespaces: &[Self]) -> Result<()> {
        let batch: String = namespaces.iter().flat_map(|namespace| ["netns add ", namespace.as_str(), "\n"]).collect();
        command::run_with_input(Command::new("ip").args(["-batch", "-"]), &batch).map(drop)
    }

    /// Runs `ip` commands in it, all in one process.
    pub(crate) fn ip(&self, batch: &str) -> Result<()> {
        command::run_with_input(Command::new("ip").args(["-n", &self.0, "-batch", "-"]), batch).map(drop)
    }

    /// Does something with the calling thread inside: a short-lived thread, so that no other work ever runs there.
    pub(crate) fn within<T: Send>(&self, work: impl FnOnce() -> io::Result<T> + Send) -> Result<T> {
        let path = self.path();
        let inside = || {
            let file = File::open(&path)?;
            move_into_link_name_space(file.as_fd(), Some(LinkNameSpaceType::Network))?;
            work()
        };
        let result = thread::scope(|scope| scope.spawn(inside).join());
        result
            .unwrap_or_else(|_| Err(io::Error::other("a thread in the namespace ended early")))
            .map_err(LabError::system(format!("work in the namespace `{}`", self.0)))
    }

    /// Starts a program inside.
    pub(crate) fn spawn(&self, command: &mut Command) -> Result<Child> {
        self.within(|| command.spawn())
    }

    /// Runs a program inside to its end; the standard output, or an error with what it printed.
    pub(crate) fn run(&self, command: &mut Command) -> Result<String> {
        let line = command::line_of(command);
        let output = self.within(|| command.stdin(Stdio::null()).output())?;
        command::checked(&line, &output)
    }

    /// Sets a kernel setting of the namespace, by its path below `/proc/sys`. One that this kernel lacks is left out.
    pub(crate) fn sysctl(&self, settings: &[(&str, &str)]) -> Result<()> {
        self.within(|| {
            for (path, value) in settings {
                match fs::write(Path::new("/proc/sys").join(path), value) {
                    Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                    other => other?,
                }
            }
            Ok(())
        })
    }

    /// Ends every process inside and deletes it.
    pub(crate) fn delete(&self) -> Result<()> {
        let started = Instant::now();
        loop {
            let processes = self.processes();
            if processes.is_empty() {
                break;
            }
            if started.elapsed() > DEATH_TIMEOUT {
                return Err(LabError::Timeout {
                    what: format!("the end of the processes in `{}`", self.0),
                    after: DEATH_TIMEOUT,
                    detail: format!("{processes:?}"),
                });
            }
            for process in processes {
                let _ = kill_process(process, Signal::KILL);
            }
            thread::sleep(POLL);
        }
        command::run(Command::new("ip").args(["netns", "delete", &self.0])).map(drop)
    }

    /// The processes whose network is this namespace. A process that ends meanwhile, or a zombie, has none.
    pub(crate) fn processes(&self) -> Vec<Pid> {
        let Ok(own) = fs::metadata(self.path()) else { return Vec::new() };
        let Ok(entries) = fs::read_dir("/proc") else { return Vec::new() };
        let pids = entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse::<i32>().ok());
        pids.filter(|pid| fs::metadata(format!("/proc/{pid}/ns/net")).is_ok_and(|its| (its.dev(), its.ino()) == (own.dev(), own.ino())))
            .filter_map(Pid::from_raw)
            .collect()
    }
}

fn prefix(lab: &Name) -> String {
    format!("lw-{lab}_")
}
