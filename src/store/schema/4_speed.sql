-- The same, written with less: fewer indexes that each start and ending changes, and no IN (…), for
-- which SQLite makes a table each time that it looks.

DROP TRIGGER run_stored;
DROP TRIGGER run_moved;
DROP TRIGGER run_transferred;
DROP TRIGGER attempt_closed;
DROP TRIGGER pool_wanted;
DROP TRIGGER pool_wanted_again;
DROP TRIGGER lock_wanted;
DROP TRIGGER lock_let_go;
DROP INDEX run_ready;
DROP INDEX run_probe;
DROP INDEX run_stage;
DROP INDEX run_pending_all;

-- Those that never failed stand before those that did, each in their order: the head of a pool is the
-- first of either, and the probe of an open one is the first that never failed, if there is one.
CREATE INDEX run_ready ON run (pool, failures > 0, rank, id) WHERE stage = 'ready';
CREATE INDEX run_probe ON run (pool, failures, rank, id) WHERE stage = 'ready' AND failures > 0;
-- Hooks apart, because what is asked of all runs leaves them out.
CREATE INDEX run_stage ON run (stage, pool = 'hooks', id) WHERE stage IS NOT NULL;

CREATE TRIGGER run_stored AFTER INSERT ON run BEGIN
    UPDATE gauge SET scheduled = scheduled + (NEW.stage IS 'scheduled'),
        ready = ready + (NEW.stage IS 'ready'), held = held + (NEW.stage IS NULL)
        WHERE pool = NEW.pool;
    UPDATE gauge SET scheduled = scheduled + (NEW.stage IS 'scheduled'),
        ready = ready + (NEW.stage IS 'ready'), held = held + (NEW.stage IS NULL)
        WHERE pool = '' AND NEW.pool <> 'hooks';
END;
CREATE TRIGGER run_moved AFTER UPDATE OF state, stage, open_attempt ON run BEGIN
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
        WHERE pool = NEW.pool;
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
        WHERE pool = '' AND NEW.pool <> 'hooks';
END;
-- A decision has sent it elsewhere. What else has changed of it counts there. A hook stays where it is.
CREATE TRIGGER run_transferred AFTER UPDATE OF pool ON run WHEN OLD.pool <> NEW.pool BEGIN
    UPDATE gauge SET
        held = held - (OLD.state = 'waiting' AND OLD.stage IS NULL),
        scheduled = scheduled - (OLD.stage IS 'scheduled'),
        locked = locked - (OLD.stage IS 'locked'),
        ready = ready - (OLD.stage IS 'ready'),
        running = running - (OLD.state = 'running'),
        closing = closing - (OLD.state = 'canceled' AND OLD.open_attempt IS NOT NULL)
        WHERE pool = OLD.pool;
    UPDATE gauge SET
        held = held + (OLD.state = 'waiting' AND OLD.stage IS NULL),
        scheduled = scheduled + (OLD.stage IS 'scheduled'),
        locked = locked + (OLD.stage IS 'locked'),
        ready = ready + (OLD.stage IS 'ready'),
        running = running + (OLD.state = 'running'),
        closing = closing + (OLD.state = 'canceled' AND OLD.open_attempt IS NOT NULL)
        WHERE pool = NEW.pool;
END;
CREATE TRIGGER attempt_closed AFTER UPDATE OF ended_at ON attempt
WHEN OLD.ended_at IS NULL AND NEW.ended_at IS NOT NULL BEGIN
    UPDATE gauge SET
        executions = executions + 1, failures = failures + (NEW.success IS 0)
        WHERE pool = NEW.pool;
    UPDATE gauge SET
        executions = executions + 1, failures = failures + (NEW.success IS 0)
        WHERE pool = '' AND NEW.pool <> 'hooks';
END;

-- Whoever makes a run ready has its pool looked at.
CREATE TRIGGER pool_wanted AFTER INSERT ON run
WHEN NEW.stage IS 'ready' AND NOT EXISTS (SELECT 1 FROM open_pool WHERE pool = NEW.pool) BEGIN
    INSERT INTO open_pool VALUES (NEW.pool);
END;
CREATE TRIGGER pool_wanted_again AFTER UPDATE OF stage ON run
WHEN NEW.stage IS 'ready' AND OLD.stage IS NOT 'ready'
    AND NOT EXISTS (SELECT 1 FROM open_pool WHERE pool = NEW.pool) BEGIN
    INSERT INTO open_pool VALUES (NEW.pool);
END;
-- Whoever waits for a lock, or lets go of one, has it looked at. There is no OR IGNORE here: what the
-- statement outside says of conflicts counts instead of it.
CREATE TRIGGER lock_wanted AFTER UPDATE OF stage ON run
WHEN NEW.stage IS 'locked' AND OLD.stage IS NOT 'locked'
    AND NOT EXISTS (SELECT 1 FROM open_lock WHERE lock = NEW.lock) BEGIN
    INSERT INTO open_lock VALUES (NEW.lock);
END;
CREATE TRIGGER lock_let_go AFTER UPDATE OF stage, open_attempt, lock ON run
WHEN OLD.lock IS NOT NULL AND (OLD.stage IS 'ready' OR OLD.open_attempt IS NOT NULL)
    AND NOT (NEW.lock IS OLD.lock AND (NEW.stage IS 'ready' OR NEW.open_attempt IS NOT NULL))
    AND NOT EXISTS (SELECT 1 FROM open_lock WHERE lock = OLD.lock) BEGIN
    INSERT INTO open_lock VALUES (OLD.lock);
END;

-- The checks of a run in other words. They say the same, so nothing that is stored changes, and the
-- text may be replaced: https://www.sqlite.org/lang_altertable.html
PRAGMA writable_schema = ON;
UPDATE sqlite_schema SET sql = replace(replace(replace(replace(sql,
    'state IN (''waiting'', ''running'', ''succeeded'', ''failed'', ''canceled'')',
    'state = ''waiting'' OR state = ''running'' OR state = ''succeeded'' OR state = ''failed'' OR state = ''canceled'''),
    'reason IN (''exhausted'', ''stopped'', ''deadline'')',
    'reason = ''exhausted'' OR reason = ''stopped'' OR reason = ''deadline'''),
    'state IN (''succeeded'', ''failed'', ''canceled'')',
    'state = ''succeeded'' OR state = ''failed'' OR state = ''canceled'''),
    'stage IN (''scheduled'', ''locked'', ''ready'')',
    'stage = ''scheduled'' OR stage = ''locked'' OR stage = ''ready''')
    WHERE type = 'table' AND name = 'run';
PRAGMA writable_schema = RESET;
