//! What chance has people ask for, and commands do.

use std::time::Duration;

use fastrand::Rng;
use retrier::model::policy::{Condition, Conditions, Decision, Rules, Verdict, When};
use retrier::model::{Backoff, Budget, Outcome, Policy, Pool, Rate, State, Testimony, Timestamp};

use super::base::{HOOKS, Row, stored};

/// One for hooks, one with few slots, one with a rate, one that opens after failures.
pub fn pools(rng: &mut Rng) -> Vec<Pool> {
    let pool = |name: &str, parallel, seed| Pool {
        parallel,
        ..Pool::new(name, seed)
    };
    let rated = Rate {
        starts: 10,
        per: Duration::from_secs(3),
        burst: 3,
    };
    vec![
        pool("hooks", 10, rng.u64(..)),
        pool("narrow", 2, rng.u64(..)),
        Pool {
            rate: Some(rated),
            ..pool("rated", 50, rng.u64(..))
        },
        Pool {
            breaker: Some(3),
            ..pool("breaking", 5, rng.u64(..))
        },
    ]
}

/// Sets something else of a pool.
pub fn change(rng: &mut Rng, pool: &mut Pool) {
    match rng.u8(..4) {
        0 => pool.parallel = rng.u32(..6),
        1 => pool.paused = !pool.paused,
        2 => {
            pool.rate = rng.bool().then(|| Rate {
                starts: rng.u32(1..100),
                per: Duration::from_millis(rng.u64(1..100_000)),
                burst: rng.u32(1..6),
            });
        }
        _ => pool.breaker = rng.bool().then(|| rng.u32(1..6)),
    }
    // Most of the time there is something to do.
    if rng.bool() {
        pool.paused = false;
        pool.parallel = pool.parallel.max(2);
    }
}

/// A run that is stored now.
pub fn row(rng: &mut Rng, now: Timestamp) -> Row {
    let delay = if rng.u8(..4) == 0 {
        Duration::from_millis(rng.u64(..600_000))
    } else {
        Duration::ZERO
    };
    let state = State::Waiting {
        due: now.plus(delay),
        delay_ms: (rng.u8(..8) > 0).then_some(delay.as_millis() as i64),
    };
    let policy = policy(rng);
    let mut run = stored(state, policy, rng.u64(..));
    run.deadline_at = run.policy.deadline.map(|limit| now.plus(limit));
    run.has_hook = rng.u8(..5) < 2;
    Row {
        lock: (rng.u8(..4) == 0).then(|| rng.u8(..3)),
        ..Row::new(run, rng.usize(HOOKS + 1..4))
    }
}

fn policy(rng: &mut Rng) -> Policy {
    let budget = match rng.u8(..10) {
        0 => Budget::Forever,
        _ => Budget::Failures(rng.u32(..5)),
    };
    let mut ms = |most| Duration::from_millis(rng.u64(..most));
    let backoff = Backoff {
        constant: ms(2_000),
        linear: ms(500),
        initial: ms(5_000),
        max: ms(1_000_000),
        delays: Vec::new(),
        ..Backoff::default()
    };
    let backoff = Backoff {
        base: 1.0 + 4.0 * rng.f64(),
        jitter: rng.f64(),
        delays: (0..rng.usize(..4).saturating_sub(1))
            .map(|_| Duration::from_millis(rng.u64(..100_000)))
            .collect(),
        ..backoff
    };
    let codes = |from| Conditions(vec![Condition::Exit { from, to: from }]);
    Policy {
        budget,
        backoff,
        deadline: (rng.u8(..5) == 0).then(|| Duration::from_millis(rng.u64(1..3_600_000))),
        rules: Rules {
            stop_on: if rng.u8(..8) == 0 {
                codes(2)
            } else {
                Conditions::default()
            },
            retry_on: (rng.u8(..8) == 0).then(|| codes(1)),
            ..Rules::default()
        },
        ..Policy::default()
    }
}

/// How a command ends at `now`, and what is said of it.
pub fn end(rng: &mut Rng, now: Timestamp) -> (Outcome, Testimony) {
    let outcome = match rng.u8(..20) {
        0..8 => Outcome::Exit { code: 0 },
        8..15 => Outcome::Exit { code: rng.u8(1..4) },
        15 => Outcome::Signal {
            signal: 9,
            core: false,
        },
        16 => Outcome::Timeout,
        17 => Outcome::Lost,
        18 => Outcome::Interrupted,
        _ => Outcome::Spawn {
            code: 127,
            error: "x: command not found".to_owned(),
        },
    };
    let mut decided = || (rng.u8(..12) == 0).then(|| decision(rng, now));
    let (command, decider) = (decided(), decided());
    let testimony = Testimony {
        command,
        decider,
        stop_if: rng.u8(..30) == 0,
        retry_after: (rng.u8(..15) == 0).then(|| when(rng, now)),
        ..Testimony::default()
    };
    (outcome, testimony)
}

fn decision(rng: &mut Rng, now: Timestamp) -> Decision {
    let verdict = match rng.u8(..4) {
        0 => None,
        1 => Some(Verdict::Stop),
        2 => Some(Verdict::Retry),
        _ => Some(Verdict::Snooze {
            delay_ms: rng.i64(..60_000).max(0),
        }),
    };
    let snoozes = matches!(verdict, Some(Verdict::Snooze { .. } | Verdict::Stop));
    Decision {
        verdict,
        when: (!snoozes && rng.bool()).then(|| when(rng, now)),
    }
}

fn when(rng: &mut Rng, now: Timestamp) -> When {
    let ms = rng.i64(0..100_000);
    if rng.bool() {
        When::After(ms)
    } else {
        // It may have passed.
        When::At(Timestamp::from_millis(now.millis() + ms - 20_000))
    }
}
