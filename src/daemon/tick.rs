//! A daemon that only ticks: it does what is due now, and leaves. For a crontab, where none may stay.
//!
//! It is a whole daemon while it is there. It leaves once nothing that is due can be started and nothing
//! runs; after its time as soon as all is started that can be. What runs then lives on under its shim,
//! which keeps its timeout, and the next tick collects it.

use std::time::{Duration, Instant};

use crate::clock;
use crate::model::Timestamp;
use crate::store::{Reader, StoreError};
use crate::sys::failpoint;

use super::cycle::{Daemon, Mode};
use super::serve::ServeError;

/// So long beyond its time it goes on starting what can be started, if that never ends.
const BEYOND: Duration = Duration::from_secs(5);

impl Daemon {
    /// Whether a daemon that ticks until `until` is to end now, with so many attempts `open`.
    pub(super) fn may_end_tick(
        &mut self,
        now: Instant,
        until: Instant,
        open: usize,
    ) -> Result<bool, ServeError> {
        let is_late = now >= until;
        // What cannot be committed is for the next one, and is known from the shims' records.
        let is_stuck = self.passes.in_a_row() > 0;
        if is_late && (is_stuck || now >= until + BEYOND) {
            self.mode = Mode::Stopping;
            return Ok(true);
        }
        let is_done = !self.dirty && self.inbox.is_empty() && !is_stuck;
        let is_swept = self.upkeep_at.is_none();
        if !is_done || !(is_late || (is_swept && open == 0)) {
            return Ok(false);
        }
        let reached = failpoint::reach("tick_leaving");
        reached.map_err(|error| ServeError::System("leaving", error))?;
        self.retire(|read| Ok(is_late || !has_more(read)?))
    }

    /// What one that has ticked has to say when it leaves by itself. Errors: why it has not done what is due.
    pub(super) fn end_tick(&self) -> Result<(), ServeError> {
        let is_told = !self.obeyed.is_empty();
        if self.config.tick.is_none() || is_told {
            return Ok(());
        }
        let trouble = self.passes.why().or(self.claims.why());
        trouble.map_or(Ok(()), |why| Err(ServeError::Troubled(why.to_owned())))
    }

    /// When what is older than the retention is swept first. One that ticks has no later.
    pub(super) fn first_expiry(&self) -> Result<Option<Timestamp>, StoreError> {
        let Some(retention) = self.config.retention.filter(|_| self.config.tick.is_some()) else {
            return self.next_expiry();
        };
        let oldest = self.store.read().oldest_ending()?;
        Ok(oldest.map(|at| at.plus(retention)))
    }
}

/// Has something come that the last pass has not seen?
fn has_more(read: &Reader<'_>) -> Result<bool, StoreError> {
    let outlook = read.outlook()?;
    let now = clock::now();
    let has_come = |at: Option<Timestamp>| at.is_some_and(|at| at <= now);
    Ok(outlook.pools
        || outlook.locks
        || has_come(outlook.next_due)
        || has_come(outlook.next_deadline))
}
