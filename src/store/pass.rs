//! One transaction of writes: answers of the state machine, applied whole and guarded.

use std::path::{Path, PathBuf};

use rusqlite::{Connection, ErrorCode, OptionalExtension, Transaction, params};

use crate::model::{
    AttemptChange, AttemptNumber, HookChange, Note, Outcome, Run, RunId, RunResult, State,
    Timestamp, Transition,
};
use crate::sys::identity::ProcessIdentity;

use super::error::StoreError;
use super::hook;
use super::read::Reader;
use super::row;

/// An open write transaction; dropped without [`Pass::commit`] it changes nothing.
#[derive(Debug)]
pub struct Pass<'s> {
    transaction: Transaction<'s>,
    path: PathBuf,
}

/// What the world adds to a transition.
#[derive(Clone, Copy, Debug)]
pub enum Facts<'a> {
    /// Nothing.
    None,
    /// For a claim: the shim that will run the attempt.
    Claim {
        /// Its file.
        file: &'a str,
        /// Which process it is.
        shim: &'a ProcessIdentity,
    },
    /// For the end of an attempt: what was seen of it.
    Ending {
        /// The command's pid, if it was started.
        pid: Option<i32>,
        /// When it was started, if that is known.
        started_at: Option<Timestamp>,
        /// The head of its stdout, if it succeeded.
        return_value: &'a [u8],
    },
}

/// An attempt that occupies a slot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OpenAttempt {
    /// The run.
    pub run: RunId,
    /// Its number.
    pub attempt: AttemptNumber,
    /// Whether its run was canceled.
    pub canceled: bool,
    /// The file of its shim.
    pub file: String,
    /// Which process its shim is.
    pub shim: ProcessIdentity,
    /// How long its processes have between SIGTERM and SIGKILL.
    pub grace: std::time::Duration,
}

impl<'s> Pass<'s> {
    pub(super) fn new(transaction: Transaction<'s>, path: PathBuf) -> Self {
        Self { transaction, path }
    }

