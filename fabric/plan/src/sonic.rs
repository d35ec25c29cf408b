//! What SONiC is told of the switch itself: its hardware, and every port of it.

use std::collections::BTreeMap;

use leafwall_intent::model::{PortSettings, Switch};
use leafwall_topology::hardware::{Hardware, Mode};
use leafwall_topology::{IfName, Mtu, Platform};

use crate::context::PlanError;
use crate::device::{ManagementPlan, SonicPlan, SonicPort, SwitchPlan};

/// What a port is used for: its MTU and what is at the other end.
struct Use {
    mtu: Mtu,
    peer: String,
}

/// The switch itself; `None` where it does not run SONiC.
pub fn plan(switch: &Switch, network: &SwitchPlan) -> Result<Option<SonicPlan>, PlanError> {
    if switch.platform != Platform::Sonic {
        return Ok(None);
    }
    let sku = switch.hwsku.as_deref().unwrap_or_default();
    let hardware = Hardware::find(sku).ok_or_else(|| PlanError { what: "hardware", name: sku.to_owned() })?;
    let uses = uses(network);
    let ports = hardware.ports(|port| switch.ports.get(port).and_then(|settings| mode(settings.breakout.as_deref()?)));
    let usual = PortSettings::default();
    let ports = ports.into_iter().map(|port| {
        let settings = switch.ports.get(&port.name).unwrap_or(&usual);
        let used = uses.get(&port.name);
        SonicPort {
            alias: port.front_panel(),
            index: port.label.0,
            speed: settings.speed.unwrap_or(port.speed),
            fec: settings.fec.clone(),
            autoneg: settings.autoneg,
            mtu: used.map(|used| used.mtu).or(settings.mtu).unwrap_or(Mtu::MACHINE),
            peer: used.map(|used| used.peer.clone()),
            up: used.is_some(),
            lanes: port.lanes,
            name: port.name,
        }
    });
    let management = switch.management.as_ref().map(|at| ManagementPlan { address: at.address, gateway: at.gateway });
    Ok(Some(SonicPlan { sku: hardware.sku.to_owned(), platform: hardware.platform.to_owned(), management, ports: ports.collect() }))
}

/// What a breakout as intents spell it makes of a cage.
fn mode(breakout: &str) -> Option<Mode> {
    let (ports, gigabits) = breakout.strip_suffix('G')?.split_once('x')?;
    Some(Mode { ports: ports.parse().ok()?, speed: gigabits.parse::<u32>().ok()?.checked_mul(1000)? })
}

/// The ports that are in use. A port that carries several VLANs to the outside is as big as the biggest of them.
fn uses(plan: &SwitchPlan) -> BTreeMap<IfName, Use> {
    let mut uses: BTreeMap<IfName, Use> = BTreeMap::new();
    let mut add = |port: &IfName, mtu: Mtu, peer: String| {
        let used = uses.entry(port.clone()).or_insert(Use { mtu, peer });
        used.mtu = used.mtu.max(mtu);
    };
    for port in &plan.fabric_ports {
        add(&port.port, port.mtu, format!("{}:{}", port.peer, port.peer_port));
    }
    for port in &plan.firewall_ports {
        add(&port.port, port.mtu, format!("{}:{}", port.firewall, port.firewall_port));
    }
    for network in &plan.vrfs {
        for port in &network.routed_ports {
            add(&port.port, port.mtu, port.server.to_string());
        }
        for peer in &network.external_peers {
            add(&peer.interface, peer.mtu, format!("AS{}", peer.asn));
        }
    }
    for port in &plan.access_ports {
        add(&port.port, port.mtu, port.server.to_string());
    }
    for port in plan.provisioning.iter().flat_map(|provisioning| &provisioning.ports) {
        add(port, Mtu::MACHINE, "provisioning".to_owned());
    }
    uses
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn breakouts_are_read_as_intents_spell_them() {
        assert_eq!(mode("4x25G"), Some(Mode { ports: 4, speed: 25_000 }));
        assert_eq!(mode("4x25"), None);
        assert_eq!(mode("x25G"), None);
    }
}
