//! Decision diagrams over intervals of numbers.

use std::sync::Arc;

use rustc_hash::FxHashMap;

/// A set of tuples of numbers, one per level. Levels are asked in their order; one that does not matter has no node.
///
/// Canonical: no two neighbouring parts of a node go on alike, and no node has one part only. So equal sets are equal values.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Diagram {
    /// No tuple.
    #[default]
    Empty,
    /// Every tuple.
    Full,
    /// It depends on the number at this level.
    Split(Arc<Node>),
}

/// Where a set depends on one level's number.
#[derive(Debug, PartialEq, Eq)]
pub struct Node {
    level: u8,
    parts: Vec<Part>,
}

/// The numbers behind the last part's up to this one's, and how it goes on for them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part {
    /// The last number of the part; in a node's last part that is the largest there is.
    pub last: u128,
    /// What must hold at the levels behind.
    pub rest: Diagram,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Operation {
    And,
    Or,
    Minus,
}

/// Results of one operation by the nodes that it was asked of. The operands outlive it, so that addresses of nodes name them.
type Memo = FxHashMap<(*const Node, *const Node), Diagram>;

impl Diagram {
    /// Tuples whose number at a level is in an interval. `maximum` is the largest number there.
    pub fn interval(level: u8, first: u128, last: u128, maximum: u128) -> Self {
        Self::intervals(level, &[(first, last)], maximum)
    }

    /// Tuples whose number at a level is in one of these intervals, which are sorted and do not overlap.
    pub fn intervals(level: u8, intervals: &[(u128, u128)], maximum: u128) -> Self {
        let mut parts = Vec::with_capacity(intervals.len() * 2 + 1);
        let mut next = Some(0);
        for &(first, last) in intervals {
            if next.is_some_and(|next| first > next) {
                parts.push(Part { last: first - 1, rest: Self::Empty });
            }
            parts.push(Part { last, rest: Self::Full });
            next = last.checked_add(1).filter(|next| *next <= maximum);
        }
        if next.is_some() {
            parts.push(Part { last: maximum, rest: Self::Empty });
        }
        Self::node(level, parts)
    }

    /// A node in its canonical form.
    fn node(level: u8, parts: Vec<Part>) -> Self {
        let mut joined: Vec<Part> = Vec::with_capacity(parts.len());
        for part in parts {
            match joined.last_mut() {
                Some(previous) if previous.rest == part.rest => previous.last = part.last,
                _ => joined.push(part),
            }
        }
        if joined.len() == 1 {
            return joined.pop().map(|part| part.rest).unwrap_or_default();
        }
        Self::Split(Arc::new(Node { level, parts: joined }))
    }

    /// Whether no tuple is in it.
    pub const fn is_empty(&self) -> bool {
        matches!(self, Self::Empty)
    }

    /// What is in both.
    #[must_use]
    pub fn and(&self, other: &Self) -> Self {
        combine(Operation::And, self, other, &mut Memo::default())
    }

    /// What is in either.
    #[must_use]
    pub fn or(&self, other: &Self) -> Self {
        combine(Operation::Or, self, other, &mut Memo::default())
    }

    /// What is in this one alone.
    #[must_use]
    pub fn minus(&self, other: &Self) -> Self {
        combine(Operation::Minus, self, other, &mut Memo::default())
    }

    /// The union of many, in pairs of like size: one after the other would copy the growing result each time.
    pub fn union(mut sets: Vec<Self>) -> Self {
        while sets.len() > 1 {
            sets = sets.chunks(2).map(|pair| if let [a, b] = pair { a.or(b) } else { pair[0].clone() }).collect();
        }
        sets.pop().unwrap_or_default()
    }

    /// Whether the tuple is in it; levels that it does not have count as 0.
    pub fn contains(&self, tuple: &[u128]) -> bool {
        let mut at = self;
        loop {
            match at {
                Self::Empty => return false,
                Self::Full => return true,
                Self::Split(node) => {
                    let number = tuple.get(usize::from(node.level)).copied().unwrap_or(0);
                    let place = node.parts.partition_point(|part| part.last < number);
                    match node.parts.get(place) {
                        Some(part) => at = &part.rest,
                        None => return false,
                    }
                }
            }
        }
    }

    /// The set without regard to one level: every tuple that some number there would bring in.
    #[must_use]
    pub fn forget(&self, level: u8) -> Self {
        let Self::Split(node) = self else { return self.clone() };
        match node.level.cmp(&level) {
            std::cmp::Ordering::Greater => self.clone(),
            std::cmp::Ordering::Equal => Self::union(node.parts.iter().map(|part| part.rest.clone()).collect()),
            std::cmp::Ordering::Less => {
                let parts = node.parts.iter().map(|part| Part { last: part.last, rest: part.rest.forget(level) }).collect();
                Self::node(node.level, parts)
            }
        }
    }

