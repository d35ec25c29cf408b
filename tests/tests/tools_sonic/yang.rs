//! SONiC's own YANG models as the judge of a CONFIG_DB: all of them in one context of libyang, loaded once.

use std::collections::BTreeMap;
use std::path::Path;

use leafwall_render::config_db::{ConfigDb, Row, Value, table};
use serde_json::{Map, Value as Json, json};
use yang5::context::{Context, ContextFlags};
use yang5::data::{DataFormat, DataParserFlags, DataTree, DataValidationFlags};
use yang5::schema::SchemaNodeKind;

/// Tables that no model knows. They have checks of their own in [`exempt`].
pub const EXEMPT: &[&str] = &[table::SUPPRESS_VLAN_NEIGH];
/// Numbers and truth values stand in CONFIG_DB as texts: `LYD_PARSE_JSON_STRING_DATATYPES`, which the bindings have no name for.
const STRING_DATATYPES: u32 = 0x0400_0000;
/// What the list of a table is called.
const LIST: &str = "_LIST";

/// How a table's rows are written in its model.
struct Shape {
    /// `module:container` around the table.
    outer: String,
    /// Names of keys of each list in the table, and the list's name.
    lists: Vec<(Vec<String>, String)>,
    /// Rows that are containers by themselves: `localhost`.
    singles: Vec<String>,
}

/// The models.
pub struct Yang {
    context: Context,
    tables: BTreeMap<String, Shape>,
}

impl Yang {
    /// Loads every model of a directory.
    pub fn load(directory: &Path) -> Self {
        let mut context = Context::new(ContextFlags::NO_YANGLIBRARY).unwrap();
        context.set_searchdir(directory).unwrap();
        let mut names: Vec<String> = std::fs::read_dir(directory)
            .unwrap()
            .filter_map(|entry| Some(entry.unwrap().path().file_stem()?.to_string_lossy().into_owned()))
            .collect();
        names.sort();
        for name in &names {
            context.load_module(name, None, &[]).unwrap_or_else(|error| panic!("{name}: {error}"));
        }
        let mut tables = BTreeMap::new();
        for module in context.modules(true) {
            for outer in module.data() {
                for table in outer.children() {
                    let mut shape = Shape { outer: format!("{}:{}", module.name(), outer.name()), lists: Vec::new(), singles: Vec::new() };
                    for child in table.children() {
                        match child.kind() {
                            SchemaNodeKind::List => {
                                shape.lists.push((child.list_keys().map(|key| key.name().to_owned()).collect(), child.name().to_owned()));
                            }
                            SchemaNodeKind::Container => shape.singles.push(child.name().to_owned()),
                            _ => {}
                        }
                    }
                    tables.insert(table.name().to_owned(), shape);
                }
            }
        }
        Self { context, tables }
    }

    /// Whether the database is valid: every row in a list or container of its model, leafrefs and musts included.
    pub fn check(&self, database: &ConfigDb) -> Result<(), String> {
        exempt(database)?;
        let mut document: Map<String, Json> = Map::new();
        for (name, rows) in &database.tables {
            if EXEMPT.contains(&name.as_str()) {
                continue;
            }
            let shape = self.tables.get(name).ok_or_else(|| format!("no model has a table {name}"))?;
            let mut content: Map<String, Json> = Map::new();
            for (key, row) in rows {
                let (member, entry) = shape.entry(name, key, row)?;
                if shape.singles.contains(&member) {
                    content.insert(member, Json::Object(entry));
                } else if let Some(list) = content.entry(member).or_insert_with(|| json!([])).as_array_mut() {
                    list.push(Json::Object(entry));
                }
            }
            let outer = document.entry(shape.outer.clone()).or_insert_with(|| json!({}));
            outer.as_object_mut().ok_or("a table stands twice")?.insert(name.clone(), Json::Object(content));
        }
        let text = Json::Object(document).to_string();
        let flags = DataParserFlags::STRICT | DataParserFlags::from_bits_retain(STRING_DATATYPES);
        DataTree::parse_string(&self.context, text.as_bytes(), DataFormat::JSON, flags, DataValidationFlags::NO_STATE)
            .map(drop)
            .map_err(|error| error.to_string())
    }
}

impl Shape {
    /// Where a row goes, and what it is there: its fields, and the parts of its key.
    fn entry(&self, table: &str, key: &str, row: &Row) -> Result<(String, Map<String, Json>), String> {
        let fields = row.fields.iter().map(|(name, value)| {
            let value = match value {
                Value::Text(text) => json!(text),
                Value::List(texts) => json!(texts),
            };
            (name.clone(), value)
        });
        let mut entry: Map<String, Json> = fields.collect();
        if self.singles.iter().any(|single| single == key) {
            return Ok((key.to_owned(), entry));
        }
        let parts: Vec<&str> = key.split('|').collect();
        let (keys, list) = self
            .lists
            .iter()
            .find(|(keys, _)| keys.len() == parts.len())
            .ok_or_else(|| format!("{table}|{key} is of no list of its model"))?;
        debug_assert!(list.ends_with(LIST));
        entry.extend(keys.iter().cloned().zip(parts.into_iter().map(|part| json!(part))));
        Ok((list.clone(), entry))
    }
}

/// What holds in tables without a model: suppression is on or off, of a VLAN that there is.
fn exempt(database: &ConfigDb) -> Result<(), String> {
    for (key, row) in database.tables.get(table::SUPPRESS_VLAN_NEIGH).into_iter().flatten() {
        if database.row(table::VLAN, key).is_none() {
            return Err(format!("SUPPRESS_VLAN_NEIGH|{key} is of no VLAN"));
        }
        if !(row.fields.len() == 1 && matches!(row.text("suppress"), Some("on" | "off"))) {
            return Err(format!("SUPPRESS_VLAN_NEIGH|{key} is neither on nor off"));
        }
    }
    Ok(())
}
