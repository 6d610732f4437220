//! That the comparison with the model finds what it is there to find.

use crate::support::seeded;

use super::acts::Act;
use super::model::{Run, State, World};
use super::{CanShow, comes_apart, first_difference, told};

/// That a sequence is found on which the program with this bug, and only with it, comes apart from the model.
fn assert_caught(bug: &'static str, shrinks: u32, can_show: CanShow) -> Vec<Act> {
    let mut rng = seeded(bug);
    let chosen = (rng.u64(..), 2_000, shrinks);
    let found = first_difference(chosen, 20, (Some(bug), can_show));
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

/// Somebody lets go of a lock for which two others wait.
fn hands_a_lock_on(world: &World, act: &Act) -> bool {
    let (Act::Tell(n, _) | Act::Cancel(n) | Act::LoseShim(n)) = act else {
        return false;
    };
    let Some(holder) = world.run(*n).filter(|run| run.state == State::Running) else {
        return false;
    };
    let waits = |run: &&Run| run.state == State::Waiting && run.due <= world.now;
    let same = |run: &&Run| run.wish.lock.is_some() && run.wish.lock == holder.wish.lock;
    world.runs.iter().filter(waits).filter(same).count() > 1
}

fn retries_a_failed_run(world: &World, act: &Act) -> bool {
    let run = match act {
        Act::Retry(n, _) => world.run(*n),
        _ => None,
    };
    run.is_some_and(|run| run.state == State::Failed)
}

fn cancels_a_running_run(world: &World, act: &Act) -> bool {
    matches!(act, Act::Cancel(n) if world.hangs(*n))
}

/// A key is kept by a run that has ended.
fn meets_a_kept_key(world: &World, act: &Act) -> bool {
    let Act::Submit(wish) = act else { return false };
    let Some(key) = wish.key.filter(|key| key.once) else {
        return false;
    };
    let mut with_key = (0..world.runs.len()).filter_map(|n| world.run(n));
    with_key.any(|run| run.state.is_final() && run.wish.key.is_some_and(|its| its.name == key.name))
}

#[test]
fn the_model_catches_a_retry_that_keeps_the_failures() {
    assert_caught("retry_keeps_failures", ONE, retries_a_failed_run);
}

#[test]
fn the_model_catches_a_lock_that_goes_to_the_last() {
    assert_caught("hands_locks_to_the_last", ONE, hands_a_lock_on);
}

#[test]
fn the_model_catches_a_cancel_that_can_flip() {
    assert_caught("cancel_can_flip", ONE, cancels_a_running_run);
}

/// What is shown for it is short: two runs of one key, and what it takes for the first to end.
#[test]
fn the_model_catches_a_key_that_is_free_too_early_in_a_few_acts() {
    let acts = assert_caught("frees_once_keys", 25, meets_a_kept_key);
    assert!(acts.len() <= 6, "{}", told(&acts));
}
