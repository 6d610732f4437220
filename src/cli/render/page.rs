//! One run as a page: what it is and where it stands, its attempts, what the last one wrote, and
//! what to type next.

use std::fmt::Write;

use crate::cli::excerpt::Excerpt;
use crate::model::{AttemptRecord, RunId, RunRecord, RunResult, State, pool};
use crate::store::Stream;
use crate::text::escape_text;

use super::Style;
use super::attempts::{End, attempts as attempt_table};
use super::fit::{cut, padded, width, wrapped};
use super::next::next;
use super::why::{Case, why};
use super::words::{command, moment};

/// So wide is the column of the names of fields, with the gap behind it.
const NAMES: usize = 10;

/// So much is shown of a line that an attempt wrote.
const LINE_MAX: usize = 400;

/// So much of what a successful attempt wrote to stdout.
const RETURNED_MAX: usize = 200;

/// One run as a page, with these excerpts of its output.
pub fn page(
    case: &Case<'_>,
    attempts: &[AttemptRecord],
    excerpts: &[Excerpt],
    style: Style,
) -> String {
    let mut page = headline(case, style);
    page.push('\n');
    fields(&mut page, case, attempts, style);
    let record = case.record;
    if !attempts.is_empty() {
        let of = match record.run.max_attempts() {
            _ if record.run.state.is_final() => String::new(),
            Some(max) => format!(" of {max}"),
            None => ", no limit".to_owned(),
        };
        page.push('\n');
        let _ = writeln!(page, "attempts  {}{of}", attempts.len());
        let is_final = record.run.state.is_final();
        let end = if is_final {
            End::Final
        } else if case.is_left {
            End::Left
        } else {
            End::Ahead
        };
        page += &attempt_table(attempts, (record.id, case.now), end, style);
    }
    for excerpt in excerpts {
        page.push('\n');
        excerpt_lines(&mut page, excerpt, style);
    }
    commands(&mut page, case, !attempts.is_empty(), style);
    page
}

/// The run, its state, its name.
fn headline(case: &Case<'_>, style: Style) -> String {
    let record = case.record;
    let more = reason(&record.run.state);
    let status = record.run.state.status(case.now);
    let title = style.bold(&format!("run {}", record.id));
    let mut line = format!("{title}  {}{more}", style.status(status));
    if let Some(name) = &record.name {
        let plain = format!("run {}  {}{more}  ", record.id, status.word());
        let room = style.columns.map_or(usize::MAX, |columns| {
            columns.saturating_sub(width(&plain)).max(20)
        });
        let name = cut(&escape_text(name), room, style.unicode);
        let _ = write!(line, "  {name}");
    }
    line.push('\n');
    line
}

/// What is to be said of a state beside its word.
fn reason(state: &State) -> String {
    match state {
        State::Failed { reason } => format!(" ({})", reason.word()),
        State::Canceled { open: Some(_) } => " (being ended)".to_owned(),
        _ => String::new(),
    }
}

fn fields(page: &mut String, case: &Case<'_>, attempts: &[AttemptRecord], style: Style) {
    let (record, now) = (case.record, case.now);
    let mut field = |name: &str, value: &str| {
        if !value.is_empty() {
            let _ = writeln!(page, "{}{value}", padded(name, NAMES));
        }
    };
    let text = |value: &Option<String>| escape_text(value.as_deref().unwrap_or_default());
    let room = style.columns.map_or(usize::MAX, |all| all - NAMES);
    let hanging = format!("\n{}", " ".repeat(NAMES));
    field("why", &wrapped(&why(case), room).join(&hanging));
    // Not broken, so that it can be pasted.
    field("command", &command(&record.command));
    field(
        "folder",
        &escape_text(&String::from_utf8_lossy(&record.cwd)),
    );
    field("key", &text(&record.key));
    // Where it differs from a run of which nothing was said.
    let pool = Some(&record.pool).filter(|pool| *pool != pool::DEFAULT);
    field("pool", &escape_text(pool.map_or("", String::as_str)));
    let priority = Some(record.priority).filter(|points| *points != 0);
    field(
        "priority",
        &priority.map_or(String::new(), |points| points.to_string()),
    );
    field("lock", &text(&record.lock));
    field("stored", &moment(record.created_at, now));
    let ended = record.finished_at.map(|at| moment(at, now));
    field("ended", &ended.unwrap_or_default());
    let related = |id: Option<RunId>| id.map_or(String::new(), |id| format!("run {id}"));
    field("follows", &related(record.parent));
    let hook = case.hook.map_or(String::new(), |hook| {
        let state = hook.run.state.status(now);
        format!(", {}{}", style.status(state), reason(&hook.run.state))
    });
    field("hook", &(related(record.hook) + &hook));
    field(
        "result",
        &result(record, attempts, style).unwrap_or_default(),
    );
}

/// What became of it, if that is more than its state and how its last attempt ended.
fn result(record: &RunRecord, attempts: &[AttemptRecord], style: Style) -> Option<String> {
    match record.result.as_ref()? {
        RunResult::Success { return_value } if return_value.is_empty() => None,
        RunResult::Success { return_value } => {
            let text = String::from_utf8_lossy(return_value);
            let first = escape_text(text.lines().next().unwrap_or_default());
            let is_all = text.trim_end().lines().count() <= 1 && width(&first) <= RETURNED_MAX;
            let first = cut(&first, RETURNED_MAX, style.unicode);
            let more = if is_all {
                String::new()
            } else {
                format!(" {}", style.ellipsis())
            };
            Some(format!("success, stdout begins: {first}{more}"))
        }
        RunResult::Failed { error, reason } => {
            let last = attempts.last().and_then(|last| last.outcome.as_ref());
            let is_more = error != reason.word() && last.is_none_or(|o| o.to_string() != *error);
            is_more.then(|| format!("failed ({}), {}", reason.word(), escape_text(error)))
        }
        RunResult::Canceled => None,
    }
}

fn excerpt_lines(page: &mut String, excerpt: &Excerpt, style: Style) {
    let Excerpt {
        attempt,
        stream,
        lines,
        is_cut,
    } = excerpt;
    let name = match stream {
        Stream::Stdout => "stdout",
        Stream::Stderr => "stderr",
    };
    let which = match (is_cut, lines.len()) {
        (false, _) => String::new(),
        (true, 1) => ", its last line".to_owned(),
        (true, many) => format!(", its last {many} lines"),
    };
    let heading = format!("{name} of attempt {attempt}{which}");
    let _ = writeln!(page, "{}", style.faint(&heading));
    for line in lines {
        let line = escape_text(&line.replace('\t', "    "));
        let line = format!("  {}", cut(&line, LINE_MAX, style.unicode));
        let _ = writeln!(page, "{}", line.trim_end());
    }
}

fn commands(page: &mut String, case: &Case<'_>, has_output: bool, style: Style) {
    let next = next(case.record, case.now, has_output);
    let longest = next.iter().map(|(command, _)| width(command)).max();
    if next.is_empty() {
        return;
    }
    page.push('\n');
    for (at, (command, does)) in next.iter().enumerate() {
        let name = if at == 0 { "next" } else { "" };
        let command = padded(command, longest.unwrap_or(0));
        let does = style.faint(does);
        let _ = writeln!(page, "{}{command}  {does}", padded(name, NAMES));
    }
}
