//! SONiC: CONFIG_DB is changed row by row in Redis, as its daemons survive it, and read back.
//!
//! What to write and what must be seen before each write is decided in [`leafwall_delta::config_db`]; here it is waited for, written and compared. Nothing waits for
//! a time: daemons say in STATE_DB, APPL_DB and ASIC_DB what they have done, and Redis tells when they do (keyspace events). A deadline only says when to give up,
//! and then all that was written is taken back.
//!
//! - [`redis`]: rows, and changes of them
//! - `view`: pure; which conditions hold
//! - `walk`: one operation after the other
//! - [`change`]: forward and back
//! - `compare`, `cabling`: pure; what differs from what is wanted
//! - `saved`: what SONiC loads when it starts
//! - [`events`]: that something changed

mod cabling;
pub mod change;
mod compare;
pub mod events;
pub mod redis;
mod saved;
mod view;
mod walk;

use std::path::PathBuf;
use std::time::Duration;

use leafwall_delta::config_db::{Condition, Plan, Refusal};
use leafwall_render::config_db::ConfigDb;
use thiserror::Error;

pub use saved::SavedError;
pub use walk::Setback;

use crate::report::{Backend, Difference};
use redis::{Address, RedisError};
use walk::Walk;

/// What SONiC loads when it starts.
const SAVED: &str = "/etc/sonic/config_db.json";
/// APPL_DB's number in Redis.
const APPL_DB: u8 = leafwall_delta::config_db::Database::Appl.number();

/// A switch that runs SONiC.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sonic {
    /// Where its Redis listens.
    pub address: Address,
    /// The file that it loads when it starts.
    pub saved: PathBuf,
}

impl Default for Sonic {
    fn default() -> Self {
        Self { address: Address::default(), saved: PathBuf::from(SAVED) }
    }
}

/// What went wrong with SONiC.
#[derive(Debug, Error)]
pub enum SonicError {
    /// Redis.
    #[error(transparent)]
    Redis(#[from] RedisError),
    /// A change that can't be made beside what belongs to others.
    #[error("CONFIG_DB can't be changed: {0}")]
    Refused(#[from] Refusal),
    /// A change that could not be taken back as a whole.
    #[error("can't take back what was written: `{operation}` is not done")]
    Stuck {
        /// Where it ended.
        operation: String,
        /// Why.
        #[source]
        source: Box<Setback>,
    },
    /// A database that is not there as a whole.
    #[error("CONFIG_DB is still being loaded: CONFIG_DB_INITIALIZED is not 1")]
    Loading,
    /// The file.
    #[error(transparent)]
    Saved(#[from] SavedError),
}

impl Sonic {
    /// Whether a change to this is possible; changes nothing. A CONFIG_DB that is still being loaded is waited for.
    ///
    /// # Errors
    /// Why not.
    pub async fn check(&self, wanted: &ConfigDb, timeout: Duration) -> Result<(), SonicError> {
        let running = self.running(timeout).await?;
        leafwall_delta::config_db::Change::between(&running, wanted)?;
        Ok(())
    }

    /// CONFIG_DB as it is, once it is loaded and Redis answers.
    async fn running(&self, timeout: Duration) -> Result<ConfigDb, SonicError> {
        Ok(change::ready(self, timeout).await?.config().await?)
    }

    /// What differs: in CONFIG_DB, and where that is as it should be in what daemons made of it (H16). Changes nothing and waits for nothing.
    ///
    /// # Errors
    /// Where Redis does not answer.
    pub async fn differences(&self, wanted: &ConfigDb) -> Result<Vec<Difference>, SonicError> {
        let mut session = change::ready(self, Duration::ZERO).await?;
        let differences = compare::differences(&session.config().await?, wanted);
        if !differences.is_empty() {
            return Ok(differences);
        }
        let settled = settled(wanted);
        let mut walk = Walk::begin(session, settled.iter(), Duration::ZERO).await?;
        let unseen = walk.unseen(&settled).await?;
        Ok(unseen.into_iter().map(|condition| Difference::missing(Backend::Sonic, condition.to_string())).collect())
    }

    /// What differs around it: in the file that it loads when it starts, and at the other ends of its cables.
    ///
    /// # Errors
    /// Where Redis does not answer.
    pub async fn surroundings(&self, wanted: &ConfigDb) -> Result<Vec<Difference>, SonicError> {
        let mut session = change::ready(self, Duration::ZERO).await?;
        let mut differences = saved::differences(&self.saved, &session.config().await?, wanted);
        let mut rows = std::collections::BTreeMap::new();
        for table in [cabling::PORTS, cabling::NEIGHBOURS] {
            let names: Vec<String> = session.names(APPL_DB, &format!("{table}*")).await?.into_iter().collect();
            rows.extend(session.rows(APPL_DB, &names).await?);
        }
        differences.extend(cabling::differences(wanted, &rows));
        Ok(differences)
    }

    /// Sees to it that this is what SONiC starts with: it was confirmed. Whether that had to be written.
    ///
    /// # Errors
    /// Where the file can't be written or is none, or Redis does not answer.
    pub async fn save(&self, wanted: &ConfigDb) -> Result<bool, SonicError> {
        let running = self.running(Duration::ZERO).await?;
        Ok(saved::save(&self.saved, &running, wanted)?)
    }
}

/// What daemons show once they have taken all of a database.
fn settled(wanted: &ConfigDb) -> Vec<Condition> {
    Plan::between(&ConfigDb::default(), wanted).settled
}
