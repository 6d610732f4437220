//! When a daemon leaves, and how: nobody who stores a run meanwhile is left without one.

use std::time::Instant;

use crate::store::{Pass, Reader, StoreError};
use crate::sys::failpoint;

use super::cycle::{Daemon, LISTENER, Mode, token};
use super::log_file;
use super::serve::ServeError;

impl Daemon {
    /// Whether the daemon is to end now.
    pub(super) fn may_leave(&mut self, now: Instant) -> Result<bool, ServeError> {
        if self.deaf_until.is_some_and(|until| until <= now) {
            self.deaf_until = None;
            let listening = self
                .poller
                .add(self.doorbell.listener(), token(LISTENER, 0));
            listening.map_err(|error| ServeError::System("epoll", error))?;
        }
        let open = self.slots.busy() + self.watched.len() + self.remnants.len();
        match self.mode {
            Mode::Stopping => return Ok(true),
            // What cannot be committed now is in the shims' records, for the next daemon.
            Mode::Draining
                if open == self.strangers_open()
                    && (self.inbox.is_empty() || self.passes.in_a_row() > 0) =>
            {
                return Ok(true);
            }
            Mode::Draining | Mode::Serving => {}
        }
        if let Some(until) = self.tick_until {
            return self.may_end_tick(now, until, open);
        }
        let Some(stay) = self.config.until_idle else {
            return Ok(false);
        };
        let idle = open == 0 && self.inbox.is_empty() && self.store.read().is_idle()?;
        let since = *self.idle_since.get_or_insert(now);
        if !idle {
            self.idle_since = None;
        }
        if !idle || now.saturating_duration_since(since) < stay {
            return Ok(false);
        }
        self.retire(|read| read.is_idle())
    }

    /// Ends inside a write transaction, if `may` says so there: who commits a run before it is served, who
    /// commits after it finds the lock free and starts a daemon.
    pub(super) fn retire(
        &mut self,
        may: impl FnOnce(&Reader<'_>) -> Result<bool, StoreError>,
    ) -> Result<bool, ServeError> {
        let pass = self.store.begin()?;
        if !may(&pass.read())? {
            self.dirty = true;
            return Ok(false);
        }
        let pass = (!failpoint::has_bug("leaves_outside_transaction")).then_some(pass);
        let system = |error| ServeError::System("leaving", error);
        failpoint::reach("retiring").map_err(system)?;
        self.doorbell.hang_up(&self.folder).map_err(system)?;
        log_file::leave_alone();
        self.lock.release().map_err(system)?;
        // From here on another daemon may serve, so whatever fails, this one leaves; it has written
        // nothing that could be lost.
        let committed = pass.map_or(Ok(()), Pass::commit).map_err(ServeError::from);
        if let Err(error) = committed.and(failpoint::reach("retired").map_err(system)) {
            tracing::warn!("{error}");
        }
        match self.config.tick {
            Some(_) => tracing::info!("nothing left that is due now"),
            None => tracing::info!("nothing left to do"),
        }
        Ok(true)
    }
}
