//! The tables that Leafwall writes, typed. Names and values are those of SONiC's YANG models.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use leafwall_topology::{Asn, HostAddress, IfName, MacAddr, Mtu, Name, VlanId, Vni};
use serde::{Deserialize, Serialize};

use super::{ConfigDb, InterfaceKey, Pair, Plain};

/// The names of tables that code asks for by themselves.
pub mod table {
    /// The switch itself.
    pub const DEVICE_METADATA: &str = "DEVICE_METADATA";
    /// SONiC's services.
    pub const FEATURE: &str = "FEATURE";
    /// Front-panel ports.
    pub const PORT: &str = "PORT";
    /// Routed ports.
    pub const INTERFACE: &str = "INTERFACE";
    /// Tagged subinterfaces.
    pub const VLAN_SUB_INTERFACE: &str = "VLAN_SUB_INTERFACE";
    /// Loopbacks.
    pub const LOOPBACK_INTERFACE: &str = "LOOPBACK_INTERFACE";
    /// VRFs.
    pub const VRF: &str = "VRF";
    /// VLANs.
    pub const VLAN: &str = "VLAN";
    /// Their ports.
    pub const VLAN_MEMBER: &str = "VLAN_MEMBER";
    /// Their SVIs.
    pub const VLAN_INTERFACE: &str = "VLAN_INTERFACE";
    /// The VTEP.
    pub const VXLAN_TUNNEL: &str = "VXLAN_TUNNEL";
    /// VNIs and their VLANs.
    pub const VXLAN_TUNNEL_MAP: &str = "VXLAN_TUNNEL_MAP";
    /// EVPN on the VTEP.
    pub const VXLAN_EVPN_NVO: &str = "VXLAN_EVPN_NVO";
    /// ARP and ND suppression.
    pub const SUPPRESS_VLAN_NEIGH: &str = "SUPPRESS_VLAN_NEIGH";
    /// The anycast gateways' MAC address.
    pub const SAG: &str = "SAG";
    /// Management ports.
    pub const MGMT_PORT: &str = "MGMT_PORT";
    /// Their addresses.
    pub const MGMT_INTERFACE: &str = "MGMT_INTERFACE";
    /// Their VRF.
    pub const MGMT_VRF_CONFIG: &str = "MGMT_VRF_CONFIG";
    /// How time is asked for.
    pub const NTP: &str = "NTP";
    /// Whom it is asked of.
    pub const NTP_SERVER: &str = "NTP_SERVER";
    /// Resolvers.
    pub const DNS_NAMESERVER: &str = "DNS_NAMESERVER";
    /// Where it logs to.
    pub const SYSLOG_SERVER: &str = "SYSLOG_SERVER";
}

fn is_none<K, V>(table: &BTreeMap<K, V>) -> bool {
    table.is_empty()
}

