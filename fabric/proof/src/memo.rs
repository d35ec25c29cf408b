//! Answers that are worked out once.

use std::hash::Hash;
use std::sync::{Mutex, MutexGuard, PoisonError};

use rustc_hash::FxHashMap;

/// Answers by their questions. For answers that depend on nothing but the question and on what the memo stands beside, so that they hold for as long as that does.
#[derive(Debug)]
pub struct Memo<K, V>(Mutex<FxHashMap<K, V>>);

impl<K, V> Default for Memo<K, V> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<K: Eq + Hash, V: Clone> Memo<K, V> {
    /// The answer, worked out if nobody asked before. Two that ask at once both work it out, and come to the same.
    pub fn get(&self, question: K, work: impl FnOnce(&K) -> V) -> V {
        if let Some(known) = self.known().get(&question) {
            return known.clone();
        }
        let answer = work(&question);
        self.known().insert(question, answer.clone());
        answer
    }

    /// The questions that were answered like this.
    pub fn answered(&self, with: impl Fn(&V) -> bool) -> Vec<K>
    where
        K: Clone,
    {
        self.known().iter().filter(|(_, answer)| with(answer)).map(|(question, _)| question.clone()).collect()
    }

    /// A part of every answer.
    pub fn answers<T>(&self, part: impl Fn(&V) -> T) -> Vec<T> {
        self.known().values().map(part).collect()
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.known().len()
    }

    fn known(&self) -> MutexGuard<'_, FxHashMap<K, V>> {
        // one who panicked while it held this had not begun to change it
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
