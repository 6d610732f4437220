//! The rows of attempts: opened by a claim, closed by an ending, removed when nothing ever ran.

use rusqlite::params;

use crate::model::{AttemptChange, AttemptNumber, Note, Outcome, RunId, Timestamp, Transition};
use crate::sys::identity::ProcessIdentity;

use super::error::StoreError;
use super::history::{Line, append};
use super::pass::{Facts, Pass};

impl Pass<'_> {
    /// Writes what becomes of an attempt of a run of `pool`; gives its number. `due` is when its run
    /// was due before.
    pub(super) fn update_attempt(
        &self,
        (id, pool): (RunId, &str),
        transition: &Transition,
        (at, due): (Timestamp, Option<Timestamp>),
        facts: Facts<'_>,
    ) -> rusqlite::Result<Option<AttemptNumber>> {
        match (&transition.attempt, facts) {
            (AttemptChange::None, _) => Ok(None),
            (AttemptChange::Open(attempt), Facts::Claim { file, shim }) => {
                self.open_attempt((id, pool), *attempt, (at, due), (file, shim))?;
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
                let success = transition.success();
                self.note_end(pool, id, success, at)?;
                let close = Close {
                    outcome,
                    success,
                    retry_delay_ms: *retry_delay_ms,
                    pid,
                    started_at,
                };
                self.close_attempt(id, *attempt, at, &close)?;
                Ok(Some(*attempt))
            }
            (AttemptChange::Forget(attempt), _) => {
                self.note_end(pool, id, None, at)?;
                self.connection()
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
        (id, pool): (RunId, &str),
        attempt: AttemptNumber,
        (at, due): (Timestamp, Option<Timestamp>),
        (file, shim): (&str, &ProcessIdentity),
    ) -> rusqlite::Result<()> {
        self.connection()
            .prepare_cached(
                "INSERT INTO attempt (run_id, number, started_at, shim_file, shim_boot, shim_ns, \
                 shim_pid, shim_start, was_due_at, pool) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, \
                 max(?9, (SELECT created_at FROM run WHERE id = ?1)), ?10)",
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
                due.map(Timestamp::millis),
                pool,
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
        self.connection()
            .prepare_cached(
                "UPDATE attempt SET ended_at = ?1, outcome = ?2, retry_delay_ms = ?3, \
                 pid = coalesce(?4, pid), started_at = coalesce(?5, started_at), success = ?8 \
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
                close.success,
            ])?;
        Ok(())
    }

    /// Notes that the command of an open attempt has ended with `outcome`, and its decider is asked.
    pub fn note_deciding(
        &self,
        id: RunId,
        attempt: AttemptNumber,
        outcome: &Outcome,
        at: Timestamp,
    ) -> Result<(), StoreError> {
        let line = Line {
            attempt: Some(attempt),
            detail: Some(&outcome.to_string()),
            ..Line::new(at, Note::Deciding)
        };
        self.guard(append(self.connection(), id, line))
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
            .connection()
            .prepare_cached(
                "UPDATE attempt SET pid = ?1, started_at = ?2 \
                 WHERE run_id = ?3 AND number = ?4 AND ended_at IS NULL",
            )
            .and_then(|mut update| {
                update.execute(params![pid, started_at.millis(), id.0, attempt.0])
            });
        self.guard(noted).map(drop)
    }
}

/// What is written of an attempt's end.
struct Close<'a> {
    outcome: &'a Outcome,
    success: Option<bool>,
    retry_delay_ms: Option<i64>,
    pid: Option<i32>,
    started_at: Option<Timestamp>,
}
