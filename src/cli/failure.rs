//! Why a verb could not do its work: the exit code, the message, and what to do next.

use std::fmt;
use std::io;

use crate::daemon::serve::ServeError;
use crate::store::StoreError;
use crate::text::nearest;

use super::render;

/// The exit codes that all verbs share.
pub mod code {
    /// Done.
    pub const DONE: u8 = 0;
    /// retrier could not do it.
    pub const FAILED: u8 = 1;
    /// Wrong usage.
    pub const USAGE: u8 = 2;
    /// There is no such run.
    pub const NO_RUN: u8 = 3;
    /// The run's state forbids it.
    pub const STATE: u8 = 4;
    /// The run may or may not have been stored.
    pub const UNKNOWN: u8 = 5;
    /// Waiting took longer than its limit, or an attempt did, or the run's deadline has passed.
    pub const TIMEOUT: u8 = 124;
    /// The command cannot be executed.
    pub const NOT_EXECUTABLE: u8 = 126;
    /// There is no such command.
    pub const NOT_FOUND: u8 = 127;
    /// While a command's own exit code is passed on: retrier itself failed.
    pub const RETRIER: u8 = 125;
    /// The run was canceled.
    pub const CANCELED: u8 = 130;
    /// Ctrl-C has ended the verb.
    pub const INTERRUPTED: u8 = 130;

    /// Signal `number` has ended the verb, as a shell tells it of any program.
    pub fn of_signal(number: i32) -> u8 {
        u8::try_from(128 + number).unwrap_or(FAILED)
    }
}

/// An error as it is printed: once, by `main`.
#[derive(Debug)]
pub struct Failure {
    /// The exit code.
    pub code: u8,
    /// What happened, to what.
    pub message: String,
    /// What to type next.
    pub hint: Option<String>,
}

impl Failure {
    pub fn new(code: u8, message: impl Into<String>) -> Self {
        Self {
            code,
            message: without_numbers(message.into()),
            hint: None,
        }
    }

    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// `what` could not be done with a file or folder, for this reason.
    pub fn of_file(what: impl fmt::Display, error: &io::Error) -> Self {
        Self::new(code::FAILED, format!("{what}: {error}"))
    }

    /// The same failure where a command's exit code is passed on, so that the two are not mixed.
    #[must_use]
    pub fn of_retrier(mut self) -> Self {
        self.code = code::RETRIER;
        self
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Failure {}

impl From<anyhow::Error> for Failure {
    /// What an error of any layer means for the user: a failure as it is, an error of the store
    /// or the daemon with its own exit code, everything else 1.
    fn from(error: anyhow::Error) -> Self {
        let error = match error.downcast::<Self>() {
            Ok(failure) => return failure,
            Err(error) => error,
        };
        let store = error.downcast_ref::<StoreError>();
        let serve = error.downcast_ref::<ServeError>();
        match (store, serve) {
            (Some(store), _) | (None, Some(ServeError::Store(store))) => Self::of_store(store),
            (None, Some(held @ ServeError::Held(_))) => {
                Self::new(code::STATE, held.to_string()).hint(HELD_HINT)
            }
            (None, Some(ServeError::System(..) | ServeError::Troubled(_)) | None) => {
                Self::new(code::FAILED, format!("{error:#}")).hint(DOCTOR_HINT)
            }
        }
    }
}

/// What to do about what nobody has foreseen.
const DOCTOR_HINT: &str =
    "`retrier doctor` looks what is wrong with the database, the daemon and the machine";

/// What to do about a daemon that is in the way.
pub const HELD_HINT: &str = "`retrier daemon stop` ends it; running attempts live on";

impl Failure {
    fn of_store(error: &StoreError) -> Self {
        let code = match error {
            StoreError::NoRun { .. } | StoreError::NoKey { .. } => code::NO_RUN,
            StoreError::Unknown { .. } => code::UNKNOWN,
            StoreError::NoPool { .. } => code::USAGE,
            StoreError::PoolFull { .. } => code::STATE,
            StoreError::NoFolder { .. }
            | StoreError::NotOurs { .. }
            | StoreError::Newer { .. }
            | StoreError::Older { .. }
            | StoreError::Damaged { .. }
            | StoreError::NotPrivate { .. }
            | StoreError::Full { .. }
            | StoreError::Busy { .. }
            | StoreError::Replaced { .. }
            | StoreError::Network { .. }
            | StoreError::Displaced { .. }
            | StoreError::ReadOnly { .. }
            | StoreError::NotCopied { .. }
            | StoreError::There { .. }
            | StoreError::NotKept { .. }
            | StoreError::Io { .. }
            | StoreError::Sqlite { .. } => code::FAILED,
        };
        let meant = match error {
            StoreError::NoPool { pool, others, .. } => nearest(pool, others)
                .map(|near| format!("did you mean {near}? `retrier pool list` shows all pools")),
            StoreError::NoKey { key, others, .. } => nearest(key, others).map(|near| {
                let near = render::command(&[near.as_bytes().to_vec()]);
                format!("did you mean --key {near}? `retrier list` shows the runs that are stored")
            }),
            _ => None,
        };
        let hint = meant.or_else(|| error.hint().map(str::to_owned));
        Self {
            hint,
            ..Self::new(code, error.to_string())
        }
    }
}

/// The exit code of a verb that did several things: the first of 1, 3, 4 that occurred.
pub fn first_of(codes: &[u8]) -> u8 {
    let order = [code::FAILED, code::UNKNOWN, code::NO_RUN, code::STATE];
    let found = order.into_iter().find(|code| codes.contains(code));
    found.unwrap_or(code::DONE)
}

/// The system's errors without their numbers, which say nothing to a person.
fn without_numbers(mut message: String) -> String {
    while let Some(at) = message.find(" (os error ") {
        let rest = &message[at..];
        let Some(end) = rest.find(')') else { break };
        message.replace_range(at..=at + end, "");
    }
    message
}
