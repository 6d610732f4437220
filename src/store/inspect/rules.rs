//! What holds of every database at every moment, as statements that find where it does not.

use crate::model::policy::{By, Policy};
use crate::model::{Backoff, Finding, Note, Outcome};
use crate::store::error::StoreError;
use crate::store::read::Reader;
use crate::store::schema::{objects, version};

use super::LINES_MAX;

/// What to do about a database that contradicts itself.
const DEFECT: &str =
    "keep a copy (`retrier backup`) and report it: retrier should never have stored this";

/// Each row that `sql` finds is a sentence about something that must not be.
pub(super) struct Rule {
    check: &'static str,
    sql: String,
}

impl Rule {
    fn new(check: &'static str, sql: impl Into<String>) -> Self {
        let sql = sql.into();
        Self { check, sql }
    }

    /// Where it is broken, at most some places.
    pub(super) fn broken(&self, read: Reader<'_>) -> Result<Vec<Finding>, StoreError> {
        let sql = format!("{} LIMIT {}", self.sql, LINES_MAX + 1);
        let lines = read.rows(&sql, [], |row| row.get::<_, String>(0))?;
        Ok(told(self.check, lines))
    }
}

pub(super) fn told(check: &'static str, mut lines: Vec<String>) -> Vec<Finding> {
    if lines.len() > LINES_MAX {
        lines.truncate(LINES_MAX);
        lines.push("and there are more of these".to_owned());
    }
    let lines = lines.into_iter();
    lines
        .map(|line| Finding::error(check, line, DEFECT))
        .collect()
}

/// Those that cost the same however long the history is.
pub(super) fn shallow() -> Vec<Rule> {
    vec![
        Rule::new("attempts", OPEN_UNKNOWN),
        Rule::new("attempts", OPEN_MISSING),
        Rule::new("locks", LOCK_FORGOTTEN),
        Rule::new("pools", POOL_MISSING),
    ]
}

/// Those that read all that is stored.
pub(super) fn deep() -> Vec<Rule> {
    let endings = words(|note| matches!(note, Note::Succeeded | Note::Failed | Note::Canceled));
    let ends = ended_with();
    let mut rules = vec![
        Rule::new("attempts", TWO_OPEN),
        Rule::new("attempts", GAPS),
        Rule::new("attempts", attempt_told(&ends)),
        Rule::new("history", HISTORY_GAPS),
        Rule::new("history", HISTORY_BEGINS),
        Rule::new("endings", absorbed(&endings)),
        Rule::new("endings", ended_as_told(&endings)),
        Rule::new("hooks", one_hook_an_ending(&endings)),
        Rule::new("hooks", HOOK_TWICE),
        Rule::new("hooks", HOOK_UNTOLD),
        Rule::new("stages", STAGES),
        Rule::new("locks", TWO_OF_A_LOCK),
        Rule::new("keys", TWO_OF_A_KEY),
        Rule::new("content", REFERENCES),
        Rule::new("pools", POOL_ROWS),
        Rule::new("pools", POOLS_OF_THE_HOUSE),
        Rule::new("attempts", FAILURES),
        Rule::new("hooks", HOOK_UNSTORED),
        Rule::new("numbers", NUMBERS_AGAIN),
        Rule::new("endings", reason_as_told()),
        Rule::new("words", UMASKS),
        Rule::new("words", COMMANDS),
    ];
    rules.extend(gauges());
    rules
}

/// The words with which an attempt ends, as a list of SQL.
pub(super) fn ended_with() -> String {
    words(Note::ends_attempt)
}

/// The words of the notes that `is` chooses, as a list of SQL.
fn words(is: impl Fn(Note) -> bool) -> String {
    let chosen = Note::ALL.into_iter().filter(|note| is(*note));
    let words: Vec<String> = chosen.map(|note| format!("'{}'", note.word())).collect();
    words.join(", ")
}

