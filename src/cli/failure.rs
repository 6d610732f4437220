//! Why a verb could not do its work: the exit code, the message, and what to do next.

use std::fmt;
use std::io;
use std::path::Path;

use crate::daemon::serve::ServeError;
use crate::store::StoreError;

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
    /// Waiting took longer than its limit, or an attempt did.
    pub const TIMEOUT: u8 = 124;
    /// While a command's own exit code is passed on: retrier itself failed.
    pub const RETRIER: u8 = 125;
    /// The run was canceled.
    pub const CANCELED: u8 = 130;
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
            message: message.into(),
            hint: None,
        }
    }

    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// A file operation on `path` that failed.
    pub fn io(path: &Path, error: &io::Error) -> Self {
        Self::new(code::FAILED, format!("{}: {error}", path.display()))
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

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        let code = match &error {
            StoreError::NoRun { .. } => code::NO_RUN,
            StoreError::Unknown { .. } => code::UNKNOWN,
            StoreError::NotOurs { .. }
            | StoreError::Newer { .. }
            | StoreError::Damaged { .. }
            | StoreError::NotPrivate { .. }
            | StoreError::Full { .. }
            | StoreError::Busy { .. }
            | StoreError::ReadOnly { .. }
            | StoreError::Io { .. }
            | StoreError::Sqlite { .. } => code::FAILED,
        };
        let hint = error.hint().map(str::to_owned);
        Self {
            code,
            message: error.to_string(),
            hint,
        }
    }
}

impl From<ServeError> for Failure {
    fn from(error: ServeError) -> Self {
        match error {
            ServeError::Store(error) => error.into(),
            held @ ServeError::Held(_) => Self::new(code::STATE, held.to_string())
                .hint("`retrier daemon stop` ends it; running attempts live on"),
            ServeError::System(..) => Self::new(code::FAILED, error.to_string()),
        }
    }
}

/// The exit code of a verb that did several things: the first of 1, 3, 4 that occurred.
pub fn first_of(codes: &[u8]) -> u8 {
    let order = [code::FAILED, code::UNKNOWN, code::NO_RUN, code::STATE];
    let found = order.into_iter().find(|code| codes.contains(code));
    found.unwrap_or(code::DONE)
}
