//! Values that are held by one holder at a time, and rest after they were released (H30).

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

/// How many revisions a released value rests before it is given to another holder. A device may be away for a few changes and still carry the old
/// meaning of a VNI when it comes back (H30); sixteen changes are more than a rollout leaves any device behind, and take little from the ranges.
pub const REST: u64 = 16;

/// The number of a state of the table: it grows by one with each change.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Revision(pub u64);

impl Revision {
    /// The one after this.
    #[must_use]
    pub const fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }

    /// Whether a value that was released in this revision may be given away again in revision `now`.
    pub const fn rested(self, now: Self) -> bool {
        now.0 >= self.0.saturating_add(REST)
    }
}

impl fmt::Display for Revision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Who holds which value, and which values rest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Numbers<V, K> {
    holders: BTreeMap<V, K>,
    resting: BTreeMap<V, Revision>,
}

impl<V, K> Default for Numbers<V, K> {
    fn default() -> Self {
        Self { holders: BTreeMap::new(), resting: BTreeMap::new() }
    }
}

impl<V: Ord + Copy, K: Clone + PartialEq> Numbers<V, K> {
    /// Who holds a value.
    pub fn holder(&self, value: V) -> Option<&K> {
        self.holders.get(&value)
    }

    /// All values held, sorted, with their holders.
    pub fn held(&self) -> impl Iterator<Item = (V, &K)> {
        self.holders.iter().map(|(value, key)| (*value, key))
    }

    /// Values that rest, with the revision that released them.
    pub fn resting(&self) -> impl Iterator<Item = (V, Revision)> {
        self.resting.iter().map(|(value, since)| (*value, *since))
    }

    /// Whether a value was released and nobody has it yet.
    pub fn rests(&self, value: V) -> bool {
        self.resting.contains_key(&value)
    }

    /// How many values rest still in revision `now`.
    pub fn resting_at(&self, now: Revision) -> usize {
        self.resting.values().filter(|since| !since.rested(now)).count()
    }

    /// Gives a value to a holder; if another one has it, that one keeps it and is returned. A value that rests may be claimed: who names it means it.
    pub fn claim(&mut self, value: V, key: K) -> Result<(), K> {
        match self.holders.get(&value) {
            Some(other) if *other != key => return Err(other.clone()),
            Some(_) => {}
            None => {
                self.resting.remove(&value);
                self.holders.insert(value, key);
            }
        }
        Ok(())
    }

    /// Takes a value back; it rests from now on. Values that have rested long enough are forgotten on the way.
    pub fn release(&mut self, value: V, now: Revision) {
        if self.holders.remove(&value).is_some() {
            self.resting.retain(|_, since| !since.rested(now));
            self.resting.insert(value, now);
        }
    }

    /// Marks a value as resting, as a stored table says.
    pub fn rest(&mut self, value: V, since: Revision) {
        self.resting.insert(value, since);
    }

    /// Whether a value could be given to a new holder in revision `now`.
    pub fn is_free(&self, value: V, now: Revision) -> bool {
        !self.holders.contains_key(&value) && self.resting.get(&value).is_none_or(|since| since.rested(now))
    }

    /// The values among the sorted `candidates` that could be given to new holders in revision `now`, in that order. One walk over what is held, so that
    /// many at once cost no more than one.
    pub fn free<'a>(&'a self, now: Revision, candidates: impl Iterator<Item = V> + 'a) -> impl Iterator<Item = V> + 'a {
        let mut held = self.holders.keys().copied().peekable();
        candidates.filter(move |candidate| {
            while held.next_if(|value| value < candidate).is_some() {}
            held.peek() != Some(candidate) && self.resting.get(candidate).is_none_or(|since| since.rested(now))
        })
    }
}

/// One value per key out of one range. A value that rests goes back to the key that had it last, should that come back: it means to devices that were away
/// what it always meant, and whoever has a server again finds it as it was.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pool<K, V> {
    values: BTreeMap<K, V>,
    numbers: Numbers<V, K>,
    /// What a key had last; only values that nobody had since.
    former: BTreeMap<K, V>,
}

