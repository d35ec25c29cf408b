//! Packets on their way through the fabric, as sets: where they arrive, where they are lost, hop by hop.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use leafwall_policy::nft::{CtState, Hook};
use leafwall_policy::sets::{Field, Header, PacketSet};
use leafwall_render::frr::{Exchange, FamilyKind, VniStatement};
use leafwall_topology::{Family, IfName, Name, Prefix, RouteTarget, VlanId, Vni};

use crate::fabric::{Consulted, Fabric};
use crate::ground::Owner;
use crate::memo::Memo;
use crate::nft::{Certainty, Context};
use crate::read::Device;
use crate::tables::{Tables, Via};

/// Where packets leave the fabric.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum End {
    /// At a machine.
    Machine(Name),
    /// At a router outside.
    Outside(Name),
    /// At a switch or firewall machine itself.
    Device(Name),
}

/// A firewall machine that a flow went through, and what became of its source there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Crossing {
    /// The machine.
    pub machine: Name,
    /// The new source, where it was translated.
    pub translated: Option<Vec<IpAddr>>,
    /// The sources before.
    pub before: PacketSet,
}

/// Packets that arrived or were lost.
#[derive(Debug, Clone)]
pub struct Outcome {
    /// Where; `None` if they were lost.
    pub end: Option<End>,
    /// As they are then.
    pub packets: PacketSet,
    /// Their way, where it was asked for.
    pub path: Vec<String>,
    /// Firewall machines on it.
    pub through: Vec<Crossing>,
}

/// The way back of a flow: at these machines conntrack knows it, and where its source was translated gives an answer the old destination back.
pub type Return = Vec<(Name, Option<(IpAddr, IpAddr)>)>;

/// Longer ways are loops.
const HOPS: usize = 24;

/// Walks packets over routing tables.
pub struct Walker<'w, 'a> {
    fabric: &'w Fabric<'a>,
    tables: &'w Tables,
    /// Whether a device has a way to a tunnel's end, and the devices that this depends on.
    reached: Memo<(Ipv4Addr, &'a Name), (bool, Consulted<'a>)>,
    /// Machines on access ports, by the segment that they are in.
    stations: BTreeMap<Segment<'a>, Vec<Station<'a>>>,
}

/// What bridged machines share.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Segment<'a> {
    Vlan(&'a Name, VlanId),
    Vni(Vni),
}

/// A machine on an access port.
#[derive(Clone, Copy)]
struct Station<'a> {
    at: &'a Device,
    port: &'a IfName,
    vlan: VlanId,
    server: &'a Name,
}

/// Whether somebody wants to know the way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Telling {
    /// In words, hop by hop.
    Way,
    /// Only where packets end.
    EndsOnly,
}

#[derive(Clone)]
struct Step {
    /// In words, where somebody wants to know.
    path: Option<Vec<String>>,
    hops: usize,
    through: Vec<Crossing>,
    back: Option<Return>,
}

impl Step {
    fn hop(&self, text: impl FnOnce() -> String) -> Self {
        let mut next = self.clone();
        next.hops += 1;
        next.tell(text);
        next
    }

    fn tell(&mut self, text: impl FnOnce() -> String) {
        if let Some(path) = &mut self.path {
            path.push(text());
        }
    }
}

