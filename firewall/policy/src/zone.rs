//! What the plan knows of the machine that a ruleset runs on.

use std::net::{IpAddr, Ipv4Addr};

use leafwall_topology::{IfName, Mtu, Name, Prefix};
use serde::{Deserialize, Serialize};

use crate::rule::Policy;

/// Everything from which a firewall's ruleset is made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FirewallRules {
    /// The Firewall's name.
    pub firewall: Name,
    /// Whose it is.
    pub tenant: Name,
    /// The networks that it joins, sorted by name.
    pub zones: Vec<Zone>,
    /// What the operator permits at all.
    pub access: Access,
    /// Outer bounds on addresses, whatever the policies say. `None` means no bound.
    pub allowed_ingress: Option<Vec<Prefix>>,
    /// As above, for what may be reached.
    pub allowed_egress: Option<Vec<Prefix>>,
    /// Whether accepted flows are logged too.
    pub log_accepted: bool,
    /// The operator's and tenant's policies, sorted by name.
    pub policies: Vec<Policy>,
    /// Who is asked for names, by the proxy on this machine; none where no rule can have names. Then the own networks reach the proxy.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub resolvers: Vec<IpAddr>,
    /// What can never be locked out.
    pub failsafe: Failsafe,
}

/// One network as its firewall sees it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Zone {
    /// The Network's name.
    pub network: Name,
    /// What kind it is; policies' directions are relative to it.
    pub kind: ZoneKind,
    /// The VRF device: `iifname` of what comes from this network.
    pub input: IfName,
    /// The SVI of the L3VNI: `oifname` of what goes into this network.
    pub output: IfName,
    /// Everything that the network consists of, or makes reachable: prefixes, subnets, destinations.
    pub prefixes: Vec<Prefix>,
    /// Which source addresses are accepted from this network (F23).
    pub sources: Sources,
    /// Source NAT for flows into this network from the tenant's own ones.
    pub snat: Snat,
    /// The outside's MTU, to which the MSS is clamped; `None` inside the fabric.
    pub clamp_mss_to: Option<Mtu>,
    /// A limit of what goes into the network, in Mbit/s.
    pub rate_mbit: Option<u32>,
}

/// What kind of network a zone is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ZoneKind {
    /// The tenant's own network.
    Own,
    /// Another tenant's shared network.
    Shared,
    /// The outside.
    External,
}

/// Which sources may come from a zone, both families.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Sources {
    /// Only these.
    Only(Vec<Prefix>),
    /// Everything but these: what belongs to other zones.
    AllBut(Vec<Prefix>),
}

/// Source NAT into one zone. Every protocol gets it; with several addresses the spread is stable per flow (F10).
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Snat {
    /// Sources that are translated (own prefixes of families with NAT); never what is routed.
    pub sources: Vec<Prefix>,
    /// The firewall's addresses in that network: IPv4.
    pub v4: Vec<Ipv4Addr>,
    /// And IPv6.
    pub v6: Vec<std::net::Ipv6Addr>,
}

/// How far the policies' word goes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Access {
    /// The policies decide, within `allowedNetworks` where given.
    #[default]
    Baseline,
    /// Only `allowedNetworks` can be met; where they are not given, nothing.
    Restricted,
    /// Nothing to or from external networks, whatever the policies say.
    Forbidden,
}

/// What a ruleset always lets through to and from the machine itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failsafe {
    /// Ports towards the leaves: BGP, BFD, ND and VXLAN come in there.
    pub uplinks: Vec<IfName>,
    /// The machine's own loopback: the destination of VXLAN packets.
    pub loopback: Ipv4Addr,
    /// Where VTEPs live (F15): the fabric's loopback range.
    pub vteps: Prefix,
    /// Management: the interface, if there is one of its own.
    pub management: Option<IfName>,
    /// Management through a network (`inband`).
    pub inband: Option<Inband>,
}

/// The operator's way in through a network that tenants share.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Inband {
    /// The network's VRF.
    pub vrf: IfName,
    /// The machine's addresses for that in it; no other address of the machine takes connections.
    pub addresses: Vec<IpAddr>,
}
