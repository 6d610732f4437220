//! The words that people gave their runs. Each is found by a jump to where the next one must be, so many
//! runs of one word cost no more than one.

use rusqlite::params;

use super::error::StoreError;
use super::read::Reader;

/// What a word is to a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Label {
    /// Its key.
    Key,
    /// Its name.
    Name,
    /// Its lock, while it is in use.
    Lock,
}

const KEY: &str = "SELECT key FROM run INDEXED BY run_key \
     WHERE key IS NOT NULL AND key >= ?1 ORDER BY key LIMIT 1";

const NAME: &str = "SELECT name FROM run INDEXED BY run_name \
     WHERE name IS NOT NULL AND name >= ?1 ORDER BY name LIMIT 1";

const LOCK: &str = "SELECT lock FROM run INDEXED BY run_lock_held \
     WHERE lock IS NOT NULL AND (stage = 'ready' OR open_attempt IS NOT NULL) \
     AND lock >= ?1 ORDER BY lock LIMIT 1";

impl Reader<'_> {
    /// The words of this kind that begin with `prefix`, each once, in the order of their bytes, at most
    /// `limit`.
    pub fn labels(
        &self,
        label: Label,
        prefix: &str,
        limit: usize,
    ) -> Result<Vec<String>, StoreError> {
        let sql = match label {
            Label::Key => KEY,
            Label::Name => NAME,
            Label::Lock => LOCK,
        };
        let mut found: Vec<String> = Vec::new();
        let mut from = prefix.to_owned();
        while found.len() < limit {
            let next: Vec<String> = self.rows(sql, params![from], |row| row.get(0))?;
            let Some(next) = next.into_iter().next() else {
                break;
            };
            if !next.starts_with(prefix) {
                break;
            }
            // No text lies between the two.
            from = format!("{next}\0");
            found.push(next);
        }
        Ok(found)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::schema::assert_plan;

    #[test]
    fn each_word_is_found_by_a_jump_in_its_index() {
        assert_plan(KEY, "COVERING INDEX run_key (key>?)");
        assert_plan(NAME, "COVERING INDEX run_name (name>?)");
        assert_plan(LOCK, "INDEX run_lock_held (lock>?)");
    }
}