impl<'w, 'a> Walker<'w, 'a> {
    /// Over the tables of a fabric, to these machines.
    pub fn new(fabric: &'w Fabric<'a>, tables: &'w Tables, machines: &[&'a Name]) -> Self {
        let mut stations: BTreeMap<Segment<'_>, Vec<Station<'_>>> = BTreeMap::new();
        let mut ports: Vec<_> = machines
            .iter()
            .flat_map(|server| fabric.ground.ports_of(server).iter().map(move |(name, port)| (name, port, *server)))
            .collect();
        ports.sort();
        for (name, port, server) in ports {
            let (Some(Owner::Machine { .. }), Some(at)) = (fabric.ground.owner(name, port), fabric.devices.get(name)) else { continue };
            let Some((vlan, _)) = at.access(port).filter(|_| at.is_up(port)) else { continue };
            let station = Station { at, port, vlan, server };
            stations.entry(Segment::Vlan(&at.name, vlan)).or_default().push(station);
            if let Some(vni) = at.vni_of(vlan) {
                stations.entry(Segment::Vni(vni)).or_default().push(station);
            }
        }
        Self { fabric, tables, reached: Memo::default(), stations }
    }

    /// Packets that a machine sends on one of its ports.
    pub fn enter(&self, device: &'a Device, port: &IfName, packets: &PacketSet, back: Option<Return>, telling: Telling) -> Vec<Outcome> {
        let path = (telling == Telling::Way).then(|| vec![format!("{}: in by {port}", device.name)]);
        let step = Step { path, hops: 1, through: Vec::new(), back };
        let mut out = Vec::new();
        match device.access(port) {
            Some((vlan, _)) => self.enter_vlan(device, vlan, packets, &step, &mut out),
            None => match device.vrf_of(port) {
                Some(vrf) => self.routed(device, vrf, packets, &step, &mut out),
                None => lose(packets, &step.hop(|| format!("{}: in the underlay", device.name)), &mut out),
            },
        }
        out
    }

    /// From a bridged machine: to its neighbours in the subnet, or to the gateway.
    fn enter_vlan(&self, device: &'a Device, vlan: VlanId, packets: &PacketSet, step: &Step, out: &mut Vec<Outcome>) {
        let svi = device.svis.get(&vlan).filter(|svi| device.is_up(svi));
        let link = svi.and_then(|svi| device.link(svi));
        let mut left = packets.clone();
        for address in link.into_iter().flat_map(|link| &link.addresses) {
            let Some(subnet) = Prefix::containing(address.address(), address.length()) else { continue };
            let gateway = PacketSet::addresses(Field::Destination, address.address(), address.address());
            let neighbours = left.and(&PacketSet::prefix(Field::Destination, subnet)).minus(&gateway);
            left = left.minus(&neighbours);
            self.bridged(device, vlan, &neighbours, step, out);
        }
        let families = Family::BOTH
            .into_iter()
            .filter(|family| link.is_some_and(|link| link.addresses.iter().any(|address| Family::of(address.address()) == *family)));
        let served = PacketSet::union(families.map(PacketSet::family));
        match svi.and_then(|svi| device.vrf_of(svi)) {
            Some(vrf) => {
                self.routed(device, vrf, &left.and(&served), step, out);
                lose(&left.minus(&served), &step.hop(|| format!("{}: no gateway in VLAN {vlan}", device.name)), out);
            }
            None => lose(&left, &step.hop(|| format!("{}: no gateway in VLAN {vlan}", device.name)), out),
        }
    }

    /// To whoever has the address in the VLAN, here or behind tunnels of its VNI.
    fn bridged(&self, device: &'a Device, vlan: VlanId, packets: &PacketSet, step: &Step, out: &mut Vec<Outcome>) {
        let mut left = packets.clone();
        let vni = device.vni_of(vlan);
        let here = self.stations.get(&Segment::Vlan(&device.name, vlan)).into_iter().flatten();
        let behind = vni.and_then(|vni| self.stations.get(&Segment::Vni(vni))).into_iter().flatten();
        for Station { at: there, port, vlan: far_vlan, server } in here.chain(behind.filter(|far| far.at.name != device.name)) {
            let Some(machine) = self.fabric.machines.get(*server) else { continue };
            let far = &there.name;
            let local = *far == device.name;
            let to = PacketSet::union(crate::fabric::addresses(&machine.links).map(|a| PacketSet::addresses(Field::Destination, a, a)));
            let here = packets.and(&to);
            if here.is_empty() {
                continue;
            }
            left = left.minus(&here);
            if local {
                arrive(End::Machine((*server).clone()), &here, &step.hop(|| format!("{}: VLAN {vlan}, out by {port}", device.name)), out);
            } else if let Some(vni) = vni {
                let heard =
                    type2(there, vni, |statement| if let VniStatement::ExportTarget(target) = statement { Some(*target) } else { None });
                let taken =
                    type2(device, vni, |statement| if let VniStatement::ImportTarget(target) = statement { Some(*target) } else { None });
                let step = step.hop(|| format!("{}: VLAN {vlan}, VNI {vni} to {far}", device.name));
                if heard.is_disjoint(&taken) || !self.tunnel_works(&device.name, there.vtep) {
                    lose(&here, &step.hop(|| format!("{}: no MAC route from {far}", device.name)), out);
                } else {
                    arrive(End::Machine((*server).clone()), &here, &step.hop(|| format!("{far}: VLAN {far_vlan}, out by {port}")), out);
                }
            }
        }
        lose(&left, &step.hop(|| format!("{}: nobody in VLAN {vlan} has that address", device.name)), out);
    }

    /// Tunnels that were found to work so far: their ends, and the devices that have a way there.
    pub fn working(&self) -> Vec<(Ipv4Addr, &'a Name)> {
        self.reached.answered(|(works, _)| *works)
    }

    /// The devices that what was found of tunnels depends on.
    pub(crate) fn consulted(&self) -> Vec<Consulted<'a>> {
        self.reached.answers(|(_, consulted)| Arc::clone(consulted))
    }

    /// Whether the underlay has a way from a device to a tunnel's end.
    pub fn tunnel_works(&self, from: &'a Name, to: Option<Ipv4Addr>) -> bool {
        to.is_some_and(|to| self.reached.get((to, from), |_| self.fabric.tunnel_works(from, to)).0)
    }

    /// In a VRF: what is for the device itself, then by the longest prefix.
    fn routed(&self, device: &'a Device, vrf: &IfName, packets: &PacketSet, step: &Step, out: &mut Vec<Outcome>) {
        if packets.is_empty() {
            return;
        }
        if step.hops > HOPS {
            return lose(packets, &step.hop(|| "goes round in circles".to_owned()), out);
        }
        let step = &step.hop(|| format!("{}: VRF {vrf}", device.name));
        let mut left = packets.clone();
        for link in device.links.links.iter().filter(|link| link.name == *vrf || device.vrf_of(&link.name) == Some(vrf)) {
            for address in &link.addresses {
                let here = left.and(&PacketSet::addresses(Field::Destination, address.address(), address.address()));
                if !here.is_empty() {
                    left = left.minus(&here);
                    self.at_device(device, vrf, &here, step, out);
                }
            }
        }
        let Some(table) = self.tables.get(&(device.name.clone(), vrf.clone())) else {
            return lose(&left, &step.hop(|| format!("{}: no routes", device.name)), out);
        };
        let mut prefixes: Vec<_> = table.iter().collect();
        prefixes.sort_by_key(|(prefix, _)| std::cmp::Reverse(prefix.length()));
        for (prefix, routes) in prefixes {
            let here = left.and(&PacketSet::prefix(Field::Destination, *prefix));
            if here.is_empty() {
                continue;
            }
            left = left.minus(&here);
            let best = routes.iter().map(|route| route.kind).min();
            let ways: BTreeSet<&Via> = routes
                .iter()
                .filter(|route| Some(route.kind) == best || best > Some(crate::tables::Kind::Own))
                .map(|route| &route.via)
                .collect();
            for via in ways {
                self.forward(device, vrf, *prefix, via, &here, step, out);
            }
            if left.is_empty() {
                break;
            }
        }
        lose(&left, &step.hop(|| format!("{}: no route in {vrf}", device.name)), out);
    }

    fn at_device(&self, device: &Device, vrf: &IfName, packets: &PacketSet, step: &Step, out: &mut Vec<Outcome>) {
        let state = self.state(device, step);
        let context = Context { state, ..Context::new(Some(vrf), None, Certainty::Must) };
        let taken = packets.and(&device.nft.accepted(&context, Hook::Input));
        arrive(
            End::Device(device.name.clone()),
            &taken,
            &step.hop(|| format!("{}: its own address, input chain accepts", device.name)),
            out,
        );
        lose(&packets.minus(&taken), &step.hop(|| format!("{}: its own address, input chain drops", device.name)), out);
    }

    /// What conntrack says there: switches do not track; firewalls know the flows that they let through.
    fn state(&self, device: &Device, step: &Step) -> CtState {
        match &step.back {
            _ if self.fabric.ground.firewall(&device.name).is_none() => CtState::Untracked,
            Some(back) if back.iter().any(|(machine, _)| *machine == device.name) => CtState::Established,
            _ => CtState::New,
        }
    }

    #[allow(clippy::too_many_arguments)] // a packet, where it is, and where it goes
    fn forward(
        &self,
        device: &'a Device,
        vrf: &IfName,
        prefix: Prefix,
        via: &Via,
        packets: &PacketSet,
        step: &Step,
        out: &mut Vec<Outcome>,
    ) {
        let name = &device.name;
        let output = match via {
            Via::Link(link) | Via::Port(link) => link,
            Via::Tunnel { svi, .. } => svi,
            Via::Discard => return lose(packets, &step.hop(|| format!("{name}: route {prefix} is an aggregate: discarded")), out),
        };
        let state = self.state(device, step);
        let context = Context { state, ..Context::new(Some(vrf), Some(output), Certainty::Must) };
        let passed = packets.and(&device.nft.accepted(&context, Hook::Forward));
        let told = |packets: &PacketSet| {
            let packet = packets.witness();
            let chains = packet.map(|packet| device.nft.explain(&context, Hook::Forward, &packet)).unwrap_or_default();
            if chains.is_empty() { String::new() } else { format!(", rule {}", chains.join(" > ")) }
        };
        let dropped = packets.minus(&passed);
        if !dropped.is_empty() {
            lose(&dropped, &step.hop(|| format!("{name}: route {prefix} out by {output}{}: dropped", told(&dropped))), out);
        }
        if passed.is_empty() {
            return;
        }
        let step = step.hop(|| format!("{name}: route {prefix} out by {output}{}", told(&passed)));
        if self.fabric.ground.firewall(name).is_none() {
            return self.leave(device, via, &passed, &step, out);
        }
        if state == CtState::Established {
            return self.leave(device, via, &passed, &step, out);
        }
        let mut untouched = passed;
        for translation in device.nft.translations(&context).iter() {
            let here = untouched.and(&translation.packets);
            if here.is_empty() {
                continue;
            }
            untouched = untouched.minus(&here);
            let to = || translation.to.iter().map(ToString::to_string).collect::<Vec<_>>().join(" or ");
            let mut step = step.hop(|| format!("{name}: source becomes {}", to()));
            step.through.push(Crossing { machine: name.clone(), translated: Some(translation.to.clone()), before: here.clone() });
            self.leave(device, via, &here.translated(&translation.to), &step, out);
        }
        let mut step = step;
        step.through.push(Crossing { machine: name.clone(), translated: None, before: untouched.clone() });
        self.leave(device, via, &untouched, &step, out);
    }

    /// Out of a device.
    fn leave(&self, device: &'a Device, via: &Via, packets: &PacketSet, step: &Step, out: &mut Vec<Outcome>) {
        if packets.is_empty() {
            return;
        }
        let name = &device.name;
        match via {
            Via::Discard => {}
            Via::Port(port) => match self.fabric.ground.owner(name, port) {
                Some(Owner::Machine { server, .. }) => arrive(End::Machine(server.clone()), packets, step, out),
                Some(Owner::Outside(network)) => arrive(End::Outside(network.clone()), packets, step, out),
                _ => lose(packets, &step.hop(|| format!("{name}: nobody behind {port}")), out),
            },
            Via::Link(link) => {
                let vlan = device.svis.iter().find(|(_, svi)| *svi == link).map(|(vlan, _)| *vlan);
                match vlan {
                    Some(vlan) => self.bridged(device, vlan, packets, step, out),
                    None => match self.fabric.ground.owner(name, link) {
                        Some(Owner::Outside(network)) => arrive(End::Outside(network.clone()), packets, step, out),
                        _ => lose(packets, &step.hop(|| format!("{name}: nobody on {link}")), out),
                    },
                }
            }
            Via::Tunnel { svi, vni, to } => self.tunnelled(device, svi, *vni, *to, packets, step, out),
        }
    }

    #[allow(clippy::too_many_arguments)] // a packet, its tunnel, and its way so far
    fn tunnelled(
        &self,
        device: &'a Device,
        svi: &IfName,
        vni: Vni,
        to: Ipv4Addr,
        packets: &PacketSet,
        step: &Step,
        out: &mut Vec<Outcome>,
    ) {
        let name = &device.name;
        let Some(there) = self.fabric.by_vtep(to) else {
            return lose(packets, &step.hop(|| format!("{name}: {svi}: no device has {to}")), out);
        };
        let mut step = step.hop(|| format!("{name}: VNI {vni} to {} ({to})", there.name));
        if !self.tunnel_works(name, Some(to)) {
            return lose(packets, &step.hop(|| format!("{name}: the underlay has no way to {to}")), out);
        }
        let outer = device.vtep.map(|from| Header {
            source: from.into(),
            destination: to.into(),
            protocol: 17,
            source_port: 49_152,
            destination_port: 4789,
            vni: vni.get(),
        });
        if let Some(stopped) = outer.and_then(|outer| self.stopped(device, there, &outer)) {
            return lose(packets, &step.hop(|| stopped), out);
        }
        let Some(vrf) = there.vrf_of_vni(vni) else {
            return lose(packets, &step.hop(|| format!("{}: VNI {vni} leads into no VRF", there.name)), out);
        };
        let mut packets = packets.clone();
        // answers get their old destination back before they are routed
        let known = step.back.iter().flatten().find(|(machine, _)| *machine == there.name);
        if let Some((translated, original)) = known.and_then(|(_, translation)| *translation) {
            let here = packets.and(&PacketSet::addresses(Field::Destination, translated, translated));
            if !here.is_empty() {
                packets = here.forget(Field::Destination).and(&PacketSet::addresses(Field::Destination, original, original));
                step.tell(|| format!("{}: destination becomes {original} again", there.name));
            }
        }
        self.routed(there, vrf, &packets, &step, out);
    }

    /// What stops an outer packet: the guard of a firewall's port, or the input chain where it arrives.
    fn stopped(&self, from: &Device, to: &Device, outer: &Header) -> Option<String> {
        if self.fabric.ground.firewall(&from.name).is_some() {
            for (leaf, port) in self.fabric.ground.ports_of(&from.name) {
                let Some(device) = self.fabric.devices.get(leaf) else { continue };
                let context = Context { state: CtState::Untracked, ..Context::new(Some(port), None, Certainty::Must) };
                let guard = device.nft.ingress(&context, port);
                if guard.is_some_and(|guard| !guard.contains(outer)) {
                    return Some(format!("{leaf}: the guard of {port} drops {outer}"));
                }
                if leaf == &to.name && !device.nft.accepted(&context, Hook::Input).contains(outer) {
                    return Some(format!("{leaf}: input chain drops {outer}"));
                }
            }
        }
        if self.fabric.ground.firewall(&to.name).is_some() {
            for link in &to.links.links {
                let uplink = self.fabric.ground.is_cabled(&to.name, &link.name);
                let context = Context { state: CtState::Untracked, ..Context::new(Some(&link.name), None, Certainty::Must) };
                if uplink && !to.nft.accepted(&context, Hook::Input).contains(outer) {
                    return Some(format!("{}: input chain drops {outer}", to.name));
                }
            }
        }
        None
    }
}

