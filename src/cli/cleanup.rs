//! `retrier cleanup`: forget finished runs.

use crate::clock;
use crate::daemon::upkeep::{RUNS_MAX, empty_trash};
use crate::model::RunId;
use crate::store::{Removed, Store};
use crate::sys::failpoint;

use super::args::CleanupArgs;
use super::client::Client;
use super::failure::{Failure, code, first_of};
use super::out;

/// Forgets the runs that are named, or all that ended long enough ago.
pub fn cleanup(client: &Client, args: &CleanupArgs) -> Result<u8, Failure> {
    let mut store = client.existing()?;
    let Some(store) = &mut store else {
        let codes = args.ids.iter().map(|id| out::failure(&client.no_run(*id)));
        return Ok(first_of(&codes.collect::<Vec<_>>()));
    };
    let codes = match args.older_than {
        Some(age) => {
            let before = clock::now().minus(age);
            let mut forgotten = 0;
            loop {
                let pass = store.begin()?;
                let swept = pass.expire(before, args.state, RUNS_MAX)?;
                pass.commit()?;
                forgotten += swept.runs;
                if !swept.more {
                    break;
                }
            }
            out::note_to_terminal(&format!("forgot {forgotten} runs"));
            vec![code::DONE]
        }
        None => args
            .ids
            .iter()
            .map(|id| one(client, store, *id).unwrap_or_else(|failure| out::failure(&failure)))
            .collect(),
    };
    store.sync()?;
    reach("cleanup_committed")?;
    empty_trash(store)?;
    Ok(first_of(&codes))
}

fn one(client: &Client, store: &mut Store, id: RunId) -> Result<u8, Failure> {
    let mut ring = client.ring();
    ring.mark_changed(&[id]);
    let pass = store.begin()?;
    let refuse = |text: String| Err(Failure::new(code::STATE, text));
    match pass.remove(id)? {
        Removed::Done => {}
        Removed::Unfinished => {
            return refuse(format!("run {id} has not ended"))
                .map_err(|failure| failure.hint(format!("`retrier cancel {id}` ends it")));
        }
        Removed::Closing => {
            return refuse(format!(
                "run {id} is canceled, and its attempt is still being ended"
            ));
        }
        Removed::HookUnfinished(hook) => {
            return refuse(format!("the hook of run {id}, run {hook}, has not ended"));
        }
    }
    pass.commit()?;
    Ok(code::DONE)
}

fn reach(name: &str) -> Result<(), Failure> {
    failpoint::reach(name).map_err(|error| Failure::new(code::FAILED, error.to_string()))
}
