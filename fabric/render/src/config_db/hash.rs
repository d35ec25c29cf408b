//! Rows as Redis holds them: hashes of texts.

use std::collections::BTreeMap;

use super::{ConfigDb, Row, Value};

/// The fields of a hash.
pub type Hash = BTreeMap<String, String>;

/// What stands in a row without fields: Redis has no empty hashes.
pub const NOTHING: &str = "NULL";
/// The end of the name of a field that is a list.
const LIST: char = '@';
/// What stands between the values of a list.
const COMMA: char = ',';
/// What stands between a table and a key.
const BAR: char = '|';

/// Whether a hash stands for a row without fields.
pub fn is_nothing(hash: &Hash) -> bool {
    hash.len() == 1 && hash.contains_key(NOTHING)
}

impl Row {
    /// The row as a hash.
    pub fn to_hash(&self) -> Hash {
        if self.fields.is_empty() {
            return Hash::from([(NOTHING.to_owned(), NOTHING.to_owned())]);
        }
        let field = |(name, value): (&String, &Value)| match value {
            Value::Text(text) => (name.clone(), text.clone()),
            Value::List(texts) => (format!("{name}{LIST}"), texts.join(&COMMA.to_string())),
        };
        self.fields.iter().map(field).collect()
    }

    /// The row that a hash stands for.
    pub fn from_hash(hash: &Hash) -> Self {
        if is_nothing(hash) {
            return Self::default();
        }
        let field = |(name, text): (&String, &String)| match name.strip_suffix(LIST) {
            // a list of nothing and one of an empty text look the same
            Some(name) if text.is_empty() => (name.to_owned(), Value::List(Vec::new())),
            Some(name) => (name.to_owned(), Value::List(text.split(COMMA).map(str::to_owned).collect())),
            None => (name.clone(), Value::Text(text.clone())),
        };
        Self { fields: hash.iter().map(field).collect() }
    }
}

impl ConfigDb {
    /// The database that these keys of Redis and their hashes are; keys that are of no table are none of CONFIG_DB's rows (`CONFIG_DB_INITIALIZED`).
    pub fn from_hashes<'a>(hashes: impl IntoIterator<Item = (&'a str, &'a Hash)>) -> Self {
        let mut database = Self::default();
        for (name, hash) in hashes {
            if let Some((table, key)) = name.split_once(BAR) {
                database.insert(table, key, Row::from_hash(hash));
            }
        }
        database
    }

    /// The keys of Redis and their hashes.
    pub fn to_hashes(&self) -> BTreeMap<String, Hash> {
        self.rows().map(|(table, key, row)| (format!("{table}{BAR}{key}"), row.to_hash())).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn redis_holds_what_the_file_says() {
        let text = r#"{"VRF": {"VrfA": {}}, "VLAN": {"Vlan7": {"vlanid": "7", "dhcp_servers": ["192.0.2.1", "192.0.2.2"]}}, "NTP_SERVER": {"2001:db8::1": {}}}"#;
        let database = ConfigDb::parse(text).unwrap();
        let hashes = database.to_hashes();
        assert_eq!(hashes["VRF|VrfA"], Hash::from([("NULL".to_owned(), "NULL".to_owned())]));
        assert_eq!(hashes["VLAN|Vlan7"]["dhcp_servers@"], "192.0.2.1,192.0.2.2");
        let back = ConfigDb::from_hashes(hashes.iter().map(|(name, hash)| (name.as_str(), hash)));
        assert_eq!(back, database);
        assert_eq!(ConfigDb::from_hashes([("CONFIG_DB_INITIALIZED", &Hash::new())]), ConfigDb::default());
    }
}
