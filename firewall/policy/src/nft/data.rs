//! Values, and the types that say how they are written.

use std::net::IpAddr;

use leafwall_topology::{Family, IfName, Prefix};

/// The type of a value, which decides how it is written and how large it may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum DataType {
    /// `ipv4_addr`
    Ipv4,
    /// `ipv6_addr`
    Ipv6,
    /// `ether_addr`
    Ether,
    /// `inet_service`: a port.
    Service,
    /// `inet_proto`: an IP protocol.
    Protocol,
    /// `ifname`
    Interface,
    /// `icmp_type`
    IcmpType,
    /// `icmpv6_type`
    Icmpv6Type,
    /// `nf_proto`: the family of the packet.
    NfProto,
    /// `ct_state`: a set of [`CtState`] bits.
    CtState,
    /// A plain number of so many bits (8 to 64), for header fields without a type and raw payload.
    Integer(u8),
}

/// What conntrack says of a packet, as bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum CtState {
    /// Belongs to nothing that makes sense.
    Invalid,
    /// Belongs to a known flow.
    Established,
    /// Belongs to a known flow in another way: an ICMP error.
    Related,
    /// The first packet of a flow.
    New,
    /// Conntrack was told not to look.
    Untracked,
}

impl CtState {
    pub(super) const ALL: [(Self, &'static str); 5] = [
        (Self::Invalid, "invalid"),
        (Self::Established, "established"),
        (Self::Related, "related"),
        (Self::New, "new"),
        (Self::Untracked, "untracked"),
    ];

    /// The bit that nftables uses.
    pub const fn bit(self) -> u64 {
        match self {
            Self::Invalid => 1,
            Self::Established => 2,
            Self::Related => 4,
            Self::New => 8,
            Self::Untracked => 64,
        }
    }
}

/// A constant. Which kinds make sense depends on the [`DataType`] it is compared with.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Value {
    /// One address.
    Address(IpAddr),
    /// A prefix that is not a host route.
    Prefix(Prefix),
    /// Addresses from the first to the last, both inside, that are not a prefix.
    Addresses(IpAddr, IpAddr),
    /// One number: a port, a protocol, a type, a mask of conntrack states.
    Number(u64),
    /// Numbers from the first to the last, both inside.
    Numbers(u64, u64),
    /// An interface's name.
    Interface(IfName),
    /// A MAC address; any, since what was observed may be one that no port can have.
    Mac([u8; 6]),
}

/// One value, or several joined by a dot for a concatenation.
pub type Key = Vec<Value>;

impl Value {
    /// A prefix in its canonical form: a host route is an address.
    pub fn prefix(prefix: Prefix) -> Self {
        if prefix.is_host() { Self::Address(prefix.network()) } else { Self::Prefix(prefix) }
    }

    /// The addresses from `first` to `last` in canonical form: one address, a prefix, or a range. `None` if they are of two families or in the wrong order.
    pub fn addresses(first: IpAddr, last: IpAddr) -> Option<Self> {
        if Family::of(first) != Family::of(last) || first > last {
            return None;
        }
        if first == last {
            return Some(Self::Address(first));
        }
        let (length, width) = match (first, last) {
            (IpAddr::V4(a), IpAddr::V4(b)) => ((u32::from(a) ^ u32::from(b)).leading_zeros(), 32),
            (IpAddr::V6(a), IpAddr::V6(b)) => ((u128::from(a) ^ u128::from(b)).leading_zeros(), 128),
            _ => return None,
        };
        let prefix = u8::try_from(length.min(width)).ok().and_then(|length| Prefix::containing(first, length));
        Some(match prefix {
            Some(prefix) if prefix.network() == first && prefix.last() == last => Self::Prefix(prefix),
            _ => Self::Addresses(first, last),
        })
    }

    /// The numbers from `first` to `last` in canonical form. `None` in the wrong order.
    pub fn numbers(first: u64, last: u64) -> Option<Self> {
        match first.cmp(&last) {
            std::cmp::Ordering::Less => Some(Self::Numbers(first, last)),
            std::cmp::Ordering::Equal => Some(Self::Number(first)),
            std::cmp::Ordering::Greater => None,
        }
    }

