-- Pools, locks and the order in which runs start.

CREATE TABLE pool (
    name TEXT PRIMARY KEY,
    parallel INTEGER NOT NULL CHECK (parallel >= 0),
    paused INTEGER NOT NULL CHECK (paused IN (0, 1)),
    -- So many starts in so many milliseconds, evenly spaced, so many of them at once.
    rate_starts INTEGER CHECK (rate_starts > 0),
    rate_ms INTEGER CHECK (rate_ms > 0),
    burst INTEGER CHECK (burst > 0),
    breaker INTEGER CHECK (breaker > 0),
    -- JSON: the waits between probes, if they are not the usual ones, and the options that its runs
    -- take as their defaults.
    backoff TEXT,
    options TEXT NOT NULL,
    seed INTEGER NOT NULL,
    CHECK ((rate_starts IS NULL) = (rate_ms IS NULL) AND (rate_ms IS NULL) = (burst IS NULL))
) STRICT, WITHOUT ROWID;

-- What each pool remembers of its starts and endings, see model::pool::Gate.
CREATE TABLE gate (
    pool TEXT PRIMARY KEY,
    arrival_us INTEGER NOT NULL DEFAULT 0,
    streak INTEGER NOT NULL DEFAULT 0,
    probes INTEGER NOT NULL DEFAULT 0,
    probe_at INTEGER,
    probe_run INTEGER
) STRICT, WITHOUT ROWID;

-- How many runs of each pool stand where, so that nobody has to count; '' is all pools but that of
-- the hooks. Kept by the triggers below, whoever writes.
CREATE TABLE gauge (
    pool TEXT PRIMARY KEY,
    held INTEGER NOT NULL DEFAULT 0,
    scheduled INTEGER NOT NULL DEFAULT 0,
    locked INTEGER NOT NULL DEFAULT 0,
    ready INTEGER NOT NULL DEFAULT 0,
    running INTEGER NOT NULL DEFAULT 0,
    -- Canceled, and an attempt is still being ended.
    closing INTEGER NOT NULL DEFAULT 0,
    -- From here on: how many ever did. Attempts ended, attempts failed, runs ended.
    executions INTEGER NOT NULL DEFAULT 0,
    failures INTEGER NOT NULL DEFAULT 0,
    succeeded INTEGER NOT NULL DEFAULT 0,
    failed INTEGER NOT NULL DEFAULT 0,
    canceled INTEGER NOT NULL DEFAULT 0
) STRICT, WITHOUT ROWID;

-- Locks that may go to another run, which the daemon's next pass looks at.
CREATE TABLE open_lock (
    lock TEXT PRIMARY KEY
) STRICT, WITHOUT ROWID;

-- Pools in which a run has become ready, which the daemon's next pass looks at.
CREATE TABLE open_pool (
    pool TEXT PRIMARY KEY
) STRICT, WITHOUT ROWID;

-- How often the settings of a pool were changed.
ALTER TABLE identity ADD COLUMN pools INTEGER NOT NULL DEFAULT 0;

-- Of a waiting run with a due time: scheduled until it is seen to be due, then locked while its lock
-- is not its own, else ready. One that is due when it is written, and has no lock, is ready at once.
ALTER TABLE run ADD COLUMN stage TEXT CHECK (stage IN ('scheduled', 'locked', 'ready'));
-- The order within a pool: see model::spec::PRIORITY_WORTH.
ALTER TABLE run ADD COLUMN rank INTEGER
    GENERATED ALWAYS AS (due_at - 60000 * priority) VIRTUAL;
-- The pool in which it was started, when its run was due then, and whether it did its work: NULL
-- of one that was cut short or not ready.
ALTER TABLE attempt ADD COLUMN pool TEXT NOT NULL DEFAULT 'default';
ALTER TABLE attempt ADD COLUMN was_due_at INTEGER;
ALTER TABLE attempt ADD COLUMN success INTEGER CHECK (success IN (0, 1));

UPDATE run SET stage = 'scheduled' WHERE state = 'waiting' AND due_at IS NOT NULL;
UPDATE run SET pool = 'hooks' WHERE parent_id IS NOT NULL;
UPDATE attempt SET pool = 'hooks'
    WHERE run_id IN (SELECT id FROM run WHERE parent_id IS NOT NULL);
-- A lock meant nothing so far: of those that run one keeps it.
UPDATE run SET lock = NULL WHERE open_attempt IS NOT NULL AND lock IS NOT NULL
    AND id NOT IN (SELECT min(id) FROM run WHERE open_attempt IS NOT NULL AND lock IS NOT NULL
        GROUP BY lock);
UPDATE attempt SET success = (outcome = '{"type":"exit","code":0}')
    WHERE outcome IS NOT NULL AND outcome NOT IN
    ('{"type":"canceled"}', '{"type":"interrupted"}');

