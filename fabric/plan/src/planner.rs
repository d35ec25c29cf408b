//! Plans of whole fabrics, made at once or brought up to date.

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;
use std::sync::Arc;

use leafwall_intent::model::{Mode, Model};
use leafwall_topology::Name;
use rayon::prelude::*;

use crate::allocation::{Problems, Scope, Table, allocate_in};
use crate::changes::{Changes, Touched};
use crate::context::{Announcers, Context, PlanError};
use crate::device::{Common, Device, DevicePlan, Plan};
use crate::holdings::{PortUse, port_use};
use crate::index::{Index, Use};
use crate::{firewall, server, switch};

/// Why there is no plan.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Failure {
    /// Numbers could not be allocated.
    #[error("numbers and addresses could not be allocated: {0}")]
    Allocation(#[from] Problems),
    /// Model and table don't belong together.
    #[error("the allocation table does not fit the intents: {0}")]
    Reference(#[from] PlanError),
}

/// A Model with its table and its plan, kept so that a change costs only what it touches.
///
/// # Guarantees
/// After any sequence of [`update`](Self::update)s, table and plan equal what [`new`](Self::new) gives for the same Model and the same table before. A
/// device whose plan did not change keeps its [`Arc`]. After an error everything is as before.
#[derive(Debug, Clone)]
pub struct Planner {
    model: Arc<Model>,
    table: Arc<Table>,
    index: Index,
    common: Arc<Common>,
    announcers: Announcers,
    plan: Plan,
}

/// What an update replaced.
#[derive(Debug)]
pub struct Undo(Replaced);

#[derive(Debug)]
enum Replaced {
    Everything(Box<Planner>),
    Parts { model: Arc<Model>, table: Arc<Table>, announcers: Values<Arc<[Ipv4Addr]>>, devices: Values<Arc<DevicePlan>> },
}

impl Planner {
    /// Allocates and plans everything.
    ///
    /// # Errors
    /// [`Failure`]: all problems of the allocation, or a table that does not fit.
    pub fn new(model: impl Into<Arc<Model>>, previous: &Table, generation: u64, parent: Option<u64>) -> Result<Self, Failure> {
        let model = model.into();
        let index = Index::new(&model);
        let table = allocate_in(&model, &index, previous, &Scope::All)?;
        let common = common(&model);
        let announcers = index.firewalls_of_network.keys().map(|n| (n.clone(), announcers_of(&model, &table, &index, n))).collect();
        let ctx = Context { model: &model, table: &table, index: &index, common: &common, announcers: &announcers };
        let names: Vec<_> = model.switches.keys().chain(model.servers.keys()).collect();
        // one by one: the switches, which cost most, come first
        let planned: Vec<_> = names.par_iter().with_max_len(1).map(|name| device(&ctx, name)).collect();
        let mut devices = BTreeMap::new();
        for device in planned {
            // the first error by this order is the one reported, whichever thread was faster
            devices.extend(device?.map(|device| (device.name.clone(), Arc::new(device))));
        }
        let plan = Plan { generation, parent, devices };
        Ok(Self { model, table: Arc::new(table), index, common, announcers, plan })
    }

    /// The Model that is planned.
    pub const fn model(&self) -> &Arc<Model> {
        &self.model
    }

    /// The allocation table.
    pub const fn table(&self) -> &Arc<Table> {
        &self.table
    }

    /// The plan.
    pub const fn plan(&self) -> &Plan {
        &self.plan
    }

    /// Takes over a changed Model. Objects that are the same [`Arc`] are taken as unchanged without a look inside. The devices whose plans changed, came
    /// or went are returned, sorted.
    ///
    /// # Errors
    /// As [`new`](Self::new).
    pub fn update(&mut self, model: impl Into<Arc<Model>>) -> Result<BTreeSet<Name>, Failure> {
        self.update_for_now(model.into()).map(|(changed, _)| changed)
    }

    /// The same, with the way back.
    ///
    /// # Errors
    /// As [`new`](Self::new).
    pub fn update_for_now(&mut self, model: Arc<Model>) -> Result<(BTreeSet<Name>, Undo), Failure> {
        let changes = Changes::between(&self.model, &model);
        if changes.everything {
            let next = Self::new(model, &self.table, self.plan.generation, self.plan.parent)?;
            let (changed, before) = self.replace(next);
            return Ok((changed, Undo(Replaced::Everything(Box::new(before)))));
        }
        let mut replaced =
            Replaced::Parts { model: Arc::clone(&self.model), table: Arc::clone(&self.table), announcers: Vec::new(), devices: Vec::new() };
        let mut changed = BTreeSet::new();
        if !changes.is_empty() {
            let touched_before = changes.touched(&self.model, &self.index);
            changes.apply(&mut self.index, &self.model, &model);
            match self.follow(&model, &changes, touched_before) {
                Ok((before, devices)) => {
                    changed.extend(devices.iter().map(|(name, _)| name.clone()));
                    replaced = Replaced::Parts { model: Arc::clone(&self.model), table: before.0, announcers: before.1, devices };
                }
                Err(failure) => {
                    changes.apply(&mut self.index, &model, &self.model);
                    return Err(failure);
                }
            }
        }
        self.model = model;
        Ok((changed, Undo(replaced)))
    }

    /// Takes the last update back: all is as before it.
    pub fn back(&mut self, Undo(replaced): Undo) {
        match replaced {
            Replaced::Everything(before) => *self = *before,
            Replaced::Parts { model, table, announcers, devices } => {
                Changes::between(&self.model, &model).apply(&mut self.index, &self.model, &model);
                put_back(&mut self.announcers, announcers);
                put_back(&mut self.plan.devices, devices);
                (self.model, self.table) = (model, table);
            }
        }
    }

    /// Numbers the plan as a new revision.
    pub fn number(&mut self, generation: u64, parent: Option<u64>) {
        self.plan.generation = generation;
        self.plan.parent = parent;
    }

    fn replace(&mut self, mut next: Self) -> (BTreeSet<Name>, Self) {
        let mut changed: BTreeSet<Name> = self.plan.devices.keys().filter(|name| !next.plan.devices.contains_key(*name)).cloned().collect();
        for (name, device) in &mut next.plan.devices {
            match self.plan.devices.get(name) {
                Some(old) if old == device => *device = Arc::clone(old),
                _ => drop(changed.insert(name.clone())),
            }
        }
        (changed, std::mem::replace(self, next))
    }

    /// Plans anew what a change touches; the index is the new one already. Nothing but the plan, the table and the announcers is written, and only at the
    /// end; what was there is returned.
    fn follow(&mut self, model: &Model, changes: &Changes, mut touched: Touched) -> Result<Before, Failure> {
        touched.join(changes.touched(model, &self.index));
        let scope =
            Scope::Touched { devices: touched.devices.clone(), networks: touched.networks.clone(), holders: touched.devices.clone() };
        let table = allocate_in(model, &self.index, &self.table, &scope)?;
        let mut moved: BTreeMap<Name, Option<Arc<[Ipv4Addr]>>> = BTreeMap::new();
        for network in &std::mem::take(&mut touched.members) {
            let has_firewall = self.index.firewalls_of_network.has(network);
            let now = has_firewall.then(|| announcers_of(model, &table, &self.index, network));
            if self.announcers.get(network) != now.as_ref() {
                touched.firewall_leaves(model, &self.index, network);
                moved.insert(network.clone(), now);
            }
        }
        let mut announcers = std::mem::take(&mut self.announcers);
        let before = put_back(&mut announcers, moved);
        let ctx = Context { model, table: &table, index: &self.index, common: &self.common, announcers: &announcers };
        let planned: Result<Vec<(Name, Option<DevicePlan>)>, PlanError> =
            touched.devices.iter().map(|name| Ok((name.clone(), device(&ctx, name)?))).collect();
        match planned {
            Err(error) => {
                put_back(&mut announcers, before);
                self.announcers = announcers;
                Err(error.into())
            }
            Ok(planned) => {
                self.announcers = announcers;
                let devices = planned.into_iter().filter_map(|(name, plan)| self.put(name, plan)).collect();
                Ok(((std::mem::replace(&mut self.table, Arc::new(table)), before), devices))
            }
        }
    }

    /// Takes over one device's plan; its name and what it was before, if that changes anything.
    fn put(&mut self, name: Name, plan: Option<DevicePlan>) -> Option<(Name, Option<Arc<DevicePlan>>)> {
        let old = self.plan.devices.get(&name);
        match plan {
            Some(plan) if old.is_some_and(|old| **old == plan) => None,
            Some(plan) => {
                let before = self.plan.devices.insert(name.clone(), Arc::new(plan));
                Some((name, before))
            }
            None => self.plan.devices.remove(&name).map(|before| (name, Some(before))),
        }
    }
}

/// Values by names, some of which are not there.
type Values<T> = Vec<(Name, Option<T>)>;

/// What was there before an update: the table, the announcers and the devices' plans that it replaced.
type Before = ((Arc<Table>, Values<Arc<[Ipv4Addr]>>), Values<Arc<DevicePlan>>);

/// Puts values under their names, or takes away what is there; what was there.
fn put_back<T>(into: &mut BTreeMap<Name, T>, values: impl IntoIterator<Item = (Name, Option<T>)>) -> Values<T> {
    let put = |(name, value): (Name, Option<T>)| {
        let before = match value {
            Some(value) => into.insert(name.clone(), value),
            None => into.remove(&name),
        };
        (name, before)
    };
    values.into_iter().map(put).collect()
}

fn common(model: &Model) -> Arc<Common> {
    let fabric = &model.fabric;
    Arc::new(Common {
        timers: fabric.timers,
        bfd: fabric.bfd,
        dns: fabric.dns.clone(),
        ntp: fabric.ntp.clone(),
        syslog: fabric.syslog.clone(),
        loopbacks: fabric.loopbacks,
    })
}

/// The loopbacks of leaves that have servers of a network, and of its exits; sorted.
fn announcers_of(model: &Model, table: &Table, index: &Index, network: &Name) -> Arc<[Ipv4Addr]> {
    let mut switches: BTreeSet<&Name> = BTreeSet::new();
    for name in index.allocations_of_network.of(network) {
        let Some(server) = model.allocations.get(name).and_then(|allocation| model.servers.get(&allocation.server)) else { continue };
        if matches!(port_use(model, index, &server.name), PortUse::Routed(_) | PortUse::Bridged(_)) {
            switches.extend(server.nics.iter().map(|nic| &nic.port.device));
        }
    }
    if let Some(network) = model.networks.get(network) {
        switches.extend(&network.exits);
    }
    let loopbacks: BTreeSet<Ipv4Addr> = switches.into_iter().filter_map(|switch| table.loopback(switch)).collect();
    loopbacks.into_iter().collect()
}

/// The plan of one device; `None` for a server that is not allocated.
fn device(ctx: &Context<'_>, name: &Name) -> Result<Option<DevicePlan>, PlanError> {
    let device = if let Some(switch) = ctx.model.switches.get(name) {
        Device::Switch(switch::plan(ctx, switch)?)
    } else if let Some(server) = ctx.model.servers.get(name) {
        match ctx.index.uses.of(name).next() {
            Some(Use::Firewall(firewall, position)) => Device::Firewall(firewall::plan(ctx, server, ctx.firewall(firewall)?, *position)?),
            // a server still being installed gets its plan already: its owner configures it before it goes live
            Some(Use::Allocation(allocation)) => {
                let allocation = ctx.allocation(allocation)?;
                match allocation.mode {
                    Mode::Routed => Device::Routed(server::routed(ctx, server, allocation)?),
                    Mode::Bridged => Device::Bridged(server::bridged(ctx, server, allocation)?),
                }
            }
            None => return Ok(None),
        }
    } else {
        return Ok(None);
    };
    Ok(Some(DevicePlan { name: name.clone(), device }))
}
