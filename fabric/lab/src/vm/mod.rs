//! The lab's virtual machine: started, found again, stopped.

mod accelerator;
mod qemu;

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use leafwall_topology::Name;
use rustix::process::{Pid, Signal, kill_process};
use serde::{Deserialize, Serialize};

pub use accelerator::Accelerator;

use crate::command::last_lines;
use crate::control::client::Client;
use crate::control::{GUEST_PROGRAMS, TOKEN_FILE};
use crate::error::{LabError, Result};
use crate::host;
use crate::recipe::Recipe;
use crate::rootfs::RootFs;

/// How long the machine may take to its control service. It takes five seconds under emulation on a machine of its own; builds share the processors.
const BOOT_TIMEOUT: Duration = Duration::from_mins(2);
/// How often the console is looked at while the machine boots.
const POLL: Duration = Duration::from_millis(50);
/// How long QEMU may take to end.
const STOP_TIMEOUT: Duration = Duration::from_secs(10);
/// How often a start is tried when another process took the port that was chosen.
const PORT_TRIES: usize = 4;
/// What the guest prints when it serves.
const READY: &str = "LEAFWALL-GUEST-READY";

/// What the machine gets.
#[derive(Debug, Clone, Copy)]
pub struct VmSize {
    /// Memory in MiB.
    pub memory_mib: u32,
    /// Virtual processors.
    pub processors: u32,
}

impl Default for VmSize {
    fn default() -> Self {
        let processors = std::thread::available_parallelism().map_or(2, |n| u32::try_from(n.get()).unwrap_or(2));
        Self { memory_mib: 3072, processors: processors.clamp(1, 8) }
    }
}

/// A virtual machine that runs.
#[derive(Debug)]
pub struct Vm {
    name: Name,
    dir: PathBuf,
    state: State,
    client: Client,
}

/// What is kept in the lab's directory about a machine.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct State {
    pid: i32,
    port: u16,
    accelerator: Accelerator,
}

impl Vm {
    /// Starts the machine of the lab `name`; one of that name that an earlier run left is removed first.
    pub fn start(name: &Name, size: VmSize) -> Result<Self> {
        Self::stop_leftover(name)?;
        let cache = host::cache_dir();
        let root = RootFs::ensure(&Recipe::built_in()?, &cache)?;
        host::need(&[host::QEMU])?;
        let dir = lab_dir(name);
        prepare(&dir)?;
        let token = new_token(&dir)?;
        let program = share_program(&dir)?;
        let initrd = dir.join("initrd");
        fs::write(&initrd, crate::initrd::build(&root)?).map_err(LabError::file("write", &initrd))?;
        let accelerator = accelerator::choose(&root, &initrd, &cache)?;
        let mut tries = PORT_TRIES;
        loop {
            let port = free_port()?;
            let console = dir.join("console.log");
            let mut child =
                qemu::Machine { root: &root, initrd: &initrd, dir: &dir, console: &console, accelerator, size, port, program: &program }
                    .spawn()?;
            let pid = i32::try_from(child.id()).unwrap_or(i32::MAX);
            let state = State { pid, port, accelerator };
            save(&dir, &state)?;
            let vm = Self { name: name.clone(), dir: dir.clone(), client: Client::new(port, token.clone()), state };
            match vm.wait_ready(&mut child) {
                Ok(()) => return Ok(vm),
                Err(Start::PortTaken) if tries > 1 => tries -= 1,
                Err(Start::PortTaken) => return Err(vm.failed("found no free port")),
                Err(Start::Failed(what)) => {
                    let _ = child.kill();
                    let _ = child.wait();
                    return Err(vm.failed(&what));
                }
            }
        }
    }

    /// Finds the machine that an earlier command started.
    pub fn find(name: &Name) -> Result<Self> {
        let dir = lab_dir(name);
        let state = load(&dir)?.filter(|state| is_ours(state.pid, &dir)).ok_or_else(|| LabError::NotUp { name: name.to_string() })?;
        let path = dir.join("work").join(TOKEN_FILE);
        let token = fs::read_to_string(&path).map_err(LabError::file("read", &path))?.trim().to_owned();
        Ok(Self { name: name.clone(), client: Client::new(state.port, token), dir, state })
    }

    /// Ends the machine and removes what it had.
    pub fn stop(self) -> Result<()> {
        Self::stop_leftover(&self.name)
    }

    /// Ends and removes whatever there is of that name.
    pub fn stop_leftover(name: &Name) -> Result<()> {
        let dir = lab_dir(name);
        if let Some(state) = load(&dir)?
            && let Some(pid) = Pid::from_raw(state.pid)
        {
            let started = Instant::now();
            while is_ours(state.pid, &dir) {
                if started.elapsed() > STOP_TIMEOUT {
                    return Err(LabError::Timeout {
                        what: format!("the end of process {}", state.pid),
                        after: STOP_TIMEOUT,
                        detail: String::new(),
                    });
                }
                let _ = kill_process(pid, Signal::KILL);
                // If it is our own child it stays a zombie, which has no command line, so the loop ends.
                std::thread::sleep(POLL);
            }
        }
        if dir.exists() {
            fs::remove_dir_all(&dir).map_err(LabError::file("remove", &dir))?;
        }
        Ok(())
    }

