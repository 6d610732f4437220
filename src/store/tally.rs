//! How many runs of each pool stand where, counted as they move, so that nobody has to count: see the
//! table `gauge`. Whoever writes where a run stands tells a [`Tally`] of it and gives that to its
//! [`Pass`], which writes each count once, however many runs move.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::LazyLock;

use rusqlite::{Connection, OptionalExtension, Row, params};

use crate::model::{RunId, State, pool};

use super::pass::Pass;

/// The row of all pools but that of the hooks.
pub(super) const ALL: &str = "";

/// Where a run stands, as far as others of its pool or its lock are concerned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    Held,
    Scheduled,
    Locked,
    Ready,
    Running,
    /// Canceled, and an attempt is still being ended.
    Closing,
    /// Nowhere any more, or not yet.
    Out,
}

/// What of a run counts for others.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Standing {
    pub(super) pool: String,
    pub(super) lock: Option<String>,
    pub(super) place: Place,
}

/// What has changed in a pool, in the order of the columns of `gauge`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Change([i64; 11]);

/// What an open transaction has counted and not written yet, by pool. Under [`ALL`] stands what counts
/// for all but hooks.
#[derive(Debug, Default)]
pub(super) struct Counts(RefCell<BTreeMap<String, Change>>);

/// The columns of [`Change`] behind those of the places.
const EXECUTIONS: usize = 6;
const FAILURES: usize = 7;
const SUCCEEDED: usize = 8;
const FAILED: usize = 9;
const CANCELED: usize = 10;

/// What a step of a transaction has changed.
#[derive(Debug, Default)]
pub(super) struct Tally {
    changes: BTreeMap<String, Change>,
    /// Pools in which a run has become ready.
    wanted: BTreeSet<String>,
    /// Locks that may go to another run.
    open: BTreeSet<String>,
}

/// The columns that [`Standing::at`] reads, in its order.
pub(super) const STANDING: &str = "state, stage, open_attempt IS NOT NULL, run.pool, lock";

static STANDING_OF: LazyLock<String> =
    LazyLock::new(|| format!("SELECT {STANDING} FROM run WHERE id = ?1"));

const COUNT: &str = "UPDATE gauge SET held = held + ?2, scheduled = scheduled + ?3, \
     locked = locked + ?4, ready = ready + ?5, running = running + ?6, closing = closing + ?7, \
     executions = executions + ?8, failures = failures + ?9, succeeded = succeeded + ?10, \
     failed = failed + ?11, canceled = canceled + ?12 WHERE pool = ?1";

impl Place {
    /// The place that a stage means.
    pub(super) fn of_stage(stage: &str) -> Self {
        match stage {
            "scheduled" => Self::Scheduled,
            "locked" => Self::Locked,
            _ => Self::Ready,
        }
    }

    /// Its column in a [`Change`].
    fn column(self) -> Option<usize> {
        match self {
            Self::Held => Some(0),
            Self::Scheduled => Some(1),
            Self::Locked => Some(2),
            Self::Ready => Some(3),
            Self::Running => Some(4),
            Self::Closing => Some(5),
            Self::Out => None,
        }
    }

    /// Has a run with a lock that stands here that lock for itself?
    fn has_lock(self) -> bool {
        match self {
            Self::Ready | Self::Running | Self::Closing => true,
            Self::Held | Self::Scheduled | Self::Locked | Self::Out => false,
        }
    }
}

impl Standing {
    /// How many columns [`Standing::at`] reads.
    pub(super) const WIDTH: usize = 5;

    /// That of run `id`, which is stored.
    pub(super) fn of(connection: &Connection, id: RunId) -> rusqlite::Result<Option<Self>> {
        let mut select = connection.prepare_cached(&STANDING_OF)?;
        let found = select.query_row([id.0], |row| Self::at(row, 0));
        found.optional()
    }

    /// That of the columns [`STANDING`] from `at`.
    pub(super) fn at(row: &Row<'_>, at: usize) -> rusqlite::Result<Self> {
        let is_open: bool = row.get(at + 2)?;
        let stage = row.get_ref(at + 1)?.as_str_or_null()?;
        let place = match (row.get_ref(at)?.as_str()?, stage, is_open) {
            ("waiting", Some(stage), _) => Place::of_stage(stage),
            ("waiting", None, _) => Place::Held,
            ("running", _, _) => Place::Running,
            ("canceled", _, true) => Place::Closing,
            _ => Place::Out,
        };
        Ok(Self {
            pool: row.get(at + 3)?,
            lock: row.get(at + 4)?,
            place,
        })
    }

    /// The same in another place.
    pub(super) fn moved(&self, place: Place) -> Self {
        Self {
            place,
            ..self.clone()
        }
    }

    /// The lock that it has for itself.
    fn held_lock(&self) -> Option<&str> {
        self.lock.as_deref().filter(|_| self.place.has_lock())
    }
}

