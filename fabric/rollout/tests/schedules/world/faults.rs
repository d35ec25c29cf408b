//! What goes wrong.

use leafwall_rollout::message::{At, Order};
use leafwall_rollout::{device, fabric};

use super::{Happening, World};
use crate::fake::{KEY, at};

impl World {
    pub(super) fn faults(&mut self) {
        if self.quiet {
            return;
        }
        let device = self.chance.below(self.devices.len());
        match self.chance.below(10) {
            0 | 1 => self.disconnects(device),
            2 if self.devices[device].machine.is_some() => self.device_crashes(device),
            3 | 4 => self.devices[device].crash_in = Some(self.chance.draw() % 6),
            5 => self.device_event(device, device::Event::HealthLost { reason: "no session is left".to_owned() }),
            6 => {
                self.after(0, 10, Happening::Health(device, fabric::Health::Bad("probes are lost".to_owned())));
                self.after(11, 2_000, Happening::Health(device, fabric::Health::Good));
            }
            7 if self.chance.percent(30) && self.controller.machine.is_some() => self.controller_crashes(),
            _ => self.attack(device),
        }
        self.after(200, 2_500, Happening::Fault);
    }

    pub(super) fn attack(&mut self, device: usize) {
        let fake = &self.devices[device];
        let here = fake.disk.confirmed.as_ref().map(|kept| kept.at.revision);
        let name = fake.name.clone();
        if self.chance.percent(30) {
            let (changed, generation) = (self.chance.percent(50), self.chance.between(1, self.generation + 2));
            let order = crate::fake::forged(&name, generation, here, changed);
            self.after(0, 50, Happening::ToDevice(device, None, order));
            return self.after(200, 300, Happening::ToDevice(device, None, self.apply(at(generation))));
        }
        // also of other devices
        let from = if self.chance.percent(80) { device } else { self.chance.below(self.devices.len()) };
        if self.devices[from].recorded.is_empty() {
            return;
        }
        let order = self.chance.pick(&self.devices[from].recorded).clone();
        if let Order::Prepare { revision } = &order
            && let Ok(said) = revision.verify(&[KEY.verifying_key()])
        {
            let at = At { generation: said.generation, revision: said.revision };
            self.after(300, 400, Happening::ToDevice(device, None, self.apply(at)));
        } else if from != device {
            return; // what is decided for one device is decided for all, but only if it takes part
        }
        self.after(0, 50, Happening::ToDevice(device, None, order));
    }

    pub(super) const fn apply(&self, at: At) -> Order {
        Order::Apply { at, confirm_within: self.settings.confirm_within }
    }
}