    /// Whether this value can stand where `kind` is expected.
    pub fn fits(&self, kind: DataType) -> bool {
        let family_fits = |address: &IpAddr| matches!((address, kind), (IpAddr::V4(_), DataType::Ipv4) | (IpAddr::V6(_), DataType::Ipv6));
        match self {
            Self::Address(address) => family_fits(address),
            Self::Prefix(prefix) => !prefix.is_host() && family_fits(&prefix.network()),
            Self::Addresses(first, last) => family_fits(first) && Self::addresses(*first, *last).as_ref() == Some(self),
            Self::Number(number) => kind.maximum().is_some_and(|max| *number <= max),
            // ranges of symbols (protocols, states) are of no use to us and are written differently by every version
            Self::Numbers(first, last) => {
                matches!(kind, DataType::Service | DataType::Integer(_)) && first < last && kind.maximum().is_some_and(|max| *last <= max)
            }
            Self::Interface(_) => kind == DataType::Interface,
            Self::Mac(_) => kind == DataType::Ether,
        }
    }
}

impl DataType {
    /// The largest number of this type; `None` where its values are not numbers.
    pub(super) const fn maximum(self) -> Option<u64> {
        match self {
            Self::Service => Some(0xffff),
            Self::Protocol | Self::IcmpType | Self::Icmpv6Type => Some(0xff),
            // only 2 (IPv4) and 10 (IPv6) exist for us; the printer and the parser know no other
            Self::NfProto => Some(10),
            Self::CtState => Some(0x4f),
            Self::Integer(bits) if bits < 64 => Some((1 << bits) - 1),
            Self::Integer(_) => Some(u64::MAX),
            Self::Ipv4 | Self::Ipv6 | Self::Ether | Self::Interface => None,
        }
    }

    /// The words of this type that stand for numbers, in the form in which `nft` lists them.
    pub(super) const fn symbols(self) -> &'static [(u64, &'static str)] {
        match self {
            Self::Protocol => PROTOCOLS,
            Self::IcmpType => ICMP_TYPES,
            Self::Icmpv6Type => ICMPV6_TYPES,
            Self::NfProto => &[(2, "ipv4"), (10, "ipv6")],
            _ => &[],
        }
    }

    /// The type's name in a set's declaration, for those that a declaration can name.
    pub(super) const fn name(self) -> Option<&'static str> {
        match self {
            Self::Ipv4 => Some("ipv4_addr"),
            Self::Ipv6 => Some("ipv6_addr"),
            Self::Ether => Some("ether_addr"),
            Self::Service => Some("inet_service"),
            Self::Protocol => Some("inet_proto"),
            Self::Interface => Some("ifname"),
            Self::IcmpType => Some("icmp_type"),
            Self::Icmpv6Type => Some("icmpv6_type"),
            Self::NfProto => Some("nf_proto"),
            Self::CtState | Self::Integer(_) => None,
        }
    }

    /// All that a declaration can name.
    pub(super) const NAMED: [Self; 9] = [
        Self::Ipv4,
        Self::Ipv6,
        Self::Ether,
        Self::Service,
        Self::Protocol,
        Self::Interface,
        Self::IcmpType,
        Self::Icmpv6Type,
        Self::NfProto,
    ];
}

/// The protocols that `nft` knows by a token of its grammar, so that no /etc/protocols is needed; others are numbers.
const PROTOCOLS: &[(u64, &str)] = &[(1, "icmp"), (6, "tcp"), (17, "udp"), (58, "ipv6-icmp"), (132, "sctp")];

const ICMP_TYPES: &[(u64, &str)] = &[
    (0, "echo-reply"),
    (3, "destination-unreachable"),
    (4, "source-quench"),
    (5, "redirect"),
    (8, "echo-request"),
    (9, "router-advertisement"),
    (10, "router-solicitation"),
    (11, "time-exceeded"),
    (12, "parameter-problem"),
    (13, "timestamp-request"),
    (14, "timestamp-reply"),
    (15, "info-request"),
    (16, "info-reply"),
    (17, "address-mask-request"),
    (18, "address-mask-reply"),
];

const ICMPV6_TYPES: &[(u64, &str)] = &[
    (1, "destination-unreachable"),
    (2, "packet-too-big"),
    (3, "time-exceeded"),
    (4, "parameter-problem"),
    (128, "echo-request"),
    (129, "echo-reply"),
    (130, "mld-listener-query"),
    (131, "mld-listener-report"),
    (132, "mld-listener-done"),
    (133, "nd-router-solicit"),
    (134, "nd-router-advert"),
    (135, "nd-neighbor-solicit"),
    (136, "nd-neighbor-advert"),
    (137, "nd-redirect"),
    (138, "router-renumbering"),
    (141, "ind-neighbor-solicit"),
    (142, "ind-neighbor-advert"),
    (143, "mld2-listener-report"),
];
