//! Addresses that no answer may open (F6): who can make a name point anywhere must not reach what is behind the firewall (DNS rebinding).

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use leafwall_policy::zone::Access;
use leafwall_policy::zone::{FirewallRules, Sources, ZoneKind};
use leafwall_topology::Prefix;

/// Why an address is left out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Refusal {
    /// Loopback, link-local, multicast, unspecified, reserved, or IPv4 in a form that hides it: never a server elsewhere.
    Special,
    /// An address of the cluster's own networks.
    Own,
    /// Private space (RFC 1918, RFC 6598, RFC 4193) that `allowedNetworks` does not name.
    Private,
    /// Outside of `allowedNetworks`.
    NotAllowed,
}

impl Refusal {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Special, Self::Own, Self::Private, Self::NotAllowed];

    /// As a word for numbers and logs.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Special => "special",
            Self::Own => "own",
            Self::Private => "private",
            Self::NotAllowed => "not-allowed",
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Special => "no address of a server elsewhere",
            Self::Own => "an address of the cluster's own networks",
            Self::Private => "private, and not in allowedNetworks",
            Self::NotAllowed => "outside of allowedNetworks",
        })
    }
}

/// What the operator says of addresses.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Space {
    /// What may be reached; `None` means everything but private space.
    pub allowed: Option<Vec<Prefix>>,
    /// The cluster's own networks.
    pub own: Vec<Prefix>,
}

impl From<&FirewallRules> for Space {
    fn from(firewall: &FirewallRules) -> Self {
        let own = firewall.zones.iter().filter(|zone| zone.kind == ZoneKind::Own).flat_map(|zone| {
            let sources = match &zone.sources {
                Sources::Only(sources) => sources.as_slice(),
                Sources::AllBut(_) => &[],
            };
            zone.prefixes.iter().chain(sources).copied()
        });
        // a default route is a destination of an own network, not the network
        let own = own.filter(|prefix| prefix.length() > 0).collect();
        let allowed = match firewall.access {
            Access::Restricted => Some(firewall.allowed_egress.clone().unwrap_or_default()),
            Access::Baseline | Access::Forbidden => firewall.allowed_egress.clone(),
        };
        Self { allowed, own }
    }
}

impl Space {
    /// Whether an answer may open this address.
    pub fn judge(&self, address: IpAddr) -> Result<(), Refusal> {
        if is_special(address) {
            return Err(Refusal::Special);
        }
        let inner = carried(address).map(IpAddr::V4);
        if inner.is_some_and(is_special) {
            return Err(Refusal::Special);
        }
        for address in [Some(address), inner].into_iter().flatten() {
            if self.own.iter().any(|prefix| prefix.contains_address(address)) {
                return Err(Refusal::Own);
            }
            match &self.allowed {
                Some(allowed) if allowed.iter().any(|prefix| prefix.contains_address(address)) => {
                    // everything is not a word about private space
                    let named = allowed.iter().any(|prefix| prefix.length() > 0 && prefix.contains_address(address));
                    if is_private(address) && !named {
                        return Err(Refusal::Private);
                    }
                }
                Some(_) if Some(address) == inner => {}
                Some(_) => return Err(Refusal::NotAllowed),
                None if is_private(address) => return Err(Refusal::Private),
                None => {}
            }
        }
        Ok(())
    }
}

fn is_special(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => {
            let first = v4.octets()[0];
            // "this network" (RFC 1122 §3.2.1.3), and everything from multicast on (RFC 5771, RFC 1112 §4, RFC 919)
            first == 0 || first == 127 || first >= 224 || v4.is_link_local()
        }
        IpAddr::V6(v6) => {
            let segments = v6.segments();
            v6.is_unspecified()
                || v6.is_loopback()
                || v6.is_multicast()
                || v6.is_unicast_link_local()
                // site-local (RFC 3879)
                || segments[0] & 0xffc0 == 0xfec0
                // IPv4-mapped and -compatible (RFC 4291 §2.5.5): sockets turn the first into IPv4
                || segments[..5] == [0; 5]
        }
    }
}

/// RFC 1918, the shared space of carriers (RFC 6598) and unique local addresses (RFC 4193).
fn is_private(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => v4.is_private() || (v4.octets()[0] == 100 && v4.octets()[1] & 0xc0 == 64),
        IpAddr::V6(v6) => v6.segments()[0] & 0xfe00 == 0xfc00,
    }
}

