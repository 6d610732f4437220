//! Following a run: what its attempts write, and a line for each of them after which it goes on.

use crate::clock;
use crate::model::{Run, RunId};
use crate::store::Store;

use super::tail::Tail;
use super::{out, render};

/// Of attempts that ended at once so many are told of, the last ones.
const TOLD_MAX: u32 = 100;

/// Somebody who follows one run.
#[derive(Debug)]
pub struct Follower {
    /// The run.
    pub id: RunId,
    /// Whether stderr gets a line for each attempt after which the run goes on.
    pub tells: bool,
    /// What its attempts write, if that is passed on.
    pub tail: Option<Tail>,
    /// Its attempts up to this one were told of, or need not be.
    pub told_to: u32,
}

/// How many attempts of `run` have ended.
pub fn ended(run: &Run) -> u32 {
    run.attempts - u32::from(run.state.open_attempt().is_some())
}

impl Follower {
    /// Passes on what attempts have written since the last time, and tells of those that have ended, if
    /// the run went on after them.
    pub fn follow(&mut self, store: &Store) -> anyhow::Result<()> {
        if !self.tells && self.tail.is_none() {
            return Ok(());
        }
        let (run, last) = store.at_once(|read| {
            let run = read.run(self.id)?;
            let new = run.attempts.saturating_sub(self.told_to);
            let last = read.last_attempts(self.id, new.min(TOLD_MAX))?;
            Ok((run, last))
        })?;
        let now = clock::now();
        // How the last one ended is told with how the run did.
        let is_told = |number| !run.state.is_final() || number < run.attempts;
        for attempt in last.iter().filter(|_| self.tells) {
            let number = attempt.number.0;
            let said = render::failed_attempt(&run, attempt, now);
            let Some(said) = said.filter(|_| is_told(number)) else {
                continue;
            };
            if let Some(tail) = &mut self.tail {
                tail.pump(number)?;
            }
            // It may have been committed a moment ago.
            store.sync()?;
            out::note(&format!("run {}: {said}", self.id));
            self.told_to = number;
        }
        match &mut self.tail {
            Some(tail) => tail.pump(run.attempts),
            None => Ok(()),
        }
    }
}
