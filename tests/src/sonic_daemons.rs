//! A stand-in for SONiC's manager daemons and orchagent, in memory: what they make of CONFIG_DB in STATE_DB, APPL_DB and ASIC_DB, in any order that they could, and
//! which orders they are known not to survive. It is no SONiC: it knows the tables that Leafwall writes and the failures that are written down (H5, H10, H11, H12).

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use leafwall_delta::config_db::{Action, Condition, Database, Write};
use leafwall_render::config_db::Hash;

use crate::random::Random;

/// Rows of a database by their names.
pub type Rows = BTreeMap<String, Hash>;

/// The daemons with their databases.
#[derive(Debug, Clone, Default)]
pub struct Daemons {
    /// What they are told.
    pub config: Rows,
    state: Rows,
    appl: Rows,
    /// Entries of the tunnel's map: VNI and VLAN.
    asic: BTreeSet<(String, String)>,
    /// Rows of CONFIG_DB that changed and were not looked at since.
    pending: BTreeSet<String>,
    /// What orchagent has still to do.
    orchagent: BTreeSet<Orders>,
    /// The VNIs that vrfmgrd knows of, by VRF.
    vnis: BTreeMap<String, String>,
    /// What they did not survive.
    pub faults: Vec<String>,
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Orders {
    Vrf(String),
    Map { vni: String, vlan: String, name: String },
}

/// Whether a daemon is done with a row, or comes back to it.
#[derive(PartialEq)]
enum Outcome {
    Done,
    Later,
}

fn ok() -> Hash {
    Hash::from([("state".to_owned(), "ok".to_owned())])
}

impl Daemons {
    /// Takes a write of CONFIG_DB.
    pub fn write(&mut self, write: &Write) {
        let name = write.name();
        match &write.action {
            Action::Delete => drop(self.config.remove(&name)),
            Action::Put { set, unset } => {
                let row = self.config.entry(name.clone()).or_default();
                row.extend(set.iter().map(|(field, value)| (field.clone(), value.clone())));
                row.retain(|field, _| !unset.contains(field));
                // Redis has no empty hashes: such a row is gone, and whoever meant to keep it is wrong
                if row.is_empty() {
                    self.config.remove(&name);
                    self.faults.push(format!("{name} lost its last field and is gone"));
                }
            }
        }
        self.pending.insert(name);
    }

    /// Is told of a row of CONFIG_DB as it is now.
    pub fn told(&mut self, name: &str, row: Option<Hash>) {
        match row {
            Some(row) => _ = self.config.insert(name.to_owned(), row),
            None => _ = self.config.remove(name),
        }
        self.pending.insert(name.to_owned());
    }

