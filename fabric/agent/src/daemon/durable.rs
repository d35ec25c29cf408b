//! Files that are there as a whole after a crash.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

/// What everybody on the device may read.
const OPEN: u32 = 0o644;
/// What its owner alone may read.
const SECRET: u32 = 0o600;

/// Makes or replaces a file: either this or what was there before is there after a crash, and this once it returns.
pub fn replace(directory: &Path, name: &str, bytes: &[u8]) -> io::Result<()> {
    replace_as(directory, name, bytes, OPEN)
}

/// The same, and nobody else can read it at any time.
pub fn replace_secret(directory: &Path, name: &str, bytes: &[u8]) -> io::Result<()> {
    replace_as(directory, name, bytes, SECRET)
}

fn replace_as(directory: &Path, name: &str, bytes: &[u8], mode: u32) -> io::Result<()> {
    let new = directory.join(format!(".{name}.new"));
    // what is left of an interrupted one may have another mode
    match fs::remove_file(&new) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut file = OpenOptions::new().write(true).create_new(true).mode(mode).open(&new)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    fs::rename(&new, directory.join(name))?;
    File::open(directory)?.sync_all()
}
