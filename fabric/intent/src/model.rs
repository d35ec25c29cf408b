//! The Model: all intents of a fabric, checked. Every reference resolves, every value is legal, nothing that must be disjoint overlaps.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;

use leafwall_policy::rule::{Peer, Policy};
use leafwall_policy::zone::Access;
use leafwall_topology::{Asn, Family, Graph, HostAddress, IfName, MacAddr, Mtu, Name, Platform, PortRef, Prefix, Range, Role, VlanId, Vni};
use serde::{Deserialize, Serialize};

/// A checked fabric. Objects are behind [`Arc`] so that a changed Model shares what did not change.
#[derive(Debug, Clone, PartialEq)]
pub struct Model {
    /// Ranges and settings of the whole fabric.
    pub fabric: Arc<Fabric>,
    /// Switches by name.
    pub switches: BTreeMap<Name, Arc<Switch>>,
    /// Cables between switches, and from each server's NICs to their ports.
    pub graph: Arc<Graph>,
    /// Machines and firewall machines by name.
    pub servers: BTreeMap<Name, Arc<Server>>,
    /// Tenants by name.
    pub tenants: BTreeMap<Name, Arc<Tenant>>,
    /// Networks by name.
    pub networks: BTreeMap<Name, Arc<Network>>,
    /// Allocations by name; a server has one at most.
    pub allocations: BTreeMap<Name, Arc<Allocation>>,
    /// Elastic addresses by name.
    pub addresses: BTreeMap<Name, Arc<Address>>,
    /// Peerings by name.
    pub peerings: BTreeMap<Name, Arc<Peering>>,
    /// Firewalls by name.
    pub firewalls: BTreeMap<Name, Arc<Firewall>>,
    /// Firewall policies by name, each with the Firewall it belongs to.
    pub policies: BTreeMap<Name, Arc<FirewallPolicy>>,
}

impl Model {
    /// Whom a firewall's machines ask for names, where its rules can have any: its own resolvers, or else the fabric's.
    pub fn resolvers<'m>(&'m self, firewall: &'m Firewall) -> &'m [IpAddr] {
        let is_fqdn = |peer: &Peer| matches!(peer, Peer::Fqdn(_));
        let policies = self.policies.values().filter(|policy| policy.firewall == firewall.name);
        let mut rules = policies.flat_map(|policy| policy.policy.ingress.iter().chain(&policy.policy.egress));
        // a cluster's own rules may have names at any time
        if firewall.kubeconfig.is_none() && !rules.any(|rule| rule.from.iter().chain(&rule.to).any(is_fqdn)) {
            return &[];
        }
        if firewall.dns.is_empty() { &self.fabric.dns } else { &firewall.dns }
    }
}

/// `kind: Fabric`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fabric {
    /// Its name.
    pub name: Name,
    /// Where loopbacks are allocated from (IPv4).
    pub loopbacks: Prefix,
    /// Where ASNs are allocated from; the spines' common one is the first.
    pub asns: Range<Asn>,
    /// MTU of fabric and firewall ports.
    pub mtu: Mtu,
    /// Where VNIs are allocated from.
    pub vnis: Range<Vni>,
    /// Where VLAN ids are allocated from, for each device anew.
    pub vlans: Range<VlanId>,
    /// The MAC address of every subnet's gateway.
    pub anycast_mac: MacAddr,
    /// BGP's timers.
    pub timers: BgpTimers,
    /// BFD's timers on fabric and firewall ports.
    pub bfd: BfdTimers,
    /// Resolvers for the devices.
    pub dns: Vec<IpAddr>,
    /// Time servers for the devices.
    pub ntp: Vec<IpAddr>,
    /// Where devices log to.
    pub syslog: Vec<IpAddr>,
    /// The network of ports without an active allocation; without one such ports are shut.
    pub provisioning: Option<Provisioning>,
}

/// Seconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct BgpTimers {
    /// Between keepalives.
    pub keepalive: u16,
    /// Until a silent peer is down.
    pub hold: u16,
}

impl Default for BgpTimers {
    fn default() -> Self {
        Self { keepalive: 3, hold: 9 }
    }
}

/// BFD (RFC 5880): a neighbour is down after `multiplier` intervals without a packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct BfdTimers {
    /// Both ways, in milliseconds.
    pub interval_ms: u16,
    /// How many may be missed.
    pub multiplier: u8,
    /// Whether machine ports of routed servers have it too.
    pub servers: bool,
}

