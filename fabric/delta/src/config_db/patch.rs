//! The same as an RFC 6902 patch, for `config apply-patch`.

use leafwall_render::config_db::{ConfigDb, Row};
use serde::Serialize;

/// One operation of a patch (RFC 6902 §4).
#[derive(Serialize)]
#[serde(tag = "op", rename_all = "lowercase")]
enum PatchOperation<'a> {
    Add { path: String, value: serde_json::Value },
    Replace { path: String, value: &'a Row },
    Remove { path: String },
}

/// A reference token (RFC 6901 §3): `~` and `/` are escaped.
fn token(text: &str) -> String {
    text.replace('~', "~0").replace('/', "~1")
}

fn path(table: &str, key: Option<&str>) -> String {
    match key {
        None => format!("/{}", token(table)),
        Some(key) => format!("/{}/{}", token(table), token(key)),
    }
}

/// The patch from one database to another, row by row. SONiC puts such a patch into an order of its own and has no empty tables: a table comes with its first row and
/// goes with its last.
///
/// # Errors
/// None that a database can cause: keys and values are texts.
pub fn json_patch(old: &ConfigDb, new: &ConfigDb) -> Result<String, serde_json::Error> {
    let mut operations = Vec::new();
    for (table, rows) in &old.tables {
        let Some(left) = new.tables.get(table) else {
            operations.push(PatchOperation::Remove { path: path(table, None) });
            continue;
        };
        // rows come before others go, so that the table is never empty
        for (key, row) in left {
            match rows.get(key) {
                None => operations.push(PatchOperation::Add { path: path(table, Some(key)), value: serde_json::to_value(row)? }),
                Some(old) if old != row => operations.push(PatchOperation::Replace { path: path(table, Some(key)), value: row }),
                Some(_) => {}
            }
        }
        for key in rows.keys().filter(|key| !left.contains_key(*key)) {
            operations.push(PatchOperation::Remove { path: path(table, Some(key)) });
        }
    }
    for (table, rows) in new.tables.iter().filter(|(table, _)| !old.tables.contains_key(*table)) {
        operations.push(PatchOperation::Add { path: path(table, None), value: serde_json::to_value(rows)? });
    }
    serde_json::to_string_pretty(&operations)
}
