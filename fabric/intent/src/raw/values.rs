//! Values that only intents have.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use thiserror::Error;

/// The longest free text: a comment in nftables has 128 bytes at most, less our own words around it.
pub const TEXT_MAX: usize = 100;

/// Free text that is harmless wherever it is printed: letters, digits and `. _ - / : + @` and single blanks inside, at most [`TEXT_MAX`] bytes, no `..`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Text(Arc<str>);

/// Text that is not harmless.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum TextError {
    /// Nothing there.
    #[error("the text must not be empty")]
    Empty,
    /// Too long.
    #[error("the text has {length} characters: {TEXT_MAX} are allowed")]
    TooLong {
        /// Its length in bytes.
        length: usize,
    },
    /// Something outside the allowed characters.
    #[error("`{text}` has characters that are not allowed: only letters, digits and `. _ - / : + @` and blanks inside, no `..`")]
    Character {
        /// What was written.
        text: String,
    },
}

impl Text {
    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Text {
    type Err = TextError;
    fn from_str(text: &str) -> Result<Self, TextError> {
        if text.is_empty() {
            return Err(TextError::Empty);
        }
        if text.len() > TEXT_MAX {
            return Err(TextError::TooLong { length: text.len() });
        }
        let legal = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-' | b'/' | b':' | b'+' | b'@' | b' ');
        // `..` climbs out of a directory, `//` begins a comment in C-like syntaxes, a blank at an end is lost on the way
        let misleading = text.contains("..") || text.contains("//") || text.contains("  ") || text.starts_with(' ') || text.ends_with(' ');
        if misleading || !text.bytes().all(legal) {
            return Err(TextError::Character { text: text.to_owned() });
        }
        Ok(Self(text.into()))
    }
}

impl fmt::Display for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

/// A port's breakout such as `4x25G`: how many ports it becomes, and the speed of each.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Breakout {
    /// How many.
    pub count: u8,
    /// Gbit/s of each.
    pub gigabits: u16,
}

/// Text that is not a breakout.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("`{text}` is not a breakout such as `4x25G`: 1, 2, 4 or 8 ports of 1G to 800G")]
pub struct BreakoutError {
    /// What was written.
    pub text: String,
}

impl FromStr for Breakout {
    type Err = BreakoutError;
    fn from_str(text: &str) -> Result<Self, BreakoutError> {
        let error = || BreakoutError { text: text.to_owned() };
        let (count, speed) = text.split_once('x').ok_or_else(error)?;
        let speed = speed.strip_suffix('G').ok_or_else(error)?;
        let digits = |text: &str| !text.is_empty() && !text.starts_with('0') && text.bytes().all(|b| b.is_ascii_digit());
        if !digits(count) || !digits(speed) {
            return Err(error());
        }
        let (count, gigabits) = (count.parse().map_err(|_| error())?, speed.parse().map_err(|_| error())?);
        if !matches!(count, 1 | 2 | 4 | 8) || gigabits > 800 {
            return Err(error());
        }
        Ok(Self { count, gigabits })
    }
}

impl fmt::Display for Breakout {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}x{}G", self.count, self.gigabits)
    }
}

/// Forward error correction of a port.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Fec {
    /// Reed-Solomon, clause 91
    Rs,
    /// Fire code, clause 74
    Fc,
    /// Off
    None,
}

impl fmt::Display for Fec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Rs => "rs",
            Self::Fc => "fc",
            Self::None => "none",
        })
    }
}

/// What a quota can bound.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum QuotaItem {
    /// Allocations
    Allocations,
    /// Networks
    Networks,
    /// Elastic addresses
    Addresses,
    /// Firewalls
    Firewalls,
    /// Firewall policies
    Policies,
}

impl fmt::Display for QuotaItem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Allocations => "allocations",
            Self::Networks => "networks",
            Self::Addresses => "addresses",
            Self::Firewalls => "firewalls",
            Self::Policies => "policies",
        })
    }
}

