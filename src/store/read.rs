//! Looking: every statement that only reads.

use std::path::Path;
use std::sync::LazyLock;

use rusqlite::{Connection, OptionalExtension, Row, params};

use crate::model::spec::split_nul;
use crate::model::{
    AttemptNumber, AttemptRecord, Environment, Outcome, Run, RunId, RunRecord, RunResult, State,
    Timestamp,
};
use crate::sys::failpoint;

use super::error::StoreError;
use super::open::Store;
use super::pass::{Current, OpenAttempt, Pass, find};
use super::row;
use super::tally::{Change, Counts};

/// Reads what is stored: the latest commit, or what an open transaction sees.
#[derive(Clone, Copy, Debug)]
pub struct Reader<'a> {
    connection: &'a Connection,
    path: &'a Path,
    /// What an open transaction has not written yet.
    counts: Option<&'a Counts>,
}

/// What an attempt needs to be started, read before it is opened.
#[derive(Clone, Debug, PartialEq)]
pub struct Launch {
    /// The run, with the attempt not open yet.
    pub current: Current,
    /// The program and its arguments.
    pub command: Vec<Vec<u8>>,
    /// The folder it runs in.
    pub cwd: Vec<u8>,
    /// Its umask.
    pub umask: u32,
    /// The environment that was captured.
    pub environment: Environment,
    /// The digest of its input.
    pub stdin: Option<String>,
    /// Of a hook: the run that it follows, and the word for that run's result.
    pub parent: Option<(RunId, String)>,
    /// How the attempt before ended.
    pub previous: Option<Outcome>,
}

impl Store {
    /// What is stored now.
    pub fn read(&self) -> Reader<'_> {
        Reader::new(&self.connection, self.folder().database(), None)
    }
}

const RECORD: &str = "id, created_at, finished_at, command, cwd, name, parent_id, hook_id, \
     error, return_value, priority, pool, lock, key";

pub(super) const NEXT_DEADLINE: &str = "SELECT min(deadline_at) FROM run INDEXED BY run_deadline \
     WHERE state = 'waiting' AND due_at IS NOT NULL AND deadline_at IS NOT NULL";

const PAST_DEADLINE: &str = "SELECT id FROM run INDEXED BY run_deadline \
     WHERE state = 'waiting' AND due_at IS NOT NULL AND deadline_at IS NOT NULL \
     AND deadline_at <= ?1 ORDER BY deadline_at LIMIT ?2";

const OLDEST_ENDING: &str =
    "SELECT min(finished_at) FROM run INDEXED BY run_finished WHERE finished_at IS NOT NULL";

/// The condition by which an index is named costs no more than one look.
const IDLE: &str = "SELECT NOT EXISTS (SELECT 1 FROM run INDEXED BY run_stage \
     WHERE stage IS NOT NULL AND stage > '') \
     AND NOT EXISTS (SELECT 1 FROM attempt INDEXED BY attempt_open \
     WHERE ended_at IS NULL AND run_id > 0)";

/// The runs that have an attempt open, found by the index of these attempts, whose order is theirs:
/// `id` is that of the index.
pub(super) const OPEN_RUNS: &str = "(SELECT run_id AS id FROM attempt INDEXED BY attempt_open \
     WHERE ended_at IS NULL AND run_id > 0) CROSS JOIN run USING (id)";

pub(super) const CLOSING: &str = "SELECT id FROM run INDEXED BY run_closing \
     WHERE state = 'canceled' AND open_attempt IS NOT NULL AND id > 0";

const OPEN_OF_RUN: &str = " AND run_id = ?1";

impl<'a> Reader<'a> {
    pub(super) fn new(
        connection: &'a Connection,
        path: &'a Path,
        counts: Option<&'a Counts>,
    ) -> Self {
        Self {
            connection,
            path,
            counts,
        }
    }

    /// What has to be added to the counts of `pool` that are stored.
    pub(super) fn uncounted(&self, pool: &str) -> Change {
        self.counts
            .map_or(Change::default(), |counts| counts.of(pool))
    }

    /// The run `id` as the state machine sees it.
    pub fn run(&self, id: RunId) -> Result<Run, StoreError> {
        self.found(id, find(self.connection, id))
    }

    /// The run `id` as people see it.
    pub fn record(&self, id: RunId) -> Result<RunRecord, StoreError> {
        let sql = format!("SELECT {}, {RECORD} FROM run WHERE id = ?1", row::RUN);
        self.found_by(&sql, id, record)
    }

    /// The run `id` as people see it, with its attempts.
    pub fn page(&self, id: RunId) -> Result<(RunRecord, Vec<AttemptRecord>), StoreError> {
        Ok((self.record(id)?, self.attempts(id)?))
    }

    /// The attempts of run `id`, oldest first.
    pub fn attempts(&self, id: RunId) -> Result<Vec<AttemptRecord>, StoreError> {
        let reached = failpoint::reach("read_attempts");
        reached.map_err(|error| StoreError::from_io(self.path, error))?;
        let sql = format!(
            "SELECT {} FROM attempt WHERE run_id = ?1 ORDER BY number",
            row::ATTEMPT
        );
        self.rows(&sql, [id.0], row::attempt)
    }

