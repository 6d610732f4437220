//! One live line on stderr while somebody waits at a terminal. It is drawn from what is known; the
//! database is looked into when that may have changed, and seldom otherwise.

use std::io;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};

use crate::clock;
use crate::model::{RunId, State};
use crate::store::Store;
use crate::sys::terminal::{can_redraw, columns, is_utf8};

use super::render::{Known, bar_line, cut, live_line};

/// How often the line is drawn.
pub const TICK: Duration = Duration::from_millis(100);

/// What stands still is looked up this often.
const LOOK_MAX: Duration = Duration::from_secs(1);

/// The line; nothing is drawn without a terminal.
#[derive(Debug)]
pub struct Progress {
    bar: Option<ProgressBar>,
    unicode: bool,
    known: Option<Known>,
    began_at: Instant,
    looked_at: Instant,
    changed_at: Instant,
    is_stale: bool,
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
        Self::with(quiet, |unicode| {
            let ticks = if unicode {
                "⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏ "
            } else {
                "|/-\\ "
            };
            let style = style("{spinner} {msg}").tick_chars(ticks);
            ProgressBar::new_spinner().with_style(style)
        })
    }

    /// A bar for so many runs on stderr, unless `quiet`.
    pub fn of_many(runs: usize, quiet: bool) -> Self {
        Self::with(quiet, |unicode| {
            let marks = if unicode { "━╸─" } else { "=> " };
            let style = style("[{bar:20}] {msg}").progress_chars(marks);
            ProgressBar::new(runs as u64).with_style(style)
        })
    }

    fn with(quiet: bool, bar: impl FnOnce(bool) -> ProgressBar) -> Self {
        let (now, unicode) = (clock::monotonic(), is_utf8());
        Self {
            bar: (!quiet && can_redraw(&io::stderr())).then(|| bar(unicode)),
            unicode,
            known: None,
            began_at: now,
            looked_at: now,
            changed_at: now,
            is_stale: true,
        }
    }

    /// Is there a line to be kept alive?
    pub fn is_shown(&self) -> bool {
        self.bar.is_some()
    }

    /// What is known may not be true any more.
    pub fn look_again(&mut self) {
        self.is_stale = true;
    }

    /// Draws the state of the run that is waited for.
    pub fn draw(&mut self, store: &Store, run: RunId) {
        if self.bar.is_none() {
            return;
        }
        if self.is_time() {
            self.look(store, run);
        }
        let waited = clock::monotonic().saturating_duration_since(self.began_at);
        if let (Some(bar), Some(known)) = (&self.bar, &self.known) {
            let line = live_line(known, clock::now(), waited, self.unicode);
            bar.set_message(fitting(&line, 2, self.unicode));
            bar.tick();
        }
    }

    /// Is it time to look into the database? A run that changes often is looked at often.
    fn is_time(&self) -> bool {
        let now = clock::monotonic();
        let stood = self.looked_at.saturating_duration_since(self.changed_at);
        let pause = (stood / 10).clamp(TICK, LOOK_MAX);
        let waits = self.known.as_ref().map(|known| &known.run.state);
        // It has become due since then, and will be claimed now.
        let is_due = match waits {
            Some(State::Waiting { due, .. }) => {
                let wall = clock::now();
                let looked = now.saturating_duration_since(self.looked_at);
                *due <= wall && *due > wall.minus(looked)
            }
            Some(_) | None => false,
        };
        self.is_stale || is_due || now.saturating_duration_since(self.looked_at) >= pause
    }

    fn look(&mut self, store: &Store, id: RunId) {
        let found = store.at_once(|read| {
            let run = read.run(id)?;
            let last = read.last_attempts(id, 2)?;
            Ok(Known { id, run, last })
        });
        self.looked_at = clock::monotonic();
        self.is_stale = false;
        // What cannot be read now is told by whoever waits.
        if let Ok(found) = found
            && self.known.as_ref() != Some(&found)
        {
            self.known = Some(found);
            self.changed_at = self.looked_at;
        }
    }

    /// Draws how far the runs are; `running` counts those that run, which is asked seldom.
    pub fn draw_many<E>(
        &mut self,
        count: &mut Count,
        running: impl FnOnce() -> Result<usize, E>,
    ) -> Result<(), E> {
        let Some(bar) = &self.bar else {
            return Ok(());
        };
        let now = clock::monotonic();
        if self.is_stale || now.saturating_duration_since(self.looked_at) >= LOOK_MAX {
            count.running = running()?;
            self.looked_at = now;
            self.is_stale = false;
        }
        bar.set_position(count.done as u64);
        let rate = bar.per_sec();
        let speed = (count.done > 0 && rate > 0.0).then(|| (rate, bar.eta()));
        let total = bar.length().unwrap_or_default();
        let line = bar_line(*count, total, speed, self.unicode);
        bar.set_message(fitting(&line, 23, self.unicode));
        bar.tick();
        Ok(())
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

/// As much of `line`, behind so many columns, as fits the terminal, with room for the `^C` that it shows itself:
/// at the edge that would go to a line of its own, and this one would stay.
fn fitting(line: &str, taken: usize, unicode: bool) -> String {
    let all = columns().unwrap_or(80);
    cut(line, all.saturating_sub(taken + 3).max(10), unicode)
}

fn style(template: &str) -> ProgressStyle {
    let style = ProgressStyle::with_template(template);
    style.unwrap_or_else(|_| ProgressStyle::default_bar())
}
