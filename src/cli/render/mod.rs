//! Runs for people: the only code that formats text about them.

mod events;
mod findings;
mod page;
mod plan;
mod pools;
mod stats;
mod table;
mod why;
mod words;

use std::io;

use crate::model::Status;
use crate::sys::terminal::takes_colour;

pub use events::events;
pub use findings::findings;
pub use page::page;
pub use plan::{plan_lines, plan_page};
pub use pools::{PoolRow, pools, settings};
pub use stats::stats_page;
pub use table::{cut, table};
pub use why::{Case, hold_words, stopper, why};
pub use words::{clock_time, command, outcome, span};

/// How a page looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Style {
    /// Whether stdout takes colour.
    pub colour: bool,
}

impl Style {
    /// The style of stdout.
    pub fn of_stdout() -> Self {
        Self {
            colour: takes_colour(&io::stdout()),
        }
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

    /// The text in the colour of this number (ECMA-48, SGR).
    pub fn painted(self, code: &str, text: &str) -> String {
        if self.colour {
            format!("\x1b[{code}m{text}\x1b[0m")
        } else {
            text.to_owned()
        }
    }
}
