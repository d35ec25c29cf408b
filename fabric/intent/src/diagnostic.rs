//! Diagnostics: what is wrong with an intent, where, and what to do about it.

use std::fmt::Write as _;

use crate::codes::Code;
use crate::source::{Lines, Place, Sources};

/// How bad a finding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Severity {
    /// Nothing is rendered while there is one.
    Error,
    /// Legal, but rarely meant.
    Warning,
}

/// One finding.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Diagnostic {
    /// What kind of finding.
    pub code: Code,
    /// How bad it is.
    pub severity: Severity,
    /// What is wrong here, with the values as written. One line.
    pub message: String,
    /// Where.
    pub primary: Place,
    /// The other places that have part in it, each with what it is.
    pub secondary: Vec<(Place, String)>,
    /// What was probably meant, or what to do.
    pub hint: Option<String>,
}

impl Diagnostic {
    /// An error at a place.
    pub fn error(code: Code, primary: Place, message: impl Into<String>) -> Self {
        Self { code, severity: Severity::Error, message: message.into(), primary, secondary: Vec::new(), hint: None }
    }

    /// A warning at a place.
    pub fn warning(code: Code, primary: Place, message: impl Into<String>) -> Self {
        Self { severity: Severity::Warning, ..Self::error(code, primary, message) }
    }

    /// The same with another place that has part in it.
    #[must_use]
    pub fn with(mut self, place: Place, label: impl Into<String>) -> Self {
        self.secondary.push((place, label.into()));
        self
    }

    /// The same with a hint.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}

/// All findings of one run.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Diagnostics {
    all: Vec<Diagnostic>,
    omitted: usize,
}

impl Diagnostics {
    /// None yet.
    pub const fn new() -> Self {
        Self { all: Vec::new(), omitted: 0 }
    }

    /// Adds one.
    pub fn push(&mut self, diagnostic: Diagnostic) {
        self.all.push(diagnostic);
    }

    /// Adds all of another run.
    pub fn append(&mut self, mut other: Self) {
        self.all.append(&mut other.all);
        self.omitted += other.omitted;
    }

    /// Counts findings that are left out, since there are too many others in the same file.
    pub fn omit(&mut self, count: usize) {
        self.omitted += count;
    }

    /// Whether there is nothing at all.
    pub fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.all.len()
    }

    /// Whether there is an error among them.
    pub fn has_errors(&self) -> bool {
        self.all.iter().any(|d| d.severity == Severity::Error)
    }

    /// How many errors and warnings there are.
    pub fn counts(&self) -> (usize, usize) {
        let errors = self.all.iter().filter(|d| d.severity == Severity::Error).count();
        (errors, self.all.len() - errors)
    }

    /// One after the other.
    pub fn iter(&self) -> std::slice::Iter<'_, Diagnostic> {
        self.all.iter()
    }

    /// In the order of places, each once: the same for the same input, whatever found them first.
    pub fn sort(&mut self) {
        self.all.sort_by(|a, b| (a.primary, a.code, &a.message, a.severity).cmp(&(b.primary, b.code, &b.message, b.severity)));
        self.all.dedup();
    }

    /// All of them as text, with the lines they point at, then a line that counts them. Empty if there are none.
    pub fn render(&self, sources: &Sources, style: Style) -> String {
        let mut out = String::new();
        let mut lines = sources.lines();
        for diagnostic in &self.all {
            render_one(&mut out, diagnostic, sources, &mut lines, style);
            out.push('\n');
        }
        let (errors, warnings) = self.counts();
        let count = |n: usize, what: &str| format!("{n} {what}{}", if n == 1 { "" } else { "s" });
        match (errors, warnings) {
            (0, 0) => {}
            (0, w) => writeln_to(&mut out, &count(w, "warning")),
            (e, 0) => writeln_to(&mut out, &count(e, "error")),
            (e, w) => writeln_to(&mut out, &format!("{}, {}", count(e, "error"), count(w, "warning"))),
        }
        if self.omitted > 0 {
            writeln_to(&mut out, &format!("{} more in the same files are not shown", self.omitted));
        }
        out
    }
}

impl From<Vec<Diagnostic>> for Diagnostics {
    fn from(all: Vec<Diagnostic>) -> Self {
        Self { all, omitted: 0 }
    }
}

impl Extend<Diagnostic> for Diagnostics {
    fn extend<T: IntoIterator<Item = Diagnostic>>(&mut self, iter: T) {
        self.all.extend(iter);
    }
}

