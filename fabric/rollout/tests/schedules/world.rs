//! A fabric of fake devices under simulated time: what happens, when, and what must hold whenever it does.

mod agents;
mod control;
mod faults;

use std::collections::BTreeMap;

use leafwall_rollout::device;
use leafwall_rollout::fabric::{self, OnFailure, Outcome, Settings};
use leafwall_rollout::message::{Answer, At, Hello, Order};

use crate::fake::{FakeController, FakeDevice, Is};
use crate::random::Chance;

/// Faults happen until then, in milliseconds.
const FAULTS_END: u64 = 25_000;
/// By then all is settled: what is doubled up to the longest pause was tried again.
const END: u64 = FAULTS_END + 120_000;

enum Happening {
    /// Over a connection; none: an attacker's.
    ToDevice(usize, Option<u64>, Order),
    Greeting(usize, u64, Hello),
    ToController(usize, u64, Answer),
    Noticed(usize, u64),
    Device(usize, u64, device::Event),
    DeviceWakes(usize),
    DeviceStarts(usize),
    Connects(usize),
    ControllerWakes,
    ControllerStarts,
    Stored(At, Outcome),
    Person(At, Outcome),
    Health(usize, fabric::Health),
    Starts,
    Fault,
    Quiet,
}

pub struct World {
    seed: u64,
    chance: Chance,
    now: u64,
    queue: BTreeMap<(u64, u64), Happening>,
    sequence: u64,
    connections: u64,
    /// When the last message of each device arrives, to it and from it: a connection keeps the order.
    arrivals: Vec<[u64; 2]>,
    devices: Vec<FakeDevice>,
    controller: FakeController,
    pub on_failure: OnFailure,
    settings: Settings,
    generation: u64,
    /// Revisions still to be tried while there are faults.
    left: u64,
    /// The one that is started when all is quiet.
    last: Option<At>,
    quiet: bool,
    loud: bool,
    pub outcomes: BTreeMap<&'static str, u64>,
}

impl World {
    pub fn new(seed: u64, loud: bool) -> Self {
        let mut chance = Chance::new(seed);
        let names = ["leaf-01", "leaf-02", "leaf-03", "spine-01", "spine-02"];
        let count = 2 + chance.below(4);
        let devices: Vec<_> = names.iter().take(count).map(|name| FakeDevice::new(name.parse().unwrap())).collect();
        let settings = Settings {
            prepare_within: 5_000,
            apply_within: 8_000,
            watch_for: 100,
            confirm_within: 3_000,
            reconnect_within: 1_500,
            repeat_every: 700,
            finish_within: 5_000,
        };
        let on_failure = if chance.percent(25) { OnFailure::Hold } else { OnFailure::RollBack };
        let mut world = Self {
            seed,
            on_failure,
            now: 1_000,
            queue: BTreeMap::new(),
            sequence: 0,
            connections: 0,
            arrivals: vec![[0; 2]; count],
            devices,
            controller: FakeController::default(),
            settings,
            generation: 0,
            left: 1 + chance.draw() % 4,
            last: None,
            quiet: false,
            loud,
            outcomes: BTreeMap::new(),
            chance,
        };
        world.at(1_000, Happening::ControllerStarts);
        for device in 0..count {
            world.at(1_000, Happening::DeviceStarts(device));
        }
        world.at(1_500, Happening::Starts);
        world.at(1_500, Happening::Fault);
        world.at(FAULTS_END, Happening::Quiet);
        world
    }

