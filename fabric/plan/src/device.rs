//! What one device is to become, with every number decided.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

use leafwall_intent::model::{BfdTimers, BgpTimers};
use leafwall_policy::zone::FirewallRules;
use leafwall_topology::{Asn, HostAddress, IfName, MacAddr, Mtu, Name, Platform, Prefix, Role, RouteDistinguisher, VlanId, Vni};
use serde::{Deserialize, Serialize};

/// The plan of a whole fabric.
#[derive(Debug, Clone, PartialEq)]
pub struct Plan {
    /// Its number; an agent refuses an older one than it has.
    pub generation: u64,
    /// The generation that it follows.
    pub parent: Option<u64>,
    /// One plan per device: switches, firewall machines, allocated servers.
    pub devices: BTreeMap<Name, Arc<DevicePlan>>,
}

/// The plan of one device.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DevicePlan {
    /// The device's name, also its host name.
    pub name: Name,
    /// What it is to become.
    pub device: Device,
}

/// What a device is to become.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Device {
    /// A spine, leaf or exit.
    Switch(SwitchPlan),
    /// A cluster's firewall machine.
    Firewall(FirewallPlan),
    /// A server that speaks BGP.
    Routed(RoutedServerPlan),
    /// A server in an access VLAN.
    Bridged(BridgedServerPlan),
}

/// A device's identity in the underlay.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Router {
    /// Router id and VTEP, a /32 on `lo`.
    pub loopback: Ipv4Addr,
    /// Its own ASN; all spines share one.
    pub asn: Asn,
    /// The one MAC address of the bridge and all L3VNI SVIs (H2).
    pub router_mac: MacAddr,
    /// The IPv6 source address in its VRFs; the IPv4 one is the loopback.
    pub source_v6: Ipv6Addr,
}

/// Settings that are the same on all devices of the fabric.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Common {
    /// BGP's timers.
    pub timers: BgpTimers,
    /// BFD's timers.
    pub bfd: BfdTimers,
    /// Resolvers.
    pub dns: Vec<IpAddr>,
    /// Time servers.
    pub ntp: Vec<IpAddr>,
    /// Log servers.
    pub syslog: Vec<IpAddr>,
    /// Where loopbacks come from: no other unicast route is taken or told in the underlay.
    pub loopbacks: Prefix,
}

/// A port towards another device of the fabric, BGP unnumbered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FabricPort {
    /// Our port.
    pub port: IfName,
    /// Its MTU.
    pub mtu: Mtu,
    /// The device at the other end.
    pub peer: Name,
    /// And its port.
    pub peer_port: IfName,
    /// Its ASN.
    pub peer_asn: Asn,
}

/// A spine, leaf or exit.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SwitchPlan {
    /// What it does.
    pub role: Role,
    /// What it runs.
    pub platform: Platform,
    /// Which version is expected.
    pub version: String,
    /// Identity in the underlay.
    pub router: Router,
    /// The fabric's settings.
    pub common: Arc<Common>,
    /// The gateways' MAC address.
    pub anycast_mac: MacAddr,
    /// Whether traffic is to be drawn off it.
    pub maintenance: bool,
    /// Ports to other switches, sorted.
    pub fabric_ports: Vec<FabricPort>,
    /// Ports with a firewall machine behind, sorted; leaves only.
    pub firewall_ports: Vec<FirewallPort>,
    /// VRFs, sorted by VNI; none on spines.
    pub vrfs: Vec<VrfPlan>,
    /// Ports in an access VLAN, sorted by port.
    pub access_ports: Vec<AccessPort>,
    /// The provisioning network on this switch, if it has ports there.
    pub provisioning: Option<ProvisioningPlan>,
    /// Ports that are shut: cabled to a server that is not allocated, without a provisioning network.
    pub shut_ports: Vec<IfName>,
    /// ASNs behind own ports (routed servers, firewalls, external peers), sorted: what may stand first in a path that goes to spines (H37).
    pub own_asns: Vec<Asn>,
    /// What SONiC has to be told besides; `None` on other platforms.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sonic: Option<SonicPlan>,
}

