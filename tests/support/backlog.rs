//! A database with a long history and a long backlog, made by SQL in seconds instead of by calls in
//! hours. It knows the layout, so it stands beside the harness and not in a test. Its rows are as
//! `retrier` would have written them; a test in `flat` holds the counts.

use retrier::clock;
use retrier::model::{Policy, Timestamp};
use rusqlite::{Connection, named_params};

/// How much is stored.
#[derive(Clone, Copy, Debug)]
pub struct Backlog {
    /// Runs that have ended, over all pools; a third each succeeded, failed, canceled.
    pub finished: u32,
    /// In how many milliseconds they have, evenly.
    pub finished_in_ms: i64,
    /// Runs of the pool `default` at a higher priority that wait for a later time, with deadlines.
    pub backing_off: u32,
    /// Due runs that wait for the lock `one`, which the first of them has.
    pub behind_lock: u32,
    /// Pools; every other one is paused, full as soon as it is not, and has two runs to start.
    pub pools: u32,
    /// Those behind the lock are spread over the pools that are not paused, instead of `default`.
    pub spread: bool,
}

/// So long do the runs go back that have ended.
const MONTH_MS: i64 = 30 * 24 * 60 * 60 * 1000;

impl Backlog {
    /// What a database that has been in use for long can hold, divided by `part`.
    pub fn part(part: u32) -> Self {
        Self {
            finished: 1_000_000 / part,
            finished_in_ms: MONTH_MS,
            backing_off: 100_000 / part,
            behind_lock: 100_000 / part,
            pools: 1000 / part,
            spread: false,
        }
    }

    /// Nothing but what each operation itself needs.
    pub const NONE: Self = Self {
        finished: 3,
        finished_in_ms: MONTH_MS,
        backing_off: 1,
        behind_lock: 1,
        pools: 2,
        spread: false,
    };

    /// Fills an empty database, whose layout is there, as it could be at `now`.
    pub fn fill(self, db: &Connection, now: Timestamp) {
        db.execute_batch("PRAGMA synchronous = OFF; PRAGMA cache_size = -200000;")
            .expect("it is only made faster");
        let policy = serde_json::to_string(&Policy::default()).expect("it is JSON");
        let run = |sql: &str| {
            let mut statement = db.prepare(sql).expect("it fits the layout");
            let values = named_params! {
                ":now": now.millis(), ":policy": policy, ":finished": self.finished,
                ":in_ms": self.finished_in_ms,
                ":backing_off": self.backing_off, ":locked": self.behind_lock,
                ":pools": self.pools, ":spread": self.spread,
            };
            for (name, value) in values {
                if let Ok(Some(index)) = statement.parameter_index(name) {
                    let bound = statement.raw_bind_parameter(index, value);
                    bound.expect("it is a value");
                }
            }
            statement.raw_execute().expect("it can be stored")
        };
        run("BEGIN IMMEDIATE");
        run(POOLS);
        for sql in [CONTENT, FINISHED, BACKING_OFF, BEHIND_LOCK, READY] {
            run(sql);
        }
        for sql in [ATTEMPTS, STORED, STARTED, ENDED, STANDING, DONE, SUM] {
            run(sql);
        }
        run("COMMIT");
        db.execute_batch("PRAGMA wal_checkpoint(TRUNCATE)")
            .expect("the log can be emptied");
    }

    /// As [`Backlog::fill`], as it could be now.
    pub fn fill_now(self, db: &Connection) {
        self.fill(db, clock::now());
    }
}

const POOLS: &str = "WITH RECURSIVE n (i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n \
     WHERE i + 1 < :pools) INSERT INTO pool (name, parallel, paused, options, seed) \
     SELECT printf('p%04d', i), iif(i % 2 = 0, 1, 10), i % 2 = 0, '{}', i FROM n";

const CONTENT: &str = "INSERT INTO content (id, digest, bytes, refs) VALUES (1, 'backlog', \
     CAST('A=1' || char(0) AS BLOB), :finished + :backing_off + :locked + 1 + :pools)";

const FINISHED: &str = "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n \
     WHERE i < :finished), \
     r (i, state, at) AS (SELECT i, \
     CASE i % 3 WHEN 0 THEN 'succeeded' WHEN 1 THEN 'failed' ELSE 'canceled' END, \
     :now - :in_ms * (:finished - i + 1) / :finished FROM n) \
     INSERT INTO run (state, reason, attempts, failures, created_at, finished_at, seed, policy, \
     command, cwd, umask, environment_id, name, error, return_value, pool) \
     SELECT state, iif(state = 'failed', 'exhausted', NULL), state <> 'canceled', \
     state = 'failed', at - 1000, at, i, :policy, CAST('true' || char(0) AS BLOB), \
     CAST('/' AS BLOB), 18, 1, iif(i % 5 = 0, 'name', NULL), \
     iif(state = 'failed', 'exit 1', NULL), iif(state = 'succeeded', x'', NULL), \
     printf('p%04d', i % :pools) FROM r";

