//! What the lab takes from the host: a place for its cache, tools, and the mirror of its packages.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::command;
use crate::error::{LabError, Result};

/// The environment variable that moves the cache.
pub const CACHE_VARIABLE: &str = "LEAFWALL_CACHE";

/// A program the lab calls and the Debian package that carries it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Tool {
    program: &'static str,
    package: &'static str,
}

impl Tool {
    /// The program's name.
    pub(crate) const fn program(self) -> &'static str {
        self.program
    }
}

/// Makes root file systems.
pub(crate) const MMDEBSTRAP: Tool = Tool { program: "mmdebstrap", package: "mmdebstrap" };
/// Runs the virtual machine.
pub(crate) const QEMU: Tool = Tool { program: "qemu-system-x86_64", package: "qemu-system-x86" };

/// `$LEAFWALL_CACHE`, else `~/.cache/leafwall`.
pub fn cache_dir() -> PathBuf {
    if let Some(dir) = env::var_os(CACHE_VARIABLE).filter(|dir| !dir.is_empty()) {
        // QEMU and the guest's shares want absolute paths.
        return std::path::absolute(PathBuf::from(&dir)).unwrap_or_else(|_| dir.into());
    }
    let home = env::var_os("HOME").map_or_else(|| PathBuf::from("/var/cache"), |home| PathBuf::from(home).join(".cache"));
    home.join("leafwall")
}

/// Whether this process may do everything.
pub(crate) fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// Makes sure that the tools are there: installs what is missing with apt, and says so, when we are root.
pub(crate) fn need(tools: &[Tool]) -> Result<()> {
    let missing: Vec<&str> = tools.iter().filter(|tool| !on_path(tool.program)).map(|tool| tool.package).collect();
    if missing.is_empty() {
        return Ok(());
    }
    let packages = missing.join(" ");
    if !is_root() || !on_path("apt-get") {
        return Err(LabError::ToolsMissing { packages });
    }
    eprintln!("leafwall: installing {packages} with apt-get, the lab needs it");
    let mut install = Command::new("apt-get");
    install.args(["install", "--yes", "--no-install-recommends", "-o", "Dpkg::Use-Pty=0"]).args(&missing);
    install.env("DEBIAN_FRONTEND", "noninteractive");
    if command::run(&mut install).is_err() {
        // A fresh machine has no package lists yet.
        eprintln!("leafwall: apt-get update, then once more");
        command::run(Command::new("apt-get").arg("update"))?;
        command::run(&mut install)?;
    }
    Ok(())
}

fn on_path(program: &str) -> bool {
    let path = env::var_os("PATH").unwrap_or_default();
    env::split_paths(&path).chain([PathBuf::from("/usr/sbin"), PathBuf::from("/sbin")]).any(|dir| dir.join(program).is_file())
}

/// The mirror that the host itself uses for its own release.
pub(crate) fn debian_mirror() -> Result<String> {
    let release = host_release()?;
    let mut list = Command::new("apt-get");
    list.args(["indextargets", "--format", "$(CREATED_BY) $(RELEASE) $(COMPONENT) $(REPO_URI)"]);
    let targets = command::run(&mut list)?;
    mirror_of(&targets, &release).ok_or(LabError::NoMirror { release })
}

/// Picks the mirror out of apt's list of index targets: the first `Packages` of `release main`.
fn mirror_of(targets: &str, release: &str) -> Option<String> {
    targets.lines().find_map(|line| {
        let words: Vec<&str> = line.split_whitespace().collect();
        match words.as_slice() {
            ["Packages", found, "main", uri] if *found == release => Some((*uri).to_owned()),
            _ => None,
        }
    })
}

fn host_release() -> Result<String> {
    let path = Path::new("/etc/os-release");
    let text = fs::read_to_string(path).map_err(LabError::file("read", path))?;
    Ok(text.lines().find_map(|line| line.strip_prefix("VERSION_CODENAME=")).unwrap_or("unknown").trim_matches('"').to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_mirror_is_that_of_the_hosts_release() {
        let targets = "Packages other main http://one.example/debian/\nTranslations bookworm main http://two.example/\nPackages bookworm contrib http://three.example/\nPackages bookworm main http://four.example/debian/\n";
        assert_eq!(mirror_of(targets, "bookworm").as_deref(), Some("http://four.example/debian/"));
        assert_eq!(mirror_of(targets, "trixie"), None);
    }
}