/// The switch itself, as SONiC's configuration describes it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SonicPlan {
    /// SONiC's name of the hardware, one that `topology::hardware` has.
    pub sku: String,
    /// SONiC's name of the platform.
    pub platform: String,
    /// How it is reached, out of band; `None` leaves the management port alone.
    pub management: Option<ManagementPlan>,
    /// All its ports, in the order of their numbers.
    pub ports: Vec<SonicPort>,
}

/// A management port.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct ManagementPlan {
    /// Its address with the length of its subnet.
    pub address: HostAddress,
    /// The way out of that subnet.
    pub gateway: Option<IpAddr>,
}

/// A port of a SONiC switch, used or not.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SonicPort {
    /// Its name: `Ethernet48`.
    pub name: IfName,
    /// Its name on the front panel: `Eth13`, `Eth13/2`.
    pub alias: String,
    /// The number at its cage.
    pub index: u16,
    /// Its lanes on the ASIC.
    pub lanes: Vec<u16>,
    /// Mbit/s.
    pub speed: u32,
    /// Forward error correction as intents name it; `None` leaves it to the platform.
    pub fec: Option<String>,
    /// Whether it negotiates; `None` leaves it to the platform.
    pub autoneg: Option<bool>,
    /// Its MTU.
    pub mtu: Mtu,
    /// What is at the other end; `None` where the port is not used, and shut.
    pub peer: Option<String>,
    /// Whether it is up, administratively.
    pub up: bool,
}

/// A network on a switch.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct VrfPlan {
    /// The Network's name (for descriptions and comments only).
    pub network: Name,
    /// The L3VNI.
    pub vni: Vni,
    /// Its VLAN on this device.
    pub vlan: VlanId,
    /// Its route distinguisher: loopback and 10000 more than that VLAN id. The route target follows from the VNI.
    pub rd: RouteDistinguisher,
    /// Machine ports with BGP unnumbered, sorted.
    pub routed_ports: Vec<RoutedPort>,
    /// Bridged subnets that this device has ports in (leaves), sorted by VNI.
    pub subnets: Vec<SubnetPlan>,
    /// Routers outside; exits only.
    pub external_peers: Vec<ExternalPeerPlan>,
    /// Routes taken over from other VRFs of this device: peerings. Never passed on (not advertised as type 5).
    pub leaks: Vec<Leak>,
    /// What is told to the outside as aggregates, as long as a part exists; exits only.
    pub aggregates: Vec<Prefix>,
    /// Which routes of this VRF become type 5.
    pub advertise: Advertise,
}

/// Which routes of a switch's VRF become type-5 routes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Advertise {
    /// All but those leaked from another VRF.
    Own,
    /// Only these: on exits what was learned from outside and is asked for (the default among them only if the network's destinations have it),
    /// sorted.
    Only(Vec<PrefixMatch>),
}

/// A routed server's port on a leaf. Inbound policy is per port and family (H20, H22).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RoutedPort {
    /// Our port.
    pub port: IfName,
    /// Its MTU.
    pub mtu: Mtu,
    /// The server behind.
    pub server: Name,
    /// The only ASN accepted in its paths.
    pub asn: Asn,
    /// What it may announce, sorted; empty means nothing (deny).
    pub accept: Vec<PrefixMatch>,
    /// How many prefixes per family before the session is torn down.
    pub maximum_prefix: u32,
}

/// A prefix as lists match it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct PrefixMatch {
    /// The prefix.
    pub prefix: Prefix,
    /// Which lengths inside it.
    pub lengths: Lengths,
}

/// Which prefixes inside a prefix are meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Lengths {
    /// The prefix itself alone.
    Exact,
    /// Host routes inside it alone.
    Hosts,
    /// It and everything inside, up to host routes.
    UpToHosts,
}

