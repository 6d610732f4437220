//! Runs as a table.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::time::Duration;

use crate::model::{RunId, RunRecord, State, Timestamp, pool};
use crate::text::escape_text;

use super::Style;
use super::fit::{cut, padded, width};
use super::words::{ago, command, span};

/// So much is shown of a pool's name.
const POOL_MAX: usize = 16;

/// A name is cut on a terminal, so that something of the command is seen.
const NAME_MAX: usize = 20;

/// The command has so many columns at the least; columns that leave it less are left out.
const COMMAND_MIN: usize = 20;

/// On a terminal that is too narrow for any table it still has so many.
const ROOM_MIN: usize = 8;

/// Since when the last attempts run of those that run.
pub type Started = BTreeMap<RunId, Timestamp>;

/// Runs separated by tabs.
pub fn lines(records: &[RunRecord], now: Timestamp) -> String {
    let mut lines = String::new();
    for record in records {
        let _ = writeln!(
            lines,
            "{}\t{}\t{}\t{}\t{}\t{}",
            record.id,
            record.run.state.status(now).word(),
            record.run.attempts,
            due_text(record),
            escape_text(record.name.as_deref().unwrap_or_default()),
            command(&record.command),
        );
    }
    lines
}

/// A column: its heading, its cells, and whether they stand to the right.
struct Column {
    heading: &'static str,
    cells: Vec<String>,
    is_right_aligned: bool,
}

impl Column {
    fn of(heading: &'static str, cells: impl Iterator<Item = String>) -> Self {
        Self {
            heading,
            cells: cells.collect(),
            is_right_aligned: false,
        }
    }

    fn right_aligned(mut self) -> Self {
        self.is_right_aligned = true;
        self
    }

    fn width(&self) -> usize {
        let widths = self.cells.iter().map(|cell| width(cell));
        widths.fold(width(self.heading), usize::max)
    }

    fn aligned(&self, cell: &str) -> String {
        if self.is_right_aligned {
            format!("{}{cell}", " ".repeat(self.width() - width(cell)))
        } else {
            padded(cell, self.width())
        }
    }
}

/// Runs as a table with aligned columns that fits the terminal, or with `wide` nothing of it is cut.
pub fn table(
    records: &[RunRecord],
    (started, now): (&Started, Timestamp),
    style: Style,
    wide: bool,
) -> String {
    let all = style.columns.filter(|_| !wide).unwrap_or(usize::MAX);
    let columns = columns(records, (started, now), (style, wide), all);
    let taken: usize = columns.iter().map(|column| column.width() + 2).sum();
    let room = all.saturating_sub(taken).max(ROOM_MIN);
    let headings = columns.iter().map(|column| column.aligned(column.heading));
    let headings: Vec<String> = headings.collect();
    let heading = format!("{}  COMMAND", headings.join("  "));
    let mut table = style.faint(&heading);
    table.push('\n');
    for (at, record) in records.iter().enumerate() {
        let status = record.run.state.status(now);
        for column in &columns {
            let aligned = column.aligned(&column.cells[at]);
            // Its colour takes no room.
            table += &match column.heading {
                "STATE" => aligned.replacen(status.word(), &style.status(status), 1),
                _ => aligned,
            };
            table += "  ";
        }
        let name_max = if wide { usize::MAX } else { NAME_MAX };
        let name = label(record).map_or(String::new(), |label| {
            format!("[{}] ", cut(&label, name_max, style.unicode))
        });
        let text = format!("{name}{}", command(&record.command));
        table += &cut(&text, room, style.unicode);
        table.push('\n');
    }
    table
}

/// All columns but that of the command; where there is no room for all, the less important ones are
/// left out.
fn columns(
    records: &[RunRecord],
    (started, now): (&Started, Timestamp),
    (style, wide): (Style, bool),
    all: usize,
) -> Vec<Column> {
    let cells =
        |cell: &dyn Fn(&RunRecord) -> String| -> Vec<String> { records.iter().map(cell).collect() };
    let column =
        |heading, cell: &dyn Fn(&RunRecord) -> String| Column::of(heading, cells(cell).into_iter());
    let pool_max = if wide { usize::MAX } else { POOL_MAX };
    let mut columns = vec![
        column("ID", &|record| record.id.to_string()).right_aligned(),
        column("STATE", &|record| {
            padded(record.run.state.status(now).word(), STATE)
        }),
        column("ATTEMPTS", &|record| record.run.attempts.to_string()).right_aligned(),
        column("WHEN", &|record| padded(&when(record, started, now), WHEN)),
    ];
    if shows_pools(records) {
        let pool = |record: &RunRecord| cut(&record.pool, pool_max, style.unicode);
        columns.push(column("POOL", &pool));
    }
    for expendable in ["ATTEMPTS", "POOL"] {
        let taken: usize = columns.iter().map(|column| column.width() + 2).sum();
        if taken + COMMAND_MIN > all {
            columns.retain(|column| column.heading != expendable);
        }
    }
    columns
}

/// The columns of states and times are as wide in every list, so that one list can be read beside another.
const STATE: usize = 9;
const WHEN: usize = 12;

fn due_text(record: &RunRecord) -> String {
    let due = record.run.state.due();
    due.and_then(crate::json::rfc3339).unwrap_or_default()
}

/// How long it has run, when it goes on, since when it waits for its turn, or when it ended.
fn when(record: &RunRecord, started: &Started, now: Timestamp) -> String {
    if let Some(at) = started.get(&record.id) {
        return match now.since(*at).as_secs() {
            0 => "just now".to_owned(),
            seconds => format!("for {}", span(Duration::from_secs(seconds))),
        };
    }
    match (&record.run.state, record.finished_at) {
        (State::Waiting { due, .. }, _) if *due > now => format!("in {}", span(due.since(now))),
        (_, Some(at)) => ago(at, now),
        (_, None) => ago(record.created_at, now),
    }
}

/// None is needed when all are in the usual one. Hooks are marked as such.
fn shows_pools(records: &[RunRecord]) -> bool {
    let is_told = |record: &RunRecord| record.pool != pool::DEFAULT && record.parent.is_none();
    records.iter().any(is_told)
}

/// What is shown before the command: its name, or whose hook it is.
fn label(record: &RunRecord) -> Option<String> {
    match (&record.name, record.parent) {
        (Some(name), _) => Some(escape_text(name)),
        (None, Some(parent)) => Some(format!("hook of {parent}")),
        (None, None) => None,
    }
}
