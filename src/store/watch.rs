//! What somebody who waits for many runs looks up: which have ended, and which run.

use std::sync::LazyLock;

use rusqlite::params;

use crate::model::{RunId, Timestamp};

use super::error::StoreError;
use super::read::{OPEN_RUNS, Reader};

const ENDED: &str = "SELECT finished_at IS NOT NULL FROM run WHERE id = ?1";

const ENDED_SINCE: &str = "SELECT id, finished_at FROM run INDEXED BY run_finished \
     WHERE finished_at >= ?1 AND finished_at IS NOT NULL";

static RUNNING: LazyLock<String> =
    LazyLock::new(|| format!("SELECT id FROM {OPEN_RUNS} WHERE state = 'running'"));

impl Reader<'_> {
    /// Has run `id` ended, or is it not stored any more?
    pub fn has_ended(&self, id: RunId) -> Result<bool, StoreError> {
        let found = self.rows(ENDED, [id.0], |row| row.get(0))?;
        Ok(found.first().copied().unwrap_or(true))
    }

    /// The finished runs whose endings are of `since` or later, each with its time.
    pub fn ended_since(&self, since: Timestamp) -> Result<Vec<(RunId, Timestamp)>, StoreError> {
        self.rows(ENDED_SINCE, params![since.millis()], |row| {
            let at = Timestamp::from_millis(row.get(1)?);
            Ok((RunId(row.get(0)?), at))
        })
    }

    /// The runs of which an attempt runs.
    pub fn running(&self) -> Result<Vec<RunId>, StoreError> {
        self.rows(&RUNNING, [], |row| row.get(0).map(RunId))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::schema::assert_plan;

    #[test]
    fn nobody_who_waits_looks_at_all_that_is_stored() {
        assert_plan(ENDED, "USING INTEGER PRIMARY KEY (rowid=?)");
        assert_plan(
            ENDED_SINCE,
            "USING COVERING INDEX run_finished (finished_at>?)",
        );
        assert_plan(&RUNNING, "attempt_open (run_id>?)");
    }
}
