//! Waiting for several runs: those that `wait` names, or those of a batch.

use std::io::{self, IsTerminal};

use crate::clock;
use crate::json;
use crate::model::{RunId, RunRecord, RunResult, State, Timestamp};
use crate::store::{Among, Store, StoreError};
use crate::sys::signal::SIGINT;
use crate::text::escape_text;

use super::client::Client;
use super::failure::code;
use super::many::{STEP_MAX, counted};
use super::progress::{Count, Progress, TICK};
use super::render::Style;
use super::wait::Manner;
use super::waiting::{Waiting, Woken};
use super::{cancel, out, render};

/// So many characters are told of why a run of a batch did not succeed: all of them are named, and
/// there may be very many.
const WHY_MAX: usize = 100;

/// What is told is written when it has so many bytes, or when there is nothing more to tell yet.
const SAID_MAX: usize = 64 * 1024;

/// What is told of an ending.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Telling {
    /// A line with its state.
    Line,
    /// The run as an object.
    Json,
    /// Nothing.
    Nothing,
}

/// Somebody who waits for several runs.
struct Crowd<'c> {
    client: &'c Client,
    store: Store,
    waiting: Waiting<'c>,
    progress: Progress,
    quiet: bool,
    telling: Telling,
    /// Whether those that did not succeed are named at the end.
    names: bool,
    count: Count,
    /// What is to be told, once it is on stable storage.
    said: String,
    /// A line for each that did not succeed, if they are named at the end.
    failures: String,
}

/// Waits for runs; prints a line for each as it ends.
pub fn several(client: &Client, ids: &[RunId], manner: Manner) -> anyhow::Result<u8> {
    let Some(store) = client.existing()? else {
        for id in ids {
            out::failure(client.no_run(*id).into());
        }
        return Ok(code::FAILED);
    };
    let telling = if manner.json {
        Telling::Json
    } else {
        Telling::Line
    };
    Crowd::new(client, store, ids, manner, telling)?.gather(&[])
}

/// Waits for the runs of a batch, of which this call has stored those that are its `own`: Ctrl-C
/// cancels these.
pub fn batch(
    client: &Client,
    store: Store,
    ids: &[RunId],
    own: &[RunId],
    manner: Manner,
) -> anyhow::Result<u8> {
    let telling = if manner.json {
        Telling::Json
    } else {
        Telling::Nothing
    };
    let mut crowd = Crowd::new(client, store, ids, manner, telling)?;
    crowd.names = !manner.quiet;
    crowd.gather(own)
}

impl<'c> Crowd<'c> {
    fn new(
        client: &'c Client,
        store: Store,
        ids: &[RunId],
        manner: Manner,
        telling: Telling,
    ) -> anyhow::Result<Self> {
        let runs = ids.iter().copied();
        let waiting = Waiting::new(client, runs, manner.timeout, manner.start)?;
        Ok(Self {
            progress: Progress::of_many(waiting.pending().len(), manner.quiet),
            client,
            store,
            waiting,
            quiet: manner.quiet,
            telling,
            names: false,
            count: Count::default(),
            said: String::new(),
            failures: String::new(),
        })
    }

    fn gather(mut self, own: &[RunId]) -> anyhow::Result<u8> {
        let tick = self.progress.is_shown().then_some(TICK);
        loop {
            while let Some(id) = self.waiting.ended(&self.store)? {
                self.hear_of(id)?;
            }
            self.say()?;
            if self.waiting.pending().is_empty() {
                break;
            }
            self.draw()?;
            match self.waiting.next(&self.store, tick)? {
                Woken::Tick | Woken::Changed => {}
                Woken::Ended(id) => self.hear_of(id)?,
                Woken::TimedOut => {
                    self.leave("");
                    return Ok(code::TIMEOUT);
                }
                Woken::Signal(SIGINT) if !own.is_empty() => {
                    self.cancel(own)?;
                    return Ok(code::CANCELED);
                }
                Woken::Signal(signal) => {
                    self.leave("; `retrier wait ID...` waits again");
                    return Ok(code::of_signal(signal));
                }
            }
        }
        self.progress.clear();
        // The exit code tells of the endings as well.
        self.store.sync()?;
        name_failures(&self.failures);
        Ok(if self.count.failed == 0 {
            code::DONE
        } else {
            code::FAILED
        })
    }

