//! Statistics: how many runs stand where, which is counted as it changes, and what ended in a
//! window of time, which costs as much as ended in it, however long the history is.

use std::collections::BTreeMap;
use std::sync::LazyLock;
use std::time::Duration;

use rusqlite::{Row, params};

use crate::model::pool::{DEFAULT, HOOKS, Pool};
use crate::model::stats::{Ended, PoolStanding, Standing, Stats, Tally};
use crate::model::{Gate, Gauge, PoolRecord, Timestamp};

use super::error::StoreError;
use super::read::{OPEN_RUNS, Reader};
use super::row::time;

/// The statistics of one pool, with what it has counted since it was made.
#[derive(Clone, Debug, PartialEq)]
pub struct PoolStats {
    /// Its settings and its counters.
    pub record: PoolRecord,
    /// Its statistics.
    pub stats: Stats,
}

const ATTEMPTS: &str = "SELECT pool, success, was_due_at, started_at, ended_at \
     FROM attempt INDEXED BY attempt_ended WHERE ended_at > ?1 AND ended_at <= ?2";

const RUNS: &str = "SELECT pool, created_at, finished_at, state = 'failed' \
     FROM run INDEXED BY run_finished WHERE finished_at > ?1 AND finished_at <= ?2";

/// Where the oldest unfinished run of all pools but that of the hooks can stand. One without a stage
/// is a hook, or runs.
const OLDEST: [&str; 3] = [
    "SELECT id, created_at FROM run INDEXED BY run_stage \
     WHERE stage = 'scheduled' AND (pool = 'hooks') = 0 ORDER BY id LIMIT 1",
    "SELECT id, created_at FROM run INDEXED BY run_stage \
     WHERE stage = 'locked' AND (pool = 'hooks') = 0 ORDER BY id LIMIT 1",
    "SELECT id, created_at FROM run INDEXED BY run_stage \
     WHERE stage = 'ready' AND (pool = 'hooks') = 0 ORDER BY id LIMIT 1",
];

static OLDEST_RUNNING: LazyLock<String> = LazyLock::new(|| {
    format!(
        "SELECT id, created_at FROM {OPEN_RUNS} \
         WHERE finished_at IS NULL AND pool <> 'hooks' ORDER BY id LIMIT 1"
    )
});

const OLDEST_IN: &str = "SELECT id, created_at FROM run INDEXED BY run_pending \
     WHERE finished_at IS NULL AND pool = ?1 ORDER BY id LIMIT 1";

/// Whose attempts and runs are counted, and with which others together.
#[derive(Clone, Copy, Debug)]
enum Scope<'a> {
    /// Those of all pools but that of the hooks, together.
    All,
    /// Those of one pool.
    One(&'a str),
    /// Those of each pool for itself.
    Each,
}

impl Scope<'_> {
    /// The name under which something of `pool` is counted, if it is.
    fn group(self, pool: &str) -> Option<&str> {
        match self {
            Self::All => (pool != HOOKS).then_some(""),
            Self::One(name) => (pool == name).then_some(pool),
            Self::Each => Some(pool),
        }
    }
}

/// What is counted row by row, by group.
#[derive(Debug, Default)]
struct Counts {
    groups: BTreeMap<String, (Tally, u64)>,
}

impl Counts {
    /// The group of what belongs to `pool`.
    fn of(&mut self, scope: Scope<'_>, pool: &str) -> Option<&mut (Tally, u64)> {
        let group = scope.group(pool)?;
        if !self.groups.contains_key(group) {
            self.groups.insert(group.to_owned(), Default::default());
        }
        self.groups.get_mut(group)
    }

    fn take(&mut self, group: &str) -> (Tally, u64) {
        self.groups.remove(group).unwrap_or_default()
    }
}

impl PoolStats {
    /// The statistics of the pools of a database in which nothing was ever stored.
    pub fn of_nothing(at: Timestamp, window: Duration) -> Vec<Self> {
        let pools = [DEFAULT, HOOKS].map(|name| {
            let pool = Pool::new(name, 0);
            let standing = PoolStanding::of(&pool, &Gate::default(), 0, at);
            let record = PoolRecord {
                pool,
                options: "{}".to_owned(),
                gate: Gate::default(),
                gauge: Gauge::default(),
            };
            let mut stats = Stats::of_nothing(at, window);
            stats.pool = Some(standing);
            Self { record, stats }
        });
        pools.into()
    }
}

