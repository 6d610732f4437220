-- What may be read by others: views that stay as they are, whatever becomes of the tables; how many
-- unfinished runs a pool may have; what had ended before it was counted, and which hooks there were before
-- that was told.

ALTER TABLE pool ADD COLUMN max_pending INTEGER CHECK (max_pending > 0);

-- Times are RFC 3339 in UTC with milliseconds. A command is a JSON array of its words.
CREATE VIEW runs_v1 AS SELECT id,
    CASE WHEN state <> 'waiting' THEN state
        WHEN due_at <= (julianday('now') - 2440587.5) * 86400000 THEN 'queued'
        ELSE 'scheduled' END AS state,
    reason, name, key, pool, lock, priority,
    (WITH RECURSIVE words (rest, word) AS (SELECT command, NULL UNION ALL
        SELECT substr(rest, instr(rest, x'00') + 1),
            CAST(substr(rest, 1, instr(rest, x'00') - 1) AS TEXT)
        FROM words WHERE length(rest) > 0)
        SELECT json_group_array(word) FROM words WHERE word IS NOT NULL) AS command,
    CAST(cwd AS TEXT) AS cwd,
    strftime('%Y-%m-%dT%H:%M:%fZ', created_at / 1000.0, 'unixepoch') AS created_at,
    strftime('%Y-%m-%dT%H:%M:%fZ', due_at / 1000.0, 'unixepoch') AS due_at,
    strftime('%Y-%m-%dT%H:%M:%fZ', deadline_at / 1000.0, 'unixepoch') AS deadline_at,
    strftime('%Y-%m-%dT%H:%M:%fZ', finished_at / 1000.0, 'unixepoch') AS finished_at,
    attempts, failures, snoozes, error, return_value, parent_id, hook_id
    FROM run;

CREATE VIEW attempts_v1 AS SELECT run_id, number, pool,
    strftime('%Y-%m-%dT%H:%M:%fZ', started_at / 1000.0, 'unixepoch') AS started_at,
    strftime('%Y-%m-%dT%H:%M:%fZ', ended_at / 1000.0, 'unixepoch') AS ended_at,
    ended_at - started_at AS took_ms,
    json_extract(outcome, '$.type') AS outcome,
    json_extract(outcome, '$.code') AS exit_code,
    json_extract(outcome, '$.signal') AS signal,
    success, pid, retry_delay_ms
    FROM attempt;

CREATE VIEW events_v1 AS SELECT run_id, number,
    strftime('%Y-%m-%dT%H:%M:%fZ', at / 1000.0, 'unixepoch') AS at,
    kind, attempt,
    strftime('%Y-%m-%dT%H:%M:%fZ', due_at / 1000.0, 'unixepoch') AS due_at,
    why AS decided_by, wait_by, detail, hook_id
    FROM event;

UPDATE gauge SET
    succeeded = max(succeeded, (SELECT count(*) FROM run WHERE state = 'succeeded'
        AND iif(gauge.pool = '', pool <> 'hooks', pool = gauge.pool))),
    failed = max(failed, (SELECT count(*) FROM run WHERE state = 'failed'
        AND iif(gauge.pool = '', pool <> 'hooks', pool = gauge.pool))),
    canceled = max(canceled, (SELECT count(*) FROM run WHERE state = 'canceled'
        AND iif(gauge.pool = '', pool <> 'hooks', pool = gauge.pool))),
    executions = max(executions, (SELECT count(*) FROM attempt WHERE ended_at IS NOT NULL
        AND iif(gauge.pool = '', pool <> 'hooks', pool = gauge.pool))),
    failures = max(failures, (SELECT count(*) FROM attempt WHERE success = 0
        AND iif(gauge.pool = '', pool <> 'hooks', pool = gauge.pool)));

-- The histories of the first layout did not tell of hooks.
INSERT INTO event (run_id, number, at, kind, hook_id)
    SELECT id, (SELECT max(number) + 1 FROM event WHERE run_id = run.id), finished_at,
        'hook_enqueued', hook_id
    FROM run WHERE hook_id IS NOT NULL AND finished_at IS NOT NULL
    AND EXISTS (SELECT 1 FROM event WHERE run_id = run.id)
    AND NOT EXISTS (SELECT 1 FROM event WHERE run_id = run.id AND kind = 'hook_enqueued');