/// The IPv4 address that an IPv6 address leads to by translation (RFC 6052 §2.1, RFC 8215) or by a tunnel (RFC 3056).
fn carried(address: IpAddr) -> Option<Ipv4Addr> {
    let IpAddr::V6(v6) = address else { return None };
    let last = |v6: Ipv6Addr| {
        let [.., a, b, c, d] = v6.octets();
        Ipv4Addr::new(a, b, c, d)
    };
    match v6.segments() {
        [0x64, 0xff9b, 0, 0, 0, 0, _, _] | [0x64, 0xff9b, 1, ..] => Some(last(v6)),
        [0x2002, high, low, ..] => {
            let ([a, b], [c, d]) = (high.to_be_bytes(), low.to_be_bytes());
            Some(Ipv4Addr::new(a, b, c, d))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn space(allowed: Option<&[&str]>) -> Space {
        let prefixes = |texts: &[&str]| texts.iter().map(|text| text.parse().unwrap()).collect();
        Space { allowed: allowed.map(prefixes), own: prefixes(&["10.0.0.0/22", "203.0.113.0/28", "fd00:a::/32"]) }
    }

    #[test]
    fn f06_answers_into_private_or_own_space_are_refused() {
        let cases = [
            ("198.51.100.7", None, Ok(())),
            ("2001:db8::7", None, Ok(())),
            ("127.0.0.1", None, Err(Refusal::Special)),
            ("0.0.0.0", Some("0.0.0.0/0"), Err(Refusal::Special)),
            ("169.254.169.254", Some("169.254.0.0/16"), Err(Refusal::Special)),
            ("224.0.0.1", None, Err(Refusal::Special)),
            ("255.255.255.255", None, Err(Refusal::Special)),
            ("::1", None, Err(Refusal::Special)),
            ("fe80::1", None, Err(Refusal::Special)),
            ("ff02::1", None, Err(Refusal::Special)),
            ("::ffff:198.51.100.7", None, Err(Refusal::Special)),
            ("::7f00:1", None, Err(Refusal::Special)),
            ("64:ff9b::198.51.100.7", None, Ok(())),
            ("64:ff9b::127.0.0.1", None, Err(Refusal::Special)),
            ("64:ff9b::10.0.0.9", None, Err(Refusal::Own)),
            ("2002:a09:808::1", None, Err(Refusal::Private)),
            ("10.0.1.7", Some("10.0.0.0/8"), Err(Refusal::Own)),
            ("203.0.113.3", None, Err(Refusal::Own)),
            ("10.9.0.7", None, Err(Refusal::Private)),
            ("10.9.0.7", Some("0.0.0.0/0"), Err(Refusal::Private)),
            ("10.9.0.7", Some("10.9.0.0/16"), Ok(())),
            ("100.64.0.1", None, Err(Refusal::Private)),
            ("fd00:b::1", None, Err(Refusal::Private)),
            ("fd00:b::1", Some("fd00:b::/32"), Ok(())),
            ("198.51.100.7", Some("192.0.2.0/24"), Err(Refusal::NotAllowed)),
            ("64:ff9b::198.51.100.7", Some("64:ff9b::/96"), Ok(())),
        ];
        for (address, allowed, expected) in cases {
            let allowed = allowed.map(|prefix| [prefix]);
            assert_eq!(
                space(allowed.as_ref().map(<[&str; 1]>::as_slice)).judge(address.parse().unwrap()),
                expected,
                "{address} {allowed:?}"
            );
        }
    }

    proptest! {
        #[test]
        fn f06_nothing_outside_of_the_bounds_passes(address in any::<[u8; 16]>(), short in any::<bool>(), bound in any::<[u8; 4]>(), length in 0_u8..=32) {
            let address = if short { IpAddr::from([address[0], address[1], address[2], address[3]]) } else { IpAddr::from(address) };
            let bound = Prefix::containing(IpAddr::from(bound), length).unwrap();
            let space = Space { allowed: Some(vec![bound]), own: vec!["10.0.0.0/8".parse().unwrap()] };
            if space.judge(address).is_ok() {
                prop_assert!(bound.contains_address(address));
                prop_assert!(!address.is_loopback() && !address.is_multicast() && !address.is_unspecified());
                prop_assert!(!matches!(address, IpAddr::V4(v4) if v4.octets()[0] == 10));
            }
        }
    }
}
