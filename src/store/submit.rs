//! Storing a run.

use rusqlite::{Connection, params};
use sha2::{Digest, Sha256};

use crate::model::spec::join_nul;
use crate::model::time::millis_of;
use crate::model::{Note, RunId, Spec, Start, Timestamp};
use crate::sys::failpoint;

use super::error::StoreError;
use super::history::{Line, append};
use super::open::Store;

/// What `submit` gives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stored {
    /// The number of the run.
    pub id: RunId,
    /// Whether it was stored now. If not, it is an earlier one that has the key.
    pub is_new: bool,
}

impl Store {
    /// Stores a run that is due from `now` on as `spec` says, durably: when this gives the number,
    /// the run survives a power cut. One whose key is taken is not stored. Errors: there is no such
    /// pool, or another; the run is surely not stored, but for [`StoreError::Unknown`].
    pub fn submit(&mut self, spec: &Spec, now: Timestamp) -> Result<Stored, StoreError> {
        self.with_room(|store| store.submit_once(spec, now))
    }

    fn submit_once(&mut self, spec: &Spec, now: Timestamp) -> Result<Stored, StoreError> {
        let pass = self.begin()?;
        let earlier = spec.key.as_ref().map(|key| pass.read().taken_by(key));
        if let Some(id) = earlier.transpose()?.flatten() {
            drop(pass);
            // The one who has stored it may not have made it durable yet.
            self.sync()?;
            return Ok(Stored { id, is_new: false });
        }
        if !pass.read().has_pool(&spec.pool)? {
            return Err(pass.read().no_pool(&spec.pool)?);
        }
        let environment_id = pass.guard(content(pass.connection(), &spec.environment.0))?;
        let stdin = spec.stdin.as_deref();
        let stdin_id = stdin.map(|stdin| content(pass.connection(), stdin));
        let stdin_id = pass.guard(stdin_id.transpose())?;
        let inserted = insert(
            pass.connection(),
            &NewRun {
                spec,
                environment_id,
                stdin_id,
                now,
                parent: None,
            },
        );
        let id = pass.guard(inserted)?;
        let reached = failpoint::reach("submit_before_commit");
        reached.map_err(|error| StoreError::from_io(pass.path(), error))?;
        if failpoint::has_bug("ack_before_commit") {
            use std::io::Write;
            let _ = writeln!(std::io::stdout(), "{id}");
        }
        pass.commit()?;
        // From here on the run is in the database, whatever this process still manages to say.
        let reached = failpoint::reach("submit_committed");
        reached.map_err(|error| StoreError::Unknown {
            path: self.folder().database().to_owned(),
            cause: error.to_string(),
        })?;
        self.sync()?;
        Ok(Stored { id, is_new: true })
    }
}

/// The parent of a hook.
pub(super) struct Parent {
    pub(super) id: RunId,
    /// The word for its result.
    pub(super) result: &'static str,
    /// Whether its last attempt is still open.
    pub(super) open: bool,
}

/// A run to be inserted.
pub(super) struct NewRun<'a> {
    pub(super) spec: &'a Spec,
    pub(super) environment_id: i64,
    pub(super) stdin_id: Option<i64>,
    pub(super) now: Timestamp,
    pub(super) parent: Option<Parent>,
}

pub(super) fn insert(connection: &Connection, new: &NewRun<'_>) -> rusqlite::Result<RunId> {
    let spec = new.spec;
    let (due, delay_ms) = match spec.start {
        Start::Now => (new.now, Some(0)),
        Start::After(delay) => (new.now.plus(delay), Some(millis_of(delay))),
        Start::At(at) => (at, None),
    };
    let held = new.parent.as_ref().is_some_and(|parent| parent.open);
    let due = (!held).then_some(due);
    let deadline = spec.policy.deadline.map(|limit| new.now.plus(limit));
    let policy = serde_json::to_string(&spec.policy)
        .map_err(|error| rusqlite::Error::ToSqlConversionFailure(error.into()))?;
    connection
        .prepare_cached(
            "INSERT INTO run (state, due_at, delay_ms, created_at, seed, policy, command, cwd, \
             umask, environment_id, stdin_id, name, on_complete, parent_id, parent_result, \
             deadline_at, key, priority, pool, lock, stage) VALUES ('waiting', ?1, ?2, ?3, ?4, ?5, \
             ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19, \
             iif(?1 IS NULL, NULL, 'scheduled'))",
        )?
        .execute(params![
            due.map(Timestamp::millis),
            delay_ms,
            new.now.millis(),
            fastrand::i64(..),
            policy,
            join_nul(&spec.command),
            spec.cwd,
            spec.umask,
            new.environment_id,
            new.stdin_id,
            spec.name,
            spec.on_complete,
            new.parent.as_ref().map(|parent| parent.id.0),
            new.parent.as_ref().map(|parent| parent.result),
            deadline.map(Timestamp::millis),
            spec.key.as_ref().map(|key| &key.text),
            spec.priority,
            spec.pool,
            spec.lock,
        ])?;
    let id = RunId(connection.last_insert_rowid());
    let line = Line {
        due,
        ..Line::new(new.now, Note::Enqueued)
    };
    append(connection, id, line)?;
    Ok(id)
}

/// Stores `bytes` once per distinct content, and counts the reference.
pub(super) fn content(connection: &Connection, bytes: &[u8]) -> rusqlite::Result<i64> {
    connection
        .prepare_cached(
            "INSERT INTO content (digest, bytes, refs) VALUES (?1, ?2, 1) \
             ON CONFLICT (digest) DO UPDATE SET refs = refs + 1 RETURNING id",
        )?
        .query_row(params![digest(bytes), bytes], |row| row.get(0))
}

/// SHA-256 in hexadecimal.
fn digest(bytes: &[u8]) -> String {
    let digest = Sha256::digest(bytes);
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}
