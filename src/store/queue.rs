//! The way of a waiting run to its start: scheduled, locked, ready. Each step costs O(log n) in the
//! runs stored, however many wait.

use std::sync::LazyLock;

use rusqlite::{Row, params};

use crate::model::{RunId, Timestamp};
use crate::sys::failpoint;

use super::error::StoreError;
use super::pass::Pass;
use super::read::{CLOSING, NEXT_DEADLINE, Reader};
use super::tally::{Place, Standing, Tally};

/// The run of a pool that starts next.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Head {
    /// Its due time, a minute earlier for each point of its priority, in milliseconds: lower comes
    /// first.
    pub rank: i64,
    /// The run.
    pub run: RunId,
    /// Its pool.
    pub pool: String,
}

/// What there is to do, in one look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Outlook {
    /// The earliest due time of a run that nobody has seen to be due.
    pub next_due: Option<Timestamp>,
    /// The earliest deadline of a run that waits.
    pub next_deadline: Option<Timestamp>,
    /// Whether a lock was let go of, or is wanted.
    pub locks: bool,
    /// Whether a run has become ready.
    pub pools: bool,
    /// Whether a canceled run has an attempt that is still to be ended.
    pub closing: bool,
    /// How often the settings of a pool were changed: while it is the same, so are they.
    pub settings: i64,
}

/// The runs that nobody has seen to be due.
const DUE: &str = "SELECT id, pool, lock FROM run INDEXED BY run_due \
     WHERE stage = 'scheduled' AND due_at <= ?1 ORDER BY due_at, id LIMIT ?2";

const NEXT_DUE: &str = "SELECT min(due_at) FROM run INDEXED BY run_due WHERE stage = 'scheduled'";

/// Of those that have failed before, or of those that have not.
const HEAD: &str = "SELECT rank, id, pool FROM run INDEXED BY run_ready \
     WHERE stage = 'ready' AND pool = ?1 AND (failures > 0) = ?2 ORDER BY rank, id LIMIT 1";

/// The one with the fewest failures of those that have failed before.
const PROBE: &str = "SELECT rank, id, pool FROM run INDEXED BY run_probe \
     WHERE stage = 'ready' AND failures > 0 AND pool = ?1 ORDER BY failures, rank, id LIMIT 1";

/// Each pool with a ready run is found by one look into the index.
const READY_POOLS: &str = "WITH RECURSIVE found (pool) AS (\
     SELECT min(pool) FROM run INDEXED BY run_ready WHERE stage = 'ready' UNION ALL \
     SELECT (SELECT min(pool) FROM run INDEXED BY run_ready \
     WHERE stage = 'ready' AND pool > found.pool) FROM found WHERE found.pool IS NOT NULL) \
     SELECT pool FROM found WHERE pool IS NOT NULL";

static OUTLOOK: LazyLock<String> = LazyLock::new(|| {
    format!(
        "SELECT ({NEXT_DUE}), ({NEXT_DEADLINE}), \
         EXISTS (SELECT 1 FROM open_lock WHERE lock >= ''), \
         EXISTS (SELECT 1 FROM open_pool WHERE pool >= ''), EXISTS ({CLOSING}), \
         pools FROM identity WHERE only = 1"
    )
});

const OPEN_POOLS: &str = "SELECT pool FROM open_pool LIMIT ?1";

const OPEN_LOCKS: &str = "SELECT lock FROM open_lock LIMIT ?1";

const HOLDER: &str = "SELECT id, stage IS 'ready', pool FROM run INDEXED BY run_lock_held \
     WHERE lock = ?1 AND lock IS NOT NULL AND (stage = 'ready' OR open_attempt IS NOT NULL)";

/// The lowest id in any pool that starts something, if it is among the first that wait for this
/// lock, as it is unless shut pools have many of them.
const NEAR_HEIR: &str = "SELECT min(heirs.id), heirs.pool FROM (\
     SELECT id, pool FROM run INDEXED BY run_lock_order \
     WHERE stage = 'locked' AND lock = ?1 ORDER BY id LIMIT 16) AS heirs \
     CROSS JOIN pool ON pool.name = heirs.pool WHERE NOT pool.paused AND pool.parallel > 0 \
     HAVING min(heirs.id) IS NOT NULL";