fn lose(packets: &PacketSet, step: &Step, out: &mut Vec<Outcome>) {
    if !packets.is_empty() {
        out.push(Outcome {
            end: None,
            packets: packets.clone(),
            path: step.path.clone().unwrap_or_default(),
            through: step.through.clone(),
        });
    }
}

fn arrive(end: End, packets: &PacketSet, step: &Step, out: &mut Vec<Outcome>) {
    if !packets.is_empty() {
        let step = step.hop(|| match &end {
            End::Machine(name) | End::Device(name) => format!("arrives at {name}"),
            End::Outside(name) => format!("arrives outside, in `{name}`"),
        });
        out.push(Outcome { end: Some(end), packets: packets.clone(), path: step.path.unwrap_or_default(), through: step.through });
    }
}

fn type2(device: &Device, vni: Vni, pick: impl Fn(&VniStatement) -> Option<RouteTarget>) -> BTreeSet<RouteTarget> {
    let router = device.router(None).into_iter().flat_map(|router| &router.families);
    let exchanges = router.filter(|family| family.kind == FamilyKind::L2vpnEvpn).flat_map(|family| &family.exchanges);
    let mut targets = BTreeSet::new();
    for exchange in exchanges {
        if let Exchange::Vni(segment) = exchange
            && segment.vni == vni
        {
            targets.extend(segment.statements.iter().filter_map(&pick));
        }
    }
    targets
}
