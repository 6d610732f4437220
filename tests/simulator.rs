//! The pure core in a world where everything goes wrong, a hundred thousand times a second or so: messages that come
//! late, twice or never, crashes between any two steps, people who act on what they have read long ago, and clocks that
//! are set.
//!
//! Start reading at `chaos::World::step`; what must hold all the while is in `rules`. The database is a few lines, `base`.

mod base;
mod chaos;
mod people;
mod rules;
mod wishes;

use crate::support::{proof, seeded};

use base::Bug;
use chaos::World;

/// So many steps, and then until all has ended. Gives how many runs there were, or what went wrong.
fn simulate(seed: u64, steps: usize, bug: Option<Bug>) -> Result<usize, String> {
    let mut world = World::new(fastrand::Rng::with_seed(seed), bug);
    for step in 0..steps {
        let stepped = world.step();
        stepped.map_err(|broken| format!("step {step}: {broken}"))?;
    }
    world.end()
}

#[test]
fn no_order_of_events_and_no_loss_of_them_breaks_a_promise() {
    let mut rng = seeded("a simulated world");
    let steps = std::env::var("SIMULATOR_STEPS").ok();
    let steps = steps.map_or(100_000, |steps| {
        steps.parse().expect("SIMULATOR_STEPS is a number")
    });
    let worlds = proof::repetitions(1, 10);
    for _ in 0..worlds {
        let runs = simulate(rng.u64(..), steps, None);
        let runs = runs.unwrap_or_else(|broken| panic!("{broken}"));
        assert!(runs * 100 > steps, "only {runs} runs in {steps} steps");
    }
    proof::holds("T28", worlds * steps, &[]);
}

/// That a bug is found within so many steps, whatever the seed.
fn assert_found(bug: Bug, words: &[&str]) {
    let mut rng = seeded("a simulated world with a bug");
    let broken = simulate(rng.u64(..), 100_000, Some(bug)).expect_err("the bug was not found");
    let is_named = words.iter().any(|words| broken.contains(words));
    assert!(is_named, "{broken}");
}

#[test]
fn the_simulator_catches_a_write_without_its_guard() {
    assert_found(Bug::Unguarded, &[""]);
}

#[test]
fn the_simulator_catches_an_effect_before_its_commit() {
    assert_found(Bug::EffectFirst, &["is alive, and", "at once"]);
}
