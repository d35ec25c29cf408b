//! The files of an identity.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, ErrorKind, Read as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::Path;

use super::CertificateError;

/// What everybody may read.
pub const OPEN: u32 = 0o644;
/// What its owner alone may read.
pub const SECRET: u32 = 0o600;
/// The bits by which others than the owner get at a file.
const OTHERS: u32 = 0o077;

pub fn failed(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> CertificateError {
    let path = path.to_owned();
    move |source| CertificateError::File { action, path, source }
}

/// A directory that is its owner's alone, unless it is there already.
pub fn make(directory: &Path) -> Result<(), CertificateError> {
    DirBuilder::new().recursive(true).mode(0o700).create(directory).map_err(failed("make", directory))
}

/// A new file. One that is there is never overwritten: it may be a key that something hangs on.
pub fn put(path: &Path, text: &str, mode: u32) -> Result<(), CertificateError> {
    let file = OpenOptions::new().write(true).create_new(true).mode(mode).open(path);
    let mut file = file.map_err(|source| match source.kind() {
        ErrorKind::AlreadyExists => CertificateError::Present(path.to_owned()),
        _ => failed("make", path)(source),
    })?;
    let written = file.write_all(text.as_bytes()).and_then(|()| file.sync_all());
    written.map_err(failed("write", path))
}

/// After the last file of a directory, so that they are there after a crash as well.
pub fn settle(directory: &Path) -> Result<(), CertificateError> {
    File::open(directory).and_then(|directory| directory.sync_all()).map_err(failed("write", directory))
}

pub fn read(path: &Path) -> Result<String, CertificateError> {
    fs::read_to_string(path).map_err(failed("read", path))
}

/// A key, which nobody else may be able to read.
pub fn read_secret(path: &Path) -> Result<String, CertificateError> {
    let mut file = File::open(path).map_err(failed("open", path))?;
    let mode = file.metadata().map_err(failed("look at", path))?.permissions().mode() & 0o7777;
    if mode & OTHERS != 0 {
        return Err(CertificateError::Exposed { path: path.to_owned(), mode });
    }
    let mut text = String::new();
    file.read_to_string(&mut text).map_err(failed("read", path))?;
    Ok(text)
}
