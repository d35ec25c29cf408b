//! `config_db.json`: SONiC's CONFIG_DB.
//!
//! [`ConfigDb`] is the database as it is: tables of rows of fields, whoever they belong to. [`Tables`] are those that Leafwall writes, typed. [`target`] decides what is
//! ours in a running one and what is left alone.
//!
//! ```
//! use leafwall_render::config_db::ConfigDb;
//!
//! let database = ConfigDb::parse(r#"{"VLAN": {"Vlan7": {"vlanid": "7"}}, "VRF": {"VrfBlue": {}}}"#).unwrap();
//! assert_eq!(database.row("VLAN", "Vlan7").unwrap().text("vlanid"), Some("7"));
//! let twice = ConfigDb::parse(r#"{"VRF": {"VrfBlue": {}, "VrfBlue": {}}}"#).unwrap_err();
//! assert_eq!(twice.to_string(), "`VrfBlue` stands there twice at line 1 column 33");
//! ```

mod hash;
mod owner;
mod plain;
mod tables;
mod unique;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

pub use hash::{Hash, NOTHING, is_nothing};
pub use owner::{Clash, target};
pub use plain::{InterfaceKey, Pair, Plain};
pub use tables::{
    AdminStatus, Enabled, Feature, InterfaceRow, ManagementInterface, ManagementPort, ManagementVrf, Member, Metadata, NeighborSuppression,
    Nothing, Ntp, Nvo, OnOff, PortRow, RoutingMode, Sag, State, SyslogServer, Tables, Tagging, Tunnel, TunnelMap, VlanRow, VrfRow, table,
};

use crate::lines;
use unique::Unique;

/// A whole CONFIG_DB, or a part of one.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct ConfigDb {
    /// Rows by table and key. A table without rows is none.
    pub tables: BTreeMap<String, BTreeMap<String, Row>>,
}

/// The fields of a row.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct Row {
    /// Values by field.
    pub fields: BTreeMap<String, Value>,
}

/// The value of a field.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum Value {
    /// One.
    Text(String),
    /// Several, in their order; in Redis the field's name ends in `@`.
    List(Vec<String>),
}

impl ConfigDb {
    /// Reads `config_db.json`. A key that stands in an object twice is refused (H15), as is a value that is neither text nor a list of texts; bare numbers and truth
    /// values are taken as their text, as SONiC does.
    ///
    /// # Errors
    /// Says where and why.
    pub fn parse(text: &str) -> Result<Self, serde_json::Error> {
        let Unique(tables) = serde_json::from_str::<Unique<Unique<Row>>>(text)?;
        let mut database = Self { tables: tables.into_iter().map(|(table, Unique(rows))| (table, rows)).collect() };
        database.tables.retain(|_, rows| !rows.is_empty());
        Ok(database)
    }

    /// Its text: the same for the same database, one row a line.
    ///
    /// # Errors
    /// None that a database can cause: keys and values are texts.
    pub fn print(&self) -> Result<String, serde_json::Error> {
        lines::to_string(self)
    }

    /// One row.
    pub fn row(&self, table: &str, key: &str) -> Option<&Row> {
        self.tables.get(table)?.get(key)
    }

    /// All rows with their tables and keys, sorted.
    pub fn rows(&self) -> impl Iterator<Item = (&str, &str, &Row)> {
        self.tables.iter().flat_map(|(table, rows)| rows.iter().map(move |(key, row)| (table.as_str(), key.as_str(), row)))
    }

    /// Puts a row in, in the place of one with that key.
    pub fn insert(&mut self, table: &str, key: &str, row: Row) {
        self.tables.entry(table.to_owned()).or_default().insert(key.to_owned(), row);
    }

    /// Takes a row out.
    pub fn remove(&mut self, table: &str, key: &str) -> Option<Row> {
        let rows = self.tables.get_mut(table)?;
        let row = rows.remove(key);
        if rows.is_empty() {
            self.tables.remove(table);
        }
        row
    }
}

impl Row {
    /// The value of a field that is one text.
    pub fn text(&self, field: &str) -> Option<&str> {
        match self.fields.get(field)? {
            Value::Text(text) => Some(text),
            Value::List(_) => None,
        }
    }

    /// The same row with this field.
    #[must_use]
    pub fn with(mut self, field: &str, value: impl Into<String>) -> Self {
        self.fields.insert(field.to_owned(), Value::Text(value.into()));
        self
    }
}

impl<'de> Deserialize<'de> for Row {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let Unique(fields) = Unique::<Value>::deserialize(deserializer)?;
        Ok(Self { fields })
    }
}

impl<'de> Deserialize<'de> for Value {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Scalar {
            Text(String),
            Whole(i64),
            Truth(bool),
        }
        #[derive(Deserialize)]
        #[serde(untagged, expecting = "expected a text or a list of texts")]
        enum Shape {
            One(Scalar),
            Several(Vec<Scalar>),
        }
        fn text(scalar: Scalar) -> String {
            match scalar {
                Scalar::Text(text) => text,
                Scalar::Whole(number) => number.to_string(),
                Scalar::Truth(truth) => truth.to_string(),
            }
        }
        Ok(match Shape::deserialize(deserializer)? {
            Shape::One(scalar) => Self::Text(text(scalar)),
            Shape::Several(scalars) => Self::List(scalars.into_iter().map(text).collect()),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn h15_a_key_that_stands_twice_is_refused() {
        for twice in [
            r#"{"VRF": {}, "VRF": {}}"#,
            r#"{"VRF": {"VrfA": {"vni": "1"}, "VrfA": {"vni": "2"}}}"#,
            r#"{"VRF": {"VrfA": {"vni": "1", "vni": "1"}}}"#,
        ] {
            let error = ConfigDb::parse(twice).unwrap_err().to_string();
            assert!(error.contains("stands there twice"), "{error}");
        }
    }

    #[test]
    fn numbers_are_their_text_and_lists_stay_lists() {
        let database =
            ConfigDb::parse(r#"{"VLAN": {"Vlan7": {"vlanid": 7, "dhcp_servers": ["192.0.2.1", "192.0.2.2"], "x": true}}, "EMPTY": {}}"#)
                .unwrap();
        let row = database.row("VLAN", "Vlan7").unwrap();
        assert_eq!((row.text("vlanid"), row.text("x"), row.text("dhcp_servers")), (Some("7"), Some("true"), None));
        assert!(!database.tables.contains_key("EMPTY"));
        assert_eq!(ConfigDb::parse(&database.print().unwrap()).unwrap(), database);
    }

    #[test]
    fn what_is_no_database_is_refused() {
        for bad in [
            "",
            "[]",
            "{",
            r#"{"VRF": "x"}"#,
            r#"{"VRF": {"VrfA": "x"}}"#,
            r#"{"VRF": {"VrfA": {"vni": null}}}"#,
            r#"{"VRF": {"VrfA": {"vni": {}}}}"#,
        ] {
            assert!(ConfigDb::parse(bad).is_err(), "{bad}");
        }
    }
}