    /// What is stored, as this transaction sees it.
    pub fn read(&self) -> Reader<'_> {
        Reader::new(&self.transaction, &self.path)
    }

    /// Writes `transition` of run `id`, whole, if the run is still as `before`. `false`: it is not,
    /// somebody was faster, and nothing was written. `at` is when it happened.
    pub fn apply(
        &self,
        id: RunId,
        before: &Run,
        transition: &Transition,
        at: Timestamp,
        facts: Facts<'_>,
    ) -> Result<bool, StoreError> {
        let result = ending(before, transition, facts);
        let changed = self.update_run(id, before, transition, at, result.as_ref());
        if !self.guard(changed)? {
            return Ok(false);
        }
        let attempt = self.guard(self.update_attempt(id, transition, at, facts))?;
        let due = match transition.state {
            State::Waiting { due, .. } => Some(due),
            _ => None,
        };
        self.guard(note(
            &self.transaction,
            id,
            at,
            transition.note,
            attempt,
            due,
        ))?;
        match (transition.hook, result) {
            (HookChange::Enqueue, Some(result)) => {
                self.guard(hook::enqueue(self, id, &result, false, at))?;
            }
            (HookChange::EnqueueHeld, Some(result)) => {
                self.guard(hook::enqueue(self, id, &result, true, at))?;
            }
            (HookChange::Release, _) => hook::release(self, id, at)?,
            (HookChange::Enqueue | HookChange::EnqueueHeld, None) | (HookChange::None, _) => {}
        }
        Ok(true)
    }

    fn update_run(
        &self,
        id: RunId,
        before: &Run,
        transition: &Transition,
        at: Timestamp,
        result: Option<&RunResult>,
    ) -> rusqlite::Result<bool> {
        let after = &transition.state;
        let attempts = match transition.attempt {
            AttemptChange::Open(attempt) => attempt.0,
            AttemptChange::Forget(attempt) => attempt.0.saturating_sub(1),
            AttemptChange::None | AttemptChange::Close { .. } => before.attempts,
        };
        let (due, delay_ms) = match after {
            State::Waiting { due, delay_ms } => (Some(due.millis()), *delay_ms),
            _ => (None, None),
        };
        let reason = match after {
            State::Failed { reason } => Some(reason.word()),
            _ => None,
        };
        let (error, return_value) = match result {
            Some(RunResult::Failed { error, .. }) => (Some(error.as_str()), None),
            Some(RunResult::Success { return_value }) => (None, Some(return_value.as_slice())),
            Some(RunResult::Canceled) | None => (None, None),
        };
        let changed = self
            .transaction
            .prepare_cached(
                "UPDATE run SET state = ?1, reason = ?2, open_attempt = ?3, attempts = ?4, \
                 failures = ?5, due_at = ?6, delay_ms = ?7, \
                 finished_at = iif(?8, coalesce(finished_at, ?9), NULL), \
                 error = ?10, return_value = ?11 \
                 WHERE id = ?12 AND state = ?13 AND open_attempt IS ?14 AND attempts = ?15 \
                 AND failures = ?16",
            )?
            .execute(params![
                row::state_word(after),
                reason,
                after.open_attempt().map(|attempt| attempt.0),
                attempts,
                transition.failures,
                due,
                delay_ms,
                after.is_final(),
                at.millis(),
                error,
                return_value,
                id.0,
                row::state_word(&before.state),
                before.state.open_attempt().map(|attempt| attempt.0),
                before.attempts,
                before.failures,
            ])?;
        Ok(changed == 1)
    }

    fn update_attempt(
        &self,
        id: RunId,
        transition: &Transition,
        at: Timestamp,
        facts: Facts<'_>,
    ) -> rusqlite::Result<Option<AttemptNumber>> {
        match (&transition.attempt, facts) {
            (AttemptChange::None, _) => Ok(None),
            (AttemptChange::Open(attempt), Facts::Claim { file, shim }) => {
                self.open_attempt(id, *attempt, at, file, shim)?;
                Ok(Some(*attempt))
            }
            (AttemptChange::Open(_), Facts::None | Facts::Ending { .. }) => {
                // A claim names its shim: without one nobody could settle it.
                Err(rusqlite::Error::QueryReturnedNoRows)
            }
            (
                AttemptChange::Close {
                    attempt,
                    outcome,
                    retry_delay_ms,
                },
                facts,
            ) => {
                let (pid, started_at) = match facts {
                    Facts::Ending {
                        pid, started_at, ..
                    } => (pid, started_at),
                    Facts::None | Facts::Claim { .. } => (None, None),
                };
                let close = Close {
                    outcome,
                    retry_delay_ms: *retry_delay_ms,
                    pid,
                    started_at,
                };
                self.close_attempt(id, *attempt, at, &close)?;
                Ok(Some(*attempt))
            }
            (AttemptChange::Forget(attempt), _) => {
                self.transaction
                    .prepare_cached(
                        "DELETE FROM attempt WHERE run_id = ?1 AND number = ?2 \
                         AND ended_at IS NULL",
                    )?
                    .execute(params![id.0, attempt.0])?;
                Ok(Some(*attempt))
            }
        }
    }

    fn open_attempt(
        &self,
        id: RunId,
        attempt: AttemptNumber,
        at: Timestamp,
        file: &str,
        shim: &ProcessIdentity,
    ) -> rusqlite::Result<()> {
        self.transaction
            .prepare_cached(
                "INSERT INTO attempt (run_id, number, started_at, shim_file, shim_boot, shim_ns, \
                 shim_pid, shim_start) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
            )?
            .execute(params![
                id.0,
                attempt.0,
                at.millis(),
                file,
                shim.boot_id,
                shim.pid_ns as i64,
                shim.pid,
                shim.start as i64,
            ])?;
        Ok(())
    }

    fn close_attempt(
        &self,
        id: RunId,
        attempt: AttemptNumber,
        at: Timestamp,
        close: &Close<'_>,
    ) -> rusqlite::Result<()> {
        let outcome = serde_json::to_string(close.outcome)
            .map_err(|error| rusqlite::Error::ToSqlConversionFailure(error.into()))?;
        self.transaction
            .prepare_cached(
                "UPDATE attempt SET ended_at = ?1, outcome = ?2, retry_delay_ms = ?3, \
                 pid = coalesce(?4, pid), started_at = coalesce(?5, started_at) \
                 WHERE run_id = ?6 AND number = ?7 AND ended_at IS NULL",
            )?
            .execute(params![
                at.millis(),
                outcome,
                close.retry_delay_ms,
                close.pid,
                close.started_at.map(Timestamp::millis),
                id.0,
                attempt.0,
            ])?;
        Ok(())
    }

    /// Notes that the command of an open attempt has been started. An attempt that has ended
    /// meanwhile stays as it is.
    pub fn note_pid(
        &self,
        id: RunId,
        attempt: AttemptNumber,
        pid: i32,
        started_at: Timestamp,
    ) -> Result<(), StoreError> {
        let noted = self
            .transaction
            .prepare_cached(
                "UPDATE attempt SET pid = ?1, started_at = ?2 \
                 WHERE run_id = ?3 AND number = ?4 AND ended_at IS NULL",
            )
            .and_then(|mut update| {
                update.execute(params![pid, started_at.millis(), id.0, attempt.0])
            });
        self.guard(noted).map(drop)
    }

    /// Commits. Errors: nothing was committed, but for [`StoreError::Unknown`].
    pub fn commit(self) -> Result<(), StoreError> {
        let Self { transaction, path } = self;
        transaction
            .commit()
            .map_err(|error| match error.sqlite_error_code() {
                // The commit record may have reached the log before the error.
                Some(ErrorCode::SystemIoFailure) => StoreError::Unknown {
                    path,
                    cause: error.to_string(),
                },
                _ => StoreError::from_sqlite(&path, error),
            })
    }

    /// The error of a file operation that goes with this transaction.
    pub fn trouble(&self, error: std::io::Error) -> StoreError {
        StoreError::from_io(&self.path, error)
    }

    pub(super) fn connection(&self) -> &Connection {
        &self.transaction
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Names SQLite's errors.
    pub(super) fn guard<T>(&self, result: rusqlite::Result<T>) -> Result<T, StoreError> {
        result.map_err(|error| StoreError::from_sqlite(&self.path, error))
    }
}

