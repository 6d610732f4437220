//! Passing an attempt's output on while it is written, attempt after attempt.

use std::io;

use anyhow::Context;

use crate::model::{AttemptNumber, OutputLimit, RunId};
use crate::store::{Folder, Stream};

use super::passage::Passage;

/// Follows the output of one run.
#[derive(Debug)]
pub struct Tail {
    folder: Folder,
    run: RunId,
    limit: Option<OutputLimit>,
    /// The attempt that is read now.
    attempt: u32,
    /// So many lines of its first attempt are passed on that were there before; `None`: all.
    lines: Option<u32>,
    streams: Vec<Followed>,
}

#[derive(Debug)]
struct Followed {
    stream: Stream,
    /// Where it goes to.
    to: Stream,
    passage: Option<Passage>,
}

impl Tail {
    /// Follows `streams`, each to where the second of its pair says, from attempt `from` of `run` on. Of each
    /// no more than `limit` is kept.
    pub fn new(
        folder: &Folder,
        (run, limit): (RunId, Option<OutputLimit>),
        from: u32,
        streams: &[(Stream, Stream)],
    ) -> Self {
        let followed = streams.iter().map(|(stream, to)| Followed {
            stream: *stream,
            to: *to,
            passage: None,
        });
        Self {
            folder: folder.clone(),
            run,
            limit,
            attempt: from.max(1),
            lines: None,
            streams: followed.collect(),
        }
    }

    /// Leaves out what the first attempt had written before, but for its last `lines`.
    #[must_use]
    pub fn at_last_lines(self, lines: Option<u32>) -> Self {
        Self { lines, ..self }
    }

    /// Passes on what is new, up to attempt `last`, the newest there is. Errors: it cannot be
    /// written; that nobody reads any more is none.
    pub fn pump(&mut self, last: u32) -> anyhow::Result<()> {
        while self.attempt <= last {
            for followed in &mut self.streams {
                let attempt = AttemptNumber(self.attempt);
                let path = self.folder.output(self.run, attempt, followed.stream);
                if followed.passage.is_none() {
                    let passage = Passage::open(&path, self.limit);
                    let passage = passage.and_then(|passage| passage.at_last_lines(self.lines));
                    followed.passage = passage.ok();
                }
                if let Some(passage) = &mut followed.passage {
                    let pumped = match followed.to {
                        Stream::Stdout => passage.pump(&mut io::stdout().lock()),
                        Stream::Stderr => passage.pump(&mut io::stderr().lock()),
                    };
                    match pumped {
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
            self.lines = None;
            for followed in &mut self.streams {
                followed.passage = None;
            }
        }
        Ok(())
    }
}
