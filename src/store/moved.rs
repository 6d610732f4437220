//! The row of a run after a transition. A start and an ending, which every run has, have statements
//! of their own: SQLite writes each index of each column that a statement sets, whether its value
//! changes or not.

use rusqlite::{named_params, params};

use crate::model::policy::Changes;
use crate::model::{AttemptChange, Reason, Run, RunId, RunResult, State, Timestamp, Transition};

use super::pass::{Current, Pass};
use super::row::state_word;
use super::tally::{Place, Standing, Tally};

/// Whatever the state machine says, a run that is not ready does not start.
const START: &str = "UPDATE run SET state = 'running', open_attempt = ?2, attempts = ?2, \
     due_at = NULL, stage = NULL, delay_ms = NULL \
     WHERE id = ?1 AND state = 'waiting' AND open_attempt IS NULL AND attempts = ?3 \
     AND failures = ?4 AND snoozes = ?5 AND stage = 'ready'";

/// The end of a run with its last attempt.
const END: &str = "UPDATE run SET state = ?7, reason = ?8, open_attempt = NULL, failures = ?9, \
     snoozes = ?10, finished_at = ?11, error = ?12, return_value = ?13 \
     WHERE id = ?1 AND state = 'running' AND open_attempt IS ?2 AND attempts = ?3 \
     AND failures = ?4 AND snoozes = ?5 AND deadline_at IS ?6";

const MOVE: &str = "UPDATE run SET state = :state, reason = :reason, open_attempt = :open, \
     attempts = :attempts, failures = :failures, snoozes = :snoozes, due_at = :due, \
     stage = CASE WHEN :due IS NULL THEN NULL WHEN :due <= :at \
     AND coalesce(:lock, lock) IS NULL THEN 'ready' ELSE 'scheduled' END, delay_ms = :delay, \
     deadline_at = :deadline, finished_at = iif(:final, coalesce(finished_at, :at), NULL), \
     error = :error, return_value = :return_value, lock = coalesce(:lock, lock) \
     WHERE id = :id AND state = :was AND open_attempt IS :was_open \
     AND attempts = :had_attempts AND failures = :had_failures AND snoozes = :had_snoozes";

/// What a decision has changed, before the attempt is closed: the run is counted elsewhere from then on.
const SEND: &str = "UPDATE run SET pool = coalesce(?1, pool), priority = coalesce(?2, priority) \
     WHERE id = ?3 AND open_attempt = ?4 AND state = ?5 AND attempts = ?6 AND failures = ?7 \
     AND snoozes = ?8";

