//! What can be wrong with an allocation.

use std::fmt;

use super::numbers::{REST, Revision};

/// Where in the table a problem sits: keys from the top, as `allocation.yaml` writes them.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TablePath(pub Vec<String>);

impl TablePath {
    /// A path of these keys.
    pub fn new(keys: &[&dyn fmt::Display]) -> Self {
        Self(keys.iter().map(ToString::to_string).collect())
    }
}

impl fmt::Display for TablePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.join("."))
    }
}

/// One thing that keeps intents and table from fitting together.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Problem {
    /// Which entry of the table it is about.
    pub at: TablePath,
    /// What is wrong.
    pub kind: ProblemKind,
}

/// What is wrong with an entry.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum ProblemKind {
    /// The entry holds a value outside its range.
    Outside {
        /// The value.
        value: String,
        /// Where it would have to be.
        range: String,
    },
    /// The value belongs to another entry, or an intent fixes it for another object.
    Taken {
        /// The value.
        value: String,
        /// Who has it.
        by: String,
    },
    /// Nothing is left in the range.
    Exhausted {
        /// What is looked for.
        what: String,
        /// Where.
        range: String,
        /// How many released values rest there.
        resting: usize,
    },
    /// There is no range to allocate from.
    NoRange {
        /// What is looked for.
        what: String,
        /// Why there is none.
        why: String,
    },
    /// The stored table itself can't be read.
    Malformed {
        /// What is wrong with it.
        why: String,
    },
}

impl Problem {
    /// What is wrong, in one line.
    pub fn message(&self) -> String {
        let at = &self.at;
        match &self.kind {
            ProblemKind::Outside { value, range } => format!("`{at}` has `{value}`, which is outside of `{range}`"),
            ProblemKind::Taken { value, by } => format!("`{at}` has `{value}`, which belongs to `{by}`"),
            ProblemKind::Exhausted { what, range, resting: 0 } => format!("no {what} is left in `{range}` for `{at}`"),
            ProblemKind::Exhausted { what, range, resting } => {
                format!("no {what} is left in `{range}` for `{at}`: {resting} rest since they were released")
            }
            ProblemKind::NoRange { what, why } => format!("no {what} for `{at}`: {why}"),
            ProblemKind::Malformed { why } if at.0.is_empty() => format!("the allocation table can't be read: {why}"),
            ProblemKind::Malformed { why } => format!("`{at}` in the allocation table can't be read: {why}"),
        }
    }

    /// What to do about it.
    pub fn hint(&self) -> String {
        match &self.kind {
            ProblemKind::Outside { .. } => "widen the range again, or remove this entry to have another value allocated".to_owned(),
            ProblemKind::Taken { .. } => "remove one of the two entries to have another value allocated".to_owned(),
            ProblemKind::Exhausted { resting: 0, .. } => "widen the range".to_owned(),
            ProblemKind::Exhausted { .. } => {
                format!(
                    "widen the range, or wait: a released value rests for {REST} revisions; one that no device holds any more may be removed from `resting`"
                )
            }
            ProblemKind::NoRange { .. } => "name a prefix of that family in the network, or fix the address".to_owned(),
            ProblemKind::Malformed { .. } => "export the table anew with `leafwall export allocation`".to_owned(),
        }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message())
    }
}

/// All problems of one run, sorted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))]
pub struct Problems(pub Vec<Problem>);

/// Collects problems while numbers are given out.
#[derive(Debug)]
pub(super) struct Run {
    /// The revision that is being made.
    pub now: Revision,
    /// Whether anything changed.
    pub changed: bool,
    /// What went wrong so far.
    pub problems: Vec<Problem>,
}

impl Run {
    /// A run that makes revision `now`.
    pub const fn new(now: Revision) -> Self {
        Self { now, changed: false, problems: Vec::new() }
    }

    /// Notes a problem.
    pub fn problem(&mut self, at: TablePath, kind: ProblemKind) {
        self.problems.push(Problem { at, kind });
    }
}
