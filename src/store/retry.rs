//! What a retry by hand looks up: which runs have failed, and what stands in the way of one.

use rusqlite::params;

use crate::model::RunId;

use super::error::StoreError;
use super::read::Reader;

/// Why a run that has ended cannot begin anew now, although its own state allows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Obstacle {
    /// Another run holds its key.
    Key {
        /// The key.
        key: String,
        /// Who holds it.
        holder: RunId,
    },
    /// It is a hook, and the attempt of this run, whose ending it follows, is still being ended.
    Parent(RunId),
}

const FAILED: &str = "SELECT id FROM run WHERE state = 'failed' AND finished_at IS NOT NULL \
     AND id > ?1 AND id <= ?2 AND parent_id IS NULL ORDER BY id LIMIT ?3";

const FAILED_OF_NAME: &str = "SELECT id FROM run WHERE state = 'failed' AND name IS NOT NULL \
     AND name = ?4 AND id > ?1 AND id <= ?2 AND parent_id IS NULL ORDER BY id LIMIT ?3";

const RIVAL: &str = "SELECT other.key, other.id FROM run JOIN run AS other ON other.key = run.key \
     AND other.key IS NOT NULL AND (other.finished_at IS NULL OR other.open_attempt IS NOT NULL) \
     WHERE run.id = ?1 AND other.id <> run.id";

const PARENT: &str = "SELECT parent.id FROM run JOIN run AS parent ON parent.id = run.parent_id \
     WHERE run.id = ?1 AND parent.hook_id = run.id AND parent.state = 'canceled' \
     AND parent.open_attempt IS NOT NULL";

impl Reader<'_> {
    /// The failed runs that are no hooks, of this name if there is one, with ids above `after` and
    /// up to `last`, in order, at most `limit`.
    pub fn failed(
        &self,
        name: Option<&str>,
        (after, last): (RunId, RunId),
        limit: usize,
    ) -> Result<Vec<RunId>, StoreError> {
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        let id = |row: &rusqlite::Row<'_>| row.get(0).map(RunId);
        match name {
            None => self.rows(FAILED, params![after.0, last.0, limit], id),
            Some(name) => self.rows(FAILED_OF_NAME, params![after.0, last.0, limit, name], id),
        }
    }

    /// The highest id of a stored run.
    pub fn newest(&self) -> Result<Option<RunId>, StoreError> {
        let newest = self.rows("SELECT max(id) FROM run", [], |row| {
            row.get::<_, Option<_>>(0)
        })?;
        Ok(newest.first().copied().flatten().map(RunId))
    }

    /// What keeps run `id`, which has ended, from beginning anew.
    pub fn obstacle(&self, id: RunId) -> Result<Option<Obstacle>, StoreError> {
        let mut rivals = self.rows(RIVAL, [id.0], |row| {
            let holder = RunId(row.get(1)?);
            let key = row.get(0)?;
            Ok(Obstacle::Key { key, holder })
        })?;
        rivals.extend(self.rows(PARENT, [id.0], |row| {
            Ok(Obstacle::Parent(RunId(row.get(0)?)))
        })?);
        Ok(rivals.into_iter().next())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::schema::assert_plan;

    #[test]
    fn nothing_that_a_retry_looks_up_scans_what_is_stored() {
        assert_plan(FAILED, "USING INDEX run_ended (state=? AND id>? AND id<?)");
        assert_plan(
            FAILED_OF_NAME,
            "USING INDEX run_failed (name=? AND id>? AND id<?)",
        );
        assert_plan(RIVAL, "other USING INDEX run_key_held (key=?)");
        assert_plan(PARENT, "parent USING INTEGER PRIMARY KEY (rowid=?)");
    }
}
