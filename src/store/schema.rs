//! The layout of the database and how it came to be: appended, never edited.

/// SQLite's `application_id` of our files: "retr" in ASCII.
pub const APPLICATION_ID: i64 = 0x7265_7472;

/// The steps from an empty file to the newest layout; `user_version` counts those that are done.
pub const MIGRATIONS: &[&str] = &[FIRST, POLICIES];

/// The newest layout that this program knows.
pub const VERSION: i64 = MIGRATIONS.len() as i64;

/// Times are milliseconds since 1970 UTC. Bytes are BLOBs; lists of them end each item with NUL.
const FIRST: &str = "
CREATE TABLE identity (
    only INTEGER PRIMARY KEY CHECK (only = 1),
    -- Random, the prefix of idempotency keys.
    name TEXT NOT NULL
) STRICT;

-- Environments and inputs, once per distinct content.
CREATE TABLE content (
    id INTEGER PRIMARY KEY,
    digest TEXT NOT NULL UNIQUE,
    bytes BLOB NOT NULL,
    refs INTEGER NOT NULL CHECK (refs > 0)
) STRICT;

CREATE TABLE run (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    state TEXT NOT NULL CHECK (state IN ('waiting', 'running', 'succeeded', 'failed', 'canceled')),
    reason TEXT CHECK (reason IN ('exhausted', 'stopped', 'deadline')),
    -- The attempt that occupies a slot: of a running run, or of a canceled one that is being ended.
    open_attempt INTEGER,
    attempts INTEGER NOT NULL DEFAULT 0,
    failures INTEGER NOT NULL DEFAULT 0,
    -- Of a waiting run; NULL while a hook is held.
    due_at INTEGER,
    delay_ms INTEGER,
    created_at INTEGER NOT NULL,
    finished_at INTEGER,
    seed INTEGER NOT NULL,
    policy TEXT NOT NULL,
    command BLOB NOT NULL,
    cwd BLOB NOT NULL,
    umask INTEGER NOT NULL,
    environment_id INTEGER NOT NULL REFERENCES content (id),
    stdin_id INTEGER REFERENCES content (id),
    name TEXT,
    on_complete BLOB,
    -- Of a hook: the run that it follows, and the word for that run's result.
    parent_id INTEGER,
    parent_result TEXT,
    -- The last hook that this run enqueued.
    hook_id INTEGER,
    error TEXT,
    return_value BLOB,
    CHECK ((state = 'failed') = (reason IS NOT NULL)),
    CHECK ((state IN ('succeeded', 'failed', 'canceled')) = (finished_at IS NOT NULL)),
    CHECK (state <> 'running' OR open_attempt IS NOT NULL),
    CHECK (state IN ('running', 'canceled') OR open_attempt IS NULL),
    CHECK (state = 'waiting' OR due_at IS NULL)
) STRICT;
-- Who starts next; waiting runs alone, so that it does not grow with history.
CREATE INDEX run_due ON run (due_at, id) WHERE state = 'waiting' AND due_at IS NOT NULL;
CREATE INDEX run_held ON run (id) WHERE state = 'waiting' AND due_at IS NULL;
CREATE INDEX run_open ON run (id) WHERE open_attempt IS NOT NULL;
CREATE INDEX run_finished ON run (finished_at) WHERE finished_at IS NOT NULL;
CREATE INDEX run_ended ON run (state, id) WHERE finished_at IS NOT NULL;
CREATE INDEX run_name ON run (name, id) WHERE name IS NOT NULL;

