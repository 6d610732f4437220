//! The attempts of a run as a table.

use std::fmt::Write;
use std::time::Duration;

use crate::model::{AttemptRecord, RunId, Timestamp};
use crate::text::escape_text;

use super::Style;
use super::fit::{cut, padded, width};
use super::words::{clock_time, outcome, short_time, span};

/// So many are shown; of more the first and the last.
const SHOWN_MAX: usize = 10;

/// So many of them from the beginning.
const FIRST: usize = 3;

/// So much of an outcome is shown, where there is no terminal whose width says how much.
const OUTCOME_MAX: usize = 200;

/// What is to come of the attempts of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// Nothing.
    Final,
    /// The last one may be running, and others may follow.
    Ahead,
    /// Nobody looks after the last one.
    Left,
}

/// A row: number, started, took, and how it ended with the wait that followed.
type Row = [String; 4];

/// The attempts of run `id` as a table with two blanks before each line; in the middle of many some
/// are left out, and a line says so.
pub fn attempts(
    attempts: &[AttemptRecord],
    (id, now): (RunId, Timestamp),
    end: End,
    style: Style,
) -> String {
    if attempts.is_empty() {
        return String::new();
    }
    let left_out = match attempts.len() {
        0..=SHOWN_MAX => 0..0,
        many => FIRST..many - (SHOWN_MAX - FIRST),
    };
    let shown = attempts.iter().enumerate();
    let shown = shown.filter(|(at, _)| !left_out.contains(at));
    let mut rows: Vec<Row> = vec![["#", "started", "took", "outcome"].map(str::to_owned)];
    rows.extend(shown.map(|(_, attempt)| row(attempt, now, end)));
    let widths = [0, 1, 2].map(|column| {
        let cells = rows.iter().map(|row| width(&row[column]));
        cells.max().unwrap_or(0)
    });
    let taken = 2 + widths.iter().sum::<usize>() + 6;
    let room = style
        .columns
        .map_or(OUTCOME_MAX, |all| all.saturating_sub(taken).max(16));
    let mut table = String::new();
    for (at, [number, started, took, ended]) in rows.iter().enumerate() {
        if at == FIRST + 1 && !left_out.is_empty() {
            let _ = writeln!(
                table,
                "  {:>2$}  {} more, `retrier events {id}` tells of all",
                style.ellipsis(),
                left_out.len(),
                widths[0]
            );
        }
        let line = format!(
            "  {number:>0$}  {1}  {2}  {3}",
            widths[0],
            padded(started, widths[1]),
            padded(took, widths[2]),
            cut(ended, room, style.unicode),
        );
        let line = line.trim_end();
        let line = if at == 0 {
            style.faint(line)
        } else {
            line.to_owned()
        };
        table.push_str(&line);
        table.push('\n');
    }
    table
}

fn row(attempt: &AttemptRecord, now: Timestamp, end: End) -> Row {
    let started = if end == End::Final {
        clock_time(attempt.started_at)
    } else {
        short_time(attempt.started_at, now)
    };
    let took = attempt.ended_at.unwrap_or(now).since(attempt.started_at);
    [
        attempt.number.to_string(),
        started,
        span(took),
        ended(attempt, end),
    ]
}

/// How it ended, and how long the run waited then.
fn ended(attempt: &AttemptRecord, end: End) -> String {
    let Some(ended) = &attempt.outcome else {
        return match attempt.pid {
            _ if end == End::Left => "not settled".to_owned(),
            Some(pid) => format!("runs, pid {pid}"),
            None => "runs".to_owned(),
        };
    };
    let how = escape_text(&outcome(ended));
    let delay = attempt.retry_delay_ms.and_then(|ms| u64::try_from(ms).ok());
    match delay.filter(|ms| *ms > 0) {
        Some(ms) => format!("{how}, then a wait of {}", span(Duration::from_millis(ms))),
        None => how,
    }
}
