//! `retrier cancel`: from the moment it exits with 0 the runs are canceled for good.

use anyhow::bail;

use crate::clock;
use crate::model::{Event, HookChange, Refusal, Run, RunId, Timestamp, Transition, next};
use crate::store::{Facts, Store, StoreError};
use crate::sys::failpoint;

use super::args::CancelArgs;
use super::client::Client;
use super::failure::{Failure, code, first_of};
use super::out;

/// Cancels runs.
pub fn cancel(client: &Client, args: &CancelArgs) -> anyhow::Result<u8> {
    let mut store = client.existing()?;
    let mut codes = Vec::new();
    for id in &args.ids {
        let canceled = match &mut store {
            Some(store) => one(client, store, *id).map(|canceled| tell(*id, canceled)),
            None => Err(client.no_run(*id).into()),
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
    let now = clock::now();
    let transition = match store.with_reserve(|store| commit(store, id, now))? {
        Ok(transition) => transition,
        Err((Refusal::AlreadyCanceled, run)) => {
            // The cancel before this one may not be on the disk yet.
            store.sync()?;
            if run.state.open_attempt().is_some() {
                client.ensure_daemon(ring.is_connected())?;
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
            let word = run.state.status(now).word();
            let message = format!("run {id} has ended before: {word}");
            bail!(Failure::new(code::STATE, message));
        }
    };
    failpoint::reach("cancel_committed")?;
    store.sync()?;
    let rung = ring.is_connected();
    drop(ring);
    let alive = transition.state.open_attempt().is_some();
    let has_hook = transition.hook != HookChange::None;
    if alive || has_hook {
        client.ensure_daemon(rung)?;
    }
    Ok(if alive {
        Canceled::Ending
    } else {
        Canceled::Now
    })
}

/// Writes the cancel down, or gives the run as it is and why it cannot be canceled.
fn commit(
    store: &mut Store,
    id: RunId,
    now: Timestamp,
) -> Result<Result<Transition, (Refusal, Run)>, StoreError> {
    let pass = store.begin()?;
    let run = pass.read().run(id)?;
    let transition = match next(&run, &Event::Cancel { at: now }) {
        Ok(transition) => transition,
        Err(refusal) => return Ok(Err((refusal, run))),
    };
    pass.apply(id, &run, &transition, now, Facts::None)?;
    let reached = failpoint::reach("cancel_before_commit");
    reached.map_err(|error| pass.trouble(error))?;
    pass.commit()?;
    Ok(Ok(transition))
}