DROP INDEX run_due;
DROP INDEX run_finished;
CREATE INDEX run_due ON run (due_at, id, pool) WHERE stage = 'scheduled';
CREATE INDEX run_ready ON run (pool, rank, id) WHERE stage = 'ready';
-- Who is the probe of an open pool.
CREATE INDEX run_probe ON run (pool, failures, rank, id) WHERE stage = 'ready';
CREATE INDEX run_locked ON run (lock, pool, id) WHERE stage = 'locked';
CREATE INDEX run_lock_order ON run (lock, id, pool) WHERE stage = 'locked';
CREATE UNIQUE INDEX run_lock_held ON run (lock)
    WHERE lock IS NOT NULL AND (stage = 'ready' OR open_attempt IS NOT NULL);
CREATE INDEX run_lock_pool ON run (pool, lock)
    WHERE stage IN ('locked', 'ready') AND lock IS NOT NULL;
-- Of a block of ids which are due and which are not, see store::list.
CREATE INDEX run_block ON run (id / 1024, due_at) WHERE stage = 'scheduled';
CREATE INDEX run_stage ON run (stage, id) WHERE stage IS NOT NULL;
CREATE INDEX run_pool ON run (pool, id);
CREATE INDEX run_pending ON run (pool, id) WHERE finished_at IS NULL;
-- Which run of all pools but that of the hooks is the oldest that has not ended.
CREATE INDEX run_pending_all ON run (id) WHERE finished_at IS NULL AND pool <> 'hooks';
CREATE INDEX run_finished ON run (finished_at, pool, state, created_at)
    WHERE finished_at IS NOT NULL;
-- Whose attempt is still to be ended, looked for in each pass.
CREATE INDEX run_closing ON run (id) WHERE state = 'canceled' AND open_attempt IS NOT NULL;
-- SQLite looks for whoever still refers to content that is forgotten.
CREATE INDEX run_environment ON run (environment_id);
CREATE INDEX run_stdin ON run (stdin_id) WHERE stdin_id IS NOT NULL;
CREATE INDEX attempt_ended ON attempt (ended_at, pool, success, started_at, was_due_at)
    WHERE ended_at IS NOT NULL;

INSERT INTO pool (name, parallel, paused, options, seed)
    VALUES ('default', 10, 0, '{}', random()), ('hooks', 10, 0, '{}', random());
INSERT INTO gate (pool) VALUES ('default'), ('hooks');
INSERT INTO gauge (pool, held, scheduled, running, closing)
    SELECT names.name,
        count(run.id) FILTER (WHERE state = 'waiting' AND stage IS NULL),
        count(run.id) FILTER (WHERE stage = 'scheduled'),
        count(run.id) FILTER (WHERE state = 'running'),
        count(run.id) FILTER (WHERE finished_at IS NOT NULL AND open_attempt IS NOT NULL)
    FROM (SELECT 'default' AS name UNION ALL SELECT 'hooks' UNION ALL SELECT '') AS names
    LEFT JOIN run ON run.pool = iif(names.name = '', 'default', names.name)
    GROUP BY names.name;

CREATE TRIGGER pool_made AFTER INSERT ON pool BEGIN
    INSERT INTO gate (pool) VALUES (NEW.name);
    INSERT INTO gauge (pool) VALUES (NEW.name);
    UPDATE identity SET pools = pools + 1;
END;
CREATE TRIGGER pool_gone AFTER DELETE ON pool BEGIN
    DELETE FROM gate WHERE pool = OLD.name;
    DELETE FROM gauge WHERE pool = OLD.name;
    UPDATE identity SET pools = pools + 1;
END;
CREATE TRIGGER pool_set AFTER UPDATE ON pool BEGIN
    UPDATE identity SET pools = pools + 1;
END;
-- No lock stays with a pool that starts nothing.
CREATE TRIGGER pool_shut AFTER UPDATE OF paused, parallel ON pool
WHEN (OLD.paused OR OLD.parallel = 0) <> (NEW.paused OR NEW.parallel = 0) BEGIN
    INSERT INTO open_lock SELECT DISTINCT lock FROM run
        WHERE pool = NEW.name AND stage IN ('locked', 'ready') AND lock IS NOT NULL
        AND lock NOT IN (SELECT lock FROM open_lock);
END;

CREATE TRIGGER run_stored AFTER INSERT ON run BEGIN
    UPDATE gauge SET scheduled = scheduled + (NEW.stage IS 'scheduled'),
        ready = ready + (NEW.stage IS 'ready'), held = held + (NEW.stage IS NULL)
        WHERE pool IN (NEW.pool, iif(NEW.pool = 'hooks', NULL, ''));
END;
-- Whoever makes a run ready has its pool looked at.
CREATE TRIGGER pool_wanted AFTER INSERT ON run WHEN NEW.stage IS 'ready' BEGIN
    INSERT INTO open_pool SELECT NEW.pool WHERE NEW.pool NOT IN (SELECT pool FROM open_pool);