const OPEN_UNKNOWN: &str = "SELECT 'attempt ' || number || ' of run ' || run_id || \
     ' is open, and the run does not know of it' FROM attempt INDEXED BY attempt_open \
     LEFT JOIN run ON run.id = run_id WHERE ended_at IS NULL AND run_id > 0 \
     AND run.open_attempt IS NOT number";

/// A running run whose attempt is closed, or gone.
const OPEN_MISSING: &str = "SELECT 'run ' || run.id || ' has attempt ' || open_attempt || \
     ' open, and that has ended' FROM run INDEXED BY run_pending \
     WHERE finished_at IS NULL AND open_attempt IS NOT NULL AND NOT EXISTS (SELECT 1 FROM attempt \
     WHERE run_id = run.id AND number = open_attempt AND ended_at IS NULL)";

/// Nobody has it, nobody is about to hand it on, and somebody who could start waits for it.
const LOCK_FORGOTTEN: &str = "SELECT DISTINCT 'run ' || run.id || ' waits for the lock ' || \
     quote(run.lock) || ', which nobody has' FROM run INDEXED BY run_locked \
     JOIN pool ON pool.name = run.pool WHERE stage = 'locked' AND NOT paused AND parallel > 0 \
     AND run.lock NOT IN (SELECT lock FROM open_lock) \
     AND NOT EXISTS (SELECT 1 FROM run AS holder INDEXED BY run_lock_held \
     WHERE holder.lock = run.lock AND holder.lock IS NOT NULL \
     AND (holder.stage = 'ready' OR holder.open_attempt IS NOT NULL))";

const POOL_MISSING: &str = "SELECT 'run ' || id || ' waits in the pool ' || quote(pool) || \
     ', which is not there' FROM run INDEXED BY run_pending WHERE finished_at IS NULL \
     AND NOT EXISTS (SELECT 1 FROM pool WHERE name = run.pool)";

/// Not by the index, which would not have two.
const TWO_OPEN: &str = "SELECT 'run ' || run_id || ' has ' || count(*) || ' attempts open' \
     FROM attempt NOT INDEXED WHERE ended_at IS NULL GROUP BY run_id HAVING count(*) > 1";

const GAPS: &str = "SELECT 'run ' || run.id || ' counts ' || attempts || ' attempts, and ' || \
     count(number) || ' are stored, up to number ' || coalesce(max(number), 0) FROM run \
     LEFT JOIN attempt ON run_id = run.id GROUP BY run.id HAVING count(number) <> attempts \
     OR coalesce(max(number), 0) <> attempts";

/// What was charged is what has ended without success, since the last retry by hand at the most.
const FAILURES: &str = "SELECT 'run ' || run.id || ' counts ' || failures || ' failures, and ' || \
     count(number) || ' of its attempts have failed' FROM run \
     LEFT JOIN attempt ON run_id = run.id AND ended_at IS NOT NULL AND success IS NOT 1 \
     GROUP BY run.id HAVING failures > count(number)";

/// The hook that a run names is one that its history tells of.
const HOOK_UNSTORED: &str = "SELECT 'run ' || id || ' names run ' || hook_id || \
     ' its hook, and its history does not' FROM run WHERE hook_id IS NOT NULL \
     AND NOT EXISTS (SELECT 1 FROM event WHERE run_id = run.id AND hook_id = run.hook_id)";

const UMASKS: &str = "SELECT 'run ' || id || ' has the umask ' || printf('%05o', umask) FROM run \
     WHERE umask NOT BETWEEN 0 AND 511";

/// Each word of a command ends with NUL.
const COMMANDS: &str = "SELECT 'run ' || id || ' has ' || \
     iif(length(command) = 0, 'no command', 'a command that is cut off') FROM run \
     WHERE length(command) = 0 OR substr(command, -1) <> x'00'";

