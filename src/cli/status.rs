//! `retrier status`: runs as pages, or as JSON.

use crate::clock;
use crate::json;
use crate::model::{AttemptRecord, EventRecord, RunId, RunRecord};
use crate::store::Store;

use super::args::StatusArgs;
use super::client::Client;
use super::failure::first_of;
use super::render::{Case, Style};
use super::{out, render};

/// Shows runs in the order asked.
pub fn status(client: &Client, args: &StatusArgs) -> anyhow::Result<u8> {
    let store = client.existing()?;
    let mut codes = Vec::new();
    for (n, id) in args.ids.iter().enumerate() {
        let shown = match &store {
            Some(store) => show(client, store, *id, args.json, n > 0),
            None => Err(client.no_run(*id).into()),
        };
        codes.push(shown.unwrap_or_else(out::failure));
    }
    Ok(first_of(&codes))
}

fn show(client: &Client, store: &Store, id: RunId, json: bool, gap: bool) -> anyhow::Result<u8> {
    let (record, attempts, cause) = look(store, id)?;
    let now = clock::now();
    if json {
        return out::line(&json::run(&record, &attempts, now).to_string());
    }
    let held = store.read().held(id, now)?;
    let case = Case {
        held: held.as_ref(),
        record: &record,
        last: attempts.last(),
        cause: cause.as_ref(),
        now,
        service: &client.service(),
    };
    let page = render::page(&case, &attempts, Style::of_stdout());
    let gap = if gap { "\n" } else { "" };
    out::bytes(format!("{gap}{page}").as_bytes())
}

/// Run `id` with its attempts, and the event that is the cause of where it stands, as they are at
/// one moment; of a finished one only once it is on stable storage.
pub(super) fn look(store: &Store, id: RunId) -> anyhow::Result<Looked> {
    let (record, attempts, cause) = store.at_once(|read| {
        let (record, attempts) = read.page(id)?;
        Ok((record, attempts, read.cause(id)?))
    })?;
    if record.run.state.is_final() {
        // Told is kept: the ending may have been committed a moment ago.
        store.sync()?;
    }
    Ok((record, attempts, cause))
}

/// What [`look`] gives.
pub(super) type Looked = (RunRecord, Vec<AttemptRecord>, Option<EventRecord>);
