//! The JSON Schema for editors, from the table that also decodes.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use crate::read::{API_VERSION, Kind, MetadataIntent, kinds};
use crate::shape::{FieldShape, How, RecordShape, Shape};

/// The JSON Schema (draft 2020-12) of one document of intents: for editors, which show it while one writes. Checks of how values fit together are not
/// part of it.
pub fn schema() -> Value {
    let mut records = BTreeMap::new();
    let metadata = crate::decode::record_shape::<MetadataIntent>().map(|shape| record(&shape, &mut records));
    let kinds = kinds();
    let names: Vec<&str> = kinds.iter().map(|kind| kind.name).collect();
    let branches: Vec<Value> = kinds.iter().map(|kind| branch(kind, &mut records)).collect();
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Leafwall intent",
        "type": "object",
        "required": ["apiVersion", "kind", "metadata"],
        "additionalProperties": false,
        "properties": {
            "apiVersion": {"const": API_VERSION},
            "kind": {"enum": names, "description": "What the document describes."},
            "metadata": metadata,
            "spec": {"type": "object"},
        },
        "allOf": branches,
        "$defs": records,
    })
}

/// What holds for documents of one kind.
fn branch(kind: &Kind, records: &mut BTreeMap<String, Value>) -> Value {
    let Some(shape) = &kind.shape else { return json!(true) };
    let spec = record(shape, records);
    // where nothing in the spec is required, it may be left out as a whole
    let required: &[&str] = if shape.fields.iter().any(is_required) { &["spec"] } else { &[] };
    json!({
        "if": {"properties": {"kind": {"const": kind.name}}, "required": ["kind"]},
        "then": {"description": shape.doc.trim(), "required": required, "properties": {"spec": spec}},
    })
}

fn is_required(field: &FieldShape) -> bool {
    matches!(field.how, How::Required | How::Some | How::Pair)
}

/// Defines a record, and returns the reference to it.
fn record(shape: &RecordShape, records: &mut BTreeMap<String, Value>) -> Value {
    let name = shape.name.strip_suffix("Intent").unwrap_or(shape.name).to_owned();
    let reference = json!({"$ref": format!("#/$defs/{name}")});
    if records.contains_key(&name) {
        return reference;
    }
    let properties: Map<String, Value> = shape.fields.iter().map(|field| (field.key.to_owned(), property(field, records))).collect();
    let required: Vec<&str> = shape.fields.iter().filter(|field| is_required(field)).map(|field| field.key).collect();
    let mut definition = json!({
        "type": "object",
        "description": shape.doc.trim(),
        "additionalProperties": false,
        "properties": properties,
        "required": required,
    });
    if !shape.one_of.is_empty() {
        let choices: Vec<Value> = shape.one_of.iter().map(|key| json!({"required": [key]})).collect();
        definition["oneOf"] = Value::Array(choices);
    }
    records.insert(name, definition);
    reference
}

fn property(field: &FieldShape, records: &mut BTreeMap<String, Value>) -> Value {
    let entry = value(&field.shape, records);
    let mut schema = match field.how {
        How::Required | How::Optional => entry,
        how => list(&entry, how),
    };
    if let Some(object) = schema.as_object_mut() {
        object.insert("description".to_owned(), json!(field.doc.trim()));
    }
    schema
}

fn list(entry: &Value, how: How) -> Value {
    match how {
        How::Some => json!({"type": "array", "items": entry, "minItems": 1}),
        How::Pair => json!({"type": "array", "items": entry, "minItems": 2, "maxItems": 2}),
        How::Required | How::Optional | How::List => json!({"type": "array", "items": entry}),
    }
}

fn value(shape: &Shape, records: &mut BTreeMap<String, Value>) -> Value {
    match shape {
        Shape::Text { pattern, .. } => json!({"type": "string", "pattern": pattern}),
        Shape::Number { low, high, .. } => json!({"type": "integer", "minimum": low, "maximum": high}),
        Shape::Boolean => json!({"type": "boolean"}),
        Shape::Words(words) => json!({"enum": words.iter().map(|(word, _)| *word).collect::<Vec<_>>()}),
        Shape::List(entry, how) => list(&value(entry, records), *how),
        Shape::Map(key, entry) => {
            json!({"type": "object", "propertyNames": value(key, records), "additionalProperties": value(entry, records)})
        }
        Shape::Record(shape) => record(shape, records),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_reference_is_defined() {
        fn references<'v>(value: &'v Value, all: &mut Vec<&'v str>) {
            match value {
                Value::Object(fields) => {
                    all.extend(fields.get("$ref").and_then(Value::as_str));
                    fields.values().for_each(|value| references(value, all));
                }
                Value::Array(items) => items.iter().for_each(|value| references(value, all)),
                _ => {}
            }
        }
        let schema = schema();
        let mut all = Vec::new();
        references(&schema, &mut all);
        assert!(all.len() > 30, "{all:?}");
        for reference in all {
            assert!(schema.pointer(reference.trim_start_matches('#')).is_some(), "{reference}");
        }
    }

    #[test]
    fn the_schema_has_what_is_decoded() {
        let schema = schema();
        assert_eq!(schema["$defs"]["Switch"]["required"], json!(["role", "platform"]));
        assert_eq!(schema["$defs"]["ExternalPeer"]["properties"]["vlan"]["maximum"], json!(4094));
        assert_eq!(schema["$defs"]["Peering"]["properties"]["between"]["minItems"], json!(2));
        assert_eq!(schema["$defs"]["Network"]["properties"]["type"]["enum"], json!(["private", "shared", "external"]));
    }
}
