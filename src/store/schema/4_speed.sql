-- The same, written with less: fewer indexes that each start and ending changes, no triggers on each row
-- (see store::tally), and no IN (…), for which SQLite makes a table each time that it looks.

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
-- Which runs have an attempt open is what attempt_open tells.
DROP INDEX run_open;

-- Those that never failed stand before those that did, each in their order: the head of a pool is the
-- first of either, and the probe of an open one is the first that never failed, if there is one.
CREATE INDEX run_ready ON run (pool, failures > 0, rank, id) WHERE stage = 'ready';
CREATE INDEX run_probe ON run (pool, failures, rank, id) WHERE stage = 'ready' AND failures > 0;
-- Hooks apart, because what is asked of all runs leaves them out.
CREATE INDEX run_stage ON run (stage, pool = 'hooks', id) WHERE stage IS NOT NULL;

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
