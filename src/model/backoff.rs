//! How long to wait before a retry.
//!
//! `delay(n)` before retry n = 1, 2, … is `constant + linear·n + initial·base^(n-1)`, capped by
//! `max`, times a uniform factor in `[1-jitter, 1+jitter)`, capped again. The factor is a function
//! of the run's seed and n, so that a restart computes the same delay. An explicit list of delays
//! takes the place of the sum; its last one repeats.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::time::{as_millis, as_millis_list};

/// The parameters of the backoff formula. Durations are kept in whole milliseconds.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Backoff {
    /// Added to every delay.
    #[serde(rename = "constant_ms", with = "as_millis")]
    pub constant: Duration,
    /// Added n times before retry n.
    #[serde(rename = "linear_ms", with = "as_millis")]
    pub linear: Duration,
    /// The exponential term before the first retry; zero switches the term off.
    #[serde(rename = "initial_backoff_ms", with = "as_millis")]
    pub initial: Duration,
    /// The factor of the exponential term from one retry to the next; at least 1.
    pub base: f64,
    /// No delay is longer than this, jitter included.
    #[serde(rename = "max_backoff_ms", with = "as_millis")]
    pub max: Duration,
    /// Half the width of the uniform factor; 0 to 1.
    pub jitter: f64,
    /// What stands for the formula, one for each retry, the last one for all that follow; empty
    /// for none.
    #[serde(
        rename = "delays_ms",
        with = "as_millis_list",
        default,
        skip_serializing_if = "Vec::is_empty"
    )]
    pub delays: Vec<Duration>,
}

impl Default for Backoff {
    fn default() -> Self {
        Self {
            constant: Duration::ZERO,
            linear: Duration::ZERO,
            initial: Duration::from_millis(250),
            base: 2.0,
            max: Duration::from_secs(24 * 60 * 60),
            jitter: 0.5,
            delays: Vec::new(),
        }
    }
}

impl Backoff {
    /// The delay before retry `n` (from 1) of the run with `seed`, in whole milliseconds.
    ///
    /// Never panics: overflow and infinity saturate at `max`.
    pub fn delay(&self, n: u32, seed: u64) -> Duration {
        let (low, high) = self.bounds_ms(n);
        let drawn = self.nominal_ms(n) * (1.0 - self.jitter + 2.0 * self.jitter * uniform(seed, n));
        let ms = drawn.round().clamp(low, high);
        // Beyond 2^53 ms the bounds are rounded themselves.
        Duration::from_millis(ms as u64).min(self.max)
    }

    /// The delay before retry `n` without jitter, in milliseconds, at most `max`.
    pub fn nominal_ms(&self, n: u32) -> f64 {
        let n = n.max(1);
        let place = usize::try_from(n - 1).unwrap_or(usize::MAX);
        if let Some(delay) = self.delays.get(place).or(self.delays.last()) {
            return ms(*delay).min(ms(self.max));
        }
        // 0 · ∞ is NaN, so a term that is off must not be multiplied at all.
        let exponential = if self.initial.is_zero() {
            0.0
        } else {
            ms(self.initial) * self.base.powf(f64::from(n - 1))
        };
        let sum = ms(self.constant) + ms(self.linear) * f64::from(n) + exponential;
        sum.min(ms(self.max))
    }

    /// The least and the greatest whole number of milliseconds that [`Backoff::delay`] gives for
    /// retry `n`: the half-open interval of the factor, rounded inwards.
    pub fn bounds_ms(&self, n: u32) -> (f64, f64) {
        let nominal = self.nominal_ms(n);
        if self.jitter == 0.0 {
            return (nominal.round(), nominal.round());
        }
        let max = ms(self.max).floor();
        let high = (nominal * (1.0 + self.jitter)).ceil() - 1.0;
        let high = high.min(max).max(0.0);
        let low = (nominal * (1.0 - self.jitter)).ceil().min(high);
        (low, high)
    }
}

fn ms(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1000.0
}

/// A uniform number in [0, 1) for draw `n` of `seed`: one step of SplitMix64 (Steele, Lea and
/// Flood, "Fast splittable pseudorandom number generators", 2014) at position n, of which the
/// upper 53 bits make the fraction.
fn uniform(seed: u64, n: u32) -> f64 {
    let mut z = seed.wrapping_add(u64::from(n).wrapping_mul(0x9e37_79b9_7f4a_7c15));
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^= z >> 31;
    (z >> 11) as f64 / (1u64 << 53) as f64
}
