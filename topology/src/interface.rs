//! Names of interfaces.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use thiserror::Error;

/// Linux's IFNAMSIZ less the closing zero.
pub const IF_NAME_MAX: usize = 15;

/// The name of a port or interface: at most 15 characters, none of which means anything to FRR, nftables or a shell.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct IfName(Arc<str>);

/// Text that is not an interface's name.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum IfNameError {
    /// Nothing there.
    #[error("an interface's name must not be empty")]
    Empty,
    /// Longer than the kernel takes.
    #[error("`{text}` has {length} characters: an interface's name has {IF_NAME_MAX} at most")]
    TooLong {
        /// What was written.
        text: String,
        /// Its length in bytes.
        length: usize,
    },
    /// A character outside letters, digits, `-`, `_` and `.`, or a first one that is no letter.
    #[error("`{text}` is not an interface's name: a letter, then letters, digits, `-`, `_` or `.`")]
    Character {
        /// What was written.
        text: String,
    },
}

impl IfName {
    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for IfName {
    type Err = IfNameError;
    fn from_str(text: &str) -> Result<Self, IfNameError> {
        if text.is_empty() {
            return Err(IfNameError::Empty);
        }
        if text.len() > IF_NAME_MAX {
            return Err(IfNameError::TooLong { text: text.to_owned(), length: text.len() });
        }
        let first = text.bytes().next().is_some_and(|b| b.is_ascii_alphabetic());
        if !first || !text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.')) {
            return Err(IfNameError::Character { text: text.to_owned() });
        }
        Ok(Self(text.into()))
    }
}

impl TryFrom<String> for IfName {
    type Error = IfNameError;
    fn try_from(text: String) -> Result<Self, IfNameError> {
        text.parse()
    }
}

impl From<IfName> for String {
    fn from(name: IfName) -> Self {
        name.0.to_string()
    }
}

impl fmt::Display for IfName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl AsRef<str> for IfName {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fifteen_characters_and_no_more() {
        assert!("Ethernet1000000".parse::<IfName>().is_ok());
        assert!("Ethernet10000000".parse::<IfName>().is_err());
        assert!("1a".parse::<IfName>().is_err());
        assert!("a\"b".parse::<IfName>().is_err());
        assert!("a/b".parse::<IfName>().is_err());
    }
}
