//! Artefacts by their digests, and the directories made of them.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use leafwall_rollout::device::{Journal, Kept};
use leafwall_rollout::digest::Digest;
use thiserror::Error;

use super::durable;

/// The longest artefact that is taken: frr.conf of ten thousand tenants is about this long.
pub const FILE_MAX: usize = 64 << 20;

/// What goes wrong with files.
#[derive(Debug, Error)]
pub enum CacheError {
    /// A file or directory.
    #[error("can't use `{path}`")]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// Bytes that are not those that were signed.
    #[error("`{name}` has digest {found} instead of {wanted}, which the revision names")]
    Digest {
        /// Which file.
        name: String,
        /// As it was signed.
        wanted: Digest,
        /// As it is.
        found: Digest,
    },
    /// A name that could lead elsewhere.
    #[error("`{0}` is no artefact's name")]
    Name(String),
}

/// The artefacts that this device has.
#[derive(Debug, Clone)]
pub struct Cache {
    root: PathBuf,
}

fn file(path: &Path) -> impl FnOnce(io::Error) -> CacheError {
    let path = path.to_owned();
    move |source| CacheError::File { path, source }
}

impl Cache {
    /// Below a directory.
    pub fn open(state: &Path) -> Result<Self, CacheError> {
        let root = state.join("revisions");
        fs::create_dir_all(&root).map_err(file(&root))?;
        Ok(Self { root })
    }

    /// Where a revision's artefacts are.
    pub fn directory(&self, kept: &Kept) -> PathBuf {
        // by content: another revision of the same number is another directory
        self.root.join(format!("{}-{}", kept.at.generation, kept.at.revision))
    }

    /// An empty one, to go back to where nothing was confirmed yet.
    pub fn nothing(&self) -> PathBuf {
        self.root.join("nothing")
    }

    /// Which of a revision's files are not there, or not as they should be.
    pub fn missing(&self, kept: &Kept) -> Vec<(String, Digest)> {
        let directory = self.directory(kept);
        let there = |name: &str, digest: Digest| fs::read(directory.join(name)).is_ok_and(|bytes| Digest::of(&bytes) == digest);
        kept.files.iter().filter(|(name, digest)| !there(name, **digest)).map(|(name, digest)| (name.clone(), *digest)).collect()
    }

    /// Keeps a file of a revision, if it is the one that was signed.
    pub fn put(&self, kept: &Kept, name: &str, bytes: &[u8]) -> Result<(), CacheError> {
        let legal = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_');
        if name.is_empty() || name.starts_with('.') || !name.bytes().all(legal) {
            return Err(CacheError::Name(name.chars().take(80).collect()));
        }
        let wanted = *kept.files.get(name).ok_or_else(|| CacheError::Name(name.to_owned()))?;
        let found = Digest::of(bytes);
        if found != wanted {
            return Err(CacheError::Digest { name: name.to_owned(), wanted, found });
        }
        write(&self.directory(kept), name, bytes)
    }

    /// A file of the empty directory.
    pub fn put_nothing(&self, name: &str, text: &str) -> Result<(), CacheError> {
        write(&self.nothing(), name, text.as_bytes())
    }

    /// Removes directories that no journal needs any more.
    pub fn keep_only(&self, journal: &Journal) -> Result<(), CacheError> {
        let kept = journal.confirmed.iter().chain(journal.pending.iter().map(|pending| &pending.kept));
        let needed: BTreeSet<PathBuf> = kept.map(|kept| self.directory(kept)).chain([self.nothing()]).collect();
        for entry in fs::read_dir(&self.root).map_err(file(&self.root))? {
            let path = entry.map_err(file(&self.root))?.path();
            if !needed.contains(&path) {
                fs::remove_dir_all(&path).map_err(file(&path))?;
            }
        }
        Ok(())
    }
}

/// Durable before it returns: a journal that names it may be saved next.
fn write(directory: &Path, name: &str, bytes: &[u8]) -> Result<(), CacheError> {
    fs::create_dir_all(directory).map_err(file(directory))?;
    durable::replace(directory, name, bytes).map_err(file(&directory.join(name)))
}

#[cfg(test)]
mod tests {
    use leafwall_rollout::message::At;
    use leafwall_rollout::revision::Generation;
    use leafwall_rollout::signed::Signed;

    use super::*;

    fn kept(generation: u64, files: &[(&str, &str)]) -> Kept {
        let files = files.iter().map(|(name, text)| ((*name).to_owned(), Digest::of(text.as_bytes()))).collect();
        let at = At { generation: Generation(generation), revision: Digest::of(&generation.to_be_bytes()) };
        Kept { at, files, order: Signed::from_parts(String::new(), Vec::new()) }
    }

    #[test]
    fn only_what_was_signed_is_kept_and_only_for_as_long_as_it_is_needed() {
        let state = std::env::temp_dir().join(format!("lw-cache-{}", std::process::id()));
        let _ = fs::remove_dir_all(&state);
        let cache = Cache::open(&state).unwrap();
        let (one, two) = (kept(1, &[("links.json", "{}"), ("../escape", "x")]), kept(2, &[("links.json", "[]")]));
        assert!(matches!(cache.put(&one, "links.json", b"[]"), Err(CacheError::Digest { .. })));
        assert!(matches!(cache.put(&one, "../escape", b"x"), Err(CacheError::Name(_))));
        assert!(matches!(cache.put(&one, "frr.conf", b"x"), Err(CacheError::Name(_))));
        cache.put(&one, "links.json", b"{}").unwrap();
        assert_eq!(cache.missing(&one).len(), 1);
        cache.put(&two, "links.json", b"[]").unwrap();
        assert_eq!(cache.missing(&two), []);
        // damaged on the disk: missing
        fs::write(cache.directory(&two).join("links.json"), "{").unwrap();
        assert_eq!(cache.missing(&two).len(), 1);

        cache.keep_only(&Journal { confirmed: Some(two.clone()), ..Journal::default() }).unwrap();
        assert!(!cache.directory(&one).exists() && cache.directory(&two).exists());
        fs::remove_dir_all(&state).unwrap();
    }
}