/// A bridged segment on a leaf: one L2VNI with one subnet, or with an IPv4 and an IPv6 one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SubnetPlan {
    /// Its subnets, one per family at most, sorted; each also announced as type 5.
    pub gateways: Vec<SubnetGateway>,
    /// The L2VNI.
    pub vni: Vni,
    /// Its VLAN on this device.
    pub vlan: VlanId,
    /// Its route distinguisher.
    pub rd: RouteDistinguisher,
}

/// A subnet of a bridged segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct SubnetGateway {
    /// The subnet.
    pub prefix: Prefix,
    /// The anycast gateway with the subnet's length.
    pub gateway: HostAddress,
}

/// A port in an access VLAN: a bridged server's.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AccessPort {
    /// Our port.
    pub port: IfName,
    /// Its MTU.
    pub mtu: Mtu,
    /// The server behind.
    pub server: Name,
    /// The untagged VLAN.
    pub vlan: VlanId,
    /// How many MAC addresses may be learned (H41).
    pub maximum_macs: u32,
}

/// The provisioning network on a leaf: a VLAN of its own whose ports are isolated from each other. Local to the leaf plus an L2VNI.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProvisioningPlan {
    /// Its subnet and L2VNI, in the VRF of `vrf_vni`.
    pub subnet: SubnetPlan,
    /// Its L3VNI (a VRF of its own, in `vrfs` too).
    pub vrf_vni: Vni,
    /// Where DHCP is relayed to.
    pub dhcp_servers: Vec<IpAddr>,
    /// Its ports, isolated.
    pub ports: Vec<IfName>,
}

/// A router outside, on an exit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExternalPeerPlan {
    /// Our port.
    pub interface: IfName,
    /// The VLAN tag on it; the VLAN device is `interface.vlan`.
    pub vlan: Option<VlanId>,
    /// Our address.
    pub local_address: HostAddress,
    /// Theirs.
    pub peer_address: IpAddr,
    /// Their ASN.
    pub asn: Asn,
    /// The link's MTU.
    pub mtu: Mtu,
    /// The name of the password in the secret store; the text never stands in a plan.
    pub password_ref: Option<Name>,
    /// What is accepted, of the peer's address' family.
    pub import: Vec<PrefixMatch>,
    /// What is told.
    pub export: Vec<PrefixMatch>,
    /// How many prefixes before the session is torn down.
    pub maximum_prefix: u32,
}

/// Routes that one VRF takes over from another on the same device.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Leak {
    /// The source VRF by its VNI.
    pub from: Vni,
    /// What is taken over, both families, sorted.
    pub prefixes: Vec<PrefixMatch>,
    /// Whether it may leave the device again.
    pub scope: LeakScope,
    /// Who alone may send there, sorted: this side's prefixes of a peering. Empty on a firewall, whose ruleset decides that.
    pub senders: Vec<Prefix>,
}

/// What becomes of leaked routes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LeakScope {
    /// Never told to anyone: `no-export`. On a firewall the way back for translated flows, on a leaf a peering.
    Local,
    /// Passed on as far as `announce` of the VRF says; firewalls only.
    Announced,
}

/// A leaf's port with a firewall machine behind. The machine is trusted with nothing (H21, H35 to H39).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FirewallPort {
    /// Our port.
    pub port: IfName,
    /// Its MTU.
    pub mtu: Mtu,
    /// The firewall machine (a Server).
    pub firewall: Name,
    /// Its port.
    pub firewall_port: IfName,
    /// Its ASN.
    pub asn: Asn,
    /// Its loopback: the only unicast route it may announce, its next hop, the only outer source.
    pub loopback: Ipv4Addr,
    /// Its router MAC.
    pub router_mac: MacAddr,
    /// How many times its own ASN is prepended to what it announces, 3 per step of standby; 0 for the active one.
    pub prepend: u8,
    /// What it may announce and receive, per VNI, sorted.
    pub vnis: Vec<FirewallPortVni>,
    /// Loopbacks of the VTEPs that it has to reach in any VNI, sorted: leaves with servers of its networks, exits of its external ones; never another
    /// firewall.
    pub vteps: Vec<Ipv4Addr>,
    /// How many prefixes before the session is torn down.
    pub maximum_prefix: u32,
}

