//! Who leads, of several controllers: whoever holds the lease. The leader's address is written beside it, and goes with it.

use std::time::{Duration, Instant};

use etcd_client::{Compare, CompareOp, Error, LeaseKeepAliveStream, LeaseKeeper, PutOptions, Txn, TxnOp};
use serde::{Deserialize, Serialize};

use super::super::backend::{Backend, Condition, Key};
use super::super::error::{Result, StoreError};
use super::super::{decode, encode};
use super::{Again, CALL, Etcd};

/// How long the lease lasts without a sign of life. etcd sees within half a second that it is over, and a follower a quarter later: so a new leader is there within
/// five seconds. Shorter ones than two seconds etcd does not give.
pub const TTL: Duration = Duration::from_secs(3);

/// The part of the lease's time that its holder relies on, counted from before it asked: whatever the two clocks do, it stops before etcd gives the lease away.
const RELY: (u32, u32) = (2, 3);

/// Who leads.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Leader {
    /// Where agents and clients reach it.
    pub address: String,
    /// Its lease: no two terms have the same.
    lease: i64,
}

/// What came of an attempt to lead.
#[derive(Debug)]
pub enum Campaign {
    /// It leads, until the lease is over.
    Won(Lease),
    /// Another one does; nobody, where that one's lease is being taken back just now.
    Lost(Option<Leader>),
}

/// A leader's lease.
pub struct Lease {
    etcd: Etcd,
    id: i64,
    until: Instant,
    held: Condition,
    stream: Option<Box<(LeaseKeeper, LeaseKeepAliveStream)>>,
}

impl std::fmt::Debug for Lease {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Lease").field("id", &self.id).field("until", &self.until).finish_non_exhaustive()
    }
}

fn leader_key() -> Key {
    Key::new("leader")
}

fn reliable(ttl: i64) -> Duration {
    let (part, of) = RELY;
    // never longer than what was asked for: a lease that etcd made longer only ends later there
    let ttl = u64::try_from(ttl).unwrap_or(0).min(TTL.as_secs());
    Duration::from_secs(ttl) * part / of
}

impl Etcd {
    /// Who leads now.
    ///
    /// # Errors
    /// Where etcd does not answer.
    pub async fn leader(&self) -> Result<Option<Leader>> {
        let key = leader_key();
        self.get(&key).await?.map(|value| decode(&key, &value)).transpose()
    }

    /// Tries once to lead, reachable at this address.
    ///
    /// # Errors
    /// Where etcd does not answer.
    pub async fn campaign(&self, address: &str) -> Result<Campaign> {
        if let Some(leader) = self.leader().await? {
            return Ok(Campaign::Lost(Some(leader)));
        }
        let asked = Instant::now();
        let seconds = i64::try_from(TTL.as_secs()).unwrap_or(i64::MAX);
        // one that is granted twice ends by itself
        let granted = self
            .call("get a lease", Again::Harmless, |member| {
                let mut leases = member.leases.clone();
                async move { leases.grant(seconds, None).await }
            })
            .await?;
        let (key, id) = (leader_key(), granted.id());
        let value = encode(&key, &Leader { address: address.to_owned(), lease: id })?;
        let free = Compare::create_revision(self.key(&key), CompareOp::Equal, 0);
        let take = TxnOp::put(self.key(&key), value.clone(), Some(PutOptions::new().with_lease(id)));
        let taken = self.txn("take the lead", Txn::new().when([free]).and_then([take])).await;
        let held = Condition { key, value: Some(value) };
        let lease = Lease { etcd: self.clone(), id, until: asked + reliable(granted.ttl()), held, stream: None };
        match taken {
            Ok(answer) if answer.succeeded() => Ok(Campaign::Won(lease)),
            Ok(_) => {
                lease.give_back().await;
                Ok(Campaign::Lost(self.leader().await?))
            }
            Err(error) => {
                // it may have been taken: nobody leads then until it is given back
                lease.give_back().await;
                Err(error)
            }
        }
    }
}

impl Lease {
    /// Until when its holder may rely on it.
    pub const fn until(&self) -> Instant {
        self.until
    }

    /// What is so in the store while the lease is held.
    pub fn held(&self) -> Condition {
        self.held.clone()
    }

    /// Prolongs it once.
    ///
    /// # Errors
    /// Where etcd does not answer, or the lease is over.
    pub async fn prolong(&mut self) -> Result<()> {
        let asked = Instant::now();
        let prolonged = if let Some(mut open) = self.stream.take() {
            let answer = async {
                open.0.keep_alive().await?;
                open.1.message().await
            };
            match tokio::time::timeout(CALL, answer).await {
                Ok(Ok(Some(answer))) => Ok((answer.ttl(), open)),
                Ok(Ok(None)) => Err("the stream ended".into()),
                Ok(Err(error)) => Err(error.into()),
                Err(_) => Err(format!("no answer within {} ms", CALL.as_millis()).into()),
            }
        } else {
            let id = self.id;
            let stream = self.etcd.call("keep the lease", Again::Harmless, |member| {
                let mut leases = member.leases.clone();
                async move { leases.keep_alive(id).await }
            });
            // its first answer prolonged the lease already; whether it was there is said by an error
            stream.await.map(|stream| (i64::MAX, Box::new(stream))).map_err(Into::into)
        };
        let failed = |source| StoreError::Backend { action: "keep the lease", source };
        let (ttl, stream) = prolonged.map_err(failed)?;
        if ttl <= 0 {
            return Err(failed(Error::LeaseKeepAliveError("it is over".to_owned()).into()));
        }
        self.until = asked + reliable(ttl);
        self.stream = Some(stream);
        Ok(())
    }

    /// Gives it back, so that another one can lead at once. If that fails it ends by itself.
    pub async fn give_back(self) {
        let id = self.id;
        let given = self.etcd.call("give the lease back", Again::Harmless, |member| {
            let mut leases = member.leases.clone();
            async move { leases.revoke(id).await }
        });
        if let Err(error) = given.await {
            tracing::debug!(%error, "the lease ends by itself");
        }
    }
}
