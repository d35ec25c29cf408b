//! What a SONiC switch is by its CONFIG_DB, in the terms in which other switches' links.json says it.
//!
//! SONiC's daemons make the kernel's links of it and program the switching chip, which forwards. What of their work the proof relies on:
//!
//! - vrfmgrd gives a VRF a table of its own, and moves the rule of local addresses behind the VRFs;
//! - vlanmgrd makes one bridge with all VLANs, an untagged member's packets are in its VLAN, and `Vlan7` is the SVI of VLAN 7;
//! - vxlanmgrd and orchagent map a VNI to a VLAN if the tunnel is the NVO's, and an SVI in a VRF with that VNI as the VRF's L3VNI;
//! - a port without a row in INTERFACE and without a VLAN is neither bridged nor routed.
//!
//! What it can't show is said as assumptions: [`ASSUMPTIONS`]. Whatever is not understood is refused: a table, row or field that Leafwall does not write may join
//! what is apart.

use std::collections::{BTreeMap, BTreeSet};

use leafwall_render::config_db::{AdminStatus, ConfigDb, InterfaceKey, InterfaceRow, Pair, Tables, Tagging};
use leafwall_render::frr::FrrConfig;
use leafwall_render::links::{
    BridgePort, Forwarding, Isolation, LINKS_VERSION, Link, LinkKind, LinkLocal, LinkState, Links, LocalTable, VniMap,
};
use leafwall_topology::names::sonic::{UNDERLAY_LOOPBACK, vlan_id};
use leafwall_topology::{HostAddress, IfName, MacAddr, VlanId, Vni};

/// What is taken for granted of switches that run SONiC.
pub(crate) const ASSUMPTIONS: &[&str] = &[
    "the chip of a switch that runs SONiC drops what has no route in its VRF, and takes packets out of tunnels only in the default VRF",
    "access lists of a SONiC switch's control plane, which these artefacts do not hold, keep tenants from the services at its own addresses",
];

/// vlanmgrd's one bridge.
const BRIDGE: &str = "Bridge";
/// The first table that vrfmgrd gives a VRF.
const FIRST_TABLE: u32 = 1001;
/// The VRF of management, which vrfmgrd does not make.
const MANAGEMENT_VRF: &str = "mgmt";

/// A switch as its CONFIG_DB has it.
#[derive(Debug)]
pub(crate) struct Sonic {
    /// Its links.
    pub links: Links,
    /// Ports that take in nothing untagged: in no VLAN, and not routed.
    pub unrouted: BTreeSet<IfName>,
}

/// Reads CONFIG_DB beside the routing that goes with it.
pub(crate) fn read(text: &str, frr: &FrrConfig) -> Result<Sonic, String> {
    let database = ConfigDb::parse(text).map_err(|error| error.to_string())?;
    let tables = Tables::read(&database).map_err(|error| error.to_string())?;
    understood(&database, &tables)?;
    let reader = Reader { tables: &tables };
    reader.l3vnis(frr)?;
    reader.sonic()
}

/// Everything in the database is something that the tables hold.
fn understood(database: &ConfigDb, tables: &Tables) -> Result<(), String> {
    let again = tables.to_database().map_err(|error| error.to_string())?;
    match database.rows().find(|(table, key, row)| again.row(table, key) != Some(row)) {
        Some((table, key, _)) => Err(format!("`{table}|{key}` has something that is not understood")),
        None => Ok(()),
    }
}

struct Reader<'t> {
    tables: &'t Tables,
}

