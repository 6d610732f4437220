//! Passing an attempt's output on while it is written, attempt after attempt.

use std::fs::File;
use std::io::{self, IsTerminal, Write};

use anyhow::Context;

use crate::model::{AttemptNumber, RunId};
use crate::store::{Folder, Stream};
use crate::sys::files::open_regular;
use crate::text::Escaper;

use super::out::escaped;

/// Follows the output of one run.
#[derive(Debug)]
pub struct Tail {
    folder: Folder,
    run: RunId,
    /// The attempt that is read now.
    attempt: u32,
    streams: Vec<Followed>,
}

#[derive(Debug)]
struct Followed {
    stream: Stream,
    /// Where it goes to.
    to: Stream,
    file: Option<File>,
    /// For a terminal: what is to come of it in one piece.
    escaper: Escaper,
}

impl Tail {
    /// Follows `streams`, each to where the second of its pair says, from attempt `from` on.
    pub fn new(folder: &Folder, run: RunId, from: u32, streams: &[(Stream, Stream)]) -> Self {
        let followed = streams.iter().map(|(stream, to)| Followed {
            stream: *stream,
            to: *to,
            file: None,
            escaper: Escaper::default(),
        });
        Self {
            folder: folder.clone(),
            run,
            attempt: from.max(1),
            streams: followed.collect(),
        }
    }

    /// Passes on what is new, up to attempt `last`, the newest there is. Errors: it cannot be
    /// written; that nobody reads any more is none.
    pub fn pump(&mut self, last: u32) -> anyhow::Result<()> {
        while self.attempt <= last {
            for followed in &mut self.streams {
                let attempt = AttemptNumber(self.attempt);
                let path = self.folder.output(self.run, attempt, followed.stream);
                if followed.file.is_none() {
                    followed.file = open_regular(&path).ok();
                }
                if let Some(file) = &mut followed.file {
                    match copy(file, &mut followed.escaper, followed.to) {
                        // Who reads no more wants to know how it ends, or is gone.
                        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => {}
                        other => other.context("cannot write")?,
                    }
                }
            }
            if self.attempt == last {
                break;
            }
            self.attempt += 1;
            for followed in &mut self.streams {
                followed.file = None;
                // A character that an attempt has not ended is not ended by the next one.
                followed.escaper = Escaper::default();
            }
        }
        Ok(())
    }
}

fn copy(from: &mut File, escaper: &mut Escaper, to: Stream) -> io::Result<()> {
    match to {
        Stream::Stdout => copy_to(from, escaper, &mut io::stdout().lock()),
        Stream::Stderr => copy_to(from, escaper, &mut io::stderr().lock()),
    }
}

fn copy_to(
    from: &mut File,
    escaper: &mut Escaper,
    to: &mut (impl Write + IsTerminal),
) -> io::Result<()> {
    if to.is_terminal() {
        escaped(from, escaper, to)?;
    } else {
        io::copy(from, to)?;
    }
    to.flush()
}
