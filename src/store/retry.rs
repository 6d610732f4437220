//! What a retry by hand looks up: what stands in the way of a run.

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
    /// The pool of this name, to which it belongs, is gone.
    Pool(String),
}

const RIVAL: &str = "SELECT other.key, other.id FROM run JOIN run AS other ON other.key = run.key \
     AND other.key IS NOT NULL AND (other.finished_at IS NULL OR other.open_attempt IS NOT NULL) \
     WHERE run.id = ?1 AND other.id <> run.id";

const PARENT: &str = "SELECT parent.id FROM run JOIN run AS parent ON parent.id = run.parent_id \
     WHERE run.id = ?1 AND parent.hook_id = run.id AND parent.state = 'canceled' \
     AND parent.open_attempt IS NOT NULL";

const LOST_POOL: &str = "SELECT pool FROM run WHERE id = ?1 \
     AND NOT EXISTS (SELECT 1 FROM pool WHERE name = run.pool)";

impl Reader<'_> {
    /// What keeps run `id`, which has ended, from beginning anew.
    pub fn obstacle(&self, id: RunId) -> Result<Option<Obstacle>, StoreError> {
        let mut found = self.rows(RIVAL, [id.0], |row| {
            let holder = RunId(row.get(1)?);
            let key = row.get(0)?;
            Ok(Obstacle::Key { key, holder })
        })?;
        found.extend(self.rows(PARENT, [id.0], |row| {
            Ok(Obstacle::Parent(RunId(row.get(0)?)))
        })?);
        found.extend(self.rows(LOST_POOL, [id.0], |row| Ok(Obstacle::Pool(row.get(0)?)))?);
        Ok(found.into_iter().next())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::schema::assert_plan;

    #[test]
    fn nothing_that_a_retry_looks_up_scans_what_is_stored() {
        assert_plan(RIVAL, "other USING INDEX run_key_held (key=?)");
        assert_plan(PARENT, "parent USING INTEGER PRIMARY KEY (rowid=?)");
        assert_plan(LOST_POOL, "pool USING PRIMARY KEY (name=?)");
    }
}
