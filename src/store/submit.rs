//! Storing runs: one, or many in one transaction, all of them or none.

use std::collections::BTreeMap;
use std::ops::Deref;
use std::sync::Arc;

use rusqlite::{Connection, OptionalExtension, params};
use sha2::{Digest, Sha256};

use crate::model::spec::join_nul;
use crate::model::time::millis_of;
use crate::model::{Note, Policy, RunId, Spec, Start, Timestamp};
use crate::sys::failpoint;

use super::error::StoreError;
use super::history::{Line, append};
use super::open::Store;
use super::pass::Pass;
use super::read::Reader;
use super::tally::{Place, Standing, Tally};

/// What became of a run that was to be stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stored {
    /// The number of the run.
    pub id: RunId,
    /// Whether it was stored now. If not, it is an earlier one that has the key.
    pub is_new: bool,
}

impl Store {
    /// Stores a run that is due from `now` on as `spec` says. Before somebody is told of it
    /// [`Store::sync`] is called, also when it was stored before: whoever did so may not have come to that;
    /// the daemon may be called before, and starts it meanwhile. What time it is is asked once the
    /// database is held: others may have been waited for. One whose key is taken is not stored.
    /// Errors: there is no such pool, it takes no more runs, or another; the run is surely not stored, but
    /// for [`StoreError::Unknown`].
    pub fn submit(
        &mut self,
        spec: &Spec,
        now: impl Fn() -> Timestamp,
    ) -> Result<Stored, StoreError> {
        let stored = self.submit_all(now, |submission| submission.add(spec).map(Ok::<_, ()>))?;
        Ok(stored.expect("nothing is refused here"))
    }

    /// Stores all runs that `fill` adds, due from `now` on, in one transaction and as
    /// [`Store::submit`] does; none of them when `fill` refuses, or fails. It is called once more when the
    /// disk was full and room could be made. Errors: nothing is stored, but for
    /// [`StoreError::Unknown`].
    pub fn submit_all<T, E>(
        &mut self,
        now: impl Fn() -> Timestamp,
        fill: impl Fn(&mut Submission<'_>) -> Result<Result<T, E>, StoreError>,
    ) -> Result<Result<T, E>, StoreError> {
        self.with_room(|store| {
            let mut submission = Submission {
                pass: store.begin()?,
                now: now(),
                environment: None,
                stdin: None,
                pools: BTreeMap::new(),
                policy: None,
                newest: None,
                tally: Tally::default(),
            };
            let filled = match fill(&mut submission)? {
                Ok(filled) => filled,
                Err(refused) => return Ok(Err(refused)),
            };
            if submission.commit()? {
                // From here on all is in the database, whatever this process still manages to say.
                let reached = failpoint::reach("submit_committed");
                reached.map_err(|error| StoreError::Unknown {
                    path: store.folder().database().to_owned(),
                    cause: error.to_string(),
                })?;
            }
            Ok(Ok(filled))
        })
    }
}

impl Reader<'_> {
    /// The retry options that were set for the pool `name`, if there is such a pool.
    pub fn pool_options(&self, name: &str) -> Result<Option<String>, StoreError> {
        let sql = "SELECT options FROM pool WHERE name = ?1";
        Ok(self.rows(sql, [name], |row| row.get(0))?.pop())
    }
}

/// A transaction that stores runs.
#[derive(Debug)]
pub struct Submission<'s> {
    pass: Pass<'s>,
    now: Timestamp,
    environment: Option<Shared<Vec<u8>>>,
    stdin: Option<Shared<Arc<[u8]>>>,
    /// The pools that are there, each with how many more runs it takes, if that is limited.
    pools: BTreeMap<String, Option<u64>>,
    /// The policy that was written last, and how.
    policy: Option<(Policy, String)>,
    newest: Option<RunId>,
    tally: Tally,
}

/// Content that was used last, and may be used again: it is looked up and digested once.
#[derive(Debug)]
struct Shared<T> {
    content: T,
    id: i64,
    /// References that are not counted in the database yet.
    refs: i64,
}

