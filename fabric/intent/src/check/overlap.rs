//! Finding prefixes that overlap.

use leafwall_topology::Prefix;

/// All pairs of positions whose prefixes overlap, each prefix with the smallest one around it: the outer one first. Equal prefixes count, the earlier
/// position as the outer one. Prefixes either nest or are disjoint, so that one pass over them in order with a stack of the open ones finds all.
pub(super) fn nested(prefixes: &[Prefix]) -> Vec<(usize, usize)> {
    let mut order: Vec<usize> = (0..prefixes.len()).collect();
    // by first address, the longer block first: whoever may hold another comes before it
    order.sort_by_key(|position| {
        let prefix = prefixes[*position];
        (prefix.family(), prefix.network(), prefix.length(), *position)
    });
    let mut open: Vec<usize> = Vec::new();
    let mut pairs = Vec::new();
    for position in order {
        while open.last().is_some_and(|outer| !prefixes[*outer].contains(prefixes[position])) {
            open.pop();
        }
        if let Some(outer) = open.last() {
            pairs.push((*outer, position));
        }
        open.push(position);
    }
    pairs
}

/// Whether the parts together leave nothing of the block.
pub(super) fn covered(block: Prefix, parts: &[Prefix]) -> bool {
    if parts.iter().any(|part| part.contains(block)) {
        return true;
    }
    let inside: Vec<Prefix> = parts.iter().copied().filter(|part| block.contains(*part)).collect();
    if inside.is_empty() {
        return false;
    }
    let Some((low, high)) = halves(block) else { return false };
    covered(low, &inside) && covered(high, &inside)
}

fn halves(block: Prefix) -> Option<(Prefix, Prefix)> {
    if block.is_host() {
        return None;
    }
    let length = block.length() + 1;
    Some((Prefix::containing(block.network(), length)?, Prefix::containing(block.last(), length)?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn prefixes(texts: &[&str]) -> Vec<Prefix> {
        texts.iter().map(|text| text.parse().unwrap()).collect()
    }

    #[test]
    fn every_overlap_is_found_once_with_the_nearest_block_around() {
        let list = prefixes(&["10.0.0.0/24", "10.0.0.0/8", "10.0.0.128/25", "11.0.0.0/8", "fd00::/8", "10.0.0.0/24"]);
        assert_eq!(nested(&list), [(1, 0), (0, 5), (5, 2)]);
    }

    #[test]
    fn halves_cover_the_whole() {
        let block = "10.0.0.0/8".parse().unwrap();
        assert!(covered(block, &prefixes(&["10.0.0.0/9", "10.128.0.0/10", "10.192.0.0/10"])));
        assert!(!covered(block, &prefixes(&["10.0.0.0/9", "10.128.0.0/10"])));
        assert!(!covered(block, &[]));
        assert!(covered("::/0".parse().unwrap(), &prefixes(&["::/1", "8000::/1"])));
    }

    proptest! {
        #[test]
        fn nesting_agrees_with_looking_at_every_pair(list in proptest::collection::vec((0u32..64, 26u8..=32), 0..12)) {
            let list: Vec<Prefix> = list.into_iter().filter_map(|(low, length)| Prefix::containing(std::net::IpAddr::V4(low.into()), length)).collect();
            let any = (0..list.len()).any(|i| (0..i).any(|j| list[i].overlaps(list[j])));
            let pairs = nested(&list);
            prop_assert_eq!(any, !pairs.is_empty());
            for (outer, inner) in &pairs {
                prop_assert!(list[*outer].contains(list[*inner]));
            }
            // whoever overlaps with one before it in size is reported as an inner one
            for i in 0..list.len() {
                let held = (0..list.len()).any(|j| j != i && list[j].contains(list[i]) && (list[j] != list[i] || j < i));
                prop_assert_eq!(held, pairs.iter().any(|(_, inner)| *inner == i));
            }
        }
    }
}
