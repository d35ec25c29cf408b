//! Reads a fabric's directory.

use std::path::Path;

use leafwall_intent::{ALLOCATION_FILE, Diagnostics, Document, FileId, Model, SourceFile, Sources, document};
use leafwall_plan::Table;
use leafwall_plan::allocation::{Problems, diagnose, read_table};

use crate::style;

/// What a directory holds.
pub struct Fabric {
    /// The intents' texts.
    pub sources: Sources,
    /// `allocation.yaml`, if there is one.
    pub allocation: Option<SourceFile>,
}

/// The stored allocation table, and where its parts stand.
#[derive(Default)]
pub struct Stored {
    /// The table; empty if none is stored.
    pub table: Table,
    document: Option<(Document, Sources)>,
}

/// The top-level `*.yaml` of a directory: name and bytes, ordered by name. Only what lies at the top belongs to the fabric: not `scenarios/`, not `export/`.
pub fn files(directory: &Path) -> Result<Vec<(String, Vec<u8>)>, String> {
    let told = |error: std::io::Error| format!("cannot read `{}`: {error}", directory.display());
    let mut files = Vec::new();
    for entry in std::fs::read_dir(directory).map_err(told)? {
        let path = entry.map_err(told)?.path();
        let yaml = path.extension().is_some_and(|extension| extension == "yaml" || extension == "yml");
        if !yaml || !path.is_file() {
            continue;
        }
        let bytes = std::fs::read(&path).map_err(|error| format!("cannot read `{}`: {error}", path.display()))?;
        let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        files.push((name, bytes));
    }
    if files.iter().all(|(name, _)| name == ALLOCATION_FILE) {
        return Err(format!("`{}` has no *.yaml file: a fabric is a directory of them", directory.display()));
    }
    files.sort();
    Ok(files)
}

/// Reads a fabric's directory.
pub fn read(directory: &Path) -> Result<Fabric, String> {
    let (mut intents, mut allocation) = (Vec::new(), None);
    for (name, bytes) in files(directory)? {
        let file = SourceFile::from_bytes(name, &bytes);
        if file.path == ALLOCATION_FILE { allocation = Some(file) } else { intents.push(file) }
    }
    Ok(Fabric { sources: Sources::new(intents), allocation })
}

/// The checked Model of a directory, and how many warnings there were. Findings are printed to stderr; `None` if there were errors.
pub fn load(fabric: &Fabric) -> Option<(Model, usize)> {
    let (model, diagnostics) = leafwall_intent::load(&fabric.sources);
    tell(&diagnostics, &fabric.sources);
    let (_, warnings) = diagnostics.counts();
    Some((model?, warnings))
}

/// The stored allocation table. What is wrong with it is printed to stderr; `None` then.
pub fn table(fabric: &Fabric) -> Option<Stored> {
    let Some(file) = &fabric.allocation else { return Some(Stored::default()) };
    let sources = Sources::new(vec![file.clone()]);
    let read = document(FileId(0), file).and_then(|document| read_table(&document).map(|table| (document, table)));
    match read {
        Ok((document, table)) => Some(Stored { table, document: Some((document, sources)) }),
        Err(diagnostics) => {
            tell(&diagnostics, &sources);
            None
        }
    }
}

/// Prints the problems of an allocation to stderr, at their places in the stored table if there is one.
pub fn tell_allocation(problems: &Problems, stored: &Stored, fabric: &Fabric) {
    match &stored.document {
        Some((document, sources)) => tell(&diagnose(problems, Some(document)), sources),
        None => tell(&diagnose(problems, None), &fabric.sources),
    }
}

/// Prints diagnostics to stderr.
pub fn tell(diagnostics: &Diagnostics, sources: &Sources) {
    eprint!("{}", diagnostics.render(sources, style::stderr()));
}