/// A number that was given is never given again.
const NUMBERS_AGAIN: &str = "SELECT 'the number ' || max(id) || ' could be given to another run' \
     FROM run HAVING max(id) > coalesce((SELECT seq FROM sqlite_sequence WHERE name = 'run'), 0)";

const POOLS_OF_THE_HOUSE: &str = "SELECT 'there is no pool ' || name FROM \
     (SELECT 'default' AS name UNION ALL SELECT 'hooks') \
     WHERE name NOT IN (SELECT name FROM pool)";

fn attempt_told(ends: &str) -> String {
    format!(
        "SELECT 'attempt ' || attempt.number || ' of run ' || attempt.run_id || ' was started ' || \
         started || ' and has ended ' || ended || ' times' FROM (SELECT attempt.run_id, \
         attempt.number, attempt.ended_at, \
         coalesce(sum((kind = 'started') - (kind = 'never_started')), 0) AS started, \
         coalesce(sum(kind IN ({ends})), 0) AS ended FROM attempt LEFT JOIN event \
         ON event.run_id = attempt.run_id AND event.attempt = attempt.number \
         GROUP BY attempt.run_id, attempt.number) AS attempt \
         WHERE started <> 1 OR ended <> (ended_at IS NOT NULL)"
    )
}

const HISTORY_GAPS: &str = "SELECT 'the history of run ' || run_id || ' has ' || count(*) || \
     ' lines, up to number ' || max(number) FROM event GROUP BY run_id \
     HAVING count(*) <> max(number) OR min(number) <> 1";

const HISTORY_BEGINS: &str = "SELECT 'the history of run ' || run.id || ' begins with ' || \
     coalesce(kind, 'nothing') FROM run LEFT JOIN event ON run_id = run.id AND number = 1 \
     WHERE kind IS NOT 'enqueued'";

/// An ending is the last word, until somebody retries by hand; what is told after it is told of it: of a
/// canceled run also that its attempt, which was claimed, never started.
fn absorbed(endings: &str) -> String {
    format!(
        "SELECT 'run ' || run_id || ' had ended, and then: ' || kind FROM (SELECT run_id, kind, \
         max(CASE WHEN kind IN ({endings}) THEN number END) OVER before AS ended, \
         max(CASE WHEN kind = 'retried' THEN number END) OVER before AS reopened FROM event \
         WINDOW before AS (PARTITION BY run_id ORDER BY number \
         ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING)) \
         WHERE ended > coalesce(reopened, 0) AND kind NOT IN ('retried', 'hook_enqueued', \
         'attempt_closed', 'never_started', 'decision_ignored', 'deciding', 'decider_failed')"
    )
}

fn ended_as_told(endings: &str) -> String {
    format!(
        "SELECT 'run ' || run.id || ' is ' || state || ', and its history says ' || \
         coalesce(told.kind, 'that it goes on') FROM run LEFT JOIN event AS told \
         ON told.run_id = run.id AND told.number = (SELECT max(number) FROM event \
         WHERE run_id = run.id AND kind IN ({endings})) AND told.number > coalesce((\
         SELECT max(number) FROM event WHERE run_id = run.id AND kind = 'retried'), 0) \
         WHERE iif(finished_at IS NULL, NULL, state) IS NOT told.kind"
    )
}

/// In which way a run has failed follows from who decided it; the histories of the first layout do not tell.
fn reason_as_told() -> String {
    let stops = By::ALL.into_iter().filter(|by| match by {
        By::Command | By::Decider | By::StopOn | By::StopIf | By::RetryOn | By::RetryIf => true,
        By::Budget | By::Snoozes | By::Deadline | By::Interruption => false,
    });
    let stops: Vec<String> = stops.map(|by| format!("'{by}'")).collect();
    let stops = stops.join(", ");
    format!(
        "SELECT 'run ' || run.id || ' has failed (' || reason || '), and its history says ' || why \
         FROM run JOIN event ON run_id = run.id AND event.number = (SELECT max(number) FROM event \
         WHERE run_id = run.id AND kind = 'failed') WHERE reason <> CASE WHEN why IN ({stops}) \
         THEN 'stopped' WHEN why = 'deadline' THEN 'deadline' ELSE 'exhausted' END"
    )
}

