//! From term to term: when a controller leads, and what is done at its ends.

use std::sync::Arc;
use std::time::{Duration, Instant};

use ed25519_dalek::SigningKey;
use leafwall_rollout::fabric::Settings as RolloutSettings;
use tokio::sync::{mpsc, watch};

use super::core::Core;
use super::desk::Desk;
use super::metrics::Meter;
use super::seat::{Office, Seat};
use super::term::Term;
use super::{QUEUE, ServerError};
use crate::audit::Log;
use crate::certificates::Authority;
use crate::history::History;
use crate::store::{Campaign, Condition, Etcd, Lease, Store, TTL};

/// Between two signs of life of the one that leads: four may be lost before it stops by itself.
const BEAT: Duration = Duration::from_millis(400);
/// How long giving the lease back may take: where etcd is out of reach it ends by itself.
const PARTING: Duration = Duration::from_millis(500);
/// Between two looks of a follower, and after a term that ended badly.
const LOOK: Duration = Duration::from_millis(250);

/// What every term begins with.
pub struct Terms {
    pub store: Store,
    pub history: History,
    pub log: Arc<Log>,
    pub key: SigningKey,
    pub authority: Option<Arc<Authority>>,
    pub rollout: RolloutSettings,
    pub meter: Meter,
    pub seat: watch::Sender<Seat>,
    /// Becomes true when it is to stop.
    pub stops: watch::Receiver<bool>,
}

impl Terms {
    /// Leads for as long as nothing fails.
    pub async fn alone(self) -> Result<(), ServerError> {
        self.lead(Term::endless(), None).await
    }

    /// Leads whenever it holds the lease, and follows in between. Only what no new term can mend ends it.
    pub async fn among(self, etcd: Etcd, address: String) -> Result<(), ServerError> {
        loop {
            let lease = tokio::select! {
                () = self.stopped() => return Ok(()),
                lease = self.follow(&etcd, &address) => lease,
            };
            let (term, held) = (Term::until(lease.until()), lease.held());
            tracing::info!("holds the lease");
            let keeper = tokio::spawn(keep(lease, term.clone()));
            let ended = tokio::select! {
                // first, for what comes late must not be done
                biased;
                () = term.over() => Err(ServerError::Over),
                ended = self.lead(term.clone(), Some(held)) => ended,
            };
            term.end();
            self.seat.send_replace(Seat::Elsewhere(None));
            if let Err(error) = &ended {
                tracing::warn!(error = error as &dyn std::error::Error, "does not lead any more");
            }
            // gives the lease back, so that others need not wait for its end
            if let Err(error) = keeper.await {
                tracing::error!(%error, "the lease was not kept");
            }
            match ended {
                Err(error) if error.is_passing() => {}
                ended => return ended,
            }
            tokio::time::sleep(LOOK).await;
        }
    }

    async fn lead(&self, term: Term, held: Option<Condition>) -> Result<(), ServerError> {
        let Self { store, history, log, key, rollout, meter, .. } = self;
        let epoch = store.lead_while(held.as_ref()).await?;
        let core = Core::resume(store.clone(), history.clone(), Arc::clone(log), key.clone(), epoch, rollout.clone(), meter.clone());
        let core = core.await?.until(term.clone());
        let (commands, queue) = mpsc::channel(QUEUE);
        let desk = Desk::new(core.pen(), self.authority.clone());
        let office = Office::new(commands, history.clone(), desk, core.pen(), term);
        self.seat.send_replace(Seat::Own(Arc::new(office)));
        core.run(queue, self.stopped()).await
    }

    async fn stopped(&self) {
        let mut stops = self.stops.clone();
        if stops.wait_for(|stopped| *stopped).await.is_err() {
            std::future::pending::<()>().await;
        }
    }

    /// Waits for the lease, and says meanwhile who has it.
    async fn follow(&self, etcd: &Etcd, address: &str) -> Lease {
        let mut failing: Option<Instant> = None;
        loop {
            match etcd.campaign(address).await {
                Ok(Campaign::Won(lease)) => return lease,
                Ok(Campaign::Lost(leader)) => {
                    let leader = leader.map(|leader| leader.address);
                    self.seat.send_if_modified(|seat| {
                        let news = !matches!(seat, Seat::Elsewhere(known) if *known == leader);
                        if news {
                            tracing::info!(leader = leader.as_deref(), "follows");
                            *seat = Seat::Elsewhere(leader);
                        }
                        news
                    });
                    failing = None;
                }
                Err(error) => {
                    let since = *failing.get_or_insert_with(|| {
                        tracing::warn!(error = &error as &dyn std::error::Error, "can't tell who leads; trying again");
                        Instant::now()
                    });
                    // who led a moment ago nearly always does
                    if since.elapsed() > TTL {
                        self.seat.send_replace(Seat::Elsewhere(None));
                    }
                }
            }
            tokio::time::sleep(LOOK).await;
        }
    }
}

/// Keeps the lease for as long as the term lasts, and gives it back then.
async fn keep(mut lease: Lease, term: Term) {
    while term.holds() {
        tokio::select! {
            () = term.over() => break,
            prolonged = lease.prolong() => match prolonged {
                Ok(()) => term.prolong(lease.until()),
                Err(error) => tracing::warn!(error = &error as &dyn std::error::Error, "the lease was not prolonged; trying again"),
            },
        }
        tokio::select! {
            () = term.over() => break,
            () = tokio::time::sleep(BEAT) => {}
        }
    }
    if tokio::time::timeout(PARTING, lease.give_back()).await.is_err() {
        tracing::debug!("the lease ends by itself");
    }
}
