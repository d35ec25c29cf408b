//! The way of a transaction: prepare, apply batch by batch, decide, finish.

use std::collections::BTreeSet;

use leafwall_topology::Name;

use super::{Action, Machine, OnFailure, Outcome, Transaction};
use crate::message::{Answer, At, Phase};

/// How far it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stage {
    /// All members check, and keep ready.
    Preparing { deadline: u64 },
    /// Up to this batch they change. `since`: when all of these were seen there and well.
    Applying { batch: usize, deadline: u64, since: Option<u64> },
    /// Something failed, and a person decides.
    Held,
    /// Decided, and the store is asked to keep it; again at a time.
    Deciding { outcome: Outcome, again: u64 },
    /// Durable. The devices follow.
    Finishing { outcome: Outcome, deadline: u64 },
}

/// The one that is under way.
#[derive(Debug, Clone)]
pub(super) struct Running {
    pub transaction: Transaction,
    /// Who takes part. All others catch up.
    pub members: BTreeSet<Name>,
    pub stage: Stage,
    /// Why it does not go on.
    pub reason: Option<String>,
}

impl Running {
    pub const fn at(&self) -> At {
        self.transaction.at
    }

    /// Whether a device's batch may change. Once more than that was decided, every batch.
    pub fn reached(&self, name: &Name) -> bool {
        match self.stage {
            Stage::Preparing { .. } => false,
            Stage::Applying { batch, .. } => {
                self.transaction.batches.iter().take(batch.saturating_add(1)).any(|batch| batch.contains(name))
            }
            Stage::Held | Stage::Deciding { .. } | Stage::Finishing { .. } => true,
        }
    }

    /// Those whose batch may change.
    fn changing(&self) -> impl Iterator<Item = &Name> {
        self.members.iter().filter(|name| self.reached(name))
    }
}

impl Machine {
    pub(super) fn start(&mut self, now: u64, transaction: Transaction, actions: &mut Vec<Action>) {
        let at = transaction.at;
        let complaint = if let Some(running) = &self.running {
            Some(format!("revision {} is still on its way", running.at().generation))
        } else if transaction.parent != self.ledger.head {
            Some("it was not made from the newest revision".to_owned())
        } else if self.ledger.head.is_some_and(|head| at.generation <= head.generation) {
            Some("its number is not above the newest revision's".to_owned())
        } else {
            transaction.complaint()
        };
        if let Some(reason) = complaint {
            return actions.push(Action::Declined { at, reason });
        }
        let takes_part = |name: &&Name| {
            let wanted = self.ledger.wanted.get(*name).map(|wanted| wanted.at);
            self.devices.get(*name).is_some_and(|device| device.connected && device.confirmed == wanted && device.pending.is_none())
        };
        let members: BTreeSet<Name> = transaction.devices.keys().filter(takes_part).cloned().collect();
        self.ledger.undecided = Some(transaction.clone());
        let stage = Stage::Preparing { deadline: now.saturating_add(self.settings.prepare_within) };
        self.running = Some(Running { transaction, members, stage, reason: None });
    }

    /// The store has kept a decision; its word counts, also where another one was asked for.
    pub(super) fn decided(&mut self, now: u64, at: At, outcome: Outcome) {
        let deadline = now.saturating_add(self.settings.finish_within);
        if let Some(running) = self.running.as_mut().filter(|running| running.at() == at)
            && matches!(running.stage, Stage::Deciding { .. })
        {
            running.stage = Stage::Finishing { outcome, deadline };
            self.ledger.decide(outcome);
        }
    }

    /// A person says how it ends: early, or after it was held.
    pub(super) fn resolve(&mut self, now: u64, at: At, outcome: Outcome) {
        if let Some(running) = self.running.as_mut().filter(|running| running.at() == at) {
            match (&running.stage, outcome) {
                (Stage::Held, _) | (Stage::Preparing { .. } | Stage::Applying { .. }, Outcome::Abandoned) => {
                    running.stage = Stage::Deciding { outcome, again: now };
                    running.reason.get_or_insert_with(|| "it was called off".to_owned());
                }
                _ => {}
            }
        }
    }

    pub(super) fn fail(&mut self, now: u64, reason: String) {
        let Some(running) = self.running.as_mut() else { return };
        running.stage = match running.stage {
            Stage::Applying { .. } if running.transaction.on_failure == OnFailure::Hold => Stage::Held,
            // before anything changed there is nothing to hold
            Stage::Preparing { .. } | Stage::Applying { .. } => Stage::Deciding { outcome: Outcome::Abandoned, again: now },
            // too late, or failed before
            Stage::Held | Stage::Deciding { .. } | Stage::Finishing { .. } => return,
        };
        running.reason = Some(reason);
    }

    /// What an answer of a member means for all.
    pub(super) fn judge(&mut self, now: u64, name: &Name, answer: &Answer) {
        let (Answer::Refused { at, reason } | Answer::Failed { at, reason } | Answer::WentBack { from: at, reason }) = answer else {
            return;
        };
        if self.running.as_ref().is_some_and(|running| running.at() == *at && running.members.contains(name)) {
            self.fail(now, format!("`{name}`: {reason}"));
        }
    }