/// What is written of an attempt's end.
struct Close<'a> {
    outcome: &'a Outcome,
    retry_delay_ms: Option<i64>,
    pid: Option<i32>,
    started_at: Option<Timestamp>,
}

/// The result of a run that `transition` ends; `None` when it does not end, or had ended before.
fn ending(before: &Run, transition: &Transition, facts: Facts<'_>) -> Option<RunResult> {
    if before.state.is_final() {
        return None;
    }
    match &transition.state {
        State::Waiting { .. } | State::Held | State::Running { .. } => None,
        State::Succeeded => Some(RunResult::Success {
            return_value: match facts {
                Facts::Ending { return_value, .. } => return_value.to_vec(),
                Facts::None | Facts::Claim { .. } => Vec::new(),
            },
        }),
        State::Failed { reason } => Some(RunResult::Failed {
            error: match &transition.attempt {
                AttemptChange::Close { outcome, .. } => outcome.to_string(),
                AttemptChange::None | AttemptChange::Open(_) | AttemptChange::Forget(_) => {
                    reason.word().to_owned()
                }
            },
            reason: *reason,
        }),
        State::Canceled { .. } => Some(RunResult::Canceled),
    }
}

/// Appends a line to the history of a run.
pub(super) fn note(
    connection: &Connection,
    id: RunId,
    at: Timestamp,
    note: Note,
    attempt: Option<AttemptNumber>,
    due: Option<Timestamp>,
) -> rusqlite::Result<()> {
    connection
        .prepare_cached(
            "INSERT INTO event (run_id, number, at, kind, attempt, due_at) VALUES (?1, \
             (SELECT coalesce(max(number), 0) + 1 FROM event WHERE run_id = ?1), ?2, ?3, ?4, ?5)",
        )?
        .execute(params![
            id.0,
            at.millis(),
            row::note_word(note),
            attempt.map(|attempt| attempt.0),
            due.map(Timestamp::millis),
        ])?;
    Ok(())
}

/// The run `id` as the state machine sees it.
pub(super) fn find(connection: &Connection, id: RunId) -> rusqlite::Result<Option<Run>> {
    let sql = format!("SELECT {} FROM run WHERE id = ?1", row::RUN);
    connection
        .prepare_cached(&sql)?
        .query_row([id.0], row::run)
        .optional()
}
