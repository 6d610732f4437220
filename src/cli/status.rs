//! `retrier status`: runs as pages, or as JSON.

use crate::clock;
use crate::json;
use crate::model::RunId;
use crate::store::Store;

use super::args::StatusArgs;
use super::client::Client;
use super::failure::first_of;
use super::render::Style;
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
    let (record, attempts) = store.at_once(|read| read.page(id))?;
    if record.run.state.is_final() {
        // Told is kept: the ending may have been committed a moment ago.
        store.sync()?;
    }
    let now = clock::now();
    if json {
        return out::line(&json::run(&record, &attempts, now).to_string());
    }
    let service = client.service();
    let page = render::page(&record, &attempts, now, Style::of_stdout(), &service);
    let gap = if gap { "\n" } else { "" };
    out::bytes(format!("{gap}{page}").as_bytes())
}
