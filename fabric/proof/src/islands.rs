//! Which endpoints have anything to do with each other: those whose places are joined on devices, or whose networks meet in intents. Between two others there is
//! no way that a packet could be walked along, and none is intended, so nobody needs to look at each pair: there are as many as endpoints squared.

use leafwall_render::frr::Exchange;
use leafwall_topology::Name;
use rustc_hash::FxHashMap;

use crate::domains::{Domain, Place};
use crate::fabric::Fabric;
use crate::ground::Owner;

/// What is joined to others.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Part {
    /// Places of devices.
    Domain(Domain),
    /// A network of the intents.
    Network(Name),
    /// Whoever is on a node.
    Node(Name),
}

/// The islands of a fabric.
#[derive(Debug, Default)]
pub struct Islands {
    parts: FxHashMap<Part, usize>,
    up: Vec<usize>,
}

impl Islands {
    /// From what devices join, and what intents join.
    pub fn new(fabric: &Fabric<'_>) -> Self {
        let mut islands = Self::default();
        islands.by_devices(fabric);
        islands.by_intents(fabric);
        islands
    }

    /// The island that a node's endpoints are on; nodes on different ones have nothing to do with each other.
    pub fn of(&self, node: &Name) -> Option<usize> {
        self.parts.get(&Part::Node(node.clone())).map(|at| self.root(*at))
    }

    fn part(&mut self, part: Part) -> usize {
        let next = self.up.len();
        let at = *self.parts.entry(part).or_insert(next);
        if at == next {
            self.up.push(next);
        }
        at
    }

    fn root(&self, mut at: usize) -> usize {
        while let Some(up) = self.up.get(at).filter(|up| **up != at) {
            at = *up;
        }
        at
    }

    fn join(&mut self, a: Part, b: Part) {
        let (a, b) = (self.part(a), self.part(b));
        let (top, other) = (self.root(a), self.root(b));
        // hung up at the root, so that ways stay short
        for at in [a, b, other] {
            if let Some(up) = self.up.get_mut(at) {
                *up = top;
            }
        }
    }

    fn join_places(&mut self, fabric: &Fabric<'_>, a: &Place, b: &Place) {
        if let (Some(a), Some(b)) = (fabric.domains.of(a), fabric.domains.of(b)) {
            self.join(Part::Domain(a), Part::Domain(b));
        }
    }

    /// A packet gets from one domain into another by a leak, by a route that is taken by its target, or out of a tunnel into a VRF.
    fn by_devices(&mut self, fabric: &Fabric<'_>) {
        for (name, device) in fabric.devices {
            for router in &device.frr.routers {
                let here = Place::Vrf(name.clone(), router.vrf.clone());
                for exchange in router.families.iter().flat_map(|family| &family.exchanges) {
                    if let Exchange::ImportVrf(source) = exchange {
                        self.join_places(fabric, &here, &Place::Vrf(name.clone(), Some(source.clone())));
                    }
                }
            }
            for (vni, vlan) in &device.vnis {
                self.join_places(fabric, &Place::Vni(*vni), &Place::Vlan(name.clone(), *vlan));
                if let Some(vrf) = device.vrf_of_vni(*vni) {
                    self.join_places(fabric, &Place::Vni(*vni), &Place::Vrf(name.clone(), Some(vrf.clone())));
                }
            }
            for (vlan, svi) in &device.svis {
                self.join_places(fabric, &Place::Vlan(name.clone(), *vlan), &Place::Vrf(name.clone(), device.vrf_of(svi).cloned()));
            }
            // a device's own addresses are in all of its VRFs
            if fabric.ground.firewall(name).is_some() {
                for (vrf, _) in device.vrfs() {
                    if let Some(domain) = fabric.domains.of(&Place::Vrf(name.clone(), Some(vrf.clone()))) {
                        self.join(Part::Domain(domain), Part::Node(name.clone()));
                    }
                }
            }
        }
        for (one, other) in fabric.domains.by_targets() {
            self.join(Part::Domain(one), Part::Domain(other));
        }
        for (device, port, owner) in fabric.ground.owners() {
            let Some(domain) = fabric.domains.of(&Place::Port(device.clone(), port.clone())) else { continue };
            match owner {
                Owner::Machine { server, network } => {
                    self.join(Part::Domain(domain), Part::Node(server.clone()));
                    self.join(Part::Domain(domain), Part::Network(network.clone()));
                }
                Owner::Outside(network) => self.join(Part::Domain(domain), Part::Network(network.clone())),
                Owner::Idle(_) | Owner::Firewall(..) | Owner::Switch(_) => {}
            }
        }
    }

    /// What intents let meet, whether or not devices do.
    fn by_intents(&mut self, fabric: &Fabric<'_>) {
        let ground = fabric.ground;
        for peering in ground.model.peerings.values() {
            let [one, other] = &peering.sides;
            self.join(Part::Network(one.network.clone()), Part::Network(other.network.clone()));
        }
        for firewall in ground.model.firewalls.values() {
            for machine in &firewall.servers {
                for network in &firewall.networks {
                    self.join(Part::Node(machine.clone()), Part::Network(network.clone()));
                }
            }
        }
        for endpoint in ground.inventory.endpoints.values() {
            if let Some(allocation) = ground.allocation(&endpoint.node) {
                self.join(Part::Node(endpoint.node.clone()), Part::Network(allocation.network.clone()));
            }
        }
        for outside in &ground.inventory.outside {
            for network in ground.outside_networks(outside) {
                self.join(Part::Node(outside.name.clone()), Part::Network(network.name.clone()));
            }
        }
    }
}
