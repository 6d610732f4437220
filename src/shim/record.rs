//! The record: what a shim has written down of the attempt that it runs.
//!
//! One line of JSON at the start of the shim's file, rewritten whole at each stage with a single
//! write of one fixed size into room that was reserved when the file was made: a full disk cannot
//! keep an outcome out of it, and a killed shim leaves the old line or the new one.

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

/// The size of a record in bytes: what one write replaces.
const SIZE: usize = 1024;

/// The size of a shim's file.
pub const FILE_SIZE: i64 = 4096;

/// An error text is cut to this many bytes, so that a record always fits.
const ERROR_MAX: usize = 300;

/// `error`, cut so that it fits into a record even when each byte is escaped.
pub fn error_text(error: &str) -> String {
    let mut text: String = error.chars().filter(|c| !c.is_control()).collect();
    while text.len() > ERROR_MAX {
        text.pop();
    }
    text
}

/// A stage as bytes, in the fixed size. Errors: it does not fit, which [`error_text`] rules out.
pub fn encode(record: &Record) -> io::Result<Vec<u8>> {
    let mut line = serde_json::to_vec(record)?;
    if line.len() >= SIZE {
        return Err(io::Error::other("a shim's record does not fit"));
    }
    line.resize(SIZE - 1, b' ');
    line.push(b'\n');
    Ok(line)
}

/// The record of these bytes; `None` when they hold none that this program can read.
pub fn decode(bytes: &[u8]) -> Option<Record> {
    let record: Record = serde_json::from_slice(bytes).ok()?;
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
    let mut bytes = vec![0; SIZE];
    let mut filled = 0;
    while filled < SIZE {
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

    fn record(stage: Stage) -> Record {
        Record {
            version: VERSION,
            run: RunId(i64::MAX),
            attempt: AttemptNumber(u32::MAX),
            stage,
        }
    }

    #[test]
    fn the_longest_record_fits_and_comes_back() {
        let error = error_text(&"\"\\\u{7}é".repeat(1000));
        let spawn = record(Stage::Ended(Ending {
            pid: Some(i32::MAX),
            started_at: Timestamp::from_millis(i64::MIN),
            ended_at: Timestamp::from_millis(i64::MAX),
            outcome: Outcome::Spawn { code: 127, error },
            stdout_len: u64::MAX,
            leftover: false,
            testimony: Box::default(),
        }));
        let encoded = encode(&spawn).unwrap();
        assert_eq!(encoded.len(), SIZE);
        assert_eq!(decode(&encoded), Some(spawn));
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
