//! Runs as a table.

use std::fmt::Write;

use crate::model::{RunRecord, State, Timestamp, pool};
use crate::text::escape_text;

use super::Style;
use super::words::{ago, command, span};

/// Runs as a table: aligned and cut for a terminal, or separated by tabs.
pub fn table(records: &[RunRecord], now: Timestamp, style: Style, terminal: bool) -> String {
    let mut table = String::new();
    if !terminal {
        for record in records {
            let _ = writeln!(
                table,
                "{}\t{}\t{}\t{}\t{}\t{}",
                record.id,
                record.run.state.status(now).word(),
                record.run.attempts,
                due_text(record),
                escape_text(record.name.as_deref().unwrap_or_default()),
                command(&record.command),
            );
        }
        return table;
    }
    let pool_width = pool_width(records);
    let width = crate::sys::terminal::columns().unwrap_or(80).max(40);
    let ids = records
        .iter()
        .map(|record| record.id.to_string().len())
        .max();
    let id_width = ids.unwrap_or(2).max(2);
    let _ = writeln!(
        table,
        "{:>id_width$}  {:<9}  ATTEMPTS  {:<12}  {}COMMAND",
        "ID",
        "STATE",
        "WHEN",
        column("POOL", pool_width)
    );
    for record in records {
        let status = record.run.state.status(now);
        let padding = " ".repeat(9 - status.word().len());
        let name = label(record).map_or(String::new(), |label| {
            format!("[{}] ", cut(&label, NAME_MAX))
        });
        let text = format!("{name}{}", command(&record.command));
        let pool = column(&record.pool, pool_width);
        let room = width
            .saturating_sub(id_width + 37 + pool_width.map_or(0, |width| width + 2))
            .max(20);
        let _ = writeln!(
            table,
            "{:>id_width$}  {}{padding}  {:>8}  {:<12}  {pool}{}",
            record.id,
            style.status(status),
            record.run.attempts,
            when(record, now),
            cut(&text, room),
        );
    }
    table
}

fn due_text(record: &RunRecord) -> String {
    let due = record.run.state.due();
    due.and_then(crate::json::rfc3339).unwrap_or_default()
}

fn when(record: &RunRecord, now: Timestamp) -> String {
    match (&record.run.state, record.finished_at) {
        (State::Waiting { due, .. }, _) if *due > now => format!("in {}", span(due.since(now))),
        (_, Some(at)) => ago(at, now),
        (_, None) => ago(record.created_at, now),
    }
}

/// The text, or its beginning, in so many characters.
pub fn cut(text: &str, width: usize) -> String {
    if text.chars().count() <= width {
        return text.to_owned();
    }
    let mut cut: String = text.chars().take(width.saturating_sub(1)).collect();
    cut.push('…');
    cut
}

/// The width of the column for pools; none is needed when all are in the usual one. Hooks are
/// marked as such.
fn pool_width(records: &[RunRecord]) -> Option<usize> {
    let told = |record: &&RunRecord| record.pool != pool::DEFAULT && record.parent.is_none();
    records.iter().find(told)?;
    let widths = records.iter().map(|record| record.pool.len());
    widths.max().map(|width| width.clamp(4, POOL_MAX))
}

fn column(pool: &str, width: Option<usize>) -> String {
    width.map_or(String::new(), |width| {
        format!("{:<width$}  ", cut(&escape_text(pool), width))
    })
}

/// So much is shown of a pool's name.
const POOL_MAX: usize = 16;

/// A name is cut on a terminal, so that something of the command is seen.
const NAME_MAX: usize = 20;

/// What is shown before the command: its name, or whose hook it is.
fn label(record: &RunRecord) -> Option<String> {
    match (&record.name, record.parent) {
        (Some(name), _) => Some(escape_text(name)),
        (None, Some(parent)) => Some(format!("hook of {parent}")),
        (None, None) => None,
    }
}
