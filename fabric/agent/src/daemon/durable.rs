//! Files that are there as a whole after a crash.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::Path;

/// Makes or replaces a file: either this or what was there before is there after a crash, and this once it returns.
pub fn replace(directory: &Path, name: &str, bytes: &[u8]) -> io::Result<()> {
    let new = directory.join(format!(".{name}.new"));
    let mut file = File::create(&new)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    fs::rename(&new, directory.join(name))?;
    File::open(directory)?.sync_all()
}