/// One VNI on a firewall's port.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FirewallPortVni {
    /// The VNI; its route target follows.
    pub vni: Vni,
    /// The route distinguisher that the firewall must use in it.
    pub rd: RouteDistinguisher,
    /// Which prefixes it may announce there, both families; empty means nothing.
    pub accept: Vec<PrefixMatch>,
    /// Loopbacks of the VTEPs that it has to reach in this VNI, sorted: the guard takes VTEP and VNI as pairs (H38).
    pub vteps: Vec<Ipv4Addr>,
}

/// A firewall machine.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FirewallPlan {
    /// The Firewall it serves. A machine that serves none has no plan; its ports are shut or in the provisioning network.
    pub firewall: Name,
    /// 0 is active, then the standby ones in order.
    pub position: u8,
    /// Identity in the underlay.
    pub router: Router,
    /// The fabric's settings.
    pub common: Arc<Common>,
    /// Ports to its leaves.
    pub uplinks: Vec<FabricPort>,
    /// One per network that it joins, sorted by VNI.
    pub vrfs: Vec<FirewallVrfPlan>,
    /// What its ruleset is made from.
    pub rules: FirewallRules,
}

/// A network on a firewall machine.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FirewallVrfPlan {
    /// The Network's name.
    pub network: Name,
    /// The L3VNI.
    pub vni: Vni,
    /// Its VLAN on this machine.
    pub vlan: VlanId,
    /// Its route distinguisher.
    pub rd: RouteDistinguisher,
    /// Addresses that the machine holds in it, as host routes on the VRF device, announced as type 5: source NAT, in-band management.
    pub addresses: Vec<IpAddr>,
    /// Routes taken over from its other VRFs.
    pub leaks: Vec<Leak>,
    /// What it makes one route of, as long as a part exists; the parts are not announced then.
    pub aggregates: Vec<Prefix>,
    /// What it announces as type 5, its own addresses and aggregates included, sorted; what was leaked and is not listed here stays inside.
    pub announce: Vec<PrefixMatch>,
}

/// A routed server: an output for its owner, who runs it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RoutedServerPlan {
    /// Its ASN.
    pub asn: Asn,
    /// Its addresses, on `lo`; the first IPv4 one is its router id.
    pub addresses: Vec<IpAddr>,
    /// A router id even where it has no IPv4 address.
    pub router_id: Ipv4Addr,
    /// Its network, for comments.
    pub network: Name,
    /// Ports to its leaves.
    pub uplinks: Vec<FabricPort>,
    /// Elastic addresses bound to it, on `lo` and announced too.
    pub elastic: Vec<IpAddr>,
    /// What else it may announce (the network's `announce` prefixes), for comments and the owner's own use.
    pub may_announce: Vec<Prefix>,
    /// The fabric's settings.
    pub common: Arc<Common>,
}

/// A bridged server: an output for its owner, who runs it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct BridgedServerPlan {
    /// Its network, for comments.
    pub network: Name,
    /// Its ports; two of them form an active-backup bond.
    pub ports: Vec<BridgedServerPort>,
    /// The MTU of the bond or port.
    pub mtu: Mtu,
    /// Its addresses with their subnets' lengths.
    pub addresses: Vec<HostAddress>,
    /// Default gateways, one per family at most.
    pub gateways: Vec<IpAddr>,
}

/// A port of a bridged server.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BridgedServerPort {
    /// The interface.
    pub name: IfName,
    /// Its address.
    pub mac: MacAddr,
    /// The leaf it is plugged into.
    pub leaf: Name,
    /// And the port there.
    pub leaf_port: IfName,
}
