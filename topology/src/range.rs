//! Ranges of numbers from which ids are allocated.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::ids::IdError;

/// An inclusive range `low-high` of ids, never empty.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Range<T> {
    low: T,
    high: T,
}

/// Text that is not a range.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum RangeError {
    /// Not `low-high`.
    #[error("`{text}` is not a range such as `1000-1999`")]
    Shape {
        /// What was written.
        text: String,
    },
    /// One end is not a legal id.
    #[error(transparent)]
    End(#[from] IdError),
    /// The low end is above the high end.
    #[error("`{text}` runs backwards: the low end comes first")]
    Backwards {
        /// What was written.
        text: String,
    },
}

impl<T: Copy + PartialOrd> Range<T> {
    /// The range from `low` to `high`, both inside; `None` if it were empty.
    pub fn new(low: T, high: T) -> Option<Self> {
        (low <= high).then_some(Self { low, high })
    }

    /// The lowest id inside.
    pub const fn low(&self) -> T {
        self.low
    }

    /// The highest id inside.
    pub const fn high(&self) -> T {
        self.high
    }

    /// Whether the id lies inside.
    pub fn contains(&self, id: T) -> bool {
        self.low <= id && id <= self.high
    }
}

impl<T: Copy + Into<u64>> Range<T> {
    /// How many ids there are.
    pub fn size(&self) -> u64 {
        self.high.into() - self.low.into() + 1
    }
}

impl<T: FromStr<Err = IdError> + Copy + PartialOrd> FromStr for Range<T> {
    type Err = RangeError;
    fn from_str(text: &str) -> Result<Self, RangeError> {
        let (low, high) = text.split_once('-').ok_or_else(|| RangeError::Shape { text: text.to_owned() })?;
        Self::new(low.trim().parse()?, high.trim().parse()?).ok_or_else(|| RangeError::Backwards { text: text.to_owned() })
    }
}

impl<T: fmt::Display> fmt::Display for Range<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.low, self.high)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::Vni;

    #[test]
    fn both_ends_are_inside() {
        let range: Range<Vni> = "10-12".parse().unwrap();
        assert_eq!(range.size(), 3);
        assert!("12-10".parse::<Range<Vni>>().is_err());
        assert!("10".parse::<Range<Vni>>().is_err());
    }
}