const BACKING_OFF: &str = "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n \
     WHERE i < :backing_off) \
     INSERT INTO run (state, stage, attempts, failures, due_at, delay_ms, created_at, \
     deadline_at, seed, policy, command, cwd, umask, environment_id, priority) \
     SELECT 'waiting', 'scheduled', 1, 1, :now + 3600000 + i, 6600000 + i, :now - 3010000, \
     :now + 86400000 + i, i, :policy, CAST('true' || char(0) AS BLOB), CAST('/' AS BLOB), 18, 1, \
     10 FROM n";

const BEHIND_LOCK: &str = "WITH RECURSIVE n (i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n \
     WHERE i < :locked) \
     INSERT INTO run (state, stage, due_at, delay_ms, created_at, seed, policy, command, cwd, \
     umask, environment_id, lock, pool) \
     SELECT 'waiting', iif(i = 0, 'ready', 'locked'), :now - 3600000 + i, 0, :now - 3600000 + i, \
     i, :policy, CAST('sleep' || char(0) || '100000' || char(0) AS BLOB), CAST('/' AS BLOB), 18, \
     1, 'one', iif(:spread, printf('p%04d', 1 + 2 * (i % (:pools / 2))), 'default') FROM n";

const READY: &str = "WITH RECURSIVE n (i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n \
     WHERE i + 1 < :pools) \
     INSERT INTO run (state, stage, due_at, delay_ms, created_at, seed, policy, command, cwd, \
     umask, environment_id, pool) \
     SELECT 'waiting', 'ready', :now - 1800000 + i, 0, :now - 1800000 + i, i, :policy, \
     CAST('true' || char(0) AS BLOB), CAST('/' AS BLOB), 18, 1, printf('p%04d', i / 2 * 2) FROM n";

const ATTEMPTS: &str = "INSERT INTO attempt (run_id, number, started_at, ended_at, pid, outcome, \
     shim_file, shim_boot, shim_ns, shim_pid, shim_start, pool, was_due_at, success) \
     SELECT id, 1, coalesce(finished_at, :now - 3000000) - 500, coalesce(finished_at, :now - 3000000), \
     1000, iif(state = 'succeeded', '{\"type\":\"exit\",\"code\":0}', \
     '{\"type\":\"exit\",\"code\":1}'), '1-1', 'boot', 1, 1, 1, pool, \
     coalesce(finished_at, :now - 3000000) - 600, state = 'succeeded' FROM run WHERE attempts > 0";

const STORED: &str = "INSERT INTO event (run_id, number, at, kind, due_at) \
     SELECT id, 1, created_at, 'enqueued', created_at FROM run";

const STARTED: &str = "INSERT INTO event (run_id, number, at, kind, attempt) \
     SELECT run_id, 2, started_at, 'started', 1 FROM attempt";

const ENDED: &str = "INSERT INTO event (run_id, number, at, kind, attempt, due_at) \
     SELECT id, 2 + attempts, coalesce(finished_at, :now - 3000000), \
     iif(state = 'waiting', 'attempt_failed', state), iif(attempts, 1, NULL), due_at FROM run \
     WHERE finished_at IS NOT NULL OR attempts > 0";

const STANDING: &str = "UPDATE gauge SET scheduled = c.scheduled, locked = c.locked, \
     ready = c.ready, succeeded = c.succeeded, failed = c.failed, canceled = c.canceled \
     FROM (SELECT pool AS of, count(*) FILTER (WHERE stage = 'scheduled') AS scheduled, \
     count(*) FILTER (WHERE stage = 'locked') AS locked, \
     count(*) FILTER (WHERE stage = 'ready') AS ready, \
     count(*) FILTER (WHERE state = 'succeeded') AS succeeded, \
     count(*) FILTER (WHERE state = 'failed') AS failed, \
     count(*) FILTER (WHERE state = 'canceled') AS canceled FROM run GROUP BY pool) AS c \
     WHERE pool = c.of";

const DONE: &str = "UPDATE gauge SET executions = c.executions, failures = c.failures \
     FROM (SELECT pool AS of, count(*) AS executions, \
     count(*) FILTER (WHERE success = 0) AS failures FROM attempt GROUP BY pool) AS c \
     WHERE pool = c.of";

const SUM: &str = "UPDATE gauge SET scheduled = c.scheduled, locked = c.locked, ready = c.ready, \
     succeeded = c.succeeded, failed = c.failed, canceled = c.canceled, \
     executions = c.executions, failures = c.failures \
     FROM (SELECT sum(scheduled) AS scheduled, sum(locked) AS locked, sum(ready) AS ready, \
     sum(succeeded) AS succeeded, sum(failed) AS failed, sum(canceled) AS canceled, \
     sum(executions) AS executions, sum(failures) AS failures FROM gauge WHERE pool <> '') AS c \
     WHERE pool = ''";