CREATE TABLE attempt (
    run_id INTEGER NOT NULL REFERENCES run (id) ON DELETE CASCADE,
    number INTEGER NOT NULL CHECK (number > 0),
    started_at INTEGER NOT NULL,
    ended_at INTEGER,
    pid INTEGER,
    -- JSON, tagged by type.
    outcome TEXT,
    -- The delay planned after it, when the run was retried.
    retry_delay_ms INTEGER,
    -- The shim that runs it: its file, and which process it is.
    shim_file TEXT NOT NULL,
    shim_boot TEXT NOT NULL,
    shim_ns INTEGER NOT NULL,
    shim_pid INTEGER NOT NULL,
    shim_start INTEGER NOT NULL,
    PRIMARY KEY (run_id, number),
    CHECK ((ended_at IS NULL) = (outcome IS NULL))
) STRICT, WITHOUT ROWID;
-- At most one attempt of a run is open: a second one is an error, not a surprise.
CREATE UNIQUE INDEX attempt_open ON attempt (run_id) WHERE ended_at IS NULL;

-- The history of each run, append-only.
CREATE TABLE event (
    run_id INTEGER NOT NULL REFERENCES run (id) ON DELETE CASCADE,
    number INTEGER NOT NULL,
    at INTEGER NOT NULL,
    kind TEXT NOT NULL,
    attempt INTEGER,
    due_at INTEGER,
    PRIMARY KEY (run_id, number)
) STRICT, WITHOUT ROWID;

-- Files whose rows are gone and that are still to be removed, by their names in the folder.
CREATE TABLE trash (
    name TEXT PRIMARY KEY
) STRICT, WITHOUT ROWID;
";

/// Deadlines, decisions, keys, and why things happened.
const POLICIES: &str = "
-- No attempt starts from then on.
ALTER TABLE run ADD COLUMN deadline_at INTEGER;
-- Since the last retry by hand, as failures are.
ALTER TABLE run ADD COLUMN snoozes INTEGER NOT NULL DEFAULT 0;
-- What a decision may change.
ALTER TABLE run ADD COLUMN priority INTEGER NOT NULL DEFAULT 0;
ALTER TABLE run ADD COLUMN pool TEXT NOT NULL DEFAULT 'default';
ALTER TABLE run ADD COLUMN lock TEXT;
CREATE INDEX run_deadline ON run (deadline_at)
    WHERE state = 'waiting' AND due_at IS NOT NULL AND deadline_at IS NOT NULL;

-- Of the runs with one key at most one has not ended, or is still being ended.
ALTER TABLE run ADD COLUMN key TEXT;
CREATE UNIQUE INDEX run_key_held ON run (key)
    WHERE key IS NOT NULL AND (finished_at IS NULL OR open_attempt IS NOT NULL);
CREATE INDEX run_key ON run (key, id) WHERE key IS NOT NULL;
-- Of a run that was retried by hand several hooks can be unfinished.
CREATE INDEX run_hook ON run (parent_id) WHERE parent_id IS NOT NULL AND finished_at IS NULL;
CREATE INDEX run_failed ON run (name, id) WHERE state = 'failed' AND name IS NOT NULL;

-- Who said whether the run goes on, and who said when.
ALTER TABLE event ADD COLUMN why TEXT;
ALTER TABLE event ADD COLUMN wait_by TEXT;
-- What was not understood.
ALTER TABLE event ADD COLUMN detail TEXT;
ALTER TABLE event ADD COLUMN hook_id INTEGER;
";

/// Asserts that SQLite's plan for `sql` holds `part`, scans no table, and sorts nothing.
#[cfg(test)]
pub(super) fn assert_plan(sql: &str, part: &str) {
    let connection = rusqlite::Connection::open_in_memory().expect("there is memory");
    for step in MIGRATIONS {
        connection.execute_batch(step).expect("the layout is right");
    }
    let mut explain = connection
        .prepare(&format!("EXPLAIN QUERY PLAN {sql}"))
        .expect("the statement fits the layout");
    let unbound = vec![rusqlite::types::Null; explain.parameter_count()];
    let plan: Vec<String> = explain
        .query_map(rusqlite::params_from_iter(unbound), |row| row.get(3))
        .and_then(Iterator::collect)
        .expect("a plan can be read");
    let plan = plan.join("\n");
    assert!(plan.contains(part), "{sql}\n{plan}");
    assert!(
        !plan.contains("SCAN") && !plan.contains("TEMP"),
        "{sql}\n{plan}"
    );
}
