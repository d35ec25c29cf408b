//! How often strangers may be wrong.
//!
//! Whoever asks for something they don't get uses up a chance of their address; chances come back with time. The number of addresses that are remembered is bounded:
//! where there are more, newcomers share one.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv6Addr};

/// How many mistakes an address has at once: a person who mixes up files makes fewer.
const CHANCES: u32 = 5;
/// Milliseconds until one comes back.
const EACH: u64 = 10_000;
/// Addresses that are remembered: some hundred KiB.
const REMEMBERED: usize = 4096;
/// Refusals that are written down at once, of whomever, and milliseconds until there may be one more: so nobody fills the log.
const WRITTEN: u32 = 60;
const WRITTEN_EACH: u64 = 1000;

/// Chances that come back with time.
#[derive(Debug, Clone, Copy)]
struct Chances {
    left: u32,
    since: u64,
}

impl Chances {
    /// As many as there are now.
    fn at(self, now: u64, most: u32, each: u64) -> Self {
        let back = now.saturating_sub(self.since) / each;
        let left = u32::try_from(back).unwrap_or(u32::MAX).saturating_add(self.left);
        if left >= most { Self { left: most, since: now } } else { Self { left, since: self.since + back * each } }
    }

    fn used(self) -> Self {
        Self { left: self.left.saturating_sub(1), ..self }
    }
}

/// Who has been wrong how often lately. Times are in milliseconds, of a clock that never goes back.
#[derive(Debug)]
pub struct Limits {
    known: BTreeMap<IpAddr, Chances>,
    others: Chances,
    written: Chances,
    /// Refusals that were not written down.
    unwritten: u64,
}

/// Whoever has an IPv6 address has the /64 around it.
fn source(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() >> 64 << 64).into(),
        v4 @ IpAddr::V4(_) => v4,
    }
}

impl Default for Limits {
    fn default() -> Self {
        let written = Chances { left: WRITTEN, since: 0 };
        Self { known: BTreeMap::new(), others: Chances { left: CHANCES, since: 0 }, written, unwritten: 0 }
    }
}

impl Limits {
    /// Takes a chance, before it is known whether it is needed, so that many at once have no more. False: there is none.
    pub fn take(&mut self, address: IpAddr, now: u64) -> bool {
        let address = source(address);
        if !self.known.contains_key(&address) && self.known.len() >= REMEMBERED {
            // whose chances are all back was never here
            self.known.retain(|_, chances| chances.at(now, CHANCES, EACH).left < CHANCES);
        }
        let chances = if self.known.contains_key(&address) || self.known.len() < REMEMBERED {
            self.known.entry(address).or_insert(Chances { left: CHANCES, since: now })
        } else {
            &mut self.others
        };
        *chances = chances.at(now, CHANCES, EACH);
        let had = chances.left > 0;
        *chances = chances.used();
        had
    }

    /// Gives it back to one that was right.
    pub fn give_back(&mut self, address: IpAddr) {
        let chances = self.known.get_mut(&source(address)).unwrap_or(&mut self.others);
        chances.left = (chances.left + 1).min(CHANCES);
    }

    /// Whether a refusal is written down, and how many were not since the last one that was.
    pub fn write(&mut self, now: u64) -> Option<u64> {
        self.written = self.written.at(now, WRITTEN, WRITTEN_EACH);
        if self.written.left == 0 {
            self.unwritten += 1;
            return None;
        }
        self.written = self.written.used();
        Some(std::mem::take(&mut self.unwritten))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn v4(number: u32) -> IpAddr {
        std::net::Ipv4Addr::from_bits(0x0a00_0000 + number).into()
    }

    #[test]
    fn chances_are_used_up_and_come_back() {
        let mut limits = Limits::default();
        assert!((0..CHANCES).all(|_| limits.take(v4(1), 5)));
        assert!(!limits.take(v4(1), 5 + EACH - 1));
        assert!(limits.take(v4(2), 5), "another address has its own");
        assert!(limits.take(v4(1), 5 + EACH));
        assert!(!limits.take(v4(1), 5 + EACH));
        // asking without a chance does not put off the next one
        assert!(limits.take(v4(1), 5 + 2 * EACH));
        limits.give_back(v4(1));
        assert!(limits.take(v4(1), 5 + 2 * EACH));
        assert!((0..CHANCES).all(|_| limits.take(v4(1), 100 * EACH)));
        assert!(!limits.take(v4(1), 100 * EACH), "never more than all of them");
    }

    #[test]
    fn an_address_is_its_network_and_one_of_two_spellings() {
        let mut limits = Limits::default();
        for host in 0..CHANCES {
            assert!(limits.take(format!("2001:db8::{host}").parse().unwrap(), 0));
        }
        assert!(!limits.take("2001:db8::ffff".parse().unwrap(), 0));
        assert!(limits.take("2001:db8:0:1::".parse().unwrap(), 0));
        assert!((0..CHANCES).all(|_| limits.take("::ffff:10.0.0.9".parse().unwrap(), 0)));
        assert!(!limits.take("10.0.0.9".parse().unwrap(), 0));
    }

    #[test]
    fn memory_is_bounded_and_nobody_new_gets_in_past_that() {
        let mut limits = Limits::default();
        let many = u32::try_from(REMEMBERED).unwrap();
        assert!((0..many).all(|number| limits.take(v4(number), 0)));
        let late = (many..2 * many).filter(|number| limits.take(v4(*number), 0)).count();
        assert_eq!(late, CHANCES as usize, "newcomers share");
        assert_eq!(limits.known.len(), REMEMBERED);
        // once chances are back, there is room
        assert!(limits.take(v4(many), EACH));
        assert_eq!(limits.known.len(), 1);
    }

    #[test]
    fn the_log_is_not_filled_and_says_what_is_missing() {
        let mut limits = Limits::default();
        assert!((0..WRITTEN).all(|_| limits.write(0) == Some(0)));
        assert!((0..7).all(|_| limits.write(1).is_none()));
        assert_eq!(limits.write(WRITTEN_EACH), Some(7));
        assert_eq!(limits.write(2 * WRITTEN_EACH), Some(0));
    }
}
