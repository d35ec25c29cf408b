//! Findings of one piece of a file, of which there are never too many.

use crate::diagnostic::Diagnostic;

/// How many findings in one file are kept. Nobody reads more, and a hostile file could otherwise make some of every few bytes.
pub(crate) const FINDINGS_MAX: usize = 1000;

/// Findings, the first [`FINDINGS_MAX`] of them in full.
#[derive(Debug, Clone, Default)]
pub(crate) struct Findings {
    kept: Vec<Diagnostic>,
    omitted: usize,
}

impl Findings {
    pub fn push(&mut self, diagnostic: Diagnostic) {
        if self.kept.len() < FINDINGS_MAX {
            self.kept.push(diagnostic);
        } else {
            self.omitted += 1;
        }
    }

    pub fn append(&mut self, other: Self) {
        other.kept.into_iter().for_each(|diagnostic| self.push(diagnostic));
        self.omitted += other.omitted;
    }

    /// How many there are, kept or not.
    pub const fn count(&self) -> usize {
        self.kept.len() + self.omitted
    }

    /// What is kept, and how many are not.
    pub fn into_parts(self) -> (Vec<Diagnostic>, usize) {
        (self.kept, self.omitted)
    }
}
