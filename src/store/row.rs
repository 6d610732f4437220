//! Between rows and the model's values.

use std::cell::RefCell;

use rusqlite::types::Type;
use rusqlite::{Result, Row};

use crate::model::{AttemptNumber, AttemptRecord, Outcome, Policy, Reason, Run, State, Timestamp};
use crate::sys::identity::ProcessIdentity;

/// The columns that [`run`] reads, in its order.
pub const RUN: &str = "state, reason, open_attempt, attempts, failures, due_at, delay_ms, seed, \
     policy, on_complete IS NOT NULL, snoozes, deadline_at";

/// How many columns [`RUN`] has.
pub const RUN_WIDTH: usize = 12;

/// The run of the columns [`RUN`].
pub fn run(row: &Row<'_>) -> Result<Run> {
    Ok(Run {
        state: state(row)?,
        attempts: row.get(3)?,
        failures: row.get(4)?,
        policy: policy(row.get_ref(8)?.as_str()?).map_err(|error| unreadable(8, error))?,
        seed: row.get::<_, i64>(7)? as u64,
        has_hook: row.get(9)?,
        snoozes: row.get(10)?,
        deadline_at: time(row, 11)?,
    })
}

/// The policy of this text. Most runs have the same as the one before, so that is not read again.
fn policy(text: &str) -> serde_json::Result<Policy> {
    thread_local! {
        static LAST: RefCell<Option<(String, Policy)>> = const { RefCell::new(None) };
    }
    LAST.with_borrow_mut(|last| match last {
        Some((known, policy)) if known == text => Ok(policy.clone()),
        _ => {
            let policy: Policy = serde_json::from_str(text)?;
            *last = Some((text.to_owned(), policy.clone()));
            Ok(policy)
        }
    })
}

fn state(row: &Row<'_>) -> Result<State> {
    let word: String = row.get(0)?;
    let open = row.get::<_, Option<u32>>(2)?.map(AttemptNumber);
    match (word.as_str(), open, time(row, 5)?) {
        ("waiting", None, Some(due)) => Ok(State::Waiting {
            due,
            delay_ms: row.get(6)?,
        }),
        ("waiting", None, None) => Ok(State::Held),
        ("running", Some(attempt), _) => Ok(State::Running { attempt }),
        ("succeeded", None, _) => Ok(State::Succeeded),
        ("failed", None, _) => Ok(State::Failed {
            reason: reason(row)?,
        }),
        ("canceled", open, _) => Ok(State::Canceled { open }),
        _ => Err(unreadable(0, format!("no such state: {word}"))),
    }
}

fn reason(row: &Row<'_>) -> Result<Reason> {
    let word: String = row.get(1)?;
    let known = [Reason::Exhausted, Reason::Stopped, Reason::Deadline];
    let found = known.into_iter().find(|reason| reason.word() == word);
    found.ok_or_else(|| unreadable(1, format!("no such reason: {word}")))
}

/// The word for a state in the column `state`.
pub fn state_word(state: &State) -> &'static str {
    match state {
        State::Waiting { .. } | State::Held => "waiting",
        State::Running { .. } => "running",
        State::Succeeded => "succeeded",
        State::Failed { .. } => "failed",
        State::Canceled { .. } => "canceled",
    }
}

/// The time in column `at`.
pub fn time(row: &Row<'_>, at: usize) -> Result<Option<Timestamp>> {
    Ok(row.get::<_, Option<i64>>(at)?.map(Timestamp::from_millis))
}

/// The outcome in column `at`.
pub fn outcome(row: &Row<'_>, at: usize) -> Result<Option<Outcome>> {
    let text: Option<String> = row.get(at)?;
    text.map(|text| serde_json::from_str(&text).map_err(|error| unreadable(at, error)))
        .transpose()
}

/// The columns that [`attempt`] reads, in its order.
pub const ATTEMPT: &str = "number, started_at, ended_at, pid, outcome, retry_delay_ms";

/// The attempt of the columns [`ATTEMPT`].
pub fn attempt(row: &Row<'_>) -> Result<AttemptRecord> {
    Ok(AttemptRecord {
        number: AttemptNumber(row.get(0)?),
        started_at: Timestamp::from_millis(row.get(1)?),
        ended_at: time(row, 2)?,
        pid: row.get(3)?,
        outcome: outcome(row, 4)?,
        retry_delay_ms: row.get(5)?,
    })
}

/// The columns of a shim's identity that [`identity`] reads.
pub const IDENTITY: &str = "shim_boot, shim_ns, shim_pid, shim_start";

/// The identity in the four columns from `at`.
pub fn identity(row: &Row<'_>, at: usize) -> Result<ProcessIdentity> {
    Ok(ProcessIdentity {
        boot_id: row.get(at)?,
        pid_ns: row.get::<_, i64>(at + 1)? as u64,
        pid: row.get(at + 2)?,
        start: row.get::<_, i64>(at + 3)? as u64,
    })
}

pub(super) fn unreadable(
    column: usize,
    error: impl Into<Box<dyn std::error::Error + Send + Sync>>,
) -> rusqlite::Error {
    rusqlite::Error::FromSqlConversionFailure(column, Type::Text, error.into())
}
