//! Switches that run SONiC: their hardware, its ports, their version, and what SONiC can't keep.

use std::collections::{BTreeSet, HashMap};

use leafwall_topology::hardware::{HARDWARE, Hardware, Mode, Port};
use leafwall_topology::{IfName, Name, Platform, Release, ReleaseError, Role};

use super::index::{Index, value};
use super::peerings::sides;
use crate::codes;
use crate::diagnostic::{Diagnostic, Diagnostics};
use crate::raw::{Breakout, Object, PortIntent, SwitchIntent};
use crate::source::Place;

/// resolv.conf has three name servers (resolv.conf(5)), and SONiC's model (sonic-dns) as many.
const RESOLVERS: usize = 3;
/// SONiC's model (sonic-ntp) has ten time servers.
const TIME_SERVERS: usize = 10;
/// SONiC's model (sonic-vlan) begins at VLAN 2.
const FIRST_VLAN: u16 = 2;

pub(super) fn check(index: &Index<'_>, out: &mut Diagnostics) {
    let switches: Vec<_> = index.intents.switches.iter().map(|switch| &**switch).filter(|switch| runs_sonic(&switch.spec)).collect();
    let Some(first) = switches.first() else { return };
    limits(index, first, out);
    let uses = uses(index);
    for switch in &switches {
        version(&switch.spec, out);
        management(&switch.spec, out);
        if let Some(hardware) = hardware(switch, out) {
            ports(switch, hardware, uses.get(&switch.name.value).map_or(&[], Vec::as_slice), out);
        }
    }
    peerings(index, out);
    provisioning(index, &switches, out);
}

fn runs_sonic(switch: &SwitchIntent) -> bool {
    value(switch.platform.as_ref()) == Some(Platform::Sonic)
}

fn version(switch: &SwitchIntent, out: &mut Diagnostics) {
    let Some(version) = &switch.version else { return };
    if let Err(error) = Release::find(version.value.as_str()) {
        let usable: Vec<_> = Release::usable().collect();
        let hint = match error {
            ReleaseError::Unknown(_) => "versions begin with the name of their branch; those that can be used:",
            ReleaseError::Faulty { .. } => "those that can be used:",
        };
        let diagnostic = Diagnostic::error(codes::UNUSABLE_VERSION, version.place, error.to_string());
        out.push(diagnostic.hint(format!("{hint} {}", usable.join(", "))));
    }
}

fn hardware(switch: &Object<SwitchIntent>, out: &mut Diagnostics) -> Option<&'static Hardware> {
    let known: Vec<_> = HARDWARE.iter().map(|hardware| hardware.sku).collect();
    let hint = format!("known are {}", known.join(", "));
    let Some(sku) = &switch.spec.hwsku else {
        if switch.sound {
            let message = format!("`{}` runs SONiC and has no `hwsku`: nobody knows its ports", switch.name.value);
            out.push(Diagnostic::error(codes::UNKNOWN_HARDWARE, switch.name.place, message).hint(hint));
        }
        return None;
    };
    let found = Hardware::find(sku.value.as_str());
    if found.is_none() {
        let message = format!("there is no hardware called `{}` that we know the ports of", sku.value.as_str());
        out.push(Diagnostic::error(codes::UNKNOWN_HARDWARE, sku.place, message).hint(hint));
    }
    found
}

/// What a breakout makes of a cage.
fn mode(breakout: Breakout) -> Mode {
    Mode { ports: u16::from(breakout.count), speed: u32::from(breakout.gigabits) * 1000 }
}

fn ports(switch: &Object<SwitchIntent>, hardware: &'static Hardware, uses: &[(&IfName, Place)], out: &mut Diagnostics) {
    let mut split: HashMap<&IfName, Mode> = HashMap::new();
    let mut refused: BTreeSet<&IfName> = BTreeSet::new();
    for (name, settings) in &switch.spec.ports {
        let Some(breakout) = &settings.value.breakout else { continue };
        match hardware.can_split(&name.value, mode(breakout.value)) {
            Ok(()) => drop(split.insert(&name.value, mode(breakout.value))),
            Err(error) => {
                refused.insert(&name.value);
                out.push(Diagnostic::error(codes::PORT_CANNOT, breakout.place, format!("{error} on `{}`", hardware.sku)));
            }
        }
    }
    let ports = hardware.ports(|port| split.get(port).copied());
    let find = |name: &IfName| ports.iter().find(|port| port.name == *name);
    for (name, settings) in &switch.spec.ports {
        match find(&name.value) {
            Some(port) => speed(port, &settings.value, out),
            None if refused.contains(&name.value) => {}
            None => no_port(&name.value, name.place, hardware, &ports, out),
        }
    }
    // where a breakout was refused, ports that it would have made are not worth a word each
    for (name, place) in uses.iter().filter(|_| refused.is_empty()) {
        if find(name).is_none() {
            no_port(name, *place, hardware, &ports, out);
        }
    }
}

fn speed(port: &Port, settings: &PortIntent, out: &mut Diagnostics) {
    let Some(speed) = settings.speed.filter(|speed| !port.speeds.contains(&speed.value)) else { return };
    let speeds: Vec<_> = port.speeds.iter().map(ToString::to_string).collect();
    let message = format!("`{}` ({}) does not run at {} Mbit/s", port.name, port.front_panel(), speed.value);
    out.push(Diagnostic::error(codes::PORT_CANNOT, speed.place, message).hint(format!("it runs at {}", speeds.join(", "))));
}