    /// The last attempts of run `id`, at most `limit`, oldest first.
    pub fn last_attempts(&self, id: RunId, limit: u32) -> Result<Vec<AttemptRecord>, StoreError> {
        let sql = format!(
            "SELECT {} FROM attempt WHERE run_id = ?1 ORDER BY number DESC LIMIT ?2",
            row::ATTEMPT
        );
        let mut attempts = self.rows(&sql, params![id.0, limit], row::attempt)?;
        attempts.reverse();
        Ok(attempts)
    }

    /// The earliest deadline of a waiting run.
    pub fn next_deadline(&self) -> Result<Option<Timestamp>, StoreError> {
        self.one(NEXT_DEADLINE, |row| row::time(row, 0))
    }

    /// The waiting runs whose deadline has passed at `now`.
    pub fn past_deadline(&self, now: Timestamp, limit: usize) -> Result<Vec<RunId>, StoreError> {
        self.rows(PAST_DEADLINE, params![now.millis(), limit as i64], |row| {
            row.get(0).map(RunId)
        })
    }

    /// The earliest ending of a finished run.
    pub fn oldest_ending(&self) -> Result<Option<Timestamp>, StoreError> {
        self.one(OLDEST_ENDING, |row| row::time(row, 0))
    }

    /// Is there nothing left to do: no run waits, and no attempt is open?
    pub fn is_idle(&self) -> Result<bool, StoreError> {
        self.one(IDLE, |row| row.get(0))
    }

    /// The waiting runs whose due time lies further ahead of `now` than their delay.
    pub fn overdelayed(&self, now: Timestamp, limit: usize) -> Result<Vec<RunId>, StoreError> {
        self.rows(
            "SELECT id FROM run WHERE stage IS NOT NULL AND due_at > ?1 + delay_ms LIMIT ?2",
            params![now.millis(), limit as i64],
            |row| row.get(0).map(RunId),
        )
    }

    /// The attempts that occupy a slot.
    pub fn open_attempts(&self) -> Result<Vec<OpenAttempt>, StoreError> {
        self.rows(&open_sql(""), [], open)
    }

    /// The attempt of run `id` that occupies a slot.
    pub fn open_attempt(&self, id: RunId) -> Result<Option<OpenAttempt>, StoreError> {
        Ok(self.rows(&open_sql(OPEN_OF_RUN), [id.0], open)?.pop())
    }

    /// The canceled runs whose attempt is still open.
    pub fn closing(&self) -> Result<Vec<RunId>, StoreError> {
        self.rows(CLOSING, [], |row| row.get(0).map(RunId))
    }

    /// The content with this digest.
    pub fn content(&self, digest: &str) -> Result<Vec<u8>, StoreError> {
        let read = self.connection.query_row(
            "SELECT bytes FROM content WHERE digest = ?1",
            [digest],
            |row| row.get(0),
        );
        read.map_err(|error| self.error(error))
    }

    /// How many bytes the content with this digest has; they are not read for it.
    pub fn content_length(&self, digest: &str) -> Result<u64, StoreError> {
        let select = self
            .connection
            .prepare_cached("SELECT length(bytes) FROM content WHERE digest = ?1");
        let read =
            select.and_then(|mut select| select.query_row([digest], |row| row.get::<_, i64>(0)));
        read.map(|length| length as u64)
            .map_err(|error| self.error(error))
    }

    /// The random name of this database, the prefix of its idempotency keys.
    pub fn name(&self) -> Result<String, StoreError> {
        self.one("SELECT name FROM identity", |row| row.get(0))
    }

