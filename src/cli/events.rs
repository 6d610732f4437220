//! `retrier events`: the history of a run, for people, for scripts, or as JSON Lines.

use crate::json;

use super::args::EventsArgs;
use super::client::Client;
use super::render::Style;
use super::{many, out, render};

/// Shows what happened to a run, oldest first.
pub fn events(client: &Client, args: &EventsArgs) -> anyhow::Result<u8> {
    let (store, id) = many::one(client, &args.run)?;
    let (run, events) = store.at_once(|read| Ok((read.run(id)?, read.events(id)?)))?;
    if run.state.is_final() {
        // Told is kept: the ending may have been committed a moment ago.
        store.sync()?;
    }
    if args.json {
        let lines = events.iter().map(|event| json::event(id, event));
        let text: String = lines.map(|line| format!("{line}\n")).collect();
        return out::text(&text);
    }
    out::text(&render::events(&events, Style::of_stdout()))
}
