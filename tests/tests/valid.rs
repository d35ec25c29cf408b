//! Fabrics in which nothing is wrong.
#![allow(clippy::disallowed_methods, clippy::unwrap_used, clippy::panic)] // tests may read files, and fail

use std::path::Path;

use leafwall_intent::Model;
use leafwall_tests::{directory, root, skip};

fn accepted(path: &Path) -> Model {
    let (model, diagnostics, text) = directory::load(path).unwrap();
    assert!(diagnostics.is_empty(), "{}:\n{text}", path.display());
    model.unwrap()
}

#[test]
fn fra1_is_accepted_without_a_warning() {
    let model = accepted(&root().join("containerlab/fra1"));
    assert_eq!(model.switches.len(), 8);
    assert_eq!(model.servers.len(), 13);
    assert_eq!(model.firewalls.len(), 3);
    assert_eq!(model.tenants.len(), 3);
    let acme = &model.networks["acme-prod"];
    let globex = &model.networks["globex-prod"];
    assert_eq!(acme.prefixes[0], globex.prefixes[0], "two tenants with the same prefix");
    let sides = &model.peerings["initech-backups"].sides;
    assert_eq!(sides[1].prefixes.len(), 2, "a side that names no prefixes shows all that it has");
    assert_eq!(model.graph.cables().len(), 12 + 2 * 11 + 2);
}

#[test]
fn the_example_is_accepted_as_it_stands() {
    let path = root().join("../shared/example");
    if !path.is_dir() {
        skip("the_example_is_accepted_as_it_stands", "the example is not beside the repository");
        return;
    }
    let model = accepted(&path);
    assert_eq!(model.allocations.len(), 3);
}

#[test]
fn the_fabrics_of_other_tests_are_accepted() {
    for entry in std::fs::read_dir(root().join("tests/fabrics")).unwrap() {
        let path = entry.unwrap().path();
        let (passes, text) = directory::check(&path).unwrap();
        assert!(passes, "{}:\n{text}", path.display());
    }
}
