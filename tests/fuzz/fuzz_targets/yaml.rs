//! Any text gives intents and findings, never a panic; findings point into the text.
#![no_main]

use leafwall_intent::{SourceFile, Style};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    let file = SourceFile { path: "fuzz.yaml".to_owned(), text: text.into() };
    let (intents, found) = leafwall_intent::read(std::slice::from_ref(&file));
    for finding in &found {
        for place in std::iter::once(&finding.primary).chain(finding.secondary.iter().map(|(place, _)| place)) {
            let lines = text.lines().count().max(1) + usize::from(text.ends_with('\n'));
            assert!(place.line >= 1 && place.line as usize <= lines + 1, "{finding:?} of {lines} lines");
            assert!(place.column >= 1, "{finding:?}");
        }
    }
    let (model, more) = leafwall_intent::check(&intents);
    assert!(model.is_none() || !found.has_errors(), "a Model of illegible intents");
    let _ = more.render(&intents.sources, Style::Plain);
    let _ = found.render(&intents.sources, Style::Coloured);
    let (again, found_again) = leafwall_intent::read(&[file]);
    assert!(again == intents && found == found_again, "reading twice differs");
});
