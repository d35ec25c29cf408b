//! The journal on the disk: one file, replaced as a whole.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use leafwall_rollout::device::Journal;
use leafwall_rollout::digest::Digest;
use thiserror::Error;

use super::durable;

/// The file in its directory.
const NAME: &str = "journal";

/// Why the journal can't be used.
#[derive(Debug, Error)]
pub enum JournalError {
    /// The file or its directory.
    #[error("can't use the journal `{path}`")]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// Not what was written.
    #[error(
        "the journal `{path}` is damaged ({complaint}): nothing is done to the device; move it away to let the controller begin anew with this device"
    )]
    Damaged {
        /// Which.
        path: PathBuf,
        /// What is wrong with it.
        complaint: String,
    },
    /// Can't happen, but is no reason to panic.
    #[error("can't print the journal")]
    Print(#[from] serde_json::Error),
}

/// Where the journal is.
#[derive(Debug)]
pub struct JournalFile {
    directory: PathBuf,
    path: PathBuf,
}

impl JournalFile {
    /// In a directory, which is made if it is not there.
    pub fn open(directory: &Path) -> Result<Self, JournalError> {
        let file = Self { directory: directory.to_owned(), path: directory.join(NAME) };
        fs::create_dir_all(directory).map_err(|source| file.error(source))?;
        Ok(file)
    }

    /// What was saved last; empty if nothing ever was.
    pub fn load(&self) -> Result<Journal, JournalError> {
        let text = match fs::read_to_string(&self.path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Journal::default()),
            Err(error) if error.kind() == io::ErrorKind::InvalidData => return Err(self.damaged("no text")),
            Err(source) => return Err(self.error(source)),
        };
        let (digest, body) = text.split_once('\n').ok_or_else(|| self.damaged("no digest"))?;
        if digest != Digest::of(body.as_bytes()).to_string() {
            return Err(self.damaged("its digest is another one"));
        }
        serde_json::from_str(body).map_err(|error| self.damaged(&error.to_string()))
    }

    /// Makes it durable: either this or what was there before is there after a crash, and this once it returns.
    pub fn save(&mut self, journal: &Journal) -> Result<(), JournalError> {
        let body = serde_json::to_string(journal)?;
        let text = format!("{}\n{body}", Digest::of(body.as_bytes()));
        durable::replace(&self.directory, NAME, text.as_bytes()).map_err(|source| self.error(source))
    }

    fn error(&self, source: io::Error) -> JournalError {
        JournalError::File { path: self.path.clone(), source }
    }

    fn damaged(&self, complaint: &str) -> JournalError {
        JournalError::Damaged { path: self.path.clone(), complaint: complaint.to_owned() }
    }
}

#[cfg(test)]
mod tests {
    use leafwall_rollout::revision::Generation;

    use super::*;

    struct Place(PathBuf);

    impl Place {
        fn new(test: &str) -> Self {
            let path = std::env::temp_dir().join(format!("lw-journal-{test}-{}", std::process::id()));
            let _ = fs::remove_dir_all(&path);
            Self(path)
        }
    }

    impl Drop for Place {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    #[test]
    fn h17_what_was_saved_is_there_and_nothing_is_the_beginning() {
        let place = Place::new("saved");
        let mut file = JournalFile::open(&place.0).unwrap();
        assert_eq!(file.load().unwrap(), Journal::default());
        let journal = Journal { floor: Generation(7), ..Journal::default() };
        file.save(&journal).unwrap();
        assert_eq!(JournalFile::open(&place.0).unwrap().load().unwrap(), journal);
        // a write that was cut off leaves what was there
        fs::write(place.0.join(".journal.new"), "half").unwrap();
        assert_eq!(file.load().unwrap(), journal);
    }

    #[test]
    fn a_damaged_journal_is_refused_not_forgotten() {
        let place = Place::new("damaged");
        let mut file = JournalFile::open(&place.0).unwrap();
        file.save(&Journal { floor: Generation(7), ..Journal::default() }).unwrap();
        let path = place.0.join("journal");
        let text = fs::read_to_string(&path).unwrap();
        for damaged in [text.replace('7', "6"), text[..text.len() - 1].to_owned(), String::new()] {
            fs::write(&path, damaged).unwrap();
            assert!(matches!(file.load(), Err(JournalError::Damaged { .. })));
        }
        fs::write(&path, [0xff, 0xfe]).unwrap();
        assert!(matches!(file.load(), Err(JournalError::Damaged { .. })));
    }
}
