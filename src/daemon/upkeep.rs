//! Forgetting what is older than the retention, in small steps between the passes.

use std::time::Duration;

use crate::clock;
use crate::store::{RUNS_WITHOUT_ROOM, Store, StoreError};

use super::cycle::Daemon;

/// How many runs are forgotten in one transaction.
pub const RUNS_MAX: usize = 1000;

/// How many files are removed in one step.
pub const FILES_MAX: usize = 100;

/// Endings that expire one after the other are swept together.
const SWEEP_EVERY: Duration = Duration::from_secs(60);

impl Daemon {
    /// Does one step of what is due. `true`: there is more.
    pub(super) fn upkeep(&mut self) -> Result<bool, StoreError> {
        let now = clock::now();
        if let (Some(retention), Some(at)) = (self.config.retention, self.expire_at)
            && at > now.plus(retention.max(SWEEP_EVERY))
        {
            // The clock was set back: who ends from now on need not stay so long.
            self.expire_at = self.next_expiry()?;
        }
        if let (Some(retention), Some(at)) = (self.config.retention, self.expire_at)
            && at <= now
        {
            let before = now.minus(retention);
            let limit = if self.has_room() {
                RUNS_MAX
            } else {
                RUNS_WITHOUT_ROOM
            };
            let swept = self.store.forget(|pass| pass.expire(before, None, limit))?;
            if swept.runs > 0 {
                tracing::info!("forgot {} runs that ended long ago", swept.runs);
                self.trash = true;
            }
            if swept.more {
                return Ok(true);
            }
            self.expire_at = self.next_expiry()?;
        }
        if self.trash {
            self.trash = match self.store.empty_trash(FILES_MAX) {
                // It keeps its name in the list; the next sweep tries again.
                Err(error @ StoreError::Io { .. }) => {
                    tracing::warn!("cannot remove a forgotten file: {error}");
                    false
                }
                other => other?,
            };
        }
        Ok(self.trash)
    }

    /// When the next run is older than the retention, but not at once.
    pub(super) fn next_expiry(&self) -> Result<Option<crate::model::Timestamp>, StoreError> {
        let Some(retention) = self.config.retention else {
            return Ok(None);
        };
        let oldest = self.store.read().oldest_ending()?;
        let soonest = clock::now().plus(SWEEP_EVERY);
        Ok(oldest.map(|at| at.plus(retention).max(soonest)))
    }
}

/// Removes all files of forgotten runs, step by step, for a client that has forgotten some.
pub fn empty_trash(store: &mut Store) -> Result<(), StoreError> {
    while store.with_room(|store| store.empty_trash(FILES_MAX))? {}
    Ok(())
}
