//! The agent's side: what one device does with orders, faults and time.
//!
//! The journal is saved before the device is touched, and a revision is only what the device *is* once it was confirmed. Whoever runs the machine does its
//! actions in their order and tells what came of each; only one of [`Action::Make`] and [`Action::GoBack`] is under way at a time, and the machine waits for
//! its end, so both must end by themselves, with a deadline of their own.

mod journal;
mod orders;

use ed25519_dalek::VerifyingKey;
use leafwall_topology::Name;

pub use self::journal::{Journal, Kept, Pending};
use crate::message::{Answer, At, Hello, Order, Phase};

/// The pause before a way back (or the confirmed revision after a reboot) is tried again, in milliseconds. Most failures there are a daemon that restarts.
pub const FIRST_PAUSE: u64 = 1_000;
/// The pause doubles up to this: a person who repairs the device should not wait longer for it to notice.
pub const LONGEST_PAUSE: u64 = 30_000;

/// What happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// The controller said something.
    Order(Order),
    /// A check ended.
    Checked {
        /// Of which.
        at: At,
        /// Or why the device's own tools don't take it.
        outcome: Result<(), String>,
    },
    /// A revision was made, and read back from the device.
    Made {
        /// Which.
        at: At,
        /// Or what is missing.
        outcome: Result<(), String>,
    },
    /// The way back ended, and its goal was read back from the device.
    WentBack {
        /// From which.
        at: At,
        /// Or what is missing.
        outcome: Result<(), String>,
    },
    /// No fabric session is left after a change.
    HealthLost {
        /// In words for people.
        reason: String,
    },
    /// There is a controller to talk to.
    Connected,
    /// There is none any more.
    ControllerLost,
    /// Time passed.
    Tick,
}

/// What to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// Make this durable before any later action of the same answer. Where that fails, do none of them: start again from the journal that is on the disk.
    Save(Journal),
    /// Fetch the files by their digests, and check them with the device's own tools. Nothing on the device changes.
    Check(Kept),
    /// Make the device this, from whatever it is, and read it back.
    Make(Kept),
    /// Leave a revision that may be made in part.
    GoBack {
        /// Which.
        from: Kept,
        /// To which; none: to nothing of ours.
        to: Option<Kept>,
    },
    /// Introduce yourself to the controller.
    Greet(Hello),
    /// Tell the controller.
    Say(Answer),
}

/// What is being done to the device.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Work {
    Make(At),
    GoBack(At),
}

/// One device.
#[derive(Debug, Clone)]
pub struct Machine {
    device: Name,
    keys: Vec<VerifyingKey>,
    journal: Journal,
    checking: Option<Kept>,
    work: Option<Work>,
    /// Whether the device was seen to be what the journal says since the last restart.
    settled: bool,
    connected: bool,
    /// When an unconfirmed revision goes back.
    deadline: Option<u64>,
    /// Why it does.
    why: String,
    not_before: u64,
    pause: u64,
}

impl Machine {
    /// One that starts, for the first time (with an empty journal) or again.
    ///
    /// What was being changed is undone unless it was confirmed: who would have confirmed it may have given up meanwhile, whether the fabric's sessions
    /// survived the change was not seen, and the wait for the confirmation ended with the process. What was confirmed is the one state known to be good. A
    /// revision that was only prepared has changed nothing, and stays.
    pub fn resume(device: Name, keys: Vec<VerifyingKey>, journal: Journal, now: u64) -> (Self, Vec<Action>) {
        let settled = journal.confirmed.is_none();
        let mut machine = Self {
            device,
            keys,
            journal,
            checking: None,
            work: None,
            settled,
            connected: false,
            deadline: None,
            why: String::new(),
            not_before: now,
            pause: FIRST_PAUSE,
        };
        let mut actions = Vec::new();
        if machine.journal.pending.as_ref().is_some_and(|pending| pending.phase != Phase::Prepared) {
            machine.turn_back("the agent was restarted before the revision was confirmed".to_owned(), &mut actions);
        }
        machine.step(now, &mut actions);
        (machine, actions)
    }

    /// What is durable, once the last `Save` is done.
    pub const fn journal(&self) -> &Journal {
        &self.journal
    }

    /// What it says of itself.
    pub fn hello(&self) -> Hello {
        Hello {
            device: self.device.clone(),
            confirmed: self.journal.confirmed.as_ref().map(|kept| kept.at),
            pending: self.journal.pending.as_ref().map(|pending| (pending.kept.at, pending.phase)),
        }
    }

    /// When it wants to hear of the time.
    pub fn wake_at(&self) -> Option<u64> {
        let again = (self.work.is_none() && (!self.settled || self.phase() == Some(Phase::GoingBack))).then_some(self.not_before);
        self.deadline.into_iter().chain(again).min()
    }

