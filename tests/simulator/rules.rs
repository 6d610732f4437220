//! What must hold, whatever happens: looked at with each transition, in the words of what is promised.

use std::time::Duration;

use retrier::model::policy::{By, WaitBy};
use retrier::model::{
    AttemptChange, Budget, Event, HookChange, Rate, Run, State, Timestamp, Transition,
};

use super::base::{Base, PoolRow};

/// The rule that does not hold, in words.
pub type Broken = String;

/// More than a decision can give a run beyond its budget.
const BEYOND_MAX: u32 = 1_001;

fn holds(condition: bool, rule: impl FnOnce() -> Broken) -> Result<(), Broken> {
    if condition { Ok(()) } else { Err(rule()) }
}

/// Looks at a transition of run `n` before it is written.
pub fn transition(
    base: &mut Base,
    n: usize,
    event: &Event,
    (transition, at): (&Transition, Timestamp),
) -> Result<(), Broken> {
    let before = base.rows[n].run.clone();
    final_is_final(&before, event, transition)?;
    one_hook_per_ending(&before, transition)?;
    if let AttemptChange::Open(attempt) = transition.attempt {
        holds(attempt.0 == before.attempts + 1, || {
            format!("attempt {attempt} after {} of run {n}", before.attempts)
        })?;
        start(base, n, at)?;
    }
    if let AttemptChange::Close { attempt, .. } | AttemptChange::Forget(attempt) =
        &transition.attempt
    {
        holds(before.state.open_attempt() == Some(*attempt), || {
            format!("attempt {attempt} of run {n} ends, and is not open")
        })?;
    }
    let by = transition.why.map(|why| why.by);
    base.rows[n].exceeded |= matches!(by, Some(By::Command | By::Decider));
    if matches!(event, Event::Retry { .. }) && before.state.is_final() {
        base.rows[n].exceeded = false;
    }
    waits(&before, event, transition)
}

/// Looks at run `n` after a transition was written.
pub fn row(base: &Base, n: usize) -> Result<(), Broken> {
    let row = &base.rows[n];
    let run = &row.run;
    let hooks = if run.has_hook { row.endings } else { 0 };
    holds(row.hooks == hooks, || {
        format!(
            "run {n} has {} hooks for {} endings",
            row.hooks, row.endings
        )
    })?;
    holds(
        row.open_in.is_some() == run.state.open_attempt().is_some(),
        || {
            format!(
                "run {n} is {:?}, and its slot is {:?}",
                run.state, row.open_in
            )
        },
    )?;
    if let Some(open) = run.state.open_attempt() {
        holds(open.0 == run.attempts, || {
            format!("attempt {open} of run {n} is not the last")
        })?;
    }
    if let Budget::Failures(max) = run.policy.budget {
        let beyond = if row.exceeded { BEYOND_MAX } else { 0 };
        let last = u32::from(run.state.is_final());
        holds(run.failures <= max + last + beyond, || {
            format!("run {n} has {} failures of {max}", run.failures)
        })?;
    }
    let Some(parent) = row.parent else {
        return Ok(());
    };
    let state = &base.rows[parent].run.state;
    let closing = matches!(state, State::Canceled { open: Some(_) });
    let started = run.state.open_attempt().is_some();
    holds(
        !(started && closing && base.rows[parent].hook == Some(n)),
        || format!("hook {n} starts while an attempt of its parent is open"),
    )
}

/// Only a retry by hand leaves a final state; the attempt of a canceled run is closed in it.
fn final_is_final(before: &Run, event: &Event, transition: &Transition) -> Result<(), Broken> {
    let by_hand = matches!(event, Event::Retry { .. }) && before.state != State::Succeeded;
    let closes = matches!(
        (&before.state, &transition.state),
        (
            State::Canceled { open: Some(_) },
            State::Canceled { open: None }
        )
    );
    holds(!before.state.is_final() || by_hand || closes, || {
        format!("{:?} becomes {:?}", before.state, transition.state)
    })
}

fn one_hook_per_ending(before: &Run, transition: &Transition) -> Result<(), Broken> {
    let ends = !before.state.is_final() && transition.state.is_final();
    let enqueues = matches!(
        transition.hook,
        HookChange::Enqueue | HookChange::EnqueueHeld
    );
    holds(enqueues == (ends && before.has_hook), || {
        format!("{:?} with {:?}", transition.state, transition.hook)
    })
}

/// No wait is negative or longer than the longest, and none reaches the deadline.
fn waits(before: &Run, event: &Event, transition: &Transition) -> Result<(), Broken> {
    let (Event::Ended { at, .. }, State::Waiting { due, .. }) = (event, &transition.state) else {
        return Ok(());
    };
    let wait = due.millis() - at.millis();
    let max = match transition.why.and_then(|why| why.wait_by) {
        Some(WaitBy::Backoff | WaitBy::RetryAfter) => before.policy.backoff.max,
        Some(WaitBy::Command | WaitBy::Decider) | None => Duration::MAX,
    };
    let max = i64::try_from(max.as_millis()).unwrap_or(i64::MAX);
    holds((0..=max).contains(&wait), || {
        format!("a wait of {wait} ms, of {max} at the most")
    })?;
    let failed = transition.why.is_some_and(|why| why.wait_by.is_some());
    holds(
        transition.failures == before.failures + u32::from(failed),
        || {
            format!(
                "{} failures after {} and {event:?}",
                transition.failures, before.failures
            )
        },
    )?;
    holds(!before.is_past(*due), || {
        format!("due at {due:?}, behind the deadline")
    })
}

/// Looks at a start of run `n` at `at`.
fn start(base: &Base, n: usize, at: Timestamp) -> Result<(), Broken> {
    let row = &base.rows[n];
    let is_due = matches!(row.run.state, State::Waiting { due, .. } if due <= at);
    holds(is_due, || {
        format!("run {n} starts, and is {:?}", row.run.state)
    })?;
    holds(!row.run.is_past(at), || {
        format!("run {n} starts behind its deadline")
    })?;
    let pool = &base.pools[row.pool];
    let taken = base.occupied(row.pool);
    holds(!pool.pool.paused && taken < pool.pool.parallel, || {
        format!("run {n} starts, and {taken} run in {:?}", pool.pool)
    })?;
    let holder = row.lock.and_then(|lock| base.lock_holder(lock));
    holds(holder.is_none(), || {
        format!("run {n} starts, and {holder:?} has its lock")
    })?;
    holds(!pool.is_open() || pool.probe.is_none(), || {
        format!("run {n} starts in an open pool beside {:?}", pool.probe)
    })?;
    match pool.pool.rate {
        Some(rate) => within_rate(pool, rate, at),
        None => Ok(()),
    }
}

/// In any time before `at` no more have started than a burst and what the time allows.
fn within_rate(pool: &PoolRow, rate: Rate, at: Timestamp) -> Result<(), Broken> {
    let interval_us = rate.per.as_micros().div_ceil(u128::from(rate.starts));
    for (started, since) in (2..).zip(pool.starts.iter().rev()) {
        // A millisecond is the clock's rounding.
        let window_us = at.since(*since).as_micros() + 1_000;
        let allowed = u128::from(rate.burst) + window_us / interval_us;
        holds(started <= allowed, || {
            format!("{started} starts in {window_us} µs at {rate:?}")
        })?;
    }
    Ok(())
}
