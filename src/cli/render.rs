//! Runs for people: the only code that formats text about them.

use std::fmt::Write;
use std::io::{self, IsTerminal};
use std::time::Duration;

use crate::model::{Outcome, Reason, RunId, RunResult, State, Status, Timestamp};
use crate::store::{AttemptRecord, RunRecord};

use super::out::escape_text;

/// How a page looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Style {
    /// Whether stdout takes colour.
    pub colour: bool,
}

impl Style {
    /// The style of stdout: no colour without a terminal, with NO_COLOR, or when it is dumb.
    pub fn of_stdout() -> Self {
        let set = |name: &str| std::env::var_os(name).is_some_and(|value| !value.is_empty());
        let dumb = std::env::var_os("TERM").is_some_and(|term| term == "dumb");
        Self {
            colour: io::stdout().is_terminal() && !set("NO_COLOR") && !dumb,
        }
    }

    fn status(self, status: Status) -> String {
        let code = match status {
            Status::Succeeded => "32",
            Status::Failed => "31",
            Status::Running => "36",
            Status::Canceled => "35",
            Status::Scheduled | Status::Queued => "33",
        };
        if self.colour {
            format!("\x1b[{code}m{}\x1b[0m", status.word())
        } else {
            status.word().to_owned()
        }
    }
}

/// A command as it can be pasted into a shell, on one line; words that cannot be shown as they are
/// stand as `$'…'`.
pub fn command(words: &[Vec<u8>]) -> String {
    words
        .iter()
        .map(|word| quoted(word))
        .collect::<Vec<_>>()
        .join(" ")
}

fn quoted(word: &[u8]) -> String {
    let plain = std::str::from_utf8(word)
        .ok()
        .filter(|text| escape_text(text) == *text);
    let quoted = plain.and_then(|text| shlex::try_quote(text).ok());
    if let Some(quoted) = quoted {
        return quoted.into_owned();
    }
    let mut shown = String::from("$'");
    for chunk in word.utf8_chunks() {
        for c in chunk.valid().chars() {
            match c {
                '\n' => shown.push_str("\\n"),
                '\t' => shown.push_str("\\t"),
                '\'' | '\\' => shown.extend(['\\', c]),
                c if c.is_ascii_control() => {
                    let _ = write!(shown, "\\x{:02x}", c as u32);
                }
                c if escape_text(&c.to_string()) == c.to_string() => shown.push(c),
                c => {
                    let _ = write!(shown, "\\U{:08x}", c as u32);
                }
            }
        }
        for byte in chunk.invalid() {
            let _ = write!(shown, "\\x{byte:02x}");
        }
    }
    shown.push('\'');
    shown
}

/// One run as a page.
pub fn page(
    record: &RunRecord,
    attempts: &[AttemptRecord],
    now: Timestamp,
    style: Style,
) -> String {
    let mut page = String::new();
    let status = style.status(record.run.state.status(now));
    let mut field = |name: &str, value: &str| {
        if !value.is_empty() {
            let _ = writeln!(page, "{name:<9} {value}");
        }
    };
    field(
        "run",
        &format!("{} {status}{}", record.id, remark(record, now)),
    );
    field(
        "name",
        &escape_text(record.name.as_deref().unwrap_or_default()),
    );
    field("command", &command(&record.command));
    field(
        "folder",
        &escape_text(&String::from_utf8_lossy(&record.cwd)),
    );
    field("stored", &moment(record.created_at, now));
    field(
        "ended",
        &record
            .finished_at
            .map_or(String::new(), |at| moment(at, now)),
    );
    let related = |id: Option<RunId>| id.map_or(String::new(), |id| format!("run {id}"));
    field("follows", &related(record.parent));
    field("hook", &related(record.hook));
    field(
        "result",
        &record.result.as_ref().map_or(String::new(), result),
    );
    if !attempts.is_empty() {
        let budget = record.run.max_attempts();
        let of = match budget {
            _ if record.run.state.is_final() => String::new(),
            Some(max) => format!(" of {max}"),
            None => ", no limit".to_owned(),
        };
        let _ = writeln!(page, "attempts  {}{of}", attempts.len());
    }
    for attempt in attempts {
        let _ = writeln!(page, "  {}", attempt_line(attempt, now));
    }
    page
}

fn remark(record: &RunRecord, now: Timestamp) -> String {
    match &record.run.state {
        State::Waiting { due, .. } if *due > now => {
            let what = if record.run.attempts > 0 {
                "next attempt"
            } else {
                "starts"
            };
            format!(
                ", {what} in {} ({})",
                span(due.since(now)),
                clock_time(*due)
            )
        }
        State::Waiting { .. } => ", waits for a free slot".to_owned(),
        State::Held => ", waits for the last attempt of its parent to end".to_owned(),
        State::Running { attempt } => format!(", attempt {attempt}"),
        State::Succeeded => String::new(),
        State::Failed { reason } => match reason {
            Reason::Exhausted => ", its retries are used up".to_owned(),
            Reason::Stopped => ", a rule said not to retry it".to_owned(),
            Reason::Deadline => ", its deadline has passed".to_owned(),
        },
        State::Canceled {
            open: Some(attempt),
        } => {
            format!(", attempt {attempt} is being ended")
        }
        State::Canceled { open: None } => String::new(),
    }
}

