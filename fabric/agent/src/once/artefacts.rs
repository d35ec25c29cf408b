//! The directory with a device's artefacts.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use leafwall_render::config_db::ConfigDb;
use leafwall_render::frr::{Faults, FrrConfig, PrintError};
use leafwall_render::links::{Forwarding, LINKS_VERSION, Links};
use leafwall_render::{CONFIG_DB_JSON, FRR_CONF, LEAFWALL_NFT, LINKS_JSON};
use thiserror::Error;

use super::secrets::{self, SecretError};
use crate::cluster::{ClusterError, ClusterFile};
use crate::frr::Expectation;
use crate::nftables::{NftablesError, Ruleset};

/// What a device is to be.
#[derive(Debug)]
pub struct Artefacts {
    /// What makes its ports, VRFs and tunnels.
    pub ground: Ground,
    /// `leafwall.nft`, if the device has one.
    pub ruleset: Option<Ruleset>,
    /// `frr.conf`, if the device has one.
    pub routing: Option<Routing>,
}

/// Who makes ports, VRFs and tunnels of a device.
#[derive(Debug)]
pub enum Ground {
    /// We do, in the kernel: `links.json`.
    Links(Links),
    /// SONiC does, of `config_db.json`.
    Sonic(Arc<ConfigDb>),
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
    /// Not what `links.json` or `config_db.json` should be.
    #[error("can't read `{path}`")]
    Json {
        /// Which.
        path: PathBuf,
        /// Where and why.
        #[source]
        source: serde_json::Error,
    },
    /// Two files of which a device has one.
    #[error("`{path}` has both links.json and config_db.json: it is a device of one kind")]
    Both {
        /// The directory.
        path: PathBuf,
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
    /// Reads `links.json` or, of a switch that runs SONiC, `config_db.json`, of which every device has one, and `leafwall.nft` and `frr.conf`, which some have; BGP
    /// passwords come from files in `secrets`, if that is given, and what the cluster opens stands in `cluster`.
    pub fn read(directory: &Path, secrets: Option<&Path>, cluster: Option<&ClusterFile>) -> Result<Self, ArtefactsError> {
        let ground = Ground::read(directory)?;
        let path = directory.join(LEAFWALL_NFT);
        let mut ruleset =
            optional(&path)?.map(|text| Ruleset::new(&text)).transpose().map_err(|source| ArtefactsError::Ruleset { path, source })?;
        if let Some(part) = cluster.map(ClusterFile::read).transpose()?.flatten() {
            ruleset = ruleset.map(|ruleset| ruleset.with_cluster(part));
        }
        if let Some(file) = cluster.map(ClusterFile::answers) {
            ruleset = ruleset.map(|ruleset| ruleset.with_answers(file));
        }
        let path = directory.join(FRR_CONF);
        let routing = match optional(&path)? {
            Some(text) => {
                let mut config = FrrConfig::parse(&text).map_err(|source| ArtefactsError::Frr { path: path.clone(), source })?;
                let secret = |source| ArtefactsError::Secret { path: path.clone(), source };
                let filled = secrets.map_or(Ok(0), |secrets| secrets::fill(&mut config, secrets).map_err(secret))?;
                let text = if filled == 0 { text } else { config.print().map_err(|source| ArtefactsError::Print { path, source })? };
                let expected = match &ground {
                    Ground::Links(links) => Expectation::new(&config, links),
                    Ground::Sonic(database) => Expectation::on_sonic(&config, database),
                };
                Some(Routing { text, config, expected })
            }
            None => None,
        };
        Ok(Self { ground, ruleset, routing })
    }

    /// `links.json`, where we make the links.
    pub const fn links(&self) -> Option<&Links> {
        match &self.ground {
            Ground::Links(links) => Some(links),
            Ground::Sonic(_) => None,
        }
    }

    /// From when on the device forwards.
    pub fn forwarding(&self) -> Forwarding {
        // a switch's ASIC does, from its configuration on
        self.links().map_or(Forwarding::Immediate, |links| links.forwarding)
    }
}

impl Ground {
    /// Reads the file that says it.
    pub fn read(directory: &Path) -> Result<Self, ArtefactsError> {
        let path = directory.join(CONFIG_DB_JSON);
        let database =
            optional(&path)?.map(|text| ConfigDb::parse(&text)).transpose().map_err(|source| ArtefactsError::Json { path, source })?;
        let path = directory.join(LINKS_JSON);
        if let Some(database) = database {
            return if path.exists() {
                Err(ArtefactsError::Both { path: directory.to_owned() })
            } else {
                Ok(Self::Sonic(Arc::new(database)))
            };
        }
        let text = fs::read_to_string(&path).map_err(|source| ArtefactsError::Read { path: path.clone(), source })?;
        let links: Links = serde_json::from_str(&text).map_err(|source| ArtefactsError::Json { path: path.clone(), source })?;
        if links.version != LINKS_VERSION {
            return Err(ArtefactsError::Version { path, version: links.version });
        }
        Ok(Self::Links(links))
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
