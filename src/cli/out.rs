//! Writing: results to stdout, notes and errors to stderr. A broken pipe is not an error.

use std::fs::File;
use std::io::{self, IsTerminal, Write};
use std::path::Path;

use anyhow::Context;

use super::failure::{Failure, code};

/// Writes a result to stdout, whole and at once.
pub fn bytes(bytes: &[u8]) -> anyhow::Result<u8> {
    let mut stdout = io::stdout().lock();
    written(stdout.write_all(bytes).and_then(|()| stdout.flush()))
}

/// Writes a line to stdout.
pub fn line(text: &str) -> anyhow::Result<u8> {
    bytes(format!("{text}\n").as_bytes())
}

/// Copies the file at `path` to stdout, byte by byte; nothing when there is no such file.
pub fn file_to_stdout(path: &Path) -> anyhow::Result<u8> {
    written(copy(path, &mut io::stdout().lock()))
}

/// Copies the file at `path` to stderr, byte by byte; nothing when there is no such file.
pub fn file_to_stderr(path: &Path) -> anyhow::Result<u8> {
    written(copy(path, &mut io::stderr().lock()))
}

fn copy(path: &Path, to: &mut (impl Write + IsTerminal)) -> io::Result<()> {
    let mut file = match File::open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        other => other?,
    };
    if to.is_terminal() {
        let mut escape = Escape(to);
        io::copy(&mut file, &mut escape)?;
        return escape.flush();
    }
    io::copy(&mut file, to)?;
    to.flush()
}

fn written(result: io::Result<()>) -> anyhow::Result<u8> {
    match result {
        Ok(()) => Ok(code::DONE),
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(code::DONE),
        Err(error) => Err(error).context("cannot write"),
    }
}

/// Prints a note for people on stderr.
pub fn note(text: &str) {
    // There is nobody else to tell.
    let _ = writeln!(io::stderr(), "retrier: {text}");
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

/// Prints a failure on stderr and gives its exit code.
pub fn failure(error: anyhow::Error) -> u8 {
    let failure = Failure::from(error);
    note(&format!("error: {}", escape_text(&failure.message)));
    if let Some(hint) = &failure.hint {
        let _ = writeln!(io::stderr(), "hint: {hint}");
    }
    failure.code
}

/// A writer that lets text, tabs and line ends through to a terminal and shows all other control
/// characters as `\xNN`: what a command wrote must not move the cursor or name the window.
pub struct Escape<W>(pub W);

impl<W: Write> Write for Escape<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut safe = Vec::with_capacity(bytes.len());
        for byte in bytes {
            match byte {
                b'\n' | b'\t' => safe.push(*byte),
                0..=31 | 127 => safe.extend_from_slice(format!("\\x{byte:02x}").as_bytes()),
                _ => safe.push(*byte),
            }
        }
        self.0.write_all(&escape_c1(safe))?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

/// The control characters from U+0080 to U+009F are two bytes in UTF-8: 0xC2 and the number.
fn escape_c1(bytes: Vec<u8>) -> Vec<u8> {
    if !bytes.contains(&0xc2) {
        return bytes;
    }
    let mut safe = Vec::with_capacity(bytes.len());
    let mut rest = bytes.as_slice();
    while let Some((first, after)) = rest.split_first() {
        match after.first() {
            Some(second @ 0x80..=0x9f) if *first == 0xc2 => {
                safe.extend_from_slice(format!("\\u{{{second:x}}}").as_bytes());
                rest = &after[1..];
            }
            Some(_) | None => {
                safe.push(*first);
                rest = after;
            }
        }
    }
    safe
}

/// `text` on one line, every control character and every character that turns the direction of
/// writing escaped.
pub fn escape_text(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for c in text.chars() {
        let turns = matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
        if c.is_control() || turns {
            safe.extend(c.escape_default());
        } else {
            safe.push(c);
        }
    }
    safe
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_control_character_reaches_a_terminal() {
        let mut shown = Vec::new();
        let hostile = b"a\x1b[2J\x07b\tc\n\xc2\x9b31m\xc3\xa9";
        Escape(&mut shown).write_all(hostile).unwrap();
        let expected = b"a\\x1b[2J\\x07b\tc\n\\u{9b}31m\xc3\xa9";
        assert_eq!(shown, expected);
        assert_eq!(
            escape_text("a\u{1b}]0;x\u{202e}\n"),
            "a\\u{1b}]0;x\\u{202e}\\n"
        );
    }
}
