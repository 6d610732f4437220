//! `retrier retry --all-failed`: in bounded steps, each run once, whatever becomes of it meanwhile.

use std::collections::BTreeMap;

use crate::cli::args::RetryArgs;
use crate::cli::client::Client;
use crate::cli::failure::{Failure, code, first_of};
use crate::cli::many::{self, STEP_MAX, Step, Steps};
use crate::cli::out;
use crate::clock;
use crate::model::{RunId, Timestamp};
use crate::store::{Among, Chunk, Reader, Store, StoreError};

use super::{Answer, ask, commit, follow_up, held_key, judge};

/// Retries all runs that have failed and are meant, by ascending id, but none that was stored after
/// the beginning.
pub fn all_failed(
    client: &Client,
    store: Option<&mut Store>,
    args: &RetryArgs,
) -> anyhow::Result<u8> {
    let (pool, name) = (args.pool.as_deref(), args.name.as_deref());
    let among = many::among(store.as_deref(), pool, name, None)?;
    let counted = |count| {
        if args.dry_run {
            return format!("{} would be retried", many::runs(count));
        }
        format!("{} retried", many::counted(count, "is", "are"))
    };
    let Some(store) = store else {
        out::note_to_terminal(&counted(0));
        return Ok(code::DONE);
    };
    let mut codes = Vec::new();
    let mut keys = BTreeMap::new();
    let steps = many::in_steps(store, counted, |store, between| {
        let batch = if args.dry_run {
            show(store, (&among, &mut keys), args, between)?
        } else {
            retry_some(client, store, &among, args, between)?
        };
        let refused = batch.refused.into_iter();
        codes.extend(refused.map(|why| out::failure(why.into())));
        Ok(Step {
            done: batch.retried.len(),
            last: batch.last,
        })
    })?;
    match steps {
        Steps::All(count) => {
            out::note_to_terminal(&counted(count));
            Ok(first_of(&codes))
        }
        Steps::Interrupted(code) => Ok(code),
    }
}

/// What one step did, or would do.
struct Batch {
    retried: Vec<RunId>,
    refused: Vec<Failure>,
    /// The last run that it looked at.
    last: Option<RunId>,
}

impl Batch {
    fn of(chunk: &Chunk) -> Self {
        Self {
            retried: Vec::with_capacity(chunk.ids.len()),
            refused: Vec::new(),
            last: chunk.last,
        }
    }
}

fn retry_some(
    client: &Client,
    store: &mut Store,
    among: &Among,
    args: &RetryArgs,
    between: (RunId, RunId),
) -> anyhow::Result<Batch> {
    let ring = client.ring();
    let batch = store.with_room(|store| {
        let pass = store.begin()?;
        let now = clock::now();
        let chunk = pass.read().failed(among, between, STEP_MAX, now)?;
        let mut batch = Batch::of(&chunk);
        for id in chunk.ids {
            match ask(&pass, id, now, args.delay)? {
                Answer::Retried(_) => batch.retried.push(id),
                Answer::Refused(failure) => batch.refused.push(failure),
                // A failed run has no open attempt, and a hook is not among them.
                Answer::Closing(_) => {}
            }
        }
        if !batch.retried.is_empty() {
            commit(pass)?;
        }
        Ok(batch)
    })?;
    if batch.retried.is_empty() {
        // What is said of a run may have been committed a moment ago.
        store.sync()?;
    } else {
        follow_up(client, store, ring)?;
    }
    Ok(batch)
}

/// Prints the next ones. `keys` are those that runs before would have by now.
fn show(
    store: &Store,
    (among, keys): (&Among, &mut BTreeMap<String, RunId>),
    args: &RetryArgs,
    between: (RunId, RunId),
) -> anyhow::Result<Batch> {
    let now = clock::now();
    let batch = store.at_once(|read| {
        let chunk = read.failed(among, between, STEP_MAX, now)?;
        let mut batch = Batch::of(&chunk);
        for id in chunk.ids {
            match would_be(read, keys, (id, now), args)? {
                None => batch.retried.push(id),
                Some(failure) => batch.refused.push(failure),
            }
        }
        Ok(batch)
    })?;
    // That a run has failed is told, so it is kept.
    store.sync()?;
    many::print(&batch.retried)?;
    Ok(batch)
}

/// Why run `id` would not be retried, if it would not.
fn would_be(
    read: Reader<'_>,
    keys: &mut BTreeMap<String, RunId>,
    (id, at): (RunId, Timestamp),
    args: &RetryArgs,
) -> Result<Option<Failure>, StoreError> {
    match judge(read, id, at, args.delay)? {
        Err(Answer::Refused(failure)) => return Ok(Some(failure)),
        Err(Answer::Retried(_) | Answer::Closing(_)) | Ok(_) => {}
    }
    let Some(key) = read.record(id)?.key else {
        return Ok(None);
    };
    if let Some(holder) = keys.get(&key) {
        return Ok(Some(held_key(id, &key, *holder)));
    }
    keys.insert(key, id);
    Ok(None)
}