impl Reader<'_> {
    /// The chip maps a VNI to the VRF that CONFIG_DB says, FRR routes in the one that frr.conf says.
    fn l3vnis(&self, frr: &FrrConfig) -> Result<(), String> {
        let here: BTreeMap<&IfName, Vni> = self.tables.vrfs.iter().filter_map(|(name, row)| Some((name, row.vni?.0))).collect();
        let there: BTreeMap<&IfName, Vni> = frr.vrfs.iter().filter_map(|vrf| Some((&vrf.name, vrf.vni?))).collect();
        let told = |vni: Option<&Vni>| vni.map_or("none".to_owned(), ToString::to_string);
        match here.keys().chain(there.keys()).find(|name| here.get(*name) != there.get(*name)) {
            Some(name) => Err(format!("the L3VNI of `VRF|{name}` is {}, and {} in frr.conf", told(here.get(name)), told(there.get(name)))),
            None => Ok(()),
        }
    }

    fn sonic(&self) -> Result<Sonic, String> {
        let mut links = Vec::new();
        let mut sources = self.sources()?;
        for (table, name) in (FIRST_TABLE..).zip(self.tables.vrfs.keys()) {
            let mut vrf = link(name, LinkKind::Vrf { table }, LinkState::Up);
            vrf.addresses = sources.remove(&Some(name)).unwrap_or_default();
            links.push(vrf);
        }
        let mut loopback = link(&parsed("lo")?, LinkKind::Loopback {}, LinkState::Up);
        loopback.addresses = sources.remove(&None).unwrap_or_default();
        links.push(loopback);
        if let Some(vrf) = sources.into_keys().flatten().next() {
            return Err(format!("a loopback is in `{vrf}`, which is not there"));
        }
        let bridge = parsed(BRIDGE)?;
        let vlans = self.vlans()?;
        links.push(link(&bridge, LinkKind::Bridge { maximum_macs: 0, vlans: vlans.keys().copied().collect() }, LinkState::Up));
        let members = self.members(&vlans)?;
        let interfaces = rows(&self.tables.interfaces)?;
        let mut unrouted = BTreeSet::new();
        for (name, row) in &self.tables.ports {
            let mut port = link(name, LinkKind::Physical {}, state(row.admin_status));
            port.mtu = Some(row.mtu.0);
            match (members.get(name), interfaces.get(name)) {
                (Some(_), Some(_)) => return Err(format!("{name} is in a VLAN and routed")),
                (Some(vlan), None) => {
                    port.master = Some(bridge.clone());
                    port.bridge_port = Some(BridgePort::Access { vlan: *vlan, isolation: Isolation::Open });
                }
                (None, Some(interface)) => self.settle(&mut port, interface)?,
                (None, None) => _ = unrouted.insert(name.clone()),
            }
            links.push(port);
        }
        if let Some(name) = members.keys().chain(interfaces.keys().copied()).find(|name| !self.tables.ports.contains_key(*name)) {
            return Err(format!("there is no `PORT|{name}`"));
        }
        for (name, interface) in rows(&self.tables.subinterfaces)? {
            let (lower, id) = name.as_str().split_once('.').ok_or_else(|| format!("`{name}` is no subinterface"))?;
            let kind = LinkKind::Vlan { lower: parsed(lower)?, id: parsed(id)? };
            let mut subinterface = link(name, kind, state(interface.row.admin_status.unwrap_or(AdminStatus::Down)));
            self.settle(&mut subinterface, &interface)?;
            links.push(subinterface);
        }
        self.tunnel(&bridge, &vlans, &mut links)?;
        self.svis(&bridge, &vlans, &mut links)?;
        let links = Links {
            version: LINKS_VERSION,
            forwarding: Forwarding::Immediate,
            local_table: LocalTable::AfterVrfs,
            sysctls: BTreeMap::new(),
            links,
            routes: Vec::new(),
        };
        Ok(Sonic { links, unrouted })
    }

    /// Addresses of loopbacks by their VRF.
    fn sources(&self) -> Result<BTreeMap<Option<&IfName>, Vec<HostAddress>>, String> {
        let mut found: BTreeMap<_, Vec<HostAddress>> = BTreeMap::new();
        for (name, interface) in rows(&self.tables.loopbacks)? {
            if (name.as_str() == UNDERLAY_LOOPBACK) != interface.row.vrf_name.is_none() {
                return Err(format!("`LOOPBACK_INTERFACE|{name}`: {UNDERLAY_LOOPBACK} and no other is in the default VRF"));
            }
            found.entry(interface.row.vrf_name.as_ref()).or_default().extend(interface.addresses);
        }
        Ok(found)
    }

    fn vlans(&self) -> Result<BTreeMap<VlanId, &IfName>, String> {
        self.tables
            .vlans
            .iter()
            .map(|(name, row)| {
                let named = vlan_id(name.as_str()).filter(|id| *id == row.vlanid.0);
                named.map(|id| (id, name)).ok_or_else(|| format!("`VLAN|{name}` is VLAN {}", row.vlanid.0))
            })
            .collect()
    }

    /// Ports with the one VLAN that each is in.
    fn members(&self, vlans: &BTreeMap<VlanId, &IfName>) -> Result<BTreeMap<IfName, VlanId>, String> {
        let mut found = BTreeMap::new();
        for (Pair(vlan, port), row) in &self.tables.members {
            let id = known(vlan, vlans)?;
            if row.tagging_mode != Tagging::Untagged || found.insert(port.clone(), id).is_some() {
                return Err(format!("{port} is in more than one VLAN untagged"));
            }
        }
        Ok(found)
    }

    /// The VXLAN device, if the tunnel is the NVO's: others carry nothing of EVPN.
    fn tunnel(&self, bridge: &IfName, vlans: &BTreeMap<VlanId, &IfName>, links: &mut Vec<Link>) -> Result<(), String> {
        let mut nvos = self.tables.nvos.values();
        let (nvo, tunnel) = match (nvos.next(), nvos.next()) {
            (None, None) if self.tables.maps.is_empty() => return Ok(()),
            (Some(nvo), None) if self.tables.tunnels.len() == 1 => {
                (nvo, self.tables.tunnels.get(&nvo.source_vtep).ok_or_else(|| format!("there is no `VXLAN_TUNNEL|{}`", nvo.source_vtep))?)
            }
            _ => return Err("there must be one VXLAN_TUNNEL and one VXLAN_EVPN_NVO of it".to_owned()),
        };
        let mut vnis = Vec::with_capacity(self.tables.maps.len());
        for (Pair(of, map), row) in &self.tables.maps {
            if *of != nvo.source_vtep {
                return Err(format!("`VXLAN_TUNNEL_MAP|{of}|{map}` is of a tunnel that is not there"));
            }
            vnis.push(VniMap { vni: row.vni.0, vlan: known(&row.vlan, vlans)? });
        }
        vnis.sort_unstable();
        let (mut known_vnis, mut known_vlans) = (BTreeSet::new(), BTreeSet::new());
        if let Some(map) = vnis.iter().find(|map| !known_vnis.insert(map.vni) || !known_vlans.insert(map.vlan)) {
            return Err(format!("VNI {} or VLAN {} is mapped twice", map.vni, map.vlan));
        }
        let mut vxlan = link(&parsed("vxlan")?, LinkKind::Vxlan { local: tunnel.src_ip, vnis }, LinkState::Up);
        vxlan.master = Some(bridge.clone());
        vxlan.bridge_port = Some(BridgePort::Tunnel {});
        vxlan.link_local = LinkLocal::None;
        links.push(vxlan);
        Ok(())
    }

    /// An anycast gateway has the MAC address of all of them, any other SVI the switch's.
    fn svis(&self, bridge: &IfName, vlans: &BTreeMap<VlanId, &IfName>, links: &mut Vec<Link>) -> Result<(), String> {
        for (name, interface) in rows(&self.tables.svis)? {
            let id = known(name, vlans)?;
            let mut svi = link(name, LinkKind::Vlan { lower: bridge.clone(), id }, LinkState::Up);
            svi.mac =
                if interface.row.static_anycast_gateway.is_some_and(|anycast| anycast.0) { self.anycast_mac() } else { self.router_mac() };
            self.settle(&mut svi, &interface)?;
            links.push(svi);
        }
        Ok(())
    }

    fn anycast_mac(&self) -> Option<MacAddr> {
        self.tables.sag.values().next().map(|sag| sag.gateway_mac)
    }

    fn router_mac(&self) -> Option<MacAddr> {
        self.tables.metadata.values().next().map(|metadata| metadata.mac)
    }

    /// Puts a routed interface into its VRF, with its addresses.
    fn settle(&self, link: &mut Link, interface: &Interface<'_>) -> Result<(), String> {
        if let Some(vrf) = &interface.row.vrf_name {
            if vrf.as_str() == MANAGEMENT_VRF || !self.tables.vrfs.contains_key(vrf) {
                return Err(format!("{} is in `{vrf}`, which is not there", link.name));
            }
            link.master = Some(vrf.clone());
        }
        link.addresses.clone_from(&interface.addresses);
        Ok(())
    }
}

