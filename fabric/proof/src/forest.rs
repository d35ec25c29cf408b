//! Sets that are joined, by numbers.

/// Numbers from 0 on, some of them joined.
#[derive(Debug)]
pub struct Forest(Vec<usize>);

impl Forest {
    /// So many, none of them joined.
    pub fn new(count: usize) -> Self {
        Self((0..count).collect())
    }

    /// One number more, joined with none.
    pub fn add(&mut self) -> usize {
        let next = self.0.len();
        self.0.push(next);
        next
    }

    /// The one that stands for all that are joined with a number: the smallest of them.
    pub fn root(&self, mut at: usize) -> usize {
        while let Some(up) = self.0.get(at).filter(|up| **up != at) {
            at = *up;
        }
        at
    }

    /// Joins two.
    pub fn join(&mut self, a: usize, b: usize) {
        let (one, other) = (self.root(a), self.root(b));
        let top = one.min(other);
        // hung up at the root, so that ways stay short
        for at in [a, b, one, other] {
            if let Some(up) = self.0.get_mut(at) {
                *up = top;
            }
        }
    }
}
