//! Hooks: runs that follow the ending of another, enqueued in the transaction that ends it.

use rusqlite::{Connection, OptionalExtension, params};

use crate::json;
use crate::model::{
    Environment, Event, Note, Policy, Run, RunId, RunResult, Spec, Start, Timestamp, next, pool,
};

use super::error::StoreError;
use super::history::{Line, append};
use super::pass::{Facts, Pass, find};
use super::submit::{NewRun, Parent, content, insert, policy_text};
use super::tally::Tally;

/// What a hook takes from its parent.
struct Inherited {
    cwd: Vec<u8>,
    umask: u32,
    environment_id: i64,
    line: Vec<u8>,
}

/// Enqueues the hook of run `id`, which has just ended with `result`; with `held` it is not due
/// before the parent's open attempt is closed.
pub fn enqueue(
    pass: &Pass<'_>,
    id: RunId,
    result: &RunResult,
    held: bool,
    now: Timestamp,
) -> rusqlite::Result<()> {
    let connection = pass.connection();
    let inherited = connection
        .prepare_cached(
            "SELECT cwd, umask, environment_id, on_complete FROM run \
             WHERE id = ?1 AND on_complete IS NOT NULL",
        )?
        .query_row([id.0], |row| {
            Ok(Inherited {
                cwd: row.get(0)?,
                umask: row.get(1)?,
                environment_id: row.get(2)?,
                line: row.get(3)?,
            })
        })?;
    let stdin = format!("{}\n", json::result(result)).into_bytes();
    let stdin_id = content(connection, &stdin)?;
    connection
        .prepare_cached("UPDATE content SET refs = refs + 1 WHERE id = ?1")?
        .execute([inherited.environment_id])?;
    let spec = Spec {
        command: Spec::shell(inherited.line),
        cwd: inherited.cwd,
        environment: Environment::default(),
        umask: inherited.umask,
        stdin: Some(stdin.into()),
        name: None,
        policy: Policy::default(),
        start: Start::Now,
        on_complete: None,
        key: None,
        priority: 0,
        pool: pool::HOOKS.to_owned(),
        lock: None,
    };
    let mut tally = Tally::default();
    let hook = insert(
        connection,
        &NewRun {
            spec: &spec,
            policy: &policy_text(&spec.policy)?,
            environment_id: inherited.environment_id,
            stdin_id: Some(stdin_id),
            now,
            parent: Some(Parent {
                id,
                result: result.word(),
                open: held,
            }),
        },
        &mut tally,
    )?;
    pass.tell(tally)?;
    connection
        .prepare_cached("UPDATE run SET hook_id = ?1 WHERE id = ?2")?
        .execute(params![hook.0, id.0])?;
    let line = Line {
        hook: Some(hook),
        ..Line::new(now, Note::HookEnqueued)
    };
    append(connection, id, line)
}

/// Makes the held hook of run `id` due; one that was canceled meanwhile stays so.
pub fn release(pass: &Pass<'_>, id: RunId, now: Timestamp) -> Result<(), StoreError> {
    let Some((hook, run)) = pass.guard(hook_of(pass.connection(), id))? else {
        return Ok(());
    };
    if let Ok(transition) = next(&run, &Event::Release { at: now }) {
        // A hook has no hook of its own, so this goes one level deep.
        pass.apply(hook, &run, &transition, now, Facts::None)?;
    }
    Ok(())
}

/// The last hook that run `id` enqueued, if it is still stored.
pub fn hook_of(connection: &Connection, id: RunId) -> rusqlite::Result<Option<(RunId, Run)>> {
    let hook: Option<i64> = connection
        .prepare_cached("SELECT hook_id FROM run WHERE id = ?1 AND hook_id IS NOT NULL")?
        .query_row([id.0], |row| row.get(0))
        .optional()?;
    let Some(hook) = hook.map(RunId) else {
        return Ok(None);
    };
    Ok(find(connection, hook)?.map(|run| (hook, run)))
}
