//! `retrier cancel`: from the moment it exits with 0 the runs are canceled for good.

use anyhow::bail;

use crate::clock;
use crate::model::{Event, HookChange, Refusal, Run, RunId, Timestamp, Transition, next};
use crate::store::{Among, Facts, Pass, Store, StoreError};
use crate::sys::failpoint;

use super::args::CancelArgs;
use super::client::Client;
use super::failure::{Failure, code, first_of};
use super::many::{STEP_MAX, Step, Steps};
use super::{many, out};

/// Cancels the runs that are named, or all that have not ended.
pub fn cancel(client: &Client, args: &CancelArgs) -> anyhow::Result<u8> {
    let mut store = client.existing()?;
    if args.all {
        return all(client, store.as_mut(), args);
    }
    let mut codes = Vec::new();
    for id in many::ids(client, store.as_ref(), &args.runs)? {
        let canceled = match &mut store {
            Some(store) => one(client, store, id).map(|canceled| tell(id, canceled)),
            None => Err(client.no_run(id).into()),
        };
        codes.push(canceled.unwrap_or_else(out::failure));
    }
    Ok(first_of(&codes))
}

fn tell(id: RunId, canceled: Canceled) -> u8 {
    let rest = match canceled {
        Canceled::Now => "",
        Canceled::Ending => ", its attempt is being ended",
        Canceled::Before => " before",
    };
    out::note_to_terminal(&format!("run {id} canceled{rest}"));
    code::DONE
}

/// What a cancel found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Canceled {
    /// Nothing of the run was alive.
    Now,
    /// An attempt is alive, and is being ended.
    Ending,
    /// It had been canceled before.
    Before,
}

/// Cancels run `id`, durably; a daemon ends what is running of it.
pub fn one(client: &Client, store: &mut Store, id: RunId) -> anyhow::Result<Canceled> {
    let mut ring = client.ring();
    ring.mark_changed(&[id]);
    let (written, now) = store.with_reserve(|store| {
        let pass = store.begin()?;
        let now = clock::now();
        let run = pass.read().run(id)?;
        let written = write(&pass, (id, run), now)?;
        if written.is_ok() {
            commit(pass)?;
        }
        Ok((written, now))
    })?;
    let transition = match written {
        Ok(transition) => transition,
        Err((Refusal::AlreadyCanceled, run)) => {
            // The cancel before this one may not be on the disk yet.
            store.sync()?;
            if run.state.open_attempt().is_some() {
                client.ensure_daemon(ring.ring())?;
            }
            return Ok(Canceled::Before);
        }
        Err((
            Refusal::AlreadyEnded
            | Refusal::Stale
            | Refusal::NotDue
            | Refusal::PastDeadline
            | Refusal::Closing,
            run,
        )) => {
            // So may its ending.
            store.sync()?;
            let word = run.state.status(now).word();
            let message = format!("run {id} has ended before: {word}");
            let hint =
                format!("`retrier status {id}` shows how, `retrier cleanup {id}` forgets it");
            bail!(Failure::new(code::STATE, message).hint(hint));
        }
    };
    failpoint::reach("cancel_committed")?;
    store.sync()?;
    tracing::debug!("canceled run {id}, committed and synced to the disk");
    let rung = ring.ring();
    if leaves_work(&transition) {
        client.ensure_daemon(rung)?;
    } else {
        // Somebody may wait for it.
        client.wake_daemon(rung);
    }
    Ok(if transition.state.open_attempt().is_some() {
        Canceled::Ending
    } else {
        Canceled::Now
    })
}

/// Is there something left for a daemon to do: an attempt to be ended, or a hook?
fn leaves_work(transition: &Transition) -> bool {
    transition.state.open_attempt().is_some() || transition.hook != HookChange::None
}

/// Writes the cancel of `run` into `pass`, or gives the run as it is and why it cannot be canceled.
fn write(
    pass: &Pass<'_>,
    (id, run): (RunId, Run),
    now: Timestamp,
) -> Result<Result<Transition, (Refusal, Run)>, StoreError> {
    let transition = match next(&run, &Event::Cancel { at: now }) {
        Ok(transition) => transition,
        Err(refusal) => return Ok(Err((refusal, run))),
    };
    if !pass.apply(id, &run, &transition, now, Facts::None)? {
        return Ok(Err((Refusal::Stale, run)));
    }
    Ok(Ok(transition))
}