impl Pass<'_> {
    /// Writes what becomes of a run, if it is still as it was read. `false`: it is not.
    pub(super) fn update_run(
        &self,
        current: &Current,
        transition: &Transition,
        at: Timestamp,
        (result, changes): (Option<&RunResult>, Option<&Changes>),
    ) -> rusqlite::Result<bool> {
        let connection = self.connection();
        let (id, before, stood) = (current.id, &current.run, current.standing());
        let stands = match (&before.state, &transition.attempt) {
            (State::Waiting { .. } | State::Held, AttemptChange::Open(attempt)) => {
                let mut start = connection.prepare_cached(START)?;
                let changed = start.execute(params![
                    id.0,
                    attempt.0,
                    before.attempts,
                    before.failures,
                    before.snoozes
                ])?;
                (changed == 1).then(|| stood.moved(Place::Running))
            }
            (State::Running { .. }, AttemptChange::Close { .. })
                if is_plain_end(before, transition, changes) =>
            {
                let ended = self.end_run(id, before, transition, at, result)?;
                ended.then(|| stood.moved(Place::Out))
            }
            (_, AttemptChange::Open(_)) => None,
            (_, AttemptChange::None | AttemptChange::Close { .. } | AttemptChange::Forget(_)) => {
                if let Some(changes) = changes.filter(|changes| is_sent(changes)) {
                    let mut send = connection.prepare_cached(SEND)?;
                    let sent = send.execute(params![
                        changes.pool,
                        changes.priority,
                        id.0,
                        before.state.open_attempt().map(|attempt| attempt.0),
                        state_word(&before.state),
                        before.attempts,
                        before.failures,
                        before.snoozes,
                    ])?;
                    if sent != 1 {
                        return Ok(false);
                    }
                }
                let lock = changes.and_then(|changes| changes.lock.as_deref());
                if self.move_run(id, before, transition, at, (result, lock))? {
                    Standing::of(connection, id)?
                } else {
                    None
                }
            }
        };
        let Some(stands) = stands else {
            return Ok(false);
        };
        let mut tally = Tally::default();
        tally.moved(stood, &stands);
        if let AttemptChange::Close { .. } = transition.attempt {
            tally.close(&stood.pool, transition.success());
        }
        if state_word(&transition.state) != state_word(&before.state) {
            tally.finish(&stands.pool, &transition.state);
        }
        self.tell(tally)?;
        Ok(true)
    }

    fn end_run(
        &self,
        id: RunId,
        before: &Run,
        transition: &Transition,
        at: Timestamp,
        result: Option<&RunResult>,
    ) -> rusqlite::Result<bool> {
        let (error, return_value) = said(result);
        let mut end = self.connection().prepare_cached(END)?;
        let changed = end.execute(params![
            id.0,
            before.state.open_attempt().map(|attempt| attempt.0),
            before.attempts,
            before.failures,
            before.snoozes,
            before.deadline_at.map(Timestamp::millis),
            state_word(&transition.state),
            reason(&transition.state),
            transition.failures,
            transition.snoozes,
            at.millis(),
            error,
            return_value,
        ])?;
        Ok(changed == 1)
    }

    fn move_run(
        &self,
        id: RunId,
        before: &Run,
        transition: &Transition,
        at: Timestamp,
        (result, lock): (Option<&RunResult>, Option<&str>),
    ) -> rusqlite::Result<bool> {
        let after = &transition.state;
        let attempts = match transition.attempt {
            AttemptChange::Forget(attempt) => attempt.0.saturating_sub(1),
            // One that opens an attempt is a start.
            AttemptChange::None | AttemptChange::Open(_) | AttemptChange::Close { .. } => {
                before.attempts
            }
        };
        let (due, delay_ms) = match after {
            State::Waiting { due, delay_ms } => (Some(due.millis()), *delay_ms),
            _ => (None, None),
        };
        let (error, return_value) = said(result);
        let mut update = self.connection().prepare_cached(MOVE)?;
        let changed = update.execute(named_params! {
            ":state": state_word(after),
            ":reason": reason(after),
            ":open": after.open_attempt().map(|attempt| attempt.0),
            ":attempts": attempts,
            ":failures": transition.failures,
            ":snoozes": transition.snoozes,
            ":due": due,
            ":delay": delay_ms,
            ":deadline": transition.deadline_at.map(Timestamp::millis),
            ":final": after.is_final(),
            ":at": at.millis(),
            ":error": error,
            ":return_value": return_value,
            ":lock": lock,
            ":id": id.0,
            ":was": state_word(&before.state),
            ":was_open": before.state.open_attempt().map(|attempt| attempt.0),
            ":had_attempts": before.attempts,
            ":had_failures": before.failures,
            ":had_snoozes": before.snoozes,
        })?;
        Ok(changed == 1)
    }
}

/// Does the run end here, with nothing else about it changed?
fn is_plain_end(before: &Run, transition: &Transition, changes: Option<&Changes>) -> bool {
    let is_changed = changes.is_some_and(|changes| changes.lock.is_some() || is_sent(changes));
    let ends = match &transition.state {
        State::Succeeded | State::Failed { .. } => true,
        State::Waiting { .. } | State::Held | State::Running { .. } | State::Canceled { .. } => {
            false
        }
    };
    ends && !is_changed && transition.deadline_at == before.deadline_at
}

fn is_sent(changes: &Changes) -> bool {
    changes.pool.is_some() || changes.priority.is_some()
}

fn reason(state: &State) -> Option<&'static str> {
    match state {
        State::Failed { reason } => Some(Reason::word(*reason)),
        _ => None,
    }
}

/// The error and the return value of a result.
fn said(result: Option<&RunResult>) -> (Option<&str>, Option<&[u8]>) {
    match result {
        Some(RunResult::Failed { error, .. }) => (Some(error), None),
        Some(RunResult::Success { return_value }) => (None, Some(return_value)),
        Some(RunResult::Canceled) | None => (None, None),
    }
}