fn one_hook_an_ending(endings: &str) -> String {
    format!(
        "SELECT 'run ' || id || ' has ended ' || ended || ' times and has ' || hooks || ' hooks' \
         FROM (SELECT run.id, sum(kind IN ({endings})) AS ended, \
         sum(kind = 'hook_enqueued') AS hooks, on_complete FROM run JOIN event ON run_id = run.id \
         GROUP BY run.id) WHERE hooks <> ended * (on_complete IS NOT NULL)"
    )
}

const HOOK_TWICE: &str = "SELECT 'run ' || hook_id || ' is the hook of ' || count(*) || ' endings' \
     FROM event WHERE hook_id IS NOT NULL AND kind = 'hook_enqueued' \
     GROUP BY hook_id HAVING count(*) > 1";

/// The histories of the first layout did not name the hooks.
const HOOK_UNTOLD: &str = "SELECT 'run ' || hook.id || ' is a hook that run ' || parent.id || \
     ' does not know of' FROM run AS hook JOIN run AS parent ON parent.id = hook.parent_id \
     WHERE NOT EXISTS (SELECT 1 FROM event WHERE run_id = parent.id AND kind = 'hook_enqueued' \
     AND coalesce(hook_id, hook.id) = hook.id)";

const STAGES: &str = "SELECT 'run ' || id || ' is ' || state || ' and stands in the stage ' || \
     coalesce(stage, 'of none') FROM run \
     WHERE (state = 'waiting' AND due_at IS NOT NULL) <> (stage IS NOT NULL) \
     OR (stage = 'locked' AND lock IS NULL)";

const TWO_OF_A_LOCK: &str = "SELECT count(*) || ' runs have the lock ' || quote(lock) \
     FROM run NOT INDEXED WHERE lock IS NOT NULL \
     AND (stage = 'ready' OR open_attempt IS NOT NULL) GROUP BY lock HAVING count(*) > 1";

const TWO_OF_A_KEY: &str = "SELECT count(*) || ' runs have the key ' || quote(key) \
     FROM run NOT INDEXED WHERE key IS NOT NULL \
     AND (finished_at IS NULL OR open_attempt IS NOT NULL) GROUP BY key HAVING count(*) > 1";

const REFERENCES: &str = "SELECT 'content ' || content.id || ' is referred to ' || count(run.id) || \
     ' times, and ' || refs || ' are counted' FROM content LEFT JOIN (\
     SELECT id, environment_id AS content_id FROM run UNION ALL \
     SELECT id, stdin_id FROM run WHERE stdin_id IS NOT NULL) AS run ON content_id = content.id \
     GROUP BY content.id HAVING count(run.id) <> refs";

const POOL_ROWS: &str = "SELECT 'the pool ' || quote(name) || ' has no counts' FROM pool \
     WHERE name NOT IN (SELECT pool FROM gauge) OR name NOT IN (SELECT pool FROM gate)";

/// What the gauges say is what is there; what can only grow is at least that.
fn gauges() -> Vec<Rule> {
    let now = [
        ("held", "state = 'waiting' AND stage IS NULL"),
        ("scheduled", "stage = 'scheduled'"),
        ("locked", "stage = 'locked'"),
        ("ready", "stage = 'ready'"),
        ("running", "state = 'running'"),
        ("closing", "state = 'canceled' AND open_attempt IS NOT NULL"),
    ];
    let grows = ["succeeded", "failed", "canceled"];
    let now = now
        .into_iter()
        .map(|(name, is)| (name, is.to_owned(), "<>"));
    let grown = grows.map(|name| (name, format!("state = '{name}'"), "<"));
    let rules = now.chain(grown).map(|(name, is, differs)| {
        let sql = format!(
            "SELECT iif(gauge.pool = '', 'all together', 'the pool ' || quote(gauge.pool)) || ' counts {name} ' || {name} || ', and ' || \
             coalesce(found, 0) || ' are there' FROM gauge LEFT JOIN (SELECT pool, \
             count(*) FILTER (WHERE {is}) AS found FROM run GROUP BY pool UNION ALL \
             SELECT '', count(*) FILTER (WHERE {is}) FROM run WHERE pool <> 'hooks') AS there \
             ON there.pool = gauge.pool WHERE {name} {differs} coalesce(found, 0)"
        );
        Rule::new("pools", sql)
    });
    rules.collect()
}

