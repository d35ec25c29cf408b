//! What the controller knows of each device, and what it orders next.
//!
//! An order follows from that knowledge alone, and is given again after a while as long as it does: so no lost, late or repeated message, and no restart, needs
//! a case of its own. Orders are idempotent for the agent.

use leafwall_topology::Name;

use super::{Action, Machine, Running, Stage};
use crate::message::{Answer, At, Hello, Phase};
use crate::revision::Files;
use crate::{digest::Digest, fabric::Outcome};

/// An order that the impure side completes, signs and sends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Intention {
    /// [`crate::message::Order::Prepare`] of this, signed.
    Prepare {
        /// Which.
        at: At,
        /// The device's files.
        files: Files,
        /// The revision that is there now.
        replaces: Option<Digest>,
    },
    /// [`crate::message::Order::Apply`].
    Apply {
        /// Which.
        at: At,
        /// How long the agent waits to be confirmed, in milliseconds.
        confirm_within: u64,
    },
    /// [`crate::message::Order::Confirm`].
    Confirm {
        /// Which.
        at: At,
    },
    /// [`crate::message::Order::Abandon`].
    Abandon {
        /// Which.
        at: At,
    },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    Prepare(At),
    Apply(At),
    Confirm(At),
    Abandon(At),
}

/// A device as it last said it is.
#[derive(Debug, Clone, Default)]
pub(super) struct Device {
    pub connected: bool,
    /// Since when it is away.
    pub lost_at: u64,
    pub confirmed: Option<At>,
    pub pending: Option<(At, Phase)>,
    /// What it was told to prepare, and may hold without our knowing: its answer may be lost.
    pub offered: Option<At>,
    /// What it was told last, and when it is told again.
    pub asked: Option<(Step, u64)>,
    /// What went wrong last, until something goes well.
    pub trouble: Option<String>,
}

impl Device {
    pub fn phase_of(&self, at: At) -> Option<Phase> {
        self.pending.filter(|(pending, _)| *pending == at).map(|(_, phase)| phase)
    }

    pub fn greeted(&mut self, hello: &Hello) {
        // what it was told over the connection before may never have arrived
        *self =
            Self { connected: true, confirmed: hello.confirmed, pending: hello.pending, trouble: self.trouble.take(), ..Self::default() };
    }

    pub fn answered(&mut self, answer: &Answer) {
        match answer {
            // late: it was further already
            Answer::Prepared { at } if self.phase_of(*at).is_some() => {}
            Answer::Prepared { at } | Answer::Applied { at } if self.confirmed == Some(*at) => {}
            Answer::Prepared { at } => self.pending = Some((*at, Phase::Prepared)),
            Answer::Applied { at } => self.pending = Some((*at, Phase::Unconfirmed)),
            Answer::Confirmed { at } => {
                self.confirmed = Some(*at);
                self.leaves(*at);
                self.trouble = None;
            }
            Answer::Failed { at, reason } => {
                self.pending = Some((*at, Phase::GoingBack));
                self.trouble = Some(reason.clone());
            }
            Answer::Refused { at, reason } => {
                // whatever we took it for, it is not that
                self.leaves(*at);
                self.trouble = Some(reason.clone());
            }
            Answer::WentBack { from, .. } => self.leaves(*from),
        }
    }

    fn leaves(&mut self, at: At) {
        self.pending.take_if(|(pending, _)| *pending == at);
        self.offered.take_if(|offered| *offered == at);
    }
}

impl Machine {
    /// What a device is to do next.
    pub(super) fn next_step(&self, name: &Name, device: &Device) -> Option<Step> {
        if !device.connected {
            return None;
        }
        let wanted = self.ledger.wanted.get(name).map(|wanted| wanted.at);
        if let Some((at, phase)) = device.pending {
            if Some(at) == wanted {
                // decided: it gets there on its own. Asked again also where an answer is awaited, since that may be lost
                return Some(if phase == Phase::Unconfirmed { Step::Confirm(at) } else { Step::Apply(at) });
            }
            let Some(running) = self.undecided(at) else { return Some(Step::Abandon(at)) };
            // an agent never takes again what it was told to abandon, so nobody is before the decision
            let reached = running.members.contains(name) && running.reached(name);
            return match (&running.stage, phase) {
                (Stage::Applying { .. }, _) if reached => Some(Step::Apply(at)),
                // there, and kept there
                (Stage::Held | Stage::Deciding { outcome: Outcome::Committed, .. }, Phase::Unconfirmed) => Some(Step::Apply(at)),
                _ => None,
            };
        }
        let next = self.next_to_prepare(name, device, wanted);
        let stray = device.offered.filter(|at| Some(*at) != wanted && next != Some(*at) && self.undecided(*at).is_none());
        stray.map(Step::Abandon).or(next.map(Step::Prepare))
    }

    fn undecided(&self, at: At) -> Option<&Running> {
        self.running.as_ref().filter(|running| running.at() == at && !matches!(running.stage, Stage::Finishing { .. }))
    }

    fn next_to_prepare(&self, name: &Name, device: &Device, wanted: Option<At>) -> Option<At> {
        if let Some(running) = &self.running
            && running.members.contains(name)
            && matches!(running.stage, Stage::Preparing { .. } | Stage::Applying { .. })
        {
            return Some(running.at()).filter(|at| device.confirmed != Some(*at));
        }
        wanted.filter(|at| device.confirmed != Some(*at))
    }

    /// Orders what one device is to do next, unless it was told so a moment ago.
    pub(super) fn order(&mut self, now: u64, name: &Name, actions: &mut Vec<Action>) {
        let Some(device) = self.devices.get(name) else { return };
        let Some(step) = self.next_step(name, device) else { return };
        if device.asked.is_some_and(|(asked, again)| asked == step && now < again) {
            return;
        }
        let intention = match step {
            Step::Prepare(at) => {
                let running = self.running.as_ref().filter(|running| running.at() == at);
                let new = running.and_then(|running| running.transaction.devices.get(name));
                let Some(files) = new.or_else(|| self.ledger.wanted.get(name).map(|wanted| &wanted.files)) else { return };
                Intention::Prepare { at, files: files.clone(), replaces: device.confirmed.map(|at| at.revision) }
            }
            Step::Apply(at) => Intention::Apply { at, confirm_within: self.settings.confirm_within },
            Step::Confirm(at) => Intention::Confirm { at },
            Step::Abandon(at) => Intention::Abandon { at },
        };
        let again = now.saturating_add(self.settings.repeat_every);
        if let Some(device) = self.devices.get_mut(name) {
            device.asked = Some((step, again));
            if let Step::Prepare(at) = step {
                device.offered = Some(at);
            }
        }
        actions.push(Action::Order(name.clone(), intention));
    }

    pub(super) fn order_all(&mut self, now: u64, actions: &mut Vec<Action>) {
        let names: Vec<Name> = self.devices.keys().cloned().collect();
        for name in names {
            self.order(now, &name, actions);
        }
    }
}
