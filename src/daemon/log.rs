//! The daemon's log: one line an event on stderr.

use std::fmt;
use std::io::{self, Write};

use serde_json::Value;
use tracing::Level;
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::time::FormatTime;

use crate::sys::terminal::takes_colour;
use crate::text::escape_printed;
use crate::{clock, json};

use super::log_file::Lines;

/// The variable that names the least level that is logged.
pub const LEVEL: &str = "RETRIER_LOG_LEVEL";

/// Writes `object` as a line of its own, whatever the level: it begins with `{`, as no event does.
pub fn object(object: &Value) {
    // A log that cannot be written is no reason to end, as for events.
    let _ = Lines.write_all(format!("{object}\n").as_bytes());
}

/// Stderr, with each event on one line of its own: what a command wrote into its decision, and is
/// complained of, can neither begin a line nor give a terminal an order.
struct OneLine;

impl Write for OneLine {
    fn write(&mut self, event: &[u8]) -> io::Result<usize> {
        let text = String::from_utf8_lossy(event);
        let line = escape_printed(text.trim_end_matches('\n')).replace('\n', "\\n");
        Lines.write_all(format!("{line}\n").as_bytes())?;
        Ok(event.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Lines.flush()
    }
}

struct Wall;

impl FormatTime for Wall {
    fn format_time(&self, to: &mut Writer<'_>) -> fmt::Result {
        let now = clock::now();
        match json::rfc3339(now) {
            Some(text) => to.write_str(&text),
            None => write!(to, "{}", now.millis()),
        }
    }
}

/// Logs events of at least the level that [`LEVEL`] names; a wrong name gives one warning and
/// INFO.
pub fn start() {
    let wanted = std::env::var_os(LEVEL);
    let level = wanted.as_ref().map_or(Some(Level::INFO), |name| {
        match name.to_str().map(str::to_ascii_uppercase).as_deref() {
            Some("" | "INFO") => Some(Level::INFO),
            Some("ERROR") => Some(Level::ERROR),
            Some("WARN") => Some(Level::WARN),
            Some("DEBUG") => Some(Level::DEBUG),
            Some(_) | None => None,
        }
    });
    let subscriber = tracing_subscriber::fmt()
        .with_writer(|| OneLine)
        .with_ansi(takes_colour(&std::io::stderr()))
        .with_target(false)
        .with_timer(Wall)
        .with_max_level(level.unwrap_or(Level::INFO))
        // It would be printed to stderr too, where the line could not be written: a panic.
        .log_internal_errors(false)
        .finish();
    // The only failure is that there is one already, and then that one logs.
    let _ = tracing::subscriber::set_global_default(subscriber);
    if level.is_none() {
        let name = wanted.unwrap_or_default();
        tracing::warn!("{LEVEL}={name:?} is not ERROR, WARN, INFO or DEBUG; logging INFO");
    }
}
