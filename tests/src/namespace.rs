//! Network namespaces that a test made, sockets inside them, and their end.

use std::fs::File;
use std::io::{self, Write as _};
use std::os::fd::AsFd;
use std::process::{Command, Output, Stdio};
use std::sync::OnceLock;

use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

/// A network namespace; gone when this is dropped, also when a test fails.
#[derive(Debug)]
pub struct Namespace {
    name: String,
}

impl Namespace {
    /// A new one, with `lo` up. The name carries the process id, so that tests do not meet.
    ///
    /// # Errors
    /// What `ip` says, for one that is not root.
    pub fn new(purpose: &str) -> io::Result<Self> {
        let name = format!("lw-{}-{purpose}", std::process::id());
        checked(Command::new("ip").args(["netns", "add", &name]))?;
        let namespace = Self { name };
        namespace.ip("link set lo up")?;
        Ok(namespace)
    }

    /// Its name, as `ip` knows it.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Runs lines of `ip` commands.
    ///
    /// # Errors
    /// What `ip` says.
    pub fn ip(&self, lines: &str) -> io::Result<String> {
        self.run_with_input(&["ip", "-batch", "-"], lines)
    }

    /// Runs a command inside.
    ///
    /// # Errors
    /// What the command says, if it fails.
    pub fn run(&self, command: &[&str]) -> io::Result<String> {
        self.run_with_input(command, "")
    }

    /// Runs a command inside with this text as its input.
    ///
    /// # Errors
    /// What the command says, if it fails.
    pub fn run_with_input(&self, command: &[&str], input: &str) -> io::Result<String> {
        let mut inside = Command::new("ip");
        inside.args(["netns", "exec", &self.name]).args(command);
        with_input(&mut inside, input)
    }

    /// Sets kernel variables of the network: `net.ipv4.ip_forward=1`.
    ///
    /// # Errors
    /// Where there is no such variable.
    pub fn sysctl(&self, settings: &[&str]) -> io::Result<()> {
        self.enter(|| {
            settings.iter().try_for_each(|setting| {
                let (name, value) = setting.split_once('=').unwrap_or((setting, ""));
                // /proc/sys/net is the thread's own namespace's
                let path = format!("/proc/sys/{}", name.replace('.', "/"));
                std::fs::write(&path, value).map_err(|error| io::Error::other(format!("{path}: {error}")))
            })
        })?
    }

    /// Runs `inside` on a thread that lives in this namespace; sockets made there stay there.
    ///
    /// # Errors
    /// If the namespace cannot be entered.
    ///
    /// # Panics
    /// If `inside` does.
    pub fn enter<T: Send>(&self, inside: impl FnOnce() -> T + Send) -> io::Result<T> {
        let place = File::open(format!("/run/netns/{}", self.name))?;
        std::thread::scope(|scope| {
            let thread = scope.spawn(|| {
                move_into_link_name_space(place.as_fd(), Some(LinkNameSpaceType::Network))?;
                Ok(inside())
            });
            thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        })
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        // links and rulesets go with it
        let _ = Command::new("ip").args(["netns", "del", &self.name]).stderr(Stdio::null()).status();
    }
}

/// Runs a command with this text as its input.
///
/// # Errors
/// What the command says, if it fails.
pub fn with_input(command: &mut Command, input: &str) -> io::Result<String> {
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
    if let Some(mut stdin) = child.stdin.take() {
        // a command that fails early closes its end; its own words say more
        let _ = stdin.write_all(input.as_bytes());
    }
    said(&child.wait_with_output()?)
}

fn checked(command: &mut Command) -> io::Result<String> {
    said(&command.output()?)
}

fn said(output: &Output) -> io::Result<String> {
    if output.status.success() {
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    } else {
        Err(io::Error::other(String::from_utf8_lossy(&output.stderr).into_owned()))
    }
}

/// The `nft` to test with: `LEAFWALL_NFT` (words, such as a `chroot` in front), else the one of the machine.
pub fn nft() -> Vec<String> {
    std::env::var("LEAFWALL_NFT").unwrap_or_else(|_| "nft".to_owned()).split_whitespace().map(str::to_owned).collect()
}

/// Why tests with namespaces and nftables cannot run here, if they cannot. Tried once per process.
pub fn unable() -> Option<String> {
    static TRIED: OnceLock<Option<String>> = OnceLock::new();
    TRIED.get_or_init(try_once).clone()
}

fn try_once() -> Option<String> {
    if !rustix::process::geteuid().is_root() {
        return Some("not root".to_owned());
    }
    let probe = match Namespace::new("probe") {
        Ok(probe) => probe,
        Err(error) => return Some(format!("no network namespaces: {error}")),
    };
    let nft = nft();
    let mut command: Vec<&str> = nft.iter().map(String::as_str).collect();
    command.extend(["-f", "-"]);
    let chain = "table inet probe {\nchain x {\ntype filter hook input priority 0;\n}\n}\n";
    probe.run_with_input(&command, chain).err().map(|error| format!("no nftables: {error}"))
}
