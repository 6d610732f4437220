//! `retrier cleanup`: forget finished runs.

use anyhow::bail;

use crate::clock;
use crate::daemon::upkeep::{empty_trash, forget_some};
use crate::model::{RunId, Status, Timestamp};
use crate::store::{Removed, Store};
use crate::sys::failpoint;

use super::args::CleanupArgs;
use super::client::Client;
use super::failure::{Failure, code, first_of};
use super::{many, out};

/// Forgets the runs that are named, or all that ended long enough ago.
pub fn cleanup(client: &Client, args: &CleanupArgs) -> anyhow::Result<u8> {
    let mut store = client.existing()?;
    let Some(store) = &mut store else {
        let codes = args
            .ids
            .iter()
            .map(|id| out::failure(client.no_run(*id).into()));
        return Ok(first_of(&codes.collect::<Vec<_>>()));
    };
    let codes = match args.older_than {
        Some(age) => {
            let before = clock::now().minus(age);
            if args.dry_run {
                let ids = store.at_once(|read| read.expired(before, args.state, usize::MAX))?;
                many::print(&ids)?;
                out::note_to_terminal(&format!("{} would be forgotten", many::runs(ids.len())));
                return Ok(code::DONE);
            }
            let forgotten = sweep(store, before, args.state)?;
            out::note_to_terminal(&format!("forgot {}", many::runs(forgotten)));
            vec![code::DONE]
        }
        None => args
            .ids
            .iter()
            .map(|id| one(client, store, *id).unwrap_or_else(out::failure))
            .collect(),
    };
    store.sync()?;
    failpoint::reach("cleanup_committed")?;
    empty_trash(store)?;
    Ok(first_of(&codes))
}

/// Forgets all runs that ended before `before`; says how many.
fn sweep(store: &mut Store, before: Timestamp, state: Option<Status>) -> anyhow::Result<usize> {
    let mut forgotten = 0;
    loop {
        let swept = forget_some(store, before, state)?;
        forgotten += swept.runs;
        if !swept.more {
            return Ok(forgotten);
        }
    }
}

fn one(client: &Client, store: &mut Store, id: RunId) -> anyhow::Result<u8> {
    let mut ring = client.ring();
    ring.mark_changed(&[id]);
    let refused = match store.with_reserve(|store| store.forget(|pass| pass.remove(id)))? {
        Removed::Done => None,
        Removed::Unfinished => Some(
            Failure::new(code::STATE, format!("run {id} has not ended"))
                .hint(format!("`retrier cancel {id}` ends it")),
        ),
        Removed::Closing => {
            let message = format!("run {id} is canceled, and its attempt is still being ended");
            let hint = "it has ended when its grace is over at the latest; call it again then";
            Some(Failure::new(code::STATE, message).hint(hint))
        }
        Removed::HookUnfinished(hook) => {
            let message = format!("the hook of run {id}, run {hook}, has not ended");
            let hint =
                format!("`retrier wait {hook}` waits for it, `retrier cancel {hook}` ends it");
            Some(Failure::new(code::STATE, message).hint(hint))
        }
    };
    if let Some(refused) = refused {
        bail!(refused);
    }
    Ok(code::DONE)
}
