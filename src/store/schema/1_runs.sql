-- Times are milliseconds since 1970 UTC. Bytes are BLOBs; lists of them end each item with NUL.

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
