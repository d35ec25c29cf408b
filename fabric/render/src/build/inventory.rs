//! fabric.json from the Model and its plan.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

use leafwall_intent::model::{ExternalPeer, Model, ServerManagement};
use leafwall_plan::device::{Device, DevicePlan, Plan};
use leafwall_plan::{Table, allocation::AddressHolder};
use leafwall_topology::{Family, HostAddress, IfName, Name, Prefix, Role};

use super::SECRET_PREFIX;
use crate::inventory::{
    Endpoints, INVENTORY_VERSION, LabCable, LabDevice, LabEndpoint, LabInventory, LabKind, OutsideRouter, OutsideSession,
};

/// What the only router outside is called; where there are several, the network's name follows.
const OUTSIDE: &str = "outside";
/// The first of the addresses that stand for "somewhere in the internet": RFC 2544's benchmark range.
const SOMEWHERE_V4: Ipv4Addr = Ipv4Addr::new(198, 18, 0, 1);
/// The same for IPv6: RFC 5180's.
const SOMEWHERE_V6: Ipv6Addr = Ipv6Addr::new(0x2001, 2, 0, 0, 0, 0, 0, 1);

/// What the lab must know of a fabric beside its devices' files.
pub fn inventory(model: &Model, table: &Table, plan: &Plan) -> LabInventory {
    let routers = outside(model, plan);
    let mut cables: Vec<_> = model
        .graph
        .cables()
        .iter()
        .map(|cable| LabCable(cable.a.device.clone(), cable.a.port.clone(), cable.b.device.clone(), cable.b.port.clone()))
        .collect();
    cables.extend(routers.iter().flat_map(|router| router.cables.iter().cloned()));
    cables.sort();
    cables.dedup();
    let outside: Vec<_> = routers.into_iter().map(|router| router.router).collect();
    let endpoints = endpoints(model, table, plan, &outside, &Endpoints::new());
    LabInventory {
        version: INVENTORY_VERSION,
        fabric: model.fabric.name.clone(),
        timers: Some(timers(model)),
        devices: devices(model, plan),
        endpoints,
        outside,
        cables,
    }
}

/// Of that, who reachability is asked of, and the routers outside. Endpoints that are as `before` are shared with it.
pub fn ends(model: &Model, table: &Table, plan: &Plan, before: &Endpoints) -> (Endpoints, Vec<OutsideRouter>) {
    let outside: Vec<_> = outside(model, plan).into_iter().map(|router| router.router).collect();
    (endpoints(model, table, plan, &outside, before), outside)
}

fn timers(model: &Model) -> String {
    let (bgp, bfd) = (&model.fabric.timers, &model.fabric.bfd);
    format!("BFD {} ms x {}, BGP {}/{} s", bfd.interval_ms, bfd.multiplier, bgp.keepalive, bgp.hold)
}

fn devices(model: &Model, plan: &Plan) -> Vec<LabDevice> {
    let switches = model.switches.values().map(|switch| LabDevice {
        name: switch.name.clone(),
        kind: match switch.role {
            Role::Spine => LabKind::Spine,
            Role::Leaf => LabKind::Leaf,
            Role::Exit => LabKind::Exit,
        },
        management: switch.management.as_ref().map(|management| management.address),
    });
    let servers = model.servers.values().map(|server| LabDevice {
        name: server.name.clone(),
        kind: match plan.devices.get(&server.name).map(|plan| &plan.device) {
            Some(Device::Firewall(_)) => LabKind::Firewall,
            Some(Device::Routed(_)) => LabKind::ServerRouted,
            Some(Device::Bridged(_)) => LabKind::ServerBridged,
            Some(Device::Switch(_)) | None => LabKind::ServerIdle,
        },
        management: match server.management {
            Some(ServerManagement::Address(address)) => Some(address),
            Some(ServerManagement::Inband(_)) | None => None,
        },
    });
    let mut devices: Vec<_> = switches.chain(servers).collect();
    devices.sort_by(|a, b| a.name.cmp(&b.name));
    devices
}

fn endpoint(node: &Name, addresses: impl IntoIterator<Item = IpAddr>) -> LabEndpoint {
    let mut endpoint = LabEndpoint { node: node.clone(), vrf: None, v4: Vec::new(), v6: Vec::new() };
    for address in addresses {
        match address {
            IpAddr::V4(v4) => endpoint.v4.push(v4),
            IpAddr::V6(v6) => endpoint.v6.push(v6),
        }
    }
    endpoint
}

