//! The table as it is stored, exported and pinned: `allocation.yaml`.

use std::collections::BTreeMap;
use std::fmt::{Display, Write as _};
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use leafwall_topology::{Asn, Name, Prefix, VlanId, Vni};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::addresses::{AddressHolder, AddressPool};
use super::numbers::{Numbers, Pool, Revision};
use super::problem::{Problem, ProblemKind, Problems, TablePath};
use super::table::{AsnHolder, Table};
use super::vnis::{self, Segment};

/// The table in the shape in which it is written. Every part may be missing: what is not written is allocated.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TableFile {
    /// How many changes the table has seen.
    pub revision: Revision,
    /// Loopbacks by device.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub loopbacks: BTreeMap<Name, Ipv4Addr>,
    /// ASNs.
    pub asns: Asns,
    /// L3VNIs by network.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub vnis: BTreeMap<Name, Vni>,
    /// L2VNIs by network, with the subnets of each.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub segments: BTreeMap<Name, Vec<SegmentEntry>>,
    /// The provisioning network's VNIs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub provisioning: Option<Provisioning>,
    /// VLANs by device and VNI.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub vlans: BTreeMap<Name, BTreeMap<Vni, VlanId>>,
    /// Addresses by network.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub addresses: BTreeMap<Name, Addresses>,
    /// Released values, with the revision that released each.
    #[serde(skip_serializing_if = "Resting::is_empty")]
    pub resting: Resting,
}

/// ASNs of a stored table.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Asns {
    /// The spines' common one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub spines: Option<Asn>,
    /// Those of leaves, exits, firewall machines and routed servers.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub devices: BTreeMap<Name, Asn>,
}

/// A bridged segment in a stored table.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SegmentEntry {
    /// Its L2VNI.
    pub vni: Vni,
    /// Its subnets.
    pub subnets: Vec<Prefix>,
}

/// The provisioning network's VNIs in a stored table.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Provisioning {
    /// Its L3VNI.
    pub vrf: Vni,
    /// Its L2VNI.
    pub segment: Vni,
}

/// Addresses of one network in a stored table.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Addresses {
    /// Of routed Allocations.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub routed: BTreeMap<Name, Vec<IpAddr>>,
    /// Of bridged Allocations.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub bridged: BTreeMap<Name, Vec<IpAddr>>,
    /// Of Address objects.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub elastic: BTreeMap<Name, Vec<IpAddr>>,
    /// Of firewall machines that are managed through the network.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub inband: BTreeMap<Name, Vec<IpAddr>>,
}

impl Addresses {
    /// Those of a holder, to be added to.
    fn of(&mut self, holder: &AddressHolder) -> &mut Vec<IpAddr> {
        let (map, name) = match holder {
            AddressHolder::Routed(name) => (&mut self.routed, name),
            AddressHolder::Bridged(name) => (&mut self.bridged, name),
            AddressHolder::Elastic(name) => (&mut self.elastic, name),
            AddressHolder::Inband(name) => (&mut self.inband, name),
        };
        map.entry(name.clone()).or_default()
    }

    /// All holders with their addresses.
    fn iter(&self) -> impl Iterator<Item = (AddressHolder, &Vec<IpAddr>)> {
        let routed = self.routed.iter().map(|(name, all)| (AddressHolder::Routed(name.clone()), all));
        let bridged = self.bridged.iter().map(|(name, all)| (AddressHolder::Bridged(name.clone()), all));
        let elastic = self.elastic.iter().map(|(name, all)| (AddressHolder::Elastic(name.clone()), all));
        let inband = self.inband.iter().map(|(name, all)| (AddressHolder::Inband(name.clone()), all));
        routed.chain(bridged).chain(elastic).chain(inband)
    }
}

/// Released values in a stored table.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Resting {
    /// Loopbacks.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub loopbacks: BTreeMap<Ipv4Addr, Revision>,
    /// ASNs.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub asns: BTreeMap<Asn, Revision>,
    /// VNIs of all kinds.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub vnis: BTreeMap<Vni, Revision>,
    /// VLANs by device.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub vlans: BTreeMap<Name, BTreeMap<VlanId, Revision>>,
    /// Addresses by network.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub addresses: BTreeMap<Name, BTreeMap<IpAddr, Revision>>,
    /// Who had which of them last, and has it again on coming back.
    #[serde(skip_serializing_if = "Former::is_empty")]
    pub former: Former,
}

