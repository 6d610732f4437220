//! Pools: their settings, what they remember, and how many of their runs stand where.

use std::collections::BTreeMap;
use std::sync::LazyLock;
use std::time::Duration;

use rusqlite::{Row, named_params, params};

use crate::model::pool::{Gate, Gauge, Pool, PoolRecord, Rate, probe_backoff};
use crate::model::time::millis_of;
use crate::model::{RunId, Timestamp};

use super::error::StoreError;
use super::pass::Pass;
use super::read::Reader;
use super::row::{time, unreadable};
use super::tally::{ALL, Change};

/// So many pools are named to somebody who has named another.
const NAMED_MAX: usize = 20;

/// Among so many pools the one that was meant is looked for.
const OTHERS_MAX: usize = 1000;

const POOL: &str = "SELECT name, parallel, paused, rate_starts, rate_ms, burst, breaker, backoff, \
     seed, options, arrival_us, streak, probes, probe_at, probe_run, held, scheduled, locked, \
     ready, running, closing, executions, failures, succeeded, failed, canceled, max_pending \
     FROM pool JOIN gate ON gate.pool = name JOIN gauge ON gauge.pool = name";

static POOL_NAMED: LazyLock<String> = LazyLock::new(|| format!("{POOL} WHERE name = ?1"));

const GAUGE: &str = "SELECT held, scheduled, locked, ready, running, closing, executions, \
     failures, succeeded, failed, canceled FROM gauge WHERE pool = ?1";

const NAMES: &str =
    "SELECT name FROM pool WHERE name > ?1 AND name <> 'hooks' ORDER BY name LIMIT ?2";

const OVERDUE: &str = "SELECT pool FROM run INDEXED BY run_due \
     WHERE stage = 'scheduled' AND due_at <= ?1";

/// Can what a pool remembers change with the end of an attempt that was started in it?
const MINDS_END: &str = "SELECT 1 FROM gate WHERE pool = ?1 \
     AND (?3 IS 0 OR probe_run = ?2 OR (?3 IS 1 AND streak > 0))";

impl Reader<'_> {
    /// The pool `name`, if there is one.
    pub fn pool(&self, name: &str) -> Result<Option<PoolRecord>, StoreError> {
        let uncounted = self.uncounted(name);
        let found = self.rows(&POOL_NAMED, [name], |row| record(row, &uncounted));
        Ok(found?.pop())
    }

    /// Is there a pool `name`?
    pub fn has_pool(&self, name: &str) -> Result<bool, StoreError> {
        let sql = "SELECT 1 FROM pool WHERE name = ?1";
        Ok(!self.rows(sql, [name], |_| Ok(()))?.is_empty())
    }

    /// How many unfinished runs the pool `name` may have, if that is limited. `None`: there is no such pool.
    pub(super) fn max_pending(&self, name: &str) -> Result<Option<Option<u32>>, StoreError> {
        let sql = "SELECT max_pending FROM pool WHERE name = ?1";
        Ok(self.rows(sql, [name], |row| row.get(0))?.pop())
    }

    /// How many runs of the pool `name` have not ended.
    pub(super) fn pending_of(&self, name: &str) -> Result<u64, StoreError> {
        let uncounted = self.uncounted(name);
        let found = self.rows(GAUGE, [name], |row| gauge(row, 0, &uncounted))?;
        Ok(found.first().map_or(0, Gauge::pending))
    }

    /// The error that there is no pool `name`, with those that there are.
    pub fn no_pool(&self, name: &str) -> Result<StoreError, StoreError> {
        let others = self.pool_names("", OTHERS_MAX)?;
        let known = &others[..others.len().min(NAMED_MAX)];
        let are = if known.len() > 1 { "are" } else { "is" };
        let more = if others.len() > NAMED_MAX {
            " and more"
        } else {
            ""
        };
        Ok(StoreError::NoPool {
            pool: name.to_owned(),
            known: format!("{are} {}{more}", known.join(", ")),
            others,
        })
    }

    /// All pools, by name.
    pub fn pools(&self) -> Result<Vec<PoolRecord>, StoreError> {
        self.rows(&format!("{POOL} ORDER BY name"), [], |row| {
            let name: String = row.get(0)?;
            record(row, &self.uncounted(&name))
        })
    }

    /// The names of the pools but that of the hooks, by name, those after `after`, at most `limit`.
    pub fn pool_names(&self, after: &str, limit: usize) -> Result<Vec<String>, StoreError> {
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        self.rows(NAMES, params![after, limit], |row| row.get(0))
    }

    /// How many runs of each pool are due at `now` and count as scheduled, because no daemon has
    /// seen it yet. Under a daemon there are few.
    pub fn overdue(&self, now: Timestamp) -> Result<BTreeMap<String, u64>, StoreError> {
        let mut overdue = BTreeMap::new();
        self.rows(OVERDUE, [now.millis()], |row| {
            *overdue.entry(row.get(0)?).or_default() += 1;
            Ok(())
        })?;
        Ok(overdue)
    }

    /// How many runs stand where, of all pools but that of the hooks.
    pub fn gauge(&self) -> Result<Gauge, StoreError> {
        let uncounted = self.uncounted(ALL);
        let found = self.rows(GAUGE, [ALL], |row| gauge(row, 0, &uncounted))?;
        Ok(found.first().copied().unwrap_or_default())
    }
}

