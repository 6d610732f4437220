//! `retrier retry`: failed and canceled runs begin anew, one that waits is due now.

use std::collections::BTreeSet;
use std::os::fd::AsFd;
use std::time::Duration;

use anyhow::Context;

use crate::clock;
use crate::model::{Event, Refusal, Run, RunId, State, Timestamp, Transition, next};
use crate::store::{Facts, Obstacle, Pass, Store, StoreError};
use crate::sys::failpoint;
use crate::sys::poll::wait_readable;
use crate::sys::signal::{SIGHUP, SIGINT, SIGTERM, Signals, is_ignored};

use super::args::RetryArgs;
use super::client::Client;
use super::failure::{Failure, code, first_of};
use super::{out, render};

/// So many runs are retried in one transaction at the most, so that others get their turn.
const BATCH_MAX: usize = 1000;

/// How often it is looked whether an attempt has been ended.
const LOOK_AGAIN: Duration = Duration::from_millis(50);

/// How often it is looked whether there still is a daemon that ends it.
const ENSURE_AGAIN: Duration = Duration::from_secs(1);

/// Retries the runs that are named, or all that have failed.
pub fn retry(client: &Client, args: &RetryArgs) -> anyhow::Result<u8> {
    match client.existing()? {
        Some(mut store) if args.all_failed => all_failed(client, &mut store, args),
        Some(mut store) => named(client, &mut store, args),
        None => {
            if args.all_failed {
                out::note_to_terminal(&counted(0));
            }
            let missing = args.ids.iter().map(|id| client.no_run(*id).into());
            Ok(first_of(&missing.map(out::failure).collect::<Vec<_>>()))
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

fn named(client: &Client, store: &mut Store, args: &RetryArgs) -> anyhow::Result<u8> {
    let mut codes = Vec::new();
    let mut closing = Vec::new();
    let mut seen = BTreeSet::new();
    for id in args.ids.iter().filter(|id| seen.insert(**id)) {
        match one(client, store, *id, args.delay) {
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
        match patience.retry(client, store, (id, whose), args.delay) {
            Ok(None) => {}
            Ok(Some(signal)) => {
                for (id, _) in &closing[n..] {
                    out::note(&format!("run {id} was not retried"));
                }
                return Ok(u8::try_from(128 + signal).unwrap_or(code::FAILED));
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
    let now = clock::now();
    let answer = store.with_room(|store| {
        let pass = store.begin()?;
        let answer = ask(&pass, id, now, delay)?;
        if let Answer::Retried(_) = answer {
            commit(pass)?;
        }
        Ok(answer)
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
    follow_up(client, store, ring.is_connected())?;
    drop(ring);
    let when = match transition.state {
        State::Waiting { due, .. } if due > now => format!(", in {}", render::span(due.since(now))),
        _ => String::new(),
    };
    out::note_to_terminal(&format!("run {id} is retried{when}"));
    Ok(None)
}

/// Writes the retry of run `id` into `pass`, if it can be retried.
fn ask(pass: &Pass<'_>, id: RunId, at: Timestamp, delay: Duration) -> Result<Answer, StoreError> {
    let run = pass.read().run(id)?;
    let transition = match next(&run, &Event::Retry { at, delay }) {
        Ok(transition) => transition,
        Err(Refusal::Closing) => return Ok(Answer::Closing(id)),
        Err(refusal) => return Ok(Answer::Refused(refused(id, &run, refusal, at))),
    };
    if run.state.is_final() {
        match pass.read().obstacle(id)? {
            Some(Obstacle::Parent(parent)) => return Ok(Answer::Closing(parent)),
            Some(Obstacle::Key { key, holder }) => {
                let key = out::escape_text(&key);
                let message = format!("run {id} has the key \"{key}\", which run {holder} holds");
                let hint = format!("once run {holder} has ended, run {id} can be retried");
                return Ok(Answer::Refused(
                    Failure::new(code::STATE, message).hint(hint),
                ));
            }
            None => {}
        }
    }
    if !pass.apply(id, &run, &transition, at, Facts::None)? {
        return Ok(Answer::Refused(refused(id, &run, Refusal::Stale, at)));
    }
    Ok(Answer::Retried(transition))
}

/// Why run `id` cannot be retried, in words.
fn refused(id: RunId, run: &Run, refusal: Refusal, now: Timestamp) -> Failure {
    let of_state = |message: String| Failure::new(code::STATE, message);
    let word = run.state.status(now).word();
    match (refusal, &run.state) {
        (Refusal::PastDeadline, _) => of_state(format!("run {id} would start after its deadline")),
        (_, State::Held) => of_state(format!(
            "run {id} is a hook that waits for its parent's attempt to end"
        )),
        (_, State::Waiting { .. }) => of_state(format!("run {id} is {word}, and due already")),
        (_, State::Running { attempt }) => {
            of_state(format!("run {id} is {word}, in attempt {attempt}"))
                .hint(format!("`retrier cancel {id}` ends it first"))
        }
        (_, State::Succeeded) => of_state(format!("run {id} has succeeded")),
        (_, State::Failed { .. } | State::Canceled { .. }) => {
            of_state(format!("run {id} is {word}, and cannot be retried now"))
        }
    }
}

fn commit(pass: Pass<'_>) -> Result<(), StoreError> {
    let reached = failpoint::reach("retry_before_commit");
    reached.map_err(|error| pass.trouble(error))?;
    pass.commit()
}

/// What follows the commit: it is made durable, and a daemon serves it.
fn follow_up(client: &Client, store: &Store, rung: bool) -> anyhow::Result<()> {
    failpoint::reach("retry_committed")?;
    store.sync()?;
    if let Err(error) = client.ensure_daemon(rung) {
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
        // What the caller has told us to ignore (nohup) stays ignored.
        let numbers = [SIGINT, SIGTERM, SIGHUP]
            .into_iter()
            .filter(|number| !is_ignored(*number));
        let signals = Signals::catch(&numbers.collect::<Vec<_>>());
        Ok(Self {
            signals: signals.context("signals")?,
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

/// Retries all runs that have failed, by ascending id: each once, whatever becomes of it
/// meanwhile, and none that was stored after the beginning.
fn all_failed(client: &Client, store: &mut Store, args: &RetryArgs) -> anyhow::Result<u8> {
    let mut after = RunId(0);
    let last = store.read().newest()?.unwrap_or(after);
    let mut retried = 0;
    let mut codes = Vec::new();
    loop {
        let ring = client.ring();
        let now = clock::now();
        let done = store.with_room(|store| batch(store, args, (after, last), now));
        let batch = match done {
            Ok(batch) => batch,
            Err(error) => {
                // Those of the batches before are.
                if retried > 0 {
                    out::note(&counted(retried));
                }
                return Err(error.into());
            }
        };
        if batch.retried > 0 {
            follow_up(client, store, ring.is_connected())?;
        } else {
            // What is said of a run may have been committed a moment ago.
            store.sync()?;
        }
        retried += batch.retried;
        let refused = batch.refused.into_iter();
        codes.extend(refused.map(|why| out::failure(why.into())));
        match batch.last {
            Some(id) => after = id,
            None => break,
        }
    }
    out::note_to_terminal(&counted(retried));
    Ok(first_of(&codes))
}

fn counted(retried: usize) -> String {
    match retried {
        0 => "no run is retried".to_owned(),
        1 => "1 run is retried".to_owned(),
        many => format!("{many} runs are retried"),
    }
}

/// What one transaction did.
struct Batch {
    retried: usize,
    refused: Vec<Failure>,
    /// The last run that it looked at.
    last: Option<RunId>,
}

fn batch(
    store: &mut Store,
    args: &RetryArgs,
    between: (RunId, RunId),
    now: Timestamp,
) -> Result<Batch, StoreError> {
    let pass = store.begin()?;
    let ids = pass
        .read()
        .failed(args.name.as_deref(), between, BATCH_MAX)?;
    let mut batch = Batch {
        retried: 0,
        refused: Vec::new(),
        last: ids.last().copied(),
    };
    for id in ids {
        match ask(&pass, id, now, args.delay)? {
            Answer::Retried(_) => batch.retried += 1,
            Answer::Refused(failure) => batch.refused.push(failure),
            // A failed run has no open attempt, and a hook is not among them.
            Answer::Closing(_) => {}
        }
    }
    if batch.retried > 0 {
        commit(pass)?;
    }
    Ok(batch)
}