fn no_port(name: &IfName, place: Place, hardware: &Hardware, ports: &[Port], out: &mut Diagnostics) {
    let message = format!("`{}` has no port `{name}`", hardware.sku);
    let ends = ports.first().zip(ports.last()).map(|(first, last)| {
        format!("its ports are `{}` ({}) to `{}` ({})", first.name, first.front_panel(), last.name, last.front_panel())
    });
    out.push(Diagnostic::error(codes::NO_SUCH_PORT, place, message).hint(ends.unwrap_or_default()));
}

/// Where each switch's ports are named: cables, servers' ports, peers outside.
fn uses<'a>(index: &Index<'a>) -> HashMap<&'a Name, Vec<(&'a IfName, Place)>> {
    let mut uses: HashMap<&Name, Vec<(&IfName, Place)>> = HashMap::new();
    let links = index.intents.cablings.iter().flat_map(|cabling| cabling.spec.cables()).flat_map(|link| [&link.a, &link.b]);
    let nics = index.intents.servers.iter().flat_map(|server| server.spec.nics.iter().filter_map(|nic| nic.value.port.as_ref()));
    for port in links.chain(nics) {
        uses.entry(&port.value.device).or_default().push((&port.value.port, port.place));
    }
    for peer in index.intents.networks.iter().flat_map(|network| &network.spec.peers) {
        if let (Some(exit), Some(interface)) = (&peer.value.exit, &peer.value.interface) {
            uses.entry(&exit.value).or_default().push((&interface.value, interface.place));
        }
    }
    uses
}

/// What SONiC's models bound and the Fabric says for all.
fn limits(index: &Index<'_>, switch: &Object<SwitchIntent>, out: &mut Diagnostics) {
    let Some(fabric) = index.fabric else { return };
    let with = |diagnostic: Diagnostic| diagnostic.with(switch.name.place, "a switch that runs SONiC");
    if let Some(vlans) = fabric.overlay.as_ref().and_then(|overlay| overlay.value.vlans)
        && vlans.value.low().get() < FIRST_VLAN
    {
        let message = format!("SONiC has no VLAN {}", vlans.value.low());
        out.push(with(Diagnostic::error(codes::SONIC_LIMIT, vlans.place, message)).hint(format!("begin at {FIRST_VLAN}")));
    }
    for (what, listed, most) in [("resolvers", &fabric.dns, RESOLVERS), ("time servers", &fabric.ntp, TIME_SERVERS)] {
        if let Some(beyond) = listed.get(most) {
            let message = format!("SONiC takes {most} {what}, these are {}", listed.len());
            out.push(with(Diagnostic::error(codes::SONIC_LIMIT, beyond.place, message)));
        }
    }
}

/// SONiC's model (sonic-mgmt_interface) has no address without a way out.
fn management(switch: &SwitchIntent, out: &mut Diagnostics) {
    let Some(management) = &switch.management else { return };
    if management.value.address.is_some() && management.value.gateway.is_none() {
        let message = "SONiC takes no management address without a gateway";
        out.push(Diagnostic::error(codes::SONIC_LIMIT, management.place, message).hint("add `gateway`"));
    }
}

/// The switches that hold servers of a network.
fn leaves_of<'a>(index: &Index<'a>, network: &Name) -> BTreeSet<&'a Name> {
    let of = index.intents.allocations.iter().filter(|allocation| allocation.spec.is_active());
    let of = of.filter(|allocation| allocation.spec.network.as_ref().is_some_and(|at| at.value == *network));
    let servers = of.filter_map(|allocation| index.servers.get(&allocation.spec.server.as_ref()?.value));
    servers.flat_map(|server| server.spec.nics.iter().filter_map(|nic| Some(&nic.value.port.as_ref()?.value.device))).collect()
}

/// Routes of a peering are bounded everywhere; who may send along them is bounded by a packet filter, which SONiC's ports have none of.
fn peerings(index: &Index<'_>, out: &mut Diagnostics) {
    for peering in &index.intents.peerings {
        let Some((one, other)) = sides(&peering.spec) else { continue };
        for side in [one, other] {
            let leaves = leaves_of(index, &side.value);
            let sonic = leaves.iter().filter_map(|leaf| index.switches.get(*leaf)).find(|leaf| runs_sonic(&leaf.spec));
            if let Some(leaf) = sonic {
                let message = format!(
                    "servers of `{}` are at `{}`, which runs SONiC and can't tell who sends into a peering",
                    side.value, leaf.name.value
                );
                out.push(Diagnostic::error(codes::UNGUARDED_PEERING, side.place, message).with(leaf.name.place, "the leaf"));
            }
        }
    }
}

fn provisioning(index: &Index<'_>, switches: &[&Object<SwitchIntent>], out: &mut Diagnostics) {
    let Some(provisioning) = index.fabric.and_then(|fabric| fabric.provisioning.as_ref()) else { return };
    let leaf = switches.iter().find(|switch| value(switch.spec.role.as_ref()) == Some(Role::Leaf));
    if let Some(leaf) = leaf {
        let message = "machines in the provisioning network see each other's packets at leaves that run SONiC";
        out.push(Diagnostic::warning(codes::UNGUARDED_PROVISIONING, provisioning.place, message).with(leaf.name.place, "such a leaf"));
    }
}
