//! Numbers of the field: VNI, VLAN id, ASN, MTU, route target, route distinguisher.

use std::fmt;
use std::net::Ipv4Addr;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use thiserror::Error;

/// The administrator part of every route target: one fixed number, so that a route target is the same on all devices, whatever their ASN.
pub const FABRIC_NUMBER: u16 = 65000;

/// A number that is not in the range of its kind.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum IdError {
    /// Not a whole number at all.
    #[error("`{text}` is not a whole number")]
    NotANumber {
        /// What was written.
        text: String,
    },
    /// A number outside the range of its kind.
    #[error("{value} is not a {kind}: expected {low} to {high}")]
    OutOfRange {
        /// What the number stands for, in the field's terms.
        kind: &'static str,
        /// What was written.
        value: u64,
        /// The lowest legal value.
        low: u64,
        /// The highest legal value.
        high: u64,
    },
    /// Text of another shape than the kind wants.
    #[error("`{text}` is not a {kind}")]
    Shape {
        /// What was expected.
        kind: &'static str,
        /// What was written.
        text: String,
    },
}

macro_rules! number {
    ($(#[$doc:meta])* $name:ident($inner:ty), $kind:literal, $low:literal ..= $high:literal) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "u64", into = "u64")]
        pub struct $name($inner);

        impl $name {
            /// What this number is called.
            pub const KIND: &'static str = $kind;
            /// The lowest legal value.
            pub const MIN: $inner = $low;
            /// The highest legal value.
            pub const MAX: $inner = $high;

            /// The number itself.
            pub const fn get(self) -> $inner {
                self.0
            }
        }

        impl TryFrom<u64> for $name {
            type Error = IdError;
            fn try_from(value: u64) -> Result<Self, IdError> {
                match <$inner>::try_from(value) {
                    Ok(inner) if ($low..=$high).contains(&inner) => Ok(Self(inner)),
                    _ => Err(IdError::OutOfRange { kind: $kind, value, low: $low, high: $high }),
                }
            }
        }

        impl From<$name> for u64 {
            fn from(id: $name) -> Self {
                Self::from(id.0)
            }
        }

        impl FromStr for $name {
            type Err = IdError;
            fn from_str(text: &str) -> Result<Self, IdError> {
                // `u64::from_str` takes a leading `+`, which no device does
                if text.is_empty() || !text.bytes().all(|b| b.is_ascii_digit()) {
                    return Err(IdError::NotANumber { text: text.to_owned() });
                }
                text.parse::<u64>().map_err(|_| IdError::NotANumber { text: text.to_owned() })?.try_into()
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}", self.0)
            }
        }
    };
}

number! {
    /// A VXLAN network identifier: 24 bits, RFC 7348 §5; 0 is not used since some ASICs treat it as "none".
    Vni(u32), "VNI", 1..=16_777_215
}
number! {
    /// An IEEE 802.1Q VLAN id; 0 and 4095 are reserved there.
    VlanId(u16), "VLAN id", 1..=4094
}
number! {
    /// An autonomous system number (RFC 6793); 0 is forbidden by RFC 7607, the last one by RFC 7300.
    Asn(u32), "ASN", 1..=4_294_967_294
}
number! {
    /// A link's MTU in bytes. IPv6 needs 1280 (RFC 8200 §5); 9216 is what switches carry.
    Mtu(u16), "MTU", 1280..=9216
}

impl Mtu {
    /// Fabric and firewall ports.
    pub const FABRIC: Self = Self(9216);
    /// Machine ports, SVIs and VRFs: 9216 less the 50 bytes of VXLAN, rounded down to what hosts use.
    pub const MACHINE: Self = Self(9000);
    /// Plain Ethernet, for external peers that say nothing else.
    pub const ETHERNET: Self = Self(1500);
}

impl Asn {
    /// Whether RFC 6996 reserves it for private use.
    pub const fn is_private(self) -> bool {
        matches!(self.0, 64512..=65534 | 4_200_000_000..=4_294_967_294)
    }
}

/// A route target `number:VNI` (RFC 4360 §4, two-octet AS specific), the same on all devices of a fabric.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct RouteTarget {
    /// The administrator part.
    pub administrator: u16,
    /// The assigned number: for our own route targets a VNI.
    pub number: u32,
}

impl From<Vni> for RouteTarget {
    fn from(vni: Vni) -> Self {
        Self { administrator: FABRIC_NUMBER, number: vni.get() }
    }
}

impl fmt::Display for RouteTarget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.administrator, self.number)
    }
}

impl FromStr for RouteTarget {
    type Err = IdError;
    fn from_str(text: &str) -> Result<Self, IdError> {
        let shape = || IdError::Shape { kind: "route target", text: text.to_owned() };
        let (administrator, number) = text.split_once(':').ok_or_else(shape)?;
        Ok(Self { administrator: administrator.parse().map_err(|_| shape())?, number: number.parse().map_err(|_| shape())? })
    }
}

impl TryFrom<String> for RouteTarget {
    type Error = IdError;
    fn try_from(text: String) -> Result<Self, IdError> {
        text.parse()
    }
}

impl From<RouteTarget> for String {
    fn from(target: RouteTarget) -> Self {
        target.to_string()
    }
}

/// A route distinguisher `loopback:number` (RFC 4364 §4.2, type 1): unique per device and VNI, so that no device's routes shadow another's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct RouteDistinguisher {
    /// The device's loopback.
    pub loopback: Ipv4Addr,
    /// For the VLAN id that the VNI has on this device.
    pub number: u16,
}

impl fmt::Display for RouteDistinguisher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.loopback, self.number)
    }
}

impl FromStr for RouteDistinguisher {
    type Err = IdError;
    fn from_str(text: &str) -> Result<Self, IdError> {
        let shape = || IdError::Shape { kind: "route distinguisher", text: text.to_owned() };
        let (loopback, number) = text.split_once(':').ok_or_else(shape)?;
        Ok(Self { loopback: loopback.parse().map_err(|_| shape())?, number: number.parse().map_err(|_| shape())? })
    }
}

impl TryFrom<String> for RouteDistinguisher {
    type Error = IdError;
    fn try_from(text: String) -> Result<Self, IdError> {
        text.parse()
    }
}

impl From<RouteDistinguisher> for String {
    fn from(rd: RouteDistinguisher) -> Self {
        rd.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_vni_has_24_bits_and_is_not_zero() {
        assert!("0".parse::<Vni>().is_err());
        assert!("16777216".parse::<Vni>().is_err());
        assert!("+1".parse::<Vni>().is_err());
        assert_eq!("16777215".parse::<Vni>().unwrap().get(), 16_777_215);
    }

    #[test]
    fn an_error_carries_the_bad_value() {
        assert_eq!("4095".parse::<VlanId>().unwrap_err().to_string(), "4095 is not a VLAN id: expected 1 to 4094");
    }

    #[test]
    fn targets_and_distinguishers_read_what_they_print() {
        let target = RouteTarget::from(Vni::try_from(10_001).unwrap());
        assert_eq!(target.to_string(), "65000:10001");
        assert_eq!(target.to_string().parse::<RouteTarget>().unwrap(), target);
        let rd: RouteDistinguisher = "10.255.0.1:11001".parse().unwrap();
        assert_eq!(rd.to_string(), "10.255.0.1:11001");
    }
}
