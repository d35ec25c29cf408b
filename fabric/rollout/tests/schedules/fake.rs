//! Fake devices and a fake store: what survives a crash, and what a device really is.

use std::collections::{BTreeSet, HashMap};
use std::sync::{LazyLock, Mutex};

use ed25519_dalek::SigningKey;
use leafwall_rollout::device::{self, Journal, Kept};
use leafwall_rollout::digest::Digest;
use leafwall_rollout::fabric::{self, Intention, Ledger, Outcome};
use leafwall_rollout::message::{At, Order};
use leafwall_rollout::revision::{DeviceRevision, Files, Generation};
use leafwall_rollout::signed::Signed;
use leafwall_topology::Name;

pub static KEY: LazyLock<SigningKey> = LazyLock::new(|| SigningKey::from_bytes(&[7; 32]));
static STRANGER: LazyLock<SigningKey> = LazyLock::new(|| SigningKey::from_bytes(&[8; 32]));

pub fn at(generation: u64) -> At {
    At { generation: Generation(generation), revision: Digest::of(format!("revision {generation}").as_bytes()) }
}

pub fn files(device: &Name, generation: u64) -> Files {
    [("frr.conf".to_owned(), Digest::of(format!("{device} in revision {generation}").as_bytes()))].into()
}

pub fn statement(device: &Name, generation: u64, replaces: Option<Digest>) -> DeviceRevision {
    DeviceRevision {
        device: device.clone(),
        generation: Generation(generation),
        revision: at(generation).revision,
        replaces,
        files: files(device, generation),
    }
}

type Orders = HashMap<(Name, u64, Option<Digest>), Signed<DeviceRevision>>;

/// Signed once for all schedules: signing is what takes longest.
pub fn signed(device: &Name, generation: u64, replaces: Option<Digest>) -> Signed<DeviceRevision> {
    static SIGNED: LazyLock<Mutex<Orders>> = LazyLock::new(Mutex::default);
    let make = || Signed::new(&statement(device, generation, replaces), &KEY).unwrap();
    SIGNED.lock().unwrap().entry((device.clone(), generation, replaces)).or_insert_with(make).clone()
}

/// What an attacker makes up: somebody else's signature, or another text under a good one.
pub fn forged(device: &Name, generation: u64, replaces: Option<Digest>, changed: bool) -> Order {
    let wrong = DeviceRevision { files: files(device, 666), ..statement(device, generation, replaces) };
    let revision = if changed {
        Signed::from_parts(serde_json::to_string(&wrong).unwrap(), signed(device, generation, replaces).signature)
    } else {
        Signed::new(&wrong, &STRANGER).unwrap()
    };
    Order::Prepare { revision }
}

pub fn order(device: &Name, intention: Intention) -> Order {
    match intention {
        Intention::Prepare { at, files: wanted, replaces } => {
            assert_eq!(wanted, files(device, at.generation.0), "the controller mixes up files");
            Order::Prepare { revision: signed(device, at.generation.0, replaces) }
        }
        Intention::Apply { at, confirm_within } => Order::Apply { at, confirm_within },
        Intention::Confirm { at } => Order::Confirm { at },
        Intention::Abandon { at } => Order::Abandon { at },
    }
}

/// What a device really is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Is {
    /// Nothing of ours, or one revision.
    One(Option<At>),
    /// Something between.
    Mix,
}

pub struct FakeDevice {
    pub name: Name,
    pub machine: Option<device::Machine>,
    pub disk: Journal,
    pub is: Is,
    /// Work that is under way.
    pub busy: bool,
    /// Grows with each crash: what was under way then is lost.
    pub life: u64,
    /// The connection to the controller.
    pub connection: Option<u64>,
    /// Crashes before this many more actions.
    pub crash_in: Option<u64>,
    /// The newest that it said is confirmed.
    pub acknowledged: Option<At>,
    /// What it was told to leave.
    pub renounced: BTreeSet<At>,
    /// When it was last told, or saw, that it may be unconfirmed.
    pub renewed: u64,
    pub wake: Option<u64>,
    /// All orders that ever went to it.
    pub recorded: Vec<Order>,
}

impl FakeDevice {
    pub fn new(name: Name) -> Self {
        Self {
            name,
            machine: None,
            disk: Journal::default(),
            is: Is::One(None),
            busy: false,
            life: 0,
            connection: None,
            crash_in: None,
            acknowledged: None,
            renounced: BTreeSet::new(),
            renewed: 0,
            wake: None,
            recorded: Vec::new(),
        }
    }

    /// What is wrong with making the device this.
    pub fn complaint(&self, kept: &Kept) -> Option<&'static str> {
        let signed = kept.order.verify(&[KEY.verifying_key()]);
        let right = signed.is_ok_and(|said| {
            said.device == self.name && said.files == kept.files && At { generation: said.generation, revision: said.revision } == kept.at
        });
        let pending = self.disk.pending.as_ref().is_some_and(|pending| pending.kept == *kept);
        let confirmed = self.disk.confirmed.as_ref() == Some(kept);
        match () {
            () if !right => Some("it was not signed"),
            () if !pending && !confirmed => Some("it is not in the journal"),
            () if !confirmed && self.disk.pending.as_ref().is_some_and(|p| p.phase == leafwall_rollout::message::Phase::Prepared) => {
                Some("the journal does not say that it is being made")
            }
            () if self.renounced.contains(&kept.at) => Some("it was abandoned before"),
            () if self.busy => Some("the device is being changed already"),
            () => None,
        }
    }
}

/// The store, and whoever runs on it.
#[derive(Default)]
pub struct FakeController {
    pub machine: Option<fabric::Machine>,
    pub store: Ledger,
    pub committed: BTreeSet<At>,
    pub abandoned: BTreeSet<At>,
    pub wake: Option<u64>,
}

impl FakeController {
    /// The first word counts.
    pub fn keep(&mut self, at: At, outcome: Outcome) -> Outcome {
        if self.store.undecided.as_ref().is_some_and(|transaction| transaction.at == at) {
            self.store.decide(outcome);
            match outcome {
                Outcome::Committed => self.committed.insert(at),
                Outcome::Abandoned => self.abandoned.insert(at),
            };
        }
        if self.committed.contains(&at) { Outcome::Committed } else { Outcome::Abandoned }
    }
}
