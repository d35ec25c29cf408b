//! Problems of an allocation as diagnostics, with their places in `allocation.yaml`.

use leafwall_intent::{Diagnostic, Diagnostics, Document, FileId, Place, codes};

use super::file::TableFile;
use super::problem::{Problem, ProblemKind, Problems};
use super::table::Table;

/// Reads the stored table.
///
/// # Errors
/// Everything in it that cannot be read or has two holders, at its place.
pub fn read_table(document: &Document) -> Result<Table, Diagnostics> {
    if document.value.is_null() {
        return Ok(Table::default());
    }
    let file: TableFile = serde_json::from_value(document.value.clone()).map_err(|error| {
        let problem = Problem { at: super::TablePath::default(), kind: ProblemKind::Malformed { why: error.to_string() } };
        diagnose(&Problems(vec![problem]), Some(document))
    })?;
    Table::try_from(&file).map_err(|problems| diagnose(&problems, Some(document)))
}

/// The problems as diagnostics. What no stored table has a place for stands at the start of the intents.
pub fn diagnose(problems: &Problems, document: Option<&Document>) -> Diagnostics {
    let start = Place { file: FileId(0), line: 1, column: 1, length: 0 };
    let all = problems.0.iter().map(|problem| {
        let place = document.and_then(|document| document.place(&problem.at.0)).unwrap_or(start);
        let code = match problem.kind {
            ProblemKind::Malformed { .. } => codes::TABLE_UNREADABLE,
            ProblemKind::Outside { .. } => codes::TABLE_OUTSIDE,
            ProblemKind::Taken { .. } => codes::TABLE_TAKEN,
            ProblemKind::Exhausted { .. } => codes::TABLE_EXHAUSTED,
            ProblemKind::NoRange { .. } => codes::TABLE_NO_RANGE,
        };
        Diagnostic::error(code, place, problem.message()).hint(problem.hint())
    });
    let mut diagnostics = Diagnostics::from(all.collect::<Vec<_>>());
    diagnostics.sort();
    diagnostics
}
