//! Sets against a plain membership function, over domains small enough that rules meet often.

use std::net::IpAddr;

use leafwall_topology::{Family, Prefix};
use proptest::prelude::*;

use super::*;

/// A condition on packets, as a tree: what a set is made of, and what decides membership by itself.
#[derive(Debug, Clone)]
enum Condition {
    Address(Field, Prefix),
    Number(Field, u64, u64),
    Family(Family),
    And(Box<Self>, Box<Self>),
    Or(Box<Self>, Box<Self>),
    Minus(Box<Self>, Box<Self>),
}

impl Condition {
    fn set(&self) -> PacketSet {
        match self {
            Self::Address(field, prefix) => PacketSet::prefix(*field, *prefix),
            Self::Number(field, first, last) => PacketSet::numbers(*field, *first, *last),
            Self::Family(family) => PacketSet::family(*family),
            Self::And(a, b) => a.set().and(&b.set()),
            Self::Or(a, b) => a.set().or(&b.set()),
            Self::Minus(a, b) => a.set().minus(&b.set()),
        }
    }

    fn holds(&self, packet: &Header) -> bool {
        match self {
            Self::Address(Field::Source, prefix) => prefix.contains_address(packet.source),
            Self::Address(_, prefix) => prefix.contains_address(packet.destination),
            Self::Number(field, first, last) => {
                let number = match field {
                    Field::Protocol => packet.protocol.into(),
                    Field::SourcePort => packet.source_port.into(),
                    Field::DestinationPort => packet.destination_port.into(),
                    _ => u64::from(packet.vni),
                };
                (*first..=*last).contains(&number)
            }
            Self::Family(family) => Family::of(packet.source) == *family,
            Self::And(a, b) => a.holds(packet) && b.holds(packet),
            Self::Or(a, b) => a.holds(packet) || b.holds(packet),
            Self::Minus(a, b) => a.holds(packet) && !b.holds(packet),
        }
    }
}

/// Addresses of a range of eight in each family, at both ends of the space.
fn some_address(family: Family) -> impl Strategy<Value = IpAddr> {
    (0u8..8).prop_map(move |n| match (family, n) {
        (Family::V4, 0..4) => IpAddr::from([0, 0, 0, n]),
        (Family::V4, _) => IpAddr::from([255, 255, 255, 248 + n]),
        (Family::V6, 0..4) => IpAddr::from(u128::from(n).to_be_bytes()),
        (Family::V6, _) => IpAddr::from((u128::MAX - 7 + u128::from(n)).to_be_bytes()),
    })
}

fn some_family() -> impl Strategy<Value = Family> {
    prop_oneof![Just(Family::V4), Just(Family::V6)]
}

fn some_condition() -> impl Strategy<Value = Condition> {
    let field = prop_oneof![Just(Field::Source), Just(Field::Destination)];
    let address = some_family().prop_flat_map(|family| {
        (some_address(family), 0u8..4).prop_map(move |(address, bits)| {
            let length = if bits == 3 { 0 } else { family.host_length() - bits };
            Prefix::containing(address, length).unwrap()
        })
    });
    let number = prop_oneof![Just(Field::Protocol), Just(Field::SourcePort), Just(Field::DestinationPort), Just(Field::Vni)];
    let leaf = prop_oneof![
        (field, address).prop_map(|(field, prefix)| Condition::Address(field, prefix)),
        (number, 0u64..6, 0u64..6).prop_map(|(field, a, b)| Condition::Number(field, a.min(b), a.max(b))),
        some_family().prop_map(Condition::Family),
    ];
    leaf.prop_recursive(5, 40, 2, |inner| {
        (inner.clone(), inner, 0..3).prop_map(|(a, b, kind)| {
            let (a, b) = (Box::new(a), Box::new(b));
            match kind {
                0 => Condition::And(a, b),
                1 => Condition::Or(a, b),
                _ => Condition::Minus(a, b),
            }
        })
    })
}

