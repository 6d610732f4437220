//! `retrier wait`, and the waiting of `run --wait`.

use std::time::Duration;

use crate::clock;
use crate::json;
use crate::model::{AttemptNumber, Outcome, Reason, RunId, RunRecord, RunResult, State};
use crate::store::{Store, Stream};
use crate::sys::signal::SIGINT;
use crate::text::escape_text;

use super::args::WaitArgs;
use super::client::Client;
use super::failure::{Failure, code};
use super::progress::{Progress, TICK};
use super::several::several;
use super::status::{look, moment};
use super::tail::Tail;
use super::waiting::{Waiting, Woken};
use super::{cancel, many, out, render};

/// How one run is waited for.
#[derive(Clone, Copy, Debug)]
pub struct Manner {
    pub timeout: Option<Duration>,
    pub stream: bool,
    pub quiet: bool,
    pub json: bool,
    /// Whether a daemon is started when there is none.
    pub start: bool,
    /// Whether this call has stored the run, so that Ctrl-C cancels it.
    pub own: bool,
}

/// Waits for the runs that are named, or for all that have not ended.
pub fn wait(client: &Client, args: &WaitArgs) -> anyhow::Result<u8> {
    let manner = Manner {
        timeout: args.timeout,
        stream: args.stream,
        quiet: args.quiet,
        json: args.json,
        start: true,
        own: false,
    };
    let of_retrier = |error| Failure::from(error).of_retrier().into();
    if args.all {
        return all(client, args, manner);
    }
    match (&args.runs.key, args.runs.ids.as_slice()) {
        (Some(key), _) => many::with_key(client, key)
            .and_then(|(_, id)| one(client, id, manner))
            .map_err(of_retrier),
        (None, [id]) => one(client, *id, manner).map_err(of_retrier),
        (None, ids) => several(client, ids, manner),
    }
}

/// Waits for all runs that are unfinished now, but for hooks.
fn all(client: &Client, args: &WaitArgs, manner: Manner) -> anyhow::Result<u8> {
    let store = client.existing()?;
    let among = many::among(store.as_ref(), args.pool.as_deref(), None, None)?;
    let ids = match &store {
        Some(store) => many::unfinished(store, &among)?,
        None => Vec::new(),
    };
    if ids.is_empty() {
        if let Some(store) = &store {
            // The exit code tells that all have ended.
            store.sync()?;
        }
        if !args.quiet {
            out::note_to_terminal("no run to wait for: none is unfinished");
        }
        return Ok(code::DONE);
    }
    drop(store);
    several(client, &ids, manner)
}

/// Waits for run `id`; prints its last output and gives its exit code.
pub fn one(client: &Client, id: RunId, manner: Manner) -> anyhow::Result<u8> {
    let mut store = client.holding(id)?;
    // What is read when it has ended is prepared while it runs.
    let (record, ..) = moment(&store, id)?;
    let limit = record.run.policy.max_output;
    let mut waiting = Waiting::new(client, [id], manner.timeout, manner.start)?;
    let progress = Progress::new(manner.quiet || manner.stream);
    let both = [
        (Stream::Stdout, Stream::Stdout),
        (Stream::Stderr, Stream::Stderr),
    ];
    let mut tail = manner
        .stream
        .then(|| Tail::new(&client.folder, (id, limit), 1, &both));
    let tick = (manner.stream || progress.is_shown()).then_some(TICK);
    loop {
        progress.draw(&store, id);
        let woken = waiting.next(&store, tick)?;
        if woken != Woken::Tick {
            progress.clear();
        }
        if let Some(tail) = &mut tail {
            tail.pump(store.read().run(id)?.attempts)?;
        }
        match woken {
            Woken::Tick => {}
            Woken::Ended(id) => match report(client, &store, id, manner)? {
                Some(code) => {
                    waiting.leave(store);
                    return Ok(code);
                }
                None => waiting.ask_again(id),
            },
            Woken::TimedOut => {
                if !manner.quiet {
                    out::note(&format!("run {id} has not ended yet, and goes on"));
                }
                return Ok(code::TIMEOUT);
            }
            Woken::Signal(SIGINT) if manner.own => {
                cancel::one(client, &mut store, id)?;
                if !manner.quiet {
                    out::note(&format!("run {id} canceled"));
                }
                return Ok(code::CANCELED);
            }
            Woken::Signal(signal) => {
                if !manner.quiet {
                    out::note(&format!(
                        "run {id} goes on; `retrier wait {id}` waits again"
                    ));
                }
                return Ok(code::of_signal(signal));
            }
        }
    }
}

