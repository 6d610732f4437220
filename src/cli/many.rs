//! What verbs share that act on more than one run, or on one that is named by its key.

use std::io;

use anyhow::Context;

use crate::clock;
use crate::model::{RunId, Status, pool};
use crate::store::{Among, Store, StoreError};
use crate::sys::signal::{SIGHUP, SIGINT, SIGTERM, Signals, is_ignored};

use super::args::{OneRunArgs, RunsArgs};
use super::client::Client;
use super::failure::code;
use super::out;

/// So many runs, or pools, are looked at, and changed, in one transaction at the most, so that
/// others get their turn.
pub const STEP_MAX: usize = 1000;

/// The runs that are named. Errors: none has the key; ids are not looked up.
pub fn ids(client: &Client, store: Option<&Store>, runs: &RunsArgs) -> anyhow::Result<Vec<RunId>> {
    match &runs.key {
        Some(key) => Ok(vec![keyed(client, store, key)?]),
        None => Ok(runs.ids.clone()),
    }
}

/// The one run that is named, and the store that must hold it. Errors: there is no such run.
pub fn one(client: &Client, run: &OneRunArgs) -> anyhow::Result<(Store, RunId)> {
    match &run.key {
        Some(key) => with_key(client, key),
        None => {
            let id = run.id.expect("clap asks for an id or a key");
            Ok((client.holding(id)?, id))
        }
    }
}

/// The run that has the key, and the store that holds it. Errors: there is no such run.
pub fn with_key(client: &Client, key: &str) -> anyhow::Result<(Store, RunId)> {
    let store = client.existing()?;
    let id = keyed(client, store.as_ref(), key)?;
    let store = store.ok_or_else(|| client.no_run(id))?;
    Ok((store, id))
}

fn keyed(client: &Client, store: Option<&Store>, key: &str) -> Result<RunId, StoreError> {
    match store {
        Some(store) => store.read().with_key(key),
        None => Err(StoreError::NoKey {
            key: key.to_owned(),
            path: client.folder.database().to_owned(),
            others: Vec::new(),
        }),
    }
}

/// All runs but hooks that pass these. Errors: there is no such pool.
pub fn among(
    store: Option<&Store>,
    pool: Option<&str>,
    name: Option<&str>,
    status: Option<Status>,
) -> anyhow::Result<Among> {
    if let Some(pool) = pool {
        match store {
            Some(store) if !store.read().has_pool(pool)? => {
                return Err(store.read().no_pool(pool)?.into());
            }
            // These two are made with the database.
            None if ![pool::DEFAULT, pool::HOOKS].contains(&pool) => {
                return Err(StoreError::no_pool_yet(pool).into());
            }
            Some(_) | None => {}
        }
        if pool == pool::HOOKS {
            out::note("hooks are never among all runs; name them by their ids");
        }
    }
    Ok(Among {
        pool: pool.map(str::to_owned),
        name: name.map(str::to_owned),
        status,
    })
}

/// All runs `among` all that are unfinished now, as they are at one moment.
pub fn unfinished(store: &Store, among: &Among) -> Result<Vec<RunId>, StoreError> {
    let now = clock::now();
    store.at_once(|read| {
        let mut ids = Vec::new();
        let mut after = RunId(0);
        loop {
            let chunk = read.unfinished(among, (after, RunId(i64::MAX)), STEP_MAX, now)?;
            ids.extend(chunk.ids);
            match chunk.last {
                // A damaged index may give what it was not asked for.
                Some(last) if after < last => after = last,
                Some(_) | None => return Ok(ids),
            }
        }
    })
}

/// What one step did.
#[derive(Clone, Copy, Debug)]
pub struct Step {
    /// How many runs were changed.
    pub done: usize,
    /// The last run that it looked at; none when there was no further one.
    pub last: Option<RunId>,
}

/// How the steps ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Steps {
    /// All were made, and so many runs were changed.
    All(usize),
    /// This exit code tells of a signal that came before the last one.
    Interrupted(u8),
}

/// Goes through the runs that are stored now, by ascending id: `step` takes those between two ids
/// and looks at [`STEP_MAX`] at the most. A signal ends it between two steps. When it does not come
/// to its end, `counted` tells how many runs were changed.
pub fn in_steps(
    store: &mut Store,
    counted: impl Fn(usize) -> String,
    mut step: impl FnMut(&mut Store, (RunId, RunId)) -> anyhow::Result<Step>,
) -> anyhow::Result<Steps> {
    let signals = interrupts()?;
    let newest = store.read().newest()?.unwrap_or(RunId(0));
    let (mut after, mut done) = (RunId(0), 0);
    loop {
        let made = match step(store, (after, newest)) {
            Ok(made) => made,
            Err(error) => {
                // Those of the steps before are.
                if done > 0 {
                    out::note(&counted(done));
                }
                return Err(error);
            }
        };
        done += made.done;
        match made.last {
            // A damaged index may give what it was not asked for.
            Some(last) if after < last && last < newest => after = last,
            Some(_) | None => return Ok(Steps::All(done)),
        }
        if let Some(signal) = signals.take().first() {
            out::note(&format!("stopped: {}", counted(done)));
            return Ok(Steps::Interrupted(code::of_signal(*signal)));
        }
    }
}

/// Catches the signals with which people end a program, but for those that the caller has told us
/// to ignore (nohup).
pub fn interrupts() -> anyhow::Result<Signals> {
    let numbers = [SIGINT, SIGTERM, SIGHUP].into_iter();
    let numbers: Vec<i32> = numbers.filter(|number| !is_ignored(*number)).collect();
    let caught: io::Result<Signals> = Signals::catch(&numbers);
    caught.context("signals")
}

/// Prints ids, one per line.
pub fn print(ids: &[RunId]) -> anyhow::Result<()> {
    let text: String = ids.iter().map(|id| format!("{id}\n")).collect();
    out::text(&text).map(drop)
}

/// So many runs, in words.
pub fn runs(count: usize) -> String {
    match count {
        0 => "no run".to_owned(),
        1 => "1 run".to_owned(),
        many => format!("{many} runs"),
    }
}

/// So many runs, in words, with the verb that goes with the number.
pub fn counted(count: usize, one: &str, many: &str) -> String {
    format!("{} {}", runs(count), if count > 1 { many } else { one })
}
