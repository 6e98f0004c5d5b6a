//! Random numbers from a seed that is printed, so that a run can be repeated.

/// A stream of random numbers.
pub struct Random(u64);

impl Random {
    /// Seeded by `STORMHOOK_SEED`, or by the clock; says by what.
    pub fn seeded() -> Self {
        let seed = std::env::var("STORMHOOK_SEED")
            .ok()
            .and_then(|seed| seed.parse().ok())
            .unwrap_or_else(|| {
                let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
                now.map_or(1, |now| now.subsec_nanos().into())
            });
        println!("repeat with STORMHOOK_SEED={seed}");
        Self(seed)
    }

    /// Seeded by `seed`.
    pub fn from_seed(seed: u64) -> Self {
        Self(seed)
    }

    /// A number below `bound` (SplitMix64).
    pub fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % bound.max(1)
    }
}
