//! Keys: of all runs with the same key at most one has not ended. Who has a key is asked in the
//! transaction that would give it to somebody else, and a unique index stands behind that.
//!
//! A run holds its key until it has ended and its attempt is closed: a canceled command that is
//! still being ended must not meet its successor.

use rusqlite::params;

use crate::model::{Key, RunId};
use crate::sys::failpoint;

use super::error::StoreError;
use super::label::Label;
use super::read::Reader;

/// Among so many keys the one that was meant is looked for.
const OTHERS_MAX: usize = 1000;

const HOLDER: &str = "SELECT id FROM run WHERE key = ?1 AND key IS NOT NULL \
     AND (finished_at IS NULL OR open_attempt IS NOT NULL)";

const NEWEST: &str = "SELECT id FROM run WHERE key = ?1 ORDER BY id DESC LIMIT 1";

impl Reader<'_> {
    /// The run that is meant by the key `text`: the one that holds it, else the newest that has it.
    pub fn with_key(&self, text: &str) -> Result<RunId, StoreError> {
        if let Some(holder) = self.holder_of(text)? {
            return Ok(holder);
        }
        if let Some(newest) = self.newest_of(text)? {
            return Ok(newest);
        }
        Err(StoreError::NoKey {
            key: text.to_owned(),
            path: self.path().to_owned(),
            others: self.labels(Label::Key, "", OTHERS_MAX)?,
        })
    }

    fn newest_of(&self, text: &str) -> Result<Option<RunId>, StoreError> {
        let newest = self.rows(NEWEST, params![text], |row| row.get(0).map(RunId))?;
        Ok(newest.first().copied())
    }

    /// The run that holds the key `text`.
    fn holder_of(&self, text: &str) -> Result<Option<RunId>, StoreError> {
        let found = self.rows(HOLDER, params![text], |row| row.get(0).map(RunId))?;
        Ok(found.first().copied())
    }

    /// The run because of which no other with this key is stored.
    pub(super) fn taken_by(&self, key: &Key) -> Result<Option<RunId>, StoreError> {
        let holder = self.holder_of(&key.text)?;
        if holder.is_some() || !key.once || failpoint::has_bug("frees_once_keys") {
            return Ok(holder);
        }
        self.newest_of(&key.text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::schema::assert_plan;

    #[test]
    fn a_key_is_looked_up_in_its_index() {
        assert_plan(HOLDER, "USING INDEX run_key_held (key=?)");
        assert_plan(NEWEST, "USING COVERING INDEX run_key (key=?)");
    }
}
