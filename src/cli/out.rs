//! Writing: results to stdout, notes and errors to stderr. A broken pipe is not an error.

use std::io::{self, IsTerminal, Write};
use std::path::Path;

use crate::model::OutputLimit;
use crate::text::{escape_printed, escape_text};

use super::failure::{Failure, code};
use super::passage::Passage;

/// Writes a result to stdout, whole and at once. Nothing in it can give a terminal an order.
pub fn text(text: &str) -> anyhow::Result<u8> {
    let text = escape_printed(text);
    let mut stdout = io::stdout().lock();
    written(
        stdout
            .write_all(text.as_bytes())
            .and_then(|()| stdout.flush()),
    )
}

/// Writes to stdout what is for a program alone, as it is.
pub fn bytes(bytes: &[u8]) -> anyhow::Result<u8> {
    let mut stdout = io::stdout().lock();
    written(stdout.write_all(bytes).and_then(|()| stdout.flush()))
}

/// Writes a line to stdout, as [`text`] does.
pub fn line(line: &str) -> anyhow::Result<u8> {
    text(&format!("{line}\n"))
}

/// Passes the output at `path`, of which no more than `limit` is kept, on to stdout, all of it or its last
/// `lines`; nothing when there is no such file.
pub fn file_to_stdout(
    path: &Path,
    limit: Option<OutputLimit>,
    lines: Option<u32>,
) -> anyhow::Result<u8> {
    written(copy(path, limit, lines, &mut io::stdout().lock()))
}

/// [`file_to_stdout`], to stderr.
pub fn file_to_stderr(
    path: &Path,
    limit: Option<OutputLimit>,
    lines: Option<u32>,
) -> anyhow::Result<u8> {
    written(copy(path, limit, lines, &mut io::stderr().lock()))
}

fn copy(
    path: &Path,
    limit: Option<OutputLimit>,
    lines: Option<u32>,
    to: &mut (impl Write + IsTerminal),
) -> io::Result<()> {
    match Passage::open(path, limit) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other?.at_last_lines(lines)?.finish(to),
    }
}

fn written(result: io::Result<()>) -> anyhow::Result<u8> {
    match result {
        Ok(()) => Ok(code::DONE),
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(code::DONE),
        Err(error) => Err(Failure::of_file("cannot write to stdout", &error)
            .hint("make room where the output goes, or send it elsewhere")
            .into()),
    }
}

/// Prints a note for people on stderr, on one line.
pub fn note(text: &str) {
    // There is nobody else to tell.
    let _ = writeln!(io::stderr(), "retrier: {}", escape_text(text));
}

/// Prints below a note what to type next.
pub fn hint(text: &str) {
    let _ = writeln!(io::stderr(), "hint: {text}");
}

/// Prints a text for people on stderr.
pub fn to_stderr(text: &str) {
    // There is nobody else to tell.
    let _ = io::stderr().write_all(escape_printed(text).as_bytes());
}

/// Is a person looking at the notes?
pub fn is_noted_at_terminal() -> bool {
    io::stderr().is_terminal()
}

/// Prints a note when a person is looking.
pub fn note_to_terminal(text: &str) {
    if is_noted_at_terminal() {
        note(text);
    }
}

/// A message repeats what it complains of, and that can be a megabyte: its ends say enough.
fn shortened(message: &str) -> String {
    const END: usize = 2000;
    if message.len() <= 2 * END {
        return message.to_owned();
    }
    let near = |at: usize| (at..).find(|at| message.is_char_boundary(*at));
    let (start, end) = (near(END), near(message.len() - END));
    let (start, end) = (start.unwrap_or(0), end.unwrap_or(message.len()));
    format!("{} […] {}", &message[..start], &message[end..])
}

/// Prints the help that clap shows on stdout. Errors: it cannot be written.
pub fn help(shown: &clap::Error) -> anyhow::Result<u8> {
    written(shown.print().and_then(|()| io::stdout().flush()))
}

/// Prints a failure on stderr and gives its exit code.
pub fn failure(error: anyhow::Error) -> u8 {
    let failure = Failure::from(error);
    self::error(&failure.message, failure.hint.as_deref());
    failure.code
}

/// Prints what went wrong, and what to type next, on stderr.
pub fn error(message: &str, hint: Option<&str>) {
    note(&format!("error: {}", shortened(message)));
    if let Some(hint) = hint {
        let _ = writeln!(io::stderr(), "hint: {}", escape_text(hint));
    }
}
