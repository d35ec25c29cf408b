//! Sets of packets.

use std::fmt;
use std::net::IpAddr;

use leafwall_topology::{Family, Prefix, Vni};

use super::diagram::Diagram;
use crate::protocols::{ICMP, ICMPV6, SCTP, TCP, UDP};

/// The fields of a packet that sets look at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Field {
    /// The source address.
    Source,
    /// The destination address.
    Destination,
    /// The transport protocol.
    Protocol,
    /// The source port.
    SourcePort,
    /// The destination port; of ICMP and ICMPv6 the type.
    DestinationPort,
    /// The VNI of a VXLAN packet.
    Vni,
}

const FIELDS: usize = 6;

impl Field {
    const fn level(self) -> u8 {
        self as u8
    }

    const fn maximum(self, family: Family) -> u128 {
        match self {
            Self::Source | Self::Destination => family.last_number(),
            Self::Protocol => u8::MAX as u128,
            Self::SourcePort | Self::DestinationPort => u16::MAX as u128,
            Self::Vni => 0xff_ffff,
        }
    }
}

/// One packet, as far as sets look at it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Header {
    /// Its source.
    pub source: IpAddr,
    /// Its destination, of the same family.
    pub destination: IpAddr,
    /// Its transport protocol.
    pub protocol: u8,
    /// Its source port, 0 where the protocol has none.
    pub source_port: u16,
    /// Its destination port, or its type for ICMP and ICMPv6.
    pub destination_port: u16,
    /// Its VNI, 0 where it is no VXLAN.
    pub vni: u32,
}

impl Header {
    fn tuple(&self) -> [u128; FIELDS] {
        [
            Family::number(self.source),
            Family::number(self.destination),
            self.protocol.into(),
            self.source_port.into(),
            self.destination_port.into(),
            self.vni.into(),
        ]
    }
}

impl fmt::Display for Header {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let end = |ip: IpAddr, port: u16| match ip {
            IpAddr::V4(ip) => format!("{ip}:{port}"),
            IpAddr::V6(ip) => format!("[{ip}]:{port}"),
        };
        let name = match self.protocol {
            TCP => "tcp".to_owned(),
            UDP => "udp".to_owned(),
            132 => "sctp".to_owned(),
            ICMP => return write!(f, "icmp type {} {} > {}", self.destination_port, self.source, self.destination),
            ICMPV6 => return write!(f, "icmpv6 type {} {} > {}", self.destination_port, self.source, self.destination),
            other => return write!(f, "ip protocol {other} {} > {}", self.source, self.destination),
        };
        write!(f, "{name} {} > {}", end(self.source, self.source_port), end(self.destination, self.destination_port))?;
        if self.vni > 0 {
            write!(f, " vni {}", self.vni)?;
        }
        Ok(())
    }
}

/// A set of packets, exact, of both families.
///
/// ```
/// use leafwall_policy::sets::{Field, PacketSet};
///
/// let web = PacketSet::protocol(6).and(&PacketSet::numbers(Field::DestinationPort, 80, 80));
/// let to_us = PacketSet::prefix(Field::Destination, "10.0.0.0/24".parse().unwrap());
/// let packet = web.and(&to_us).witness().unwrap();
/// assert!(to_us.contains(&packet) && packet.destination_port == 80);
/// assert!(web.minus(&web).is_empty());
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PacketSet {
    v4: Diagram,
    v6: Diagram,
}

impl PacketSet {
    /// No packet.
    pub const fn none() -> Self {
        Self { v4: Diagram::Empty, v6: Diagram::Empty }
    }

    /// Every packet.
    pub const fn all() -> Self {
        Self { v4: Diagram::Full, v6: Diagram::Full }
    }

    /// Every packet of a family.
    pub const fn family(family: Family) -> Self {
        match family {
            Family::V4 => Self { v4: Diagram::Full, v6: Diagram::Empty },
            Family::V6 => Self { v4: Diagram::Empty, v6: Diagram::Full },
        }
    }

    fn of(family: Family, set: Diagram) -> Self {
        match family {
            Family::V4 => Self { v4: set, v6: Diagram::Empty },
            Family::V6 => Self { v4: Diagram::Empty, v6: set },
        }
    }

    const fn diagram(&self, family: Family) -> &Diagram {
        match family {
            Family::V4 => &self.v4,
            Family::V6 => &self.v6,
        }
    }

    fn map(&self, change: impl Fn(&Diagram) -> Diagram) -> Self {
        Self { v4: change(&self.v4), v6: change(&self.v6) }
    }

