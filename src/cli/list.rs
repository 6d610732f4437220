//! `retrier list`: runs as a table, as lines for scripts, or as JSON Lines.

use std::io::{self, IsTerminal};

use crate::clock;
use crate::json;
use crate::store::Filter;

use super::args::ListArgs;
use super::client::Client;
use super::failure::code;
use super::render::Style;
use super::{out, render};

/// Lists runs, the newest first.
pub fn list(client: &Client, args: &ListArgs) -> anyhow::Result<u8> {
    let Some(store) = client.existing()? else {
        let database = client.folder.database().display();
        out::note_to_terminal(&format!("no runs: there is no {database} yet"));
        return Ok(code::DONE);
    };
    let now = clock::now();
    let filter = Filter {
        status: args.state,
        name: args.name.clone(),
        pool: args.pool.clone(),
        // One more, to see whether there are more.
        limit: match args.limit {
            0 => u32::MAX,
            limit => limit.saturating_add(1),
        },
    };
    let mut lines = String::new();
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
            lines.push_str(&json::run(record, &attempts, now).to_string());
            lines.push('\n');
        }
        Ok(records)
    })?;
    if more {
        out::note(&format!(
            "there are more than {} runs; --limit 0 lists all",
            args.limit
        ));
    }
    if records.iter().any(|record| record.run.state.is_final()) {
        store.sync()?;
    }
    if args.json {
        return out::text(&lines);
    }
    let terminal = io::stdout().is_terminal();
    if records.is_empty() {
        out::note_to_terminal("no runs");
        return Ok(code::DONE);
    }
    let table = render::table(&records, now, Style::of_stdout(), terminal);
    out::text(&table)
}
