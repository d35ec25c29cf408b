//! Reproducible chance: a test prints its seed, and `LEAFWALL_SEED` runs it again.

/// A small generator (SplitMix64): good enough to choose test cases, and the same everywhere.
#[derive(Debug, Clone)]
pub struct Random(u64);

impl Random {
    /// From `LEAFWALL_SEED`, else from this constant; printed, so that a failure can be repeated.
    pub fn from_environment(default: u64) -> Self {
        let seed = std::env::var("LEAFWALL_SEED").ok().and_then(|text| text.parse().ok()).unwrap_or(default);
        eprintln!("seed: LEAFWALL_SEED={seed}");
        Self(seed)
    }

    /// From a seed.
    pub const fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// The next number.
    pub const fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below `bound`, which is not 0.
    pub fn below(&mut self, bound: usize) -> usize {
        usize::try_from(self.next() % bound as u64).unwrap_or(0)
    }

    /// True once in `times`.
    pub fn once_in(&mut self, times: usize) -> bool {
        self.below(times) == 0
    }

    /// One of these; the slice is not empty.
    pub fn pick<'t, T>(&mut self, from: &'t [T]) -> &'t T {
        &from[self.below(from.len())]
    }

    /// Up to `most` of these, in order.
    pub fn some<T: Clone>(&mut self, from: &[T], most: usize) -> Vec<T> {
        let count = self.below(most + 1);
        (0..count).map(|_| self.pick(from).clone()).collect()
    }
}
