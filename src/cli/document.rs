//! Runs as JSON objects, the form of every `--json`. Fields may be added to a version, never
//! removed or changed.

use serde_json::{Value, json};

use crate::json;
use crate::model::{RunId, State, Timestamp};
use crate::store::{AttemptRecord, RunRecord};

/// The version that every object carries.
const VERSION: u32 = 1;

/// One run with its attempts, at time `now`.
pub fn run(record: &RunRecord, attempts: &[AttemptRecord], now: Timestamp) -> Value {
    let due = match record.run.state {
        State::Waiting { due, .. } => Some(due),
        State::Held
        | State::Running { .. }
        | State::Succeeded
        | State::Failed { .. }
        | State::Canceled { .. } => None,
    };
    let command: Vec<Value> = record
        .command
        .iter()
        .map(|word| json::bytes(word))
        .collect();
    json!({
        "version": VERSION,
        "id": record.id,
        "state": record.run.state.status(now).word(),
        "command": command,
        "cwd": json::bytes(&record.cwd),
        "name": record.name,
        "created_at": json::time(record.created_at),
        "due_at": due.map(json::time),
        "finished_at": record.finished_at.map(json::time),
        "failures": record.run.failures,
        "policy": record.run.policy,
        "attempts": attempts.iter().map(attempt).collect::<Vec<_>>(),
        "parent_id": record.parent,
        "hook_id": record.hook,
        "result": record.result.as_ref().map(json::result),
    })
}

fn attempt(attempt: &AttemptRecord) -> Value {
    json!({
        "number": attempt.number,
        "started_at": json::time(attempt.started_at),
        "ended_at": attempt.ended_at.map(json::time),
        "pid": attempt.pid,
        "outcome": attempt.outcome,
        "retry_delay_ms": attempt.retry_delay_ms,
    })
}

/// A run that was just stored.
pub fn stored(id: RunId) -> Value {
    json!({ "version": VERSION, "id": id })
}
