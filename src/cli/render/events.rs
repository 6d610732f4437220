//! The history of a run, one line per event.

use std::fmt::Write;
use std::time::Duration;

use crate::json::rfc3339;
use crate::model::policy::{By, WaitBy};
use crate::model::{EventRecord, Note, Timestamp};
use crate::text::escape_text;

use super::Style;
use super::fit::{width, wrapped};
use super::words::{clock_time_ms, outcome, span};

/// The history of a run: aligned and in words for a terminal, or its fields separated by tabs.
pub fn events(events: &[EventRecord], style: Style) -> String {
    let mut lines = String::new();
    let Some(columns) = style.columns else {
        for event in events {
            let _ = writeln!(lines, "{}", fields(event).join("\t"));
        }
        return lines;
    };
    let numbers = events
        .iter()
        .filter_map(|event| event.attempt)
        .map(|attempt| attempt.to_string().len());
    let attempt_width = numbers.max().unwrap_or(1);
    let lengths = events.iter().map(|event| words(event.note).len());
    let word_width = lengths.max().unwrap_or(0);
    for event in events {
        let attempt = event.attempt.map_or(String::new(), |one| one.to_string());
        let begin = format!(
            "{}  {attempt:>attempt_width$}  {:<word_width$}  ",
            clock_time_ms(event.at),
            words(event.note),
        );
        let indent = width(&begin);
        let details = wrapped(&details(event), columns.saturating_sub(indent).max(20));
        let details = details.join(&format!("\n{}", " ".repeat(indent)));
        let _ = writeln!(lines, "{}", format!("{begin}{details}").trim_end());
    }
    lines
}

fn fields(event: &EventRecord) -> [String; 10] {
    let wait_by = event.why.and_then(|why| why.wait_by);
    [
        rfc3339(event.at).unwrap_or_default(),
        event.note.word().to_owned(),
        event.attempt.map_or(String::new(), |one| one.to_string()),
        event
            .outcome
            .as_ref()
            .map_or(String::new(), |ended| escape_text(&outcome(ended))),
        event.due.and_then(rfc3339).unwrap_or_default(),
        event.delay_ms().map_or(String::new(), |ms| ms.to_string()),
        event.why.map_or(String::new(), |why| why.by.to_string()),
        wait_by.map_or(String::new(), |by| by.word().to_owned()),
        event.hook.map_or(String::new(), |hook| hook.to_string()),
        escape_text(event.detail.as_deref().unwrap_or_default()),
    ]
}

/// What happened.
fn words(note: Note) -> &'static str {
    match note {
        Note::Enqueued => "enqueued",
        Note::Started => "started",
        Note::AttemptFailed => "attempt failed",
        Note::Lost => "attempt lost",
        Note::Snoozed => "snoozed",
        Note::NeverStarted => "never started",
        Note::Interrupted => "interrupted",
        Note::Succeeded => "succeeded",
        Note::Failed => "failed",
        Note::Canceled => "canceled",
        Note::AttemptClosed => "attempt ended",
        Note::Released => "released",
        Note::Rescheduled => "clock set back",
        Note::Retried => "retried",
        Note::HookEnqueued => "hook enqueued",
        Note::DecisionIgnored => "decision ignored",
        Note::Deciding => "decider asked",
        Note::DeciderFailed => "decider failed",
    }
}

/// How, why, and what comes next.
fn details(event: &EventRecord) -> String {
    let mut parts = Vec::new();
    if let Some(ended) = &event.outcome {
        parts.push(escape_text(&outcome(ended)));
    }
    let by = event.why.map(|why| why.by);
    parts.extend(by.and_then(|by| reason(event.note, by)).map(str::to_owned));
    parts.extend(event.hook.map(|hook| format!("run {hook}")));
    parts.extend(event.detail.as_deref().map(escape_text));
    parts.extend(event.due.and_then(|due| wait(event, due)));
    parts.join("; ")
}

/// When the run goes on, if that is later.
fn wait(event: &EventRecord, due: Timestamp) -> Option<String> {
    let delay = u64::try_from(event.delay_ms()?).ok()?;
    if delay == 0 {
        return None;
    }
    let day = |at| clock_time_ms(at).split(' ').next().map(str::to_owned);
    let at = clock_time_ms(due);
    let time = at
        .split(' ')
        .next_back()
        .filter(|_| day(due) == day(event.at));
    let by = match event.why.and_then(|why| why.wait_by) {
        None => "",
        Some(WaitBy::Command) => ", as the command decided",
        Some(WaitBy::Decider) => ", as the program of --decide said",
        Some(WaitBy::RetryAfter) => ", as Retry-After said",
        Some(WaitBy::Backoff) => " (backoff)",
    };
    let wait = span(Duration::from_millis(delay));
    Some(format!("due in {wait} at {}{by}", time.unwrap_or(&at)))
}

/// Who decided that it goes on, or not; nothing where that needs no word.
fn reason(note: Note, by: By) -> Option<&'static str> {
    let failed = note == Note::Failed;
    match by {
        By::Command | By::Decider if note == Note::Snoozed => Some("it was not ready"),
        By::Command if failed => Some("the command said to stop"),
        By::Command => Some("the command said to retry"),
        By::Decider if failed => Some("the program of --decide said to stop"),
        By::Decider => Some("the program of --decide said to retry"),
        By::StopOn => Some("--stop-on names it"),
        By::StopIf => Some("--stop-if found its pattern"),
        By::RetryOn if failed => Some("--retry-on does not name it"),
        By::RetryOn => Some("--retry-on names it"),
        By::RetryIf if failed => Some("--retry-if found no pattern"),
        By::RetryIf => Some("--retry-if found its pattern"),
        By::Budget => failed.then_some("its retries are used up"),
        By::Snoozes => Some("it was snoozed too often"),
        By::Deadline => Some("no time is left before its deadline"),
        By::Interruption => Some("not charged"),
    }
}
