//! QEMU's command line.

use std::fs::File;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use super::{Accelerator, VmSize};
use crate::control::GUEST_PORT;
use crate::error::{LabError, Result};
use crate::host::QEMU;
use crate::rootfs::RootFs;

/// All that a machine is started from.
pub(super) struct Machine<'a> {
    pub root: &'a RootFs,
    pub initrd: &'a Path,
    pub dir: &'a Path,
    pub console: &'a Path,
    pub accelerator: Accelerator,
    pub size: VmSize,
    pub port: u16,
    pub program: &'a str,
}

/// A machine without devices beyond a console.
pub(super) fn bare(root: &RootFs, initrd: &Path, accelerator: Accelerator, kernel_arguments: &str) -> Command {
    let mut qemu = Command::new(QEMU.program());
    qemu.args(match accelerator {
        Accelerator::Kvm => ["-accel", "kvm", "-cpu", "host"],
        Accelerator::Tcg => ["-accel", "tcg,thread=multi", "-cpu", "max"],
    });
    qemu.args(["-nodefaults", "-no-user-config", "-display", "none", "-no-reboot"]);
    qemu.arg("-kernel").arg(root.kernel()).arg("-initrd").arg(initrd);
    // What costs most under emulation and is of no use here: mitigations, huge pages (khugepaged), watchdogs, a fifth level of page tables.
    qemu.args([
        "-append",
        &format!("console=ttyS0 quiet panic=-1 mitigations=off transparent_hugepage=never nowatchdog no5lvl {kernel_arguments}"),
    ]);
    qemu
}

impl Machine<'_> {
    pub(super) fn spawn(&self) -> Result<Child> {
        let mut qemu = bare(self.root, self.initrd, self.accelerator, &format!("leafwall.program={}", self.program));
        qemu.args(["-m", &format!("{}M", self.size.memory_mib), "-smp", &self.size.processors.to_string()]);
        qemu.arg("-serial").arg(format!("file:{}", escaped(self.console)));
        for (path, tag, access) in [
            (self.root.dir().to_owned(), "root", ",readonly=on"),
            (self.dir.join("bin"), "bin", ",readonly=on"),
            (self.dir.join("work"), "work", ""),
        ] {
            qemu.arg("-virtfs").arg(format!("local,path={},mount_tag={tag},security_model=none,multidevs=remap{access}", escaped(&path)));
        }
        // `restrict`: nothing in the machine reaches the host or beyond, only we reach its control port.
        qemu.args(["-netdev", &format!("user,id=control,restrict=on,hostfwd=tcp:127.0.0.1:{}-:{GUEST_PORT}", self.port)]);
        qemu.args(["-device", "virtio-net-pci,netdev=control", "-device", "virtio-rng-pci"]);
        let log = File::create(self.console)
            .and_then(|_| File::options().append(true).open(self.console))
            .map_err(LabError::file("make", self.console))?;
        // A process group of its own: the machine outlives the command that started it, and a terminal's interrupt.
        qemu.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log).process_group(0);
        qemu.spawn().map_err(LabError::system("start QEMU"))
    }
}

/// QEMU's options separate with commas; a comma is doubled.
fn escaped(path: &Path) -> String {
    path.to_string_lossy().replace(',', ",,")
}