    /// Some interval per level such that every tuple of them is in the set; `None` for a level that does not matter. `None` for the empty set.
    pub fn example(&self, levels: usize) -> Option<Vec<Option<(u128, u128)>>> {
        let mut found = vec![None; levels];
        let mut at = self;
        loop {
            match at {
                Self::Empty => return None,
                Self::Full => return Some(found),
                Self::Split(node) => {
                    let place = node.parts.iter().position(|part| !part.rest.is_empty())?;
                    let part = node.parts.get(place)?;
                    let first = place.checked_sub(1).and_then(|before| node.parts.get(before)).map_or(0, |before| before.last + 1);
                    if let Some(slot) = found.get_mut(usize::from(node.level)) {
                        *slot = Some((first, part.last));
                    }
                    at = &part.rest;
                }
            }
        }
    }

    /// The intervals of one level that are part of some tuple, sorted; `None` if every number is.
    pub fn project(&self, level: u8) -> Option<Vec<(u128, u128)>> {
        let mut kept = self.clone();
        while let Self::Split(node) = &kept
            && node.level < level
        {
            kept = kept.forget(node.level);
        }
        if let Self::Split(node) = &kept
            && node.level == level
        {
            // whatever must hold behind can be met
            let parts =
                node.parts.iter().map(|part| Part { last: part.last, rest: if part.rest.is_empty() { Self::Empty } else { Self::Full } });
            kept = Self::node(level, parts.collect());
        }
        match kept {
            Self::Full => None,
            Self::Empty => Some(Vec::new()),
            Self::Split(node) if node.level > level => None,
            Self::Split(node) => {
                let mut intervals = Vec::new();
                let mut first = 0;
                for part in &node.parts {
                    if !part.rest.is_empty() {
                        intervals.push((first, part.last));
                    }
                    first = part.last.saturating_add(1);
                }
                Some(intervals)
            }
        }
    }

    /// How many nodes it has, shared ones counted once; for measurements.
    pub fn size(&self) -> usize {
        fn walk(set: &Diagram, seen: &mut FxHashMap<*const Node, usize>) {
            if let Diagram::Split(node) = set
                && seen.insert(Arc::as_ptr(node), node.parts.len()).is_none()
            {
                node.parts.iter().for_each(|part| walk(&part.rest, seen));
            }
        }
        let mut seen = FxHashMap::default();
        walk(self, &mut seen);
        seen.len()
    }
}

fn combine(operation: Operation, a: &Diagram, b: &Diagram, memo: &mut Memo) -> Diagram {
    use Diagram::{Empty, Full, Split};
    match (operation, a, b) {
        (Operation::And | Operation::Minus, Empty, _) | (Operation::And, _, Empty) | (Operation::Minus, _, Full) => return Empty,
        (Operation::And, Full, _) | (Operation::Or, Empty, _) => return b.clone(),
        (Operation::And, _, Full) | (Operation::Or | Operation::Minus, _, Empty) => return a.clone(),
        (Operation::Or, Full, _) | (Operation::Or, _, Full) => return Full,
        (Operation::Minus, Full, _) | (_, Split(_), Split(_)) => {}
    }
    let pointer = |set: &Diagram| if let Split(node) = set { Arc::as_ptr(node) } else { std::ptr::null() };
    let key = (pointer(a), pointer(b));
    if key.0 == key.1 {
        return if operation == Operation::Minus { Empty } else { a.clone() };
    }
    if let Some(known) = memo.get(&key) {
        return known.clone();
    }
    let level_of = |set: &Diagram| if let Split(node) = set { node.level } else { u8::MAX };
    let level = level_of(a).min(level_of(b));
    let (mut a_parts, mut b_parts) = (Parts::of(a, level), Parts::of(b, level));
    let mut parts: Vec<Part> = Vec::with_capacity(a_parts.len() + b_parts.len());
    while let (Some((a_last, a_rest)), Some((b_last, b_rest))) = (a_parts.peek(), b_parts.peek()) {
        let last = a_last.min(b_last);
        let rest = combine(operation, a_rest, b_rest, memo);
        match parts.last_mut() {
            Some(previous) if previous.rest == rest => previous.last = last,
            _ => parts.push(Part { last, rest }),
        }
        if a_last == last {
            a_parts.step();
        }
        if b_last == last {
            b_parts.step();
        }
        // one that has no node here has one part without an end
        if a_parts.done() || b_parts.done() {
            break;
        }
    }
    let result = Diagram::node(level, parts);
    memo.insert(key, result.clone());
    result
}

/// The parts of a set at a level; one endless part where the level does not matter to it.
enum Parts<'a> {
    Of(&'a [Part]),
    Same(&'a Diagram),
}

impl<'a> Parts<'a> {
    fn of(set: &'a Diagram, level: u8) -> Self {
        match set {
            Diagram::Split(node) if node.level == level => Self::Of(&node.parts),
            _ => Self::Same(set),
        }
    }

    fn len(&self) -> usize {
        match self {
            Self::Of(parts) => parts.len(),
            Self::Same(_) => 1,
        }
    }

    fn peek(&self) -> Option<(u128, &'a Diagram)> {
        match self {
            Self::Of(parts) => parts.first().map(|part| (part.last, &part.rest)),
            Self::Same(set) => Some((u128::MAX, set)),
        }
    }

    fn step(&mut self) {
        if let Self::Of(parts) = self {
            *parts = parts.get(1..).unwrap_or_default();
        }
    }

    fn done(&self) -> bool {
        matches!(self, Self::Of(parts) if parts.is_empty())
    }
}
