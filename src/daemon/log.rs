//! The log: one line an event. The daemon's, on stderr; and what a client does, if somebody wants to see
//! that.

mod format;

use std::env;
use std::ffi::OsString;
use std::fmt;
use std::fs::File;
use std::io::{self, Write};
use std::sync::{Mutex, OnceLock};

use serde_json::Value;
use tracing::Level;
use tracing_subscriber::fmt::format::{Writer, debug_fn};
use tracing_subscriber::fmt::time::FormatTime;
use tracing_subscriber::fmt::writer::BoxMakeWriter;

use crate::sys::terminal::takes_colour;
use crate::text::escape_printed;
use crate::{clock, json};

use super::log_file::Lines;

/// The variable that names the least level that is logged.
pub const LEVEL: &str = "RETRIER_LOG_LEVEL";

/// The variable that names the format where no option does.
const FORMAT: &str = "RETRIER_LOG_FORMAT";

/// How a line looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// Time, level, and a message in words.
    Text,
    /// A JSON object.
    Json,
}

/// The format that was chosen when the log was started.
static CHOSEN: OnceLock<Format> = OnceLock::new();

/// Is each line a JSON object?
pub fn is_json() -> bool {
    CHOSEN.get() == Some(&Format::Json)
}

/// Writes `object`, the statistics, as a line of its own, whatever the level: it begins with `{`, as no
/// event in text does. Where all do, it is a member of such an event.
pub fn object(object: &Value) {
    let line = if is_json() {
        let mut event = format::Members::new("INFO");
        event.put(format::MESSAGE, "statistics");
        event.put("stats", object.clone());
        event.to_string()
    } else {
        object.to_string()
    };
    // A log that cannot be written is no reason to end, as for events.
    let _ = Lines.write_all(format!("{line}\n").as_bytes());
}

/// A log with each event on one line of its own: what a command wrote into its decision, and is
/// complained of, can neither begin a line nor give a terminal an order.
struct OneLine<W>(W);

impl<W: Write> Write for OneLine<W> {
    fn write(&mut self, event: &[u8]) -> io::Result<usize> {
        let text = String::from_utf8_lossy(event);
        let line = escape_printed(text.trim_end_matches('\n')).replace('\n', "\\n");
        self.0.write_all(format!("{line}\n").as_bytes())?;
        Ok(event.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
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

/// Is a level named, so that a client is to say what it does?
pub fn is_wanted() -> bool {
    env::var_os(LEVEL).is_some_and(|level| !level.is_empty())
}

/// Logs events of at least the level that [`LEVEL`] names, in this format or else in that which
/// `RETRIER_LOG_FORMAT` names, to stderr or into a file. A wrong name gives one warning, and INFO, or text.
pub fn start(format: Option<Format>, file: Option<File>) {
    let (level, wrong_level) = named(LEVEL, Level::INFO, |name| match name {
        "INFO" => Some(Level::INFO),
        "ERROR" => Some(Level::ERROR),
        "WARN" => Some(Level::WARN),
        "DEBUG" => Some(Level::DEBUG),
        _ => None,
    });
    let (by_name, wrong_format) = named(FORMAT, Format::Text, |name| match name {
        "TEXT" => Some(Format::Text),
        "JSON" => Some(Format::Json),
        _ => None,
    });
    let format = *CHOSEN.get_or_init(|| format.unwrap_or(by_name));
    let colour = file.is_none() && takes_colour(&io::stderr());
    let builder = tracing_subscriber::fmt()
        .with_writer(match file {
            Some(file) => BoxMakeWriter::new(Mutex::new(OneLine(file))),
            None => BoxMakeWriter::new(|| OneLine(Lines)),
        })
        .with_max_level(level)
        // It would be printed to stderr too, where the line could not be written: a panic.
        .log_internal_errors(false);
    // The only failure is that there is one already, and then that one logs.
    let _ = match format {
        Format::Json => {
            let subscriber = builder.event_format(format::Json).finish();
            tracing::subscriber::set_global_default(subscriber)
        }
        Format::Text => {
            let message = debug_fn(|to, field, value| match field.name() {
                format::MESSAGE => write!(to, "{value:?}"),
                _ => Ok(()),
            });
            let builder = builder.with_ansi(colour).with_target(false);
            let subscriber = builder.with_timer(Wall).fmt_fields(message).finish();
            tracing::subscriber::set_global_default(subscriber)
        }
    };
    if let Some(name) = wrong_level {
        tracing::warn!("{LEVEL}={name:?} is not ERROR, WARN, INFO or DEBUG; logging INFO");
    }
    if let Some(name) = wrong_format {
        tracing::warn!("{FORMAT}={name:?} is not text or json; logging text");
    }
}

/// What the value of `variable` is the name of, in capitals; not set or empty it is `default`. With it the
/// value, if it is wrong.
fn named<T>(variable: &str, default: T, of: impl Fn(&str) -> Option<T>) -> (T, Option<OsString>) {
    let Some(value) = env::var_os(variable).filter(|value| !value.is_empty()) else {
        return (default, None);
    };
    let name = value.to_str().map(str::to_ascii_uppercase);
    match name.and_then(|name| of(&name)) {
        Some(found) => (found, None),
        None => (default, Some(value)),
    }
}
