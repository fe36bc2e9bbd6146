//! When to try again.

use std::time::Duration;

use crate::EntryId;

/// Pauses of one acquisition: growing, bounded, and other than those of its neighbours.
#[derive(Debug)]
pub(crate) struct Pace {
    seed: u64,
    step: u32,
}

impl Pace {
    pub(crate) fn new(id: EntryId) -> Self {
        // Folded on purpose: the seed tells nothing about the id.
        let bits = id.as_u128();
        Self { seed: (bits >> 64) as u64 ^ bits as u64, step: 0 }
    }

    /// The next pause after a failure.
    pub(crate) fn backoff(&mut self) -> Duration {
        let pause = FIRST_PAUSE * 2u32.pow(self.step.min(10));
        self.jitter(pause.min(LAST_PAUSE))
    }

    /// After a success the pauses begin anew.
    pub(crate) fn reset(&mut self) {
        self.step = 0;
    }

    /// `around`, a fifth more or less.
    pub(crate) fn jitter(&mut self, around: Duration) -> Duration {
        self.step = self.step.saturating_add(1);
        self.seed = split_mix(self.seed);
        let unit = (self.seed >> 11) as f64 / (1u64 << 53) as f64;
        around.mul_f64(0.8 + 0.4 * unit)
    }
}

/// SplitMix64, by Sebastiano Vigna: enough to keep clients apart.
fn split_mix(seed: u64) -> u64 {
    let mut bits = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
    bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    bits ^ (bits >> 31)
}

const FIRST_PAUSE: Duration = Duration::from_millis(10);
const LAST_PAUSE: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_within_bounds() {
        let mut pace = Pace::new(EntryId::random().unwrap());
        let pauses: Vec<_> = (0..20).map(|_| pace.backoff()).collect();
        assert!(pauses[0] >= FIRST_PAUSE.mul_f64(0.8) && pauses[0] <= FIRST_PAUSE.mul_f64(1.2));
        assert!(pauses[19] >= LAST_PAUSE.mul_f64(0.8) && pauses[19] <= LAST_PAUSE.mul_f64(1.2));
        pace.reset();
        assert!(pace.backoff() < FIRST_PAUSE * 2);
    }
}
