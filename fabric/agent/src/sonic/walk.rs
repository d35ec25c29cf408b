//! Operations, one after the other, each once what must be seen before it is seen.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use leafwall_delta::config_db::{Condition, Operation};
use thiserror::Error;
use tokio::time::Instant;

use super::redis::{Listener, RedisError, Session};
use super::view::{View, interests};

/// Conditions that are named where many do not hold.
const NAMED: usize = 3;

/// Why a change does not go on.
#[derive(Debug, Error)]
pub enum Setback {
    /// Redis.
    #[error(transparent)]
    Redis(#[from] RedisError),
    /// What daemons did not do in time.
    #[error("not seen within {} s: {what}", after.as_secs())]
    Unseen {
        /// Which conditions do not hold.
        what: String,
        /// How long they were waited for.
        after: Duration,
    },
}

/// Somebody who writes, and sees what becomes of it.
#[derive(Debug)]
pub struct Walk {
    session: Session,
    listener: Listener,
    view: View,
    /// How long one operation waits at most.
    timeout: Duration,
}

impl Walk {
    /// Begins to look at what these conditions are about. From then on it is not asked for, but told: a row is read again when it changed.
    ///
    /// # Errors
    /// Where Redis does not answer, does not tell of changes, or has a row that is no text.
    pub async fn begin<'a>(
        mut session: Session,
        conditions: impl Iterator<Item = &'a Condition>,
        timeout: Duration,
    ) -> Result<Self, RedisError> {
        let interests = interests(conditions);
        // first the ears, then the eyes: what changes in between is read twice and not missed
        let listener = Listener::open(&mut session, &interests).await?;
        let mut rows = interests.rows;
        for (database, shape) in interests.shapes {
            rows.extend(session.names(database, &shape).await?.into_iter().map(|name| (database, name)));
        }
        let mut walk = Self { session, listener, view: View::default(), timeout };
        walk.read(rows).await?;
        Ok(walk)
    }

    async fn read(&mut self, rows: BTreeSet<(u8, String)>) -> Result<(), RedisError> {
        let mut names: BTreeMap<u8, Vec<String>> = BTreeMap::new();
        for (database, name) in rows {
            names.entry(database).or_default().push(name);
        }
        for (database, names) in names {
            let mut found = self.session.rows(database, &names).await?;
            for name in names {
                let row = found.remove(&name);
                self.view.learn(database, name, row);
            }
        }
        Ok(())
    }

    /// Reads again what changed.
    async fn catch_up(&mut self, first: Option<(u8, String)>) -> Result<(), RedisError> {
        let mut rows: BTreeSet<(u8, String)> = first.into_iter().collect();
        while let Some(row) = self.listener.told()? {
            rows.insert(row);
        }
        self.read(rows).await
    }

    /// Which of these do not hold, as far as was told.
    ///
    /// # Errors
    /// Where Redis does not answer.
    pub async fn unseen<'a>(&mut self, conditions: &'a [Condition]) -> Result<Vec<&'a Condition>, RedisError> {
        self.catch_up(None).await?;
        Ok(conditions.iter().filter(|condition| !self.view.holds(condition)).collect())
    }

    /// Waits until all of these hold.
    ///
    /// # Errors
    /// Where time is up, or Redis does not answer.
    pub async fn wait(&mut self, conditions: &[Condition]) -> Result<(), Setback> {
        let deadline = Instant::now() + self.timeout;
        let mut unseen = self.unseen(conditions).await?;
        while !unseen.is_empty() {
            let Ok(row) = tokio::time::timeout_at(deadline, self.listener.next()).await else {
                return Err(Setback::Unseen { what: named(&unseen), after: self.timeout });
            };
            self.catch_up(Some(row?)).await?;
            unseen.retain(|condition| !self.view.holds(condition));
            if unseen.is_empty() {
                // one that held may not any more
                unseen = self.unseen(conditions).await?;
            }
        }
        Ok(())
    }

    /// Writes what an operation writes; what must be seen before it was waited for.
    ///
    /// # Errors
    /// Where Redis refuses or does not answer.
    pub async fn write(&mut self, operation: &Operation) -> Result<(), RedisError> {
        self.session.write(&operation.write).await
    }
}

fn named(conditions: &[&Condition]) -> String {
    let named: Vec<String> = conditions.iter().take(NAMED).map(ToString::to_string).collect();
    let more = conditions.len().saturating_sub(NAMED);
    if more > 0 { format!("{}, and {more} more", named.join(", ")) } else { named.join(", ") }
}
