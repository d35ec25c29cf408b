//! What operators write: the fabric, its switches, cables and servers.

use std::net::IpAddr;

use leafwall_topology::{Asn, HostAddress, IfName, MacAddr, Mtu, Name, Platform, PortRef, Prefix, Range, Role, VlanId, Vni};

use super::{Breakout, Entries, Fec, Text};
use crate::decode::record;
use crate::model::ServerRole;
use crate::source::Spanned;

record! {
    /// The whole fabric: ranges from which everything is allocated, and settings that hold everywhere. There is exactly one.
    FabricIntent {
        /// The network that carries the tunnels.
        underlay "underlay": required UnderlayIntent,
        /// The tenants' networks in their tunnels.
        overlay "overlay": required OverlayIntent,
        /// BGP's and BFD's timers.
        bgp "bgp": optional BgpIntent,
        /// Resolvers for the devices.
        dns "dns": list IpAddr,
        /// Time servers for the devices.
        ntp "ntp": list IpAddr,
        /// Where the devices log to.
        syslog "syslog": list IpAddr,
        /// The network in which machines are installed. Without it, ports without an allocation are shut.
        provisioning "provisioning": optional ProvisioningIntent,
    }
}

record! {
    /// Ranges and settings of the underlay.
    UnderlayIntent {
        /// The IPv4 prefix from which every device gets one loopback: its router id and tunnel end.
        loopbacks "loopbacks": required Prefix,
        /// The range of autonomous system numbers. The first one is the spines' common one; every leaf, exit, firewall and routed server gets its own.
        asns "asns": required Range<Asn>,
        /// The MTU of fabric and firewall ports; 9216 where it is not given.
        mtu "mtu": optional Mtu,
    }
}

record! {
    /// Ranges and settings of the overlay.
    OverlayIntent {
        /// The range of VNIs for networks and bridged subnets.
        vnis "vnis": required Range<Vni>,
        /// The range of VLAN ids, used on each device anew.
        vlans "vlans": required Range<VlanId>,
        /// The MAC address of all anycast gateways; `02:00:5e:00:00:01` where it is not given.
        anycast_mac "anycastMac": optional MacAddr,
    }
}

record! {
    /// How fast a lost neighbour is noticed.
    BgpIntent {
        /// BGP's own timers.
        timers "timers": optional TimersIntent,
        /// Bidirectional forwarding detection, RFC 5880.
        bfd "bfd": optional BfdIntent,
    }
}

record! {
    /// BGP's timers (RFC 4271 §10).
    TimersIntent {
        /// Seconds between keepalives; 3 where it is not given.
        keepalive "keepalive": optional u16,
        /// Seconds until a silent neighbour is down; 9 where it is not given.
        hold "hold": optional u16,
    }
}

record! {
    /// BFD's timers on fabric and firewall ports.
    BfdIntent {
        /// Milliseconds between packets, both ways; 300 where it is not given.
        interval "interval": optional u16,
        /// How many may be lost; 3 where it is not given.
        multiplier "multiplier": optional u8,
        /// Whether the ports of routed servers have BFD too; `false` where it is not given.
        servers "servers": optional bool,
    }
}

record! {
    /// The network in which machines are installed.
    ProvisioningIntent {
        /// Its subnet.
        prefix "prefix": required Prefix,
        /// The gateway in it; the first host where it is not given.
        gateway "gateway": optional IpAddr,
        /// Where DHCP requests are relayed to.
        dhcp_servers "dhcpServers": list IpAddr,
    }
}

record! {
    /// A switch.
    SwitchIntent {
        /// What it does in the fabric.
        role "role": required Role,
        /// What it runs.
        platform "platform": required Platform,
        /// The version that it runs; the newest tested one where it is not given. A device that runs another one refuses the change.
        version "version": optional Text,
        /// SONiC's name of the hardware, such as `Accton-AS7726-32X`.
        hwsku "hwsku": optional Text,
        /// The serial number by which it is recognised when it is new.
        serial "serial": optional Text,
        /// The MAC address of its management port.
        mac "mac": optional MacAddr,
        /// How it is reached, out of band.
        management "management": optional ManagementIntent,
        /// Where it stands.
        rack "rack": optional Name,
        /// Settings of single ports, by their names.
        ports "ports": plain Entries<IfName, PortIntent>,
        /// Whether traffic is drawn off it; `false` where it is not given.
        maintenance "maintenance": optional bool,
    }
}

record! {
    /// A management address.
    ManagementIntent {
        /// The address with the length of its subnet.
        address "address": required HostAddress,
        /// The way out of that subnet.
        gateway "gateway": optional IpAddr,
    }
}

record! {
    /// Settings of a port; what is not given stays as the platform has it.
    PortIntent {
        /// Mbit/s.
        speed "speed": optional u32,
        /// Into how many ports of which speed it is split.
        breakout "breakout": optional Breakout,
        /// Forward error correction.
        fec "fec": optional Fec,
        /// Whether it negotiates with its neighbour.
        autoneg "autoneg": optional bool,
        /// Its MTU.
        mtu "mtu": optional Mtu,
    }
}

record! {
    /// Cables between switches. Servers' cables are given by their `nics`.
    CablingIntent {
        /// Each a pair of ends `device:port`. A range of ports in brackets stands for as many cables: `["leaf-01:swp[31-32]", "spine-01:swp[1-2]"]`.
        links "links": some LinksIntent,
    }
}

impl CablingIntent {
    /// All cables, ranges of ports written out.
    pub fn cables(&self) -> impl Iterator<Item = &LinkIntent> {
        self.links.iter().flat_map(|entry| &entry.value.cables)
    }
}

/// One entry of `links`: as many cables as its ranges have ports.
#[derive(Debug, Clone, PartialEq)]
pub struct LinksIntent {
    /// The cables.
    pub cables: Vec<LinkIntent>,
}

/// One cable.
#[derive(Debug, Clone, PartialEq)]
pub struct LinkIntent {
    /// One end.
    pub a: Spanned<PortRef>,
    /// The other end.
    pub b: Spanned<PortRef>,
}

record! {
    /// A machine of a tenant or a firewall machine of the provider.
    ServerIntent {
        /// Its ports to the fabric, in their order.
        nics "nics": some NicIntent,
        /// What it is for; `machine` where it is not given.
        role "role": optional ServerRole,
        /// How a firewall machine is reached.
        management "management": optional ServerManagementIntent,
    }
}

record! {
    /// A port of a server and where it is plugged in.
    NicIntent {
        /// The interface's name on the server.
        name "name": required IfName,
        /// Its address.
        mac "mac": required MacAddr,
        /// The leaf's port, `device:port`.
        port "port": required PortRef,
    }
}

record! {
    /// How a firewall machine is reached: by exactly one of these.
    ServerManagementIntent {
        /// Out of band, by this address with the length of its subnet.
        address "address": optional HostAddress,
        /// Through this network, which its firewall joins.
        inband "inband": optional Name,
    } one_of MISSING_FIELD FIELDS_EXCLUDE ["address", "inband"]
}
