//! `leafwall export containerlab`: a lab that containerlab deploys.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use leafwall_lab::outside;
use leafwall_render::FRR_CONF;
use leafwall_render::inventory::{LabDevice, LabInventory, LabKind, OutsideRouter};
use leafwall_topology::export::containerlab::{Kind, Link, Node, Parts, Topology};
use leafwall_topology::{Cable, Mtu, PortRef};

/// The image of every node, made from `containerlab/recipe`.
pub const IMAGE: &str = "leafwall/node:latest";
/// Where the nodes' artefacts are, beside the topology file.
pub const DEVICES: &str = "devices";
/// Where a node finds its own directory of artefacts.
const DEVICE_DIRECTORY: &str = "/etc/leafwall/device";

/// The files beside the devices' own artefacts: the topology, and what routers outside run. Directories of those are made by name.
pub fn files(inventory: &LabInventory) -> Result<BTreeMap<PathBuf, String>, String> {
    let topology = topology(inventory).to_yaml().map_err(|error| error.to_string())?;
    let mut files = BTreeMap::from([(PathBuf::from(format!("{}.clab.yml", inventory.fabric)), topology)]);
    for router in &inventory.outside {
        let directory = Path::new(DEVICES).join(router.name.as_str());
        files.insert(directory.join(FRR_CONF), outside::frr_conf(router));
        files.insert(directory.join("links.batch"), outside::links(router));
        files.insert(directory.join("start.sh"), start_outside(router));
    }
    Ok(files)
}

/// An outside router is nobody's device: no agent, its own few commands.
fn start_outside(router: &OutsideRouter) -> String {
    format!(
        "#!/bin/sh\n# {}: a router beyond the exits\nset -e\nsysctl -q -w net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1\n\
         ip -batch {DEVICE_DIRECTORY}/links.batch\nleafwall-node-start\nvtysh -f {DEVICE_DIRECTORY}/{FRR_CONF}\n",
        router.name
    )
}

/// The topology of a rendered fabric. `devices/NAME` beside the topology file holds the node's artefacts.
pub fn topology(inventory: &LabInventory) -> Topology {
    let devices = inventory.devices.iter().map(|device| {
        let artefacts = device.kind != LabKind::ServerIdle;
        let node = Node {
            kind: "linux",
            group: group(device),
            binds: if artefacts { vec![bind(&device.name)] } else { Vec::new() },
            exec: if artefacts { vec![start(device.kind)] } else { Vec::new() },
        };
        (device.name.clone(), node)
    });
    let outside = inventory.outside.iter().map(|router| {
        let binds = vec![bind(&router.name)];
        (router.name.clone(), Node { kind: "linux", group: "outside", binds, exec: vec![format!("sh {DEVICE_DIRECTORY}/start.sh")] })
    });
    let end = |device: &leafwall_topology::Name, port: &leafwall_topology::IfName| PortRef { device: device.clone(), port: port.clone() };
    Topology {
        name: inventory.fabric.clone(),
        topology: Parts {
            kinds: BTreeMap::from([("linux", Kind { image: IMAGE.to_owned() })]),
            nodes: devices.chain(outside).collect(),
            links: inventory
                .cables
                .iter()
                .map(|cable| Link::new(&Cable::new(end(&cable.0, &cable.1), end(&cable.2, &cable.3)), Mtu::FABRIC.get()))
                .collect(),
        },
    }
}

fn bind(node: &leafwall_topology::Name) -> String {
    format!("{DEVICES}/{node}:{DEVICE_DIRECTORY}:ro")
}

const fn group(device: &LabDevice) -> &'static str {
    match device.kind {
        LabKind::Spine => "spine",
        LabKind::Leaf => "leaf",
        LabKind::Exit => "exit",
        LabKind::Firewall => "firewall",
        LabKind::ServerRouted | LabKind::ServerBridged | LabKind::ServerIdle => "server",
    }
}

/// The image's entry point starts the daemons empty; then the agent makes the node equal to its artefacts.
fn start(kind: LabKind) -> String {
    let daemons = if kind.is_router() { "leafwall-node-start && " } else { "" };
    format!("sh -c '{daemons}leafwall agent --once {DEVICE_DIRECTORY}'")
}
