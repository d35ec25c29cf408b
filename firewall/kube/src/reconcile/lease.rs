//! Of several firewalls of a cluster, which one writes status and events: who holds a lease.
//!
//! Each firewall puts the rules into its own kernel, whoever leads. The clocks of others are not asked: a lease is over when it has not changed for its
//! length by one's own clock.

use std::time::Duration;

use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{MicroTime, ObjectMeta};
use k8s_openapi::jiff::Timestamp;
use kube::api::{Api, PostParams};
use tokio::sync::watch;
use tokio::time::Instant;

use super::chain;

/// The lease's name.
pub const LEASE: &str = "leafwall-firewall";
/// How long it lasts after it was prolonged.
const LENGTH: Duration = Duration::from_secs(10);
/// How often its holder prolongs it, and others look.
const EVERY: Duration = Duration::from_secs(2);
/// How long its holder relies on it: shorter than others wait.
const RELIES: Duration = Duration::from_secs(7);

/// What to do about a lease.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Move {
    /// Take or prolong it.
    Take,
    /// Leave it to its holder.
    Leave,
}

/// What is remembered of a lease to judge it.
#[derive(Debug, Default)]
pub struct Judge {
    seen: Option<(LeaseSpec, Duration)>,
}

impl Judge {
    /// What to do about this lease at `now`, on one's own clock.
    pub fn judge(&mut self, lease: Option<&LeaseSpec>, me: &str, now: Duration) -> Move {
        let Some(lease) = lease else { return Move::Take };
        let holder = lease.holder_identity.as_deref().unwrap_or_default();
        if holder.is_empty() || holder == me {
            return Move::Take;
        }
        match &self.seen {
            Some((seen, since)) if seen == lease => {
                if now.saturating_sub(*since) >= LENGTH {
                    Move::Take
                } else {
                    Move::Leave
                }
            }
            _ => {
                self.seen = Some((lease.clone(), now));
                Move::Leave
            }
        }
    }
}

/// Stands for the lease for ever, and says whether it is held.
pub(super) async fn keep(api: Api<Lease>, me: String, leading: watch::Sender<bool>) {
    let start = Instant::now();
    let (mut judge, mut until) = (Judge::default(), None::<Instant>);
    loop {
        let asked = Instant::now();
        match tokio::time::timeout(EVERY, stand(&api, &me, &mut judge, asked - start)).await {
            Ok(Ok(true)) => until = Some(asked + RELIES),
            Ok(Ok(false)) => until = None,
            Ok(Err(error)) => tracing::warn!(error = %chain(&error), "the lease can't be read or written"),
            Err(_) => tracing::warn!("the API server does not answer about the lease"),
        }
        let leads = until.is_some_and(|until| Instant::now() < until);
        leading.send_if_modified(|was| {
            let changed = *was != leads;
            *was = leads;
            changed
        });
        if leading.is_closed() {
            return;
        }
        tokio::time::sleep_until(asked + EVERY).await;
    }
}

async fn stand(api: &Api<Lease>, me: &str, judge: &mut Judge, now: Duration) -> Result<bool, kube::Error> {
    let there = api.get_opt(LEASE).await?;
    let spec = there.as_ref().and_then(|lease| lease.spec.as_ref());
    if judge.judge(spec, me, now) == Move::Leave {
        return Ok(false);
    }
    let time = MicroTime(Timestamp::now());
    let before = spec.filter(|spec| spec.holder_identity.as_deref() == Some(me));
    let wanted = LeaseSpec {
        holder_identity: Some(me.to_owned()),
        lease_duration_seconds: i32::try_from(LENGTH.as_secs()).ok(),
        acquire_time: before.and_then(|spec| spec.acquire_time.clone()).or_else(|| Some(time.clone())),
        renew_time: Some(time),
        ..LeaseSpec::default()
    };
    let written = if let Some(mut lease) = there {
        // its resourceVersion goes along: of two that try, one wins
        lease.spec = Some(wanted);
        api.replace(LEASE, &PostParams::default(), &lease).await
    } else {
        let metadata = ObjectMeta { name: Some(LEASE.to_owned()), ..ObjectMeta::default() };
        api.create(&PostParams::default(), &Lease { metadata, spec: Some(wanted) }).await
    };
    match written {
        Ok(_) => Ok(true),
        Err(kube::Error::Api(status)) if status.code == 409 => Ok(false),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn held_by(holder: &str, at: i64) -> LeaseSpec {
        LeaseSpec {
            holder_identity: Some(holder.into()),
            renew_time: Some(MicroTime(Timestamp::from_second(at).unwrap())),
            ..LeaseSpec::default()
        }
    }

    #[test]
    fn a_lease_is_taken_when_it_was_silent_for_its_length_on_ones_own_clock() {
        let mut judge = Judge::default();
        let s = Duration::from_secs;
        assert_eq!(judge.judge(None, "b", s(0)), Move::Take);
        // a time far in the past says nothing: the clock over there may be wrong
        assert_eq!(judge.judge(Some(&held_by("a", 0)), "b", s(1)), Move::Leave);
        assert_eq!(judge.judge(Some(&held_by("a", 0)), "b", s(10)), Move::Leave);
        assert_eq!(judge.judge(Some(&held_by("a", 9)), "b", s(11)), Move::Leave);
        assert_eq!(judge.judge(Some(&held_by("a", 9)), "b", s(20)), Move::Leave);
        assert_eq!(judge.judge(Some(&held_by("a", 9)), "b", s(21)), Move::Take);
        assert_eq!(judge.judge(Some(&held_by("b", 9)), "b", s(22)), Move::Take);
        assert!(RELIES < LENGTH);
    }
}
