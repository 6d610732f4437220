//! Listing runs, the newest first, at a cost that grows with what is listed and not with what is
//! stored: each filter has an index that holds its runs in the order of their ids. Start reading at
//! [`Reader::list`].

use rusqlite::types::Value;
use rusqlite::{params, params_from_iter};

use crate::model::{RunId, RunRecord, Status, Timestamp};

use super::error::StoreError;
use super::read::{OPEN_RUNS, Reader};
use super::row::time;

/// Which runs to list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Filter {
    /// Those in one of these states alone; none of them is no condition.
    pub statuses: Vec<Status>,
    /// Those of this name alone.
    pub name: Option<String>,
    /// Those in this pool alone.
    pub pool: Option<String>,
    /// Those alone that were stored at this time or later. Ids tell where these begin: of runs that were
    /// stored before the clock was set back some may be left out.
    pub since: Option<Timestamp>,
    /// At most this many, the newest first.
    pub limit: u32,
}

/// Whether a run that nobody has seen to be due is, cannot stand in an index, because time passes.
/// So those runs are kept in blocks of ids, each with its due times in order, and a block without
/// a run that is looked for costs one look. See `run_block`.
const BLOCK_BELOW: &str = "SELECT max(id / 1024) FROM run INDEXED BY run_block \
     WHERE stage = 'scheduled' AND id / 1024 < ?1";

/// When the last of them is due.
const LAST_DUE: &str = "SELECT max(due_at) FROM run INDEXED BY run_due WHERE stage = 'scheduled'";

const DUE_IN_BLOCK: &str = "SELECT id FROM run INDEXED BY run_block \
     WHERE stage = 'scheduled' AND id / 1024 = ?1 AND due_at <= ?2";

const NOT_DUE_IN_BLOCK: &str = "SELECT id FROM run INDEXED BY run_block \
     WHERE stage = 'scheduled' AND id / 1024 = ?1 AND due_at > ?2";

/// The first run from an id on, and when it was stored.
const FROM: &str = "SELECT id, created_at FROM run NOT INDEXED WHERE id >= ?1 ORDER BY id LIMIT 1";

const HIGHEST: &str = "SELECT coalesce(max(id), 0) FROM run NOT INDEXED";

const OF_POOL: &str = "SELECT 1 FROM run INDEXED BY run_pool WHERE pool = ?1 LIMIT 1";

/// A walk over an index, from the highest id down.
struct Walk {
    /// The runs, and the index by which they are found.
    over: &'static str,
    conditions: Vec<String>,
    values: Vec<Value>,
}

impl Walk {
    fn over(over: &'static str, condition: &str) -> Self {
        Self {
            over,
            conditions: vec![condition.to_owned()],
            values: Vec::new(),
        }
    }

    /// Only where `column` is `value`.
    fn having(mut self, column: &str, value: &str) -> Self {
        self.values.push(value.to_owned().into());
        self.conditions
            .push(format!("{column} = ?{}", self.values.len()));
        self
    }

    /// Only the runs from `first` on that were stored at `since` or later.
    fn stored_since(mut self, (first, since): (RunId, Timestamp)) -> Self {
        self.values.push(first.0.into());
        self.values.push(since.millis().into());
        let last = self.values.len();
        self.conditions
            .push(format!("id >= ?{} AND created_at >= ?{last}", last - 1));
        self
    }

    /// Only what is in state `status` at `now`.
    fn in_state(mut self, status: Status, now: Timestamp) -> Self {
        if matches!(status, Status::Scheduled | Status::Queued) {
            self.values.push(now.millis().into());
        }
        let now = self.values.len();
        self.conditions.push(match status {
            Status::Scheduled => format!(
                "state = 'waiting' AND (stage IS NULL OR (stage = 'scheduled' AND due_at > ?{now}))"
            ),
            Status::Queued => format!(
                "(stage = 'ready' OR stage = 'locked' OR (stage = 'scheduled' AND due_at <= ?{now}))"
            ),
            Status::Running | Status::Succeeded | Status::Failed | Status::Canceled => {
                format!("state = '{}'", status.word())
            }
        });
        self
    }

    fn sql(&self) -> String {
        format!(
            "SELECT id FROM {} WHERE {} ORDER BY id DESC LIMIT ?{}",
            self.over,
            self.conditions.join(" AND "),
            self.values.len() + 1
        )
    }
}

