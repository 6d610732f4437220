//! `retrier pool`: what the pools allow, and what runs get from them. Start reading at [`pool`].

use std::collections::BTreeSet;
use std::io::{self, IsTerminal};

use serde_json::{Value, json};

use crate::clock;
use crate::daemon::doorbell::Ring;
use crate::json;
use crate::model::pool::{DEFAULT, HOOKS};
use crate::model::stats::{Standing, WINDOW};
use crate::model::{Gate, Gauge, Pool, PoolRecord, Rate, Timestamp};
use crate::store::{Pass, PoolStats, Reader, Store, StoreError};
use crate::sys::failpoint;
use crate::text::escape_text;

use super::args::{NamesArgs, PolicyArgs, PoolArgs, PoolListArgs, PoolVerb, RateArg, SetArgs};
use super::client::Client;
use super::failure::{Failure, code};
use super::many::STEP_MAX;
use super::render::{PoolRow, Style};
use super::{out, render};

/// Changes pools, or lists them.
pub fn pool(client: &Client, args: &PoolArgs) -> anyhow::Result<u8> {
    match &args.verb {
        PoolVerb::Set(args) => set(client, args),
        PoolVerb::List(args) => list(client, args),
        PoolVerb::Pause(args) => turn(client, args, true),
        PoolVerb::Resume(args) => turn(client, args, false),
        PoolVerb::Delete(args) => delete(client, &args.name),
    }
}

/// The retry options that a run in pool `name` has where it is given none. Errors: there is no such
/// pool, it is that of the hooks, or a newer program has set them.
pub fn defaults(read: Option<Reader<'_>>, name: &str) -> anyhow::Result<PolicyArgs> {
    if name == HOOKS {
        let failure = Failure::new(code::USAGE, "the pool hooks is for hooks");
        return Err(failure
            .hint("leave --pool out, or name one that `retrier pool list` shows")
            .into());
    }
    let Some(read) = read else {
        return match name {
            DEFAULT => Ok(PolicyArgs::default()),
            _ => Err(StoreError::no_pool_yet(name).into()),
        };
    };
    let Some(stored) = read.pool_options(name)? else {
        return Err(read.no_pool(name)?.into());
    };
    Ok(options(name, &stored)?)
}

/// Why the retry options of pools cannot be read, of at most `max` such pools.
pub fn unreadable(read: Reader<'_>, max: usize) -> Result<Vec<Failure>, StoreError> {
    let mut found = Vec::new();
    for name in read.pool_names("", usize::MAX)? {
        let stored = read.pool_options(&name)?;
        found.extend(stored.and_then(|stored| options(&name, &stored).err()));
        if found.len() == max {
            break;
        }
    }
    Ok(found)
}

fn options(name: &str, stored: &str) -> Result<PolicyArgs, Failure> {
    PolicyArgs::of_stored(stored).map_err(|error| {
        let error = escape_text(&error);
        let message = format!("the retry options of pool {name} cannot be read: {error}");
        let hint = format!(
            "a newer retrier has set them; `retrier pool set {name} --no-defaults` forgets them"
        );
        Failure::new(code::FAILED, message).hint(hint)
    })
}

fn set(client: &Client, args: &SetArgs) -> anyhow::Result<u8> {
    if args.name == HOOKS && args.retries != PolicyArgs::default() {
        let message = "the pool hooks takes no retry options: every hook has the usual ones";
        let hint = "--parallel, --rate and --breaker can be set for it";
        return Err(Failure::new(code::USAGE, message).hint(hint).into());
    }
    let mut store = client.create()?;
    let ring = client.ring();
    let done = store.with_room(|store| {
        let pass = store.begin()?;
        let now = clock::now();
        let found = pass.read().pool(&args.name)?;
        let (pool, options) = match settings(found.as_ref(), args) {
            Ok(settings) => settings,
            Err(failure) => return Ok(Err(failure)),
        };
        if write(&pass, found.as_ref(), (&pool, &options), now)? {
            commit(pass)?;
        }
        Ok(Ok((found, pool, options)))
    })?;
    let (found, pool, options) = done?;
    let waits = found.as_ref().is_some_and(has_work);
    follow_up(client, &store, ring, waits)?;
    let how = if found.is_some() { "is set" } else { "is made" };
    let settings = render::settings(&pool, &options);
    out::note_to_terminal(&format!("pool {} {how}: {settings}", pool.name));
    Ok(code::DONE)
}

/// What a pool is to be after `args`, and the options to be stored with it. Errors: they do not fit
/// what was set before.
fn settings(found: Option<&PoolRecord>, args: &SetArgs) -> Result<(Pool, String), Failure> {
    let mut pool = match found {
        Some(record) => record.pool.clone(),
        None => Pool::new(&args.name, fastrand::u64(..)),
    };
    pool.parallel = args.parallel.unwrap_or(pool.parallel);
    pool.rate = rate(pool.rate, args)?;
    if let Some(max) = args.breaker {
        pool.breaker = Some(max).filter(|max| *max > 0);
    }
    if let Some(max) = args.max_pending {
        pool.max_pending = Some(max).filter(|max| *max > 0);
    }
    if args.retries == PolicyArgs::default() && !args.no_defaults {
        let stored = found.map_or("{}", |record| record.options.as_str());
        return Ok((pool, stored.to_owned()));
    }
    let before = match found.filter(|_| !args.no_defaults) {
        Some(record) => options(&args.name, &record.options)?,
        None => PolicyArgs::default(),
    };
    let options = args.retries.clone().or(before);
    let stored = options.stored().to_string();
    pool.backoff = options.of_probes()?;
    Ok((pool, stored))
}