    /// What to do about something that happened, at a time in milliseconds by a clock that never goes back.
    pub fn on(&mut self, now: u64, event: Event) -> Vec<Action> {
        let mut actions = Vec::new();
        // first: a confirmation that comes too late must find the way back begun
        if self.deadline.is_some_and(|deadline| deadline <= now) {
            self.turn_back("it was not confirmed in time".to_owned(), &mut actions);
        }
        match event {
            Event::Order(order) => self.order(now, order, &mut actions),
            Event::Checked { at, outcome } => self.checked(at, outcome, &mut actions),
            Event::Made { at, outcome } if self.work == Some(Work::Make(at)) => self.made(now, at, outcome, &mut actions),
            Event::WentBack { at, outcome } if self.work == Some(Work::GoBack(at)) => self.went_back(now, at, outcome, &mut actions),
            Event::HealthLost { reason } if matches!(self.phase(), Some(Phase::Applying | Phase::Unconfirmed)) => {
                self.turn_back(reason, &mut actions);
            }
            Event::Connected => {
                self.connected = true;
                actions.push(Action::Greet(self.hello()));
            }
            // what is not confirmed waits for its deadline: a controller that fails over is back before
            Event::ControllerLost => {
                self.connected = false;
                // the next greeting must tell all; the order is given again
                self.checking = None;
            }
            // ends of work that was not asked for, health that no change of ours took
            Event::Made { .. } | Event::WentBack { .. } | Event::HealthLost { .. } | Event::Tick => {}
        }
        self.step(now, &mut actions);
        // what is said while nobody listens is told by the next greeting
        actions.retain(|action| self.connected || !matches!(action, Action::Say(_)));
        actions
    }

    fn phase(&self) -> Option<Phase> {
        self.journal.pending.as_ref().map(|pending| pending.phase)
    }

    fn checked(&mut self, at: At, outcome: Result<(), String>, actions: &mut Vec<Action>) {
        let Some(kept) = self.checking.take_if(|kept| kept.at == at) else { return };
        actions.extend(match outcome {
            Ok(()) => {
                self.journal.prepare(kept);
                vec![Action::Save(self.journal.clone()), Action::Say(Answer::Prepared { at })]
            }
            Err(reason) => vec![Action::Say(Answer::Refused { at, reason })],
        });
    }

    fn made(&mut self, now: u64, at: At, outcome: Result<(), String>, actions: &mut Vec<Action>) {
        self.work = None;
        match (self.journal.pending.as_mut().filter(|pending| pending.kept.at == at), outcome) {
            // told to go back meanwhile
            (Some(Pending { phase: Phase::GoingBack, .. }), _) => {}
            (Some(pending), Ok(())) => {
                // not saved: after a crash it is undone like one that is being made
                pending.phase = Phase::Unconfirmed;
                self.deadline = Some(now.saturating_add(pending.confirm_within.unwrap_or(0)));
                self.settled = true;
                actions.push(Action::Say(Answer::Applied { at }));
            }
            (Some(_), Err(reason)) => {
                actions.push(Action::Say(Answer::Failed { at, reason: reason.clone() }));
                self.turn_back(reason, actions);
            }
            (None, Ok(())) => self.settle(),
            (None, Err(_)) => self.rest(now),
        }
    }

    fn went_back(&mut self, now: u64, at: At, outcome: Result<(), String>, actions: &mut Vec<Action>) {
        self.work = None;
        match outcome {
            Ok(()) => {
                self.journal.pending = None;
                self.settle();
                let reason = std::mem::take(&mut self.why);
                actions.extend([Action::Save(self.journal.clone()), Action::Say(Answer::WentBack { from: at, reason })]);
            }
            Err(reason) => {
                self.rest(now);
                actions.push(Action::Say(Answer::Failed { at, reason: format!("the way back failed: {reason}") }));
            }
        }
    }

    /// The device is what was confirmed last.
    const fn settle(&mut self) {
        self.settled = true;
        self.pause = FIRST_PAUSE;
    }

    fn rest(&mut self, now: u64) {
        self.not_before = now.saturating_add(self.pause);
        self.pause = self.pause.saturating_mul(2).min(LONGEST_PAUSE);
    }

    /// Decides to leave the pending revision; [`Self::step`] does, once the device is free.
    fn turn_back(&mut self, reason: String, actions: &mut Vec<Action>) {
        self.deadline = None;
        let Some(pending) = self.journal.pending.as_mut() else { return };
        pending.phase = Phase::GoingBack;
        self.why = reason;
        self.pause = FIRST_PAUSE;
        self.not_before = 0;
        actions.push(Action::Save(self.journal.clone()));
    }

    /// Begins what the device needs next, if nothing is being done to it.
    fn step(&mut self, now: u64, actions: &mut Vec<Action>) {
        if self.work.is_some() {
            return;
        }
        match &self.journal.pending {
            Some(Pending { kept, phase: Phase::GoingBack, .. }) => {
                if now >= self.not_before {
                    self.work = Some(Work::GoBack(kept.at));
                    actions.push(Action::GoBack { from: kept.clone(), to: self.journal.confirmed.clone() });
                }
            }
            Some(Pending { kept, phase: Phase::Applying, .. }) => {
                self.work = Some(Work::Make(kept.at));
                actions.push(Action::Make(kept.clone()));
            }
            // after a reboot the last good state comes from the disk, whether or not there is a controller
            Some(Pending { phase: Phase::Prepared, .. }) | None if !self.settled && now >= self.not_before => {
                if let Some(kept) = &self.journal.confirmed {
                    self.work = Some(Work::Make(kept.at));
                    actions.push(Action::Make(kept.clone()));
                }
            }
            Some(_) | None => {}
        }
    }
}
