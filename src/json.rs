//! The JSON values that leave retrier: what hooks and deciders read on their stdin and `--json`
//! prints. Fields may be added to a version, never removed or changed.
//!
//! Bytes that are not UTF-8 become `{"base64": …}`; times are RFC 3339 in UTC with milliseconds.

mod stats;

use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use crate::model::policy::{WaitBy, Why};
use crate::model::stats::{Standing, pool_state};
use crate::model::time::millis_of;
use crate::model::{
    AttemptRecord, Blocked, EventRecord, Finding, Hold, Outcome, Plan, Policy, PoolRecord, Rate,
    RunId, RunRecord, RunResult, Timestamp,
};

pub use stats::{stats, stats_fields};

/// A string, or an object with the key `base64` when the bytes are not UTF-8.
pub fn bytes(bytes: &[u8]) -> Value {
    match std::str::from_utf8(bytes) {
        Ok(text) => json!(text),
        Err(_) => json!({ "base64": STANDARD.encode(bytes) }),
    }
}

/// RFC 3339 in UTC with milliseconds, such as `2026-01-31T23:59:59.123Z`; a time that has no such
/// form is the number of milliseconds since 1970.
pub fn time(at: Timestamp) -> Value {
    match rfc3339(at) {
        Some(text) => json!(text),
        None => json!(at.millis()),
    }
}

/// See [`time`]; `None` for a year that RFC 3339 cannot write.
pub fn rfc3339(at: Timestamp) -> Option<String> {
    let at = jiff::Timestamp::from_millisecond(at.millis()).ok()?;
    Some(format!("{at:.3}"))
}

/// The `result` of a finished run, tagged by `type`.
pub fn result(result: &RunResult) -> Value {
    match result {
        RunResult::Success { return_value } => {
            json!({ "type": result.word(), "return_value": bytes(return_value) })
        }
        RunResult::Failed { error, reason } => {
            json!({ "type": result.word(), "error": error, "reason": reason })
        }
        RunResult::Canceled => json!({ "type": result.word() }),
    }
}

/// The version that every object carries.
pub const VERSION: u32 = 1;

/// One run with its attempts, at time `now`.
pub fn run(record: &RunRecord, attempts: &[AttemptRecord], now: Timestamp) -> Value {
    let command: Vec<Value> = record.command.iter().map(|word| bytes(word)).collect();
    json!({
        "version": VERSION,
        "id": record.id,
        "state": record.run.state.status(now).word(),
        "command": command,
        "cwd": bytes(&record.cwd),
        "name": record.name,
        "created_at": time(record.created_at),
        "due_at": record.run.state.due().map(time),
        "finished_at": record.finished_at.map(time),
        "failures": record.run.failures,
        "policy": record.run.policy,
        "attempts": attempts.iter().map(attempt).collect::<Vec<_>>(),
        "deadline_at": record.run.deadline_at.map(time),
        "snoozes": record.run.snoozes,
        "priority": record.priority,
        "pool": record.pool,
        "lock": record.lock,
        "key": record.key,
        "parent_id": record.parent,
        "hook_id": record.hook,
        "result": record.result.as_ref().map(result),
    })
}

fn attempt(attempt: &AttemptRecord) -> Value {
    json!({
        "number": attempt.number,
        "started_at": time(attempt.started_at),
        "ended_at": attempt.ended_at.map(time),
        "pid": attempt.pid,
        "outcome": attempt.outcome,
        "retry_delay_ms": attempt.retry_delay_ms,
    })
}

/// What `policy` comes to.
pub fn plan(plan: &Plan, policy: &Policy) -> Value {
    let waits = plan.waits.iter().map(|row| {
        json!({
            "retry": row.retry,
            "nominal_ms": row.wait.nominal,
            "min_ms": row.wait.min,
            "max_ms": row.wait.max,
            "total_nominal_ms": row.total.nominal,
            "total_min_ms": row.total.min,
            "total_max_ms": row.total.max,
        })
    });
    json!({
        "version": VERSION,
        "policy": policy,
        "max_attempts": plan.attempts,
        "waits": waits.collect::<Vec<_>>(),
        "more": plan.has_more(),
        "gives_up_after_ms": plan.gives_up.map(|all| {
            json!({ "nominal": all.nominal, "min": all.min, "max": all.max })
        }),
    })
}

