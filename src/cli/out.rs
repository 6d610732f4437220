//! Writing: results to stdout, notes and errors to stderr. A broken pipe is not an error.

use std::io::{self, IsTerminal, Write};
use std::path::Path;

use anyhow::Context;

use crate::model::OutputLimit;
use crate::text::{Escaper, escape_printed, escape_text};

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

/// Writes a line to stdout, as [`text`] does.
pub fn line(line: &str) -> anyhow::Result<u8> {
    text(&format!("{line}\n"))
}

/// Passes the output at `path`, of which no more than `limit` is kept, on to stdout; nothing when there
/// is no such file.
pub fn file_to_stdout(path: &Path, limit: Option<OutputLimit>) -> anyhow::Result<u8> {
    written(copy(path, limit, &mut io::stdout().lock()))
}

/// [`file_to_stdout`], to stderr.
pub fn file_to_stderr(path: &Path, limit: Option<OutputLimit>) -> anyhow::Result<u8> {
    written(copy(path, limit, &mut io::stderr().lock()))
}

fn copy(
    path: &Path,
    limit: Option<OutputLimit>,
    to: &mut (impl Write + IsTerminal),
) -> io::Result<()> {
    match Passage::open(path, limit) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other?.finish(to),
    }
}

fn written(result: io::Result<()>) -> anyhow::Result<u8> {
    match result {
        Ok(()) => Ok(code::DONE),
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(code::DONE),
        Err(error) => Err(error).context("cannot write"),
    }
}

/// Prints a note for people on stderr, on one line.
pub fn note(text: &str) {
    // There is nobody else to tell.
    let _ = writeln!(io::stderr(), "retrier: {}", escape_text(text));
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

/// Prints what clap has to say: help on stdout, a usage error on stderr; without colours when an argument
/// in it would give a terminal an order. Errors: help that cannot be written.
pub fn usage(error: &clap::Error) -> anyhow::Result<u8> {
    let plain = error.render().to_string();
    let safe = Escaper::default().feed(plain.as_bytes());
    let printed = if safe == plain.as_bytes() {
        error.print()
    } else if error.use_stderr() {
        io::stderr().write_all(&safe)
    } else {
        io::stdout().write_all(&safe)
    };
    if error.use_stderr() {
        // There is nobody else to tell.
        return Ok(code::USAGE);
    }
    written(printed.and_then(|()| io::stdout().flush()))
}

/// Prints a failure on stderr and gives its exit code.
pub fn failure(error: anyhow::Error) -> u8 {
    let failure = Failure::from(error);
    note(&format!("error: {}", shortened(&failure.message)));
    if let Some(hint) = &failure.hint {
        let _ = writeln!(io::stderr(), "hint: {}", escape_text(hint));
    }
    failure.code
}
