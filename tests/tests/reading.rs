//! Reading holds for any bytes, and what is read does not depend on where it stands.

use leafwall_intent::{Diagnostics, Model, SourceFile, Sources, Style};
use leafwall_tests::{directory, root};
use proptest::prelude::*;
use proptest::sample::Index;

/// The example fabric, its documents apart.
fn documents() -> Vec<String> {
    let sources = directory::sources(&root().join("containerlab/fra1")).unwrap_or_default();
    sources
        .iter()
        .flat_map(|(_, file)| {
            file.text.split("\n---\n").map(|document| format!("{}\n", document.trim_start_matches("---\n"))).collect::<Vec<_>>()
        })
        .collect()
}

fn load(bytes: &[u8]) -> (Sources, Option<Model>, Diagnostics) {
    let sources = Sources::new(vec![SourceFile::from_bytes("any.yaml".to_owned(), bytes)]);
    let (model, found) = leafwall_intent::load(&sources);
    (sources, model, found)
}

/// Every finding points into the text, and can be printed.
fn findings_are_sound(bytes: &[u8]) -> Result<(), TestCaseError> {
    let (sources, model, found) = load(bytes);
    prop_assert!(model.is_none() || !found.has_errors());
    let lines: Vec<usize> = sources.iter().flat_map(|(_, file)| file.text.lines().map(|line| line.chars().count())).collect();
    for finding in &found {
        for place in std::iter::once(&finding.primary).chain(finding.secondary.iter().map(|(place, _)| place)) {
            // the end of the text is a place too: a line behind the last one
            prop_assert!(place.line >= 1 && place.line as usize <= lines.len() + 1, "{finding:?} of {} lines", lines.len());
            let length = lines.get(place.line as usize - 1).copied().unwrap_or(0);
            prop_assert!(place.column >= 1 && place.column as usize <= length + 1, "{finding:?} in a line of {length}");
        }
    }
    let printed = found.render(&sources, Style::Plain);
    prop_assert!(printed.chars().all(|c| c == '\n' || !c.is_control()), "{printed:?}");
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, ..ProptestConfig::default() })]

    #[test]
    fn any_bytes_give_findings(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        findings_are_sound(&bytes)?;
    }

    #[test]
    fn any_text_of_yaml_s_own_characters_gives_findings(text in "([-:?,&*!|>'\"%@`#{}\\[\\] \n\ta-c0]|---\n|spec: |\r\n|é){0,120}") {
        findings_are_sound(text.as_bytes())?;
    }

    /// Legible documents with parts of them overwritten: these get past the parser, into the decoding and the checks.
    #[test]
    fn a_damaged_fabric_gives_findings(damage in proptest::collection::vec((any::<Index>(), 0usize..12, "[-:{}\\[\\], \n\"'0-9a-z/é]{0,8}"), 1..6)) {
        let mut text: Vec<char> = documents().join("---\n").chars().collect();
        for (at, length, with) in damage {
            let from = at.index(text.len());
            text.splice(from..text.len().min(from + length), with.chars());
        }
        findings_are_sound(text.into_iter().collect::<String>().as_bytes())?;
    }

    /// The same documents in other files and another order are the same fabric.
    #[test]
    fn h27_the_fabric_is_what_all_files_say_together(order in Just(documents()).prop_shuffle(), files in 1usize..5) {
        let written = Sources::new(vec![SourceFile { path: "all.yaml".to_owned(), text: documents().join("---\n").into() }]);
        let (expected, found) = leafwall_intent::load(&written);
        prop_assert!(expected.is_some(), "{}", found.render(&written, Style::Plain));
        let parts: Vec<SourceFile> = order
            .chunks(order.len().div_ceil(files))
            .enumerate()
            .map(|(n, part)| SourceFile { path: format!("{n}.yaml"), text: part.join("---\n").into() })
            .collect();
        let (model, _) = leafwall_intent::load(&Sources::new(parts));
        prop_assert!(model == expected);
    }
}
