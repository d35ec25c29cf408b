//! That something of SONiC's changed: CONFIG_DB by whomever, a port's link, the other end of a cable.

use std::collections::BTreeSet;

use super::redis::{CONFIG_DB, Interests, Listener, RedisError, Session};
use super::{APPL_DB, Sonic, cabling};

/// What Redis tells of a switch.
#[derive(Debug)]
pub struct Events(Listener);

impl Events {
    /// Begins to listen. What changed before is not told.
    ///
    /// # Errors
    /// Where Redis does not answer, or tells of nothing.
    pub async fn open(sonic: &Sonic) -> Result<Self, RedisError> {
        let shapes = BTreeSet::from([
            (CONFIG_DB, "*".to_owned()),
            (APPL_DB, format!("{}*", cabling::PORTS)),
            (APPL_DB, format!("{}*", cabling::NEIGHBOURS)),
        ]);
        let mut session = Session::new(sonic.address.clone());
        Ok(Self(Listener::open(&mut session, &Interests { shapes, ..Interests::default() }).await?))
    }

    /// Waits for a change. Which row it was says nothing that is relied on: what is there is always asked for (H18). May be dropped at any time.
    ///
    /// # Errors
    /// Where the connection ended: something may have changed that was not told.
    pub async fn next(&mut self) -> Result<(), RedisError> {
        self.0.next().await.map(drop)
    }
}
