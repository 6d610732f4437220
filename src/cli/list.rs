//! `retrier list`: runs as a table, as lines for scripts, or as JSON Lines.

use std::collections::BTreeMap;
use std::io::{self, IsTerminal};

use crate::clock;
use crate::json;
use crate::model::{RunId, RunRecord, Status, Timestamp};
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
    /// Since when the last attempts of those run that run.
    started: BTreeMap<RunId, Timestamp>,
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
        out::note(MORE);
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
        render::table(
            &found.records,
            (&found.started, now),
            Style::of_stdout(),
            args.wide,
        )
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
    let mut found = look(store, args, now)?;
    if args.state.is_empty() {
        // The newest ones may all be waiting for those that run.
        let running = ListArgs {
            state: vec![Status::Running],
            ..args.clone()
        };
        let running = look(store, &running, now)?;
        let is_waiting = |record: &RunRecord| !running.started.contains_key(&record.id);
        found.records.retain(is_waiting);
        found.records.splice(0..0, running.records);
        found.started.extend(running.started);
    }
    if found.records.is_empty() {
        return Ok(nothing(client, Some(args)));
    }
    let note = match found.more {
        true => format!("{MORE}\n"),
        false => String::new(),
    };
    let table = render::table(
        &found.records,
        (&found.started, now),
        Style::of_stdout(),
        args.wide,
    );
    Ok(note + &table)
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

/// What is said when nobody has asked for so many alone.
const MORE: &str = "the newest 50 are shown; --limit 0 lists all, --state STATE those in one state";

/// So many are listed if nobody says how many.
const LIMIT: u32 = 50;

/// Looks for runs; what has ended is told only once it is on stable storage.
fn look(store: &Store, args: &ListArgs, now: Timestamp) -> anyhow::Result<Found> {
    let limit = args.limit.unwrap_or(LIMIT);
    let filter = Filter {
        statuses: args.state.clone(),
        name: args.name.clone(),
        pool: args.pool.clone(),
        since: args.since.map(|since| since.at(now)),
        // One more, to see whether there are more.
        limit: match limit {
            0 => u32::MAX,
            limit => limit.saturating_add(1),
        },
    };
    let mut objects = String::new();
    let mut more = false;
    let mut started = BTreeMap::new();
    let records = store.at_once(|read| {
        if let Some(pool) = &args.pool
            && !read.has_pool(pool)?
            && !read.has_run_of_pool(pool)?
        {
            return Err(read.no_pool(pool)?);
        }
        let mut records = read.list(&filter, now)?;
        if limit > 0 {
            more = records.len() > limit as usize && args.limit.is_none();
            records.truncate(limit as usize);
        }
        for record in &records {
            if record.run.state.status(now) == Status::Running {
                let last = read.last_attempts(record.id, 1)?;
                started.extend(last.first().map(|last| (record.id, last.started_at)));
            }
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
        started,
        more,
    })
}