/// As [`NEAR_HEIR`], wherever it is: one look into the index for each pool in which a run waits for
/// this lock.
const HEIR: &str = "WITH RECURSIVE found (pool) AS (\
     SELECT min(pool) FROM run INDEXED BY run_locked \
     WHERE stage = 'locked' AND lock = ?1 UNION ALL \
     SELECT (SELECT min(pool) FROM run INDEXED BY run_locked WHERE stage = 'locked' \
     AND lock = ?1 AND pool > found.pool) FROM found WHERE found.pool IS NOT NULL), \
     heirs (id, pool) AS (SELECT (SELECT min(id) FROM run INDEXED BY run_locked \
     WHERE stage = 'locked' AND lock = ?1 AND pool = found.pool), found.pool FROM found JOIN pool ON pool.name = found.pool \
     WHERE NOT pool.paused AND pool.parallel > 0) \
     SELECT min(id), pool FROM heirs HAVING min(id) IS NOT NULL";

impl Reader<'_> {
    /// What there is to do.
    pub fn outlook(&self) -> Result<Outlook, StoreError> {
        self.one(&OUTLOOK, |row| {
            Ok(Outlook {
                next_due: super::row::time(row, 0)?,
                next_deadline: super::row::time(row, 1)?,
                locks: row.get(2)?,
                pools: row.get(3)?,
                closing: row.get(4)?,
                settings: row.get(5)?,
            })
        })
    }

    /// The earliest due time of a run that nobody has seen to be due.
    pub fn next_due(&self) -> Result<Option<Timestamp>, StoreError> {
        self.one(NEXT_DUE, |row| super::row::time(row, 0))
    }

    /// A pool that has to be looked at, because a run of it is ready, or is due at `now`.
    pub fn wanted_pool(&self, now: Timestamp) -> Result<Option<String>, StoreError> {
        let wanted = self.rows(OPEN_POOLS, [1], |row| row.get(0))?.pop();
        if wanted.is_some() {
            return Ok(wanted);
        }
        let found = self.rows(DUE, params![now.millis(), 1], |row| row.get(1))?;
        Ok(found.into_iter().next())
    }

    /// The run of `pool` that starts next; a `probe` is the one with the fewest failures.
    pub fn head(&self, pool: &str, probe: bool) -> Result<Option<Head>, StoreError> {
        let head = |row: &Row<'_>| {
            Ok(Head {
                rank: row.get(0)?,
                run: RunId(row.get(1)?),
                pool: row.get(2)?,
            })
        };
        let fresh = self.rows(HEAD, params![pool, false], head)?.pop();
        if !probe {
            let retried = self.rows(HEAD, params![pool, true], head)?.pop();
            return Ok(fresh.into_iter().chain(retried).min());
        }
        match fresh {
            Some(fresh) => Ok(Some(fresh)),
            None => Ok(self.rows(PROBE, [pool], head)?.pop()),
        }
    }

    /// The pools that have a run to start.
    pub fn ready_pools(&self) -> Result<Vec<String>, StoreError> {
        self.rows(READY_POOLS, [], |row| row.get(0))
    }

    /// The run that has the lock `lock`, and whether an attempt of it is open; if not, it starts next.
    pub fn lock_holder(&self, lock: &str) -> Result<Option<(RunId, bool)>, StoreError> {
        let found = self.rows(HOLDER, [lock], |row| {
            Ok((RunId(row.get(0)?), !row.get::<_, bool>(1)?))
        })?;
        Ok(found.first().copied())
    }
}

