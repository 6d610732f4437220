//! The state machine: its whole table as a golden file, and what holds for every sequence of
//! events.

use std::collections::BTreeSet;
use std::time::Duration;

use proptest::prelude::*;
use retrier::model::{
    AttemptChange, AttemptNumber, Budget, Event, HookChange, Outcome, Policy, Reason, Refusal, Run,
    State, Timestamp, Transition, next,
};

use crate::support::assert_generated;

const NOW: Timestamp = Timestamp::from_millis(1_000_000);
const LATER: Timestamp = Timestamp::from_millis(1_060_000);
const THIS: AttemptNumber = AttemptNumber(2);
const OTHER: AttemptNumber = AttemptNumber(1);

fn states() -> Vec<(&'static str, State)> {
    let waiting = |due, delay_ms| State::Waiting { due, delay_ms };
    vec![
        ("waiting, due now", waiting(NOW, Some(0))),
        ("waiting, due later", waiting(LATER, Some(60_000))),
        ("waiting, clock was set back", waiting(LATER, Some(1_000))),
        ("waiting for a named time", waiting(LATER, None)),
        ("held", State::Held),
        ("running attempt 2", State::Running { attempt: THIS }),
        ("succeeded", State::Succeeded),
        (
            "failed",
            State::Failed {
                reason: Reason::Exhausted,
            },
        ),
        (
            "canceled, attempt 2 open",
            State::Canceled { open: Some(THIS) },
        ),
        ("canceled", State::Canceled { open: None }),
    ]
}

fn outcomes() -> Vec<Outcome> {
    vec![
        Outcome::Exit { code: 0 },
        Outcome::Exit { code: 1 },
        Outcome::Signal {
            signal: 9,
            core: false,
        },
        Outcome::Timeout,
        Outcome::Deadline,
        Outcome::Canceled,
        Outcome::Spawn {
            code: 127,
            error: "x: command not found".into(),
        },
        Outcome::Lost,
        Outcome::Interrupted,
    ]
}

fn events() -> Vec<(String, Event)> {
    let mut events = vec![("start".to_owned(), Event::Start { at: NOW })];
    for (which, attempt) in [("attempt 2", THIS), ("attempt 1", OTHER)] {
        for outcome in outcomes() {
            let name = format!("{which} ended: {outcome}");
            events.push((
                name,
                Event::Ended {
                    at: NOW,
                    attempt,
                    outcome,
                    testimony: Box::default(),
                },
            ));
        }
        let name = format!("{which} never started");
        events.push((name, Event::NeverStarted { at: NOW, attempt }));
    }
    events.push(("cancel".to_owned(), Event::Cancel { at: NOW }));
    events.push(("release".to_owned(), Event::Release { at: NOW }));
    events.push(("clock set".to_owned(), Event::ClockSet { at: NOW }));
    events.push(("deadline".to_owned(), Event::Deadline { at: NOW }));
    for (name, delay) in [("now", 0), ("in 2 s", 2)] {
        let delay = Duration::from_secs(delay);
        events.push((format!("retry {name}"), Event::Retry { at: NOW, delay }));
    }
    events
}

fn run(state: State, budget: Budget, has_hook: bool) -> Run {
    let mut policy = Policy {
        budget,
        ..Policy::default()
    };
    policy.backoff.jitter = 0.0;
    let attempts = match state {
        State::Waiting { .. } | State::Held => 1,
        _ => 2,
    };
    Run {
        state,
        attempts,
        failures: 1,
        snoozes: 0,
        deadline_at: None,
        policy,
        seed: 7,
        has_hook,
    }
}

#[test]
fn the_table_of_next_is_the_golden_one() {
    let budgets = [
        ("retries left", Budget::Failures(4), None),
        ("last attempt", Budget::Failures(1), None),
        ("for ever", Budget::Forever, None),
        ("at its deadline", Budget::Failures(4), Some(NOW)),
    ];
    let mut table = String::from(
        "# What the state machine answers: every state, every event. Times count from now, in\n\
         # milliseconds; the run has made one charged failure, and its second attempt is or was\n\
         # the last. A line is: budget, hook | state | event -> answer.\n",
    );
    for (budget_name, budget, deadline_at) in budgets {
        for has_hook in [false, true] {
            let hook = if has_hook { "hook" } else { "no hook" };
            for (state_name, state) in states() {
                for (event_name, event) in events() {
                    let run = Run {
                        deadline_at,
                        ..run(state.clone(), budget, has_hook)
                    };
                    let answer = next(&run, &event);
                    let answer = answer.map_or_else(|refusal| words(refusal).to_owned(), line);
                    table += &format!(
                        "{budget_name}, {hook} | {state_name} | {event_name} -> {answer}\n"
                    );
                }
            }
        }
    }
    assert_generated("tests/golden/machine.txt", table.as_bytes());
}

