//! The program beside a small model of it: any sequence of what can be done to it leaves both in the same place.
//!
//! Start reading at `reference::model`, which says what is to happen. A failure is made shorter, and printed act by act.

mod acts;
mod bugs;
mod model;
mod rest;
mod system;

use std::fmt::Write;
use std::panic::catch_unwind;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use proptest::test_runner::{Config, RngAlgorithm, TestError, TestRng, TestRunner};
use proptest_state_machine::ReferenceStateMachine;

use crate::support::{proof, seeded};

use acts::{Act, Reference};
use model::{Fate, State, World};
use system::System;

/// Makes `acts` one after the other, has everything end, and compares after each step.
fn play(
    mut world: World,
    acts: &[Act],
    seen: Option<&Arc<AtomicUsize>>,
    bug: Option<&'static str>,
) {
    let mut system = System::new(&world, bug);
    for act in acts {
        // Shrinking drops what was never reached first.
        if let Some(seen) = seen {
            seen.fetch_add(1, Ordering::SeqCst);
        }
        world = world.after(act).expect("it was looked at before");
        system.act(act, &world);
    }
    for act in healing(&world) {
        world = step(&mut system, &world, &act);
    }
    while let Some(act) = towards_the_end(&world) {
        world = step(&mut system, &world, &act);
    }
    system.assert_all_ended(&world);
}

fn step(system: &mut System, world: &World, act: &Act) -> World {
    let after = world
        .after(act)
        .expect("nothing is in the way of anything any more");
    system.act(act, &after);
    after
}

/// What takes away all that could keep runs from ending; nothing starts before it is done.
fn healing(world: &World) -> Vec<Act> {
    let mut acts: Vec<Act> = (0..2).map(|pool| Act::Pause(pool, true)).collect();
    for (n, run) in world.runs.iter().enumerate() {
        if !run.forgotten && run.state == State::Waiting {
            acts.push(Act::Change(n, Fate::Succeed));
        }
    }
    acts.extend((0..2).map(|pool| Act::SetPool(pool, 100)));
    acts.extend((0..2).map(|pool| Act::Pause(pool, false)));
    acts
}

/// What is left to do until all has ended.
fn towards_the_end(world: &World) -> Option<Act> {
    if let Some(hanging) = (0..world.runs.len()).find(|n| world.hangs(*n)) {
        return Some(Act::Tell(hanging, 0));
    }
    let waits = |run: &model::Run| !run.forgotten && run.state == State::Waiting;
    world.runs.iter().any(waits).then_some(Act::Advance(1))
}

/// Can a sequence show something, as far as one of its acts and the world before that tell?
type CanShow = fn(&World, &Act) -> bool;

/// The shortest sequence that was found on which program and model come apart, and how. What cannot show it is not
/// played.
fn first_difference(
    (seed, cases, shrinks): (u64, u32, u32),
    acts_max: usize,
    (bug, can_show): (Option<&'static str>, CanShow),
) -> Option<(String, World, Vec<Act>)> {
    let config = Config {
        cases,
        max_shrink_iters: shrinks,
        max_local_rejects: 1_000_000,
        failure_persistence: None,
        ..Config::default()
    };
    let mut rng = fastrand::Rng::with_seed(seed);
    let seed: [u8; 32] = std::array::from_fn(|_| rng.u8(..));
    let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &seed);
    let mut runner = TestRunner::new_with_rng(config, rng);
    let strategy = Reference::sequential_strategy(2..=acts_max);
    let played = runner.run(&strategy, |(world, acts, seen)| {
        if shows(&world, &acts, can_show) {
            play(world, &acts, seen.as_ref(), bug);
        }
        Ok(())
    });
    match played {
        Ok(()) => None,
        Err(TestError::Fail(reason, (world, acts, _))) => Some((reason.to_string(), world, acts)),
        Err(TestError::Abort(reason)) => panic!("no sequence could be made: {reason}"),
    }
}

fn shows(world: &World, acts: &[Act], can_show: CanShow) -> bool {
    let mut world = world.clone();
    acts.iter().any(|act| {
        let found = can_show(&world, act);
        world = world.after(act).expect("it was looked at before");
        found
    })
}

/// Do program and model come apart on these acts?
fn comes_apart(world: &World, acts: &[Act], bug: Option<&'static str>) -> bool {
    catch_unwind(|| play(world.clone(), acts, None, bug)).is_err()
}

fn told(acts: &[Act]) -> String {
    let mut text = String::new();
    for act in acts {
        writeln!(text, "  {act:?}").expect("there is memory");
    }
    text
}

#[test]
fn any_sequence_of_calls_and_kills_ends_where_the_model_says() {
    let mut rng = seeded("the program beside its model");
    let cases = std::env::var("MODEL_CASES").map_or(proof::repetitions(4, 200) as u32, |cases| {
        cases.parse().expect("MODEL_CASES is a number")
    });
    if let Some((reason, _, acts)) =
        first_difference((rng.u64(..), cases, 100), 30, (None, |_, _| true))
    {
        panic!(
            "the shortest sequence that was found:\n{}\n{reason}",
            told(&acts)
        );
    }
    proof::holds("T27", cases as usize, &[]);
}
