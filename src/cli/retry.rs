//! `retrier retry`: failed and canceled runs begin anew, one that waits is due now.

mod all;

use std::collections::BTreeSet;
use std::os::fd::AsFd;
use std::time::Duration;

use crate::clock;
use crate::daemon::doorbell::Ring;
use crate::model::{Event, Refusal, Run, RunId, State, Timestamp, Transition, next};
use crate::store::{Facts, Obstacle, Pass, Reader, Store, StoreError};
use crate::sys::failpoint;
use crate::sys::poll::wait_readable;
use crate::sys::signal::Signals;
use crate::text::escape_text;

use super::args::RetryArgs;
use super::client::Client;
use super::failure::{Failure, code, first_of};
use super::{many, out, render};

/// How often it is looked whether an attempt has been ended.
const LOOK_AGAIN: Duration = Duration::from_millis(50);

/// How often it is looked whether there still is a daemon that ends it.
const ENSURE_AGAIN: Duration = Duration::from_secs(1);

/// Retries the runs that are named, or all that have failed.
pub fn retry(client: &Client, args: &RetryArgs) -> anyhow::Result<u8> {
    let mut store = client.existing()?;
    if args.all_failed {
        return all::all_failed(client, store.as_mut(), args);
    }
    let ids = many::ids(client, store.as_ref(), &args.runs)?;
    match &mut store {
        Some(store) => named(client, store, &ids, args.delay),
        None => {
            let codes = ids.iter().map(|id| out::failure(client.no_run(*id).into()));
            Ok(first_of(&codes.collect::<Vec<_>>()))
        }
    }
}

/// What came of the wish to retry a run.
enum Answer {
    /// It is waiting again.
    Retried(Transition),
    /// It cannot be, for this reason.
    Refused(Failure),
    /// Not before the attempt of this run is closed.
    Closing(RunId),
}

fn named(client: &Client, store: &mut Store, ids: &[RunId], delay: Duration) -> anyhow::Result<u8> {
    let mut codes = Vec::new();
    let mut closing = Vec::new();
    let mut seen = BTreeSet::new();
    for id in ids.iter().filter(|id| seen.insert(**id)) {
        match one(client, store, *id, delay) {
            Ok(Some(whose)) => closing.push((*id, whose)),
            Ok(None) => {}
            Err(error) => codes.push(out::failure(error)),
        }
    }
    // These take as long as the grace of an attempt: nobody else waits for it.
    let mut patience = None;
    for (n, (id, whose)) in closing.iter().copied().enumerate() {
        let patience = match &mut patience {
            Some(patience) => patience,
            none => none.insert(Patience::new()?),
        };
        match patience.retry(client, store, (id, whose), delay) {
            Ok(None) => {}
            Ok(Some(signal)) => {
                for (id, _) in &closing[n..] {
                    out::note(&format!("run {id} was not retried"));
                }
                return Ok(code::of_signal(signal));
            }
            Err(error) => codes.push(out::failure(error)),
        }
    }
    Ok(first_of(&codes))
}

/// Retries run `id`, durably, or gives the run whose attempt has to be closed first.
fn one(
    client: &Client,
    store: &mut Store,
    id: RunId,
    delay: Duration,
) -> anyhow::Result<Option<RunId>> {
    let ring = client.ring();
    let (answer, now) = store.with_room(|store| {
        let pass = store.begin()?;
        // Read here: who was faster has a due time that may not lie ahead.
        let now = clock::now();
        let answer = ask(&pass, id, now, delay)?;
        if let Answer::Retried(_) = answer {
            commit(pass)?;
        }
        Ok((answer, now))
    })?;
    let transition = match answer {
        Answer::Retried(transition) => transition,
        Answer::Refused(failure) => {
            // What it says of a run may have been committed a moment ago.
            store.sync()?;
            return Err(failure.into());
        }
        Answer::Closing(whose) => return Ok(Some(whose)),
    };
    follow_up(client, store, ring)?;
    let when = match transition.state {
        State::Waiting { due, .. } if due > now => format!(", in {}", render::span(due.since(now))),
        _ => String::new(),
    };
    out::note_to_terminal(&format!("run {id} is retried{when}"));
    Ok(None)
}

/// Writes the retry of run `id` into `pass`, if it can be retried.
fn ask(pass: &Pass<'_>, id: RunId, at: Timestamp, delay: Duration) -> Result<Answer, StoreError> {
    let (run, mut transition) = match judge(pass.read(), id, at, delay)? {
        Ok(judged) => judged,
        Err(answer) => return Ok(answer),
    };
    if failpoint::has_bug("retry_keeps_failures") {
        transition.failures = run.failures;
    }
    if !pass.apply(id, &run, &transition, at, Facts::None)? {
        return Ok(Answer::Refused(refused(id, &run, Refusal::Stale, at)));
    }
    Ok(Answer::Retried(transition))
}