fn words(refusal: Refusal) -> &'static str {
    match refusal {
        Refusal::Stale => "refused: stale",
        Refusal::NotDue => "refused: not due",
        Refusal::AlreadyCanceled => "refused: already canceled",
        Refusal::AlreadyEnded => "refused: already ended",
        Refusal::PastDeadline => "refused: past the deadline",
        Refusal::Closing => "refused: closing",
    }
}

fn line(transition: Transition) -> String {
    let state = match transition.state {
        State::Waiting { due, delay_ms } => {
            let wait = due.millis() - NOW.millis();
            format!("waiting, due in {wait}, delay {delay_ms:?}")
        }
        State::Held => "held".to_owned(),
        State::Running { attempt } => format!("running attempt {attempt}"),
        State::Succeeded => "succeeded".to_owned(),
        State::Failed { reason } => format!("failed ({})", reason.word()),
        State::Canceled { open: Some(open) } => format!("canceled, attempt {open} open"),
        State::Canceled { open: None } => "canceled".to_owned(),
    };
    let attempt = match transition.attempt {
        AttemptChange::None => String::new(),
        AttemptChange::Open(attempt) => format!("; open {attempt}"),
        AttemptChange::Close {
            attempt,
            outcome,
            retry_delay_ms,
        } => format!("; close {attempt} as {outcome}, then {retry_delay_ms:?}"),
        AttemptChange::Forget(attempt) => format!("; forget {attempt}"),
    };
    let hook = match transition.hook {
        HookChange::None => "",
        HookChange::Enqueue => "; enqueue the hook",
        HookChange::EnqueueHeld => "; enqueue the hook, held",
        HookChange::Release => "; release the hook",
    };
    let (failures, note) = (transition.failures, transition.note);
    let why = transition
        .why
        .map_or(String::new(), |why| match why.wait_by {
            Some(wait_by) => format!(" by {}, wait by {}", why.by, wait_by.word()),
            None => format!(" by {}", why.by),
        });
    format!("{state}; {failures} failures{attempt}{hook}; {note:?}{why}")
}

/// The run after `transition`, as the store would write it.
fn after(run: &Run, transition: &Transition) -> Run {
    let attempts = match transition.attempt {
        AttemptChange::Open(attempt) => attempt.0,
        AttemptChange::Forget(attempt) => attempt.0 - 1,
        AttemptChange::None | AttemptChange::Close { .. } => run.attempts,
    };
    Run {
        state: transition.state.clone(),
        attempts,
        failures: transition.failures,
        snoozes: transition.snoozes,
        deadline_at: transition.deadline_at,
        ..run.clone()
    }
}

fn any_outcome() -> impl Strategy<Value = Outcome> {
    prop::sample::select(outcomes())
}

fn any_event() -> impl Strategy<Value = Event> {
    let at = (0i64..200_000_000).prop_map(Timestamp::from_millis);
    let attempt = (1u32..8).prop_map(AttemptNumber);
    prop_oneof![
        4 => at.clone().prop_map(|at| Event::Start { at }),
        4 => (at.clone(), attempt.clone(), any_outcome()).prop_map(|(at, attempt, outcome)| {
            Event::Ended { at, attempt, outcome, testimony: Box::default() }
        }),
        1 => (at.clone(), attempt).prop_map(|(at, attempt)| Event::NeverStarted { at, attempt }),
        1 => at.clone().prop_map(|at| Event::Cancel { at }),
        1 => at.clone().prop_map(|at| Event::Release { at }),
        1 => at.clone().prop_map(|at| Event::ClockSet { at }),
        1 => at.clone().prop_map(|at| Event::Deadline { at }),
        1 => (at, 0u64..1_000).prop_map(|(at, seconds)| Event::Retry {
            at,
            delay: Duration::from_secs(seconds),
        }),
    ]
}

