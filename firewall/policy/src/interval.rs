//! Sets of addresses as intervals: what blocks with exceptions amount to (F4).

use leafwall_topology::{Family, Prefix};

use crate::nft::Value;

/// A set of addresses of both families. The intervals are sorted, and neither overlap nor touch.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AddressSet {
    v4: Vec<(u128, u128)>,
    v6: Vec<(u128, u128)>,
}

impl AddressSet {
    /// All addresses of these prefixes.
    pub fn of<'p>(prefixes: impl IntoIterator<Item = &'p Prefix>) -> Self {
        Self::collect(prefixes.into_iter().map(|prefix| (prefix.family(), Family::number(prefix.network()), Family::number(prefix.last()))))
    }

    /// The union of blocks, each without its own exceptions: an exception of one block never cuts another (F4).
    pub fn of_blocks<'p>(blocks: impl IntoIterator<Item = (&'p Prefix, &'p [Prefix])>) -> Self {
        let mut pieces = Vec::new();
        for (block, exceptions) in blocks {
            let family = block.family();
            let holes = Self::of(exceptions);
            let (mut first, last) = (Some(Family::number(block.network())), Family::number(block.last()));
            for &(hole_first, hole_last) in holes.intervals(family) {
                let Some(start) = first else { break };
                if hole_last < start || hole_first > last {
                    continue;
                }
                if hole_first > start {
                    pieces.push((family, start, hole_first - 1));
                }
                first = hole_last.checked_add(1).filter(|next| *next <= last);
            }
            if let Some(start) = first {
                pieces.push((family, start, last));
            }
        }
        Self::collect(pieces)
    }

    fn collect(pieces: impl IntoIterator<Item = (Family, u128, u128)>) -> Self {
        let mut set = Self::default();
        for (family, first, last) in pieces {
            match family {
                Family::V4 => set.v4.push((first, last)),
                Family::V6 => set.v6.push((first, last)),
            }
        }
        merge(&mut set.v4);
        merge(&mut set.v6);
        set
    }

    /// Its intervals of one family, as numbers.
    pub fn into_intervals(self, family: Family) -> Vec<(u128, u128)> {
        match family {
            Family::V4 => self.v4,
            Family::V6 => self.v6,
        }
    }

    fn intervals(&self, family: Family) -> &[(u128, u128)] {
        match family {
            Family::V4 => &self.v4,
            Family::V6 => &self.v6,
        }
    }

    /// Whether it holds every address of this family.
    pub fn is_all(&self, family: Family) -> bool {
        self.intervals(family) == [(0, family.last_number())]
    }

    /// Its intervals of one family as nftables writes them.
    pub fn values(&self, family: Family) -> Vec<Value> {
        self.intervals(family).iter().filter_map(|&(first, last)| Value::addresses(family.address(first), family.address(last))).collect()
    }
}

/// Sorts, and joins what overlaps or touches: `nft` refuses or rewrites such elements.
fn merge(intervals: &mut Vec<(u128, u128)>) {
    intervals.sort_unstable();
    intervals.dedup_by(|next, kept| {
        let joins = kept.1.checked_add(1).is_none_or(|after| next.0 <= after);
        if joins {
            kept.1 = kept.1.max(next.1);
        }
        joins
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    fn prefix(text: &str) -> Prefix {
        text.parse().unwrap()
    }

    fn texts(set: &AddressSet, family: Family) -> Vec<String> {
        set.values(family).iter().map(|value| format!("{value:?}")).collect()
    }

    #[test]
    fn f04_an_exception_cuts_its_own_block_alone() {
        let (wide, narrow, hole) = (prefix("10.0.0.0/8"), prefix("10.1.2.0/24"), prefix("10.1.0.0/16"));
        let both = AddressSet::of_blocks([(&wide, &[hole][..]), (&narrow, &[][..])]);
        let expected = AddressSet::of(&[prefix("10.0.0.0/16"), narrow]);
        assert!(texts(&both, Family::V4).len() == 3, "{both:?}");
        for (text, inside) in [("10.0.0.1", true), ("10.1.2.9", true), ("10.1.3.9", false), ("10.2.0.0", true)] {
            let probe = Family::number(text.parse().unwrap());
            assert_eq!(both.v4.iter().any(|(a, b)| (*a..=*b).contains(&probe)), inside, "{text}");
        }
        assert_ne!(both, expected);
    }

    #[test]
    fn everything_without_everything_is_nothing_and_ends_do_not_overflow() {
        for any in [prefix("0.0.0.0/0"), prefix("::/0")] {
            let family = any.family();
            assert!(AddressSet::of([&any]).is_all(family));
            assert!(AddressSet::of_blocks([(&any, &[any][..])]).values(family).is_empty());
        }
        let (any, end) = (prefix("::/0"), prefix("ffff::/16"));
        let set = AddressSet::of_blocks([(&any, &[end][..])]);
        assert_eq!(texts(&set, Family::V6).len(), 1);
        assert_eq!(AddressSet::of(&[prefix("0.0.0.0/1"), prefix("128.0.0.0/1")]).values(Family::V4), [Value::Prefix(prefix("0.0.0.0/0"))]);
    }
}
