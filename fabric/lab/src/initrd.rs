//! The first file system of the lab's machine: busybox, the few modules that reach the root file system on the host, and a script.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Command;

use crate::command::line_of;
use crate::error::{LabError, Result};
use crate::rootfs::RootFs;

/// Runs first: mounts the shares and gives the machine to [`MACHINE_INIT`].
const INIT: &str = include_str!("guest/init.sh");
/// Process 1 of the machine.
const MACHINE_INIT: &str = include_str!("guest/machine-init.sh");

/// What the root file system on the host is reached with.
const MODULES: [&str; 4] = ["virtio_pci", "9pnet_virtio", "9p", "overlay"];

/// Makes the archive (cpio, format `newc`).
pub(crate) fn build(root: &RootFs) -> Result<Vec<u8>> {
    let index_path = root.modules().join("modules.dep");
    let index = fs::read_to_string(&index_path).map_err(LabError::file("read", &index_path))?;
    let mut archive = Archive::default();
    for dir in ["bin", "dev", "proc", "sys", "lower", "upper", "new", "modules"] {
        archive.directory(dir);
    }
    archive.file("bin/busybox", &read(&root.busybox())?);
    archive.file("init", INIT.as_bytes());
    archive.file("machine-init", MACHINE_INIT.as_bytes());
    let mut order = String::new();
    for path in load_order(&index, &MODULES) {
        let stem = module_name(&path);
        archive.file(&format!("modules/{stem}.ko"), &module(root, &path)?);
        order.push_str(&stem);
        order.push('\n');
    }
    archive.file("modules/order", order.as_bytes());
    Ok(archive.finish())
}

fn read(path: &Path) -> Result<Vec<u8>> {
    fs::read(path).map_err(LabError::file("read", path))
}

/// A module without compression: the small shell of the initrd loads nothing else.
fn module(root: &RootFs, path: &str) -> Result<Vec<u8>> {
    let file = root.modules().join(path);
    if Path::new(path).extension().is_none_or(|extension| extension != "xz") {
        return read(&file);
    }
    let mut unpack = Command::new(root.busybox());
    unpack.args(["unxz", "-c"]).arg(&file);
    let output = unpack.output().map_err(LabError::system(format!("run `{}`", line_of(&unpack))))?;
    if !output.status.success() {
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        return Err(LabError::Command { command: line_of(&unpack), status: output.status.to_string(), output: text });
    }
    Ok(output.stdout)
}

/// The files to load for some modules, dependencies first. A module that is not in the index is part of the kernel.
fn load_order(index: &str, wanted: &[&str]) -> Vec<String> {
    let mut order = Vec::new();
    let mut seen = BTreeSet::new();
    for name in wanted {
        for line in index.lines() {
            let Some((module, dependencies)) = line.split_once(':') else { continue };
            if module_name(module) != *name {
                continue;
            }
            // depmod(8) lists what must be loaded last first.
            for path in dependencies.split_whitespace().rev().chain([module]) {
                if seen.insert(path.to_owned()) {
                    order.push(path.to_owned());
                }
            }
        }
    }
    order
}

/// `kernel/fs/9p/9p.ko.xz` is module `9p`; `-` and `_` are the same to the kernel.
fn module_name(path: &str) -> String {
    let file = path.rsplit('/').next().unwrap_or(path);
    file.split(".ko").next().unwrap_or(file).replace('-', "_")
}

/// A cpio archive in the making.
#[derive(Debug, Default)]
struct Archive {
    bytes: Vec<u8>,
    entries: u32,
}

impl Archive {
    fn directory(&mut self, path: &str) {
        self.entry(path, 0o040_755, &[]);
    }

    fn file(&mut self, path: &str, content: &[u8]) {
        self.entry(path, 0o100_755, content);
    }

    fn entry(&mut self, path: &str, mode: u32, content: &[u8]) {
        self.entries += 1;
        let (name_size, file_size) = (path.len() + 1, content.len());
        // inode, mode, uid, gid, links, mtime, size, device (2), special device (2), length of the name, checksum
        let header = format!(
            "070701{:08X}{mode:08X}{:08X}{:08X}{:08X}{:08X}{file_size:08X}{:08X}{:08X}{:08X}{:08X}{name_size:08X}{:08X}",
            self.entries, 0, 0, 1, 0, 0, 0, 0, 0, 0
        );
        self.bytes.extend_from_slice(header.as_bytes());
        self.bytes.extend_from_slice(path.as_bytes());
        self.bytes.push(0);
        self.pad();
        self.bytes.extend_from_slice(content);
        self.pad();
    }

    fn pad(&mut self) {
        self.bytes.resize(self.bytes.len().next_multiple_of(4), 0);
    }

    fn finish(mut self) -> Vec<u8> {
        self.entry("TRAILER!!!", 0, &[]);
        self.bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dependencies_are_loaded_first_and_once() {
        let index = "kernel/net/9p/9pnet.ko.xz:\nkernel/net/9p/9pnet_virtio.ko.xz: kernel/net/9p/9pnet.ko.xz\nkernel/fs/netfs.ko.xz:\nkernel/fs/9p/9p.ko.xz: kernel/net/9p/9pnet.ko.xz kernel/fs/netfs.ko.xz\n";
        let order: Vec<String> = load_order(index, &["virtio_pci", "9pnet_virtio", "9p"]).iter().map(|p| module_name(p)).collect();
        assert_eq!(order, ["9pnet", "9pnet_virtio", "netfs", "9p"]);
    }

    #[test]
    fn the_archive_unpacks() {
        let mut archive = Archive::default();
        archive.directory("bin");
        archive.file("bin/x", b"hello");
        let bytes = archive.finish();
        assert_eq!(bytes.len() % 4, 0);
        assert_eq!(&bytes[..6], b"070701");
        let at = bytes.windows(5).position(|w| w == b"hello").unwrap();
        assert_eq!(at % 4, 0, "content begins on a multiple of four");
    }
}