fn any_new_run() -> impl Strategy<Value = Run> {
    let budget = prop_oneof![(0u32..4).prop_map(Budget::Failures), Just(Budget::Forever)];
    let deadline = prop::option::of((0u64..200_000_000).prop_map(Duration::from_millis));
    let flags = (any::<bool>(), any::<bool>());
    (budget, deadline, any::<u64>(), flags).prop_map(|(budget, deadline, seed, (hook, held))| {
        let mut new = run(State::Held, budget, hook);
        new.policy.deadline = deadline;
        new.deadline_at = deadline.map(|limit| Timestamp::from_millis(0).plus(limit));
        if !held {
            new.state = State::Waiting {
                due: Timestamp::from_millis(0),
                delay_ms: Some(0),
            };
        }
        Run {
            attempts: 0,
            failures: 0,
            seed,
            ..new
        }
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    /// Final states absorb all but a retry by hand, attempts never pass the budget, a claim comes
    /// only out of waiting and before the deadline, nothing starts after a cancel, stale events
    /// are ignored, hooks are enqueued once for each ending.
    #[test]
    fn no_sequence_of_events_breaks_the_rules(
        new in any_new_run(),
        events in prop::collection::vec(any_event(), 0..60),
    ) {
        let mut run = new;
        let mut hooks = 0;
        let mut opened = BTreeSet::new();
        for event in events {
            let Ok(transition) = next(&run, &event) else { continue };
            let then = after(&run, &transition);
            if run.state.is_final() {
                let canceled = matches!(
                    (&run.state, &then.state),
                    (State::Canceled { open: Some(_) }, State::Canceled { open: None })
                );
                let retried = matches!(event, Event::Retry { .. })
                    && matches!(run.state, State::Failed { .. } | State::Canceled { open: None })
                    && matches!(then.state, State::Waiting { .. });
                prop_assert!(canceled || retried, "{:?} left by {:?}", run.state, event);
                if retried {
                    prop_assert_eq!((then.failures, then.snoozes, then.attempts), (0, 0, run.attempts));
                    hooks = 0;
                }
            }
            if let AttemptChange::Open(attempt) = transition.attempt {
                let due = matches!(&run.state, State::Waiting { due, .. }
                    if matches!(event, Event::Start { at } if *due <= at && !run.is_past(at)));
                prop_assert!(due, "claimed out of {:?}", run.state);
                prop_assert_eq!(attempt.0, run.attempts + 1, "attempts have a gap");
                opened.insert(attempt);
            }
            if let AttemptChange::Close { attempt, .. } = transition.attempt {
                prop_assert_eq!(run.state.open_attempt(), Some(attempt));
            }
            if let Budget::Failures(max) = run.policy.budget {
                prop_assert!(then.failures <= max + 1, "charged beyond the budget");
                prop_assert!(then.state.is_final() || then.failures <= max);
            }
            let enqueued = matches!(
                transition.hook,
                HookChange::Enqueue | HookChange::EnqueueHeld
            );
            hooks += u32::from(enqueued);
            let ends = !run.state.is_final() && then.state.is_final();
            prop_assert_eq!(enqueued, ends && run.has_hook);
            prop_assert!(hooks <= 1, "two hooks for one ending");
            run = then;
        }
    }

    /// Twice the same event is once: the second time it is refused, or it finds the run due for
    /// the very thing once more, which only a retry to a later time does, with the same answer.
    #[test]
    fn twice_is_once(new in any_new_run(), events in prop::collection::vec(any_event(), 0..40)) {
        let mut run = new;
        for event in events {
            let Ok(transition) = next(&run, &event) else { continue };
            run = after(&run, &transition);
            match next(&run, &event) {
                Ok(again) if matches!(event, Event::Retry { .. }) => {
                    prop_assert_eq!(&again.state, &run.state);
                }
                again => prop_assert!(again.is_err(), "{event:?} twice: {again:?}"),
            }
        }
    }

    /// Any fair sequence ends: claims when due, failures each time.
    #[test]
    fn a_run_that_always_fails_ends_after_its_budget(max in 0u32..20, seed in any::<u64>()) {
        let mut run = run(State::Waiting { due: NOW, delay_ms: Some(0) }, Budget::Failures(max), false);
        run = Run { attempts: 0, failures: 0, seed, ..run };
        let mut at = NOW;
        while !run.state.is_final() {
            if let State::Waiting { due, .. } = run.state {
                at = due;
            }
            run = after(&run, &next(&run, &Event::Start { at }).expect("it is due"));
            let attempt = run.state.open_attempt().expect("it was claimed");
            let outcome = Outcome::Exit { code: 1 };
            let ended = next(&run, &Event::Ended {
                at, attempt, outcome, testimony: Box::default(),
            });
            run = after(&run, &ended.expect("it was open"));
        }
        prop_assert_eq!(run.attempts, max + 1);
        prop_assert_eq!(run.state, State::Failed { reason: Reason::Exhausted });
    }

    /// The same run and the same end give the same due time, before and after a crash, and the
    /// delay keeps its bounds for any policy.
    #[test]
    fn delays_keep_their_bounds_for_any_policy(
        initial in 0u64..u64::MAX / 2_000_000,
        base in prop_oneof![1.0f64..10.0, Just(1e9), Just(f64::MAX)],
        constant in 0u64..1_000_000,
        linear in 0u64..1_000_000,
        max in 0u64..10_000_000_000,
        jitter in 0.0f64..=1.0,
        n in prop_oneof![1u32..100, any::<u32>()],
        seed in any::<u64>(),
    ) {
        let mut policy = Policy::default();
        policy.backoff.initial = Duration::from_millis(initial);
        policy.backoff.base = base;
        policy.backoff.constant = Duration::from_millis(constant);
        policy.backoff.linear = Duration::from_millis(linear);
        policy.backoff.max = Duration::from_millis(max);
        policy.backoff.jitter = jitter;
        let delay = policy.backoff.delay(n, seed);
        prop_assert_eq!(delay, policy.backoff.delay(n, seed));
        prop_assert!(delay <= policy.backoff.max);
        let ms = delay.as_millis() as f64;
        let nominal = policy.backoff.nominal_ms(n);
        prop_assert!(ms >= (nominal * (1.0 - jitter)).floor());
        if jitter > 0.0 && nominal >= 1.0 {
            prop_assert!(ms < nominal * (1.0 + jitter) + 0.5);
        }
    }
}
