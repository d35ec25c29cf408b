//! What is wrong with an object.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Why an object, or a part of it, is refused: the `reason` of its condition and event. Programs may rely on these words.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Reason {
    /// The object is not of the form that its kind has.
    Malformed,
    /// A ClusterwideNetworkPolicy outside of the namespace `firewall`.
    WrongNamespace,
    /// Text that is not an address block.
    InvalidAddress,
    /// An `except` that is not inside its block.
    InvalidExcept,
    /// A port that is none, or a range that is none.
    InvalidPort,
    /// A protocol that a rule of this kind can't have.
    InvalidProtocol,
    /// Text that is not a DNS name, or a pattern that is not supported.
    InvalidName,
    /// A network that this firewall does not join.
    UnknownNetwork,
    /// An address outside of what the operator allows (F3).
    AddressForbidden,
    /// Two things that exclude each other.
    Contradiction,
    /// A time that is none.
    InvalidTime,
    /// More rules or peers than one object may have.
    TooLarge,
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}

/// One thing that is wrong, with its place in the object.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finding {
    /// What kind of mistake it is.
    pub reason: Reason,
    /// Where: `spec.ingress[0].ports[1].endPort`.
    pub place: String,
    /// What is wrong.
    pub message: String,
    /// What would be right.
    pub hint: Option<String>,
}

/// Text of a user in messages is cut here: conditions and events are bounded.
const QUOTED: usize = 80;

impl Finding {
    pub(crate) fn new(reason: Reason, place: impl Into<String>, message: impl Into<String>) -> Self {
        Self { reason, place: place.into(), message: message.into(), hint: None }
    }

    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.place, self.message)?;
        self.hint.iter().try_for_each(|hint| write!(f, " ({hint})"))
    }
}

/// A user's text for a message: in backticks, cut, without control characters.
pub(crate) fn quoted(text: &str) -> String {
    let shown: String = text.chars().take(QUOTED).map(|c| if c.is_control() || c == '`' { '?' } else { c }).collect();
    format!("`{shown}{}`", if text.chars().nth(QUOTED).is_some() { "…" } else { "" })
}

/// A text that has so many bytes at most.
pub(crate) fn cut(text: &str, most: usize) -> String {
    let mut end = most.min(text.len());
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text.get(..end).unwrap_or_default().to_owned()
}

/// All findings in one line, the first ones in full.
pub fn summary(findings: &[Finding]) -> String {
    const SHOWN: usize = 5;
    let mut text = findings.iter().take(SHOWN).map(ToString::to_string).collect::<Vec<_>>().join("; ");
    if findings.len() > SHOWN {
        use std::fmt::Write as _;
        let _ = write!(text, "; and {} more", findings.len() - SHOWN);
    }
    text
}
