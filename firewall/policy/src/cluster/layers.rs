//! Regions of ordered rules → few layers, each of which is one lookup.
//!
//! The regions of a layer do not overlap, so that a map can hold them, and layers are asked one after the other. A region comes behind every layer that holds
//! a part of it for an earlier rule; where there is none it goes into the first layer of its kind. So the number of layers is how deep rules of different
//! kinds lie over each other, not how many there are.

use std::collections::BTreeSet;

use super::region::{Interval, Region, Shape};
use crate::nft::Rule as NftRule;

/// What all regions of a layer have in common.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Kind {
    pub shape: Shape,
    pub fate: Fate,
}

/// What happens to a packet in a region.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Fate {
    /// Counted and accepted.
    Allow,
    /// Counted and dropped.
    Deny,
    /// Its rule has a chain of its own, for it logs.
    Chain,
}

/// One lookup.
#[derive(Debug)]
pub(super) enum Layer {
    /// Regions with the number of the rule that each stands for.
    Map(Kind, Indexed),
    /// Rules of a shape that fits no map, one after the other.
    List(Vec<NftRule>),
}

/// All lookups of one family, in their order.
#[derive(Debug, Default)]
pub(super) struct Layers {
    pub(super) list: Vec<Layer>,
    /// Where the layers begin that may still take regions: behind the last list, which could match anything.
    open: usize,
}

impl Layers {
    /// Puts a region of a rule that ranks behind all that came before.
    pub(super) fn place(&mut self, kind: Kind, region: Region, rule: usize) {
        let mut first = self.open;
        for (at, layer) in self.list.iter().enumerate().skip(self.open).rev() {
            let Layer::Map(_, held) = layer else { continue };
            match held.overlapping(&region) {
                // an earlier rule decides all of it: no packet would ever get here
                Some(held) if held.covers(&region) => return,
                Some(_) => first = first.max(at + 1),
                None => {}
            }
        }
        let same = |layer: &Layer| matches!(layer, Layer::Map(other, _) if *other == kind);
        if let Some(Layer::Map(_, held)) = self.list.iter_mut().skip(first).find(|layer| same(layer)) {
            held.add(region, rule);
        } else {
            let mut held = Indexed::default();
            held.add(region, rule);
            self.list.push(Layer::Map(kind, held));
        }
    }

    /// Puts a rule that fits no map.
    pub(super) fn list(&mut self, rules: Vec<NftRule>) {
        if rules.is_empty() {
            return;
        }
        match self.list.last_mut() {
            Some(Layer::List(list)) => list.extend(rules),
            _ => self.list.push(Layer::List(rules)),
        }
        self.open = self.list.len();
    }
}

/// Regions that do not overlap, found by any of their sides.
#[derive(Debug, Default)]
pub(super) struct Indexed {
    pub(super) regions: Vec<(Region, usize)>,
    sides: [Side; 3],
}

/// One side: the intervals by how wide they are (a power of two), then by where they begin. What meets an interval begins at most its own width before it.
#[derive(Debug, Default)]
struct Side(Vec<(u32, BTreeSet<(u128, usize)>)>);

const fn width((first, last): Interval) -> u32 {
    u128::BITS - (last - first).leading_zeros()
}

impl Side {
    fn add(&mut self, interval: Interval, number: usize) {
        let width = width(interval);
        let at = match self.0.binary_search_by_key(&width, |(width, _)| *width) {
            Ok(at) => at,
            Err(at) => {
                self.0.insert(at, (width, BTreeSet::new()));
                at
            }
        };
        if let Some((_, starts)) = self.0.get_mut(at) {
            starts.insert((interval.0, number));
        }
    }

    /// The numbers of all that may meet the interval, and some that do not.
    fn near(&self, (first, last): Interval) -> impl Iterator<Item = usize> {
        self.0.iter().flat_map(move |(width, starts)| {
            let widest = 1_u128.checked_shl(*width).map_or(u128::MAX, |power| power - 1);
            starts.range((first.saturating_sub(widest), 0)..=(last, usize::MAX)).map(|(_, number)| *number)
        })
    }
}

impl Indexed {
    fn add(&mut self, region: Region, rule: usize) {
        for (side, interval) in self.sides.iter_mut().zip(region.sides()) {
            side.add(interval, self.regions.len());
        }
        self.regions.push((region, rule));
    }

    /// One that overlaps with it, if there is any. All sides are followed in step until one has told all that it knows: the one that tells least decides
    /// how long that takes.
    fn overlapping(&self, region: &Region) -> Option<&Region> {
        let [a, b, c] = region.sides();
        let [by_destination, by_source, by_transport] = &self.sides;
        let (mut a, mut b, mut c) = (by_destination.near(a), by_source.near(b), by_transport.near(c));
        let hit = |number: usize| self.regions.get(number).map(|(held, _)| held).filter(|held| held.overlaps(region));
        loop {
            for next in [a.next(), b.next(), c.next()] {
                if let Some(found) = hit(next?) {
                    return Some(found);
                }
            }
        }
    }
}
