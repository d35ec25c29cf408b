//! Every code has a directory `tests/invalid/LW0203-slug` with the mistake, and `expected.txt` with all that is found there.
//! `LEAFWALL_BLESS=1 cargo test -p leafwall-tests --test invalid` writes the expectations and `docs/errors.md` anew.
#![allow(clippy::disallowed_methods, clippy::unwrap_used, clippy::panic)] // tests may read files, and fail

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use leafwall_intent::codes;
use leafwall_tests::{directory, root};

const EXPECTED: &str = "expected.txt";

fn directories() -> Vec<PathBuf> {
    let entries = std::fs::read_dir(root().join("tests/invalid")).unwrap();
    let mut all: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).filter(|path| path.is_dir()).collect();
    all.sort();
    all
}

fn name(path: &Path) -> String {
    path.file_name().unwrap().to_string_lossy().into_owned()
}

fn bless() -> bool {
    std::env::var_os("LEAFWALL_BLESS").is_some()
}

/// Whether a finding with this code, and a place in a file of the directory, is among the findings.
fn tells(text: &str, code: &str) -> bool {
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        if !line.contains(&format!("[{code}]: ")) {
            continue;
        }
        let place = lines.next().and_then(|line| line.trim_start().strip_prefix("--> ")).unwrap_or_default();
        let mut parts = place.rsplitn(3, ':');
        let (column, line, file) = (parts.next(), parts.next(), parts.next());
        let number = |part: Option<&str>| part.and_then(|part| part.parse::<u32>().ok()).is_some_and(|number| number > 0);
        if number(column)
            && number(line)
            && file.is_some_and(|file| Path::new(file).extension().is_some_and(|extension| extension == "yaml"))
        {
            return true;
        }
    }
    false
}

#[test]
fn each_mistake_is_found_as_expected() {
    let mut wrong = Vec::new();
    for path in directories() {
        let (passes, text) = directory::check(&path).unwrap();
        let name = name(&path);
        assert!(!text.is_empty(), "{name}: nothing was found");
        assert_eq!(passes, !text.contains("error[LW"), "{name}: it passes exactly if there is no error");
        if let Some(code) = name.split('-').next().filter(|word| word.starts_with("LW")) {
            assert!(tells(&text, code), "{name}: no finding with {code} and a place:\n{text}");
        }
        let file = path.join(EXPECTED);
        if bless() {
            std::fs::write(&file, &text).unwrap();
        }
        if std::fs::read_to_string(&file).unwrap_or_default() != text {
            wrong.push(format!("{name} gives\n{text}"));
        }
    }
    assert!(wrong.is_empty(), "not as in {EXPECTED}:\n{}", wrong.join("\n"));
}

#[test]
fn every_code_has_its_example_and_every_example_its_code() {
    let mut examples: BTreeMap<String, usize> = BTreeMap::new();
    for path in directories() {
        let name = name(&path);
        if let Some(code) = name.split('-').next().filter(|word| word.starts_with("LW")) {
            assert!(codes::find(code).is_some(), "{name} is of no code");
            *examples.entry(code.to_owned()).or_default() += 1;
        }
    }
    // who sends a directory is nothing that it says: `tenants.rs` has this one
    let of_senders = [codes::NOT_YOURS];
    let of_files = codes::all().filter(|code| !of_senders.contains(code)).map(|code| code.to_string());
    let missing: Vec<String> = of_files.filter(|code| !examples.contains_key(code)).collect();
    assert!(missing.is_empty(), "codes without an example: {missing:?}");
}

#[test]
fn the_reference_of_errors_is_the_table() {
    let path = root().join("docs/errors.md");
    let made = codes::reference();
    if bless() {
        std::fs::write(&path, &made).unwrap();
    }
    let committed = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(committed == made, "docs/errors.md differs from the table: run with LEAFWALL_BLESS=1 and look at the difference");
}

#[test]
fn what_is_found_does_not_depend_on_the_order_of_files() {
    use leafwall_intent::{Sources, Style};
    for path in directories() {
        let sources = directory::sources(&path).unwrap();
        let mut files: Vec<_> = sources.iter().map(|(_, file)| file.clone()).collect();
        files.reverse();
        let shuffled = Sources::new(files);
        let text = |sources: &Sources| leafwall_intent::load(sources).1.render(sources, Style::Plain);
        assert_eq!(text(&sources), text(&shuffled), "{}", name(&path));
    }
}