impl IntoIterator for Diagnostics {
    type Item = Diagnostic;
    type IntoIter = std::vec::IntoIter<Diagnostic>;
    fn into_iter(self) -> Self::IntoIter {
        self.all.into_iter()
    }
}

impl<'a> IntoIterator for &'a Diagnostics {
    type Item = &'a Diagnostic;
    type IntoIter = std::slice::Iter<'a, Diagnostic>;
    fn into_iter(self) -> Self::IntoIter {
        self.all.iter()
    }
}

/// How diagnostics are printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Style {
    /// Text alone: for files, pipes and tests.
    Plain,
    /// With ANSI colours: for terminals.
    Coloured,
}

const RED: &str = "1;31";
const YELLOW: &str = "1;33";
const BLUE: &str = "1;34";
const BOLD: &str = "1";

impl Style {
    fn paint(self, text: &str, colour: &str) -> String {
        match self {
            Self::Plain => text.to_owned(),
            Self::Coloured => format!("\x1b[{colour}m{text}\x1b[0m"),
        }
    }
}

/// The longest part of a source line that is shown.
const SHOWN: usize = 120;

fn writeln_to(out: &mut String, line: &str) {
    out.push_str(line);
    out.push('\n');
}

/// What was written by a user goes to a terminal: nothing in it may be a control sequence.
fn harmless(text: &str) -> String {
    text.chars()
        .map(|c| {
            if c == '\t' {
                ' '
            } else if is_unprintable(c) {
                '\u{fffd}'
            } else {
                c
            }
        })
        .collect()
}

fn is_unprintable(c: char) -> bool {
    // the bidirectional controls reorder what is shown, so that text reads as another text
    c.is_control() || matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}')
}

fn render_one(out: &mut String, diagnostic: &Diagnostic, sources: &Sources, lines: &mut Lines<'_>, style: Style) {
    let (word, colour) = match diagnostic.severity {
        Severity::Error => ("error", RED),
        Severity::Warning => ("warning", YELLOW),
    };
    let head = style.paint(&format!("{word}[{}]", diagnostic.code), colour);
    let message = style.paint(&format!(": {}", harmless(&diagnostic.message)), BOLD);
    let _ = writeln!(out, "{head}{message}");

    let places = std::iter::once(diagnostic.primary).chain(diagnostic.secondary.iter().map(|(place, _)| *place));
    let width = places.map(|place| place.line).max().unwrap_or(1).to_string().len();
    let bar = style.paint("|", BLUE);
    let pad = " ".repeat(width);

    let mut snippet = |arrow: &str, place: Place, mark: char, label: &str, colour: &str| {
        let arrow = style.paint(arrow, BLUE);
        let _ = writeln!(out, "{pad}{arrow} {}:{}:{}", harmless(sources.path(place.file)), place.line, place.column);
        let Some(line) = lines.get(place.file, place.line) else { return };
        let (text, indent, marks) = window(line, place);
        let number = style.paint(&format!("{:>width$}", place.line), BLUE);
        let _ = writeln!(out, "{pad} {bar}");
        let _ = writeln!(out, "{number} {bar} {}", text.trim_end());
        let marks = style.paint(
            format!("{}{}{}", mark.to_string().repeat(marks), if label.is_empty() { "" } else { " " }, harmless(label)).trim_end(),
            colour,
        );
        let _ = writeln!(out, "{pad} {bar} {}{marks}", " ".repeat(indent));
    };
    snippet("-->", diagnostic.primary, '^', "", colour);
    for (place, label) in &diagnostic.secondary {
        snippet(":::", *place, '-', label, BLUE);
    }
    if let Some(hint) = &diagnostic.hint {
        let equals = style.paint("=", BLUE);
        let _ = writeln!(out, "{pad} {equals} {} {}", style.paint("hint:", BOLD), harmless(hint));
    }
}

/// The part of a line around a place, how far in the place is, and how many characters it has there.
fn window(line: &str, place: Place) -> (String, usize, usize) {
    let column = (place.column as usize).saturating_sub(1);
    let length = (place.length as usize).max(1);
    let total = line.chars().count();
    let start = if total <= SHOWN || column < SHOWN / 2 { 0 } else { (column - SHOWN / 4).min(total - total.min(SHOWN)) };
    let mut text: String = line.chars().skip(start).take(SHOWN).collect();
    text = harmless(&text);
    let mut indent = column - start.min(column);
    if start > 0 {
        text.insert(0, '…');
        indent += 1;
    }
    if start + SHOWN < total {
        text.push('…');
    }
    let room = text.chars().count().saturating_sub(indent).max(1);
    (text, indent, length.min(room))
}
