//! `retrier list`: runs as a table, as lines for scripts, or as JSON Lines.

use std::io::{self, IsTerminal};

use crate::clock;
use crate::json;
use crate::model::{RunRecord, Timestamp};
use crate::store::{Filter, Store};

use super::args::ListArgs;
use super::client::{Client, Service};
use super::failure::code;
use super::render::Style;
use super::watch::watch;
use super::{out, render};

/// What was found.
struct Found {
    records: Vec<RunRecord>,
    /// Each as JSON, if that is wanted.
    objects: String,
    /// Whether there are more than was asked for.
    more: bool,
}

/// Lists runs, the newest first.
pub fn list(client: &Client, args: &ListArgs) -> anyhow::Result<u8> {
    if let Some(interval) = args.watch {
        let mut store = None;
        return watch("retrier list", interval, || {
            // What is asked once is asked of the database that there was then.
            match &store {
                None => store = client.existing()?,
                Some(store) => store.check_place()?,
            }
            picture(client, store.as_ref(), args)
        });
    }
    let Some(store) = client.existing()? else {
        out::note_to_terminal(&nothing(client, None));
        return Ok(code::DONE);
    };
    let now = clock::now();
    let found = look(&store, args, now)?;
    if found.more {
        out::note(&more(args));
    }
    if args.json {
        return out::text(&found.objects);
    }
    if found.records.is_empty() {
        out::note_to_terminal(&nothing(client, Some(args)));
        return Ok(code::DONE);
    }
    let mut records = found.records.iter();
    if records.any(|record| !record.run.state.is_final())
        && matches!(client.service(), Service::None)
    {
        out::note_to_terminal("no daemon runs, `retrier daemon --detach` starts one");
    }
    let text = if io::stdout().is_terminal() {
        render::table(&found.records, now, Style::of_stdout(), args.wide)
    } else {
        render::lines(&found.records, now)
    };
    out::text(&text)
}

/// What `--watch` shows.
fn picture(client: &Client, store: Option<&Store>, args: &ListArgs) -> anyhow::Result<String> {
    let Some(store) = store else {
        return Ok(nothing(client, None));
    };
    let now = clock::now();
    let found = look(store, args, now)?;
    if found.records.is_empty() {
        return Ok(nothing(client, Some(args)));
    }
    let mut text = render::table(&found.records, now, Style::of_stdout(), args.wide);
    if found.more {
        text += &more(args);
    }
    Ok(text)
}

/// Why nothing is listed; `args` are those of a list of a database that is there.
fn nothing(client: &Client, args: Option<&ListArgs>) -> String {
    let Some(args) = args else {
        let database = client.folder.database().display();
        return format!("no runs: there is no {database} yet");
    };
    let all =
        args.state.is_empty() && args.name.is_none() && args.pool.is_none() && args.since.is_none();
    if all { "no runs" } else { "no such runs" }.to_owned()
}

fn more(args: &ListArgs) -> String {
    let limit = args.limit;
    format!("there are more than {limit} runs; --limit 0 lists all")
}

/// Looks for runs; what has ended is told only once it is on stable storage.
fn look(store: &Store, args: &ListArgs, now: Timestamp) -> anyhow::Result<Found> {
    let filter = Filter {
        statuses: args.state.clone(),
        name: args.name.clone(),
        pool: args.pool.clone(),
        since: args.since.map(|since| since.at(now)),
        // One more, to see whether there are more.
        limit: match args.limit {
            0 => u32::MAX,
            limit => limit.saturating_add(1),
        },
    };
    let mut objects = String::new();
    let mut more = false;
    let records = store.at_once(|read| {
        if let Some(pool) = &args.pool
            && !read.has_pool(pool)?
            && !read.has_run_of_pool(pool)?
        {
            return Err(read.no_pool(pool)?);
        }
        let mut records = read.list(&filter, now)?;
        if args.limit > 0 {
            more = records.len() > args.limit as usize;
            records.truncate(args.limit as usize);
        }
        for record in records.iter().filter(|_| args.json) {
            let attempts = read.attempts(record.id)?;
            objects.push_str(&json::run(record, &attempts, now).to_string());
            objects.push('\n');
        }
        Ok(records)
    })?;
    if records.iter().any(|record| record.run.state.is_final()) {
        store.sync()?;
    }
    Ok(Found {
        records,
        objects,
        more,
    })
}
