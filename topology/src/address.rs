//! Addresses on interfaces, and those that Leafwall derives.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

use ipnet::{IpNet, Ipv6Net};
use serde::{Deserialize, Serialize};

use crate::prefix::{Prefix, PrefixError, parse_net};

/// The /96 in which every device's IPv6 source address of its VRFs lies, with the loopback in the last 32 bits. A unique local prefix (RFC 4193);
/// no network may overlap it.
pub const VRF_SOURCE_V6: Ipv6Net = Ipv6Net::new_assert(Ipv6Addr::new(0xfd6c, 0x6561, 0x6677, 0, 0, 0, 0, 0), 96);

/// The IPv6 source address, in each of its VRFs, of the device with this loopback, so that packet-too-big and traceroute answers have a source.
pub fn embed_loopback(loopback: Ipv4Addr) -> Ipv6Addr {
    Ipv6Addr::from(u128::from(VRF_SOURCE_V6.addr()) | u128::from(u32::from(loopback)))
}

/// An address on an interface, with the length of its subnet: `10.0.4.1/24`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct HostAddress(IpNet);

impl HostAddress {
    /// This address alone, as /32 or /128.
    pub fn alone(address: IpAddr) -> Self {
        Self(IpNet::from(address))
    }

    /// An address with its subnet's length; `None` where the length is not possible.
    pub fn new(address: IpAddr, length: u8) -> Option<Self> {
        IpNet::new(address, length).ok().map(Self)
    }

    /// The address without its length.
    pub fn address(self) -> IpAddr {
        self.0.addr()
    }

    /// The length of its subnet in bits.
    pub fn length(self) -> u8 {
        self.0.prefix_len()
    }

    /// The subnet.
    pub fn prefix(self) -> Option<Prefix> {
        Prefix::containing(self.address(), self.length())
    }
}

impl FromStr for HostAddress {
    type Err = PrefixError;
    fn from_str(text: &str) -> Result<Self, PrefixError> {
        parse_net(text).map(Self).ok_or_else(|| PrefixError::Shape { text: text.to_owned() })
    }
}

impl TryFrom<String> for HostAddress {
    type Error = PrefixError;
    fn try_from(text: String) -> Result<Self, PrefixError> {
        text.parse()
    }
}

impl From<HostAddress> for String {
    fn from(address: HostAddress) -> Self {
        address.to_string()
    }
}

impl fmt::Display for HostAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_loopback_stands_in_the_last_32_bits() {
        assert_eq!(embed_loopback(Ipv4Addr::new(10, 255, 0, 3)).to_string(), "fd6c:6561:6677::aff:3");
    }
}
