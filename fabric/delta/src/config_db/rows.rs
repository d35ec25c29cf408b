//! What rows stand on, and how SONiC's daemons show that they have taken them.

use std::collections::BTreeMap;

use leafwall_render::config_db::{ConfigDb, Hash, NOTHING, Row, Value, table};
use leafwall_topology::names::sonic::UNDERLAY_LOOPBACK;

use super::condition::{Condition, Database};

/// Tables whose keys are names that rows of other tables may stand on.
pub const NAMED: &[&str] = &[table::PORT, table::VLAN, table::VRF];
/// The field that is a row of its own here.
const VNI: &str = "vni";
/// A VRF that has none says so: what SONiC's own tools write, and its daemons act on.
const NO_VNI: &str = "0";
/// The kind of object that a VNI of a tunnel's map is in the ASIC.
const MAP_ENTRY: &str = "SAI_OBJECT_TYPE_TUNNEL_MAP_ENTRY";
/// Its attributes.
const MAP_VNI: &str = "SAI_TUNNEL_MAP_ENTRY_ATTR_VNI_ID_KEY";
const MAP_VLAN: &str = "SAI_TUNNEL_MAP_ENTRY_ATTR_VLAN_ID_VALUE";

/// Which part of a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Part {
    /// The row, without its VNI if it is a VRF's.
    Row,
    /// A VRF's VNI.
    Vni,
}

/// A part of a row.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Id {
    pub table: String,
    pub key: String,
    pub part: Part,
}

impl Id {
    pub fn row(table: &str, key: &str) -> Self {
        Self { table: table.to_owned(), key: key.to_owned(), part: Part::Row }
    }

    fn vni(vrf: &str) -> Self {
        Self { table: table::VRF.to_owned(), key: vrf.to_owned(), part: Part::Vni }
    }

    /// The interface that a row is of: its key's first part.
    pub fn name(&self) -> &str {
        self.key.split('|').next().unwrap_or_default()
    }

    /// The second part of its key: an address, a port, a map's name.
    pub fn second(&self) -> Option<&str> {
        self.key.split_once('|').map(|(_, second)| second)
    }
}

/// A database, by parts of rows.
pub type Parts = BTreeMap<Id, Hash>;

/// Takes a database apart.
pub fn parts(database: &ConfigDb) -> Parts {
    let mut parts = Parts::new();
    for (table, key, row) in database.rows() {
        let mut row = row.clone();
        if table == table::VRF
            && let Some(Value::Text(vni)) = row.fields.get(VNI).cloned()
            && vni != NO_VNI
        {
            row.fields.remove(VNI);
            let mut hash = Hash::from([(VNI.to_owned(), vni)]);
            // SONiC's own tools leave that beside the VNI, and a way back leads there
            hash.extend(row.text(NOTHING).map(|text| (NOTHING.to_owned(), text.to_owned())));
            parts.insert(Id::vni(key), hash);
        }
        parts.insert(Id::row(table, key), row.to_hash());
    }
    parts
}

/// Whether rows of this table are looked at here.
pub fn is_known(table: &str) -> bool {
    rank(table).is_some()
}

/// Tables that we write, in the order in which their rows come. `VRF` is that of rows; their VNIs have a place of their own.
const ORDER: &[&str] = &[
    table::DEVICE_METADATA,
    table::FEATURE,
    table::MGMT_PORT,
    table::MGMT_VRF_CONFIG,
    table::MGMT_INTERFACE,
    table::NTP,
    table::NTP_SERVER,
    table::DNS_NAMESERVER,
    table::SYSLOG_SERVER,
    table::PORT,
    table::VRF,
    table::LOOPBACK_INTERFACE,
    table::VXLAN_TUNNEL,
    table::VXLAN_EVPN_NVO,
    table::SAG,
    table::VLAN,
    table::VXLAN_TUNNEL_MAP,
    table::SUPPRESS_VLAN_NEIGH,
    table::VLAN_INTERFACE,
    table::INTERFACE,
    table::VLAN_SUB_INTERFACE,
    table::VLAN_MEMBER,
];

/// Where a table stands in the order of coming; `None` for those that we write nothing of.
fn rank(table: &str) -> Option<u8> {
    ORDER.iter().position(|name| *name == table).and_then(|at| u8::try_from(at).ok())
}

/// The place of a part in the order of coming; going is the other way round.
pub fn place(id: &Id, parts: &Parts) -> (u8, u8) {
    let table = rank(&id.table).unwrap_or(u8::MAX);
    let is_address = u8::from(id.second().is_some());
    match (id.table.as_str(), id.part) {
        // after the map of its VLAN (H10), and before SVIs
        (_, Part::Vni) => (rank(table::SUPPRESS_VLAN_NEIGH).unwrap_or(u8::MAX), 1),
        // SVIs of L3VNIs after those of segments (H1): they are no gateways
        (table::VLAN_INTERFACE, Part::Row) => {
            let gateway = parts.get(&Id::row(&id.table, id.name())).is_some_and(|base| base.contains_key("static_anycast_gateway"));
            (table, is_address + if gateway { 0 } else { 2 })
        }
        _ => (table, is_address),
    }
}

