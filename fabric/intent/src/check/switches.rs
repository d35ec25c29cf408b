//! Switches, and how devices are told apart and reached.

use std::collections::{HashMap, HashSet};
use std::net::{IpAddr, Ipv4Addr};

use leafwall_topology::{HostAddress, IfName, MacAddr, Name};

use super::cabling::reserved;
use super::fabric::carries_vxlan;
use super::index::{Index, value};
use super::networks::not_a_host;
use crate::codes;
use crate::diagnostic::{Diagnostic, Diagnostics};
use crate::model::ServerRole;
use crate::source::{Place, Spanned};

pub(super) fn check(index: &Index<'_>, out: &mut Diagnostics) {
    serials(index, out);
    macs(index, out);
    management(index, out);
    let tunnels = tunnel_ports(index);
    for switch in &index.intents.switches {
        for (port, settings) in &switch.spec.ports {
            reserved(port, out);
            if let Some(mtu) = settings.value.mtu.filter(|_| tunnels.contains(&(&switch.name.value, &port.value))) {
                carries_vxlan(mtu, out);
            }
        }
    }
}

/// Ports that carry VXLAN: those between switches, and those of firewall machines.
fn tunnel_ports<'a>(index: &Index<'a>) -> HashSet<(&'a Name, &'a IfName)> {
    let links = index.intents.cablings.iter().flat_map(|cabling| cabling.spec.cables()).flat_map(|link| [&link.a, &link.b]);
    let machines = index.intents.servers.iter().filter(|server| server.spec.role() == ServerRole::Firewall);
    let machines = machines.flat_map(|server| server.spec.nics.iter().filter_map(|nic| nic.value.port.as_ref()));
    links.chain(machines).map(|port| (&port.value.device, &port.value.port)).collect()
}

fn serials(index: &Index<'_>, out: &mut Diagnostics) {
    let mut seen = HashMap::new();
    for switch in &index.intents.switches {
        let Some(serial) = &switch.spec.serial else { continue };
        if let Some((first, place)) = seen.get(&serial.value) {
            let message = format!("serial number `{}` is `{first}`'s already", serial.value);
            out.push(Diagnostic::error(codes::DUPLICATE_SERIAL, serial.place, message).with(*place, "first here"));
        } else {
            seen.insert(&serial.value, (&switch.name.value, serial.place));
        }
    }
}

fn macs(index: &Index<'_>, out: &mut Diagnostics) {
    let mut seen: HashMap<MacAddr, Place> = HashMap::new();
    let anycast = index.fabric.and_then(|fabric| fabric.overlay.as_ref()).and_then(|overlay| overlay.value.anycast_mac);
    let loopbacks = index.fabric.and_then(|fabric| fabric.underlay.as_ref()).and_then(|underlay| underlay.value.loopbacks);
    let switches = index.intents.switches.iter().filter_map(|switch| switch.spec.mac);
    let nics = index.intents.servers.iter().flat_map(|server| server.spec.nics.iter().filter_map(|nic| nic.value.mac));
    for mac in switches.chain(nics) {
        if let Some(first) = seen.get(&mac.value) {
            let message = format!("MAC address `{}` is used twice", mac.value);
            out.push(Diagnostic::error(codes::DUPLICATE_MAC, mac.place, message).with(*first, "first here"));
            continue;
        }
        seen.insert(mac.value, mac.place);
        if mac.value == value(anycast.as_ref()).unwrap_or(MacAddr::ANYCAST_DEFAULT) {
            let message = format!("MAC address `{}` is that of the anycast gateways", mac.value);
            let diagnostic = Diagnostic::error(codes::RESERVED_MAC, mac.place, message);
            out.push(match anycast {
                Some(anycast) => diagnostic.with(anycast.place, "the gateways'"),
                None => diagnostic.hint("the gateways' is `overlay.anycastMac` of the Fabric"),
            });
        }
        // the router MAC of a device is made from its loopback
        let [_, _, a, b, c, d] = mac.value.bytes();
        let loopback = Ipv4Addr::new(a, b, c, d);
        if let Some(range) = loopbacks
            && MacAddr::router(loopback) == mac.value
            && range.value.contains_address(IpAddr::V4(loopback))
        {
            let message = format!("MAC address `{}` is the router MAC of the device with loopback {loopback}", mac.value);
            out.push(Diagnostic::error(codes::RESERVED_MAC, mac.place, message).with(range.place, "the range of loopbacks"));
        }
    }
}

fn management(index: &Index<'_>, out: &mut Diagnostics) {
    let mut seen: HashMap<IpAddr, Place> = HashMap::new();
    let switches = index.intents.switches.iter().filter_map(|switch| switch.spec.management.as_ref());
    for management in switches.clone() {
        if let (Some(address), Some(gateway)) = (management.value.address, management.value.gateway) {
            way_out(address, gateway, out);
        }
    }
    let firewalls = index.intents.servers.iter().filter_map(|server| server.spec.management.as_ref()?.value.address);
    for address in switches.filter_map(|management| management.value.address).chain(firewalls) {
        let ip = address.value.address();
        if let Some(reason) = address.value.prefix().and_then(|prefix| not_a_host(prefix, ip)) {
            out.push(Diagnostic::error(codes::NOT_A_HOST_ADDRESS, address.place, format!("`{}` is {reason}", address.value)));
        }
        if let Some(first) = seen.get(&ip) {
            let message = format!("management address `{ip}` is used twice");
            out.push(Diagnostic::error(codes::DUPLICATE_ADDRESS, address.place, message).with(*first, "first here"));
        } else {
            seen.insert(ip, address.place);
        }
    }
}

fn way_out(address: Spanned<HostAddress>, gateway: Spanned<IpAddr>, out: &mut Diagnostics) {
    let Some(subnet) = address.value.prefix() else { return };
    if !subnet.contains_address(gateway.value) {
        let message = format!("gateway `{}` is not in `{subnet}`", gateway.value);
        out.push(Diagnostic::error(codes::GATEWAY_OUTSIDE, gateway.place, message).with(address.place, "the subnet"));
    } else if gateway.value == address.value.address() {
        let message = format!("`{}` is both the device and its gateway", gateway.value);
        out.push(Diagnostic::error(codes::ADDRESS_IS_GATEWAY, gateway.place, message).with(address.place, "the device"));
    }
}
