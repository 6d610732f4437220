//! The record: what a shim has written down of the attempt that it runs.
//!
//! One line of JSON at the start of the shim's file, rewritten at each stage with a single write
//! into room that was reserved when the file was made: a full disk cannot keep an outcome out of it,
//! and because that room is one page, a killed shim leaves the old line or the new one. What stands
//! behind the line is left of a longer one.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

use serde::{Deserialize, Serialize};

use crate::model::{AttemptNumber, Outcome, RunId, Testimony, Timestamp};

/// How far the attempt got.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "stage", rename_all = "snake_case")]
pub enum Stage {
    /// The command is about to be started. From here on it may have run.
    Starting,
    /// It runs.
    Running {
        /// Its pid, which is its process group too.
        pid: i32,
        /// When it was started.
        started_at: Timestamp,
    },
    /// It has failed and ended so, and its decider may be running.
    Deciding(Ending),
    /// It has ended, and so has what it left behind if it failed.
    Ended(Ending),
    /// It was not started, for want of processes, memory, descriptors or room.
    NotStarted {
        /// What was wanting.
        error: String,
    },
}

/// The end of an attempt.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ending {
    /// The command's pid; none when it could not be executed.
    pub pid: Option<i32>,
    /// When it was started.
    pub started_at: Timestamp,
    /// When it ended, rounded up.
    pub ended_at: Timestamp,
    /// How.
    pub outcome: Outcome,
    /// The size of its stdout in bytes.
    pub stdout_len: u64,
    /// Whether processes that it left behind live on.
    pub leftover: bool,
    /// What else is said of it.
    #[serde(default)]
    pub testimony: Box<Testimony>,
}

/// The last stage of one attempt.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// The version of this format.
    pub version: u32,
    /// The run.
    pub run: RunId,
    /// The number of the attempt.
    pub attempt: AttemptNumber,
    /// How far it got.
    #[serde(flatten)]
    pub stage: Stage,
}

/// The version of the format that this program writes; it reads every version up to it.
pub const VERSION: u32 = 1;

/// The size of an ordinary record in bytes.
const SIZE: usize = 1024;

/// The size of one that does not fit into that, because much was said of the attempt.
pub const SIZE_MAX: usize = 4096;

/// The size of a shim's file.
pub const FILE_SIZE: i64 = SIZE_MAX as i64;

/// So many bytes of a record an error text may take.
const ERROR_MAX: usize = 600;

/// `error`, cut so that it fits into a record.
pub fn error_text(error: &str) -> String {
    fitting(error, ERROR_MAX)
}

/// `text` without control characters, cut to what takes `max` bytes in a record.
pub fn fitting(text: &str, max: usize) -> String {
    let mut taken = 0;
    let fits = |c: &char| {
        taken += c.len_utf8() + usize::from(matches!(c, '"' | '\\'));
        taken <= max
    };
    let text = text.chars().filter(|c| !c.is_control());
    text.take_while(fits).collect()
}

/// A stage as bytes, in one of two sizes. Errors: it does not fit, which the limits of all the texts
/// in it rule out.
pub fn encode(record: &Record) -> io::Result<Vec<u8>> {
    let mut line = Vec::with_capacity(SIZE);
    serde_json::to_writer(&mut line, record)?;
    let size = if line.len() < SIZE { SIZE } else { SIZE_MAX };
    if line.len() >= size {
        return Err(io::Error::other("a shim's record does not fit"));
    }
    line.push(b'\n');
    // Behind the line, where nobody reads.
    line.resize(size, b' ');
    Ok(line)
}

/// The record of these bytes; `None` when they hold none that this program can read.
pub fn decode(bytes: &[u8]) -> Option<Record> {
    let line = bytes.split(|byte| *byte == b'\n').next()?;
    let record: Record = serde_json::from_slice(line).ok()?;
    (record.version <= VERSION).then_some(record)
}

/// What a shim's file holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Written {
    /// Nothing was recorded yet.
    Nothing,
    /// Something that this program cannot read.
    Unreadable,
    /// The last stage of one attempt.
    Record(Record),
}

/// Reads what a shim's file holds. Errors: see pread(2).
pub fn read(file: &File) -> io::Result<Written> {
    let mut bytes = vec![0; SIZE_MAX];
    let mut filled = 0;
    while filled < SIZE_MAX {
        match file.read_at(&mut bytes[filled..], filled as u64)? {
            0 => break,
            count => filled += count,
        }
    }
    Ok(match decode(&bytes[..filled]) {
        Some(record) => Written::Record(record),
        None if bytes.iter().all(|byte| *byte == 0) => Written::Nothing,
        None => Written::Unreadable,
    })
}