fn some_packet() -> impl Strategy<Value = Header> {
    some_family().prop_flat_map(|family| {
        (some_address(family), some_address(family), 0u8..7, 0u16..7, 0u16..7, 0u32..7).prop_map(
            |(source, destination, protocol, source_port, destination_port, vni)| Header {
                source,
                destination,
                protocol,
                source_port,
                destination_port,
                vni,
            },
        )
    })
}

proptest! {
    #[test]
    fn a_set_holds_what_its_condition_says(condition in some_condition(), packets in prop::collection::vec(some_packet(), 40)) {
        let set = condition.set();
        for packet in packets {
            prop_assert_eq!(set.contains(&packet), condition.holds(&packet), "{}", packet);
        }
    }

    #[test]
    fn a_witness_is_in_its_set_and_only_the_empty_set_has_none(condition in some_condition()) {
        let set = condition.set();
        match set.witness() {
            Some(packet) => prop_assert!(set.contains(&packet) && condition.holds(&packet), "{}", packet),
            None => prop_assert!(set.is_empty()),
        }
    }

    #[test]
    fn equal_sets_are_equal_values(a in some_condition(), b in some_condition()) {
        let (a, b) = (a.set(), b.set());
        // two ways to the same set
        prop_assert_eq!(a.minus(&b), a.and(&b.complement()));
        prop_assert_eq!(a.or(&b), a.complement().and(&b.complement()).complement());
        prop_assert_eq!(PacketSet::union([a.clone(), b.clone(), a.and(&b)]), a.or(&b));
        prop_assert_eq!(a.is_within(&b), a.minus(&b).is_empty());
    }

    #[test]
    fn to_forget_a_field_is_to_allow_any_value_of_it(condition in some_condition(), packets in prop::collection::vec(some_packet(), 20)) {
        let set = condition.set();
        let forgotten = set.forget(Field::Protocol);
        for packet in packets {
            let any = (0..=u8::MAX).any(|protocol| set.contains(&Header { protocol, ..packet }));
            prop_assert_eq!(forgotten.contains(&packet), any);
            for family in Family::BOTH {
                let inside = set.ends(Field::Source, family).is_none_or(|ends| {
                    ends.iter().any(|(first, last)| (*first..=*last).contains(&packet.source))
                });
                if set.contains(&packet) && Family::of(packet.source) == family {
                    prop_assert!(inside);
                }
            }
        }
    }

    #[test]
    fn translated_packets_have_the_new_source_and_keep_the_rest(condition in some_condition(), packet in some_packet()) {
        let to: IpAddr = "203.0.113.9".parse().unwrap();
        let after = condition.set().translated(&[to]);
        prop_assert!(after.is_within(&PacketSet::addresses(Field::Source, to, to)));
        if Family::of(packet.source) == Family::V4 && condition.holds(&packet) {
            let translated = Header { source: to, ..packet };
            prop_assert!(after.contains(&translated));
        }
    }
}

#[test]
fn ten_thousand_rules_are_one_small_set() {
    let rule = |n: u32| {
        let source = Prefix::containing(IpAddr::from((0x0a00_0000 + (n << 8)).to_be_bytes()), 24).unwrap();
        let destination = Prefix::containing(IpAddr::from((0xc0a8_0000 + (n % 97)).to_be_bytes()), 32).unwrap();
        let port = u64::from(n % 1000 + 1);
        PacketSet::prefix(Field::Source, source)
            .and(&PacketSet::prefix(Field::Destination, destination))
            .and(&PacketSet::protocol(6))
            .and(&PacketSet::numbers(Field::DestinationPort, port, port))
    };
    let set = PacketSet::union((0..10_000).map(rule));
    assert!(rule(4_711).is_within(&set) && !rule(10_001).is_within(&set));
    assert!(set.size() < 60_000, "{}", set.size());
}
