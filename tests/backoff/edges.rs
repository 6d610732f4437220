//! The edges of all numbers: no parameter, no count and no time makes a wait negative, longer than the longest or
//! shorter than the one before, and none makes the program panic.

use std::time::Duration;

use proptest::prelude::*;
use retrier::model::policy::{Decision, When};
use retrier::model::{
    Backoff, Budget, Event, Gate, Outcome, Plan, Policy, Pool, Rate, Run, RunId, State, Testimony,
    Timestamp, next,
};

use crate::support::Home;

/// Mostly what is at an edge.
fn any_ms() -> impl Strategy<Value = u64> {
    let edges = [
        0,
        1,
        999,
        86_400_000,
        i64::MAX as u64,
        i64::MAX as u64 + 1,
        u64::MAX,
    ];
    prop_oneof![2 => prop::sample::select(edges.to_vec()), 1 => any::<u64>(), 1 => 0..100_000_000_u64]
}

fn any_time() -> impl Strategy<Value = i64> {
    let edges = [i64::MIN, i64::MIN + 1, -1, 0, 1, i64::MAX - 1, i64::MAX];
    prop_oneof![3 => prop::sample::select(edges.to_vec()), 1 => any::<i64>(), 1 => 0..2_000_000_000_000_i64]
}

fn any_count() -> impl Strategy<Value = u32> {
    let edges = [
        0,
        1,
        2,
        1023,
        1024,
        1025,
        i32::MAX as u32,
        u32::MAX - 1,
        u32::MAX,
    ];
    prop_oneof![1 => prop::sample::select(edges.to_vec()), 1 => any::<u32>(), 1 => 0..100_u32]
}

/// From 0 to 10^308: what is below 1 nobody can ask for, and an older program could have stored.
fn any_base() -> impl Strategy<Value = f64> {
    let edges = [
        0.0,
        f64::MIN_POSITIVE,
        0.5,
        1.0 - f64::EPSILON,
        1.0,
        1.0 + f64::EPSILON,
        2.0,
        1e9,
        1e308,
        f64::MAX,
    ];
    prop_oneof![2 => prop::sample::select(edges.to_vec()), 1 => 0.0..10.0, 1 => 0.0..1e308]
}

fn any_jitter() -> impl Strategy<Value = f64> {
    prop_oneof![2 => prop::sample::select(&[0.0, f64::MIN_POSITIVE, 0.5, 1.0 - f64::EPSILON, 1.0][..]), 1 => 0.0..=1.0]
}

fn any_backoff() -> impl Strategy<Value = Backoff> {
    let terms = (any_ms(), any_ms(), any_ms(), any_ms());
    let delays = prop_oneof![3 => Just(Vec::new()), 1 => prop::collection::vec(any_ms(), 1..4)];
    (terms, any_base(), any_jitter(), delays).prop_map(
        |((constant, linear, initial, max), base, jitter, delays)| Backoff {
            constant: Duration::from_millis(constant),
            linear: Duration::from_millis(linear),
            initial: Duration::from_millis(initial),
            base,
            max: Duration::from_millis(max),
            jitter,
            delays: delays.into_iter().map(Duration::from_millis).collect(),
        },
    )
}

