//! `retrier run`: store a command, say its id, see to it that a daemon runs.

use std::io;

use anyhow::bail;

use crate::clock;
use crate::json;
use crate::model::{Hold, RunId, Spec, State};
use crate::store::{Store, StoreError, Stored};
use crate::sys::terminal::can_redraw;
use crate::text::escape_text;

use super::args::{IfExists, RunArgs};
use super::client::{Client, Service};
use super::failure::{Failure, code};
use super::wait::{Manner, one};
use super::{batch, capture, out, pool, render};

/// Stores a run. The three outcomes: it is stored and its id printed, it is surely not stored, or
/// nobody knows (exit code 5).
pub fn run(client: impl FnOnce() -> anyhow::Result<Client>, args: &RunArgs) -> anyhow::Result<u8> {
    let done = client().and_then(|client| match &args.batch {
        Some(file) => batch::batch(&client, args, file),
        None => store(&client, args),
    });
    let failed = |error| {
        let failure = Failure::from(error);
        match failure.code {
            // Of a batch no exit code is passed on.
            code::FAILED | code::UNKNOWN if args.wait && args.batch.is_none() => {
                failure.of_retrier().into()
            }
            _ => failure.into(),
        }
    };
    done.map_err(failed)
}

/// Says that an earlier run has the key. Errors: that was not to be.
fn tell_taken(store: &Store, id: RunId, spec: &Spec, args: &RunArgs) -> anyhow::Result<()> {
    let whose = taken(store, id, spec)?;
    if args.if_exists == IfExists::Fail {
        bail!(Failure::new(code::STATE, whose).hint(format!("`retrier status {id}` shows it")));
    }
    if !args.quiet && !args.quiet_success {
        out::note(&format!("{whose}; nothing was stored"));
    }
    Ok(())
}

fn store(client: &Client, args: &RunArgs) -> anyhow::Result<u8> {
    let (spec, mut store) = prepare(client, args)?;
    // Connected before the transaction begins: that it closes is the ring, also when this process
    // is killed right after its commit.
    let ring = client.ring();
    let Stored { id, is_new } = store.submit(&spec, clock::now)?;
    match is_new {
        true => tracing::debug!("stored run {id}, committed"),
        false => tracing::debug!("run {id} has the key, nothing was stored"),
    }
    // The daemon begins while this waits for the disk.
    let rung = ring.ring();
    store.sync()?;
    tracing::debug!("synced to the disk");
    if !is_new {
        tell_taken(&store, id, &spec, args)?;
        if args.quiet_success {
            // Whoever has stored it tells of it.
            return Ok(code::DONE);
        }
    }
    if args.wait {
        drop(store);
        // The line that is drawn meanwhile names it, too.
        let is_drawn = !args.stream && can_redraw(&io::stderr());
        if !args.quiet && !args.quiet_success && !is_drawn {
            out::note_to_terminal(&format!("run {id}"));
        }
        let waited = one(
            client,
            id,
            Manner {
                timeout: None,
                stream: args.stream,
                quiet: args.quiet,
                json: args.json,
                start: !args.no_daemon_start,
                own: is_new,
                mail: args.quiet_success,
            },
        );
        return waited.map_err(|error| {
            let mut failure = Failure::from(error);
            // Who reads only that it failed would store it once more.
            failure.message = format!("run {id} is stored, but: {}", failure.message);
            failure.into()
        });
    }
    let text = if args.json {
        json::stored(id, is_new).to_string()
    } else {
        id.to_string()
    };
    let told = out::line(&text);
    serve(client, args, rung, &format!("run {id} is"));
    if is_new && !args.quiet && out::is_noted_at_terminal() {
        note_of_pool(&store, id, &spec.pool);
    }
    if rung {
        store.leave();
    }
    // Whoever did not get the id must not take the run for one that is not stored.
    told.map_err(|error| {
        let message = format!("run {id} is stored, but its id could not be told: {error:#}");
        let hint = "`retrier list` shows it; stored once more it would run twice";
        Failure::new(code::UNKNOWN, message).hint(hint).into()
    })
}

/// What is to be stored, and where: the pool's settings stand in the store.
fn prepare(client: &Client, args: &RunArgs) -> anyhow::Result<(Spec, Store)> {
    let existing = client.existing()?;
    let defaults = pool::defaults(existing.as_ref().map(Store::read), &args.pool)?;
    let spec = capture::spec(args, &defaults)?;
    Ok((spec, still_there(client, existing)?))
}

/// The database to store in: the one that was looked into, unless reading the input has taken so
/// long that it is not there any more.
pub fn still_there(client: &Client, existing: Option<Store>) -> anyhow::Result<Store> {
    match existing {
        Some(store) if store.check_place().is_ok() => Ok(store),
        Some(_) | None => client.create(),
    }
}

/// Says at once what keeps a run waiting until somebody does something about it. The run is stored:
/// that this cannot be looked up is no reason to say that something went wrong.
fn note_of_pool(store: &Store, id: RunId, name: &str) {
    if let Ok(Some(record)) = store.read().pool(name)
        && record.pool.is_shut()
    {
        let why = render::hold_words(&record, Hold::Paused, clock::now());
        out::note_to_terminal(&format!("run {id} waits: the pool {name} {why}"));
    }
}

/// Sees to it that a daemon runs what was stored, which goes on without it. `which` was stored, in
/// words that go before that one.
pub fn serve(client: &Client, args: &RunArgs, rung: bool, which: &str) {
    let starts = !args.no_daemon_start && client.starts_daemons;
    if starts {
        // A daemon will find it. As a rule there is one, which was rung.
        let service = match client.service() {
            Service::None | Service::Well { stays: false, .. } => {
                client.ensure_daemon(rung).map(|()| client.service())
            }
            service if rung => Ok(service),
            service => client.ensure_daemon(rung).map(|()| service),
        };
        match service {
            Err(error) => out::note(&format!("warning: {which} stored, but {error:#}")),
            Ok(Service::Troubled(why)) => {
                out::note(&format!("warning: {which} stored, and has to wait: {why}"));
            }
            Ok(Service::Well { .. } | Service::Stopped(_) | Service::None) => {}
        }
    }
    if !starts && !args.quiet && !client.is_served() {
        out::note_to_terminal(&format!("{which} stored, but no daemon runs"));
    }
}

/// Who has the key of `spec`, in words: run `id`.
fn taken(store: &Store, id: RunId, spec: &Spec) -> Result<String, StoreError> {
    let key = spec.key.as_ref().map_or("", |key| key.text.as_str());
    let state = match store.read().run(id) {
        Ok(run) => match run.state {
            State::Canceled { open: Some(_) } => "is canceled, and is still being ended",
            State::Waiting { .. } | State::Held => "waits",
            State::Running { .. } => "runs",
            State::Succeeded => "has succeeded",
            State::Failed { .. } => "has failed",
            State::Canceled { open: None } => "was canceled",
        },
        // It was forgotten a moment ago; it had the key when that was asked.
        Err(StoreError::NoRun { .. }) => "is gone now",
        Err(error) => return Err(error),
    };
    // It may have been committed a moment ago.
    store.sync()?;
    let key = escape_text(key);
    Ok(format!("run {id} has the key \"{key}\" and {state}"))
}