    pub fn run(mut self) -> BTreeMap<&'static str, u64> {
        while let Some(((now, _), happening)) = self.queue.pop_first() {
            if now > END {
                break;
            }
            self.now = now;
            self.happen(happening);
            self.check_dead_men();
        }
        self.check_end();
        self.outcomes
    }

    fn at(&mut self, when: u64, happening: Happening) {
        self.sequence += 1;
        self.queue.insert((when.max(self.now), self.sequence), happening);
    }

    fn after(&mut self, low: u64, high: u64, happening: Happening) {
        let when = self.now + self.chance.between(low, high);
        self.at(when, happening);
    }

    fn must(&self, holds: bool, what: impl FnOnce() -> String) {
        assert!(holds, "{} (LEAFWALL_SEED={} shows how, at {} ms)", what(), self.seed, self.now);
    }

    fn tell(&self, what: impl FnOnce() -> String) {
        if self.loud {
            println!("{:>7} {}", self.now, what());
        }
    }

    /// Chance that only faults have.
    fn fault(&mut self, percent: u64) -> bool {
        !self.quiet && self.chance.percent(percent)
    }

    fn happen(&mut self, happening: Happening) {
        match happening {
            Happening::ToDevice(device, connection, order) => {
                if connection.is_none() || self.devices[device].connection == connection {
                    self.order_arrives(device, order);
                }
            }
            Happening::Greeting(device, connection, hello) => {
                if self.devices[device].connection == Some(connection) {
                    self.controller_event(fabric::Event::Connected(hello));
                }
            }
            Happening::ToController(device, connection, answer) => {
                if self.devices[device].connection == Some(connection) {
                    let name = self.devices[device].name.clone();
                    self.controller_event(fabric::Event::Heard(name, answer));
                }
            }
            Happening::Noticed(device, connection) => {
                // unless it is there again
                if self.devices[device].connection.is_none_or(|now| now < connection) {
                    let name = self.devices[device].name.clone();
                    self.controller_event(fabric::Event::Lost(name));
                }
            }
            Happening::Device(device, life, event) => {
                if self.devices[device].life == life {
                    self.device_event(device, event);
                }
            }
            Happening::DeviceWakes(device) => {
                if self.devices[device].wake == Some(self.now) {
                    self.devices[device].wake = None;
                    self.device_event(device, device::Event::Tick);
                }
            }
            Happening::DeviceStarts(device) => self.device_starts(device),
            Happening::Connects(device) => self.connects(device),
            Happening::ControllerWakes => {
                if self.controller.wake == Some(self.now) {
                    self.controller.wake = None;
                    self.controller_event(fabric::Event::Tick);
                }
            }
            Happening::ControllerStarts => self.controller_starts(),
            // the store's write may outlive the controller that asked for it
            Happening::Stored(at, outcome) => {
                let kept = self.controller.keep(at, outcome);
                self.controller_event(fabric::Event::Decided(at, kept));
            }
            Happening::Person(at, outcome) => self.controller_event(fabric::Event::Resolve(at, outcome)),
            Happening::Health(device, health) => {
                let name = self.devices[device].name.clone();
                self.controller_event(fabric::Event::Health(name, health));
            }
            Happening::Starts => self.transaction_starts(),
            Happening::Fault => self.faults(),
            Happening::Quiet => {
                self.quiet = true;
                self.devices.iter_mut().for_each(|fake| fake.crash_in = None);
            }
        }
    }

    fn check_end(&self) {
        let store = &self.controller.store;
        self.must(store.undecided.is_none(), || "a transaction is never decided".to_owned());
        self.must(self.last.is_some() && store.head == self.last, || format!("the last transaction is not the head, but {:?}", store.head));
        self.check_settled();
    }

    fn check_settled(&self) {
        let store = &self.controller.store;
        for fake in &self.devices {
            let wanted = store.wanted.get(&fake.name).map(|wanted| wanted.at);
            self.must(fake.is == Is::One(wanted), || format!("{} is {:?}, not {wanted:?}", fake.name, fake.is));
            let confirmed = fake.disk.confirmed.as_ref().map(|kept| kept.at);
            self.must(confirmed == wanted, || format!("{} has confirmed {confirmed:?}, not {wanted:?}", fake.name));
            self.must(fake.disk.pending.is_none(), || format!("{} is still on its way", fake.name));
        }
    }
}

fn short(event: &impl std::fmt::Debug) -> String {
    format!("{event:?}").chars().take(200).collect()
}
