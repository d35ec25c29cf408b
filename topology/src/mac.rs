//! MAC addresses.

use std::fmt;
use std::net::Ipv4Addr;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use thiserror::Error;

/// A unicast MAC address that is not all zeros.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct MacAddr([u8; 6]);

/// Text that is not a unicast MAC address.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum MacError {
    /// Not six hexadecimal bytes between colons.
    #[error("`{text}` is not a MAC address such as `02:00:00:00:01:01`")]
    Shape {
        /// What was written.
        text: String,
    },
    /// A group address, or all zeros: no port can have it.
    #[error("`{text}` is not a unicast MAC address")]
    NotUnicast {
        /// What was written.
        text: String,
    },
}

impl MacAddr {
    /// The anycast gateway's address where the Fabric names none.
    pub const ANYCAST_DEFAULT: Self = Self([0x02, 0x00, 0x5e, 0x00, 0x00, 0x01]);

    /// The six bytes.
    pub const fn bytes(self) -> [u8; 6] {
        self.0
    }

    /// The router MAC of the device with this loopback: `02:4c` and the four bytes of the address, so that it is unique where loopbacks are (H2, H39).
    pub const fn router(loopback: Ipv4Addr) -> Self {
        let [a, b, c, d] = loopback.octets();
        Self([0x02, 0x4c, a, b, c, d])
    }
}

impl FromStr for MacAddr {
    type Err = MacError;
    fn from_str(text: &str) -> Result<Self, MacError> {
        let shape = || MacError::Shape { text: text.to_owned() };
        let mut bytes = [0; 6];
        let mut parts = text.split(':');
        for byte in &mut bytes {
            let part = parts.next().ok_or_else(shape)?;
            if part.len() != 2 || !part.bytes().all(|b| b.is_ascii_hexdigit()) {
                return Err(shape());
            }
            *byte = u8::from_str_radix(part, 16).map_err(|_| shape())?;
        }
        if parts.next().is_some() {
            return Err(shape());
        }
        if bytes[0] & 1 == 1 || bytes == [0; 6] {
            return Err(MacError::NotUnicast { text: text.to_owned() });
        }
        Ok(Self(bytes))
    }
}

impl TryFrom<String> for MacAddr {
    type Error = MacError;
    fn try_from(text: String) -> Result<Self, MacError> {
        text.parse()
    }
}

impl From<MacAddr> for String {
    fn from(mac: MacAddr) -> Self {
        mac.to_string()
    }
}

impl fmt::Display for MacAddr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d, e, g] = self.0;
        write!(f, "{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{g:02x}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_unicast() {
        assert!("01:00:5e:00:00:01".parse::<MacAddr>().is_err());
        assert!("00:00:00:00:00:00".parse::<MacAddr>().is_err());
        assert!("2:0:0:0:0:1".parse::<MacAddr>().is_err());
        assert!("02:00:00:00:00:01:02".parse::<MacAddr>().is_err());
        assert_eq!("02:AB:00:00:01:02".parse::<MacAddr>().unwrap().to_string(), "02:ab:00:00:01:02");
    }

    #[test]
    fn h02_router_macs_differ_where_loopbacks_do() {
        assert_eq!(MacAddr::router("10.255.0.3".parse().unwrap()).to_string(), "02:4c:0a:ff:00:03");
    }
}