impl Default for BfdTimers {
    fn default() -> Self {
        Self { interval_ms: 300, multiplier: 3, servers: false }
    }
}

/// The network in which machines are installed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Provisioning {
    /// Its subnet.
    pub prefix: Prefix,
    /// The anycast gateway in it.
    pub gateway: IpAddr,
    /// Where DHCP requests are relayed to.
    pub dhcp_servers: Vec<IpAddr>,
}

/// `kind: Switch`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Switch {
    /// Its name, also its host name.
    pub name: Name,
    /// What it does.
    pub role: Role,
    /// What it runs.
    pub platform: Platform,
    /// Which version of that; `None` means the newest tested.
    pub version: Option<String>,
    /// SONiC's hardware SKU.
    pub hwsku: Option<String>,
    /// Its serial number.
    pub serial: Option<String>,
    /// The MAC address of its management port.
    pub mac: Option<MacAddr>,
    /// Its management address.
    pub management: Option<Management>,
    /// Where it stands.
    pub rack: Option<Name>,
    /// Settings of single ports.
    pub ports: BTreeMap<IfName, PortSettings>,
    /// Whether traffic is to be drawn off it.
    pub maintenance: bool,
}

/// How a device is reached for management, out of band.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Management {
    /// Its address.
    pub address: HostAddress,
    /// The way out.
    pub gateway: Option<IpAddr>,
}

/// Settings of one port; what is `None` is the platform's default.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PortSettings {
    /// Mbit/s.
    pub speed: Option<u32>,
    /// As the platform spells it, such as `4x25G`.
    pub breakout: Option<String>,
    /// `rs`, `fc` or `none`.
    pub fec: Option<String>,
    /// Whether it negotiates.
    pub autoneg: Option<bool>,
    /// Its MTU.
    pub mtu: Option<Mtu>,
}

/// `kind: Server`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Server {
    /// Its name, also its host name.
    pub name: Name,
    /// Machine or firewall.
    pub role: ServerRole,
    /// Its ports to the fabric, in the order written; one at least.
    pub nics: Vec<Nic>,
    /// How a firewall is reached.
    pub management: Option<ServerManagement>,
}

/// What a server is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum ServerRole {
    /// A tenant's machine.
    Machine,
    /// A firewall machine of the provider.
    Firewall,
}

/// One port of a server and where it is plugged in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Nic {
    /// Its interface's name.
    pub name: IfName,
    /// Its address.
    pub mac: MacAddr,
    /// The leaf's port.
    pub port: PortRef,
}

/// How a firewall machine is reached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ServerManagement {
    /// Out of band.
    Address(HostAddress),
    /// Through a network that it joins.
    Inband(Name),
}

/// `kind: Tenant`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tenant {
    /// Its name.
    pub name: Name,
    /// Upper bounds on what it may have, by kind of object.
    pub quota: BTreeMap<String, u32>,
    /// Free labels.
    pub labels: BTreeMap<String, String>,
}

/// What a network is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum NetworkType {
    /// A tenant's own; others meet it only through a Peering.
    Private,
    /// A tenant's own that other tenants' firewalls may join.
    Shared,
    /// The outside, reached through exits.
    External,
}

/// Which families a firewall translates on the way into a network.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Nat {
    /// Everything is routed.
    #[default]
    None,
    /// IPv4 is translated, IPv6 routed.
    Ipv4,
    /// Both are translated.
    Both,
}

impl Nat {
    /// Whether this family is translated.
    pub const fn covers(self, family: Family) -> bool {
        matches!((self, family), (Self::Both, _) | (Self::Ipv4, Family::V4))
    }
}

/// `kind: Network`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Network {
    /// Its name.
    pub name: Name,
    /// Whose it is; external ones may be nobody's.
    pub tenant: Option<Name>,
    /// What it is.
    pub kind: NetworkType,
    /// Routed: servers announce host routes inside them.
    pub prefixes: Vec<Prefix>,
    /// Bridged: each an L2VNI with an anycast gateway.
    pub subnets: Vec<Subnet>,
    /// What is reachable through it.
    pub destinations: Vec<Prefix>,
    /// What servers may announce besides host routes: pods, services.
    pub announce: Vec<Prefix>,
    /// Its L3VNI if fixed; else allocated.
    pub vni: Option<Vni>,
    /// What is translated on the way in.
    pub nat: Nat,
    /// Where it leaves the fabric.
    pub exits: BTreeSet<Name>,
    /// Routers outside.
    pub peers: Vec<ExternalPeer>,
}

