//! What somebody asks for with `retrier run`, parsed and complete.

use std::ffi::CStr;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use serde::de::{self, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

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
#[derive(Clone, PartialEq, Eq, Default)]
pub struct Environment(pub Vec<u8>);

impl Serialize for Environment {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        // As bytes in one piece: as a `Vec` it would go one by one.
        to.serialize_bytes(&self.0)
    }
}

impl<'de> Deserialize<'de> for Environment {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Bytes;
        impl Visitor<'_> for Bytes {
            type Value = Environment;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("bytes")
            }

            fn visit_bytes<E: de::Error>(self, bytes: &[u8]) -> Result<Environment, E> {
                Ok(Environment(bytes.to_vec()))
            }
        }
        from.deserialize_bytes(Bytes)
    }
}

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

    /// The variables of all `parts` with each key once, ordered by it: of equal keys the last one
    /// counts. What has no key is no variable.
    pub fn merged<'a>(parts: &[&'a Self]) -> Vec<Variable<'a>> {
        let all = parts.iter().flat_map(|part| part.variables());
        let mut all: Vec<Variable<'a>> = all.collect();
        // Equal keys stay in their order.
        all.sort_by_key(|variable| variable.key);
        all.dedup_by(|later, earlier| {
            let same = later.key == earlier.key;
            if same {
                *earlier = *later;
            }
            same
        });
        all
    }

    fn variables(&self) -> impl Iterator<Item = Variable<'_>> {
        let mut rest = &self.0[..];
        let entries = std::iter::from_fn(move || {
            let entry = CStr::from_bytes_until_nul(rest).ok()?;
            rest = &rest[entry.count_bytes() + 1..];
            Some(entry)
        });
        entries.filter_map(|entry| {
            let bytes = entry.to_bytes();
            let at = bytes.iter().position(|byte| *byte == b'=')?;
            let key = &bytes[..at];
            (at > 0).then_some(Variable { key, entry })
        })
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

/// A variable as a program is started with it. It may be a secret, so there is no `Debug`.
#[derive(Clone, Copy)]
pub struct Variable<'a> {
    /// Its key, never empty.
    pub key: &'a [u8],
    /// `KEY=VALUE`.
    pub entry: &'a CStr,
}

impl<'a> Variable<'a> {
    /// The value of `key` among `variables`, which are ordered.
    pub fn value(variables: &[Self], key: &[u8]) -> Option<&'a [u8]> {
        let at = variables.binary_search_by_key(&key, |variable| variable.key);
        let found = variables[at.ok()?];
        Some(&found.entry.to_bytes()[key.len() + 1..])
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

#[cfg(test)]
mod tests {
    use super::*;

    fn merged(parts: &[&[u8]]) -> Vec<String> {
        let parts: Vec<_> = parts
            .iter()
            .map(|part| Environment(part.to_vec()))
            .collect();
        let merged = Environment::merged(&parts.iter().collect::<Vec<_>>()).into_iter();
        let text = merged.map(|variable| variable.entry.to_str().unwrap().to_owned());
        text.collect()
    }

    #[test]
    fn of_variables_with_the_same_key_the_last_one_counts() {
        let captured = b"B=1\0A=1\0B=2\0B=\0A=x=y\0AB=1\0";
        assert_eq!(merged(&[captured]), ["A=x=y", "AB=1", "B="]);
        assert_eq!(merged(&[captured, b"B=3\0AB=\0"]), ["A=x=y", "AB=", "B=3"]);
        assert_eq!(merged(&[b"B=3\0", captured]), ["A=x=y", "AB=1", "B="]);
    }

    #[test]
    fn what_has_no_key_is_no_variable() {
        assert_eq!(merged(&[b"=1\0=A=1\0A\0\0A=1\0"]), ["A=1"]);
        assert!(merged(&[b"", b"\0", b"A=no end"]).is_empty());
    }

    #[test]
    fn a_value_is_found_by_its_whole_key() {
        let environment = Environment(b"PATHS=1\0PATH=/a:/b\0PAT=2\0EMPTY=\0".to_vec());
        let merged = Environment::merged(&[&environment]);
        let value = |key: &str| Variable::value(&merged, key.as_bytes());
        assert_eq!(value("PATH"), Some(&b"/a:/b"[..]));
        assert_eq!(value("EMPTY"), Some(&b""[..]));
        assert_eq!(value("PA"), None);
        assert_eq!(value("Z"), None);
    }
}
