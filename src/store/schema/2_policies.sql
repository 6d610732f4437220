-- Deadlines, decisions, keys, and why things happened.

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