/// The walk over the runs that pass `filter` and are in state `status`, if one is given; none when waiting
/// ones are looked for by their state alone, which takes several.
fn walk(filter: &Filter, status: Option<Status>, now: Timestamp) -> Option<Walk> {
    let walk = match (&filter.name, &filter.pool, status) {
        (Some(name), _, Some(Status::Failed)) => {
            let failed = "state = 'failed' AND name IS NOT NULL";
            Walk::over("run INDEXED BY run_failed", failed).having("name", name)
        }
        (Some(name), _, _) => {
            Walk::over("run INDEXED BY run_name", "name IS NOT NULL").having("name", name)
        }
        (None, _, Some(Status::Running)) => Walk::over(OPEN_RUNS, "1"),
        (None, Some(_), Some(Status::Scheduled | Status::Queued)) => {
            Walk::over("run INDEXED BY run_pending", "finished_at IS NULL")
        }
        (None, Some(_), None | Some(Status::Succeeded)) => {
            Walk::over("run INDEXED BY run_pool", "1")
        }
        (None, _, Some(Status::Succeeded | Status::Failed | Status::Canceled)) => {
            Walk::over("run INDEXED BY run_ended", "finished_at IS NOT NULL")
        }
        (None, None, Some(Status::Scheduled | Status::Queued)) => return None,
        (None, None, None) => Walk::over("run NOT INDEXED", "id > 0"),
    };
    let walk = match &filter.pool {
        Some(pool) => walk.having("pool", pool),
        None => walk,
    };
    Some(match status {
        Some(status) => walk.in_state(status, now),
        None => walk,
    })
}

/// Those that wait and of which the state is known without the time.
fn waiting(status: Status) -> Vec<Walk> {
    let over = "run INDEXED BY run_stage";
    match status {
        Status::Scheduled => vec![Walk::over(
            "run INDEXED BY run_held",
            "state = 'waiting' AND due_at IS NULL AND id > 0",
        )],
        Status::Queued => vec![
            Walk::over(over, "stage = 'ready' AND (pool = 'hooks') = 0"),
            Walk::over(over, "stage = 'ready' AND (pool = 'hooks') = 1"),
            // A hook has no lock.
            Walk::over(over, "stage = 'locked' AND (pool = 'hooks') = 0"),
        ],
        Status::Running | Status::Succeeded | Status::Failed | Status::Canceled => Vec::new(),
    }
}