    /// The accelerator it runs on.
    pub fn accelerator(&self) -> Accelerator {
        self.state.accelerator
    }

    /// The directory that host and guest share.
    pub fn work_dir(&self) -> PathBuf {
        self.dir.join("work")
    }

    /// The way into the machine.
    pub(crate) fn client(&self) -> &Client {
        &self.client
    }

    /// Puts this very program into the machine and returns its path there: a machine that was started by an older build runs the newer one.
    pub(crate) fn program(&self) -> Result<String> {
        Ok(format!("{GUEST_PROGRAMS}/{}", share_program(&self.dir)?))
    }

    fn wait_ready(&self, child: &mut std::process::Child) -> std::result::Result<(), Start> {
        let started = Instant::now();
        loop {
            let console = self.console();
            if console.contains(READY) {
                return Ok(());
            }
            if console.contains("Could not set up host forwarding rule") {
                let _ = child.wait();
                return Err(Start::PortTaken);
            }
            if let Ok(Some(status)) = child.try_wait() {
                return Err(Start::Failed(format!("ended while booting with {status}")));
            }
            if started.elapsed() > BOOT_TIMEOUT {
                return Err(Start::Failed(format!("did not boot within {BOOT_TIMEOUT:?}")));
            }
            std::thread::sleep(POLL);
        }
    }

    fn console(&self) -> String {
        fs::read(self.dir.join("console.log")).map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).unwrap_or_default()
    }

    fn failed(&self, what: &str) -> LabError {
        LabError::Vm {
            name: self.name.to_string(),
            what: what.to_owned(),
            console: self.dir.join("console.log"),
            tail: last_lines(&self.console(), 12),
        }
    }
}

/// Why a start did not get through.
enum Start {
    PortTaken,
    Failed(String),
}

/// Where a lab keeps what it has on the host.
pub(crate) fn lab_dir(name: &Name) -> PathBuf {
    host::cache_dir().join("labs").join(name.as_str())
}

fn prepare(dir: &Path) -> Result<()> {
    for dir in [dir, &dir.join("bin"), &dir.join("work")] {
        // The token lies within: nobody else reads here.
        fs::DirBuilder::new().recursive(true).mode(0o700).create(dir).map_err(LabError::file("make", dir))?;
    }
    Ok(())
}

fn new_token(dir: &Path) -> Result<String> {
    let source = Path::new("/proc/sys/kernel/random/uuid");
    let token = fs::read_to_string(source).map_err(LabError::file("read", source))?.trim().to_owned();
    let path = dir.join("work").join(TOKEN_FILE);
    let mut file =
        fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&path).map_err(LabError::file("write", &path))?;
    file.write_all(token.as_bytes()).map_err(LabError::file("write", &path))?;
    Ok(token)
}

/// Copies this program into the share of programs, under a name that changes with it: the guest caches what it read.
fn share_program(dir: &Path) -> Result<String> {
    let program = std::env::current_exe().map_err(LabError::system("find this program"))?;
    let metadata = fs::metadata(&program).map_err(LabError::file("read", &program))?;
    let modified = metadata.modified().ok().and_then(|time| time.duration_since(std::time::UNIX_EPOCH).ok()).unwrap_or_default();
    let name = format!("leafwall-{}-{}", metadata.len(), modified.as_nanos());
    let target = dir.join("bin").join(&name);
    if !target.exists() {
        let partial = target.with_extension("partial");
        fs::copy(&program, &partial).map_err(LabError::file("copy", &program))?;
        fs::rename(&partial, &target).map_err(LabError::file("write", &target))?;
    }
    Ok(name)
}

fn free_port() -> Result<u16> {
    let listener = std::net::TcpListener::bind((std::net::Ipv4Addr::LOCALHOST, 0)).map_err(LabError::system("find a free port"))?;
    Ok(listener.local_addr().map_err(LabError::system("find a free port"))?.port())
}

fn save(dir: &Path, state: &State) -> Result<()> {
    let path = dir.join("vm.json");
    let json = serde_json::to_vec_pretty(state).map_err(|source| LabError::Json { path: path.clone(), source })?;
    fs::write(&path, json).map_err(LabError::file("write", &path))
}

fn load(dir: &Path) -> Result<Option<State>> {
    let path = dir.join("vm.json");
    match fs::read(&path) {
        // A file cut short by a kill is as good as none: there is nothing to find the process by.
        Ok(json) => Ok(serde_json::from_slice(&json).ok()),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(LabError::File { action: "read", path, source }),
    }
}

/// Whether that process is the machine of this directory: process numbers are used again.
fn is_ours(pid: i32, dir: &Path) -> bool {
    let Ok(command_line) = fs::read(format!("/proc/{pid}/cmdline")) else { return false };
    let needle = dir.join("console.log").to_string_lossy().into_owned().into_bytes();
    command_line.windows(needle.len()).any(|window| window == needle)
}
