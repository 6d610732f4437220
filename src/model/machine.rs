//! The state machine: every change of a run's state is an answer of [`next`].
//!
//! ```text
//!             submit ──▶ waiting(due) ──claim──▶ running(attempt) ──▶ succeeded
//!                           ▲   │                    │      │
//!              retry: due ──┘   └──────cancel────────┤      └──▶ failed(reason)
//!                                                    └──▶ canceled
//! ```
//!
//! It knows neither clock nor randomness nor database: time comes with the event and jitter from
//! the run's seed, so that the normal path and recovery after a crash get the same answer.

use std::time::Duration;

use super::outcome::Outcome;
use super::policy::{By, Cost, Judgement, Testimony, Why, judge};
use super::run::{AttemptNumber, Reason, Run, State};
use super::time::{Timestamp, millis_of};
use super::transition::{AttemptChange, Event, HookChange, Note, Refusal, Transition};

/// The answer of the state machine to `event`: what to write, or why nothing changes.
///
/// A final state is left by a retry by hand alone. Twice the same event is once.
pub fn next(run: &Run, event: &Event) -> Result<Transition, Refusal> {
    match event {
        Event::Start { at } => start(run, *at),
        Event::Ended {
            at,
            attempt,
            outcome,
            testimony,
        } => ended(run, *at, *attempt, (outcome, testimony)),
        Event::NeverStarted { at, attempt } => never_started(run, *at, *attempt),
        Event::Cancel { at: _ } => cancel(run),
        Event::Release { at } => release(run, *at),
        Event::ClockSet { at } => clock_set(run, *at),
        Event::Deadline { at } => deadline(run, *at),
        Event::Retry { at, delay } => retry(run, *at, *delay),
    }
}

fn start(run: &Run, at: Timestamp) -> Result<Transition, Refusal> {
    match &run.state {
        State::Waiting { due, .. } if *due > at => Err(Refusal::NotDue),
        State::Waiting { .. } if run.is_past(at) => Err(Refusal::PastDeadline),
        State::Waiting { .. } => {
            let attempt = AttemptNumber(run.attempts + 1);
            Ok(Transition {
                attempt: AttemptChange::Open(attempt),
                ..Transition::of(run, State::Running { attempt }, Note::Started)
            })
        }
        State::Held | State::Running { .. } => Err(Refusal::Stale),
        State::Succeeded | State::Failed { .. } => Err(Refusal::AlreadyEnded),
        State::Canceled { .. } => Err(Refusal::AlreadyCanceled),
    }
}

fn ended(
    run: &Run,
    at: Timestamp,
    attempt: AttemptNumber,
    seen: (&Outcome, &Testimony),
) -> Result<Transition, Refusal> {
    match &run.state {
        State::Running { attempt: open } if *open == attempt => Ok(settle(run, at, attempt, seen)),
        State::Canceled { open: Some(open) } if *open == attempt => Ok(close(run, attempt, seen.0)),
        State::Waiting { .. }
        | State::Held
        | State::Running { .. }
        | State::Succeeded
        | State::Failed { .. }
        | State::Canceled { .. } => Err(Refusal::Stale),
    }
}

/// The end of a running attempt: the run ends with it, or waits for its next one.
fn settle(
    run: &Run,
    at: Timestamp,
    attempt: AttemptNumber,
    (outcome, testimony): (&Outcome, &Testimony),
) -> Transition {
    let close = |retry_delay_ms| AttemptChange::Close {
        attempt,
        outcome: outcome.clone(),
        retry_delay_ms,
    };
    match judge(run, at, outcome, testimony) {
        Judgement::Succeed => Transition {
            attempt: close(None),
            hook: hook(run, HookChange::Enqueue),
            ..Transition::of(run, State::Succeeded, Note::Succeeded)
        },
        Judgement::Fail { reason, why } => Transition {
            failures: run
                .failures
                .saturating_add(u32::from(*outcome != Outcome::Interrupted)),
            attempt: close(None),
            hook: hook(run, HookChange::Enqueue),
            why: Some(why),
            ..Transition::of(run, State::Failed { reason }, Note::Failed)
        },
        Judgement::GoOn {
            due,
            delay_ms,
            cost,
            why,
        } => {
            let note = match cost {
                Cost::Failure if *outcome == Outcome::Lost => Note::Lost,
                Cost::Failure => Note::AttemptFailed,
                Cost::Snooze => Note::Snoozed,
                Cost::Nothing => Note::Interrupted,
            };
            let charged = |kind| u32::from(cost == kind);
            Transition {
                failures: run.failures.saturating_add(charged(Cost::Failure)),
                snoozes: run.snoozes.saturating_add(charged(Cost::Snooze)),
                attempt: close(delay_ms.or(Some(millis_of(due.since(at))))),
                why: Some(why),
                ..Transition::of(run, State::Waiting { due, delay_ms }, note)
            }
        }
    }
}

/// The end of a canceled run's attempt: the run stays canceled, whatever the attempt did.
fn close(run: &Run, attempt: AttemptNumber, outcome: &Outcome) -> Transition {
    // A shim that a later daemon took over is told to end the tree by SIGTERM, and cannot know
    // that the reason was a cancel.
    let outcome = match outcome {
        Outcome::Interrupted => Outcome::Canceled,
        other => other.clone(),
    };
    Transition {
        attempt: AttemptChange::Close {
            attempt,
            outcome,
            retry_delay_ms: None,
        },
        hook: hook(run, HookChange::Release),
        ..Transition::of(run, State::Canceled { open: None }, Note::AttemptClosed)
    }
}

