//! The root file system and kernel of the lab's machine, made from Debian packages and kept in the cache by the recipe's digest.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use crate::command;
use crate::error::{LabError, Result};
use crate::host;
use crate::recipe::Recipe;

/// Programs of the root file system that run on the host too, since they are static.
const BUSYBOX: &str = "usr/bin/busybox";

/// What no scenario reads: a third of the packages' size.
const LEFT_OUT: [&str; 5] = ["/usr/share/doc/*", "/usr/share/man/*", "/usr/share/locale/*", "/usr/share/info/*", "/boot/initrd*"];

/// A root file system on the host's disk, read-only for the machines that run on it.
#[derive(Debug, Clone)]
pub struct RootFs {
    dir: PathBuf,
    kernel_release: String,
}

impl RootFs {
    /// Takes the root file system of this recipe from the cache, or makes it.
    pub fn ensure(recipe: &Recipe, cache: &Path) -> Result<Self> {
        let dir = cache.join(format!("root-{}", recipe.key()));
        if !dir.is_dir() {
            make(recipe, cache, &dir)?;
        }
        Self::open(dir)
    }

    fn open(dir: PathBuf) -> Result<Self> {
        let modules = dir.join("usr/lib/modules");
        let mut releases: Vec<String> = fs::read_dir(&modules)
            .map_err(LabError::file("read", &modules))?
            .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
            .collect();
        releases.sort();
        let kernel_release = releases.pop().unwrap_or_default();
        Ok(Self { dir, kernel_release })
    }

    /// Its directory.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// The kernel's image.
    pub fn kernel(&self) -> PathBuf {
        self.dir.join("boot").join(format!("vmlinuz-{}", self.kernel_release))
    }

    /// The directory with the kernel's modules and their index.
    pub fn modules(&self) -> PathBuf {
        self.dir.join("usr/lib/modules").join(&self.kernel_release)
    }

    /// A busybox without libraries.
    pub fn busybox(&self) -> PathBuf {
        self.dir.join(BUSYBOX)
    }
}

/// Makes the root file system beside its place and moves it there when it is whole, so that an interrupted run leaves nothing that looks done.
fn make(recipe: &Recipe, cache: &Path, dir: &Path) -> Result<()> {
    fs::create_dir_all(cache).map_err(LabError::file("make", cache))?;
    let lock_path = cache.join("root.lock");
    let lock = File::create(&lock_path).map_err(LabError::file("make", &lock_path))?;
    lock.lock().map_err(LabError::file("lock", &lock_path))?;
    if dir.is_dir() {
        return Ok(()); // another process was first
    }
    host::need(&[host::MMDEBSTRAP])?;
    let mirror = host::debian_mirror()?;
    let partial = dir.with_extension("partial");
    if partial.exists() {
        fs::remove_dir_all(&partial).map_err(LabError::file("remove", &partial))?;
    }
    eprintln!(
        "leafwall: making the lab's root file system from Debian {} ({} packages), once per recipe",
        recipe.suite(),
        recipe.packages().len()
    );
    let started = Instant::now();
    let mut debootstrap = Command::new("mmdebstrap");
    debootstrap.args(["--variant=minbase", "--quiet"]);
    debootstrap.arg(format!("--include={}", recipe.packages().join(",")));
    for path in LEFT_OUT {
        debootstrap.arg(format!("--dpkgopt=path-exclude={path}"));
    }
    debootstrap.arg(recipe.suite()).arg(&partial).arg(mirror);
    command::run(&mut debootstrap)?;
    fs::rename(&partial, dir).map_err(LabError::file("move into place", &partial))?;
    eprintln!("leafwall: made in {:.0} s", started.elapsed().as_secs_f64());
    Ok(())
}
