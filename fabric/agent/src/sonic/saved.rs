//! `config_db.json` on the switch: what SONiC loads when it starts. What was confirmed is written there, and nothing else of ours is.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use leafwall_render::config_db::{Clash, ConfigDb, target};
use thiserror::Error;

use super::compare::between;
use crate::daemon::durable;
use crate::report::{Backend, Difference, chain};

/// Why it can't be read or written. What it is stays.
#[derive(Debug, Error)]
pub enum SavedError {
    /// The file.
    #[error("can't keep `{path}`")]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// Something that is no CONFIG_DB, which somebody else may still want to mend.
    #[error("can't read `{path}`")]
    Content {
        /// Which.
        path: PathBuf,
        /// Where and why.
        #[source]
        source: serde_json::Error,
    },
    /// A database that can't be printed.
    #[error("can't print CONFIG_DB")]
    Print(#[source] serde_json::Error),
    /// Rows of somebody else's in the way.
    #[error("in `{path}`: {}", clashes.iter().map(ToString::to_string).collect::<Vec<_>>().join(", "))]
    Clash {
        /// Where.
        path: PathBuf,
        /// Which.
        clashes: Vec<Clash>,
    },
}

/// What is there, and what should be: with what others saved there before. They may have changed CONFIG_DB since, and not want that after the next start. Where there
/// is no file, it is what `running` says.
fn found_and_wanted(path: &Path, running: &ConfigDb, wanted: &ConfigDb) -> Result<(Option<ConfigDb>, ConfigDb), SavedError> {
    let found = match fs::read_to_string(path) {
        Ok(text) => Some(ConfigDb::parse(&text).map_err(|source| SavedError::Content { path: path.to_owned(), source })?),
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        Err(source) => return Err(SavedError::File { path: path.to_owned(), source }),
    };
    let target = target(found.as_ref().unwrap_or(running), wanted);
    let target = target.map_err(|clashes| SavedError::Clash { path: path.to_owned(), clashes })?;
    Ok((found, target))
}

/// What differs in the file from what was confirmed.
pub fn differences(path: &Path, running: &ConfigDb, wanted: &ConfigDb) -> Vec<Difference> {
    match found_and_wanted(path, running, wanted) {
        Ok((Some(found), target)) => between(&found, &target, &path.display().to_string()),
        Ok((None, _)) => vec![Difference::missing(Backend::Sonic, path.display().to_string())],
        // not ours to mend
        Err(error) => vec![Difference::foreign(Backend::Sonic, chain(&error))],
    }
}

/// Writes the file where it is not what it should be, durably and as a whole; whether it was written.
///
/// # Errors
/// Where it can't be, or is something that nobody should write over.
pub fn save(path: &Path, running: &ConfigDb, wanted: &ConfigDb) -> Result<bool, SavedError> {
    let (found, target) = found_and_wanted(path, running, wanted)?;
    if found.as_ref() == Some(&target) {
        return Ok(false);
    }
    let text = target.print().map_err(SavedError::Print)?;
    let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let failed = |source| SavedError::File { path: path.to_owned(), source };
    let name = path.file_name().and_then(|name| name.to_str()).ok_or_else(|| failed(io::ErrorKind::InvalidFilename.into()))?;
    durable::replace(directory, name, text.as_bytes()).map_err(failed)?;
    Ok(true)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn database(text: &str) -> ConfigDb {
        ConfigDb::parse(text).unwrap()
    }

    #[test]
    fn what_others_saved_stays_and_what_they_did_not_save_is_not() {
        let directory = std::env::temp_dir().join(format!("lw-saved-{}", std::process::id()));
        fs::create_dir_all(&directory).unwrap();
        let path = directory.join("config_db.json");
        let running = database(r#"{"VRF": {"Vrf5": {"vni": "5"}, "VrfTrial": {}}, "ACL_TABLE": {"NEW": {"type": "L3"}}}"#);
        let wanted = database(r#"{"VRF": {"Vrf5": {"vni": "5"}}}"#);
        // no file yet
        assert!(save(&path, &running, &wanted).unwrap());
        assert_eq!(database(&fs::read_to_string(&path).unwrap()), running);
        assert!(!save(&path, &running, &wanted).unwrap(), "nothing to do");
        // one with what others saved, and an old row of ours
        fs::write(&path, r#"{"VRF": {"Vrf4": {"vni": "4"}, "VrfBlue": {}}, "ACL_TABLE": {"OLD": {"type": "L3"}}}"#).unwrap();
        assert_eq!(differences(&path, &running, &wanted).len(), 2);
        assert!(save(&path, &running, &wanted).unwrap());
        let expected = r#"{"VRF": {"Vrf5": {"vni": "5"}, "VrfBlue": {}}, "ACL_TABLE": {"OLD": {"type": "L3"}}}"#;
        assert_eq!(database(&fs::read_to_string(&path).unwrap()), database(expected));
        assert_eq!(differences(&path, &running, &wanted), []);
        // one that is none
        fs::write(&path, "{").unwrap();
        assert!(matches!(save(&path, &running, &wanted), Err(SavedError::Content { .. })));
        assert_eq!(fs::read_to_string(&path).unwrap(), "{");
        assert_eq!(differences(&path, &running, &wanted)[0].kind, crate::report::DifferenceKind::Foreign);
        fs::remove_dir_all(&directory).unwrap();
    }
}
