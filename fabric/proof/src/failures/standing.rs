//! What is left standing after a failure, by intents and cabling alone, and so what redundancy promises to go on working.

use std::collections::{BTreeMap, BTreeSet};

use leafwall_intent::model::Firewall;
use leafwall_topology::{IfName, Name, PortRef, Role};

use super::Failure;
use crate::ground::{Ground, Owner};

/// What a pair of endpoints meets on its way beside switches.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Station {
    /// A machine, at the leaves that it is cabled to.
    Machine(Name),
    /// Whichever machine of a firewall is active.
    Firewall(Name),
    /// Routers outside, at the exits that have sessions with them.
    External(Name),
}

/// A fabric after a failure, or a whole one.
pub struct Standing<'a> {
    ground: &'a Ground<'a>,
    failure: Option<&'a Failure>,
    /// The spines that each leaf and exit has a cable to.
    spines: BTreeMap<&'a Name, BTreeSet<&'a Name>>,
}

impl<'a> Standing<'a> {
    /// After a failure; `None` is a fabric where nothing has failed.
    pub fn new(ground: &'a Ground<'a>, failure: Option<&'a Failure>) -> Self {
        let mut standing = Self { ground, failure, spines: BTreeMap::new() };
        // nothing has to stand anywhere while nothing has failed
        if failure.is_some() {
            for cable in ground.model.graph.cables() {
                for (near, far) in [(&cable.a, &cable.b), (&cable.b, &cable.a)] {
                    let both = [near, far].iter().all(|end| standing.serves(&end.device) && standing.has_carrier(&end.device, &end.port));
                    if both && ground.model.switches.get(&far.device).is_some_and(|switch| switch.role == Role::Spine) {
                        standing.spines.entry(&near.device).or_default().insert(&far.device);
                    }
                }
            }
        }
        standing
    }

    /// Whether a device is there.
    fn is_there(&self, device: &Name) -> bool {
        !matches!(self.failure, Some(Failure::Device(gone)) if gone == device)
    }

    /// Whether it is there to be relied on: a switch in maintenance is no redundancy.
    fn serves(&self, device: &Name) -> bool {
        self.is_there(device) && self.ground.model.switches.get(device).is_none_or(|switch| !switch.maintenance)
    }

    /// Whether a port and the cable in it did not fail.
    fn has_carrier(&self, device: &Name, port: &IfName) -> bool {
        let here = |end: &PortRef| end.device == *device && end.port == *port;
        match self.failure {
            Some(Failure::Cable(cable)) => !here(&cable.a) && !here(&cable.b),
            Some(Failure::Outside(end)) => !here(end),
            Some(Failure::Device(_)) | None => true,
        }
    }

    /// The leaves that a machine is still attached to.
    fn leaves_of(&self, machine: &Name) -> BTreeSet<&'a Name> {
        let ground: &'a Ground<'a> = self.ground;
        let ports = ground.ports_of(machine).iter().filter(|(leaf, port)| self.serves(leaf) && self.has_carrier(leaf, port));
        ports.map(|(leaf, _)| leaf).collect()
    }

    /// The machine of a firewall that is active: the first that is there and attached.
    pub fn active<'f>(&self, firewall: &'f Firewall) -> Option<&'f Name> {
        let mut machines = firewall.servers.iter();
        match self.failure {
            None => machines.next(),
            Some(_) => machines.find(|machine| self.is_there(machine) && !self.leaves_of(machine).is_empty()),
        }
    }

    /// The exits that still have sessions with the outside of a network. None, where the sessions that are left are not as good as those that went.
    fn exits_of(&self, network: &Name) -> BTreeSet<&'a Name> {
        let Some(network) = self.ground.network(network) else { return BTreeSet::new() };
        let (left, lost): (Vec<_>, Vec<_>) =
            network.peers.iter().partition(|peer| self.serves(&peer.exit) && self.has_carrier(&peer.exit, &peer.interface));
        let as_good = lost.iter().all(|gone| left.iter().any(|peer| (&peer.import, &peer.export) == (&gone.import, &gone.export)));
        if as_good { left.into_iter().map(|peer| &peer.exit).collect() } else { BTreeSet::new() }
    }

    fn switches_of(&self, station: &Station) -> BTreeSet<&'a Name> {
        match station {
            Station::Machine(machine) => self.leaves_of(machine),
            Station::External(network) => self.exits_of(network),
            Station::Firewall(firewall) => {
                let firewall = self.ground.model.firewalls.get(firewall);
                let machine = firewall.and_then(|firewall| self.active(firewall));
                machine.map(|machine| self.leaves_of(machine)).unwrap_or_default()
            }
        }
    }

    /// Whether what goes from station to station is promised to work: each is still attached somewhere, and from wherever one is there is a way to wherever the next
    /// one is. A leaf that is cut off from all spines promises nothing to those behind it, whoever else they are cabled to.
    pub fn promises(&self, way: &[Station]) -> bool {
        if self.failure.is_none() {
            return true;
        }
        let switches: Vec<_> = way.iter().map(|station| self.switches_of(station)).collect();
        let meet = |one: &Name, other: &Name| {
            one == other || matches!((self.spines.get(one), self.spines.get(other)), (Some(one), Some(other)) if !one.is_disjoint(other))
        };
        switches.iter().all(|here| !here.is_empty())
            && switches.windows(2).all(|pair| match pair {
                [here, there] => here.iter().all(|one| there.iter().all(|other| meet(one, other))),
                _ => true,
            })
    }

    /// Whether a failure is at a node itself: it, its cables, or a switch that it is cabled to.
    pub fn concerns(&self, node: &Name) -> bool {
        let ports = || self.ground.ports_of(node).iter();
        match self.failure {
            Some(Failure::Device(gone)) => gone == node || ports().any(|(leaf, _)| leaf == gone),
            Some(Failure::Cable(cable)) => [&cable.a, &cable.b].into_iter().any(|end| end.device == *node),
            Some(Failure::Outside(_)) | None => false,
        }
    }

    /// Whether a failure takes a session with the outside.
    pub fn concerns_outside(&self) -> bool {
        match self.failure {
            Some(Failure::Device(gone)) => !self.ground.peers_at(gone).is_empty(),
            Some(Failure::Outside(_)) => true,
            Some(Failure::Cable(_)) | None => false,
        }
    }
}

/// Everything that can fail by itself: switches, firewall machines, cables that somebody uses, cables to the outside.
pub fn singles(ground: &Ground<'_>) -> Vec<Failure> {
    let model = ground.model;
    let machines = model.firewalls.values().flat_map(|firewall| &firewall.servers);
    let devices = model.switches.keys().chain(machines).cloned().map(Failure::Device);
    let used = |end: &PortRef| !matches!(ground.owner(&end.device, &end.port), Some(Owner::Idle(_)));
    let cables = model.graph.cables().iter().filter(|cable| used(&cable.a) && used(&cable.b)).cloned().map(Failure::Cable);
    let outside = model.networks.values().flat_map(|network| &network.peers);
    let outside = outside.map(|peer| Failure::Outside(PortRef { device: peer.exit.clone(), port: peer.interface.clone() }));
    let all: BTreeSet<Failure> = devices.chain(cables).chain(outside).collect();
    all.into_iter().collect()
}
