//! The controller's key: ed25519 (RFC 8032), in a file of one line.

use std::fmt::Write as _;
use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Read as _, Write as _};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use ed25519_dalek::{SECRET_KEY_LENGTH, SigningKey};
use thiserror::Error;

/// What a key file begins with.
const MARK: &str = "leafwall-key-1 ";

/// The bits by which others than the owner may read, write or enter.
const OTHERS: u32 = 0o077;

/// A key that can't be had.
#[derive(Debug, Error)]
pub enum KeyError {
    /// The file could not be read, written or made.
    #[error("cannot {action} `{}`", path.display())]
    File {
        /// What was tried: a verb.
        action: &'static str,
        /// On what.
        path: PathBuf,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// Others than its owner can get at it: whoever has read it can sign what switches will do.
    #[error("`{}` has mode {mode:04o}, so others can get at it: a key file has 0600; if nobody read it, `chmod 600` it, else make a new one", path.display())]
    Exposed {
        /// Which.
        path: PathBuf,
        /// Its permissions.
        mode: u32,
    },
    /// Not a regular file.
    #[error("`{}` is no regular file", .0.display())]
    NoFile(PathBuf),
    /// Something else in it.
    #[error("`{}` is no key file: that is `{MARK}` and 64 hexadecimal digits in a line", .0.display())]
    NoKey(PathBuf),
    /// The operating system gives no random bytes.
    #[error("the operating system gives no random bytes for a key")]
    Random(#[source] getrandom::Error),
}

fn failed(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> KeyError {
    let path = path.to_owned();
    move |source| KeyError::File { action, path, source }
}

/// The key in a file; a new one if there is no file. Of two that make it at once, one makes it and both get the same key.
///
/// # Errors
/// Where the file is there and can't be used, or is not and can't be made.
pub fn load_or_create(path: &Path) -> Result<SigningKey, KeyError> {
    match load(path) {
        Err(KeyError::File { source, .. }) if source.kind() == ErrorKind::NotFound => {}
        result => return result,
    }
    match create(path) {
        Err(KeyError::File { source, .. }) if source.kind() == ErrorKind::AlreadyExists => load(path),
        result => result,
    }
}

/// The key in a file.
///
/// # Errors
/// Where it is not there, others can get at it, or no key is in it.
pub fn load(path: &Path) -> Result<SigningKey, KeyError> {
    let file = File::open(path).map_err(failed("open", path))?;
    // of the open file, not of the path: nobody can put another one there in between
    let metadata = file.metadata().map_err(failed("look at", path))?;
    if !metadata.is_file() {
        return Err(KeyError::NoFile(path.to_owned()));
    }
    let mode = metadata.permissions().mode() & 0o7777;
    if mode & OTHERS != 0 {
        return Err(KeyError::Exposed { path: path.to_owned(), mode });
    }
    let mut text = String::new();
    // a byte more than a key file has, so that a longer one is none
    let most = MARK.len() + 2 * SECRET_KEY_LENGTH + 2;
    match file.take(most as u64).read_to_string(&mut text) {
        Err(error) if error.kind() == ErrorKind::InvalidData => return Err(KeyError::NoKey(path.to_owned())),
        other => other.map_err(failed("read", path))?,
    };
    let bytes = decode(&text).ok_or_else(|| KeyError::NoKey(path.to_owned()))?;
    Ok(SigningKey::from_bytes(&bytes))
}

/// A new key in a new file. There is the whole file or none, also after a crash.
///
/// # Errors
/// Where there is a file already, or it can't be made.
pub fn create(path: &Path) -> Result<SigningKey, KeyError> {
    let mut bytes = [0; SECRET_KEY_LENGTH];
    getrandom::fill(&mut bytes).map_err(KeyError::Random)?;
    let mut line = MARK.to_owned();
    for byte in bytes {
        // to a String that can't fail
        let _ = write!(line, "{byte:02x}");
    }
    line.push('\n');

    let mut suffix = [0; 8];
    getrandom::fill(&mut suffix).map_err(KeyError::Random)?;
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(format!(".{:016x}", u64::from_ne_bytes(suffix)));
    let draft = path.with_file_name(name);
    let made = place(&draft, path, line.as_bytes());
    // also where it could not be made: a key lies nowhere else
    let removed = fs::remove_file(&draft);
    made?;
    removed.map_err(failed("remove", &draft))?;
    sync_directory(path)?;
    tracing::info!(path = %path.display(), "made a new key");
    Ok(SigningKey::from_bytes(&bytes))
}

fn place(draft: &Path, path: &Path, line: &[u8]) -> Result<(), KeyError> {
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(draft).map_err(failed("make", draft))?;
    file.write_all(line).and_then(|()| file.sync_all()).map_err(failed("write", draft))?;
    // not a renaming: that would put another key in place of one that is there
    fs::hard_link(draft, path).map_err(failed("make", path))
}

fn sync_directory(path: &Path) -> Result<(), KeyError> {
    let directory = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    File::open(directory).and_then(|directory| directory.sync_all()).map_err(failed("write", directory))
}

fn decode(text: &str) -> Option<[u8; SECRET_KEY_LENGTH]> {
    let digits = text.strip_prefix(MARK)?.strip_suffix('\n')?;
    if digits.len() != 2 * SECRET_KEY_LENGTH || !digits.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f')) {
        return None;
    }
    let mut bytes = [0; SECRET_KEY_LENGTH];
    for (byte, pair) in bytes.iter_mut().zip(digits.as_bytes().chunks(2)) {
        *byte = u8::from_str_radix(str::from_utf8(pair).ok()?, 16).ok()?;
    }
    Some(bytes)
}
