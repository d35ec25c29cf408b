//! The fake controller, and what it is told to do.

use std::collections::BTreeSet;

use leafwall_rollout::fabric::{self, Ledger, Outcome, Standing, Transaction, batches};
use leafwall_topology::Name;

use super::{FAULTS_END, Happening, World, short};
use crate::fake::{at, files, order};

impl World {
    pub(super) fn controller_starts(&mut self) {
        if self.controller.machine.is_none() {
            self.tell(|| "controller starts".to_owned());
            let (machine, actions) = fabric::Machine::resume(self.settings.clone(), self.controller.store.clone(), self.now);
            self.controller.machine = Some(machine);
            self.follow(actions);
        }
    }

    pub(super) fn controller_crashes(&mut self) {
        self.tell(|| "controller crashes".to_owned());
        self.controller.machine = None;
        self.controller.wake = None;
        for device in 0..self.devices.len() {
            self.disconnects(device);
        }
        self.after(100, 4_000, Happening::ControllerStarts);
    }

    pub(super) fn controller_event(&mut self, event: fabric::Event) {
        if self.loud && event != fabric::Event::Tick {
            println!("{:>7} controller <- {}", self.now, short(&event));
        }
        let Some(machine) = self.controller.machine.as_mut() else { return };
        let actions = machine.on(self.now, event);
        self.follow(actions);
    }

    pub(super) fn follow(&mut self, actions: Vec<fabric::Action>) {
        for action in actions {
            if self.fault(1) && self.chance.percent(30) {
                return self.controller_crashes();
            }
            match action {
                fabric::Action::Order(name, intention) => self.send(&name, intention),
                fabric::Action::Decide { at, outcome, reason } => {
                    // what is kept in history is never without a reason
                    self.must(outcome == Outcome::Committed || reason.is_some(), || format!("{at:?} is abandoned for no reason"));
                    let slow = if self.fault(10) { 6_000 } else { 60 };
                    self.after(1, slow, Happening::Stored(at, outcome));
                }
                fabric::Action::Declined { at, reason } => self.must(false, || format!("{at:?} is declined: {reason}")),
                fabric::Action::Finished { at, outcome, status, reason } => {
                    self.tell(|| format!("finished {at:?} {outcome:?} {reason:?} {:?}", status.standing));
                    *self.outcomes.entry(if outcome == Outcome::Committed { "committed" } else { "abandoned" }).or_default() += 1;
                    if self.last == Some(at) {
                        self.must(outcome == Outcome::Committed, || format!("a transaction without faults is abandoned: {reason:?}"));
                        self.must(status.standing == Standing::Full, || format!("after a transaction without faults: {status:?}"));
                    }
                    self.after(1, 2_000, Happening::Starts);
                }
            }
        }
        let wake = self.controller.machine.as_ref().and_then(fabric::Machine::wake_at).map(|when| when.max(self.now + 1));
        if let Some(when) = wake.filter(|_| self.controller.wake != wake) {
            self.controller.wake = wake;
            self.at(when, Happening::ControllerWakes);
        }
    }

    pub(super) fn send(&mut self, name: &Name, intention: fabric::Intention) {
        let Some(device) = self.devices.iter().position(|fake| fake.name == *name) else { return };
        if let fabric::Intention::Confirm { at } = intention {
            self.must(self.controller.committed.contains(&at), || format!("{name} is to confirm {at:?}, which is not decided"));
        }
        let order = order(name, intention);
        self.devices[device].recorded.push(order.clone());
        let Some(connection) = self.devices[device].connection else { return };
        if self.fault(2) {
            return; // lost without anybody noticing
        }
        for _ in 0..if self.fault(5) { 2 } else { 1 } {
            let when = self.arrival(device, 0);
            self.at(when, Happening::ToDevice(device, Some(connection), order.clone()));
        }
    }

    pub(super) fn transaction_starts(&mut self) {
        let ready = self.controller.machine.as_ref().is_some_and(|machine| machine.running().is_none());
        // the last one only when everyone is where they should be
        let settled =
            self.quiet && self.devices.iter().all(|fake| fake.connection.is_some() && !fake.busy) && self.now > FAULTS_END + 80_000;
        if !ready || (self.left == 0 && !settled) {
            if self.last.is_none() {
                self.after(300, 900, Happening::Starts);
            }
            return;
        }
        if self.last.is_some() {
            return;
        }
        self.generation += 1;
        let this = at(self.generation);
        let all: BTreeSet<Name> = self.devices.iter().map(|fake| fake.name.clone()).collect();
        let mut changed: BTreeSet<Name> = all.iter().filter(|_| settled || self.chance.percent(70)).cloned().collect();
        if changed.is_empty() {
            changed.clone_from(&all);
        }
        let pairs = [["leaf-01", "leaf-02"], ["spine-01", "spine-02"]].map(|pair| pair.map(|name| name.parse().unwrap()).into());
        let transaction = Transaction {
            at: this,
            parent: self.controller.store.head,
            devices: changed.iter().map(|name| (name.clone(), files(name, self.generation))).collect(),
            batches: batches(&changed, &pairs, None),
            on_failure: self.on_failure,
        };
        if settled {
            self.check_settled();
            self.last = Some(this);
        }
        self.left = self.left.saturating_sub(1);
        self.controller.store = Ledger { undecided: Some(transaction.clone()), ..self.controller.store.clone() };
        self.controller_event(fabric::Event::Start(transaction));
        let outcome = if self.chance.percent(50) { Outcome::Committed } else { Outcome::Abandoned };
        if self.last.is_none() {
            self.after(8_000, 20_000, Happening::Person(this, outcome));
        }
        // when the controller crashes meanwhile, nobody tells that it is finished
        self.after(2_000, 5_000, Happening::Starts);
    }
}
