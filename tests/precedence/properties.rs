//! What holds for any policy and whatever is said of its attempts.

use std::time::Duration;

use proptest::prelude::*;
use retrier::model::policy::{
    Condition, Conditions, Decision, Judgement, Rules, Verdict, WaitBy, When, judge,
};
use retrier::model::{
    AttemptChange, Backoff, Budget, Event, Outcome, Policy, Run, State, Testimony, Timestamp, next,
};

use super::{NOW, exit};

fn any_verdict() -> impl Strategy<Value = Option<Decision>> {
    let verdict = prop::option::of(prop_oneof![
        Just(Verdict::Stop),
        Just(Verdict::Retry),
        (-1i64..100_000_000).prop_map(|delay_ms| Verdict::Snooze { delay_ms }),
    ]);
    prop::option::of((verdict, any_when()).prop_map(|(verdict, when)| Decision { verdict, when }))
}

fn any_when() -> impl Strategy<Value = Option<When>> {
    prop::option::of(prop_oneof![
        any::<i64>().prop_map(When::After),
        any::<i64>().prop_map(|ms| When::At(Timestamp::from_millis(ms))),
    ])
}

fn any_testimony() -> impl Strategy<Value = Testimony> {
    let flags = (any::<bool>(), any::<bool>());
    (any_verdict(), any_verdict(), flags, any_when()).prop_map(
        |(command, decider, (stop_if, retry_if), retry_after)| Testimony {
            command,
            decider,
            stop_if,
            retry_if,
            retry_after,
            ..Testimony::default()
        },
    )
}

fn any_outcome() -> impl Strategy<Value = Outcome> {
    prop_oneof![
        any::<u8>().prop_map(exit),
        (1i32..64).prop_map(|signal| Outcome::Signal {
            signal,
            core: false
        }),
        Just(Outcome::Timeout),
        Just(Outcome::Lost),
        Just(Outcome::Interrupted),
        Just(Outcome::Spawn {
            code: 126,
            error: "x".into()
        }),
    ]
}

fn any_conditions() -> impl Strategy<Value = Conditions> {
    let one = prop_oneof![
        (any::<u8>(), any::<u8>()).prop_map(|(from, to)| Condition::Exit { from, to }),
        (1i32..64).prop_map(Condition::Signal),
        Just(Condition::Timeout),
        Just(Condition::Spawn),
        Just(Condition::Lost),
    ];
    prop::collection::vec(one, 0..3).prop_map(Conditions)
}

fn any_policy() -> impl Strategy<Value = Policy> {
    let budget = prop_oneof![(0u32..6).prop_map(Budget::Failures), Just(Budget::Forever)];
    let ms = || (0u64..100_000_000).prop_map(Duration::from_millis);
    let backoff = (
        (ms(), ms(), ms(), ms()),
        1.0f64..20.0,
        0.0f64..=1.0,
        prop::collection::vec(ms(), 0..4),
    )
        .prop_map(
            |((constant, linear, initial, max), base, jitter, delays)| Backoff {
                constant,
                linear,
                initial,
                base,
                max,
                jitter,
                delays,
            },
        );
    let rules = (
        any_conditions(),
        prop::option::of(any_conditions()),
        any_conditions(),
    );
    let deadline = prop::option::of((1u64..100_000_000).prop_map(Duration::from_millis));
    (budget, backoff, rules, deadline).prop_map(
        |(budget, backoff, (success, retry_on, stop_on), deadline)| Policy {
            budget,
            backoff,
            deadline,
            rules: Rules {
                success,
                retry_on,
                stop_on,
                ..Rules::default()
            },
            ..Policy::default()
        },
    )
}

/// The run that was stored at `NOW` with this policy.
fn stored(policy: Policy, seed: u64) -> Run {
    Run {
        state: State::Waiting {
            due: NOW,
            delay_ms: Some(0),
        },
        attempts: 0,
        failures: 0,
        snoozes: 0,
        deadline_at: policy.deadline.map(|limit| NOW.plus(limit)),
        policy,
        seed,
        has_hook: true,
    }
}

