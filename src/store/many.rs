//! Many runs at once: the next ones in the order of their ids, a bounded number of rows at a time,
//! so that whoever goes through all of them keeps nobody waiting. No look walks over runs that have
//! ended when it is after those that have not.

use std::sync::LazyLock;

use rusqlite::{Row, params};

use crate::model::{Run, RunId, Status, Timestamp};

use super::error::StoreError;
use super::read::{OPEN_RUNS, Reader};
use super::row;

/// Which of all runs are meant. Hooks never are.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Among {
    /// Those of this pool alone.
    pub pool: Option<String>,
    /// Those of this name alone.
    pub name: Option<String>,
    /// Those in this state alone; of unfinished ones.
    pub status: Option<Status>,
}

/// What one look has found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Chunk {
    /// The runs that are meant, in order.
    pub ids: Vec<RunId>,
    /// The last run that was looked at, meant or not; none when there is no further one.
    pub last: Option<RunId>,
}

/// A run that was looked at, with what is asked of it.
struct Seen {
    id: RunId,
    run: Run,
    is_hook: bool,
    pool: String,
    name: Option<String>,
}

impl Seen {
    fn is_meant(&self, among: &Among, now: Timestamp) -> bool {
        let pool = among.pool.as_ref().is_none_or(|pool| *pool == self.pool);
        let name = among.name.is_none() || among.name == self.name;
        let status = self.run.state.status(now);
        !self.is_hook && pool && name && among.status.is_none_or(|one| one == status)
    }
}

/// What is read after the columns of [`row::RUN`].
const COLUMNS: &str = "id, parent_id IS NOT NULL, pool, name";

/// The lowest ids above ?1 and up to ?2, at most ?3.
const RANGE: &str = "id > ?1 AND id <= ?2";

/// The unfinished runs of a pool.
const OF_POOL: &str = "run INDEXED BY run_pending WHERE pool = ?4 AND finished_at IS NULL";

/// Where all unfinished runs are found but held ones, which are hooks.
const WAITING: [&str; 3] = [
    "run INDEXED BY run_stage WHERE stage = 'scheduled' AND (pool = 'hooks') = 0",
    "run INDEXED BY run_stage WHERE stage = 'locked' AND (pool = 'hooks') = 0",
    "run INDEXED BY run_stage WHERE stage = 'ready' AND (pool = 'hooks') = 0",
];

static RUNNING: LazyLock<String> =
    LazyLock::new(|| format!("{OPEN_RUNS} WHERE finished_at IS NULL"));

const FAILED: &str = "run INDEXED BY run_ended WHERE state = 'failed' AND finished_at IS NOT NULL";

const FAILED_OF_NAME: &str = "run INDEXED BY run_failed WHERE state = 'failed' AND name IS NOT NULL \
     AND name = ?4";

/// A statement that merges what these parts find by id.
fn merged(parts: &[&str]) -> String {
    let selects: Vec<String> = parts
        .iter()
        .map(|part| format!("SELECT {}, {COLUMNS} FROM {part} AND {RANGE}", row::RUN))
        .collect();
    format!("{} ORDER BY id LIMIT ?3", selects.join(" UNION ALL "))
}

/// Where the unfinished runs that can be meant are found without their pool.
fn places(status: Option<Status>) -> Vec<&'static str> {
    match status {
        Some(Status::Running) => vec![&RUNNING],
        Some(Status::Scheduled | Status::Queued) => WAITING.to_vec(),
        // None of the others is unfinished: nothing that is found passes.
        None | Some(Status::Succeeded | Status::Failed | Status::Canceled) => {
            [&WAITING[..], &[&RUNNING]].concat()
        }
    }
}

impl Reader<'_> {
    /// The unfinished runs `among` all, with ids above `after` and up to `last`, in order. It looks
    /// at no more than `limit` runs; their states are what `status` says at `now`.
    pub fn unfinished(
        &self,
        among: &Among,
        (after, last): (RunId, RunId),
        limit: usize,
        now: Timestamp,
    ) -> Result<Chunk, StoreError> {
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        let found = match &among.pool {
            Some(pool) => {
                let bound = params![after.0, last.0, limit, pool];
                self.rows(&merged(&[OF_POOL]), bound, seen)?
            }
            None => {
                let sql = merged(&places(among.status));
                self.rows(&sql, params![after.0, last.0, limit], seen)?
            }
        };
        Ok(chunk(&found, among, now))
    }

    /// The failed runs `among` all, as [`Reader::unfinished`] gives those that have not ended.
    pub fn failed(
        &self,
        among: &Among,
        (after, last): (RunId, RunId),
        limit: usize,
        now: Timestamp,
    ) -> Result<Chunk, StoreError> {
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        let found = match &among.name {
            Some(name) => {
                let bound = params![after.0, last.0, limit, name];
                self.rows(&merged(&[FAILED_OF_NAME]), bound, seen)?
            }
            None => self.rows(&merged(&[FAILED]), params![after.0, last.0, limit], seen)?,
        };
        Ok(chunk(&found, among, now))
    }

    /// The run `id`, if it is stored and is one `among` all at `now`.
    pub fn meant(
        &self,
        among: &Among,
        id: RunId,
        now: Timestamp,
    ) -> Result<Option<Run>, StoreError> {
        let sql = format!("SELECT {}, {COLUMNS} FROM run WHERE id = ?1", row::RUN);
        let found = self.rows(&sql, [id.0], seen)?.pop();
        let meant = found.filter(|seen| seen.is_meant(among, now));
        Ok(meant.map(|seen| seen.run))
    }

    /// The highest id of a stored run.
    pub fn newest(&self) -> Result<Option<RunId>, StoreError> {
        let newest = self.rows("SELECT max(id) FROM run", [], |row| {
            row.get::<_, Option<_>>(0)
        })?;
        Ok(newest.first().copied().flatten().map(RunId))
    }
}

fn seen(row: &Row<'_>) -> rusqlite::Result<Seen> {
    let at = row::RUN_WIDTH;
    Ok(Seen {
        run: row::run(row)?,
        id: RunId(row.get(at)?),
        is_hook: row.get(at + 1)?,
        pool: row.get(at + 2)?,
        name: row.get(at + 3)?,
    })
}

fn chunk(seen: &[Seen], among: &Among, now: Timestamp) -> Chunk {
    let meant = seen.iter().filter(|seen| seen.is_meant(among, now));
    Chunk {
        ids: meant.map(|seen| seen.id).collect(),
        last: seen.last().map(|seen| seen.id),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::schema::assert_plan;

    #[test]
    fn the_next_runs_are_found_by_looks_into_indexes() {
        assert_plan(
            &merged(&[OF_POOL]),
            "run_pending (pool=? AND id>? AND id<?)",
        );
        assert_plan(&merged(&[FAILED]), "run_ended (state=? AND id>? AND id<?)");
        let of_name = merged(&[FAILED_OF_NAME]);
        assert_plan(&of_name, "run_failed (name=? AND id>? AND id<?)");
        for status in [None].into_iter().chain(Status::ALL.map(Some)) {
            let sql = merged(&places(status));
            if places(status).contains(&RUNNING.as_str()) {
                assert_plan(&sql, "attempt_open (run_id>? AND run_id<?)");
            }
            if places(status).len() > 1 {
                assert_plan(
                    &sql,
                    "USING INDEX run_stage (stage=? AND <expr>=? AND id>? AND id<?)",
                );
                assert_plan(&sql, "MERGE (UNION ALL)");
            }
        }
    }
}