impl Reader<'_> {
    /// The runs that pass `filter` at time `now`, newest first. To be called within one moment.
    pub fn list(&self, filter: &Filter, now: Timestamp) -> Result<Vec<RunRecord>, StoreError> {
        let ids = self.ids(filter, now)?;
        ids.into_iter().map(|id| self.record(id)).collect()
    }

    /// Is a run stored whose pool is or was `name`?
    pub fn has_run_of_pool(&self, name: &str) -> Result<bool, StoreError> {
        Ok(!self.rows(OF_POOL, [name], |_| Ok(()))?.is_empty())
    }

    /// The ids of the runs that pass `filter` at time `now`, newest first. To be called within one moment.
    pub fn ids(&self, filter: &Filter, now: Timestamp) -> Result<Vec<RunId>, StoreError> {
        let since = match filter.since {
            Some(since) => Some((self.first_since(since)?, since)),
            None => None,
        };
        let narrowed = |walk: Walk| match since {
            Some(since) => walk.stored_since(since),
            None => walk,
        };
        let each = filter.statuses.iter().copied().map(Some);
        let none = filter.statuses.is_empty().then_some(None);
        let mut ids = Vec::new();
        for status in each.chain(none) {
            if let Some(walk) = walk(filter, status, now) {
                ids.extend(self.follow(&narrowed(walk), filter.limit)?);
            } else if let Some(status) = status {
                ids.extend(self.of_blocks(status, now, (filter.limit, since))?);
                for walk in waiting(status) {
                    ids.extend(self.follow(&narrowed(walk), filter.limit)?);
                }
            }
        }
        ids.sort_unstable_by(|a, b| b.cmp(a));
        // A state may be named twice.
        ids.dedup();
        ids.truncate(filter.limit as usize);
        Ok(ids)
    }

    fn follow(&self, walk: &Walk, limit: u32) -> Result<Vec<RunId>, StoreError> {
        let limit = Value::from(i64::from(limit));
        let values = walk.values.iter().chain([&limit]);
        self.rows(&walk.sql(), params_from_iter(values), |row| {
            row.get(0).map(RunId)
        })
    }

    /// The first run of those that were stored at `since` or later, by halving: ids rise with time.
    fn first_since(&self, since: Timestamp) -> Result<RunId, StoreError> {
        let highest: i64 = self.one(HIGHEST, |row| row.get(0))?;
        let (mut from, mut to) = (1, highest.saturating_add(1));
        while from < to {
            let middle = from + (to - from) / 2;
            match self.stored_from(middle)? {
                Some((id, at)) if at < since => from = id + 1,
                Some(_) | None => to = middle,
            }
        }
        Ok(RunId(from))
    }

    /// The first run from `id` on, and when it was stored.
    fn stored_from(&self, id: i64) -> Result<Option<(i64, Timestamp)>, StoreError> {
        let found = self.rows(FROM, [id], |row| {
            Ok((row.get(0)?, Timestamp::from_millis(row.get(1)?)))
        });
        Ok(found?.pop())
    }

    fn is_stored_since(
        &self,
        id: i64,
        since: Option<(RunId, Timestamp)>,
    ) -> Result<bool, StoreError> {
        let Some((first, since)) = since else {
            return Ok(true);
        };
        let stored = self.stored_from(id)?;
        Ok(id >= first.0 && stored.is_some_and(|(found, at)| found == id && at >= since))
    }

    /// The newest runs that nobody has seen to be due, and that are, or are not.
    fn of_blocks(
        &self,
        status: Status,
        now: Timestamp,
        (limit, since): (u32, Option<(RunId, Timestamp)>),
    ) -> Result<Vec<RunId>, StoreError> {
        // A daemon that is alive sees what is due at once, and no block has to be looked at.
        let (of_block, is_there) = match status {
            Status::Queued => (DUE_IN_BLOCK, self.next_due()?.is_some_and(|due| due <= now)),
            Status::Scheduled => {
                let last = self.one(LAST_DUE, |row| time(row, 0))?;
                (NOT_DUE_IN_BLOCK, last.is_some_and(|due| due > now))
            }
            Status::Running | Status::Succeeded | Status::Failed | Status::Canceled => {
                return Ok(Vec::new());
            }
        };
        let mut ids = Vec::new();
        let mut below = i64::MAX;
        let first = since.map_or(0, |(first, _)| first.0);
        while is_there && ids.len() < limit as usize {
            let blocks: Vec<Option<i64>> = self.rows(BLOCK_BELOW, [below], |row| row.get(0))?;
            let block = blocks.into_iter().next().flatten();
            let Some(block) = block.filter(|block| *block >= first / 1024) else {
                break;
            };
            for id in self.rows(of_block, params![block, now.millis()], |row| row.get(0))? {
                if self.is_stored_since(id, since)? {
                    ids.push(RunId(id));
                }
            }
            below = block;
        }
        Ok(ids)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::schema::assert_plan;

    const NOW: Timestamp = Timestamp::from_millis(0);

    /// The plan of each walk over an index must hold the part that belongs to it.
    #[test]
    fn every_filter_walks_an_index_in_the_order_of_ids() {
        for (name, pool, status, part) in [
            (None, None, None, "INTEGER PRIMARY KEY (rowid>?)"),
            (None, None, Some(Status::Running), "attempt_open (run_id>?)"),
            (None, None, Some(Status::Succeeded), "run_ended (state=?)"),
            (None, None, Some(Status::Failed), "run_ended (state=?)"),
            (None, None, Some(Status::Canceled), "run_ended (state=?)"),
            (None, Some("p"), None, "run_pool (pool=?)"),
            (
                None,
                Some("p"),
                Some(Status::Scheduled),
                "run_pending (pool=?)",
            ),
            (
                None,
                Some("p"),
                Some(Status::Queued),
                "run_pending (pool=?)",
            ),
            (
                None,
                Some("p"),
                Some(Status::Running),
                "attempt_open (run_id>?)",
            ),
            (
                None,
                Some("p"),
                Some(Status::Succeeded),
                "run_pool (pool=?)",
            ),
            (None, Some("p"), Some(Status::Failed), "run_ended (state=?)"),
            (Some("n"), None, None, "run_name (name=?)"),
            (Some("n"), None, Some(Status::Failed), "run_failed (name=?)"),
            (
                Some("n"),
                Some("p"),
                Some(Status::Queued),
                "run_name (name=?)",
            ),
        ] {
            let filter = Filter {
                statuses: Vec::new(),
                name: name.map(str::to_owned),
                pool: pool.map(str::to_owned),
                since: None,
                limit: 1,
            };
            let found = walk(&filter, status, NOW).expect("it is one walk");
            assert_plan(&found.sql(), part);
            let since = walk(&filter, status, NOW).expect("it is one walk");
            let since = since.stored_since((RunId(1), NOW)).sql();
            // It begins at an id, where the index has its runs in their order.
            let begins = part.rsplit_once(')').map_or(part, |(begin, _)| begin);
            assert_plan(&since, begins);
        }
    }

    #[test]
    fn waiting_runs_are_found_by_their_stage_and_their_block() {
        for status in Status::ALL {
            for walk in waiting(status) {
                let part = match status {
                    Status::Scheduled => "run_held (id>?)",
                    _ => "run_stage (stage=? AND <expr>=?)",
                };
                assert_plan(&walk.sql(), part);
            }
        }
        assert_plan(LAST_DUE, "COVERING INDEX run_due");
        assert_plan(BLOCK_BELOW, "COVERING INDEX run_block (<expr><?)");
        for sql in [DUE_IN_BLOCK, NOT_DUE_IN_BLOCK] {
            assert_plan(sql, "COVERING INDEX run_block (<expr>=? AND due_at");
        }
        assert_plan(FROM, "INTEGER PRIMARY KEY (rowid>?)");
        assert_plan(HIGHEST, "SEARCH run");
        assert_plan(OF_POOL, "COVERING INDEX run_pool (pool=?)");
    }
}