/// Whether a row belongs to what is done first.
pub fn prepares(id: &Id) -> bool {
    rank(&id.table) <= rank(table::MGMT_INTERFACE) && rank(&id.table).is_some()
}

/// Whether SONiC's daemons take a change of a row in place. What they don't is taken out and put in again.
pub fn in_place(id: &Id, old: &Hash, new: &Hash) -> bool {
    let same = |field: &str| old.get(field) == new.get(field);
    match id.table.as_str() {
        table::INTERFACE | table::VLAN_SUB_INTERFACE | table::LOOPBACK_INTERFACE | table::VLAN_INTERFACE => same("vrf_name"),
        table::VXLAN_TUNNEL | table::VXLAN_TUNNEL_MAP | table::VXLAN_EVPN_NVO | table::VLAN_MEMBER => false,
        table::VLAN => same("vlanid"),
        table::PORT => same("lanes"),
        table::VRF if id.part == Part::Vni => same(VNI),
        _ => true,
    }
}

/// What rows stand on without naming it by its key.
#[derive(Default)]
pub struct Maps {
    /// Entries of the tunnel's map by VLAN.
    by_vlan: BTreeMap<String, String>,
    /// And by VNI.
    by_vni: BTreeMap<String, String>,
    nvo: Option<String>,
    /// Rows of the underlay loopback's addresses, by address.
    loopbacks: BTreeMap<String, String>,
}

impl Maps {
    pub fn of(parts: &Parts) -> Self {
        let mut maps = Self::default();
        for (id, hash) in parts {
            match id.table.as_str() {
                table::VXLAN_TUNNEL_MAP => {
                    maps.by_vlan.extend(hash.get("vlan").map(|vlan| (vlan.clone(), id.key.clone())));
                    maps.by_vni.extend(hash.get(VNI).map(|vni| (vni.clone(), id.key.clone())));
                }
                table::VXLAN_EVPN_NVO => maps.nvo = Some(id.key.clone()),
                table::LOOPBACK_INTERFACE if id.name() == UNDERLAY_LOOPBACK => {
                    maps.loopbacks.extend(
                        id.second().and_then(|prefix| prefix.split('/').next()).map(|address| (address.to_owned(), id.key.clone())),
                    );
                }
                _ => {}
            }
        }
        maps
    }
}

/// What a part stands on: it can't be there without, and goes before.
pub fn stands_on(id: &Id, hash: &Hash, maps: &Maps) -> Vec<Id> {
    let mut on = Vec::new();
    let vrf = hash.get("vrf_name").map(|vrf| Id::row(table::VRF, vrf));
    match (id.table.as_str(), id.second()) {
        (table::INTERFACE | table::VLAN_SUB_INTERFACE | table::LOOPBACK_INTERFACE | table::VLAN_INTERFACE, Some(_)) => {
            on.push(Id::row(&id.table, id.name()));
        }
        (table::INTERFACE, None) => on.push(Id::row(table::PORT, id.name())),
        (table::VLAN_SUB_INTERFACE, None) => on.extend(id.name().split_once('.').map(|(port, _)| Id::row(table::PORT, port))),
        (table::VLAN_INTERFACE, None) => {
            on.push(Id::row(table::VLAN, id.name()));
            if hash.get("static_anycast_gateway").is_some_and(|on| on == "true") {
                on.push(Id::row(table::SAG, "GLOBAL"));
            }
        }
        (table::VLAN_MEMBER, Some(port)) => on.extend([Id::row(table::VLAN, id.name()), Id::row(table::PORT, port)]),
        (table::VXLAN_TUNNEL, _) => {
            on.extend(hash.get("src_ip").and_then(|ip| maps.loopbacks.get(ip)).map(|key| Id::row(table::LOOPBACK_INTERFACE, key)));
        }
        (table::VXLAN_EVPN_NVO, _) => on.extend(hash.get("source_vtep").map(|tunnel| Id::row(table::VXLAN_TUNNEL, tunnel))),
        (table::VXLAN_TUNNEL_MAP, Some(_)) => {
            on.push(Id::row(table::VXLAN_TUNNEL, id.name()));
            on.extend(hash.get("vlan").map(|vlan| Id::row(table::VLAN, vlan)));
            on.extend(maps.nvo.iter().map(|nvo| Id::row(table::VXLAN_EVPN_NVO, nvo)));
        }
        (table::SUPPRESS_VLAN_NEIGH, _) => {
            on.push(Id::row(table::VLAN, &id.key));
            on.extend(maps.by_vlan.get(&id.key).map(|map| Id::row(table::VXLAN_TUNNEL_MAP, map)));
        }
        (table::VRF, _) if id.part == Part::Vni => {
            on.push(Id::row(table::VRF, &id.key));
            on.extend(hash.get(VNI).and_then(|vni| maps.by_vni.get(vni)).map(|map| Id::row(table::VXLAN_TUNNEL_MAP, map)));
        }
        (table::MGMT_INTERFACE, Some(_)) => on.push(Id::row(table::MGMT_PORT, id.name())),
        (table::NTP | table::SYSLOG_SERVER, _) if hash.get("vrf").is_some_and(|vrf| vrf == "mgmt") => {
            on.push(Id::row(table::MGMT_VRF_CONFIG, "vrf_global"));
        }
        _ => {}
    }
    if id.second().is_none() && id.table != table::VRF {
        on.extend(vrf);
    }
    on
}

