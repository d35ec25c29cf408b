//! Maps of which one fabric shares most with the next.

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::sync::Arc;

use crate::name::Name;

/// The names under which two maps hold different objects. Two walks side by side; most pairs are the same [`Arc`].
pub fn differing<T: PartialEq>(old: &BTreeMap<Name, Arc<T>>, new: &BTreeMap<Name, Arc<T>>) -> Vec<Name> {
    let mut names = Vec::new();
    let (mut old, mut new) = (old.iter().peekable(), new.iter().peekable());
    loop {
        let order = match (old.peek(), new.peek()) {
            (None, None) => return names,
            (Some(_), None) => Ordering::Less,
            (None, Some(_)) => Ordering::Greater,
            (Some((a, _)), Some((b, _))) => a.cmp(b),
        };
        match order {
            Ordering::Less => names.extend(old.next().map(|(name, _)| name.clone())),
            Ordering::Greater => names.extend(new.next().map(|(name, _)| name.clone())),
            Ordering::Equal => {
                if let (Some((name, x)), Some((_, y))) = (old.next(), new.next())
                    && !Arc::ptr_eq(x, y)
                    && x != y
                {
                    names.push(name.clone());
                }
            }
        }
    }
}