    /// What they have written, by the number of the database.
    pub fn written(&self) -> [(u8, Cow<'_, Rows>); 3] {
        let entries = self.asic.iter().map(|(vni, vlan)| {
            let name = format!("ASIC_STATE:SAI_OBJECT_TYPE_TUNNEL_MAP_ENTRY:oid:0x3b{vni:0>8}{vlan:0>4}");
            let field = |name: &str, value: &str| (format!("SAI_TUNNEL_MAP_ENTRY_ATTR_{name}"), value.to_owned());
            (name, Hash::from([field("VNI_ID_KEY", vni), field("VLAN_ID_VALUE", vlan)]))
        });
        [
            (Database::State.number(), Cow::Borrowed(&self.state)),
            (Database::Appl.number(), Cow::Borrowed(&self.appl)),
            (Database::Asic.number(), Cow::Owned(entries.collect())),
        ]
    }

    /// Whether a condition holds.
    pub fn holds(&self, condition: &Condition) -> bool {
        let rows = |database: &Database| match database {
            Database::State => &self.state,
            Database::Appl | Database::Asic => &self.appl,
        };
        let object = |attributes: &[(&'static str, String)]| {
            let of = |name: &str| attributes.iter().find(|(attribute, _)| attribute.ends_with(name)).map(|(_, value)| value);
            self.asic.iter().any(|(vni, vlan)| of("VNI_ID_KEY") == Some(vni) && of("VLAN_ID_VALUE") == Some(vlan))
        };
        match condition {
            Condition::Present { database, name, fields } => rows(database)
                .get(name)
                .is_some_and(|row| fields.iter().all(|(field, value)| row.get(*field).map_or("", String::as_str) == value.as_str())),
            Condition::Absent { database, name } => !rows(database).contains_key(name),
            Condition::Object { attributes, .. } => object(attributes),
            Condition::NoObject { attributes, .. } => !object(attributes),
        }
    }

    /// Lets one daemon do one thing, whichever it is; false if none can do anything.
    pub fn step(&mut self, random: &mut Random) -> bool {
        let mut tasks: Vec<Result<String, Orders>> = self.pending.iter().cloned().map(Ok).collect();
        tasks.extend(self.orchagent.iter().cloned().map(Err));
        while !tasks.is_empty() {
            match tasks.swap_remove(random.below(tasks.len())) {
                Ok(name) => {
                    if self.row(&name) == Outcome::Done {
                        self.pending.remove(&name);
                        return true;
                    }
                }
                Err(orders) => {
                    self.orchagent.remove(&orders);
                    self.orders(&orders);
                    return true;
                }
            }
        }
        false
    }

    /// Lets all of them do all they can.
    pub fn settle(&mut self, random: &mut Random) {
        while self.step(random) {}
    }

    fn fault(&mut self, what: String) {
        self.faults.push(what);
    }

    fn orders(&mut self, orders: &Orders) {
        match orders {
            Orders::Vrf(vrf) => {
                let name = format!("VRF_OBJECT_TABLE|{vrf}");
                if self.state.contains_key(&format!("VRF_TABLE|{vrf}")) {
                    self.state.insert(name, ok());
                } else {
                    self.state.remove(&name);
                }
            }
            Orders::Map { vni, vlan, name } => {
                if self.appl.contains_key(name) {
                    self.asic.insert((vni.clone(), vlan.clone()));
                } else {
                    self.asic.remove(&(vni.clone(), vlan.clone()));
                }
            }
        }
    }

    /// One row, as it is now.
    fn row(&mut self, name: &str) -> Outcome {
        let Some((table, key)) = name.split_once('|') else { return Outcome::Done };
        let (first, second) = key.split_once('|').map_or((key, None), |(first, second)| (first, Some(second)));
        let row = self.config.get(name).cloned();
        match table {
            "PORT" => self.port(key, row.is_some()),
            "VRF" => self.vrf(key, row),
            "VLAN" => self.vlan(key, row.is_some()),
            "VLAN_MEMBER" => self.member(first, second.unwrap_or_default(), key, row.is_some()),
            "VXLAN_TUNNEL" => self.tunnel(key, row),
            "VXLAN_EVPN_NVO" => self.nvo(key, row),
            "VXLAN_TUNNEL_MAP" => self.map(first, second.unwrap_or_default(), row),
            "INTERFACE" | "VLAN_SUB_INTERFACE" | "LOOPBACK_INTERFACE" | "VLAN_INTERFACE" if second.is_some() => {
                self.address(first, key, row.is_some())
            }
            "INTERFACE" | "VLAN_SUB_INTERFACE" | "LOOPBACK_INTERFACE" | "VLAN_INTERFACE" => self.interface(table, key, row),
            _ => Outcome::Done,
        }
    }

    fn port(&mut self, port: &str, there: bool) -> Outcome {
        let name = format!("PORT_TABLE|{port}");
        if there {
            self.state.insert(name, ok());
        } else {
            if self.state.contains_key(&format!("INTERFACE_TABLE|{port}")) || self.members_of(port).next().is_some() {
                self.fault(format!("{port} removed while in use"));
            }
            self.state.remove(&name);
        }
        Outcome::Done
    }

    fn members_of<'a>(&'a self, port: &'a str) -> impl Iterator<Item = &'a String> {
        self.state
            .keys()
            .filter(move |name| name.strip_prefix("VLAN_MEMBER_TABLE|").and_then(|key| key.split_once('|')).is_some_and(|(_, p)| p == port))
    }

    fn vrf(&mut self, vrf: &str, row: Option<Hash>) -> Outcome {
        let name = format!("VRF_TABLE|{vrf}");
        let Some(row) = row else {
            if self.state.iter().any(|(name, row)| name.starts_with("INTERFACE_TABLE|") && row.get("vrf").is_some_and(|of| of == vrf)) {
                self.fault(format!("{vrf} removed under its interfaces"));
            }
            if self.vnis.remove(vrf).is_some() {
                self.fault(format!("{vrf} removed with its VNI (H5)"));
            }
            self.state.remove(&name);
            self.orchagent.insert(Orders::Vrf(vrf.to_owned()));
            return Outcome::Done;
        };
        self.state.insert(name, ok());
        self.orchagent.insert(Orders::Vrf(vrf.to_owned()));
        let vni = row.get("vni").filter(|vni| *vni != "0").cloned();
        let before = self.vnis.get(vrf).cloned();
        let Some(nvo) = self.appl.keys().find_map(|name| name.strip_prefix("VXLAN_EVPN_NVO_TABLE:")).map(str::to_owned) else {
            if vni.is_some() {
                self.fault(format!("{vrf} has a VNI before there is an NVO"));
            }
            return Outcome::Done;
        };
        let entry = |vni: &str| format!("VXLAN_VRF_TABLE:{nvo}:evpn_map_{vni}_{vrf}");
        match (before, vni) {
            (Some(old), None) => {
                self.appl.remove(&entry(&old));
                self.vnis.remove(vrf);
            }
            (Some(old), Some(new)) if old != new => self.fault(format!("{vrf} has VNI {old} already, {new} is refused (H5)")),
            (None, Some(new)) => {
                if !self.asic.iter().any(|(vni, _)| *vni == new) {
                    self.fault(format!("{vrf} has VNI {new} before a VLAN is mapped to it (H10)"));
                }
                if self.vnis.values().any(|other| *other == new) {
                    self.fault(format!("VNI {new} is another VRF's"));
                }
                self.appl.insert(entry(&new), Hash::from([("vni".to_owned(), new.clone())]));
                self.vnis.insert(vrf.to_owned(), new);
            }
            _ => {}
        }
        Outcome::Done
    }

    fn vlan(&mut self, vlan: &str, there: bool) -> Outcome {
        let name = format!("VLAN_TABLE|{vlan}");
        if there {
            self.state.insert(name, ok());
            return Outcome::Done;
        }
        let id = vlan.strip_prefix("Vlan").unwrap_or_default();
        if self.asic.iter().any(|(_, mapped)| mapped == id) {
            self.fault(format!("{vlan} deleted while mapped: orchagent crashes (H11)"));
        }
        let used = |name: &String| name.starts_with(&format!("VLAN_MEMBER_TABLE|{vlan}|")) || *name == format!("INTERFACE_TABLE|{vlan}");
        if self.state.keys().any(used) {
            self.fault(format!("{vlan} deleted while in use"));
        }
        self.state.remove(&name);
        Outcome::Done
    }

    fn member(&mut self, vlan: &str, port: &str, key: &str, there: bool) -> Outcome {
        let name = format!("VLAN_MEMBER_TABLE|{key}");
        if !there {
            self.state.remove(&name);
            return Outcome::Done;
        }
        if !self.state.contains_key(&format!("PORT_TABLE|{port}")) || !self.state.contains_key(&format!("VLAN_TABLE|{vlan}")) {
            return Outcome::Later;
        }
        if self.state.contains_key(&format!("INTERFACE_TABLE|{port}")) {
            self.fault(format!("{port} is put into {vlan} while it is routed"));
        }
        self.state.insert(name, ok());
        Outcome::Done
    }

    fn tunnel(&mut self, tunnel: &str, row: Option<Hash>) -> Outcome {
        let name = format!("VXLAN_TUNNEL_TABLE:{tunnel}");
        if let Some(row) = row {
            if self.appl.get(&name).is_some_and(|old| *old != row) {
                self.fault(format!("tunnel {tunnel} changed in place"));
            }
            self.appl.insert(name, row);
            return Outcome::Done;
        }
        let maps = format!("VXLAN_TUNNEL_MAP_TABLE:{tunnel}:");
        if self.appl.keys().any(|name| name.starts_with("VXLAN_EVPN_NVO_TABLE:") || name.starts_with(&maps)) {
            return Outcome::Later;
        }
        self.appl.remove(&name);
        Outcome::Done
    }

    fn nvo(&mut self, nvo: &str, row: Option<Hash>) -> Outcome {
        let name = format!("VXLAN_EVPN_NVO_TABLE:{nvo}");
        match row {
            Some(row) => {
                let tunnel = row.get("source_vtep").cloned().unwrap_or_default();
                if !self.appl.contains_key(&format!("VXLAN_TUNNEL_TABLE:{tunnel}")) {
                    return Outcome::Later;
                }
                self.appl.insert(name, row);
            }
            None if self.appl.keys().any(|name| name.starts_with("VXLAN_TUNNEL_MAP_TABLE:")) => return Outcome::Later,
            None => drop(self.appl.remove(&name)),
        }
        Outcome::Done
    }

    fn map(&mut self, tunnel: &str, map: &str, row: Option<Hash>) -> Outcome {
        let name = format!("VXLAN_TUNNEL_MAP_TABLE:{tunnel}:{map}");
        let pair = |row: &Hash| {
            let vlan = row.get("vlan").and_then(|vlan| vlan.strip_prefix("Vlan")).unwrap_or_default().to_owned();
            (row.get("vni").cloned().unwrap_or_default(), vlan)
        };
        let Some(row) = row else {
            if let Some(old) = self.appl.remove(&name) {
                let (vni, vlan) = pair(&old);
                if self.vnis.values().any(|of| *of == vni) {
                    self.fault(format!("the map of VNI {vni} goes while a VRF has it (H10)"));
                }
                self.orchagent.insert(Orders::Map { vni, vlan, name });
            }
            return Outcome::Done;
        };
        let (vni, vlan) = pair(&row);
        if !self.appl.contains_key(&format!("VXLAN_TUNNEL_TABLE:{tunnel}")) || !self.state.contains_key(&format!("VLAN_TABLE|Vlan{vlan}")) {
            return Outcome::Later;
        }
        let clashes = |(other, old): (&String, &Hash)| {
            other.starts_with("VXLAN_TUNNEL_MAP_TABLE:")
                && *other != name
                && (old.get("vni") == row.get("vni") || old.get("vlan") == row.get("vlan"))
        };
        if self.appl.iter().any(clashes) || self.appl.get(&name).is_some_and(|old| *old != row) {
            self.fault(format!("{map}: VLAN or VNI is mapped already"));
        }
        self.appl.insert(name.clone(), row);
        self.orchagent.insert(Orders::Map { vni, vlan, name });
        Outcome::Done
    }

    fn interface(&mut self, table: &str, interface: &str, row: Option<Hash>) -> Outcome {
        let name = format!("INTERFACE_TABLE|{interface}");
        let Some(row) = row else {
            let addresses = format!("{name}|");
            if self.state.keys().any(|name| name.starts_with(&addresses)) {
                return Outcome::Later;
            }
            self.state.remove(&name);
            return Outcome::Done;
        };
        let base = match table {
            "INTERFACE" => Some(format!("PORT_TABLE|{interface}")),
            "VLAN_SUB_INTERFACE" => interface.split_once('.').map(|(port, _)| format!("PORT_TABLE|{port}")),
            "VLAN_INTERFACE" => Some(format!("VLAN_TABLE|{interface}")),
            _ => None,
        };
        if base.is_some_and(|base| !self.state.contains_key(&base)) {
            return Outcome::Later;
        }
        let vrf = row.get("vrf_name").cloned().unwrap_or_default();
        if !vrf.is_empty() && !self.state.contains_key(&format!("VRF_OBJECT_TABLE|{vrf}")) {
            self.fault(format!("{interface} is enslaved before {vrf} exists: swss crashes (H12)"));
        }
        if self.members_of(interface).next().is_some() {
            self.fault(format!("{interface} is routed while it is in a VLAN"));
        }
        if self.state.get(&name).is_some_and(|old| old.get("vrf") != Some(&vrf)) {
            self.fault(format!("{interface} changes its VRF in place"));
        }
        self.state.insert(name, Hash::from([("vrf".to_owned(), vrf)]));
        Outcome::Done
    }

    fn address(&mut self, interface: &str, key: &str, there: bool) -> Outcome {
        let name = format!("INTERFACE_TABLE|{key}");
        if !there {
            self.state.remove(&name);
            return Outcome::Done;
        }
        if !self.state.contains_key(&format!("INTERFACE_TABLE|{interface}")) {
            return Outcome::Later;
        }
        self.state.insert(name, ok());
        Outcome::Done
    }
}