/// A point in time, in seconds since 1970-01-01T00:00:00Z, written as in RFC 3339 with a `Z`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(pub u64);

/// Text that is not a point in time.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("`{text}` is not a time in UTC such as `2027-01-31T00:00:00Z`")]
pub struct TimestampError {
    /// What was written.
    pub text: String,
}

impl FromStr for Timestamp {
    type Err = TimestampError;
    fn from_str(text: &str) -> Result<Self, TimestampError> {
        parse_utc(text).map(Self).ok_or_else(|| TimestampError { text: text.to_owned() })
    }
}

fn parse_utc(text: &str) -> Option<u64> {
    let b = text.as_bytes();
    let shape = b"dddd-dd-ddTdd:dd:ddZ";
    let fits = b.len() == shape.len() && b.iter().zip(shape).all(|(c, s)| if *s == b'd' { c.is_ascii_digit() } else { c == s });
    if !fits {
        return None;
    }
    let number = |from: usize, to: usize| b[from..to].iter().fold(0u64, |n, c| n * 10 + u64::from(c - b'0'));
    let (year, month, day) = (number(0, 4), number(5, 7), number(8, 10));
    let (hour, minute, second) = (number(11, 13), number(14, 16), number(17, 19));
    let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let lengths = [31, if leap { 29 } else { 28 }, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
    let length = *lengths.get(usize::try_from(month.checked_sub(1)?).ok()?)?;
    // a leap second (RFC 3339 §5.7) has no number of its own in POSIX time: refused rather than guessed
    if year < 1970 || day == 0 || day > length || hour > 23 || minute > 59 || second > 59 {
        return None;
    }
    let leaps_before = |year: u64| (year - 1) / 4 - (year - 1) / 100 + (year - 1) / 400;
    let days = (year - 1970) * 365 + leaps_before(year) - leaps_before(1970)
        + lengths.iter().take(usize::try_from(month - 1).ok()?).sum::<u64>()
        + day
        - 1;
    Some(((days * 24 + hour) * 60 + minute) * 60 + second)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_cannot_leave_its_place() {
        for bad in ["", " a", "a ", "a\nb", "a;b", "a\"b", "../a", "a$b", "a`b", "{a}", "http://a", "é", &"x".repeat(101)] {
            assert!(bad.parse::<Text>().is_err(), "{bad}");
        }
        for good in ["SN0001", "10.3", "/etc/kubernetes/admin.conf", "Accton-AS7726-32X", "rack 7"] {
            assert!(good.parse::<Text>().is_ok(), "{good}");
        }
    }

    #[test]
    fn a_breakout_has_ports_and_a_speed() {
        assert_eq!("4x25G".parse::<Breakout>().unwrap().to_string(), "4x25G");
        for bad in ["4*25G", "3x25G", "4x25", "x25G", "4xG", "4x900G", "4x025G", "4x99999999999G"] {
            assert!(bad.parse::<Breakout>().is_err(), "{bad}");
        }
    }

    #[test]
    fn times_are_counted_from_1970() {
        let seconds = |text: &str| text.parse::<Timestamp>().map(|t| t.0).ok();
        assert_eq!(seconds("1970-01-01T00:00:00Z"), Some(0));
        assert_eq!(seconds("2000-02-29T12:34:56Z"), Some(951_827_696));
        assert_eq!(seconds("2027-01-31T00:00:00Z"), Some(1_801_353_600));
        assert_eq!(seconds("9999-12-31T23:59:59Z"), Some(253_402_300_799));
        for bad in
            ["tomorrow", "2027-02-29T00:00:00Z", "2027-13-01T00:00:00Z", "2027-01-01T24:00:00Z", "2027-01-01T00:00:00+01:00", "2027-01-01"]
        {
            assert_eq!(seconds(bad), None, "{bad}");
        }
    }
}