fn state(name: String, fields: Vec<(&'static str, String)>) -> Condition {
    Condition::Present { database: Database::State, name, fields }
}

fn appl(name: String) -> Condition {
    Condition::Present { database: Database::Appl, name, fields: Vec::new() }
}

fn ok() -> Vec<(&'static str, String)> {
    vec![("state", "ok".to_owned())]
}

/// The name under which vrfmgrd tells orchagent of a VRF's VNI.
fn vrf_map(id: &Id, hash: &Hash, maps: &Maps) -> Option<String> {
    Some(format!("VXLAN_VRF_TABLE:{}:evpn_map_{}_{}", maps.nvo.as_ref()?, hash.get(VNI)?, id.key))
}

/// Attributes of a map's entry in the ASIC. What the VNI of a packet comes out as has the VNI as its key and the VLAN as its value.
fn map_entry(hash: &Hash) -> Vec<(&'static str, String)> {
    let vlan = hash.get("vlan").and_then(|vlan| vlan.strip_prefix("Vlan"));
    let vni = hash.get(VNI).map(|vni| (MAP_VNI, vni.clone()));
    vni.into_iter().chain(vlan.map(|vlan| (MAP_VLAN, vlan.to_owned()))).collect()
}

/// How daemons show that they have taken a part.
pub fn present(id: &Id, hash: &Hash, maps: &Maps) -> Vec<Condition> {
    match (id.table.as_str(), id.second()) {
        (table::PORT, _) => vec![state(format!("PORT_TABLE|{}", id.key), ok())],
        (table::VRF, _) if id.part == Part::Vni => vrf_map(id, hash, maps).map(appl).into_iter().collect(),
        (table::VRF, _) => vec![state(format!("VRF_TABLE|{}", id.key), ok()), state(format!("VRF_OBJECT_TABLE|{}", id.key), ok())],
        (table::VLAN, _) => vec![state(format!("VLAN_TABLE|{}", id.key), ok())],
        (table::VLAN_MEMBER, Some(_)) => vec![state(format!("VLAN_MEMBER_TABLE|{}", id.key), ok())],
        (table::INTERFACE | table::VLAN_SUB_INTERFACE | table::LOOPBACK_INTERFACE | table::VLAN_INTERFACE, Some(_)) => {
            vec![state(format!("INTERFACE_TABLE|{}", id.key), ok())]
        }
        (table::INTERFACE | table::VLAN_SUB_INTERFACE | table::LOOPBACK_INTERFACE | table::VLAN_INTERFACE, None) => {
            vec![state(format!("INTERFACE_TABLE|{}", id.key), vec![("vrf", hash.get("vrf_name").cloned().unwrap_or_default())])]
        }
        (table::VXLAN_TUNNEL, _) => vec![appl(format!("VXLAN_TUNNEL_TABLE:{}", id.key))],
        (table::VXLAN_EVPN_NVO, _) => vec![appl(format!("VXLAN_EVPN_NVO_TABLE:{}", id.key))],
        (table::VXLAN_TUNNEL_MAP, Some(map)) => {
            vec![
                appl(format!("VXLAN_TUNNEL_MAP_TABLE:{}:{map}", id.name())),
                Condition::Object { kind: MAP_ENTRY, attributes: map_entry(hash) },
            ]
        }
        _ => Vec::new(),
    }
}

/// How daemons show that they have given a part up.
pub fn gone(id: &Id, hash: &Hash, maps: &Maps) -> Vec<Condition> {
    let absent = |condition| match condition {
        Condition::Present { database, name, .. } => Condition::Absent { database, name },
        Condition::Object { kind, attributes } => Condition::NoObject { kind, attributes },
        other => other,
    };
    present(id, hash, maps).into_iter().map(absent).collect()
}

/// Every word of a row by which it could name another.
pub fn words<'a>(key: &'a str, row: &'a Row) -> impl Iterator<Item = &'a str> {
    let values = row.fields.iter().flat_map(|(name, value)| {
        let texts: Vec<&str> = match value {
            Value::Text(text) => text.split(',').collect(),
            Value::List(texts) => texts.iter().map(String::as_str).collect(),
        };
        std::iter::once(name.as_str()).chain(texts)
    });
    key.split(['|', ',']).chain(values)
}
