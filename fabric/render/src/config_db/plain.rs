//! Values and keys of CONFIG_DB: everything in it is text.

use std::fmt;
use std::str::FromStr;

use leafwall_topology::{HostAddress, IfName};
use serde::de::Error;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A value that is written as its text, whatever it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Plain<T>(pub T);

impl<T: fmt::Display> Serialize for Plain<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&self.0)
    }
}

fn parsed<'de, T, D>(deserializer: D) -> Result<T, D::Error>
where
    T: FromStr<Err: fmt::Display>,
    D: Deserializer<'de>,
{
    String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
}

impl<'de, T: FromStr<Err: fmt::Display>> Deserialize<'de> for Plain<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        parsed(deserializer).map(Self)
    }
}

/// A key of two parts: `Vlan1001|Ethernet0`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Pair<A, B>(pub A, pub B);

/// The key of an interface, or of one of its addresses: `Ethernet0`, `Ethernet0|192.0.2.1/31`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct InterfaceKey {
    /// The interface.
    pub interface: IfName,
    /// One of its addresses; `None` is the interface itself.
    pub address: Option<HostAddress>,
}

impl InterfaceKey {
    /// The interface itself.
    pub const fn of(interface: IfName) -> Self {
        Self { interface, address: None }
    }

    /// One of its addresses.
    pub const fn address(interface: IfName, address: HostAddress) -> Self {
        Self { interface, address: Some(address) }
    }
}

/// Text that is no key of this table.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{key}` is no key of this table: {why}")]
pub struct KeyError {
    key: String,
    why: String,
}

fn key_error(key: &str, why: impl fmt::Display) -> KeyError {
    KeyError { key: key.to_owned(), why: why.to_string() }
}

impl<A: fmt::Display, B: fmt::Display> fmt::Display for Pair<A, B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}|{}", self.0, self.1)
    }
}

impl<A: FromStr<Err: fmt::Display>, B: FromStr<Err: fmt::Display>> FromStr for Pair<A, B> {
    type Err = KeyError;
    fn from_str(text: &str) -> Result<Self, KeyError> {
        let (a, b) = text.split_once('|').ok_or_else(|| key_error(text, "it has one part"))?;
        Ok(Self(a.parse().map_err(|error| key_error(text, error))?, b.parse().map_err(|error| key_error(text, error))?))
    }
}

impl fmt::Display for InterfaceKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.address {
            None => write!(f, "{}", self.interface),
            Some(address) => write!(f, "{}|{address}", self.interface),
        }
    }
}

impl FromStr for InterfaceKey {
    type Err = KeyError;
    fn from_str(text: &str) -> Result<Self, KeyError> {
        let (interface, address) = match text.split_once('|') {
            None => (text, None),
            Some((interface, address)) => (interface, Some(address.parse().map_err(|error| key_error(text, error))?)),
        };
        Ok(Self { interface: interface.parse().map_err(|error| key_error(text, error))?, address })
    }
}

impl<A: fmt::Display, B: fmt::Display> Serialize for Pair<A, B> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl Serialize for InterfaceKey {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de, A: FromStr<Err: fmt::Display>, B: FromStr<Err: fmt::Display>> Deserialize<'de> for Pair<A, B> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        parsed(deserializer)
    }
}

impl<'de> Deserialize<'de> for InterfaceKey {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        parsed(deserializer)
    }
}
