//! The table of all codes: one entry has the title, the reason, and a wrong and a right example. `docs/errors.md`, `leafwall explain` and the
//! examples under `tests/invalid` come from it or are compared with it.

use std::cmp::Ordering;
use std::fmt;
use std::fmt::Write as _;

/// What one code means.
#[derive(Debug, PartialEq, Eq)]
pub struct Entry {
    /// The number behind `LW`.
    pub number: u16,
    /// The mistake in a few words.
    pub title: &'static str,
    /// Why it is refused: what would break.
    pub why: &'static str,
    /// An example of the mistake.
    pub wrong: &'static str,
    /// The same done right.
    pub right: &'static str,
}

/// The code of a diagnostic: `LW0203`. Codes never change their meaning and are never used again for another one.
#[derive(Clone, Copy)]
pub struct Code(&'static Entry);

impl Code {
    /// What it means.
    pub const fn entry(self) -> &'static Entry {
        self.0
    }
}

impl PartialEq for Code {
    fn eq(&self, other: &Self) -> bool {
        self.0.number == other.0.number
    }
}

impl Eq for Code {}

impl PartialOrd for Code {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Code {
    fn cmp(&self, other: &Self) -> Ordering {
        self.0.number.cmp(&other.0.number)
    }
}

impl std::hash::Hash for Code {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        self.0.number.hash(state);
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&format!("LW{:04}", self.0.number))
    }
}

impl fmt::Debug for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

/// Declares the codes of one group as constants and as the slice `ALL`.
macro_rules! codes {
    ($($(#[$doc:meta])* $name:ident = $number:literal, $title:literal, why: $why:literal, wrong: $wrong:literal, right: $right:literal;)+) => {
        $(
            #[doc = $title]
            pub const $name: $crate::codes::Code = $crate::codes::Code::new(&$crate::codes::Entry {
                number: $number, title: $title, why: $why, wrong: $wrong, right: $right,
            });
        )+
        pub(super) const ALL: &[$crate::codes::Code] = &[$($name),+];
    };
}

impl Code {
    const fn new(entry: &'static Entry) -> Self {
        Self(entry)
    }
}

mod addresses;
mod cabling;
mod clashes;
mod firewall;
mod platform;
mod references;
mod syntax;
mod table;
mod tenancy;
mod values;

pub use addresses::*;
pub use cabling::*;
pub use clashes::*;
pub use firewall::*;
pub use platform::*;
pub use references::*;
pub use syntax::*;
pub use table::*;
pub use tenancy::*;
pub use values::*;

const GROUPS: &[(&str, &[Code])] = &[
    ("Syntax and shape", syntax::ALL),
    ("Values", values::ALL),
    ("References", references::ALL),
    ("Clashes", clashes::ALL),
    ("Cabling", cabling::ALL),
    ("Addresses and ranges", addresses::ALL),
    ("Tenants and isolation", tenancy::ALL),
    ("Firewalls and rules", firewall::ALL),
    ("Platforms", platform::ALL),
    ("The allocation table", table::ALL),
];

/// All codes, sorted.
pub fn all() -> impl Iterator<Item = Code> {
    GROUPS.iter().flat_map(|(_, codes)| codes.iter().copied())
}

/// The code that is written like this, such as `LW0203` or `lw203`.
pub fn find(text: &str) -> Option<Code> {
    let digits = text.get(..2).filter(|start| start.eq_ignore_ascii_case("lw")).and_then(|_| text.get(2..)).unwrap_or(text);
    let number: u16 = digits.parse().ok()?;
    all().find(|code| code.0.number == number)
}

/// The page about a code: what it means, why, and an example of it done wrong and right. `None` if there is no such code.
pub fn explain(text: &str) -> Option<String> {
    find(text).map(page)
}

fn page(code: Code) -> String {
    let Entry { title, why, wrong, right, .. } = code.entry();
    format!("{code}: {title}\n\n{why}\n\nWrong:\n\n{}\n\nRight:\n\n{}\n", indented(wrong), indented(right))
}

fn indented(text: &str) -> String {
    let lines: Vec<String> =
        text.trim_matches('\n').lines().map(|line| if line.is_empty() { String::new() } else { format!("    {line}") }).collect();
    lines.join("\n")
}

/// `docs/errors.md`: all pages in one document.
pub fn reference() -> String {
    let mut out = String::from(
        "# Errors and warnings\n\nEach finding of `leafwall check` has a code. `leafwall explain CODE` prints its page.\nThis file is made from the table of codes; a test compares the two.\n",
    );
    for (group, codes) in GROUPS {
        let _ = writeln!(out, "\n## {group}");
        for code in *codes {
            let Entry { title, why, wrong, right, .. } = code.entry();
            let _ = write!(
                out,
                "\n### {code}: {title}\n\n{why}\n\nWrong:\n\n```yaml\n{}\n```\n\nRight:\n\n```yaml\n{}\n```\n",
                wrong.trim_matches('\n'),
                right.trim_matches('\n')
            );
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_unique_and_sorted() {
        let numbers: Vec<u16> = all().map(|code| code.0.number).collect();
        assert!(numbers.windows(2).all(|pair| pair[0] < pair[1]), "{numbers:?}");
    }

    #[test]
    fn every_page_is_complete() {
        for code in all() {
            let Entry { title, why, wrong, right, .. } = code.entry();
            assert!(!title.is_empty() && !title.ends_with('.'), "{code}");
            assert!(why.len() > 40 && !wrong.is_empty() && !right.is_empty() && wrong != right, "{code}");
        }
    }

    #[test]
    fn a_code_is_found_however_it_is_written() {
        assert_eq!(find("LW0203"), find("lw203"));
        assert_eq!(find("203").map(|code| code.to_string()).as_deref(), Some("LW0203"));
        assert_eq!(find("LW9999"), None);
        assert_eq!(find("ü"), None);
    }
}
