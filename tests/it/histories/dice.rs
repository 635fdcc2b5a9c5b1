//! Chance that can be repeated: one number makes a whole history (splitmix64).
//!
//! Deliberately absent: any source of chance but the seed.

/// A stream of numbers from a seed.
#[derive(Clone, Debug)]
pub struct Dice(u64);

impl Dice {
    /// The stream with this name of this seed; streams of other names have nothing to do with it.
    pub fn new(seed: u64, name: &str) -> Self {
        let mut dice = Self(seed);
        for byte in name.bytes() {
            dice.0 ^= u64::from(byte);
            dice.next();
        }
        dice
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number from 0, below this one.
    pub fn below(&mut self, end: usize) -> usize {
        usize::try_from(self.next() % u64::try_from(end).unwrap()).unwrap()
    }

    /// True this often in a hundred.
    pub fn percent(&mut self, chance: usize) -> bool {
        self.below(100) < chance
    }

    /// One of these.
    pub fn of<T: Copy>(&mut self, some: &[T]) -> T {
        some[self.below(some.len())]
    }

    /// One of these, each as often as its weight says; `None` when there is nothing.
    pub fn weighted<T: Copy>(&mut self, some: &[(usize, T)]) -> Option<T> {
        let all = some.iter().map(|(weight, _)| weight).sum::<usize>();
        if all == 0 {
            return None;
        }
        let mut left = self.below(all);
        some.iter().find_map(|(weight, one)| {
            let hit = left < *weight;
            left = left.saturating_sub(*weight);
            hit.then_some(*one)
        })
    }

    /// Puts these in any order.
    pub fn shuffle<T>(&mut self, some: &mut [T]) {
        for last in (1..some.len()).rev() {
            some.swap(last, self.below(last + 1));
        }
    }
}
