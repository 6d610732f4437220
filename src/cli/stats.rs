//! `retrier stats`: how many runs wait and run, and how they fared lately: as a page, as lines for
//! scripts, as JSON, or for Prometheus.

use std::io::{self, IsTerminal};

use serde_json::Value;

use crate::clock;
use crate::json;
use crate::model::{Stats, Timestamp};
use crate::store::{PoolStats, Store, StoreError};

use super::args::StatsArgs;
use super::client::Client;
use super::prometheus::exposition;
use super::{out, render};

/// Shows statistics.
pub fn stats(client: &Client, args: &StatsArgs) -> anyhow::Result<u8> {
    let store = client.existing()?;
    // Rounded up as the times of endings are: what is stored by now has ended by then.
    let at = clock::now_rounded_up();
    if args.prometheus {
        let pools = pools(store.as_ref(), args, at)?;
        return out::text(&exposition(&pools));
    }
    let found = match (&args.pool, &store) {
        (Some(_), store) => pools(store.as_ref(), args, at)?.pop().map(|one| one.stats),
        (None, Some(store)) => Some(look(store, |store| {
            store.at_once(|read| read.stats(at, args.window))
        })?),
        (None, None) => None,
    };
    let found = found.unwrap_or_else(|| Stats::of_nothing(at, args.window));
    if args.json {
        return out::line(&json::stats(&found).to_string());
    }
    if io::stdout().is_terminal() {
        return out::text(&render::stats_page(&found));
    }
    out::text(&lines(&found))
}

/// The pool that is asked for, or each. Errors: there is none of this name.
fn pools(store: Option<&Store>, args: &StatsArgs, at: Timestamp) -> anyhow::Result<Vec<PoolStats>> {
    let Some(store) = store else {
        let mut pools = PoolStats::of_nothing(at, args.window);
        if let Some(name) = &args.pool {
            pools.retain(|one| one.record.pool.name == *name);
            if pools.is_empty() {
                return Err(StoreError::no_pool_yet(name).into());
            }
        }
        return Ok(pools);
    };
    look(store, |store| {
        store.at_once(|read| match &args.pool {
            Some(name) => Ok(vec![read.stats_of(name, at, args.window)?]),
            None => read.stats_of_each(at, args.window),
        })
    })
}

/// What is told is on stable storage first: it tells of what has ended.
fn look<T>(store: &Store, look: impl FnOnce(&Store) -> Result<T, StoreError>) -> anyhow::Result<T> {
    let found = look(store)?;
    store.sync()?;
    Ok(found)
}

fn lines(stats: &Stats) -> String {
    let fields = json::stats_fields(stats).into_iter();
    let lines = fields.map(|(name, value)| match value {
        Value::Null => format!("{name}\t\n"),
        Value::String(text) => format!("{name}\t{text}\n"),
        other => format!("{name}\t{other}\n"),
    });
    lines.collect()
}
