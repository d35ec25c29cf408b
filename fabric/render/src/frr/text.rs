//! Words and lines of frr.conf.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::Serialize;
use thiserror::Error;

/// Text that cannot stand where it was put.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("`{text}` is not {expected}")]
pub struct TextError {
    /// What was there.
    pub text: String,
    /// What should be there.
    pub expected: &'static str,
}

/// A name in frr.conf: of a list, a route-map, a peer group, a profile. Letters, digits, `.`, `_`, `:` and `-`; at most 128 of them, which is what bgpd keeps of a route-map's name.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(into = "String")]
pub struct Word(Arc<str>);

impl Word {
    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// A name that was put together from names, numbers and addresses, all of which are made of legal characters.
    pub(crate) fn ours(text: &str) -> Self {
        debug_assert!(text.parse::<Self>().is_ok(), "{text}");
        Self(text.into())
    }
}

impl FromStr for Word {
    type Err = TextError;
    fn from_str(text: &str) -> Result<Self, TextError> {
        let legal = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b':' | b'-');
        if text.is_empty() || text.len() > 128 || !text.bytes().all(legal) {
            return Err(TextError { text: text.to_owned(), expected: "a name" });
        }
        Ok(Self(text.into()))
    }
}

impl fmt::Display for Word {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl From<Word> for String {
    fn from(word: Word) -> Self {
        word.0.to_string()
    }
}

/// The rest of a line: a pattern, a description, a statement that we do not know. One line, no blanks at its ends, not empty.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(into = "String")]
pub struct Text(Arc<str>);

impl Text {
    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// A line that was put together from typed values.
    pub(crate) fn ours(text: &str) -> Self {
        debug_assert!(text.parse::<Self>().is_ok(), "{text}");
        Self(text.into())
    }
}

impl FromStr for Text {
    type Err = TextError;
    fn from_str(text: &str) -> Result<Self, TextError> {
        if text.is_empty() || text.contains('\n') || text.trim_ascii().len() != text.len() {
            return Err(TextError { text: text.to_owned(), expected: "one line of text" });
        }
        Ok(Self(text.into()))
    }
}

impl fmt::Display for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl From<Text> for String {
    fn from(text: Text) -> Self {
        text.0.to_string()
    }
}

/// Let through, or not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Action {
    /// Let through.
    Permit,
    /// Refuse.
    Deny,
}

impl FromStr for Action {
    type Err = TextError;
    fn from_str(text: &str) -> Result<Self, TextError> {
        match text {
            "permit" => Ok(Self::Permit),
            "deny" => Ok(Self::Deny),
            _ => Err(TextError { text: text.to_owned(), expected: "`permit` or `deny`" }),
        }
    }
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Permit => "permit",
            Self::Deny => "deny",
        })
    }
}

/// From a neighbour, or to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Direction {
    /// What a neighbour tells us.
    In,
    /// What we tell it.
    Out,
}

impl FromStr for Direction {
    type Err = TextError;
    fn from_str(text: &str) -> Result<Self, TextError> {
        match text {
            "in" => Ok(Self::In),
            "out" => Ok(Self::Out),
            _ => Err(TextError { text: text.to_owned(), expected: "`in` or `out`" }),
        }
    }
}

impl fmt::Display for Direction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::In => "in",
            Self::Out => "out",
        })
    }
}

/// A statement that we do not know, with what stands below it: kept, so that a device's own configuration can be read whole.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Foreign {
    /// The statement.
    pub text: Text,
    /// What is indented below it.
    pub body: Vec<Foreign>,
    /// The word that closes it, such as `exit`, where there is one.
    pub close: Option<Word>,
}

impl Foreign {
    /// A statement without a body.
    pub const fn line(text: Text) -> Self {
        Self { text, body: Vec::new(), close: None }
    }

    /// Its lines at this depth, as `show running-config` indents them.
    pub(super) fn lines(&self, depth: usize, into: &mut Vec<String>) {
        into.push(format!("{:depth$}{}", "", self.text));
        for inner in &self.body {
            inner.lines(depth + 1, into);
        }
        if let Some(close) = &self.close {
            into.push(format!("{:depth$}{close}", ""));
        }
    }
}