impl Pass<'_> {
    /// Stores the settings of a pool, a new one or one that is there.
    pub fn set_pool(&self, pool: &Pool, options: &str) -> Result<(), StoreError> {
        let backoff = serde_json::to_string(&pool.backoff)
            .map_err(|error| rusqlite::Error::ToSqlConversionFailure(error.into()));
        let backoff = self.guard(backoff)?;
        let set = self.connection().prepare_cached(
            "INSERT INTO pool (name, parallel, paused, rate_starts, rate_ms, burst, breaker, \
             backoff, options, seed, max_pending) VALUES (:name, :parallel, :paused, :starts, :per, \
             :burst, :breaker, :backoff, :options, :seed, :max_pending) ON CONFLICT (name) DO UPDATE SET \
             parallel = :parallel, paused = :paused, rate_starts = :starts, rate_ms = :per, \
             burst = :burst, breaker = :breaker, backoff = :backoff, options = :options, \
             max_pending = :max_pending",
        );
        let set = set.and_then(|mut set| {
            set.execute(named_params! {
                ":name": pool.name,
                ":parallel": pool.parallel,
                ":paused": pool.paused,
                ":starts": pool.rate.map(|rate| rate.starts),
                ":per": pool.rate.map(|rate| millis_of(rate.per)),
                ":burst": pool.rate.map(|rate| rate.burst),
                ":breaker": pool.breaker,
                ":max_pending": pool.max_pending,
                ":backoff": backoff,
                ":options": options,
                ":seed": pool.seed as i64,
            })
        });
        self.guard(set).map(drop)
    }

    /// Forgets the pool `name`. `false`: it has unfinished runs, or one is still being ended.
    pub fn delete_pool(&self, name: &str) -> Result<bool, StoreError> {
        self.guard(self.write_counts())?;
        let deleted = self.connection().execute(
            "DELETE FROM pool WHERE name = ?1 AND EXISTS (SELECT 1 FROM gauge WHERE pool = ?1 \
             AND held + scheduled + locked + ready + running + closing = 0)",
            [name],
        );
        Ok(self.guard(deleted)? > 0)
    }

    /// Stores what the pool `name` remembers.
    pub fn set_gate(&self, name: &str, gate: &Gate) -> Result<(), StoreError> {
        self.guard(self.write_gate(name, gate))
    }

    /// After the clock was set: no gate keeps its pool waiting longer than was planned.
    pub fn follow_clock(&self, now: Timestamp) -> Result<(), StoreError> {
        let sql = format!("{POOL} WHERE rate_ms IS NOT NULL OR probe_at IS NOT NULL");
        let read = self.read();
        for PoolRecord { pool, gate, .. } in
            read.rows(&sql, [], |row| record(row, &Change::default()))?
        {
            let within = pool.within_reach(&gate, now);
            if within != gate {
                self.set_gate(&pool.name, &within)?;
            }
        }
        Ok(())
    }

    fn write_gate(&self, name: &str, gate: &Gate) -> rusqlite::Result<()> {
        self.connection()
            .prepare_cached(
                "UPDATE gate SET arrival_us = ?1, streak = ?2, probes = ?3, probe_at = ?4, \
                 probe_run = ?5 WHERE pool = ?6",
            )?
            .execute(params![
                gate.arrival_us,
                gate.streak,
                gate.probes,
                gate.probe_at.map(Timestamp::millis),
                gate.probe.map(|run| run.0),
                name,
            ])
            .map(drop)
    }

    /// Has the pool `name` remember that an attempt of `run`, started in it, ended at `at` with this
    /// success.
    pub(super) fn note_end(
        &self,
        name: &str,
        run: RunId,
        success: Option<bool>,
        at: Timestamp,
    ) -> rusqlite::Result<()> {
        let connection = self.connection();
        let mut minds = connection.prepare_cached(MINDS_END)?;
        if !minds.exists(params![name, run.0, success])? {
            return Ok(());
        }
        let found = connection
            .prepare_cached(&POOL_NAMED)?
            .query_row([name], |row| record(row, &Change::default()))?;
        let gate = found.pool.after_end(&found.gate, run, success, at);
        if gate == found.gate {
            return Ok(());
        }
        self.write_gate(name, &gate)
    }
}