    /// What the greeting of a member means for all: it must be where it was.
    pub(super) fn judge_greeting(&mut self, now: u64, name: &Name) {
        let Some(running) = &self.running else { return };
        let Some(device) = self.devices.get(name).filter(|_| running.members.contains(name) && running.reached(name)) else { return };
        if matches!(device.phase_of(running.at()), None | Some(Phase::GoingBack)) {
            self.fail(now, format!("`{name}` has left the revision by itself"));
        }
    }

    /// A device is away.
    pub(super) fn lost(&mut self, now: u64, name: &Name) {
        if let Some(device) = self.devices.get_mut(name) {
            device.connected = false;
            device.lost_at = now;
        }
        if let Some(running) = &mut self.running
            && matches!(running.stage, Stage::Preparing { .. } | Stage::Applying { .. })
            && !running.reached(name)
        {
            running.members.remove(name); // it catches up
        }
    }

    /// Goes as far as it can. True if the stage is another one.
    pub(super) fn advance(&mut self, now: u64, actions: &mut Vec<Action>) -> bool {
        let mut moved = false;
        while self.advance_once(now, actions) {
            moved = true;
        }
        moved
    }

    fn advance_once(&mut self, now: u64, actions: &mut Vec<Action>) -> bool {
        let Some(running) = &self.running else { return false };
        let at = running.at();
        let is_in =
            |name: &Name, phase| self.devices.get(name).is_some_and(|device| device.connected && device.phase_of(at) == Some(phase));
        let stage = match running.stage {
            Stage::Preparing { deadline } => {
                let late = running.members.iter().find(|name| !is_in(name, Phase::Prepared));
                match late.cloned() {
                    // words that are only for people changed: there is nothing to do but to remember them
                    _ if running.transaction.devices.is_empty() => Stage::Deciding { outcome: Outcome::Committed, again: now },
                    _ if running.members.is_empty() => {
                        self.fail(now, "no device that it changes is there".to_owned());
                        return true;
                    }
                    None => self.applying(now, 0),
                    Some(name) if deadline <= now => {
                        self.fail(now, format!("`{name}` was not prepared in time"));
                        return true;
                    }
                    Some(_) => return false,
                }
            }
            Stage::Applying { batch, deadline, since } => {
                let lost = |name: &&Name| {
                    self.devices
                        .get(*name)
                        .is_none_or(|device| !device.connected && device.lost_at.saturating_add(self.settings.reconnect_within) <= now)
                };
                let gone = running.changing().find(lost).cloned();
                if let Some(name) = gone {
                    self.fail(now, format!("`{name}` was lost after the change"));
                    return true;
                }
                let late = running.changing().find(|name| !is_in(name, Phase::Unconfirmed)).cloned();
                match (late, since) {
                    (Some(name), _) if deadline <= now => {
                        self.fail(now, format!("`{name}` was not there in time"));
                        return true;
                    }
                    (Some(_), None) => return false,
                    (Some(_), Some(_)) => Stage::Applying { batch, deadline, since: None },
                    (None, None) => Stage::Applying { batch, deadline, since: Some(now) },
                    (None, Some(since)) if now < since.saturating_add(self.settings.watch_for) => return false,
                    (None, Some(_)) if batch.saturating_add(1) < running.transaction.batches.len() => {
                        self.applying(now, batch.saturating_add(1))
                    }
                    (None, Some(_)) => Stage::Deciding { outcome: Outcome::Committed, again: now },
                }
            }
            Stage::Held => return false,
            Stage::Deciding { again, .. } if now < again => return false,
            Stage::Deciding { outcome, .. } => {
                actions.push(Action::Decide { at, outcome, reason: running.reason.clone() });
                Stage::Deciding { outcome, again: now.saturating_add(self.settings.repeat_every.max(1)) }
            }
            Stage::Finishing { outcome, deadline } => {
                let there = |name: &Name| match (self.devices.get(name), outcome) {
                    (Some(device), _) if !device.connected => true,
                    (Some(device), Outcome::Committed) => device.confirmed == Some(at),
                    (Some(device), Outcome::Abandoned) => device.phase_of(at).is_none() && device.offered != Some(at),
                    (None, _) => true,
                };
                if now < deadline && !running.members.iter().all(there) {
                    return false;
                }
                let (status, reason) = (self.status(), running.reason.clone());
                actions.push(Action::Finished { at, outcome, reason, status });
                self.running = None;
                return true;
            }
        };
        if let Some(running) = &mut self.running {
            running.stage = stage;
        }
        true
    }

    const fn applying(&self, now: u64, batch: usize) -> Stage {
        Stage::Applying { batch, deadline: now.saturating_add(self.settings.apply_within), since: None }
    }

    /// When the stage wants to hear of the time.
    pub(super) fn stage_wakes(&self) -> Option<u64> {
        let running = self.running.as_ref()?;
        match running.stage {
            Stage::Preparing { deadline } | Stage::Finishing { deadline, .. } => Some(deadline),
            Stage::Applying { deadline, since, .. } => {
                let watched = since.map(|since| since.saturating_add(self.settings.watch_for));
                let away = running.changing().filter_map(|name| self.devices.get(name)).filter(|device| !device.connected);
                let lost = away.map(|device| device.lost_at.saturating_add(self.settings.reconnect_within));
                lost.chain(watched).chain([deadline]).min()
            }
            Stage::Held => None,
            Stage::Deciding { again, .. } => Some(again),
        }
    }
}