/// Who had values last that rest.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Former {
    /// Loopbacks by device.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub loopbacks: BTreeMap<Name, Ipv4Addr>,
    /// ASNs by device.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub asns: BTreeMap<Name, Asn>,
    /// VLANs by device and VNI.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub vlans: BTreeMap<Name, BTreeMap<Vni, VlanId>>,
    /// Addresses by network.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub addresses: BTreeMap<Name, Addresses>,
}

impl Former {
    fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

impl Resting {
    fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// Values that still rest in the revision that comes next.
fn rests<V: Ord + Copy, K: Clone + PartialEq>(numbers: &Numbers<V, K>, revision: Revision) -> BTreeMap<V, Revision> {
    numbers.resting().filter(|(_, since)| !since.rested(revision.next())).collect()
}

pub(super) fn loopbacks(table: &Table) -> BTreeMap<Name, Ipv4Addr> {
    table.loopbacks.iter().map(|(name, value)| (name.clone(), value)).collect()
}

pub(super) fn asns(table: &Table) -> Asns {
    let mut asns = Asns::default();
    for (holder, asn) in table.asns() {
        match holder {
            AsnHolder::Spines => asns.spines = Some(asn),
            AsnHolder::Device(name) => drop(asns.devices.insert(name.clone(), asn)),
        }
    }
    asns
}

pub(super) fn vnis(table: &Table) -> BTreeMap<Name, Vni> {
    table.vnis.networks().map(|(name, vni)| (name.clone(), vni)).collect()
}

pub(super) fn segments(table: &Table) -> BTreeMap<Name, Vec<SegmentEntry>> {
    let entry = |segment: &Segment| SegmentEntry { vni: segment.vni, subnets: segment.subnets.clone() };
    table.vnis.all_segments().map(|(network, segments)| (network.clone(), segments.iter().map(entry).collect())).collect()
}

/// The VLANs of a device.
pub(super) fn vlans(pool: &Pool<Vni, VlanId>) -> BTreeMap<Vni, VlanId> {
    pool.iter().map(|(vni, vlan)| (*vni, vlan)).collect()
}

/// The addresses of a network.
pub(super) fn addresses(pool: &AddressPool) -> Addresses {
    let mut entry = Addresses::default();
    for (holder, addresses) in pool.iter() {
        entry.of(holder).extend(addresses);
    }
    entry
}

impl TableFile {
    /// A table without what is held, of which there is much: its revision and what rests.
    pub(super) fn small(table: &Table) -> Self {
        let revision = table.revision;
        let mut file = Self {
            revision,
            provisioning: table.vnis.provisioning().map(|(vrf, segment)| Provisioning { vrf, segment }),
            ..Self::default()
        };
        file.resting.loopbacks = rests(table.loopbacks.numbers(), revision);
        file.resting.asns = rests(table.asns.numbers(), revision);
        let former = &mut file.resting.former;
        former.loopbacks = table.loopbacks.all_former(revision.next()).map(|(name, value)| (name.clone(), value)).collect();
        for (holder, asn) in table.asns.all_former(revision.next()) {
            // spines never leave
            if let AsnHolder::Device(name) = holder {
                former.asns.insert(name.clone(), asn);
            }
        }
        file.resting.vnis = rests(table.vnis.numbers(), revision);
        for (device, pool) in table.vlans() {
            let resting = rests(pool.numbers(), revision);
            if !resting.is_empty() {
                file.resting.vlans.insert(device.clone(), resting);
            }
            let former: BTreeMap<Vni, VlanId> = pool.all_former(revision.next()).map(|(vni, vlan)| (*vni, vlan)).collect();
            if !former.is_empty() {
                file.resting.former.vlans.insert(device.clone(), former);
            }
        }
        for (network, pool) in table.address_pools() {
            let mut former = Addresses::default();
            for (address, holder) in pool.former(revision.next()) {
                former.of(holder).push(address);
            }
            if former != Addresses::default() {
                file.resting.former.addresses.insert(network.clone(), former);
            }
            let resting = rests(pool.numbers(), revision);
            if !resting.is_empty() {
                file.resting.addresses.insert(network.clone(), resting);
            }
        }
        file
    }
}

impl From<&Table> for TableFile {
    fn from(table: &Table) -> Self {
        let vlans = table.vlans().map(|(device, pool)| (device.clone(), vlans(pool)));
        let addresses = table.address_pools().map(|(network, pool)| (network.clone(), addresses(pool)));
        Self {
            loopbacks: loopbacks(table),
            asns: asns(table),
            vnis: vnis(table),
            segments: segments(table),
            vlans: vlans.filter(|(_, vlans)| !vlans.is_empty()).collect(),
            addresses: addresses.filter(|(_, entry)| *entry != Addresses::default()).collect(),
            ..Self::small(table)
        }
    }
}

fn taken(problems: &mut Vec<Problem>, at: &[&dyn Display], value: &dyn Display, by: &dyn Display) {
    problems.push(Problem { at: TablePath::new(at), kind: ProblemKind::Taken { value: value.to_string(), by: by.to_string() } });
}

impl TryFrom<&TableFile> for Table {
    type Error = Problems;