impl Reader<'_> {
    /// How it stands at `at` with all pools but that of the hooks, and what ended in the `window`
    /// before. To be asked in one moment, see [`super::Store::at_once`].
    pub fn stats(&self, at: Timestamp, window: Duration) -> Result<Stats, StoreError> {
        let (tally, unseen) = self.counts(Scope::All, at, window)?.take("");
        Ok(Stats {
            pool: None,
            at,
            window,
            standing: Standing::of(&self.gauge()?, unseen),
            oldest_pending: self.oldest(None, at)?,
            recent: tally.recent(),
        })
    }

    /// As [`Reader::stats`], of the pool `name`. Errors: there is none.
    pub fn stats_of(
        &self,
        name: &str,
        at: Timestamp,
        window: Duration,
    ) -> Result<PoolStats, StoreError> {
        let Some(record) = self.pool(name)? else {
            return Err(self.no_pool(name)?);
        };
        let counts = self.counts(Scope::One(name), at, window)?.take(name);
        self.pool_stats(record, counts, at, window)
    }

    /// As [`Reader::stats`], of each pool, by name.
    pub fn stats_of_each(
        &self,
        at: Timestamp,
        window: Duration,
    ) -> Result<Vec<PoolStats>, StoreError> {
        let mut counts = self.counts(Scope::Each, at, window)?;
        let pools = self.pools()?.into_iter();
        pools
            .map(|record| {
                let of_it = counts.take(&record.pool.name);
                self.pool_stats(record, of_it, at, window)
            })
            .collect()
    }

    fn pool_stats(
        &self,
        record: PoolRecord,
        (tally, unseen): (Tally, u64),
        at: Timestamp,
        window: Duration,
    ) -> Result<PoolStats, StoreError> {
        let occupied = record.gauge.occupied();
        let stats = Stats {
            pool: Some(PoolStanding::of(&record.pool, &record.gate, occupied, at)),
            at,
            window,
            standing: Standing::of(&record.gauge, unseen),
            oldest_pending: self.oldest(Some(&record.pool.name), at)?,
            recent: tally.recent(),
        };
        Ok(PoolStats { record, stats })
    }

    fn counts(
        &self,
        scope: Scope<'_>,
        at: Timestamp,
        window: Duration,
    ) -> Result<Counts, StoreError> {
        let mut counts = Counts::default();
        let reach = params![at.minus(window).millis(), at.millis()];
        self.rows(ATTEMPTS, reach, |row| {
            if let Some((tally, _)) = counts.of(scope, row.get_ref(0)?.as_str()?) {
                tally.add_attempt(Ended {
                    success: row.get(1)?,
                    due: time(row, 2)?,
                    started: Timestamp::from_millis(row.get(3)?),
                    ended: Timestamp::from_millis(row.get(4)?),
                });
            }
            Ok(())
        })?;
        self.rows(RUNS, reach, |row| {
            if let Some((tally, _)) = counts.of(scope, row.get_ref(0)?.as_str()?) {
                let [stored, ended] = [row.get(1)?, row.get(2)?].map(Timestamp::from_millis);
                tally.add_run(stored, ended, row.get(3)?);
            }
            Ok(())
        })?;
        for (pool, overdue) in self.overdue(at)? {
            if let Some((_, unseen)) = counts.of(scope, &pool) {
                *unseen += overdue;
            }
        }
        Ok(counts)
    }

    /// How long ago the oldest unfinished run was stored, of one pool, or of all but that of the
    /// hooks: the one with the lowest id.
    fn oldest(&self, pool: Option<&str>, at: Timestamp) -> Result<Duration, StoreError> {
        let stored = |row: &Row<'_>| Ok((row.get::<_, i64>(0)?, row.get(1)?));
        let mut found = Vec::new();
        match pool {
            Some(pool) => found.extend(self.rows(OLDEST_IN, [pool], stored)?),
            None => {
                for sql in OLDEST.into_iter().chain([OLDEST_RUNNING.as_str()]) {
                    found.extend(self.rows(sql, [], stored)?);
                }
            }
        }
        let oldest = found.into_iter().min();
        Ok(oldest.map_or(Duration::ZERO, |(_, stored)| {
            at.since(Timestamp::from_millis(stored))
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::schema::assert_plan;

    #[test]
    fn what_did_not_end_in_the_window_is_not_read() {
        assert_plan(
            ATTEMPTS,
            "USING COVERING INDEX attempt_ended (ended_at>? AND ended_at<?)",
        );
        assert_plan(
            RUNS,
            "USING COVERING INDEX run_finished (finished_at>? AND finished_at<?)",
        );
        for sql in OLDEST {
            assert_plan(sql, "USING INDEX run_stage (stage=? AND <expr>=?)");
        }
        assert_plan(&OLDEST_RUNNING, "attempt_open (run_id>?)");
        assert_plan(OLDEST_IN, "USING INDEX run_pending (pool=?)");
    }
}