/// What SQLite itself finds.
pub(super) fn integrity(read: Reader<'_>) -> Result<Vec<Finding>, StoreError> {
    let check = format!("PRAGMA integrity_check({})", LINES_MAX + 1);
    let mut lines = read.rows(&check, [], |row| row.get::<_, String>(0))?;
    lines.retain(|line| line != "ok");
    let orphans = read.rows("PRAGMA foreign_key_check", [], |row| {
        let (table, parent): (String, String) = (row.get(0)?, row.get(2)?);
        Ok(format!("a row of {table} refers to no row of {parent}"))
    })?;
    lines.extend(orphans);
    let there = read.one("SELECT count(*) FROM sqlite_schema", |row| {
        row.get::<_, i64>(0)
    })?;
    if let Some(missing) = objects(version()).map(|all| all - there).filter(|n| *n > 0) {
        lines.push(format!(
            "{missing} of its tables, indexes, triggers and views are missing"
        ));
    }
    let mut found = told("integrity", lines);
    for finding in &mut found {
        "keep a copy of FILE and FILE-wal, then restore a backup".clone_into(&mut finding.hint);
    }
    Ok(found)
}

/// Whether the pools can be read: one that cannot keeps the daemon from starting anything.
pub(super) fn pools_readable(read: Reader<'_>) -> Result<Vec<Finding>, StoreError> {
    let mut lines = Vec::new();
    let pools = "SELECT name, backoff FROM pool WHERE backoff IS NOT NULL";
    for (name, text) in read.rows(pools, [], |row| {
        Ok((row.get::<_, String>(0)?, row.get::<_, String>(1)?))
    })? {
        if let Err(error) = serde_json::from_str::<Backoff>(&text) {
            lines.push(format!("the waits of pool {name} cannot be read: {error}"));
        }
    }
    Ok(told("words", lines))
}

/// Whether all that is stored in a form of its own can be read.
pub(super) fn readable(read: Reader<'_>) -> Result<Vec<Finding>, StoreError> {
    let mut lines = Vec::new();
    let policies = "SELECT min(id), policy FROM run GROUP BY policy";
    for (id, text) in read.rows(policies, [], id_and_text)? {
        if let Err(error) = serde_json::from_str::<Policy>(&text) {
            lines.push(format!("the policy of run {id} cannot be read: {error}"));
        }
    }
    let outcomes = "SELECT min(run_id), outcome FROM attempt WHERE outcome IS NOT NULL \
                    GROUP BY outcome";
    for (id, text) in read.rows(outcomes, [], id_and_text)? {
        if let Err(error) = serde_json::from_str::<Outcome>(&text) {
            lines.push(format!("an outcome of run {id} cannot be read: {error}"));
        }
    }
    let all = words(|_| true);
    let kinds =
        format!("SELECT min(run_id), kind FROM event WHERE kind NOT IN ({all}) GROUP BY kind");
    for (id, kind) in read.rows(&kinds, [], id_and_text)? {
        lines.push(format!("the history of run {id} says {kind:?}"));
    }
    Ok(told("words", lines))
}

fn id_and_text(row: &rusqlite::Row<'_>) -> rusqlite::Result<(i64, String)> {
    Ok((row.get(0)?, row.get(1)?))
}
