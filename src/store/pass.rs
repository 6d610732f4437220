//! One transaction of writes: answers of the state machine, applied whole and guarded.

use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use rusqlite::{Connection, ErrorCode, OptionalExtension, Row};

use crate::model::policy::Witness;
use crate::model::{
    AttemptChange, AttemptNumber, HookChange, Note, Policy, Reason, Run, RunId, RunResult, State,
    Testimony, Timestamp, Transition,
};
use crate::sys::failpoint;
use crate::sys::identity::ProcessIdentity;

use super::error::StoreError;
use super::history::{self, Line};
use super::hook;
use super::read::Reader;
use super::row;
use super::tally::{self, Counts, Standing};

/// An open write transaction; dropped without [`Pass::commit`] it changes nothing.
#[derive(Debug)]
pub struct Pass<'s> {
    connection: &'s Connection,
    path: PathBuf,
    counts: Counts,
}

/// What the world adds to a transition.
#[derive(Clone, Copy, Debug)]
pub enum Facts<'a> {
    /// Nothing.
    None,
    /// For a claim: the shim that will run the attempt.
    Claim {
        /// Its file.
        file: &'a str,
        /// Which process it is.
        shim: &'a ProcessIdentity,
    },
    /// For the end of an attempt: what was seen of it.
    Ending {
        /// The command's pid, if it was started.
        pid: Option<i32>,
        /// When it was started, if that is known.
        started_at: Option<Timestamp>,
        /// The head of its stdout, if it succeeded.
        return_value: &'a [u8],
        /// What else was said of it.
        testimony: &'a Testimony,
    },
}

/// A run as an open transaction has read it, with what of it counts for others: what is applied to it
/// in the same transaction need not look for that again.
#[derive(Clone, Debug, PartialEq)]
pub struct Current {
    /// The run.
    pub id: RunId,
    /// It as the state machine sees it.
    pub run: Run,
    standing: Standing,
}

/// An attempt that occupies a slot.
#[derive(Clone, Debug, PartialEq)]
pub struct OpenAttempt {
    /// The run.
    pub run: RunId,
    /// Its number.
    pub attempt: AttemptNumber,
    /// Whether its run was canceled.
    pub canceled: bool,
    /// The file of its shim.
    pub file: String,
    /// Which process its shim is.
    pub shim: ProcessIdentity,
    /// What its run was told about retrying and ending it.
    pub policy: Policy,
}

impl<'s> Pass<'s> {
    /// Begins one, in the words of `begin`, which are prepared once for all passes.
    pub(super) fn begin(
        connection: &'s Connection,
        begin: &str,
        path: PathBuf,
    ) -> Result<Self, StoreError> {
        let begun = connection
            .prepare_cached(begin)
            .and_then(|mut begin| begin.execute([]));
        begun.map_err(|error| StoreError::from_sqlite(&path, error))?;
        Ok(Self {
            connection,
            path,
            counts: Counts::default(),
        })
    }

    /// What is stored, as this transaction sees it.
    pub fn read(&self) -> Reader<'_> {
        Reader::new(self.connection, &self.path, Some(&self.counts))
    }

    /// The run `id`, to be applied to.
    pub fn current(&self, id: RunId) -> Result<Current, StoreError> {
        static CURRENT: LazyLock<String> =
            LazyLock::new(|| format!("SELECT {} FROM run WHERE id = ?1", Current::columns()));
        self.read()
            .found_by(&CURRENT, id, |row| Current::at(row, id))
    }

    /// Writes `transition` of run `id`, whole, if the run is still as `before`. `false`: it is not,
    /// somebody was faster, and nothing was written. `at` is when it happened.
    pub fn apply(
        &self,
        id: RunId,
        before: &Run,
        transition: &Transition,
        at: Timestamp,
        facts: Facts<'_>,
    ) -> Result<bool, StoreError> {
        let Some(standing) = self.guard(Standing::of(self.connection, id))? else {
            return Ok(false);
        };
        let current = Current {
            id,
            run: before.clone(),
            standing,
        };
        self.apply_to(&current, transition, at, facts)
    }

    /// As [`Pass::apply`], of a run that this transaction has read.
    pub fn apply_to(
        &self,
        current: &Current,
        transition: &Transition,
        at: Timestamp,
        facts: Facts<'_>,
    ) -> Result<bool, StoreError> {
        let Current { id, run, standing } = current;
        let id = *id;
        let result = ending(run, transition, facts);
        let changes = facts.testimony().map(|said| &said.changes);
        let changed = self.update_run(current, transition, at, (result.as_ref(), changes));
        if !self.guard(changed)? {
            return Ok(false);
        }
        let due = run.state.due();
        let attempt = self.update_attempt((id, &standing.pool), transition, (at, due), facts);
        let attempt = self.guard(attempt)?;
        self.guard(self.write_history(id, transition, (at, attempt), facts))?;
        match (transition.hook, result) {
            (HookChange::Enqueue, Some(result)) => {
                self.guard(hook::enqueue(self, id, &result, false, at))?;
                if failpoint::has_bug("doubles_hooks") {
                    self.guard(hook::enqueue(self, id, &result, false, at))?;
                }
            }
            (HookChange::EnqueueHeld, Some(result)) => {
                self.guard(hook::enqueue(self, id, &result, true, at))?;
            }
            (HookChange::Release, _) => hook::release(self, id, at)?,
            (HookChange::Enqueue | HookChange::EnqueueHeld, None) | (HookChange::None, _) => {}
        }
        Ok(true)
    }

    fn write_history(
        &self,
        id: RunId,
        transition: &Transition,
        (at, attempt): (Timestamp, Option<AttemptNumber>),
        facts: Facts<'_>,
    ) -> rusqlite::Result<()> {
        let complaints = facts.testimony().map_or(&[][..], |said| &said.complaints);
        for complaint in complaints {
            let note = match complaint.of {
                Witness::Command => Note::DecisionIgnored,
                Witness::Decider => Note::DeciderFailed,
            };
            let line = Line {
                attempt,
                detail: Some(&complaint.error),
                ..Line::new(at, note)
            };
            history::append(self.connection, id, line)?;
        }
        let changed = facts.testimony().and_then(|said| said.changes.words());
        let line = Line {
            attempt,
            detail: changed.as_deref(),
            due: transition.state.due(),
            why: transition.why,
            ..Line::new(at, transition.note)
        };
        history::append(self.connection, id, line)
    }

    /// Commits. Errors: nothing was committed, but for [`StoreError::Unknown`].
    pub fn commit(self) -> Result<(), StoreError> {
        self.guard(self.write_counts())?;
        let committed = self
            .connection
            .prepare_cached("COMMIT")
            .and_then(|mut commit| commit.execute([]));
        match committed {
            Ok(_) => Ok(()),
            // The commit record may have reached the log before the error.
            Err(error) if error.sqlite_error_code() == Some(ErrorCode::SystemIoFailure) => {
                Err(StoreError::Unknown {
                    path: self.path.clone(),
                    cause: error.to_string(),
                })
            }
            Err(error) => Err(StoreError::from_sqlite(&self.path, error)),
        }
    }

    /// The error of a file operation that goes with this transaction.
    pub fn trouble(&self, error: std::io::Error) -> StoreError {
        StoreError::from_io(&self.path, error)
    }

    pub(super) fn connection(&self) -> &Connection {
        self.connection
    }

    pub(super) fn counts(&self) -> &Counts {
        &self.counts
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Names SQLite's errors.
    pub(super) fn guard<T>(&self, result: rusqlite::Result<T>) -> Result<T, StoreError> {
        result.map_err(|error| StoreError::from_sqlite(&self.path, error))
    }
}