fn commit(pass: Pass<'_>) -> Result<(), StoreError> {
    let reached = failpoint::reach("cancel_before_commit");
    reached.map_err(|error| pass.trouble(error))?;
    pass.commit()
}

/// Cancels all unfinished runs that pass the filters, by ascending id: each that was stored at the
/// beginning, and that has not ended by itself before its turn comes.
fn all(client: &Client, store: Option<&mut Store>, args: &CancelArgs) -> anyhow::Result<u8> {
    let (pool, name) = (args.pool.as_deref(), args.name.as_deref());
    let among = many::among(store.as_deref(), pool, name, args.state)?;
    let word = if args.dry_run {
        "would be canceled"
    } else {
        "canceled"
    };
    let counted = |count| format!("{} {word}", many::runs(count));
    let Some(store) = store else {
        out::note_to_terminal(&counted(0));
        return Ok(code::DONE);
    };
    let mut daemon = Ok(());
    let steps = many::in_steps(store, counted, |store, between| {
        if args.dry_run {
            return show(store, &among, between);
        }
        let (step, needs_daemon) = cancel_some(client, store, &among, between)?;
        // Without a daemon, the cancel of those that wait is still worth something.
        if let (Some(rung), true) = (needs_daemon, daemon.is_ok()) {
            daemon = client.ensure_daemon(rung);
        }
        Ok(step)
    })?;
    // Those that are not left to cancel may have ended, or been canceled, a moment ago.
    store.sync()?;
    match steps {
        Steps::All(count) => {
            out::note_to_terminal(&counted(count));
            daemon.map(|()| code::DONE)
        }
        Steps::Interrupted(code) => {
            daemon.unwrap_or_else(|error| {
                out::failure(error);
            });
            Ok(code)
        }
    }
}

fn show(store: &Store, among: &Among, between: (RunId, RunId)) -> anyhow::Result<Step> {
    let now = clock::now();
    let chunk = store.read().unfinished(among, between, STEP_MAX, now)?;
    many::print(&chunk.ids)?;
    Ok(Step {
        done: chunk.ids.len(),
        last: chunk.last,
    })
}

/// Cancels the next ones, durably. Says with it whether a daemon is needed for what follows, and
/// then whether it was rung.
fn cancel_some(
    client: &Client,
    store: &mut Store,
    among: &Among,
    between: (RunId, RunId),
) -> anyhow::Result<(Step, Option<bool>)> {
    let now = clock::now();
    let chunk = store.read().unfinished(among, between, STEP_MAX, now)?;
    failpoint::reach("cancel_looked")?;
    let done = some(client, store, among, &chunk.ids)?;
    let step = Step {
        done: done.canceled,
        last: chunk.last,
    };
    Ok((step, done.needs_daemon))
}

/// What came of it that some runs were to be canceled.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Done {
    /// How many were.
    pub canceled: usize,
    /// Whether a daemon has to do what is left of them, and then whether it was rung.
    pub needs_daemon: Option<bool>,
}

/// Cancels those of these runs, at most [`STEP_MAX`], that are `among` all and have not ended: in
/// one transaction, durably. To see that a daemon does what is left is up to the caller.
pub fn some(
    client: &Client,
    store: &mut Store,
    among: &Among,
    ids: &[RunId],
) -> anyhow::Result<Done> {
    if ids.is_empty() {
        return Ok(Done::default());
    }
    let mut ring = client.ring();
    ring.mark_changed(ids);
    let canceled = store.with_reserve(|store| {
        let pass = store.begin()?;
        let now = clock::now();
        let mut canceled = Vec::with_capacity(ids.len());
        for id in ids {
            // Since they were looked up, they may have started or ended, and no longer be meant.
            if let Some(run) = pass.read().meant(among, *id, now)? {
                canceled.extend(write(&pass, (*id, run), now)?.ok());
            }
        }
        if !canceled.is_empty() {
            commit(pass)?;
        }
        Ok(canceled)
    })?;
    if !canceled.is_empty() {
        failpoint::reach("cancel_committed")?;
        store.sync()?;
    }
    let leaves_work = canceled.iter().any(leaves_work);
    let rung = ring.ring();
    if !leaves_work && !canceled.is_empty() {
        client.wake_daemon(rung);
    }
    Ok(Done {
        canceled: canceled.len(),
        needs_daemon: Some(rung).filter(|_| leaves_work),
    })
}