END;
CREATE TRIGGER pool_wanted_again AFTER UPDATE OF stage ON run
WHEN NEW.stage IS 'ready' AND OLD.stage IS NOT 'ready' BEGIN
    INSERT INTO open_pool SELECT NEW.pool WHERE NEW.pool NOT IN (SELECT pool FROM open_pool);
END;
CREATE TRIGGER run_moved AFTER UPDATE OF state, stage, open_attempt ON run
WHEN OLD.pool = NEW.pool BEGIN
    UPDATE gauge SET
        held = held + (NEW.state = 'waiting' AND NEW.stage IS NULL)
            - (OLD.state = 'waiting' AND OLD.stage IS NULL),
        scheduled = scheduled + (NEW.stage IS 'scheduled') - (OLD.stage IS 'scheduled'),
        locked = locked + (NEW.stage IS 'locked') - (OLD.stage IS 'locked'),
        ready = ready + (NEW.stage IS 'ready') - (OLD.stage IS 'ready'),
        running = running + (NEW.state = 'running') - (OLD.state = 'running'),
        closing = closing + (NEW.state = 'canceled' AND NEW.open_attempt IS NOT NULL)
            - (OLD.state = 'canceled' AND OLD.open_attempt IS NOT NULL),
        succeeded = succeeded + (NEW.state = 'succeeded' AND OLD.state <> 'succeeded'),
        failed = failed + (NEW.state = 'failed' AND OLD.state <> 'failed'),
        canceled = canceled + (NEW.state = 'canceled' AND OLD.state <> 'canceled')
        WHERE pool IN (NEW.pool, iif(NEW.pool = 'hooks', NULL, ''));
END;
-- A decision has sent it elsewhere when its attempt ended.
CREATE TRIGGER run_transferred AFTER UPDATE OF pool ON run WHEN OLD.pool <> NEW.pool BEGIN
    UPDATE gauge SET
        held = held - (OLD.state = 'waiting' AND OLD.stage IS NULL),
        scheduled = scheduled - (OLD.stage IS 'scheduled'),
        locked = locked - (OLD.stage IS 'locked'),
        ready = ready - (OLD.stage IS 'ready'),
        running = running - (OLD.state = 'running'),
        closing = closing - (OLD.state = 'canceled' AND OLD.open_attempt IS NOT NULL)
        WHERE pool IN (OLD.pool, iif(OLD.pool = 'hooks', NULL, ''));
    UPDATE gauge SET
        held = held + (NEW.state = 'waiting' AND NEW.stage IS NULL),
        scheduled = scheduled + (NEW.stage IS 'scheduled'),
        locked = locked + (NEW.stage IS 'locked'),
        ready = ready + (NEW.stage IS 'ready'),
        running = running + (NEW.state = 'running'),
        closing = closing + (NEW.state = 'canceled' AND NEW.open_attempt IS NOT NULL),
        succeeded = succeeded + (NEW.state = 'succeeded' AND OLD.state <> 'succeeded'),
        failed = failed + (NEW.state = 'failed' AND OLD.state <> 'failed'),
        canceled = canceled + (NEW.state = 'canceled' AND OLD.state <> 'canceled')
        WHERE pool IN (NEW.pool, iif(NEW.pool = 'hooks', NULL, ''));
END;
CREATE TRIGGER attempt_closed AFTER UPDATE OF ended_at ON attempt
WHEN OLD.ended_at IS NULL AND NEW.ended_at IS NOT NULL BEGIN
    UPDATE gauge SET executions = executions + 1, failures = failures + (NEW.success IS 0)
        WHERE pool IN (NEW.pool, iif(NEW.pool = 'hooks', NULL, ''));
END;

-- Whoever waits for a lock, or lets go of one, has it looked at. There is no OR IGNORE here: what the
-- statement outside says of conflicts counts instead of it.
CREATE TRIGGER lock_wanted AFTER UPDATE OF stage ON run
WHEN NEW.stage IS 'locked' AND OLD.stage IS NOT 'locked' BEGIN
    INSERT INTO open_lock SELECT NEW.lock WHERE NEW.lock NOT IN (SELECT lock FROM open_lock);
END;
CREATE TRIGGER lock_let_go AFTER UPDATE OF stage, open_attempt, lock ON run
WHEN OLD.lock IS NOT NULL AND (OLD.stage IS 'ready' OR OLD.open_attempt IS NOT NULL)
    AND NOT (NEW.lock IS OLD.lock AND (NEW.stage IS 'ready' OR NEW.open_attempt IS NOT NULL))
BEGIN
    INSERT INTO open_lock SELECT OLD.lock WHERE OLD.lock NOT IN (SELECT lock FROM open_lock);
END;