/// How run `id` would be retried, or why it cannot be.
fn judge(
    read: Reader<'_>,
    id: RunId,
    at: Timestamp,
    delay: Duration,
) -> Result<Result<(Run, Transition), Answer>, StoreError> {
    let run = read.run(id)?;
    let transition = match next(&run, &Event::Retry { at, delay }) {
        Ok(transition) => transition,
        Err(Refusal::Closing) => return Ok(Err(Answer::Closing(id))),
        Err(refusal) => return Ok(Err(Answer::Refused(refused(id, &run, refusal, at)))),
    };
    let obstacle = if run.state.is_final() {
        read.obstacle(id)?
    } else {
        None
    };
    Ok(match obstacle {
        Some(Obstacle::Parent(parent)) => Err(Answer::Closing(parent)),
        Some(Obstacle::Key { key, holder }) => Err(Answer::Refused(held_key(id, &key, holder))),
        Some(Obstacle::Pool(pool)) => Err(Answer::Refused(lost_pool(id, &pool))),
        None => Ok((run, transition)),
    })
}

fn held_key(id: RunId, key: &str, holder: RunId) -> Failure {
    let key = escape_text(key);
    let message = format!("run {id} has the key \"{key}\", which run {holder} holds");
    let hint = format!("once run {holder} has ended, run {id} can be retried");
    Failure::new(code::STATE, message).hint(hint)
}

fn lost_pool(id: RunId, pool: &str) -> Failure {
    let message = format!("run {id} belongs to the pool {pool}, which is gone");
    Failure::new(code::STATE, message).hint(format!("`retrier pool set {pool}` makes it anew"))
}

/// Why run `id` cannot be retried, in words.
fn refused(id: RunId, run: &Run, refusal: Refusal, now: Timestamp) -> Failure {
    let word = run.state.status(now).word();
    let (message, hint) = match (refusal, &run.state) {
        (Refusal::PastDeadline, _) => (
            format!("run {id} would start after its deadline"),
            "a shorter --delay, or none, starts it before".to_owned(),
        ),
        (_, State::Held) => (
            format!("run {id} is a hook that waits for its parent's attempt to end"),
            "it starts by itself then".to_owned(),
        ),
        (_, State::Waiting { .. }) => (
            format!("run {id} is {word}, and due already"),
            format!("`retrier explain {id}` says why it does not run"),
        ),
        (_, State::Running { attempt }) => (
            format!("run {id} is {word}, in attempt {attempt}"),
            format!("`retrier cancel {id}` ends it first"),
        ),
        (_, State::Succeeded) => (
            format!("run {id} has succeeded"),
            format!("`retrier status {id}` shows its command, for another `retrier run`"),
        ),
        (_, State::Failed { .. } | State::Canceled { .. }) => (
            format!("run {id} is {word}, and cannot be retried now"),
            format!("`retrier explain {id}` says why"),
        ),
    };
    Failure::new(code::STATE, message).hint(hint)
}

fn commit(pass: Pass<'_>) -> Result<(), StoreError> {
    let reached = failpoint::reach("retry_before_commit");
    reached.map_err(|error| pass.trouble(error))?;
    pass.commit()
}

/// What follows the commit: it is made durable, and a daemon serves it.
fn follow_up(client: &Client, store: &Store, ring: Ring) -> anyhow::Result<()> {
    failpoint::reach("retry_committed")?;
    store.sync()?;
    tracing::debug!("the retry is committed and synced to the disk");
    if let Err(error) = client.ensure_daemon(ring.ring()) {
        // The retry is stored, and a daemon will find it.
        out::note(&format!("warning: the retry is stored, but {error:#}"));
    }
    Ok(())
}

/// Somebody who waits until attempts are closed.
struct Patience {
    signals: Signals,
}

impl Patience {
    fn new() -> anyhow::Result<Self> {
        Ok(Self {
            signals: many::interrupts()?,
        })
    }

    /// Retries run `id` once the attempt of run `whose` is closed. Gives the signal that came
    /// before that.
    fn retry(
        &self,
        client: &Client,
        store: &mut Store,
        (id, mut whose): (RunId, RunId),
        delay: Duration,
    ) -> anyhow::Result<Option<i32>> {
        loop {
            let of = if whose == id {
                "its canceled attempt".to_owned()
            } else {
                format!("the canceled attempt of run {whose}")
            };
            out::note_to_terminal(&format!("run {id} is retried when {of} has ended"));
            if let Some(signal) = self.outwait(client, store, whose)? {
                return Ok(Some(signal));
            }
            match one(client, store, id, delay)? {
                Some(next) => whose = next,
                None => return Ok(None),
            }
        }
    }

    /// Waits until run `id` has no open attempt, or a signal comes.
    fn outwait(&self, client: &Client, store: &Store, id: RunId) -> anyhow::Result<Option<i32>> {
        let mut ensured_at = None;
        loop {
            let run = match store.read().run(id) {
                Err(StoreError::NoRun { .. }) => return Ok(None),
                other => other?,
            };
            if run.state.open_attempt().is_none() {
                return Ok(None);
            }
            let now = clock::monotonic();
            let since = |at| now.saturating_duration_since(at);
            if ensured_at.is_none_or(|at| since(at) >= ENSURE_AGAIN) {
                store.check_place()?;
                client.ensure_daemon(false)?;
                ensured_at = Some(now);
            }
            wait_readable(&[self.signals.as_fd()], Some(LOOK_AGAIN))?;
            if let Some(signal) = self.signals.take().first() {
                return Ok(Some(*signal));
            }
        }
    }
}