/// Writes an encoded record over the one before. Errors: see pwrite(2).
pub fn write(file: &File, encoded: &[u8]) -> io::Result<()> {
    file.write_all_at(encoded, 0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::policy::{Decision, Verdict, When, Witness};
    use crate::shim::decision;
    use crate::shim::testimony::complaint;
    use crate::sys::files::{create_private, reserve};

    fn record(stage: Stage) -> Record {
        Record {
            version: VERSION,
            run: RunId(i64::MAX),
            attempt: AttemptNumber(u32::MAX),
            stage,
        }
    }

    /// All that can be said of an attempt, in the longest words.
    fn everything(text: &str) -> Testimony {
        let wish = |verdict, when| Decision {
            verdict: Some(verdict),
            when: Some(when),
        };
        let at = When::At(Timestamp::from_millis(i64::MIN));
        let snooze = Verdict::Snooze { delay_ms: i64::MIN };
        let object = serde_json::json!({ "error": text, "pool": "default" }).to_string();
        let changes = decision::parse(object.as_bytes()).unwrap().1;
        let lock = "\"".repeat(200);
        let object = serde_json::json!({ "lock": lock, "priority": i32::MIN }).to_string();
        let others = decision::parse(object.as_bytes()).unwrap().1;
        Testimony {
            command: Some(wish(snooze, at)),
            decider: Some(wish(snooze, When::After(i64::MIN))),
            changes: changes.or(others),
            stop_if: true,
            retry_if: true,
            retry_after: Some(When::After(i64::MIN)),
            complaints: vec![
                complaint(Witness::Command, text),
                complaint(Witness::Decider, text),
            ],
        }
    }

    #[test]
    fn the_longest_record_fits_and_comes_back() {
        for text in ["\"\\\u{7}é", "\"", "é", "\u{10ffff}", "x", "\u{7f}\u{9b}"] {
            let text = text.repeat(3000);
            let spawn = record(Stage::Ended(Ending {
                pid: Some(i32::MAX),
                started_at: Timestamp::from_millis(i64::MIN),
                ended_at: Timestamp::from_millis(i64::MAX),
                outcome: Outcome::Spawn {
                    code: 127,
                    error: error_text(&text),
                },
                stdout_len: u64::MAX,
                leftover: false,
                testimony: Box::new(everything(&text)),
            }));
            let encoded = encode(&spawn).unwrap();
            assert!(encoded.len() <= SIZE_MAX);
            assert_eq!(decode(&encoded), Some(spawn));
        }
    }

    #[test]
    fn an_ordinary_record_is_short_and_written_over_a_long_one() {
        let folder = tempfile::tempdir().unwrap();
        let file = create_private(&folder.path().join("shim")).unwrap();
        reserve(&file, FILE_SIZE).unwrap();
        assert_eq!(read(&file).unwrap(), Written::Nothing);
        let ended = |testimony| {
            record(Stage::Ended(Ending {
                pid: Some(1),
                started_at: Timestamp::from_millis(0),
                ended_at: Timestamp::from_millis(1),
                outcome: Outcome::Exit { code: 0 },
                stdout_len: 0,
                leftover: false,
                testimony: Box::new(testimony),
            }))
        };
        let (long, short) = (
            ended(everything(&"x".repeat(1000))),
            ended(Testimony::default()),
        );
        for (record, size) in [(&long, SIZE_MAX), (&short, SIZE), (&long, SIZE_MAX)] {
            let encoded = encode(record).unwrap();
            assert_eq!(encoded.len(), size);
            write(&file, &encoded).unwrap();
            assert_eq!(read(&file).unwrap(), Written::Record(record.clone()));
            assert_eq!(file.metadata().unwrap().len(), FILE_SIZE as u64);
        }
    }

    #[test]
    fn rubbish_and_the_future_are_no_record() {
        assert_eq!(decode(&[0; SIZE]), None);
        assert_eq!(decode(b""), None);
        assert_eq!(decode(b"{\"version\":1}"), None);
        let mut later = record(Stage::Starting);
        later.version = VERSION + 1;
        assert_eq!(decode(&encode(&later).unwrap()), None);
    }
}