impl Submission<'_> {
    /// What is stored, as this transaction sees it.
    pub fn read(&self) -> Reader<'_> {
        self.pass.read()
    }

    /// Adds a run, unless its key is taken, also by one that was added before. Errors: there is no
    /// such pool, it takes no more runs, or another.
    pub fn add(&mut self, spec: &Spec) -> Result<Stored, StoreError> {
        let pass = &self.pass;
        let earlier = spec.key.as_ref().map(|key| pass.read().taken_by(key));
        if let Some(id) = earlier.transpose()?.flatten() {
            return Ok(Stored { id, is_new: false });
        }
        take_place(pass.read(), &mut self.pools, &spec.pool)?;
        let connection = pass.connection();
        let environment = &spec.environment.0;
        let kept = keep(connection, &mut self.environment, environment, Vec::eq);
        let environment_id = pass.guard(kept)?;
        let same = |one: &Arc<[u8]>, other: &Arc<[u8]>| Arc::ptr_eq(one, other) || one == other;
        let stdin = spec.stdin.as_ref();
        let kept = stdin.map(|stdin| keep(connection, &mut self.stdin, stdin, same));
        let stdin_id = pass.guard(kept.transpose())?;
        let policy = match self.policy.take_if(|(last, _)| *last == spec.policy) {
            Some(same) => same,
            None => {
                let text = pass.guard(policy_text(&spec.policy))?;
                (spec.policy.clone(), text)
            }
        };
        let (_, policy) = self.policy.insert(policy);
        let inserted = insert(
            connection,
            &NewRun {
                spec,
                policy,
                environment_id,
                stdin_id,
                now: self.now,
                parent: None,
            },
            &mut self.tally,
        );
        let id = pass.guard(inserted)?;
        self.newest = Some(id);
        Ok(Stored { id, is_new: true })
    }

    /// Commits what was added. `false`: nothing was.
    fn commit(self) -> Result<bool, StoreError> {
        let Some(id) = self.newest else {
            return Ok(false);
        };
        let pass = self.pass;
        pass.guard(count_refs(pass.connection(), self.environment))?;
        pass.guard(count_refs(pass.connection(), self.stdin))?;
        pass.guard(pass.tell(self.tally))?;
        let reached = failpoint::reach("submit_before_commit");
        reached.map_err(|error| StoreError::from_io(pass.path(), error))?;
        if failpoint::has_bug("ack_before_commit") {
            use std::io::Write;
            let _ = writeln!(std::io::stdout(), "{id}");
        }
        pass.commit()?;
        Ok(true)
    }
}

/// Takes a place in the pool `name`, whose limit is looked up once. Errors: there is no such pool, or it
/// takes no more.
fn take_place(
    read: Reader<'_>,
    pools: &mut BTreeMap<String, Option<u64>>,
    name: &str,
) -> Result<(), StoreError> {
    let left = match pools.get_mut(name) {
        Some(left) => left,
        None => {
            let Some(max) = read.max_pending(name)? else {
                return Err(read.no_pool(name)?);
            };
            let pending = max.map(|_| read.pending_of(name)).transpose()?;
            let left = max.map(|max| u64::from(max).saturating_sub(pending.unwrap_or_default()));
            pools.entry(name.to_owned()).or_insert(left)
        }
    };
    match left {
        Some(0) => Err(StoreError::PoolFull {
            pool: name.to_owned(),
        }),
        Some(places) => {
            *places -= 1;
            Ok(())
        }
        None => Ok(()),
    }
}

/// Keeps `bytes` once per distinct content, and counts the reference, now or when it is not the
/// `last` one any more. Gives its id.
fn keep<T: Clone + Deref<Target = [u8]>>(
    connection: &Connection,
    last: &mut Option<Shared<T>>,
    bytes: &T,
    same: impl Fn(&T, &T) -> bool,
) -> rusqlite::Result<i64> {
    if let Some(shared) = last
        && same(&shared.content, bytes)
    {
        shared.refs += 1;
        return Ok(shared.id);
    }
    count_refs(connection, last.take())?;
    let id = content(connection, bytes)?;
    *last = Some(Shared {
        content: bytes.clone(),
        id,
        refs: 0,
    });
    Ok(id)
}

