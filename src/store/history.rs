//! The history of each run: what happened to it, when, and who decided it. Append-only.

use rusqlite::{Connection, Row, params};

use crate::model::policy::{By, WaitBy, Why};
use crate::model::{AttemptNumber, EventRecord, Note, RunId, Timestamp};

use super::error::StoreError;
use super::read::Reader;
use super::row;

/// A line to be added.
#[derive(Clone, Copy, Debug)]
pub(super) struct Line<'a> {
    /// When it happened.
    pub at: Timestamp,
    /// What happened.
    pub note: Note,
    /// The attempt that it is about.
    pub attempt: Option<AttemptNumber>,
    /// When the run is due after it.
    pub due: Option<Timestamp>,
    /// Who decided it.
    pub why: Option<Why>,
    /// What is wrong with what was said.
    pub detail: Option<&'a str>,
    /// The hook that was stored.
    pub hook: Option<RunId>,
}

impl Line<'_> {
    /// A line without details.
    pub fn new(at: Timestamp, note: Note) -> Self {
        Self {
            at,
            note,
            attempt: None,
            due: None,
            why: None,
            detail: None,
            hook: None,
        }
    }
}

/// Appends a line to the history of run `id`.
pub(super) fn append(connection: &Connection, id: RunId, line: Line<'_>) -> rusqlite::Result<()> {
    connection
        .prepare_cached(
            "INSERT INTO event (run_id, number, at, kind, attempt, due_at, why, wait_by, detail, \
             hook_id) VALUES (?1, \
             (SELECT coalesce(max(number), 0) + 1 FROM event WHERE run_id = ?1), ?2, ?3, ?4, ?5, \
             ?6, ?7, ?8, ?9)",
        )?
        .execute(params![
            id.0,
            line.at.millis(),
            line.note.word(),
            line.attempt.map(|attempt| attempt.0),
            line.due.map(Timestamp::millis),
            line.why.map(|why| why.by.word()),
            line.why
                .and_then(|why| why.wait_by)
                .map(|wait_by| wait_by.word()),
            line.detail,
            line.hook.map(|hook| hook.0),
        ])?;
    Ok(())
}

impl Reader<'_> {
    /// The history of run `id`, oldest first; how an attempt ended stands at the line of its end.
    pub fn events(&self, id: RunId) -> Result<Vec<EventRecord>, StoreError> {
        self.run(id)?;
        self.rows(&format!("{EVENTS} ORDER BY event.number"), [id.0], event)
    }

    /// The line of the history of run `id` that tells why it is where it is.
    pub fn cause(&self, id: RunId) -> Result<Option<EventRecord>, StoreError> {
        let causes = Note::ALL.into_iter().filter(|note| note.is_cause());
        let words: Vec<String> = causes.map(|note| format!("'{}'", note.word())).collect();
        let sql = format!(
            "{EVENTS} AND kind IN ({}) ORDER BY event.number DESC LIMIT 1",
            words.join(", ")
        );
        Ok(self.rows(&sql, [id.0], event)?.pop())
    }
}

const EVENTS: &str = "SELECT event.number, at, kind, event.attempt, due_at, why, wait_by, detail, \
     hook_id, outcome, retry_delay_ms FROM event LEFT JOIN attempt \
     ON attempt.run_id = event.run_id AND attempt.number = event.attempt \
     WHERE event.run_id = ?1";

fn event(row: &Row<'_>) -> rusqlite::Result<EventRecord> {
    let note = known(row, 2, &Note::ALL, Note::word)?;
    let note = note.ok_or_else(|| row::unreadable(2, "an event without a kind"))?;
    let by = known(row, 5, &By::ALL, By::word)?;
    let wait_by = known(row, 6, &WaitBy::ALL, WaitBy::word)?;
    let ends = note.ends_attempt();
    Ok(EventRecord {
        number: row.get(0)?,
        at: Timestamp::from_millis(row.get(1)?),
        note,
        attempt: row.get::<_, Option<_>>(3)?.map(AttemptNumber),
        due: row::time(row, 4)?,
        why: by.map(|by| Why { by, wait_by }),
        detail: row.get(7)?,
        hook: row.get::<_, Option<_>>(8)?.map(RunId),
        outcome: row::outcome(row, 9)?.filter(|_| ends),
        retry_delay_ms: row.get::<_, Option<_>>(10)?.filter(|_| ends),
    })
}

/// The value among `all` whose word stands in column `at`.
fn known<T: Copy>(
    row: &Row<'_>,
    at: usize,
    all: &[T],
    word: impl Fn(T) -> &'static str,
) -> rusqlite::Result<Option<T>> {
    let Some(text) = row.get::<_, Option<String>>(at)? else {
        return Ok(None);
    };
    let found = all.iter().copied().find(|one| word(*one) == text);
    let found = found.ok_or_else(|| row::unreadable(at, format!("no such word: {text}")));
    found.map(Some)
}
