//! The directory with a device's artefacts.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use leafwall_render::frr::{Faults, FrrConfig, PrintError};
use leafwall_render::links::{LINKS_VERSION, Links};
use thiserror::Error;

use super::secrets::{self, SecretError};
use crate::cluster::{ClusterError, ClusterFile};
use crate::frr::Expectation;
use crate::nftables::{NftablesError, Ruleset};

/// What a device is to be.
#[derive(Debug)]
pub struct Artefacts {
    /// `links.json`
    pub links: Links,
    /// `leafwall.nft`, if the device has one.
    pub ruleset: Option<Ruleset>,
    /// `frr.conf`, if the device has one.
    pub routing: Option<Routing>,
}

/// What FRR is to run.
#[derive(Debug)]
pub struct Routing {
    /// The file.
    pub text: String,
    /// The same as a tree.
    pub config: FrrConfig,
    /// What the daemons should make of it.
    pub expected: Expectation,
}

/// Artefacts that can't be read. Nothing is guessed: one bad file refuses all.
#[derive(Debug, Error)]
pub enum ArtefactsError {
    /// No file, or no text.
    #[error("can't read `{path}`")]
    Read {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// Not what `links.json` should be.
    #[error("can't read `{path}`")]
    Links {
        /// Which.
        path: PathBuf,
        /// Where and why.
        #[source]
        source: serde_json::Error,
    },
    /// A format that this agent does not know.
    #[error("`{path}` has version {version}; this agent knows {LINKS_VERSION}")]
    Version {
        /// Which.
        path: PathBuf,
        /// Its version.
        version: u32,
    },
    /// Not what `frr.conf` should be.
    #[error("can't read `{path}`")]
    Frr {
        /// Which.
        path: PathBuf,
        /// Where and why.
        #[source]
        source: Faults,
    },
    /// A password that is not there.
    #[error("can't fill in the passwords of `{path}`")]
    Secret {
        /// Whose.
        path: PathBuf,
        /// Which and why.
        #[source]
        source: SecretError,
    },
    /// A tree that can't be printed again.
    #[error("can't print `{path}` with its passwords")]
    Print {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: PrintError,
    },
    /// What the cluster put into the ruleset and was written down.
    #[error(transparent)]
    Cluster(#[from] ClusterError),
    /// Not what a ruleset should be.
    #[error("can't read `{path}`")]
    Ruleset {
        /// Which.
        path: PathBuf,
        /// Where and why.
        #[source]
        source: NftablesError,
    },
}

impl Artefacts {
    /// Reads `links.json`, which every device has, and `leafwall.nft` and `frr.conf`, which some have; BGP passwords come from files in `secrets`, if that is
    /// given, and what the cluster opens stands in `cluster`.
    pub fn read(directory: &Path, secrets: Option<&Path>, cluster: Option<&ClusterFile>) -> Result<Self, ArtefactsError> {
        let path = directory.join("links.json");
        let text = fs::read_to_string(&path).map_err(|source| ArtefactsError::Read { path: path.clone(), source })?;
        let links: Links = serde_json::from_str(&text).map_err(|source| ArtefactsError::Links { path: path.clone(), source })?;
        if links.version != LINKS_VERSION {
            return Err(ArtefactsError::Version { path, version: links.version });
        }
        let path = directory.join("leafwall.nft");
        let mut ruleset =
            optional(&path)?.map(|text| Ruleset::new(&text)).transpose().map_err(|source| ArtefactsError::Ruleset { path, source })?;
        if let Some(part) = cluster.map(ClusterFile::read).transpose()?.flatten() {
            ruleset = ruleset.map(|ruleset| ruleset.with_cluster(part));
        }
        if let Some(file) = cluster.map(ClusterFile::answers) {
            ruleset = ruleset.map(|ruleset| ruleset.with_answers(file));
        }
        let path = directory.join("frr.conf");
        let routing = match optional(&path)? {
            Some(text) => {
                let mut config = FrrConfig::parse(&text).map_err(|source| ArtefactsError::Frr { path: path.clone(), source })?;
                let secret = |source| ArtefactsError::Secret { path: path.clone(), source };
                let filled = secrets.map_or(Ok(0), |secrets| secrets::fill(&mut config, secrets).map_err(secret))?;
                let text = if filled == 0 { text } else { config.print().map_err(|source| ArtefactsError::Print { path, source })? };
                let expected = Expectation::new(&config, &links);
                Some(Routing { text, config, expected })
            }
            None => None,
        };
        Ok(Self { links, ruleset, routing })
    }
}

/// A file that may be absent. One that is there and can't be read is not absent.
fn optional(path: &Path) -> Result<Option<String>, ArtefactsError> {
    match fs::read_to_string(path) {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(ArtefactsError::Read { path: path.to_owned(), source }),
    }
}