fn result(result: &RunResult) -> String {
    match result {
        RunResult::Success { return_value } if return_value.is_empty() => "success".to_owned(),
        RunResult::Success { return_value } => {
            let text = String::from_utf8_lossy(return_value);
            let first = text.lines().next().unwrap_or_default();
            let more = text.trim_end().lines().count() > 1;
            let shown: String = escape_text(first).chars().take(200).collect();
            format!("success, {shown}{}", if more { " …" } else { "" })
        }
        RunResult::Failed { error, reason } => {
            format!("failed ({}), {}", reason.word(), escape_text(error))
        }
        RunResult::Canceled => "canceled".to_owned(),
    }
}

fn attempt_line(attempt: &AttemptRecord, now: Timestamp) -> String {
    let mut line = format!("{}  {}", attempt.number, clock_time(attempt.started_at));
    let took = attempt.ended_at.unwrap_or(now).since(attempt.started_at);
    match &attempt.outcome {
        Some(outcome) => {
            let _ = write!(
                line,
                "  took {}  {}",
                span(took),
                escape_text(&words(outcome))
            );
        }
        None => {
            let _ = write!(line, "  runs for {}", span(took));
            if let Some(pid) = attempt.pid {
                let _ = write!(line, "  pid {pid}");
            }
        }
    }
    if let Some(delay) = attempt.retry_delay_ms.and_then(|ms| u64::try_from(ms).ok()) {
        let _ = write!(
            line,
            ", then a wait of {}",
            span(Duration::from_millis(delay))
        );
    }
    line
}

/// An outcome in words, a signal with its name.
pub fn words(outcome: &Outcome) -> String {
    match outcome {
        Outcome::Signal { signal, .. } => match crate::sys::signal::name(*signal) {
            Some(name) => format!("{outcome} ({name})"),
            None => outcome.to_string(),
        },
        Outcome::Lost => "lost: nobody saw how it ended".to_owned(),
        other => other.to_string(),
    }
}

/// Runs as a table: aligned and cut for a terminal, or separated by tabs.
pub fn table(records: &[RunRecord], now: Timestamp, style: Style, terminal: bool) -> String {
    let mut table = String::new();
    if !terminal {
        for record in records {
            let _ = writeln!(
                table,
                "{}\t{}\t{}\t{}\t{}\t{}",
                record.id,
                record.run.state.status(now).word(),
                record.run.attempts,
                due_text(record),
                escape_text(record.name.as_deref().unwrap_or_default()),
                command(&record.command),
            );
        }
        return table;
    }
    let width = crate::sys::terminal::columns().unwrap_or(80).max(40);
    let ids = records
        .iter()
        .map(|record| record.id.to_string().len())
        .max();
    let id_width = ids.unwrap_or(2).max(2);
    let _ = writeln!(
        table,
        "{:>id_width$}  {:<9}  ATTEMPTS  {:<12}  COMMAND",
        "ID", "STATE", "WHEN"
    );
    for record in records {
        let status = record.run.state.status(now);
        let padding = " ".repeat(9 - status.word().len());
        let name = record
            .name
            .as_deref()
            .map_or(String::new(), |name| format!("[{}] ", escape_text(name)));
        let text = format!("{name}{}", command(&record.command));
        let room = width.saturating_sub(id_width + 37).max(20);
        let _ = writeln!(
            table,
            "{:>id_width$}  {}{padding}  {:>8}  {:<12}  {}",
            record.id,
            style.status(status),
            record.run.attempts,
            when(record, now),
            cut(&text, room),
        );
    }
    table
}

fn due_text(record: &RunRecord) -> String {
    match record.run.state {
        State::Waiting { due, .. } => crate::json::rfc3339(due).unwrap_or_default(),
        State::Held
        | State::Running { .. }
        | State::Succeeded
        | State::Failed { .. }
        | State::Canceled { .. } => String::new(),
    }
}

fn when(record: &RunRecord, now: Timestamp) -> String {
    match (&record.run.state, record.finished_at) {
        (State::Waiting { due, .. }, _) if *due > now => format!("in {}", span(due.since(now))),
        (_, Some(at)) => ago(at, now),
        (_, None) => ago(record.created_at, now),
    }
}

fn cut(text: &str, width: usize) -> String {
    if text.chars().count() <= width {
        return text.to_owned();
    }
    let mut cut: String = text.chars().take(width.saturating_sub(1)).collect();
    cut.push('…');
    cut
}

/// A duration in at most two units, such as `1m 30s`.
pub fn span(duration: Duration) -> String {
    let whole = if duration >= Duration::from_secs(10) {
        Duration::from_secs(duration.as_secs())
    } else {
        Duration::from_millis(duration.as_millis() as u64)
    };
    let text = humantime::format_duration(whole).to_string();
    text.split(' ').take(2).collect::<Vec<_>>().join(" ")
}

fn moment(at: Timestamp, now: Timestamp) -> String {
    format!("{} ({})", clock_time(at), ago(at, now))
}

fn ago(at: Timestamp, now: Timestamp) -> String {
    let passed = now.since(at);
    if passed < Duration::from_secs(1) {
        return "just now".to_owned();
    }
    format!("{} ago", span(Duration::from_secs(passed.as_secs())))
}

/// A time on the local clock.
pub fn clock_time(at: Timestamp) -> String {
    match jiff::Timestamp::from_millisecond(at.millis()) {
        Ok(time) => {
            let zoned = time.to_zoned(jiff::tz::TimeZone::system());
            zoned.strftime("%Y-%m-%d %H:%M:%S").to_string()
        }
        Err(_) => at.millis().to_string(),
    }
}
