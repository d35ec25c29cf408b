//! Names of objects.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use thiserror::Error;

/// The longest name: that of a DNS label (RFC 1123 §2.1), and of a Kubernetes object that must be one.
pub const NAME_MAX: usize = 63;

/// The name of an object: a DNS label. It can stand in a path, a host name, a configuration line or a label without quoting, and cannot escape from any of them.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Name(Arc<str>);

/// Text that is not a name.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum NameError {
    /// Nothing there.
    #[error("a name must not be empty")]
    Empty,
    /// More than [`NAME_MAX`] bytes.
    #[error("`{text}` has {length} characters: a name has {NAME_MAX} at most")]
    TooLong {
        /// What was written.
        text: String,
        /// Its length in bytes.
        length: usize,
    },
    /// A character that a DNS label cannot hold, or a hyphen at an end.
    #[error("`{text}` is not a name: only a-z, 0-9 and `-` inside")]
    Character {
        /// What was written.
        text: String,
    },
}

impl Name {
    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Name {
    type Err = NameError;
    fn from_str(text: &str) -> Result<Self, NameError> {
        if text.is_empty() {
            return Err(NameError::Empty);
        }
        if text.len() > NAME_MAX {
            return Err(NameError::TooLong { text: text.to_owned(), length: text.len() });
        }
        let inside = text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
        if !inside || text.starts_with('-') || text.ends_with('-') {
            return Err(NameError::Character { text: text.to_owned() });
        }
        Ok(Self(text.into()))
    }
}

impl TryFrom<String> for Name {
    type Error = NameError;
    fn try_from(text: String) -> Result<Self, NameError> {
        text.parse()
    }
}

impl From<Name> for String {
    fn from(name: Name) -> Self {
        name.0.to_string()
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl AsRef<str> for Name {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

impl std::borrow::Borrow<str> for Name {
    fn borrow(&self) -> &str {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_cannot_escape() {
        for bad in ["", "../etc", "a b", "a\nb", "Leaf", "-a", "a-", "a.b", "a;b", &"x".repeat(64)] {
            assert!(bad.parse::<Name>().is_err(), "{bad}");
        }
        assert_eq!("leaf-01".parse::<Name>().unwrap().as_str(), "leaf-01");
    }
}
