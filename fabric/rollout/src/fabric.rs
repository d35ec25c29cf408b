//! The controller's side: one transaction over many devices, and those that were away.
//!
//! Presumed abort: a transaction stands once its commit is durable ([`Action::Decide`] done, [`Event::Decided`] told), and nothing is confirmed before. Whatever
//! else ends it (a crash as well) abandons it, for which nobody needs to remember anything.

mod devices;
mod stages;
mod status;
mod transaction;

use std::collections::BTreeMap;

use leafwall_topology::Name;
use serde::{Deserialize, Serialize};

use self::devices::Device;
pub use self::devices::Intention;
use self::stages::{Running, Stage};
pub use self::status::{DeviceStatus, FabricStatus, Standing};
pub use self::transaction::{Ledger, Outcome, Transaction, Wanted, batches};
use crate::message::{Answer, At, Hello};

/// What to do where a device refuses, fails or is lost.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum OnFailure {
    /// Go back everywhere.
    #[default]
    RollBack,
    /// Change no more devices, keep those that have changed, and wait for [`Event::Resolve`].
    Hold,
}

/// How long things may take, in milliseconds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Settings {
    /// All devices check the revision.
    pub prepare_within: u64,
    /// A batch is seen on its devices, and watched.
    pub apply_within: u64,
    /// No bad health is heard for this long before the next batch.
    pub watch_for: u64,
    /// An agent goes back by itself when it hears nothing for this long.
    pub confirm_within: u64,
    /// A device that has changed may be away.
    pub reconnect_within: u64,
    /// An order that was not followed is given again. Also what keeps devices that have changed from going back: several times as often as `confirm_within`.
    pub repeat_every: u64,
    /// After the decision, until the transaction is reported as finished with what is there.
    pub finish_within: u64,
}

impl Default for Settings {
    /// For a fabric whose devices change in a second or two: generous where only a fault uses it up.
    fn default() -> Self {
        Self {
            prepare_within: 30_000,
            apply_within: 60_000,
            watch_for: 200,
            confirm_within: 15_000,
            reconnect_within: 5_000,
            repeat_every: 4_000,
            finish_within: 30_000,
        }
    }
}

/// How a device's sessions and probes are.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Health {
    /// As they should be.
    Good,
    /// Not so, in words for people.
    Bad(String),
}

/// What happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// Roll this out. The store has it.
    Start(Transaction),
    /// A device introduces itself.
    Connected(Hello),
    /// It is away.
    Lost(Name),
    /// It says something, over the connection that it introduced itself on last.
    Heard(Name, Answer),
    /// How it is. Bad health that begins while a transaction changes devices fails it, wherever it is.
    Health(Name, Health),
    /// The store has kept how a transaction ends.
    Decided(At, Outcome),
    /// A person calls a transaction off, or says what becomes of one that is held.
    Resolve(At, Outcome),
    /// Time passed.
    Tick,
}

/// What to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// Sign this and send it.
    Order(Name, Intention),
    /// Make this durable, if nothing else was decided, and tell what was. Asked again until then.
    Decide {
        /// Which transaction.
        at: At,
        /// How it ends.
        outcome: Outcome,
        /// Why, if not as wished.
        reason: Option<String>,
    },
    /// A transaction can't be started.
    Declined {
        /// Which.
        at: At,
        /// Why.
        reason: String,
    },
    /// A transaction has ended.
    Finished {
        /// Which.
        at: At,
        /// How.
        outcome: Outcome,
        /// Why, if not as wished.
        reason: Option<String>,
        /// Where the devices are.
        status: FabricStatus,
    },
}

/// The controller of one fabric.
#[derive(Debug, Clone)]
pub struct Machine {
    settings: Settings,
    ledger: Ledger,
    running: Option<Running>,
    devices: BTreeMap<Name, Device>,
    bad: BTreeMap<Name, String>,
}

impl Machine {
    /// One that starts, with what the store knows. What was undecided is abandoned: devices may have gone back meanwhile, and nobody watched the others.
    pub fn resume(settings: Settings, ledger: Ledger, now: u64) -> (Self, Vec<Action>) {
        let running = ledger.undecided.clone().map(|transaction| Running {
            members: transaction.devices.keys().cloned().collect(),
            transaction,
            stage: Stage::Deciding { outcome: Outcome::Abandoned, again: now },
            reason: Some("the controller was restarted before the decision".to_owned()),
        });
        let mut machine = Self { settings, ledger, running, devices: BTreeMap::new(), bad: BTreeMap::new() };
        let mut actions = Vec::new();
        machine.advance(now, &mut actions);
        (machine, actions)
    }

    /// What the store should know by now.
    pub const fn ledger(&self) -> &Ledger {
        &self.ledger
    }

    /// The transaction that is under way.
    pub fn running(&self) -> Option<At> {
        self.running.as_ref().map(Running::at)
    }

    /// The transaction that is held, and why.
    pub fn held(&self) -> Option<(At, &str)> {
        let running = self.running.as_ref().filter(|running| running.stage == Stage::Held)?;
        Some((running.at(), running.reason.as_deref().unwrap_or_default()))
    }

    /// When it wants to hear of the time.
    pub fn wake_at(&self) -> Option<u64> {
        let orders = self.devices.iter().filter(|(name, device)| self.next_step(name, device).is_some());
        orders.filter_map(|(_, device)| device.asked).map(|(_, again)| again).chain(self.stage_wakes()).min()
    }

    /// What to do about something that happened, at a time in milliseconds by a clock that never goes back.
    pub fn on(&mut self, now: u64, event: Event) -> Vec<Action> {
        let mut actions = Vec::new();
        let mut concerned = None;
        match event {
            Event::Start(transaction) => self.start(now, transaction, &mut actions),
            Event::Connected(hello) => {
                self.devices.entry(hello.device.clone()).or_default().greeted(&hello);
                self.judge_greeting(now, &hello.device);
                concerned = Some(hello.device);
            }
            Event::Lost(name) => {
                self.lost(now, &name);
                concerned = Some(name);
            }
            Event::Heard(name, answer) => {
                if let Some(device) = self.devices.get_mut(&name).filter(|device| device.connected) {
                    device.answered(&answer);
                    self.judge(now, &name, &answer);
                }
                concerned = Some(name);
            }
            Event::Health(name, Health::Good) => {
                self.bad.remove(&name);
                concerned = Some(name);
            }
            Event::Health(name, Health::Bad(reason)) => {
                let changing = self.running.as_ref().is_some_and(|running| matches!(running.stage, Stage::Applying { .. }));
                if self.bad.insert(name.clone(), reason.clone()).is_none() && changing {
                    self.fail(now, format!("`{name}`: {reason}"));
                }
                concerned = Some(name);
            }
            Event::Decided(at, outcome) => self.decided(now, at, outcome),
            Event::Resolve(at, outcome) => self.resolve(now, at, outcome),
            Event::Tick => {}
        }
        let moved = self.advance(now, &mut actions);
        match concerned {
            // a thousand answers should not look at a thousand devices each
            Some(name) if !moved => self.order(now, &name, &mut actions),
            _ => self.order_all(now, &mut actions),
        }
        actions
    }
}
