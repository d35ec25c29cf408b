//! Prefixes without host bits.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use serde::{Deserialize, Serialize};
use thiserror::Error;

/// IPv4 or IPv6.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Family {
    /// IPv4
    V4,
    /// IPv6
    V6,
}

impl Family {
    /// Both, in order.
    pub const BOTH: [Self; 2] = [Self::V4, Self::V6];

    /// The length of a host route: 32 or 128.
    pub const fn host_length(self) -> u8 {
        match self {
            Self::V4 => 32,
            Self::V6 => 128,
        }
    }

    /// The number of an address in its family, from 0.
    pub fn number(address: IpAddr) -> u128 {
        match address {
            IpAddr::V4(address) => u32::from(address).into(),
            IpAddr::V6(address) => address.into(),
        }
    }

    /// The number of its last address.
    pub const fn last_number(self) -> u128 {
        match self {
            Self::V4 => u32::MAX as u128,
            Self::V6 => u128::MAX,
        }
    }

    /// The address of a number; the last one if there are not so many.
    pub fn address(self, number: u128) -> IpAddr {
        match self {
            Self::V4 => IpAddr::V4(u32::try_from(number).unwrap_or(u32::MAX).into()),
            Self::V6 => IpAddr::V6(number.into()),
        }
    }

    /// The family of an address.
    pub const fn of(address: IpAddr) -> Self {
        match address {
            IpAddr::V4(_) => Self::V4,
            IpAddr::V6(_) => Self::V6,
        }
    }
}

/// A prefix whose host bits are zero. Ordered: IPv4 first, then by address, then by length.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Prefix(IpNet);

/// Text that is not a prefix.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum PrefixError {
    /// Not `address/length`.
    #[error("`{text}` is not a prefix such as `10.0.0.0/24` or `fd00::/64`")]
    Shape {
        /// What was written.
        text: String,
    },
    /// Bits are set behind the prefix's length.
    #[error("`{text}` has host bits set: the prefix is `{meant}`")]
    HostBits {
        /// What was written.
        text: String,
        /// The prefix with those bits cleared.
        meant: Prefix,
    },
}

impl Prefix {
    /// Everything of one family.
    pub const fn any(family: Family) -> Self {
        match family {
            Family::V4 => Self(IpNet::V4(Ipv4Net::new_assert(Ipv4Addr::UNSPECIFIED, 0))),
            Family::V6 => Self(IpNet::V6(Ipv6Net::new_assert(Ipv6Addr::UNSPECIFIED, 0))),
        }
    }

    /// The prefix that holds this address alone.
    pub fn host(address: IpAddr) -> Self {
        Self(IpNet::from(address))
    }

    /// The prefix of this length around an address, host bits cleared.
    pub fn containing(address: IpAddr, length: u8) -> Option<Self> {
        IpNet::new(address, length).ok().map(|net| Self(net.trunc()))
    }

    /// Its family.
    pub const fn family(self) -> Family {
        match self.0 {
            IpNet::V4(_) => Family::V4,
            IpNet::V6(_) => Family::V6,
        }
    }

    /// Its length in bits.
    pub fn length(self) -> u8 {
        self.0.prefix_len()
    }

    /// Its first address.
    pub fn network(self) -> IpAddr {
        self.0.network()
    }

    /// Its last address.
    pub fn last(self) -> IpAddr {
        self.0.broadcast()
    }

    /// The address that is `offset` after the first one, if it is still inside.
    pub fn nth(self, offset: u128) -> Option<IpAddr> {
        let address = match self.network() {
            IpAddr::V4(first) => IpAddr::V4(u32::from(first).checked_add(u32::try_from(offset).ok()?)?.into()),
            IpAddr::V6(first) => IpAddr::V6(u128::from(first).checked_add(offset)?.into()),
        };
        self.contains_address(address).then_some(address)
    }

    /// Whether this is a host route.
    pub fn is_host(self) -> bool {
        self.length() == self.family().host_length()
    }

    /// Whether this is the default route.
    pub fn is_default(self) -> bool {
        self.length() == 0
    }

    /// Whether the address lies inside.
    pub fn contains_address(self, address: IpAddr) -> bool {
        self.0.contains(&address)
    }

    /// Whether the whole of `other` lies inside.
    pub fn contains(self, other: Self) -> bool {
        self.0.contains(&other.0)
    }

    /// Whether the two have an address in common (then one holds the other).
    pub fn overlaps(self, other: Self) -> bool {
        self.contains(other) || other.contains(self)
    }

    /// As the ipnet type.
    pub const fn net(self) -> IpNet {
        self.0
    }
}

impl TryFrom<IpNet> for Prefix {
    type Error = PrefixError;
    fn try_from(net: IpNet) -> Result<Self, PrefixError> {
        if net.addr() == net.network() {
            Ok(Self(net))
        } else {
            Err(PrefixError::HostBits { text: net.to_string(), meant: Self(net.trunc()) })
        }
    }
}

impl FromStr for Prefix {
    type Err = PrefixError;
    fn from_str(text: &str) -> Result<Self, PrefixError> {
        parse_net(text).ok_or_else(|| PrefixError::Shape { text: text.to_owned() })?.try_into()
    }
}

/// `address/length`, each spelled strictly: an octet or a length with a leading zero is decimal to some readers and octal to others.
pub(crate) fn parse_net(text: &str) -> Option<IpNet> {
    let (address, length) = text.split_once('/')?;
    let strict = length == "0" || (!length.starts_with('0') && !length.is_empty() && length.bytes().all(|b| b.is_ascii_digit()));
    let length = length.parse().ok().filter(|_| strict)?;
    IpNet::new(address.parse().ok()?, length).ok()
}

impl TryFrom<String> for Prefix {
    type Error = PrefixError;
    fn try_from(text: String) -> Result<Self, PrefixError> {
        text.parse()
    }
}

impl From<Prefix> for String {
    fn from(prefix: Prefix) -> Self {
        prefix.to_string()
    }
}

impl fmt::Display for Prefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn host_bits_are_refused_with_the_prefix_meant() {
        let error = "10.0.0.1/24".parse::<Prefix>().unwrap_err();
        assert_eq!(error.to_string(), "`10.0.0.1/24` has host bits set: the prefix is `10.0.0.0/24`");
    }

    #[test]
    fn leading_zeros_are_refused() {
        for bad in ["010.0.0.0/8", "10.0.0.0/08", "10.0.0.0/+8", "10.0.0.0/", "10.0.0.0", "10.0.0.0/33", "fd00::/064"] {
            assert!(matches!(bad.parse::<Prefix>(), Err(PrefixError::Shape { .. })), "{bad}");
            assert!(bad.parse::<crate::HostAddress>().is_err(), "{bad}");
        }
        assert!("0.0.0.0/0".parse::<Prefix>().unwrap().is_default());
    }

    #[test]
    fn nth_stays_inside() {
        let prefix: Prefix = "10.0.0.0/30".parse().unwrap();
        assert_eq!(prefix.nth(3).unwrap().to_string(), "10.0.0.3");
        assert_eq!(prefix.nth(4), None);
        assert_eq!("fd00::/64".parse::<Prefix>().unwrap().nth(1).unwrap().to_string(), "fd00::1");
    }

    #[test]
    fn families_never_overlap() {
        assert!(!Prefix::any(Family::V4).overlaps(Prefix::any(Family::V6)));
    }
}