/// Why a run is where it is at time `now`: the line for people, and what it is made of.
pub fn why(
    record: &RunRecord,
    last_outcome: Option<&Outcome>,
    decided: Option<Why>,
    (why, now): (&str, Timestamp),
    blocked_by: Option<&Blocked>,
) -> Value {
    json!({
        "version": VERSION,
        "id": record.id,
        "state": record.run.state.status(now).word(),
        "why": why,
        "due_at": record.run.state.due().map(time),
        "attempts": record.run.attempts,
        "max_attempts": record.run.max_attempts(),
        "last_outcome": last_outcome,
        "by": decided.map(|why| why.by.word()),
        "wait_by": decided.and_then(|why| why.wait_by).map(WaitBy::word),
        "blocked_by": blocked_by.and_then(blocked),
    })
}

/// What keeps a run that is due from being started.
fn blocked(by: &Blocked) -> Option<Value> {
    match by {
        Blocked::Nothing { .. } => None,
        Blocked::Lock { lock, holder, runs } => Some(json!({
            "type": "lock",
            "lock": lock,
            "run_id": holder,
            "runs": runs,
        })),
        Blocked::Pool { record, hold } => {
            let until = hold.until();
            let pool = &record.pool.name;
            let why = hold.word();
            Some(json!({ "type": "pool", "pool": pool, "why": why, "until": until.map(time) }))
        }
    }
}

/// A line of the history of run `id`.
pub fn event(id: RunId, event: &EventRecord) -> Value {
    json!({
        "version": VERSION,
        "run_id": id,
        "number": event.number,
        "at": time(event.at),
        "kind": event.note.word(),
        "attempt": event.attempt,
        "outcome": event.outcome,
        "due_at": event.due.map(time),
        "delay_ms": event.delay_ms(),
        "by": event.why.map(|why| why.by.word()),
        "wait_by": event.why.and_then(|why| why.wait_by).map(WaitBy::word),
        "detail": event.detail,
        "hook_id": event.hook,
    })
}

/// What an examination of a database has found: how many runs have not ended, the pid of its daemon,
/// what is wrong.
pub fn examination(
    (database, deep): (&Path, bool),
    unfinished: Option<u64>,
    daemon: Option<i32>,
    findings: &[Finding],
) -> Value {
    let list = findings.iter().map(|finding| {
        json!({
            "level": finding.level.word(),
            "check": finding.check,
            "what": finding.what,
            "hint": finding.hint,
        })
    });
    json!({
        "version": VERSION,
        "database": bytes(database.as_os_str().as_bytes()),
        "deep": deep,
        "unfinished": unfinished,
        "daemon_pid": daemon,
        "findings": list.collect::<Vec<_>>(),
    })
}

/// The run that a call of `run` has stored, or found in the place of its own.
pub fn stored(id: RunId, is_new: bool) -> Value {
    json!({ "version": VERSION, "id": id, "stored": is_new })
}

/// A copy of the database at `path`, begun at `at`: its length, its runs, its layout.
pub fn backup(path: &[u8], (bytes_copied, runs, layout): (u64, u64, i64), at: Timestamp) -> Value {
    json!({
        "version": VERSION,
        "file": bytes(path),
        "began_at": time(at),
        "runs": runs,
        "bytes": bytes_copied,
        "layout": layout,
    })
}

/// A pool: what was set, with the retry `options` as they were given, and how it stands.
pub fn pool(
    (record, options): (&PoolRecord, &Value),
    hold: Option<Hold>,
    standing: Standing,
) -> Value {
    let pool = &record.pool;
    let rate = |rate: Rate| json!({ "starts": rate.starts, "per_ms": millis_of(rate.per) });
    json!({
        "version": VERSION,
        "name": pool.name,
        "parallel": pool.parallel,
        "paused": pool.paused,
        "rate": pool.rate.map(rate),
        "burst": pool.rate.map(|rate| rate.burst),
        "breaker": pool.breaker,
        "max_pending": pool.max_pending,
        "state": pool_state(hold),
        "until": hold.and_then(Hold::until).map(time),
        "running": standing.running,
        "closing": record.gauge.closing,
        "queued": standing.queued,
        "scheduled": standing.scheduled,
        "failed_in_a_row": record.gate.streak,
        "policy": options,
    })
}