impl<K, V> Default for Pool<K, V> {
    fn default() -> Self {
        Self { values: BTreeMap::new(), numbers: Numbers::default(), former: BTreeMap::new() }
    }
}

impl<K: Ord + Clone, V: Ord + Copy> Pool<K, V> {
    /// What a key holds.
    pub fn get<Q: Ord + ?Sized>(&self, key: &Q) -> Option<V>
    where
        K: std::borrow::Borrow<Q>,
    {
        self.values.get(key).copied()
    }

    /// All keys, sorted, with what they hold.
    pub fn iter(&self) -> impl Iterator<Item = (&K, V)> {
        self.values.iter().map(|(key, value)| (key, *value))
    }

    /// The values by number.
    pub fn numbers(&self) -> &Numbers<V, K> {
        &self.numbers
    }

    /// Gives a value to a key that holds none; the error is who has it.
    pub fn claim(&mut self, key: K, value: V) -> Result<(), K> {
        let rested = self.numbers.rests(value);
        self.numbers.claim(value, key.clone())?;
        if rested {
            self.former.retain(|_, former| *former != value);
        }
        self.values.insert(key, value);
        Ok(())
    }

    /// Takes a key's value back.
    pub fn release(&mut self, key: &K, now: Revision) {
        if let Some(value) = self.values.remove(key) {
            self.numbers.release(value, now);
            self.former.insert(key.clone(), value);
            let numbers = &self.numbers;
            self.former.retain(|_, value| numbers.rests(*value));
        }
    }

    /// What a key had last, if that still rests in revision `now`.
    pub fn former<Q: Ord + ?Sized>(&self, key: &Q, now: Revision) -> Option<V>
    where
        K: std::borrow::Borrow<Q>,
    {
        let value = *self.former.get(key)?;
        self.numbers.resting.get(&value).filter(|since| !since.rested(now)).map(|_| value)
    }

    /// All keys that had a value which still rests in revision `now`, sorted, with that value.
    pub fn all_former(&self, now: Revision) -> impl Iterator<Item = (&K, V)> {
        self.former.keys().filter_map(move |key| Some((key, self.former(key, now)?)))
    }

    /// Notes what a key had last, as a stored table says; only a value that rests can be meant.
    pub fn formerly(&mut self, key: K, value: V) {
        if self.numbers.rests(value) {
            self.former.insert(key, value);
        }
    }

    /// Marks a value as resting, as a stored table says.
    pub fn rest(&mut self, value: V, since: Revision) {
        self.numbers.rest(value, since);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn h30_a_released_value_rests() {
        let mut pool: Pool<&str, u8> = Pool::default();
        pool.claim("a", 1).unwrap();
        assert_eq!(pool.claim("b", 1), Err("a"));
        pool.release(&"a", Revision(5));
        assert!(!pool.numbers().is_free(1, Revision(5)));
        assert!(!pool.numbers().is_free(1, Revision(5 + REST - 1)));
        assert!(pool.numbers().is_free(1, Revision(5 + REST)));
        assert_eq!(pool.numbers().free(Revision(6), 1..4).collect::<Vec<_>>(), [2, 3]);
    }

    #[test]
    fn what_rests_is_kept_for_the_one_who_had_it_last() {
        let mut pool: Pool<&str, u8> = Pool::default();
        pool.claim("a", 1).unwrap();
        pool.release(&"a", Revision(5));
        assert_eq!(pool.former("a", Revision(6)), Some(1));
        assert_eq!(pool.former("b", Revision(6)), None);
        assert_eq!(pool.former("a", Revision(5 + REST)), None, "anybody may have it by now");
        // somebody names it, and gives it back: it is no longer what `a` had
        pool.claim("b", 1).unwrap();
        assert_eq!(pool.former("a", Revision(6)), None);
        pool.release(&"b", Revision(7));
        assert_eq!(pool.former("a", Revision(8)), None);
        assert_eq!(pool.all_former(Revision(8)).collect::<Vec<_>>(), [(&"b", 1)]);
    }
}
