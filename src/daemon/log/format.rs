//! How a line of the log looks: text for people, or one JSON object for programs.
//!
//! Events carry what programs look for as fields (`run`, `attempt`) beside a message that says it in
//! words. Text shows the message alone.

use std::fmt;

use serde_json::{Value, json};
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

/// The members of an object, in the order in which people want to read them.
pub struct Members(Vec<(&'static str, Value)>);

impl Members {
    /// Those of an event of `level` that says nothing yet: when it is told, and its level.
    pub fn new(level: &'static str) -> Self {
        let now = clock::now();
        let time = rfc3339(now).map_or(json!(now.millis()), Value::from);
        Self(vec![("time", time), ("level", json!(level))])
    }

    /// Adds one.
    pub fn put(&mut self, name: &'static str, value: impl Into<Value>) {
        self.0.push((name, value.into()));
    }
}

impl fmt::Display for Members {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut before = '{';
        for (name, value) in &self.0 {
            write!(to, "{before}\"{name}\":{value}")?;
            before = ',';
        }
        to.write_str("}")
    }
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
        let mut members = Members::new(event.metadata().level().as_str());
        event.record(&mut members);
        writeln!(to, "{members}")
    }
}

impl Visit for Members {
    fn record_i64(&mut self, field: &Field, value: i64) {
        self.put(field.name(), value);
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.put(field.name(), value);
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.put(field.name(), value);
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.put(field.name(), value);
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.put(field.name(), format!("{value:?}"));
    }
}