/// An interface with its addresses.
struct Interface<'r> {
    row: &'r InterfaceRow,
    addresses: Vec<HostAddress>,
}

/// Rows of interfaces with those of their addresses.
fn rows(table: &BTreeMap<InterfaceKey, InterfaceRow>) -> Result<BTreeMap<&IfName, Interface<'_>>, String> {
    let mut found: BTreeMap<&IfName, Interface<'_>> = BTreeMap::new();
    for (key, row) in table {
        match key.address {
            None => _ = found.insert(&key.interface, Interface { row, addresses: Vec::new() }),
            // the interface itself stands before its addresses
            Some(address) => {
                let interface = found.get_mut(&key.interface).ok_or_else(|| format!("`{key}` is of an interface that is not there"))?;
                if *row != InterfaceRow::default() {
                    return Err(format!("`{key}`: an address has no fields"));
                }
                interface.addresses.push(address);
            }
        }
    }
    Ok(found)
}

fn link(name: &IfName, kind: LinkKind, state: LinkState) -> Link {
    Link {
        name: name.clone(),
        kind,
        mtu: None,
        mac: None,
        master: None,
        addresses: Vec::new(),
        state,
        link_local: LinkLocal::default(),
        bridge_port: None,
    }
}

const fn state(status: AdminStatus) -> LinkState {
    match status {
        AdminStatus::Up => LinkState::Up,
        AdminStatus::Down => LinkState::Down,
    }
}

fn parsed<T: std::str::FromStr<Err: std::fmt::Display>>(text: &str) -> Result<T, String> {
    text.parse().map_err(|error: T::Err| error.to_string())
}

/// The id of a VLAN that is there.
fn known(name: &IfName, vlans: &BTreeMap<VlanId, &IfName>) -> Result<VlanId, String> {
    vlan_id(name.as_str()).filter(|id| vlans.contains_key(id)).ok_or_else(|| format!("there is no `VLAN|{name}`"))
}
