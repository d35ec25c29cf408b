//! What a rule looks at.

use super::data::DataType;

/// A part of a packet, or what the kernel knows of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Expression {
    /// `iifname`
    InputInterface,
    /// `oifname`
    OutputInterface,
    /// `meta nfproto`: the packet's family.
    NfProto,
    /// `meta l4proto`: the transport protocol, past IPv6 extension headers.
    L4Proto,
    /// `ip saddr` and the like
    Ip(IpField),
    /// `ip6 saddr` and the like
    Ip6(IpField),
    /// `ether saddr`
    EtherSource,
    /// `ip6 hoplimit`
    HopLimit,
    /// `ip ttl`
    Ttl,
    /// `tcp sport` and the like
    SourcePort(Transport),
    /// `tcp dport` and the like
    DestinationPort(Transport),
    /// `icmp type`
    IcmpType,
    /// `icmpv6 type`
    Icmpv6Type,
    /// `ct state`
    CtState,
    /// `@th,96,24`: bits of the packet that no header of `nft`'s covers.
    Raw {
        /// Where to count from.
        base: RawBase,
        /// Bits from there.
        offset: u16,
        /// How many bits, 8 to 64.
        length: u8,
    },
}

/// An address field.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum IpField {
    /// `saddr`
    Source,
    /// `daddr`
    Destination,
}

/// A protocol with ports.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Transport {
    /// `tcp`
    Tcp,
    /// `udp`
    Udp,
    /// `sctp`
    Sctp,
    /// `th`: whatever the transport is; the rule must have said so before.
    Any,
}

/// Where raw bits are counted from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum RawBase {
    /// `nh`: the network header.
    Network,
    /// `th`: the transport header.
    Transport,
}

impl IpField {
    pub(super) const ALL: [(Self, &'static str); 2] = [(Self::Source, "saddr"), (Self::Destination, "daddr")];
}

impl Transport {
    pub(super) const ALL: [(Self, &'static str); 4] = [(Self::Tcp, "tcp"), (Self::Udp, "udp"), (Self::Sctp, "sctp"), (Self::Any, "th")];
}

impl RawBase {
    pub(super) const ALL: [(Self, &'static str); 2] = [(Self::Network, "nh"), (Self::Transport, "th")];
}

impl Expression {
    /// The type of what it is compared with.
    pub const fn data_type(self) -> DataType {
        match self {
            Self::InputInterface | Self::OutputInterface => DataType::Interface,
            Self::NfProto => DataType::NfProto,
            Self::L4Proto => DataType::Protocol,
            Self::EtherSource => DataType::Ether,
            Self::Ip(_) => DataType::Ipv4,
            Self::Ip6(_) => DataType::Ipv6,
            Self::HopLimit | Self::Ttl => DataType::Integer(8),
            Self::SourcePort(_) | Self::DestinationPort(_) => DataType::Service,
            Self::IcmpType => DataType::IcmpType,
            Self::Icmpv6Type => DataType::Icmpv6Type,
            Self::CtState => DataType::CtState,
            Self::Raw { length, .. } => DataType::Integer(length),
        }
    }
}
