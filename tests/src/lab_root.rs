//! The lab's root file system as a place to run a device's own tools in, without the machine: its programs on this host's kernel.

use std::io::{self, BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use leafwall_lab::{Recipe, RootFs, cache_dir};

use crate::skip;

/// What a script of ours runs in: namespaces of its own for the network, mounts and processes; the root file system read-only, with memory where programs
/// write. All of it is gone when the script ends.
const ENTER: &str = r#"
set -e
root=$1 mount=$2 files=$3 sockets=$4
mount --bind -o ro "$root" "$mount"
for place in proc tmp run etc/frr var/lib/frr var/tmp; do [ -d "$mount/$place" ] && mount -t tmpfs none "$mount/$place"; done
mount -t proc proc "$mount/proc"
mount --bind /dev "$mount/dev"
mkdir -p "$mount/tmp/files" "$mount/run/frr"
mount --bind -o ro "$files" "$mount/tmp/files"
[ -z "$sockets" ] || mount --bind "$sockets" "$mount/run/frr"
ip link set lo up
exec chroot "$mount" /bin/bash -c 'chown -R frr:frr /run/frr /etc/frr /var/lib/frr; touch /etc/frr/vtysh.conf; cd /tmp/files; eval "$SCRIPT"'
"#;

/// The lab's root file system.
pub struct LabRoot {
    root: RootFs,
    mount: PathBuf,
}

impl LabRoot {
    /// Finds it in the cache or makes it; `None`, with the test skipped, where that can't be.
    ///
    /// # Panics
    /// As [`skip`] does.
    pub fn find(test: &str) -> Option<Self> {
        if !rustix::process::geteuid().is_root() {
            skip(test, "only root can enter the lab's root file system");
            return None;
        }
        let root = Recipe::built_in().and_then(|recipe| RootFs::ensure(&recipe, &cache_dir()));
        match root {
            Ok(root) => {
                let mount = std::env::temp_dir().join(format!("lw-root-{}-{test}", std::process::id()));
                std::fs::create_dir_all(&mount).ok()?;
                Some(Self { root, mount })
            }
            Err(error) => {
                skip(test, &error.to_string());
                None
            }
        }
    }

    /// The command that runs a script with `files` as its working directory.
    pub fn command(&self, files: &Path, script: &str) -> Command {
        self.enter(files, Path::new(""), script)
    }

    /// The same, with the sockets of FRR's daemons in a directory of this host.
    pub fn command_with_sockets(&self, files: &Path, sockets: &Path, script: &str) -> Command {
        self.enter(files, sockets, script)
    }

    /// Runs a script with `files` as its working directory, and returns what it prints.
    ///
    /// # Errors
    /// What it prints, if it fails.
    pub fn run(&self, files: &Path, script: &str) -> io::Result<String> {
        let output = self.command(files, script).output()?;
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        if output.status.success() { Ok(text) } else { Err(io::Error::other(format!("{text}{}", String::from_utf8_lossy(&output.stderr)))) }
    }

    /// Starts FRR's daemons there without configuration, with their sockets in a directory of this host.
    ///
    /// # Errors
    /// Where they do not start.
    pub fn daemons(&self, sockets: &Path) -> io::Result<Daemons> {
        let script = "for d in mgmtd zebra bgpd bfdd staticd; do /usr/lib/frr/$d -d -P 0 --log file:/tmp/$d.log >/tmp/$d.out 2>&1 || { cat /tmp/$d.out; exit 1; }; done
echo READY; read -r _";
        let mut command = self.enter(sockets, sockets, script);
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
        let mut said = String::new();
        if let Some(stdout) = child.stdout.take() {
            BufReader::new(stdout).read_line(&mut said)?;
        }
        let daemons = Daemons(child);
        if said == "READY\n" { Ok(daemons) } else { Err(io::Error::other(said)) }
    }

    fn enter(&self, files: &Path, sockets: &Path, script: &str) -> Command {
        let mut command = Command::new("unshare");
        command.args(["--net", "--mount", "--pid", "--fork", "--kill-child", "bash", "-c", ENTER, "enter"]);
        command.args([self.root.dir(), &self.mount, files, sockets]).env("SCRIPT", script);
        command
    }
}

/// Daemons that run until this is dropped.
#[derive(Debug)]
pub struct Daemons(Child);

impl Drop for Daemons {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Drop for LabRoot {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir(&self.mount);
    }
}
