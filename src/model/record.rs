//! Runs, attempts and histories as people and programs are shown them.

use super::outcome::{Outcome, RunResult};
use super::policy::Why;
use super::run::{AttemptNumber, Run, RunId};
use super::time::{Timestamp, millis_of};
use super::transition::Note;

/// A run with all that people are shown of it. The environment is not part of it.
#[derive(Clone, Debug, PartialEq)]
pub struct RunRecord {
    /// Its number.
    pub id: RunId,
    /// Its state, counts and policy.
    pub run: Run,
    /// When it was stored.
    pub created_at: Timestamp,
    /// When it ended.
    pub finished_at: Option<Timestamp>,
    /// The program and its arguments.
    pub command: Vec<Vec<u8>>,
    /// The folder it runs in.
    pub cwd: Vec<u8>,
    /// Its name.
    pub name: Option<String>,
    /// The run whose ending it follows.
    pub parent: Option<RunId>,
    /// The hook that follows its ending.
    pub hook: Option<RunId>,
    /// Its priority.
    pub priority: i32,
    /// Its pool.
    pub pool: String,
    /// Its lock.
    pub lock: Option<String>,
    /// Its key.
    pub key: Option<String>,
    /// What became of it.
    pub result: Option<RunResult>,
}

/// An attempt as people are shown it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AttemptRecord {
    /// Its number.
    pub number: AttemptNumber,
    /// When it was started.
    pub started_at: Timestamp,
    /// When it ended.
    pub ended_at: Option<Timestamp>,
    /// The command's pid, once it is known.
    pub pid: Option<i32>,
    /// How it ended.
    pub outcome: Option<Outcome>,
    /// The delay planned after it, in milliseconds, when the run was retried.
    pub retry_delay_ms: Option<i64>,
}

/// A line of a run's history.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EventRecord {
    /// Its number within the run, from 1.
    pub number: u32,
    /// When it happened.
    pub at: Timestamp,
    /// What happened.
    pub note: Note,
    /// The attempt that it is about.
    pub attempt: Option<AttemptNumber>,
    /// How that attempt ended, at the line of its end.
    pub outcome: Option<Outcome>,
    /// The delay planned after it, in milliseconds, when the run goes on.
    pub retry_delay_ms: Option<i64>,
    /// When the run is due after it.
    pub due: Option<Timestamp>,
    /// Who decided it.
    pub why: Option<Why>,
    /// What was wrong with what was said, or what was changed by it.
    pub detail: Option<String>,
    /// The hook that was stored.
    pub hook: Option<RunId>,
}

impl EventRecord {
    /// How long the run waits from then on, in milliseconds, if it does: as it was planned, or
    /// else as its due time has it.
    pub fn delay_ms(&self) -> Option<i64> {
        let due = self.due?;
        let wait = due.since(self.at);
        Some(self.retry_delay_ms.unwrap_or(millis_of(wait)))
    }
}