/// The run after `event`, as the store would write it.
fn after(run: &Run, event: &Event) -> Run {
    let transition = next(run, event).expect("it fits the state");
    let attempts = match transition.attempt {
        AttemptChange::Open(attempt) => attempt.0,
        AttemptChange::Forget(attempt) => attempt.0 - 1,
        AttemptChange::None | AttemptChange::Close { .. } => run.attempts,
    };
    Run {
        state: transition.state,
        attempts,
        failures: transition.failures,
        snoozes: transition.snoozes,
        deadline_at: transition.deadline_at,
        ..run.clone()
    }
}

/// The run as the next process reads it from the database.
fn read_back(run: &Run) -> Run {
    let policy = serde_json::to_string(&run.policy).expect("a policy can be stored");
    let seed = run.seed as i64;
    Run {
        policy: serde_json::from_str(&policy).expect("it can be read"),
        seed: seed as u64,
        ..run.clone()
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_000))]

    /// Whatever is said, the backoff's waits lie within its bounds, a server's within the greatest
    /// one, and nothing is due before the attempt has ended or after the deadline.
    #[test]
    fn waits_keep_their_bounds_for_any_policy_and_testimony(
        policy in any_policy(),
        said in any_testimony(),
        outcome in any_outcome(),
        failures in 0u32..100,
        seed in any::<u64>(),
    ) {
        let run = Run { failures, ..stored(policy, seed) };
        let judged = judge(&run, NOW, &outcome, &said);
        let again = judge(&read_back(&run), NOW, &outcome, &said);
        prop_assert_eq!(&judged, &again, "not the same after a restart");
        if let Judgement::GoOn { due, why, .. } = judged {
            prop_assert!(due >= NOW);
            prop_assert!(run.deadline_at.is_none_or(|deadline| due < deadline));
            let wait = due.since(NOW);
            let (low, high) = run.policy.backoff.bounds_ms(failures + 1);
            match why.wait_by {
                Some(WaitBy::Backoff) => {
                    let ms = wait.as_millis() as f64;
                    prop_assert!((low..=high).contains(&ms), "{ms} not in {low}..={high}");
                }
                Some(WaitBy::RetryAfter) => prop_assert!(wait <= run.policy.backoff.max),
                Some(WaitBy::Command | WaitBy::Decider) | None => {}
            }
        }
    }

    /// Every fair sequence ends, but with `--forever`: claims when due, some of which never start,
    /// attempts that fail, snooze, time out or are lost in any order, looks at the deadline, and a
    /// clock that is set. With a deadline also `--forever` ends.
    #[test]
    fn every_fair_sequence_ends(
        policy in any_policy(),
        seed in any::<u64>(),
        turns in prop::collection::vec((any_outcome(), any_testimony(), 0u8..4), 1..6),
    ) {
        let endless = policy.budget == Budget::Forever && policy.deadline.is_none();
        let interrupted = turns.iter().all(|(outcome, ..)| *outcome == Outcome::Interrupted);
        // An interruption costs nothing, and a person makes each of them.
        prop_assume!(!interrupted);
        let mut run = stored(policy, seed);
        let mut at = NOW;
        for (outcome, said, aside) in turns.iter().cycle().take(4_000 * turns.len()) {
            let State::Waiting { due, .. } = run.state else { break };
            at = at.max(due);
            if next(&run, &Event::Deadline { at }).is_ok() {
                run = after(&run, &Event::Deadline { at });
                break;
            }
            prop_assert!(next(&run, &Event::ClockSet { at }).is_err(), "it is due");
            run = after(&run, &Event::Start { at });
            let attempt = run.state.open_attempt().expect("it was claimed");
            if *aside == 0 {
                run = after(&run, &Event::NeverStarted { at, attempt });
                run = after(&run, &Event::Start { at });
            }
            // A tick of the clock, as every attempt takes.
            at = at.plus(Duration::from_secs(60));
            let event = Event::Ended {
                at,
                attempt,
                outcome: outcome.clone(),
                testimony: Box::new(said.clone()),
            };
            run = after(&run, &event);
        }
        prop_assert!(endless || run.state.is_final(), "{:?} after {} attempts", run.state, run.attempts);
    }
}
