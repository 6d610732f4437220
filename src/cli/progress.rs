//! One live line on stderr while somebody waits at a terminal.

use std::io::{self, IsTerminal};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};

use crate::clock;
use crate::model::{RunId, State};
use crate::store::Store;

use super::render::span;

/// How often the line is drawn.
pub const TICK: Duration = Duration::from_millis(100);

/// The line; nothing is drawn without a terminal.
#[derive(Debug)]
pub struct Progress {
    bar: Option<ProgressBar>,
}

/// How far many runs are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Count {
    /// Ended, however.
    pub done: usize,
    /// An attempt runs.
    pub running: usize,
    /// Ended, and did not succeed.
    pub failed: usize,
}

impl Progress {
    /// A line for one run on stderr, unless `quiet`.
    pub fn new(quiet: bool) -> Self {
        let line = || styled(ProgressBar::new_spinner(), "{spinner} {msg} ({elapsed})");
        Self {
            bar: is_shown(quiet).then(line),
        }
    }

    /// A bar for so many runs on stderr, unless `quiet`.
    pub fn of_many(runs: usize, quiet: bool) -> Self {
        let bar = || styled(ProgressBar::new(runs as u64), "[{bar:20}] {msg}");
        Self {
            bar: is_shown(quiet).then(bar),
        }
    }

    /// Is there a line to be kept alive?
    pub fn is_shown(&self) -> bool {
        self.bar.is_some()
    }

    /// Draws the state of the run that is waited for.
    pub fn draw(&self, store: &Store, run: RunId) {
        let Some(bar) = &self.bar else {
            return;
        };
        if let Some(text) = one(store, run) {
            bar.set_message(text);
        }
        bar.tick();
    }

    /// Draws how far the runs are.
    pub fn draw_many(&self, count: Count) {
        let Some(bar) = &self.bar else {
            return;
        };
        bar.set_position(count.done as u64);
        let rate = bar.per_sec();
        let speed = if count.done > 0 && rate > 0.0 {
            format!(", {rate:.1}/s, ETA {}", span(whole_seconds(bar.eta())))
        } else {
            String::new()
        };
        let Count {
            done,
            running,
            failed,
        } = count;
        let total = bar.length().unwrap_or_default();
        bar.set_message(format!(
            "{done}/{total} done, {running} running, {failed} failed{speed}"
        ));
        bar.tick();
    }

    /// Takes the line away while `act` prints.
    pub fn aside<T>(&self, act: impl FnOnce() -> T) -> T {
        match &self.bar {
            Some(bar) => bar.suspend(act),
            None => act(),
        }
    }

    /// Takes the line away for good.
    pub fn clear(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

fn is_shown(quiet: bool) -> bool {
    let dumb = std::env::var_os("TERM").is_none_or(|term| term == "dumb");
    !quiet && !dumb && io::stderr().is_terminal()
}

fn styled(bar: ProgressBar, template: &str) -> ProgressBar {
    let style = ProgressStyle::with_template(template);
    let style = style.unwrap_or_else(|_| ProgressStyle::default_bar());
    bar.with_style(style.tick_chars("|/-\\ ").progress_chars("=> "))
}

/// What is only estimated is not told to the millisecond.
fn whole_seconds(duration: Duration) -> Duration {
    Duration::from_secs(duration.as_secs_f64().ceil() as u64)
}

fn one(store: &Store, id: RunId) -> Option<String> {
    let run = store.read().run(id).ok()?;
    let now = clock::now();
    let max = run
        .max_attempts()
        .map_or(String::new(), |max| format!("/{max}"));
    let next = run.attempts + 1;
    Some(match &run.state {
        State::Waiting { due, .. } if *due > now => {
            format!("run {id}: attempt {next}{max} in {}", span(due.since(now)))
        }
        State::Waiting { .. } | State::Held => format!("run {id}: attempt {next}{max} is queued"),
        State::Running { attempt } => format!("run {id}: attempt {attempt}{max} runs"),
        State::Succeeded | State::Failed { .. } | State::Canceled { .. } => {
            format!("run {id}: {}", run.state.status(now).word())
        }
    })
}
