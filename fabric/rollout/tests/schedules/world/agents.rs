//! Fake devices, and their connections.

use leafwall_rollout::device;
use leafwall_rollout::message::{Answer, Order, Phase};

use super::{Happening, World, short};
use crate::fake::{Is, KEY};

impl World {
    pub(super) fn device_starts(&mut self, device: usize) {
        let fake = &mut self.devices[device];
        if fake.machine.is_some() {
            return;
        }
        let (machine, actions) = device::Machine::resume(fake.name.clone(), vec![KEY.verifying_key()], fake.disk.clone(), self.now);
        fake.machine = Some(machine);
        self.tell(|| format!("{} starts", self.devices[device].name));
        let below = self.devices[device].acknowledged > self.devices[device].disk.confirmed.as_ref().map(|kept| kept.at);
        self.must(!below, || format!("{} has lost what it confirmed", self.devices[device].name));
        self.perform(device, actions);
        self.after(1, 300, Happening::Connects(device));
    }

    pub(super) fn device_event(&mut self, device: usize, event: device::Event) {
        let now = self.now;
        if self.devices[device].machine.is_none() {
            return;
        }
        self.devices[device].busy &= !matches!(event, device::Event::Made { .. } | device::Event::WentBack { .. });
        if self.loud {
            println!("{now:>7} {} <- {}", self.devices[device].name, short(&event));
        }
        match &event {
            device::Event::Made { at, outcome: Ok(()) } => self.devices[device].is = Is::One(Some(*at)),
            device::Event::WentBack { outcome: Ok(()), .. } => {
                self.devices[device].is = Is::One(self.devices[device].disk.confirmed.as_ref().map(|kept| kept.at));
            }
            _ => {}
        }
        if matches!(event, device::Event::Made { .. } | device::Event::Order(Order::Apply { .. })) {
            self.devices[device].renewed = now;
        }
        let Some(machine) = self.devices[device].machine.as_mut() else { return };
        let actions = machine.on(now, event);
        self.perform(device, actions);
    }

    pub(super) fn order_arrives(&mut self, device: usize, order: Order) {
        let abandoned = if let Order::Abandon { at } = order { Some(at) } else { None };
        self.device_event(device, device::Event::Order(order));
        let fake = &mut self.devices[device];
        let confirmed = fake.disk.confirmed.as_ref().map(|kept| kept.at);
        if let Some(at) = abandoned.filter(|at| fake.machine.is_some() && fake.disk.newest == Some(*at) && confirmed != Some(*at)) {
            fake.renounced.insert(at);
        }
    }

    pub(super) fn device_crashes(&mut self, device: usize) {
        self.tell(|| format!("{} crashes", self.devices[device].name));
        let reboots = self.chance.percent(30);
        let fake = &mut self.devices[device];
        fake.machine = None;
        fake.life += 1;
        fake.busy = false;
        fake.crash_in = None;
        fake.wake = None;
        if reboots {
            fake.is = Is::One(None);
        }
        self.disconnects(device);
        self.after(10, 3_000, Happening::DeviceStarts(device));
    }

    pub(super) fn perform(&mut self, device: usize, actions: Vec<device::Action>) {
        for action in actions {
            if let Some(left) = self.devices[device].crash_in {
                if left == 0 {
                    return self.device_crashes(device);
                }
                self.devices[device].crash_in = Some(left - 1);
            }
            self.act(device, action);
        }
        let fake = &mut self.devices[device];
        let wake = fake.machine.as_ref().and_then(device::Machine::wake_at).map(|when| when.max(self.now + 1));
        if let Some(when) = wake.filter(|_| fake.wake != wake) {
            fake.wake = wake;
            self.at(when, Happening::DeviceWakes(device));
        }
    }

