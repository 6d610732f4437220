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

impl Progress {
    /// A line on stderr, unless `quiet`.
    pub fn new(quiet: bool) -> Self {
        let dumb = std::env::var_os("TERM").is_none_or(|term| term == "dumb");
        let shown = !quiet && !dumb && io::stderr().is_terminal();
        Self {
            bar: shown.then(|| {
                let style = ProgressStyle::with_template("{spinner} {msg} ({elapsed})");
                let style = style.unwrap_or_else(|_| ProgressStyle::default_spinner());
                ProgressBar::new_spinner().with_style(style.tick_chars("|/-\\ "))
            }),
        }
    }

    /// Is there a line to be kept alive?
    pub fn is_shown(&self) -> bool {
        self.bar.is_some()
    }

    /// Draws the state of the runs that are waited for.
    pub fn draw(&self, store: &Store, pending: &[RunId]) {
        let Some(bar) = &self.bar else {
            return;
        };
        let text = match pending {
            [id] => one(store, *id),
            many => Some(format!("waiting for {} runs", many.len())),
        };
        if let Some(text) = text {
            bar.set_message(text);
        }
        bar.tick();
    }

    /// Takes the line away.
    pub fn clear(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
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
