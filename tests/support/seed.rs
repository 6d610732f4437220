//! Randomness that can be replayed.

use std::env;

/// A source of random numbers for the test `name`. Its seed is printed, which shows when the test fails; `SEED=` replays
/// it.
#[expect(clippy::print_stderr, reason = "a failure must be replayable")]
pub fn seeded(name: &str) -> fastrand::Rng {
    let given = env::var("SEED").ok();
    let seed = given.map_or_else(
        || fastrand::u64(..),
        |seed| seed.parse().expect("SEED is a number"),
    );
    eprintln!("{name}: replay it with SEED={seed}");
    fastrand::Rng::with_seed(seed)
}
