//! One change of the kernel.

use std::fmt;

use leafwall_render::links::{LinkKind, LinkLocal, Route, RouteTargetKind};
use leafwall_topology::{HostAddress, IfName, MacAddr, Mtu, VlanId, Vni};

use super::kernel::{PortFlags, Tagging};

/// Where a VLAN is added or removed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum VlanScope {
    /// On the bridge itself (`self`): what its SVIs see.
    Bridge,
    /// On a port.
    Port,
}

/// One change of the kernel. Names of links are unique in a namespace, so a step says all that it needs.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(missing_docs)] // fields are what their types say
pub enum LinkStep {
    /// Make a link of ours, down.
    Create {
        name: IfName,
        kind: LinkKind,
    },
    /// Mark it as ours.
    Mark {
        name: IfName,
    },
    /// Set what of its kind can be changed in place.
    SetOptions {
        name: IfName,
        kind: LinkKind,
    },
    SetMac {
        name: IfName,
        mac: MacAddr,
    },
    SetMtu {
        name: IfName,
        mtu: Mtu,
    },
    SetLinkLocal {
        name: IfName,
        link_local: LinkLocal,
    },
    Enslave {
        name: IfName,
        master: IfName,
    },
    /// Take it out of its master. The name may be a foreign port's, left in a master of ours.
    Release {
        name: String,
    },
    SetPort {
        name: IfName,
        flags: PortFlags,
    },
    AddVlan {
        name: IfName,
        scope: VlanScope,
        vlan: VlanId,
        tagging: Tagging,
    },
    RemoveVlan {
        name: IfName,
        scope: VlanScope,
        vlan: VlanId,
    },
    AddVni {
        name: IfName,
        vni: Vni,
    },
    RemoveVni {
        name: IfName,
        vni: u32,
    },
    MapTunnel {
        name: IfName,
        vlan: VlanId,
        vni: Vni,
    },
    UnmapTunnel {
        name: IfName,
        vlan: VlanId,
        vni: u32,
    },
    /// A MAC address that the bridge takes for its own in a VLAN.
    AddLocalMac {
        name: IfName,
        vlan: VlanId,
        mac: MacAddr,
    },
    AddAddress {
        name: IfName,
        address: HostAddress,
    },
    RemoveAddress {
        name: IfName,
        address: HostAddress,
    },
    Raise {
        name: IfName,
    },
    Lower {
        name: String,
    },
    AddRoute(Route),
    RemoveRoute(super::RouteKey),
    /// Delete a link of ours.
    Delete {
        name: String,
    },
}

impl LinkStep {
    /// The link that it changes; none for routes.
    pub fn link(&self) -> Option<&str> {
        match self {
            Self::Create { name, .. }
            | Self::Mark { name }
            | Self::SetOptions { name, .. }
            | Self::SetMac { name, .. }
            | Self::SetMtu { name, .. }
            | Self::SetLinkLocal { name, .. }
            | Self::Enslave { name, .. }
            | Self::SetPort { name, .. }
            | Self::AddVlan { name, .. }
            | Self::RemoveVlan { name, .. }
            | Self::AddVni { name, .. }
            | Self::RemoveVni { name, .. }
            | Self::MapTunnel { name, .. }
            | Self::UnmapTunnel { name, .. }
            | Self::AddLocalMac { name, .. }
            | Self::AddAddress { name, .. }
            | Self::RemoveAddress { name, .. }
            | Self::Raise { name } => Some(name.as_str()),
            Self::Release { name } | Self::Lower { name } | Self::Delete { name } => Some(name),
            Self::AddRoute(_) | Self::RemoveRoute(_) => None,
        }
    }
}

impl fmt::Display for LinkStep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Create { name, kind } => write!(f, "create {} {name}", kind_word(kind)),
            Self::Mark { name } => write!(f, "mark {name} as ours"),
            Self::SetOptions { name, kind } => write!(f, "set options of {} {name}", kind_word(kind)),
            Self::SetMac { name, mac } => write!(f, "set MAC address {mac} on {name}"),
            Self::SetMtu { name, mtu } => write!(f, "set MTU {mtu} on {name}"),
            Self::SetLinkLocal { name, link_local } => write!(f, "set link-local addresses of {name} to {}", link_local_word(*link_local)),
            Self::Enslave { name, master } => write!(f, "put {name} into {master}"),
            Self::Release { name } => write!(f, "take {name} out of its master"),
            Self::SetPort { name, .. } => write!(f, "set bridge port flags of {name}"),
            Self::AddVlan { name, vlan, tagging, .. } => write!(f, "add VLAN {vlan} to {name}{}", tagging_word(*tagging)),
            Self::RemoveVlan { name, vlan, .. } => write!(f, "remove VLAN {vlan} from {name}"),
            Self::AddVni { name, vni } => write!(f, "add VNI {vni} to {name}"),
            Self::RemoveVni { name, vni } => write!(f, "remove VNI {vni} from {name}"),
            Self::MapTunnel { name, vlan, vni } => write!(f, "map VLAN {vlan} to VNI {vni} on {name}"),
            Self::UnmapTunnel { name, vlan, vni } => write!(f, "unmap VLAN {vlan} from VNI {vni} on {name}"),
            Self::AddLocalMac { name, vlan, mac } => write!(f, "add MAC address {mac} of VLAN {vlan} to {name}"),
            Self::AddAddress { name, address } => write!(f, "add address {address} to {name}"),
            Self::RemoveAddress { name, address } => write!(f, "remove address {address} from {name}"),
            Self::Raise { name } => write!(f, "set {name} up"),
            Self::Lower { name } => write!(f, "set {name} down"),
            Self::AddRoute(route) => match &route.target {
                RouteTargetKind::Unreachable {} => write!(f, "add route unreachable {} in table {}", route.prefix, route.table),
                RouteTargetKind::Via { gateway } => write!(f, "add route {} via {gateway} in table {}", route.prefix, route.table),
            },
            Self::RemoveRoute(key) => write!(f, "remove route {} from table {}", key.prefix, key.table),
            Self::Delete { name } => write!(f, "delete {name}"),
        }
    }
}

/// One word for what a link is.
pub(super) const fn kind_word(kind: &LinkKind) -> &'static str {
    match kind {
        LinkKind::Physical {} => "port",
        LinkKind::Loopback {} => "loopback",
        LinkKind::Vrf { .. } => "vrf",
        LinkKind::Bridge { .. } => "bridge",
        LinkKind::Vxlan { .. } => "vxlan",
        LinkKind::Vlan { .. } => "vlan",
        LinkKind::Bond { .. } => "bond",
    }
}

const fn link_local_word(link_local: LinkLocal) -> &'static str {
    match link_local {
        LinkLocal::Eui64 => "eui64",
        LinkLocal::None => "none",
    }
}

const fn tagging_word(tagging: Tagging) -> &'static str {
    match tagging {
        Tagging::PvidUntagged => ", untagged",
        Tagging::Tagged | Tagging::Other => "",
    }
}