/// Tells of run `id`, which has ended; `None` if it was retried by hand since then.
fn report(client: &Client, store: &Store, id: RunId, manner: Manner) -> anyhow::Result<Option<u8>> {
    let (record, attempts, cause) = look(store, id)?;
    if !record.run.state.is_final() {
        return Ok(None);
    }
    let last = attempts.last();
    if manner.json {
        out::line(&json::run(&record, &attempts, clock::now()).to_string())?;
    }
    if let State::Canceled { .. } = record.run.state {
        if !manner.quiet {
            out::note(&format!("run {id} was canceled"));
        }
        return Ok(Some(code::CANCELED));
    }
    let number = last.map_or(AttemptNumber(0), |last| last.number);
    if !manner.json && !manner.stream {
        let limit = record.run.policy.max_output;
        let output = |stream| client.folder.output(id, number, stream);
        out::file_to_stdout(&output(Stream::Stdout), limit)?;
        out::file_to_stderr(&output(Stream::Stderr), limit)?;
    }
    let outcome = last.and_then(|last| last.outcome.as_ref());
    let State::Failed { reason } = record.run.state else {
        return Ok(Some(outcome.map_or(code::RETRIER, Outcome::exit_code)));
    };
    if !manner.quiet {
        let how = how_it_failed(reason, outcome, attempts.len());
        let said = said(&record, outcome).map_or(String::new(), |said| format!(": {said}"));
        let by = cause.and_then(|cause| cause.why).map(|why| why.by);
        let rule = by.and_then(render::stopper);
        let rule = rule.map_or(String::new(), |rule| format!(" (stopped by {rule})"));
        let how = escape_text(&format!("{how}{said}{rule}"));
        out::note(&format!("run {id} failed {how}"));
    }
    // It may have passed between two attempts, or before the first.
    if reason == Reason::Deadline {
        return Ok(Some(code::TIMEOUT));
    }
    let code = outcome.map_or(code::RETRIER, Outcome::exit_code);
    // A failure must not look like a success: exit 0 can be none, and a run can be snoozed too often.
    Ok(Some(if code == code::DONE {
        code::FAILED
    } else {
        code
    }))
}

/// What the command has said of its failure, if that is more than how it ended.
fn said<'a>(record: &'a RunRecord, outcome: Option<&Outcome>) -> Option<&'a str> {
    match (&record.result, outcome) {
        (Some(RunResult::Failed { error, reason }), Some(outcome)) => {
            let is_more = *error != outcome.to_string() && error != reason.word();
            is_more.then_some(error)
        }
        (Some(RunResult::Failed { .. }), None)
        | (Some(RunResult::Success { .. } | RunResult::Canceled) | None, _) => None,
    }
}

/// How a run failed whose last attempt ended so.
fn how_it_failed(reason: Reason, outcome: Option<&Outcome>, attempts: usize) -> String {
    let words = outcome.map(render::outcome).unwrap_or_default();
    let times = match attempts {
        0 => return "at its deadline before its first attempt".to_owned(),
        1 => "attempt",
        _ => "attempts",
    };
    match (reason, outcome) {
        (Reason::Deadline, Some(Outcome::Deadline)) | (Reason::Exhausted | Reason::Stopped, _) => {
            format!("after {attempts} {times}: {words}")
        }
        (Reason::Deadline, _) => {
            format!("at its deadline after {attempts} {times}: {words}")
        }
    }
}
