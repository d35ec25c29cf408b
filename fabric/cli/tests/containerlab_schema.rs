//! What `leafwall export containerlab` writes, against containerlab's own schema.
#![allow(clippy::unwrap_used)] // a test fails by it

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use leafwall_tests::{root, skip};
use serde_json::Value;

/// Where containerlab's schema is kept: beside the project, or where the environment says.
fn schema() -> Option<Value> {
    let reference = std::env::var_os("LEAFWALL_REFERENCE").map_or_else(|| root().join("../shared/reference"), PathBuf::from);
    let text = fs::read_to_string(reference.join("clab.schema.json")).ok()?;
    Some(serde_json::from_str(&text).unwrap())
}

/// The exported topology of a fabric.
fn topology(fabric: &Path) -> Value {
    let out = std::env::temp_dir().join(format!("leafwall-clab-schema-{}", std::process::id()));
    let _ = fs::remove_dir_all(&out);
    let status = Command::new(env!("CARGO_BIN_EXE_leafwall")).args(["export", "containerlab"]).arg(fabric).arg("-o").arg(&out).status();
    assert!(status.unwrap().success(), "{}", fabric.display());
    let file = fs::read_dir(&out).unwrap().map(|entry| entry.unwrap().path()).find(|path| path.to_string_lossy().ends_with(".clab.yml"));
    let text = fs::read_to_string(file.unwrap()).unwrap();
    fs::remove_dir_all(&out).unwrap();
    serde_saphyr::from_str(&text).unwrap()
}

#[test]
fn containerlab_accepts_every_exported_topology() {
    let Some(schema) = schema() else {
        return skip("containerlab_accepts_every_exported_topology", "containerlab's schema is not there (LEAFWALL_REFERENCE)");
    };
    let schema = jsonschema::validator_for(&schema).unwrap();
    let problems =
        |topology: &Value| schema.iter_errors(topology).map(|error| format!("{}: {error}", error.instance_path())).collect::<Vec<_>>();
    for fabric in ["containerlab/fra1", "tests/fabrics/corners"] {
        let mut topology = topology(&root().join(fabric));
        assert_eq!(problems(&topology), Vec::<String>::new(), "{fabric}");
        // it can tell: a node with a field that no node has
        let node = topology["topology"]["nodes"].as_object_mut().unwrap().values_mut().next().unwrap();
        node.as_object_mut().unwrap().insert("imagine".to_owned(), Value::from("leafwall/node"));
        assert!(!problems(&topology).is_empty(), "{fabric}");
    }
}
