//! One change of CONFIG_DB, forward and back.

use std::time::Duration;

use leafwall_delta::config_db::{Change, Condition, Operation, Phase, Plan};
use leafwall_render::config_db::ConfigDb;
use tokio::time::Instant;

use super::redis::{Interests, Listener, RedisError, Session};
use super::walk::{Setback, Walk};
use super::{Sonic, SonicError};

/// Before Redis is tried again where it does not answer; it doubles, up to [`LAST_PAUSE`].
const FIRST_PAUSE: Duration = Duration::from_millis(50);
/// The longest of these pauses.
const LAST_PAUSE: Duration = Duration::from_secs(1);

/// A change on its way.
#[derive(Debug)]
pub struct Changing {
    sonic: Sonic,
    /// What CONFIG_DB was.
    before: ConfigDb,
    change: Change,
    walk: Walk,
    /// How many of the operations were written, the last of them perhaps.
    begun: usize,
    /// What was written had time enough: it was waited for in vain.
    waited: bool,
    timeout: Duration,
}

impl Changing {
    /// Plans a change of what is there to what is wanted and waits until daemons show what is there: what is written while they are still busy with something older
    /// could meet it in any order. Nothing where nothing is to be changed.
    ///
    /// What they did not show in time is in the second place: a device that is not what its database says is brought there all the same.
    ///
    /// # Errors
    /// Where CONFIG_DB can't be read, or somebody else's rows are in the way. Nothing is written.
    pub async fn begin(sonic: &Sonic, wanted: &ConfigDb, timeout: Duration) -> Result<Option<(Self, Option<Setback>)>, SonicError> {
        let mut session = ready(sonic, timeout).await?;
        let before = session.config().await?;
        let change = Change::between(&before, wanted)?;
        if change.forward.is_empty() {
            return Ok(None);
        }
        let mut walk = Walk::begin(session, conditions(&change.forward, &change.inverse.settled), timeout).await?;
        let unsettled = match walk.wait(&change.inverse.settled).await {
            Ok(()) => None,
            Err(Setback::Redis(error)) => return Err(error.into()),
            Err(unseen) => Some(unseen),
        };
        Ok(Some((Self { sonic: sonic.clone(), before, change, walk, begun: 0, waited: false, timeout }, unsettled)))
    }

    /// Does the operations of these phases, which are done in their order, and says in `done` which.
    ///
    /// # Errors
    /// The operation that was not done, and what it waited for in vain, or that Redis is gone.
    pub async fn advance(&mut self, phases: &[Phase], done: &mut Vec<String>) -> Result<(), (String, Setback)> {
        while let Some(operation) = self.change.forward.operations.get(self.begun).filter(|operation| phases.contains(&operation.phase)) {
            let waited = self.walk.wait(&operation.when).await;
            self.waited = matches!(waited, Err(Setback::Unseen { .. }));
            waited.map_err(|setback| (written(operation), setback))?;
            // from here on it may have been written, whatever is heard of it
            self.begun += 1;
            self.walk.write(operation).await.map_err(|error| (written(operation), error.into()))?;
            done.push(written(operation));
        }
        Ok(())
    }

    /// Waits until daemons show all that came and nothing that went (H16).
    ///
    /// # Errors
    /// What they do not show in time.
    pub async fn settle(&mut self) -> Result<(), Setback> {
        let settled = self.walk.wait(&self.change.forward.settled).await;
        self.waited = matches!(settled, Err(Setback::Unseen { .. }));
        settled
    }

    /// Makes the rows that were written what they were, in an order that is as safe, from wherever they are now, and says in `done` how. What others wrote
    /// meanwhile stays.
    ///
    /// # Errors
    /// Where Redis does not come back, or daemons do not do their part: writing on all the same could crash them. What is left is for the next change.
    pub async fn undo(self, done: &mut Vec<String>) -> Result<(), SonicError> {
        if self.begun == 0 {
            return Ok(());
        }
        let mut session = ready(&self.sonic, self.timeout).await?;
        let now = session.config().await?;
        let mut target = now.clone();
        for write in self.change.forward.operations.iter().take(self.begun).map(|operation| &operation.write) {
            match self.before.row(&write.table, &write.key) {
                Some(row) => target.insert(&write.table, &write.key, row.clone()),
                None => _ = target.remove(&write.table, &write.key),
            }
        }
        let plan = Plan::between(&now, &target);
        let begun = Plan::between(&target, &now).settled;
        let mut walk = Walk::begin(session, conditions(&plan, &begun), self.timeout).await?;
        // what was written may still be on its way
        if !self.waited
            && let Err(unseen) = walk.wait(&begun).await
        {
            tracing::warn!(%unseen, "taken back all the same");
        }
        for operation in &plan.operations {
            let stuck = |setback| SonicError::Stuck { operation: written(operation), source: Box::new(setback) };
            walk.wait(&operation.when).await.map_err(stuck)?;
            walk.write(operation).await.map_err(|error| stuck(error.into()))?;
            done.push(written(operation));
        }
        Ok(())
    }
}

/// All that is to be heard of on the way.
fn conditions<'a>(plan: &'a Plan, before: &'a [Condition]) -> impl Iterator<Item = &'a Condition> {
    plan.operations.iter().flat_map(|operation| &operation.when).chain(&plan.settled).chain(before)
}

/// The write alone, as Redis would be told it.
fn written(operation: &Operation) -> String {
    operation.to_string().lines().filter(|line| !line.starts_with('#')).collect()
}

/// A session with a CONFIG_DB that was loaded as a whole. Redis is waited for as well: it may have been restarted just now.
pub async fn ready(sonic: &Sonic, timeout: Duration) -> Result<Session, SonicError> {
    let deadline = Instant::now() + timeout;
    let mut pause = FIRST_PAUSE;
    loop {
        let mut session = Session::new(sonic.address.clone());
        match initialized(&mut session, deadline).await {
            Ok(()) => return Ok(session),
            Err(SonicError::Redis(RedisError::Reach { .. } | RedisError::Silent { .. } | RedisError::Ended))
                if Instant::now() + pause < deadline =>
            {
                // nobody tells that it is back
                tokio::time::sleep(pause).await;
                pause = (pause * 2).min(LAST_PAUSE);
            }
            Err(error) => return Err(error),
        }
    }
}

async fn initialized(session: &mut Session, deadline: Instant) -> Result<(), SonicError> {
    if session.is_initialized().await? {
        return Ok(());
    }
    let mut listener = Listener::open(session, &Interests::initialized()).await?;
    while !session.is_initialized().await? {
        let Ok(told) = tokio::time::timeout_at(deadline, listener.next()).await else { return Err(SonicError::Loading) };
        told?;
    }
    Ok(())
}