fn rate(before: Option<Rate>, args: &SetArgs) -> Result<Option<Rate>, Failure> {
    match (args.rate, args.burst, before) {
        (Some(RateArg::Even { starts, per }), burst, _) => {
            let burst = burst.or(before.map(|rate| rate.burst)).unwrap_or(1);
            Ok(Some(Rate { starts, per, burst }))
        }
        (None, Some(burst), Some(rate)) => Ok(Some(Rate { burst, ..rate })),
        (None, None, _) => Ok(before),
        (Some(RateArg::Off), None, _) => Ok(None),
        (Some(RateArg::Off), Some(_), _) | (None, Some(_), None) => {
            let message = format!("--burst needs a rate, and pool {} has none", args.name);
            Err(Failure::new(code::USAGE, message).hint("--rate 10/1m sets one"))
        }
    }
}

/// Writes the settings of a pool, if they are not those that were `found`.
fn write(
    pass: &Pass<'_>,
    found: Option<&PoolRecord>,
    (pool, options): (&Pool, &str),
    now: Timestamp,
) -> Result<bool, StoreError> {
    let is_same = |record: &PoolRecord| record.pool == *pool && record.options == options;
    if found.is_some_and(is_same) {
        return Ok(false);
    }
    pass.set_pool(pool, options)?;
    if let Some(record) = found {
        let gate = pool.within_reach(&record.gate, now);
        if gate != record.gate {
            pass.set_gate(&pool.name, &gate)?;
        }
    }
    Ok(true)
}

/// Lets the next probe of a pool go at once: whoever resumes it knows more than its backoff.
fn probe_now(pass: &Pass<'_>, pool: &Pool, record: &PoolRecord) -> Result<(), StoreError> {
    let gate = Gate {
        probe_at: None,
        ..record.gate
    };
    pass.set_gate(&pool.name, &gate)?;
    // A daemon looks at the pool again when its settings were written.
    pass.set_pool(pool, &record.options)
}

fn commit(pass: Pass<'_>) -> Result<(), StoreError> {
    let reached = failpoint::reach("pool_before_commit");
    reached.map_err(|error| pass.trouble(error))?;
    pass.commit()
}

/// Can a daemon do something in this pool once it may?
fn has_work(record: &PoolRecord) -> bool {
    record.gauge.pending() > 0
}

/// What follows a commit: it is made durable, a daemon sees it, and one is started for runs that
/// wait. Also after a look that found nothing to change: that may have been committed a moment ago.
fn follow_up(client: &Client, store: &Store, ring: Ring, waits: bool) -> anyhow::Result<()> {
    failpoint::reach("pool_committed")?;
    store.sync()?;
    let rung = ring.ring();
    if waits || (!rung && client.is_served()) {
        // The settings are stored, and a daemon will find them.
        if let Err(error) = client.ensure_daemon(rung) {
            out::note(&format!("warning: the settings are stored, but {error:#}"));
        }
    }
    Ok(())
}

/// Pauses pools, or resumes them.
fn turn(client: &Client, args: &NamesArgs, pause: bool) -> anyhow::Result<u8> {
    let mut store = match client.existing()? {
        Some(store) => store,
        None => {
            let is_known = |name: &String| [DEFAULT, HOOKS].contains(&name.as_str());
            if let Some(unknown) = args.names.iter().find(|name| !is_known(name)) {
                return Err(StoreError::no_pool_yet(unknown).into());
            }
            if !pause {
                return Ok(code::DONE);
            }
            client.create()?
        }
    };
    if !args.all {
        let names: BTreeSet<&String> = args.names.iter().collect();
        let names: Vec<String> = names.into_iter().cloned().collect();
        for turned in turn_some(client, &mut store, (&names, false), pause)? {
            out::note_to_terminal(&turned.told());
        }
        return Ok(code::DONE);
    }
    let mut last = String::new();
    let mut changed = 0;
    loop {
        let names = store.read().pool_names(&last, STEP_MAX)?;
        let Some(name) = names.last() else {
            break;
        };
        last.clone_from(name);
        let turned = turn_some(client, &mut store, (&names, true), pause)?;
        changed += turned.iter().filter(|one| one.is_changed).count();
    }
    let how = if pause { "paused" } else { "resumed" };
    let pools = if changed == 1 { "pool" } else { "pools" };
    out::note_to_terminal(&format!("{changed} {pools} {how}"));
    Ok(code::DONE)
}

/// A pool that was to be paused or resumed.
struct Turned {
    pool: Pool,
    is_changed: bool,
}