fn any_when() -> impl Strategy<Value = Option<When>> {
    let when = prop_oneof![
        any_time().prop_map(When::After),
        any_time().prop_map(|ms| When::At(Timestamp::from_millis(ms))),
    ];
    prop::option::of(when)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4_000))]

    #[test]
    fn every_wait_is_between_none_and_the_longest(
        backoff in any_backoff(),
        n in any_count(),
        seed in any::<u64>(),
    ) {
        let delay = backoff.delay(n, seed);
        prop_assert!(delay <= backoff.max, "{delay:?} of {:?}", backoff.max);
        let nominal = backoff.nominal_ms(n);
        prop_assert!(nominal >= 0.0 && nominal <= backoff.max.as_secs_f64() * 1000.0, "{nominal}");
        let (low, high) = backoff.bounds_ms(n);
        prop_assert!(0.0 <= low && low <= high, "{low} to {high}");
        // What explains it adds all of them up.
        let policy = Policy { backoff, budget: Budget::Failures(n), ..Policy::default() };
        let plan = Plan::of(&policy, 20);
        prop_assert!(plan.waits.len() <= 20);
    }

    #[test]
    fn without_jitter_no_wait_is_shorter_than_the_one_before(
        terms in (0..1u64 << 40, 0..1u64 << 40, 0..1u64 << 40, 0..1u64 << 40),
        base in prop_oneof![Just(1.0), 1.01..100.0, 1.01..1e308],
        n in any_count(),
        seed in any::<u64>(),
    ) {
        let (constant, linear, initial, max) = terms;
        let backoff = Backoff {
            constant: Duration::from_millis(constant),
            linear: Duration::from_millis(linear),
            initial: Duration::from_millis(initial),
            base,
            max: Duration::from_millis(max),
            jitter: 0.0,
            delays: Vec::new(),
        };
        let (one, other) = (backoff.delay(n, seed), backoff.delay(n.saturating_add(1), seed));
        prop_assert!(one <= other, "retry {n}: {one:?}, and then {other:?}");
    }

    /// A clock that says anything, and a decision that names any time.
    #[test]
    fn at_the_edges_of_time_nothing_is_due_before_it_was_asked_for(
        backoff in any_backoff(),
        at in any_time(),
        then in any_time(),
        failures in any_count(),
        (command, decider, retry_after) in (any_when(), any_when(), any_when()),
        (deadline, delay) in (prop::option::of(any_time()), any_ms()),
    ) {
        let at = Timestamp::from_millis(at);
        let run = Run {
            state: State::Waiting { due: at, delay_ms: Some(0) },
            attempts: failures,
            failures,
            snoozes: failures,
            deadline_at: deadline.map(Timestamp::from_millis),
            policy: Policy { backoff, budget: Budget::Forever, ..Policy::default() },
            seed: 7,
            has_hook: true,
        };
        let decided = |when| Some(Decision { verdict: None, when });
        let said = Testimony { command: decided(command), decider: decided(decider), retry_after, ..Testimony::default() };
        let attempt = retrier::model::AttemptNumber(failures);
        let running = Run { state: State::Running { attempt }, ..run.clone() };
        let outcome = Outcome::Exit { code: 1 };
        let ended = Event::Ended { at, attempt, outcome, testimony: Box::new(said) };
        let retried = Event::Retry { at, delay: Duration::from_millis(delay) };
        let failed = Run { state: State::Failed { reason: retrier::model::Reason::Stopped }, ..run.clone() };
        for (run, event) in [(&running, &ended), (&failed, &retried)] {
            if let Ok(transition) = next(run, event)
                && let State::Waiting { due, .. } = transition.state
            {
                prop_assert!(due >= at, "{due:?} at {at:?}");
                prop_assert!(transition.deadline_at.is_none_or(|deadline| due < deadline));
            }
        }
        let then = Timestamp::from_millis(then);
        let waits = Run { state: State::Waiting { due: then, delay_ms: Some(i64::MAX) }, ..run };
        for event in [Event::ClockSet { at }, Event::Deadline { at }, Event::Release { at }, Event::Cancel { at }] {
            // It may be refused.
            drop(next(&waits, &event));
        }
    }

    #[test]
    fn at_the_edges_of_time_a_pool_starts_or_says_when(
        backoff in any_backoff(),
        (at, arrival_us, probe_at) in (any_time(), any_time(), prop::option::of(any_time())),
        (starts, per, burst) in (any_count(), any_ms(), any_count()),
        (streak, probes, breaker) in (any_count(), any_count(), any_count()),
    ) {
        let (at, run) = (Timestamp::from_millis(at), RunId(1));
        let rate = Rate { starts: starts.max(1), per: Duration::from_millis(per.max(1)), burst: burst.max(1) };
        let pool = Pool {
            rate: Some(rate),
            breaker: Some(breaker.max(1)),
            backoff,
            ..Pool::new("x", 7)
        };
        let probe_at = probe_at.map(Timestamp::from_millis);
        let gate = Gate { arrival_us, streak, probes, probe_at, probe: None };
        match pool.room(&gate, 0, at) {
            Ok(room) => prop_assert!(room.starts > 0),
            Err(hold) => prop_assert!(hold.until().is_none_or(|until| until >= at), "{hold:?} at {at:?}"),
        }
        for success in [None, Some(true), Some(false)] {
            let gate = pool.after_end(&pool.after_start(&gate, run, at), run, success, at);
            let near = pool.within_reach(&gate, at);
            prop_assert!(near.arrival_us <= gate.arrival_us);
        }
    }
}

#[test]
fn the_greatest_base_and_budget_are_explained_and_others_refused() {
    let home = Home::new();
    for base in ["1", "1e308"] {
        let options = [
            "--base",
            base,
            "--max-failures",
            "4294967295",
            "--initial-backoff",
            "1000000000",
        ];
        let explained = home
            .retrier(["explain", "--json"].iter().chain(&options))
            .output()
            .ok();
        let plan = explained.json();
        assert_eq!(plan["max_attempts"], 4_294_967_296_u64, "{plan}");
        assert_eq!(plan["waits"][0]["nominal_ms"], 86_400_000, "{plan}");
    }
    for wrong in [
        "--base=-1e308",
        "--base=1e309",
        "--jitter=-0.0001",
        "--delays=1,-1",
        "--delays=1e400",
        "--deadline=-1",
    ] {
        let refused = home.retrier(["explain", wrong]).output().exits(2);
        assert_eq!(refused.stdout, b"", "{wrong}");
    }
}
