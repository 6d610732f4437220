//! Passing on what a command wrote, with a line in the place of what was left out of it.
//!
//! Its file may be written to, and lose its middle, while it is read here. Neither is locked out, so what
//! was read is believed only when it still was there afterwards: [`OutputLimit::left_out`] of the
//! length that the file has then tells. Bytes that nobody wrote are never passed on as if a command had.

use std::fs::File;
use std::io::{self, IsTerminal, Write};
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::Path;

use crate::model::OutputLimit;
use crate::sys::files::{next_data, open_regular};
use crate::text::Escaper;

/// So many bytes are read at a time.
const CHUNK: u64 = 64 * 1024;

/// A terminal that gets no orders from what is written to it.
struct Escaped<'a, W>(&'a mut Escaper, &'a mut W);

impl<W: Write> Write for Escaped<'_, W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.1.write_all(&self.0.feed(bytes))?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.1.flush()
    }
}

/// An output that is passed on from its beginning.
#[derive(Debug)]
pub struct Passage {
    file: File,
    limit: Option<OutputLimit>,
    /// So many bytes were passed on or left out.
    at: u64,
    /// Whether what was passed on last does not end its line.
    inside_line: bool,
    /// For a terminal: the beginning of a character of which the rest has not come yet.
    escaper: Escaper,
    chunk: Vec<u8>,
}

impl Passage {
    /// Opens the output at `path`, of which a shim keeps no more than `limit`. Errors: see open(2).
    pub fn open(path: &Path, limit: Option<OutputLimit>) -> io::Result<Self> {
        Ok(Self {
            file: open_regular(path)?,
            limit,
            at: 0,
            inside_line: false,
            escaper: Escaper::default(),
            chunk: Vec::new(),
        })
    }

    /// Leaves out what there is now but for its last `lines`; `None` is all of it. What a shim has left out
    /// has no lines. Errors: it cannot be read.
    pub fn at_last_lines(mut self, lines: Option<u32>) -> io::Result<Self> {
        let Some(lines) = lines else {
            return Ok(self);
        };
        let end = self.file.metadata()?.len();
        let mut missing = lines;
        if missing == 0 {
            self.at = end;
            return Ok(self);
        }
        // Up to here it was looked at; the end of the last line begins none.
        let mut from = end;
        while from > 0 {
            let gone = self.left_out(self.file.metadata()?.len());
            if gone.contains(&(from - 1)) {
                from = gone.start;
                continue;
            }
            let above = if from > gone.end { gone.end } else { 0 };
            self.at = above.max(from.saturating_sub(CHUNK));
            self.read(from)?;
            let ends = self.chunk.iter().enumerate().rev();
            for (at, _) in ends.filter(|(_, byte)| **byte == b'\n') {
                let begin = self.at + at as u64 + 1;
                if begin == end {
                    continue;
                }
                missing -= 1;
                if missing == 0 {
                    self.at = begin;
                    return Ok(self);
                }
            }
            from = self.at;
        }
        self.at = 0;
        Ok(self)
    }

    /// Passes on to `to` what there is now and was not passed on yet. It ends although the command goes on
    /// writing. Errors: it cannot be read, or nobody reads.
    pub fn pump(&mut self, to: &mut (impl Write + IsTerminal)) -> io::Result<()> {
        if to.is_terminal() {
            let mut escaper = std::mem::take(&mut self.escaper);
            let passed = self.pass_on(&mut Escaped(&mut escaper, &mut *to));
            self.escaper = escaper;
            passed?;
        } else {
            self.pass_on(to)?;
        }
        to.flush()
    }

    /// As [`Passage::pump`], of an output to which nothing more is written.
    pub fn finish(&mut self, to: &mut (impl Write + IsTerminal)) -> io::Result<()> {
        self.pump(to)?;
        to.write_all(&self.escaper.finish())?;
        to.flush()
    }

    fn pass_on(&mut self, to: &mut impl Write) -> io::Result<()> {
        let mut length = self.file.metadata()?.len();
        let mut end = length;
        let mut has_jumped = false;
        while self.at < end {
            let gone = self.left_out(length);
            if gone.contains(&self.at) {
                self.jump(gone.end, to)?;
                if !has_jumped {
                    // The tail as it is now: a slow reader may not find the one of the beginning.
                    has_jumped = true;
                    end = end.max(length);
                }
                continue;
            }
            let stop = if self.at < gone.start {
                end.min(gone.start)
            } else {
                end
            };
            if !self.read(stop)? {
                break;
            }
            if self.limit.is_some() {
                length = self.file.metadata()?.len();
            }
            if self.left_out(length).contains(&self.at) {
                // It may have been taken away before it was read.
                continue;
            }
            to.write_all(&self.chunk)?;
            self.inside_line = self.chunk.last() != Some(&b'\n');
            self.at += self.chunk.len() as u64;
        }
        Ok(())
    }

    fn left_out(&self, length: u64) -> Range<u64> {
        match self.limit {
            Some(limit) => limit.left_out(length),
            None => 0..0,
        }
    }

    /// Reads the next bytes into `chunk`, up to `stop`. `false`: there are none.
    fn read(&mut self, stop: u64) -> io::Result<bool> {
        self.chunk.resize((stop - self.at).min(CHUNK) as usize, 0);
        let count = loop {
            match self.file.read_at(&mut self.chunk, self.at) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                other => break other?,
            }
        };
        self.chunk.truncate(count);
        Ok(count > 0)
    }

    /// Goes on behind what was left out, to the tail at `tail`, and says so. A hole there belongs to it: what a
    /// command has cut off itself, after its middle was taken away.
    fn jump(&mut self, tail: u64, to: &mut impl Write) -> io::Result<()> {
        let tail = next_data(&self.file, tail)?.max(tail);
        let gap = if self.inside_line { "\n" } else { "" };
        let bytes = tail - self.at;
        writeln!(to, "{gap}[retrier: {bytes} bytes left out]")?;
        self.inside_line = false;
        self.at = tail;
        Ok(())
    }
}
