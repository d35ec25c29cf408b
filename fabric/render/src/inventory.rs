//! `fabric.json`: what the lab needs to know beside the devices' own artefacts: nodes, cables, endpoints, and who sits outside.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

use leafwall_topology::{Asn, HostAddress, IfName, Mtu, Name, Prefix, VlanId};
use serde::{Deserialize, Serialize};

/// Which format `fabric.json` has.
pub const INVENTORY_VERSION: u32 = 1;

/// The whole of `fabric.json`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LabInventory {
    /// [`INVENTORY_VERSION`]
    pub version: u32,
    /// The fabric's name.
    pub fabric: Name,
    /// The timers that decide how long a failure goes unnoticed, for people: `BFD 1 s x 3, BGP 3/9 s`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timers: Option<String>,
    /// Every node with a directory of artefacts of the same name, sorted by name.
    pub devices: Vec<LabDevice>,
    /// Routers beyond the exits, one per external network, sorted by name. They have no artefacts: the lab makes them from this.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub outside: Vec<OutsideRouter>,
    /// Cables `[node, port, node, port]`, sorted; those between exits and outside routers among them.
    pub cables: Vec<LabCable>,
    /// Who reachability is asked of, by name: servers, firewalls, Addresses bound to a server, outside routers.
    pub endpoints: Endpoints,
}

/// Endpoints by name. One fabric and the next share those that did not change.
pub type Endpoints = BTreeMap<Name, Arc<LabEndpoint>>;

/// A node of the lab.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LabDevice {
    /// Its name, and that of its directory.
    pub name: Name,
    /// What it is.
    pub kind: LabKind,
    /// Its address in the management network; `None` where it has none of its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub management: Option<HostAddress>,
}

/// What a node of the lab is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LabKind {
    /// A switch in the middle.
    Spine,
    /// A switch with servers.
    Leaf,
    /// A switch with the outside.
    Exit,
    /// A firewall machine.
    Firewall,
    /// A server that speaks BGP.
    ServerRouted,
    /// A server in an access VLAN.
    ServerBridged,
    /// A server that nobody has: cabled, without artefacts.
    ServerIdle,
}

impl LabKind {
    /// Whether a routing daemon runs there.
    pub const fn is_router(self) -> bool {
        !matches!(self, Self::ServerBridged | Self::ServerIdle)
    }
}

/// A cable: `["leaf-01", "swp31", "spine-01", "swp1"]`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct LabCable(
    /// One node.
    pub Name,
    /// Its port.
    pub IfName,
    /// The other node.
    pub Name,
    /// Its port.
    pub IfName,
);

/// Where something is that packets are sent from and to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LabEndpoint {
    /// The node that has the addresses.
    pub node: Name,
    /// The VRF device that they are in, on nodes with several.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vrf: Option<IfName>,
    /// Its IPv4 addresses, all of which are to answer alike.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub v4: Vec<Ipv4Addr>,
    /// Its IPv6 addresses.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub v6: Vec<Ipv6Addr>,
}

/// A router of somebody else, beyond one or more exits.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OutsideRouter {
    /// The node's name: `outside`, or `outside-NETWORK` where there are several.
    pub name: Name,
    /// Its own addresses, on `lo`: what endpoints of that name have.
    pub addresses: Vec<IpAddr>,
    /// What it tells the exits: their `import` prefixes.
    pub announces: Vec<Prefix>,
    /// Its sessions with exits.
    pub sessions: Vec<OutsideSession>,
}

/// A BGP session of an outside router with an exit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OutsideSession {
    /// Its port, as in the cables.
    pub port: IfName,
    /// The tag, where the session is in a VLAN.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vlan: Option<VlanId>,
    /// Its address with the length of the link's subnet (the peer's `peerAddress`).
    pub local: HostAddress,
    /// The ASN that it shows the exit.
    pub local_asn: Asn,
    /// The exit's address.
    pub remote: IpAddr,
    /// The exit's ASN.
    pub remote_asn: Asn,
    /// The link's MTU.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mtu: Option<Mtu>,
    /// The session's password.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub password: Option<String>,
}
