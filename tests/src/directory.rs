//! Directories of intents, as the command line reads them.

use std::io;
use std::path::Path;

use leafwall_intent::{ALLOCATION_FILE, Diagnostics, FileId, Model, SourceFile, Sources, Style, document};
use leafwall_plan::allocation::{diagnose, read_table};
use leafwall_plan::{Failure, Planner};

/// The top-level `*.yaml` of a directory but `allocation.yaml`, sorted.
///
/// # Errors
/// Where the directory or a file in it can't be read.
pub fn sources(directory: &Path) -> io::Result<Sources> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(directory)? {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if path.is_file() && path.extension().is_some_and(|extension| extension == "yaml") && name != ALLOCATION_FILE {
            files.push(SourceFile::from_bytes(name, &std::fs::read(&path)?));
        }
    }
    Ok(Sources::new(files))
}

/// What is found in a directory: the Model if there is no error, and all findings as they are printed.
///
/// # Errors
/// Where the directory or a file in it can't be read.
pub fn load(directory: &Path) -> io::Result<(Option<Model>, Diagnostics, String)> {
    let sources = sources(directory)?;
    let (model, diagnostics) = leafwall_intent::load(&sources);
    let text = diagnostics.render(&sources, Style::Plain);
    Ok((model, diagnostics, text))
}

/// What `leafwall check` says of a directory: whether it passes, and all that it prints.
///
/// # Errors
/// Where the directory or a file in it can't be read.
pub fn check(directory: &Path) -> io::Result<(bool, String)> {
    let (model, _, mut text) = load(directory)?;
    let Some(model) = model else { return Ok((false, text)) };
    let table = directory.join(ALLOCATION_FILE);
    let stored = if table.is_file() { Some(SourceFile::from_bytes(ALLOCATION_FILE, &std::fs::read(table)?)) } else { None };
    let intents = sources(directory)?;
    if let Err((found, of)) = allocate(model, stored.as_ref()) {
        let sources = of.unwrap_or(intents);
        text += &found.render(&sources, Style::Plain);
        return Ok((false, text));
    }
    Ok((true, text))
}

/// Plans with the stored table. What is found is of the table, or of the intents where there is none.
fn allocate(model: Model, stored: Option<&SourceFile>) -> Result<(), (Diagnostics, Option<Sources>)> {
    let of = stored.map(|file| Sources::new(vec![file.clone()]));
    let document = stored.map(|file| document(FileId(0), file)).transpose().map_err(|found| (found, of.clone()))?;
    let table = document.as_ref().map(read_table).transpose().map_err(|found| (found, of.clone()))?.unwrap_or_default();
    match Planner::new(model, &table, 1, None) {
        Err(Failure::Allocation(problems)) => Err((diagnose(&problems, document.as_ref()), of)),
        Err(Failure::Reference(_)) | Ok(_) => Ok(()),
    }
}