    pub(super) fn act(&mut self, device: usize, action: device::Action) {
        let life = self.devices[device].life;
        let fails = |world: &mut Self, percent| if world.fault(percent) { Err("bad luck".to_owned()) } else { Ok(()) };
        match action {
            device::Action::Save(journal) => self.devices[device].disk = journal,
            device::Action::Check(kept) => {
                let outcome = fails(self, 5);
                self.after(1, 200, Happening::Device(device, life, device::Event::Checked { at: kept.at, outcome }));
            }
            device::Action::Make(kept) => {
                let complaint = self.devices[device].complaint(&kept);
                self.must(complaint.is_none(), || {
                    format!("{} makes {:?}, but {}", self.devices[device].name, kept.at, complaint.unwrap_or_default())
                });
                self.devices[device].busy = true;
                self.devices[device].is = Is::Mix;
                let outcome = fails(self, 6);
                self.after(5, 800, Happening::Device(device, life, device::Event::Made { at: kept.at, outcome }));
            }
            device::Action::GoBack { from, to } => {
                let fake = &self.devices[device];
                self.must(!fake.busy, || format!("{} goes back while it is being changed", fake.name));
                self.must(to == fake.disk.confirmed, || format!("{} goes back to what it was not", fake.name));
                self.must(fake.acknowledged != Some(from.at), || format!("{} leaves what it confirmed", fake.name));
                self.devices[device].busy = true;
                self.devices[device].is = Is::Mix;
                let outcome = fails(self, 20);
                self.after(5, 500, Happening::Device(device, life, device::Event::WentBack { at: from.at, outcome }));
            }
            device::Action::Greet(hello) => self.say(device, |connection| Happening::Greeting(device, connection, hello.clone())),
            device::Action::Say(answer) => {
                self.check_answer(device, &answer);
                if self.fault(2) {
                    return; // lost without anybody noticing
                }
                self.say(device, |connection| Happening::ToController(device, connection, answer.clone()));
                if self.fault(5) {
                    self.say(device, |connection| Happening::ToController(device, connection, answer.clone()));
                }
            }
        }
    }

    pub(super) fn check_answer(&mut self, device: usize, answer: &Answer) {
        let fake = &self.devices[device];
        match answer {
            Answer::Applied { at } => self.must(fake.is == Is::One(Some(*at)), || format!("{} is {:?}, not {at:?}", fake.name, fake.is)),
            Answer::Confirmed { at } => {
                let durable = fake.disk.confirmed.as_ref().is_some_and(|kept| kept.at == *at);
                self.must(durable, || format!("{} confirms what is not on its disk", fake.name));
                self.must(self.controller.committed.contains(at), || format!("{} confirms what was never decided", fake.name));
                self.must(fake.acknowledged.is_none_or(|before| before <= *at), || format!("{} goes below what it confirmed", fake.name));
                self.devices[device].acknowledged = Some(*at);
            }
            Answer::WentBack { from, .. } => self.must(fake.is != Is::One(Some(*from)), || format!("{} is still {from:?}", fake.name)),
            Answer::Prepared { .. } | Answer::Refused { .. } | Answer::Failed { .. } => {}
        }
    }

    pub(super) fn check_dead_men(&self) {
        for fake in &self.devices {
            let pending = fake.machine.as_ref().and_then(|machine| machine.journal().pending.as_ref());
            if pending.is_some_and(|pending| pending.phase == Phase::Unconfirmed) {
                let late = self.now > fake.renewed + self.settings.confirm_within;
                self.must(!late, || format!("{} waits for its confirmation since {} ms", fake.name, fake.renewed));
            }
        }
    }

    pub(super) fn connects(&mut self, device: usize) {
        if self.devices[device].machine.is_none() || self.devices[device].connection.is_some() {
            return;
        }
        if self.controller.machine.is_none() || self.fault(20) {
            return self.after(50, 500, Happening::Connects(device));
        }
        self.connections += 1;
        self.devices[device].connection = Some(self.connections);
        self.device_event(device, device::Event::Connected);
    }

    pub(super) fn disconnects(&mut self, device: usize) {
        let Some(connection) = self.devices[device].connection.take() else { return };
        self.tell(|| format!("{} is cut off", self.devices[device].name));
        self.after(0, 800, Happening::Noticed(device, connection));
        self.after(1, 2_500, Happening::Connects(device));
        self.device_event(device, device::Event::ControllerLost);
    }

    pub(super) fn arrival(&mut self, device: usize, way: usize) -> u64 {
        let slow = if self.fault(5) { 1_500 } else { 15 };
        let when = (self.now + self.chance.between(0, slow)).max(self.arrivals[device][way]);
        self.arrivals[device][way] = when;
        when
    }

    pub(super) fn say(&mut self, device: usize, message: impl Fn(u64) -> Happening) {
        if let Some(connection) = self.devices[device].connection {
            let when = self.arrival(device, 1);
            self.at(when, message(connection));
        }
    }
}
