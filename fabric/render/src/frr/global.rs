//! Statements about the device itself.

use std::fmt;
use std::net::Ipv4Addr;

use super::line::Block;
use super::text::{Text, Word};

/// A statement about the device itself. Ordered as FRR prints them.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Global {
    /// `frr version`: which one wrote the file.
    Version(Text),
    /// `frr defaults`
    Defaults(Defaults),
    /// `hostname`
    Hostname(Word),
    /// `log syslog` from this level.
    LogSyslog(Word),
    /// `fpm address`: where zebra passes routes on to, which on SONiC is the way to the ASIC (H13).
    FpmAddress(Ipv4Addr),
}

/// What FRR takes where nothing is said.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Defaults {
    /// As standards say: an eBGP neighbour without a filter exchanges nothing (RFC 8212).
    Traditional,
    /// Short timers, and no such demand.
    Datacenter,
}

impl fmt::Display for Global {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Version(version) => write!(f, "frr version {version}"),
            Self::Defaults(Defaults::Traditional) => f.write_str("frr defaults traditional"),
            Self::Defaults(Defaults::Datacenter) => f.write_str("frr defaults datacenter"),
            Self::Hostname(name) => write!(f, "hostname {name}"),
            Self::LogSyslog(level) => write!(f, "log syslog {level}"),
            Self::FpmAddress(address) => write!(f, "fpm address {address}"),
        }
    }
}

impl Global {
    pub(super) fn parse(block: &Block<'_>) -> Option<Self> {
        match block.words.as_slice() {
            ["frr", "version", first, ..] => block.rest(first).map(Self::Version),
            ["frr", "defaults", "traditional"] => Some(Self::Defaults(Defaults::Traditional)),
            ["frr", "defaults", "datacenter"] => Some(Self::Defaults(Defaults::Datacenter)),
            ["hostname", name] => name.parse().ok().map(Self::Hostname),
            ["log", "syslog", level] => level.parse().ok().map(Self::LogSyslog),
            ["fpm", "address", address] => address.parse().ok().map(Self::FpmAddress),
            _ => None,
        }
    }
}