impl Drop for Pass<'_> {
    fn drop(&mut self) {
        // After a commit, and after some errors, there is none.
        if !self.connection.is_autocommit() {
            // What fails here leaves the transaction to the end of the connection.
            let _ = self.connection.execute_batch("ROLLBACK");
        }
    }
}

impl Current {
    /// How many columns [`Current::at`] reads.
    pub(super) const WIDTH: usize = row::RUN_WIDTH + Standing::WIDTH;

    /// The columns that [`Current::at`] reads, in its order.
    pub(super) fn columns() -> String {
        format!("{}, {}", row::RUN, tally::STANDING)
    }

    /// The run `id`, of these columns.
    pub(super) fn at(row: &Row<'_>, id: RunId) -> rusqlite::Result<Self> {
        Ok(Self {
            id,
            run: row::run(row)?,
            standing: Standing::at(row, row::RUN_WIDTH)?,
        })
    }

    /// The pool that its next attempt is started in, or in which its open one was.
    pub fn pool(&self) -> &str {
        &self.standing.pool
    }

    pub(super) fn standing(&self) -> &Standing {
        &self.standing
    }
}

impl<'a> Facts<'a> {
    fn testimony(self) -> Option<&'a Testimony> {
        match self {
            Self::Ending { testimony, .. } => Some(testimony),
            Self::None | Self::Claim { .. } => None,
        }
    }
}

/// What the command said of its failure, or else how it ended.
fn error_text(transition: &Transition, reason: Reason, facts: Facts<'_>) -> String {
    let said = facts
        .testimony()
        .and_then(|said| said.changes.error.clone());
    said.unwrap_or_else(|| match &transition.attempt {
        AttemptChange::Close { outcome, .. } => outcome.to_string(),
        AttemptChange::None | AttemptChange::Open(_) | AttemptChange::Forget(_) => {
            reason.word().to_owned()
        }
    })
}

/// The result of a run that `transition` ends; `None` when it does not end, or had ended before.
fn ending(before: &Run, transition: &Transition, facts: Facts<'_>) -> Option<RunResult> {
    if before.state.is_final() {
        return None;
    }
    match &transition.state {
        State::Waiting { .. } | State::Held | State::Running { .. } => None,
        State::Succeeded => Some(RunResult::Success {
            return_value: match facts {
                Facts::Ending { return_value, .. } => return_value.to_vec(),
                Facts::None | Facts::Claim { .. } => Vec::new(),
            },
        }),
        State::Failed { reason } => Some(RunResult::Failed {
            error: error_text(transition, *reason, facts),
            reason: *reason,
        }),
        State::Canceled { .. } => Some(RunResult::Canceled),
    }
}

/// The run `id` as the state machine sees it.
pub(super) fn find(connection: &Connection, id: RunId) -> rusqlite::Result<Option<Run>> {
    static FIND: LazyLock<String> =
        LazyLock::new(|| format!("SELECT {} FROM run WHERE id = ?1", row::RUN));
    connection
        .prepare_cached(&FIND)?
        .query_row([id.0], row::run)
        .optional()
}