fn count_refs<T>(connection: &Connection, shared: Option<Shared<T>>) -> rusqlite::Result<()> {
    let Some(Shared {
        id,
        refs: refs @ 1..,
        ..
    }) = shared
    else {
        return Ok(());
    };
    add_refs(connection, id, refs)
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
    /// Its policy as [`policy_text`] gives it.
    pub(super) policy: &'a str,
    pub(super) environment_id: i64,
    pub(super) stdin_id: Option<i64>,
    pub(super) now: Timestamp,
    pub(super) parent: Option<Parent>,
}

/// A policy as it is stored.
pub(super) fn policy_text(policy: &Policy) -> rusqlite::Result<String> {
    serde_json::to_string(policy)
        .map_err(|error| rusqlite::Error::ToSqlConversionFailure(error.into()))
}

/// Inserts a run; `tally` is to be written afterwards.
pub(super) fn insert(
    connection: &Connection,
    new: &NewRun<'_>,
    tally: &mut Tally,
) -> rusqlite::Result<RunId> {
    let spec = new.spec;
    let (due, delay_ms) = match spec.start {
        Start::Now => (new.now, Some(0)),
        Start::After(delay) => (new.now.plus(delay), Some(millis_of(delay))),
        Start::At(at) => (at, None),
    };
    let held = new.parent.as_ref().is_some_and(|parent| parent.open);
    let due = (!held).then_some(due);
    let deadline = spec.policy.deadline.map(|limit| new.now.plus(limit));
    let lock = spec.lock.as_ref();
    let lock = lock.filter(|_| !failpoint::has_bug("forgets_locks"));
    let key = spec.key.as_ref();
    let key = key.filter(|_| !failpoint::has_bug("forgets_keys"));
    let (stage, place) = match due {
        None => (None, Place::Held),
        Some(due) if due <= new.now && lock.is_none() => (Some("ready"), Place::Ready),
        Some(_) => (Some("scheduled"), Place::Scheduled),
    };
    connection
        .prepare_cached(
            "INSERT INTO run (state, due_at, delay_ms, created_at, seed, policy, command, cwd, \
             umask, environment_id, stdin_id, name, on_complete, parent_id, parent_result, \
             deadline_at, key, priority, pool, lock, stage) VALUES ('waiting', ?1, ?2, ?3, ?4, ?5, \
             ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19, ?20)",
        )?
        .execute(params![
            due.map(Timestamp::millis),
            delay_ms,
            new.now.millis(),
            fastrand::i64(..),
            new.policy,
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
            key.map(|key| &key.text),
            spec.priority,
            spec.pool,
            lock,
            stage,
        ])?;
    tally.add(&Standing {
        pool: spec.pool.clone(),
        lock: lock.cloned(),
        place,
    });
    let id = RunId(connection.last_insert_rowid());
    let line = Line {
        due,
        ..Line::new(new.now, Note::Enqueued)
    };
    append(connection, id, line)?;
    Ok(id)
}

/// Stores `bytes` once per distinct content, and counts the reference, within a transaction.
pub(super) fn content(connection: &Connection, bytes: &[u8]) -> rusqlite::Result<i64> {
    let digest = digest(bytes);
    // As a rule it is there: one statement for both cases takes longer to prepare than these two.
    let known = connection
        .prepare_cached("SELECT id FROM content WHERE digest = ?1")?
        .query_row([&digest], |row| row.get(0))
        .optional()?;
    if let Some(id) = known {
        add_refs(connection, id, 1)?;
        return Ok(id);
    }
    connection
        .prepare_cached("INSERT INTO content (digest, bytes, refs) VALUES (?1, ?2, 1)")?
        .execute(params![digest, bytes])?;
    Ok(connection.last_insert_rowid())
}

fn add_refs(connection: &Connection, id: i64, refs: i64) -> rusqlite::Result<()> {
    connection
        .prepare_cached("UPDATE content SET refs = refs + ?1 WHERE id = ?2")?
        .execute([refs, id])
        .map(drop)
}

/// SHA-256 in hexadecimal.
fn digest(bytes: &[u8]) -> String {
    let digit = |half: u8| char::from(b"0123456789abcdef"[usize::from(half)]);
    let digest = Sha256::digest(bytes);
    let digits = digest.iter().flat_map(|byte| [byte >> 4, byte & 15]);
    digits.map(digit).collect()
}
