//! Blocks of packets of one family: an interval of sources, one of destinations, a protocol, an interval of ports.

use leafwall_topology::Family;

/// Numbers from the first to the last, both inside.
pub(super) type Interval = (u128, u128);

/// A block of packets. Regions of one rule do not overlap.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Region {
    pub source: Interval,
    pub destination: Interval,
    pub transport: TransportRange,
}

/// The transport part of a region.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum TransportRange {
    /// Every protocol.
    Any,
    /// All of one protocol.
    Whole(u8),
    /// Destination ports of a protocol that has them.
    Ports(u8, u16, u16),
}

impl TransportRange {
    /// As an interval of protocol and port together, so that two overlap exactly if their intervals do.
    pub(super) fn interval(self) -> Interval {
        let place = |protocol: u8, port: u16| (u128::from(protocol) << 16) | u128::from(port);
        match self {
            Self::Any => (0, place(u8::MAX, u16::MAX)),
            Self::Whole(protocol) => (place(protocol, 0), place(protocol, u16::MAX)),
            Self::Ports(protocol, low, high) => (place(protocol, low), place(protocol, high)),
        }
    }
}

const fn meet(a: Interval, b: Interval) -> bool {
    a.0 <= b.1 && b.0 <= a.1
}

const fn holds(outer: Interval, inner: Interval) -> bool {
    outer.0 <= inner.0 && inner.1 <= outer.1
}

impl Region {
    /// Its sides, in the order in which an index keeps them.
    pub(super) fn sides(&self) -> [Interval; 3] {
        [self.destination, self.source, self.transport.interval()]
    }

    /// Whether some packet is in both.
    pub(super) fn overlaps(&self, other: &Self) -> bool {
        meet(self.destination, other.destination)
            && meet(self.source, other.source)
            && meet(self.transport.interval(), other.transport.interval())
    }

    /// Whether every packet of the other is in this one.
    pub(super) fn covers(&self, other: &Self) -> bool {
        holds(self.destination, other.destination)
            && holds(self.source, other.source)
            && holds(self.transport.interval(), other.transport.interval())
    }
}

/// Which parts of a packet a region looks at, and how.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Shape {
    pub source: bool,
    pub destination: bool,
    pub transport: TransportShape,
    /// Whether each of them has one value: those go into a hash table, in which an element is found, added and removed at the same cost however many there are.
    /// The kernel looks for an element among intervals that is to be removed by going through them.
    pub exact: bool,
}

/// Which parts of its transport.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum TransportShape {
    Nothing,
    Protocol,
    Ports,
}

impl Shape {
    pub(super) fn of(region: &Region, family: Family) -> Self {
        let everything = (0, family.last_number());
        Self {
            source: region.source != everything,
            destination: region.destination != everything,
            transport: match region.transport {
                TransportRange::Any => TransportShape::Nothing,
                TransportRange::Whole(_) => TransportShape::Protocol,
                TransportRange::Ports(..) => TransportShape::Ports,
            },
            exact: [region.source, region.destination].into_iter().all(|side| side == everything || side.0 == side.1)
                && !matches!(region.transport, TransportRange::Ports(_, low, high) if low != high),
        }
    }

    /// As a word in names: which of source, destination, protocol and number of the port it looks at, and whether as ranges.
    pub(super) fn word(self) -> String {
        let mut word = String::new();
        word.push_str(if self.source { "s" } else { "" });
        word.push_str(if self.destination { "d" } else { "" });
        word.push_str(match self.transport {
            TransportShape::Nothing => "",
            TransportShape::Protocol => "p",
            TransportShape::Ports => "pn",
        });
        word.push_str(if self.exact { "" } else { "-ranges" });
        word
    }

    /// Whether it looks at nothing: such a region holds every packet of its family.
    pub(super) fn is_everything(self) -> bool {
        !(self.source || self.destination) && self.transport == TransportShape::Nothing
    }
}
