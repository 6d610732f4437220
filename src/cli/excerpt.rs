//! The end of what an attempt wrote, as much of it as a page has room for.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};

use crate::model::{AttemptNumber, AttemptRecord, RunId};
use crate::store::{Folder, Stream};
use crate::sys::files::open_regular;

/// So many bytes of a file are read at the most, from its end.
const BYTES_MAX: u64 = 16 * 1024;

/// The last lines that an attempt wrote to one of its streams.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Excerpt {
    /// Which attempt.
    pub attempt: AttemptNumber,
    /// Which stream.
    pub stream: Stream,
    /// The lines as they were written, their ends left out; control characters are still in them.
    pub lines: Vec<String>,
    /// Whether there are lines before them.
    pub is_cut: bool,
}

impl Excerpt {
    /// The last lines, at most `lines_max`, of what attempt `attempt` of run `run` wrote to `stream`;
    /// `None` when that is nothing, or cannot be read.
    pub fn of(
        folder: &Folder,
        (run, attempt): (RunId, AttemptNumber),
        stream: Stream,
        lines_max: usize,
    ) -> Option<Self> {
        let file = open_regular(&folder.output(run, attempt, stream)).ok()?;
        let (bytes, is_whole) = end_of(file).ok()?;
        let (lines, is_cut) = last_lines(&bytes, is_whole, lines_max);
        (!lines.is_empty()).then_some(Self {
            attempt,
            stream,
            lines,
            is_cut,
        })
    }

    /// What tells best how the run fares: the stderr of its last attempt, or else its stdout; while that
    /// attempt runs and has written nothing, of the one before.
    pub fn telling(
        folder: &Folder,
        run: RunId,
        attempts: &[AttemptRecord],
        lines_max: usize,
    ) -> Option<Self> {
        let is_open = attempts.last().is_some_and(|last| last.ended_at.is_none());
        let last = attempts.iter().rev().take(if is_open { 2 } else { 1 });
        last.flat_map(|attempt| {
            [Stream::Stderr, Stream::Stdout].map(|stream| (attempt.number, stream))
        })
        .find_map(|(attempt, stream)| Self::of(folder, (run, attempt), stream, lines_max))
    }
}

/// The last bytes of a file, and whether they are all of it.
fn end_of(mut file: File) -> io::Result<(Vec<u8>, bool)> {
    let length = file.metadata()?.len();
    let from = length.saturating_sub(BYTES_MAX);
    file.seek(SeekFrom::Start(from))?;
    let mut bytes = Vec::new();
    // It may grow meanwhile.
    file.take(BYTES_MAX).read_to_end(&mut bytes)?;
    Ok((bytes, from == 0))
}

/// The last lines of these bytes, and whether others were left out. Of a line that was written over,
/// as a progress bar is, what stood there last.
fn last_lines(bytes: &[u8], is_whole: bool, lines_max: usize) -> (Vec<String>, bool) {
    let text = String::from_utf8_lossy(bytes);
    let mut lines: Vec<&str> = text.lines().collect();
    if !is_whole && lines.len() > 1 {
        // Its beginning is not there.
        lines.remove(0);
    }
    while lines.last().is_some_and(|line| line.trim().is_empty()) {
        lines.pop();
    }
    let left_out = lines.len().saturating_sub(lines_max);
    let shown = lines[left_out..].iter().map(|line| {
        let line = line.trim_end_matches('\r');
        line.rsplit('\r').next().unwrap_or(line).to_owned()
    });
    let shown: Vec<String> = shown.collect();
    let is_cut = !shown.is_empty() && (left_out > 0 || !is_whole);
    (shown, is_cut)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_lines_are_those_that_a_terminal_would_show_last() {
        let lines = |text: &str, max| last_lines(text.as_bytes(), true, max);
        let owned = |lines: &[&str]| lines.iter().map(|line| (*line).to_owned()).collect();
        assert_eq!(lines("", 3), (Vec::new(), false));
        assert_eq!(lines(" \n\n", 3), (Vec::new(), false));
        assert_eq!(lines("a\nb", 3), (owned(&["a", "b"]), false));
        assert_eq!(lines("a\nb\nc\nd\n\n", 3), (owned(&["b", "c", "d"]), true));
        assert_eq!(
            lines("1%\r2%\r100%\r\nend\n", 3),
            (owned(&["100%", "end"]), false)
        );
        let half = last_lines(b"half a line\nwhole\n", false, 3);
        assert_eq!(half, (owned(&["whole"]), true));
        let long = last_lines(b"no end of line", false, 3);
        assert_eq!(long, (owned(&["no end of line"]), true));
    }
}
