//! The table as YAML again: what was printed of parts that are the same again is taken over.

use std::collections::BTreeMap;
use std::sync::Arc;

use leafwall_topology::{Name, differing};
use serde::Serialize;
use serde_json::{Error, Value};

use super::file::{self, Addresses, HEAD, TableFile};
use super::table::Table;

/// What was printed of the last table.
#[derive(Debug, Default)]
pub struct Printed {
    /// That table: a part that is the same object says the same.
    table: Option<Table>,
    /// Parts that are printed as a whole, by their keys.
    parts: BTreeMap<&'static str, String>,
    /// VLANs by device.
    vlans: BTreeMap<Name, String>,
    /// Addresses by network.
    addresses: BTreeMap<Name, String>,
}

impl Printed {
    /// What [`TableFile::to_yaml`] prints.
    ///
    /// # Errors
    /// As there.
    pub fn print(&mut self, table: &Table) -> Result<String, Error> {
        let before = self.table.take();
        self.update(table, before.as_ref())?;
        self.table = Some(table.clone());
        // the order of the parts is serde's: of each that is kept here, the first entry stands for all
        let first = |parts: &BTreeMap<Name, String>| parts.keys().next().cloned();
        let whole = TableFile {
            loopbacks: table.loopbacks().take(1).map(|(name, value)| (name.clone(), value)).collect(),
            vnis: table.vnis.networks().take(1).map(|(name, vni)| (name.clone(), vni)).collect(),
            segments: table.vnis.all_segments().take(1).map(|(name, _)| (name.clone(), Vec::new())).collect(),
            vlans: first(&self.vlans).map(|name| (name, BTreeMap::new())).into_iter().collect(),
            addresses: first(&self.addresses).map(|name| (name, Addresses::default())).into_iter().collect(),
            ..TableFile::small(table)
        };
        let Value::Object(whole) = serde_json::to_value(whole)? else { return Ok(HEAD.to_owned()) };
        let mut out = HEAD.to_owned();
        for (key, value) in whole {
            let entries = match key.as_str() {
                "vlans" => &self.vlans,
                "addresses" => &self.addresses,
                other => {
                    match self.parts.get(other) {
                        Some(text) => out.push_str(text),
                        None => file::block(&mut out, &Value::Object([(key, value)].into_iter().collect()), 0),
                    }
                    continue;
                }
            };
            out.push_str(&key);
            out.push_str(":\n");
            out.extend(entries.values().map(String::as_str));
        }
        Ok(out)
    }

    /// Prints what is another one than before.
    fn update(&mut self, table: &Table, before: Option<&Table>) -> Result<(), Error> {
        let same = |is_same: &dyn Fn(&Table) -> bool| before.is_some_and(is_same);
        if !same(&|before| Arc::ptr_eq(&before.loopbacks, &table.loopbacks)) {
            self.parts.insert("loopbacks", entry("loopbacks", &file::loopbacks(table), 0)?);
        }
        if !same(&|before| Arc::ptr_eq(&before.asns, &table.asns)) {
            self.parts.insert("asns", entry("asns", &file::asns(table), 0)?);
        }
        if !same(&|before| Arc::ptr_eq(&before.vnis, &table.vnis)) {
            self.parts.insert("vnis", entry("vnis", &file::vnis(table), 0)?);
            self.parts.insert("segments", entry("segments", &file::segments(table), 0)?);
        }
        let nothing = Table::default();
        let before = before.unwrap_or(&nothing);
        for name in differing(&before.vlans, &table.vlans) {
            self.vlans.remove(&name);
            if let Some(vlans) = table.vlans.get(&name).map(|pool| file::vlans(pool)).filter(|vlans| !vlans.is_empty()) {
                self.vlans.insert(name.clone(), entry(name.as_str(), &vlans, INDENT)?);
            }
        }
        for name in differing(&before.addresses, &table.addresses) {
            self.addresses.remove(&name);
            let addresses = table.addresses.get(&name).map(|pool| file::addresses(pool));
            if let Some(addresses) = addresses.filter(|addresses| *addresses != Addresses::default()) {
                self.addresses.insert(name.clone(), entry(name.as_str(), &addresses, INDENT)?);
            }
        }
        Ok(())
    }
}

/// Of what stands below a key.
const INDENT: usize = 2;

fn entry(key: &str, value: &impl Serialize, indent: usize) -> Result<String, Error> {
    let mut out = String::new();
    file::block(&mut out, &Value::Object([(key.to_owned(), serde_json::to_value(value)?)].into_iter().collect()), indent);
    Ok(out)
}
