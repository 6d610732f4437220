//! Runs for people: the only code that formats text about them.

mod attempts;
mod events;
mod findings;
mod fit;
mod live;
mod next;
mod page;
mod plan;
mod pools;
mod stats;
mod table;
mod why;
mod words;

use std::io::{self, IsTerminal};

use crate::model::Status;
use crate::sys::terminal::{columns, is_utf8, takes_colour};

pub use events::events;
pub use findings::findings;
pub use fit::{cut, wrapped};
pub use live::{Known, bar_line, failed_attempt, live_line};
pub use page::page;
pub use plan::{plan_lines, plan_page};
pub use pools::{PoolRow, pools, settings};
pub use stats::stats_page;
pub use table::{lines, table};
pub use why::{Case, hold_words, stopper, why};
pub use words::{clock_time, command, outcome, short_time, span};

/// How a page looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Style {
    /// Whether stdout takes colour.
    pub colour: bool,
    /// Whether it shows more than ASCII.
    pub unicode: bool,
    /// How wide the terminal is; a file or a pipe has no width.
    pub columns: Option<usize>,
}

impl Style {
    /// The style of stdout.
    pub fn of_stdout() -> Self {
        let terminal = io::stdout().is_terminal();
        Self {
            colour: takes_colour(&io::stdout()),
            unicode: terminal && is_utf8(),
            columns: terminal.then(|| columns().unwrap_or(80).max(fit::COLUMNS_MIN)),
        }
    }

    /// The style of what is mailed: nothing but the text.
    pub fn plain() -> Self {
        Self {
            colour: false,
            unicode: false,
            columns: None,
        }
    }

    /// What stands where something was left out.
    pub fn ellipsis(self) -> &'static str {
        if self.unicode { "…" } else { "..." }
    }

    /// The word for `status`, in its colour.
    pub fn status(self, status: Status) -> String {
        let code = match status {
            Status::Succeeded => "32",
            Status::Failed => "31",
            Status::Running => "36",
            Status::Canceled => "35",
            Status::Scheduled | Status::Queued => "33",
        };
        self.painted(code, status.word())
    }

    /// The text as what matters less.
    pub fn faint(self, text: &str) -> String {
        self.painted("2", text)
    }

    /// The text as a heading.
    pub fn bold(self, text: &str) -> String {
        self.painted("1", text)
    }

    /// The text in the colour of this number (ECMA-48, SGR).
    pub fn painted(self, code: &str, text: &str) -> String {
        if self.colour {
            format!("\x1b[{code}m{text}\x1b[0m")
        } else {
            text.to_owned()
        }
    }
}