    /// Run `id` has ended, or was retried by hand since then.
    fn hear_of(&mut self, id: RunId) -> anyhow::Result<()> {
        let looked = match self.telling {
            Telling::Json => self.store.at_once(|read| read.page(id)),
            Telling::Line | Telling::Nothing => {
                self.store.read().record(id).map(|one| (one, Vec::new()))
            }
        };
        let now = clock::now();
        match looked {
            Ok((record, attempts)) => {
                if !record.run.state.is_final() {
                    self.waiting.ask_again(id);
                    return Ok(());
                }
                match self.telling {
                    Telling::Json => {
                        self.said += &json::run(&record, &attempts, now).to_string();
                        self.said.push('\n');
                    }
                    Telling::Line => self.said += &line(&record, now),
                    Telling::Nothing => {}
                }
                self.progress.look_again();
                self.settle(id, why(&record));
            }
            Err(error @ StoreError::NoRun { .. }) => {
                if !self.names {
                    self.progress.aside(|| out::failure(error.into()));
                }
                self.settle(id, Some("is not stored any more".to_owned()));
            }
            Err(error) => return Err(error.into()),
        }
        if self.said.len() > SAID_MAX {
            self.say()?;
        }
        Ok(())
    }

    fn settle(&mut self, id: RunId, failed: Option<String>) {
        self.waiting.forget(id);
        self.count.done += 1;
        if let Some(why) = failed {
            self.count.failed += 1;
            if self.names {
                let why = render::cut(&why, WHY_MAX, false);
                self.failures += &format!("run {id} {why}\n");
            }
        }
    }

    /// Writes what is to be told, which may have been committed a moment ago. Those that failed are
    /// named above the bar, if there is one, else at the end.
    fn say(&mut self) -> anyhow::Result<()> {
        let names_now = self.progress.is_shown() && !self.failures.is_empty();
        if self.said.is_empty() && !names_now {
            return Ok(());
        }
        self.store.sync()?;
        let said = std::mem::take(&mut self.said);
        self.progress.aside(|| {
            if names_now {
                name_failures(&std::mem::take(&mut self.failures));
            }
            out::text(&said).map(drop)
        })
    }

    fn draw(&mut self) -> anyhow::Result<()> {
        let (store, pending) = (&self.store, self.waiting.pending());
        let running = || {
            let running = store.read().running()?;
            Ok::<_, StoreError>(running.iter().filter(|id| pending.contains(id)).count())
        };
        Ok(self.progress.draw_many(&mut self.count, running)?)
    }

    /// Waits no longer.
    fn leave(&self, hint: &str) {
        self.progress.clear();
        if !self.quiet {
            let pending = self.waiting.pending().len();
            let left = counted(pending, "has", "have");
            let go = if pending > 1 { "go" } else { "goes" };
            out::note(&format!("{left} not ended yet, and {go} on{hint}"));
        }
    }

    /// Cancels what is left of these runs, durably.
    fn cancel(&mut self, own: &[RunId]) -> anyhow::Result<()> {
        self.progress.clear();
        let pending = self.waiting.pending();
        let own: Vec<RunId> = own
            .iter()
            .copied()
            .filter(|id| pending.contains(id))
            .collect();
        let mut canceled = 0;
        let mut needs_daemon = None;
        for some in own.chunks(STEP_MAX) {
            let done = cancel::some(self.client, &mut self.store, &Among::default(), some)?;
            canceled += done.canceled;
            // Rung only if it was for each of them.
            needs_daemon = match (needs_daemon, done.needs_daemon) {
                (Some(before), Some(now)) => Some(before && now),
                (before, now) => before.or(now),
            };
        }
        if let Some(rung) = needs_daemon {
            self.client.ensure_daemon(rung)?;
        }
        if !self.quiet {
            out::note(&format!("{} canceled", counted(canceled, "was", "were")));
        }
        Ok(())
    }
}

fn name_failures(lines: &str) {
    for line in lines.lines() {
        out::note(line);
    }
}

/// The id and the state of a run that has ended; for somebody who looks, in colour and with the why.
fn line(record: &RunRecord, now: Timestamp) -> String {
    let status = record.run.state.status(now);
    let told = why(record).filter(|_| io::stdout().is_terminal());
    let word = Style::of_stdout().status(status);
    let why = told.as_deref().and_then(|why| why.strip_prefix("failed"));
    let why = render::cut(why.unwrap_or_default(), WHY_MAX, false);
    format!("{} {word}{why}\n", record.id)
}

/// Why a run that has ended did not succeed, in short.
fn why(record: &RunRecord) -> Option<String> {
    match (&record.run.state, &record.result) {
        (State::Succeeded, _) => None,
        (State::Canceled { .. }, _) => Some("was canceled".to_owned()),
        (_, Some(RunResult::Failed { error, .. })) => {
            Some(format!("failed: {}", escape_text(error)))
        }
        (_, _) => Some("failed".to_owned()),
    }
}
