//! What the kernel holds, as far as we look at it.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr};

use leafwall_render::links::{BridgePort, Isolation, LinkKind, LinkState, Route, RouteTargetKind};
use leafwall_topology::names::{self, LINK_ALIAS};
use leafwall_topology::{Family, HostAddress, IfName, Prefix, VlanId};

/// The device group (IFLA_GROUP) that our links are created with: "leaf" in ASCII.
///
/// The kernel takes an alias only after creation. Should we be interrupted in between, the group says that the nameless child is ours (H17).
pub const NEWBORN_GROUP: u32 = u32::from_be_bytes(*b"leaf");

/// Protocol number of our routes (RTA protocol) and addresses (IFA_PROTO): it tells ours from anybody else's on devices that are not ours.
/// 108 is "l", and unassigned in the kernel's `rtnetlink.h`, so that zebra takes such routes for kernel routes.
pub const ROUTE_PROTOCOL: u8 = b'l';

/// IPv6 routes without a metric get this one (`IP6_RT_PRIO_USER`).
const IPV6_DEFAULT_METRIC: u32 = 1024;

/// Everything observed, by name.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Kernel {
    /// All links of the namespace, foreign ones too.
    pub links: BTreeMap<String, KernelLink>,
    /// Routes that a routing daemon or the kernel itself did not make.
    pub routes: BTreeMap<RouteKey, KernelRoute>,
}

/// One link.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KernelLink {
    /// Its number.
    pub index: u32,
    /// `ifalias`.
    pub alias: Option<String>,
    /// The device group.
    pub group: u32,
    /// What it is.
    pub kind: KernelKind,
    /// Bytes.
    pub mtu: u32,
    /// Six bytes, or none (`lo`, tunnels).
    pub mac: Option<[u8; 6]>,
    /// VRF, bridge or bond above it.
    pub master: Option<String>,
    /// Permanent addresses, but for link-local ones.
    pub addresses: BTreeMap<HostAddress, AddressOwner>,
    /// Permanent IPv6 addresses of the link itself.
    pub link_local_addresses: BTreeSet<HostAddress>,
    /// Administrative state.
    pub state: LinkState,
    /// Whether packets can pass: it is up, and so is what is at its other end. Without that a link has no link-local address.
    pub running: bool,
    /// How it makes link-local addresses.
    pub link_local: KernelLinkLocal,
    /// Flags as a bridge port.
    pub port: Option<PortFlags>,
    /// VLANs as a bridge port, or of the bridge itself.
    pub vlans: BTreeMap<VlanId, Tagging>,
    /// VLAN to VNI, as a bridge port with `vlan_tunnel`.
    pub tunnels: BTreeMap<VlanId, u32>,
    /// MAC addresses that a bridge takes for its own, by VLAN, as far as they were added by hand.
    pub local_macs: BTreeSet<(VlanId, [u8; 6])>,
}

impl KernelLink {
    /// Whether we made it: our name and our alias, or our name and created by us a moment ago ([`NEWBORN_GROUP`]).
    pub fn is_ours(&self, name: &str) -> bool {
        match &self.alias {
            Some(alias) => names::is_ours(name, Some(alias)),
            None => self.group == NEWBORN_GROUP && names::is_ours(name, Some(LINK_ALIAS)),
        }
    }
}

/// Whether an IPv6 address is of its link alone (RFC 4291, 2.5.6).
pub(crate) fn is_link_local(address: HostAddress) -> bool {
    matches!(address.address(), IpAddr::V6(address) if address.is_unicast_link_local())
}

/// What a link is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KernelKind {
    /// `lo`
    Loopback,
    /// A VRF and its table.
    Vrf {
        /// The routing table.
        table: u32,
    },
    /// A bridge.
    Bridge {
        /// Whether it looks at VLANs.
        vlan_filtering: bool,
        /// The VLAN that new ports get; 0 is none.
        default_pvid: u16,
        /// Whether it forwards multicast only where it was asked for. Without a querier that starves neighbour discovery.
        multicast_snooping: bool,
        /// The most MAC addresses it learns; `None` where the kernel has no such limit.
        maximum_macs: Option<u32>,
    },
    /// A VXLAN device.
    Vxlan {
        /// Our VTEP address.
        local: Option<Ipv4Addr>,
        /// UDP port.
        port: u16,
        /// `external` and `vnifilter` both.
        filtered: bool,
        /// Whether it learns addresses from packets.
        learning: bool,
        /// VNIs that it accepts.
        vnis: BTreeSet<u32>,
    },
    /// A VLAN device.
    Vlan {
        /// The lower device, where it is in this namespace.
        lower: Option<String>,
        /// The tag.
        id: u16,
    },
    /// A bond.
    Bond {
        /// Whether it is active-backup.
        active_backup: bool,
        /// Milliseconds between link checks.
        miimon_ms: u32,
    },
    /// Ports and whatever else: never made or deleted by us.
    Other(String),
}