impl Pass<'_> {
    /// Moves the runs that are due at `now` on, the longest due first, at most `limit`: one without
    /// a lock is ready, one with a lock waits for it. `true`: there may be more.
    pub fn promote(&self, now: Timestamp, limit: usize) -> Result<bool, StoreError> {
        let bound = params![now.millis(), limit as i64];
        let due = self.read().rows(DUE, bound, |row| {
            Ok((
                RunId(row.get(0)?),
                row.get(1)?,
                row.get::<_, Option<String>>(2)?,
            ))
        })?;
        let more = due.len() == limit;
        let mut tally = Tally::default();
        for (run, pool, lock) in due {
            let to = if lock.is_some() { "locked" } else { "ready" };
            let place = Place::Scheduled;
            let before = Standing { pool, lock, place };
            self.guard(self.set_stage(&mut tally, run, &before, ("scheduled", to)))?;
        }
        self.guard(self.tell(tally))?;
        Ok(more)
    }

    /// Gives each lock that was let go of, or is wanted, to the lowest id among its due runs in
    /// pools that are not shut; at most `limit` locks. `true`: there may be more.
    pub fn hand_locks_on(&self, limit: usize) -> Result<bool, StoreError> {
        let locks: Vec<String> = self
            .read()
            .rows(OPEN_LOCKS, [limit as i64], |row| row.get(0))?;
        for lock in &locks {
            if self.free_lock(lock)? {
                let mut heir = if failpoint::has_bug("hands_locks_to_the_last") {
                    self.heir(&NEAR_HEIR.replace("min(", "max("), lock)?
                } else {
                    self.heir(NEAR_HEIR, lock)?
                };
                if heir.is_none() {
                    heir = self.heir(HEIR, lock)?;
                }
                if let Some((run, _)) = heir {
                    self.change_stage(run, "locked", "ready")?;
                }
            }
            let looked_at = self
                .connection()
                .prepare_cached("DELETE FROM open_lock WHERE lock = ?1")
                .and_then(|mut delete| delete.execute([lock]));
            self.guard(looked_at)?;
        }
        Ok(locks.len() == limit)
    }

    /// The pools in which a run has become ready since this was asked last.
    pub fn take_wanted_pools(&self) -> Result<Vec<String>, StoreError> {
        let pools = self.read().rows(OPEN_POOLS, [-1], |row| row.get(0))?;
        if !pools.is_empty() {
            let taken = self
                .connection()
                .prepare_cached("DELETE FROM open_pool")
                .and_then(|mut delete| delete.execute([]));
            self.guard(taken)?;
        }
        Ok(pools)
    }

    fn heir(&self, sql: &str, lock: &str) -> Result<Option<(RunId, String)>, StoreError> {
        let heirs = self.read().rows(sql, [lock], |row| {
            Ok((RunId(row.get(0)?), row.get::<_, String>(1)?))
        })?;
        Ok(heirs.into_iter().next())
    }

    /// Can `lock` be given away? It is taken from a run that cannot start because its pool is shut.
    fn free_lock(&self, lock: &str) -> Result<bool, StoreError> {
        let holders = self.read().rows(HOLDER, [lock], |row| {
            Ok((
                RunId(row.get(0)?),
                row.get::<_, bool>(1)?,
                row.get::<_, String>(2)?,
            ))
        })?;
        let Some((run, is_ready, pool)) = holders.into_iter().next() else {
            return Ok(true);
        };
        let record = self.read().pool(&pool)?;
        let is_shut = record.is_none_or(|record| record.pool.is_shut());
        if !is_ready || !is_shut {
            return Ok(false);
        }
        self.change_stage(run, "ready", "locked")?;
        Ok(true)
    }

    /// Sends a run that was ready back: it is not due after all, because the clock was set back.
    pub fn demote(&self, run: RunId) -> Result<(), StoreError> {
        self.change_stage(run, "ready", "scheduled")
    }

    /// As [`Pass::set_stage`], for a run of which nothing is known yet.
    fn change_stage(&self, run: RunId, from: &str, to: &str) -> Result<(), StoreError> {
        let Some(before) = self.guard(Standing::of(self.connection(), run))? else {
            return Ok(());
        };
        let mut tally = Tally::default();
        self.guard(self.set_stage(&mut tally, run, &before, (from, to)))?;
        self.guard(self.tell(tally))
    }

    /// Moves a run that stands so to another stage, if it is in stage `from`.
    fn set_stage(
        &self,
        tally: &mut Tally,
        run: RunId,
        before: &Standing,
        (from, to): (&str, &str),
    ) -> rusqlite::Result<()> {
        let changed = self
            .connection()
            .prepare_cached("UPDATE run SET stage = ?1 WHERE id = ?2 AND stage = ?3")?
            .execute(params![to, run.0, from])?;
        if changed == 1 {
            tally.moved(before, &before.moved(Place::of_stage(to)));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::schema::{assert_loop, assert_plan};

    #[test]
    fn every_step_is_a_look_into_an_index() {
        assert_plan(DUE, "USING INDEX run_due (due_at<?)");
        for part in [
            "run_due",
            "run_deadline",
            "run_closing",
            "(lock>?)",
            "(pool>?)",
        ] {
            assert_plan(&OUTLOOK, part);
        }
        assert_plan(NEXT_DUE, "USING COVERING INDEX run_due");
        assert_plan(HEAD, "USING INDEX run_ready (pool=? AND <expr>=?)");
        assert_plan(PROBE, "USING INDEX run_probe (pool=? AND failures>?)");
        for part in ["run_ready", "run_ready (pool>?)"] {
            assert_loop(READY_POOLS, part);
        }
        for part in [
            "run_locked (lock=?)",
            "run_locked (lock=? AND pool>?)",
            "run_locked (lock=? AND pool=?)",
            "pool USING PRIMARY KEY (name=?)",
        ] {
            assert_loop(HEIR, part);
        }
        for part in [
            "COVERING INDEX run_lock_order (lock=?)",
            "pool USING PRIMARY KEY (name=?)",
        ] {
            assert_loop(NEAR_HEIR, part);
        }
        assert_plan(HOLDER, "USING INDEX run_lock_held (lock=?)");
    }
}
