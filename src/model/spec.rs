//! What somebody asks for with `retrier run`, parsed and complete.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::policy::Policy;
use super::time::Timestamp;

/// When a run becomes due for the first time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Start {
    /// Now.
    Now,
    /// After this delay.
    After(Duration),
    /// At this time.
    At(Timestamp),
}

/// An environment in the kernel's form: `KEY=VALUE`, each ended by a NUL byte.
///
/// It holds secrets, so `Debug` shows its size alone.
#[derive(Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Environment(pub Vec<u8>);

impl Environment {
    /// The variables as (key, value) pairs, in order.
    pub fn pairs(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        split_nul(&self.0).filter_map(|entry| {
            let at = entry.iter().position(|byte| *byte == b'=')?;
            Some((&entry[..at], &entry[at + 1..]))
        })
    }

    /// Adds a variable at the end.
    pub fn push(&mut self, key: &[u8], value: &[u8]) {
        self.0.extend_from_slice(key);
        self.0.push(b'=');
        self.0.extend_from_slice(value);
        self.0.push(0);
    }

    /// The value of `key`, the last one when it stands twice.
    pub fn get(&self, key: &[u8]) -> Option<&[u8]> {
        let pairs = self.pairs().filter(|(k, _)| *k == key);
        pairs.last().map(|(_, value)| value)
    }
}

impl fmt::Debug for Environment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Environment({} bytes)", self.0.len())
    }
}

/// Byte strings joined in the form that [`split_nul`] reads: each ended by a NUL byte.
pub fn join_nul(parts: &[Vec<u8>]) -> Vec<u8> {
    let mut joined = Vec::with_capacity(parts.iter().map(|part| part.len() + 1).sum());
    for part in parts {
        joined.extend_from_slice(part);
        joined.push(0);
    }
    joined
}

/// The byte strings of a sequence in which each is ended by a NUL byte.
pub fn split_nul(bytes: &[u8]) -> impl Iterator<Item = &[u8]> {
    let body = bytes.strip_suffix(&[0]).unwrap_or(bytes);
    let empty = bytes.is_empty();
    body.split(|byte| *byte == 0)
        .take(if empty { 0 } else { usize::MAX })
}

/// What keeps a second run from being stored beside a first one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Key {
    /// The key, at most [`Key::BYTES_MAX`] bytes of text without control characters.
    pub text: String,
    /// Whether a run that has ended keeps it as long as that run is stored.
    pub once: bool,
}

impl Key {
    /// No key is longer, in bytes.
    pub const BYTES_MAX: usize = 200;
}

/// A run to be stored. Arguments, environment and folder are bytes without NUL, not UTF-8.
#[derive(Clone, Debug, PartialEq)]
pub struct Spec {
    /// The program and its arguments; never empty.
    pub command: Vec<Vec<u8>>,
    /// The folder it runs in, absolute.
    pub cwd: Vec<u8>,
    /// Its environment, without the variables that retrier sets itself.
    pub environment: Environment,
    /// Its umask.
    pub umask: u32,
    /// What every attempt reads from its stdin; `None` is /dev/null. The runs of a batch share it.
    pub stdin: Option<Arc<[u8]>>,
    /// A name for people.
    pub name: Option<String>,
    /// When it is retried.
    pub policy: Policy,
    /// When it is due.
    pub start: Start,
    /// A shell line to run when it has ended.
    pub on_complete: Option<Vec<u8>>,
    /// Its key.
    pub key: Option<Key>,
    /// One point is worth a minute of waiting.
    pub priority: i32,
    /// The pool that it starts in.
    pub pool: String,
    /// Of all runs with the same lock one at a time runs: at most [`LOCK_MAX`] bytes of text
    /// without control characters.
    pub lock: Option<String>,
}

/// The longest lock in bytes.
pub const LOCK_MAX: usize = 200;

/// By how much one point of priority makes a run older than it is.
pub const PRIORITY_WORTH: Duration = Duration::from_secs(60);

impl Spec {
    /// The command that has the shell run `line`.
    pub fn shell(line: Vec<u8>) -> Vec<Vec<u8>> {
        vec![b"/bin/sh".to_vec(), b"-c".to_vec(), line]
    }
}
