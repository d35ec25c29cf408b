//! The committed reference of intents is what the table says. `LEAFWALL_BLESS=1 cargo test -p leafwall-tests --test reference` writes it anew.
#![allow(clippy::disallowed_methods)] // tests may read files

use leafwall_tests::root;

#[test]
fn the_reference_of_intents_is_the_table() {
    let path = root().join("docs/intents.md");
    let made = leafwall_intent::reference::markdown();
    if std::env::var_os("LEAFWALL_BLESS").is_some() {
        std::fs::write(&path, &made).unwrap();
    }
    let committed = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(committed == made, "docs/intents.md differs from the table: run with LEAFWALL_BLESS=1 and look at the difference");
}
