//! At an interval that somebody asked for, the daemon logs the statistics of the last
//! while as one JSON object on a line of its own. Without an interval nothing of this costs anything.

use std::time::{Duration, Instant};

use crate::model::stats::WINDOW;
use crate::store::StoreError;
use crate::{clock, json};

use super::cycle::Daemon;
use super::log;

/// When statistics are told next, counted from `now`.
pub(super) fn next_stats(interval: Option<Duration>, now: Instant) -> Option<Instant> {
    interval.and_then(|interval| now.checked_add(interval))
}

impl Daemon {
    /// Logs the statistics if that is due. To be called while all is well with the database: what
    /// was due meanwhile comes once it is.
    pub(super) fn tell_stats(&mut self) -> Result<(), StoreError> {
        let Some(interval) = self.config.stats_interval else {
            return Ok(());
        };
        let now = clock::monotonic();
        let Some(due) = self.stats_at.filter(|due| *due <= now) else {
            return Ok(());
        };
        let at = clock::now_rounded_up();
        // As long as the time since the line before, at the least.
        let window = interval.max(WINDOW);
        let stats = self.store.at_once(|read| read.stats(at, window))?;
        self.store.sync()?;
        log::object(&json::stats(&stats));
        let next = next_stats(Some(interval), due).filter(|next| *next > now);
        self.stats_at = next.or_else(|| next_stats(Some(interval), now));
        Ok(())
    }
}