    /// The table that was stored.
    ///
    /// # Errors
    /// A value that two entries claim.
    fn try_from(file: &TableFile) -> Result<Self, Problems> {
        let mut table = Self { revision: file.revision, ..Self::default() };
        let mut problems = Vec::new();
        let loopbacks = Arc::make_mut(&mut table.loopbacks);
        file.resting.loopbacks.iter().for_each(|(value, since)| loopbacks.rest(*value, *since));
        file.resting.former.loopbacks.iter().for_each(|(name, value)| loopbacks.formerly(name.clone(), *value));
        for (name, value) in &file.loopbacks {
            if let Err(other) = loopbacks.claim(name.clone(), *value) {
                taken(&mut problems, &[&"loopbacks", name], value, &TablePath::new(&[&"loopbacks", &other]));
            }
        }
        let asns = Arc::make_mut(&mut table.asns);
        file.resting.asns.iter().for_each(|(value, since)| asns.rest(*value, *since));
        file.resting.former.asns.iter().for_each(|(name, value)| asns.formerly(AsnHolder::Device(name.clone()), *value));
        if let Some(asn) = file.asns.spines {
            // the first one: nobody can have it yet
            let _ = asns.claim(AsnHolder::Spines, asn);
        }
        for (name, value) in &file.asns.devices {
            if let Err(other) = asns.claim(AsnHolder::Device(name.clone()), *value) {
                let by = match other {
                    AsnHolder::Spines => TablePath::new(&[&"asns", &"spines"]),
                    AsnHolder::Device(other) => TablePath::new(&[&"asns", &"devices", &other]),
                };
                taken(&mut problems, &[&"asns", &"devices", name], value, &by);
            }
        }
        read_vnis(file, &mut table, &mut problems);
        for (device, resting) in &file.resting.vlans {
            let pool = Arc::make_mut(table.vlans.entry(device.clone()).or_default());
            for (value, since) in resting {
                pool.rest(*value, *since);
            }
        }
        for (device, former) in &file.resting.former.vlans {
            let pool = Arc::make_mut(table.vlans.entry(device.clone()).or_default());
            for (vni, vlan) in former {
                pool.formerly(*vni, *vlan);
            }
        }
        for (device, vlans) in &file.vlans {
            let pool = Arc::make_mut(table.vlans.entry(device.clone()).or_default());
            for (vni, vlan) in vlans {
                if let Err(other) = pool.claim(*vni, *vlan) {
                    taken(&mut problems, &[&"vlans", device, vni], vlan, &TablePath::new(&[&"vlans", device, &other]));
                }
            }
        }
        read_addresses(file, &mut table, &mut problems);
        if problems.is_empty() {
            Ok(table)
        } else {
            problems.sort();
            Err(Problems(problems))
        }
    }
}

fn read_vnis(file: &TableFile, table: &mut Table, problems: &mut Vec<Problem>) {
    let pool = Arc::make_mut(&mut table.vnis);
    file.resting.vnis.iter().for_each(|(value, since)| pool.rest(*value, *since));
    for (name, vni) in &file.vnis {
        if let Err(other) = pool.claim_network(name, *vni) {
            taken(problems, &[&"vnis", name], vni, &vnis::path(&other));
        }
    }
    for (name, segments) in &file.segments {
        for segment in segments {
            let mut subnets = segment.subnets.clone();
            subnets.sort();
            subnets.dedup();
            let families: Vec<_> = subnets.iter().map(|p| p.family()).collect();
            let at = TablePath::new(&[&"segments", name]);
            if subnets.is_empty() || families.windows(2).any(|pair| pair[0] == pair[1]) {
                let why = format!("segment {} needs one subnet, or one of each family", segment.vni);
                problems.push(Problem { at, kind: ProblemKind::Malformed { why } });
                continue;
            }
            if let Some(twice) = pool.segments(name).iter().flat_map(|s| &s.subnets).find(|p| subnets.contains(p)) {
                let why = format!("subnet {twice} stands in two segments");
                problems.push(Problem { at, kind: ProblemKind::Malformed { why } });
                continue;
            }
            if let Err(other) = pool.claim_segment(name, Segment { vni: segment.vni, subnets }) {
                taken(problems, &[&"segments", name], &segment.vni, &vnis::path(&other));
            }
        }
    }
    if let Some(Provisioning { vrf, segment }) = file.provisioning {
        if let Err(other) = pool.claim_provisioning_vrf(vrf) {
            taken(problems, &[&"provisioning", &"vrf"], &vrf, &vnis::path(&other));
        }
        if let Err(other) = pool.claim_provisioning_segment(segment) {
            taken(problems, &[&"provisioning", &"segment"], &segment, &vnis::path(&other));
        }
    }
}

fn read_addresses(file: &TableFile, table: &mut Table, problems: &mut Vec<Problem>) {
    for (network, resting) in &file.resting.addresses {
        let pool = Arc::make_mut(table.addresses.entry(network.clone()).or_default());
        for (value, since) in resting {
            pool.rest(*value, *since);
        }
    }
    for (network, former) in &file.resting.former.addresses {
        let pool = Arc::make_mut(table.addresses.entry(network.clone()).or_default());
        for (holder, addresses) in former.iter() {
            for address in addresses {
                pool.formerly(holder.clone(), *address);
            }
        }
    }
    for (network, entry) in &file.addresses {
        let pool = Arc::make_mut(table.addresses.entry(network.clone()).or_default());
        for (holder, addresses) in entry.iter() {
            for address in addresses {
                if let Err(other) = pool.claim(&holder, *address) {
                    let [kind, name] = holder.keys();
                    let [other_kind, other_name] = other.keys();
                    let by = TablePath::new(&[&"addresses", network, &other_kind, &other_name]);
                    taken(problems, &[&"addresses", network, &kind, &name], address, &by);
                }
            }
        }
    }
}

impl TableFile {
    /// The table as YAML in block style, one entry a line, so that a change is a change of its own lines. JSON is written with serde.
    ///
    /// # Errors
    /// None that can happen with this type; serde's signature has one.
    pub fn to_yaml(&self) -> Result<String, serde_json::Error> {
        let mut out = String::from(HEAD);
        block(&mut out, &serde_json::to_value(self)?, 0);
        Ok(out)
    }
}

/// The first line of the file.
pub(super) const HEAD: &str =
    "# Numbers and addresses that Leafwall allocated. Keep this file with the intents: what it says stays as it is.\n";

pub(super) fn block(out: &mut String, value: &Value, indent: usize) {
    let Value::Object(map) = value else { return };
    for (key, value) in map {
        let _ = write!(out, "{:indent$}{}:", "", scalar(key));
        match value {
            Value::Object(inner) if inner.is_empty() => out.push_str(" {}\n"),
            Value::Object(_) => {
                out.push('\n');
                block(out, value, indent + 2);
            }
            Value::Array(items) if items.iter().any(Value::is_object) => {
                out.push('\n');
                for item in items {
                    let _ = writeln!(out, "{:indent$}  - {}", "", flow(item));
                }
            }
            other => {
                let _ = writeln!(out, " {}", flow(other));
            }
        }
    }
}

fn flow(value: &Value) -> String {
    match value {
        Value::String(text) => scalar(text),
        Value::Array(items) => format!("[{}]", items.iter().map(flow).collect::<Vec<_>>().join(", ")),
        Value::Object(map) => {
            let entries: Vec<String> = map.iter().map(|(key, value)| format!("{}: {}", scalar(key), flow(value))).collect();
            format!("{{{}}}", entries.join(", "))
        }
        other => other.to_string(),
    }
}

/// Plain where every YAML reader takes it for the same text (or number, for keys that are numbers); quoted otherwise.
fn scalar(text: &str) -> String {
    let word = text.starts_with(|c: char| c.is_ascii_lowercase()) && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
    let keyword = matches!(text, "true" | "false" | "null" | "yes" | "no" | "on" | "off" | "y" | "n");
    let number = text.bytes().all(|b| b.is_ascii_digit()) && (text == "0" || !text.starts_with('0'));
    let v4 = text.bytes().all(|b| b.is_ascii_digit() || b == b'.' || b == b'/') && text.bytes().filter(|b| *b == b'.').count() == 3;
    if (word && !keyword) || number || v4 { text.to_owned() } else { format!("\"{text}\"") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scalars_that_could_be_read_otherwise_are_quoted() {
        assert_eq!(scalar("leaf-01"), "leaf-01");
        assert_eq!(scalar("10.0.0.0/24"), "10.0.0.0/24");
        assert_eq!(scalar("fd00::1"), "\"fd00::1\"");
        assert_eq!(scalar("on"), "\"on\"");
        assert_eq!(scalar("1e3"), "\"1e3\"");
    }
}
