//! One run as a page.

use std::fmt::Write;
use std::time::Duration;

use crate::model::{AttemptRecord, RunId, RunResult, Timestamp, pool};
use crate::text::escape_text;

use super::Style;
use super::why::{Case, why};
use super::words::{clock_time, command, moment, outcome, span};

/// One run as a page.
pub fn page(case: &Case<'_>, attempts: &[AttemptRecord], style: Style) -> String {
    let (record, now) = (case.record, case.now);
    let mut page = String::new();
    let status = style.status(record.run.state.status(now));
    let mut field = |name: &str, value: &str| {
        if !value.is_empty() {
            let _ = writeln!(page, "{name:<9} {value}");
        }
    };
    field("run", &format!("{} {status}", record.id));
    field("why", &why(case));
    field(
        "name",
        &escape_text(record.name.as_deref().unwrap_or_default()),
    );
    field(
        "key",
        &escape_text(record.key.as_deref().unwrap_or_default()),
    );
    // Where it differs from a run of which nothing was said.
    let pool = Some(&record.pool).filter(|pool| *pool != pool::DEFAULT);
    field("pool", &escape_text(pool.map_or("", String::as_str)));
    let priority = Some(record.priority).filter(|points| *points != 0);
    field(
        "priority",
        &priority.map_or(String::new(), |points| points.to_string()),
    );
    field(
        "lock",
        &escape_text(record.lock.as_deref().unwrap_or_default()),
    );
    field("command", &command(&record.command));
    field(
        "folder",
        &escape_text(&String::from_utf8_lossy(&record.cwd)),
    );
    field("stored", &moment(record.created_at, now));
    field(
        "ended",
        &record
            .finished_at
            .map_or(String::new(), |at| moment(at, now)),
    );
    let related = |id: Option<RunId>| id.map_or(String::new(), |id| format!("run {id}"));
    field("follows", &related(record.parent));
    field("hook", &related(record.hook));
    field(
        "result",
        &record.result.as_ref().map_or(String::new(), result),
    );
    if !attempts.is_empty() {
        let budget = record.run.max_attempts();
        let of = match budget {
            _ if record.run.state.is_final() => String::new(),
            Some(max) => format!(" of {max}"),
            None => ", no limit".to_owned(),
        };
        let _ = writeln!(page, "attempts  {}{of}", attempts.len());
    }
    for attempt in attempts {
        let _ = writeln!(page, "  {}", attempt_line(attempt, now));
    }
    page
}

fn result(result: &RunResult) -> String {
    match result {
        RunResult::Success { return_value } if return_value.is_empty() => "success".to_owned(),
        RunResult::Success { return_value } => {
            let text = String::from_utf8_lossy(return_value);
            let first = text.lines().next().unwrap_or_default();
            let more = text.trim_end().lines().count() > 1;
            let shown: String = escape_text(first).chars().take(200).collect();
            format!(
                "success, stdout begins: {shown}{}",
                if more { " …" } else { "" }
            )
        }
        RunResult::Failed { error, reason } if error == reason.word() => {
            format!("failed ({error})")
        }
        RunResult::Failed { error, reason } => {
            format!("failed ({}), {}", reason.word(), escape_text(error))
        }
        RunResult::Canceled => "canceled".to_owned(),
    }
}

fn attempt_line(attempt: &AttemptRecord, now: Timestamp) -> String {
    let mut line = format!("{}  {}", attempt.number, clock_time(attempt.started_at));
    let took = attempt.ended_at.unwrap_or(now).since(attempt.started_at);
    match &attempt.outcome {
        Some(ended) => {
            let _ = write!(
                line,
                "  took {}  {}",
                span(took),
                escape_text(&outcome(ended))
            );
        }
        None => {
            let _ = write!(line, "  runs for {}", span(took));
            if let Some(pid) = attempt.pid {
                let _ = write!(line, "  pid {pid}");
            }
        }
    }
    if let Some(delay) = attempt
        .retry_delay_ms
        .and_then(|ms| u64::try_from(ms).ok())
        .filter(|ms| *ms > 0)
    {
        let _ = write!(
            line,
            ", then a wait of {}",
            span(Duration::from_millis(delay))
        );
    }
    line
}
