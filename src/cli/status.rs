//! `retrier status`: runs as pages, or as JSON.

use std::fmt::Write;
use std::os::fd::AsFd;
use std::time::Duration;

use crate::clock;
use crate::json;
use crate::model::{AttemptRecord, Blocked, EventRecord, RunId, RunRecord, State, Timestamp};
use crate::store::{Store, StoreError};
use crate::sys::identity::{Liveness, ProcessIdentity, World};
use crate::sys::poll::wait_readable;

use super::args::StatusArgs;
use super::client::{Client, Service};
use super::excerpt::Excerpt;
use super::failure::first_of;
use super::render::{Case, Style};
use super::watch::watch;
use super::{many, out, render};

/// So many runs are looked at before they are shown.
const CHUNK_MAX: usize = 100;

/// So many lines are shown of what the last attempt wrote.
const LINES_MAX: usize = 10;

/// Shows runs in the order asked.
pub fn status(client: &Client, args: &StatusArgs) -> anyhow::Result<u8> {
    let store = client.existing()?;
    let ids = many::ids(client, store.as_ref(), &args.runs)?;
    let Some(store) = store else {
        let codes = ids.iter().map(|id| out::failure(client.no_run(*id).into()));
        return Ok(first_of(&codes.collect::<Vec<_>>()));
    };
    if let Some(interval) = args.watch {
        return watch("retrier status", interval, || {
            store.check_place()?;
            picture(client, &store, &ids)
        });
    }
    let mut codes = Vec::new();
    for (n, ids) in ids.chunks(CHUNK_MAX).enumerate() {
        show(client, &store, (ids, n == 0), args.json, &mut codes)?;
    }
    Ok(first_of(&codes))
}

/// What `--watch` shows. Errors: one of them is not stored.
fn picture(client: &Client, store: &Store, ids: &[RunId]) -> anyhow::Result<String> {
    let (service, style) = (client.service(), Style::of_stdout());
    let mut pages = Vec::new();
    for id in ids {
        let looked = look(store, *id)?;
        let at = (clock::now(), &service);
        pages.push(page_of(client, store, &looked, at, style)?);
    }
    Ok(pages.join("\n"))
}

/// Shows these runs; each page but the very first one has a gap before it.
fn show(
    client: &Client,
    store: &Store,
    (ids, mut is_first): (&[RunId], bool),
    json: bool,
    codes: &mut Vec<u8>,
) -> anyhow::Result<()> {
    let looks: Vec<_> = ids.iter().map(|id| moment(store, *id)).collect();
    let is_final = |looked: &Looked| looked.0.run.state.is_final();
    if looks.iter().flatten().any(is_final) {
        // Told is kept: the ending may have been committed a moment ago.
        store.sync()?;
    }
    let (now, service, style) = (clock::now(), client.service(), Style::of_stdout());
    let mut text = String::new();
    for looked in looks {
        match looked {
            Ok((record, attempts, _)) if json => {
                let _ = writeln!(text, "{}", json::run(&record, &attempts, now));
            }
            Ok(looked) => {
                let gap = if is_first { "" } else { "\n" };
                let page = page_of(client, store, &looked, (now, &service), style)?;
                let _ = write!(text, "{gap}{page}");
            }
            Err(error) => {
                // Where the two meet, errors and pages come in the order asked.
                out::text(&std::mem::take(&mut text))?;
                codes.push(out::failure(error.into()));
            }
        }
        is_first = false;
    }
    out::text(&text).map(drop)
}

/// A run as a page, with the end of what tells how it fares.
fn page_of(
    client: &Client,
    store: &Store,
    looked: &Looked,
    (now, service): (Timestamp, &Service),
    style: Style,
) -> anyhow::Result<String> {
    let (record, attempts, _) = looked;
    let excerpt = match record.run.state {
        // What it gives is in its result.
        State::Succeeded => None,
        _ => Excerpt::telling(&client.folder, record.id, attempts, LINES_MAX),
    };
    let excerpts = excerpt.as_slice();
    paged(store, looked, (now, service), excerpts, style)
}

/// A run as a page, with these excerpts.
pub(super) fn paged(
    store: &Store,
    (record, attempts, cause): &Looked,
    (now, service): (Timestamp, &Service),
    excerpts: &[Excerpt],
    style: Style,
) -> anyhow::Result<String> {
    let around = Around::of(store, record, (now, service))?;
    let case = Case {
        blocked: around.blocked.as_ref(),
        hook: around.hook.as_ref(),
        is_left: around.is_left,
        record,
        last: attempts.last(),
        cause: cause.as_ref(),
        now,
        service,
    };
    Ok(render::page(&case, attempts, excerpts, style))
}

/// Run `id` with its attempts, and the event that is the cause of where it stands, as they are at
/// one moment; of a finished one only once it is on stable storage.
pub(super) fn look(store: &Store, id: RunId) -> anyhow::Result<Looked> {
    let looked = moment(store, id)?;
    if looked.0.run.state.is_final() {
        store.sync()?;
    }
    Ok(looked)
}

/// What there is around a run, beside the daemon.
pub(super) struct Around {
    /// What keeps it from being started, if it is due.
    pub blocked: Option<Blocked>,
    /// Its hook, as long as that is stored.
    pub hook: Option<RunRecord>,
    /// Whether nobody looks after its attempt: its shim is gone, and there is no daemon.
    pub is_left: bool,
}

impl Around {
    /// What there is around the run of `record` at this time, and with this daemon.
    pub fn of(
        store: &Store,
        record: &RunRecord,
        (now, service): (Timestamp, &Service),
    ) -> anyhow::Result<Self> {
        let id = record.id;
        let (blocked, hook, open) = store.at_once(|read| {
            let hook = match record.hook.map(|hook| read.record(hook)).transpose() {
                // It may have been forgotten before its run.
                Err(StoreError::NoRun { .. }) => None,
                other => other?,
            };
            let open = match record.run.state.open_attempt() {
                Some(_) => read.open_attempt(id)?,
                None => None,
            };
            Ok((read.blocked(id, now)?, hook, open))
        })?;
        let is_left =
            matches!(service, Service::None) && open.is_some_and(|open| is_gone(&open.shim));
        Ok(Self {
            blocked,
            hook,
            is_left,
        })
    }
}

/// Has this process ended, as far as can be seen here? One that nobody has reaped has.
fn is_gone(process: &ProcessIdentity) -> bool {
    let found = World::current().map(|world| world.look_up(process));
    match found {
        Ok(Liveness::Dead | Liveness::OtherBoot) => true,
        Ok(Liveness::Alive(pidfd)) => {
            let ended = wait_readable(&[pidfd.as_fd()], Some(Duration::ZERO));
            ended.is_ok_and(|ended| ended[0])
        }
        Ok(Liveness::Foreign | Liveness::Unknown) | Err(_) => false,
    }
}

/// As [`look`], for nobody to be told of yet.
pub(super) fn moment(store: &Store, id: RunId) -> Result<Looked, StoreError> {
    store.at_once(|read| {
        let (record, attempts) = read.page(id)?;
        Ok((record, attempts, read.cause(id)?))
    })
}

/// What [`look`] gives.
pub(super) type Looked = (RunRecord, Vec<AttemptRecord>, Option<EventRecord>);