fn never_started(run: &Run, at: Timestamp, attempt: AttemptNumber) -> Result<Transition, Refusal> {
    match &run.state {
        State::Running { attempt: open } if *open == attempt => Ok(Transition {
            attempt: AttemptChange::Forget(attempt),
            ..Transition::of(run, due_after(at, Duration::ZERO), Note::NeverStarted)
        }),
        State::Canceled { open: Some(open) } if *open == attempt => Ok(Transition {
            attempt: AttemptChange::Forget(attempt),
            hook: hook(run, HookChange::Release),
            ..Transition::of(run, State::Canceled { open: None }, Note::NeverStarted)
        }),
        State::Waiting { .. }
        | State::Held
        | State::Running { .. }
        | State::Succeeded
        | State::Failed { .. }
        | State::Canceled { .. } => Err(Refusal::Stale),
    }
}

fn cancel(run: &Run) -> Result<Transition, Refusal> {
    let (open, change) = match &run.state {
        State::Waiting { .. } | State::Held => (None, HookChange::Enqueue),
        State::Running { attempt } => (Some(*attempt), HookChange::EnqueueHeld),
        State::Succeeded | State::Failed { .. } => return Err(Refusal::AlreadyEnded),
        State::Canceled { .. } => return Err(Refusal::AlreadyCanceled),
    };
    Ok(Transition {
        hook: hook(run, change),
        ..Transition::of(run, State::Canceled { open }, Note::Canceled)
    })
}

fn release(run: &Run, at: Timestamp) -> Result<Transition, Refusal> {
    match &run.state {
        State::Held => Ok(Transition::of(
            run,
            due_after(at, Duration::ZERO),
            Note::Released,
        )),
        State::Waiting { .. }
        | State::Running { .. }
        | State::Succeeded
        | State::Failed { .. }
        | State::Canceled { .. } => Err(Refusal::Stale),
    }
}

/// After a backward jump nothing waits longer than the delay that was planned for it.
fn clock_set(run: &Run, at: Timestamp) -> Result<Transition, Refusal> {
    match &run.state {
        State::Waiting {
            due,
            delay_ms: Some(delay_ms),
        } if due.millis() > at.millis().saturating_add(*delay_ms) => {
            let state = State::Waiting {
                due: Timestamp::from_millis(at.millis().saturating_add(*delay_ms)),
                delay_ms: Some(*delay_ms),
            };
            Ok(Transition::of(run, state, Note::Rescheduled))
        }
        State::Waiting { .. }
        | State::Held
        | State::Running { .. }
        | State::Succeeded
        | State::Failed { .. }
        | State::Canceled { .. } => Err(Refusal::Stale),
    }
}

/// A waiting run ends with its deadline. A running one is ended by its shim, which says so.
fn deadline(run: &Run, at: Timestamp) -> Result<Transition, Refusal> {
    match &run.state {
        State::Waiting { .. } if run.is_past(at) => {
            let reason = Reason::Deadline;
            Ok(Transition {
                hook: hook(run, HookChange::Enqueue),
                why: Some(Why {
                    by: By::Deadline,
                    wait_by: None,
                }),
                ..Transition::of(run, State::Failed { reason }, Note::Failed)
            })
        }
        State::Waiting { .. }
        | State::Held
        | State::Running { .. }
        | State::Succeeded
        | State::Failed { .. }
        | State::Canceled { .. } => Err(Refusal::Stale),
    }
}

/// A retry by hand: of a run that has not done its work it starts budget and deadline anew, of one
/// that waits for a later time it changes that time alone.
fn retry(run: &Run, at: Timestamp, delay: Duration) -> Result<Transition, Refusal> {
    let state = due_after(at, delay);
    let due = at.plus(delay);
    match &run.state {
        State::Failed { .. } | State::Canceled { open: None } => {
            let deadline_at = run.policy.deadline.map(|limit| at.plus(limit));
            let again = Run {
                deadline_at,
                failures: 0,
                snoozes: 0,
                ..run.clone()
            };
            if again.is_past(due) {
                return Err(Refusal::PastDeadline);
            }
            Ok(Transition::of(&again, state, Note::Retried))
        }
        State::Waiting { due: planned, .. } if *planned > at => {
            if run.is_past(due) {
                return Err(Refusal::PastDeadline);
            }
            Ok(Transition::of(run, state, Note::Retried))
        }
        State::Canceled { open: Some(_) } => Err(Refusal::Closing),
        State::Waiting { .. } | State::Held | State::Running { .. } => Err(Refusal::Stale),
        State::Succeeded => Err(Refusal::AlreadyEnded),
    }
}

fn due_after(at: Timestamp, delay: Duration) -> State {
    State::Waiting {
        due: at.plus(delay),
        delay_ms: Some(millis_of(delay)),
    }
}

fn hook(run: &Run, change: HookChange) -> HookChange {
    if run.has_hook {
        change
    } else {
        HookChange::None
    }
}