/// A bridged subnet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Subnet {
    /// Its prefix.
    pub prefix: Prefix,
    /// The anycast gateway inside it.
    pub gateway: IpAddr,
}

/// A router outside, as an exit sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExternalPeer {
    /// Our switch.
    pub exit: Name,
    /// Its port.
    pub interface: IfName,
    /// A VLAN tag on that port.
    pub vlan: Option<VlanId>,
    /// Our address.
    pub local_address: HostAddress,
    /// Theirs, in the same subnet.
    pub peer_address: IpAddr,
    /// Their ASN.
    pub asn: Asn,
    /// The MTU of that link.
    pub mtu: Mtu,
    /// The name of the TCP-MD5 password in the secret store.
    pub password_ref: Option<Name>,
    /// What is accepted from them; longer prefixes only if listed.
    pub import: Vec<Prefix>,
    /// What is told to them; empty means the network's prefixes.
    pub export: Vec<Prefix>,
}

/// How a server is attached.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Mode {
    /// BGP unnumbered on the host.
    Routed,
    /// An access VLAN with an anycast gateway.
    Bridged,
}

/// Whether a server is its tenant's yet.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Phase {
    /// Its ports are in the provisioning network.
    Provisioning,
    /// Its ports are in the tenant's network.
    #[default]
    Active,
}

/// `kind: Allocation`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Allocation {
    /// Its name.
    pub name: Name,
    /// The server.
    pub server: Name,
    /// Whose it is now.
    pub tenant: Name,
    /// Where it is attached.
    pub network: Name,
    /// How.
    pub mode: Mode,
    /// Its addresses if fixed; those of a family that is not listed are allocated.
    pub addresses: Vec<IpAddr>,
    /// Whether it is the tenant's yet.
    pub phase: Phase,
}

/// `kind: Address`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Address {
    /// Its name.
    pub name: Name,
    /// Whose it is.
    pub tenant: Name,
    /// The network whose prefixes it comes from.
    pub network: Name,
    /// The address if fixed; else an IPv4 one is allocated.
    pub address: Option<IpAddr>,
    /// Whether it outlives what uses it.
    pub permanent: bool,
    /// The only server that may announce it; without one, any routed server of the tenant may.
    pub server: Option<Name>,
}

/// `kind: Peering`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Peering {
    /// Its name.
    pub name: Name,
    /// The two sides; their prefixes are disjoint.
    pub sides: [PeeringSide; 2],
}

/// One side of a Peering.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PeeringSide {
    /// The network.
    pub network: Name,
    /// What of it the other side sees; filled with all its prefixes and subnets where the intent names none.
    pub prefixes: Vec<Prefix>,
}

/// `kind: Firewall`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Firewall {
    /// Its name.
    pub name: Name,
    /// Whose it is.
    pub tenant: Name,
    /// The machines: the first is active, the rest standby, in this order.
    pub servers: Vec<Name>,
    /// The networks that it joins: own, external, and other tenants' shared ones.
    pub networks: BTreeSet<Name>,
    /// Addresses used for source NAT into a network.
    pub egress: BTreeMap<Name, Vec<Name>>,
    /// Limits into a network, in Mbit/s.
    pub rate_limits: BTreeMap<Name, u32>,
    /// What the operator permits at all.
    pub access: Access,
    /// Bounds on ingress sources; `None` means no bound.
    pub allowed_ingress: Option<Vec<Prefix>>,
    /// Bounds on egress destinations; `None` means no bound.
    pub allowed_egress: Option<Vec<Prefix>>,
    /// Whether accepted flows are logged too.
    pub log_accepted: bool,
    /// Resolvers for FQDN rules.
    pub dns: Vec<IpAddr>,
    /// The path of a kubeconfig on the firewall machine.
    pub kubeconfig: Option<String>,
}

/// `kind: FirewallPolicy`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FirewallPolicy {
    /// The Firewall it belongs to.
    pub firewall: Name,
    /// The rules.
    pub policy: Policy,
}