macro_rules! tables {
    ($($(#[$doc:meta])* $name:literal $field:ident: $key:ty => $row:ty,)+) => {
        /// What Leafwall writes into CONFIG_DB. BUFFER tables and those of QoS are not among it: they are the platform's.
        #[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
        pub struct Tables {
            $(
                $(#[$doc])*
                #[serde(rename = $name, default, skip_serializing_if = "is_none")]
                pub $field: BTreeMap<$key, $row>,
            )+
        }
    };
}

tables! {
    /// The switch itself, under `localhost`.
    "DEVICE_METADATA" metadata: String => Metadata,
    /// SONiC's services.
    "FEATURE" features: String => Feature,
    /// Front-panel ports.
    "PORT" ports: IfName => PortRow,
    /// Routed ports and their addresses.
    "INTERFACE" interfaces: InterfaceKey => InterfaceRow,
    /// Tagged subinterfaces and their addresses.
    "VLAN_SUB_INTERFACE" subinterfaces: InterfaceKey => InterfaceRow,
    /// Loopbacks and their addresses.
    "LOOPBACK_INTERFACE" loopbacks: InterfaceKey => InterfaceRow,
    /// VRFs.
    "VRF" vrfs: IfName => VrfRow,
    /// VLANs.
    "VLAN" vlans: IfName => VlanRow,
    /// VLANs' ports.
    "VLAN_MEMBER" members: Pair<IfName, IfName> => Member,
    /// SVIs and their addresses.
    "VLAN_INTERFACE" svis: InterfaceKey => InterfaceRow,
    /// The VTEP.
    "VXLAN_TUNNEL" tunnels: String => Tunnel,
    /// VNIs and their VLANs.
    "VXLAN_TUNNEL_MAP" maps: Pair<String, String> => TunnelMap,
    /// EVPN on the VTEP.
    "VXLAN_EVPN_NVO" nvos: String => Nvo,
    /// ARP and ND suppression by VLAN.
    "SUPPRESS_VLAN_NEIGH" suppressions: IfName => NeighborSuppression,
    /// The anycast gateways' MAC address, under `GLOBAL`.
    "SAG" sag: String => Sag,
    /// The management port.
    "MGMT_PORT" management_ports: IfName => ManagementPort,
    /// Its addresses.
    "MGMT_INTERFACE" management: Pair<IfName, HostAddress> => ManagementInterface,
    /// Its VRF, under `vrf_global`.
    "MGMT_VRF_CONFIG" management_vrf: String => ManagementVrf,
    /// How time is asked for, under `global`.
    "NTP" ntp: String => Ntp,
    /// Time servers.
    "NTP_SERVER" ntp_servers: IpAddr => Nothing,
    /// Resolvers.
    "DNS_NAMESERVER" resolvers: IpAddr => Nothing,
    /// Log servers.
    "SYSLOG_SERVER" syslog: IpAddr => SyslogServer,
}

/// A row without fields.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Nothing {}

/// A state that SONiC spells `enabled` or `disabled`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// It runs.
    Enabled,
    /// It does not.
    Disabled,
}

/// A setting that SONiC spells `enable` or `disable`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Enabled {
    /// On.
    Enable,
    /// Off.
    Disable,
}

/// A setting that SONiC spells `on` or `off`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OnOff {
    /// On.
    On,
    /// Off.
    Off,
}

/// Up or down, administratively.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum AdminStatus {
    /// In service.
    Up,
    /// Shut.
    Down,
}

/// Who writes FRR's configuration.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RoutingMode {
    /// Not SONiC, and into one file for all daemons.
    SplitUnified,
}

/// The switch itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Metadata {
    /// Its name.
    pub hostname: Plain<Name>,
    /// SONiC's name of the hardware.
    pub hwsku: String,
    /// SONiC's name of the platform.
    pub platform: String,
    /// The MAC address of all its routed interfaces and SVIs: the router MAC (H2).
    pub mac: MacAddr,
    /// Its ASN.
    pub bgp_asn: Plain<Asn>,
    /// frr.conf is ours.
    pub docker_routing_config_mode: RoutingMode,
    /// And nothing else writes it.
    pub frr_mgmt_framework_config: Plain<bool>,
}

/// A service of SONiC's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Feature {
    /// Whether it runs.
    pub state: State,
}

/// A front-panel port.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PortRow {
    /// Its name on the front panel.
    pub alias: String,
    /// The number at its cage.
    pub index: Plain<u16>,
    /// Its lanes on the ASIC, with commas between.
    pub lanes: String,
    /// Mbit/s.
    pub speed: Plain<u32>,
    /// Its MTU.
    pub mtu: Plain<Mtu>,
    /// Whether it is in service.
    pub admin_status: AdminStatus,
    /// Forward error correction: `rs`, `fc`, `none`; as the platform has it where it is not there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fec: Option<String>,
    /// Whether it negotiates; as the platform has it where it is not there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub autoneg: Option<OnOff>,
    /// What is at the other end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
}

/// A routed interface: a port, subinterface, loopback or SVI. A row of one of its addresses has no fields.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct InterfaceRow {
    /// Its VRF; the default one where it is not there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vrf_name: Option<IfName>,
    /// Whether it speaks IPv6 without any address but a link-local one: what BGP unnumbered needs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ipv6_use_link_local_only: Option<Enabled>,
    /// Of an SVI: whether it has the anycast gateways' MAC address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub static_anycast_gateway: Option<Plain<bool>>,
    /// Of a subinterface: whether it is in service.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub admin_status: Option<AdminStatus>,
}

/// A VRF.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct VrfRow {
    /// Its L3VNI.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vni: Option<Plain<Vni>>,
}

/// A VLAN.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct VlanRow {
    /// Its id.
    pub vlanid: Plain<VlanId>,
    /// [`leafwall_topology::names::sonic::VLAN_MARK`] if it is ours.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// Where DHCP is relayed to.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub dhcp_servers: Vec<Ipv4Addr>,
    /// Where DHCPv6 is relayed to.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub dhcpv6_servers: Vec<Ipv6Addr>,
}

