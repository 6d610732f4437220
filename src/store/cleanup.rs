//! Forgetting runs that have ended: first their rows, in one transaction with the names of their
//! files, then the files.

use std::io;

use rusqlite::{OptionalExtension, params};

use crate::model::{AttemptNumber, Run, RunId, Status, Timestamp};
use crate::sys::failpoint;
use crate::sys::files::{remove_if_there, remove_with_content};

use super::error::StoreError;
use super::folder::{Folder, Stream};
use super::open::Store;
use super::pass::Pass;
use super::read::Reader;

/// What became of the wish to forget a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Removed {
    /// It is gone.
    Done,
    /// It has not ended.
    Unfinished,
    /// It was canceled, and its attempt is still being ended.
    Closing,
    /// This hook of it has not ended.
    HookUnfinished(RunId),
}

/// How far a sweep got.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Swept {
    /// How many runs were forgotten.
    pub runs: usize,
    /// Whether there may be more.
    pub more: bool,
}

/// A run that was retried by hand has a hook of each of its endings.
const UNFINISHED_HOOK: &str = "SELECT id FROM run WHERE parent_id = ?1 AND parent_id IS NOT NULL \
     AND finished_at IS NULL ORDER BY id DESC LIMIT 1";

impl Pass<'_> {
    /// Forgets run `id`, if it has ended, its attempt is closed, and its hooks have ended.
    pub fn remove(&self, id: RunId) -> Result<Removed, StoreError> {
        let run = self.read().run(id)?;
        let hooks = self
            .read()
            .rows(UNFINISHED_HOOK, [id.0], |row| row.get(0).map(RunId))?;
        let removed = removable(&run, hooks.first().copied());
        if removed == Removed::Done {
            self.guard(self.delete(id))?;
        }
        Ok(removed)
    }

    /// Forgets the runs that ended before `before`, in state `status` if one is given; at most
    /// `limit`, the longest ended first. Those whose hook has not ended stay.
    pub fn expire(
        &self,
        before: Timestamp,
        status: Option<Status>,
        limit: usize,
    ) -> Result<Swept, StoreError> {
        let ids = self.read().expired(before, status, limit)?;
        // The statement only keeps those that must stay from filling the limit; whether a run may
        // go is decided in one place.
        let mut runs = 0;
        for id in &ids {
            runs += usize::from(self.remove(*id)? == Removed::Done);
        }
        Ok(Swept {
            runs,
            more: runs > 0 && ids.len() == limit,
        })
    }

    fn delete(&self, id: RunId) -> rusqlite::Result<()> {
        let connection = self.connection();
        let mut numbers =
            connection.prepare_cached("SELECT number FROM attempt WHERE run_id = ?1")?;
        let numbers: Vec<u32> = numbers
            .query_map([id.0], |row| row.get(0))?
            .collect::<rusqlite::Result<_>>()?;
        for number in numbers.into_iter().map(AttemptNumber) {
            for stream in [Stream::Stdout, Stream::Stderr] {
                self.discard(&Folder::output_name(id, number, stream))?;
            }
            self.discard(&Folder::decision_name(id, number))?;
        }
        let (environment_id, stdin_id): (i64, Option<i64>) = connection
            .prepare_cached("SELECT environment_id, stdin_id FROM run WHERE id = ?1")?
            .query_row([id.0], |row| Ok((row.get(0)?, row.get(1)?)))?;
        connection
            .prepare_cached("DELETE FROM run WHERE id = ?1")?
            .execute([id.0])?;
        for content_id in [Some(environment_id), stdin_id].into_iter().flatten() {
            self.release_content(content_id)?;
        }
        Ok(())
    }

    fn release_content(&self, id: i64) -> rusqlite::Result<()> {
        let connection = self.connection();
        let digest: Option<String> = connection
            .prepare_cached("DELETE FROM content WHERE id = ?1 AND refs = 1 RETURNING digest")?
            .query_row([id], |row| row.get(0))
            .optional()?;
        match digest {
            Some(digest) => self.discard(&Folder::input_name(&digest)),
            None => connection
                .prepare_cached("UPDATE content SET refs = refs - 1 WHERE id = ?1")?
                .execute([id])
                .map(drop),
        }
    }

    fn discard(&self, name: &str) -> rusqlite::Result<()> {
        self.connection()
            .prepare_cached("INSERT OR IGNORE INTO trash (name) VALUES (?1)")?
            .execute([name])
            .map(drop)
    }
}