    pub(super) fn one<T>(
        &self,
        sql: &str,
        map: impl FnOnce(&Row<'_>) -> rusqlite::Result<T>,
    ) -> Result<T, StoreError> {
        let select = self.connection.prepare_cached(sql);
        let read = select.and_then(|mut select| select.query_row([], map));
        read.map_err(|error| self.error(error))
    }

    pub(super) fn rows<T>(
        &self,
        sql: &str,
        params: impl rusqlite::Params,
        map: impl FnMut(&Row<'_>) -> rusqlite::Result<T>,
    ) -> Result<Vec<T>, StoreError> {
        let select = self.connection.prepare_cached(sql);
        let read = select.and_then(|mut select| select.query_map(params, map)?.collect());
        read.map_err(|error| self.error(error))
    }

    /// What `sql` finds of the run ?1, which is `id`.
    pub(super) fn found_by<T>(
        &self,
        sql: &str,
        id: RunId,
        map: impl FnOnce(&Row<'_>) -> rusqlite::Result<T>,
    ) -> Result<T, StoreError> {
        let found = self.connection.prepare_cached(sql);
        let found = found.and_then(|mut select| select.query_row([id.0], map).optional());
        self.found(id, found)
    }

    fn found<T>(&self, id: RunId, found: rusqlite::Result<Option<T>>) -> Result<T, StoreError> {
        match found {
            Ok(Some(found)) => Ok(found),
            Ok(None) => Err(StoreError::NoRun {
                id,
                path: self.path.to_owned(),
            }),
            Err(error) => Err(self.error(error)),
        }
    }

    pub(super) fn path(&self) -> &Path {
        self.path
    }

    fn error(&self, error: rusqlite::Error) -> StoreError {
        StoreError::from_sqlite(self.path, error)
    }
}

impl Pass<'_> {
    /// What the next attempt of run `id` needs to be started.
    pub fn launch(&self, id: RunId) -> Result<Launch, StoreError> {
        static LAUNCH: LazyLock<String> = LazyLock::new(|| {
            format!(
                "SELECT {}, command, cwd, umask, environment.bytes, input.digest, parent_id, \
                 parent_result, previous.outcome FROM run \
                 JOIN content AS environment ON environment.id = environment_id \
                 LEFT JOIN content AS input ON input.id = stdin_id \
                 LEFT JOIN attempt AS previous ON previous.run_id = run.id \
                 AND previous.number = attempts WHERE run.id = ?1",
                Current::columns()
            )
        });
        let read = self.read();
        read.found_by(&LAUNCH, id, |row| launch(row, id))
    }
}

fn open_sql(of: &str) -> String {
    format!(
        "SELECT run.id, run.open_attempt, run.state = 'canceled', run.policy, \
         attempt.shim_file, {} \
         FROM attempt INDEXED BY attempt_open CROSS JOIN run \
         ON run.id = run_id AND run.open_attempt = attempt.number \
         WHERE ended_at IS NULL AND run_id > 0{of}",
        row::IDENTITY
    )
}

fn open(row: &Row<'_>) -> rusqlite::Result<OpenAttempt> {
    let policy: String = row.get(3)?;
    Ok(OpenAttempt {
        run: RunId(row.get(0)?),
        attempt: AttemptNumber(row.get(1)?),
        canceled: row.get(2)?,
        policy: serde_json::from_str(&policy).unwrap_or_default(),
        file: row.get(4)?,
        shim: row::identity(row, 5)?,
    })
}

fn record(row: &Row<'_>) -> rusqlite::Result<RunRecord> {
    let at = row::RUN_WIDTH;
    let run = row::run(row)?;
    let result = match &run.state {
        State::Waiting { .. } | State::Held | State::Running { .. } => None,
        State::Succeeded => Some(RunResult::Success {
            return_value: row.get::<_, Option<_>>(at + 9)?.unwrap_or_default(),
        }),
        State::Failed { reason } => Some(RunResult::Failed {
            error: row.get::<_, Option<_>>(at + 8)?.unwrap_or_default(),
            reason: *reason,
        }),
        State::Canceled { .. } => Some(RunResult::Canceled),
    };
    Ok(RunRecord {
        id: RunId(row.get(at)?),
        run,
        created_at: Timestamp::from_millis(row.get(at + 1)?),
        finished_at: row::time(row, at + 2)?,
        command: words(row, at + 3)?,
        cwd: row.get(at + 4)?,
        name: row.get(at + 5)?,
        parent: row.get::<_, Option<_>>(at + 6)?.map(RunId),
        hook: row.get::<_, Option<_>>(at + 7)?.map(RunId),
        priority: row.get(at + 10)?,
        pool: row.get(at + 11)?,
        lock: row.get(at + 12)?,
        key: row.get(at + 13)?,
        result,
    })
}

fn launch(row: &Row<'_>, id: RunId) -> rusqlite::Result<Launch> {
    let at = Current::WIDTH;
    let parent: Option<i64> = row.get(at + 5)?;
    let parent_result: Option<String> = row.get(at + 6)?;
    Ok(Launch {
        current: Current::at(row, id)?,
        command: words(row, at)?,
        cwd: row.get(at + 1)?,
        umask: row.get(at + 2)?,
        environment: Environment(row.get(at + 3)?),
        stdin: row.get(at + 4)?,
        parent: parent.map(RunId).zip(parent_result),
        previous: row::outcome(row, at + 7)?,
    })
}

fn words(row: &Row<'_>, at: usize) -> rusqlite::Result<Vec<Vec<u8>>> {
    let joined: Vec<u8> = row.get(at)?;
    Ok(split_nul(&joined).map(<[u8]>::to_vec).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::schema::assert_plan;

    #[test]
    fn nothing_that_a_pass_reads_scans_what_is_stored() {
        assert_plan(NEXT_DEADLINE, "INDEX run_deadline (deadline_at>?)");
        assert_plan(
            PAST_DEADLINE,
            "INDEX run_deadline (deadline_at>? AND deadline_at<?)",
        );
        assert_plan(OLDEST_ENDING, "COVERING INDEX run_finished");
        assert_plan(IDLE, "COVERING INDEX run_stage (stage>?)");
        assert_plan(IDLE, "attempt_open (run_id>?)");
        assert_plan(CLOSING, "INDEX run_closing (id>?)");
        for (of, part) in [
            ("", "attempt_open (run_id>?)"),
            (OPEN_OF_RUN, "attempt_open (run_id=?)"),
        ] {
            assert_plan(&open_sql(of), part);
            assert_plan(&open_sql(of), "run USING INTEGER PRIMARY KEY (rowid=?)");
        }
    }
}