    /// Packets with an address field inside a prefix.
    pub fn prefix(field: Field, prefix: Prefix) -> Self {
        Self::addresses(field, prefix.network(), prefix.last())
    }

    /// Packets with an address field inside one of these prefixes.
    pub fn prefixes<'p>(field: Field, prefixes: impl IntoIterator<Item = &'p Prefix>) -> Self {
        Self::union(prefixes.into_iter().map(|prefix| Self::prefix(field, *prefix)))
    }

    /// Packets with an address field from `first` to `last`, which are of one family.
    pub fn addresses(field: Field, first: IpAddr, last: IpAddr) -> Self {
        let family = Family::of(first);
        Self::of(family, Diagram::interval(field.level(), Family::number(first), Family::number(last), field.maximum(family)))
    }

    /// Packets of both families with a number field from `first` to `last`.
    pub fn numbers(field: Field, first: u64, last: u64) -> Self {
        let maximum = field.maximum(Family::V4);
        let (first, last) = (u128::from(first), u128::from(last).min(maximum));
        if first > last {
            return Self::none();
        }
        let set = Diagram::interval(field.level(), first, last, maximum);
        Self { v4: set.clone(), v6: set }
    }

    /// Packets of a transport protocol.
    pub fn protocol(protocol: u8) -> Self {
        Self::numbers(Field::Protocol, protocol.into(), protocol.into())
    }

    /// VXLAN packets with a VNI, that field alone.
    pub fn vni(vni: Vni) -> Self {
        Self::numbers(Field::Vni, vni.get().into(), vni.get().into())
    }

    /// This packet alone.
    pub fn packet(packet: &Header) -> Self {
        let mut set = Self::addresses(Field::Source, packet.source, packet.source);
        set = set.and(&Self::addresses(Field::Destination, packet.destination, packet.destination));
        set = set.and(&Self::protocol(packet.protocol));
        for (field, number) in [(Field::SourcePort, packet.source_port), (Field::DestinationPort, packet.destination_port)] {
            set = set.and(&Self::numbers(field, number.into(), number.into()));
        }
        set.and(&Self::numbers(Field::Vni, packet.vni.into(), packet.vni.into()))
    }

    /// What is in both.
    #[must_use]
    pub fn and(&self, other: &Self) -> Self {
        Self { v4: self.v4.and(&other.v4), v6: self.v6.and(&other.v6) }
    }

    /// What is in either.
    #[must_use]
    pub fn or(&self, other: &Self) -> Self {
        Self { v4: self.v4.or(&other.v4), v6: self.v6.or(&other.v6) }
    }

    /// What is in this one alone.
    #[must_use]
    pub fn minus(&self, other: &Self) -> Self {
        Self { v4: self.v4.minus(&other.v4), v6: self.v6.minus(&other.v6) }
    }

    /// Everything else.
    #[must_use]
    pub fn complement(&self) -> Self {
        Self::all().minus(self)
    }

    /// What is in any of these.
    pub fn union(sets: impl IntoIterator<Item = Self>) -> Self {
        let (v4, v6): (Vec<_>, Vec<_>) = sets.into_iter().map(|set| (set.v4, set.v6)).unzip();
        let filled = |sets: Vec<Diagram>| Diagram::union(sets.into_iter().filter(|set| !set.is_empty()).collect());
        Self { v4: filled(v4), v6: filled(v6) }
    }

    /// Whether no packet is in it.
    pub const fn is_empty(&self) -> bool {
        self.v4.is_empty() && self.v6.is_empty()
    }

    /// Whether all of it is in the other.
    pub fn is_within(&self, other: &Self) -> bool {
        self.minus(other).is_empty()
    }

    /// Whether the packet is in it.
    pub fn contains(&self, packet: &Header) -> bool {
        Family::of(packet.source) == Family::of(packet.destination) && self.diagram(Family::of(packet.source)).contains(&packet.tuple())
    }

    /// The set without regard to a field.
    #[must_use]
    pub fn forget(&self, field: Field) -> Self {
        self.map(|set| set.forget(field.level()))
    }

    /// What the packets become when their source is translated to one of these addresses; only the families of which there is an address.
    #[must_use]
    pub fn translated(&self, to: &[IpAddr]) -> Self {
        // the source port may change with the address
        let forgotten = self.forget(Field::Source).forget(Field::SourcePort);
        let sources = Self::union(to.iter().map(|address| Self::addresses(Field::Source, *address, *address)));
        forgotten.and(&sources)
    }

    /// Some packet of the set, a common kind if there is one: TCP from a high port, else the smallest.
    pub fn witness(&self) -> Option<Header> {
        let high = Self::numbers(Field::SourcePort, 40_000, 40_000);
        let echo = Self::protocol(ICMP).and(&Self::numbers(Field::DestinationPort, 8, 8)).and(&Self::family(Family::V4));
        let echo6 = Self::protocol(ICMPV6).and(&Self::numbers(Field::DestinationPort, 128, 128)).and(&Self::family(Family::V6));
        let plain = Self::numbers(Field::Vni, 0, 0);
        let likely = [Self::protocol(TCP).and(&high).and(&plain), Self::protocol(UDP).and(&high).and(&plain), echo, echo6, Self::all()];
        likely.iter().find_map(|kind| self.and(kind).first())
    }

    fn first(&self) -> Option<Header> {
        let family = if self.v4.is_empty() { Family::V6 } else { Family::V4 };
        let found = self.diagram(family).example(FIELDS)?;
        let pick =
            |field: Field, default: u128| found.get(usize::from(field.level())).copied().flatten().map_or(default, |(first, _)| first);
        let small = |field: Field, default: u16| u16::try_from(pick(field, default.into())).unwrap_or(u16::MAX);
        let protocol = u8::try_from(pick(Field::Protocol, TCP.into())).unwrap_or(TCP);
        // addresses that nobody has (RFC 5737, RFC 3849), where any would do
        let somebody = |last: u128| match family {
            Family::V4 => 0xc633_6400 + last,
            Family::V6 => (0x2001_0db8 << 96) + last,
        };
        Some(Header {
            source: family.address(pick(Field::Source, somebody(1))),
            destination: family.address(pick(Field::Destination, somebody(2))),
            protocol,
            source_port: small(Field::SourcePort, if matches!(protocol, TCP | UDP | SCTP) { 40_000 } else { 0 }),
            destination_port: small(Field::DestinationPort, if matches!(protocol, TCP | UDP | SCTP) { 80 } else { 0 }),
            vni: u32::try_from(pick(Field::Vni, 0)).unwrap_or(0),
        })
    }

    /// The intervals of an address field that some packet of the set has; `None` where that is every address.
    pub fn ends(&self, field: Field, family: Family) -> Option<Vec<(IpAddr, IpAddr)>> {
        let intervals = self.diagram(family).project(field.level())?;
        Some(intervals.into_iter().map(|(first, last)| (family.address(first), family.address(last))).collect())
    }

    /// What the set has of protocols and ports, both ends aside, in words: `any`, or `icmp, tcp 80 443, udp 53`; what both families have alike once.
    pub fn services(&self) -> String {
        let words = |family: Family| self.services_of(family).unwrap_or_default();
        match (words(Family::V4), words(Family::V6)) {
            (v4, v6) if v4 == v6 => v4,
            (v4, v6) if v6.is_empty() => format!("IPv4 {v4}"),
            (v4, v6) if v4.is_empty() => format!("IPv6 {v6}"),
            (v4, v6) => format!("IPv4 {v4}; IPv6 {v6}"),
        }
    }

    fn services_of(&self, family: Family) -> Option<String> {
        let open = self.forget(Field::Source).forget(Field::Destination).forget(Field::SourcePort).forget(Field::Vni);
        let set = open.diagram(family);
        if *set == Diagram::Full {
            return Some("any".to_owned());
        }
        let mut words = Vec::new();
        for (first, last) in set.project(Field::Protocol.level())? {
            for protocol in first..=last {
                let protocol = u8::try_from(protocol).ok()?;
                let name = match protocol {
                    ICMP => "icmp".to_owned(),
                    ICMPV6 => "icmpv6".to_owned(),
                    TCP => "tcp".to_owned(),
                    UDP => "udp".to_owned(),
                    132 => "sctp".to_owned(),
                    _ if last - first > 16 => continue,
                    other => format!("protocol {other}"),
                };
                let here = open.and(&Self::protocol(protocol)).forget(Field::Protocol);
                let ports = here.diagram(family).project(Field::DestinationPort.level());
                let ports = ports.unwrap_or_default().into_iter().map(|(a, b)| if a == b { format!(" {a}") } else { format!(" {a}-{b}") });
                let kind = matches!(protocol, ICMP | ICMPV6);
                words.push(format!("{name}{}", if kind { String::new() } else { ports.collect() }));
            }
        }
        Some(words.join(", "))
    }

    /// How many nodes it has; for measurements.
    pub fn size(&self) -> usize {
        self.v4.size() + self.v6.size()
    }
}