/// A port in a VLAN.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Member {
    /// How.
    pub tagging_mode: Tagging,
}

/// How a port is in a VLAN.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Tagging {
    /// As an access port.
    Untagged,
    /// As one of several.
    Tagged,
    /// Tagged with VLAN 0.
    PriorityTagged,
}

/// The VTEP.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tunnel {
    /// Its address.
    pub src_ip: Ipv4Addr,
}

/// A VNI and its VLAN.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TunnelMap {
    /// The VLAN, by name.
    pub vlan: IfName,
    /// The VNI.
    pub vni: Plain<Vni>,
}

/// EVPN on the VTEP.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Nvo {
    /// The VTEP, by name.
    pub source_vtep: String,
}

/// ARP and ND suppression on a VLAN.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct NeighborSuppression {
    /// Whether there is.
    pub suppress: OnOff,
}

/// Anycast gateways.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sag {
    /// The MAC address of all of them.
    pub gateway_mac: MacAddr,
}

/// A management port.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ManagementPort {
    /// Whether it is in service.
    pub admin_status: AdminStatus,
    /// Its other name.
    pub alias: String,
}

/// An address of a management port.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct ManagementInterface {
    /// The way out of its subnet.
    pub gwaddr: IpAddr,
}

/// The VRF of the management port.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct ManagementVrf {
    /// Whether there is one.
    #[serde(rename = "mgmtVrfEnabled")]
    pub enabled: Plain<bool>,
}

/// How time is asked for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ntp {
    /// In which VRF: `mgmt` or `default`.
    pub vrf: String,
}

/// A log server.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SyslogServer {
    /// In which VRF: `mgmt`; the default one where it is not there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vrf: Option<String>,
}

impl Tables {
    /// As a database.
    ///
    /// # Errors
    /// None that tables can cause: keys and values are texts.
    pub fn to_database(&self) -> Result<ConfigDb, serde_json::Error> {
        ConfigDb::parse(&serde_json::to_string(self)?)
    }

    /// What a database has in these tables. Rows of others are read like ours; fields that no row of ours has are passed over.
    ///
    /// # Errors
    /// A row that is none: without a field that it must have, or with a value that is not of its kind.
    pub fn read(database: &ConfigDb) -> Result<Self, serde_json::Error> {
        serde_json::from_value(serde_json::to_value(database)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_are_read_as_they_are_written() {
        let mut tables = Tables::default();
        let vlan: IfName = "Vlan1001".parse().unwrap();
        let row = VlanRow {
            vlanid: Plain("1001".parse().unwrap()),
            description: Some("leafwall".to_owned()),
            dhcp_servers: vec![Ipv4Addr::LOCALHOST],
            dhcpv6_servers: Vec::new(),
        };
        tables.vlans.insert(vlan.clone(), row);
        tables.members.insert(Pair(vlan.clone(), "Ethernet0".parse().unwrap()), Member { tagging_mode: Tagging::Untagged });
        let gateway = InterfaceRow { static_anycast_gateway: Some(Plain(true)), ..InterfaceRow::default() };
        tables.svis.insert(InterfaceKey::of(vlan.clone()), gateway);
        tables.svis.insert(InterfaceKey::address(vlan, "192.0.2.1/24".parse().unwrap()), InterfaceRow::default());
        let database = tables.to_database().unwrap();
        let text = database.print().unwrap();
        assert!(text.contains(r#""Vlan1001|Ethernet0": {"tagging_mode":"untagged"}"#), "{text}");
        assert!(text.contains(r#""Vlan1001|192.0.2.1/24": {}"#), "{text}");
        assert_eq!(Tables::read(&database).unwrap(), tables);
    }

    #[test]
    fn a_row_that_is_none_is_refused_with_its_reason() {
        let database = ConfigDb::parse(r#"{"VLAN": {"Vlan7": {"vlanid": "5000"}}}"#).unwrap();
        assert!(Tables::read(&database).unwrap_err().to_string().contains("5000"));
        let database = ConfigDb::parse(r#"{"VLAN_MEMBER": {"Vlan7": {"tagging_mode": "untagged"}}}"#).unwrap();
        assert!(Tables::read(&database).unwrap_err().to_string().contains("it has one part"));
    }
}