impl Tally {
    /// A run was stored and stands so.
    pub(super) fn add(&mut self, after: &Standing) {
        self.count(&after.pool, |change| change.step(after.place, 1));
        self.note(None, after);
    }

    /// A run has moved from `before` to `after`.
    pub(super) fn moved(&mut self, before: &Standing, after: &Standing) {
        self.count(&before.pool, |change| change.step(before.place, -1));
        self.count(&after.pool, |change| change.step(after.place, 1));
        self.note(Some(before), after);
    }

    /// An attempt that was started in `pool` has ended, with this success.
    pub(super) fn close(&mut self, pool: &str, success: Option<bool>) {
        self.count(pool, |change| {
            change.0[EXECUTIONS] += 1;
            change.0[FAILURES] += i64::from(success == Some(false));
        });
    }

    /// A run of `pool` has come to this state, if it is a final one.
    pub(super) fn finish(&mut self, pool: &str, state: &State) {
        let column = match state {
            State::Succeeded => SUCCEEDED,
            State::Failed { .. } => FAILED,
            State::Canceled { .. } => CANCELED,
            State::Waiting { .. } | State::Held | State::Running { .. } => return,
        };
        self.count(pool, |change| change.0[column] += 1);
    }

    /// Has `counts` keep what it has counted, and writes which pools and locks are to be looked at.
    fn write(self, connection: &Connection, counts: &Counts) -> rusqlite::Result<()> {
        for (name, change) in &self.changes {
            if name != pool::HOOKS {
                counts.add(ALL, change);
            }
            counts.add(name, change);
        }
        for name in &self.wanted {
            connection
                .prepare_cached("INSERT OR IGNORE INTO open_pool (pool) VALUES (?1)")?
                .execute([name])?;
        }
        for lock in &self.open {
            connection
                .prepare_cached("INSERT OR IGNORE INTO open_lock (lock) VALUES (?1)")?
                .execute([lock])?;
        }
        Ok(())
    }

    fn count(&mut self, pool: &str, change: impl FnOnce(&mut Change)) {
        match self.changes.get_mut(pool) {
            Some(known) => change(known),
            None => change(self.changes.entry(pool.to_owned()).or_default()),
        }
    }

    /// Has the pool looked at in which a run has become ready, and the lock that a run has let go of,
    /// or wants.
    fn note(&mut self, before: Option<&Standing>, after: &Standing) {
        let was = before.map_or(Place::Out, |before| before.place);
        if after.place == Place::Ready && was != Place::Ready && !self.wanted.contains(&after.pool)
        {
            self.wanted.insert(after.pool.clone());
        }
        if after.place == Place::Locked && was != Place::Locked {
            self.open.extend(after.lock.clone());
        }
        let had = before.and_then(Standing::held_lock);
        if had != after.held_lock() {
            self.open.extend(had.map(str::to_owned));
        }
    }
}

impl Counts {
    /// What is to be added to the row of `pool`.
    pub(super) fn of(&self, pool: &str) -> Change {
        self.0.borrow().get(pool).copied().unwrap_or_default()
    }

    fn add(&self, pool: &str, change: &Change) {
        let mut counts = self.0.borrow_mut();
        match counts.get_mut(pool) {
            Some(known) => known.add(change),
            None => drop(counts.insert(pool.to_owned(), *change)),
        }
    }

    /// Writes all of it.
    fn write(&self, connection: &Connection) -> rusqlite::Result<()> {
        for (pool, change) in self.0.take() {
            change.write(connection, &pool)?;
        }
        Ok(())
    }
}

impl Pass<'_> {
    /// Takes down what has changed. The counts are written by the commit, once for all that moves.
    pub(super) fn tell(&self, tally: Tally) -> rusqlite::Result<()> {
        tally.write(self.connection(), self.counts())
    }

    /// Writes the counts, for whoever asks SQL for them.
    pub(super) fn write_counts(&self) -> rusqlite::Result<()> {
        self.counts().write(self.connection())
    }
}

impl Change {
    /// What `count` of column `column` is with it.
    pub(super) fn on(&self, column: usize, count: i64) -> i64 {
        count + self.0[column]
    }

    fn step(&mut self, place: Place, by: i64) {
        if let Some(column) = place.column() {
            self.0[column] += by;
        }
    }

    fn add(&mut self, other: &Self) {
        for (mine, theirs) in self.0.iter_mut().zip(other.0) {
            *mine += theirs;
        }
    }

    fn write(&self, connection: &Connection, pool: &str) -> rusqlite::Result<()> {
        if *self == Self::default() {
            return Ok(());
        }
        let [a, b, c, d, e, f, g, h, i, j, k] = self.0;
        connection
            .prepare_cached(COUNT)?
            .execute(params![pool, a, b, c, d, e, f, g, h, i, j, k])
            .map(drop)
    }
}
