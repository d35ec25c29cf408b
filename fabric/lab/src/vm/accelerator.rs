//! Which accelerator really runs a guest here: `/dev/kvm` may open and still not do so, so it is tried.

use std::fs;
use std::io::Read;
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use super::qemu;
use crate::error::{LabError, Result};
use crate::rootfs::RootFs;

/// How long a machine that only prints a line may take with hardware acceleration.
const PROBE_TIMEOUT: Duration = Duration::from_secs(8);
/// How often it is looked at.
const POLL: Duration = Duration::from_millis(20);

/// What executes the guest's instructions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Accelerator {
    /// The processor.
    Kvm,
    /// QEMU's translator.
    Tcg,
}

impl std::fmt::Display for Accelerator {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Kvm => "kvm (hardware)",
            Self::Tcg => "tcg (software emulation)",
        })
    }
}

/// Chooses, and keeps the answer until the host's next boot.
pub(super) fn choose(root: &RootFs, initrd: &Path, cache: &Path) -> Result<Accelerator> {
    if !Path::new("/dev/kvm").exists() {
        return Ok(Accelerator::Tcg);
    }
    let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
    let file = cache.join("accelerator.json");
    let kept: Option<(String, Accelerator)> = fs::read(&file).ok().and_then(|json| serde_json::from_slice(&json).ok());
    if let Some((of_boot, accelerator)) = kept
        && of_boot == boot
    {
        return Ok(accelerator);
    }
    let accelerator = if runs(root, initrd)? { Accelerator::Kvm } else { Accelerator::Tcg };
    if let Ok(json) = serde_json::to_vec(&(boot, accelerator)) {
        fs::write(&file, json).map_err(LabError::file("write", &file))?;
    }
    Ok(accelerator)
}

/// Boots a machine with hardware acceleration up to the first line of our initrd.
fn runs(root: &RootFs, initrd: &Path) -> Result<bool> {
    let mut qemu = qemu::bare(root, initrd, Accelerator::Kvm, "leafwall.probe");
    qemu.args(["-m", "256M", "-serial", "stdio"]);
    let mut child =
        qemu.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().map_err(LabError::system("start QEMU"))?;
    let started = Instant::now();
    while matches!(child.try_wait(), Ok(None)) && started.elapsed() < PROBE_TIMEOUT {
        std::thread::sleep(POLL);
    }
    let _ = child.kill();
    let mut console = Vec::new();
    if let Some(mut stdout) = child.stdout.take() {
        let _ = stdout.read_to_end(&mut console);
    }
    let _ = child.wait();
    Ok(String::from_utf8_lossy(&console).contains("LEAFWALL-PROBE-OK"))
}
