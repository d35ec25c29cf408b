//! A file that is one plain document, as `allocation.yaml` is: its value for serde, and the place of each of its parts.

use std::collections::BTreeMap;

use serde_json::{Map, Number, Value as Json};

use crate::codes;
use crate::diagnostic::{Diagnostic, Diagnostics};
use crate::findings::Findings;
use crate::source::{FileId, Place, SourceFile};
use crate::tree::{self, Node, Value};

/// A document and where its parts stand.
#[derive(Debug, Clone, Default)]
pub struct Document {
    /// What is written. Plain whole numbers and `true`, `false` are read as such, all else is text.
    pub value: Json,
    places: BTreeMap<Vec<String>, Place>,
    start: Option<Place>,
}

impl Document {
    /// Where the value under these keys stands, or what of the way to it is there. List items count as the list.
    pub fn place(&self, keys: &[String]) -> Option<Place> {
        (0..=keys.len()).rev().find_map(|length| self.places.get(&keys[..length])).copied().or(self.start)
    }
}

/// Reads the one document of a file.
///
/// # Errors
/// All that is wrong with its YAML, or that it holds several documents.
pub fn document(id: FileId, file: &SourceFile) -> Result<Document, Diagnostics> {
    let mut found = Findings::default();
    let mut documents = tree::documents(id, 1, &file.text, &mut found).into_iter();
    let first = documents.next();
    if let Some(second) = documents.next() {
        found.push(Diagnostic::error(codes::YAML_SYNTAX, second.place, "a second document begins here: this file has one"));
    }
    let mut diagnostics = Diagnostics::from(found.into_parts().0);
    if diagnostics.has_errors() {
        diagnostics.sort();
        return Err(diagnostics);
    }
    let mut document = Document { start: Some(Place { file: id, line: 1, column: 1, length: 0 }), ..Document::default() };
    if let Some(node) = first {
        document.value = plain(node, &mut Vec::new(), &mut document.places);
    }
    Ok(document)
}

fn plain(node: Node<'_>, path: &mut Vec<String>, places: &mut BTreeMap<Vec<String>, Place>) -> Json {
    places.entry(path.clone()).or_insert(node.place);
    match node.value {
        Value::Empty | Value::Broken => Json::Null,
        Value::Plain(text) => match text.as_ref() {
            "true" => Json::Bool(true),
            "false" => Json::Bool(false),
            digits => digits.parse::<u64>().map_or_else(|_| Json::String(digits.to_owned()), |number| Json::Number(Number::from(number))),
        },
        Value::Quoted(text) => Json::String(text.into_owned()),
        Value::List(items) => Json::Array(items.into_iter().map(|item| plain(item, path, places)).collect()),
        Value::Mapping(entries) => {
            let mut map = Map::new();
            for entry in entries {
                path.push(entry.key.into_owned());
                let value = plain(entry.node, path, places);
                if let Some(key) = path.pop() {
                    map.insert(key, value);
                }
            }
            Json::Object(map)
        }
    }
}
