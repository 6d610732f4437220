//! How a line of the log looks: text for people, or one JSON object for programs.
//!
//! Events carry what programs look for as fields (`run`, `attempt`) beside a message that says it in
//! words. Text shows the message alone.

use std::fmt;

use serde_json::{Map, Value, json};
use tracing::field::{Field, Visit};
use tracing::{Event, Subscriber};
use tracing_subscriber::fmt::FmtContext;
use tracing_subscriber::fmt::FormatFields;
use tracing_subscriber::fmt::format::{FormatEvent, Writer};
use tracing_subscriber::registry::LookupSpan;

use crate::clock;
use crate::json::rfc3339;

/// The field that says it in words.
pub const MESSAGE: &str = "message";

/// The object of an event that says nothing yet: when it is told, and its level.
pub fn frame(level: &str) -> Map<String, Value> {
    let now = clock::now();
    let time = rfc3339(now).map_or(json!(now.millis()), Value::from);
    let members = [("time", time), ("level", json!(level))];
    members
        .map(|(key, value)| (key.to_owned(), value))
        .into_iter()
        .collect()
}

/// One JSON object a line: `time`, `level`, `message`, and the fields of the event.
pub struct Json;

impl<S, N> FormatEvent<S, N> for Json
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        _context: &FmtContext<'_, S, N>,
        mut to: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let mut members = Members(frame(event.metadata().level().as_str()));
        event.record(&mut members);
        writeln!(to, "{}", Value::Object(members.0))
    }
}

struct Members(Map<String, Value>);

impl Members {
    fn put(&mut self, field: &Field, value: impl Into<Value>) {
        self.0.insert(field.name().to_owned(), value.into());
    }
}

impl Visit for Members {
    fn record_i64(&mut self, field: &Field, value: i64) {
        self.put(field, value);
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.put(field, value);
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.put(field, value);
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.put(field, value);
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.put(field, format!("{value:?}"));
    }
}
