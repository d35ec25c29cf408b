//! `links.json`: the kernel links of a device, as the agent makes them through netlink.
//!
//! The order of [`Links::links`] is the order of creation: what a link refers to (its master, its lower device) stands before it. L3VNI SVIs come last (H1).

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};

use leafwall_topology::{HostAddress, IfName, MacAddr, Mtu, Prefix, VlanId, Vni};
use serde::{Deserialize, Serialize};

use crate::lines;

/// Which format `links.json` has.
pub const LINKS_VERSION: u32 = 1;

/// All links of a device that we make or adjust.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Links {
    /// [`LINKS_VERSION`]
    pub version: u32,
    /// When the device begins to forward packets (F22).
    pub forwarding: Forwarding,
    /// When the kernel looks into the table of its own addresses.
    #[serde(default, skip_serializing_if = "is_default")]
    pub local_table: LocalTable,
    /// Kernel settings by their path below `/proc/sys`, such as `net/ipv4/ip_forward`.
    pub sysctls: BTreeMap<String, String>,
    /// Links in order of creation.
    pub links: Vec<Link>,
    /// Routes that the kernel holds by itself (no daemon makes them), sorted.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub routes: Vec<Route>,
}

impl Links {
    /// Reads `links.json`. The error says where and why.
    pub fn parse(text: &str) -> Result<Self, serde_json::Error> {
        serde_json::from_str(text)
    }

    /// Its text: the same for the same links, one link a line.
    pub fn print(&self) -> Result<String, serde_json::Error> {
        lines::to_string(self)
    }

    /// The same on one line.
    pub fn print_line(&self) -> Result<String, serde_json::Error> {
        serde_json::to_string(self)
    }
}

/// When a device begins to forward.
///
/// It concerns the settings `net/ipv4/ip_forward` and `net/ipv{4,6}/conf/*/forwarding` among [`Links::sysctls`], and the routing daemon.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Forwarding {
    /// With its links: switches and servers.
    Immediate,
    /// Only once the ruleset is loaded and read back: firewall machines (F22).
    AfterRuleset,
}

/// When the kernel looks into the table `local` (255): the place of that rule among `ip rule` and `ip -6 rule`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LocalTable {
    /// First of all, at preference 0: the kernel's own way.
    #[default]
    First,
    /// After the VRFs, at preference 32765 and no longer at 0, as the kernel's documentation of VRF asks for. Otherwise a packet in a tenant's VRF to
    /// any address of the default VRF, management included, is the device's own before the VRF's table is asked (H40).
    AfterVrfs,
}

/// One link.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Link {
    /// Its name. Links that we make have a name from `topology::names`; others exist already and are only adjusted.
    pub name: IfName,
    /// What it is.
    pub kind: LinkKind,
    /// Its MTU; `None` leaves it alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mtu: Option<Mtu>,
    /// Its MAC address; `None` leaves it alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mac: Option<MacAddr>,
    /// The VRF, bridge or bond that it belongs to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub master: Option<IfName>,
    /// Its addresses, sorted. On a link of ours others are removed, but for link-local ones.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub addresses: Vec<HostAddress>,
    /// Whether it is up.
    pub state: LinkState,
    /// How the kernel makes its IPv6 link-local address.
    #[serde(default, skip_serializing_if = "is_default")]
    pub link_local: LinkLocal,
    /// What it is as a port of the bridge; only with the bridge as master.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bridge_port: Option<BridgePort>,
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

/// Up or down, administratively.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LinkState {
    /// In service.
    Up,
    /// Shut.
    Down,
}

/// IPv6 link-local addresses of a link.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LinkLocal {
    /// The kernel derives one from the MAC address.
    #[default]
    Eui64,
    /// None: on L3VNI SVIs and the VXLAN device, where nobody speaks link-local.
    None,
}

/// What a link is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase", deny_unknown_fields)]
pub enum LinkKind {
    /// A port that exists: adjusted, never made or deleted.
    Physical {},
    /// `lo`: adjusted; only our addresses on it are managed.
    Loopback {},
    /// The VRF of a network.
    Vrf {
        /// Its routing table, which is the VNI.
        table: u32,
    },
    /// The one VLAN-aware bridge.
    Bridge {
        /// The most MAC addresses it learns, all ports together; 0 is no limit. Kernels before 6.7 have no such limit (H41).
        maximum_macs: u32,
        /// VLANs on the bridge itself, one per SVI, sorted.
        vlans: Vec<VlanId>,
    },
    /// The one VXLAN device: `external vnifilter nolearning`, UDP port 4789.
    Vxlan {
        /// Our VTEP address.
        local: Ipv4Addr,
        /// VNI to VLAN, sorted by VNI.
        vnis: Vec<VniMap>,
    },
    /// A VLAN device: an SVI over the bridge, or a tagged subinterface of a port. An SVI with another MAC address than the bridge's (an anycast gateway)
    /// needs a local forwarding entry of that address on the bridge; without it the bridge floods what is sent to the gateway.
    Vlan {
        /// The lower device.
        lower: IfName,
        /// The tag.
        id: VlanId,
    },
    /// An active-backup bond.
    Bond {
        /// Milliseconds between link checks.
        miimon_ms: u32,
    },
}

/// A VNI of the VXLAN device and the VLAN it stands for on this device.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct VniMap {
    /// The VNI.
    pub vni: Vni,
    /// The VLAN.
    pub vlan: VlanId,
}

/// A link's settings as a port of the bridge.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase", deny_unknown_fields)]
pub enum BridgePort {
    /// The VXLAN device: no learning, neighbours suppressed, VLANs mapped to VNIs, and isolated: an isolated port has no neighbours behind tunnels either.
    Tunnel {},
    /// A server's port: one untagged VLAN.
    Access {
        /// That VLAN.
        vlan: VlanId,
        /// Whether it may talk to other isolated ports.
        isolation: Isolation,
    },
}

/// Whether a port may talk to other ports of its kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Isolation {
    /// It may.
    Open,
    /// It may not (provisioning).
    Isolated,
}

/// A kernel route.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Route {
    /// The table: 254 is the main one, a VRF's is its VNI.
    pub table: u32,
    /// Where to.
    pub prefix: Prefix,
    /// How.
    pub target: RouteTargetKind,
    /// Its metric.
    pub metric: u32,
}

/// What a kernel route does.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RouteTargetKind {
    /// Refused with an ICMP error: the last route of every VRF, so that a lookup never falls through to the main table.
    Unreachable {},
    /// Through a gateway.
    Via {
        /// The gateway.
        gateway: IpAddr,
    },
}