impl Turned {
    fn told(&self) -> String {
        let name = &self.pool.name;
        match (self.pool.paused, self.is_changed) {
            (true, true) => format!("pool {name} paused"),
            (true, false) => format!("pool {name} was paused before"),
            (false, _) if self.pool.parallel == 0 => {
                format!("pool {name} is not paused, but has parallel 0: nothing starts in it")
            }
            (false, true) => format!("pool {name} resumed"),
            (false, false) => format!("pool {name} was not paused"),
        }
    }
}

/// Pauses or resumes these pools in one transaction. One that is gone is passed over when `all` are
/// meant. Errors: there is no such pool, and none of them was changed.
fn turn_some(
    client: &Client,
    store: &mut Store,
    (names, all): (&[String], bool),
    pause: bool,
) -> anyhow::Result<Vec<Turned>> {
    let ring = client.ring();
    let (turned, waits) = store.with_room(|store| {
        let pass = store.begin()?;
        let now = clock::now();
        let mut turned = Vec::new();
        let mut waits = false;
        for name in names {
            let record = match pass.read().pool(name)? {
                Some(record) => record,
                None if all => continue,
                None => return Err(pass.read().no_pool(name)?),
            };
            let pool = Pool {
                paused: pause,
                ..record.pool.clone()
            };
            let mut is_changed = write(&pass, Some(&record), (&pool, &record.options), now)?;
            if !pause && record.gate.probe_at.is_some() {
                is_changed = true;
                probe_now(&pass, &pool, &record)?;
            }
            waits |= !pause && has_work(&record);
            turned.push(Turned { pool, is_changed });
        }
        if turned.iter().any(|one| one.is_changed) {
            commit(pass)?;
        }
        Ok((turned, waits))
    })?;
    follow_up(client, store, ring, waits)?;
    Ok(turned)
}

fn delete(client: &Client, name: &str) -> anyhow::Result<u8> {
    if [DEFAULT, HOOKS].contains(&name) {
        let message = format!("the pool {name} is always there, and cannot be deleted");
        let hint = format!("`retrier pool pause {name}` holds its runs back");
        return Err(Failure::new(code::STATE, message).hint(hint).into());
    }
    let Some(mut store) = client.existing()? else {
        return Err(StoreError::no_pool_yet(name).into());
    };
    let in_use = store.with_room(|store| {
        let pass = store.begin()?;
        let Some(record) = pass.read().pool(name)? else {
            return Err(pass.read().no_pool(name)?);
        };
        if !pass.delete_pool(name)? {
            return Ok(Some(record.gauge));
        }
        commit(pass)?;
        Ok(None)
    })?;
    failpoint::reach("pool_committed")?;
    // What is said of its runs may have been committed a moment ago.
    store.sync()?;
    if let Some(gauge) = in_use {
        return Err(undeletable(name, &gauge).into());
    }
    out::note_to_terminal(&format!("pool {name} deleted"));
    Ok(code::DONE)
}

fn undeletable(name: &str, gauge: &Gauge) -> Failure {
    let (count, what) = match gauge.pending() {
        0 => (gauge.closing, "canceled run that is still being ended"),
        unfinished => (unfinished, "unfinished run"),
    };
    let what = match count {
        1 => what.to_owned(),
        _ => what.replacen("run", "runs", 1).replacen(" is ", " are ", 1),
    };
    Failure::new(code::STATE, format!("pool {name} has {count} {what}"))
        .hint(format!("`retrier list --pool {name}` shows them"))
}

fn list(client: &Client, args: &PoolListArgs) -> anyhow::Result<u8> {
    let now = clock::now();
    let rows: Vec<PoolRow> = match client.existing()? {
        Some(store) => store.at_once(|read| {
            let overdue = read.overdue(now)?;
            let rows = read.pools()?.into_iter().map(|record| {
                let unseen = overdue.get(&record.pool.name).copied();
                row(record, unseen.unwrap_or_default(), now)
            });
            Ok(rows.collect())
        })?,
        None => PoolStats::of_nothing(now, WINDOW)
            .into_iter()
            .map(|one| row(one.record, 0, now))
            .collect(),
    };
    if args.json {
        let lines: String = rows
            .iter()
            .map(|row| format!("{}\n", json_of(row)))
            .collect();
        return out::text(&lines);
    }
    let terminal = io::stdout().is_terminal();
    let table = render::pools(&rows, now, Style::of_stdout(), terminal);
    out::text(&table)
}

/// A pool of which so many runs are due, though no daemon has seen it.
fn row(record: PoolRecord, unseen: u64, now: Timestamp) -> PoolRow {
    PoolRow {
        standing: Standing::of(&record.gauge, unseen),
        hold: (record.pool).hold(&record.gate, record.gauge.occupied(), now),
        record,
    }
}

fn json_of(row: &PoolRow) -> Value {
    let record = &row.record;
    let options: Value = serde_json::from_str(&record.options).unwrap_or_else(|_| json!({}));
    json::pool((record, &options), row.hold, row.standing)
}
