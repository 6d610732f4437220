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
use super::excerpt::Excerpt;
use super::failure::{Failure, code};
use super::follow::{Follower, ended};
use super::progress::{Progress, TICK};
use super::render::Style;
use super::several::several;
use super::status::{Looked, look, moment, paged};
use super::tail::Tail;
use super::waiting::{Waiting, Woken};
use super::{cancel, many, out, render};

/// So many lines of each stream are mailed.
const MAILED_MAX: usize = 50;

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
    /// Whether nothing is printed of a run that succeeds, and everything of one that does not.
    pub mail: bool,
}

impl Manner {
    /// Does it keep what happens meanwhile to itself?
    fn is_silent(self) -> bool {
        self.quiet || self.mail
    }
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
        mail: false,
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

/// Somebody who waits for one run.
struct Waiter {
    progress: Progress,
    follower: Follower,
}

/// Waits for run `id`; prints its last output and gives its exit code.
pub fn one(client: &Client, id: RunId, manner: Manner) -> anyhow::Result<u8> {
    let mut store = client.holding(id)?;
    // What is read when it has ended is prepared while it runs.
    let (record, _, _) = moment(&store, id)?;
    let mut waiting = Waiting::new(client, [id], manner.timeout, manner.start)?;
    if !manner.is_silent() && !record.run.state.is_final() {
        client.note_unserved(manner.start);
    }
    let mut waiter = Waiter::new(client, &record, manner);
    if waiter.follower.tells || waiter.progress.is_shown() {
        waiting.watch(id);
    }
    let tick = (manner.stream || waiter.progress.is_shown()).then_some(TICK);
    loop {
        waiter.progress.draw(&store, id);
        let woken = waiting.next(&store, tick)?;
        if !matches!(woken, Woken::Tick | Woken::Changed) {
            waiter.progress.clear();
        }
        if matches!(woken, Woken::Changed | Woken::Ended(_)) || manner.stream {
            waiter.follow(&store)?;
        }
        match woken {
            Woken::Tick | Woken::Changed => {}
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
                    let run = store.read().run(id)?;
                    let grace = render::span(run.policy.grace);
                    let rest = match run.state.open_attempt() {
                        Some(_) => format!("; its attempt is being ended, within {grace}"),
                        None => String::new(),
                    };
                    out::note(&format!("run {id} canceled{rest}"));
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

impl Waiter {
    fn new(client: &Client, record: &RunRecord, manner: Manner) -> Self {
        let (id, run) = (record.id, &record.run);
        let both = [
            (Stream::Stdout, Stream::Stdout),
            (Stream::Stderr, Stream::Stderr),
        ];
        let tail = || Tail::new(&client.folder, (id, run.policy.max_output), 1, &both);
        let progress = Progress::new(manner.is_silent() || manner.stream);
        let follower = Follower {
            id,
            // Who sees the live line needs no others.
            tells: !manner.is_silent() && !progress.is_shown(),
            tail: manner.stream.then(tail),
            // Of a run of its own it tells all, also what has happened by now, and so it does between the
            // outputs of all attempts.
            told_to: if manner.own || manner.stream {
                0
            } else {
                ended(run)
            },
        };
        Self { progress, follower }
    }

    fn follow(&mut self, store: &Store) -> anyhow::Result<()> {
        self.progress.look_again();
        self.follower.follow(store)
    }
}

/// Tells of run `id`, which has ended; `None` if it was retried by hand since then.
fn report(client: &Client, store: &Store, id: RunId, manner: Manner) -> anyhow::Result<Option<u8>> {
    let looked = look(store, id)?;
    let (record, attempts, _) = &looked;
    if !record.run.state.is_final() {
        return Ok(None);
    }
    if manner.mail {
        return mail(client, store, &looked).map(Some);
    }
    let last = attempts.last();
    if manner.json {
        out::line(&json::run(record, attempts, clock::now()).to_string())?;
    }
    let note = || {
        if !manner.quiet {
            out::note(&ending(&looked));
        }
    };
    if let State::Canceled { .. } = record.run.state {
        note();
        return Ok(Some(code::CANCELED));
    }
    let number = last.map_or(AttemptNumber(0), |last| last.number);
    if !manner.json && !manner.stream {
        let limit = record.run.policy.max_output;
        let output = |stream| client.folder.output(id, number, stream);
        out::file_to_stdout(&output(Stream::Stdout), limit, None)?;
        out::file_to_stderr(&output(Stream::Stderr), limit, None)?;
    }
    let outcome = last.and_then(|last| last.outcome.as_ref());
    let State::Failed { reason } = record.run.state else {
        return Ok(Some(outcome.map_or(code::RETRIER, Outcome::exit_code)));
    };
    note();
    Ok(Some(code_of_failure(reason, outcome)))
}

/// The exit code of a run that failed and whose last attempt ended so.
fn code_of_failure(reason: Reason, outcome: Option<&Outcome>) -> u8 {
    // It may have passed between two attempts, or before the first.
    if reason == Reason::Deadline {
        return code::TIMEOUT;
    }
    match outcome.map_or(code::RETRIER, Outcome::exit_code) {
        // A failure must not look like a success: exit 0 can be none, and a run can be snoozed too often.
        code::DONE => code::FAILED,
        code => code,
    }
}

/// Prints nothing of a run that has succeeded; of any other all that a mail should hold, on stderr.
fn mail(client: &Client, store: &Store, looked: &Looked) -> anyhow::Result<u8> {
    let (record, attempts, _) = looked;
    let last = attempts.last();
    let outcome = last.and_then(|last| last.outcome.as_ref());
    let code = match record.run.state {
        State::Failed { reason } => code_of_failure(reason, outcome),
        State::Canceled { .. } => code::CANCELED,
        _ => return Ok(code::DONE),
    };
    let streams = [Stream::Stdout, Stream::Stderr].into_iter();
    let excerpts = streams.filter_map(|stream| {
        let attempt = (record.id, last?.number);
        Excerpt::of(&client.folder, attempt, stream, MAILED_MAX)
    });
    let excerpts: Vec<Excerpt> = excerpts.collect();
    let at = (clock::now(), &client.service());
    let page = paged(store, looked, at, &excerpts, Style::plain())?;
    out::to_stderr(&page);
    Ok(code)
}

/// How a run ended, in a line that names it.
pub fn ending((record, attempts, cause): &Looked) -> String {
    let id = record.id;
    let reason = match record.run.state {
        State::Failed { reason } => reason,
        State::Canceled { .. } => return format!("run {id} was canceled"),
        State::Succeeded => return format!("run {id} succeeded"),
        State::Held | State::Waiting { .. } | State::Running { .. } => {
            return format!("run {id} goes on");
        }
    };
    let outcome = attempts.last().and_then(|last| last.outcome.as_ref());
    let how = how_it_failed(reason, outcome, attempts.len());
    let said = said(record, outcome).map_or(String::new(), |said| format!(": {said}"));
    let by = cause.as_ref().and_then(|cause| cause.why).map(|why| why.by);
    let rule = by.and_then(render::stopper);
    let rule = rule.map_or(String::new(), |rule| format!(" (stopped by {rule})"));
    let how = escape_text(&format!("{how}{said}{rule}"));
    format!("run {id} failed {how}")
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