/// A pool; `uncounted` is to be added to its counts.
fn record(row: &Row<'_>, uncounted: &Change) -> rusqlite::Result<PoolRecord> {
    let rate = match (row.get(3)?, row.get::<_, Option<i64>>(4)?, row.get(5)?) {
        (Some(starts), Some(per_ms), Some(burst)) => Some(Rate {
            starts,
            per: Duration::from_millis(per_ms.unsigned_abs()),
            burst,
        }),
        _ => None,
    };
    let backoff: Option<String> = row.get(7)?;
    let backoff = backoff.map(|text| serde_json::from_str(&text));
    let backoff = backoff.transpose().map_err(|error| unreadable(7, error))?;
    Ok(PoolRecord {
        pool: Pool {
            name: row.get(0)?,
            parallel: row.get(1)?,
            paused: row.get(2)?,
            rate,
            breaker: row.get(6)?,
            max_pending: row.get(26)?,
            backoff: backoff.unwrap_or_else(probe_backoff),
            seed: row.get::<_, i64>(8)? as u64,
        },
        options: row.get(9)?,
        gate: Gate {
            arrival_us: row.get(10)?,
            streak: row.get(11)?,
            probes: row.get(12)?,
            probe_at: time(row, 13)?,
            probe: row.get::<_, Option<_>>(14)?.map(RunId),
        },
        gauge: gauge(row, 15, uncounted)?,
    })
}

fn gauge(row: &Row<'_>, at: usize, uncounted: &Change) -> rusqlite::Result<Gauge> {
    let count = |n: usize| {
        let count = uncounted.on(n, row.get(at + n)?);
        Ok::<_, rusqlite::Error>(count.unsigned_abs())
    };
    Ok(Gauge {
        held: count(0)?,
        scheduled: count(1)?,
        locked: count(2)?,
        ready: count(3)?,
        running: count(4)?,
        closing: count(5)?,
        executions: count(6)?,
        failures: count(7)?,
        succeeded: count(8)?,
        failed: count(9)?,
        canceled: count(10)?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::schema::assert_plan;

    #[test]
    fn who_is_overdue_is_looked_up_among_those_who_wait() {
        assert_plan(OVERDUE, "USING COVERING INDEX run_due (due_at<?)");
        assert_plan(NAMES, "PRIMARY KEY (name>?)");
    }
}
