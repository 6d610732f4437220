//! Forgetting what is older than the retention, in small steps between the passes.

use std::time::Duration;

use crate::clock;
use crate::model::{Status, Timestamp};
use crate::store::{Store, StoreError, Swept};

use super::cycle::Daemon;

/// How many runs are forgotten in one transaction.
const RUNS_MAX: usize = 1000;

/// And how many when there is no room to write down more.
const RUNS_WITHOUT_ROOM: usize = 20;

/// How many files are removed in one step.
const FILES_MAX: usize = 100;

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
            let swept = forget_some(&mut self.store, before, None)?;
            if swept.runs > 0 {
                tracing::info!("forgot {} runs that ended long ago", swept.runs);
                self.trash = true;
            }
            if swept.more {
                return Ok(true);
            }
            self.expire_at = self.next_expiry()?;
            self.store.keep_reserve();
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
    pub(super) fn next_expiry(&self) -> Result<Option<Timestamp>, StoreError> {
        let Some(retention) = self.config.retention else {
            return Ok(None);
        };
        let oldest = self.store.read().oldest_ending()?;
        let soonest = clock::now().plus(SWEEP_EVERY);
        Ok(oldest.map(|at| at.plus(retention).max(soonest)))
    }
}

/// Forgets runs that ended before `before`, of one state alone if it is given: at most 1,000,
/// and on a full disk a few with their files, so that each step makes room for the next.
pub fn forget_some(
    store: &mut Store,
    before: Timestamp,
    state: Option<Status>,
) -> Result<Swept, StoreError> {
    let many = store.with_room(|store| store.forget(|pass| pass.expire(before, state, RUNS_MAX)));
    match many {
        Err(StoreError::Full { .. }) => {}
        other => return other,
    }
    let few =
        |store: &mut Store| store.forget(|pass| pass.expire(before, state, RUNS_WITHOUT_ROOM));
    let swept = store.with_reserve(few)?;
    empty_trash(store)?;
    Ok(swept)
}

/// Removes all files of forgotten runs, step by step, for a client that has forgotten some.
pub fn empty_trash(store: &mut Store) -> Result<(), StoreError> {
    while store.with_reserve(|store| store.empty_trash(FILES_MAX))? {}
    store.keep_reserve();
    Ok(())
}
