//! From a stored run to the order for its shim.

use std::io::{self, Write};
use std::path::Path;

use crate::clock;
use crate::json;
use crate::model::{Environment, Outcome, Policy};
use crate::shim::order::{Decider, Order};
use crate::store::{Folder, Launch, Store, StoreError, Stream};
use crate::sys::files::{create_private, make_private_dirs, remove_if_there};
use crate::sys::spawn::path_bytes;

use super::slots::Key;

/// The variable with the key that is the same in all attempts of a run, and in no other run.
const KEY: &str = "RETRIER_IDEMPOTENCY_KEY";

/// The variable with the number of the attempt.
const ATTEMPT: &str = "RETRIER_ATTEMPT";

/// A decider is told of so many attempts, the last ones.
const TOLD_MAX: u32 = 100;

/// Why no order could be made.
#[derive(Debug)]
pub enum OrderError {
    /// The database.
    Store(StoreError),
    /// The file with the captured input.
    Input(io::Error),
}

/// The order for the claimed attempt `key`. `name` is the database's.
pub fn order(store: &Store, name: &str, key: Key, launch: Launch) -> Result<Order, OrderError> {
    let folder = store.folder();
    let stdin = match &launch.stdin {
        Some(digest) => Some(input(store, digest)?),
        None => None,
    };
    let line = launch.current.run.policy.rules.decide.clone();
    let decider = line.map(|line| decider(store, key, line)).transpose()?;
    let output = |stream| path_bytes(&folder.output(key.run, key.attempt, stream));
    let variables = variables(folder, name, key, &launch);
    let Policy {
        timeout,
        grace,
        max_output,
        rules,
        ..
    } = launch.current.run.policy;
    Ok(Order {
        run: key.run,
        attempt: key.attempt,
        variables,
        command: launch.command,
        cwd: launch.cwd,
        environment: launch.environment,
        umask: launch.umask,
        stdin,
        stdout: output(Stream::Stdout),
        stderr: output(Stream::Stderr),
        decision: path_bytes(&folder.decision(key.run, key.attempt)),
        rules,
        timeout,
        deadline_at: launch.current.run.deadline_at,
        decider,
        grace,
        max_output,
    })
}

/// The decider with this line, and what it is told of the run.
fn decider(store: &Store, key: Key, line: String) -> Result<Decider, OrderError> {
    let told = store.at_once(|read| {
        let attempts = read.last_attempts(key.run, TOLD_MAX)?;
        Ok(json::run(&read.record(key.run)?, &attempts, clock::now()))
    });
    let run = told.map_err(OrderError::Store)?.to_string();
    Ok(Decider { line, run })
}

/// What retrier tells a command through its environment.
fn variables(folder: &Folder, name: &str, key: Key, launch: &Launch) -> Environment {
    let number = |number: u32| number.to_string();
    let flag = |flag| if flag { "1" } else { "0" };
    let mut variables = Environment::default();
    let mut set = |key: &str, value: &[u8]| variables.push(key.as_bytes(), value);
    set("RETRIER_RUN_ID", key.run.to_string().as_bytes());
    set(ATTEMPT, key.attempt.to_string().as_bytes());
    let max = launch
        .current
        .run
        .max_attempts()
        .map_or(String::new(), number);
    set("RETRIER_MAX_ATTEMPTS", max.as_bytes());
    set(
        "RETRIER_LAST_ATTEMPT",
        flag(launch.current.run.is_last_attempt()).as_bytes(),
    );
    set(KEY, idempotency_key(name, key).as_bytes());
    let previous = launch
        .previous
        .as_ref()
        .map_or(String::new(), Outcome::to_string);
    // Its text may quote the command, which cannot hold a NUL; an error text could.
    set(
        "RETRIER_PREVIOUS_OUTCOME",
        previous.replace('\0', "").as_bytes(),
    );
    set("RETRIER_DB", &path_bytes(folder.database()));
    let decision = folder.decision(key.run, key.attempt);
    set("RETRIER_DECISION", &path_bytes(&decision));
    if let Some((parent, result)) = &launch.parent {
        set("RETRIER_PARENT_ID", parent.to_string().as_bytes());
        set("RETRIER_RESULT", result.as_bytes());
    }
    variables
}

fn idempotency_key(name: &str, key: Key) -> String {
    format!("{name}-{}", key.run)
}

/// The variables by which the processes of attempt `key` are known, as they stand in their
/// environments: no other attempt has both. `name` is the database's.
pub fn marks(name: &str, key: Key) -> Vec<Vec<u8>> {
    vec![
        format!("{KEY}={}", idempotency_key(name, key)).into_bytes(),
        format!("{ATTEMPT}={}", key.attempt).into_bytes(),
    ]
}

/// The file with the input of this digest, made when it is not there. One of another length was cut
/// by a power cut: its name can reach the disk before its content.
fn input(store: &Store, digest: &str) -> Result<Vec<u8>, OrderError> {
    let path = store.folder().input(digest);
    let length = store.read().content_length(digest);
    let length = length.map_err(OrderError::Store)?;
    if path.metadata().map_or(true, |found| found.len() != length) {
        let bytes = store.read().content(digest).map_err(OrderError::Store)?;
        write_whole(&path, &bytes).map_err(OrderError::Input)?;
    }
    Ok(path_bytes(&path))
}

/// Nobody ever sees the file half-written: it gets its name last.
fn write_whole(path: &Path, bytes: &[u8]) -> io::Result<()> {
    path.parent().map_or(Ok(()), make_private_dirs)?;
    let unfinished = path.with_extension("new");
    remove_if_there(&unfinished)?;
    create_private(&unfinished)?.write_all(bytes)?;
    std::fs::rename(&unfinished, path)
}
