//! That the comparison with the model finds what it is there to find.

use crate::support::seeded;

use super::acts::Act;
use super::{comes_apart, first_difference, told};

/// That a sequence is found on which the program with this bug, and only with it, comes apart from the model.
fn assert_caught(bug: &'static str, shrinks: u32, acts_max: usize) -> Vec<Act> {
    let mut rng = seeded(bug);
    let found = first_difference((rng.u64(..), 200, shrinks), acts_max, Some(bug));
    let (_, world, acts) = found.unwrap_or_else(|| panic!("{bug} was not found"));
    let shown = told(&acts);
    assert!(comes_apart(&world, &acts, Some(bug)), "not again:\n{shown}");
    assert!(
        !comes_apart(&world, &acts, None),
        "not by the bug:\n{shown}"
    );
    acts
}

/// One step drops the acts after the first difference.
const ONE: u32 = 1;

#[test]
fn the_model_catches_a_retry_that_keeps_the_failures() {
    assert_caught("retry_keeps_failures", ONE, 30);
}

#[test]
fn the_model_catches_a_lock_that_goes_to_the_last() {
    assert_caught("hands_locks_to_the_last", ONE, 30);
}

#[test]
fn the_model_catches_a_cancel_that_can_flip() {
    assert_caught("cancel_can_flip", ONE, 30);
}

/// What is shown for it is short: two runs of one key, and what it takes for the first to end.
#[test]
fn the_model_catches_a_key_that_is_free_too_early_in_a_few_acts() {
    let acts = assert_caught("frees_once_keys", 30, 16);
    assert!(acts.len() <= 6, "{}", told(&acts));
}
