//! Pieces of schemas.

use serde_json::{Map, Value, json};

pub(super) fn object(description: &str, properties: &[(&str, Value)], required: &[&str]) -> Value {
    let properties: Map<String, Value> = properties.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect();
    let mut made = json!({"type": "object", "description": description, "properties": properties});
    if !required.is_empty() {
        made["required"] = json!(required);
    }
    made
}

pub(super) fn list(description: &str, items: &Value, most: usize) -> Value {
    json!({"type": "array", "description": description, "items": items, "maxItems": most, "x-kubernetes-list-type": "atomic"})
}

pub(super) fn text(description: &str, longest: usize) -> Value {
    json!({"type": "string", "description": description, "maxLength": longest})
}

pub(super) fn number(description: &str, lowest: i64, highest: i64) -> Value {
    json!({"type": "integer", "format": "int32", "description": description, "minimum": lowest, "maximum": highest})
}

pub(super) fn with_rules(mut schema: Value, rules: &[(&str, &str)]) -> Value {
    schema["x-kubernetes-validations"] = rules.iter().map(|(rule, message)| json!({"rule": rule, "message": message})).collect();
    schema
}

/// The usual list of conditions, one of each type.
pub(super) fn conditions() -> Value {
    let condition = object(
        "One condition.",
        &[
            ("type", text("Which one.", 316)),
            ("status", json!({"type": "string", "description": "Whether it holds.", "enum": ["True", "False", "Unknown"]})),
            ("reason", text("Why, as one word.", 1024)),
            ("message", text("Why, for people.", 32768)),
            ("lastTransitionTime", json!({"type": "string", "format": "date-time", "description": "Since when."})),
            (
                "observedGeneration",
                json!({"type": "integer", "format": "int64", "description": "Of which generation of the object it speaks."}),
            ),
        ],
        &["type", "status", "reason", "message", "lastTransitionTime"],
    );
    json!({
        "type": "array", "description": "How the object stands.", "items": condition,
        "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["type"],
    })
}

/// The root of an object with these parts.
pub(super) fn root(description: &str, parts: &[(&str, Value)], required: &[&str]) -> Value {
    let mut all =
        vec![("apiVersion", json!({"type": "string"})), ("kind", json!({"type": "string"})), ("metadata", json!({"type": "object"}))];
    all.extend(parts.iter().cloned());
    object(description, &all, required)
}

pub(super) fn column(name: &str, kind: &str, path: &str, priority: i32) -> Value {
    let mut made = json!({"name": name, "type": kind, "jsonPath": path});
    if priority > 0 {
        made["priority"] = json!(priority);
    }
    made
}