impl Reader<'_> {
    /// The runs that ended before `before`, in state `status` if one is given, and of which nothing is
    /// unfinished; at most `limit`, the longest ended first.
    pub fn expired(
        &self,
        before: Timestamp,
        status: Option<Status>,
        limit: usize,
    ) -> Result<Vec<RunId>, StoreError> {
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        self.rows(
            "SELECT id FROM run WHERE finished_at IS NOT NULL AND finished_at < ?1 \
             AND (?2 IS NULL OR state = ?2) AND open_attempt IS NULL \
             AND NOT EXISTS (SELECT 1 FROM run AS hook \
                 WHERE hook.parent_id = run.id AND hook.parent_id IS NOT NULL \
                 AND hook.finished_at IS NULL) \
             ORDER BY finished_at LIMIT ?3",
            params![before.millis(), status.map(Status::word), limit],
            |row| row.get(0).map(RunId),
        )
    }
}

fn removable(run: &Run, unfinished_hook: Option<RunId>) -> Removed {
    if !run.state.is_final() && !failpoint::has_bug("forgets_unfinished") {
        Removed::Unfinished
    } else if run.state.open_attempt().is_some() {
        Removed::Closing
    } else {
        unfinished_hook.map_or(Removed::Done, Removed::HookUnfinished)
    }
}

impl Store {
    /// Does `forget` in one transaction and commits it; the files follow with
    /// [`Store::empty_trash`].
    pub fn forget<T>(
        &mut self,
        forget: impl Fn(&Pass<'_>) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        let pass = self.begin()?;
        let forgotten = forget(&pass)?;
        let reached = failpoint::reach("cleanup_before_commit");
        reached.map_err(|error| pass.trouble(error))?;
        pass.commit()?;
        Ok(forgotten)
    }

    /// Removes at most `limit` files of forgotten runs. `true`: there are more. A file that cannot
    /// be removed keeps its name in the list, and the error is given after the others are gone.
    pub fn empty_trash(&mut self, limit: usize) -> Result<bool, StoreError> {
        // A power cut must not bring a run back whose output is gone.
        self.sync()?;
        let folder = self.folder().clone();
        let pass = self.begin()?;
        let names = pass.discarded(limit)?;
        let more = names.len() == limit;
        let mut failed = None;
        for name in names {
            if let Err(error) = pass.remove_file(&folder, &name)? {
                failed = Some(StoreError::from_io(&folder.path().join(&name), error));
                continue;
            }
            let forgotten = pass
                .connection()
                .prepare_cached("DELETE FROM trash WHERE name = ?1")
                .and_then(|mut delete| delete.execute([&name]));
            pass.guard(forgotten)?;
        }
        let reached = failpoint::reach("trash_before_commit");
        reached.map_err(|error| StoreError::from_io(folder.path(), error))?;
        pass.commit()?;
        failed.map_or(Ok(more), Err)
    }
}

impl Pass<'_> {
    /// At most `limit` names of files of forgotten runs.
    fn discarded(&self, limit: usize) -> Result<Vec<String>, StoreError> {
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        self.read()
            .rows("SELECT name FROM trash LIMIT ?1", [limit], |row| row.get(0))
    }

    /// Removes a file of forgotten runs, if it is not needed again: the same input may have been
    /// stored once more.
    fn remove_file(&self, folder: &Folder, name: &str) -> Result<io::Result<()>, StoreError> {
        if self.guard(self.is_input_in_use(name))? {
            return Ok(Ok(()));
        }
        let path = folder.path().join(name);
        // Where the file of a decision is to be, a command may make a folder. Elsewhere none belongs.
        Ok(if Folder::is_decision(name) {
            remove_with_content(&path)
        } else {
            remove_if_there(&path)
        })
    }

    fn is_input_in_use(&self, name: &str) -> rusqlite::Result<bool> {
        let Some(digest) = name.strip_prefix("input/") else {
            return Ok(false);
        };
        self.connection()
            .prepare_cached("SELECT EXISTS (SELECT 1 FROM content WHERE digest = ?1)")?
            .query_row([digest], |row| row.get(0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::schema::assert_plan;

    #[test]
    fn the_hooks_of_a_run_are_looked_up_in_their_index() {
        assert_plan(UNFINISHED_HOOK, "USING INDEX run_hook (parent_id=?)");
    }
}
