//! `leafwall export graph`: the fabric as a picture.

use std::collections::BTreeMap;

use leafwall_intent::Model;
use leafwall_intent::model::{Phase, ServerRole};
use leafwall_topology::export::svg::{Box, Drawing};
use leafwall_topology::{Name, Role};

/// The drawing of a fabric: switches by role, machines coloured by tenant, routers outside under their exits.
pub fn drawing(model: &Model) -> Drawing {
    let switch = |role: Role| {
        model.switches.values().filter(move |switch| switch.role == role).map(move |switch| Box {
            name: switch.name.clone(),
            caption: switch.rack.as_ref().map_or_else(|| switch.platform.to_string(), |rack| format!("{}, rack {rack}", switch.platform)),
            group: (role != Role::Leaf).then(|| role.to_string()),
        })
    };
    Drawing {
        title: model.fabric.name.to_string(),
        spines: switch(Role::Spine).collect(),
        leaves: switch(Role::Leaf).chain(switch(Role::Exit)).collect(),
        ends: machines(model).chain(outside(model)).collect(),
        cables: model.graph.cables().iter().cloned().chain(outside_cables(model)).collect(),
    }
}

fn machines(model: &Model) -> impl Iterator<Item = Box> + '_ {
    let allocations: BTreeMap<&Name, _> = model.allocations.values().map(|allocation| (&allocation.server, allocation)).collect();
    let firewalls: BTreeMap<&Name, _> =
        model.firewalls.values().flat_map(|firewall| firewall.servers.iter().map(move |server| (server, firewall))).collect();
    model.servers.values().map(move |server| {
        let (caption, group) = match server.role {
            ServerRole::Firewall => match firewalls.get(&server.name) {
                Some(firewall) if firewall.servers.first() == Some(&server.name) => {
                    (format!("firewall {}", firewall.name), Some(firewall.tenant.to_string()))
                }
                Some(firewall) => (format!("standby of {}", firewall.name), Some(firewall.tenant.to_string())),
                None => ("firewall, free".to_owned(), None),
            },
            ServerRole::Machine => match allocations.get(&server.name) {
                Some(allocation) if allocation.phase == Phase::Active => {
                    (allocation.network.to_string(), Some(allocation.tenant.to_string()))
                }
                Some(allocation) => (format!("provisioning for {}", allocation.tenant), Some(allocation.tenant.to_string())),
                None => ("free".to_owned(), None),
            },
        };
        Box { name: server.name.clone(), caption, group }
    })
}

/// Routers outside have no name in the intents; the picture calls each by its network.
fn outside_peers(model: &Model) -> impl Iterator<Item = (Name, &leafwall_intent::model::Network, &leafwall_intent::model::ExternalPeer)> {
    model.networks.values().flat_map(|network| {
        network.peers.iter().filter_map(move |peer| Some((format!("outside-{}", network.name).parse().ok()?, &**network, peer)))
    })
}

fn outside(model: &Model) -> impl Iterator<Item = Box> + '_ {
    let mut routers: BTreeMap<Name, Box> = BTreeMap::new();
    for (name, network, peer) in outside_peers(model) {
        let drawn = routers.entry(name.clone()).or_insert_with(|| Box {
            name,
            caption: network.name.to_string(),
            group: Some("outside".to_owned()),
        });
        let asn = format!("AS {}", peer.asn);
        if !drawn.caption.contains(&asn) {
            drawn.caption = format!("{}, {asn}", drawn.caption);
        }
    }
    routers.into_values()
}

fn outside_cables(model: &Model) -> impl Iterator<Item = leafwall_topology::Cable> + '_ {
    let mut cables: Vec<_> = outside_peers(model)
        .map(|(name, _, peer)| {
            let near = leafwall_topology::PortRef { device: peer.exit.clone(), port: peer.interface.clone() };
            let far = leafwall_topology::PortRef { device: name, port: peer.interface.clone() };
            leafwall_topology::Cable::new(near, far)
        })
        .collect();
    cables.sort();
    cables.dedup();
    cables.into_iter()
}