/// Servers with their addresses, firewall machines with their loopbacks in the underlay, Addresses that are bound to a server, and the outside.
fn endpoints(model: &Model, table: &Table, plan: &Plan, outside: &[OutsideRouter], before: &Endpoints) -> Endpoints {
    let shared = |name: &Name, found: LabEndpoint| match before.get(name) {
        Some(same) if **same == found => Arc::clone(same),
        _ => Arc::new(found),
    };
    let mut endpoints = Endpoints::new();
    for DevicePlan { name, device } in plan.devices.values().map(AsRef::as_ref) {
        let found = match device {
            Device::Routed(server) => endpoint(name, server.addresses.iter().copied()),
            Device::Bridged(server) => endpoint(name, server.addresses.iter().map(|address| address.address())),
            Device::Firewall(machine) => endpoint(name, [machine.router.loopback.into()]),
            Device::Switch(_) => continue,
        };
        endpoints.insert(name.clone(), shared(name, found));
    }
    for address in model.addresses.values() {
        if let Some(server) = &address.server {
            let holder = AddressHolder::Elastic(address.name.clone());
            let held = table.addresses(&address.network, &holder).iter().copied();
            // a server may have the same name as an address; the server comes first
            endpoints.entry(address.name.clone()).or_insert_with(|| shared(&address.name, endpoint(server, held)));
        }
    }
    for router in outside {
        let found = endpoint(&router.name, router.addresses.iter().copied());
        endpoints.insert(router.name.clone(), shared(&router.name, found));
    }
    endpoints
}

struct Router {
    router: OutsideRouter,
    cables: Vec<LabCable>,
}

/// One router beyond the exits per external network that has peers.
fn outside(model: &Model, plan: &Plan) -> Vec<Router> {
    let networks: Vec<_> = model.networks.values().filter(|network| !network.peers.is_empty()).collect();
    let mut routers = Vec::new();
    for (index, network) in (0u32..).zip(&networks) {
        let name = if networks.len() == 1 { OUTSIDE.to_owned() } else { format!("{OUTSIDE}-{}", network.name) };
        let Ok(name) = name.parse::<Name>() else { continue };
        let ends: BTreeSet<_> = network.peers.iter().map(|peer| (&peer.exit, &peer.interface)).collect();
        let ports: BTreeMap<_, IfName> =
            ends.into_iter().enumerate().filter_map(|(n, end)| format!("eth{n}").parse().ok().map(|port| (end, port))).collect();
        let announces: BTreeSet<_> = network.peers.iter().flat_map(|peer| peer.import.iter().copied()).collect();
        let sessions = network.peers.iter().filter_map(|peer| session(plan, peer, ports.get(&(&peer.exit, &peer.interface))?));
        let router = OutsideRouter {
            name: name.clone(),
            addresses: addresses(&announces, index),
            announces: announces.iter().copied().collect(),
            sessions: sessions.collect(),
        };
        let cable =
            |((exit, interface), port): ((&Name, &IfName), &IfName)| LabCable(exit.clone(), interface.clone(), name.clone(), port.clone());
        let cables = ports.iter().map(|(&end, port)| cable((end, port))).collect();
        routers.push(Router { router, cables });
    }
    routers.sort_by(|a, b| a.router.name.cmp(&b.router.name));
    routers
}

fn session(plan: &Plan, peer: &ExternalPeer, port: &IfName) -> Option<OutsideSession> {
    let Device::Switch(exit) = &plan.devices.get(&peer.exit)?.device else { return None };
    Some(OutsideSession {
        port: port.clone(),
        vlan: peer.vlan,
        local: HostAddress::new(peer.peer_address, peer.local_address.length())?,
        local_asn: peer.asn,
        remote: peer.local_address.address(),
        remote_asn: exit.router.asn,
        mtu: Some(peer.mtu),
        // what the exit's frr.conf has as long as nobody puts the secret in its place
        password: peer.password_ref.as_ref().map(|name| format!("{SECRET_PREFIX}{name}")),
    })
}

/// An address in each family that the router announces something of: inside the first prefix that is not the default route, else somewhere.
fn addresses(announces: &BTreeSet<Prefix>, index: u32) -> Vec<IpAddr> {
    let of = |family: Family| {
        let mut inside = announces.iter().filter(|prefix| prefix.family() == family).peekable();
        inside.peek()?;
        let somewhere = match family {
            Family::V4 => IpAddr::V4(Ipv4Addr::from(u32::from(SOMEWHERE_V4).saturating_add(index << 8))),
            Family::V6 => IpAddr::V6(Ipv6Addr::from(u128::from(SOMEWHERE_V6).saturating_add(u128::from(index) << 16))),
        };
        let named = inside.find(|prefix| !prefix.is_default()).map(|prefix| prefix.nth(1).unwrap_or_else(|| prefix.network()));
        Some(named.unwrap_or(somewhere))
    };
    Family::BOTH.into_iter().filter_map(of).collect()
}
