//! `retrier events`: the history of a run, for people, for scripts, or as JSON Lines.

use std::io::{self, IsTerminal};

use crate::json;

use super::args::EventsArgs;
use super::client::Client;
use super::{out, render};

/// Shows what happened to a run, oldest first.
pub fn events(client: &Client, args: &EventsArgs) -> anyhow::Result<u8> {
    let store = client.holding(args.id)?;
    let (run, events) = store.at_once(|read| Ok((read.run(args.id)?, read.events(args.id)?)))?;
    if run.state.is_final() {
        // Told is kept: the ending may have been committed a moment ago.
        store.sync()?;
    }
    if args.json {
        let lines = events.iter().map(|event| json::event(args.id, event));
        let text: String = lines.map(|line| format!("{line}\n")).collect();
        return out::bytes(text.as_bytes());
    }
    let terminal = io::stdout().is_terminal();
    out::bytes(render::events(&events, terminal).as_bytes())
}