impl KernelKind {
    /// One word for messages.
    pub fn word(&self) -> &str {
        match self {
            Self::Loopback => "loopback",
            Self::Vrf { .. } => "vrf",
            Self::Bridge { .. } => "bridge",
            Self::Vxlan { .. } => "vxlan",
            Self::Vlan { .. } => "vlan",
            Self::Bond { .. } => "bond",
            Self::Other(kind) => kind,
        }
    }

    /// Whether the kernel could turn it into `desired` without making it anew.
    pub(super) fn can_become(&self, desired: &LinkKind) -> bool {
        match (self, desired) {
            (Self::Vrf { table }, LinkKind::Vrf { table: wanted }) => table == wanted,
            (Self::Bridge { .. }, LinkKind::Bridge { .. }) => true,
            (Self::Vxlan { local, port, filtered, .. }, LinkKind::Vxlan { local: wanted, .. }) => {
                *local == Some(*wanted) && *port == VXLAN_PORT && *filtered
            }
            (Self::Vlan { lower, id }, LinkKind::Vlan { lower: wanted_lower, id: wanted }) => {
                lower.as_deref() == Some(wanted_lower.as_str()) && *id == wanted.get()
            }
            (Self::Bond { active_backup, .. }, LinkKind::Bond { .. }) => *active_backup,
            _ => false,
        }
    }
}

/// The port that IANA gave VXLAN (RFC 7348 §5).
pub(crate) const VXLAN_PORT: u16 = 4789;

/// How a link makes its IPv6 link-local address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KernelLinkLocal {
    /// From the MAC address.
    Eui64,
    /// Not at all.
    None,
    /// Otherwise.
    Other,
    /// The link has no IPv6.
    Absent,
}

/// Who put an address onto a link.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AddressOwner {
    /// We: it carries [`ROUTE_PROTOCOL`].
    Ours,
    /// Anybody else, or a kernel before 5.18, which does not keep protocols of addresses.
    Foreign,
}

/// How a VLAN leaves a port.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tagging {
    /// With its tag.
    Tagged,
    /// Without, and untagged packets that come in belong to it.
    PvidUntagged,
    /// Some other mixture, never wanted.
    Other,
}

/// Flags of a bridge port, as the kernel names them: each is on or off.
#[allow(clippy::struct_excessive_bools)] // they are the kernel's, and independent
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PortFlags {
    /// Learns source addresses.
    pub learning: bool,
    /// Answers ARP and ND itself from what EVPN knows.
    pub neighbour_suppression: bool,
    /// Maps VLANs to tunnel ids.
    pub vlan_tunnel: bool,
    /// Talks to no other isolated port.
    pub isolated: bool,
}

impl PortFlags {
    /// What a new port of a bridge has.
    pub const NEW: Self = Self { learning: true, neighbour_suppression: false, vlan_tunnel: false, isolated: false };

    /// What a port should have.
    pub const fn of(port: &BridgePort) -> Self {
        match port {
            BridgePort::Tunnel {} => Self { learning: false, neighbour_suppression: true, vlan_tunnel: true, isolated: true },
            BridgePort::Access { isolation, .. } => Self { isolated: matches!(isolation, Isolation::Isolated), ..Self::NEW },
        }
    }
}

/// What tells routes apart in the kernel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct RouteKey {
    /// Routing table.
    pub table: u32,
    /// Where to.
    pub prefix: Prefix,
    /// Lower is better.
    pub metric: u32,
}

impl RouteKey {
    /// The key under which the kernel will keep this route.
    pub fn of(route: &Route) -> Self {
        let metric = if route.metric == 0 && route.prefix.family() == Family::V6 { IPV6_DEFAULT_METRIC } else { route.metric };
        Self { table: route.table, prefix: route.prefix, metric }
    }
}

/// A route that the kernel holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KernelRoute {
    /// Where it leads.
    pub target: KernelRouteTarget,
    /// [`ROUTE_PROTOCOL`] if it is ours.
    pub protocol: u8,
}

/// Where a route leads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KernelRouteTarget {
    /// Refused with an ICMP error.
    Unreachable,
    /// Through one gateway.
    Via(IpAddr),
    /// Anything else.
    Other,
}

impl KernelRouteTarget {
    /// Whether it is what is wanted.
    pub fn is(&self, wanted: &RouteTargetKind) -> bool {
        match (self, wanted) {
            (Self::Unreachable, RouteTargetKind::Unreachable {}) => true,
            (Self::Via(gateway), RouteTargetKind::Via { gateway: wanted }) => gateway == wanted,
            _ => false,
        }
    }
}

/// The master that a link should have, as observed links name it.
pub(super) fn master_name(master: Option<&IfName>) -> Option<&str> {
    master.map(IfName::as_str)
}
