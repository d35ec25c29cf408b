//! Limits and translations → text.

use std::fmt::{self, Display};

use super::print::word;
use super::statement::{Limit, LimitMode, Rate, SnatTarget, TimeUnit};

impl Display for Limit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let over = match self.mode {
            LimitMode::Within => "",
            LimitMode::Over => "over ",
        };
        let per = word(&TimeUnit::ALL, self.per);
        match self.rate {
            Rate::Packets(rate) => write!(f, "limit rate {over}{rate}/{per} burst {} packets", self.burst),
            Rate::Bytes(rate) => write!(f, "limit rate {over}{rate} bytes/{per} burst {} bytes", self.burst),
        }
    }
}

impl Display for SnatTarget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fn spread<A: Display>(f: &mut fmt::Formatter<'_>, ip: &str, seed: u32, addresses: &[A]) -> fmt::Result {
            write!(f, "snat {ip} to jhash {ip} saddr . {ip} daddr mod {} seed {seed:#x} map {{ ", addresses.len())?;
            for (index, address) in addresses.iter().enumerate() {
                let comma = if index == 0 { "" } else { ", " };
                write!(f, "{comma}{index} : {address}")?;
            }
            f.write_str(" }")
        }
        match self {
            Self::V4(address) => write!(f, "snat ip to {address}"),
            Self::V6(address) => write!(f, "snat ip6 to {address}"),
            Self::SpreadV4 { seed, addresses } => spread(f, "ip", *seed, addresses),
            Self::SpreadV6 { seed, addresses } => spread(f, "ip6", *seed, addresses),
        }
    }
}
