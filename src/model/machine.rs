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
use super::run::{AttemptNumber, Reason, Run, State};
use super::time::{Timestamp, millis_of};
use super::transition::{AttemptChange, Event, HookChange, Note, Refusal, Transition};

/// The answer of the state machine to `event`: what to write, or why nothing changes.
///
/// A final state is left by no event. Twice the same event is once.
pub fn next(run: &Run, event: &Event) -> Result<Transition, Refusal> {
    match event {
        Event::Start { at } => start(run, *at),
        Event::Ended {
            at,
            attempt,
            outcome,
        } => ended(run, *at, *attempt, outcome),
        Event::NeverStarted { at, attempt } => never_started(run, *at, *attempt),
        Event::Cancel { at: _ } => cancel(run),
        Event::Release { at } => release(run, *at),
        Event::ClockSet { at } => clock_set(run, *at),
    }
}

fn start(run: &Run, at: Timestamp) -> Result<Transition, Refusal> {
    match &run.state {
        State::Waiting { due, .. } if *due > at => Err(Refusal::NotDue),
        State::Waiting { .. } => {
            let attempt = AttemptNumber(run.attempts + 1);
            Ok(Transition {
                state: State::Running { attempt },
                failures: run.failures,
                attempt: AttemptChange::Open(attempt),
                hook: HookChange::None,
                note: Note::Started,
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
    outcome: &Outcome,
) -> Result<Transition, Refusal> {
    match &run.state {
        State::Running { attempt: open } if *open == attempt => {
            Ok(settle(run, at, attempt, outcome))
        }
        State::Canceled { open: Some(open) } if *open == attempt => {
            Ok(close(run, attempt, outcome))
        }
        State::Waiting { .. }
        | State::Held
        | State::Running { .. }
        | State::Succeeded
        | State::Failed { .. }
        | State::Canceled { .. } => Err(Refusal::Stale),
    }
}

/// The end of a running attempt: the run ends with it, or waits for its retry.
fn settle(run: &Run, at: Timestamp, attempt: AttemptNumber, outcome: &Outcome) -> Transition {
    match outcome {
        Outcome::Exit { code: 0 } => finish(run, attempt, outcome, run.failures, Ending::Succeeded),
        Outcome::Interrupted => interrupt(run, at, attempt),
        Outcome::Deadline => {
            let reason = Reason::Deadline;
            finish(
                run,
                attempt,
                outcome,
                run.failures.saturating_add(1),
                Ending::Failed(reason),
            )
        }
        // A canceled outcome without a canceled run would be an attempt that was ended by
        // mistake: it did not do its work, so it counts as any failure does.
        Outcome::Exit { .. }
        | Outcome::Signal { .. }
        | Outcome::Timeout
        | Outcome::Canceled
        | Outcome::Spawn { .. }
        | Outcome::Lost => charge(run, at, attempt, outcome),
    }
}

/// After an interruption the run rests for so long: nothing is charged, and a command that has its
/// own shim stopped must not be started again and again without a pause.
const INTERRUPTED_REST: Duration = Duration::from_secs(1);

/// An attempt that was cut short on purpose: it is not charged, and made again.
fn interrupt(run: &Run, at: Timestamp, attempt: AttemptNumber) -> Transition {
    let delay_ms = Some(millis_of(INTERRUPTED_REST));
    Transition {
        state: State::Waiting {
            due: at.plus(INTERRUPTED_REST),
            delay_ms,
        },
        failures: run.failures,
        attempt: AttemptChange::Close {
            attempt,
            outcome: Outcome::Interrupted,
            retry_delay_ms: delay_ms,
        },
        hook: HookChange::None,
        note: Note::Interrupted,
    }
}

/// A failure that is charged: retried while the budget allows it.
fn charge(run: &Run, at: Timestamp, attempt: AttemptNumber, outcome: &Outcome) -> Transition {
    let failures = run.failures.saturating_add(1);
    if !run.policy.budget.allows(failures) {
        let reason = Reason::Exhausted;
        return finish(run, attempt, outcome, failures, Ending::Failed(reason));
    }
    let delay = run.policy.backoff.delay(failures, run.seed);
    let delay_ms = Some(millis_of(delay));
    Transition {
        state: State::Waiting {
            due: at.plus(delay),
            delay_ms,
        },
        failures,
        attempt: AttemptChange::Close {
            attempt,
            outcome: outcome.clone(),
            retry_delay_ms: delay_ms,
        },
        hook: HookChange::None,
        note: Note::AttemptFailed,
    }
}

/// The ways in which an attempt can end its run.
enum Ending {
    Succeeded,
    Failed(Reason),
}

/// The end of the run together with its attempt.
fn finish(
    run: &Run,
    attempt: AttemptNumber,
    outcome: &Outcome,
    failures: u32,
    ending: Ending,
) -> Transition {
    let (state, note) = match ending {
        Ending::Succeeded => (State::Succeeded, Note::Succeeded),
        Ending::Failed(reason) => (State::Failed { reason }, Note::Failed),
    };
    Transition {
        state,
        note,
        failures,
        attempt: AttemptChange::Close {
            attempt,
            outcome: outcome.clone(),
            retry_delay_ms: None,
        },
        hook: hook(run, HookChange::Enqueue),
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
        state: State::Canceled { open: None },
        failures: run.failures,
        attempt: AttemptChange::Close {
            attempt,
            outcome,
            retry_delay_ms: None,
        },
        hook: hook(run, HookChange::Release),
        note: Note::AttemptClosed,
    }
}

fn never_started(run: &Run, at: Timestamp, attempt: AttemptNumber) -> Result<Transition, Refusal> {
    match &run.state {
        State::Running { attempt: open } if *open == attempt => Ok(Transition {
            state: State::Waiting {
                due: at,
                delay_ms: Some(0),
            },
            failures: run.failures,
            attempt: AttemptChange::Forget(attempt),
            hook: HookChange::None,
            note: Note::NeverStarted,
        }),
        State::Canceled { open: Some(open) } if *open == attempt => Ok(Transition {
            state: State::Canceled { open: None },
            failures: run.failures,
            attempt: AttemptChange::Forget(attempt),
            hook: hook(run, HookChange::Release),
            note: Note::NeverStarted,
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
        state: State::Canceled { open },
        failures: run.failures,
        attempt: AttemptChange::None,
        hook: hook(run, change),
        note: Note::Canceled,
    })
}

fn release(run: &Run, at: Timestamp) -> Result<Transition, Refusal> {
    match &run.state {
        State::Held => Ok(Transition {
            state: State::Waiting {
                due: at,
                delay_ms: Some(0),
            },
            failures: run.failures,
            attempt: AttemptChange::None,
            hook: HookChange::None,
            note: Note::Released,
        }),
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
        } if due.millis() > at.millis().saturating_add(*delay_ms) => Ok(Transition {
            state: State::Waiting {
                due: Timestamp::from_millis(at.millis().saturating_add(*delay_ms)),
                delay_ms: Some(*delay_ms),
            },
            failures: run.failures,
            attempt: AttemptChange::None,
            hook: HookChange::None,
            note: Note::Rescheduled,
        }),
        State::Waiting { .. }
        | State::Held
        | State::Running { .. }
        | State::Succeeded
        | State::Failed { .. }
        | State::Canceled { .. } => Err(Refusal::Stale),
    }
}

fn hook(run: &Run, change: HookChange) -> HookChange {
    if run.has_hook {
        change
    } else {
        HookChange::None
    }
}
